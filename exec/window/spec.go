package window

import (
	"math"

	"karst/sql/types"
)

// DefaultGrace is the grace period where none is given: 24 hours in ms.
const DefaultGrace int64 = 24 * 60 * 60 * 1000

// A Kind is a kind of window.
type Kind uint8

// The kinds of windows.
const (
	Tumbling Kind = iota + 1
	Hopping
	Session
)

// A Spec describes the windows of one operator. It is made by New and
// immutable; all durations are in ms.
type Spec struct {
	Kind      Kind
	Size      int64 // of time windows
	Advance   int64 // of time windows; Size if tumbling
	Gap       int64 // of sessions
	Grace     int64
	Retention int64
}

// New returns the spec of a window clause. advance is used by hopping windows
// only and gap by sessions only. A nil grace means DefaultGrace, a nil
// retention the shortest possible. Faults are *types.Error without a position.
func New(kind Kind, size, advance, gap int64, grace, retention *int64) (Spec, error) {
	s := Spec{Kind: kind, Grace: DefaultGrace}
	if grace != nil {
		s.Grace = *grace
	}
	switch kind {
	case Tumbling:
		s.Size, s.Advance = size, size
	case Hopping:
		s.Size, s.Advance = size, advance
	case Session:
		s.Gap = gap
	default:
		panic("window: unknown kind")
	}
	s.Retention = s.minRetention()
	if retention != nil {
		s.Retention = *retention
	}
	return s, s.validate()
}

func (s *Spec) minRetention() int64 {
	if s.Kind == Session {
		return plus(s.Gap, s.Grace)
	}
	return plus(s.Size, s.Grace)
}

func (s *Spec) validate() error {
	fault := func(format string, args ...any) error {
		return types.Errorf(types.ErrStatement, types.Pos{}, format, args...)
	}
	switch {
	case s.Kind == Session && s.Gap <= 0:
		return fault("the gap of a SESSION window must be positive, but is %d ms", s.Gap)
	case s.Kind != Session && s.Size <= 0:
		return fault("the size of a window must be positive, but is %d ms", s.Size)
	case s.Kind == Hopping && s.Advance <= 0:
		return fault("the ADVANCE BY of a HOPPING window must be positive, but is %d ms", s.Advance)
	case s.Kind == Hopping && s.Advance > s.Size:
		return fault("the ADVANCE BY of a HOPPING window (%d ms) must not exceed its size (%d ms)", s.Advance, s.Size)
	case s.Grace < 0:
		return fault("the GRACE PERIOD of a window must not be negative, but is %d ms", s.Grace)
	case s.Retention < s.minRetention():
		return fault("the RETENTION of a window (%d ms) must be at least its size and grace period together (%d ms)", s.Retention, s.minRetention())
	}
	return nil
}

// FirstStart returns the start of the earliest window that holds time t,
// which must not be negative. The others follow Advance apart up to t.
func (s *Spec) FirstStart(t int64) int64 {
	return max(0, t-s.Size+s.Advance) / s.Advance * s.Advance
}

// LastStart returns the start of the latest window that holds time t.
func (s *Spec) LastStart(t int64) int64 { return t / s.Advance * s.Advance }

// End returns the exclusive end of the time window that begins at start.
func (s *Spec) End(start int64) int64 { return plus(start, s.Size) }

// Closed reports whether the time window that begins at start takes no more
// rows. A row is late for a window that is closed at the stream time which
// already includes the row itself.
func (s *Spec) Closed(start, streamTime int64) bool { return start < s.ClosedBefore(streamTime) }

// ClosedBefore returns the smallest start that is still open: windows that
// begin before it are closed.
func (s *Spec) ClosedBefore(streamTime int64) int64 {
	return minus(streamTime, plus(s.Size-1, s.Grace))
}

// Horizon returns the least time (start of a time window, end of a session)
// that is still in retention. What is before it is expired and no reader may
// see it. Before the first row (negative stream time) nothing is expired.
func (s *Spec) Horizon(streamTime int64) int64 {
	if streamTime < 0 {
		return math.MinInt64
	}
	if s.Kind == Session {
		return minus(streamTime, s.Retention)
	}
	return minus(s.LastStart(streamTime), s.Retention)
}
