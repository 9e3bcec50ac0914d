package function_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// columnTypes are the columns that arguments are taken from, by name.
var columnTypes = []expr.Column{
	{Name: "BOOLEAN1", Type: types.Boolean}, {Name: "INT1", Type: types.Int}, {Name: "BIGINT1", Type: types.Bigint}, {Name: "DOUBLE1", Type: types.Double},
	{Name: "DECIMAL1", Type: types.MustDecimal(12, 3)}, {Name: "STRING1", Type: types.String}, {Name: "BYTES1", Type: types.Bytes}, {Name: "DATE1", Type: types.Date},
	{Name: "TIME1", Type: types.Time}, {Name: "TIMESTAMP1", Type: types.Timestamp}, {Name: "ARRAY_INT", Type: types.Array(types.Int)},
	{Name: "ARRAY_STRING", Type: types.Array(types.String)}, {Name: "MAP_INT", Type: types.Map(types.String, types.Int)},
}

var texts = []string{"", "a", "ab,c", "Éa ß", "$.a[0]", "yyyy-MM-dd", "2001-03-09", "UTC", "[1,{\"a\":2}]", "{\"a\":[1]}", "http://h:1/p?a=b#f", "(a|b)*", "hex", "4142", "x\x80"}

// appendRandom appends a value of the builder's type, or null.
func appendRandom(r *rand.Rand, b *vector.Builder) {
	if r.IntN(5) == 0 {
		b.Null()
		return
	}
	switch b.Type().Kind() {
	case types.KindBoolean:
		b.Bool(r.IntN(2) == 0)
	case types.KindInt:
		b.Int32(int32(r.IntN(9) - 3))
	case types.KindDate:
		b.Int32(int32(r.IntN(40000) - 10000))
	case types.KindTime:
		b.Int32(int32(r.IntN(86_400_000)))
	case types.KindBigint:
		b.Int64(int64(r.IntN(9) - 3))
	case types.KindTimestamp:
		b.Int64(r.Int64N(4e12) - 1e12)
	case types.KindDouble:
		b.Float64([]float64{0, -1.5, 2.25, 1e300, math.Inf(1), math.NaN()}[r.IntN(6)])
	case types.KindDecimal:
		b.Decimal(decimal128.FromI64(r.Int64N(2_000_000) - 1_000_000))
	case types.KindString, types.KindBytes:
		b.String(texts[r.IntN(len(texts))])
	case types.KindArray:
		for range r.IntN(4) {
			appendRandom(r, b.Kid(0))
		}
		b.Close()
	case types.KindMap:
		for k := range r.IntN(3) {
			b.Kid(0).String(fmt.Sprint("k", k))
			appendRandom(r, b.Kid(1))
		}
		b.Close()
	}
}

func randomBatch(r *rand.Rand, n int) *vector.Batch {
	b := &vector.Batch{N: n, Time: make([]int64, n)}
	for _, c := range columnTypes {
		col := vector.NewBuilder(vector.NewArena(), c.Type, n)
		for range n {
			appendRandom(r, col)
		}
		b.Cols = append(b.Cols, col.Finish())
	}
	return b
}

// argumentOf returns an expression that a parameter takes.
func argumentOf(pattern string) string {
	switch {
	case pattern == "T" || pattern == "S" || pattern == "ANY":
		return "INT1"
	case pattern == "INTERVAL":
		return "DAYS"
	case pattern == "ARRAY<STRING>":
		return "ARRAY_STRING"
	case strings.HasPrefix(pattern, "ARRAY"):
		return "ARRAY_INT"
	case strings.HasPrefix(pattern, "MAP"):
		return "MAP_INT"
	case strings.HasPrefix(pattern, "LAMBDA(T) => BOOLEAN"):
		return "X => X > INT1"
	case strings.HasPrefix(pattern, "LAMBDA(K, V) => BOOLEAN"):
		return "(K, V) => V > INT1"
	case pattern == "LAMBDA(T) => R":
		return "X => X + INT1"
	case strings.HasPrefix(pattern, "LAMBDA(S, K"):
		return "(S, K, V) => S + V"
	case strings.HasPrefix(pattern, "LAMBDA(S"):
		return "(S, X) => S + X"
	case strings.HasPrefix(pattern, "LAMBDA(K, V) => R"):
		return "(K, V) => K"
	case strings.HasPrefix(pattern, "LAMBDA(K, V)"):
		return "(K, V) => V"
	}
	return pattern + "1"
}

