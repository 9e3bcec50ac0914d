package script

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	osexec "os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"karst/exec"
	"karst/log/registry"
	"karst/log/segment"
	"karst/sql"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Random queries over random rows must give the same rows in the whole engine
// as in SQLite, wherever what they mean coincides: comparisons take operands
// that are not null only (ksqlDB's are false for NULL), whole numbers stay
// small (SQLite's do not wrap), a sum of nothing is 0, and rows whose group is
// null belong to no group.
//
//	generator ─both texts─> Karst: CREATE … AS SELECT, then SELECT * of it
//	                      └> sqlite3 ─> rows, compared as a set

var (
	differentialQueries = flag.Int("differential", 200, "random queries to compare with SQLite")
	differentialSeed    = flag.Uint64("differential-seed", 1, "seed of the random queries")
)

// queriesPerEngine is how many queries run in one engine, over the same rows.
const queriesPerEngine = 25

func TestDifferential(t *testing.T) {
	lite, err := osexec.LookPath("sqlite3")
	if err != nil {
		t.Skip("SKIPPED: no sqlite3")
	}
	kinds, compared := map[string]int{}, 0
	for first := 0; first < *differentialQueries; first += queriesPerEngine {
		seed := *differentialSeed + uint64(first)
		g := &differ{Rand: rand.New(rand.NewPCG(seed, 2))}
		rows := g.rows()
		queries := make([]bothQuery, min(queriesPerEngine, *differentialQueries-first))
		for i := range queries {
			queries[i] = g.query()
			kinds[queries[i].kind]++
		}
		want := runLite(t, lite, rows, queries)
		got := runKarst(t, g, rows, queries)
		for i, q := range queries {
			compared += len(want[i])
			if !sameRows(got[i], want[i]) {
				t.Fatalf("seed %d, query %d\n%s\n%s\nKarst has\n  %s\nSQLite has\n  %s", seed, i, q.karst, q.lite, shown(got[i]), shown(want[i]))
			}
		}
	}
	for _, kind := range []string{"filter", "group", "join", "left join"} {
		if *differentialQueries >= 200 && kinds[kind] < 20 {
			t.Errorf("only %d queries of the kind %s", kinds[kind], kind)
		}
	}
	if compared < *differentialQueries {
		t.Errorf("only %d rows were compared", compared)
	}
	t.Logf("%v, %d rows", kinds, compared)
}

// both is an expression in both dialects.
type both struct{ karst, lite string }

func same(text string) both { return both{text, text} }

func (b both) with(format string, others ...both) both {
	ks, ls := []any{b.karst}, []any{b.lite}
	for _, o := range others {
		ks, ls = append(ks, o.karst), append(ls, o.lite)
	}
	return both{fmt.Sprintf(format, ks...), fmt.Sprintf(format, ls...)}
}

type bothQuery struct {
	kind        string
	karst, lite string
	table       bool // Karst's result is a table
}

// A differ makes rows and queries. The columns i, j, d, s and g are never null,
// n and m may be.
type differ struct{ *rand.Rand }

func (g *differ) pick(list ...string) string { return list[g.IntN(len(list))] }

// A row holds the stream's columns, or the table's, as literals of both.
type differRows struct{ stream, table [][]string }

func (g *differ) rows() differRows {
	var r differRows
	for range 5 + g.IntN(60) {
		n, m := "null", "null"
		if g.IntN(3) > 0 {
			n = strconv.Itoa(g.IntN(41) - 20)
		}
		if g.IntN(3) > 0 {
			m = strconv.Quote(g.pick("", "a", "B", "ab", "Xa b"))
		}
		r.stream = append(r.stream, []string{strconv.Itoa(g.IntN(9) - 4), strconv.Itoa(g.IntN(41) - 20), strconv.FormatFloat(float64(g.IntN(400)-200)/8, 'f', -1, 64),
			strconv.Quote(g.pick("", "a", "abc", "ABC", " x ", "a_b", "50%", "zz")), strconv.Quote(g.pick("red", "green", "blue")), n, m})
	}
	for k := -4; k < 5; k++ {
		if g.IntN(3) > 0 {
			r.table = append(r.table, []string{strconv.Itoa(k), strconv.Itoa(g.IntN(20)), strconv.Quote(g.pick("one", "two", ""))})
		}
	}
	return r
}

