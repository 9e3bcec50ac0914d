package types

import (
	"math/big"
	"strconv"
	"strings"
)

// PowerOfTen returns 10 to the power of n.
func PowerOfTen(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// ParseDecimal returns the unscaled value of the number in text, rounded half
// up to scale; false if text is not a number or has more digits than
// precision.
func ParseDecimal(text string, precision, scale int) (*big.Int, bool) {
	mantissa, exp := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil || n > 1000 || n < -1000 {
			return nil, false
		}
		mantissa, exp = text[:i], n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return nil, false
	}
	n = Rescale(n, len(fraction)-exp, scale)
	return n, FitsPrecision(n, precision)
}

// Rescale turns an unscaled value of scale from into one of scale to, rounding
// half up (away from zero).
func Rescale(n *big.Int, from, to int) *big.Int {
	if to >= from {
		return new(big.Int).Mul(n, PowerOfTen(to-from))
	}
	div := PowerOfTen(from - to)
	q, r := new(big.Int).QuoRem(n, div, new(big.Int))
	if r.Abs(r).Lsh(r, 1).Cmp(div) >= 0 {
		q.Add(q, big.NewInt(int64(n.Sign())))
	}
	return q
}

// FitsPrecision reports whether an unscaled value has at most precision digits.
func FitsPrecision(n *big.Int, precision int) bool { return n.CmpAbs(PowerOfTen(precision)) < 0 }

// FormatDecimal returns an unscaled value as plain digits with scale decimals.
func FormatDecimal(n *big.Int, scale int) string {
	s := new(big.Int).Abs(n).String()
	if scale > 0 {
		if len(s) <= scale {
			s = strings.Repeat("0", scale-len(s)+1) + s
		}
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return s
}
