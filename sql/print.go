package sql

import (
	"fmt"
	"strings"

	"karst/sql/types"
)

// QuoteName returns name as it must be typed: between back quotes unless it is
// a plain upper-case word without a meaning of its own.
func QuoteName(name string) string {
	if isPlain(name) && !reservedWords[name] && !contextualWords[name] {
		return name
	}
	return types.QuoteAlways(name)
}

// isPlain reports whether name is a word that folding leaves as it is.
func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'A' || c > 'Z') && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return name != ""
}

// contextualWords are syntax in some places; the printer quotes them.
var contextualWords = wordSet("LEFT", "RIGHT", "FULL", "INNER", "CROSS", "EMIT", "WINDOW", "WITHIN", "PARTITION", "ESCAPE", "ARRAY", "MAP", "STRUCT", "EXISTS",
	"ASC", "DESC", "DATE", "TIME", "TIMESTAMP", "INTERSECT", "EXCEPT", "IF", "OVER", "SET", "ALL", "SOURCE", "AT", "ROWS", "RANGE")

// PrintExpr returns e as SQL text that parses to an equal tree.
func PrintExpr(e Expr) string {
	var p printer
	p.expr(e)
	return p.String()
}

// Print returns s as SQL text, without a semicolon, that parses to an equal
// tree.
func Print(s Statement) string {
	var p printer
	p.statement(s)
	return p.String()
}

// PrintQuery returns q as SQL text.
func PrintQuery(q QueryExpr) string {
	var p printer
	p.query(q)
	return p.String()
}

// String returns the type as it is written in SQL.
func (r TypeRef) String() string {
	switch r.Kind {
	case types.KindInvalid:
		return QuoteName(r.Name)
	case types.KindDecimal:
		return fmt.Sprintf("DECIMAL(%d, %d)", r.Params[0], r.Params[1])
	case types.KindArray:
		return "ARRAY<" + r.Elem.String() + ">"
	case types.KindMap:
		return "MAP<" + r.Key.String() + ", " + r.Elem.String() + ">"
	case types.KindStruct:
		parts := make([]string, len(r.Fields))
		for i, f := range r.Fields {
			parts[i] = QuoteName(f.Name) + " " + f.Type.String()
		}
		return "STRUCT<" + strings.Join(parts, ", ") + ">"
	}
	return r.Kind.String()
}

type printer struct{ strings.Builder }

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

func (p *printer) list(es []Expr) {
	for i, e := range es {
		p.put(comma(i))
		p.expr(e)
	}
}

func comma(i int) string { return opt(i > 0, ", ") }

// How much an expression binds, from least to most.
const (
	precLambda = iota
	precOr
	precAnd
	precNot
	precPredicate
	precValue // what follows is a value in the grammar
	precAdd
	precMul
	precSign
	precPrimary

	precConcat = precValue
)

func precedence(e Expr) int {
	switch e := e.(type) {
	case *Lambda:
		return precLambda
	case *Logical:
		if e.Op == "OR" {
			return precOr
		}
		return precAnd
	case *Not:
		return precNot
	case *Subquery:
		if e.Negate {
			return precNot
		}
	case *Comparison, *IsNull, *Between, *In, *Like:
		return precPredicate
	case *Binary:
		return binaryPrecedence(e.Op)
	case *Unary:
		return precSign
	case *Literal:
		if isNumber(e) && strings.HasPrefix(e.Text, "-") {
			return precSign
		}
	}
	return precPrimary
}

func binaryPrecedence(op string) int {
	switch op {
	case "||":
		return precConcat
	case "+", "-":
		return precAdd
	}
	return precMul
}

func isNumber(l *Literal) bool { return l.Kind >= LitInteger && l.Kind <= LitDouble }

// operand prints e, between parentheses if it binds less than least.
func (p *printer) operand(e Expr, least int) {
	if precedence(e) >= least {
		p.expr(e)
		return
	}
	p.put("(")
	p.expr(e)
	p.put(")")
}

func not(negate bool) string { return opt(negate, " NOT") }

func (p *printer) expr(e Expr) {
	switch e := e.(type) {
	case *Literal:
		p.literal(e)
	case *ColumnRef:
		if e.Source != "" {
			p.put(QuoteName(e.Source), ".")
		}
		p.put(QuoteName(e.Name))
	case *FieldRef:
		p.operand(e.Of, precPrimary)
		p.put("->", QuoteName(e.Field))
	case *StructAll:
		p.operand(e.Of, precPrimary)
		p.put("->*")
	case *Subscript:
		p.operand(e.Of, precPrimary)
		p.put("[")
		p.operand(e.Index, precValue)
		p.put("]")
	case *ArrayLit:
		p.put("ARRAY[")
		p.list(e.Elems)
		p.put("]")
	case *MapLit:
		p.mapLit(e)
	case *StructLit:
		p.structLit(e)
	case *Call:
		p.call(e)
	case *WindowCall:
		p.windowCall(e)
	case *Lambda:
		p.put("(")
		for i, x := range e.Params {
			p.put(comma(i), QuoteName(x))
		}
		p.put(") => ")
		p.expr(e.Body)
	case *Case:
		p.caseExpr(e)
	case *Cast:
		p.put("CAST(")
		p.expr(e.Of)
		p.put(" AS ", e.To.String(), ")")
	case *Subquery:
		p.subquery(e)
	default:
		p.operator(e)
	}
}

