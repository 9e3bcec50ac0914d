package pull

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"karst/sql/types"
	"karst/sql/vector"
)

// firstRows keeps the first rows in the order of their keys.
type firstRows struct {
	limit  int
	schema types.Schema
	keys   int
	rows   []ranked
}

// A ranked row is its columns' bytes under the bytes that order it.
type ranked struct{ order, row []byte }

func newFirstRows(limit int64, schema types.Schema) *firstRows {
	return &firstRows{limit: int(min(limit, math.MaxInt32)), schema: schema, keys: len(schema.Keys())}
}

// add takes in the rows of b; it always wants more.
func (f *firstRows) add(b *vector.Batch) bool {
	for n := range b.Rows() {
		i := b.Row(n)
		r := ranked{}
		for _, k := range b.Cols[:f.keys] {
			r.order = appendOrdered(r.order, k, i)
		}
		if b.WindowStart != nil {
			r.order = appendOrderedInt(appendOrderedInt(r.order, b.WindowStart[i]), b.WindowEnd[i])
		}
		for _, c := range b.Cols {
			r.row = vector.AppendValue(r.row, c, i)
		}
		f.rows = append(f.rows, r)
	}
	if len(f.rows) > 2*f.limit+chunkSlots {
		f.cut()
	}
	return true
}

func (f *firstRows) cut() {
	slices.SortStableFunc(f.rows, func(a, b ranked) int { return bytes.Compare(a.order, b.order) })
	f.rows = f.rows[:min(len(f.rows), f.limit)]
}

// finish returns the rows in order; nil if there are none.
func (f *firstRows) finish(a *vector.Arena) (*vector.Batch, error) {
	f.cut()
	if len(f.rows) == 0 {
		return nil, nil
	}
	a.Reset()
	var cols []*vector.Builder
	for _, c := range f.schema.Columns {
		cols = append(cols, vector.NewBuilder(a, c.Type, len(f.rows)))
	}
	for _, r := range f.rows {
		rest := r.row
		for _, c := range cols {
			var err error
			if rest, err = vector.ReadValue(c, rest); err != nil {
				return nil, err
			}
		}
	}
	b := &vector.Batch{N: len(f.rows), Time: make([]int64, len(f.rows))}
	for _, c := range cols {
		b.Cols = append(b.Cols, c.Finish())
	}
	return b, nil
}

// appendOrdered appends bytes that compare as the values do; null is first.
// Arrays and maps have no order but a fixed one.
func appendOrdered(buf []byte, v *vector.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(buf, 0)
	}
	buf = append(buf, 1)
	switch v.Type.Kind() {
	case types.KindInt, types.KindDate, types.KindTime:
		return appendOrderedInt(buf, int64(v.I32[i]))
	case types.KindBigint, types.KindTimestamp:
		return appendOrderedInt(buf, v.I64[i])
	case types.KindDouble:
		bits := math.Float64bits(v.F64[i])
		if bits>>63 == 1 {
			return binary.BigEndian.AppendUint64(buf, ^bits)
		}
		return binary.BigEndian.AppendUint64(buf, bits|1<<63)
	case types.KindDecimal:
		return binary.BigEndian.AppendUint64(appendOrderedInt(buf, v.Dec[i].HighBits()), v.Dec[i].LowBits())
	case types.KindString, types.KindBytes:
		// A zero byte within is followed by another byte than the end's.
		buf = append(buf, bytes.ReplaceAll([]byte(v.Str(i)), []byte{0}, []byte{0, 0xff})...)
		return append(buf, 0, 0)
	case types.KindStruct:
		for _, k := range v.Kids {
			buf = appendOrdered(buf, k, i)
		}
		return buf
	}
	return vector.AppendValue(buf, v, i)
}

func appendOrderedInt(buf []byte, x int64) []byte {
	return binary.BigEndian.AppendUint64(buf, uint64(x)^1<<63)
}
