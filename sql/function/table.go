package function

import (
	"karst/sql/types"
	"karst/sql/vector"
)

func tableFunctions() []Def {
	table := func(k TableKernel) func([]Arg) (TableKernel, error) {
		return func([]Arg) (TableKernel, error) { return k, nil }
	}
	return []Def{
		{Name: "EXPLODE", Kind: Table, Category: CategoryTable, Description: "A row for each element of an array; none for an empty or null one.", Examples: []Example{{"EXPLODE(ARRAY[1, NULL])", "ARRAY[1, NULL]"}},
			Signatures: []Signature{{Params: params("list ARRAY<T>"), Returns: variable("T"), NullTolerant: true, Table: table(explode)}}},
		{Name: "CUBE_EXPLODE", Kind: Table, Category: CategoryTable, Description: "A row for each way to replace elements of an array by null.",
			Examples:   []Example{{"CUBE_EXPLODE(ARRAY['a', 'b'])", "ARRAY[ARRAY[CAST(NULL AS STRING), NULL], ARRAY[NULL, 'b'], ARRAY['a', NULL], ARRAY['a', 'b']]"}},
			Signatures: []Signature{{Params: params("columns ARRAY<T>"), Returns: sameAs(0), NullTolerant: true, Table: table(cubeExplode)}}},
	}
}

func explode(c *Call) ([]int32, *vector.Vector, error) {
	list := c.Args[0]
	counts := make([]int32, len(c.Sel))
	b := vector.NewBuilder(c.Arena, list.Kids[0].Type, c.N)
	for n, i := range c.Sel {
		if list.IsNull(int(i)) {
			continue
		}
		from, to := span(list, int(i))
		for j := from; j < to; j++ {
			b.Append(list.Kids[0], j)
		}
		counts[n] = int32(to - from)
	}
	return counts, b.Finish(), nil
}

// maxCube bounds the elements of a cube, whose rows double with each.
const maxCube = 16

// cubeExplode counts through the subsets, the first element being the highest
// digit and null coming before the value; a null element has no digit.
func cubeExplode(c *Call) ([]int32, *vector.Vector, error) {
	list := c.Args[0]
	counts := make([]int32, len(c.Sel))
	b := vector.NewBuilder(c.Arena, types.Array(list.Kids[0].Type), c.N)
	for n, i := range c.Sel {
		if list.IsNull(int(i)) {
			continue
		}
		from, to := span(list, int(i))
		digits := 0
		for j := from; j < to; j++ {
			if !list.Kids[0].IsNull(j) {
				digits++
			}
		}
		if digits > maxCube {
			c.Fail(i, "the array has too many elements for a cube")
			continue
		}
		for subset := range 1 << digits {
			appendSubset(b, list.Kids[0], from, to, subset, digits)
		}
		counts[n] = 1 << digits
	}
	return counts, b.Finish(), nil
}

func appendSubset(b *vector.Builder, elems *vector.Vector, from, to, subset, digits int) {
	for j := from; j < to; j++ {
		if elems.IsNull(j) {
			b.Kid(0).Null()
			continue
		}
		digits--
		if subset>>digits&1 == 1 {
			b.Kid(0).Append(elems, j)
		} else {
			b.Kid(0).Null()
		}
	}
	b.Close()
}
