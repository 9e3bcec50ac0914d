package state

import (
	"math/bits"
	"unsafe"

	"karst/sql/vector"
)

const (
	headerBytes  = 32
	longKey      = 255 // header.klen of a key that stands in a variable cell
	keyCellAt    = 8   // offset of header.key, where the cell of a long key is
	firstSlots   = 8   // slots of a new table
	maxSlotShift = 14
)

// Flags of a slot.
const (
	flagUsed  = 1 << iota // handed out
	flagLive              // the key has a value; otherwise it is deleted
	flagBelow             // overlay: the key is live in a layer below
	flagDirty             // base: changed since the last cut
	flagCut               // base: wanted by the cut that is being written
)

// A header begins every slot.
type header struct {
	klen  uint8
	flags uint8
	_     uint16
	tag   uint32
	key   keyWords // of a long key a variable cell
}

// slots holds keys and their values by slot number. It has no pointers to
// any of them.
type slots struct {
	layout *Layout
	alloc  *Allocator
	cells  vector.Cells // Offset 0: the header
	n      int32        // slots handed out since the last reset, freed ones included
	room   int32        // slots that fit in the segments
	full   int32        // slots of a full segment
	free   []int32
	blobs  int // bytes of the blob heap as last counted
}

func (s *slots) init(l *Layout, a *Allocator) {
	stride := headerBytes + l.Fixed
	shift := min(maxSlotShift, bits.Len(uint(max(1, segmentBytes/stride)))-1)
	s.layout, s.alloc = l, a
	s.full = 1 << shift
	s.cells = vector.Cells{Shift: uint8(shift), Stride: stride, Blobs: vector.NewBlobs()}
}

// view returns the cells at offset off of the value.
func (s *slots) view(off int) vector.Cells {
	c := s.cells
	c.Offset = headerBytes + off
	return c
}

func (s *slots) header(g int32) *header { return (*header)(s.cells.At(g)) }

// fixed returns the value's bytes in the slot.
func (s *slots) fixed(g int32) []byte { return s.cells.Fixed(g, headerBytes, s.layout.Fixed) }

// key returns the key of slot g; the bytes are the slot's.
func (s *slots) key(g int32) []byte {
	h := s.header(g)
	if h.klen == longKey {
		return s.cells.Blob(g, keyCellAt)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&h.key)), int(h.klen))
}

// holds reports whether slot g, whose tag is that of p, has p's key.
func (s *slots) holds(g int32, p *probe) bool {
	h := s.header(g)
	if len(p.key) <= inlineKey {
		return int(h.klen) == len(p.key) && h.key == p.words
	}
	return h.klen == longKey && string(s.cells.Blob(g, keyCellAt)) == string(p.key)
}

// add returns a slot with p's key and a cleared value, neither live nor
// anything else.
func (s *slots) add(p *probe) int32 {
	var g int32
	if k := len(s.free); k > 0 {
		g = s.free[k-1]
		s.free = s.free[:k-1]
	} else {
		if s.n == s.room {
			s.grow()
		}
		g = s.n
		s.n++
	}
	h := s.header(g)
	*h = header{klen: uint8(min(len(p.key), longKey)), flags: flagUsed, tag: p.tag}
	clear(s.fixed(g))
	if len(p.key) <= inlineKey {
		h.key = p.words
		return g
	}
	h.klen = longKey
	s.cells.SetBlob(g, keyCellAt, p.key)
	return g
}

// grow makes room for at least one more slot. The first segment doubles up to
// its full size, then full segments follow.
func (s *slots) grow() {
	stride := s.cells.Stride
	if s.room == 0 || s.room >= s.full {
		n := s.full
		if s.room == 0 {
			n = min(n, firstSlots)
		}
		s.cells.Segments = append(s.cells.Segments, asBytes(s.alloc.words(int(n)*stride/8)))
		s.room += n
		return
	}
	n := min(s.full, 2*s.room)
	old := s.cells.Segments[0]
	s.cells.Segments[0] = asBytes(s.alloc.words(int(n) * stride / 8))
	copy(s.cells.Segments[0], old)
	s.alloc.giveBack(asWords(old))
	s.room = n
}

// clearValue makes the value of slot g as that of a new slot.
func (s *slots) clearValue(g int32) {
	for _, off := range s.layout.Blobs {
		s.cells.Free(g, headerBytes+off)
	}
	clear(s.fixed(g))
}

// remove gives slot g back.
func (s *slots) remove(g int32) {
	s.clearValue(g)
	h := s.header(g)
	if h.klen == longKey {
		s.cells.Free(g, keyCellAt)
	}
	*h = header{}
	s.free = append(s.free, g)
}

// copyValue makes the value of slot g equal to that of slot h of from, which
// has the same layout.
func (s *slots) copyValue(g int32, from *slots, h int32) {
	dst, src := s.fixed(g), from.fixed(h)
	if len(s.layout.Blobs) == 0 {
		copy(dst, src)
		return
	}
	at := 0
	for _, off := range s.layout.Blobs {
		copy(dst[at:off], src[at:off])
		at = off + vector.BlobCellBytes
	}
	copy(dst[at:], src[at:])
	for _, off := range s.layout.Blobs {
		if b := from.cells.Blob(h, headerBytes+off); b != nil {
			s.cells.SetBlob(g, headerBytes+off, b)
		} else {
			s.cells.Free(g, headerBytes+off)
		}
	}
}

// countBlobs brings the budget up to date with the blob heap.
func (s *slots) countBlobs() {
	n := s.cells.Blobs.Bytes()
	s.alloc.budget.Add(n - s.blobs)
	s.blobs = n
}

// reset forgets all slots. Memory stays for use again unless little of it was
// used this time.
func (s *slots) reset() {
	if s.n < s.room/4 && len(s.cells.Segments) > 1 {
		s.release(len(s.cells.Segments) / 2)
	}
	s.n, s.free = 0, s.free[:0]
	s.cells.Blobs.Reset()
	s.countBlobs()
}

// release gives back all segments but the first keep.
func (s *slots) release(keep int) {
	for _, seg := range s.cells.Segments[keep:] {
		s.alloc.giveBack(asWords(seg))
	}
	clear(s.cells.Segments[keep:])
	s.cells.Segments = s.cells.Segments[:keep]
	s.room = int32(keep) * s.full
}

// close gives back all memory.
func (s *slots) close() {
	s.release(0)
	s.alloc.budget.Add(-s.blobs)
	s.n, s.free, s.blobs = 0, nil, 0
	s.cells.Blobs = vector.NewBlobs()
}

// bytes returns the memory held.
func (s *slots) bytes() int { return int(s.room)*s.cells.Stride + s.cells.Blobs.Bytes() }
