package function

import (
	"bytes"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// A fold is an aggregate given by what it does to one group: the general form.
// The frequent ones have loops of their own, see countKernel and sumKernel.
type fold struct {
	fixed  int
	blobs  []int
	result *types.Type
	step   func(c *AggregateCall, row int, g int32) // fold a row in
	undo   func(c *AggregateCall, row int, g int32) // take it back
	value  func(c *AggregateCall, b *vector.Builder, g int32)
	merge  func(c *AggregateCall, into, from int32)
}

// Layout implements AggregateKernel.
func (f *fold) Layout() (int, []int) { return f.fixed, f.blobs }

// Result implements AggregateKernel.
func (f *fold) Result() *types.Type { return f.result }

// Update implements AggregateKernel.
func (f *fold) Update(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector {
	return f.run(c, f.step, rows, groups, trace)
}

func (f *fold) run(c *AggregateCall, step func(*AggregateCall, int, int32), rows, groups []int32, trace bool) *vector.Vector {
	if !trace {
		for i, row := range rows {
			step(c, int(row), groups[i])
		}
		return nil
	}
	b := vector.NewBuilder(c.Arena, f.result, len(rows))
	for i, row := range rows {
		step(c, int(row), groups[i])
		f.value(c, b, groups[i])
	}
	return b.Finish()
}

// Values implements AggregateKernel.
func (f *fold) Values(c *AggregateCall, groups []int32) *vector.Vector {
	b := vector.NewBuilder(c.Arena, f.result, len(groups))
	for _, g := range groups {
		f.value(c, b, g)
	}
	return b.Finish()
}

// Merge implements Merger.
func (f *fold) Merge(c *AggregateCall, into, from int32) { f.merge(c, into, from) }

// An undoFold is a fold that can take rows back.
type undoFold struct{ fold }

// Undo implements Undoer.
func (f *undoFold) Undo(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector {
	return f.run(c, f.undo, rows, groups, trace)
}

func aggregate(ps string, make func(args []Arg) AggregateKernel) Signature {
	return Signature{Params: params(ps), Aggregate: func(args []Arg) (AggregateKernel, error) { return make(args), nil },
		Returns: func(args []Arg, _ map[string]*types.Type) (*types.Type, error) { return make(args).Result(), nil }}
}

// wholeOrDouble has a signature for INT, BIGINT and DOUBLE arguments each, of
// which ps has the names.
func wholeOrDouble(names string, make func(args []Arg) AggregateKernel) []Signature {
	var out []Signature
	for _, t := range []string{" INT", " BIGINT", " DOUBLE"} {
		out = append(out, aggregate(strings.ReplaceAll(names, ",", t+",")+t, make))
	}
	return out
}

// doubleAt returns row i of a vector of numbers.
func doubleAt(v *vector.Vector, i int) float64 {
	switch v.Type.Kind() {
	case types.KindInt:
		return float64(v.I32[i])
	case types.KindBigint:
		return float64(v.I64[i])
	}
	return v.F64[i]
}

// ordered has a signature for each type whose values have an order.
func ordered(make func(args []Arg) AggregateKernel, more ...string) []Signature {
	var out []Signature
	for _, t := range []string{"INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP"} {
		out = append(out, aggregate(strings.Join(append([]string{"value " + t}, more...), ", "), make))
	}
	return out
}

func aggregateFunctions() []Def {
	def := func(name, description string, sigs ...Signature) Def {
		return Def{Name: name, Kind: Aggregate, Category: CategoryAggregate, Description: description, Signatures: sigs}
	}
	return []Def{
		def("COUNT", "The number of rows, or of values that are not null.", aggregate("", newCount), aggregate("value ANY", newCount)),
		def("SUM", "The sum of the values.", aggregate("value INT", newSum), aggregate("value BIGINT", newSum), aggregate("value DOUBLE", newSum), aggregate("value DECIMAL", newSum)),
		def("AVG", "The mean of the values.", wholeOrDouble("value", newAvg)...),
		def("MIN", "The smallest value.", ordered(func(a []Arg) AggregateKernel { return newExtreme(a, -1) })...),
		def("MAX", "The largest value.", ordered(func(a []Arg) AggregateKernel { return newExtreme(a, 1) })...),
		def("LATEST_BY_OFFSET", "The value, or the n values, that came last.", offsetSignatures(true)...),
		def("EARLIEST_BY_OFFSET", "The value, or the n values, that came first.", offsetSignatures(false)...),
		collectDef("COLLECT_LIST", "All values, nulls too, in the order of their arrival.", newCollectList),
		collectDef("COLLECT_SET", "All different values, in the order of their first arrival.", newCollectSet),
		def("COUNT_DISTINCT", "The number of different values that are not null.", aggregate("value ANY", newCountDistinct)),
		def("ATTR", "The value that all rows share; null if they differ.", aggregate("value T", newAttr)),
		def("TOPK", "The k largest values; with further columns, structs of the value and these.", topKSignatures()...),
		def("TOPKDISTINCT", "The k largest different values.", ordered(func(a []Arg) AggregateKernel { return newTopK(a, true) }, "k !INT")...),
		def("HISTOGRAM", "How often each text occurs.", aggregate("value STRING", newHistogram)),
		def("STDDEV_SAMP", "The variance of the values as a sample.", wholeOrDouble("value", func([]Arg) AggregateKernel { return newMoments(false) })...),
		def("STDDEV_SAMPLE", "The standard deviation of the values as a sample.", wholeOrDouble("value", func([]Arg) AggregateKernel { return newMoments(true) })...),
		def("CORRELATION", "Pearson's correlation of two columns.", wholeOrDouble("x, y", newCorrelation)...),
		def("SUM_LIST", "The sum of the elements of lists.", aggregate("list ARRAY<INT>", newSumList), aggregate("list ARRAY<BIGINT>", newSumList), aggregate("list ARRAY<DOUBLE>", newSumList)),
	}
}

type countKernel struct{ undoFold }

func newCount(args []Arg) AggregateKernel {
	counts := func(c *AggregateCall, row int) bool { return len(c.Args) == 0 || !c.Args[0].IsNull(row) }
	k := &countKernel{undoFold{fold{fixed: 8, result: types.Bigint,
		step: func(c *AggregateCall, row int, g int32) {
			if counts(c, row) {
				*c.Cells.Int64(g, 0)++
			}
		},
		undo: func(c *AggregateCall, row int, g int32) {
			if counts(c, row) {
				*c.Cells.Int64(g, 0)--
			}
		},
		value: func(c *AggregateCall, b *vector.Builder, g int32) { b.Int64(*c.Cells.Int64(g, 0)) },
		merge: func(c *AggregateCall, into, from int32) { *c.Cells.Int64(into, 0) += *c.Cells.Int64(from, 0) },
	}}}
	return k
}

// Update implements AggregateKernel.
func (k *countKernel) Update(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector {
	if trace || len(c.Args) > 0 && c.Args[0].Valid != nil {
		return k.undoFold.Update(c, rows, groups, trace)
	}
	for _, g := range groups {
		*c.Cells.Int64(g, 0)++
	}
	return nil
}

type sumKernel struct{ undoFold }

// newSum adds in 64 bits (128 for DECIMAL); an INT's sum wraps as Java's does.
// A group without values that are not null has the sum 0.
func newSum(args []Arg) AggregateKernel {
	t := args[0].Type
	k := &sumKernel{undoFold{fold{fixed: 8, result: t}}}
	if t.Kind() == types.KindDecimal {
		k.fixed = 16
	}
	signed := func(sign int64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			x := c.Args[0]
			if x.IsNull(row) {
				return
			}
			switch t.Kind() {
			case types.KindInt:
				*c.Cells.Int64(g, 0) += sign * int64(x.I32[row])
			case types.KindBigint:
				*c.Cells.Int64(g, 0) += sign * x.I64[row]
			case types.KindDouble:
				*c.Cells.Float64(g, 0) += float64(sign) * x.F64[row]
			default:
				n := x.Dec[row]
				if sign < 0 {
					n = n.Negate()
				}
				if !addDecimal(c, g, n, t) {
					c.Fail(int32(row), "Numeric field overflow: the sum has more digits than "+t.String())
				}
			}
		}
	}
	k.step, k.undo = signed(1), signed(-1)
	k.value = func(c *AggregateCall, b *vector.Builder, g int32) {
		switch t.Kind() {
		case types.KindInt:
			b.Int32(int32(*c.Cells.Int64(g, 0)))
		case types.KindBigint:
			b.Int64(*c.Cells.Int64(g, 0))
		case types.KindDouble:
			b.Float64(*c.Cells.Float64(g, 0))
		default:
			b.Decimal(readDecimal(c, g))
		}
	}
	k.merge = func(c *AggregateCall, into, from int32) {
		switch t.Kind() {
		case types.KindDouble:
			*c.Cells.Float64(into, 0) += *c.Cells.Float64(from, 0)
		case types.KindDecimal:
			addDecimal(c, into, readDecimal(c, from), widest(t))
		default:
			*c.Cells.Int64(into, 0) += *c.Cells.Int64(from, 0)
		}
	}
	return k
}

// widest is the DECIMAL with as many digits as there are: sums that were in
// range apart are merged in any case.
func widest(t *types.Type) *types.Type {
	return types.MustDecimal(types.MaxDecimalPrecision, t.Scale())
}

func readDecimal(c *AggregateCall, g int32) decimal128.Num {
	return decimal128.New(*c.Cells.Int64(g, 8), uint64(*c.Cells.Int64(g, 0)))
}

// addDecimal adds to a sum, if it fits the type then.
func addDecimal(c *AggregateCall, g int32, n decimal128.Num, t *types.Type) bool {
	sum := readDecimal(c, g).Add(n)
	if !sum.FitsInPrecision(int32(t.Precision())) {
		return false
	}
	*c.Cells.Int64(g, 0), *c.Cells.Int64(g, 8) = int64(sum.LowBits()), sum.HighBits()
	return true
}

// Update implements AggregateKernel.
func (k *sumKernel) Update(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector {
	x := c.Args[0]
	if trace || x.Valid != nil {
		return k.undoFold.Update(c, rows, groups, trace)
	}
	switch x.Type.Kind() {
	case types.KindInt:
		for i, row := range rows {
			*c.Cells.Int64(groups[i], 0) += int64(x.I32[row])
		}
	case types.KindBigint:
		for i, row := range rows {
			*c.Cells.Int64(groups[i], 0) += x.I64[row]
		}
	case types.KindDouble:
		for i, row := range rows {
			*c.Cells.Float64(groups[i], 0) += x.F64[row]
		}
	default:
		return k.undoFold.Update(c, rows, groups, false)
	}
	return nil
}

func newAvg([]Arg) AggregateKernel {
	signed := func(sign int64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			if !c.Args[0].IsNull(row) {
				*c.Cells.Float64(g, 0) += float64(sign) * doubleAt(c.Args[0], row)
				*c.Cells.Int64(g, 8) += sign
			}
		}
	}
	return &undoFold{fold{fixed: 16, result: types.Double, step: signed(1), undo: signed(-1),
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			if n := *c.Cells.Int64(g, 8); n == 0 {
				b.Float64(0)
			} else {
				b.Float64(*c.Cells.Float64(g, 0) / float64(n))
			}
		},
		merge: func(c *AggregateCall, into, from int32) {
			*c.Cells.Float64(into, 0) += *c.Cells.Float64(from, 0)
			*c.Cells.Int64(into, 8) += *c.Cells.Int64(from, 8)
		}}}
}

// newExtreme keeps the best value so far in a blob, so that it serves all
// types; want is the sign of a comparison that the better value wins.
func newExtreme(args []Arg, want int) AggregateKernel {
	t := args[0].Type
	f := &fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: t}
	better := func(c *AggregateCall, v *vector.Vector, row int, g int32) bool {
		old := c.Cells.Blob(g, 0)
		return old == nil || vector.Compare(v, row, decodeOne(t, old), 0) == want
	}
	f.step = func(c *AggregateCall, row int, g int32) {
		if !c.Args[0].IsNull(row) && better(c, c.Args[0], row, g) {
			c.Cells.SetBlob(g, 0, vector.AppendValue(nil, c.Args[0], row))
		}
	}
	f.value = oneBlobValue
	f.merge = func(c *AggregateCall, into, from int32) {
		if blob := c.Cells.Blob(from, 0); blob != nil && better(c, decodeOne(t, blob), 0, into) {
			c.Cells.SetBlob(into, 0, blob)
		}
	}
	switch t.Kind() {
	case types.KindInt, types.KindBigint, types.KindDouble, types.KindDate, types.KindTime, types.KindTimestamp:
		return newNumberExtreme(t, want)
	case types.KindString, types.KindBytes:
		return newTextExtreme(t, want)
	}
	return f
}

// newTextExtreme keeps the value behind a byte that tells it from no value.
func newTextExtreme(t *types.Type, want int) AggregateKernel {
	offer := func(c *AggregateCall, g int32, text []byte) {
		old := c.Cells.Blob(g, 0)
		if len(old) > 0 && bytes.Compare(text, old[1:]) != want {
			return
		}
		blob := c.Cells.ResizeBlob(g, 0, 1+len(text))
		blob[0] = 1
		copy(blob[1:], text)
	}
	return &fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: t,
		step: func(c *AggregateCall, row int, g int32) {
			if !c.Args[0].IsNull(row) {
				offer(c, g, c.Args[0].Str(row))
			}
		},
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			if blob := c.Cells.Blob(g, 0); len(blob) > 0 {
				b.Bytes(blob[1:])
			} else {
				b.Null()
			}
		},
		merge: func(c *AggregateCall, into, from int32) {
			if blob := c.Cells.Blob(from, 0); len(blob) > 0 {
				offer(c, into, bytes.Clone(blob[1:]))
			}
		}}
}

