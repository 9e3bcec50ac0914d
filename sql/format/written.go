package format

import (
	"karst/sql/types"
	"karst/sql/vector"
)

// Written returns columns as they are once they have been written in a format
// and read again: PROTOBUF without a nullable representation has no nulls but
// those of messages.
func Written(o Options, a *vector.Arena, cols []*vector.Vector) []*vector.Vector {
	if o.Name != "PROTOBUF" && o.Name != "PROTOBUF_NOSR" || o.Nullable != "" {
		return cols
	}
	out := make([]*vector.Vector, len(cols))
	for i, v := range cols {
		out[i] = withDefaults(a, v)
	}
	return out
}

// withDefaults returns v with defaults for nulls, where the type has one.
func withDefaults(a *vector.Arena, v *vector.Vector) *vector.Vector {
	if v == nil || v.Valid == nil && !v.Type.IsNested() {
		return v
	}
	b := vector.NewBuilder(a, v.Type, v.Len)
	for i := range v.Len {
		appendWritten(b, v, i)
	}
	return b.Finish()
}

func appendWritten(b *vector.Builder, v *vector.Vector, i int) {
	null := v.IsNull(i)
	switch v.Type.Kind() {
	case types.KindBoolean:
		b.Bool(!null && v.Bits.Get(i))
	case types.KindInt:
		b.Int32(orZero(v.I32, i, null))
	case types.KindBigint:
		b.Int64(orZero(v.I64, i, null))
	case types.KindDouble:
		b.Float64(orZero(v.F64, i, null))
	case types.KindString, types.KindBytes:
		if !null {
			b.Extend(v.Str(i))
		}
		b.CloseBytes()
	case types.KindArray, types.KindMap:
		for j := v.Offsets[i]; !null && j < v.Offsets[i+1]; j++ {
			for k, kid := range v.Kids {
				appendWritten(b.Kid(k), kid, int(j))
			}
		}
		b.Close()
	case types.KindStruct:
		if null {
			b.Null()
			return
		}
		for k, kid := range v.Kids {
			appendWritten(b.Kid(k), kid, i)
		}
		b.Close()
	default: // a message
		b.Append(v, i)
	}
}

func orZero[T any](s []T, i int, null bool) T {
	var zero T
	if null {
		return zero
	}
	return s[i]
}
