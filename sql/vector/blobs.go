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
	blobSegmentBytes = 1 << 20
	blobClassMin     = 4 // 16 bytes
)

// Blobs is a pointer-free heap of byte strings that variable cells refer to.
// Freed room is kept by power-of-two size and used again. It is not safe for
// concurrent use; its table guards it.
type Blobs struct {
	segments [][]byte
	used     int // bytes of the last segment
	free     [32][]blobRef
	bytes    int // capacity of all segments
}

// NewBlobs returns an empty heap.
func NewBlobs() *Blobs { return &Blobs{} }

// Bytes returns the memory the heap holds, for the budget.
func (h *Blobs) Bytes() int { return h.bytes }

// Reset forgets all content, keeping at most one segment.
func (h *Blobs) Reset() {
	*h = Blobs{segments: h.segments[:min(len(h.segments), 1)]}
	if len(h.segments) == 1 && len(h.segments[0]) != blobSegmentBytes {
		h.segments = nil
	}
	h.bytes = len(h.segments) * blobSegmentBytes
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
	if size > blobSegmentBytes {
		// A segment of its own. The rest of the one being filled is given up:
		// refs hold positions, so segments never move, and blobs this large
		// are rare.
		h.segments = append(h.segments, make([]byte, size))
		h.bytes += size
		h.used = size
		return blobRef{segment: uint32(len(h.segments)), class: uint32(class)}
	}
	if len(h.segments) == 0 || h.used+size > len(h.segments[len(h.segments)-1]) {
		h.segments = append(h.segments, make([]byte, blobSegmentBytes))
		h.bytes += blobSegmentBytes
		h.used = 0
	}
	r := blobRef{segment: uint32(len(h.segments)), offset: uint32(h.used), class: uint32(class)}
	h.used += size
	return r
}
