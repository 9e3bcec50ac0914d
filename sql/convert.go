package sql

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

// value converts an expression where ksqlDB's grammar takes only a value:
// AND, OR, NOT and predicates must stand between parentheses there.
func (c *converter) value(n ast.ExprNode) Expr {
	e := c.expr(n)
	if _, parens := n.(*ast.ParenthesesExpr); !parens && !c.p.failed && precedence(e) < precValue {
		c.p.failAt(e.Pos(), "Syntax Error: a condition stands where a value is expected", "Put the condition between parentheses.")
	}
	return e
}

func (c *converter) exprs(ns []ast.ExprNode) []Expr {
	out := make([]Expr, len(ns))
	for i, n := range ns {
		out[i] = c.expr(n)
	}
	return out
}

// node is the place of an expression of tidb's.
func (c *converter) node(n ast.Node) node { return node{c.p.toks[c.leftmost(n)].at} }

// at returns the place of e, which is nil after a fault.
func at(e Expr) node {
	if e == nil {
		return node{}
	}
	return node{e.Pos()}
}

// leftmost returns the first token of what n stands for, but for parentheses.
func (c *converter) leftmost(n ast.Node) int {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		return c.firstOf(n.Name.Schema.O, n.Name.Table.O, n.Name.Name.O)
	case *ast.TableName:
		return c.firstOf(n.Schema.O, n.Name.O)
	case *ast.FuncCallExpr:
		switch prefix, i := c.decode(n.FnName.O); prefix {
		case "sub", "fld", "all":
			return c.leftmost(n.Args[0])
		default:
			return i
		}
	case *ast.UnaryOperationExpr:
		return c.before(n.V)
	case *ast.ExistsSubqueryExpr:
		return c.before(n.Sel)
	case *ast.SelectStmt:
		return c.leftmost(n.Fields.Fields[0].Expr)
	}
	if first := firstPart(n); first != nil {
		return c.leftmost(first)
	}
	return len(c.p.toks) - 1
}

func (c *converter) firstOf(names ...string) int {
	for _, name := range names {
		if name != "" {
			_, i := c.decode(name)
			return i
		}
	}
	return len(c.p.toks) - 1
}

// before returns the token before n and the parentheses around it: that of the
// operator.
func (c *converter) before(n ast.Node) int {
	i := c.leftmost(n) - 1
	for i > 0 && c.p.toks[i].isOp("(") {
		i--
	}
	return max(i, 0)
}

// firstPart returns the part of n that begins it, nil if it is not known.
func firstPart(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.ParenthesesExpr:
		return n.Expr
	case *ast.BinaryOperationExpr:
		return n.L
	case *ast.BetweenExpr:
		return n.Expr
	case *ast.PatternInExpr:
		return n.Expr
	case *ast.PatternLikeOrIlikeExpr:
		return n.Expr
	case *ast.IsNullExpr:
		return n.Expr
	case *ast.WindowFuncExpr:
		return n.Args[0]
	case *ast.RowExpr:
		return n.Values[0]
	case *ast.SubqueryExpr:
		return n.Query
	case *ast.SetOprStmt:
		return n.SelectList.Selects[0]
	case *ast.SetOprSelectList:
		return n.Selects[0]
	case *ast.TableSource:
		return n.Source
	case *ast.Join:
		return n.Left
	}
	return nil
}

func (c *converter) expr(n ast.ExprNode) Expr {
	if c.p.failed || !c.enter() {
		return nil
	}
	defer c.leave()
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		return c.column(n)
	case *ast.FuncCallExpr:
		return c.call(n)
	case *ast.ParenthesesExpr:
		return c.expr(n.Expr)
	case *ast.BinaryOperationExpr:
		return c.binary(n)
	case *ast.UnaryOperationExpr:
		return c.unary(n)
	case *ast.BetweenExpr:
		of := c.value(n.Expr)
		return &Between{at(of), of, c.value(n.Left), c.value(n.Right), n.Not}
	case *ast.PatternInExpr:
		return c.in(n)
	case *ast.PatternLikeOrIlikeExpr:
		return c.like(n)
	case *ast.IsNullExpr:
		of := c.value(n.Expr)
		return &IsNull{at(of), of, n.Not}
	case *ast.WindowFuncExpr:
		return c.windowCall(n)
	case *ast.SubqueryExpr:
		return &Subquery{node: c.node(n), Query: c.resultSet(n.Query)}
	case *ast.RowExpr:
		c.p.failAt(c.node(n).At, "Syntax Error: a list between parentheses stands where an expression is expected", "")
		return nil
	case *ast.ExistsSubqueryExpr:
		if s, ok := n.Sel.(*ast.SubqueryExpr); ok {
			return &Subquery{node: c.node(n), Query: c.resultSet(s.Query), Exists: true, Negate: n.Not}
		}
	}
	c.faultAt(n, expectExpr)
	return nil
}

