package sql

import "strconv"

// reservedWords can't be used as names without quotes.
var reservedWords = wordSet("SELECT", "FROM", "WHERE", "HAVING", "AS", "ON", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE",
	"CASE", "WHEN", "THEN", "ELSE", "END", "JOIN", "CAST", "GROUP", "ORDER", "LIMIT", "DISTINCT", "UNION", "WITH", "CREATE", "INSERT", "DROP", "INTO", "VALUES")

func wordSet(words ...string) map[string]bool {
	m := map[string]bool{}
	for _, w := range words {
		m[w] = true
	}
	return m
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

var rankNames = [...]string{rankWindow: "WINDOW", rankWhere: "WHERE", rankGroup: "GROUP BY", rankPartition: "PARTITION BY",
	rankHaving: "HAVING", rankOrder: "ORDER BY", rankEmit: "EMIT", rankLimit: "LIMIT"}

// clauseRank returns the rank of the clause that begins at the current token,
// 0 if none does.
func (r *rewriter) clauseRank() int {
	t, next := r.tok(), r.peek(1)
	if t.kind != tokWord {
		return 0
	}
	switch t.upper {
	case "FROM":
		return rankFrom
	case "WINDOW":
		if isWindowKind(next) || isWindowKind(r.peek(2)) && next.kind != tokOp {
			return rankWindow
		}
	case "WHERE":
		return rankWhere
	case "GROUP":
		return rankGroup
	case "PARTITION":
		if next.isWord("BY") {
			return rankPartition
		}
	case "HAVING":
		return rankHaving
	case "ORDER":
		return rankOrder
	case "EMIT":
		if next.isWord("CHANGES") || next.isWord("FINAL") {
			return rankEmit
		}
	case "LIMIT":
		return rankLimit
	}
	return 0
}

func isWindowKind(t token) bool {
	return t.isWord("TUMBLING") || t.isWord("HOPPING") || t.isWord("SESSION")
}

func isSetOp(t token) bool {
	return t.isWord("UNION") || t.isWord("INTERSECT") || t.isWord("EXCEPT")
}

// clauseAhead reports whether a list of expressions ends at the current token
// because a clause or a set operation begins.
func (r *rewriter) clauseAhead() bool { return r.clauseRank() > 0 || r.tok().isWord("UNION") }

// clauseWord handles a word that is syntax of a query; it returns false if
// it is not, where it stands, or after a reported error.
func (r *rewriter) clauseWord(t token) bool {
	lv, next := r.lv, r.peek(1)
	if lv.over > 0 {
		return r.overWord(t, next)
	}
	if rank := r.clauseRank(); rank > 0 {
		return r.clause(rank)
	}
	switch {
	case t.upper == "SELECT":
		r.selectWord()
	case t.upper == "WITH" && r.p.i == lv.start:
		r.with(next)
	case isSetOp(t):
		return r.setOperation(t, next)
	case t.upper == "AS":
		r.closeExpr()
		r.pass(1)
	case lv.rank == rankOrder && (t.upper == "ASC" || t.upper == "DESC"):
		r.closeExpr()
		r.pass(1)
	case lv.rank == rankFrom:
		return r.fromWord(t, next)
	default:
		return false
	}
	return true
}

// selectWord begins a SELECT and marks it.
func (r *rewriter) selectWord() {
	if r.lv.sel >= 0 {
		r.p.fail(r.expectedHere()...)
		return
	}
	at := r.p.i
	r.lv.sel, r.lv.rank = at, 0
	r.selects[at] = &stripped{}
	n := 1
	if r.peek(1).isWord("DISTINCT") {
		n = 2
	}
	r.pass(n)
	r.out[len(r.out)-1].text += "`s" + strconv.Itoa(at) + "`,"
}

func (r *rewriter) with(next token) {
	if next.isWord("RECURSIVE") {
		r.pass(2)
		return
	}
	r.pass(1)
}

// setOperation begins the next SELECT of a UNION, INTERSECT or EXCEPT.
func (r *rewriter) setOperation(t, next token) bool {
	all := next.isWord("ALL") || next.isWord("DISTINCT")
	if !all && !next.isWord("SELECT") && !next.isOp("(") && t.upper != "UNION" {
		return false
	}
	r.closeExpr()
	r.closeJoin()
	n := 1
	if all {
		n = 2
	}
	r.pass(n)
	r.lv.sel, r.lv.rank, r.lv.setOp, r.lv.joining = -1, 0, true, false
	return true
}

// clause begins a clause of the level's SELECT, or of its set operation, and
// checks the order.
func (r *rewriter) clause(rank int) bool {
	lv := r.lv
	r.closeExpr()
	r.closeJoin()
	ofSelect := lv.sel >= 0 && rank > lv.rank && (lv.rank >= rankFrom || rank == rankFrom)
	ofSetOp := lv.sel < 0 && lv.setOp && rank >= rankOrder && rank > lv.rank
	if r.p.failed || !ofSelect && !ofSetOp {
		r.p.fail(r.expectedHere()...)
		return false
	}
	switch rank {
	case rankFrom, rankWhere, rankHaving, rankLimit:
		r.pass(1)
	case rankGroup, rankOrder:
		if !r.peek(1).isWord("BY") {
			r.p.i++
			r.p.fail("BY")
			return false
		}
		r.pass(2)
	default:
		r.strip(rank)
		lv.prim = -1
	}
	lv.rank = rank
	if rank == rankLimit {
		r.emit(strconv.FormatInt(r.p.integer(), 10))
	}
	return !r.p.failed
}

// strip parses a clause that MySQL does not know and keeps it.
func (r *rewriter) strip(rank int) {
	s := r.selects[r.lv.sel]
	switch rank {
	case rankWindow:
		s.window = r.p.window()
	case rankPartition:
		r.p.i += 2
		s.partitionBy = r.p.groupExprs()
	case rankEmit:
		e := EmitChanges
		if r.peek(1).isWord("FINAL") {
			e = EmitFinal
		}
		if r.lv.setOp && r.lv.closer != "" {
			r.p.fail("')'") // only the whole statement can say how it emits
			return
		}
		r.p.i += 2
		if r.lv.setOp {
			r.emitAll = e
			return
		}
		s.emit = e
	}
}

// fromWord handles the words of FROM.
func (r *rewriter) fromWord(t, next token) bool {
	switch t.upper {
	case "JOIN":
		r.join("JOIN", 1)
	case "INNER", "CROSS", "LEFT", "RIGHT", "FULL":
		n := 2
		if t.upper != "INNER" && t.upper != "CROSS" && next.isWord("OUTER") {
			n = 3
		}
		if !r.peek(n - 1).isWord("JOIN") {
			return false
		}
		r.join(t.upper+" JOIN", n)
	case "WITHIN":
		if next.kind != tokInteger && !next.isOp("(") || !r.lv.joining || r.lv.within >= 0 {
			return false
		}
		r.lv.within = r.p.i
		r.within[r.lv.within] = r.p.within()
	case "ON":
		r.on()
	case "USING":
		if !r.lv.joining || !next.isOp("(") {
			return false
		}
		r.closeJoin()
	default:
		return false
	}
	return true
}

// join passes a JOIN of n words on. MySQL has no FULL JOIN: STRAIGHT_JOIN,
// which nothing else becomes, stands for it.
func (r *rewriter) join(as string, n int) {
	r.closeExpr()
	r.closeJoin()
	if as == "FULL JOIN" {
		as = "STRAIGHT_JOIN"
	}
	r.emit(" " + as + " ")
	r.p.i += n
	r.lv.prim, r.lv.within, r.lv.joining = -1, -1, as != "CROSS JOIN"
}

// on passes ON; a WITHIN before it becomes an assignment around the
// condition.
func (r *rewriter) on() {
	if !r.lv.joining {
		r.p.fail(r.expectedHere()...)
		return
	}
	r.lv.joining = false
	r.pass(1)
	if r.lv.within >= 0 {
		r.emit("@w" + strconv.Itoa(r.lv.within) + " := ")
	}
}

// expectedHere says what could stand at the current token.
func (r *rewriter) expectedHere() []string { return r.expectedAt(place{r.lv, r.lv.rank}, r.p.i) }

// expectedAt says what could stand at token i.
func (r *rewriter) expectedAt(at place, i int) []string {
	before, lv := r.p.toks[max(0, i-1)], at.lv
	switch {
	case before.isWord("AS"):
		return []string{expectName}
	case lv.setOp && isSetOp(before):
		return []string{"SELECT", "'('"}
	case before.opensOperand():
		if at.rank == rankFrom && before.opensRelation() {
			return []string{expectSource}
		}
		return []string{expectExpr}
	case lv.closer == "END":
		return []string{"an operator", "WHEN", "THEN", "ELSE", "END"}
	case lv.closer == "AS":
		return []string{"an operator", "AS"}
	case lv.closer == "]":
		return []string{"an operator", "']'"}
	case lv.closer == ")" && lv.sel < 0 && !lv.setOp:
		return []string{"an operator", "','", "')'"}
	case lv.exprs:
		return []string{"an operator", "','", "the end of the expression"}
	case lv.sel < 0 && !lv.setOp && i > lv.start:
		return []string{"UNION", "INTERSECT", "EXCEPT", "';'"}
	case at.rank == 0 && lv.sel >= 0:
		return []string{"an operator", "','", "AS", "FROM"}
	}
	return afterClause(at)
}

// operandWords are followed by an operand.
var operandWords = wordSet("AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "CASE", "WHEN", "THEN", "ELSE", "SELECT", "DISTINCT", "FROM", "WHERE", "BY", "HAVING",
	"ON", "JOIN")

// opensOperand reports whether an operand follows t.
func (t token) opensOperand() bool {
	return t.kind == tokOp && t.upper != ")" && t.upper != "]" || t.kind == tokWord && operandWords[t.upper]
}

// afterClause lists the clauses that may follow.
func afterClause(at place) []string {
	var out []string
	switch at.rank {
	case rankFrom:
		out = append(out, "JOIN")
	case rankGroup, rankPartition, rankOrder:
		out = append(out, "an operator", "','")
	case rankWhere, rankHaving:
		out = append(out, "an operator")
	}
	for rank := max(at.rank, rankFrom) + 1; rank <= rankLimit; rank++ {
		out = append(out, rankNames[rank])
	}
	if at.lv.closer == ")" {
		return append(out, "')'")
	}
	return append(out, "';'")
}

// opensRelation reports whether, within FROM, a source follows t.
func (t token) opensRelation() bool {
	return t.isWord("FROM") || t.isWord("JOIN") || t.isOp(",") || t.isOp("(")
}
