package exectest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"karst/exec/exectest"
	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A stepClock is set by the test and calls nobody.
type stepClock struct{ ms atomic.Int64 }

func (c *stepClock) Now() time.Time { return time.UnixMilli(c.ms.Load()) }

func (c *stepClock) AfterFunc(time.Duration, func()) func() bool { return func() bool { return true } }

// compactAll compacts what can be, also what has just been written.
func compactAll(t *testing.T, e *exectest.Engine, clock *stepClock) {
	t.Helper()
	topics, err := e.Log.Topics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var changes []log.ConfigChange
	for name, value := range map[string]string{"segment.ms": "1", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0"} {
		changes = append(changes, log.ConfigChange{Name: name, Value: value})
	}
	for _, topic := range topics {
		if err := e.Log.AlterTopicConfig(context.Background(), topic.Name, changes, false); err != nil {
			t.Fatal(err)
		}
	}
	clock.ms.Add(1000)
	e.Log.Housekeep()
}

// lastAnswers returns what the tables hold, what the sinks of streams do, and the
// last record of each key in those of tables.
func lastAnswers(e *exectest.Engine) string {
	var b strings.Builder
	for _, t := range []string{"COUNTS", "WINDOWS", "FINALS", "SESSIONS", "BY_NAME"} {
		fmt.Fprintf(&b, "%s %q\n", t, e.Query("SELECT * FROM "+t+";"))
		last := map[string]string{}
		for _, r := range e.Read(t) {
			if last[r.Key] = r.Value; r.Value == "" {
				delete(last, r.Key)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(last)) {
			fmt.Fprintf(&b, "%s %q %s\n", t, k, last[k])
		}
	}
	for _, s := range []string{"JOINED", "PAIRS"} {
		var list []string
		for _, r := range e.Read(s) {
			list = append(list, fmt.Sprintf("%s %q %s @%d", s, r.Key, r.Value, r.Time))
		}
		slices.Sort(list)
		fmt.Fprintln(&b, strings.Join(list, "\n"))
	}
	return b.String()
}

// TestCompacted has changelogs and the topics of tables compacted while queries
// run, and queries begin again from what is left, with and without the database
// below their state: no answer depends on it.
func TestCompacted(t *testing.T) {
	w := everything(true)
	statements := strings.ReplaceAll(strings.Join(append(w.Sources, w.Queries...), "\n"), "%d", "2")
	e := exectest.Open(t, exectest.Options{})
	e.Run(statements)
	for _, step := range w.Steps {
		e.Produce(step.Topic, step.Records...)
		e.Settle()
	}
	want := lastAnswers(e)
	e.Close()

	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprintf("without database=%t", lose), func(t *testing.T) {
			clock := &stepClock{}
			clock.ms.Store(exectest.Clock(0)().Add(time.Hour).UnixMilli()) // what the engine has written is old
			fs := vfs.NewMem()
			o := exectest.Options{FS: fs, LogClock: clock}
			e := exectest.Open(t, o)
			e.Run(statements)
			gone := int64(0)
			for n, step := range w.Steps {
				e.Produce(step.Topic, step.Records...)
				e.Settle()
				if compactAll(t, e, clock); n%4 < 3 {
					continue
				}
				gone += compactedAway(t, e)
				e.Close()
				if lose {
					if err := fs.RemoveAll("state"); err != nil {
						t.Fatal(err)
					}
				}
				e = exectest.Open(t, o)
			}
			e.Settle()
			if got := lastAnswers(e); got != want {
				t.Error(exectest.FirstDifference(got, want))
			}
			e.Close()
			if gone < 100 {
				t.Errorf("only %d records were compacted away", gone)
			}
		})
	}
}

// compactedAway returns how many offsets of compacted topics have no record any
// more.
func compactedAway(t *testing.T, e *exectest.Engine) (gone int64) {
	t.Helper()
	topics, err := e.Log.Topics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if !strings.HasPrefix(topic.Config["cleanup.policy"], "compact") {
			continue
		}
		for p := range topic.Partitions {
			b, err := e.Log.Bounds(context.Background(), log.Partition{Topic: topic.Name, Index: p})
			if err != nil {
				t.Fatal(err)
			}
			gone += b.HighWatermark
		}
		gone -= int64(len(e.Read(topic.Name)))
	}
	return gone
}
