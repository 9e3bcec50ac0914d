package function

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// span returns the elements of row i of a list: positions from and to.
func span(v *vector.Vector, i int) (from, to int) { return int(v.Offsets[i]), int(v.Offsets[i+1]) }

// spanOrNone is span, without elements if the list is null.
func spanOrNone(v *vector.Vector, i int) (from, to int) {
	if v.IsNull(i) {
		return 0, 0
	}
	return span(v, i)
}

// contains reports whether kid[from:to] holds an element equal to y's row j.
func contains(kid *vector.Vector, from, to int, y *vector.Vector, j int) bool {
	for ; from < to; from++ {
		if vector.Compare(kid, from, y, j) == 0 {
			return true
		}
	}
	return false
}

// listKernel gives an ARRAY of the first argument's type; f appends elements.
func listKernel(f func(c *Call, out *vector.Builder, i int)) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
			f(c, b.Kid(0), i)
			b.Close()
		}), nil
	}
}

func listDef(name, ps, description string, e Example, f func(c *Call, out *vector.Builder, i int)) Def {
	return Def{Name: name, Kind: Scalar, Category: CategoryArray, Description: description, Examples: []Example{e},
		Signatures: []Signature{{Params: params(ps), Returns: sameAs(0), Scalar: plain(listKernel(f))}}}
}

// appendNew appends element j of kid unless out's row, begun at mark, has it.
func distinctInto(out *vector.Builder, seen *[]element, kid *vector.Vector, j int) {
	for _, s := range *seen {
		if vector.Compare(s.v, s.i, kid, j) == 0 {
			return
		}
	}
	*seen = append(*seen, element{kid, j})
	out.Append(kid, j)
}

type element struct {
	v *vector.Vector
	i int
}