var (
	streamColumns = []string{"i", "j", "d", "s", "g", "n", "m"}
	tableColumns  = []string{"k", "w", "u"}
)

// A scope says which columns an expression may use.
type differScope struct {
	ints, doubles, texts, nullInts, nullTexts []string
}

var streamScope = differScope{[]string{"i", "j"}, []string{"d"}, []string{"s", "g"}, []string{"n"}, []string{"m"}}

// whole is a whole number; one that is not nullable never gives NULL.
func (g *differ) whole(sc differScope, depth int, nullable bool) both {
	leaves := append([]string{strconv.Itoa(g.IntN(21) - 10)}, sc.ints...)
	if nullable {
		leaves = append(leaves, sc.nullInts...)
	}
	if depth == 0 {
		return same(g.pick(leaves...))
	}
	switch g.IntN(9) {
	case 0:
		return g.whole(sc, depth-1, nullable).with("(CASE WHEN %[2]s THEN %[1]s ELSE %[3]s END)", g.condition(sc, depth-1), g.whole(sc, 0, nullable))
	case 1:
		return g.whole(sc, depth-1, true).with("COALESCE(%s, %s)", g.whole(sc, 0, false))
	case 2:
		return g.whole(sc, depth-1, nullable).with("ABS(%s)")
	case 3:
		x := g.text(sc, depth-1, nullable)
		return both{"LEN(" + x.karst + ")", "LENGTH(" + x.lite + ")"}
	case 4:
		divisor := same(g.pick("2", "3", "7", "-4"))
		if nullable && g.IntN(3) == 0 {
			divisor = g.whole(sc, 0, true) // 0 gives NULL
		}
		return g.whole(sc, depth-1, nullable).with("(%s "+g.pick("/", "%%")+" %s)", divisor)
	}
	return g.whole(sc, depth-1, nullable).with("(%s "+g.pick("+", "-", "*")+" %s)", g.whole(sc, 0, nullable))
}

func (g *differ) double(sc differScope, depth int) both {
	if depth == 0 || len(sc.doubles) == 0 {
		if len(sc.doubles) > 0 && g.IntN(3) > 0 {
			return same(g.pick(sc.doubles...))
		}
		n := strconv.Itoa(g.IntN(20)) + g.pick(".0", ".5", ".25")
		return both{n + "E0", n}
	}
	switch g.IntN(5) {
	case 0:
		x := g.whole(sc, depth-1, false)
		return both{"CAST(" + x.karst + " AS DOUBLE)", "CAST(" + x.lite + " AS REAL)"}
	case 1:
		return g.double(sc, depth-1).with("(%s / %s)", both{"4.0E0", "4.0"})
	case 2:
		return g.double(sc, depth-1).with("(%s * %s)", g.whole(sc, 0, false))
	}
	return g.double(sc, depth-1).with("(%s "+g.pick("+", "-", "*")+" %s)", g.double(sc, 0))
}

func (g *differ) text(sc differScope, depth int, nullable bool) both {
	leaves := append([]string{"'a'", "'b_'", "''"}, sc.texts...)
	if nullable {
		leaves = append(leaves, sc.nullTexts...)
	}
	if depth == 0 {
		return same(g.pick(leaves...))
	}
	x := g.text(sc, depth-1, nullable)
	switch g.IntN(6) {
	case 0:
		return both{"UCASE(" + x.karst + ")", "UPPER(" + x.lite + ")"}
	case 1:
		return both{"LCASE(" + x.karst + ")", "LOWER(" + x.lite + ")"}
	case 2:
		cut := fmt.Sprintf(", %d, %d)", 1+g.IntN(3), g.IntN(4))
		return both{"SUBSTRING(" + x.karst + cut, "SUBSTR(" + x.lite + cut}
	case 3:
		return x.with("REPLACE(%s, 'a', 'xy')")
	case 4:
		return x.with("TRIM(%s)")
	}
	return x.with("(%s || %s)", g.text(sc, 0, nullable))
}

