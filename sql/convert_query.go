package sql

import (
	"fmt"
	"strconv"
	"strings"

	"karst/sql/types"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// A converter turns tidb's tree into ours. After a fault its results are of
// no use.
type converter struct {
	p     *parser
	r     *rewriter
	depth int
}

// enter goes one level deeper into the tree; leave comes back. Operators in a
// row make a tree deep without nesting in the text.
func (c *converter) enter() bool {
	if c.depth++; c.depth > maxChain {
		c.p.failLimit("more than " + strconv.Itoa(maxChain) + " operators in a row")
	}
	return !c.p.failed
}

func (c *converter) leave() { c.depth-- }

// decode splits a name of the rewritten text into its prefix and token.
func (c *converter) decode(name string) (prefix string, i int) {
	prefix = strings.TrimRight(name, "0123456789")
	i, err := strconv.Atoi(name[len(prefix):])
	if err != nil || i >= len(c.p.toks) {
		return "", len(c.p.toks) - 1
	}
	return prefix, i
}

// token returns the token that a name of the rewritten text stands for.
func (c *converter) token(name string) token {
	_, i := c.decode(name)
	return c.p.toks[i]
}

func (c *converter) pos(name string) types.Pos { return c.token(name).at }

// name returns the identifier that a leaf is; a literal is a fault.
func (c *converter) name(leaf string) string {
	t := c.token(leaf)
	n, ok := identifier(t)
	if !ok {
		c.fault(t, expectName)
	}
	return n
}

func (c *converter) fault(t token, expected ...string) { c.p.failToken(t, expected...) }

// faultAt reports that node n can't stand where it does.
func (c *converter) faultAt(n ast.Node, expected ...string) {
	c.fault(c.p.toks[c.leftmost(n)], expected...)
}

func (c *converter) resultSet(n ast.Node) QueryExpr {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return c.selectStmt(n)
	case *ast.SetOprStmt:
		return c.setOp(setTail{n.With, n.OrderBy, n.Limit}, n.SelectList.Selects)
	case *ast.SetOprSelectList:
		return c.setOp(setTail{n.With, n.OrderBy, n.Limit}, n.Selects)
	}
	c.faultAt(n, "SELECT")
	return nil
}

// emitWhole gives the statement's EMIT to its set operation.
func (c *converter) emitWhole(q QueryExpr) QueryExpr {
	if s, ok := q.(*SetOp); ok {
		s.Emit = c.r.emitAll
	}
	return q
}

// setTail is what stands around the members of a set operation.
type setTail struct {
	with    *ast.WithClause
	orderBy *ast.OrderByClause
	limit   *ast.Limit
}

// setOp converts the members of a set operation: INTERSECT binds more than
// UNION and EXCEPT, which go from left to right.
func (c *converter) setOp(tail setTail, members []ast.Node) QueryExpr {
	var queries []QueryExpr
	var ops []string
	for _, m := range members {
		op := c.setOperator(m)
		q := c.resultSet(m)
		if c.p.failed {
			return nil
		}
		if strings.HasPrefix(op, "INTERSECT") && len(queries) > 0 {
			last := len(queries) - 1
			queries[last] = newSetOp(op, queries[last], q)
			continue
		}
		queries, ops = append(queries, q), append(ops, op)
	}
	out := queries[0]
	for i := 1; i < len(queries); i++ {
		out = newSetOp(ops[i], out, queries[i])
	}
	return c.withTail(out, tail)
}

func newSetOp(op string, left, right QueryExpr) *SetOp {
	return &SetOp{At: left.Pos(), Op: op, Left: left, Right: right}
}

// withTail adds what stands around a set operation. One member between
// parentheses counts as one, too.
func (c *converter) withTail(q QueryExpr, tail setTail) QueryExpr {
	if tail.with == nil && tail.orderBy == nil && tail.limit == nil {
		return q
	}
	s, ok := q.(*SetOp)
	if !ok || s.With != nil || s.OrderBy != nil || s.Limit != nil {
		c.p.failAt(q.Pos(), "Syntax Error: a query between parentheses can't have clauses after them", "Put the clauses between the parentheses.")
		return nil
	}
	s.With, s.Recursive = c.with(tail.with)
	s.OrderBy, s.Limit = c.orderBy(tail.orderBy), c.limit(tail.limit)
	return s
}

func (c *converter) setOperator(n ast.Node) string {
	var op *ast.SetOprType
	switch n := n.(type) {
	case *ast.SelectStmt:
		op = n.AfterSetOperator
	case *ast.SetOprSelectList:
		op = n.AfterSetOperator
	}
	if op == nil {
		return ""
	}
	return op.String()
}

func (c *converter) with(n *ast.WithClause) (ctes []CTE, recursive bool) {
	if n == nil {
		return nil, false
	}
	for _, cte := range n.CTEs {
		if len(cte.ColNameList) > 0 {
			c.fault(c.token(cte.Name.O), "a name without column names")
		}
		ctes = append(ctes, CTE{c.name(cte.Name.O), c.resultSet(cte.Query.Query)})
	}
	return ctes, n.IsRecursive
}