func arrayFunctions() []Def {
	return []Def{
		{Name: "ARRAY_LENGTH", Kind: Scalar, Category: CategoryArray, Description: "The number of elements.", Examples: []Example{{"ARRAY_LENGTH(ARRAY[1, 2])", "2"}},
			Signatures: []Signature{scalar("array ARRAY<T>", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
				from, to := span(c.Args[0], i)
				return int32(to - from), true
			}))}},
		{Name: "ARRAY_CONTAINS", Kind: Scalar, Category: CategoryArray, Description: "Whether a value is among the elements.", Examples: []Example{{"ARRAY_CONTAINS(ARRAY[1, 2], 2)", "TRUE"}},
			Signatures: []Signature{scalar("array ARRAY<T>, val T", types.Boolean, boolKernel(func(c *Call, i int) bool {
				from, to := span(c.Args[0], i)
				return contains(c.Args[0].Kids[0], from, to, c.Args[1], i)
			}))}},
		{Name: "ARRAY_CONCAT", Kind: Scalar, Category: CategoryArray, Description: "All elements of both; a null counts as no elements unless both are null.", Examples: []Example{{"ARRAY_CONCAT(ARRAY[1], ARRAY[2])", "ARRAY[1, 2]"}, {"ARRAY_CONCAT(NULL, ARRAY[2])", "ARRAY[2]"}},
			Signatures: []Signature{{Params: params("left ARRAY<T>, right ARRAY<T>"), Returns: sameAs(0), NullTolerant: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
					if c.Args[0].IsNull(i) && c.Args[1].IsNull(i) {
						return
					}
					for _, a := range c.Args {
						from, to := spanOrNone(a, i)
						for j := from; j < to; j++ {
							b.Kid(0).Append(a.Kids[0], j)
						}
					}
					b.Close()
				}), nil
			})}}},
		listDef("ARRAY_DISTINCT", "input ARRAY<T>", "The elements, each once.", Example{"ARRAY_DISTINCT(ARRAY[1, 2, 1])", "ARRAY[1, 2]"}, func(c *Call, out *vector.Builder, i int) {
			var seen []element
			for j, to := span(c.Args[0], i); j < to; j++ {
				distinctInto(out, &seen, c.Args[0].Kids[0], j)
			}
		}),
		listDef("ARRAY_UNION", "left ARRAY<T>, right ARRAY<T>", "The elements of both, each once.", Example{"ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "ARRAY[1, 2, 3]"}, func(c *Call, out *vector.Builder, i int) {
			var seen []element
			for _, a := range c.Args {
				for j, to := span(a, i); j < to; j++ {
					distinctInto(out, &seen, a.Kids[0], j)
				}
			}
		}),
		listDef("ARRAY_EXCEPT", "left ARRAY<T>, right ARRAY<T>", "The elements of the first that are not in the second, each once.", Example{"ARRAY_EXCEPT(ARRAY[1, 2, 3], ARRAY[2])", "ARRAY[1, 3]"}, func(c *Call, out *vector.Builder, i int) {
			var seen []element
			from, to := span(c.Args[1], i)
			for j, end := span(c.Args[0], i); j < end; j++ {
				if !contains(c.Args[1].Kids[0], from, to, c.Args[0].Kids[0], j) {
					distinctInto(out, &seen, c.Args[0].Kids[0], j)
				}
			}
		}),
		listDef("ARRAY_INTERSECT", "left ARRAY<T>, right ARRAY<T>", "The elements in both, each once.", Example{"ARRAY_INTERSECT(ARRAY[1, 2], ARRAY[2, 3])", "ARRAY[2]"}, func(c *Call, out *vector.Builder, i int) {
			var seen []element
			from, to := span(c.Args[1], i)
			for j, end := span(c.Args[0], i); j < end; j++ {
				if contains(c.Args[1].Kids[0], from, to, c.Args[0].Kids[0], j) {
					distinctInto(out, &seen, c.Args[0].Kids[0], j)
				}
			}
		}),
		{Name: "ARRAY_REMOVE", Kind: Scalar, Category: CategoryArray, Description: "The elements without those equal to a value; NULL removes the nulls.", Examples: []Example{{"ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "ARRAY[2]"}, {"ARRAY_REMOVE(ARRAY[1, NULL], NULL)", "ARRAY[1]"}},
			Signatures: []Signature{{Params: params("array ARRAY<T>, victim T"), Returns: sameAs(0), NullTolerant: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
					if c.Args[0].IsNull(i) {
						return
					}
					for j, to := span(c.Args[0], i); j < to; j++ {
						if vector.Compare(c.Args[0].Kids[0], j, c.Args[1], i) != 0 {
							b.Kid(0).Append(c.Args[0].Kids[0], j)
						}
					}
					b.Close()
				}), nil
			})}}},
		listDef("SLICE", "in ARRAY<T>, from INT, to INT", "The elements from one position to another, counted from 1.", Example{"SLICE(ARRAY[1, 2, 3], 2, 3)", "ARRAY[2, 3]"}, func(c *Call, out *vector.Builder, i int) {
			from, to := span(c.Args[0], i)
			for j := from + max(0, int(c.Args[1].I32[i])-1); j < min(to, from+int(c.Args[2].I32[i])); j++ {
				out.Append(c.Args[0].Kids[0], j)
			}
		}),
		{Name: "ARRAY_SORT", Kind: Scalar, Category: CategoryArray, Description: "The elements in order, nulls last; 'DESC' reverses.", Examples: []Example{{"ARRAY_SORT(ARRAY[3, 1, 2])", "ARRAY[1, 2, 3]"}, {"ARRAY_SORT(ARRAY[1, 2], 'DESC')", "ARRAY[2, 1]"}},
			Signatures: []Signature{{Params: params("input ARRAY<T>"), Returns: sameAs(0), Scalar: plain(listKernel(sortInto))}, {Params: params("input ARRAY<T>, direction STRING"), Returns: sameAs(0), Scalar: plain(listKernel(sortInto))}}},
		arrayExtreme("ARRAY_MAX", "The largest element, nulls left out.", 1, Example{"ARRAY_MAX(ARRAY[1, 3, 2])", "3"}),
		arrayExtreme("ARRAY_MIN", "The smallest element, nulls left out.", -1, Example{"ARRAY_MIN(ARRAY[2, 1])", "1"}),
		{Name: "ARRAY_JOIN", Kind: Scalar, Category: CategoryArray, Description: "The elements as one text with a delimiter between them, a comma by default.", Examples: []Example{{"ARRAY_JOIN(ARRAY['a', 'b'], '-')", "'a-b'"}},
			Signatures: []Signature{{Params: params("array ARRAY<T>"), Returns: joinedType, Scalar: plain(stringKernel(arrayJoin))},
				{Params: params("array ARRAY<T>, delimiter STRING"), Returns: joinedType, NullTolerant: true, Scalar: plain(stringKernel(arrayJoin))}}},
		{Name: "GENERATE_SERIES", Kind: Scalar, Category: CategoryArray, Description: "The whole numbers from one to another, in steps.", Examples: []Example{{"GENERATE_SERIES(1, 5, 2)", "ARRAY[1, 3, 5]"}},
			Signatures: []Signature{seriesSignature("start INT, end INT", types.Int), seriesSignature("start INT, end INT, step INT", types.Int), seriesSignature("start BIGINT, end BIGINT", types.Bigint), seriesSignature("start BIGINT, end BIGINT, step INT", types.Bigint)}},
	}
}

