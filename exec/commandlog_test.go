package exec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"karst/exec"
	"karst/exec/exectest"
	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A lateLog gives no answer to a write of the command log: that is stored, or
// comes to the log later, before or after the next one.
type lateLog struct {
	log.Log
	fail   string // how the next one fails: "stored", "before" or "after"
	before []log.Append
	after  []log.Append
}

// Produce implements log.Log.
func (l *lateLog) Produce(ctx context.Context, list []log.Append) error {
	if list[0].Partition.Topic != exec.CommandTopic {
		return l.Log.Produce(ctx, list)
	}
	copied := []log.Append{{Partition: list[0].Partition, Batch: slices.Clone(list[0].Batch)}}
	switch fail := l.fail; fail {
	case "stored":
		l.fail = ""
		if err := l.Log.Produce(ctx, copied); err != nil {
			return err
		}
		return log.ErrUnavailable
	case "before":
		l.fail, l.before = "", copied
		return log.ErrUnavailable
	case "after":
		l.fail, l.after = "", copied
		return log.ErrUnavailable
	}
	for _, late := range [][]log.Append{l.before, list, l.after} {
		if len(late) == 0 {
			continue
		}
		if err := l.Log.Produce(ctx, late); err != nil {
			return err
		}
	}
	l.before, l.after = nil, nil
	return nil
}

// TestCommandsInDoubt: a statement whose write had no answer is carried out
// once or never, whatever is defined afterwards, and the command log can always
// be read again.
func TestCommandsInDoubt(t *testing.T) {
	const setUp = `CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');`
	const query = `CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;`
	for _, c := range []struct{ fail, again string }{
		{"stored", "exists"},
		{"before", "not carried out"},
		{"after", ""},
	} {
		t.Run(c.fail, func(t *testing.T) {
			fs := vfs.NewMem()
			late := &lateLog{}
			e := exectest.Open(t, exectest.Options{FS: fs, WrapLog: func(l log.Log) log.Log { late.Log = l; return late }})
			e.Run(setUp)
			e.Produce("s", exectest.Record{Key: "a", Value: `{"v":1}`})
			late.fail = c.fail
			fails(t, e, query, "may have got there")
			fails(t, e, query, c.again)
			e.Settle()
			check := func() {
				t.Helper()
				if got := e.Query(`SELECT n FROM counts WHERE k = 'a';`); fmt.Sprint(got) != "[1]" {
					t.Errorf("n is %q", got)
				}
			}
			check()
			fails(t, e, `ALTER SYSTEM 'auto.offset.reset' = 'latest';`, "")
			e.Run(`DROP TABLE counts;` + query)
			e.Close()
			e = exectest.Open(t, exectest.Options{FS: fs})
			e.Settle()
			check()
			e.Close()
		})
	}
}

// fails executes statements, which must fail with a word; "": not at all.
func fails(t *testing.T, e *exectest.Engine, text, want string) {
	t.Helper()
	_, err := e.Execute(context.Background(), text, &exec.Session{Properties: map[string]string{"auto.offset.reset": "earliest"}})
	if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Fatalf("%s: %v, want %q", text, err, want)
	}
}

// TestCommandsOfTwo: two engines define on one log. One that has not seen what
// the other one did does nothing but learn it.
func TestCommandsOfTwo(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	second, err := exec.Open(exec.Options{Log: e.Log, Now: exectest.Clock(0)})
	if err != nil {
		t.Fatal(err)
	}
	e.Run(`CREATE TYPE a AS STRUCT<x INT>;`)
	define := func(text string) error {
		_, err := second.Execute(context.Background(), text, &exec.Session{})
		return err
	}
	if err := define(`CREATE TYPE a AS STRUCT<y INT>;`); err == nil || !strings.Contains(err.Error(), "not carried out") {
		t.Fatalf("the second engine: %v", err)
	}
	if err := define(`CREATE TYPE a AS STRUCT<y INT>;`); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Fatalf("the second engine, again: %v", err)
	}
	if err := define(`CREATE TYPE b AS a;`); err != nil {
		t.Fatal(err)
	}
	fails(t, e, `DROP TYPE a;`, "not carried out")
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	e.Close()
	e = exectest.Open(t, exectest.Options{FS: fs})
	fails(t, e, `CREATE TYPE b AS INT;`, "exists")
	e.Close()
}
