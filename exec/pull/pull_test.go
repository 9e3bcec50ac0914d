package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"karst/exec"
	"karst/exec/exectest"
	"karst/sql"
)

const tables = `
CREATE STREAM s (k INT KEY, t STRING, d DOUBLE, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=4, FORMAT='JSON');
CREATE TABLE by_int AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY k;
CREATE TABLE by_text AS SELECT t, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY t;
CREATE TABLE by_double AS SELECT d, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY d HAVING COUNT(*) > 1;
CREATE TABLE by_two AS SELECT k, t, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY k, t;
CREATE TABLE tumbling AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY k;
CREATE TABLE hopping AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS) GROUP BY k;
CREATE TABLE sessions AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s WINDOW SESSION (3 SECONDS) GROUP BY k;
CREATE TABLE copied AS SELECT k, n + 1 AS n, total FROM by_int WHERE total < 60;
`

// keys and windowed tell of each table what conditions can be about.
var shapes = []struct {
	table    string
	keys     []string
	windowed bool
}{
	{"by_int", []string{"k"}, false}, {"by_text", []string{"t"}, false}, {"by_double", []string{"d"}, false}, {"by_two", []string{"k", "t"}, false},
	{"tumbling", []string{"k"}, true}, {"hopping", []string{"k"}, true}, {"sessions", []string{"k"}, true}, {"copied", []string{"k"}, false},
}

func filled(t *testing.T) *exectest.Engine {
	t.Helper()
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	e.Run(tables)
	rng := rand.New(rand.NewPCG(4, 4))
	var sb strings.Builder
	for i := range 300 {
		d := []string{"0.0", "-0.0", "1.5", "-2.25", "1e3"}[rng.IntN(5)]
		fmt.Fprintf(&sb, "INSERT INTO s (ROWTIME, k, t, d, v) VALUES (%d, %d, 't%d', CAST('%s' AS DOUBLE), %d);\n", i*300, rng.IntN(20), rng.IntN(12), d, rng.IntN(9))
	}
	e.Run(sb.String())
	return e
}

// condition makes up a WHERE clause.
func condition(rng *rand.Rand, keys []string, windowed bool, depth int) string {
	if depth > 0 {
		switch l, r := condition(rng, keys, windowed, depth-1), condition(rng, keys, windowed, depth-1); rng.IntN(5) {
		case 0, 1:
			return "(" + l + " AND " + r + ")"
		case 2, 3:
			return "(" + l + " OR " + r + ")"
		default:
			return "NOT (" + l + ")"
		}
	}
	op := []string{"=", "=", "=", "<>", "<", "<=", ">", ">="}[rng.IntN(8)]
	if windowed && rng.IntN(2) == 0 {
		column := []string{"WINDOWSTART", "WINDOWEND"}[rng.IntN(2)]
		ms := strconv.Itoa(max(0, rng.IntN(20)*5000+[]int{0, 0, 1, -1, 600, -4000}[rng.IntN(6)]))
		if rng.IntN(4) == 0 {
			return ms + " " + op + " " + column
		}
		return column + " " + op + " " + ms
	}
	if rng.IntN(4) == 0 {
		return "total " + op + " " + strconv.Itoa(rng.IntN(80))
	}
	key := keys[rng.IntN(len(keys))]
	value := func() string {
		switch key {
		case "t":
			return fmt.Sprintf("'t%d'", rng.IntN(14))
		case "d":
			return []string{"0.0", "-(0.0)", "1.5", "-2.25", "1000", "1E3", "1.50"}[rng.IntN(7)]
		}
		return []string{strconv.Itoa(rng.IntN(22)), fmt.Sprintf("%d + %d", rng.IntN(9), rng.IntN(9)), fmt.Sprintf("ABS(-%d)", rng.IntN(9))}[rng.IntN(3)]
	}
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("%s IN (%s, %s, %s)", key, value(), value(), value())
	case 1:
		return fmt.Sprintf("%s BETWEEN %s AND %s", key, value(), value())
	case 2:
		return value() + " " + op + " " + key
	}
	return key + " " + op + " " + value()
}

// TestLookupIsFilter holds that what WHERE finds, by keys, windows' bounds or a
// scan, are the rows of which its condition, as a column beside all rows, is
// true.
func TestLookupIsFilter(t *testing.T) {
	e := filled(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 250 {
		s := shapes[rng.IntN(len(shapes))]
		where := condition(rng, s.keys, s.windowed, rng.IntN(3))
		want := []string{}
		for _, row := range ask(t, e, "SELECT *, "+where+" AS passes FROM "+s.table+";") {
			if rest, ok := strings.CutSuffix(row, " true"); ok {
				want = append(want, rest)
			}
		}
		got := ask(t, e, "SELECT * FROM "+s.table+" WHERE "+where+";")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s WHERE %s\ngot  %v\nwant %v", s.table, where, got, want)
		}
	}
}

