package function

import (
	"cmp"
	"slices"
	"unicode/utf16"

	"karst/sql/types"
	"karst/sql/vector"
)

func lambdaFunctions() []Def {
	return []Def{
		{Name: "TRANSFORM", Kind: Scalar, Category: CategoryLambda, Description: "The collection with each element, or each key and value, computed anew.", Examples: []Example{{"TRANSFORM(ARRAY[1, 2], x => x + 1)", "ARRAY[2, 3]"}},
			Signatures: []Signature{
				{Params: params("array ARRAY<T>, function LAMBDA(T) => R"), Returns: func(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
					return types.Array(args[1].Lambda.Result), nil
				}, Scalar: plain(transformArray)},
				{Params: params("map MAP<K, V>, keyFunction LAMBDA(K, V) => R, valueFunction LAMBDA(K, V) => S"), Returns: func(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
					return types.Map(args[1].Lambda.Result, args[2].Lambda.Result), nil
				}, Scalar: plain(transformMap)},
			}},
		{Name: "FILTER", Kind: Scalar, Category: CategoryLambda, Description: "The elements, or entries, for which a condition holds.", Examples: []Example{{"FILTER(ARRAY[1, 2, 3], x => x > 1)", "ARRAY[2, 3]"}},
			Signatures: []Signature{
				{Params: params("array ARRAY<T>, function LAMBDA(T) => BOOLEAN"), Returns: sameAs(0), Scalar: plain(filterCollection)},
				{Params: params("map MAP<K, V>, function LAMBDA(K, V) => BOOLEAN"), Returns: sameAs(0), Scalar: plain(filterCollection)},
			}},
		{Name: "REDUCE", Kind: Scalar, Category: CategoryLambda, Description: "A value carried through all elements, or entries, from a first one.", Examples: []Example{{"REDUCE(ARRAY[1, 2, 3], 10, (s, x) => s + x)", "16"}},
			Signatures: []Signature{
				{Params: params("list ARRAY<T>, initialState S, function LAMBDA(S, T) => S"), Returns: sameAs(1), NullTolerant: true, Scalar: plain(reduce)},
				{Params: params("map MAP<K, V>, initialState S, function LAMBDA(S, K, V) => S"), Returns: sameAs(1), NullTolerant: true, Scalar: plain(reduce)},
			}},
	}
}

// elements returns for each selected row's elements their position and row.
func elements(c *Call) (at, outer []int32) {
	for _, i := range c.Sel {
		for j := c.Args[0].Offsets[i]; j < c.Args[0].Offsets[i+1]; j++ {
			at, outer = append(at, j), append(outer, i)
		}
	}
	return at, outer
}

func gather(a *vector.Arena, v *vector.Vector, at []int32) *vector.Vector {
	b := vector.NewBuilder(a, v.Type, len(at))
	for _, j := range at {
		b.Append(v, int(j))
	}
	return b.Finish()
}

// lambdaOverElements evaluates a lambda on all elements of the selected rows.
func lambdaOverElements(c *Call, f LambdaFunc) (*vector.Vector, []int32, error) {
	at, outer := elements(c)
	var ps []*vector.Vector
	for _, kid := range c.Args[0].Kids {
		ps = append(ps, gather(c.Arena, kid, at))
	}
	out, err := f(ps, outer)
	return out, at, err
}

func transformArray(c *Call) (*vector.Vector, error) {
	out, _, err := lambdaOverElements(c, c.Lambdas[1])
	if err != nil {
		return nil, err
	}
	return regroup(c, types.Array(out.Type), out), nil
}

func transformMap(c *Call) (*vector.Vector, error) {
	keys, _, err := lambdaOverElements(c, c.Lambdas[1])
	if err != nil {
		return nil, err
	}
	values, _, err := lambdaOverElements(c, c.Lambdas[2])
	if err != nil {
		return nil, err
	}
	refuseEntries(c, keys, values)
	return regroup(c, types.Map(keys.Type, values.Type), keys, values), nil
}

