package format

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestAppendDouble(t *testing.T) {
	for _, x := range []struct {
		f    float64
		want string
	}{
		{0.1, "0.1"}, {100, "100.0"}, {1e7, "1.0E7"}, {-1.5e10, "-1.5E10"}, {1e-3, "0.001"}, {9.5e-4, "9.5E-4"}, {1e21, "1.0E21"},
		{math.SmallestNonzeroFloat64, "4.9E-324"}, {math.MaxFloat64, "1.7976931348623157E308"}, {2.2250738585072014e-308, "2.2250738585072014E-308"},
		{1 << 62, "4.6116860184273879E18"}, {1 << 56, "7.2057594037927936E16"}, {1 << 53, "9.007199254740992E15"}, {-(1 << 63), "-9.223372036854776E18"},
		{2e23, "1.9999999999999998E23"}, {8.41e21, "8.409999999999999E21"}, {math.Ldexp(1, -44), "5.6843418860808015E-14"}, {12345678.9, "1.23456789E7"}, {2e-5, "2.0E-5"},
		{math.Inf(-1), "-Infinity"}, {math.NaN(), "NaN"}, {math.Copysign(0, -1), "-0.0"},
	} {
		if got := string(AppendDouble(nil, x.f)); got != x.want {
			t.Errorf("%g is %s, want %s", x.f, got, x.want)
		}
	}
}

// TestDoubleRoundTrip holds that the text always means the number.
func TestDoubleRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(f float64) {
		text := string(AppendDouble(nil, f))
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != f {
			t.Fatalf("%b is written as %s, which is %b (%v)", f, text, back, err)
		}
	}
	for e := -1074; e < 1024; e++ {
		check(math.Ldexp(1, e))
	}
	for range 200_000 {
		f := math.Float64frombits(r.Uint64())
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			check(f)
		}
		check(math.Ldexp(1+r.Float64(), r.IntN(140)))
		check(float64(r.Int64()))
	}
}
