package state

import (
	"sync"

	"karst/sql/vector"
)

// A Store is one operator's state on one partition.
type Store struct {
	id        string // role path, unique within the query's partition
	layout    Layout
	mu        sync.RWMutex
	committed *Table
	overlay   *Table
	meta      map[string][]byte // small values beside the keys, e.g. stream time
	metaNew   map[string][]byte // those not committed yet
	scans     map[*Scan]struct{}
}

// NewStore returns an empty store.
func NewStore(id string, l Layout) *Store {
	s := &Store{id: id, layout: l, metaNew: map[string][]byte{}}
	s.Wipe()
	return s
}

// Wipe makes the store as good as new.
func (s *Store) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed, s.overlay = NewTable(s.layout), NewTable(s.layout)
	for c := range s.scans {
		c.failed = true
	}
	s.meta = map[string][]byte{}
	clear(s.metaNew)
}

// ID returns the store's id: the role path of its step, and of the store if a
// step has several.
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
		if s.overlay.Dead(slot) {
			s.overlay.Clear(slot)
			s.overlay.SetDead(slot, false)
		}
		return slot
	}
	slot = s.overlay.Insert(key, h)
	if c := s.committed.Find(key, h); c >= 0 {
		s.overlay.copyFrom(slot, s.committed, c)
	}
	return slot
}

// Lookup returns the slot of a key and the table it is in, without bringing it
// into the overlay; nil if the store does not have it.
func (s *Store) Lookup(key []byte) (*Table, int32) {
	h := Hash(key)
	if slot := s.overlay.Find(key, h); slot >= 0 {
		if s.overlay.Dead(slot) {
			return nil, -1
		}
		return s.overlay, slot
	}
	if slot := s.committed.Find(key, h); slot >= 0 {
		return s.committed, slot
	}
	return nil, -1
}

// LookupCommitted returns the committed slot of a key; nil if there is none.
func (s *Store) LookupCommitted(key []byte) (*Table, int32) {
	if slot := s.committed.Find(key, Hash(key)); slot >= 0 {
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
		if s.committed.Dead(slot) || s.overlay.Find(s.committed.Key(slot), s.committed.hashes[slot]) >= 0 {
			continue
		}
		if !f(s.committed, slot) {
			return
		}
	}
	for slot := range int32(s.overlay.Slots()) {
		if !s.overlay.Dead(slot) && !f(s.overlay, slot) {
			return
		}
	}
}

// SetMeta keeps a small value beside the keys; Merge commits it, Abort drops it.
func (s *Store) SetMeta(name string, value []byte) {
	if old := s.Meta(name); old != nil && string(old) == string(value) {
		return
	}
	s.metaNew[name] = append([]byte(nil), value...)
}

// Meta returns a value kept by SetMeta, nil if there is none.
func (s *Store) Meta(name string) []byte {
	if v, ok := s.metaNew[name]; ok {
		return v
	}
	return s.meta[name]
}

// Changed reports whether there is anything to commit.
func (s *Store) Changed() bool { return s.overlay.Slots() > 0 || len(s.metaNew) > 0 }

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
	}
	clear(s.metaNew)
	for slot := range int32(s.overlay.Slots()) {
		key, h := s.overlay.Key(slot), s.overlay.hashes[slot]
		c := s.committed.Find(key, h)
		if c >= 0 {
			s.replacing(c)
		}
		switch {
		case !s.overlay.Dead(slot):
			if c < 0 {
				if next := s.committed.nextFree(); next >= 0 {
					s.replacing(next)
				}
				c = s.committed.Insert(key, h)
			}
			s.committed.copyFrom(c, s.overlay, slot)
		case c >= 0:
			s.committed.Remove(c)
		}
	}
	s.overlay.Reset()
}

// replacing tells the scans of a committed slot that is about to change.
func (s *Store) replacing(slot int32) {
	for c := range s.scans {
		c.replacing(slot)
	}
}

// Abort drops what is not committed.
func (s *Store) Abort() {
	s.overlay.Reset()
	clear(s.metaNew)
}

// Bytes returns the memory the store holds.
func (s *Store) Bytes() int { return s.committed.Bytes() + s.overlay.Bytes() }

// Pending returns the memory of what is not committed yet.
func (s *Store) Pending() int { return s.overlay.Used() }

// View calls f with the committed table, and with what looks up the committed
// values beside the keys, while no merge goes on. f must keep neither.
func (s *Store) View(f func(t *Table, meta func(name string) []byte)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f(s.committed, func(name string) []byte { return s.meta[name] })
}
