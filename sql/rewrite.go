package sql

import (
	"strconv"
	"strings"
)

// A rewriter turns the tokens of a query (or of a list of expressions) into
// text for the tidb parser, in one pass. MySQL sees no name and no literal of
// ours: a leaf is `kN`, N the index of its token; a function is `fN`( and
// syntax that MySQL lacks is a call of a reserved function, `fldN`( and the
// like (see converter.call), or it is stripped and kept beside:
//
//	SELECT a->b, COUNT(*)  FROM s WINDOW TUMBLING (…) GROUP BY a->b EMIT CHANGES
//	SELECT `s0`, `fld2`(`k1`,`k3`), `f5`(`__star`) FROM `k10` GROUP BY `fld…
//
// where `s0` marks the SELECT, so that what was stripped finds it again.
type rewriter struct {
	p       *parser
	out     []piece
	lv      *level
	selects map[int]*stripped // by the token of SELECT
	within  map[int]*Within   // by the token of WITHIN
	types   map[int]TypeRef   // of CAST, by its token
	frames  map[int]string    // of OVER, by the token of the function
	emitAll Emit              // of the set operation that is the statement
}

// A piece is a bit of the rewritten text.
type piece struct {
	opened []string // calls that begin before it, the last one outermost
	text   string
	tok    int // the token it comes from
	where  place
}

// A place tells what could stand at a piece; see expectedAt.
type place struct {
	lv   *level
	rank int
}

// stripped are the clauses of one SELECT that the tidb parser does not see.
type stripped struct {
	window      *WindowClause
	partitionBy []Expr
	emit        Emit
}

// A level is the state of one nesting level.
type level struct {
	closer  string // ")", "]", AS of a CAST, END of a CASE; "" at the top
	exprs   bool   // the top of a list of expressions: ends where a clause begins
	single  bool   // one expression: an index
	over    int    // within OVER (…): 1 + the function's token
	start   int    // its first token
	sel     int    // the token of its SELECT, -1 if none
	setOp   bool   // a set operation stands here
	rank    int    // of the last clause of that SELECT
	prim    int    // piece at which the last complete primary begins, -1 if none
	like    int    // piece at which an open LIKE pattern begins, -1 if none
	lambdas int    // lambdas to close at the next comma or closer
	pairs   pairs  // of MAP( and STRUCT(
	joining bool   // a JOIN lacks its ON
	within  int    // token of that JOIN's WITHIN, -1 if none
	prefix  int    // operators in a row before a primary
	suffix  int    // of -> and [] in a row after a primary
}

// pairs counts the := of a MAP or STRUCT: one an element.
type pairs uint8

const (
	pairsNone  pairs = iota // not such a literal
	pairsKey                // before :=
	pairsValue              // after :=
)

func newRewriter(p *parser) *rewriter {
	return &rewriter{p: p, selects: map[int]*stripped{}, within: map[int]*Within{}, types: map[int]TypeRef{}, frames: map[int]string{}}
}

// text is the rewritten text.
func (r *rewriter) text() string {
	var sb strings.Builder
	for _, x := range r.out {
		for i := len(x.opened) - 1; i >= 0; i-- {
			sb.WriteString(x.opened[i])
		}
		sb.WriteString(x.text)
	}
	return sb.String()
}

// pieceAt returns the piece that holds column col (from 1) of the text, or nil
// behind its end.
func (r *rewriter) pieceAt(col int) *piece {
	n := 0
	for i := range r.out {
		x := &r.out[i]
		for _, s := range x.opened {
			n += len(s)
		}
		if n += len(x.text); n >= col {
			return x
		}
	}
	return nil
}

func (r *rewriter) tok() token       { return r.p.tok() }
func (r *rewriter) peek(n int) token { return r.p.peek(n) }

// emit writes text for the current token.
func (r *rewriter) emit(s string) {
	x := piece{text: s, tok: r.p.i, where: place{lv: r.lv}}
	if r.lv != nil {
		x.where.rank = r.lv.rank
	}
	r.out = append(r.out, x)
}

// leaf emits the current token as its index and steps over it. The blank
// before it matters: `a“b` is one name.
func (r *rewriter) leaf(prefix string) {
	r.emit(" `" + prefix + strconv.Itoa(r.p.i) + "`")
	r.p.i++
}

