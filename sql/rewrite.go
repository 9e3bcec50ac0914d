package sql

import (
	"strconv"
	"strings"

	"karst/sql/types"
)

// A rewriter turns the tokens of a SELECT (or of a list of expressions) into
// text for the tidb parser, in one pass. Names in its output:
//
//	`kN`   token N: a column, alias, table, literal
//	`fN`(  token N: a function's name
//	`tN`   token N: where the type of a CAST begins
//	`__x`( reserved functions for syntax that MySQL lacks
type rewriter struct {
	p      *parser
	out    []string
	tokAt  []int // for each piece of out the token it comes from
	strips []strippedClause
	within map[int]*Within // by the last leaf before WITHIN
	depth  int
	leafAt int // token of the last leaf
}

// A strippedClause is one that the tidb parser does not see. at is the
// number of the SELECT it belongs to.
type strippedClause struct {
	at          int // token of the SELECT
	window      *WindowClause
	partitionBy []Expr
	emit        Emit
}

// maxDepth bounds the nesting of a statement.
const maxDepth = 200

// A level is the state of one nesting level of the rewriting.
type level struct {
	closer   string // ")" or "]", "" at the top
	call     bool   // within a function's arguments
	sel      int    // token of the SELECT this level belongs to, -1 if none
	rank     int    // of the last clause seen of that SELECT
	prim     int    // piece of out at which the last complete primary begins, -1
	likeOpen bool
	lambdas  int // lambdas to close at the next comma or closer
	end      int // token at which the top level ends
}

func (r *rewriter) emit(s string) { r.out = append(r.out, s); r.tokAt = append(r.tokAt, r.p.i) }
func (r *rewriter) tok() token    { return r.p.toks[r.p.i] }
func (r *rewriter) peek(n int) token {
	return r.p.toks[min(r.p.i+n, len(r.p.toks)-1)]
}

// leaf emits the current token as a back-quoted index and steps over it.
func (r *rewriter) leaf(prefix string) {
	r.emit(" `" + prefix + strconv.Itoa(r.p.i) + "`")
	r.leafAt = r.p.i
	r.p.i++
}

func (r *rewriter) insert(at int, s string) {
	r.out = append(r.out, "")
	copy(r.out[at+1:], r.out[at:])
	r.out[at] = s
	r.tokAt = append(r.tokAt, 0)
	copy(r.tokAt[at+1:], r.tokAt[at:])
	r.tokAt[at] = r.p.i
}

// passed are the words handed on to MySQL's grammar wherever they stand.
var passed = wordSet("SELECT FROM WHERE HAVING AS ON AND OR NOT IN BETWEEN CASE WHEN THEN ELSE END JOIN")

// reservedWords can't be used as names without quotes.
var reservedWords = wordSet("SELECT FROM WHERE HAVING AS ON AND OR NOT IN BETWEEN LIKE IS NULL TRUE FALSE CASE WHEN THEN ELSE END JOIN CAST " +
	"GROUP ORDER LIMIT DISTINCT UNION WITH CREATE INSERT DROP INTO VALUES")

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// run rewrites until the level's closer. It returns false after a syntax
// error, which has been reported.
func (r *rewriter) run(lv *level) bool {
	if r.depth++; r.depth > maxDepth {
		r.p.failLimit("nesting is deeper than " + strconv.Itoa(maxDepth) + " levels")
		return false
	}
	defer func() { r.depth-- }()
	lv.prim = -1
	for {
		t := r.tok()
		if t.kind == tokEOF || lv.closer == "" && r.p.i >= lv.end {
			if lv.closer != "" {
				r.p.fail("'" + lv.closer + "'")
				return false
			}
			r.closeLike(lv)
			return true
		}
		if t.kind == tokOp && (t.upper == ")" || t.upper == "]") {
			if t.upper != lv.closer {
				r.p.fail()
				return false
			}
			r.closeLike(lv)
			r.closeLambdas(lv)
			r.emit(")")
			r.p.i++
			return true
		}
		if !r.step(lv, t) {
			return false
		}
	}
}

func (r *rewriter) closeLike(lv *level) {
	if lv.likeOpen {
		r.emit(")")
		lv.likeOpen = false
	}
}

