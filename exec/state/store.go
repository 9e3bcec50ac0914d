package state

import (
	"sync"

	"karst/sql/vector"
)

// A Store is one operator's state on one partition.
type Store struct {
	id        string // role path and partition, unique within the query
	mu        sync.RWMutex
	committed *Table
	overlay   *Table
	dirty     map[int32]struct{} // committed slots changed since the last cut
	meta      map[string][]byte  // small values beside the keys, e.g. stream time
	metaNew   map[string][]byte  // those not committed yet
	metaDirty bool
}

// NewStore returns an empty store.
func NewStore(id string, l Layout) *Store {
	return &Store{id: id, committed: NewTable(l), overlay: NewTable(l), dirty: map[int32]struct{}{}, meta: map[string][]byte{}, metaNew: map[string][]byte{}}
}

// ID returns the store's id.
func (s *Store) ID() string { return s.id }

// Keys are some key bytes: row i's are Buf[Off[i]:Off[i+1]].
type Keys struct {
	Buf []byte
	Off []int32
}

// Reset empties k, keeping its memory.
func (k *Keys) Reset() { k.Buf, k.Off = k.Buf[:0], append(k.Off[:0], 0) }

// Close ends the row whose bytes were appended to Buf.
func (k *Keys) Close() { k.Off = append(k.Off, int32(len(k.Buf))) }

// Len returns the number of rows.
func (k *Keys) Len() int { return len(k.Off) - 1 }

// At returns the bytes of row i.
func (k *Keys) At(i int) []byte { return k.Buf[k.Off[i]:k.Off[i+1]] }

// Probe returns for each key its slot in the overlay, making one if need be:
// a copy of the committed slot, or a zeroed one for a key the store does not
// have. A key deleted before comes back as a new one.
func (s *Store) Probe(k *Keys, slots []int32) {
	for i := range slots {
		slots[i] = s.ProbeOne(k.At(i))
	}
}

// ProbeOne is Probe for one key.
func (s *Store) ProbeOne(key []byte) int32 {
	h := Hash(key)
	slot := s.overlay.Find(key, h)
	if slot >= 0 {
		if s.overlay.dead[slot] {
			s.overlay.Clear(slot)
			s.overlay.SetDead(slot, false)
		}
		return slot
	}
	slot = s.overlay.Insert(key, h)
	if c := s.committed.Find(key, h); c >= 0 && !s.committed.dead[c] {
		s.overlay.copyFrom(slot, s.committed, c)
	}
	return slot
}

// Lookup returns the slot of a key and the table it is in, without bringing it
// into the overlay; nil if the store does not have it.
func (s *Store) Lookup(key []byte) (*Table, int32) {
	h := Hash(key)
	if slot := s.overlay.Find(key, h); slot >= 0 {
		if s.overlay.dead[slot] {
			return nil, -1
		}
		return s.overlay, slot
	}
	if slot := s.committed.Find(key, h); slot >= 0 && !s.committed.dead[slot] {
		return s.committed, slot
	}
	return nil, -1
}

// LookupCommitted returns the committed slot of a key; nil if there is none.
func (s *Store) LookupCommitted(key []byte) (*Table, int32) {
	if slot := s.committed.Find(key, Hash(key)); slot >= 0 && !s.committed.dead[slot] {
		return s.committed, slot
	}
	return nil, -1
}

// OverlayKey returns the key of an overlay slot.
func (s *Store) OverlayKey(slot int32) []byte { return s.overlay.Key(slot) }

// Has reports whether the store has the key.
func (s *Store) Has(key []byte) bool {
	t, _ := s.Lookup(key)
	return t != nil
}

// Delete removes a key.
func (s *Store) Delete(key []byte) {
	h := Hash(key)
	slot := s.overlay.Find(key, h)
	if slot < 0 {
		slot = s.overlay.Insert(key, h)
	}
	s.overlay.SetDead(slot, true)
}

// Cells returns the view on the overlay's slots.
func (s *Store) Cells(offset int) vector.Cells { return s.overlay.Cells(offset) }

// Each calls f for every key the store has, overlay included, in order of
// arrival, until f returns false.
func (s *Store) Each(f func(t *Table, slot int32) bool) {
	for slot := range int32(s.committed.Slots()) {
		if s.committed.dead[slot] || s.overlay.Find(s.committed.Key(slot), s.committed.hashes[slot]) >= 0 {
			continue
		}
		if !f(s.committed, slot) {
			return
		}
	}
	for slot := range int32(s.overlay.Slots()) {
		if !s.overlay.dead[slot] && !f(s.overlay, slot) {
			return
		}
	}
}

// SetMeta keeps a small value beside the keys; Merge commits it, Abort drops it.
func (s *Store) SetMeta(name string, value []byte) {
	s.metaNew[name] = append([]byte(nil), value...)
}

// Meta returns a value kept by SetMeta, nil if there is none.
func (s *Store) Meta(name string) []byte {
	if v, ok := s.metaNew[name]; ok {
		return v
	}
	return s.meta[name]
}

// Changed returns how many keys the overlay holds.
func (s *Store) Changed() int { return s.overlay.Slots() }

// Merge moves the overlay into the committed table: the commit's effects
// become visible to readers, all together.
func (s *Store) Merge() {
	if len(s.metaNew) == 0 && s.overlay.Slots() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range s.metaNew {
		s.meta[name] = v
		s.metaDirty = true
	}
	clear(s.metaNew)
	for slot := range int32(s.overlay.Slots()) {
		key, h := s.overlay.Key(slot), s.overlay.hashes[slot]
		c := s.committed.Find(key, h)
		if c < 0 {
			if s.overlay.dead[slot] {
				continue
			}
			c = s.committed.Insert(key, h)
		}
		if s.overlay.dead[slot] {
			s.committed.Clear(c)
			s.committed.SetDead(c, true)
		} else {
			s.committed.SetDead(c, false)
			s.committed.copyFrom(c, s.overlay, slot)
		}
		s.dirty[c] = struct{}{}
	}
	s.overlay.Reset()
}

// Abort drops what is not committed.
func (s *Store) Abort() {
	s.overlay.Reset()
	clear(s.metaNew)
}

// Bytes returns the memory the store holds.
func (s *Store) Bytes() int { return s.committed.Bytes() + s.overlay.Bytes() }

// View calls f with the committed table, and with what looks up the committed
// values beside the keys, while no merge goes on. f must keep neither.
func (s *Store) View(f func(t *Table, meta func(name string) []byte)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f(s.committed, func(name string) []byte { return s.meta[name] })
}
