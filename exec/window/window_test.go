package window

import (
	"errors"
	"math"
	"slices"
	"testing"

	"karst/sql/types"

	"pgregory.net/rapid"
)

func ptr(x int64) *int64 { return &x }

func mustNew(t *testing.T, kind Kind, size, advance, gap int64, grace, retention *int64) Spec {
	t.Helper()
	s, err := New(kind, size, advance, gap, grace, retention)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A pair is a row and the start of a window.
type pair struct {
	row   int32
	start int64
}

// slowAssign tries every multiple of the advance as a start, row by row.
func slowAssign(size, advance, grace int64, times []int64, sel []int32, streamTime int64) (got []pair, late []int32, end int64) {
	for _, row := range sel {
		t := times[row]
		if t < 0 {
			continue
		}
		if t > streamTime {
			streamTime = t
		}
		refused := false
		for start := int64(0); start <= t; start += advance {
			switch {
			case t >= start+size:
			case start+size+grace <= streamTime:
				refused = true
			default:
				got = append(got, pair{row, start})
			}
		}
		if refused {
			late = append(late, row)
		}
	}
	return got, late, streamTime
}

func TestAssignAgainstOracle(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, 40).Draw(r, "size")
		advance := rapid.Int64Range(1, size).Draw(r, "advance")
		grace := rapid.Int64Range(0, 60).Draw(r, "grace")
		s, err := New(Hopping, size, advance, 0, &grace, nil)
		if err != nil {
			r.Fatal(err)
		}
		times := rapid.SliceOfN(rapid.Int64Range(-3, 200), 0, 30).Draw(r, "times")
		var sel []int32
		for i := range times {
			if rapid.IntRange(0, 3).Draw(r, "selected") > 0 {
				sel = append(sel, int32(i))
			}
		}
		want, wantLate, wantTime := slowAssign(size, advance, grace, times, sel, -1)

		// Cut into two batches anywhere, the answer is the same.
		cut := rapid.IntRange(0, len(sel)).Draw(r, "cut")
		var got []pair
		var late []int32
		var out Assigned
		streamTime := int64(-1)
		now := make([]int64, len(times))
		for _, part := range [][]int32{sel[:cut], sel[cut:]} {
			for _, row := range part {
				streamTime = max(streamTime, times[row])
				now[row] = streamTime
			}
			s.Assign(times, now, part, &out)
			for i := range out.Rows {
				got = append(got, pair{out.Rows[i], out.Starts[i]})
			}
			late = append(late, out.Late...)
			for _, row := range out.Bad {
				if times[row] >= 0 {
					r.Fatalf("row at %d is called bad", times[row])
				}
			}
		}
		if !slices.Equal(got, want) || !slices.Equal(late, wantLate) || streamTime != wantTime {
			r.Fatalf("got %v late %v at %d\nwant %v late %v at %d", got, late, streamTime, want, wantLate, wantTime)
		}
	})
}

func TestClosedAgreesWithClosedBefore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		grace := rapid.Int64Range(0, 50).Draw(r, "grace")
		size := rapid.Int64Range(1, 50).Draw(r, "size")
		s, err := New(Tumbling, size, 0, 0, &grace, nil)
		if err != nil {
			r.Fatal(err)
		}
		start := rapid.Int64Range(0, 200).Draw(r, "start")
		streamTime := rapid.Int64Range(-1, 300).Draw(r, "stream time")
		if s.Closed(start, streamTime) != (start < s.ClosedBefore(streamTime)) {
			r.Fatalf("start %d at %d: Closed and ClosedBefore differ", start, streamTime)
		}
	})
}

