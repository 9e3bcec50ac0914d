package sql

import (
	"math"
	"strconv"
	"strings"

	"karst/sql/types"
)

// typeRef reads a type.
func (p *parser) typeRef() TypeRef {
	if p.failed || !p.enter() {
		return TypeRef{}
	}
	defer p.leave()
	t := p.tok()
	r := TypeRef{At: t.at}
	if kind, ok := typeNames[t.upper]; ok && t.kind == tokWord {
		p.i++
		r.Kind = kind
		p.typeParams(&r)
		return r
	}
	if _, ok := identifier(t); !ok {
		p.fail("a type")
		return r
	}
	r.Name = p.name()
	return r
}

// enter goes one level deeper; leave comes back.
func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.failLimit("nesting is deeper than " + strconv.Itoa(maxDepth) + " levels")
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

var typeNames = map[string]types.Kind{
	"BOOLEAN": types.KindBoolean, "INT": types.KindInt, "INTEGER": types.KindInt, "BIGINT": types.KindBigint,
	"DOUBLE": types.KindDouble, "DECIMAL": types.KindDecimal, "DEC": types.KindDecimal, "NUMERIC": types.KindDecimal,
	"STRING": types.KindString, "VARCHAR": types.KindString,
	"BYTES": types.KindBytes, "DATE": types.KindDate, "TIME": types.KindTime, "TIMESTAMP": types.KindTimestamp,
	"ARRAY": types.KindArray, "MAP": types.KindMap, "STRUCT": types.KindStruct,
}

func (p *parser) typeParams(r *TypeRef) {
	switch r.Kind {
	case types.KindString:
		if p.acceptOp("(") { // the length is not kept
			if p.tok().kind != tokInteger && !p.word("STRING") {
				p.fail("STRING", expectInteger)
				return
			}
			p.i++
			p.expectOp(")")
		}
	case types.KindDecimal:
		r.Params = []int{types.MaxDecimalPrecision, 10}
		if p.acceptOp("(") {
			r.Params = []int{int(p.integer()), 0}
			if p.acceptOp(",") {
				r.Params[1] = int(p.integer())
			}
			p.expectOp(")")
		}
	case types.KindArray:
		p.expectOp("<")
		r.Elem = p.typeRefPointer()
		p.expectOp(">")
	case types.KindMap:
		p.expectOp("<")
		r.Key = p.typeRefPointer()
		p.expectOp(",")
		r.Elem = p.typeRefPointer()
		p.expectOp(">")
	case types.KindStruct:
		p.structFields(r)
	}
}

func (p *parser) typeRefPointer() *TypeRef {
	t := p.typeRef()
	return &t
}

func (p *parser) structFields(r *TypeRef) {
	if p.acceptOp("<>") {
		return
	}
	p.expectOp("<")
	if p.acceptOp(">") {
		return
	}
	p.list(func() {
		at := p.pos()
		name := p.name()
		for _, f := range r.Fields {
			if f.Name == name {
				p.failAt(at, "Duplicate field names found in STRUCT: "+QuoteName(name), "")
			}
		}
		r.Fields = append(r.Fields, FieldTypeRef{name, p.typeRef()})
	})
	p.expectOp(">")
}

// expectUnit stands in messages for a unit of time.
const expectUnit = "a unit of time (MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS)"

// duration reads a number and a unit.
func (p *parser) duration() Duration {
	at := p.tok()
	d := Duration{N: p.integer()}
	if p.failed {
		return d
	}
	unit := strings.TrimSuffix(p.tok().upper, "S")
	ms, ok := unitMS[unit]
	if !ok || p.tok().kind != tokWord {
		p.fail(expectUnit)
		return d
	}
	p.i++
	if d.N > math.MaxInt64/ms {
		p.failAt(at.at, "Syntax Error: "+at.text+" "+unit+"S are too many", "")
	}
	d.Unit = unit
	return d
}

