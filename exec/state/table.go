package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"

	"karst/sql/vector"
)

// A Layout is the form of a table's slots.
type Layout struct {
	FixedBytes int   // a multiple of 8
	Blobs      []int // offsets of variable cells within the fixed bytes, ascending
}

// seed makes hashes differ from process to process; nothing else depends on it.
var seed = maphash.MakeSeed()

const segmentShift = 10 // slots of a segment

// What a slot holds.
const (
	alive   uint8 = iota
	dead          // a key that was deleted; it is still found (an overlay's tombstone)
	removed       // nothing: the next new key may have it
)

// A Table is an open-addressing hash table from key bytes to slots. The zero
// slot number is a slot like others; -1 is none. Slots of removed keys are used
// again.
type Table struct {
	layout   Layout
	stride   int
	index    []int32 // slot + 1, 0 is free; a power of two long
	hashes   []uint64
	keyOff   []uint32
	keyLen   []uint32
	keys     []byte
	status   []uint8 // by slot
	free     []int32 // removed slots
	garbage  int     // bytes of keys that no slot refers to
	segments [][]byte
	blobs    *vector.Blobs
	live     int
	prefixes *prefixIndex // nil until somebody asks
}

// NewTable returns an empty table.
func NewTable(l Layout) *Table {
	return &Table{layout: l, stride: max(8, l.FixedBytes), index: make([]int32, 64), blobs: vector.NewBlobs()}
}

// Len returns the number of keys that are not deleted.
func (t *Table) Len() int { return t.live }

// Slots returns the number of slots there are, Dead ones included.
func (t *Table) Slots() int { return len(t.hashes) }

// Bytes returns the memory the table holds, for the budget.
func (t *Table) Bytes() int {
	return len(t.index)*4 + cap(t.hashes)*8 + cap(t.keyOff)*8 + cap(t.keys) + len(t.segments)*t.stride<<segmentShift + t.blobs.Bytes()
}

// Used returns the memory that was filled since the last Reset.
func (t *Table) Used() int {
	return len(t.hashes)*(t.stride+slotOverhead) + len(t.keys) + t.blobs.Used()
}

// slotOverhead is what a slot takes beside its own bytes and its key's: index,
// hash, offset, length and status.
const slotOverhead = 2*4 + 8 + 2*4 + 1

// Cells returns the view on slots that aggregate kernels use, from byte
// offset on.
func (t *Table) Cells(offset int) vector.Cells {
	return vector.Cells{Segments: t.segments, Shift: segmentShift, Stride: t.stride, Offset: offset, Blobs: t.blobs}
}

// Key returns the key of a slot; the bytes are the table's.
func (t *Table) Key(slot int32) []byte {
	return t.keys[t.keyOff[slot] : t.keyOff[slot]+t.keyLen[slot]]
}

// Dead reports whether the slot's key is deleted, or the slot holds none.
func (t *Table) Dead(slot int32) bool { return t.status[slot] != alive }

// Hash returns the hash that Find and Insert take.
func Hash(key []byte) uint64 { return maphash.Bytes(seed, key) }

