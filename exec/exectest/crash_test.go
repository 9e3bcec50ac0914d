package exectest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"karst/exec/exectest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var crashEvery = flag.Int("crash.every", 9, "cut the power at every n-th write only; 1 is all")

// crashStatements are a grouped count, windows, joins and a query that reads
// what another writes.
var crashStatements = []string{
	`CREATE STREAM IF NOT EXISTS s (k STRING KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
	`CREATE TABLE IF NOT EXISTS t (k STRING PRIMARY KEY, name STRING) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
	`CREATE STREAM IF NOT EXISTS u (k STRING KEY, v INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
	`CREATE TABLE IF NOT EXISTS counts AS SELECT g, COUNT(*) AS n, SUM(v) AS total, COLLECT_LIST(v) AS list FROM s GROUP BY g;`,
	`CREATE TABLE IF NOT EXISTS windows AS SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY g;`,
	`CREATE TABLE IF NOT EXISTS finals AS SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 MILLISECONDS, RETENTION 1 SECOND, GRACE PERIOD 0 MILLISECONDS) GROUP BY g EMIT FINAL;`,
	`CREATE TABLE IF NOT EXISTS sessions AS SELECT k, COLLECT_LIST(v) AS list FROM s WINDOW SESSION (5 MILLISECONDS) GROUP BY k;`,
	`CREATE STREAM IF NOT EXISTS joined AS SELECT s.k AS k, s.v AS v, t.name AS name FROM s LEFT JOIN t ON s.k = t.k;`,
	`CREATE STREAM IF NOT EXISTS pairs AS SELECT a.k AS k, a.v AS v, b.v AS w FROM s a LEFT JOIN u b WITHIN 20 MILLISECONDS GRACE PERIOD 5 MILLISECONDS ON a.k = b.k;`,
	`CREATE TABLE IF NOT EXISTS by_name AS SELECT name, COUNT(*) AS n FROM joined GROUP BY name;`,
}

var crashTables = []string{"counts", "windows", "finals", "sessions", "by_name"}
var crashSinks = []string{"COUNTS", "WINDOWS", "FINALS", "SESSIONS", "JOINED", "PAIRS", "BY_NAME"}

const crashSteps = 12

// crashInput is what step n produces, to s, t or u.
func crashInput(n int) (topic string, recs []exectest.Record) {
	rng := rand.New(rand.NewPCG(uint64(n), 8))
	for i := range 6 {
		k, time := fmt.Sprint("k", rng.IntN(4)), int64(100+7*n+i)
		if i == 0 {
			time -= 30 // late for some
		}
		switch n % 4 {
		case 0:
			recs = append(recs, exectest.Record{Key: k, Value: fmt.Sprintf(`{"NAME":"n%d"}`, rng.IntN(3)), Time: time})
		case 1:
			recs = append(recs, exectest.Record{Key: k, Value: fmt.Sprintf(`{"V":%d}`, 10*n+i), Time: time})
		default:
			recs = append(recs, exectest.Record{Key: k, Value: fmt.Sprintf(`{"G":"g%d","V":%d}`, rng.IntN(3), 10*n+i), Time: time})
		}
	}
	return []string{"t", "u", "s", "s"}[n%4], recs
}

// crashWorkload runs what is left to do: statements that have not been
// executed, and steps whose records are not there.
func crashWorkload(e *exectest.Engine, partitions, steps int) {
	for _, s := range crashStatements {
		e.Run(strings.ReplaceAll(s, "%d", strconv.Itoa(partitions)))
	}
	e.Settle()
	done := map[string]int{"s": len(e.Read("s")), "t": len(e.Read("t")), "u": len(e.Read("u"))}
	for n := range steps {
		topic, recs := crashInput(n)
		if done[topic] -= len(recs); done[topic] < 0 {
			e.Produce(topic, recs...)
			e.Settle()
		}
	}
}

// crashAnswers returns what the tables and the sinks hold. Records of
// different keys may come in any order, those of one key may not.
func crashAnswers(e *exectest.Engine) string {
	var b strings.Builder
	for _, t := range crashTables {
		fmt.Fprintf(&b, "%s %q\n", t, e.Query("SELECT * FROM "+t+";"))
	}
	for _, s := range crashSinks {
		recs := e.Read(s)
		slices.SortStableFunc(recs, func(x, y exectest.Record) int { return strings.Compare(x.Key, y.Key) })
		for _, r := range recs {
			if s == "BY_NAME" {
				r.Time = 0 // the greatest of those so far, of two partitions in any order
			}
			fmt.Fprintf(&b, "%s %d %q %s @%d\n", s, r.Partition, r.Key, r.Value, r.Time)
		}
	}
	return b.String()
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("got  %s\nwant %s", g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

var crashOptions = exectest.Options{EveryChange: true, BatchRows: 3}

// TestPowerCut cuts the power at every write of a workload, with nothing, half
// or all of what was not synced kept. After the next start and the rest of the
// input all tables and sinks are exactly what they are without a cut: nothing is
// lost and nothing is there twice.
func TestPowerCut(t *testing.T) {
	e := exectest.Open(t, crashOptions)
	crashWorkload(e, 2, crashSteps)
	want := crashAnswers(e)
	e.Close()
	if n := strings.Count(want, "\n"); n < 100 {
		t.Fatalf("the workload writes only %d records:\n%s", n, want)
	}

	type crash struct {
		at, percent int
		fs          vfs.FS
	}
	var crashes []crash
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 5))
	var disk *exectest.Disk
	disk = exectest.NewDisk(func(at int) error {
		if at%*crashEvery == 0 {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				crashes = append(crashes, crash{at, percent, disk.PowerCut(percent, rng)})
			}
		}
		return nil
	})
	o := crashOptions
	o.FS = disk
	for _, steps := range []int{crashSteps / 2, crashSteps} { // with a clean stop between
		e = exectest.Open(t, o)
		crashWorkload(e, 2, steps)
		e.Close()
	}
	t.Logf("%d writes, %d power cuts", disk.Writes(), len(crashes))
	for _, c := range crashes {
		o.FS = c.fs
		e, err := exectest.TryOpen(t, o)
		if err != nil {
			t.Fatalf("cut at %d, %d %% kept: %v", c.at, c.percent, err)
		}
		crashWorkload(e, 2, crashSteps)
		got := crashAnswers(e)
		e.Close()
		if got != want {
			t.Fatalf("cut at %d, %d %% kept:\n%s", c.at, c.percent, firstDifference(got, want))
		}
	}
}