func (c *converter) orderBy(n *ast.OrderByClause) []OrderItem {
	if n == nil {
		return nil
	}
	var out []OrderItem
	for _, it := range n.Items {
		out = append(out, OrderItem{c.expr(it.Expr), it.Desc})
	}
	return out
}

func (c *converter) limit(n *ast.Limit) *int64 {
	if n == nil {
		return nil
	}
	v, ok := n.Count.(ast.ValueExpr)
	if !ok {
		return nil
	}
	limit, err := strconv.ParseInt(fmt.Sprint(v.GetValue()), 10, 64)
	if err != nil { // the rewriter lets only numbers through that fit
		return nil
	}
	return &limit
}

func (c *converter) selectStmt(n *ast.SelectStmt) *Query {
	fields := n.Fields.Fields
	_, sel := c.decode(leafOf(fields[0].Expr)) // the mark of the SELECT
	q := &Query{At: c.p.toks[sel].at, Distinct: n.Distinct}
	q.With, q.Recursive = c.with(n.With)
	for _, f := range fields[1:] {
		q.Items = append(q.Items, c.item(f))
	}
	if n.From != nil {
		q.From = c.relation(n.From.TableRefs)
	}
	if n.Where != nil {
		q.Where = c.expr(n.Where)
	}
	if n.GroupBy != nil {
		c.groupBy(q, n.GroupBy)
	}
	if n.Having != nil {
		q.Having = c.expr(n.Having.Expr)
	}
	q.OrderBy, q.Limit = c.orderBy(n.OrderBy), c.limit(n.Limit)
	if s := c.r.selects[sel]; s != nil {
		q.Window, q.PartitionBy, q.Emit = s.window, s.partitionBy, s.emit
	}
	return q
}

func (c *converter) item(f *ast.SelectField) SelectItem {
	if f.WildCard != nil {
		return c.star(f)
	}
	item := SelectItem{Expr: c.expr(f.Expr), At: c.p.toks[c.leftmost(f.Expr)].at}
	if f.AsName.O != "" {
		item.Alias = c.name(f.AsName.O)
	}
	return item
}

// star converts * and source.*; a plain * is found by its offset in the
// rewritten text.
func (c *converter) star(f *ast.SelectField) SelectItem {
	if source := f.WildCard.Table.O; source != "" {
		return SelectItem{At: c.pos(source), Source: c.name(source)}
	}
	item := SelectItem{}
	if x := c.r.pieceAt(f.Offset + 1); x != nil {
		item.At = c.p.toks[x.tok].at
	}
	return item
}

func (c *converter) groupBy(q *Query, n *ast.GroupByClause) {
	items := make([]ast.ExprNode, len(n.Items))
	for i, it := range n.Items {
		items[i] = it.Expr
	}
	if len(items) > 0 {
		q.GroupAt = c.p.toks[c.leftmost(items[0])].at
	}
	q.GroupBy = c.groupItems(items)
}

// groupItems converts values; a list between parentheses stands alone.
func (c *converter) groupItems(items []ast.ExprNode) []Expr {
	if len(items) == 1 {
		if row, ok := items[0].(*ast.RowExpr); ok {
			items = row.Values
		}
	}
	var out []Expr
	for _, it := range items {
		out = append(out, c.value(it))
	}
	return out
}

func (c *converter) relation(n ast.ResultSetNode) Relation {
	if !c.enter() {
		return nil
	}
	defer c.leave()
	switch n := n.(type) {
	case *ast.Join:
		return c.join(n)
	case *ast.TableSource:
		return c.tableSource(n)
	}
	c.faultAt(n, expectSource)
	return nil
}

func (c *converter) tableSource(n *ast.TableSource) Relation {
	alias := ""
	if n.AsName.O != "" {
		alias = c.name(n.AsName.O)
	}
	switch s := n.Source.(type) {
	case *ast.TableName:
		if s.Schema.O != "" {
			c.fault(c.token(s.Name.O), "a name without '.'")
		}
		ref := &SourceRef{At: c.pos(s.Name.O), Name: c.name(s.Name.O), Alias: alias}
		if alias == "" {
			ref.Alias = ref.Name
		}
		return ref
	case *ast.SelectStmt, *ast.SetOprStmt:
		q := c.resultSet(s)
		if c.p.failed {
			return nil
		}
		return &Derived{At: q.Pos(), Query: q, Alias: alias}
	}
	return c.relation(n.Source)
}

func (c *converter) join(n *ast.Join) Relation {
	left := c.relation(n.Left)
	if n.Right == nil || c.p.failed {
		return left
	}
	j := &Join{At: c.p.toks[c.leftmost(n.Right)].at, Type: joinType(n), Left: left, Right: c.relation(n.Right)}
	if n.On != nil {
		on := n.On.Expr
		if v, ok := on.(*ast.VariableExpr); ok && v.Value != nil { // @wN := condition
			_, at := c.decode(v.Name)
			j.Within, on = c.r.within[at], v.Value
		}
		j.On = c.expr(on)
	}
	return j
}

func joinType(n *ast.Join) JoinType {
	switch {
	case n.StraightJoin:
		return FullJoin
	case n.Tp == ast.LeftJoin:
		return LeftJoin
	case n.Tp == ast.RightJoin:
		return RightJoin
	case n.On == nil:
		return CrossJoin
	}
	return InnerJoin
}
