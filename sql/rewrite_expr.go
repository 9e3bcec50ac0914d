package sql

// operator rewrites an operator or bracket.
func (r *rewriter) operator(t token) {
	switch t.upper {
	case "(":
		r.paren()
	case "[":
		r.subscript()
	case "->":
		r.field()
	case ".":
		r.qualified()
	case ",":
		if r.lv.single {
			r.p.fail(r.expectedHere()...)
			return
		}
		r.closeExpr()
		if r.lv.pairs == pairsValue {
			r.lv.pairs = pairsKey
		}
		r.symbol(",")
	case ":=":
		if r.lv.pairs != pairsKey || r.lv.prim < 0 {
			r.p.fail()
			return
		}
		r.closeLike()
		r.lv.pairs = pairsValue
		r.symbol(",")
	case "||":
		r.infix("|") // between + and = in precedence: MySQL's bit-or
	case "=", "<>", "!=", "<", "<=", ">", ">=":
		r.closeLike()
		r.infix(t.upper)
	case "*":
		r.symbol(" * ") // may be that of SELECT *
	case "+", "-":
		if r.lv.prim < 0 {
			r.count(&r.lv.prefix)
		}
		r.symbol(" " + t.upper + " ")
	case "/", "%":
		r.infix(t.upper)
	default:
		r.p.fail(expectExpr)
	}
}

func (r *rewriter) symbol(s string) {
	r.emit(s)
	r.p.i++
	r.lv.prim = -1
}

// infix emits an operator that needs something before it.
func (r *rewriter) infix(op string) {
	if r.lv.prim < 0 {
		r.failOperand()
		return
	}
	r.symbol(" " + op + " ")
}

// failOperand reports an operator where an operand should stand.
func (r *rewriter) failOperand() {
	t, before := r.tok(), r.p.toks[max(0, r.p.i-1)]
	if t.isOp("=") && before.isOp("=") {
		r.p.failAt(t.at, "Syntax Error: unexpected '=', expected an expression", "Write = to compare.")
		return
	}
	r.p.fail(expectExpr)
}

func (r *rewriter) paren() {
	if r.lambdaAllowed() && r.lambdaParams() {
		r.lambda()
		return
	}
	start, in := len(r.out), &level{closer: ")"}
	if before := r.p.toks[max(0, r.p.i-1)]; r.lv.rank == rankFrom && before.opensRelation() {
		in.rank = rankFrom
	}
	r.emit("(")
	r.p.i++
	r.nested(start, in, ")")
}

// subscript rewrites e[i] to a call around the primary before it.
func (r *rewriter) subscript() {
	start := r.lv.prim
	if start < 0 {
		r.p.fail(expectExpr)
		return
	}
	suffix := r.lv.suffix
	r.open(start, "sub")
	r.emit(",")
	r.p.i++
	if r.nested(start, &level{closer: "]", single: true}, ")") {
		r.lv.suffix = suffix
		r.count(&r.lv.suffix)
	}
}

// field rewrites e->f and e->* to a call around the primary before it.
func (r *rewriter) field() {
	if r.lv.prim < 0 {
		r.p.fail(expectExpr)
		return
	}
	r.count(&r.lv.suffix)
	if r.peek(1).isOp("*") {
		r.open(r.lv.prim, "all")
		r.p.i++
		r.emit(")")
		r.p.i++
		return
	}
	r.open(r.lv.prim, "fld")
	r.emit(",")
	r.p.i++
	if r.fieldLeaf() {
		r.emit(")")
	}
}

// fieldLeaf emits the name after a point or an arrow; any word will do.
func (r *rewriter) fieldLeaf() bool {
	if k := r.tok().kind; k != tokWord && k != tokQuoted {
		r.p.fail(expectName)
		return false
	}
	r.leaf("k")
	return true
}

