package function

import (
	"bytes"
	"sort"
	"strconv"

	"karst/sql/types"
	"karst/sql/vector"
)

// Lists are kept in one blob: values one after another, each as
// vector.AppendValue writes it. Order, length and duplicates are the kernel's.

// readList decodes a blob's values.
func readList(t *types.Type, blob []byte) *vector.Vector {
	b := vector.NewBuilder(vector.NewArena(), t, 8)
	for len(blob) > 0 {
		var err error
		if blob, err = vector.ReadValue(b, blob); err != nil {
			panic("function: state of an aggregate: " + err.Error())
		}
	}
	return b.Finish()
}

// writeList encodes the given rows of v.
func writeList(v *vector.Vector, at []int) []byte {
	buf := []byte{}
	for _, i := range at {
		buf = vector.AppendValue(buf, v, i)
	}
	return buf
}

// listFold is an aggregate over a list: add returns the positions that the
// list has after the last of v's rows was added; result makes the value.
func listFold(elem, result *types.Type, nulls bool, keep func(v *vector.Vector) []int, value func(b *vector.Builder, v *vector.Vector)) AggregateKernel {
	f := &fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: result}
	add := func(c *AggregateCall, g int32, more []byte) {
		joined := append(bytes.Clone(c.Cells.Blob(g, 0)), more...)
		v := readList(elem, joined)
		at := keep(v)
		if len(at) == v.Len && sort.IntsAreSorted(at) {
			c.Cells.SetBlob(g, 0, joined)
			return
		}
		c.Cells.SetBlob(g, 0, writeList(v, at))
	}
	f.step = func(c *AggregateCall, row int, g int32) {
		if nulls || !c.Args[0].IsNull(row) {
			add(c, g, vector.AppendValue(nil, c.Args[0], row))
		}
	}
	f.value = func(c *AggregateCall, b *vector.Builder, g int32) { value(b, readList(elem, c.Cells.Blob(g, 0))) }
	f.merge = func(c *AggregateCall, into, from int32) {
		list := readList(elem, c.Cells.Blob(from, 0))
		for i := range list.Len {
			add(c, into, vector.AppendValue(nil, list, i))
		}
	}
	return f
}

// asArray gives the list itself.
func asArray(b *vector.Builder, v *vector.Vector) {
	for i := range v.Len {
		b.Kid(0).Append(v, i)
	}
	b.Close()
}

func firstN(n, most int) []int {
	at := make([]int, min(n, most))
	for i := range at {
		at[i] = i
	}
	return at
}

func lastIsNew(v *vector.Vector) bool {
	last := v.Len - 1
	for i := range last {
		if vector.Compare(v, i, v, last) == 0 {
			return false
		}
	}
	return true
}

func newTopK(args []Arg, distinct bool) AggregateKernel {
	t, last := args[0].Type, args[len(args)-1]
	k := 1
	if last.Const != nil {
		k = int(last.Const.I32[0])
	}
	if len(args) > 2 {
		return newTopRows(args[:len(args)-1], k)
	}
	return listFold(t, types.Array(t), false, func(v *vector.Vector) []int {
		at := firstN(v.Len, v.Len)
		if distinct && !lastIsNew(v) {
			at = at[:v.Len-1]
		}
		return largest(v, v, at, k)
	}, asArray)
}

// largest returns the k positions of at whose sort values are the largest,
// earlier ones first among equals.
func largest(v, sortBy *vector.Vector, at []int, k int) []int {
	at = at[:min(len(at), v.Len)]
	sort.SliceStable(at, func(x, y int) bool { return vector.Compare(sortBy, at[x], sortBy, at[y]) > 0 })
	return at[:min(len(at), max(k, 0))]
}

// newTopRows keeps structs of the value to sort by and further columns.
func newTopRows(cols []Arg, k int) AggregateKernel {
	fields := []types.Field{{Name: "sort_col", Type: cols[0].Type}}
	for i, c := range cols[1:] {
		fields = append(fields, types.Field{Name: "col" + strconv.Itoa(i), Type: c.Type})
	}
	t := types.Struct(fields...)
	f := listFold(t, types.Array(t), false, func(v *vector.Vector) []int {
		return largest(v, v.Kids[0], firstN(v.Len, v.Len), k)
	}, asArray).(*fold)
	inner := f.step
	f.step = func(c *AggregateCall, row int, g int32) {
		if c.Args[0].IsNull(row) {
			return
		}
		rows := *c
		rows.Args = []*vector.Vector{{Type: t, Len: c.Args[0].Len, Kids: c.Args[:len(cols)]}}
		inner(&rows, row, g)
	}
	return f
}

// topKSignatures take up to eight further columns.
func topKSignatures() []Signature {
	out := ordered(func(a []Arg) AggregateKernel { return newTopK(a, false) }, "k !INT")
	text := "value T"
	for i := range 8 {
		text += ", col" + strconv.Itoa(i) + " ANY"
		out = append(out, aggregate(text+", k !INT", func(a []Arg) AggregateKernel { return newTopK(a, false) }))
	}
	return out
}

// offsetSignatures are LATEST_BY_OFFSET's and EARLIEST_BY_OFFSET's: a value,
// or the n first or last ones, nulls left out unless ignoreNulls is FALSE.
func offsetSignatures(latest bool) []Signature {
	one := func(args []Arg) AggregateKernel {
		return newOffset(args[0].Type, latest, len(args) < 2 || args[1].Const == nil || args[1].Const.Bits.Get(0))
	}
	many := func(args []Arg) AggregateKernel {
		n, ignore := 1, len(args) < 3 || args[2].Const == nil || args[2].Const.Bits.Get(0)
		if args[1].Const != nil {
			n = int(args[1].Const.I32[0])
		}
		t := args[0].Type
		return listFold(t, types.Array(t), !ignore, func(v *vector.Vector) []int {
			if !latest || v.Len <= n {
				return firstN(v.Len, n)
			}
			at := firstN(v.Len, v.Len)
			return at[v.Len-n:]
		}, asArray)
	}
	return []Signature{aggregate("value T", one), aggregate("value T, ignoreNulls !BOOLEAN", one), aggregate("value T, n !INT", many), aggregate("value T, n !INT, ignoreNulls !BOOLEAN", many)}
}

func newOffset(t *types.Type, latest, ignoreNulls bool) AggregateKernel {
	var scratch []byte
	f := &fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: t, value: oneBlobValue}
	f.step = func(c *AggregateCall, row int, g int32) {
		if ignoreNulls && c.Args[0].IsNull(row) || !latest && c.Cells.Blob(g, 0) != nil {
			return
		}
		scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
		c.Cells.SetBlob(g, 0, scratch)
	}
	f.merge = func(c *AggregateCall, into, from int32) {
		if blob := c.Cells.Blob(from, 0); blob != nil && (latest || c.Cells.Blob(into, 0) == nil) {
			c.Cells.SetBlob(into, 0, blob)
		}
	}
	return f
}