func (r *rewriter) closeLambdas(lv *level) {
	for ; lv.lambdas > 0; lv.lambdas-- {
		r.emit(")")
	}
}

func (r *rewriter) step(lv *level, t token) bool {
	switch t.kind {
	case tokString, tokInteger, tokDecimal, tokDouble, tokVariable:
		lv.prim = len(r.out)
		r.leaf("k")
		return true
	case tokOp:
		return r.op(lv, t)
	case tokQuoted:
		return r.name(lv)
	}
	if r.keyword(lv, t) {
		return true
	}
	if r.p.failed {
		return false
	}
	return r.name(lv)
}

// nested rewrites a nested level whose result is a primary that begins at
// piece start.
func (r *rewriter) nested(lv *level, start int, in *level) bool {
	in.sel, in.rank = -1, 0
	if !r.run(in) {
		return false
	}
	lv.prim = start
	return true
}

func (r *rewriter) op(lv *level, t token) bool {
	switch t.upper {
	case "(":
		if lv.call && r.lambdaParams() {
			return r.lambda(lv)
		}
		start := len(r.out)
		r.emit("(")
		r.p.i++
		return r.nested(lv, start, &level{closer: ")"})
	case "[":
		if lv.prim < 0 {
			r.p.fail("an expression")
			return false
		}
		start := lv.prim
		r.insert(start, "`__sub`(")
		r.emit(",")
		r.p.i++
		return r.nested(lv, start, &level{closer: "]"})
	case "->":
		return r.field(lv)
	case ",", ":=":
		r.closeLike(lv)
		r.closeLambdas(lv)
		r.emit(",")
	case "||":
		// Between + and = in precedence, as in ksqlDB: MySQL's bit-or.
		r.emit("|")
	case ".":
		r.emit(".")
		r.p.i++
		if r.tok().isOp("*") {
			r.emit("*")
			r.p.i++
			lv.prim = -1
			return true
		}
		if k := r.tok().kind; k != tokWord && k != tokQuoted {
			r.p.fail("a name")
			return false
		}
		r.leaf("k")
		return true
	case "=>", ";":
		r.p.fail()
		return false
	default:
		r.emit(" " + t.upper + " ")
	}
	lv.prim = -1
	r.p.i++
	return true
}

func (r *rewriter) field(lv *level) bool {
	if lv.prim < 0 {
		r.p.fail("an expression")
		return false
	}
	if r.peek(1).isOp("*") {
		r.insert(lv.prim, "`__structall`(")
		r.emit(")")
		r.p.i += 2
		return true
	}
	r.insert(lv.prim, "`__fld`(")
	r.emit(",")
	r.p.i++
	if k := r.tok().kind; k != tokWord && k != tokQuoted {
		r.p.fail("a field name")
		return false
	}
	r.leaf("k")
	r.emit(")")
	return true
}

// lambdaParams reports whether a "(x, y) =>" begins here.
func (r *rewriter) lambdaParams() bool {
	j := r.p.i + 1
	for r.p.toks[j].kind == tokWord || r.p.toks[j].kind == tokQuoted || r.p.toks[j].isOp(",") {
		j++
	}
	return r.p.toks[j].isOp(")") && r.p.toks[j+1].isOp("=>")
}

func (r *rewriter) lambda(lv *level) bool {
	r.emit("`__lambda`(")
	r.p.i++
	for !r.tok().isOp(")") {
		if r.tok().isOp(",") {
			r.p.i++
			continue
		}
		r.leaf("k")
		r.emit(",")
	}
	r.p.i += 2
	lv.lambdas++
	lv.prim = -1
	return true
}

// name rewrites a column, function or other name at the current token.
func (r *rewriter) name(lv *level) bool {
	switch next := r.peek(1); {
	case next.isOp("("):
		return r.call(lv)
	case next.isOp("=>") && lv.call:
		r.emit("`__lambda`(")
		r.leaf("k")
		r.emit(",")
		r.p.i++
		lv.lambdas++
		lv.prim = -1
	case next.kind == tokString && isTimeWord(r.tok()):
		lv.prim = len(r.out)
		r.emit("`__lit`(")
		r.leaf("k")
		r.emit(",")
		r.leaf("k")
		r.emit(")")
	default:
		lv.prim = len(r.out)
		r.leaf("k")
	}
	return true
}

