package vector

import "unsafe"

// Cells is one aggregate's (or column's) view on the slots of a keyed state
// table: group g's bytes are Stride bytes apart within segments of 1<<Shift
// slots, and this view's own bytes start Offset bytes into the slot. It is a
// struct and not an interface so that an update costs two shifts and an add.
//
// Slots are 8-byte aligned. A fixed cell is read and written in place through
// Fixed, Int64, Float64; a variable cell takes BlobCellBytes in the slot and
// is read and written by Blob and SetBlob. The bytes belong to the table and
// move only when the table grows, which never happens within a kernel call.
type Cells struct {
	Segments [][]byte
	Shift    uint8
	Stride   int
	Offset   int
	Blobs    *Blobs
}

// BlobCellBytes is the room a variable cell takes in a slot.
const BlobCellBytes = 16

// At returns the address of group g's bytes of this view.
func (c *Cells) At(g int32) unsafe.Pointer {
	seg := c.Segments[g>>c.Shift]
	return unsafe.Pointer(&seg[int(g&(1<<c.Shift-1))*c.Stride+c.Offset])
}

// Fixed returns the n bytes of group g at byte offset off within the view.
func (c *Cells) Fixed(g int32, off, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(c.At(g), off)), n)
}

// Int64 returns the 8 bytes at offset off as an integer in place.
func (c *Cells) Int64(g int32, off int) *int64 { return (*int64)(unsafe.Add(c.At(g), off)) }

// Int32 is Int64 for the half of a cell.
func (c *Cells) Int32(g int32, off int) *int32 { return (*int32)(unsafe.Add(c.At(g), off)) }

// Float64 returns the 8 bytes at offset off as a float in place.
func (c *Cells) Float64(g int32, off int) *float64 { return (*float64)(unsafe.Add(c.At(g), off)) }

// Blob returns the content of the variable cell at offset off; nil if it was
// never set. The bytes are the table's: read only, valid until the next SetBlob.
func (c *Cells) Blob(g int32, off int) []byte {
	return c.Blobs.get((*blobRef)(unsafe.Add(c.At(g), off)))
}

// SetBlob replaces the content of the variable cell at offset off by a copy of b.
func (c *Cells) SetBlob(g int32, off int, b []byte) {
	c.Blobs.set((*blobRef)(unsafe.Add(c.At(g), off)), b)
}

// ResizeBlob makes the variable cell at offset off n bytes long, keeping what
// it holds, and returns its bytes to be written in place until the next change
// of any blob. Bytes beyond the old length are undefined. Growing a cell step by
// step costs amortised constant time a byte.
func (c *Cells) ResizeBlob(g int32, off, n int) []byte {
	return c.Blobs.resize((*blobRef)(unsafe.Add(c.At(g), off)), n)
}
