package state

import (
	"bytes"
	"slices"

	"karst/sql/vector"

	"github.com/cockroachdb/pebble/v2"
)

// A Snapshot is a reader's own copy of some entries, in the layout of the
// store, so that kernels compute results from it. Entries are numbered from 0.
// It is made by NewSnapshot and used by one goroutine at a time.
type Snapshot struct {
	s    slots
	seed uint64
}

// NewSnapshot returns an empty snapshot for the store's entries. It may be
// called from any goroutine.
func (s *Store) NewSnapshot() *Snapshot {
	n := &Snapshot{seed: s.cfg.Seed}
	n.s.init(&s.cfg.Layout, NewAllocator(nil))
	return n
}

// Len returns the number of entries.
func (n *Snapshot) Len() int { return int(n.s.n) }

// Reset forgets all entries.
func (n *Snapshot) Reset() { n.s.reset() }

// Key returns the key of entry i; the bytes are the snapshot's.
func (n *Snapshot) Key(i int32) []byte { return n.s.key(i) }

// Cells returns the view of the entries at offset of the value.
func (n *Snapshot) Cells(offset int) vector.Cells { return n.s.view(offset) }

// copy appends an entry from a slot.
func (n *Snapshot) copy(from *slots, g int32) {
	p := probe{key: from.key(g), words: from.header(g).key}
	n.s.copyValue(n.s.add(&p), from, g)
}

// parse appends an entry from its serialized value.
func (n *Snapshot) parse(key, value []byte) error {
	p := makeProbe(key, n.seed)
	return n.s.setValue(n.s.add(&p), value)
}

// Get appends the committed entry of key to snap and returns whether there is
// one, and the sequence number as of which that is so. It may be called from
// any goroutine.
func (s *Store) Get(key []byte, snap *Snapshot) (found bool, seq uint64, err error) {
	p := makeProbe(key, s.cfg.Seed)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false, 0, errClosed
	}
	if s.merging != nil {
		if g := s.merging.find(&p); g >= 0 && s.merging.is(g, flagLive|flagBelow) {
			return copyLive(s.merging, g, snap), s.seq, nil
		}
	}
	if g := s.base.find(&p); g >= 0 {
		return copyLive(s.base, g, snap), s.seq, nil
	}
	if s.complete {
		return false, s.seq, nil
	}
	// The lock is kept: without it the key might move from Pebble to memory in
	// between.
	found, err = s.getBelow(key, snap)
	return found, s.seq, err
}

func copyLive(t *table, g int32, snap *Snapshot) bool {
	if !t.is(g, flagLive) {
		return false
	}
	snap.copy(&t.slots, g)
	return true
}

// Windows appends to snap the committed entries of prefix whose first time is
// between lo and hi, both inclusive, in the order of their times, and returns
// the sequence number as of which they are. Only for stores with a Suffix. It
// may be called from any goroutine.
func (s *Store) Windows(prefix []byte, lo, hi int64, snap *Snapshot) (seq uint64, err error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return 0, errClosed
	}
	if !s.complete {
		s.mu.RUnlock()
		return s.scanWindows(prefix, lo, hi, snap)
	}
	defer s.mu.RUnlock()
	var m merge3
	tables := [...]*table{layerTop: nil, layerSealed: s.merging, layerBase: s.base}
	if s.merging != nil {
		m.add(s.merging, layerSealed, prefix, lo, hi)
	}
	m.add(s.base, layerBase, prefix, lo, hi)
	for _, r := range m.appendTo(nil) {
		snap.copy(&tables[r>>32].slots, int32(uint32(r)))
	}
	return s.seq, nil
}

// scanWindows is Windows while some keys may be in Pebble alone.
func (s *Store) scanWindows(prefix []byte, lo, hi int64, snap *Snapshot) (uint64, error) {
	from := AppendTime(bytes.Clone(prefix), lo)
	to := AppendTime(bytes.Clone(prefix), hi)
	// Behind every key that has hi as its first time.
	to = append(to, bytes.Repeat([]byte{0xff}, s.cfg.Suffix-TimeBytes+1)...)
	scan, err := s.Scan(from, to)
	if err != nil {
		return 0, err
	}
	defer scan.Close()
	for {
		n, err := scan.Next(snap, scanChunk)
		if n == 0 || err != nil {
			return scan.seq, err
		}
	}
}

const scanChunk = 256

