package sql

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"karst/sql/types"
)

var plainName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// QuoteName returns name as it must be typed: between back quotes unless it is
// a plain upper-case word without a meaning of its own.
func QuoteName(name string) string {
	if plainName.MatchString(name) && !reservedWords[name] && !contextualWords[name] {
		return name
	}
	return types.QuoteAlways(name)
}

// contextualWords are syntax in some places; the printer quotes them.
var contextualWords = wordSet("LEFT RIGHT FULL INNER CROSS EMIT WINDOW WITHIN PARTITION ESCAPE ARRAY MAP STRUCT EXISTS ASC DESC DATE TIME TIMESTAMP INTERSECT EXCEPT IF VALUES OVER SET ALL SOURCE")

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
		return "STRUCT<" + strings.Join(parts, ", ") + " >"
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
		if i > 0 {
			p.put(", ")
		}
		p.expr(e)
	}
}

// operand prints e in parentheses if it is more than a primary.
func (p *printer) operand(e Expr) {
	switch e := e.(type) {
	case *Binary, *Comparison, *Logical, *Not, *IsNull, *Between, *In, *Like, *Unary, *Lambda:
	case *Literal:
		if !strings.HasPrefix(e.Text, "-") || e.Kind == LitString {
			p.expr(e)
			return
		}
	default:
		p.expr(e)
		return
	}
	p.put("(")
	p.expr(e)
	p.put(")")
}

func not(negate bool) string {
	if negate {
		return " NOT"
	}
	return ""
}

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
		p.operand(e.Of)
		p.put("->", QuoteName(e.Field))
	case *StructAll:
		p.operand(e.Of)
		p.put("->*")
	case *Subscript:
		p.operand(e.Of)
		p.put("[")
		p.expr(e.Index)
		p.put("]")
	case *ArrayLit:
		p.put("ARRAY[")
		p.list(e.Elems)
		p.put("]")
	case *MapLit:
		p.put("MAP(")
		for i := range e.Keys {
			p.pair(i, e.Keys[i], "", e.Values[i])
		}
		p.put(")")
	case *StructLit:
		p.put("STRUCT(")
		for i := range e.Names {
			p.pair(i, nil, e.Names[i], e.Values[i])
		}
		p.put(")")
	case *Call:
		p.call(e)
	case *WindowCall:
		p.windowCall(e)
	case *Lambda:
		p.put("(")
		for i, x := range e.Params {
			if i > 0 {
				p.put(", ")
			}
			p.put(QuoteName(x))
		}
		p.put(") => ")
		p.operand(e.Body)
	case *Case:
		p.caseExpr(e)
	case *Cast:
		p.put("CAST(")
		p.operand(e.Of)
		p.put(" AS ", e.To.String(), ")")
	case *Subquery:
		p.subquery(e)
	default:
		p.operator(e)
	}
}

func (p *printer) operator(e Expr) {
	switch e := e.(type) {
	case *Unary:
		p.put(e.Op, " ")
		p.operand(e.Of)
	case *Binary:
		p.infix(e.Left, e.Op, e.Right)
	case *Comparison:
		p.infix(e.Left, e.Op, e.Right)
	case *Logical:
		p.infix(e.Left, e.Op, e.Right)
	case *Not:
		p.put("NOT ")
		p.operand(e.Of)
	case *IsNull:
		p.operand(e.Of)
		p.put(" IS", not(e.Negate), " NULL")
	case *Between:
		p.operand(e.Of)
		p.put(not(e.Negate), " BETWEEN ")
		p.infix(e.Low, "AND", e.High)
	case *In:
		p.operand(e.Of)
		p.put(not(e.Negate), " IN (")
		if e.Query != nil {
			p.query(e.Query)
		}
		p.list(e.List)
		p.put(")")
	case *Like:
		p.operand(e.Of)
		p.put(not(e.Negate), " LIKE ")
		p.operand(e.Pattern)
		if e.Escape != "" {
			p.put(" ESCAPE ", types.QuoteString(e.Escape))
		}
	}
}

func (p *printer) infix(l Expr, op string, r Expr) {
	p.operand(l)
	p.put(" ", op, " ")
	p.operand(r)
}

func (p *printer) pair(i int, key Expr, name string, value Expr) {
	if i > 0 {
		p.put(", ")
	}
	if key != nil {
		p.expr(key)
	} else {
		p.put(QuoteName(name))
	}
	p.put(" := ")
	p.operand(value)
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
	p.put(" OVER (")
	if len(w.PartitionBy) > 0 {
		p.put("PARTITION BY ")
		p.list(w.PartitionBy)
	}
	p.orderBy(w.OrderBy)
	p.put(")")
}

