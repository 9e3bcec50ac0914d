package expr

import (
	"math/big"
	"math/bits"
	"strconv"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Decimals that fit 64 bits, nearly all, are computed in 128 bits without an
// allocation; the others go through big.Int.

// powers are the powers of ten that fit 64 bits.
var powers = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// small reports whether n fits 64 bits.
func small(n decimal128.Num) (int64, bool) {
	low := int64(n.LowBits())
	return low, n.HighBits() == low>>63
}

// scaled returns n times ten to the power of by.
func scaled(n int64, by int) decimal128.Num {
	return decimal128.FromI64(n).Mul(decimal128.FromI64(powers[by]))
}

// smallOp computes x op y for values of the scales s1 and s2 to the given
// scale; false if that needs more than 128 bits.
func smallOp(op string, x decimal128.Num, s1 int, y decimal128.Num, s2, scale int) (decimal128.Num, bool) {
	a, ok1 := small(x)
	b, ok2 := small(y)
	if !ok1 || !ok2 {
		return x, false
	}
	switch op {
	case "*":
		return decimal128.FromI64(a).Mul(decimal128.FromI64(b)), scale == s1+s2
	case "/":
		by := s2 + scale + 1 - s1
		if b == 0 || by < 0 || by >= len(powers) {
			return x, false
		}
		return divide(divide(scaled(a, by), b, 0), 10, 5), true
	}
	if scale < s1 || scale < s2 || scale-s1 >= len(powers) || scale-s2 >= len(powers) {
		return x, false
	}
	l, r := scaled(a, scale-s1), scaled(b, scale-s2)
	switch {
	case op == "+":
		return l.Add(r), true
	case op == "-":
		return l.Sub(r), true
	}
	a, ok1 = small(l)
	b, ok2 = small(r)
	if !ok1 || !ok2 || b == 0 {
		return x, false
	}
	return decimal128.FromI64(a % b), true
}

// divide returns (n + plus·sign(n)) / d toward zero.
func divide(n decimal128.Num, d int64, plus uint64) decimal128.Num {
	negative := n.Sign() < 0 != (d < 0)
	if n = n.Abs(); plus != 0 {
		n = n.Add(decimal128.FromU64(plus))
	}
	by := uint64(d)
	if d < 0 {
		by = -by
	}
	high := uint64(n.HighBits())
	low, _ := bits.Div64(high%by, n.LowBits(), by)
	q := decimal128.New(int64(high/by), low)
	if negative {
		return q.Negate()
	}
	return q
}

// toDecimal converts row i of an INT, BIGINT or DECIMAL; false if it does not
// fit.
func toDecimal(x *vector.Vector, i int, t *types.Type) (decimal128.Num, bool) {
	n, from := decimal128.Num{}, 0
	switch x.Type.Kind() {
	case types.KindInt:
		n = decimal128.FromI64(int64(x.I32[i]))
	case types.KindBigint:
		n = decimal128.FromI64(x.I64[i])
	default:
		n, from = x.Dec[i], x.Type.Scale()
	}
	if a, ok := small(n); ok && t.Scale() >= from && t.Scale()-from < len(powers) {
		n = scaled(a, t.Scale()-from)
		return n, n.FitsInPrecision(int32(t.Precision()))
	}
	b := types.Rescale(n.BigInt(), from, t.Scale())
	if !types.FitsPrecision(b, t.Precision()) {
		return n, false
	}
	return decimal128.FromBigInt(b), true
}

// wholePart returns a decimal's digits before the point, as Java does wrapped
// to 64 bits.
func wholePart(n decimal128.Num, scale int) int64 {
	if a, ok := small(n); ok && scale < len(powers) {
		return a / powers[scale]
	}
	q := new(big.Int).Quo(n.BigInt(), types.PowerOfTen(scale))
	low := new(big.Int).And(q, new(big.Int).SetUint64(1<<64-1))
	return int64(low.Uint64())
}

// decimalFloat returns the nearest DOUBLE.
func decimalFloat(n decimal128.Num, scale int) float64 {
	// A quotient of two numbers that are exact is rounded right.
	if a, ok := small(n); ok && a > -1<<53 && a < 1<<53 && scale < len(powers) && powers[scale] < 1<<53 {
		return float64(a) / float64(powers[scale])
	}
	f, _ := strconv.ParseFloat(types.FormatDecimal(n.BigInt(), scale), 64)
	return f
}
