package format

import (
	"math"
	"math/big"
	"strconv"
)

// AppendDouble appends f as Java's Double.toString does in the releases that
// ksqlDB runs on: at least one decimal, and computerized scientific notation
// outside 1e-3 ≤ |f| < 1e7. Within these bounds the digits are the shortest
// that mean f; outside, javaDigits says which they are.
func AppendDouble(buf []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(buf, "NaN"...)
	case math.IsInf(f, 1):
		return append(buf, "Infinity"...)
	case math.IsInf(f, -1):
		return append(buf, "-Infinity"...)
	case f == 0 && math.Signbit(f):
		return append(buf, "-0.0"...)
	case f == 0:
		return append(buf, "0.0"...)
	}
	if a := math.Abs(f); a >= 1e-3 && a < 1e7 {
		start := len(buf)
		buf = strconv.AppendFloat(buf, f, 'f', -1, 64)
		for _, c := range buf[start:] {
			if c == '.' {
				return buf
			}
		}
		return append(buf, '.', '0')
	}
	if f < 0 {
		buf, f = append(buf, '-'), -f
	}
	var tmp [32]byte
	digits, exp := javaDigits(tmp[:0], f)
	buf = append(buf, digits[0], '.')
	if len(digits) == 1 {
		buf = append(buf, '0')
	}
	buf = append(append(buf, digits[1:]...), 'E')
	return strconv.AppendInt(buf, int64(exp), 10)
}

// maxWhole is where doubles stop to fit 64 bits.
const maxWhole = 1 << 63

// javaDigits appends the digits d₁d₂… of f > 0, without zeros at the end, and
// returns the exponent of d₁.d₂…. Java differs from the shortest digits in
// three ways, all known as bug JDK-4511638: whole numbers of 64 bits show all
// digits above their last bit's weight; a power of two, and a number whose
// shortest digits lie half way to its neighbour, get more digits; and there
// are two digits at least, so that the smallest number is 4.9E-324.
func javaDigits(buf []byte, f float64) (digits []byte, exp int) {
	fraction, power := math.Frexp(f)
	if f < maxWhole && f == math.Trunc(f) {
		return wholeDigits(buf, uint64(f), power-1)
	}
	if f >= maxWhole || fraction == 0.5 {
		return longDigits(buf, f)
	}
	digits, exp = splitExponent(strconv.AppendFloat(buf, f, 'e', -1, 64))
	if len(digits) == 1 {
		digits, exp = splitExponent(strconv.AppendFloat(buf, f, 'e', 1, 64))
	}
	return trimZeros(digits), exp
}

// splitExponent takes d.ddde±dd apart, in place.
func splitExponent(text []byte) (digits []byte, exp int) {
	digits = text[:1]
	for i, c := range text[1:] {
		switch c {
		case '.':
		case 'e':
			exp, _ = strconv.Atoi(string(text[i+2:]))
			return digits, exp
		default:
			digits = append(digits, c)
		}
	}
	return digits, 0
}

func trimZeros(digits []byte) []byte {
	n := len(digits)
	for n > 1 && digits[n-1] == '0' {
		n--
	}
	return digits[:n]
}

// wholeDigits rounds away the digits below the weight of the last of 53 bits.
func wholeDigits(buf []byte, n uint64, power int) (digits []byte, exp int) {
	unit, zeros := uint64(1), 0
	for power > 55 && unit*10 <= 1<<(power-54) {
		unit, zeros = unit*10, zeros+1
	}
	n = (n + unit/2) / unit
	digits = strconv.AppendUint(buf, n, 10)
	return trimZeros(digits), len(digits) - 1 + zeros
}

// longDigits generates digits until they are nearer to f than half its
// distance to the next smaller number.
func longDigits(buf []byte, f float64) (digits []byte, exp int) {
	fraction, power := math.Frexp(f)
	power = max(power-53, -1074) // of the last bit
	rest, half, scale := big.NewInt(int64(math.Ldexp(f, -power))), big.NewInt(1), big.NewInt(1)
	// f = rest/scale and half/scale is the bound.
	shift := 1
	if fraction == 0.5 {
		shift = 2
	}
	if power >= shift {
		rest.Lsh(rest, uint(power))
		half.Lsh(half, uint(power-shift))
	} else {
		rest.Lsh(rest, uint(shift))
		scale.Lsh(scale, uint(shift-power))
	}
	exp = int(math.Floor(math.Log10(f)))
	ten := big.NewInt(10)
	if exp > 0 {
		scale.Mul(scale, new(big.Int).Exp(ten, big.NewInt(int64(exp)), nil))
	} else {
		up := new(big.Int).Exp(ten, big.NewInt(int64(-exp)), nil)
		rest.Mul(rest, up)
		half.Mul(half, up)
	}
	for ; rest.Cmp(scale) < 0; exp-- { // the logarithm may have been rounded up
		rest.Mul(rest, ten)
		half.Mul(half, ten)
	}
	digit, sum := new(big.Int), new(big.Int)
	for n := 0; ; n++ {
		digit.QuoRem(rest, scale, rest)
		buf = append(buf, '0'+byte(digit.Int64()))
		low, high := rest.Cmp(half) < 0, sum.Add(rest, half).Cmp(scale) > 0
		if n > 0 && (low || high) {
			return roundDigits(buf, high && (!low || sum.Lsh(rest, 1).Cmp(scale) >= 0), exp)
		}
		rest.Mul(rest, ten)
		half.Mul(half, ten)
	}
}

// roundDigits ends a number's digits, one added to the last if up is set.
func roundDigits(digits []byte, up bool, exp int) ([]byte, int) {
	if up {
		n := len(digits) - 1
		for n >= 0 && digits[n] == '9' {
			n--
		}
		if n < 0 {
			return append(digits[:0], '1'), exp + 1
		}
		digits[n]++
		digits = digits[:n+1]
	}
	return trimZeros(digits), exp
}