// newNumberExtreme keeps a flag and the value in place.
func newNumberExtreme(t *types.Type, want int) AggregateKernel {
	f := &fold{fixed: 16, result: t}
	offer := func(c *AggregateCall, g int32, whole int64, float float64) {
		seen := c.Cells.Int64(g, 0)
		if t.Kind() == types.KindDouble {
			best := c.Cells.Float64(g, 8)
			if *seen == 0 || want > 0 && float > *best || want < 0 && float < *best {
				*seen, *best = 1, float
			}
			return
		}
		best := c.Cells.Int64(g, 8)
		if *seen == 0 || want > 0 && whole > *best || want < 0 && whole < *best {
			*seen, *best = 1, whole
		}
	}
	f.step = func(c *AggregateCall, row int, g int32) {
		x := c.Args[0]
		if x.IsNull(row) {
			return
		}
		switch t.Kind() {
		case types.KindInt, types.KindDate, types.KindTime:
			offer(c, g, int64(x.I32[row]), 0)
		case types.KindBigint, types.KindTimestamp:
			offer(c, g, x.I64[row], 0)
		default:
			offer(c, g, 0, x.F64[row])
		}
	}
	f.value = func(c *AggregateCall, b *vector.Builder, g int32) {
		switch {
		case *c.Cells.Int64(g, 0) == 0:
			b.Null()
		case t.Kind() == types.KindDouble:
			b.Float64(*c.Cells.Float64(g, 8))
		case t.Kind() == types.KindBigint || t.Kind() == types.KindTimestamp:
			b.Int64(*c.Cells.Int64(g, 8))
		default:
			b.Int32(int32(*c.Cells.Int64(g, 8)))
		}
	}
	f.merge = func(c *AggregateCall, into, from int32) {
		if *c.Cells.Int64(from, 0) != 0 {
			offer(c, into, *c.Cells.Int64(from, 8), *c.Cells.Float64(from, 8))
		}
	}
	return f
}

func decodeOne(t *types.Type, blob []byte) *vector.Vector {
	b := vector.NewBuilder(vector.NewArena(), t, 1)
	if _, err := vector.ReadValue(b, blob); err != nil {
		panic("function: state of an aggregate: " + err.Error())
	}
	return b.Finish()
}

// oneBlobValue gives the value that the blob holds.
func oneBlobValue(c *AggregateCall, b *vector.Builder, g int32) {
	blob := c.Cells.Blob(g, 0)
	if blob == nil {
		b.Null()
		return
	}
	if _, err := vector.ReadValue(b, blob); err != nil {
		panic("function: state of an aggregate: " + err.Error())
	}
}
