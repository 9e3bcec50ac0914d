package function

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"karst/sql/types"
	"karst/sql/vector"

	"pgregory.net/rapid"
)

// groupCells is state for a few groups of one aggregate.
func groupCells(k AggregateKernel, groups int) vector.Cells {
	fixed, _ := k.Layout()
	return vector.Cells{Segments: [][]byte{make([]byte, fixed*groups)}, Shift: 20, Stride: fixed, Blobs: vector.NewBlobs()}
}

// value is a nullable whole number, of which a test makes every type.
type value struct {
	n    int
	null bool
}

func testColumn(t *types.Type, vs []value) *vector.Vector {
	b := vector.NewBuilder(vector.NewArena(), t, len(vs))
	for _, v := range vs {
		if v.null {
			b.Null()
			continue
		}
		switch t.Kind() {
		case types.KindInt, types.KindDate:
			b.Int32(int32(v.n))
		case types.KindBigint, types.KindTimestamp:
			b.Int64(int64(v.n))
		case types.KindDouble:
			b.Float64(float64(v.n))
		case types.KindString:
			b.String(fmt.Sprintf("%03d", v.n))
		case types.KindArray:
			for i := range v.n % 4 {
				b.Kid(0).Int32(int32(i))
			}
			b.Close()
		}
	}
	return b.Finish()
}

