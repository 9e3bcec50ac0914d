package operator

import (
	"encoding/binary"

	"karst/sql/types"
	"karst/sql/vector"
)

// A rowBuilder builds a batch row by row, for operators whose output rows are
// not their input rows.
type rowBuilder struct {
	arena    *vector.Arena
	cols     []*vector.Builder
	time     []int64
	ops      []vector.Op
	start    []int64
	end      []int64
	windowed bool
	order    []int32
	origin   int32 // place in the merge order of the row being processed
	ordered  bool
	headers  *vector.Builder // nil as long as no row has any
	heads    *vector.Vector  // headers of the row being processed
	headRow  int
}

func newRowBuilder(a *vector.Arena, schema types.Schema, windowed bool, rows int) *rowBuilder {
	b := &rowBuilder{arena: a, windowed: windowed}
	for _, c := range schema.Columns {
		b.cols = append(b.cols, vector.NewBuilder(a, c.Type, rows))
	}
	return b
}

// from says that the rows to come stem from row i of src: they have its place
// in the merge order and its headers.
func (b *rowBuilder) from(src *vector.Batch, i int) {
	b.heads, b.headRow = src.Headers, i
	if b.ordered = src.Order != nil; b.ordered {
		b.origin = src.Order[i]
	}
}

// close ends a row whose columns have been appended.
func (b *rowBuilder) close(op vector.Op, time, start, end int64) {
	b.ops = append(b.ops, op)
	b.time = append(b.time, time)
	if b.windowed {
		b.start, b.end = append(b.start, start), append(b.end, end)
	}
	if b.ordered {
		b.order = append(b.order, b.origin)
	}
	if b.heads != nil && b.headers == nil {
		b.headers = vector.NewBuilder(b.arena, b.heads.Type, len(b.time))
		for range len(b.time) - 1 {
			b.headers.Close()
		}
	}
	switch {
	case b.heads != nil:
		b.headers.Append(b.heads, b.headRow)
	case b.headers != nil:
		b.headers.Close()
	}
}

// bytes is about what the rows take outside of the arena.
func (b *rowBuilder) bytes() int { return len(b.time) * (16 + 8*len(b.cols)) }

// check returns an error if the round is to end here; see vector.Arena.Check.
func (b *rowBuilder) check() error { return b.arena.Check(b.bytes()) }

// finish returns the batch, nil if it has no rows.
func (b *rowBuilder) finish() *vector.Batch {
	if len(b.time) == 0 {
		return nil
	}
	out := &vector.Batch{N: len(b.time), Time: b.time, Ops: b.ops, WindowStart: b.start, WindowEnd: b.end, Order: b.order}
	for _, c := range b.cols {
		out.Cols = append(out.Cols, c.Finish())
	}
	if b.headers != nil {
		out.Headers = b.headers.Finish()
	}
	return out
}

// appendRow appends the columns of row i of src to cols; a nil column is null.
func appendRow(cols []*vector.Builder, src []*vector.Vector, i int) {
	for k, c := range cols {
		if src[k] == nil {
			c.Null()
		} else {
			c.Append(src[k], i)
		}
	}
}

func nullRow(cols []*vector.Builder) {
	for _, c := range cols {
		c.Null()
	}
}

// appendKey appends the canonical bytes of row i's key columns.
func appendKey(buf []byte, keys []*vector.Vector, i int) []byte {
	for _, k := range keys {
		buf = vector.AppendValue(buf, k, i)
	}
	return buf
}

// appendWindowKey appends a window start, so that a key's windows sort by it.
func appendWindowKey(buf []byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(buf, uint64(start))
}

// appendRowBytes appends the time and the columns of row i, as stores keep
// rows; a nil column is null.
func appendRowBytes(buf []byte, time int64, cols []*vector.Vector, i int) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(time))
	for _, c := range cols {
		if c == nil {
			buf = append(buf, 0)
		} else {
			buf = vector.AppendValue(buf, c, i)
		}
	}
	return buf
}

// readRowBytes appends a stored row's columns to cols and returns its time and
// what follows it. A row that ends before a column was kept when the table did
// not have that column yet: it is null.
func readRowBytes(cols []*vector.Builder, buf []byte) (time int64, rest []byte, err error) {
	if len(buf) < 8 {
		return 0, nil, vector.ErrValue
	}
	time = int64(binary.BigEndian.Uint64(buf))
	buf = buf[8:]
	for i, c := range cols {
		if len(buf) == 0 {
			nullRow(cols[i:])
			break
		}
		if buf, err = vector.ReadValue(c, buf); err != nil {
			return 0, nil, err
		}
	}
	return time, buf, nil
}

// anyNull reports whether any of the columns is null in row i.
func anyNull(cols []*vector.Vector, i int) bool {
	for _, c := range cols {
		if c.IsNull(i) {
			return true
		}
	}
	return false
}
