package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/exec/state"
	"karst/log/segment"
	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// An instance is an engine with its log and state on one filesystem.
type instance struct {
	t   testing.TB
	log *segment.Log
	db  *state.DB
	e   *Engine
}

func open(t testing.TB, fs vfs.FS, batch int) *instance {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	l, err := segment.Open(segment.Options{FS: fs, Dir: "log", Rand: rng.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.OpenDB(fs, "state", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(Options{Log: l, DB: db, Now: time.Now, Rand: rand.Uint64, BatchRows: batch})
	if err != nil {
		t.Fatal(err)
	}
	return &instance{t, l, db, e}
}

func (in *instance) close() {
	in.t.Helper()
	if err := in.e.Close(); err != nil {
		in.t.Fatal(err)
	}
	if err := in.db.Close(); err != nil {
		in.t.Fatal(err)
	}
	if err := in.log.Close(); err != nil {
		in.t.Fatal(err)
	}
}

func (in *instance) run(text string) {
	in.t.Helper()
	if _, err := in.e.Execute(context.Background(), text, &Session{}); err != nil {
		in.t.Fatalf("%v\n%s", err, text)
	}
}

type collected struct {
	schema types.Schema
	rows   []string
	most   int
}

func (c *collected) Header(h Header) error {
	c.schema = h.Schema
	return nil
}
func (c *collected) Flush() bool { return true }
func (c *collected) Row(cols [][]byte, deleted bool) bool {
	s := string(bytes.Join(cols, []byte(" ")))
	if deleted {
		s += " (deleted)"
	}
	c.rows = append(c.rows, s)
	return c.most == 0 || len(c.rows) < c.most
}

// hanging is when a test hangs, however seldom it gets a processor.
const hanging = 5 * time.Minute

// query returns the answer's rows, sorted.
func (in *instance) query(text string) []string {
	in.t.Helper()
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hanging)
	defer cancel()
	c := &collected{}
	if _, err := in.e.Query(ctx, stmts[0].(*sql.SelectStmt), &Session{Properties: map[string]string{"auto.offset.reset": "earliest"}}, c); err != nil {
		in.t.Fatalf("%v\n%s", err, text)
	}
	slices.Sort(c.rows)
	return c.rows
}

func (in *instance) want(text string, want ...string) {
	in.t.Helper()
	if got := in.query(text); !slices.Equal(got, want) {
		in.t.Errorf("%s\n got %q\nwant %q", text, got, want)
	}
}

const demo = "../testdata/demo/"

func demoStatements(t testing.TB) string {
	text, err := os.ReadFile(demo + "flights.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// airports produces the airports, stamped 0.
func (in *instance) airports() {
	f, err := os.Open(demo + "airports.csv")
	if err != nil {
		in.t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		in.t.Fatal(err)
	}
	var recs []Record
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = r[i]
		}
		v, _ := json.Marshal(m)
		recs = append(recs, Record{Key: []byte(m["iata"]), Value: v})
	}
	if err := in.e.Produce(context.Background(), "airports", recs); err != nil {
		in.t.Fatal(err)
	}
}

// flights produces the flights from one line to another.
func (in *instance) flights(from, to int) {
	f, err := os.Open(demo + "flights.ndjson")
	if err != nil {
		in.t.Fatal(err)
	}
	defer f.Close()
	var recs []Record
	sc := bufio.NewScanner(f)
	for n := 0; sc.Scan(); n++ {
		if n < from || n >= to {
			continue
		}
		var v struct{ Origin string }
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			in.t.Fatal(err)
		}
		recs = append(recs, Record{Time: 1, Key: []byte(v.Origin), Value: bytes.Clone(sc.Bytes())})
	}
	if err := in.e.Produce(context.Background(), "flights", recs); err != nil {
		in.t.Fatal(err)
	}
}

func (in *instance) checkFlights() {
	in.t.Helper()
	in.want("SELECT * FROM delays_by_origin WHERE origin = 'DFW' OR origin = 'ORD' OR origin = 'ATL';",
		`"ATL" 846 6611 365 134`, `"DFW" 1103 10462 298 89`, `"ORD" 1095 8181 259 67`)
	if n := len(in.query("SELECT origin FROM delays_by_origin;")); n != 220 {
		in.t.Errorf("%d origins, want 220", n)
	}
	in.want("SELECT * FROM late_by_state WHERE flights > 68;",
		`"CA" 137 14238`, `"FL" 81 8667`, `"IL" 81 8372`, `"NY" 69 7174`, `"TX" 127 13329`)
	in.want("SELECT origin, windowstart, flights FROM flights_by_day WHERE flights >= 19;",
		fmt.Sprintf(`"DFW" %d 21`, day(2001, 3, 9)), fmt.Sprintf(`"ORD" %d 19`, day(2001, 2, 6)), fmt.Sprintf(`"ORD" %d 19`, day(2001, 2, 21)), fmt.Sprintf(`"ORD" %d 21`, day(2001, 3, 9)))
}

func day(y int, m time.Month, d int) int64 {
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// TestFlights runs the demo's queries over all flights under several batch
// sizes; the answers are known.
func TestFlights(t *testing.T) {
	for _, batch := range []int{0, 97} {
		t.Run(fmt.Sprint("batch ", batch), func(t *testing.T) {
			in := open(t, vfs.NewMem(), batch)
			defer in.close()
			in.run(demoStatements(t))
			in.airports()
			in.flights(0, 20000)
			in.checkFlights()
		})
	}
}

// TestFlightsRestart stops and opens the engine in the middle of the load.
func TestFlightsRestart(t *testing.T) {
	fs := vfs.NewMem()
	in := open(t, fs, 0)
	in.run(demoStatements(t))
	in.airports()
	in.flights(0, 9000)
	if err := in.e.Quiesce(context.Background()); err != nil {
		t.Fatal(err)
	}
	in.close()

	in = open(t, fs, 0)
	in.flights(9000, 20000)
	in.checkFlights()
	in.close()

	// After the last restart nothing is read again.
	in = open(t, fs, 0)
	defer in.close()
	in.checkFlights()
	r, err := in.e.Execute(context.Background(), "SHOW QUERIES EXTENDED;", &Session{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range r[0].Answer.(Queries).List {
		if q.Read != 0 {
			t.Errorf("query %s read %d records again", q.ID, q.Read)
		}
	}
}

// TestPushAndBadInput pushes rows as they come; what is malformed is counted
// and the rest processed.
func TestPushAndBadInput(t *testing.T) {
	in := open(t, vfs.NewMem(), 0)
	defer in.close()
	in.run(`CREATE STREAM s (k STRING KEY, v INT, ts STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON', TIMESTAMP='ts', TIMESTAMP_FORMAT='yyyy-MM-dd');
		CREATE STREAM big AS SELECT k, v * 10 AS w FROM s WHERE v > 1 EMIT CHANGES;`)
	var recs []Record
	for _, v := range []string{`{"v":1,"ts":"2001-01-01"}`, `{"v":2,"ts":"2001-01-02"`, `{"v":"x","ts":"2001-01-02"}`, `{"v":3,"ts":"2001-13-02"}`, `{"v":4,"ts":"2001-01-02","z":1}`} {
		recs = append(recs, Record{Key: []byte("a"), Value: []byte(v)})
	}
	if err := in.e.Produce(context.Background(), "s", recs); err != nil {
		t.Fatal(err)
	}
	in.want("SELECT k, w, ROWTIME FROM big;", fmt.Sprintf(`"a" 40 %d`, day(2001, 1, 2)))
	in.want("SELECT k, w FROM big EMIT CHANGES LIMIT 1;", `"a" 40`)
	r, err := in.e.Execute(context.Background(), "SHOW QUERIES EXTENDED;", &Session{})
	if err != nil {
		t.Fatal(err)
	}
	var faults string
	for _, f := range r[0].Answer.(Queries).List[0].Faults {
		faults += fmt.Sprintf("%d × %s at partition %d, offset %d\n", f.Count, f.Reason, f.Last.Partition, f.Last.Offset)
	}
	for _, part := range []string{"1 × malformed", "1 × wrong type", "1 × timestamp", "1 × unknown field", "partition 0, offset 3"} {
		if !strings.Contains(faults, part) {
			t.Errorf("%q lacks %q", faults, part)
		}
	}
}

func TestTablesAndWindows(t *testing.T) {
	in := open(t, vfs.NewMem(), 0)
	defer in.close()
	in.run(`CREATE TABLE users (id INT PRIMARY KEY, city STRING) WITH (KAFKA_TOPIC='users', PARTITIONS=2, VALUE_FORMAT='JSON');
		CREATE TABLE by_city AS SELECT city, COUNT(*) AS n FROM users GROUP BY city;
		CREATE STREAM clicks (id INT KEY, page STRING) WITH (KAFKA_TOPIC='clicks', PARTITIONS=2, VALUE_FORMAT='JSON');
		CREATE TABLE sessions AS SELECT id, COUNT(*) AS n FROM clicks WINDOW SESSION (10 SECONDS) GROUP BY id;
		CREATE TABLE hops AS SELECT id, COUNT(*) AS n FROM clicks WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS) GROUP BY id;
		CREATE TABLE names AS SELECT id, city FROM users;
		CREATE TABLE both AS SELECT u.id AS id, u.city AS city, n.city AS city2 FROM users u LEFT JOIN names n ON u.id = n.id;`)
	in.run(`INSERT INTO users (id, city) VALUES (1, 'Rome'); INSERT INTO users (id, city) VALUES (2, 'Rome'); INSERT INTO users (id, city) VALUES (1, 'Oslo');`)
	in.want("SELECT * FROM by_city;", `"Oslo" 1`, `"Rome" 1`)
	in.want("SELECT * FROM names;", `1 "Oslo"`, `2 "Rome"`)
	in.want("SELECT * FROM both;", `1 "Oslo" "Oslo"`, `2 "Rome" "Rome"`)
	in.run(`INSERT INTO clicks (ROWTIME, id, page) VALUES (1000, 7, 'a'); INSERT INTO clicks (ROWTIME, id, page) VALUES (9000, 7, 'b'); INSERT INTO clicks (ROWTIME, id, page) VALUES (30000, 7, 'c');`)
	in.want("SELECT * FROM sessions;", `7 1000 9000 2`, `7 30000 30000 1`)
	in.want("SELECT * FROM hops;", `7 0 10000 2`, `7 25000 35000 1`, `7 30000 40000 1`, `7 5000 15000 1`)
}
