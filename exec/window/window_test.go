package window

import "testing"

// TestEach holds the windows of a time against the definition: every multiple
// of the advance whose window holds the time.
func TestEach(t *testing.T) {
	for _, s := range []Spec{{Size: 10, Advance: 10}, {Size: 10, Advance: 3}, {Size: 7, Advance: 1}, {Size: 5, Advance: 5}} {
		for at := int64(0); at < 60; at++ {
			var want, got []int64
			for start := int64(0); start <= at; start += s.Advance {
				if start+s.Size > at {
					want = append(want, start)
				}
			}
			s.Each(at, func(start int64) { got = append(got, start) })
			if len(got) != len(want) {
				t.Fatalf("%+v at %d: %v, want %v", s, at, got, want)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%+v at %d: %v, want %v", s, at, got, want)
				}
			}
		}
	}
}
