package function

import (
	"math"

	"karst/sql/types"
	"karst/sql/vector"
)

// newMoments keeps the count, the sum and the sum of squared distances from
// the mean, which Youngs and Cramer's update changes without cancellation; root
// makes the sample's variance its standard deviation.
func newMoments(root bool) AggregateKernel {
	cells := func(c *AggregateCall, g int32) (n, sum, squares *float64) {
		return c.Cells.Float64(g, 0), c.Cells.Float64(g, 8), c.Cells.Float64(g, 16)
	}
	distance := func(n, sum, x float64) float64 {
		if n < 2 {
			return 0
		}
		d := n*x - sum
		return d * d / (n * (n - 1))
	}
	step := func(c *AggregateCall, row int, g int32) {
		if c.Args[0].IsNull(row) {
			return
		}
		n, sum, squares := cells(c, g)
		x := doubleAt(c.Args[0], row)
		*n, *sum = *n+1, *sum+x
		*squares += distance(*n, *sum, x)
	}
	undo := func(c *AggregateCall, row int, g int32) {
		if c.Args[0].IsNull(row) {
			return
		}
		n, sum, squares := cells(c, g)
		x := doubleAt(c.Args[0], row)
		*squares -= distance(*n, *sum, x)
		*n, *sum = *n-1, *sum-x
	}
	return &undoFold{fold{fixed: 24, result: types.Double, step: step, undo: undo,
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			n, _, squares := cells(c, g)
			variance := 0.0
			if *n >= 2 {
				variance = max(0, *squares/(*n-1))
			}
			if root {
				variance = math.Sqrt(variance)
			}
			b.Float64(variance)
		},
		merge: func(c *AggregateCall, into, from int32) {
			n1, s1, q1 := cells(c, into)
			n2, s2, q2 := cells(c, from)
			if *n1 > 0 && *n2 > 0 {
				d := *n2 / *n1 * *s1 - *s2
				*q1 += *n1 / (*n2 * (*n1 + *n2)) * d * d
			}
			*n1, *s1, *q1 = *n1+*n2, *s1+*s2, *q1+*q2
		}}}
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
			x, y := doubleAt(c.Args[0], row), doubleAt(c.Args[1], row)
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
