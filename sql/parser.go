package sql

import (
	"fmt"
	"strconv"
	"strings"

	"karst/sql/types"
)

// Limits of what is parsed.
const (
	maxScriptBytes = 1 << 20
	maxStatements  = 1000
	maxTokens      = 200_000
)

// Options of parsing.
type Options struct {
	// Variables are the values of ${name}; names compare without case.
	Variables map[string]string
}

// Parse parses a script of statements, each ended by a semicolon (the last
// one may lack it). All syntax errors are returned, as types.Errors.
func Parse(text string, opts Options) ([]Statement, error) {
	p, err := newParser(text, opts)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for !p.done() {
		if p.acceptOp(";") {
			continue
		}
		if len(out) == maxStatements {
			p.failLimit(fmt.Sprintf("more than %d statements in one request", maxStatements))
			break
		}
		start := p.i
		s := p.statement()
		if s != nil && !p.tok().isOp(";") && !p.done() {
			p.fail("';'")
		}
		if p.failed {
			p.recover()
			continue
		}
		from, to := p.toks[start].start, p.toks[p.i-1].end
		s.setSource(p.lex.position(from), p.lex.src[from:to])
		out = append(out, s)
	}
	if len(p.lex.errs) > 0 {
		return nil, p.lex.errs
	}
	return out, nil
}

// ParseExpr parses one expression, such as a plan holds.
func ParseExpr(text string) (Expr, error) {
	p, err := newParser(text, Options{})
	if err != nil {
		return nil, err
	}
	list, ok := p.exprList(len(p.toks)-1, anyExpr)
	if !ok {
		return nil, p.lex.errs
	}
	if len(list) != 1 {
		return nil, types.Errorf(types.ErrParse, types.Pos{}, "expected one expression, found %d", len(list))
	}
	return list[0], nil
}

// ParseType parses a type.
func ParseType(text string) (TypeRef, error) {
	p, err := newParser(text, Options{})
	if err != nil {
		return TypeRef{}, err
	}
	t := p.typeRef()
	if !p.failed && !p.done() {
		p.fail("the end of the type")
	}
	if p.failed {
		return TypeRef{}, p.lex.errs
	}
	return t, nil
}

// Complete reports whether text ends with a whole statement: its last token
// is a semicolon, outside of strings and comments.
func Complete(text string) bool {
	l := newLexer(text)
	toks := l.run()
	return len(l.errs) == 0 && len(toks) > 1 && toks[len(toks)-2].isOp(";")
}

// A parser works on the tokens of a script. After a fault in a statement
// failed is set and the rest of that statement is skipped.
type parser struct {
	lex    *lexer
	toks   []token
	i      int
	failed bool
}

func newParser(text string, opts Options) (*parser, error) {
	if len(text) > maxScriptBytes {
		return nil, types.Errorf(types.ErrLimit, types.Pos{}, "the statements are %d bytes long; at most %d are taken", len(text), maxScriptBytes)
	}
	l := newLexer(text)
	l.run()
	l.substitute(opts.Variables)
	if len(l.toks) > maxTokens {
		return nil, types.Errorf(types.ErrLimit, types.Pos{}, "the statements have %d words; at most %d are taken", len(l.toks), maxTokens)
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return &parser{lex: l, toks: l.toks}, nil
}

func (p *parser) tok() token         { return p.toks[p.i] }
func (p *parser) done() bool         { return p.tok().kind == tokEOF }
func (p *parser) pos() types.Pos     { return p.lex.position(p.tok().start) }
func (p *parser) at() node           { return node{p.pos()} }
func (p *parser) peek(n int) token   { return p.toks[min(p.i+n, len(p.toks)-1)] }
func (p *parser) word(w string) bool { return p.tok().isWord(w) }

// recover skips to the end of the statement, so that the next one's faults
// are found too.
func (p *parser) recover() {
	for !p.done() && !p.tok().isOp(";") {
		p.i++
	}
	p.failed = false
}

// fail reports the current token as unexpected; expected says what could
// stand there.
func (p *parser) fail(expected ...string) {
	if p.failed {
		return
	}
	found := "'" + p.lex.src[p.tok().start:p.tok().end] + "'"
	if p.done() {
		found = "the end of the text"
	}
	message := "Syntax Error: unexpected " + found
	switch len(expected) {
	case 0:
	case 1:
		message += ", expected " + expected[0]
	default:
		message += ", expected " + strings.Join(expected[:len(expected)-1], ", ") + " or " + expected[len(expected)-1]
	}
	p.failAt(p.tok().start, message, "")
}

func (p *parser) failAt(at int, message, hint string) {
	if !p.failed {
		p.failed = true
		p.lex.fault(at, message, hint)
	}
}

func (p *parser) failLimit(message string) {
	p.failed = true
	p.lex.errs = append(p.lex.errs, &types.Error{Kind: types.ErrLimit, Pos: p.pos(), Message: message})
	p.i = len(p.toks) - 1
}

// accept steps over the words if they come next.
func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if !p.peek(i).isWord(w) {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *parser) acceptOp(op string) bool {
	if p.tok().isOp(op) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if p.failed {
			return
		}
		if !p.accept(w) {
			p.fail(w)
		}
	}
}