// TestLimitTakesTheFirstKeys holds that a limit gives the rows with the least
// keys, in order.
func TestLimitTakesTheFirstKeys(t *testing.T) {
	e := filled(t)
	all := ask(t, e, "SELECT k, total FROM by_int WHERE total > 20;")
	number := func(row string) int {
		n, err := strconv.Atoi(strings.Fields(row)[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slices.SortFunc(all, func(a, b string) int { return number(a) - number(b) })
	for _, n := range []int{0, 1, 3, len(all), len(all) + 5} {
		got := ask(t, e, fmt.Sprintf("SELECT k, total FROM by_int WHERE total > 20 LIMIT %d;", n))
		first := all[:min(n, len(all))]
		if !slices.Equal(got, first) {
			t.Errorf("LIMIT %d: %v, want %v", n, got, first)
		}
	}
	if got, want := ask(t, e, "SELECT d FROM by_double LIMIT 2;"), []string{"-2.25", "-0.0"}; !slices.Equal(got, want) {
		t.Errorf("doubles begin with %v, want %v", got, want)
	}
}

// TestLookupTouchesItsKeys counts what is looked at.
func TestLookupTouchesItsKeys(t *testing.T) {
	e := filled(t)
	const partitions = 4 // a key is looked for in each
	for where, most := range map[string]int64{
		"by_int WHERE k = 3":                                                  1,
		"by_int WHERE k IN (3, 4, 5, 3)":                                      3,
		"by_int WHERE (k = 3 OR k = 2 + 3) AND total > 1":                     2,
		"by_two WHERE k = 3 AND t = 't1'":                                     1,
		"by_two WHERE k = 3 AND t IN ('t1', 't2')":                            2,
		"copied WHERE k = 3":                                                  1,
		"tumbling WHERE k = 3 AND WINDOWSTART = 10000":                        1,
		"tumbling WHERE k = 3 AND WINDOWSTART >= 10000 AND WINDOWEND < 50000": 3,
		"tumbling WHERE k = 3":                                                9, // windows of the key
		"sessions WHERE k = 3 AND WINDOWSTART > 10000":                        9,
		"hopping WHERE k = 3 AND WINDOWSTART BETWEEN 10000 AND 20000":         3,
		"hopping WHERE k = 3 AND '1970-01-01T00:00:10' <= WINDOWSTART AND WINDOWSTART < '1970-01-01T00:00:20'": 2,
	} {
		_, before, _ := e.PullCounts()
		ask(t, e, "SELECT * FROM "+where+";")
		_, after, _ := e.PullCounts()
		if after-before > most*partitions {
			t.Errorf("%s looked at %d keys, at most %d are meant", where, after-before, most*partitions)
		}
	}
}

// A stalled reader does not go on after the first row until it is let.
type stalled struct {
	first, goOn chan struct{}
	rows        int
}

func (s *stalled) Header(exec.Header) error { return nil }
func (s *stalled) Flush() bool              { return true }
func (s *stalled) Row([][]byte, bool) bool {
	if s.rows++; s.rows == 1 {
		close(s.first)
		<-s.goOn
	}
	return true
}

func (s *stalled) run(ctx context.Context, t *testing.T, e *exectest.Engine, text string) chan error {
	t.Helper()
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := e.Engine.Query(ctx, stmts[0].(*sql.SelectStmt), &exec.Session{}, s)
		done <- err
	}()
	<-s.first
	return done
}

// TestScanHoldsUpNothing commits while a scan waits for its reader.
func TestScanHoldsUpNothing(t *testing.T) {
	e := filled(t)
	before := ask(t, e, "SELECT n FROM by_int WHERE k = 3;")
	s := &stalled{first: make(chan struct{}), goOn: make(chan struct{})}
	done := s.run(context.Background(), t, e, "SELECT * FROM by_int;")
	e.Run("INSERT INTO s (ROWTIME, k, t, d, v) VALUES (0, 3, 'x', 0.0, 1);")
	if after := ask(t, e, "SELECT n FROM by_int WHERE k = 3;"); slices.Equal(before, after) {
		t.Errorf("the row that was inserted during the scan is not counted: %v", after)
	}
	close(s.goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCancelledScan holds that a scan ends when its client has gone.
func TestCancelledScan(t *testing.T) {
	e := filled(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stalled{first: make(chan struct{}), goOn: make(chan struct{})}
	done := s.run(ctx, t, e, "SELECT * FROM by_int;")
	cancel()
	close(s.goOn)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestRowLimit holds that an answer too long is refused, and how.
func TestRowLimit(t *testing.T) {
	e := filled(t)
	few := &exec.Session{Properties: map[string]string{"ksql.query.pull.max.rows": "5"}}
	if _, err := tryAsk(e, few, "SELECT * FROM by_int;"); err == nil || !strings.Contains(err.Error(), "more than 5 rows") {
		t.Errorf("got %v", err)
	}
	if got, err := tryAsk(e, few, "SELECT * FROM by_int LIMIT 7;"); err != nil || len(got) != 7 {
		t.Errorf("a LIMIT above it gives %v, %v", got, err)
	}
}

// rows collects an answer, in its order.
type rows struct{ list []string }

func (r *rows) Header(exec.Header) error { return nil }
func (r *rows) Flush() bool              { return true }
func (r *rows) Row(cols [][]byte, _ bool) bool {
	r.list = append(r.list, string(bytes.Join(cols, []byte(" "))))
	return true
}

func tryAsk(e *exectest.Engine, s *exec.Session, text string) ([]string, error) {
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		return nil, err
	}
	r := &rows{}
	_, err = e.Engine.Query(context.Background(), stmts[0].(*sql.SelectStmt), s, r)
	return r.list, err
}

func ask(t *testing.T, e *exectest.Engine, text string) []string {
	t.Helper()
	list, err := tryAsk(e, &exec.Session{}, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return list
}
