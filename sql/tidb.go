package sql

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"

	tidb "github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the values of LIMIT
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
	if !p.word("SELECT") && !p.word("WITH") && !p.tok().isOp("(") {
		p.fail("SELECT", "WITH")
		return nil
	}
	r := newRewriter(p)
	if !r.run(&level{}) {
		return nil
	}
	node := r.parse()
	if node == nil {
		return nil
	}
	c := &converter{p: p, r: r}
	q := c.resultSet(node)
	if p.failed {
		return nil
	}
	if one, ok := q.(*Query); ok && one.From == nil {
		p.fail("FROM") // also in parentheses: a query reads from something
	}
	return c.emitWhole(q)
}

// exprs parses the expressions, divided by commas, from the current token to
// the first that belongs to none.
func (p *parser) exprs() []Expr {
	c, fields := p.exprNodes()
	var out []Expr
	for _, f := range fields {
		out = append(out, c.expr(f))
	}
	if p.failed {
		return nil
	}
	return out
}

// groupExprs parses what GROUP BY and PARTITION BY take: values, the whole
// list between parentheses or not.
func (p *parser) groupExprs() []Expr {
	c, fields := p.exprNodes()
	out := c.groupItems(fields)
	if p.failed {
		return nil
	}
	return out
}

// exprNodes hands a list of expressions to the tidb parser as that of a
// SELECT.
func (p *parser) exprNodes() (*converter, []ast.ExprNode) {
	r := newRewriter(p)
	c := &converter{p: p, r: r}
	if p.failed {
		return c, nil
	}
	start := p.i
	r.emit("SELECT ")
	if !r.run(&level{exprs: true}) {
		return c, nil
	}
	if p.i == start {
		p.fail(expectExpr)
		return c, nil
	}
	sel, ok := r.parse().(*ast.SelectStmt)
	if !ok {
		p.failAt(p.toks[start].at, "Syntax Error: expected an expression", "")
		return c, nil
	}
	var out []ast.ExprNode
	for _, f := range sel.Fields.Fields {
		switch {
		case f.AsName.O != "":
			c.fault(c.token(f.AsName.O), "an operator", "','")
		case f.Expr == nil:
			c.p.failAt(p.toks[start].at, "Syntax Error: unexpected '*' in a list of expressions", "")
		}
		out = append(out, f.Expr)
	}
	return c, out
}

var tidbColumn = regexp.MustCompile(`line 1 column (\d+)`)

// parse hands the rewritten text to the tidb parser; nil after a reported
// fault. Nothing of tidb's message reaches the user, only the place.
func (r *rewriter) parse() (node ast.StmtNode) {
	tp := tidbParsers.Get().(*tidb.Parser)
	defer func() {
		if x := recover(); x != nil { // its parser must never take the engine down
			r.p.failAt(r.p.pos(), "Syntax Error: this query can't be read", "Simplify the query.")
			node = nil
			return
		}
		tidbParsers.Put(tp)
	}()
	nodes, _, err := tp.ParseSQL(r.text())
	if err == nil && len(nodes) == 1 {
		return nodes[0]
	}
	if err == nil {
		err = errors.New("several statements")
	}
	r.failTidb(err)
	return nil
}

// failTidb reports an error of the tidb parser at the token it stands for.
func (r *rewriter) failTidb(err error) {
	last := r.out[len(r.out)-1]
	i, where := r.p.i, last.where
	if m := tidbColumn.FindStringSubmatch(err.Error()); m != nil && !strings.Contains(err.Error(), `near ""`) {
		col, _ := strconv.Atoi(m[1])
		if x := r.pieceAt(col); x != nil {
			i, where = x.tok, x.where
		}
	}
	if where.lv == nil {
		where = last.where
	}
	r.p.failToken(r.p.toks[i], r.expectedAt(where, i)...)
}