func (p *parser) expectOp(op string) {
	if !p.failed && !p.acceptOp(op) {
		p.fail("'" + op + "'")
	}
}

// oneOf steps over one of the words and returns it.
func (p *parser) oneOf(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	if !p.failed {
		p.fail(words...)
	}
	return ""
}

// name reads an identifier, folded to upper case unless quoted.
func (p *parser) name() string {
	if p.failed {
		return ""
	}
	t := p.tok()
	if name, ok := identifier(t); ok {
		p.i++
		return name
	}
	p.fail("a name")
	return ""
}

// identifier returns the name that a token is.
func identifier(t token) (string, bool) {
	switch {
	case t.kind == tokQuoted:
		return t.text, true
	case t.kind == tokWord && !reservedWords[t.upper]:
		return t.upper, true
	}
	return "", false
}

func (p *parser) str() string {
	if p.failed {
		return ""
	}
	if p.tok().kind != tokString {
		p.fail("a string in single quotes")
		return ""
	}
	p.i++
	return p.toks[p.i-1].text
}

func (p *parser) integer() int64 {
	if p.failed {
		return 0
	}
	n, err := strconv.ParseInt(p.tok().text, 10, 64)
	if p.tok().kind != tokInteger || err != nil {
		p.fail("an integer")
		return 0
	}
	p.i++
	return n
}

// ifNotExists reads IF NOT EXISTS; ifExists reads IF EXISTS.
func (p *parser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }
func (p *parser) ifExists() bool    { return p.accept("IF", "EXISTS") }

// typeRef reads a type.
func (p *parser) typeRef() TypeRef {
	if p.failed {
		return TypeRef{}
	}
	r := TypeRef{At: p.pos()}
	if p.tok().kind == tokQuoted {
		r.Name = p.name()
		return r
	}
	word := p.tok().upper
	if p.tok().kind != tokWord {
		p.fail("a type")
		return r
	}
	if kind, ok := typeNames[word]; ok {
		p.i++
		r.Kind = kind
		p.typeParams(&r, word)
		return r
	}
	r.Name = p.name()
	return r
}

var typeNames = map[string]types.Kind{
	"BOOLEAN": types.KindBoolean, "INT": types.KindInt, "INTEGER": types.KindInt, "BIGINT": types.KindBigint,
	"DOUBLE": types.KindDouble, "DECIMAL": types.KindDecimal, "DEC": types.KindDecimal, "NUMERIC": types.KindDecimal,
	"STRING": types.KindString, "VARCHAR": types.KindString,
	"BYTES": types.KindBytes, "DATE": types.KindDate, "TIME": types.KindTime, "TIMESTAMP": types.KindTimestamp,
	"ARRAY": types.KindArray, "MAP": types.KindMap, "STRUCT": types.KindStruct,
}

