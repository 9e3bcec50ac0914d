package window

// Touches reports whether a row of time t belongs to the session [start, end]:
// it lies inside or at most Gap outside of it.
func (s *Spec) Touches(start, end, t int64) bool {
	return minus(start, s.Gap) <= t && minus(t, s.Gap) <= end
}

// SessionRange returns the range of session ends (from) and session starts
// (to) that a row of time t could touch: end ≥ from and start ≤ to.
func (s *Spec) SessionRange(t int64) (from, to int64) { return minus(t, s.Gap), plus(t, s.Gap) }

// Merge returns the session that covers both [start, end] and t.
func Merge(start, end, t int64) (int64, int64) { return min(start, t), max(end, t) }

// SessionClosed reports whether a session that ends at end takes no more
// rows. A row is late if the session that it would form, after merging with
// all sessions that it touches, is closed at the stream time which already
// includes the row.
func (s *Spec) SessionClosed(end, streamTime int64) bool {
	return end < s.SessionClosedBefore(streamTime)
}

// SessionClosedBefore returns the smallest session end that is still open.
func (s *Spec) SessionClosedBefore(streamTime int64) int64 {
	return minus(streamTime, plus(s.Gap, s.Grace))
}
