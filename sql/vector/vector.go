package vector

import (
	"karst/sql/types"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// A Vector is one column of Len rows in Arrow's memory layout. Which slices
// are used depends on the type's kind:
//
//	BOOLEAN                Bits
//	INT, DATE, TIME        I32 (TIME: milliseconds of the day)
//	BIGINT, TIMESTAMP      I64 (TIMESTAMP: milliseconds since the epoch)
//	DOUBLE                 F64
//	DECIMAL                Dec (unscaled, of the type's scale)
//	STRING, BYTES          Offsets (Len+1), Data
//	ARRAY                  Offsets (Len+1), Kids[0] = elements
//	MAP                    Offsets (Len+1), Kids[0] = keys, Kids[1] = values; keys unique within a row
//	STRUCT                 Kids = the fields, each of Len rows
//
// A null row has undefined values in the slices, but its offsets are well
// formed. The slices belong to the arena of whoever made the vector.
type Vector struct {
	Type    *types.Type
	Len     int
	Valid   Bitmap // nil: no nulls
	Bits    Bitmap
	I32     []int32
	I64     []int64
	F64     []float64
	Dec     []decimal128.Num
	Offsets []int32
	Data    []byte
	Kids    []*Vector
}

// IsNull reports whether row i is null.
func (v *Vector) IsNull(i int) bool { return v.Valid != nil && !v.Valid.Get(i) }

// Str returns the bytes of row i of a STRING or BYTES vector; they are the
// vector's own.
func (v *Vector) Str(i int) []byte { return v.Data[v.Offsets[i]:v.Offsets[i+1]] }

// Bool returns row i of a BOOLEAN vector; undefined if null.
func (v *Vector) Bool(i int) bool { return v.Bits.Get(i) }

// SetNull makes row i null, giving the vector a validity map if it has none.
func (v *Vector) SetNull(a *Arena, i int) {
	if v.Valid == nil {
		v.Valid = a.Bitmap(v.Len)
		v.Valid.Fill(true)
	}
	v.Valid.Clear(i)
}

// New returns a vector of n rows with its fixed-size slices allocated and
// zeroed and no nulls. Variable-size kinds get their offsets (all zero) and
// empty data or children; use a Builder to fill those row by row.
func New(a *Arena, t *types.Type, n int) *Vector {
	v := &Vector{Type: t, Len: n}
	switch t.Kind() {
	case types.KindBoolean:
		v.Bits = a.Bitmap(n)
	case types.KindInt, types.KindDate, types.KindTime:
		v.I32 = a.Int32s(n)
	case types.KindBigint, types.KindTimestamp:
		v.I64 = a.Int64s(n)
	case types.KindDouble:
		v.F64 = a.Float64s(n)
	case types.KindDecimal:
		v.Dec = a.Decimals(n)
	case types.KindString, types.KindBytes:
		v.Offsets = a.Int32s(n + 1)
	case types.KindArray:
		v.Offsets = a.Int32s(n + 1)
		v.Kids = []*Vector{New(a, t.Elem(), 0)}
	case types.KindMap:
		v.Offsets = a.Int32s(n + 1)
		v.Kids = []*Vector{New(a, t.Key(), 0), New(a, t.Elem(), 0)}
	case types.KindStruct:
		for _, f := range t.Fields() {
			v.Kids = append(v.Kids, New(a, f.Type, n))
		}
	case types.KindNull:
		v.Valid = a.Bitmap(n)
	default:
		panic("vector: no column can have type " + t.String())
	}
	return v
}

// NewNull returns a vector of n nulls.
func NewNull(a *Arena, t *types.Type, n int) *Vector {
	v := New(a, t, n)
	v.Valid = a.Bitmap(n)
	return v
}
