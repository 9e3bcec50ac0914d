package expr

import (
	"testing"

	"karst/sql/vector"
)

// wideBatch repeats the test batch's rows.
func wideBatch(n int) (*vector.Batch, Scope) {
	few, scope := testBatch(vector.NewArena())
	b := &vector.Batch{N: n, Time: make([]int64, n)}
	for _, col := range few.Cols {
		out := vector.NewBuilder(vector.NewArena(), col.Type, n)
		for i := range n {
			out.Append(col, i%few.N)
		}
		b.Cols = append(b.Cols, out.Finish())
	}
	return b, scope
}

// BenchmarkEval reports the cost of a row.
func BenchmarkEval(b *testing.B) {
	batch, scope := wideBatch(4096)
	for _, text := range []string{"L + L * 2", "L > 3", "L > 3 AND S = 'abc'", "L IN (1, 5, 10, 20, 30, 40, 50, 60)", "S IN ('a', 'b', 'c', 'abc')", "S LIKE 'a%'",
		"CASE WHEN L > 5 THEN L ELSE 0 END", "P * P", "CAST(L AS STRING)", "S + '-' + S", "T->X", "A[1]"} {
		p, err := CompileText(text, scope)
		if err != nil {
			b.Fatal(err)
		}
		c := &Context{Arena: vector.NewArena(), Report: func(int32, string) {}}
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				c.Arena.Reset()
				p.Eval(c, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch.N), "ns/row")
		})
	}
}