func isTimeWord(t token) bool { return t.isWord("DATE") || t.isWord("TIME") || t.isWord("TIMESTAMP") }

func (r *rewriter) call(lv *level) bool {
	start := len(r.out)
	windowed := r.overFollows()
	if windowed {
		// Any function may be windowed: it becomes the argument of one that
		// MySQL lets stand before OVER.
		r.emit("FIRST_VALUE(")
	}
	r.leaf("f")
	r.emit("(")
	r.p.i++
	switch {
	case r.tok().isOp("*") && r.peek(1).isOp(")"):
		r.emit("`__star`)")
		r.p.i += 2
		lv.prim = start
	default:
		if r.tok().isWord("DISTINCT") {
			r.emit("`__distinct`,")
			r.p.i++
		}
		if !r.nested(lv, start, &level{closer: ")", call: true}) {
			return false
		}
	}
	if !windowed {
		return true
	}
	r.emit(") OVER (")
	r.p.i += 2
	return r.over()
}

// overFollows reports whether the call at the current token is followed by
// OVER (.
func (r *rewriter) overFollows() bool {
	depth := 0
	for j := r.p.i + 1; r.p.toks[j].kind != tokEOF; j++ {
		switch t := r.p.toks[j]; {
		case t.isOp("("):
			depth++
		case t.isOp(")"):
			if depth--; depth == 0 {
				return r.p.toks[j+1].isWord("OVER") && r.p.toks[min(j+2, len(r.p.toks)-1)].isOp("(")
			}
		}
	}
	return false
}

var overWords = wordSet("PARTITION BY ORDER ASC DESC ROWS RANGE BETWEEN UNBOUNDED PRECEDING FOLLOWING CURRENT ROW AND")

// over rewrites what stands in OVER (…): frames go through as they are.
func (r *rewriter) over() bool {
	depth := 0
	for {
		t := r.tok()
		switch {
		case t.kind == tokEOF || t.isOp(";"):
			r.p.fail("')'")
			return false
		case t.isOp(")"):
			r.emit(")")
			r.p.i++
			if depth == 0 {
				return true
			}
			depth--
			continue
		case t.kind == tokOp:
			if t.isOp("(") {
				depth++
			}
			r.emit(t.upper)
		case t.kind == tokWord && overWords[t.upper]:
			r.emit(" " + t.upper + " ")
		case t.kind == tokInteger:
			r.emit(" " + t.text)
		default:
			r.leaf("k")
			continue
		}
		r.p.i++
	}
}

// clause notes a clause of the level's SELECT and checks the order.
func (r *rewriter) clause(lv *level, rank int) bool {
	r.closeLike(lv)
	if rank <= lv.rank || lv.sel < 0 {
		r.p.fail()
		return false
	}
	lv.rank = rank
	return true
}

// pass hands the next n words on to MySQL's grammar.
func (r *rewriter) pass(lv *level, n int) bool {
	for range n {
		r.emit(" " + r.tok().upper + " ")
		r.p.i++
	}
	lv.prim = -1
	return true
}

// The ranks of clauses: they stand in this order.
const (
	rankFrom = iota + 1
	rankWindow
	rankWhere
	rankGroup
	rankPartition
	rankHaving
	rankOrder
	rankEmit
	rankLimit
)

