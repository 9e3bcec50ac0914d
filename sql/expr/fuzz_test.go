package expr

import (
	"testing"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/vector"
)

// FuzzEval compiles and evaluates any text: there is no panic, and a program's
// result is well formed.
func FuzzEval(f *testing.F) {
	for _, d := range function.Default().All() {
		for _, x := range d.Examples {
			f.Add(x.Call)
		}
		if d.Kind == function.Scalar {
			for _, args := range []string{"", "NULL", "I", "S", "A", "M", "NULL, NULL", "S, I", "S, S", "A, A", "I, L", "A, -1", "S, 0, 99", "M, x => x", "A, 0, (x, y) => x", "P, -3", "D"} {
				f.Add(d.Name + "(" + args + ")")
			}
		}
	}
	for _, x := range []string{"A[I] + L / 0", "CASE B WHEN I > 0 THEN P ELSE D END", "S LIKE '%' || S || '_' ESCAPE '!'", "CAST(T AS STRING)", "CAST(A AS ARRAY<STRING>)[-1]",
		"M['k'] BETWEEN I AND L", "T->X IN (1, NULL, '3')", "STRUCT(A := A, B := M)->B['k']", "TRANSFORM(A, x => REDUCE(A, x, (s, y) => s * y))", "CAST('2020-02-30' AS DATE)", "-P % 0.01"} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := sql.ParseExpr(text)
		if err != nil {
			return
		}
		arena := vector.NewPoisonedArena()
		b, scope := testBatch(arena)
		p, err := Compile(e, scope)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a message")
			}
			return
		}
		var faults []string
		c := testContext(t, &faults)
		c.Arena = arena
		for _, sel := range [][]int32{nil, {1}, {}} {
			b.Sel = sel
			v := p.Eval(c, b)
			if v.Len != b.N || !v.Type.Equal(p.Type()) {
				t.Fatalf("%d rows of %s, want %d of %s", v.Len, v.Type, b.N, p.Type())
			}
			for _, i := range b.Selected(arena) {
				format.AppendJSON(nil, v, int(i))
			}
		}
	})
}

// TestEvalAllocations holds that an evaluation allocates for a batch, not for
// its rows.
func TestEvalAllocations(t *testing.T) {
	b, scope := wideBatch(3000)
	for _, text := range []string{
		"I + L * 2", "D / 3 - I", "P + 1.5", "P * P", "P / 7", "I > 3 AND S = 'abc'", "I IS NULL OR NOT B", "S LIKE 'a%'", "S + '-' + S", "L IN (1, 10, 20)",
		"I BETWEEN 0 AND 5", "CASE WHEN I > 0 THEN 1 ELSE 2 END", "CAST(I AS BIGINT)", "CAST(L AS DECIMAL(20, 2))", "CAST(P AS DOUBLE)", "A[1]", "T->X", "ABS(I)", "COALESCE(I, 0)",
	} {
		p, err := CompileText(text, scope)
		if err != nil {
			t.Fatal(err)
		}
		c := &Context{Arena: vector.NewArena(), Report: func(int32, string) {}}
		p.Eval(c, b)
		if n := testing.AllocsPerRun(5, func() {
			c.Arena.Reset()
			p.Eval(c, b)
		}); n > 100 {
			t.Errorf("%s: %.0f allocations for %d rows", text, n, b.N)
		}
	}
}
