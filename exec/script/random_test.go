package script

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"karst/log/registry"
	"karst/sql"
)

var randomQueries = flag.Int("random", 150, "random queries that TestBatchesAgree runs")

// TestBatchesAgree runs random queries over random records, one by one and in
// batches, and holds each key's records to being the same, in the same order:
// how rows arrive never changes an answer. A query may be refused; then it is
// so in all runs.
func TestBatchesAgree(t *testing.T) {
	g := &generator{rand.New(rand.NewPCG(20, 26))}
	refused := 0
	for n := range *randomQueries {
		c := &queryCase{Name: fmt.Sprint(n), Statements: append(slices.Clone(randomSources), g.query()), Inputs: g.inputs(30)}
		want, err := runStored(c, 1)
		if err != nil {
			refused++
			if e := userError(err); e == nil {
				t.Errorf("%s\n%v", c.Statements[len(randomSources)], err)
			}
			continue
		}
		for _, batch := range []int{3, 4096} {
			got, err := runStored(c, batch)
			if err != nil || !maps.EqualFunc(want, got, func(a, b []string) bool { return slices.Equal(a, b) }) {
				t.Fatalf("%s\n%s", c.describe(faultf("batches of %d: %v", batch, err)), sideBySide(inOrder(want), inOrder(got)))
			}
		}
	}
	if refused > *randomQueries/3 {
		t.Errorf("%d of %d queries were refused", refused, *randomQueries)
	}
}

func inOrder(m map[string][]string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[key]...)
	}
	return out
}

// runStored runs a case and returns the records of its query's topic, by key.
func runStored(c *queryCase, batch int) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	r := &caseRun{ctx: ctx, c: c, batch: batch, settings: caseSettings(), registry: registry.New(), given: map[string]bool{}, stored: map[string][]record{}}
	var err error
	if r.stmts, err = sql.Parse(strings.Join(c.Statements, "\n"), sql.Options{}); err != nil {
		return nil, err
	}
	r.topics = c.topicsBefore(r.stmts, 1)
	e, err := r.open()
	if err != nil {
		return nil, err
	}
	defer e.close()
	if _, err := e.make(ctx, r.stmts); err != nil {
		return nil, err
	}
	if err := r.feed(e); err != nil {
		return nil, err
	}
	src := sourceOf(e.engine.Catalog(), "O")
	out := map[string][]string{}
	for i := range r.stored["O"] {
		rec := &r.stored["O"][i]
		key := r.keyText(src, rec)
		out[key] = append(out[key], r.showActual(src, rec))
	}
	return out, nil
}

var randomSources = []string{
	"CREATE STREAM s (k INT KEY, a INT, b STRING, st STRUCT<f INT>, ar ARRAY<INT>) WITH (KAFKA_TOPIC='s', FORMAT='JSON');",
	"CREATE STREAM r (k INT KEY, c INT, d STRING) WITH (KAFKA_TOPIC='r', FORMAT='JSON');",
	"CREATE TABLE t (k INT PRIMARY KEY, v INT, w STRING) WITH (KAFKA_TOPIC='t', FORMAT='JSON');",
	"CREATE TABLE u (k INT PRIMARY KEY, x INT, y STRING) WITH (KAFKA_TOPIC='u', FORMAT='JSON');",
	"CREATE TABLE q (k INT PRIMARY KEY, z INT) WITH (KAFKA_TOPIC='q', FORMAT='JSON');",
}

type generator struct{ *rand.Rand }

func (g *generator) one(list ...string) string { return list[g.IntN(len(list))] }

// inputs returns records that come in runs on one topic, their times mostly
// rising.
func (g *generator) inputs(n int) []caseRecord {
	var out []caseRecord
	topic, now := "s", int64(0)
	for range n {
		if g.IntN(4) == 0 {
			topic = g.one("s", "s", "r", "t", "t", "u", "q")
		}
		now = max(0, now+[]int64{0, 1, 3, -5, 20}[g.IntN(5)])
		at := now
		r := caseRecord{Topic: topic, Timestamp: &at, Value: json.RawMessage("null"), Key: json.RawMessage(g.one("0", "1", "2", "3"))}
		if g.IntN(8) == 0 && (topic == "s" || topic == "r") {
			r.Key = nil
		}
		if g.IntN(7) > 0 {
			number, text := g.one("null", "0", "1", "2", "3"), g.one("null", `"x"`, `"y"`, `""`)
			r.Value = json.RawMessage(fmt.Sprintf(map[string]string{"s": `{"A":%[1]s,"B":%[2]s,"ST":{"F":%[1]s},"AR":[%[1]s,2]}`, "r": `{"C":%[1]s,"D":%[2]s}`,
				"t": `{"V":%[1]s,"W":%[2]s}`, "u": `{"X":%[1]s,"Y":%[2]s}`, "q": `{"Z":%[1]s}`}[topic], number, text))
		}
		out = append(out, r)
	}
	return out
}

// A from is a FROM clause, with columns of numbers and of text, and what names
// the key.
type from struct {
	text           string
	table          bool
	numbers, texts []string
	key            string
}

