package expr

import (
	"math/big"

	"karst/sql"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func (k *compiler) binary(e *sql.Binary) typed {
	l, r := k.expr(e.Left), k.expr(e.Right)
	if l.typ == nil || r.typ == nil {
		return typed{}
	}
	if e.Op == "||" || e.Op == "+" && (l.typ.Kind() == types.KindString || r.typ.Kind() == types.KindString) {
		return k.concat(e, l, r)
	}
	if !l.typ.IsNumeric() || !r.typ.IsNumeric() {
		k.fail(e.Pos(), unsupported(e, l, r), "Arithmetic takes numbers; use CAST, of NULL too.")
		return typed{}
	}
	t := arithmeticType(e.Op, l.typ, r.typ)
	if t.Kind() == types.KindDecimal {
		return foldIf(typed{typ: t, at: e.Pos(), eval: decimalArith(e.Op, t, k.coerce(l, asDecimal(l.typ)), k.coerce(r, asDecimal(r.typ)))}, l, r)
	}
	l, r = k.coerce(l, t), k.coerce(r, t)
	return foldIf(typed{typ: t, at: e.Pos(), eval: arith(e.Op, t, l, r)}, l, r)
}

func unsupported(e *sql.Binary, l, r typed) string {
	return "Unsupported arithmetic types: " + described(e.Left, l) + " " + e.Op + " " + described(e.Right, r)
}

// described names a part of an expression in an error.
func described(e sql.Expr, t typed) string { return sql.PrintExpr(e) + " (" + t.typ.String() + ")" }

// arithmeticType is the type of l op r for numbers, as ksqlDB derives it.
func arithmeticType(op string, l, r *types.Type) *types.Type {
	if l.Kind() == types.KindDouble || r.Kind() == types.KindDouble {
		return types.Double
	}
	if l.Kind() != types.KindDecimal && r.Kind() != types.KindDecimal {
		if l.Kind() == types.KindBigint || r.Kind() == types.KindBigint {
			return types.Bigint
		}
		return types.Int
	}
	l, r = asDecimal(l), asDecimal(r)
	p1, s1, p2, s2 := l.Precision(), l.Scale(), r.Precision(), r.Scale()
	precision, scale := 0, 0
	switch op {
	case "+", "-":
		scale = max(s1, s2)
		precision = scale + max(p1-s1, p2-s2) + 1
	case "*":
		precision, scale = p1+p2+1, s1+s2
	case "/":
		scale = max(6, s1+p2+1)
		precision = p1 - s1 + s2 + scale
	default:
		scale = max(s1, s2)
		precision = min(p1-s1, p2-s2) + scale
	}
	precision = min(max(precision, 1), types.MaxDecimalPrecision)
	return types.MustDecimal(precision, min(scale, precision))
}

// asDecimal is the DECIMAL that an integer type fits in.
func asDecimal(t *types.Type) *types.Type {
	switch t.Kind() {
	case types.KindInt:
		return types.MustDecimal(10, 0)
	case types.KindBigint:
		return types.MustDecimal(19, 0)
	}
	return t
}

type number interface{ ~int32 | ~int64 | ~float64 }

func addRows[T number](out, l, r []T) {
	for i := range out {
		out[i] = l[i] + r[i]
	}
}

func subRows[T number](out, l, r []T) {
	for i := range out {
		out[i] = l[i] - r[i]
	}
}

func mulRows[T number](out, l, r []T) {
	for i := range out {
		out[i] = l[i] * r[i]
	}
}

// divRows divides integers; a zero divisor is reported and gives null.
func divRows[T int32 | int64](c *Context, v *vector.Vector, out, l, r []T, sel []int32, mod bool) {
	for _, i := range sel {
		switch {
		case v.IsNull(int(i)):
		case r[i] == 0:
			c.report(i, "division by zero")
			v.Valid.Clear(int(i))
		case mod:
			out[i] = l[i] % r[i]
		default:
			out[i] = l[i] / r[i]
		}
	}
}

func arith(op string, t *types.Type, l, r typed) evaluator {
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := l.eval(c, b, sel), r.eval(c, b, sel)
		v := vector.New(c.Arena, t, b.N)
		v.Valid = validBoth(c.Arena, x, y)
		if (op == "/" || op == "%") && t.Kind() != types.KindDouble {
			ownValid(c.Arena, v)
		}
		switch t.Kind() {
		case types.KindInt:
			intOp(c, op, v, v.I32, x.I32, y.I32, sel)
		case types.KindBigint:
			intOp(c, op, v, v.I64, x.I64, y.I64, sel)
		case types.KindDouble:
			doubleOp(op, v.F64, x.F64, y.F64)
		}
		return v
	}
}

func intOp[T int32 | int64](c *Context, op string, v *vector.Vector, out, l, r []T, sel []int32) {
	switch op {
	case "+":
		addRows(out, l, r)
	case "-":
		subRows(out, l, r)
	case "*":
		mulRows(out, l, r)
	case "/":
		divRows(c, v, out, l, r, sel, false)
	case "%":
		divRows(c, v, out, l, r, sel, true)
	}
}