func sortInto(c *Call, out *vector.Builder, i int) {
	desc := false
	if len(c.Args) == 2 {
		switch direction := strings.ToUpper(string(str(c, 1, i))); direction {
		case "ASC", "ASCENDING":
		case "DESC", "DESCENDING":
			desc = true
		default:
			c.Fail(int32(i), fmt.Sprintf("the direction %q is neither ASC nor DESC", direction))
			return
		}
	}
	kid := c.Args[0].Kids[0]
	from, to := span(c.Args[0], i)
	at := make([]int, 0, to-from)
	for j := from; j < to; j++ {
		at = append(at, j)
	}
	sort.SliceStable(at, func(x, y int) bool {
		nx, ny := kid.IsNull(at[x]), kid.IsNull(at[y])
		if nx || ny {
			return !nx && ny
		}
		return (vector.Compare(kid, at[x], kid, at[y]) < 0) != desc && vector.Compare(kid, at[x], kid, at[y]) != 0
	})
	for _, j := range at {
		out.Append(kid, j)
	}
}

func arrayExtreme(name, description string, want int, e Example) Def {
	return Def{Name: name, Kind: Scalar, Category: CategoryArray, Description: description, Examples: []Example{e},
		Signatures: []Signature{{Params: params("input ARRAY<T>"), Returns: variable("T"), Scalar: plain(func(c *Call) (*vector.Vector, error) {
			kid := c.Args[0].Kids[0]
			return rows(c, kid.Type, func(b *vector.Builder, i int) {
				best := -1
				for j, to := span(c.Args[0], i); j < to; j++ {
					if !kid.IsNull(j) && (best < 0 || vector.Compare(kid, j, kid, best) == want) {
						best = j
					}
				}
				if best >= 0 {
					b.Append(kid, best)
				}
			}), nil
		})}}}
}

func joinedType(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
	if t := args[0].Type.Elem(); t.IsNested() || t.Kind() == types.KindBytes {
		return nil, fmt.Errorf("elements of type %s can't be joined to a text", t)
	}
	return types.String, nil
}

// arrayJoin takes a null delimiter as an empty one.
func arrayJoin(c *Call, i int, buf []byte) ([]byte, bool) {
	if c.Args[0].IsNull(i) {
		return nil, false
	}
	kid := c.Args[0].Kids[0]
	from, to := span(c.Args[0], i)
	for j := from; j < to; j++ {
		switch {
		case j == from:
		case len(c.Args) == 1:
			buf = append(buf, ',')
		case !c.Args[1].IsNull(i):
			buf = append(buf, str(c, 1, i)...)
		}
		buf = appendText(buf, kid, j)
	}
	return buf, true
}

// appendText appends an element as text, without quotes.
func appendText(buf []byte, v *vector.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(buf, "null"...)
	}
	switch v.Type.Kind() {
	case types.KindString:
		return append(buf, v.Str(i)...)
	case types.KindDate, types.KindTime, types.KindTimestamp:
		quoted := len(buf)
		buf = appendISOJSON(buf, v, i)
		return append(buf[:quoted], buf[quoted+1:len(buf)-1]...)
	}
	return appendISOJSON(buf, v, i)
}

// maxSeries bounds the elements that one row may generate.
const maxSeries = 1 << 20

// stepsBetween returns how many steps fit between x and end, toward which step
// leads.
func stepsBetween(x, end, step int64) uint64 {
	if step > 0 {
		return (uint64(end) - uint64(x)) / uint64(step)
	}
	return (uint64(x) - uint64(end)) / -uint64(step)
}

func seriesSignature(ps string, t *types.Type) Signature {
	return scalar(ps, types.Array(t), func(c *Call) (*vector.Vector, error) {
		whole := func(v *vector.Vector, i int) int64 {
			if v.Type.Kind() == types.KindInt {
				return int64(v.I32[i])
			}
			return v.I64[i]
		}
		return rows(c, types.Array(t), func(b *vector.Builder, i int) {
			x, end, step := whole(c.Args[0], i), whole(c.Args[1], i), int64(1)
			if x > end {
				step = -1
			}
			if len(c.Args) == 3 {
				step = int64(c.Args[2].I32[i])
			}
			switch {
			case step == 0 || x != end && step > 0 != (x < end):
				c.Fail(int32(i), fmt.Sprintf("a step of %d never gets from %d to %d", step, x, end))
				return
			case stepsBetween(x, end, step) >= maxSeries:
				c.Fail(int32(i), "the series has more than 1,048,576 elements")
				return
			}
			for n := stepsBetween(x, end, step); ; n, x = n-1, x+step {
				if t.Kind() == types.KindInt {
					b.Kid(0).Int32(int32(x))
				} else {
					b.Kid(0).Int64(x)
				}
				if n == 0 {
					break
				}
			}
			b.Close()
		}), nil
	})
}