func (p *printer) mapLit(m *MapLit) {
	p.put("MAP(")
	for i := range m.Keys {
		p.put(comma(i))
		p.expr(m.Keys[i])
		p.put(" := ")
		p.expr(m.Values[i])
	}
	p.put(")")
}

func (p *printer) structLit(s *StructLit) {
	p.put("STRUCT(")
	for i := range s.Names {
		p.put(comma(i), QuoteName(s.Names[i]), " := ")
		p.expr(s.Values[i])
	}
	p.put(")")
}

func (p *printer) operator(e Expr) {
	switch e := e.(type) {
	case *Unary:
		p.unary(e)
	case *Binary:
		prec := binaryPrecedence(e.Op)
		p.infix(e.Left, prec, e.Op, e.Right, prec+1)
	case *Comparison:
		p.infix(e.Left, precValue, e.Op, e.Right, precValue)
	case *Logical:
		prec := precedence(e)
		p.infix(e.Left, prec, e.Op, e.Right, prec+1)
	case *Not:
		p.put("NOT ")
		p.operand(e.Of, precNot)
	case *IsNull:
		p.operand(e.Of, precValue)
		p.put(" IS", not(e.Negate), " NULL")
	case *Between:
		p.operand(e.Of, precValue)
		p.put(not(e.Negate), " BETWEEN ")
		p.infix(e.Low, precValue, "AND", e.High, precValue)
	case *In:
		p.operand(e.Of, precValue)
		p.put(not(e.Negate), " IN (")
		if e.Query != nil {
			p.query(e.Query)
		}
		p.list(e.List)
		p.put(")")
	case *Like:
		p.operand(e.Of, precValue)
		p.put(not(e.Negate), " LIKE ")
		p.operand(e.Pattern, precValue)
		if e.Escape != "" {
			p.put(" ESCAPE ", types.QuoteString(e.Escape))
		}
	}
}

// unary keeps "--" apart, which would begin a comment, and -(5), which is not
// the literal -5.
func (p *printer) unary(e *Unary) {
	p.put(e.Op)
	least := precSign
	if l, ok := e.Of.(*Literal); ok && e.Op == "-" && isNumber(l) {
		least = precPrimary + 1
	} else if precedence(e.Of) == precSign {
		p.put(" ")
	}
	p.operand(e.Of, least)
}

func (p *printer) infix(l Expr, left int, op string, r Expr, right int) {
	p.operand(l, left)
	p.put(" ", op, " ")
	p.operand(r, right)
}

func (p *printer) literal(l *Literal) {
	switch l.Kind {
	case LitString:
		p.put(types.QuoteString(l.Text))
	case LitDate:
		p.put("DATE ", types.QuoteString(l.Text))
	case LitTime:
		p.put("TIME ", types.QuoteString(l.Text))
	case LitTimestamp:
		p.put("TIMESTAMP ", types.QuoteString(l.Text))
	default:
		p.put(l.Text)
	}
}

func (p *printer) call(c *Call) {
	p.put(QuoteName(c.Name), "(")
	if c.Star {
		p.put("*")
	}
	if c.Distinct {
		p.put("DISTINCT ")
	}
	p.list(c.Args)
	p.put(")")
}

func (p *printer) windowCall(w *WindowCall) {
	p.call(w.Call)
	var parts []string
	part := func(print func(in *printer)) {
		var in printer
		print(&in)
		if in.Len() > 0 {
			parts = append(parts, in.String())
		}
	}
	part(func(in *printer) { in.clauseList("PARTITION BY ", w.PartitionBy, precOr) })
	part(func(in *printer) { in.orderBy(w.OrderBy) })
	part(func(in *printer) { in.put(w.Frame) })
	p.put(" OVER (", strings.Join(parts, " "), ")")
}

func (p *printer) orderBy(items []OrderItem) {
	for i, o := range items {
		p.put(opt(i == 0, "ORDER BY "), comma(i))
		p.operand(o.Expr, precOr)
		p.put(opt(o.Desc, " DESC"))
	}
}

func (p *printer) caseExpr(c *Case) {
	p.put("CASE")
	if c.Operand != nil {
		p.put(" ")
		p.operand(c.Operand, precValue)
	}
	for _, w := range c.Whens {
		p.put(" WHEN ")
		p.expr(w.Cond)
		p.put(" THEN ")
		p.expr(w.Result)
	}
	if c.Else != nil {
		p.put(" ELSE ")
		p.expr(c.Else)
	}
	p.put(" END")
}

func (p *printer) subquery(s *Subquery) {
	if s.Exists {
		if s.Negate {
			p.put("NOT ")
		}
		p.put("EXISTS ")
	}
	p.put("(")
	p.query(s.Query)
	p.put(")")
}