// qualified rewrites .name and .*
func (r *rewriter) qualified() {
	if r.lv.prim < 0 {
		r.p.fail(expectExpr)
		return
	}
	r.emit(".")
	r.p.i++
	if r.tok().isOp("*") {
		r.symbol("*")
		return
	}
	if r.fieldLeaf() && (r.tok().isOp(".") || r.tok().isOp("(")) {
		r.p.fail()
	}
}

// lambdaAllowed reports whether a lambda may begin here: within parentheses,
// or in an expression's text on its own.
func (r *rewriter) lambdaAllowed() bool { return r.lv.closer != "" || r.lv.exprs }

// lambdaParams reports whether a "(x, y) =>" begins at the current token.
func (r *rewriter) lambdaParams() bool {
	for n := 1; ; n += 2 {
		if _, ok := identifier(r.peek(n)); !ok {
			return false
		}
		if r.peek(n + 1).isOp(")") {
			return r.peek(n + 2).isOp("=>")
		}
		if !r.peek(n + 1).isOp(",") {
			return false
		}
	}
}

// lambda rewrites "x =>" or "(x, y) =>"; the call it opens is closed at the
// end of the body.
func (r *rewriter) lambda() {
	r.emit(call("lam", r.p.i))
	for !r.tok().isOp("=>") {
		if r.tok().kind == tokOp {
			r.p.i++
			continue
		}
		r.leaf("k")
		r.emit(",")
	}
	r.p.i++
	r.count(&r.lv.lambdas)
	r.lv.prim = -1
}

// name rewrites a column, function or other name at the current token.
func (r *rewriter) name() {
	next := r.peek(1)
	_, plain := identifier(r.tok())
	switch {
	case next.isOp("(") && plain:
		r.function()
	case next.isOp("=>") && plain && r.lambdaAllowed():
		r.lambda()
	case next.kind == tokString && isTimeWord(r.tok()):
		r.primary(len(r.out))
		r.emit(call("lit", r.p.i))
		r.p.i++
		r.leaf("k")
		r.emit(")")
	default:
		r.primary(len(r.out))
		r.leaf("k")
	}
}

func isTimeWord(t token) bool { return t.isWord("DATE") || t.isWord("TIME") || t.isWord("TIMESTAMP") }

// function rewrites a call.
func (r *rewriter) function() {
	start, fn := len(r.out), r.p.i
	r.leaf("f")
	r.emit("(")
	r.p.i++
	if r.tok().isOp("*") && r.peek(1).isOp(")") {
		r.emit("`__star`)")
		r.p.i += 2
		r.primary(start)
	} else {
		if r.tok().isWord("DISTINCT") {
			r.emit("`__distinct`,")
			r.p.i++
		}
		if !r.nested(start, &level{closer: ")"}, ")") {
			return
		}
	}
	if r.tok().isWord("OVER") && r.peek(1).isOp("(") {
		r.over(start, fn)
	}
}

// over rewrites OVER (…). Any function may stand before it: it becomes the
// argument of one that MySQL lets stand there.
func (r *rewriter) over(start, fn int) {
	r.out[start].opened = append(r.out[start].opened, " FIRST_VALUE(")
	r.emit(") OVER (")
	r.p.i += 2
	r.nested(start, &level{closer: ")", over: 1 + fn}, ")")
}

// overWord handles the words of OVER (…).
func (r *rewriter) overWord(t, next token) bool {
	switch {
	case (t.upper == "PARTITION" || t.upper == "ORDER") && next.isWord("BY"):
		r.pass(2)
	case t.upper == "ASC", t.upper == "DESC":
		r.pass(1)
	case (t.upper == "ROWS" || t.upper == "RANGE") && next.kind != tokOp:
		r.frames[r.lv.over-1] = r.p.frame()
		if !r.p.failed && !r.tok().isOp(")") {
			r.p.fail("')'")
		}
	default:
		return false
	}
	return true
}

