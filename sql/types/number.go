package types

import (
	"math"
	"strconv"
	"strings"
)

// ParseDouble reads a number as Java's Double.parseDouble does: blanks around
// it, a D or F behind it, NaN and Infinity in these spellings. What is too large
// is infinite.
func ParseDouble(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	switch text {
	case "NaN", "+NaN", "-NaN":
		return math.NaN(), true
	case "Infinity", "+Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	hex := strings.ContainsAny(text, "xX")
	if n := len(text) - 1; n > 0 && strings.IndexByte("dDfF", text[n]) >= 0 && !hex {
		text = text[:n]
	}
	if text == "" || strings.ContainsAny(text, "_iInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil || math.IsInf(f, 0)
}