// TestOpenWindowsAreVisible: what takes rows is never expired, or a row would
// meet a window that has been forgotten.
func TestOpenWindowsAreVisible(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, 50).Draw(r, "size")
		advance := rapid.Int64Range(1, size).Draw(r, "advance")
		grace := rapid.Int64Range(0, 50).Draw(r, "grace")
		extra := rapid.Int64Range(0, 50).Draw(r, "more retention")
		streamTime := rapid.Int64Range(0, 500).Draw(r, "stream time")
		s, err := New(Hopping, size, advance, 0, &grace, ptr(size+grace+extra))
		if err != nil {
			r.Fatal(err)
		}
		for start := int64(0); start <= streamTime; start += advance {
			if !s.Closed(start, streamTime) && start < s.Horizon(streamTime) {
				r.Fatalf("window at %d is open but expired at %d", start, streamTime)
			}
		}
		session, err := New(Session, 0, 0, size, &grace, nil)
		if err != nil {
			r.Fatal(err)
		}
		for end := int64(0); end <= streamTime; end++ {
			if !session.SessionClosed(end, streamTime) && end < session.Horizon(streamTime) {
				r.Fatalf("session ending at %d is open but expired at %d", end, streamTime)
			}
		}
	})
}

// TestBoundaries holds the exact edges, one row of the table each side.
func TestBoundaries(t *testing.T) {
	hop := mustNew(t, Hopping, 30_000, 15_000, 0, ptr(60_000), nil)
	session := mustNew(t, Session, 0, 0, 30_000, ptr(60_000), nil)
	final := mustNew(t, Hopping, 5, 2, 0, ptr(1), nil)
	join := Join{Before: 60_000, After: 60_000, Grace: 60_000}
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"a window one ms before end plus grace is open", hop.Closed(0, 89_999), false},
		{"at end plus grace it is closed", hop.Closed(0, 90_000), true},
		{"a session at last row plus gap plus grace is open", session.SessionClosed(10_010, 100_010), false},
		{"one ms later it is closed", session.SessionClosed(10_009, 100_010), true},
		{"rows exactly a gap after a session touch it", session.Touches(10, 20, 30_020), true},
		{"one ms more and they do not", session.Touches(10, 20, 30_021), false},
		{"rows exactly a gap before a session touch it", session.Touches(40_000, 40_001, 10_000), true},
		{"one ms less and they do not", session.Touches(40_000, 40_001, 9_999), false},
		{"a session out of retention is not seen", 0 < session.Horizon(100_010), true},
		{"the oldest window in retention is seen", 4 < final.Horizon(10), false},
		{"the one before it is not", 2 < final.Horizon(10), true},
		{"a row older than the side's retention is dropped", 90_000 < join.Horizon(330_000), true},
		{"the oldest in retention is kept", 150_000 < join.Horizon(330_000), false},
		{"a left row at its close waits", join.LeftClosed(0, 120_000), false},
		{"one ms later it is given up", join.LeftClosed(0, 120_001), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.what, c.got)
		}
	}
}

func TestJoinRangesMirror(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		j := Join{Before: rapid.Int64Range(0, 20).Draw(r, "before"), After: rapid.Int64Range(0, 20).Draw(r, "after")}
		left := rapid.Int64Range(0, 60).Draw(r, "left")
		right := rapid.Int64Range(0, 60).Draw(r, "right")
		want := left-j.Before <= right && right <= left+j.After
		from, to := j.RightRange(left)
		if (from <= right && right <= to) != want {
			r.Fatalf("right range of %d: %d…%d, right %d joins: %v", left, from, to, right, want)
		}
		from, to = j.LeftRange(right)
		if (from <= left && left <= to) != want {
			r.Fatalf("left range of %d: %d…%d, left %d joins: %v", right, from, to, left, want)
		}
	})
}

