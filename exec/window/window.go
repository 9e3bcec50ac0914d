// Package window is the arithmetic of windows: which windows a time falls in,
// when they close, what is late. It is pure.
package window

// DefaultGraceMS is how long a window takes late rows if no GRACE PERIOD is
// given, as in ksqlDB: 24 hours.
const DefaultGraceMS = 24 * 60 * 60 * 1000

// A Spec describes windows of fixed size, in milliseconds: tumbling ones if
// Advance equals Size, else hopping. Session windows have a Gap instead.
type Spec struct {
	Size, Advance int64
	Gap           int64
	Grace         int64
}

// Session reports whether the windows are sessions.
func (s Spec) Session() bool { return s.Gap > 0 }

// First returns the start of the earliest window that holds time t; windows
// start at multiples of Advance and none before 0 unless t is negative.
func (s Spec) First(t int64) int64 {
	return max(0, floorDiv(t-s.Size+s.Advance, s.Advance)*s.Advance)
}

// Each calls f with the start of every window that holds t, earliest first.
func (s Spec) Each(t int64, f func(start int64)) {
	for start := s.First(t); start <= t; start += s.Advance {
		f(start)
	}
}

// Late reports whether a window that ends at end takes no rows any more.
func (s Spec) Late(end, streamTime int64) bool { return end+s.Grace <= streamTime }

// SessionLate reports whether a session of one row at time t would already be
// closed.
func (s Spec) SessionLate(t, streamTime int64) bool { return t+s.Gap+s.Grace < streamTime }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
