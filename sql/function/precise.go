package function

import "math"

// Java's mathematical functions round right in nearly all cases; those of Go's
// package math are often a unit in the last place off, which shows in what
// users compare. The functions here compute with twice the digits, as sums of
// two doubles, and round once at the end.

// A pair is a number as the sum of two doubles, lo being at most half a unit
// in the last place of hi.
type pair struct{ hi, lo float64 }

// sum2 returns a + b exactly.
func sum2(a, b float64) pair {
	s := a + b
	t := s - a
	return pair{s, (a - (s - t)) + (b - t)}
}

// fast2 is sum2 for |a| ≥ |b|.
func fast2(a, b float64) pair {
	s := a + b
	return pair{s, b - (s - a)}
}

// product2 returns a·b exactly.
func product2(a, b float64) pair {
	p := a * b
	return pair{p, math.FMA(a, b, -p)}
}

func (a pair) add(b pair) pair {
	s, t := sum2(a.hi, b.hi), sum2(a.lo, b.lo)
	s = fast2(s.hi, s.lo+t.hi)
	return fast2(s.hi, s.lo+t.lo)
}

func (a pair) mul(b pair) pair {
	p := product2(a.hi, b.hi)
	return fast2(p.hi, p.lo+(a.hi*b.lo+a.lo*b.hi))
}

func (a pair) neg() pair { return pair{-a.hi, -a.lo} }

func (a pair) times(f float64) pair { return a.mul(pair{f, 0}) }

func (a pair) div(b pair) pair {
	q := a.hi / b.hi
	r := a.add(b.times(q).neg())
	q2 := r.hi / b.hi
	r = r.add(b.times(q2).neg())
	s := fast2(q, q2)
	return s.add(pair{r.hi / b.hi, 0})
}

// value rounds to one double.
func (a pair) value() float64 { return a.hi + a.lo }

// factorials are 1/n! for the power series.
var factorials = func() (f [32]pair) {
	f[0] = pair{1, 0}
	for n := 1; n < len(f); n++ {
		f[n] = f[n-1].div(pair{float64(n), 0})
	}
	return f
}()

// The constants are sums of doubles too.
var (
	ln2    = pair{0.6931471805599453, 2.3190468138462996e-17}
	halfPi = [3]float64{1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33}
)

// expPair is e to the power of x, for |x| ≤ 745, as m·2^exp.
func expPair(x pair) (m pair, exp int) {
	n := math.Round(x.hi / ln2.hi)
	r := x.add(ln2.times(-n))
	const halvings = 5
	r.hi, r.lo = math.Ldexp(r.hi, -halvings), math.Ldexp(r.lo, -halvings)
	sum, power := pair{}, pair{1, 0}
	for k := 1; k <= 12; k++ {
		power = power.mul(r)
		sum = sum.add(power.mul(factorials[k]))
	}
	for range halvings { // (1+s)² - 1 = 2s + s²
		sum = sum.times(2).add(sum.mul(sum))
	}
	return pair{1, 0}.add(sum), int(n)
}

func scale(m pair, exp int) float64 { return math.Ldexp(m.value(), exp) }

func exp(x float64) float64 {
	if math.IsNaN(x) || x > 709.9 || x < -745.2 {
		return math.Exp(x)
	}
	return scale(expPair(pair{x, 0}))
}

// logPair is the natural logarithm of a finite x > 0: one Newton step from the
// library's.
func logPair(x float64) pair {
	frac, exp := math.Frexp(x)
	if frac < math.Sqrt2/2 {
		frac, exp = frac*2, exp-1
	}
	y := math.Log(frac)
	m, n := expPair(pair{-y, 0})
	m.hi, m.lo = math.Ldexp(m.hi, n), math.Ldexp(m.lo, n)
	rest := m.times(frac).add(pair{-1, 0}) // frac·e⁻ʸ - 1, nearly 0
	rest = rest.add(rest.mul(rest).times(-0.5))
	return ln2.times(float64(exp)).add(sum2(y, 0).add(rest))
}

func naturalLog(x float64) float64 {
	if x <= 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return math.Log(x)
	}
	return logPair(x).value()
}

// logTo is the logarithm of x to base b; bases that have none give NaN.
func logTo(b, x float64) float64 {
	if b <= 0 || b == 1 {
		return math.NaN()
	}
	return naturalLog(x) / naturalLog(b)
}

func power(x, y float64) float64 {
	special := math.Pow(x, y)
	if special == 0 || math.IsNaN(special) || math.IsInf(special, 0) || math.IsInf(y, 0) || x == 0 || math.IsInf(x, 0) {
		return special
	}
	of := logPair(math.Abs(x)).times(y)
	if math.Abs(of.hi) > 700 {
		return special
	}
	return math.Copysign(scale(expPair(of)), special)
}