// TestSessionsAgainstOracle grows sessions row by row and compares them with
// the sorted times cut wherever two neighbours are more than a gap apart.
func TestSessionsAgainstOracle(t *testing.T) {
	type session struct{ start, end int64 }
	rapid.Check(t, func(r *rapid.T) {
		gap := rapid.Int64Range(1, 20).Draw(r, "gap")
		s, err := New(Session, 0, 0, gap, nil, nil)
		if err != nil {
			r.Fatal(err)
		}
		times := rapid.SliceOfN(rapid.Int64Range(0, 300), 1, 40).Draw(r, "times")
		var open []session
		for _, at := range times {
			grown := session{at, at}
			from, to := s.SessionRange(at)
			rest := open[:0:0]
			for _, o := range open {
				touches := s.Touches(o.start, o.end, at)
				if touches != (o.end >= from && o.start <= to) {
					r.Fatalf("session %v and row %d: range and Touches differ", o, at)
				}
				if !touches {
					rest = append(rest, o)
					continue
				}
				start, end := Merge(o.start, o.end, at)
				grown = session{min(grown.start, start), max(grown.end, end)}
			}
			open = append(rest, grown)
		}
		slices.SortFunc(open, func(a, b session) int { return int(a.start - b.start) })

		slices.Sort(times)
		want := []session{{times[0], times[0]}}
		for _, at := range times[1:] {
			if last := &want[len(want)-1]; at-last.end <= gap {
				last.end = at
			} else {
				want = append(want, session{at, at})
			}
		}
		if !slices.Equal(open, want) {
			r.Fatalf("times %v gap %d: %v, want %v", times, gap, open, want)
		}
	})
}

// TestFarFuture: the greatest possible time neither overflows nor loops.
func TestFarFuture(t *testing.T) {
	s := mustNew(t, Hopping, 1000, 10, 0, nil, nil)
	var out Assigned
	s.Assign([]int64{math.MaxInt64, 5}, []int64{math.MaxInt64, math.MaxInt64}, []int32{0, 1}, &out)
	if !slices.Equal(out.Late, []int32{1}) {
		t.Errorf("late rows %v, want row 1", out.Late)
	}
	for i, start := range out.Starts {
		if start < 0 || out.Rows[i] != 0 {
			t.Errorf("row %d in window at %d", out.Rows[i], start)
		}
	}
	if s.End(math.MaxInt64-1) != math.MaxInt64 {
		t.Error("the end of the last window overflows")
	}
	j := Join{Before: 5, After: 5, Grace: DefaultGrace}
	if _, to := j.RightRange(math.MaxInt64 - 1); to != math.MaxInt64 {
		t.Errorf("right range ends at %d", to)
	}
	ever := mustNew(t, Tumbling, math.MaxInt64, 0, 0, ptr(math.MaxInt64), nil)
	if ever.Closed(0, 1_000) || 0 < ever.Horizon(1_000) {
		t.Error("a window without end is closed or expired")
	}
	always := mustNew(t, Session, 0, 0, math.MaxInt64, ptr(math.MaxInt64), nil)
	if always.SessionClosed(0, 1_000) || !always.Touches(0, 0, 1_000) || 0 < always.Horizon(1_000) {
		t.Error("a session without end is closed, expired or takes no row")
	}
	if j.LeftClosed(math.MaxInt64, math.MaxInt64) {
		t.Error("a row at the end of time is closed at once")
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		what              string
		kind              Kind
		size, advance, by int64
		grace, retention  *int64
	}{
		{"size 0", Tumbling, 0, 0, 0, nil, nil},
		{"advance 0", Hopping, 10, 0, 0, nil, nil},
		{"advance beyond size", Hopping, 10, 11, 0, nil, nil},
		{"gap 0", Session, 0, 0, 0, nil, nil},
		{"negative grace", Tumbling, 10, 0, 0, ptr(-1), nil},
		{"retention below size and grace", Tumbling, 10, 0, 0, ptr(5), ptr(14)},
	} {
		_, err := New(c.kind, c.size, c.advance, c.by, c.grace, c.retention)
		var user *types.Error
		if !errors.As(err, &user) {
			t.Errorf("%s: %v, want a user's error", c.what, err)
		}
	}
	mustNew(t, Tumbling, 10, 0, 0, ptr(5), ptr(15))
	if s := mustNew(t, Session, 0, 0, 7, nil, nil); s.Retention != DefaultGrace+7 {
		t.Errorf("retention %d", s.Retention)
	}
}