// window reads WINDOW [name] kind (…).
func (p *parser) window() *WindowClause {
	w := &WindowClause{At: p.pos()}
	p.expect("WINDOW")
	if !p.peek(1).isOp("(") {
		w.Name = p.name()
	}
	w.Kind = p.oneOf("TUMBLING", "HOPPING", "SESSION")
	p.expectOp("(")
	switch w.Kind {
	case "SESSION":
		w.Gap = p.duration()
	case "HOPPING":
		p.expect("SIZE")
		w.Size = p.duration()
		p.expectOp(",")
		p.expect("ADVANCE", "BY")
		w.Advance = p.duration()
	default:
		p.expect("SIZE")
		w.Size = p.duration()
	}
	p.windowOptions(w)
	p.expectOp(")")
	return w
}

// windowOptions reads [, RETENTION d] [, GRACE PERIOD d].
func (p *parser) windowOptions(w *WindowClause) {
	if !p.acceptOp(",") {
		return
	}
	if p.accept("RETENTION") {
		w.Retention = p.durationPointer()
		if !p.acceptOp(",") {
			return
		}
		p.expect("GRACE", "PERIOD")
		w.Grace = p.durationPointer()
		return
	}
	if !p.accept("GRACE") {
		p.fail("RETENTION", "GRACE PERIOD")
	}
	p.expect("PERIOD")
	w.Grace = p.durationPointer()
}

func (p *parser) durationPointer() *Duration {
	d := p.duration()
	return &d
}

// within reads WITHIN d or WITHIN (before, after), and a grace period.
func (p *parser) within() *Within {
	w := &Within{At: p.pos()}
	p.expect("WITHIN")
	if p.acceptOp("(") {
		w.Before = p.duration()
		p.expectOp(",")
		w.After = p.duration()
		p.expectOp(")")
	} else {
		w.Before = p.duration()
		w.After = w.Before
	}
	if p.accept("GRACE") {
		p.expect("PERIOD")
		w.Grace = p.durationPointer()
	}
	return w
}

// frame reads the frame of an OVER and returns its canonical text.
func (p *parser) frame() string {
	text := p.oneOf("ROWS", "RANGE")
	if p.accept("BETWEEN") {
		text += " BETWEEN " + p.frameBound()
		p.expect("AND")
		return text + " AND " + p.frameBound()
	}
	return text + " " + p.frameBound()
}

func (p *parser) frameBound() string {
	if p.accept("CURRENT") {
		p.expect("ROW")
		return "CURRENT ROW"
	}
	bound := "UNBOUNDED"
	if !p.accept("UNBOUNDED") {
		if p.tok().kind != tokInteger {
			p.fail("UNBOUNDED", "CURRENT ROW", expectInteger)
		}
		bound = strconv.FormatInt(p.integer(), 10)
	}
	return bound + " " + p.oneOf("PRECEDING", "FOLLOWING")
}

// with reads a WITH clause if there is one.
func (p *parser) with() []Property {
	if !p.accept("WITH") {
		return nil
	}
	var props []Property
	p.expectOp("(")
	p.list(func() { props = append(props, p.property()) })
	p.expectOp(")")
	return props
}

func (p *parser) property() Property {
	x := Property{At: p.pos(), Name: strings.ToUpper(p.nameOrString())}
	p.expectOp("=")
	x.Value = p.literal()
	return x
}

// literal reads a constant.
func (p *parser) literal() *Literal {
	if p.failed {
		return nil
	}
	at := node{p.pos()}
	sign := ""
	if p.tok().isOp("-") && p.peek(1).isNumber() {
		sign = "-"
		p.i++
	}
	l := tokenLiteral(p.tok())
	if l == nil {
		p.fail("a literal")
		return nil
	}
	l.node, l.Text = at, sign+l.Text
	p.i++
	return l
}

// tokenLiteral returns the literal that a token is, or nil.
func tokenLiteral(t token) *Literal {
	at := node{t.at}
	switch t.kind {
	case tokString:
		return &Literal{at, LitString, t.text}
	case tokInteger:
		return &Literal{at, LitInteger, t.text}
	case tokDecimal:
		return &Literal{at, LitDecimal, t.text}
	case tokDouble:
		return &Literal{at, LitDouble, t.text}
	case tokWord:
		switch t.upper {
		case "TRUE", "FALSE":
			return &Literal{at, LitBoolean, t.upper}
		case "NULL":
			return &Literal{at, LitNull, t.upper}
		}
	}
	return nil
}
