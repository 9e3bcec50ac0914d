package expr

import (
	"fmt"
	"math"

	"karst/sql"
	"karst/sql/types"
	"karst/sql/vector"
)

func javaMod(x, y float64) float64 { return math.Mod(x, y) }

func (k *compiler) comparison(e *sql.Comparison) typed {
	l, r := k.expr(e.Left), k.expr(e.Right)
	if l.typ == nil || r.typ == nil {
		return typed{}
	}
	l, r = k.pseudoTime(e, l, r)
	l, r, ok := k.comparable(e, l, r)
	if !ok {
		return typed{}
	}
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: compareRows(e.Op, l, r)}, l, r)
}

// comparable coerces both sides to a type in which they can be compared.
func (k *compiler) comparable(e *sql.Comparison, l, r typed) (typed, typed, bool) {
	op := e.Op
	t, ok := comparisonType(l.typ, r.typ)
	if ok && t.IsNested() && op != "=" && op != "<>" && op != "!=" && op != sql.OpIsDistinct && op != sql.OpIsNotDistinct {
		ok = false
	}
	if ok && t.Kind() == types.KindBoolean && (op == "<" || op == ">" || op == "<=" || op == ">=") {
		ok = false
	}
	if !ok {
		k.fail(e.Pos(), fmt.Sprintf("Cannot compare %s to %s with %s.", described(e.Left, l), described(e.Right, r), op), "Use CAST to bring both sides to one type.")
		return l, r, false
	}
	return k.castTo(l, t), k.castTo(r, t), true
}

func comparisonType(l, r *types.Type) (*types.Type, bool) {
	switch {
	case l.Kind() == types.KindNull && r.Kind() == types.KindNull:
		return types.Boolean, true
	case l.Kind() == types.KindNull:
		return r, true
	case r.Kind() == types.KindNull || l.Equal(r):
		return l, true
	case l.IsNumeric() && r.IsNumeric():
		if l.Kind() == types.KindDecimal || r.Kind() == types.KindDecimal {
			if l.Kind() == types.KindDouble || r.Kind() == types.KindDouble {
				return types.Double, true
			}
			return commonDecimal(asDecimal(l), asDecimal(r)), true
		}
		return arithmeticType("+", l, r), true
	}
	switch {
	case isTime(l) && r.Kind() == types.KindString:
		return l, true
	case isTime(r) && l.Kind() == types.KindString:
		return r, true
	case l.Kind() == types.KindDate && r.Kind() == types.KindTimestamp, r.Kind() == types.KindDate && l.Kind() == types.KindTimestamp:
		return types.Timestamp, true
	}
	return nil, false
}

// commonDecimal holds all values of both.
func commonDecimal(l, r *types.Type) *types.Type {
	scale := max(l.Scale(), r.Scale())
	precision := min(types.MaxDecimalPrecision, scale+max(l.Precision()-l.Scale(), r.Precision()-r.Scale()))
	return types.MustDecimal(precision, min(scale, precision))
}

// wanted returns the outcomes for which op is true.
func wanted(op string) outcome {
	switch op {
	case "=", sql.OpIsNotDistinct:
		return outcome{equal: true}
	case "<>", "!=", sql.OpIsDistinct:
		return outcome{less: true, greater: true}
	case "<":
		return outcome{less: true}
	case "<=":
		return outcome{less: true, equal: true}
	case ">":
		return outcome{greater: true}
	}
	return outcome{equal: true, greater: true}
}

func compareRows(op string, l, r typed) evaluator {
	want, kind := wanted(op), l.typ.Kind()
	distinct := op == sql.OpIsDistinct || op == sql.OpIsNotDistinct
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := l.eval(c, b, sel), r.eval(c, b, sel)
		v := vector.New(c.Arena, types.Boolean, b.N)
		compareValues(kind, v.Bits, x, y, sel, want)
		if distinct {
			distinctNulls(v.Bits, x, y, sel, op == sql.OpIsNotDistinct)
		} else { // a comparison with NULL is FALSE
			keep(v.Bits, x.Valid)
			keep(v.Bits, y.Valid)
		}
		return v
	}
}

// distinctNulls sets the rows with a null on a side: two nulls are the same.
func distinctNulls(out vector.Bitmap, x, y *vector.Vector, sel []int32, same bool) {
	if x.Valid == nil && y.Valid == nil {
		return
	}
	for _, i := range sel {
		if nx, ny := x.IsNull(int(i)), y.IsNull(int(i)); nx || ny {
			out.Put(int(i), (nx == ny) == same)
		}
	}
}

// keep clears the bits that mask, if there is one, has not.
func keep(out, mask vector.Bitmap) {
	if mask == nil {
		return
	}
	mask = mask[:len(out)]
	for i, m := range mask {
		out[i] &= m
	}
}

func (k *compiler) between(e *sql.Between) typed {
	t := k.logical(&sql.Logical{Op: "AND", Left: &sql.Comparison{Op: ">=", Left: e.Of, Right: e.Low}, Right: &sql.Comparison{Op: "<=", Left: e.Of, Right: e.High}})
	if t.typ == nil || !e.Negate {
		return t
	}
	// A NULL anywhere makes NOT BETWEEN false too.
	of, low, high := k.expr(e.Of), k.expr(e.Low), k.expr(e.High)
	return foldIf(typed{typ: types.Boolean, eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		in := t.eval(c, b, sel)
		x, y, z := of.eval(c, b, sel), low.eval(c, b, sel), high.eval(c, b, sel)
		v := vector.New(c.Arena, types.Boolean, b.N)
		for _, i := range sel {
			n := int(i)
			if !x.IsNull(n) && !y.IsNull(n) && !z.IsNull(n) {
				v.Bits.Put(n, !in.Bits.Get(n))
			}
		}
		return v
	}}, of, low, high)
}

