package window

import "math"

// Statements may name any duration and records any time, so sums saturate.

// plus adds a duration to a time or to another duration.
func plus(t, d int64) int64 {
	if d > 0 && t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// minus takes a duration off a time.
func minus(t, d int64) int64 {
	if d > 0 && t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}