func mapFunctions() []Def {
	part := func(name, description string, k int, e Example) Def {
		return Def{Name: name, Kind: Scalar, Category: CategoryMap, Description: description, Examples: []Example{e},
			Signatures: []Signature{{Params: params("input MAP<K, V>"), Returns: func(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
				if k == 0 {
					return types.Array(args[0].Type.Key()), nil
				}
				return types.Array(args[0].Type.Elem()), nil
			}, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				v := *c.Args[0]
				v.Type, v.Kids = types.Array(v.Kids[k].Type), []*vector.Vector{v.Kids[k]}
				return &v, nil
			})}}}
	}
	return []Def{
		part("MAP_KEYS", "The keys of a map.", 0, Example{"MAP_KEYS(MAP('a' := 1))", "ARRAY['a']"}),
		part("MAP_VALUES", "The values of a map.", 1, Example{"MAP_VALUES(MAP('a' := 1))", "ARRAY[1]"}),
		{Name: "MAP_UNION", Kind: Scalar, Category: CategoryMap, Description: "The entries of both maps; the second's win. A null counts as an empty map unless both are null.", Examples: []Example{{"MAP_UNION(MAP('a' := 1), MAP('a' := 2, 'b' := 3))", "MAP('a' := 2, 'b' := 3)"}},
			Signatures: []Signature{{Params: params("map1 MAP<STRING, V>, map2 MAP<STRING, V>"), Returns: sameAs(0), NullTolerant: true, Scalar: plain(mapUnion)}}},
		{Name: "SPLIT_TO_MAP", Kind: Scalar, Category: CategoryMap, Description: "The entries of a text such as a:1/b:2, given both delimiters; entries without a value are left out.", Examples: []Example{{"SPLIT_TO_MAP('a:1//b:2/c', '/', ':')", "MAP('a' := '1', 'b' := '2')"}},
			Signatures: []Signature{scalar("input STRING, entryDelimiter STRING, kvDelimiter STRING", types.Map(types.String, types.String), splitToMap)}},
		{Name: "ENTRIES", Kind: Scalar, Category: CategoryMap, Description: "The entries of a map as structs of a key K and a value V, on request sorted by key.", Examples: []Example{{"ENTRIES(MAP('b' := 2, 'a' := 1), TRUE)", "ARRAY[STRUCT(K := 'a', V := 1), STRUCT(K := 'b', V := 2)]"}},
			Signatures: []Signature{{Params: params("map MAP<STRING, T>, sorted BOOLEAN"), Returns: entriesType, Scalar: plain(entries)}}},
		{Name: "AS_MAP", Kind: Scalar, Category: CategoryMap, Description: "A map of the keys and values at equal positions; a key without a value gets null.", Examples: []Example{{"AS_MAP(ARRAY['a'], ARRAY[1])", "MAP('a' := 1)"}, {"AS_MAP(ARRAY['a', 'b'], ARRAY[1])['b'] IS NULL", "TRUE"}},
			Signatures: []Signature{{Params: params("keys ARRAY<STRING>, values ARRAY<T>"), Returns: func(_ []Arg, b map[string]*types.Type) (*types.Type, error) {
				return types.Map(types.String, b["T"]), nil
			},
				Scalar: plain(func(c *Call) (*vector.Vector, error) {
					return rows(c, types.Map(types.String, c.Args[1].Type.Elem()), func(b *vector.Builder, i int) {
						k, kEnd := span(c.Args[0], i)
						v, vEnd := span(c.Args[1], i)
						for ; k < kEnd; k, v = k+1, v+1 {
							if contains(c.Args[0].Kids[0], k+1, kEnd, c.Args[0].Kids[0], k) {
								continue // the last one of equal keys stays
							}
							b.Kid(0).Append(c.Args[0].Kids[0], k)
							if v < vEnd {
								b.Kid(1).Append(c.Args[1].Kids[0], v)
							} else {
								b.Kid(1).Null()
							}
						}
						b.Close()
					}), nil
				})}}},
	}
}