func text(v *vector.Vector, i int) string {
	if v.IsNull(i) {
		return "null"
	}
	switch v.Type.Kind() {
	case types.KindInt, types.KindDate:
		return fmt.Sprint(v.I32[i])
	case types.KindBigint, types.KindTimestamp:
		return fmt.Sprint(v.I64[i])
	case types.KindDouble:
		if math.Abs(v.F64[i]) < 1e-6 {
			return "0" // what undoing leaves of a float
		}
		return fmt.Sprintf("%.6g", v.F64[i])
	case types.KindString:
		return string(v.Str(i))
	}
	var parts []string
	for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
		s := text(v.Kids[0], int(j))
		if len(v.Kids) == 2 {
			s += "=" + text(v.Kids[1], int(j))
		}
		parts = append(parts, s)
	}
	if len(v.Kids) == 2 {
		slices.Sort(parts)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// An aggregateModel says what an aggregate's value is for the rows seen.
type aggregateModel struct {
	name string
	typ  *types.Type
	more []Arg // constant arguments
	want func(rows []value) string
}

func constInt(n int32) Arg {
	b := vector.NewBuilder(vector.NewArena(), types.Int, 1)
	b.Int32(n)
	return Arg{Type: types.Int, Const: b.Finish()}
}

func constBool(x bool) Arg {
	b := vector.NewBuilder(vector.NewArena(), types.Boolean, 1)
	b.Bool(x)
	return Arg{Type: types.Boolean, Const: b.Finish()}
}

func present(rows []value) []int {
	var out []int
	for _, r := range rows {
		if !r.null {
			out = append(out, r.n)
		}
	}
	return out
}

func total(ns []int) int {
	s := 0
	for _, n := range ns {
		s += n
	}
	return s
}

func distinct[T comparable](xs []T) []T {
	var out []T
	for _, x := range xs {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func plainList(ns []int) string { return strings.ReplaceAll(fmt.Sprint(ns), ",", "") }

func nullableList(rows []value) string {
	var parts []string
	for _, r := range rows {
		if r.null {
			parts = append(parts, "null")
		} else {
			parts = append(parts, fmt.Sprint(r.n))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func orNull(ns []int, pick func([]int) int) string {
	if len(ns) == 0 {
		return "null"
	}
	return fmt.Sprint(pick(ns))
}

func variance(ns []int) float64 {
	if len(ns) < 2 {
		return 0
	}
	mean, sum := float64(total(ns))/float64(len(ns)), 0.0
	for _, n := range ns {
		sum += (float64(n) - mean) * (float64(n) - mean)
	}
	return sum / float64(len(ns)-1)
}

func topK(ns []int, k int) []int {
	ns = slices.Clone(ns)
	slices.SortFunc(ns, func(a, b int) int { return cmp.Compare(b, a) })
	return ns[:min(k, len(ns))]
}

func histogram(ns []int) string {
	counts := map[int]int{}
	for _, n := range ns {
		counts[n]++
	}
	var parts []string
	for n, c := range counts {
		parts = append(parts, fmt.Sprintf("%03d=%d", n, c))
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, " ") + "]"
}

func padded(s string) string {
	if s == "null" {
		return s
	}
	return fmt.Sprintf("%03s", s)
}

var aggregateModels = []aggregateModel{
	{"COUNT", types.Int, nil, func(r []value) string { return fmt.Sprint(len(present(r))) }},
	{"SUM", types.Int, nil, func(r []value) string { return fmt.Sprint(total(present(r))) }},
	{"SUM", types.Bigint, nil, func(r []value) string { return fmt.Sprint(total(present(r))) }},
	{"SUM", types.Double, nil, func(r []value) string { return fmt.Sprint(total(present(r))) }},
	{"AVG", types.Double, nil, func(r []value) string {
		ns := present(r)
		return fmt.Sprintf("%.6g", float64(total(ns))/float64(max(1, len(ns))))
	}},
	{"MIN", types.Int, nil, func(r []value) string { return orNull(present(r), slices.Min[[]int]) }},
	{"MAX", types.Timestamp, nil, func(r []value) string { return orNull(present(r), slices.Max[[]int]) }},
	{"MAX", types.Date, nil, func(r []value) string { return orNull(present(r), slices.Max[[]int]) }},
	{"MIN", types.String, nil, func(r []value) string { return padded(orNull(present(r), slices.Min[[]int])) }},
	{"MAX", types.Double, nil, func(r []value) string { return orNull(present(r), slices.Max[[]int]) }},
	{"COLLECT_LIST", types.Int, nil, nullableList},
	{"COLLECT_SET", types.Int, nil, func(r []value) string { return nullableList(distinct(r)) }},
	{"COUNT_DISTINCT", types.String, nil, func(r []value) string { return fmt.Sprint(len(distinct(present(r)))) }},
	{"ATTR", types.Int, nil, func(r []value) string {
		if d := distinct(r); len(d) == 1 {
			return strings.Trim(nullableList(d), "[]")
		}
		return "null"
	}},
	{"TOPK", types.Int, []Arg{constInt(3)}, func(r []value) string { return plainList(topK(present(r), 3)) }},
	{"TOPKDISTINCT", types.Int, []Arg{constInt(3)}, func(r []value) string { return plainList(topK(distinct(present(r)), 3)) }},
	{"HISTOGRAM", types.String, nil, func(r []value) string { return histogram(present(r)) }},
	{"STDDEV_SAMP", types.Double, nil, func(r []value) string { return fmt.Sprintf("%.6g", variance(present(r))) }},
	{"STDDEV_SAMPLE", types.Double, nil, func(r []value) string { return fmt.Sprintf("%.6g", math.Sqrt(variance(present(r)))) }},
	{"LATEST_BY_OFFSET", types.Int, nil, func(r []value) string { return orNull(present(r), func(n []int) int { return n[len(n)-1] }) }},
	{"EARLIEST_BY_OFFSET", types.Int, nil, func(r []value) string { return orNull(present(r), func(n []int) int { return n[0] }) }},
	{"LATEST_BY_OFFSET", types.Int, []Arg{constInt(2), constBool(false)}, func(r []value) string { return nullableList(r[max(0, len(r)-2):]) }},
	{"EARLIEST_BY_OFFSET", types.Int, []Arg{constInt(2)}, func(r []value) string { n := present(r); return plainList(n[:min(2, len(n))]) }},
	{"SUM_LIST", types.Array(types.Int), nil, func(r []value) string {
		sum := 0
		for _, n := range present(r) {
			for i := range n % 4 {
				sum += i
			}
		}
		return fmt.Sprint(sum)
	}},
}

func (m aggregateModel) kernel(t testing.TB) (AggregateKernel, []Arg) {
	args := append([]Arg{{Type: m.typ}}, m.more...)
	r, err := Default().Resolve(m.name, Aggregate, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, kerr := r.Signature.Aggregate(args)
	if kerr != nil {
		t.Fatal(kerr)
	}
	if !k.Result().Equal(r.Returns) {
		t.Fatalf("%s gives %s, says %s", m.name, k.Result(), r.Returns)
	}
	return k, args
}

func drawValues(t *rapid.T) []value {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) value {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			return value{null: true}
		}
		return value{n: rapid.IntRange(0, 12).Draw(t, "n")}
	}), 0, 40).Draw(t, "rows")
}

// TestAggregates holds that every aggregate agrees with its model after each
// row, however the rows are cut into batches, with and without a trace, and
// that merging two groups equals one group that saw both's rows.
func TestAggregates(t *testing.T) {
	for _, m := range aggregateModels {
		t.Run(m.name+" "+m.typ.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				k, args := m.kernel(nil)
				vs := drawValues(t)
				call := &AggregateCall{Arena: vector.NewArena(), Args: make([]*vector.Vector, len(args)), Cells: groupCells(k, 4)}
				var seen [4][]value
				for start := 0; start < len(vs); {
					end := start + rapid.IntRange(1, len(vs)-start).Draw(t, "batch")
					checkBatch(t, m, k, call, vs[start:end], &seen, rapid.Bool().Draw(t, "trace"))
					start = end
				}
				checkMerge(t, m, k, call, seen)
			})
		})
	}
}