// regroup puts computed elements back into one list a row.
func regroup(c *Call, t *types.Type, kids ...*vector.Vector) *vector.Vector {
	n := 0
	return rows(c, t, func(b *vector.Builder, i int) {
		from, to := span(c.Args[0], i)
		for range to - from {
			for k, kid := range kids {
				b.Kid(k).Append(kid, n)
			}
			n++
		}
		b.Close()
	})
}

func filterCollection(c *Call) (*vector.Vector, error) {
	keep, _, err := lambdaOverElements(c, c.Lambdas[1])
	if err != nil {
		return nil, err
	}
	n := 0
	return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
		for j, to := span(c.Args[0], i); j < to; j++ {
			if !keep.IsNull(n) && keep.Bits.Get(n) {
				for k, kid := range c.Args[0].Kids {
					b.Kid(k).Append(kid, j)
				}
			}
			n++
		}
		b.Close()
	}), nil
}

// refuseEntries fails the rows in which two entries got the same key, or one a
// null value.
func refuseEntries(c *Call, keys, values *vector.Vector) {
	n := 0
	for _, i := range c.Sel {
		from, to := span(c.Args[0], int(i))
		end := n + to - from
		for j := n; j < end; j++ {
			if values.IsNull(j) {
				c.Fail(i, "an entry of the map gets a null value")
				break
			}
			if contains(keys, n, j, keys, j) {
				c.Fail(i, "two entries of the map get the same key")
				break
			}
		}
		n = end
	}
}

// A reduction is a row on its way through REDUCE: the elements still to come.
type reduction struct {
	row  int32
	rest []int32 // positions of the elements
}

// reduce takes all rows one element further at a time.
func reduce(c *Call) (*vector.Vector, error) {
	result := make([]element, c.N)
	var going []reduction
	for _, i := range c.Sel {
		result[i] = element{c.Args[1], int(i)}
		if !c.Args[0].IsNull(int(i)) && !c.Args[1].IsNull(int(i)) {
			going = append(going, reduction{i, visitOrder(c.Args[0], int(i))})
		}
	}
	state := c.Args[1]
	for first := true; ; first = false {
		var at, next, outer []int32 // of the state, the element, the row
		kept := going[:0]
		for k, g := range going {
			if len(g.rest) == 0 {
				continue
			}
			if first {
				k = int(g.row)
			}
			at, next, outer = append(at, int32(k)), append(next, g.rest[0]), append(outer, g.row)
			kept = append(kept, reduction{g.row, g.rest[1:]})
		}
		if going = kept; len(going) == 0 {
			break
		}
		ps := []*vector.Vector{gather(c.Arena, state, at)}
		for _, kid := range c.Args[0].Kids {
			ps = append(ps, gather(c.Arena, kid, next))
		}
		var err error
		if state, err = c.Lambdas[2](ps, outer); err != nil {
			return nil, err
		}
		for k, i := range outer {
			result[i] = element{state, k}
		}
	}
	return rows(c, c.Args[1].Type, func(b *vector.Builder, i int) { b.Append(result[i].v, result[i].i) }), nil
}

// visitOrder returns the positions of a row's elements in the order in which
// REDUCE takes them: an array's as they stand, a map's as Java's HashMap, made
// for that many entries, would give them, since the result may depend on it.
func visitOrder(v *vector.Vector, i int) []int32 {
	from, to := span(v, i)
	at := make([]int32, 0, to-from)
	for j := from; j < to; j++ {
		at = append(at, int32(j))
	}
	if v.Type.Kind() != types.KindMap || v.Type.Key().Kind() != types.KindString {
		return at
	}
	buckets := uint32(1)
	for int(buckets) < len(at) {
		buckets *= 2
	}
	if 4*len(at) > 3*int(buckets) {
		buckets *= 2
	}
	bucket := func(j int32) uint32 {
		h := javaHash(v.Kids[0].Str(int(j)))
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(at, func(x, y int32) int { return cmp.Compare(bucket(x), bucket(y)) })
	return at
}

// javaHash is the hash code of a text in Java, over its UTF-16 units.
func javaHash(text []byte) uint32 {
	h := uint32(0)
	for _, r := range string(text) {
		if r >= 0x10000 {
			high, low := utf16.EncodeRune(r)
			h, r = 31*h+uint32(high), low
		}
		h = 31*h + uint32(r)
	}
	return h
}