// Find returns the slot of key, dead or alive, or -1.
func (t *Table) Find(key []byte, hash uint64) int32 {
	mask := uint64(len(t.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := t.index[i] - 1
		if s < 0 {
			return -1
		}
		if t.hashes[s] == hash && bytes.Equal(t.Key(s), key) {
			return s
		}
	}
}

// Get looks up keys: slots takes each one's slot, -1 for those that the table
// does not have.
func (t *Table) Get(k *Keys, slots []int32) {
	for i := range slots {
		key := k.At(i)
		if slots[i] = t.Find(key, Hash(key)); slots[i] >= 0 && t.Dead(slots[i]) {
			slots[i] = -1
		}
	}
}

// nextFree returns the removed slot that the next new key gets, -1 if it gets
// another one.
func (t *Table) nextFree() int32 {
	if n := len(t.free); n > 0 {
		return t.free[n-1]
	}
	return -1
}

// Insert gives key, which the table does not have, a zeroed slot.
func (t *Table) Insert(key []byte, hash uint64) int32 {
	var s int32
	if n := len(t.free); n > 0 {
		s, t.free = t.free[n-1], t.free[:n-1]
		t.hashes[s], t.keyOff[s], t.keyLen[s], t.status[s] = hash, uint32(len(t.keys)), uint32(len(key)), alive
	} else {
		if 2*(len(t.hashes)+1) > len(t.index) {
			t.grow()
		}
		s = int32(len(t.hashes))
		t.hashes = append(t.hashes, hash)
		t.keyOff, t.keyLen = append(t.keyOff, uint32(len(t.keys))), append(t.keyLen, uint32(len(key)))
		t.status = append(t.status, alive)
		if int(s)>>segmentShift == len(t.segments) {
			t.segments = append(t.segments, make([]byte, t.stride<<segmentShift))
		}
	}
	t.keys = append(t.keys, key...)
	t.place(s)
	t.live++
	if t.prefixes != nil {
		t.prefixes.add(s, key)
	}
	return s
}

// Remove takes a slot's key out of the table.
func (t *Table) Remove(slot int32) {
	t.Clear(slot)
	t.unplace(slot)
	if t.prefixes != nil {
		t.prefixes.remove(slot, t.Key(slot))
	}
	if t.status[slot] == alive {
		t.live--
	}
	t.status[slot] = removed
	t.garbage += int(t.keyLen[slot])
	t.keyLen[slot] = 0
	t.free = append(t.free, slot)
	if t.garbage > minGarbage && t.garbage > len(t.keys)/2 {
		t.compactKeys()
	}
}

// minGarbage is how many bytes of old keys are not worth the copying.
const minGarbage = 64 << 10

// unplace takes a slot out of the index: those that stand behind it and would
// not be found across the gap move up.
func (t *Table) unplace(slot int32) {
	mask := uint64(len(t.index) - 1)
	i := t.hashes[slot] & mask
	for t.index[i] != slot+1 {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		if home := t.hashes[t.index[j]-1] & mask; (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
}

// compactKeys drops the bytes of removed keys.
func (t *Table) compactKeys() {
	keys := make([]byte, 0, len(t.keys)-t.garbage)
	for s := range t.hashes {
		if t.status[s] != removed {
			key := t.Key(int32(s))
			t.keyOff[s] = uint32(len(keys))
			keys = append(keys, key...)
		}
	}
	t.keys, t.garbage = keys, 0
}

func (t *Table) place(s int32) {
	mask := uint64(len(t.index) - 1)
	i := t.hashes[s] & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = s + 1
}

func (t *Table) grow() {
	t.index = make([]int32, 2*len(t.index))
	for s := range t.hashes {
		if t.status[s] != removed {
			t.place(int32(s))
		}
	}
}

// SetDead marks a slot's key deleted, or alive again; it keeps its slot.
func (t *Table) SetDead(slot int32, yes bool) {
	switch {
	case yes && t.status[slot] == alive:
		t.status[slot] = dead
		t.live--
	case !yes && t.status[slot] == dead:
		t.status[slot] = alive
		t.live++
	}
}

// Clear zeroes a slot.
func (t *Table) Clear(slot int32) {
	c := t.Cells(0)
	for _, off := range t.layout.Blobs {
		c.Free(slot, off)
	}
	clear(c.Fixed(slot, 0, t.stride))
}

// copyFrom makes slot equal to another table's slot.
func (t *Table) copyFrom(slot int32, src *Table, from int32) {
	dst, s := t.Cells(0), src.Cells(0)
	for _, off := range t.layout.Blobs {
		dst.Free(slot, off)
	}
	copy(dst.Fixed(slot, 0, t.stride), s.Fixed(from, 0, t.stride))
	for _, off := range t.layout.Blobs {
		blob := s.Blob(from, off)
		clear(dst.Fixed(slot, off, vector.BlobCellBytes))
		if blob != nil {
			dst.SetBlob(slot, off, blob)
		}
	}
}

// Reset empties the table, keeping some of its memory.
func (t *Table) Reset() {
	if len(t.index) > 1<<16 {
		t.index = make([]int32, 64)
	} else {
		clear(t.index)
	}
	t.hashes, t.keyOff, t.keyLen, t.keys, t.status = t.hashes[:0], t.keyOff[:0], t.keyLen[:0], t.keys[:0], t.status[:0]
	t.free, t.garbage = t.free[:0], 0
	t.segments = t.segments[:min(len(t.segments), 64)]
	for _, s := range t.segments {
		clear(s)
	}
	t.blobs.Reset()
	t.live, t.prefixes = 0, nil
}

// layoutVersion is the first byte of a slot's serialized form.
const layoutVersion = 2

// appendSlot serializes a slot: version, the fixed bytes between its variable
// cells, then each of those with its length + 1 in front, 0 for one never set.
func (t *Table) appendSlot(buf []byte, slot int32) []byte {
	c := t.Cells(0)
	buf = append(buf, layoutVersion)
	fixed, pos := c.Fixed(slot, 0, t.stride), 0
	for _, off := range t.layout.Blobs {
		buf = append(buf, fixed[pos:off]...)
		pos = off + vector.BlobCellBytes
	}
	buf = append(buf, fixed[pos:max(pos, t.layout.FixedBytes)]...)
	for _, off := range t.layout.Blobs {
		blob := c.Blob(slot, off)
		if blob == nil {
			buf = append(buf, 0)
			continue
		}
		buf = append(binary.AppendUvarint(buf, uint64(len(blob))+1), blob...)
	}
	return buf
}

var errSlot = errors.New("stored state has another form than the query's plan")

// readSlot sets a cleared slot from its serialized form.
func (t *Table) readSlot(slot int32, buf []byte) error {
	n := t.layout.FixedBytes - len(t.layout.Blobs)*vector.BlobCellBytes
	if len(buf) < 1+n || buf[0] != layoutVersion {
		return errSlot
	}
	c := t.Cells(0)
	fixed, pos := c.Fixed(slot, 0, t.stride), 0
	buf = buf[1:]
	for _, off := range t.layout.Blobs {
		buf = buf[copy(fixed[pos:off], buf):]
		pos = off + vector.BlobCellBytes
	}
	buf = buf[copy(fixed[pos:max(pos, t.layout.FixedBytes)], buf):]
	for _, off := range t.layout.Blobs {
		n, size := binary.Uvarint(buf)
		if size <= 0 || n > uint64(len(buf)-size)+1 {
			return errSlot
		}
		buf = buf[size:]
		if n > 0 {
			c.SetBlob(slot, off, buf[:n-1])
			buf = buf[n-1:]
		}
	}
	if len(buf) > 0 {
		return errSlot
	}
	return nil
}
