package vector

import (
	"bytes"
	"cmp"

	"karst/sql/types"
)

// Compare orders row i of x and row j of y, vectors of one type: -1, 0 or 1.
// Nulls come first; nested values compare part by part.
func Compare(x *Vector, i int, y *Vector, j int) int {
	if nx, ny := x.IsNull(i), y.IsNull(j); nx || ny {
		switch {
		case nx && ny:
			return 0
		case nx:
			return -1
		}
		return 1
	}
	switch x.Type.Kind() {
	case types.KindBoolean:
		return cmp.Compare(bit(x, i), bit(y, j))
	case types.KindInt, types.KindDate, types.KindTime:
		return cmp.Compare(x.I32[i], y.I32[j])
	case types.KindBigint, types.KindTimestamp:
		return cmp.Compare(x.I64[i], y.I64[j])
	case types.KindDouble:
		return cmp.Compare(x.F64[i], y.F64[j])
	case types.KindDecimal:
		return x.Dec[i].Cmp(y.Dec[j])
	case types.KindString, types.KindBytes:
		return bytes.Compare(x.Str(i), y.Str(j))
	case types.KindStruct:
		for k := range x.Kids {
			if c := Compare(x.Kids[k], i, y.Kids[k], j); c != 0 {
				return c
			}
		}
		return 0
	case types.KindArray, types.KindMap:
		return compareLists(x, i, y, j)
	}
	return 0
}

func bit(v *Vector, i int) int {
	if v.Bits.Get(i) {
		return 1
	}
	return 0
}

func compareLists(x *Vector, i int, y *Vector, j int) int {
	a, b := int(x.Offsets[i]), int(y.Offsets[j])
	na, nb := int(x.Offsets[i+1])-a, int(y.Offsets[j+1])-b
	for n := range min(na, nb) {
		for k := range x.Kids {
			if c := Compare(x.Kids[k], a+n, y.Kids[k], b+n); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(na, nb)
}