func (k *compiler) in(e *sql.In) typed {
	if e.Query != nil {
		k.errs = append(k.errs, &types.Error{Kind: types.ErrUnsupported, Pos: e.Pos(), Message: "subqueries are not supported yet"})
		return typed{}
	}
	of := k.expr(e.Of)
	if of.typ == nil {
		return typed{}
	}
	parts, t := k.common(e.Pos(), "IN", append([]sql.Expr{e.Of}, e.List...), append([]typed{of}, k.exprs(e.List)...))
	if t == nil {
		if len(k.errs) > 0 {
			return typed{}
		}
		parts = []typed{k.castTo(of, types.Boolean)} // only NULLs: never true
	}
	of = parts[0]
	var tests []evaluator
	for _, p := range parts[1:] {
		tests = append(tests, compareRows("=", of, p))
	}
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		v := vector.New(c.Arena, types.Boolean, b.N)
		for _, test := range tests {
			x := test(c, b, sel)
			for i := range v.Bits {
				v.Bits[i] |= x.Bits[i]
			}
		}
		if e.Negate {
			x := of.eval(c, b, sel)
			for _, i := range sel {
				v.Bits.Put(int(i), !v.Bits.Get(int(i)) && !x.IsNull(int(i)))
			}
		}
		return v
	}}, parts...)
}

func (k *compiler) isNull(e *sql.IsNull) typed {
	of := k.expr(e.Of)
	if of.typ == nil {
		return typed{}
	}
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x := of.eval(c, b, sel)
		v := vector.New(c.Arena, types.Boolean, b.N)
		v.Bits.Fill(e.Negate)
		if x.Valid == nil {
			return v
		}
		for i, m := range x.Valid[:len(v.Bits)] {
			if v.Bits[i] = m; !e.Negate {
				v.Bits[i] = ^m
			}
		}
		return v
	}}, of)
}

// condition compiles e, which must be BOOLEAN.
func (k *compiler) condition(e sql.Expr, what string) (typed, bool) {
	t := k.expr(e)
	if t.typ == nil {
		return t, false
	}
	if t.typ.Kind() == types.KindNull {
		t = k.coerce(t, types.Boolean)
	}
	if t.typ.Kind() != types.KindBoolean {
		k.fail(e.Pos(), what+" takes a BOOLEAN, found "+described(e, t), "")
		return t, false
	}
	return t, true
}

// logical evaluates the right side only for the rows that the left does not
// decide, so that a guard keeps its right side from failing.
func (k *compiler) logical(e *sql.Logical) typed {
	l, ok1 := k.condition(e.Left, e.Op)
	r, ok2 := k.condition(e.Right, e.Op)
	if !ok1 || !ok2 {
		return typed{}
	}
	and := e.Op == "AND"
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x := l.eval(c, b, sel)
		rest := c.Arena.Int32s(len(sel))[:0]
		v := vector.New(c.Arena, types.Boolean, b.N)
		for _, i := range sel {
			if n := int(i); x.IsNull(n) || x.Bits.Get(n) == and {
				rest = append(rest, i)
			} else {
				v.Bits.Put(n, !and)
			}
		}
		if len(rest) == 0 {
			return v
		}
		y := r.eval(c, b, rest)
		for _, i := range rest {
			n := int(i)
			switch {
			case !y.IsNull(n) && y.Bits.Get(n) != and:
				v.Bits.Put(n, !and)
			case x.IsNull(n) || y.IsNull(n):
				v.SetNull(c.Arena, n)
			default:
				v.Bits.Put(n, and)
			}
		}
		return v
	}}, l, r)
}

func (k *compiler) not(e *sql.Not) typed {
	of, ok := k.condition(e.Of, "NOT")
	if !ok {
		return typed{}
	}
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x := of.eval(c, b, sel)
		v := vector.New(c.Arena, types.Boolean, b.N)
		v.Valid = x.Valid
		for _, i := range sel {
			v.Bits.Put(int(i), !x.Bits.Get(int(i)))
		}
		return v
	}}, of)
}

// text returns t, what e compiled to, as the STRING that what takes.
func (k *compiler) text(e sql.Expr, t typed, what string) (typed, bool) {
	if !coercible(t.typ, types.String) {
		k.fail(e.Pos(), what+" takes a STRING, found "+described(e, t), "Use CAST.")
		return t, false
	}
	return k.castTo(t, types.String), true
}

func (k *compiler) like(e *sql.Like) typed {
	of, pattern := k.expr(e.Of), k.expr(e.Pattern)
	if of.typ == nil || pattern.typ == nil {
		return typed{}
	}
	of, okOf := k.text(e.Of, of, "LIKE")
	pattern, okPattern := k.text(e.Pattern, pattern, "LIKE")
	if !okOf || !okPattern {
		return typed{}
	}
	escape := rune(-1)
	for _, r := range e.Escape {
		escape = r
	}
	return foldIf(typed{typ: types.Boolean, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := of.eval(c, b, sel), pattern.eval(c, b, sel)
		v := vector.New(c.Arena, types.Boolean, b.N)
		var m likeMatcher
		for _, i := range sel {
			n := int(i)
			if x.IsNull(n) || y.IsNull(n) {
				continue
			}
			m.compile(y.Str(n), escape)
			v.Bits.Put(n, m.match(x.Str(n)) != e.Negate)
		}
		return v
	}}, of, pattern)
}
