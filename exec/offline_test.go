package exec_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"karst/exec"
	"karst/exec/exectest"
	"karst/log"
	"karst/planner/plan"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// setAside takes a topic's files away, and returns what puts them back.
func setAside(t *testing.T, fs vfs.FS, id log.TopicID) (back func()) {
	t.Helper()
	dir := "log/topics/" + id.String() + "/0"
	move := func(from, to string) {
		t.Helper()
		if err := fs.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	names, err := fs.List(dir)
	if err != nil || len(names) == 0 {
		t.Fatalf("files of %s: %v, %v", id, names, err)
	}
	for _, name := range names {
		move(dir+"/"+name, id.String()+"-"+name)
	}
	return func() {
		for _, name := range names {
			move(id.String()+"-"+name, dir+"/"+name)
		}
	}
}

// TestOfflineTopics takes the files away of a topic that is read, of one that
// is written to, and of a query's changelog: those queries are in ERROR with the
// reason, others go on, and with the files back all do.
func TestOfflineTopics(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	for _, s := range []string{"a", "b", "c"} {
		e.Run(`CREATE STREAM ` + s + ` (k STRING KEY, v INT) WITH (KAFKA_TOPIC='` + s + `', PARTITIONS=1, VALUE_FORMAT='JSON');`)
	}
	e.Run(`CREATE STREAM reads AS SELECT * FROM a EMIT CHANGES;
		CREATE STREAM writes AS SELECT * FROM b EMIT CHANGES;
		CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM b GROUP BY k EMIT CHANGES;
		CREATE TABLE sums AS SELECT k, SUM(v) AS n FROM b GROUP BY k EMIT CHANGES;
		CREATE STREAM fine AS SELECT * FROM c EMIT CHANGES;`)
	produce := func(value string, topics ...string) {
		t.Helper()
		for _, s := range topics {
			e.Produce(s, exectest.Record{Key: "k", Value: `{"v":` + value + `}`})
		}
	}
	produce("1", "a", "b", "c")
	e.Settle()
	query := map[string]string{} // id by sink
	for _, q := range e.Queries() {
		query[q.Query.Sink] = q.ID
	}
	e.Close()

	var back []func()
	l := exectest.Open(t, exectest.Options{FS: fs, Idle: true})
	var ids []log.TopicID
	damaged := map[string]string{"READS": "a", "WRITES": "WRITES", "COUNTS": plan.ChangelogTopic(query["COUNTS"])}
	for _, topic := range damaged {
		info, err := l.Log.Topic(context.Background(), topic)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	l.Close()
	for _, id := range ids {
		back = append(back, setAside(t, fs, id))
	}

	e = exectest.Open(t, exectest.Options{FS: fs})
	produce("2", "b", "c")
	if err := e.TryProduce("a", exectest.Record{Value: "{}"}); !errors.Is(err, log.ErrOffline) {
		t.Errorf("producing to a: %v", err)
	}
	for _, q := range e.Queries() {
		topic := damaged[q.Query.Sink]
		switch {
		case topic == "" && q.State != "RUNNING":
			t.Errorf("%s is %s: %s", q.Query.Sink, q.State, q.Error)
		case topic != "" && (q.State != "ERROR" || !strings.Contains(q.Error, topic+" partition 0") || !strings.Contains(q.Error, "restore")):
			t.Errorf("%s is %s: %s; want an error about %s", q.Query.Sink, q.State, q.Error, topic)
		}
	}
	if got := e.Query("SELECT * FROM sums;"); len(got) != 1 || got[0] != `"k" 3` {
		t.Errorf("sums: %v", got)
	}
	if got := e.Query("SELECT v FROM fine;"); len(got) != 2 {
		t.Errorf("fine: %v", got)
	}
	for _, text := range []string{"SHOW TOPICS EXTENDED;", "DESCRIBE a EXTENDED;"} {
		r, err := e.Execute(context.Background(), text, &exec.Session{})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		switch a := r[0].Answer.(type) {
		case exec.Topics:
			for _, info := range a.List {
				found += len(info.Damage)
			}
			found-- // two are not Karst's own
		case exec.Sources:
			found = len(a.List[0].Damage)
		}
		if found != 1 {
			t.Errorf("%s: %+v", text, r[0].Answer)
		}
	}
	e.Close()

	for _, f := range back {
		f()
	}
	e = exectest.Open(t, exectest.Options{FS: fs})
	defer e.Close()
	produce("3", "a", "b", "c")
	e.Settle()
	for text, want := range map[string]string{
		"SELECT n FROM counts;": "3", "SELECT n FROM sums;": "6",
	} {
		if got := e.Query(text); len(got) != 1 || got[0] != want {
			t.Errorf("with the files back, %s %v, want %s", text, got, want)
		}
	}
	for topic, n := range map[string]int{"READS": 2, "WRITES": 3, "FINE": 3} {
		if got := e.Read(topic); len(got) != n {
			t.Errorf("with the files back, %s: %v", topic, got)
		}
	}
}

// TestOfflineCommandLog takes the command log away: the engine does not start,
// and says why.
func TestOfflineCommandLog(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	e.Run(`CREATE STREAM a (v INT) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON');`)
	info, err := e.Log.Topic(context.Background(), "_karst_commands")
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	setAside(t, fs, info.ID)
	if _, err := exectest.TryOpen(t, exectest.Options{FS: fs}); !errors.Is(err, log.ErrOffline) || !strings.Contains(err.Error(), "nothing to go on from") {
		t.Errorf("%v", err)
	}
}
