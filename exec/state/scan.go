package state

import "errors"

// A Scan reads a store's committed table as it was when the scan began, a few
// slots at a time, so that it holds up no merge: what a merge is about to
// replace is kept aside for it.
type Scan struct {
	store     *Store
	next, end int32
	old       *Table // the slots that merges have replaced, as they were
	oldNext   int32
	replaced  map[int32]struct{} // slots from next on that are not as they were
	meta      map[string][]byte
	failed    bool
}

// maxScanBytes bounds what is kept aside for one scan.
const maxScanBytes = 64 << 20

// ErrScanTooOld says that too much has changed since a scan began.
var ErrScanTooOld = errors.New("the table changed too much while it was being read; read it in parts")

// Scan begins a scan of all committed keys. It must be closed.
func (s *Store) Scan() *Scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Scan{store: s, end: int32(s.committed.Slots()), old: NewTable(s.layout), replaced: map[int32]struct{}{}, meta: map[string][]byte{}}
	for name, v := range s.meta {
		c.meta[name] = v
	}
	if s.scans == nil {
		s.scans = map[*Scan]struct{}{}
	}
	s.scans[c] = struct{}{}
	return c
}

// Close ends the scan.
func (c *Scan) Close() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	delete(c.store.scans, c)
}

// Next calls f with a table and some of its slots, as many as there is room in
// slots for, those alive when the scan began and for whose keys want is true;
// there may be none. It returns how many it looked at, 0 at the end. f must not
// keep the table.
func (c *Scan) Next(slots []int32, want func(key []byte) bool, f func(t *Table, meta func(name string) []byte, slots []int32)) (looked int, err error) {
	c.store.mu.RLock()
	defer c.store.mu.RUnlock()
	if c.failed {
		return 0, ErrScanTooOld
	}
	t, next, end := c.store.committed, &c.next, c.end
	if *next == end { // then what was kept aside
		t, next, end = c.old, &c.oldNext, int32(c.old.Slots())
	}
	from := *next
	*next = min(from+int32(len(slots)), end)
	found := slots[:0]
	for slot := from; slot < *next; slot++ {
		_, changed := c.replaced[slot]
		if (t == c.old || !changed) && !t.Dead(slot) && want(t.Key(slot)) {
			found = append(found, slot)
		}
	}
	if len(found) > 0 {
		f(t, func(name string) []byte { return c.meta[name] }, found)
	}
	return int(*next - from), nil
}

// replacing keeps a committed slot aside that a merge is about to change. It
// holds the store's lock.
func (c *Scan) replacing(slot int32) {
	if slot < c.next || slot >= c.end || c.failed {
		return
	}
	if _, done := c.replaced[slot]; done {
		return
	}
	c.replaced[slot] = struct{}{}
	t := c.store.committed
	if t.Dead(slot) {
		return // it was nothing
	}
	key := t.Key(slot)
	c.old.copyFrom(c.old.Insert(key, Hash(key)), t, slot)
	c.failed = c.old.Used() > maxScanBytes
}
