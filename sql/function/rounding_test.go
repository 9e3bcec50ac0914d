package function

import (
	"math"
	"math/big"
	"testing"

	"karst/sql/types"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"pgregory.net/rapid"
)

// TestRoundDoubleAgainstExact compares the fast ways with exact arithmetic on
// the digits shown.
func TestRoundDoubleAgainstExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e6, 1e6),
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-1e7, 1e7).Draw(t, "n")) / 1000 })).Draw(t, "x")
		places := rapid.IntRange(-3, 6).Draw(t, "places")
		if isSpecial(x) {
			return
		}
		n, scale := shownDigits(x)
		want, cut := x, x
		if places < scale {
			want = fromDigits(roundDecimal(n, scale, places), places)
			cut = fromDigits(new(big.Int).Quo(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-places)), nil)), places)
		}
		if got := roundDouble(x, places); got != want {
			t.Fatalf("ROUND(%v, %d) is %v, want %v", x, places, got, want)
		}
		if got := truncDouble(x, places); got != cut {
			t.Fatalf("TRUNC(%v, %d) is %v, want %v", x, places, got, cut)
		}
	})
}

// TestNaturalLog compares with known values, which math.Log partly misses, and
// roughly with math.Log.
func TestNaturalLog(t *testing.T) {
	for x, want := range map[float64]float64{1: 0, 2: 0.6931471805599453, 3: 1.0986122886681098, 10: 2.302585092994046, 0.5: -0.6931471805599453, 13: 2.5649493574615367} {
		if got := naturalLog(x); got != want {
			t.Errorf("LN(%v) is %v, want %v", x, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(0x1p-1022, math.MaxFloat64).Draw(t, "x")
		got, lib := naturalLog(x), math.Log(x)
		if math.Abs(got-lib) > 4*(math.Nextafter(math.Abs(lib), math.Inf(1))-math.Abs(lib)) {
			t.Fatalf("LN(%v) is %v, the library says %v", x, got, lib)
		}
	})
}

func TestWholeNumbers(t *testing.T) {
	for x, want := range map[float64]int64{0.5: 1, -0.5: 0, 1.5: 2, -1.5: -1, 0.49999999999999994: 0, 1e300: math.MaxInt64, math.Inf(-1): math.MinInt64} {
		if got := javaRound(x); got != want {
			t.Errorf("ROUND(%v) is %d, want %d", x, got, want)
		}
	}
	if got := truncWhole(math.NaN()); got != 0 {
		t.Errorf("TRUNC(NaN) is %d", got)
	}
}

// TestDecimalCuts holds the way of 64 bits to the one of any size.
func TestDecimalCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Int64Range(-2000, 2000), rapid.Int64()).Draw(t, "x")
		from := rapid.IntRange(1, 30).Draw(t, "from")
		places := rapid.IntRange(-5, from-1).Draw(t, "places")
		to := from
		for name, cut := range map[string]decimalCut{"floor": floorCut, "ceil": ceilCut, "trunc": truncCut, "round": roundCut} {
			want := types.Rescale(cut.large(big.NewInt(x), types.PowerOfTen(from-places)), places, to)
			if !types.FitsPrecision(want, types.MaxDecimalPrecision) {
				continue
			}
			if got := cut.apply(decimal128.FromI64(x), from, places, to); got.BigInt().Cmp(want) != 0 {
				t.Fatalf("%s of %d, scale %d, to %d places is %s, want %s", name, x, from, places, got.BigInt(), want)
			}
		}
	})
}
