package function

import (
	"math"

	"karst/sql/types"
	"karst/sql/vector"
)

// newMoments keeps count, sum and sum of squares; root makes the sample's
// variance its standard deviation.
func newMoments(root bool) AggregateKernel {
	signed := func(sign float64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			if !c.Args[0].IsNull(row) {
				x := c.Args[0].F64[row]
				*c.Cells.Float64(g, 0) += sign
				*c.Cells.Float64(g, 8) += sign * x
				*c.Cells.Float64(g, 16) += sign * x * x
			}
		}
	}
	return &undoFold{fold{fixed: 24, result: types.Double, step: signed(1), undo: signed(-1),
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			n, sum, squares := *c.Cells.Float64(g, 0), *c.Cells.Float64(g, 8), *c.Cells.Float64(g, 16)
			variance := 0.0
			if n >= 2 {
				variance = max(0, (squares-sum*sum/n)/(n-1))
			}
			if root {
				variance = math.Sqrt(variance)
			}
			b.Float64(variance)
		},
		merge: mergeFloats(24)}}
}

func mergeFloats(size int) func(c *AggregateCall, into, from int32) {
	return func(c *AggregateCall, into, from int32) {
		for off := 0; off < size; off += 8 {
			*c.Cells.Float64(into, off) += *c.Cells.Float64(from, off)
		}
	}
}

// newCorrelation is Pearson's; pairs with a null are left out. Without two
// different values on each side it is NaN.
func newCorrelation([]Arg) AggregateKernel {
	signed := func(sign float64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			if c.Args[0].IsNull(row) || c.Args[1].IsNull(row) {
				return
			}
			x, y := c.Args[0].F64[row], c.Args[1].F64[row]
			for i, v := range [...]float64{1, x, y, x * x, y * y, x * y} {
				*c.Cells.Float64(g, 8*i) += sign * v
			}
		}
	}
	return &undoFold{fold{fixed: 48, result: types.Double, step: signed(1), undo: signed(-1),
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			at := func(i int) float64 { return *c.Cells.Float64(g, 8*i) }
			n, x, y := at(0), at(1), at(2)
			b.Float64((n*at(5) - x*y) / math.Sqrt((n*at(3)-x*x)*(n*at(4)-y*y)))
		},
		merge: mergeFloats(48)}}
}

// newSumList adds up the elements of lists, nulls left out.
func newSumList(args []Arg) AggregateKernel {
	elem := args[0].Type.Elem()
	sum := newSum([]Arg{{Type: elem}}).(*sumKernel)
	var inner AggregateCall
	over := func(step func(*AggregateCall, int, int32)) func(*AggregateCall, int, int32) {
		return func(c *AggregateCall, row int, g int32) {
			list := c.Args[0]
			if list.IsNull(row) {
				return
			}
			inner = *c
			inner.Args = list.Kids
			for j := list.Offsets[row]; j < list.Offsets[row+1]; j++ {
				step(&inner, int(j), g)
			}
		}
	}
	f := sum.fold
	f.step, f.undo = over(f.step), over(f.undo)
	return &undoFold{f}
}
