package vector

import (
	"math/bits"
	"unsafe"
)

// blobRef is what a variable cell holds in its slot. All zero: never set.
type blobRef struct {
	segment uint32 // index + 1 of the segment
	offset  uint32
	length  uint32
	class   uint32 // capacity is 1<<class
}

const (
	blobSegmentBytes = 1 << 20 // segments double up to this size
	blobSegmentMin   = 4 << 10
	blobClassMin     = 4 // 16 bytes
)

// Blobs is a pointer-free heap of byte strings that variable cells refer to.
// Freed room is kept by power-of-two size and used again. It is not safe for
// concurrent use; its table guards it.
type Blobs struct {
	segments [][]byte
	current  int // index of the segment being filled
	used     int // bytes of it
	free     [32][]blobRef
	bytes    int // capacity of all segments
}

// NewBlobs returns an empty heap.
func NewBlobs() *Blobs { return &Blobs{} }

// Bytes returns the memory the heap holds, for the budget.
func (h *Blobs) Bytes() int { return h.bytes }

// Used returns the memory that was filled since the last Reset.
func (h *Blobs) Used() int {
	n := h.used
	for _, s := range h.segments[:h.current] {
		n += len(s)
	}
	return n
}

// Reset forgets all content. It keeps the segments that were in use, for a
// heap that is filled and reset again and again, except those of unusual size.
func (h *Blobs) Reset() {
	kept, bytes := h.segments[:0], 0
	for i, s := range h.segments {
		if i <= h.current && len(s) <= blobSegmentBytes {
			kept = append(kept, s)
			bytes += len(s)
		}
	}
	clear(h.segments[len(kept):])
	*h = Blobs{segments: kept, bytes: bytes}
}

func (h *Blobs) get(r *blobRef) []byte {
	if r.segment == 0 {
		return nil
	}
	return h.segments[r.segment-1][r.offset : r.offset+r.length : r.offset+r.length]
}

func (h *Blobs) set(r *blobRef, b []byte) {
	if r.segment == 0 || len(b) > 1<<r.class {
		old := *r
		*r = h.alloc(len(b))
		if old.segment != 0 {
			// b may lie in the old place, so it is copied before that is freed.
			copy(h.segments[r.segment-1][r.offset:], b)
			h.free[old.class] = append(h.free[old.class], old)
			r.length = uint32(len(b))
			return
		}
	}
	r.length = uint32(len(b))
	copy(h.segments[r.segment-1][r.offset:], b)
}

// Free gives back the room of the variable cell at ref and clears it.
func (c *Cells) Free(g int32, off int) {
	r := (*blobRef)(unsafe.Add(c.At(g), off))
	if r.segment != 0 {
		c.Blobs.free[r.class] = append(c.Blobs.free[r.class], *r)
		*r = blobRef{}
	}
}

func (h *Blobs) alloc(n int) blobRef {
	class := max(blobClassMin, bits.Len(uint(max(n, 1)-1)))
	if f := h.free[class]; len(f) > 0 {
		r := f[len(f)-1]
		h.free[class] = f[:len(f)-1]
		return r
	}
	size := 1 << class
	// What is left of a segment that has no room is given up: refs hold
	// positions, so segments never move. One too large for any segment gets its
	// own.
	for h.current < len(h.segments) && h.used+size > len(h.segments[h.current]) {
		h.current, h.used = h.current+1, 0
	}
	if h.current == len(h.segments) {
		n := blobSegmentMin
		if h.current > 0 {
			n = min(blobSegmentBytes, 2*len(h.segments[h.current-1]))
		}
		n = max(n, size)
		h.segments = append(h.segments, make([]byte, n))
		h.bytes += n
	}
	r := blobRef{segment: uint32(h.current + 1), offset: uint32(h.used), class: uint32(class)}
	h.used += size
	return r
}

// resize gives r room for n bytes, keeping what it holds.
func (h *Blobs) resize(r *blobRef, n int) []byte {
	if r.segment == 0 || n > 1<<r.class {
		old := *r
		*r = h.alloc(n)
		if old.segment != 0 {
			copy(h.segments[r.segment-1][r.offset:], h.get(&old))
			h.free[old.class] = append(h.free[old.class], old)
		}
	}
	r.length = uint32(n)
	return h.get(r)
}
