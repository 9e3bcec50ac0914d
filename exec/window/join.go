package window

import "math"

// A Join is the time condition of a stream–stream join:
// left - Before ≤ right ≤ left + After, durations in ms.
type Join struct {
	Before, After int64
	Grace         int64 // DefaultGrace if the statement gave none
}

// RightRange returns the times of the right rows, both ends inclusive, that
// join a left row of time t.
func (j *Join) RightRange(t int64) (from, to int64) {
	return max(0, minus(t, j.Before)), plus(t, j.After)
}

// LeftRange returns the times of the left rows, both ends inclusive, that
// join a right row of time t.
func (j *Join) LeftRange(t int64) (from, to int64) {
	return max(0, minus(t, j.After)), plus(t, j.Before)
}

// Retention is how long a side keeps its rows, measured in that side's own
// stream time.
func (j *Join) Retention() int64 { return plus(plus(j.Before, j.After), j.Grace) }

// Horizon returns the least row time that a side still keeps and finds when
// its own stream time is sideTime; a row older than it is not kept at all.
func (j *Join) Horizon(sideTime int64) int64 {
	if sideTime < 0 {
		return math.MinInt64
	}
	return minus(sideTime, j.Retention())
}

// LeftClosed reports whether no right row can come any more for a left row of
// time t, so that an outer join gives it up. streamTime is that of both sides
// together.
func (j *Join) LeftClosed(t, streamTime int64) bool {
	return t < minus(streamTime, plus(j.After, j.Grace))
}

// RightClosed is LeftClosed for a right row.
func (j *Join) RightClosed(t, streamTime int64) bool {
	return t < minus(streamTime, plus(j.Before, j.Grace))
}
