package sql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

// value converts an expression where ksqlDB's grammar takes only a value:
// AND, OR, NOT and predicates must stand in parentheses there.
func (c *converter) value(n ast.ExprNode) Expr {
	e := c.expr(n)
	if _, parens := n.(*ast.ParenthesesExpr); parens || e == nil {
		return e
	}
	switch e.(type) {
	case *Logical, *Not, *Comparison, *Between, *In, *Like, *IsNull:
		c.p.failAt(c.p.toks[c.p.tokenAt(e.Pos())].start, "Syntax Error: a condition stands where a value is expected", "Put the condition between parentheses.")
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

var comparisonOps = map[opcode.Op]string{opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=", opcode.NullEQ: OpIsNotDistinct}

var arithmeticOps = map[opcode.Op]string{opcode.Plus: "+", opcode.Minus: "-", opcode.Mul: "*", opcode.Div: "/", opcode.Mod: "%", opcode.Or: "||"}

func (c *converter) expr(n ast.ExprNode) Expr {
	if c.p.failed {
		return nil
	}
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
		of := c.value(n.Expr)
		l := &Like{node: at(of), Of: of, Pattern: c.value(n.Pattern), Negate: n.Not}
		if n.Escape != '\\' {
			l.Escape = string(rune(n.Escape))
		}
		return l
	case *ast.IsNullExpr:
		of := c.value(n.Expr)
		return &IsNull{at(of), of, n.Not}
	case *ast.CaseExpr:
		return c.caseExpr(n)
	case *ast.WindowFuncExpr:
		return c.windowCall(n)
	case *ast.SubqueryExpr:
		return &Subquery{Query: c.resultSet(n.Query)}
	case *ast.ExistsSubqueryExpr:
		if s, ok := n.Sel.(*ast.SubqueryExpr); ok {
			return &Subquery{Query: c.resultSet(s.Query), Exists: true, Negate: n.Not}
		}
	}
	c.p.fail("an expression")
	return nil
}

// at returns the place of e; nil is the zero place.
func at(e Expr) node {
	if e == nil {
		return node{}
	}
	return node{e.Pos()}
}

func (c *converter) column(n *ast.ColumnNameExpr) Expr {
	name := n.Name.Name.O
	here := node{c.pos(name)}
	if n.Name.Schema.O != "" {
		c.fault(c.token(name), "at most one '.' in a column's name")
		return nil
	}
	if n.Name.Table.O != "" {
		return &ColumnRef{node{c.pos(n.Name.Table.O)}, c.name(n.Name.Table.O), c.fieldName(name)}
	}
	if lit := tokenLiteral(c.token(name), here); lit != nil {
		return lit
	}
	return &ColumnRef{here, "", c.name(name)}
}

// fieldName is the name after a point or an arrow, where reserved words do
// no harm.
func (c *converter) fieldName(leaf string) string {
	if t := c.token(leaf); t.kind == tokWord {
		return t.upper
	}
	return c.name(leaf)
}

func leafOf(n ast.ExprNode) string {
	if col, ok := n.(*ast.ColumnNameExpr); ok {
		return col.Name.Name.O
	}
	return ""
}

func (c *converter) call(n *ast.FuncCallExpr) Expr {
	name := n.FnName.O
	if !strings.HasPrefix(name, "__") {
		return c.function(n)
	}
	args := n.Args
	switch name {
	case "__fld":
		of := c.expr(args[0])
		return &FieldRef{at(of), of, c.fieldName(leafOf(args[1]))}
	case "__structall":
		of := c.expr(args[0])
		return &StructAll{at(of), of}
	case "__sub":
		of := c.expr(args[0])
		if len(args) != 2 {
			c.p.fail("one index")
			return nil
		}
		return &Subscript{at(of), of, c.value(args[1])}
	case "__array":
		list := c.exprs(args)
		return &ArrayLit{c.first(list), list}
	case "__map":
		return c.mapLit(args)
	case "__struct":
		return c.structLit(args)
	case "__lambda":
		return c.lambda(args)
	case "__cast":
		return c.cast(args)
	case "__lit":
		return c.timeLit(args)
	}
	c.p.fail("a function")
	return nil
}

// first is the place of a literal by its first element; the opening word
// itself is not in the rewritten text.
func (c *converter) first(list []Expr) node {
	if len(list) == 0 || list[0] == nil {
		return node{}
	}
	return at(list[0])
}

func (c *converter) function(n *ast.FuncCallExpr) Expr {
	name := n.FnName.O
	f := &Call{node: node{c.pos(name)}}
	if t := c.token(name); t.kind == tokWord {
		f.Name = t.upper
	} else {
		f.Name = strings.ToUpper(t.text)
	}
	args := n.Args
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

func (c *converter) mapLit(args []ast.ExprNode) Expr {
	if len(args)%2 != 0 {
		c.p.failAt(c.p.tok().start, "Syntax Error: a MAP needs key := value pairs", "")
		return nil
	}
	m := &MapLit{}
	for i := 0; i < len(args); i += 2 {
		m.Keys = append(m.Keys, c.expr(args[i]))
		m.Values = append(m.Values, c.expr(args[i+1]))
	}
	m.node = c.first(m.Keys)
	return m
}

func (c *converter) structLit(args []ast.ExprNode) Expr {
	s := &StructLit{}
	if len(args)%2 != 0 {
		c.p.failAt(c.p.tok().start, "Syntax Error: a STRUCT needs name := value pairs", "")
		return nil
	}
	for i := 0; i < len(args); i += 2 {
		leaf := leafOf(args[i])
		if leaf == "" {
			c.p.failAt(c.p.tok().start, "Syntax Error: a STRUCT's field names are plain names", "")
			return nil
		}
		if i == 0 {
			s.node = node{c.pos(leaf)}
		}
		s.Names = append(s.Names, c.name(leaf))
		s.Values = append(s.Values, c.expr(args[i+1]))
	}
	return s
}

func (c *converter) lambda(args []ast.ExprNode) Expr {
	l := &Lambda{}
	for i, a := range args[:len(args)-1] {
		leaf := leafOf(a)
		if i == 0 {
			l.node = node{c.pos(leaf)}
		}
		l.Params = append(l.Params, c.name(leaf))
	}
	l.Body = c.expr(args[len(args)-1])
	return l
}

func (c *converter) cast(args []ast.ExprNode) Expr {
	of := c.value(args[0])
	saved := c.p.i
	c.p.i = c.index(leafOf(args[1]))
	to := c.p.typeRef()
	if !c.p.failed && !c.p.tok().isOp(")") {
		c.p.fail("')'")
	}
	if !c.p.failed {
		c.p.i = saved
	}
	return &Cast{at(of), of, to}
}

func (c *converter) timeLit(args []ast.ExprNode) Expr {
	word, text := c.token(leafOf(args[0])), c.token(leafOf(args[1]))
	kind := map[string]LiteralKind{"DATE": LitDate, "TIME": LitTime, "TIMESTAMP": LitTimestamp}[word.upper]
	return &Literal{node{c.p.lex.position(word.start)}, kind, text.text}
}

func (c *converter) binary(n *ast.BinaryOperationExpr) Expr {
	switch n.Op {
	case opcode.LogicAnd, opcode.LogicOr:
		l, r := c.expr(n.L), c.expr(n.R)
		op := "AND"
		if n.Op == opcode.LogicOr {
			op = "OR"
		}
		return &Logical{at(l), op, l, r}
	}
	if op, ok := comparisonOps[n.Op]; ok {
		l := c.value(n.L)
		if v, isVar := n.R.(*ast.VariableExpr); isVar && v.Value != nil {
			return &Comparison{at(l), OpIsDistinct, l, c.value(v.Value)}
		}
		return &Comparison{at(l), op, l, c.value(n.R)}
	}
	if op, ok := arithmeticOps[n.Op]; ok {
		l := c.value(n.L)
		return &Binary{at(l), op, l, c.value(n.R)}
	}
	c.p.fail("an operator")
	return nil
}

func (c *converter) unary(n *ast.UnaryOperationExpr) Expr {
	switch n.Op {
	case opcode.Not, opcode.Not2:
		of := c.expr(n.V)
		return &Not{at(of), of}
	case opcode.Minus, opcode.Plus:
		of := c.value(n.V)
		op := "-"
		if n.Op == opcode.Plus {
			op = "+"
		}
		if l, ok := of.(*Literal); ok && op == "-" && l.Kind >= LitInteger && l.Kind <= LitDouble && !strings.HasPrefix(l.Text, "-") {
			return &Literal{l.node, l.Kind, "-" + l.Text}
		}
		return &Unary{at(of), op, of}
	}
	c.p.fail("an operator")
	return nil
}

func (c *converter) in(n *ast.PatternInExpr) Expr {
	of := c.value(n.Expr)
	e := &In{node: at(of), Of: of, Negate: n.Not}
	if s, ok := n.Sel.(*ast.SubqueryExpr); ok {
		e.Query = c.resultSet(s.Query)
		return e
	}
	e.List = c.exprs(n.List)
	return e
}

func (c *converter) caseExpr(n *ast.CaseExpr) Expr {
	e := &Case{}
	if n.Value != nil {
		e.Operand = c.value(n.Value)
	}
	for _, w := range n.WhenClauses {
		e.Whens = append(e.Whens, When{c.expr(w.Expr), c.expr(w.Result)})
	}
	if n.ElseClause != nil {
		e.Else = c.expr(n.ElseClause)
	}
	e.node = at(e.Operand)
	if e.Operand == nil {
		e.node = at(e.Whens[0].Cond)
	}
	return e
}

func (c *converter) windowCall(n *ast.WindowFuncExpr) Expr {
	call, ok := c.expr(n.Args[0]).(*Call)
	if !ok {
		c.p.fail("a function before OVER")
		return nil
	}
	w := &WindowCall{node: call.node, Call: call}
	if n.Spec.PartitionBy != nil {
		for _, it := range n.Spec.PartitionBy.Items {
			w.PartitionBy = append(w.PartitionBy, c.expr(it.Expr))
		}
	}
	if n.Spec.OrderBy != nil {
		for _, it := range n.Spec.OrderBy.Items {
			w.OrderBy = append(w.OrderBy, OrderItem{c.expr(it.Expr), it.Desc})
		}
	}
	if n.Spec.Frame != nil {
		w.Frame = "given"
	}
	return w
}