// A Scan walks the committed entries of a key range in the order of their
// keys, as of one sequence number, while commits go on. It is used by one
// goroutine at a time and has to be closed.
type Scan struct {
	s    *Store
	seq  uint64
	keys []byte // keys in memory, one after another
	mem  []scanKey
	next int
	iter *pebble.Iterator // nil: nothing below memory
	// below is the iterator's next key, nil at its end.
	below  []byte
	failed bool // guarded by the store's lock
	done   bool
}

// A scanKey is a key of base in the range.
type scanKey struct {
	from, to uint32 // bounds in keys
	slot     int32  // -1: deleted, hides a key in Pebble
}

// Scan opens a scan of the keys from from (inclusive, nil: the first) to to
// (exclusive, nil: the end). It may be called from any goroutine; while a merge
// is under way it waits for its end.
func (s *Store) Scan(from, to []byte) (*Scan, error) {
	s.mergeMu.Lock()
	defer s.mergeMu.Unlock()
	scan := &Scan{s: s}
	s.mu.RLock()
	scan.seq = s.seq
	closed, complete := s.closed, s.complete
	s.mu.RUnlock()
	if closed {
		return nil, errClosed
	}
	if !complete {
		if err := scan.openBelow(from, to); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.history.enter(scan)
	s.mu.Unlock()
	scan.gather(from, to)
	slices.SortFunc(scan.mem, func(a, b scanKey) int { return bytes.Compare(scan.key(a), scan.key(b)) })
	return scan, nil
}

// gather notes the keys in range. Merges wait meanwhile, but keys may be
// brought in from Pebble between chunks; the iterator has those too.
func (c *Scan) gather(from, to []byte) {
	s := c.s
	for g := int32(0); ; {
		s.mu.RLock()
		end := min(s.base.n, g+4096)
		for ; g < end; g++ {
			if !s.base.is(g, flagUsed) {
				continue
			}
			live := s.base.is(g, flagLive)
			if !live && c.iter == nil {
				continue
			}
			key := s.base.key(g)
			if bytes.Compare(key, from) < 0 || to != nil && bytes.Compare(key, to) >= 0 {
				continue
			}
			k := scanKey{from: uint32(len(c.keys)), slot: -1}
			c.keys = append(c.keys, key...)
			k.to = uint32(len(c.keys))
			if live {
				k.slot = g
			}
			c.mem = append(c.mem, k)
		}
		done := g >= s.base.n
		s.mu.RUnlock()
		if done {
			return
		}
	}
}

func (c *Scan) key(k scanKey) []byte { return c.keys[k.from:k.to] }

// Sequence returns the sequence number that the scan shows.
func (c *Scan) Sequence() uint64 { return c.seq }

// Next appends up to n entries to snap and returns their number, 0 at the end.
func (c *Scan) Next(snap *Snapshot, n int) (int, error) {
	got := 0
	for got < n {
		k, err := c.step(snap, min(n-got, scanChunk))
		got += k
		if k == 0 || err != nil {
			return got, err
		}
	}
	return got, nil
}

// step appends up to n entries under one read lock.
func (c *Scan) step(snap *Snapshot, n int) (int, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if c.s.closed {
		return 0, errClosed
	}
	if c.failed {
		return 0, ErrScanTooOld
	}
	for got := 0; ; {
		if got == n || c.next == len(c.mem) && c.below == nil {
			return got, nil
		}
		order := -1 // memory's next key against Pebble's
		if c.next == len(c.mem) {
			order = 1
		} else if c.below != nil {
			order = bytes.Compare(c.key(c.mem[c.next]), c.below)
		}
		if order > 0 {
			if err := c.takeBelow(snap); err != nil {
				return got, err
			}
			got++
			continue
		}
		k := c.mem[c.next]
		c.next++
		if order == 0 { // memory hides it
			if err := c.advance(); err != nil {
				return got, err
			}
		}
		if k.slot >= 0 {
			if err := c.take(snap, k); err != nil {
				return got, err
			}
			got++
		}
	}
}

// take appends the entry of a key in memory, as it was at the scan's sequence.
func (c *Scan) take(snap *Snapshot, k scanKey) error {
	if old, ok := c.s.history.find(c.seq, k.slot); ok {
		return snap.parse(c.key(k), old)
	}
	snap.copy(&c.s.base.slots, k.slot)
	return nil
}

// Close ends the scan.
func (c *Scan) Close() error {
	if c.done {
		return nil
	}
	c.done = true
	c.s.mu.Lock()
	c.s.history.leave(c)
	c.s.mu.Unlock()
	return c.closeBelow()
}
