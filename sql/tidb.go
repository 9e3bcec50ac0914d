package sql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"karst/sql/types"

	tidb "github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the values of LIMIT and frames
)

// Parsers are reusable but not safe for concurrent use.
var tidbParsers = sync.Pool{New: func() any {
	p := tidb.New()
	p.SetSQLMode(mysql.ModeANSIQuotes | mysql.ModeNoBackslashEscapes)
	return p
}}

// query parses the SELECT at the current token, up to the end of the
// statement.
func (p *parser) query() QueryExpr {
	if p.failed {
		return nil
	}
	end := p.i
	for p.toks[end].kind != tokEOF && !p.toks[end].isOp(";") {
		end++
	}
	if p.i == end {
		p.fail("SELECT")
		return nil
	}
	r := &rewriter{p: p, within: map[int]*Within{}}
	if !r.run(&level{sel: -1, end: end}) {
		return nil
	}
	node := r.parse(strings.Join(r.out, ""))
	if node == nil {
		return nil
	}
	c := &converter{p: p, r: r}
	q := c.resultSet(node)
	if p.failed {
		return nil
	}
	return q
}

// An exprForm says which expressions a list takes.
type exprForm uint8

const (
	anyExpr   exprForm = iota
	valueOnly          // no AND, OR, NOT or predicates outside of parentheses
)

// exprList parses the expressions, divided by commas, from the current token
// to end, and steps to end.
func (p *parser) exprList(end int, form exprForm) ([]Expr, bool) {
	if p.i >= end {
		p.fail("an expression")
		return nil, false
	}
	r := &rewriter{p: p, within: map[int]*Within{}}
	r.emit("SELECT ")
	// call: a lambda may stand at the top of a canonical expression's text.
	if !r.run(&level{sel: -1, end: end, call: true}) {
		return nil, false
	}
	node := r.parse(strings.Join(r.out, ""))
	sel, ok := node.(*ast.SelectStmt)
	if !ok {
		p.fail("an expression")
		return nil, false
	}
	c := &converter{p: p, r: r}
	var out []Expr
	for _, f := range sel.Fields.Fields {
		if f.Expr == nil || f.AsName.O != "" || sel.From != nil {
			p.i = end
			p.failAt(p.toks[max(0, end-1)].start, "Syntax Error: expected an expression", "")
			return nil, false
		}
		if form == valueOnly {
			out = append(out, c.value(f.Expr))
		} else {
			out = append(out, c.expr(f.Expr))
		}
	}
	return out, !p.failed
}

var tidbColumn = regexp.MustCompile(`line 1 column (\d+)`)

// parse hands text to the tidb parser; nil after a reported fault. Nothing of
// tidb's message reaches the user, only the place.
func (r *rewriter) parse(text string) (node ast.StmtNode) {
	tp := tidbParsers.Get().(*tidb.Parser)
	defer func() {
		if x := recover(); x != nil { // its parser must never take the engine down
			r.p.fail()
			node = nil
			return
		}
		tidbParsers.Put(tp)
	}()
	nodes, _, err := tp.ParseSQL(text)
	if err == nil && len(nodes) == 1 {
		return nodes[0]
	}
	at := r.p.i
	if err == nil {
		err = errors.New("several statements")
	}
	if m := tidbColumn.FindStringSubmatch(err.Error()); m != nil {
		if col, cerr := strconv.Atoi(m[1]); cerr == nil {
			at = r.sourceToken(col)
		}
	}
	r.p.i = at
	r.p.fail()
	return nil
}

// A converter turns tidb's tree into ours.
type converter struct {
	p *parser
	r *rewriter
}

// token returns the token that a name of the rewritten text stands for.
func (c *converter) token(name string) token {
	if len(name) > 1 {
		if i, err := strconv.Atoi(name[1:]); err == nil && i < len(c.p.toks) {
			return c.p.toks[i]
		}
	}
	return c.p.toks[len(c.p.toks)-1]
}

func (c *converter) index(name string) int {
	i, err := strconv.Atoi(strings.TrimLeft(name, "ktf"))
	if err != nil {
		return -1
	}
	return i
}

func (c *converter) pos(name string) types.Pos { return c.p.lex.position(c.token(name).start) }

// name returns the identifier that a leaf is; a literal is a fault.
func (c *converter) name(leaf string) string {
	t := c.token(leaf)
	if n, ok := identifier(t); ok {
		return n
	}
	c.fault(t, "a name")
	return ""
}

func (c *converter) fault(t token, expected string) {
	c.p.failAt(t.start, "Syntax Error: unexpected '"+c.p.lex.src[t.start:t.end]+"', expected "+expected, "")
}

func (c *converter) resultSet(n ast.Node) QueryExpr {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return c.selectStmt(n)
	case *ast.SetOprStmt:
		return c.setOp(n)
	}
	c.p.failAt(c.p.toks[0].start, "Syntax Error: expected SELECT", "")
	return nil
}

func (c *converter) setOp(n *ast.SetOprStmt) QueryExpr {
	var left QueryExpr
	for _, s := range n.SelectList.Selects {
		q, op := c.setOpMember(s)
		if left == nil {
			left = q
		} else {
			left = &SetOp{Op: op, Left: left, Right: q}
		}
	}
	return left
}

func (c *converter) setOpMember(n ast.Node) (QueryExpr, string) {
	op := ""
	switch s := n.(type) {
	case *ast.SelectStmt:
		if s.AfterSetOperator != nil {
			op = s.AfterSetOperator.String()
		}
		return c.selectStmt(s), op
	case *ast.SetOprSelectList:
		if s.AfterSetOperator != nil {
			op = s.AfterSetOperator.String()
		}
		return c.setOp(&ast.SetOprStmt{SelectList: s}), op
	}
	return nil, op
}