func (p *printer) orderBy(items []OrderItem) {
	for i, o := range items {
		if i == 0 {
			p.put(" ORDER BY ")
		} else {
			p.put(", ")
		}
		p.expr(o.Expr)
		if o.Desc {
			p.put(" DESC")
		}
	}
}

func (p *printer) caseExpr(c *Case) {
	p.put("CASE")
	if c.Operand != nil {
		p.put(" ")
		p.operand(c.Operand)
	}
	for _, w := range c.Whens {
		p.put(" WHEN ")
		p.operand(w.Cond)
		p.put(" THEN ")
		p.operand(w.Result)
	}
	if c.Else != nil {
		p.put(" ELSE ")
		p.operand(c.Else)
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

func (p *printer) query(q QueryExpr) {
	switch q := q.(type) {
	case *SetOp:
		p.query(q.Left)
		p.put(" ", q.Op, " ")
		p.query(q.Right)
	case *Query:
		p.selectQuery(q)
	}
}

func (p *printer) selectQuery(q *Query) {
	for i, c := range q.With {
		if i == 0 {
			p.put("WITH ")
		} else {
			p.put(", ")
		}
		p.put(QuoteName(c.Name), " AS (")
		p.query(c.Query)
		p.put(") ")
	}
	p.put("SELECT ")
	if q.Distinct {
		p.put("DISTINCT ")
	}
	for i, it := range q.Items {
		if i > 0 {
			p.put(", ")
		}
		p.item(it)
	}
	if q.From != nil {
		p.put(" FROM ")
		p.relation(q.From)
	}
	if q.Window != nil {
		p.window(q.Window)
	}
	p.clause(" WHERE ", q.Where)
	p.exprClause(" GROUP BY ", q.GroupBy)
	p.exprClause(" PARTITION BY ", q.PartitionBy)
	p.clause(" HAVING ", q.Having)
	p.orderBy(q.OrderBy)
	switch q.Emit {
	case EmitChanges:
		p.put(" EMIT CHANGES")
	case EmitFinal:
		p.put(" EMIT FINAL")
	}
	if q.Limit != nil {
		p.put(" LIMIT ", strconv.FormatInt(*q.Limit, 10))
	}
}

func (p *printer) item(it SelectItem) {
	switch {
	case it.Expr == nil && it.Source != "":
		p.put(QuoteName(it.Source), ".*")
	case it.Expr == nil:
		p.put("*")
	default:
		p.expr(it.Expr)
		if it.Alias != "" {
			p.put(" AS ", QuoteName(it.Alias))
		}
	}
}

func (p *printer) clause(word string, e Expr) {
	if e != nil {
		p.put(word)
		p.expr(e)
	}
}

func (p *printer) exprClause(word string, es []Expr) {
	for i, e := range es {
		if i == 0 {
			p.put(word)
		} else {
			p.put(", ")
		}
		p.operand(e)
	}
}

func (p *printer) relation(r Relation) {
	switch r := r.(type) {
	case *SourceRef:
		p.put(QuoteName(r.Name))
		if r.Alias != r.Name {
			p.put(" AS ", QuoteName(r.Alias))
		}
	case *Derived:
		p.put("(")
		p.query(r.Query)
		p.put(")")
		if r.Alias != "" {
			p.put(" AS ", QuoteName(r.Alias))
		}
	case *Join:
		p.relation(r.Left)
		if r.Type == InnerJoin {
			p.put(" JOIN ")
		} else {
			p.put(" ", string(r.Type), " JOIN ")
		}
		p.relation(r.Right)
		if w := r.Within; w != nil {
			p.put(" WITHIN (", w.Before.String(), ", ", w.After.String(), ")")
			if w.Grace != nil {
				p.put(" GRACE PERIOD ", w.Grace.String())
			}
		}
		p.clause(" ON ", r.On)
	}
}

// String returns the duration as it is written in SQL.
func (d Duration) String() string { return strconv.FormatInt(d.N, 10) + " " + d.Unit + "S" }

func (p *printer) window(w *WindowClause) {
	p.put(" WINDOW ")
	if w.Name != "" {
		p.put(QuoteName(w.Name), " ")
	}
	p.put(w.Kind, " (")
	switch w.Kind {
	case "SESSION":
		p.put(w.Gap.String())
	case "HOPPING":
		p.put("SIZE ", w.Size.String(), ", ADVANCE BY ", w.Advance.String())
	default:
		p.put("SIZE ", w.Size.String())
	}
	if w.Retention != nil {
		p.put(", RETENTION ", w.Retention.String())
	}
	if w.Grace != nil {
		p.put(", GRACE PERIOD ", w.Grace.String())
	}
	p.put(")")
}