// call is the beginning of a reserved function's call for token i.
func call(name string, i int) string { return " `" + name + strconv.Itoa(i) + "`(" }

// open begins a reserved function's call before piece at.
func (r *rewriter) open(at int, name string) {
	r.out[at].opened = append(r.out[at].opened, call(name, r.p.i))
}

// pass hands the next n words on to MySQL's grammar.
func (r *rewriter) pass(n int) {
	for range n {
		r.emit(" " + r.tok().upper + " ")
		r.p.i++
	}
	r.lv.prim = -1
}

// run rewrites one level until its closer, on which it stops, and returns
// false after a syntax error, which has been reported.
func (r *rewriter) run(lv *level) bool {
	if !r.p.enter() {
		return false
	}
	defer r.p.leave()
	outer := r.lv
	r.lv = lv
	lv.start, lv.sel, lv.prim, lv.like, lv.within = r.p.i, -1, -1, -1, -1
	for !r.p.failed && !r.ends() {
		r.step()
	}
	r.closeExpr()
	r.closeJoin()
	if lv.closer == "" && lv.sel >= 0 && !lv.setOp && lv.rank == 0 && !r.p.failed {
		r.p.fail(r.expectedHere()...) // a query reads from something
	}
	if lv.closer == "" {
		r.emit("") // the place of what follows
	}
	r.lv = outer
	return !r.p.failed
}

// ends reports whether the level ends at the current token.
func (r *rewriter) ends() bool {
	t, lv := r.tok(), r.lv
	switch {
	case lv.closer != "" && (t.isOp(lv.closer) || t.isWord(lv.closer)):
		return true
	case t.endsStatement() && lv.closer == "":
		return true
	case lv.exprs && (t.isOp(")") || r.clauseAhead()):
		return true
	case t.endsStatement(), t.isOp(")"), t.isOp("]"):
		r.p.fail(r.expectedHere()...)
		return true
	}
	return false
}

// nested rewrites a level whose result, with what was emitted before from
// piece start on, is a primary; after is emitted instead of the closer.
func (r *rewriter) nested(start int, in *level, after string) bool {
	if !r.run(in) {
		return false
	}
	if in.single && r.p.i == in.start {
		r.p.fail(expectExpr)
		return false
	}
	r.emit(after)
	r.out[len(r.out)-1].where = place{in, in.rank}
	r.p.i++
	r.primary(start)
	return true
}

// primary notes that a primary which begins at piece start is complete.
func (r *rewriter) primary(start int) {
	r.lv.prim, r.lv.prefix, r.lv.suffix = start, 0, 0
}

// closeLike ends an open LIKE pattern.
func (r *rewriter) closeLike() {
	if r.lv.like >= 0 {
		r.emit(")")
		r.lv.like = -1
	}
}

// closeExpr ends an expression: its pattern, its lambdas, its pair.
func (r *rewriter) closeExpr() {
	r.closeLike()
	for ; r.lv.lambdas > 0; r.lv.lambdas-- {
		r.emit(")")
	}
	if r.lv.pairs == pairsKey && !r.p.failed && r.p.i > r.lv.start {
		r.p.fail("':='")
	}
}

// closeJoin ends the FROM clause: each JOIN needs its ON.
func (r *rewriter) closeJoin() {
	switch {
	case !r.lv.joining || r.p.failed:
	case r.lv.within >= 0:
		r.p.fail("ON")
	default:
		r.p.fail("WITHIN", "ON")
	}
}

// step rewrites one token or construct.
func (r *rewriter) step() {
	t := r.tok()
	switch {
	case t.kind == tokOp:
		r.operator(t)
	case t.kind == tokWord && (r.clauseWord(t) || r.p.failed || r.exprWord(t)):
	case t.kind == tokWord, t.kind == tokQuoted:
		r.name()
	default:
		r.primary(len(r.out))
		r.leaf("k")
	}
}

// count notes one more prefix or suffix operator in a row.
func (r *rewriter) count(n *int) {
	if *n++; *n > maxDepth {
		r.p.failLimit("more than " + strconv.Itoa(maxDepth) + " operators in a row")
	}
}