func checkBatch(t *rapid.T, m aggregateModel, k AggregateKernel, call *AggregateCall, vs []value, seen *[4][]value, trace bool) {
	call.Args[0] = testColumn(m.typ, vs)
	rows, groups := make([]int32, len(vs)), make([]int32, len(vs))
	for i := range vs {
		rows[i], groups[i] = int32(i), int32(rapid.IntRange(0, 2).Draw(t, "group"))
	}
	got := k.Update(call, rows, groups, trace)
	for i, v := range vs {
		seen[groups[i]] = append(seen[groups[i]], v)
		if trace {
			if want := m.want(seen[groups[i]]); text(got, i) != want {
				t.Fatalf("after %v: %s, want %s", seen[groups[i]], text(got, i), want)
			}
		}
	}
	checkValues(t, m, k, call, seen)
}

func checkValues(t *rapid.T, m aggregateModel, k AggregateKernel, call *AggregateCall, seen *[4][]value) {
	v := k.Values(call, []int32{0, 1, 2})
	for g := range 3 {
		if want := m.want(seen[g]); text(v, g) != want {
			t.Fatalf("%v: %s, want %s", seen[g], text(v, g), want)
		}
	}
}

func checkMerge(t *rapid.T, m aggregateModel, k AggregateKernel, call *AggregateCall, seen [4][]value) {
	k.(Merger).Merge(call, 0, 1)
	k.(Merger).Merge(call, 3, 2) // into a group without rows
	v := k.Values(call, []int32{0, 3})
	for i, rows := range [][]value{append(slices.Clone(seen[0]), seen[1]...), seen[2]} {
		if want := m.want(rows); text(v, i) != want {
			t.Fatalf("merged %v: %s, want %s", rows, text(v, i), want)
		}
	}
}

// TestUndo holds that taking rows back leaves what the other rows give.
func TestUndo(t *testing.T) {
	for _, m := range aggregateModels {
		k, args := m.kernel(t)
		if _, ok := k.(Undoer); !ok {
			continue
		}
		t.Run(m.name+" "+m.typ.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				call := &AggregateCall{Arena: vector.NewArena(), Args: make([]*vector.Vector, len(args)), Cells: groupCells(k, 1)}
				var kept []value
				for range rapid.IntRange(1, 20).Draw(t, "steps") {
					undo := len(kept) > 0 && rapid.Bool().Draw(t, "undo")
					if undo {
						i := len(kept) - 1
						if m.name != "COLLECT_LIST" {
							i = rapid.IntRange(0, i).Draw(t, "which")
						}
						call.Args[0] = testColumn(m.typ, kept[i:i+1])
						kept = slices.Delete(kept, i, i+1)
						k.(Undoer).Undo(call, []int32{0}, []int32{0}, false)
					} else {
						v := value{n: rapid.IntRange(0, 5).Draw(t, "n")}
						kept = append(kept, v)
						call.Args[0] = testColumn(m.typ, []value{v})
						k.Update(call, []int32{0}, []int32{0}, false)
					}
					if got, want := text(k.Values(call, []int32{0}), 0), m.want(kept); got != want && len(kept) > 0 {
						t.Fatalf("%v: %s, want %s", kept, got, want)
					}
				}
			})
		})
	}
}

// TestAggregateAllocations holds that folding rows into groups that are there
// allocates nothing a row.
func TestAggregateAllocations(t *testing.T) {
	vs := make([]value, 1000)
	rows, groups := make([]int32, len(vs)), make([]int32, len(vs))
	for i := range vs {
		vs[i], rows[i], groups[i] = value{n: i % 50}, int32(i), int32(i%7)
	}
	for _, m := range aggregateModels {
		switch m.name {
		case "TOPK", "TOPKDISTINCT", "HISTOGRAM", "COLLECT_LIST":
			continue // rewrite their list
		}
		if len(m.more) > 0 {
			continue
		}
		k, args := m.kernel(t)
		call := &AggregateCall{Arena: vector.NewArena(), Args: make([]*vector.Vector, len(args)), Cells: groupCells(k, 7)}
		call.Args[0] = testColumn(m.typ, vs)
		k.Update(call, rows, groups, false)
		if n := testing.AllocsPerRun(5, func() { k.Update(call, rows, groups, false) }); n > 10 {
			t.Errorf("%s %s: %.0f allocations for %d rows", m.name, m.typ, n, len(rows))
		}
	}
}