func (c *converter) column(n *ast.ColumnNameExpr) Expr {
	source, name := n.Name.Table.O, n.Name.Name.O
	if source != "" {
		return &ColumnRef{c.node(n), c.name(source), c.fieldName(name)}
	}
	t := c.token(name)
	if lit := tokenLiteral(t); lit != nil {
		c.p.checkNumber(lit)
		return lit
	}
	return &ColumnRef{node{t.at}, "", c.name(name)}
}

// checkNumber reports a number that no type holds.
func (p *parser) checkNumber(l *Literal) {
	switch l.Kind {
	case LitInteger:
		if _, err := strconv.ParseInt(l.Text, 10, 64); err != nil {
			p.failAt(l.At, "Syntax Error: the number "+l.Text+" is too large for BIGINT", "Write it as a DECIMAL: "+l.Text+".0")
		}
	case LitDouble:
		if _, err := strconv.ParseFloat(l.Text, 64); err != nil {
			p.failAt(l.At, "Syntax Error: the number overflows DOUBLE: "+l.Text, "")
		}
	}
}

// fieldName is the name after a point or an arrow, where reserved words do
// no harm.
func (c *converter) fieldName(leaf string) string {
	if t := c.token(leaf); t.kind == tokWord {
		return t.upper
	}
	return c.name(leaf)
}

// leafOf returns the name of an unqualified leaf, "" for anything else.
func leafOf(n ast.ExprNode) string {
	if col, ok := n.(*ast.ColumnNameExpr); ok && col.Name.Table.O == "" {
		return col.Name.Name.O
	}
	return ""
}

// call converts a function or what a reserved function stands for.
func (c *converter) call(n *ast.FuncCallExpr) Expr {
	prefix, i := c.decode(n.FnName.O)
	args, here := n.Args, node{c.p.toks[i].at}
	switch prefix {
	case "f":
		return c.function(here, i, args)
	case "fld":
		of := c.value(args[0])
		return &FieldRef{at(of), of, c.fieldName(leafOf(args[1]))}
	case "all":
		of := c.value(args[0])
		return &StructAll{at(of), of}
	case "sub":
		of := c.value(args[0])
		return &Subscript{at(of), of, c.value(args[1])}
	case "arr":
		return &ArrayLit{here, c.exprs(args)}
	case "map":
		return c.mapLit(here, args)
	case "str":
		return c.structLit(here, args)
	case "lam":
		return c.lambda(here, args)
	case "case":
		if e, ok := args[0].(*ast.CaseExpr); ok {
			return c.caseExpr(here, e)
		}
	case "cast":
		return &Cast{here, c.expr(args[0]), c.r.types[i]}
	case "lit":
		kind := map[string]LiteralKind{"DATE": LitDate, "TIME": LitTime, "TIMESTAMP": LitTimestamp}[c.p.toks[i].upper]
		return &Literal{here, kind, c.token(leafOf(args[0])).text}
	}
	c.fault(c.p.toks[min(i+1, len(c.p.toks)-1)], "an operator")
	return nil
}

func (c *converter) function(here node, i int, args []ast.ExprNode) Expr {
	t := c.p.toks[i]
	f := &Call{node: here, Name: strings.ToUpper(t.text)}
	if len(args) > 0 {
		switch leafOf(args[0]) {
		case "__star":
			f.Star, args = true, args[1:]
		case "__distinct":
			f.Distinct, args = true, args[1:]
		}
	}
	f.Args = c.exprs(args)
	return f
}

func (c *converter) mapLit(here node, args []ast.ExprNode) Expr {
	m := &MapLit{node: here}
	for i := 0; i+1 < len(args); i += 2 {
		m.Keys = append(m.Keys, c.expr(args[i]))
		m.Values = append(m.Values, c.expr(args[i+1]))
	}
	return m
}

func (c *converter) structLit(here node, args []ast.ExprNode) Expr {
	s := &StructLit{node: here}
	for i := 0; i+1 < len(args); i += 2 {
		leaf := leafOf(args[i])
		if leaf == "" {
			c.faultAt(args[i], expectName)
			return nil
		}
		s.Names = append(s.Names, c.name(leaf))
		s.Values = append(s.Values, c.expr(args[i+1]))
	}
	return s
}

func (c *converter) lambda(here node, args []ast.ExprNode) Expr {
	last := len(args) - 1
	l := &Lambda{node: here}
	for _, a := range args[:last] {
		l.Params = append(l.Params, c.name(leafOf(a)))
	}
	l.Body = c.expr(args[last])
	return l
}

