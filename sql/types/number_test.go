package types

import (
	"math"
	"testing"
)

func TestParseDouble(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, " -2.5e3 ": -2500, "1d": 1, "0.5F": 0.5, "Infinity": math.Inf(1), "1e400": math.Inf(1), "0x1p4": 16, ".5": 0.5, "5.": 5} {
		if got, ok := ParseDouble(text); !ok || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "d", "1_0", "inf", "infinity", "nan", "1,5", "--1", "0x"} {
		if got, ok := ParseDouble(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
