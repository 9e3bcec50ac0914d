package expr

import (
	"bytes"

	"karst/sql/types"
	"karst/sql/vector"
)

// The loops below write the bit of every row, selected or not: the values of
// rows that are not selected are undefined but there, and a dense loop without
// a branch beats one over the selection.

func equalRows[T number](out vector.Bitmap, l, r []T) {
	r = r[:len(l)]
	for i, x := range l {
		var bit byte
		if x == r[i] {
			bit = 1
		}
		out[i>>3] |= bit << (i & 7)
	}
}

func unequalRows[T number](out vector.Bitmap, l, r []T) {
	r = r[:len(l)]
	for i, x := range l {
		var bit byte
		if x != r[i] {
			bit = 1
		}
		out[i>>3] |= bit << (i & 7)
	}
}

func lessRows[T number](out vector.Bitmap, l, r []T) {
	r = r[:len(l)]
	for i, x := range l {
		var bit byte
		if x < r[i] {
			bit = 1
		}
		out[i>>3] |= bit << (i & 7)
	}
}

func lessEqualRows[T number](out vector.Bitmap, l, r []T) {
	r = r[:len(l)]
	for i, x := range l {
		var bit byte
		if x <= r[i] {
			bit = 1
		}
		out[i>>3] |= bit << (i & 7)
	}
}

// orderedRows compares numbers; want says for which outcomes a row is true.
func orderedRows[T number](out vector.Bitmap, l, r []T, want outcome) {
	switch want {
	case outcome{equal: true}:
		equalRows(out, l, r)
	case outcome{less: true, greater: true}:
		unequalRows(out, l, r)
	case outcome{less: true}:
		lessRows(out, l, r)
	case outcome{less: true, equal: true}:
		lessEqualRows(out, l, r)
	case outcome{greater: true}:
		lessRows(out, r, l)
	default:
		lessEqualRows(out, r, l)
	}
}

// textRows compares STRING or BYTES.
func textRows(out vector.Bitmap, x, y *vector.Vector, sel []int32, want outcome) {
	if want.less == want.greater { // only equality matters
		for _, i := range sel {
			out.Put(int(i), bytes.Equal(x.Str(int(i)), y.Str(int(i))) == want.equal)
		}
		return
	}
	for _, i := range sel {
		out.Put(int(i), want.is(bytes.Compare(x.Str(int(i)), y.Str(int(i)))))
	}
}

// anyRows compares values of any type, nulls left out.
func anyRows(out vector.Bitmap, x, y *vector.Vector, sel []int32, want outcome) {
	for _, i := range sel {
		if !x.IsNull(int(i)) && !y.IsNull(int(i)) {
			out.Put(int(i), want.is(vector.Compare(x, int(i), y, int(i))))
		}
	}
}

// An outcome is a set of results of a comparison.
type outcome struct{ less, equal, greater bool }

func (o outcome) is(c int) bool { return c < 0 && o.less || c == 0 && o.equal || c > 0 && o.greater }

func compareValues(kind types.Kind, out vector.Bitmap, x, y *vector.Vector, sel []int32, want outcome) {
	switch kind {
	case types.KindInt, types.KindDate, types.KindTime:
		orderedRows(out, x.I32, y.I32, want)
	case types.KindBigint, types.KindTimestamp:
		orderedRows(out, x.I64, y.I64, want)
	case types.KindDouble:
		orderedRows(out, x.F64, y.F64, want)
	case types.KindString, types.KindBytes:
		textRows(out, x, y, sel, want)
	default:
		anyRows(out, x, y, sel, want)
	}
}
