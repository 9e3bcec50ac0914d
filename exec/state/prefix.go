package state

import "bytes"

// A prefixIndex finds the keys that are equal but for their last bytes: the
// windows of one key. It is made when somebody first asks.
type prefixIndex struct {
	suffix int              // length of what is left out
	heads  map[uint64]int32 // hash of a prefix to a slot + 1
	next   []int32          // by slot: others of the same hash, + 1
	prev   []int32
}

func (p *prefixIndex) hash(key []byte) (uint64, bool) {
	if len(key) < p.suffix {
		return 0, false
	}
	return Hash(key[:len(key)-p.suffix]), true
}

func (p *prefixIndex) add(slot int32, key []byte) {
	h, ok := p.hash(key)
	if !ok {
		return
	}
	for int(slot) >= len(p.next) {
		p.next, p.prev = append(p.next, 0), append(p.prev, 0)
	}
	head := p.heads[h]
	p.next[slot], p.prev[slot] = head, 0
	if head > 0 {
		p.prev[head-1] = slot + 1
	}
	p.heads[h] = slot + 1
}

func (p *prefixIndex) remove(slot int32, key []byte) {
	h, ok := p.hash(key)
	if !ok {
		return
	}
	next, prev := p.next[slot], p.prev[slot]
	if next > 0 {
		p.prev[next-1] = prev
	}
	switch {
	case prev > 0:
		p.next[prev-1] = next
	case next > 0:
		p.heads[h] = next
	default:
		delete(p.heads, h)
	}
}

// indexPrefixes makes the table's index.
func (t *Table) indexPrefixes(suffix int) {
	t.prefixes = &prefixIndex{suffix: suffix, heads: map[uint64]int32{}}
	for slot := range int32(len(t.hashes)) {
		if t.status[slot] != removed {
			t.prefixes.add(slot, t.Key(slot))
		}
	}
}

// Prefixed calls f with the committed table and the slots of the keys that
// begin with prefix and have suffix bytes more; all calls for one store give
// the same suffix. It returns how many slots it looked at. f must not keep the
// table.
func (s *Store) Prefixed(prefix []byte, suffix int, f func(t *Table, meta func(name string) []byte, slots []int32)) (looked int) {
	s.mu.RLock()
	for s.committed.prefixes == nil {
		s.mu.RUnlock()
		s.mu.Lock()
		if s.committed.prefixes == nil {
			s.committed.indexPrefixes(suffix)
		}
		s.mu.Unlock()
		s.mu.RLock()
	}
	defer s.mu.RUnlock()
	t := s.committed
	var slots []int32
	for slot := t.prefixes.heads[Hash(prefix)] - 1; slot >= 0; slot = t.prefixes.next[slot] - 1 {
		looked++
		if key := t.Key(slot); len(key) == len(prefix)+suffix && bytes.HasPrefix(key, prefix) && !t.Dead(slot) {
			slots = append(slots, slot)
		}
	}
	if len(slots) > 0 {
		f(t, func(name string) []byte { return s.meta[name] }, slots)
	}
	return looked
}