// maxAngle is where the reduction of angles has not enough digits any more.
const maxAngle = 1 << 30

// sinCos are the sine and cosine of |x| ≤ maxAngle.
func sinCos(x float64) (sin, cos pair) {
	n := math.Round(x / halfPi[0])
	r := pair{x, 0}
	for _, part := range halfPi {
		r = r.add(product2(-n, part))
	}
	square := r.mul(r)
	sin, cos = series(r, square, 1), series(pair{1, 0}, square, 0)
	switch int64(n) & 3 {
	case 1:
		return cos, sin.neg()
	case 2:
		return sin.neg(), cos.neg()
	case 3:
		return cos.neg(), sin
	}
	return sin, cos
}

// series adds up term/k!, -term·square/(k+2)!, ….
func series(term, square pair, k int) pair {
	sum := pair{}
	for ; k < 28; k += 2 {
		sum = sum.add(term.mul(factorials[k]))
		term = term.mul(square).neg()
	}
	return sum
}

// angular makes a function of an angle of what it is of the angle's sine and
// cosine; of library where that does not reach.
func angular(of func(sin, cos pair) pair, library func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		if x == 0 || !(math.Abs(x) <= maxAngle) || math.Abs(x) < 1e-150 {
			return library(x)
		}
		return of(sinCos(x)).value()
	}
}

var (
	sine    = angular(func(s, _ pair) pair { return s }, math.Sin)
	cosine  = angular(func(_, c pair) pair { return c }, math.Cos)
	tangent = angular(pair.div, math.Tan)
)

// arc is the angle of the point (x, y), a step from the library's.
func arc(y, x pair) float64 {
	a := math.Atan2(y.hi, x.hi)
	s, c := sinCos(a)
	// The tangent of what is missed is the missed angle, it is so small.
	missed := y.mul(c).add(x.mul(s).neg()).div(x.mul(c).add(y.mul(s)))
	return pair{a, 0}.add(missed).value()
}

// ordinary reports whether a number is neither so small nor so large that
// products of it lose digits.
func ordinary(x float64) bool { a := math.Abs(x); return a > 1e-100 && a < 1e100 }

func atan2(y, x float64) float64 {
	if !ordinary(x) || !ordinary(y) {
		return math.Atan2(y, x)
	}
	return arc(pair{y, 0}, pair{x, 0})
}

func atan(x float64) float64 {
	if !ordinary(x) {
		return math.Atan(x)
	}
	return arc(pair{x, 0}, pair{1, 0})
}

// legs returns √(1-x²).
func legs(x float64) pair {
	of := sum2(1, -x).mul(sum2(1, x))
	root := math.Sqrt(of.hi)
	rest := of.add(product2(-root, root))
	return fast2(root, rest.hi/(2*root))
}

func asin(x float64) float64 {
	if !ordinary(x) || math.Abs(x) >= 1 {
		return math.Asin(x)
	}
	return arc(pair{x, 0}, legs(x))
}

func acos(x float64) float64 {
	if !ordinary(x) || math.Abs(x) >= 1 {
		return math.Acos(x)
	}
	return arc(legs(x), pair{x, 0})
}

func cubeRoot(x float64) float64 {
	y := math.Cbrt(x)
	if !ordinary(x) {
		return y
	}
	cube := product2(y, y).times(y)
	rest := pair{x, 0}.add(cube.neg())
	return pair{y, 0}.add(pair{rest.hi / (3 * y * y), 0}).value()
}

// hyperbolic makes a function of what it is of eˣ and e⁻ˣ; of library where
// that does not reach.
func hyperbolic(of func(up, down pair) pair, library func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		if !(math.Abs(x) < 300) || math.Abs(x) < 1e-5 {
			return library(x)
		}
		up, n := expPair(pair{x, 0})
		up.hi, up.lo = math.Ldexp(up.hi, n), math.Ldexp(up.lo, n)
		return of(up, pair{1, 0}.div(up)).value()
	}
}

var (
	hyperbolicSine    = hyperbolic(func(up, down pair) pair { return up.add(down.neg()).times(0.5) }, math.Sinh)
	hyperbolicCosine  = hyperbolic(func(up, down pair) pair { return up.add(down).times(0.5) }, math.Cosh)
	hyperbolicTangent = hyperbolic(func(up, down pair) pair { return up.add(down.neg()).div(up.add(down)) }, math.Tanh)
)