func mapUnion(c *Call) (*vector.Vector, error) {
	return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
		if c.Args[0].IsNull(i) && c.Args[1].IsNull(i) {
			return
		}
		from, to := spanOrNone(c.Args[1], i)
		j, end := spanOrNone(c.Args[0], i)
		for ; j < end; j++ {
			if !contains(c.Args[1].Kids[0], from, to, c.Args[0].Kids[0], j) {
				b.Kid(0).Append(c.Args[0].Kids[0], j)
				b.Kid(1).Append(c.Args[0].Kids[1], j)
			}
		}
		for j := from; j < to; j++ {
			b.Kid(0).Append(c.Args[1].Kids[0], j)
			b.Kid(1).Append(c.Args[1].Kids[1], j)
		}
		b.Close()
	}), nil
}

func splitToMap(c *Call) (*vector.Vector, error) {
	return rows(c, types.Map(types.String, types.String), func(b *vector.Builder, i int) {
		text, between, assign := str(c, 0, i), str(c, 1, i), str(c, 2, i)
		if len(between) == 0 || len(assign) == 0 {
			return
		}
		var keys, values [][]byte
		for _, entry := range bytes.Split(text, between) {
			parts := bytes.SplitN(entry, assign, 3)
			if len(entry) == 0 || len(parts) < 2 {
				continue
			}
			k := slices.IndexFunc(keys, func(key []byte) bool { return bytes.Equal(key, parts[0]) })
			if k >= 0 {
				values[k] = parts[1]
				continue
			}
			keys, values = append(keys, parts[0]), append(values, parts[1])
		}
		for k := range keys {
			b.Kid(0).Bytes(keys[k])
			b.Kid(1).Bytes(values[k])
		}
		b.Close()
	}), nil
}

func entriesType(args []Arg, _ map[string]*types.Type) (*types.Type, error) {
	return types.Array(types.Struct(types.Field{Name: "K", Type: types.String}, types.Field{Name: "V", Type: args[0].Type.Elem()})), nil
}

func entries(c *Call) (*vector.Vector, error) {
	keys, values := c.Args[0].Kids[0], c.Args[0].Kids[1]
	t, err := entriesType([]Arg{{Type: c.Args[0].Type}}, nil)
	if err != nil {
		return nil, err
	}
	return rows(c, t, func(b *vector.Builder, i int) {
		var at []int
		for j, to := span(c.Args[0], i); j < to; j++ {
			at = append(at, j)
		}
		if c.Args[1].Bits.Get(i) {
			slices.SortStableFunc(at, func(x, y int) int { return vector.Compare(keys, x, keys, y) })
		}
		list := b.Kid(0)
		for _, j := range at {
			list.Kid(0).Append(keys, j)
			list.Kid(1).Append(values, j)
			list.Close()
		}
		b.Close()
	}), nil
}

func conditionalFunctions() []Def {
	firstOf := plain(func(c *Call) (*vector.Vector, error) {
		return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
			for _, a := range c.Args {
				if !a.IsNull(i) {
					b.Append(a, i)
					return
				}
			}
		}), nil
	})
	return []Def{
		{Name: "COALESCE", Kind: Scalar, Category: CategoryConditional, Description: "The first value that is not null.", Examples: []Example{{"COALESCE(NULL, 2, 3)", "2"}},
			Signatures: []Signature{{Params: params("first T, others T..."), Returns: variable("T"), NullTolerant: true, Scalar: firstOf}}},
		{Name: "IFNULL", Kind: Scalar, Category: CategoryConditional, Description: "The value, or the other one if it is null.", Examples: []Example{{"IFNULL(NULL, 'x')", "'x'"}},
			Signatures: []Signature{{Params: params("expression T, altValue T"), Returns: variable("T"), NullTolerant: true, Scalar: firstOf}}},
		{Name: "NULLIF", Kind: Scalar, Category: CategoryConditional, Description: "Null if both values are equal, else the first.", Examples: []Example{{"NULLIF(1, 2)", "1"}, {"NULLIF('a', 'a') IS NULL", "TRUE"}},
			Signatures: []Signature{{Params: params("expr1 T, expr2 T"), Returns: variable("T"), NullTolerant: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				return rows(c, c.Args[0].Type, func(b *vector.Builder, i int) {
					if !c.Args[0].IsNull(i) && vector.Compare(c.Args[0], i, c.Args[1], i) != 0 {
						b.Append(c.Args[0], i)
					}
				}), nil
			})}}},
	}
}
