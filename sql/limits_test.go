package sql

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"karst/sql/types"
)

// TestLimits holds that what is too much is refused, what is just enough is
// not, and that neither takes long.
func TestLimits(t *testing.T) {
	query := func(e string) string { return "SELECT " + e + " FROM s;" }
	wrap := func(n int, open, in, closing string) string {
		return query(strings.Repeat(open, n) + in + strings.Repeat(closing, n))
	}
	for _, c := range []struct {
		name, text string
		kind       types.ErrorKind // 0: parses
	}{
		{"parentheses", wrap(190, "(", "a", ")"), 0},
		{"too many parentheses", wrap(300, "(", "a", ")"), types.ErrLimit},
		{"a megabyte of parentheses", strings.Repeat("(", 1<<20-100), types.ErrLimit},
		{"too deep calls", wrap(100_00, "f(", "a", ")"), types.ErrLimit},
		{"too deep cases", wrap(300, "CASE WHEN a THEN ", "b", " END"), types.ErrLimit},
		{"too deep types", "CREATE TYPE t AS " + strings.Repeat("ARRAY<", 300) + "INT" + strings.Repeat(">", 300), types.ErrLimit},
		{"too deep arrays", wrap(300, "ARRAY[", "1", "]"), types.ErrLimit},
		{"too deep lambdas", query("f(" + strings.Repeat("x => ", 300) + "x)"), types.ErrLimit},
		{"too deep subqueries", wrap(300, "(SELECT ", "a", " FROM s)"), types.ErrLimit},
		{"too deep sources", "SELECT a FROM " + strings.Repeat("(SELECT a FROM ", 300) + "s" + strings.Repeat(")", 300), types.ErrLimit},
		{"many NOTs", query(strings.Repeat("NOT ", 190) + "a"), 0},
		{"too many NOTs", query(strings.Repeat("NOT ", 50_000) + "a"), types.ErrLimit},
		{"too many signs", query(strings.Repeat("- ", 50_000) + "a"), types.ErrLimit},
		{"too many arrows", query("a" + strings.Repeat("->b", 40_000)), types.ErrLimit},
		{"too many indexes", query("a" + strings.Repeat("[1]", 30_000)), types.ErrLimit},
		{"a chain", query("a" + strings.Repeat(" || a", 4000)), 0},
		{"too long a chain", query("a" + strings.Repeat(" OR a", 49_000)), types.ErrLimit},
		{"too many joins", "SELECT * FROM a" + strings.Repeat(" JOIN b ON TRUE", 20_000), types.ErrLimit},
		{"many values", "INSERT INTO s VALUES (1" + strings.Repeat(", 1", 40_000) + ")", 0},
		{"a long union", query("a")[:len(query("a"))-1] + strings.Repeat(" UNION SELECT a FROM s", 4000), 0},
		{"too many words", "INSERT INTO s VALUES (1" + strings.Repeat(", 1", 60_000) + ")", types.ErrLimit},
		{"too many words in all", strings.Repeat("a ", 250_000), types.ErrLimit},
		{"many statements", strings.Repeat("SHOW TYPES;", 1000), 0},
		{"too many statements", strings.Repeat("SHOW TYPES;", 1001), types.ErrLimit},
		{"a long string", "SET 'a' = '" + strings.Repeat("x", 1<<20-20) + "'", 0},
		{"too long", "SET 'a' = '" + strings.Repeat("x", 1<<20) + "'", types.ErrLimit},
		{"only faults", strings.Repeat("a;", 90_000), types.ErrParse},
		{"only bad characters", strings.Repeat("?", 1<<20), types.ErrParse},
		{"long lines of names", query(strings.Repeat("aaaaaaaaaaaaaaaaaaaa, ", 40_000) + "b"), 0},
	} {
		const limit = 5 * time.Second
		took, err := time.Duration(math.MaxInt64), error(nil)
		for try := 0; try < 5 && took > limit; try++ { // what has no processor for a while is no slower for it
			start := time.Now()
			_, err = Parse(c.text, Options{})
			took = min(took, time.Since(start))
		}
		if took > limit {
			t.Errorf("%s took %v", c.name, took)
		}
		var list types.Errors
		switch {
		case c.kind == 0 && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.kind != 0 && (!errors.As(err, &list) || list[len(list)-1].Kind != c.kind || len(list) > maxErrors+1):
			t.Errorf("%s: wrong error: %v", c.name, err)
		}
	}
}

// TestLongChainsReadBack holds that printing adds no nesting.
func TestLongChainsReadBack(t *testing.T) {
	for _, op := range []string{" OR ", " AND ", " + ", " || "} {
		e, err := ParseExpr("a" + strings.Repeat(op+"b", 1000))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseExpr(PrintExpr(e)); err != nil || !EqualExpr(e, again) {
			t.Errorf("a chain of%sreads back as another: %v", op, err)
		}
	}
}