func doubleOp(op string, out, l, r []float64) {
	switch op {
	case "+":
		addRows(out, l, r)
	case "-":
		subRows(out, l, r)
	case "*":
		mulRows(out, l, r)
	case "/":
		for i := range out {
			out[i] = l[i] / r[i]
		}
	case "%":
		for i := range out {
			out[i] = javaMod(l[i], r[i])
		}
	}
}

// decimalArith computes with exact decimals; what does not fit is reported.
func decimalArith(op string, t *types.Type, l, r typed) evaluator {
	s1, s2 := l.typ.Scale(), r.typ.Scale()
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := l.eval(c, b, sel), r.eval(c, b, sel)
		v := vector.New(c.Arena, t, b.N)
		v.Valid = validBoth(c.Arena, x, y)
		ownValid(c.Arena, v)
		for _, i := range sel {
			if v.IsNull(int(i)) {
				continue
			}
			if n, ok := smallOp(op, x.Dec[i], s1, y.Dec[i], s2, t.Scale()); ok && n.FitsInPrecision(int32(t.Precision())) {
				v.Dec[i] = n
				continue
			}
			n, message := decimalOp(op, x.Dec[i].BigInt(), s1, y.Dec[i].BigInt(), s2, t.Scale())
			if message == "" && !types.FitsPrecision(n, t.Precision()) {
				message = "the result has more digits than " + t.String()
			}
			if message != "" {
				c.report(i, message)
				v.Valid.Clear(int(i))
				continue
			}
			v.Dec[i] = decimal128.FromBigInt(n)
		}
		return v
	}
}

func decimalOp(op string, x *big.Int, s1 int, y *big.Int, s2, scale int) (*big.Int, string) {
	switch op {
	case "+":
		return new(big.Int).Add(types.Rescale(x, s1, scale), types.Rescale(y, s2, scale)), ""
	case "-":
		return new(big.Int).Sub(types.Rescale(x, s1, scale), types.Rescale(y, s2, scale)), ""
	case "*":
		return types.Rescale(new(big.Int).Mul(x, y), s1+s2, scale), ""
	}
	if y.Sign() == 0 {
		return nil, "division by zero"
	}
	if op == "%" {
		return new(big.Int).Rem(types.Rescale(x, s1, scale), types.Rescale(y, s2, scale)), ""
	}
	// One digit more than asked for, then round; the cut-off rest can't
	// change a half-up decision on that digit unless it is exactly 5, which
	// it makes larger, so rounding up stays right.
	q := new(big.Int).Quo(types.Rescale(x, s1, s2+scale+1), y)
	// x·10^(s2+scale+1-s1)/y has scale (s2+scale+1)-s2 = scale+1.
	return types.Rescale(q, scale+1, scale), ""
}

func (k *compiler) unary(e *sql.Unary) typed {
	of := k.expr(e.Of)
	if of.typ == nil || e.Op == "+" {
		return of
	}
	if !of.typ.IsNumeric() {
		k.fail(e.Pos(), "Unsupported arithmetic type: -"+described(e.Of, of), "")
		return typed{}
	}
	return foldIf(typed{typ: of.typ, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x := of.eval(c, b, sel)
		v := vector.New(c.Arena, of.typ, b.N)
		v.Valid = x.Valid
		for i := range v.I32 {
			v.I32[i] = -x.I32[i]
		}
		for i := range v.I64 {
			v.I64[i] = -x.I64[i]
		}
		for i := range v.F64 {
			v.F64[i] = -x.F64[i]
		}
		for i := range v.Dec {
			v.Dec[i] = x.Dec[i].Negate()
		}
		return v
	}}, of)
}

// concat joins two strings, or two byte strings.
func (k *compiler) concat(e *sql.Binary, l, r typed) typed {
	t := l.typ
	if t.Kind() != r.typ.Kind() || t.Kind() != types.KindString && t.Kind() != types.KindBytes {
		k.fail(e.Pos(), unsupported(e, l, r), "Only strings can be joined to strings; use CAST, or CONCAT.")
		return typed{}
	}
	return foldIf(typed{typ: t, at: e.Pos(), eval: concatRows(t, l, r)}, l, r)
}

func concatRows(t *types.Type, l, r typed) evaluator {
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := l.eval(c, b, sel), r.eval(c, b, sel)
		v := vector.New(c.Arena, t, b.N)
		v.Valid = validBoth(c.Arena, x, y)
		size, next := 0, 0
		for _, i := range sel {
			size += len(x.Str(int(i))) + len(y.Str(int(i)))
		}
		data := c.Arena.Bytes(size)[:0]
		for _, i := range sel {
			for ; next <= int(i); next++ {
				v.Offsets[next] = int32(len(data))
			}
			data = append(append(data, x.Str(int(i))...), y.Str(int(i))...)
		}
		for ; next <= b.N; next++ {
			v.Offsets[next] = int32(len(data))
		}
		v.Data = data
		return v
	}
}
