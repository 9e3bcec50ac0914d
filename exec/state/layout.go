package state

import (
	"encoding/binary"
	"fmt"

	"karst/sql/vector"
)

// A Layout says what the slot of a key holds: Fixed bytes, zero when the slot
// is made, in which the variable cells named by Blobs take
// vector.BlobCellBytes each. The zero Layout holds nothing but the key.
type Layout struct {
	// ID is written in front of each value in changelog and Pebble; what it
	// stands for is in the plan. A value with another id is refused.
	ID    uint64
	Fixed int   // a multiple of 8
	Blobs []int // offsets of variable cells, ascending
}

// Add appends a part, such as an aggregate kernel's Layout, and returns the
// offset at which it begins, to be given to Store.Cells.
func (l *Layout) Add(fixed int, blobs []int) int {
	at := l.Fixed
	l.Fixed += (fixed + 7) &^ 7
	for _, b := range blobs {
		l.Blobs = append(l.Blobs, at+b)
	}
	return at
}

func (l *Layout) validate() error {
	end := 0
	for _, b := range l.Blobs {
		if b < end || b%8 != 0 {
			return fmt.Errorf("layout %d: variable cell at %d overlaps or is not aligned", l.ID, b)
		}
		end = b + vector.BlobCellBytes
	}
	if end > l.Fixed || l.Fixed%8 != 0 {
		return fmt.Errorf("layout %d: %d fixed bytes do not hold its cells", l.ID, l.Fixed)
	}
	return nil
}

// A value in changelog and Pebble is
//
//	layout id (uvarint), the fixed bytes outside variable cells as they are in
//	memory (little endian), then for each variable cell its length + 1
//	(uvarint, 0 if never set) and its bytes.

// appendValue appends the value of slot g.
func (s *slots) appendValue(dst []byte, g int32) []byte {
	dst = binary.AppendUvarint(dst, s.layout.ID)
	fixed := s.fixed(g)
	at := 0
	for _, b := range s.layout.Blobs {
		dst = append(dst, fixed[at:b]...)
		at = b + vector.BlobCellBytes
	}
	dst = append(dst, fixed[at:]...)
	c := s.view(0)
	for _, off := range s.layout.Blobs {
		blob := c.Blob(g, off)
		if blob == nil {
			dst = append(dst, 0)
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(blob))+1)
		dst = append(dst, blob...)
	}
	return dst
}

// setValue parses a value into slot g, whose value must be clear. On an error
// the slot's value is undefined.
func (s *slots) setValue(g int32, b []byte) error {
	id, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("state value: bad layout id")
	}
	if id != s.layout.ID {
		return fmt.Errorf("state value: layout %d, but the store has layout %d", id, s.layout.ID)
	}
	b = b[n:]
	fixed := s.fixed(g)
	at := 0
	for _, off := range s.layout.Blobs {
		if len(b) < off-at {
			return fmt.Errorf("state value: too short")
		}
		copy(fixed[at:off], b)
		b = b[off-at:]
		at = off + vector.BlobCellBytes
	}
	if len(b) < len(fixed)-at {
		return fmt.Errorf("state value: too short")
	}
	b = b[copy(fixed[at:], b):]
	c := s.view(0)
	for _, off := range s.layout.Blobs {
		l, n := binary.Uvarint(b)
		if n <= 0 || l > uint64(len(b)-n)+1 {
			return fmt.Errorf("state value: bad length of a variable cell")
		}
		b = b[n:]
		if l > 0 {
			c.SetBlob(g, off, b[:l-1])
			b = b[l-1:]
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("state value: %d bytes too many", len(b))
	}
	return nil
}
