package exec_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"karst/exec/exectest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const sourceStatements = `
	CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='JSON');
	CREATE TABLE t (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON');
	CREATE STREAM copy AS SELECT * FROM s EMIT CHANGES;
	CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;
	CREATE TABLE same AS SELECT k, v FROM t EMIT CHANGES;`

func keyed(from, to int) (out []exectest.Record) {
	for i := from; i < to; i++ {
		out = append(out, exectest.Record{Key: fmt.Sprint("k", i%20), Value: fmt.Sprintf(`{"v":%d}`, i)})
	}
	return out
}

// TestSourceGrows: a topic gets more partitions while queries read it. They read
// those too, without being started again, and one that can't says why.
func TestSourceGrows(t *testing.T) {
	for _, noState := range []bool{false, true} {
		e := exectest.Open(t, exectest.Options{NoState: noState})
		e.Run(sourceStatements)
		e.Produce("s", keyed(0, 100)...)
		e.Produce("t", keyed(0, 20)...)
		e.Settle()
		for name, total := range map[string]int32{"s": 5, "t": 3} {
			if err := e.Log.AddPartitions(context.Background(), name, total, false); err != nil {
				t.Fatal(err)
			}
		}
		e.Produce("s", keyed(100, 300)...)
		if !noState {
			e.Produce("t", keyed(0, 20)...)
			if err := e.Quiesce(context.Background()); err == nil || !strings.Contains(err.Error(), "a source topic has got more") {
				t.Errorf("the query whose state can't follow: %v", err)
			}
		}
		if got := e.Query(`SELECT k, n FROM counts WHERE n = 15;`); len(got) != 20 {
			t.Errorf("%d of 20 keys are counted right: %q", len(got), e.Query(`SELECT k, n FROM counts;`))
		}
		if got := len(e.Query("SELECT k FROM copy;")); got != 300 {
			t.Errorf("%d of 300 records are copied", got)
		}
		e.Close()
	}
}

// TestSourceMadeAgain: a topic is deleted and made again under queries that
// have read it. Their positions are not taken for those of the new one.
func TestSourceMadeAgain(t *testing.T) {
	for _, running := range []bool{true, false} {
		fs := vfs.NewMem()
		e := exectest.Open(t, exectest.Options{FS: fs})
		e.Run(sourceStatements + "DROP STREAM copy;")
		e.Produce("s", keyed(0, 100)...)
		e.Settle()
		if !running {
			e.Close()
			e = exectest.Open(t, exectest.Options{FS: fs, Idle: true})
		}
		if err := e.Log.DeleteTopic(context.Background(), "s"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Log.CreateTopic(context.Background(), "s", 2, nil); err != nil {
			t.Fatal(err)
		}
		if !running {
			e.Close()
			e = exectest.Open(t, exectest.Options{FS: fs})
		}
		e.Produce("s", keyed(0, 300)...)
		if err := e.Quiesce(context.Background()); err == nil || !strings.Contains(err.Error(), "made again") {
			t.Errorf("running %v: %v", running, err)
		}
		e.Close()
	}
}