// condition never is NULL.
func (g *differ) condition(sc differScope, depth int) both {
	not := g.pick("", "NOT ")
	op := g.pick("=", "<>", "<", "<=", ">", ">=")
	if depth > 0 && g.IntN(3) == 0 {
		return g.condition(sc, depth-1).with("(%s "+g.pick("AND", "OR")+" %s)", g.condition(sc, depth-1))
	}
	switch g.IntN(8) {
	case 0:
		return g.condition(sc, max(depth-1, 0)).with("(NOT %s)")
	case 1:
		return g.whole(sc, depth, true).with("(%s IS " + not + "NULL)")
	case 2:
		return g.whole(sc, depth, false).with("(%s "+not+"BETWEEN %s AND %s)", g.whole(sc, 0, false), g.whole(sc, 0, false))
	case 3:
		return g.whole(sc, depth, false).with("(%s "+not+"IN (%s, %s, 3))", g.whole(sc, 0, false), g.whole(sc, 0, false))
	case 4:
		return g.text(sc, depth, false).with("(%s " + not + "LIKE '" + g.pick("a%%", "%%b%%", "_", "%%\\_%%' ESCAPE '\\", "", "A%%c", "__%%") + "')")
	case 5:
		return g.text(sc, depth, false).with("(%s "+op+" %s)", g.text(sc, 0, false))
	case 6:
		return g.double(sc, depth).with("(%s "+op+" %s)", g.double(sc, 0))
	}
	return g.whole(sc, depth, false).with("(%s "+op+" %s)", g.whole(sc, depth, false))
}

// value is a column of a result.
func (g *differ) value(sc differScope) both {
	switch depth := g.IntN(4); g.IntN(4) {
	case 0:
		return g.double(sc, depth)
	case 1:
		return g.text(sc, depth, true)
	case 2:
		return g.condition(sc, depth)
	default:
		return g.whole(sc, depth, true)
	}
}

func (g *differ) query() bothQuery {
	switch g.IntN(4) {
	case 0:
		return g.groupQuery()
	case 1:
		return g.joinQuery()
	}
	q := select2{}
	q.add(g.value(streamScope))
	for range g.IntN(3) {
		q.add(g.value(streamScope))
	}
	where := both{}
	if g.IntN(4) > 0 {
		where = g.condition(streamScope, g.IntN(4)).with(" WHERE %s")
	}
	return q.done("filter", same(" FROM st"), where, false)
}

// select2 gathers the items of a SELECT.
type select2 struct{ karst, lite []string }

func (s *select2) add(b both) {
	s.karst = append(s.karst, fmt.Sprintf("%s AS c%d", b.karst, len(s.karst)))
	s.lite = append(s.lite, "quote("+b.lite+")")
}

func (s *select2) done(kind string, from, rest both, table bool) bothQuery {
	what, with := "STREAM", " WITH (KEY_FORMAT='JSON')"
	if table {
		what = "TABLE"
	}
	if kind == "filter" { // which has no key
		with = ""
	}
	return bothQuery{kind, "CREATE " + what + " q" + with + " AS SELECT " + strings.Join(s.karst, ", ") + from.karst + rest.karst + ";", "SELECT " + strings.Join(s.lite, ", ") + from.lite + rest.lite + ";", table}
}

func (g *differ) groupQuery() bothQuery {
	q := select2{}
	keys := []both{same("g")}
	switch g.IntN(4) {
	case 0:
		keys = []both{g.whole(streamScope, 2, false)}
	case 1:
		keys = append(keys, same("i"))
	case 2:
		keys = []both{same("n")}
	}
	var by []string
	var byLite []string
	for _, k := range keys {
		q.add(k)
		by, byLite = append(by, k.karst), append(byLite, "("+k.lite+")")
	}
	for range 1 + g.IntN(4) {
		q.add(g.aggregate())
	}
	where := both{" WHERE TRUE", " WHERE 1"}
	if g.IntN(2) == 0 {
		where = g.condition(streamScope, 2).with(" WHERE %s")
	}
	where.lite += " AND " + strings.Join(byLite, " IS NOT NULL AND ") + " IS NOT NULL" // such rows have no group
	having := ""
	if g.IntN(3) == 0 {
		having = " HAVING COUNT(*) " + g.pick(">", "<=", "<>") + " " + strconv.Itoa(1+g.IntN(6))
	}
	rest := both{where.karst + " GROUP BY " + strings.Join(by, ", ") + having, where.lite + " GROUP BY " + strings.Join(byLite, ", ") + having}
	return q.done("group", same(" FROM st"), rest, true)
}

