package expr

import (
	"strings"
	"testing"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// TestTableExamples runs the examples of table functions: what comes out is
// the array of the rows.
func TestTableExamples(t *testing.T) {
	for _, d := range function.Default().All() {
		if d.Kind != function.Table {
			continue
		}
		for _, ex := range d.Examples {
			c := testContext(t, &[]string{})
			args, values, call := exampleCall(t, ex.Call, Scope{}, &vector.Batch{N: 1, Time: []int64{0}}, c)
			r, err := function.Default().Resolve(call.Name, function.Table, args, nil)
			if err != nil {
				t.Fatal(err)
			}
			k, kerr := r.Signature.Table(args)
			if kerr != nil {
				t.Fatal(kerr)
			}
			counts, out, kerr := k(&function.Call{Arena: c.Arena, N: 1, Sel: []int32{0}, Args: values, Fail: func(_ int32, m string) { t.Error(m) }})
			if kerr != nil || len(counts) != 1 || int(counts[0]) != out.Len {
				t.Fatalf("%s: %v rows of %d, %v", ex.Call, counts, out.Len, kerr)
			}
			var rows []string
			for i := range out.Len {
				rows = append(rows, string(format.AppendJSON(nil, out, i)))
			}
			got := types.Array(r.Returns).String() + " [" + strings.Join(rows, ",") + "]"
			if want := exampleWant(t, ex.Want); got != want {
				t.Errorf("%s is %s, want %s", ex.Call, got, want)
			}
		}
	}
}

// TestGroupExamples runs the examples of aggregates, whole and row by row.
func TestGroupExamples(t *testing.T) {
	for _, d := range function.Default().All() {
		for _, ex := range d.Groups {
			c := testContext(t, &[]string{})
			batch, scope := exampleRows(t, ex.Rows, c)
			args, values, call := exampleCall(t, ex.Call, scope, batch, c)
			r, err := function.Default().Resolve(call.Name, function.Aggregate, args, nil)
			if err != nil {
				t.Fatalf("%s: %v", ex.Call, err)
			}
			k, kerr := r.Signature.Aggregate(args)
			if kerr != nil {
				t.Fatal(kerr)
			}
			fixed, _ := k.Layout()
			ac := &function.AggregateCall{Arena: c.Arena, Args: values, Fail: func(_ int32, m string) { t.Error(m) },
				Cells: vector.Cells{Segments: [][]byte{make([]byte, 2*fixed)}, Shift: 20, Stride: fixed, Blobs: vector.NewBlobs()}}
			var rows, groups []int32
			for i := range batch.N {
				rows, groups = append(rows, int32(i)), append(groups, 0)
			}
			k.Update(ac, rows, groups, false)
			for i := range rows {
				groups[i] = 1
				k.Update(ac, rows[i:i+1], groups[i:i+1], true)
			}
			out := k.Values(ac, []int32{0, 1})
			want := exampleWant(t, ex.Want)
			for i := range 2 {
				if got := out.Type.String() + " " + string(format.AppendJSON(nil, out, i)); got != want {
					t.Errorf("%s over %q is %s, want %s", ex.Call, ex.Rows, got, want)
				}
			}
		}
	}
}

// exampleCall compiles a call's arguments and evaluates them.
func exampleCall(t *testing.T, text string, scope Scope, b *vector.Batch, c *Context) ([]function.Arg, []*vector.Vector, *sql.Call) {
	e, err := sql.ParseExpr(text)
	call, ok := e.(*sql.Call)
	if err != nil || !ok {
		t.Fatalf("%s: %v", text, err)
	}
	var args []function.Arg
	var values []*vector.Vector
	for _, a := range call.Args {
		p, err := Compile(a, scope)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		args = append(args, function.Arg{Type: p.Type(), Const: p.Const()})
		values = append(values, p.Eval(c, b))
	}
	return args, values, call
}

// exampleRows makes the columns X, Y… of rows of constants.
func exampleRows(t *testing.T, rows []string, c *Context) (*vector.Batch, Scope) {
	b := &vector.Batch{N: len(rows), Time: make([]int64, len(rows))}
	var scope Scope
	for col := 0; ; col++ {
		var list []string
		for _, row := range rows {
			e, err := sql.ParseExpr("F(" + row + ")")
			if err != nil {
				t.Fatal(err)
			}
			args := e.(*sql.Call).Args
			if col == len(args) {
				return b, scope
			}
			list = append(list, sql.PrintExpr(args[col]))
		}
		p, err := CompileText("ARRAY["+strings.Join(list, ", ")+"]", Scope{})
		if err != nil {
			t.Fatal(err)
		}
		b.Cols = append(b.Cols, p.Eval(c, &vector.Batch{N: 1, Time: []int64{0}}).Kids[0])
		b.Cols[col] = gather(c.Arena, b.Cols[col], pick([]int32{0, 1, 2, 3, 4, 5, 6, 7}, b.Selected(c.Arena)))
		scope.Columns = append(scope.Columns, Column{Name: string(rune('X' + col)), Type: p.Type().Elem()})
	}
}

func exampleWant(t *testing.T, text string) string {
	var faults []string
	want, err := evalText(text, Scope{}, &vector.Batch{N: 1, Time: []int64{0}}, testContext(t, &faults))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return want
}