// exprWord handles a word that is syntax within expressions; it returns false
// if the word is a name where it stands, or after a reported error.
func (r *rewriter) exprWord(t token) bool {
	next := r.peek(1)
	switch t.upper {
	case "AND", "OR":
		r.closeLike()
		r.pass(1)
	case "NOT":
		r.closeLike()
		if r.lv.prim < 0 {
			r.count(&r.lv.prefix)
		}
		r.pass(1)
	case "IN", "BETWEEN":
		r.closeLike()
		r.pass(1)
	case "LIKE":
		r.closeLike()
		r.emit(" LIKE (")
		r.p.i++
		r.lv.like, r.lv.prim = len(r.out), -1
	case "ESCAPE":
		return r.lv.like >= 0 && next.kind == tokString && r.escape()
	case "IS":
		r.is()
	case "EXISTS":
		if !next.isOp("(") || !r.peek(2).isWord("SELECT") && !r.peek(2).isWord("WITH") && !r.peek(2).isOp("(") {
			return false
		}
		r.pass(1)
	case "AT":
		if r.lv.prim < 0 || !next.isWord("TIME") || !r.peek(2).isWord("ZONE") {
			return false
		}
		r.p.failAt(t.at, "Syntax Error: AT TIME ZONE is not supported", "Use CONVERT_TZ(timestamp, from, to).")
	default:
		return r.primaryWord(t, next)
	}
	return true
}

// primaryWord handles a word that begins a primary with a syntax of its own,
// or that parts one.
func (r *rewriter) primaryWord(t, next token) bool {
	switch {
	case t.upper == "CASE":
		start := len(r.out)
		r.emit(call("case", r.p.i) + "CASE ")
		r.p.i++
		r.nested(start, &level{closer: "END"}, " END)")
	case r.lv.closer == "END" && (t.upper == "WHEN" || t.upper == "THEN" || t.upper == "ELSE"):
		r.closeExpr()
		r.pass(1)
	case t.upper == "ARRAY" && next.isOp("["):
		r.constructor("arr", &level{closer: "]"})
	case t.upper == "MAP" && next.isOp("("):
		r.constructor("map", &level{closer: ")", pairs: pairsKey})
	case t.upper == "STRUCT" && next.isOp("("):
		r.constructor("str", &level{closer: ")", pairs: pairsKey})
	case t.upper == "CAST" && next.isOp("("):
		r.cast()
	default:
		return false
	}
	return true
}

func (r *rewriter) constructor(name string, in *level) {
	start := len(r.out)
	r.emit(call(name, r.p.i))
	r.p.i += 2
	r.nested(start, in, ")")
}

// escape rewrites ESCAPE 'c': the pattern becomes a call with both.
func (r *rewriter) escape() bool {
	if r.lv.like == len(r.out) {
		return false
	}
	r.open(r.lv.like, "esc")
	r.emit(",")
	r.p.i++
	r.leaf("k")
	r.emit(")")
	r.closeLike()
	r.lv.prim = -1
	return true
}

// is rewrites IS [NOT] NULL, and IS [NOT] DISTINCT FROM as operators that
// have its precedence.
func (r *rewriter) is() {
	r.closeLike()
	n, distinct := 1, " <=> @d := "
	if r.peek(1).isWord("NOT") {
		n, distinct = 2, " <=> "
	}
	switch {
	case r.peek(n).isWord("NULL"):
		r.pass(n + 1)
	case r.peek(n).isWord("DISTINCT") && r.peek(n+1).isWord("FROM"):
		r.emit(distinct)
		r.p.i += n + 2
		r.lv.prim = -1
	default:
		r.p.i += n
		r.p.fail("NULL", "DISTINCT FROM")
	}
}

// cast rewrites CAST(e AS type); the type is parsed here.
func (r *rewriter) cast() {
	start, at := len(r.out), r.p.i
	r.emit(call("cast", at))
	r.p.i += 2
	if !r.nested(start, &level{closer: "AS", single: true}, "") {
		return
	}
	r.types[at] = r.p.typeRef()
	if !r.p.failed && !r.tok().isOp(")") {
		r.p.fail("')'")
	}
	r.emit(")")
	r.p.i++
	r.primary(start)
}