var comparisonOps = map[opcode.Op]string{opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=", opcode.NullEQ: OpIsNotDistinct}

var arithmeticOps = map[opcode.Op]string{opcode.Plus: "+", opcode.Minus: "-", opcode.Mul: "*", opcode.Div: "/", opcode.Mod: "%", opcode.Or: "||"}

func (c *converter) binary(n *ast.BinaryOperationExpr) Expr {
	switch n.Op {
	case opcode.LogicAnd:
		l := c.expr(n.L)
		return &Logical{at(l), "AND", l, c.expr(n.R)}
	case opcode.LogicOr:
		l := c.expr(n.L)
		return &Logical{at(l), "OR", l, c.expr(n.R)}
	}
	l := c.value(n.L)
	if op, ok := arithmeticOps[n.Op]; ok {
		return &Binary{at(l), op, l, c.value(n.R)}
	}
	op, ok := comparisonOps[n.Op]
	if !ok {
		c.faultAt(n, expectExpr)
		return nil
	}
	if v, assigned := n.R.(*ast.VariableExpr); assigned && v.Value != nil {
		return &Comparison{at(l), OpIsDistinct, l, c.value(v.Value)}
	}
	return &Comparison{at(l), op, l, c.value(n.R)}
}

func (c *converter) unary(n *ast.UnaryOperationExpr) Expr {
	switch n.Op {
	case opcode.Not, opcode.Not2:
		of := c.expr(n.V)
		if s, ok := of.(*Subquery); ok && s.Exists {
			return &Subquery{node: c.node(n), Query: s.Query, Exists: true, Negate: !s.Negate}
		}
		return &Not{c.node(n), of}
	case opcode.Plus:
		return &Unary{c.node(n), "+", c.value(n.V)}
	case opcode.Minus:
		return c.minus(n)
	}
	c.faultAt(n, expectExpr)
	return nil
}

// minus makes a negative literal of a number.
func (c *converter) minus(n *ast.UnaryOperationExpr) Expr {
	if leaf := leafOf(n.V); leaf != "" && c.token(leaf).isNumber() && !strings.HasPrefix(c.token(leaf).text, "-") {
		l := tokenLiteral(c.token(leaf))
		l.node, l.Text = c.node(n), "-"+l.Text
		c.p.checkNumber(l)
		return l
	}
	return &Unary{c.node(n), "-", c.value(n.V)}
}

func (c *converter) in(n *ast.PatternInExpr) Expr {
	of := c.value(n.Expr)
	e := &In{node: at(of), Of: of, Negate: n.Not}
	if s, ok := n.Sel.(*ast.SubqueryExpr); ok {
		e.Query = c.resultSet(s.Query)
		return e
	}
	e.List = c.exprs(n.List)
	if s, ok := e.List[0].(*Subquery); ok && len(e.List) == 1 && !s.Exists {
		e.Query, e.List = s.Query, nil
	}
	return e
}

func (c *converter) like(n *ast.PatternLikeOrIlikeExpr) Expr {
	of := c.value(n.Expr)
	l := &Like{node: at(of), Of: of, Negate: n.Not}
	pattern := n.Pattern
	if p, ok := pattern.(*ast.ParenthesesExpr); ok { // of the rewriting
		pattern = p.Expr
	}
	if f, ok := pattern.(*ast.FuncCallExpr); ok && len(f.Args) == 2 {
		if prefix, _ := c.decode(f.FnName.O); prefix == "esc" {
			t := c.token(leafOf(f.Args[1]))
			if utf8.RuneCountInString(t.text) != 1 {
				c.fault(t, "one character")
			}
			pattern, l.Escape = f.Args[0], t.text
		}
	}
	l.Pattern = c.value(pattern)
	return l
}

func (c *converter) caseExpr(here node, n *ast.CaseExpr) Expr {
	e := &Case{node: here}
	if n.Value != nil {
		e.Operand = c.value(n.Value)
	}
	for _, w := range n.WhenClauses {
		e.Whens = append(e.Whens, When{c.expr(w.Expr), c.expr(w.Result)})
	}
	if n.ElseClause != nil {
		e.Else = c.expr(n.ElseClause)
	}
	return e
}

// windowCall converts f(…) OVER (…): the function is the argument.
func (c *converter) windowCall(n *ast.WindowFuncExpr) Expr {
	f, ok := c.expr(n.Args[0]).(*Call)
	if !ok {
		c.faultAt(n, "a function before OVER")
		return nil
	}
	w := &WindowCall{node: f.node, Call: f, Frame: c.r.frames[c.leftmost(n)]}
	if n.Spec.PartitionBy != nil {
		for _, it := range n.Spec.PartitionBy.Items {
			w.PartitionBy = append(w.PartitionBy, c.expr(it.Expr))
		}
	}
	w.OrderBy = c.orderBy(n.Spec.OrderBy)
	return w
}
