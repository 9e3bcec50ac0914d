package exectest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"karst/exec/exectest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var crashEvery = flag.Int("crash.every", 9, "cut the power at every n-th write only; 1 is all")

// everything is a grouped count, windows, joins and a query that reads what
// another writes.
func everything(late bool) *exectest.Workload {
	w := &exectest.Workload{
		Sources: []string{
			`CREATE STREAM IF NOT EXISTS s (k STRING KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
			`CREATE TABLE IF NOT EXISTS t (k STRING PRIMARY KEY, name STRING) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
			`CREATE STREAM IF NOT EXISTS u (k STRING KEY, v INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON', PARTITIONS=%d);`,
		},
		Queries: []string{
			`CREATE TABLE IF NOT EXISTS counts AS SELECT g, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY g;`,
			`CREATE TABLE IF NOT EXISTS windows AS SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY g;`,
			`CREATE TABLE IF NOT EXISTS finals AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 MILLISECONDS, RETENTION 1 SECOND, GRACE PERIOD 0 MILLISECONDS) GROUP BY k EMIT FINAL;`,
			`CREATE TABLE IF NOT EXISTS sessions AS SELECT k, COLLECT_LIST(v) AS list FROM s WINDOW SESSION (5 MILLISECONDS) GROUP BY k;`,
			`CREATE STREAM IF NOT EXISTS joined AS SELECT s.k AS k, s.v AS v, t.name AS name FROM s LEFT JOIN t ON s.k = t.k;`,
			`CREATE STREAM IF NOT EXISTS pairs AS SELECT a.k AS k, a.v AS v, b.v AS w FROM s a LEFT JOIN u b WITHIN 20 MILLISECONDS GRACE PERIOD 5 MILLISECONDS ON a.k = b.k;`,
			`CREATE TABLE IF NOT EXISTS by_name AS SELECT name, COUNT(*) AS n FROM joined GROUP BY name;`,
		},
		Answers: answers,
	}
	for n := range 12 {
		w.Steps = append(w.Steps, inputStep(n, late))
	}
	// In the end each partition's stream time closes the windows.
	last := exectest.Step{Topic: "s"}
	for k := range 4 {
		last.Records = append(last.Records, exectest.Record{Key: fmt.Sprint("k", k), Value: `{"G":"g0","V":0}`, Time: 300})
	}
	w.Steps = append(w.Steps, last)
	return w
}

// inputStep is what step n produces, to s, t or u, in the order of time but for
// rows that are late.
func inputStep(n int, late bool) exectest.Step {
	step := exectest.Step{Topic: []string{"t", "u", "s", "s"}[n%4]}
	rng := rand.New(rand.NewPCG(uint64(n), 8))
	for i := range 6 {
		k, time := fmt.Sprint("k", rng.IntN(4)), int64(100+7*n+i)
		if i == 0 && late {
			time -= 30
		}
		value := fmt.Sprintf(`{"G":"g%d","V":%d}`, rng.IntN(3), 10*n+i)
		switch step.Topic {
		case "t":
			value = fmt.Sprintf(`{"NAME":"n%d"}`, rng.IntN(3))
		case "u":
			value = fmt.Sprintf(`{"V":%d}`, 10*n+i)
		}
		step.Records = append(step.Records, exectest.Record{Key: k, Value: value, Time: time})
	}
	return step
}

// answers returns what the tables and the sinks hold. Records of different
// keys may come in any order, those of one key may not.
func answers(e *exectest.Engine) string {
	var b strings.Builder
	for _, t := range []string{"counts", "windows", "finals", "sessions", "by_name"} {
		fmt.Fprintf(&b, "%s %q\n", t, e.Query("SELECT * FROM "+t+";"))
	}
	for _, s := range []string{"COUNTS", "WINDOWS", "FINALS", "SESSIONS", "JOINED", "PAIRS", "BY_NAME"} {
		recs := e.Read(s)
		slices.SortStableFunc(recs, func(x, y exectest.Record) int { return strings.Compare(x.Key, y.Key) })
		for _, r := range recs {
			value := r.Value
			if s == "COUNTS" || s == "WINDOWS" || s == "BY_NAME" {
				// Their groups' rows come from several partitions, in any order: times
				// and sums are of those so far.
				r.Time = 0
				if i := strings.Index(value, `,"TOTAL"`); i > 0 {
					value = value[:i]
				}
			}
			fmt.Fprintf(&b, "%s %q %s @%d\n", s, r.Key, value, r.Time)
		}
	}
	return b.String()
}

var crashOptions = exectest.Options{EveryChange: true, BatchRows: 3}

// TestPowerCut cuts the power at every write of a workload, with nothing, half
// or all of what was not synced kept. After the next start and the rest of the
// input all tables and sinks are exactly what they are without a cut: nothing is
// lost and nothing is there twice.
func TestPowerCut(t *testing.T) {
	w, run := everything(true), exectest.Run{Partitions: 2}
	e := exectest.Open(t, crashOptions)
	w.Run(e, run)
	want := w.Answers(e)
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
	for _, run.Until = range []int{len(w.Steps) / 2, 0} { // with a clean stop between
		e = exectest.Open(t, o)
		w.Run(e, run)
		e.Close()
	}
	t.Logf("%d writes, %d power cuts", disk.Writes(), len(crashes))
	for _, c := range crashes {
		o.FS = c.fs
		e, err := exectest.TryOpen(t, o)
		if err != nil {
			t.Fatalf("cut at %d, %d %% kept: %v", c.at, c.percent, err)
		}
		w.Run(e, run)
		got := w.Answers(e)
		e.Close()
		if got != want {
			t.Fatalf("cut at %d, %d %% kept:\n%s", c.at, c.percent, exectest.FirstDifference(got, want))
		}
	}
}

// TestMetamorphic runs the workload in random ways; queries are made before the
// input is there or in the middle of it.
func TestMetamorphic(t *testing.T) {
	for _, late := range []int{0, 7} {
		exectest.Metamorphic(t, everything(false), late, []int{1, 3}, *metamorphicRuns)
		exectest.Metamorphic(t, everything(true), late, []int{1}, *metamorphicRuns)
	}
}

var metamorphicRuns = flag.Int("metamorphic.runs", 10, "random runs of each workload")