func (g *differ) aggregate() both {
	x := g.whole(streamScope, g.IntN(3), true)
	switch g.IntN(8) {
	case 0:
		return same("COUNT(*)")
	case 1:
		return x.with("COUNT(%s)")
	case 2:
		return both{"SUM(" + x.karst + ")", "COALESCE(SUM(" + x.lite + "), 0)"}
	case 3:
		return both{"AVG(" + x.karst + ")", "COALESCE(AVG(" + x.lite + "), 0.0)"}
	case 4:
		return g.double(streamScope, 2).with("SUM(%s)")
	case 5:
		return both{"COUNT_DISTINCT(" + x.karst + ")", "COUNT(DISTINCT " + x.lite + ")"}
	case 6:
		return g.text(streamScope, 2, true).with(g.pick("MIN", "MAX") + "(%s)")
	}
	return x.with(g.pick("MIN", "MAX") + "(%s)")
}

// joinQuery joins the stream to the table by a column of the stream.
func (g *differ) joinQuery() bothQuery {
	kind := g.pick("join", "left join")
	sc := differScope{[]string{"st.i", "st.j"}, []string{"st.d"}, []string{"st.s", "st.g"}, []string{"st.n", "tb.w"}, []string{"st.m", "tb.u"}}
	if kind == "join" {
		sc.ints, sc.texts = append(sc.ints, "tb.w"), append(sc.texts, "tb.u")
	}
	q := select2{}
	q.add(same("st.i"))
	for range 2 {
		v := g.value(sc)
		if v.karst == "st.i" { // the key stands once
			v = v.with("(%s + 0)")
		}
		q.add(v)
	}
	where := both{}
	if g.IntN(2) == 0 {
		where = g.condition(sc, 2).with(" WHERE %s")
	}
	return q.done(kind, same(" FROM st "+strings.ToUpper(kind)+" tb ON st.i = tb.k"), where, false)
}

// runLite runs the queries in SQLite.
func runLite(t *testing.T, lite string, rows differRows, queries []bothQuery) [][][]string {
	var sb strings.Builder
	sb.WriteString("PRAGMA case_sensitive_like = ON;\nCREATE TABLE st (i INT, j INT, d REAL, s TEXT, g TEXT, n INT, m TEXT);\nCREATE TABLE tb (k INT, w INT, u TEXT);\n")
	insert := func(table string, list [][]string) {
		for _, r := range list {
			fmt.Fprintf(&sb, "INSERT INTO %s VALUES (%s);\n", table, strings.ReplaceAll(strings.Join(r, ", "), `"`, "'"))
		}
	}
	insert("st", rows.stream)
	insert("tb", rows.table)
	sb.WriteString(".mode list\n.separator \"|\"\n")
	for _, q := range queries {
		fmt.Fprintf(&sb, "%s\nSELECT '--';\n", q.lite)
	}
	cmd := osexec.Command(lite, "-batch", ":memory:")
	cmd.Stdin = strings.NewReader(sb.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("sqlite3: %v\n%s", err, stderr.String())
	}
	var all [][][]string
	var one [][]string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSuffix(line, "\n"); line == "--" {
			all, one = append(all, one), nil
			continue
		}
		one = append(one, strings.Split(line, "|"))
	}
	if len(all) != len(queries) {
		t.Fatalf("sqlite3 answered %d of %d queries", len(all), len(queries))
	}
	return all
}

// tableRows collects an answer, its columns apart.
type tableRows [][]string

// Header implements exec.Rows.
func (r *tableRows) Header(exec.Header) error { return nil }

// Row implements exec.Rows.
func (r *tableRows) Row(cols [][]byte, _ bool) bool {
	row := make([]string, len(cols))
	for i, c := range cols {
		row[i] = string(c)
	}
	*r = append(*r, row)
	return true
}

