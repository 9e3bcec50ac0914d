package function

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const bigPrecision = 300

func bigOf(x float64) *big.Float { return new(big.Float).SetPrec(bigPrecision).SetFloat64(x) }

func bigNew() *big.Float { return new(big.Float).SetPrec(bigPrecision) }

// bigSeries adds up term·x^step/(k+1)…(k+step) from term, the sign alternating
// if it is -1.
func bigSeries(term, x *big.Float, k, step int, sign float64) *big.Float {
	sum := bigNew().Set(term)
	term = bigNew().Set(term)
	for term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-bigPrecision {
		for range step {
			k++
			term.Mul(term, x).Quo(term, bigOf(float64(k)))
		}
		term.Mul(term, bigOf(sign))
		sum.Add(sum, term)
	}
	return sum
}

// The slow functions are power series over many digits, good for |x| < 30.
func slowExp(x *big.Float) *big.Float { return bigSeries(bigOf(1), x, 0, 1, 1) }
func slowSin(x *big.Float) *big.Float { return bigSeries(x, x, 1, 2, -1) }
func slowCos(x *big.Float) *big.Float { return bigSeries(bigOf(1), x, 0, 2, -1) }

func slowTan(x *big.Float) *big.Float { return bigNew().Quo(slowSin(x), slowCos(x)) }

// between reports whether the increasing function of takes the numbers half a
// unit in the last place around got to both sides of x.
func between(of func(*big.Float) *big.Float, got float64, x float64) bool {
	half := func(to float64) *big.Float {
		m := bigNew().Add(bigOf(got), bigOf(math.Nextafter(got, to)))
		return of(m.Quo(m, bigOf(2)))
	}
	return half(math.Inf(-1)).Cmp(bigOf(x)) <= 0 && half(math.Inf(1)).Cmp(bigOf(x)) >= 0
}

// TestPrecise holds the functions to being rounded right.
func TestPrecise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		x := (r.Float64() - 0.5) * math.Ldexp(1, r.IntN(10)-5)
		for name, f := range map[string]struct {
			fast func(float64) float64
			slow func(*big.Float) *big.Float
		}{
			"EXP": {exp, slowExp}, "SIN": {sine, slowSin}, "COS": {cosine, slowCos}, "TAN": {tangent, slowTan},
			"SINH": {hyperbolicSine, func(x *big.Float) *big.Float {
				d := bigNew().Sub(slowExp(x), slowExp(bigNew().Neg(x)))
				return d.Quo(d, bigOf(2))
			}},
		} {
			if want, _ := f.slow(bigOf(x)).Float64(); f.fast(x) != want {
				t.Fatalf("%s(%v) is %v, want %v", name, x, f.fast(x), want)
			}
		}
		unit := r.Float64()*2 - 1
		for name, ok := range map[string]bool{
			"LN":   between(slowExp, naturalLog(math.Abs(x)), math.Abs(x)),
			"ATAN": between(slowTan, atan(x), x),
			"ASIN": between(slowSin, asin(unit), unit),
			"ACOS": between(func(y *big.Float) *big.Float { return slowCos(bigNew().Neg(y)).Neg(slowCos(y)) }, acos(unit), -unit),
			"CBRT": between(func(y *big.Float) *big.Float { return bigNew().Mul(y, bigNew().Mul(y, y)) }, cubeRoot(x), x),
		} {
			if !ok {
				t.Fatalf("%s(%v or %v) is not rounded right", name, x, unit)
			}
		}
	}
}

func TestPower(t *testing.T) {
	for _, x := range []struct{ base, exponent, want float64 }{
		{2, 10, 1024}, {10, -2, 0.01}, {-2, 3, -8}, {0, 0, 1}, {0, -1, math.Inf(1)}, {9, 0.5, 3}, {-8, 1.0 / 3, math.NaN()}, {1.1, 2, 1.2100000000000002},
		{2, 1023, math.Ldexp(1, 1023)}, {2, -1074, math.Ldexp(1, -1074)}, {math.Inf(-1), 3, math.Inf(-1)}, {7, 20, 79792266297612001},
	} {
		if got := power(x.base, x.exponent); got != x.want && !(math.IsNaN(got) && math.IsNaN(x.want)) {
			t.Errorf("POWER(%v, %v) is %v, want %v", x.base, x.exponent, got, x.want)
		}
	}
	for _, f := range []func(float64) float64{exp, sine, cosine, tangent, asin, acos, atan, hyperbolicSine, hyperbolicCosine, hyperbolicTangent, cubeRoot, naturalLog} {
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64, math.SmallestNonzeroFloat64, -1, 1, 1e20} {
			f(x) // has a value
		}
	}
}