func (g *generator) from() from {
	side := func() string { return g.one("JOIN", "LEFT JOIN") }
	outer := g.one("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL OUTER JOIN")
	within := g.one("WITHIN 10 MILLISECONDS", "WITHIN (5 MILLISECONDS, 3 MILLISECONDS)", "WITHIN 10 MILLISECONDS GRACE PERIOD 5 MILLISECONDS")
	keyed := func(key string) string {
		if outer == "FULL OUTER JOIN" {
			return "ROWKEY"
		}
		return key
	}
	switch g.IntN(9) {
	case 0, 1:
		return from{"s", false, []string{"a", "k", "st->f", "ar[1]"}, []string{"b"}, "k"}
	case 2:
		return from{"t", true, []string{"v", "k"}, []string{"w"}, "k"}
	case 3:
		return from{"s " + outer + " r " + within + " ON s.k = r.k", false, []string{"a", "c", "s.ROWTIME"}, []string{"b", "d"}, keyed("s.k")}
	case 4:
		return from{"s " + outer + " r " + within + " ON s.a = r.c", false, []string{"a", "c", "r.k"}, []string{"b", "d"}, keyed("s.a")}
	case 5:
		return from{"s " + side() + " t ON s.a = t.k " + side() + " u ON s.a = u.k", false, []string{"a", "v", "x"}, []string{"b", "w", "y"}, "s.a"}
	case 6:
		return from{"t " + outer + " u ON t.k = u.k", true, []string{"v", "x"}, []string{"w", "y"}, keyed("t.k")}
	case 7:
		return from{"t " + side() + " u ON v = u.k " + side() + " q ON " + g.one("t.k = q.k", "x = q.k"), true, []string{"v", "x", "z"}, []string{"w", "y"}, "t.k"}
	}
	return from{"s JOIN r " + within + " ON s.k = r.k LEFT JOIN t ON s.k = t.k", false, []string{"a", "c", "v"}, []string{"b", "d", "w"}, "s.k"}
}

func (g *generator) condition(f from) string {
	n, s := g.one(f.numbers...), g.one(f.texts...)
	return g.one(n+" > 0", n+" IS NOT NULL", n+" IN (1, 2)", s+" LIKE '%x%'", s+" = 'x' OR "+n+" < 2", "NOT ("+n+" BETWEEN 1 AND 2)")
}

func (g *generator) query() string {
	f := g.from()
	where := ""
	if g.IntN(3) == 0 {
		where = " WHERE " + g.condition(f)
	}
	switch kind := g.IntN(3); {
	case kind == 0:
		return g.grouped(f, where)
	case kind == 1 && !f.table:
		by := g.one(f.numbers...) + g.one("", " + 1")
		return "CREATE STREAM o AS SELECT " + by + " AS p, COALESCE(" + g.one(f.numbers...) + ", 0) AS v FROM " + f.text + where + " PARTITION BY " + by + ";"
	}
	what := "STREAM"
	if f.table {
		what = "TABLE"
	}
	columns := g.one("*", fmt.Sprintf("%s AS id, %s AS c1, CASE WHEN %s THEN %s END AS c2", f.key, g.one(f.texts...), g.condition(f), g.one(f.numbers...)))
	if !f.table && g.IntN(5) == 0 {
		columns = f.key + " AS id, EXPLODE(ARRAY[" + g.one(f.numbers...) + ", 7]) AS e"
	}
	return "CREATE " + what + " o AS SELECT " + columns + " FROM " + f.text + where + ";"
}

func (g *generator) grouped(f from, where string) string {
	n, s := g.one(f.numbers...), g.one(f.texts...)
	calls := []string{"COUNT(*)", "SUM(" + n + ")", "AVG(" + n + ")", "COLLECT_LIST(" + s + ")", "SUM(" + n + " * 2) + COUNT(" + s + ")"}
	window, final := "", ""
	if !f.table {
		calls = append(calls, "MAX("+n+")", "LATEST_BY_OFFSET("+n+")", "EARLIEST_BY_OFFSET("+s+")", "COLLECT_SET("+s+")", "TOPK("+n+", 2)")
		window = g.one("", "", " WINDOW TUMBLING (SIZE 10 MILLISECONDS)", " WINDOW TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS)",
			" WINDOW HOPPING (SIZE 10 MILLISECONDS, ADVANCE BY 4 MILLISECONDS, GRACE PERIOD 1 MILLISECOND)", " WINDOW SESSION (5 MILLISECONDS, GRACE PERIOD 3 MILLISECONDS)")
	}
	if window != "" {
		final = g.one("", " EMIT FINAL")
	}
	by := g.one(f.key, n, s, "STRUCT(x := "+n+")")
	if by == "ROWKEY" {
		by = n
	}
	return "CREATE TABLE o AS SELECT " + by + " AS g, " + g.one(calls...) + " AS v1, " + g.one(calls...) + " AS v2 FROM " + f.text + window + where +
		" GROUP BY " + by + g.one("", "", " HAVING COUNT(*) > 1") + final + ";"
}
