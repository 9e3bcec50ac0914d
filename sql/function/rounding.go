package function

import (
	"math"
	"math/big"
	"strconv"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// roundingSignatures are those of ROUND and TRUNC: without a number of
// decimals the result is a whole number, BIGINT or a DECIMAL of scale 0.
func roundingSignatures(whole func(float64) int64, places func(x float64, n int) float64, decimal decimalCut) []Signature {
	return []Signature{
		scalar("val BIGINT", types.Bigint, func(c *Call) (*vector.Vector, error) { return c.Args[0], nil }),
		scalar("val INT", types.Bigint, bigintKernel(types.Bigint, func(c *Call, i int) (int64, bool) { return int64(c.Args[0].I32[i]), true })),
		scalar("val DOUBLE", types.Bigint, bigintKernel(types.Bigint, func(c *Call, i int) (int64, bool) { return whole(c.Args[0].F64[i]), true })),
		scalar("val DOUBLE, decimalPlaces INT", types.Double, func(c *Call) (*vector.Vector, error) {
			v := vector.New(c.Arena, types.Double, c.N)
			for _, i := range c.Sel {
				v.F64[i] = places(c.Args[0].F64[i], int(c.Args[1].I32[i]))
			}
			return v, nil
		}),
		{Params: params("val DECIMAL"), Returns: wholeDecimalType, Scalar: decimalPlaces(decimal)},
		{Params: params("val DECIMAL, decimalPlaces INT"), Returns: sameAs(0), Scalar: decimalPlaces(decimal)},
	}
}

// wholeDecimalType is the DECIMAL of the argument's digits before the point.
func wholeDecimalType(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
	t := args[0].Type
	return types.MustDecimal(min(types.MaxDecimalPrecision, max(t.Precision()-t.Scale(), 1)), 0), nil
}

// decimalPlaces rounds DECIMALs. As in ksqlDB a value rounded up may have one
// digit more than its type.
func decimalPlaces(cut decimalCut) func(args []Arg) (ScalarKernel, error) {
	return func(args []Arg) (ScalarKernel, error) {
		from, to := args[0].Type, args[0].Type
		if len(args) == 1 {
			to, _ = wholeDecimalType(args, nil)
		}
		return func(c *Call) (*vector.Vector, error) {
			v := vector.New(c.Arena, to, c.N)
			for _, i := range c.Sel {
				places := 0
				if len(c.Args) == 2 {
					places = int(c.Args[1].I32[i])
				}
				v.Dec[i] = c.Args[0].Dec[i]
				if places = max(places, -types.MaxDecimalPrecision); places < from.Scale() {
					v.Dec[i] = cut.apply(v.Dec[i], from.Scale(), places, to.Scale())
				}
			}
			return v, nil
		}, nil
	}
}

// maxDigits is more than any DOUBLE has.
const maxDigits = 700

// A decimalCut divides an unscaled value by a unit, rounding in its way: of 64
// bits, and of any size.
type decimalCut struct {
	small func(n, unit int64) int64
	large func(n, unit *big.Int) *big.Int
}

var (
	floorCut = decimalCut{floorDiv, func(n, unit *big.Int) *big.Int { return new(big.Int).Div(n, unit) }}
	ceilCut  = decimalCut{func(n, unit int64) int64 { return -floorDiv(-n, unit) }, func(n, unit *big.Int) *big.Int {
		q := new(big.Int).Div(new(big.Int).Neg(n), unit)
		return q.Neg(q)
	}}
	truncCut = decimalCut{func(n, unit int64) int64 { return n / unit }, func(n, unit *big.Int) *big.Int { return new(big.Int).Quo(n, unit) }}
	// roundCut rounds halves up.
	roundCut = decimalCut{func(n, unit int64) int64 { return floorDiv(n+unit/2, unit) }, func(n, unit *big.Int) *big.Int {
		half := new(big.Int).Rsh(unit, 1)
		return half.Div(half.Add(half, n), unit)
	}}
)

// smallPowers are the powers of ten that leave room for a sum in 64 bits.
var smallPowers = func() (p [18]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// apply cuts x, of the scale from, after places decimals, fewer than from, and
// gives it the scale to, not below places.
func (cut decimalCut) apply(x decimal128.Num, from, places, to int) decimal128.Num {
	low := int64(x.LowBits())
	if fits := x.HighBits() == low>>63 && low > -1<<62 && low < 1<<62; fits && from-places < len(smallPowers) && to-places < len(smallPowers) {
		return decimal128.FromI64(cut.small(low, smallPowers[from-places])).Mul(decimal128.FromI64(smallPowers[to-places]))
	}
	n := cut.large(x.BigInt(), types.PowerOfTen(from-places))
	return decimal128.FromBigInt(types.Rescale(n, places, to))
}

// roundDecimal rounds n / 10^scale, halves up.
func roundDecimal(n *big.Int, scale, places int) *big.Int {
	return roundCut.large(n, types.PowerOfTen(scale-places))
}

// javaRound is Java's Math.round: the nearest whole number, halves up. What is
// out of range becomes the nearest BIGINT, NaN becomes 0.
func javaRound(x float64) int64 {
	f := math.Floor(x)
	if x-f >= 0.5 {
		f++
	}
	return saturate(f)
}

func truncWhole(x float64) int64 { return saturate(math.Trunc(x)) }

func saturate(f float64) int64 {
	switch {
	case f != f:
		return 0
	case f >= 1<<63:
		return math.MaxInt64
	case f < -1<<63:
		return math.MinInt64
	}
	return int64(f)
}

// roundDouble rounds the decimal number that a DOUBLE is shown as, halves up.
func roundDouble(x float64, places int) float64 {
	if isSpecial(x) || places > 300 || places >= 0 && x == math.Trunc(x) {
		return x
	}
	if places >= 0 && places <= 15 {
		// Without a big number, unless the number shown may lie on a half.
		p := math.Pow10(places)
		y := x * p
		if f := math.Floor(y); math.Abs(y) < 1<<40 && math.Abs(y-f-0.5) > 1e-3 {
			return math.Floor(y+0.5) / p
		}
	}
	n, scale := shownDigits(x)
	if places >= scale {
		return x
	}
	return fromDigits(roundDecimal(n, scale, max(places, scale-maxDigits)), places)
}

// truncDouble cuts the decimal number that a DOUBLE is shown as.
func truncDouble(x float64, places int) float64 {
	if isSpecial(x) || places >= 0 && x == math.Trunc(x) {
		return x
	}
	n, scale := shownDigits(x)
	if places >= scale {
		return x
	}
	return fromDigits(n.Quo(n, types.PowerOfTen(min(scale-places, maxDigits))), places)
}

func isSpecial(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) || x == 0 }

// shownDigits returns x as n / 10^scale with the shortest digits that mean x.
func shownDigits(x float64) (n *big.Int, scale int) {
	text := strconv.FormatFloat(x, 'f', -1, 64)
	digits := make([]byte, 0, len(text))
	for k := range len(text) {
		if text[k] == '.' {
			scale = len(text) - 1 - k
			continue
		}
		digits = append(digits, text[k])
	}
	n, _ = new(big.Int).SetString(string(digits), 10)
	return n, scale
}

// fromDigits returns n / 10^scale.
func fromDigits(n *big.Int, scale int) float64 {
	x, _ := strconv.ParseFloat(n.String()+"e"+strconv.Itoa(-scale), 64)
	return x
}
