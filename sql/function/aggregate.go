package function

import (
	"bytes"
	"fmt"
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
	list := params(ps)
	return Signature{Params: list, Aggregate: func(args []Arg) (AggregateKernel, error) { return make(args), nil },
		Returns: func(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
			if err := checkConstants(list, args); err != nil {
				return nil, err
			}
			return make(args).Result(), nil
		}}
}

// checkConstants refuses what the constants of an aggregate function can't
// be: NULL, and less than one of how many values to keep.
func checkConstants(list []Param, args []Arg) error {
	for i, p := range list {
		switch c := args[i].Const; {
		case !p.Const || c == nil:
		case c.IsNull(0):
			return fmt.Errorf("%s can't be NULL", p.Name)
		case c.Type.Kind() == types.KindInt && c.I32[0] < 1:
			return fmt.Errorf("%s must be at least 1, found %d", p.Name, c.I32[0])
		}
	}
	return nil
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
	def := func(name, description string, e GroupExample, sigs ...Signature) Def {
		return Def{Name: name, Kind: Aggregate, Category: CategoryAggregate, Description: description, Signatures: sigs, Groups: []GroupExample{e}}
	}
	return []Def{
		def("COUNT", "The number of rows, or of values that are not null.", GroupExample{"COUNT(x)", []string{"1", "NULL", "1"}, "CAST(2 AS BIGINT)"},
			aggregate("", newCount), aggregate("value ANY", newCount)),
		def("SUM", "The sum of the values, 0 if there are none. That of INTs is an INT, which wraps around; that of DECIMALs keeps their type, and a row that would overflow it is left out and reported.",
			GroupExample{"SUM(x)", []string{"1", "NULL", "5"}, "6"},
			aggregate("value INT", newSum), aggregate("value BIGINT", newSum), aggregate("value DOUBLE", newSum), aggregate("value DECIMAL", newSum)),
		def("AVG", "The mean of the values, 0 if there are none.", GroupExample{"AVG(x)", []string{"1", "NULL", "4"}, "2.5E0"}, wholeOrDouble("value", newAvg)...),
		def("MIN", "The smallest value.", GroupExample{"MIN(x)", []string{"'b'", "'a'", "NULL"}, "'a'"}, ordered(func(a []Arg) AggregateKernel { return newExtreme(a, -1) })...),
		def("MAX", "The largest value.", GroupExample{"MAX(x)", []string{"1", "3", "2"}, "3"}, ordered(func(a []Arg) AggregateKernel { return newExtreme(a, 1) })...),
		def("LATEST_BY_OFFSET", "The value that came last, or the n values that did.", GroupExample{"LATEST_BY_OFFSET(x, 2)", []string{"1", "2", "NULL", "3"}, "ARRAY[2, 3]"}, offsetSignatures(true)...),
		def("EARLIEST_BY_OFFSET", "The value that came first, or the n values that did.", GroupExample{"EARLIEST_BY_OFFSET(x)", []string{"NULL", "1", "2"}, "1"}, offsetSignatures(false)...),
		collectDef("COLLECT_LIST", "All values, nulls too, in the order of their arrival.", GroupExample{"COLLECT_LIST(x)", []string{"2", "NULL", "1", "2"}, "ARRAY[2, NULL, 1, 2]"}, newCollectList),
		collectDef("COLLECT_SET", "All different values, in the order of their first arrival.", GroupExample{"COLLECT_SET(x)", []string{"2", "1", "2"}, "ARRAY[2, 1]"}, newCollectSet),
		def("COUNT_DISTINCT", "The number of different values that are not null.", GroupExample{"COUNT_DISTINCT(x)", []string{"2", "1", "2", "NULL"}, "CAST(2 AS BIGINT)"}, aggregate("value T", newCountDistinct)),
		def("ATTR", "The value that all rows share; null if they differ.", GroupExample{"ATTR(x)", []string{"'a'", "'a'"}, "'a'"}, aggregate("value T", newAttr)),
		def("TOPK", "The k largest values, the largest first; with further columns, structs of the value (sort_col) and these (col0, col1…).",
			GroupExample{"TOPK(x, y, 1)", []string{"1, 'a'", "5, 'b'"}, "ARRAY[STRUCT(`sort_col` := 5, `col0` := 'b')]"}, topKSignatures()...),
		def("TOPKDISTINCT", "The k largest different values, the largest first.", GroupExample{"TOPKDISTINCT(x, 2)", []string{"1", "5", "5", "3"}, "ARRAY[5, 3]"},
			ordered(func(a []Arg) AggregateKernel { return newTopK(a, true) }, "k !INT")...),
		def("HISTOGRAM", "How often each text occurs.", GroupExample{"HISTOGRAM(x)", []string{"'a'", "'b'", "'a'"}, "MAP('a' := CAST(2 AS BIGINT), 'b' := 1)"}, aggregate("value STRING", newHistogram)),
		def("STDDEV_SAMP", "The variance of the values as a sample.", GroupExample{"STDDEV_SAMP(x)", []string{"2", "4", "9"}, "13E0"}, wholeOrDouble("value", func([]Arg) AggregateKernel { return newMoments(false) })...),
		def("STDDEV_SAMPLE", "The standard deviation of the values as a sample.", GroupExample{"STDDEV_SAMPLE(x)", []string{"1", "9", "NULL", "1", "9", "5"}, "4E0"},
			wholeOrDouble("value", func([]Arg) AggregateKernel { return newMoments(true) })...),
		def("CORRELATION", "Pearson's correlation of two columns; NaN where one of them does not vary.", GroupExample{"CORRELATION(x, y)", []string{"1, 10", "2, 20", "3, 30"}, "1E0"}, wholeOrDouble("x, y", newCorrelation)...),
		def("SUM_LIST", "The sum of the elements of lists.", GroupExample{"SUM_LIST(x)", []string{"ARRAY[1, 2]", "ARRAY[3, NULL]", "NULL"}, "6"},
			aggregate("list ARRAY<INT>", newSumList), aggregate("list ARRAY<BIGINT>", newSumList), aggregate("list ARRAY<DOUBLE>", newSumList)),
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

// newExtreme keeps the best value so far; want is the sign of a comparison
// that the better value wins.
func newExtreme(args []Arg, want int) AggregateKernel {
	switch t := args[0].Type; t.Kind() {
	case types.KindString, types.KindBytes:
		return newTextExtreme(t, want)
	case types.KindDecimal:
		return newDecimalExtreme(t, want)
	default:
		return newNumberExtreme(t, want)
	}
}

// newDecimalExtreme keeps a flag and the value's two halves in place.
func newDecimalExtreme(t *types.Type, want int) AggregateKernel {
	read := func(c *AggregateCall, g int32) decimal128.Num {
		return decimal128.New(*c.Cells.Int64(g, 16), uint64(*c.Cells.Int64(g, 8)))
	}
	offer := func(c *AggregateCall, g int32, n decimal128.Num) {
		seen := c.Cells.Int64(g, 0)
		if *seen == 0 || n.Cmp(read(c, g)) == want {
			*seen, *c.Cells.Int64(g, 8), *c.Cells.Int64(g, 16) = 1, int64(n.LowBits()), n.HighBits()
		}
	}
	return &fold{fixed: 24, result: t,
		step: func(c *AggregateCall, row int, g int32) {
			if !c.Args[0].IsNull(row) {
				offer(c, g, c.Args[0].Dec[row])
			}
		},
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			if *c.Cells.Int64(g, 0) == 0 {
				b.Null()
			} else {
				b.Decimal(read(c, g))
			}
		},
		merge: func(c *AggregateCall, into, from int32) {
			if *c.Cells.Int64(from, 0) != 0 {
				offer(c, into, read(c, from))
			}
		}}
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