// keyword handles a word that is syntax where it stands; it returns false if
// the word is a name there, or after a reported error.
func (r *rewriter) keyword(lv *level, t token) bool {
	next := r.peek(1)
	switch t.upper {
	case "SELECT":
		r.closeLike(lv)
		lv.sel, lv.rank = r.p.i, 0
		r.pass(lv, 1)
		if r.tok().isWord("DISTINCT") {
			r.pass(lv, 1)
		}
		return true
	case "FROM":
		return r.clause(lv, rankFrom) && r.pass(lv, 1)
	case "WHERE":
		return r.clause(lv, rankWhere) && r.pass(lv, 1)
	case "GROUP":
		return next.isWord("BY") && r.clause(lv, rankGroup) && r.pass(lv, 2)
	case "HAVING":
		return r.clause(lv, rankHaving) && r.pass(lv, 1)
	case "ORDER":
		return next.isWord("BY") && r.clause(lv, rankOrder) && r.pass(lv, 2)
	case "ASC", "DESC":
		return lv.rank == rankOrder && r.pass(lv, 1)
	case "LIMIT":
		if next.kind != tokInteger || lv.sel < 0 {
			return false
		}
		return r.clause(lv, rankLimit) && r.limit(lv)
	case "WINDOW":
		if !next.isWord("TUMBLING") && !next.isWord("HOPPING") && !next.isWord("SESSION") && !r.peek(2).isWord("TUMBLING") && !r.peek(2).isWord("HOPPING") && !r.peek(2).isWord("SESSION") {
			return false
		}
		return r.clause(lv, rankWindow) && r.window(lv)
	case "PARTITION":
		return next.isWord("BY") && r.clause(lv, rankPartition) && r.partitionBy(lv)
	case "EMIT":
		if !next.isWord("CHANGES") && !next.isWord("FINAL") {
			return false
		}
		return r.clause(lv, rankEmit) && r.emitClause(lv)
	case "WITHIN":
		return lv.rank == rankFrom && r.withinClause()
	}
	return r.expressionKeyword(lv, t, next)
}

func (r *rewriter) expressionKeyword(lv *level, t, next token) bool {
	switch t.upper {
	case "UNION", "INTERSECT", "EXCEPT":
		if !next.isWord("SELECT") && !next.isWord("ALL") && !next.isWord("DISTINCT") && !next.isOp("(") {
			return false
		}
		r.closeLike(lv)
		n := 1
		if next.isWord("ALL") || next.isWord("DISTINCT") {
			n = 2
		}
		return r.pass(lv, n)
	case "WITH":
		n := 1
		if next.isWord("RECURSIVE") {
			n = 2
		}
		return lv.rank == 0 && r.pass(lv, n)
	case "LEFT", "RIGHT", "FULL", "INNER", "CROSS":
		return r.join(lv, t, next)
	case "LIKE":
		r.emit(" LIKE (")
		r.p.i++
		lv.likeOpen, lv.prim = true, -1
		return true
	case "ESCAPE":
		if !lv.likeOpen || next.kind != tokString {
			return false
		}
		r.closeLike(lv)
		r.emit(" ESCAPE " + types.QuoteString(next.text) + " ")
		r.p.i += 2
		lv.prim = -1
		return true
	case "EXISTS":
		return next.isOp("(") && r.peek(2).isWord("SELECT") && r.pass(lv, 1)
	case "IS":
		return r.is(lv)
	case "ARRAY":
		return next.isOp("[") && r.literal(lv, "`__array`(", "]")
	case "MAP":
		return next.isOp("(") && r.literal(lv, "`__map`(", ")")
	case "STRUCT":
		return next.isOp("(") && r.structLiteral(lv)
	case "CAST":
		return next.isOp("(") && r.cast(lv)
	}
	if !passed[t.upper] {
		return false
	}
	switch t.upper {
	case "AND", "OR", "THEN", "WHEN", "ELSE", "END", "AS", "ON", "JOIN":
		r.closeLike(lv)
	}
	r.pass(lv, 1)
	if t.upper == "END" {
		lv.prim = -1
	}
	return true
}

func (r *rewriter) limit(lv *level) bool {
	r.emit(" LIMIT " + r.peek(1).text + " ")
	r.p.i += 2
	lv.prim = -1
	return true
}

func (r *rewriter) join(lv *level, t, next token) bool {
	outer := next.isWord("OUTER") && r.peek(2).isWord("JOIN")
	if !next.isWord("JOIN") && !outer {
		return false
	}
	r.closeLike(lv)
	if t.upper == "FULL" {
		r.emit(" STRAIGHT_JOIN ") // MySQL has no FULL JOIN; nothing else becomes this
		r.p.i += 2
		if outer {
			r.p.i++
		}
		lv.prim = -1
		return true
	}
	if outer {
		return r.pass(lv, 3)
	}
	return r.pass(lv, 2)
}