func (p *parser) typeParams(r *TypeRef, word string) {
	switch r.Kind {
	case types.KindString:
		if word == "VARCHAR" && p.acceptOp("(") { // the length is not kept
			p.integer()
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
		p.closeAngle()
	case types.KindMap:
		p.expectOp("<")
		r.Key = p.typeRefPointer()
		p.expectOp(",")
		r.Elem = p.typeRefPointer()
		p.closeAngle()
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
	for !p.failed && !p.tok().isOp(">") {
		name := p.name()
		r.Fields = append(r.Fields, FieldTypeRef{name, p.typeRef()})
		if !p.acceptOp(",") {
			break
		}
	}
	p.closeAngle()
}

// closeAngle reads '>'; one that the lexer took together with what follows
// ('>=') can't occur in a type.
func (p *parser) closeAngle() { p.expectOp(">") }

// duration reads a number and a unit.
func (p *parser) duration() Duration {
	d := Duration{N: p.integer()}
	if p.failed {
		return d
	}
	unit := strings.TrimSuffix(p.tok().upper, "S")
	if _, ok := unitMS[unit]; !ok || p.tok().kind != tokWord {
		p.fail("a unit of time (MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS)")
		return d
	}
	p.i++
	d.Unit = unit
	return d
}

// window reads WINDOW [name] kind (…).
func (p *parser) window() (*WindowClause, bool) {
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
	for !p.failed && p.acceptOp(",") {
		switch p.oneOf("RETENTION", "GRACE") {
		case "RETENTION":
			d := p.duration()
			w.Retention = &d
		case "GRACE":
			p.expect("PERIOD")
			d := p.duration()
			w.Grace = &d
		}
	}
	p.expectOp(")")
	return w, !p.failed
}

// within reads WITHIN d or WITHIN (before, after), and a grace period.
func (p *parser) within() (*Within, bool) {
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
	if p.accept("GRACE", "PERIOD") {
		d := p.duration()
		w.Grace = &d
	}
	return w, !p.failed
}

// with reads a WITH clause if there is one.
func (p *parser) with() []Property {
	if p.failed || !p.accept("WITH") {
		return nil
	}
	props := []Property{}
	p.expectOp("(")
	for !p.failed && !p.tok().isOp(")") {
		at := p.pos()
		name := ""
		if p.tok().kind == tokString {
			name = strings.ToUpper(p.str())
		} else {
			name = strings.ToUpper(p.name())
		}
		p.expectOp("=")
		props = append(props, Property{At: at, Name: name, Value: p.literal()})
		if !p.acceptOp(",") {
			break
		}
	}
	p.expectOp(")")
	return props
}

// literal reads a constant.
func (p *parser) literal() *Literal {
	if p.failed {
		return nil
	}
	at := p.at()
	neg := p.tok().isOp("-")
	if neg {
		p.i++
	}
	l := tokenLiteral(p.tok(), at)
	if l == nil || neg && (l.Kind < LitInteger || l.Kind > LitDouble) {
		p.fail("a literal")
		return nil
	}
	if neg {
		l.Text = "-" + l.Text
	}
	p.i++
	return l
}

// tokenLiteral returns the literal that a token is, or nil.
func tokenLiteral(t token, at node) *Literal {
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

// SplitStatements returns the statements of a script as texts, each with its
// semicolon; what can't be lexed is one text.
func SplitStatements(text string) []string {
	l := newLexer(text)
	toks := l.run()
	if len(l.errs) > 0 {
		return []string{text}
	}
	var out []string
	start := -1
	for _, t := range toks {
		switch {
		case t.kind == tokEOF:
			if start >= 0 {
				out = append(out, text[start:])
			}
		case t.isOp(";"):
			if start >= 0 {
				out = append(out, text[start:t.end])
			}
			start = -1
		case start < 0:
			start = t.start
		}
	}
	return out
}
