package state

import (
	"slices"

	"karst/sql/vector"
)

// A Ref names an entry for reading. It is valid until the next call that
// changes the store. The zero Ref is Absent.
type Ref uint64

// Absent is the Ref of a key that does not exist.
const Absent Ref = 0

// Layers in a Ref.
const (
	layerTop = iota + 1
	layerSealed
	layerBase
)

func makeRef(layer uint64, g int32) Ref { return Ref(layer<<32 | uint64(uint32(g))) }

func (s *Store) at(r Ref) (*table, int32) {
	g := int32(uint32(r))
	switch r >> 32 {
	case layerTop:
		return s.top, g
	case layerSealed:
		return s.sealed, g
	case layerBase:
		return s.base, g
	}
	panic("state: entry is absent")
}

// Lookup finds keys without changing anything; refs has keys.Len() elements.
// It fails only if Pebble does.
func (s *Store) Lookup(keys *Keys, refs []Ref) error {
	refs = refs[:keys.Len()]
	s.probes = slices.Grow(s.probes[:0], len(refs))[:len(refs)]
	missing := len(refs)
	if s.top.n == 0 {
		clear(refs)
		fillMinus(s.probes)
	} else {
		missing = s.top.index.findAll(&s.top.slots, keys, s.cfg.Seed, s.probes)
		for i, g := range s.probes {
			refs[i] = Absent
			if g >= 0 && s.top.is(g, flagLive) {
				refs[i] = makeRef(layerTop, g)
			}
		}
	}
	if missing == 0 {
		return nil
	}
	if err := s.fill(keys, s.probes); err != nil {
		return err
	}
	for i, g := range s.probes {
		if g < 0 {
			p := makeProbe(keys.Key(i), s.cfg.Seed)
			refs[i] = s.refBelow(&p)
		}
	}
	return nil
}

func fillMinus(s []int32) {
	for i := range s {
		s[i] = -1
	}
}

func (s *Store) refBelow(p *probe) Ref {
	switch t, g := s.below(p); t {
	case nil:
		return Absent
	case s.sealed:
		return makeRef(layerSealed, g)
	default:
		return makeRef(layerBase, g)
	}
}

// Touch brings entries into the top overlay to be changed: groups[i] is the
// slot of refs[i], none of which is Absent.
func (s *Store) Touch(refs []Ref, groups []int32) {
	for i, r := range refs {
		t, h := s.at(r)
		if t == s.top {
			groups[i] = h
			continue
		}
		p := makeProbe(t.key(h), s.cfg.Seed)
		if groups[i] = s.top.find(&p); groups[i] < 0 {
			groups[i] = s.lift(&p, t, h, true)
		}
	}
	s.top.countBlobs()
}

// Key returns the key of an entry; the bytes are the store's.
func (s *Store) Key(r Ref) []byte {
	t, g := s.at(r)
	return t.key(g)
}

// Blob returns the variable cell at offset off of the entry's value; nil if
// it was never set. The bytes are the store's.
func (s *Store) Blob(r Ref, off int) []byte {
	t, g := s.at(r)
	return t.cells.Blob(g, headerBytes+off)
}

// Fixed returns n bytes at offset off of the entry's value, to be read only.
func (s *Store) Fixed(r Ref, off, n int) []byte {
	t, g := s.at(r)
	return t.cells.Fixed(g, headerBytes+off, n)
}

// Int64 returns the integer at offset off of the entry's value.
func (s *Store) Int64(r Ref, off int) int64 {
	t, g := s.at(r)
	return *t.cells.Int64(g, headerBytes+off)
}

// CellsOf returns the slot of an entry and the view of the layer that it is
// in, for kernels that only read.
func (s *Store) CellsOf(r Ref, offset int) (vector.Cells, int32) {
	t, g := s.at(r)
	return t.view(offset), g
}