func (r *rewriter) is(lv *level) bool {
	i := 1
	not := r.peek(1).isWord("NOT")
	if not {
		i = 2
	}
	switch {
	case r.peek(i).isWord("NULL"):
		r.closeLike(lv)
		return r.pass(lv, i+1)
	case r.peek(i).isWord("DISTINCT") && r.peek(i+1).isWord("FROM"):
		r.closeLike(lv)
		if not {
			r.emit(" <=> ")
		} else {
			r.emit(" <=> @d := ")
		}
		r.p.i += i + 2
		lv.prim = -1
		return true
	}
	r.p.i++
	if not {
		r.p.i++
	}
	r.p.fail("NULL", "DISTINCT FROM")
	return false
}

func (r *rewriter) literal(lv *level, open, closer string) bool {
	start := len(r.out)
	r.emit(open)
	r.p.i += 2
	return r.nested(lv, start, &level{closer: closer, call: true})
}

// structLiteral checks the names, which must be plain.
func (r *rewriter) structLiteral(lv *level) bool { return r.literal(lv, "`__struct`(", ")") }

// cast rewrites CAST(e AS type).
func (r *rewriter) cast(lv *level) bool {
	open := r.p.i + 1
	as, end := r.p.findAs(open)
	if as < 0 {
		r.p.i = end
		r.p.fail("AS")
		return false
	}
	start := len(r.out)
	r.emit("`__cast`(")
	r.p.i += 2
	saved := r.p.toks[as]
	r.p.toks[as] = token{kind: tokOp, upper: ")", start: saved.start, end: saved.end}
	ok := r.nested(lv, start, &level{closer: ")"})
	r.p.toks[as] = saved
	if !ok {
		return false
	}
	r.out[len(r.out)-1] = ","
	r.emit(" `t" + strconv.Itoa(as+1) + "`)")
	r.p.i = end + 1
	return true
}

// findAs returns the position of the AS that belongs to the parenthesis at
// open, or -1, and of its closing parenthesis (or the end).
func (p *parser) findAs(open int) (as, end int) {
	as = -1
	depth := 0
	for j := open; ; j++ {
		t := p.toks[j]
		switch {
		case t.kind == tokEOF || t.isOp(";"):
			return -1, j
		case t.isOp("(") || t.isOp("["):
			depth++
		case t.isOp(")") || t.isOp("]"):
			if depth--; depth == 0 {
				return as, j
			}
		case depth == 1 && t.isWord("AS"):
			as = j
		}
	}
}

func (r *rewriter) window(lv *level) bool {
	w, ok := r.p.window()
	if ok {
		r.strips = append(r.strips, strippedClause{at: lv.sel, window: w})
	}
	lv.prim = -1
	return ok
}

func (r *rewriter) emitClause(lv *level) bool {
	e := EmitChanges
	if r.peek(1).isWord("FINAL") {
		e = EmitFinal
	}
	r.p.i += 2
	r.strips = append(r.strips, strippedClause{at: lv.sel, emit: e})
	lv.prim = -1
	return true
}

func (r *rewriter) withinClause() bool {
	w, ok := r.p.within()
	if ok {
		r.within[r.leafAt] = w
	}
	return ok
}

// partitionBy parses the clause's expressions apart.
func (r *rewriter) partitionBy(lv *level) bool {
	r.p.i += 2
	depth, end := 0, r.p.i
	for ; r.p.toks[end].kind != tokEOF && !r.p.toks[end].isOp(";") && (lv.closer != "" || end < lv.end); end++ {
		t := r.p.toks[end]
		if t.isOp("(") || t.isOp("[") {
			depth++
		} else if t.isOp(")") || t.isOp("]") {
			if depth--; depth < 0 {
				break
			}
		} else if depth == 0 && (t.isWord("HAVING") || t.isWord("EMIT") && (r.p.toks[end+1].isWord("CHANGES") || r.p.toks[end+1].isWord("FINAL")) || t.isWord("LIMIT") && r.p.toks[end+1].kind == tokInteger) {
			break
		}
	}
	exprs, ok := r.p.exprList(end, valueOnly)
	if ok {
		r.strips = append(r.strips, strippedClause{at: lv.sel, partitionBy: exprs})
	}
	lv.prim = -1
	return ok
}

// sourceToken returns the token that column col (from 1) of the rewritten text
// comes from.
func (r *rewriter) sourceToken(col int) int {
	n := 0
	for i, s := range r.out {
		if n += len(s); n >= col {
			return r.tokAt[i]
		}
	}
	return r.p.i
}