func (c *converter) selectStmt(n *ast.SelectStmt) *Query {
	q := &Query{Distinct: n.Distinct}
	if n.With != nil {
		for _, cte := range n.With.CTEs {
			q.With = append(q.With, CTE{c.name(cte.Name.O), c.resultSet(cte.Query.Query)})
		}
	}
	first := -1
	for _, f := range n.Fields.Fields {
		item := c.item(f)
		q.Items = append(q.Items, item)
		if first < 0 {
			first = c.p.tokenAt(item.At)
		}
	}
	if n.From != nil {
		q.From = c.relation(n.From.TableRefs)
	}
	if n.Where != nil {
		q.Where = c.expr(n.Where)
	}
	if n.GroupBy != nil {
		for _, it := range n.GroupBy.Items {
			q.GroupBy = append(q.GroupBy, c.groupItem(it.Expr)...)
		}
		if len(q.GroupBy) > 0 && q.GroupBy[0] != nil {
			q.GroupAt = q.GroupBy[0].Pos()
		}
	}
	if n.Having != nil {
		q.Having = c.expr(n.Having.Expr)
	}
	if n.OrderBy != nil {
		for _, it := range n.OrderBy.Items {
			q.OrderBy = append(q.OrderBy, OrderItem{c.expr(it.Expr), it.Desc})
		}
	}
	if n.Limit != nil {
		if v, ok := n.Limit.Count.(ast.ValueExpr); ok {
			if limit, err := strconv.ParseInt(fmt.Sprint(v.GetValue()), 10, 64); err == nil {
				q.Limit = &limit
			}
		}
	}
	c.attach(q, first)
	return q
}

// tokenAt returns the index of the token at a position.
func (p *parser) tokenAt(at types.Pos) int {
	for i, t := range p.toks {
		if p.lex.position(t.start) == at {
			return i
		}
	}
	return 0
}

// attach adds the clauses that were stripped from the SELECT whose first item
// is token first: the nearest SELECT before it.
func (c *converter) attach(q *Query, first int) {
	sel := -1
	for i := min(first, len(c.p.toks)-1); i >= 0; i-- {
		if c.p.toks[i].isWord("SELECT") {
			sel = i
			break
		}
	}
	if sel >= 0 {
		q.At = c.p.lex.position(c.p.toks[sel].start)
	}
	for _, s := range c.r.strips {
		if s.at != sel {
			continue
		}
		switch {
		case s.window != nil:
			q.Window = s.window
		case s.partitionBy != nil:
			q.PartitionBy = s.partitionBy
		default:
			q.Emit = s.emit
		}
	}
}

func (c *converter) item(f *ast.SelectField) SelectItem {
	if f.WildCard != nil {
		item := SelectItem{At: c.starPos(f)}
		if f.WildCard.Table.O != "" {
			item.Source = c.name(f.WildCard.Table.O)
			item.At = c.pos(f.WildCard.Table.O)
		}
		return item
	}
	item := SelectItem{Expr: c.expr(f.Expr)}
	if item.Expr != nil {
		item.At = item.Expr.Pos()
	}
	if f.AsName.O != "" {
		item.Alias = c.name(f.AsName.O)
	}
	return item
}

// starPos finds the place of a plain * by its offset in the rewritten text.
func (c *converter) starPos(f *ast.SelectField) types.Pos {
	return c.p.lex.position(c.p.toks[c.r.sourceToken(f.Offset+1)].start)
}

func (c *converter) groupItem(e ast.ExprNode) []Expr {
	if row, ok := e.(*ast.RowExpr); ok {
		var out []Expr
		for _, v := range row.Values {
			out = append(out, c.expr(v))
		}
		return out
	}
	if p, ok := e.(*ast.ParenthesesExpr); ok {
		return []Expr{c.expr(p.Expr)}
	}
	return []Expr{c.value(e)}
}

func (c *converter) relation(n ast.ResultSetNode) Relation {
	switch n := n.(type) {
	case *ast.Join:
		return c.join(n)
	case *ast.TableSource:
		return c.tableSource(n)
	}
	c.p.fail("a stream or table")
	return nil
}

func (c *converter) tableSource(n *ast.TableSource) Relation {
	alias := ""
	if n.AsName.O != "" {
		alias = c.name(n.AsName.O)
	}
	switch s := n.Source.(type) {
	case *ast.TableName:
		ref := &SourceRef{At: c.pos(s.Name.O), Name: c.name(s.Name.O), Alias: alias}
		if alias == "" {
			ref.Alias = ref.Name
		}
		return ref
	case *ast.SelectStmt, *ast.SetOprStmt:
		return &Derived{Query: c.resultSet(s), Alias: alias}
	}
	return c.relation(n.Source)
}

func (c *converter) join(n *ast.Join) Relation {
	left := c.relation(n.Left)
	if n.Right == nil {
		return left
	}
	j := &Join{Left: left, Right: c.relation(n.Right), Type: InnerJoin}
	switch {
	case n.StraightJoin:
		j.Type = FullJoin
	case n.Tp == ast.LeftJoin:
		j.Type = LeftJoin
	case n.Tp == ast.RightJoin:
		j.Type = RightJoin
	case n.On == nil:
		j.Type = CrossJoin
	}
	if n.On != nil {
		j.On = c.expr(n.On.Expr)
	}
	if ts, ok := n.Right.(*ast.TableSource); ok {
		last := ts.AsName.O
		if tn, ok := ts.Source.(*ast.TableName); ok && last == "" {
			last = tn.Name.O
		}
		j.Within = c.r.within[c.index(last)]
		j.At = c.pos(last)
	}
	return j
}