// Flush implements exec.Rows.
func (r *tableRows) Flush() bool { return true }

// runKarst runs the queries in one engine.
func runKarst(t *testing.T, g *differ, rows differRows, queries []bothQuery) [][][]string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: g.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	batch := []int{1, 7, 4096}[g.IntN(3)]
	e, err := exec.Open(exec.Options{Log: l, Now: func() time.Time { return time.UnixMilli(0) }, Rand: rand.Uint64, Registry: registry.New(), BatchRows: batch,
		Settings: map[string]string{"auto.offset.reset": "earliest"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := &exec.Session{}
	run := func(text string) {
		if _, err := e.Execute(ctx, text, s); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
	}
	run(fmt.Sprintf(`CREATE STREAM st (i INT, j INT, d DOUBLE, s STRING, g STRING, n INT, m STRING) WITH (KAFKA_TOPIC='st', PARTITIONS=%[1]d, VALUE_FORMAT='JSON');
		CREATE TABLE tb (k INT PRIMARY KEY, w INT, u STRING) WITH (KAFKA_TOPIC='tb', PARTITIONS=%[1]d, KEY_FORMAT='JSON', VALUE_FORMAT='JSON');`, 1+3*g.IntN(2)))
	produce := func(topic string, names []string, list [][]string, time int64, key bool) {
		var records []exec.Record
		for _, r := range list {
			var parts []string
			for k, name := range names {
				parts = append(parts, strconv.Quote(name)+":"+r[k])
			}
			rec := exec.Record{Time: time, Value: []byte("{" + strings.Join(parts, ",") + "}")}
			if key {
				rec.Key = []byte(r[0])
			} else {
				rec.Placed, rec.Partition = true, 0
			}
			records = append(records, rec)
		}
		if err := e.Produce(ctx, topic, records); err != nil {
			t.Fatal(err)
		}
	}
	produce("tb", tableColumns, rows.table, 1, true)
	produce("st", streamColumns, rows.stream, 2, false)
	var all [][][]string
	for _, q := range queries {
		run(q.karst)
		if err := e.Quiesce(ctx); err != nil {
			t.Fatal(err)
		}
		stmts, err := sql.Parse("SELECT * FROM q;", sql.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var out tableRows
		if _, err := e.Query(ctx, stmts[0].(*sql.SelectStmt), s, &out); err != nil {
			t.Fatalf("%s\n%v", q.karst, err)
		}
		all = append(all, out)
		what := "STREAM"
		if q.table {
			what = "TABLE"
		}
		run("DROP " + what + " q DELETE TOPIC;")
	}
	return all
}

// sameRows compares rows without regard to their order.
func sameRows(got, want [][]string) bool {
	if len(got) != len(want) {
		return false
	}
	g, w := plainRows(got), plainRows(want)
	return slices.EqualFunc(g, w, func(a, b []string) bool { return slices.EqualFunc(a, b, sameCell) })
}

// plainRows writes both dialects' values alike, numbers in a form that sorts
// alike, and sorts the rows.
func plainRows(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, r := range rows {
		for _, cell := range r {
			out[i] = append(out[i], plainCell(cell))
		}
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

func plainCell(c string) string {
	switch {
	case c == "NULL" || c == "null":
		return "null"
	case c == "true":
		c = "1"
	case c == "false":
		c = "0"
	case strings.HasPrefix(c, "'"):
		return "'" + strings.ReplaceAll(c[1:len(c)-1], "''", "'")
	case strings.HasPrefix(c, `"`):
		text, err := strconv.Unquote(c)
		if err != nil {
			return c
		}
		return "'" + text
	}
	f, err := strconv.ParseFloat(c, 64)
	if err != nil {
		return c
	}
	if f == 0 {
		f = 0 // not -0
	}
	return strconv.FormatFloat(f, 'e', 9, 64)
}

// sameCell allows for the order in which doubles are added up.
func sameCell(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-8*math.Max(math.Abs(x), math.Abs(y))
}

func shown(rows [][]string) string {
	var lines []string
	for _, r := range plainRows(rows) {
		lines = append(lines, strings.Join(r, " "))
	}
	return strings.Join(lines, "\n  ")
}
