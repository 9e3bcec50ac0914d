package vector

import (
	"karst/sql/types"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// A Builder appends rows to a vector one after another. It is for results of
// unknown size (strings, nested values) and for decoders; where the number of
// rows is known a kernel writes the slices of New directly.
//
// A nested row is appended children first, then closed: for an ARRAY append
// the elements to Kid(0), for a MAP keys to Kid(0) and values to Kid(1), for a
// STRUCT one row to each kid; then call Close (or Null instead, with no
// children appended: a struct's kids get their null from it).
type Builder struct {
	v    Vector
	a    *Arena
	kids []*Builder
	bits int // capacity of Bits in rows
	vld  int // capacity of Valid in rows, 0: no nulls so far
}

// NewBuilder returns a builder for vectors of type t with room for rows rows.
func NewBuilder(a *Arena, t *types.Type, rows int) *Builder {
	b := &Builder{a: a, v: Vector{Type: t}}
	switch t.Kind() {
	case types.KindBoolean:
		b.v.Bits, b.bits = a.Bitmap(rows), rows
	case types.KindInt, types.KindDate, types.KindTime:
		b.v.I32 = a.Int32s(rows)[:0]
	case types.KindBigint, types.KindTimestamp:
		b.v.I64 = a.Int64s(rows)[:0]
	case types.KindDouble:
		b.v.F64 = a.Float64s(rows)[:0]
	case types.KindDecimal:
		b.v.Dec = a.Decimals(rows)[:0]
	case types.KindString, types.KindBytes:
		b.v.Offsets = append(a.Int32s(rows + 1)[:0], 0)
		b.v.Data = a.Bytes(rows * 8)[:0]
	case types.KindArray:
		b.v.Offsets = append(a.Int32s(rows + 1)[:0], 0)
		b.kids = []*Builder{NewBuilder(a, t.Elem(), rows)}
	case types.KindMap:
		b.v.Offsets = append(a.Int32s(rows + 1)[:0], 0)
		b.kids = []*Builder{NewBuilder(a, t.Key(), rows), NewBuilder(a, t.Elem(), rows)}
	case types.KindStruct:
		for _, f := range t.Fields() {
			b.kids = append(b.kids, NewBuilder(a, f.Type, rows))
		}
	case types.KindNull:
	default:
		panic("vector: no column can have type " + t.String())
	}
	return b
}

// Type returns the type of the vector being built.
func (b *Builder) Type() *types.Type { return b.v.Type }

// Len returns the number of rows appended.
func (b *Builder) Len() int { return b.v.Len }

// Kid returns the builder of child i.
func (b *Builder) Kid(i int) *Builder { return b.kids[i] }

// Bool appends a BOOLEAN.
func (b *Builder) Bool(x bool) {
	if b.v.Len == b.bits {
		b.bits = max(64, 2*b.bits)
		old := b.v.Bits
		b.v.Bits = b.a.Bitmap(b.bits)
		copy(b.v.Bits, old)
	}
	b.v.Bits.Put(b.v.Len, x)
	b.next(true)
}

// Int32 appends an INT, DATE or TIME.
func (b *Builder) Int32(x int32) { b.v.I32 = append(b.v.I32, x); b.next(true) }

// Int64 appends a BIGINT or TIMESTAMP.
func (b *Builder) Int64(x int64) { b.v.I64 = append(b.v.I64, x); b.next(true) }

// Float64 appends a DOUBLE.
func (b *Builder) Float64(x float64) { b.v.F64 = append(b.v.F64, x); b.next(true) }

// Decimal appends a DECIMAL, unscaled.
func (b *Builder) Decimal(x decimal128.Num) { b.v.Dec = append(b.v.Dec, x); b.next(true) }

// Bytes appends a STRING or BYTES; it copies x.
func (b *Builder) Bytes(x []byte) {
	b.v.Data = append(b.a.GrowBytes(b.v.Data, len(x)), x...)
	b.CloseBytes()
}

// String appends a STRING or BYTES.
func (b *Builder) String(x string) {
	b.v.Data = append(b.a.GrowBytes(b.v.Data, len(x)), x...)
	b.CloseBytes()
}

// Extend appends to the row being written of a STRING or BYTES; CloseBytes
// ends the row.
func (b *Builder) Extend(x []byte) { b.v.Data = append(b.a.GrowBytes(b.v.Data, len(x)), x...) }

// CloseBytes ends a STRING or BYTES row.
func (b *Builder) CloseBytes() {
	b.v.Offsets = append(b.v.Offsets, int32(len(b.v.Data)))
	b.next(true)
}

// Close ends a nested row whose children have been appended.
func (b *Builder) Close() {
	if b.v.Type.Kind() != types.KindStruct {
		b.v.Offsets = append(b.v.Offsets, int32(b.kids[0].v.Len))
	}
	b.next(true)
}

// Null appends a null.
func (b *Builder) Null() {
	switch b.v.Type.Kind() {
	case types.KindBoolean:
		b.Bool(false)
		b.unset()
		return
	case types.KindInt, types.KindDate, types.KindTime:
		b.v.I32 = append(b.v.I32, 0)
	case types.KindBigint, types.KindTimestamp:
		b.v.I64 = append(b.v.I64, 0)
	case types.KindDouble:
		b.v.F64 = append(b.v.F64, 0)
	case types.KindDecimal:
		b.v.Dec = append(b.v.Dec, decimal128.Num{})
	case types.KindString, types.KindBytes:
		b.v.Offsets = append(b.v.Offsets, int32(len(b.v.Data)))
	case types.KindArray, types.KindMap:
		b.v.Offsets = append(b.v.Offsets, int32(b.kids[0].v.Len))
	case types.KindStruct:
		for _, k := range b.kids {
			k.Null()
		}
	}
	b.next(false)
}

// next counts the row just written and notes whether it is valid.
func (b *Builder) next(valid bool) {
	i := b.v.Len
	b.v.Len++
	if valid && b.vld == 0 {
		return
	}
	if i >= b.vld {
		b.growValid(i)
	}
	b.v.Valid.Put(i, valid)
}

func (b *Builder) growValid(i int) {
	rows := max(64, 2*i)
	m := b.a.Bitmap(rows)
	if b.vld == 0 {
		m.Fill(true)
	} else {
		copy(m, b.v.Valid)
	}
	b.v.Valid, b.vld = m, rows
}

func (b *Builder) unset() {
	i := b.v.Len - 1
	if i >= b.vld {
		b.growValid(i)
	}
	b.v.Valid.Clear(i)
}

// Truncate drops the rows from n on, children included; bytes of an unfinished
// row too. A decoder uses it to take back a record that turned out malformed.
func (b *Builder) Truncate(n int) {
	b.v.Len = min(n, b.v.Len)
	n = b.v.Len
	switch b.v.Type.Kind() {
	case types.KindInt, types.KindDate, types.KindTime:
		b.v.I32 = b.v.I32[:n]
	case types.KindBigint, types.KindTimestamp:
		b.v.I64 = b.v.I64[:n]
	case types.KindDouble:
		b.v.F64 = b.v.F64[:n]
	case types.KindDecimal:
		b.v.Dec = b.v.Dec[:n]
	case types.KindString, types.KindBytes:
		b.v.Offsets = b.v.Offsets[:n+1]
		b.v.Data = b.v.Data[:b.v.Offsets[n]]
	case types.KindArray, types.KindMap:
		b.v.Offsets = b.v.Offsets[:n+1]
		for _, k := range b.kids {
			k.Truncate(int(b.v.Offsets[n]))
		}
	case types.KindStruct:
		for _, k := range b.kids {
			k.Truncate(n)
		}
	}
}

// Finish returns the vector; the builder must not be used afterwards.
func (b *Builder) Finish() *Vector {
	if b.vld > 0 {
		b.v.Valid = b.v.Valid[:BitmapBytes(b.v.Len)]
	}
	b.v.Bits = b.v.Bits[:min(len(b.v.Bits), BitmapBytes(b.v.Len))]
	for _, k := range b.kids {
		b.v.Kids = append(b.v.Kids, k.Finish())
	}
	if b.v.Type.Kind() == types.KindNull && b.v.Valid == nil {
		b.v.Valid = b.a.Bitmap(b.v.Len)
	}
	return &b.v
}

// Append copies row i of src, which has the builder's type.
func (b *Builder) Append(src *Vector, i int) {
	if src.IsNull(i) {
		b.Null()
		return
	}
	switch b.v.Type.Kind() {
	case types.KindBoolean:
		b.Bool(src.Bits.Get(i))
	case types.KindInt, types.KindDate, types.KindTime:
		b.Int32(src.I32[i])
	case types.KindBigint, types.KindTimestamp:
		b.Int64(src.I64[i])
	case types.KindDouble:
		b.Float64(src.F64[i])
	case types.KindDecimal:
		b.Decimal(src.Dec[i])
	case types.KindString, types.KindBytes:
		b.Bytes(src.Str(i))
	case types.KindArray, types.KindMap:
		for j := src.Offsets[i]; j < src.Offsets[i+1]; j++ {
			for k, kid := range b.kids {
				kid.Append(src.Kids[k], int(j))
			}
		}
		b.Close()
	case types.KindStruct:
		for k, kid := range b.kids {
			kid.Append(src.Kids[k], i)
		}
		b.Close()
	case types.KindNull:
		b.Null()
	}
}
