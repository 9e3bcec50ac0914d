package state

import (
	"bytes"
	"math"
	"slices"
)

// Range appends to refs the entries of prefix whose first time is between lo
// and hi, both inclusive, in the order of their times. Only for stores with a
// Suffix. It fails only if Pebble does.
func (s *Store) Range(prefix []byte, lo, hi int64, refs []Ref) ([]Ref, error) {
	if err := s.loadAll(); err != nil {
		return refs, err
	}
	var m merge3
	m.add(s.top, layerTop, prefix, lo, hi)
	if s.sealed != nil {
		m.add(s.sealed, layerSealed, prefix, lo, hi)
	}
	m.add(s.base, layerBase, prefix, lo, hi)
	return m.appendTo(refs), nil
}

// A run is the part of a directory list that a range covers.
type run struct {
	t     *table
	layer uint64
	list  []int32
}

// merge3 merges up to three runs, upper layers first.
type merge3 struct {
	runs [3]run
	n    int
}

func (m *merge3) add(t *table, layer uint64, prefix []byte, lo, hi int64) {
	if list := t.rangeOf(prefix, lo, hi); len(list) > 0 {
		m.runs[m.n] = run{t, layer, list}
		m.n++
	}
}

// rangeOf returns the listed slots of prefix with times from lo to hi.
func (t *table) rangeOf(prefix []byte, lo, hi int64) []int32 {
	if t.n == 0 {
		return nil
	}
	list := t.dir.list(prefix)
	if len(list) == 0 {
		return nil
	}
	var b [2 * TimeBytes]byte
	from := AppendTime(b[:0], lo)
	list = list[t.dir.position(&t.slots, list, from):]
	if hi == math.MaxInt64 {
		return list
	}
	// The first entry after all whose first time is hi.
	return list[:t.dir.position(&t.slots, list, AppendTime(b[:0], hi+1))]
}

// appendTo appends the live entries in order; of equal ones the uppermost
// layer decides.
func (m *merge3) appendTo(refs []Ref) []Ref {
	for {
		best := -1
		var least []byte
		for i := range m.runs[:m.n] {
			r := &m.runs[i]
			if len(r.list) == 0 {
				continue
			}
			suffix := r.t.dir.suffixOf(&r.t.slots, r.list[0])
			if best >= 0 {
				c := bytes.Compare(suffix, least)
				if c == 0 {
					r.list = r.list[1:] // shadowed
				}
				if c >= 0 {
					continue
				}
			}
			best, least = i, suffix
		}
		if best < 0 {
			return refs
		}
		r := &m.runs[best]
		if g := r.list[0]; r.t.is(g, flagLive) {
			refs = append(refs, makeRef(r.layer, g))
		}
		r.list = r.list[1:]
	}
}

// Due appends to refs the entries whose first time is between from and to,
// both inclusive, ordered by that time and then by key; at most limit of them if
// limit is positive. Only for stores with a Suffix.
func (s *Store) Due(from, to int64, limit int, refs []Ref) ([]Ref, error) {
	if err := s.loadAll(); err != nil {
		return refs, err
	}
	at := len(refs)
	refs = s.collect(from, to, refs)
	found := refs[at:]
	slices.SortFunc(found, s.compareDue)
	found = slices.Compact(found)
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return refs[:at+len(found)], nil
}

// collect appends the live and not shadowed entries in [from, to], possibly
// more than once.
func (s *Store) collect(from, to int64, refs []Ref) []Ref {
	layers := [...]struct {
		t     *table
		layer uint64
	}{{s.top, layerTop}, {s.sealed, layerSealed}, {s.base, layerBase}}
	for _, l := range layers {
		if l.t == nil {
			continue
		}
		l.t.due.candidates(from, to, func(bucket int64, g int32) bool {
			if !l.t.is(g, flagLive) {
				return true
			}
			t := l.t.timeOf(g)
			if t >= from && t <= to && !s.shadowed(l.t, l.layer, g) {
				refs = append(refs, makeRef(l.layer, g))
			}
			return t>>l.t.due.shift != bucket
		})
	}
	return refs
}

// shadowed reports whether a layer above has the key of slot g of t.
func (s *Store) shadowed(t *table, layer uint64, g int32) bool {
	if layer == layerTop || s.top.n == 0 && s.sealed == nil {
		return false
	}
	p := makeProbe(t.key(g), s.cfg.Seed)
	return s.top.find(&p) >= 0 || layer == layerBase && s.sealed != nil && s.sealed.find(&p) >= 0
}

func (s *Store) compareDue(a, b Ref) int {
	t, g := s.at(a)
	u, h := s.at(b)
	if c := bytes.Compare(t.dir.suffixOf(&t.slots, g)[:TimeBytes], u.dir.suffixOf(&u.slots, h)[:TimeBytes]); c != 0 {
		return c
	}
	return bytes.Compare(t.key(g), u.key(h))
}

// Expire deletes at most limit entries whose first time is before horizon,
// oldest first, and returns how many. It is garbage collection: readers have to
// leave expired entries out whether Expire has seen them or not.
func (s *Store) Expire(horizon int64, limit int) (int, error) {
	if horizon == math.MinInt64 {
		return 0, nil
	}
	refs, err := s.Due(math.MinInt64, horizon-1, limit, nil)
	if err != nil {
		return 0, err
	}
	s.RemoveRefs(refs)
	return len(refs), nil
}