// calls returns a call of each signature, variadic ones with three arguments
// there.
func calls(d *function.Def) []string {
	var out []string
	for _, s := range d.Signatures {
		var args []string
		for _, p := range s.Params {
			args = append(args, argumentOf(p.Pattern.String()))
			if p.Variadic {
				args = append(args, argumentOf(p.Pattern.String()), argumentOf(p.Pattern.String()))
			}
		}
		if !s.Volatile {
			out = append(out, d.Name+"("+strings.Join(args, ", ")+")")
		}
	}
	return out
}

func testContext() *expr.Context {
	return &expr.Context{Arena: vector.NewPoisonedArena(), Now: func() time.Time { return time.UnixMilli(0) }, Rand: func() uint64 { return 4 }, Report: func(int32, string) {}}
}

func evaluate(t *testing.T, call string, b *vector.Batch) []string {
	p, err := expr.CompileText(call, expr.Scope{Columns: columnTypes})
	if err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	c := testContext()
	v := p.Eval(c, b)
	var out []string
	for _, i := range b.Selected(c.Arena) {
		out = append(out, string(format.AppendJSON(nil, v, int(i))))
	}
	return out
}

// TestSelection holds that every function gives a row the same value whatever
// other rows are selected, over values with nulls and edge cases.
func TestSelection(t *testing.T) {
	n := 0
	for _, d := range function.Default().All() {
		if d.Kind != function.Scalar {
			continue
		}
		for _, call := range calls(d) {
			n++
			t.Run(call, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				for range 3 {
					b := randomBatch(r, 40)
					all := evaluate(t, call, b)
					var want []string
					b.Sel = []int32{}
					for i := range b.N {
						if r.IntN(3) == 0 {
							b.Sel = append(b.Sel, int32(i))
							want = append(want, all[i])
						}
					}
					got := evaluate(t, call, b)
					if strings.Join(got, "\n") != strings.Join(want, "\n") {
						t.Fatalf("on a selection\n%q, on all rows\n%q", got, want)
					}
				}
			})
		}
	}
	if n < 150 {
		t.Errorf("only %d signatures", n)
	}
}

// TestNoAllocationPerRow holds that the frequent functions allocate as often
// for many rows as for few.
func TestNoAllocationPerRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	few, many := randomBatch(r, 100), randomBatch(r, 1100)
	for _, call := range []string{"UCASE(STRING1)", "LCASE(STRING1)", "TRIM(STRING1)", "LEN(STRING1)", "SUBSTRING(STRING1, 1, 2)", "CONCAT(STRING1, 'x')", "REPLACE(STRING1, 'a', 'bc')",
		"LPAD(STRING1, 9, '-')", "ABS(BIGINT1)", "ROUND(DOUBLE1, 2)", "COALESCE(STRING1, 'x')", "GREATEST(INT1, 2)", "FORMAT_TIMESTAMP(TIMESTAMP1, 'yyyy-MM-dd HH:mm', 'UTC')",
		"UNIX_DATE(DATE1)", "DATEADD(DAYS, INT1, DATE1)", "ARRAY_LENGTH(ARRAY_INT)", "MAP_KEYS(MAP_INT)", "SPLIT(STRING1, ',')", "FROM_UNIXTIME(BIGINT1)", "MASK(STRING1)", "ROUND(DECIMAL1, 1)", "FLOOR(DECIMAL1)", "TRUNC(DECIMAL1)", "SIN(DOUBLE1)", "POWER(DOUBLE1, BIGINT1)", "SIGN(INT1)", "IFNULL(INT1, BIGINT1)",
		"GREATEST(DECIMAL1, 1.5)", "INSTR(STRING1, 'a')", "CONCAT_WS(',', STRING1, STRING1)", "TIMESTAMPADD(MONTHS, 1, TIMESTAMP1)", "MD5(STRING1)", "UNIX_TIMESTAMP(TIMESTAMP1)", "ARRAY_CONTAINS(ARRAY_INT, INT1)"} {
		p, err := expr.CompileText(call, expr.Scope{Columns: columnTypes})
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		count := func(b *vector.Batch) float64 {
			c := testContext()
			c.Arena = vector.NewArena()
			return testing.AllocsPerRun(5, func() { c.Arena.Reset(); p.Eval(c, b) })
		}
		if a, b := count(few), count(many); b > a+50 {
			t.Errorf("%s allocates %v times for 100 rows, %v for 1100", call, a, b)
		}
	}
}
