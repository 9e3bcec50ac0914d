package exectest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"karst/exec"
	"karst/exec/exectest"
	"karst/exec/task"
	"karst/log"
	"karst/planner/plan"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A doubtfulLog answers some commits by an error, whether they happened or
// not, but never more than twice in a row.
type doubtfulLog struct {
	log.Log
	mu     sync.Mutex
	rng    *rand.Rand
	failed int // commits
}

var errDoubt = errors.New("the connection was lost")

// OpenWriter implements log.Log.
func (l *doubtfulLog) OpenWriter(ctx context.Context, id string) (log.Writer, error) {
	w, err := l.Log.OpenWriter(ctx, id)
	return &doubtfulWriter{Writer: w, log: l}, err
}

type doubtfulWriter struct {
	log.Writer
	log     *doubtfulLog
	commits int
}

// Commit implements log.Writer.
func (w *doubtfulWriter) Commit(done func(error)) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.commits++
	// The first commit of a query is made when it starts.
	switch dice := w.log.rng.IntN(5); {
	case w.commits == 1 || dice > 1:
		w.Writer.Commit(done)
	case dice == 1:
		w.log.failed++
		w.Writer.Commit(func(error) { done(errDoubt) })
	default:
		w.log.failed++
		w.Writer.Abort()
		done(errDoubt)
	}
}

// TestCommitsInDoubt loses the answers of commits: the outcome is found out,
// and the results are exact.
func TestCommitsInDoubt(t *testing.T) {
	// In one partition: the order between partitions changes with the size of rounds.
	e := exectest.Open(t, crashOptions)
	w, run := everything(true), exectest.Run{Partitions: 1}
	w.Run(e, run)
	want := w.Answers(e)
	e.Close()
	failed := 0
	for seed := range uint64(8) {
		var l *doubtfulLog
		o := crashOptions
		o.WrapLog = func(inner log.Log) log.Log {
			l = &doubtfulLog{Log: inner, rng: rand.New(rand.NewPCG(seed, 2))}
			return l
		}
		e := exectest.Open(t, o)
		w.Run(e, run)
		if got := w.Answers(e); got != want {
			t.Fatalf("seed %d: %s", seed, exectest.FirstDifference(got, want))
		}
		e.Close()
		failed += l.failed
	}
	if failed < 50 {
		t.Errorf("only %d commits were in doubt", failed)
	}
}

const countStatements = `CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);
	CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;`

const countsID = "CTAS_COUNTS_1"

func someRecords(from, to int) []exectest.Record {
	var out []exectest.Record
	for n := from; n < to; n++ {
		out = append(out, exectest.Record{Key: fmt.Sprint("k", n%3), Value: `{"V":1}`, Time: int64(n)})
	}
	return out
}

func wantCounts(t *testing.T, e *exectest.Engine, n ...int) {
	t.Helper()
	var want []string
	for k, n := range n {
		if n > 0 {
			want = append(want, fmt.Sprintf(`"k%d" %d`, k, n))
		}
	}
	if got := e.Query("SELECT * FROM counts;"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// copyDir copies a directory between filesystems in memory.
func copyDir(t *testing.T, from, to vfs.FS, dir string) {
	t.Helper()
	if err := to.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if ok, err := vfs.Clone(from, to, dir, dir); err != nil || !ok {
		t.Fatal(ok, err)
	}
}

// TestDatabaseAheadOfLog puts a later database beside an earlier log, as a
// power cut may leave it where the log does not sync: the stamp is not borne out,
// also when the log has gone beyond it meanwhile, and the state comes from the
// changelog alone.
func TestDatabaseAheadOfLog(t *testing.T) {
	for _, beyond := range []bool{false, true} {
		disk := exectest.NewDisk(nil)
		e := exectest.Open(t, exectest.Options{FS: disk})
		e.Run(countStatements)
		e.Produce("s", someRecords(0, 6)...)
		e.Settle()
		early := disk.PowerCut(100, rand.New(rand.NewPCG(1, 1)))
		for n := range 5 { // one key only, so that a replay from the stamp would not mend the others
			e.Produce("s", someRecords(0, 3+3*n)...)
			e.Settle()
		}
		e.Close()

		if beyond {
			if err := early.RemoveAll("state"); err != nil {
				t.Fatal(err)
			}
			e := exectest.Open(t, exectest.Options{FS: early})
			for range 20 {
				e.Produce("s", exectest.Record{Key: "k0", Value: `{"V":1}`})
				e.Settle()
			}
			e.Close()
		}
		copyDir(t, disk, early, "state")
		e = exectest.Open(t, exectest.Options{FS: early})
		e.Settle()
		if beyond {
			wantCounts(t, e, 22, 2, 2)
		} else {
			wantCounts(t, e, 2, 2, 2)
		}
		e.Close()
	}
}

// TestStateIsLost holds that a query whose changelog is gone does not run on as
// if it had never counted, and says what to do.
func TestStateIsLost(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	e.Run(countStatements)
	e.Produce("s", someRecords(0, 6)...)
	e.Settle()
	e.Close()

	e = exectest.Open(t, exectest.Options{FS: fs, NoState: true, Idle: true})
	if err := e.Log.DeleteTopic(context.Background(), plan.ChangelogTopic(countsID)); err != nil {
		t.Fatal(err)
	}
	e.Close()

	e = exectest.Open(t, exectest.Options{FS: fs})
	defer e.Close()
	err := e.Quiesce(context.Background())
	if err == nil || !strings.Contains(err.Error(), plan.ChangelogTopic(countsID)) {
		t.Errorf("error %v", err)
	}
}

// TestPositionsFromTheFrontier loses a group's positions, as Kafka's retention
// of offsets may: the changelog has them too.
func TestPositionsFromTheFrontier(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	e.Run(countStatements)
	e.Produce("s", someRecords(0, 6)...)
	e.Settle()
	e.Close()

	e = exectest.Open(t, exectest.Options{FS: fs, NoState: true, Idle: true})
	if err := e.Log.DeleteGroup(context.Background(), task.Group(countsID)); err != nil {
		t.Fatal(err)
	}
	e.Close()

	e = exectest.Open(t, exectest.Options{FS: fs})
	defer e.Close()
	e.Produce("s", someRecords(6, 9)...)
	e.Settle()
	wantCounts(t, e, 3, 3, 3)
}

// TestSweep drops a query in a log where nothing else happened, as a crash
// just after the command leaves it; the next start clears up.
func TestSweep(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	e.Run(countStatements)
	e.Produce("s", someRecords(0, 6)...)
	e.Settle()
	e.Close()
	kept := vfs.NewMem()
	copyDir(t, fs, kept, "state")
	changelog, group := plan.ChangelogTopic(countsID), task.Group(countsID)

	e = exectest.Open(t, exectest.Options{FS: fs})
	e.Run("DROP TABLE counts;")
	ctx := context.Background()
	if _, err := e.Log.Topic(ctx, changelog); !errors.Is(err, log.ErrUnknownTopic) {
		t.Errorf("after the drop there is a changelog: %v", err)
	}
	if _, err := e.Log.CreateTopic(ctx, changelog, 2, nil); err != nil { // back again
		t.Fatal(err)
	}
	w, err := e.Log.OpenWriter(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Offsets(group, map[log.Partition]int64{{Topic: "s"}: 1}); err != nil {
		t.Fatal(err)
	}
	w.Commit(func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	w.Close()
	e.Close()
	copyDir(t, kept, fs, "state")

	e = exectest.Open(t, exectest.Options{FS: fs})
	defer e.Close()
	if _, err := e.Log.Topic(ctx, changelog); !errors.Is(err, log.ErrUnknownTopic) {
		t.Errorf("after the sweep there is a changelog: %v", err)
	}
	if m, err := e.Log.CommittedOffsets(ctx, group); err != nil || len(m) > 0 {
		t.Errorf("after the sweep there are positions: %v, %v", m, err)
	}
	if ids, err := e.DB.Queries(); err != nil || len(ids) > 0 {
		t.Errorf("after the sweep the database knows %q, %v", ids, err)
	}
}

// TestQueryFails stops a query at a record that it must not skip. Its reason
// is shown, others go on, and once the record is gone RESUME goes on exactly.
func TestQueryFails(t *testing.T) {
	for _, noState := range []bool{false, true} {
		e := exectest.Open(t, exectest.Options{NoState: noState, BatchRows: 8})
		e.Run(`CREATE STREAM lenient (k STRING KEY, ts STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1, TIMESTAMP='ts', TIMESTAMP_FORMAT='yyyy-MM-dd');
			SET 'ksql.timestamp.throw.on.invalid'='true';
			CREATE STREAM s (k STRING KEY, ts STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1, TIMESTAMP='ts', TIMESTAMP_FORMAT='yyyy-MM-dd');
			CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
			CREATE STREAM copy AS SELECT * FROM lenient;`)
		good := exectest.Record{Key: "k0", Value: `{"TS":"2001-01-01"}`}
		e.Produce("s", good, good, good)
		e.Settle()
		e.Produce("s", good, exectest.Record{Key: "k0", Value: `{"TS":"tomorrow"}`}, good)
		ctx := context.Background()
		for range 2 {
			if err := e.Quiesce(ctx); err == nil || !strings.Contains(err.Error(), "offset 4") {
				t.Fatalf("no state %v: error %v", noState, err)
			}
			for _, q := range e.Queries() {
				failed := q.ID == "CTAS_COUNTS_2"
				if failed != (q.State == "ERROR") || failed != strings.Contains(q.Error, "offset 4") {
					t.Errorf("%s is %s: %s", q.ID, q.State, q.Error)
				}
			}
			if got := e.Query("SELECT k FROM copy;"); len(got) != 5 {
				t.Errorf("the other query has copied %d records, want 5", len(got))
			}
			e.Run("RESUME CTAS_COUNTS_2;") // fails again
		}
		if err := e.Quiesce(ctx); err == nil {
			t.Fatal("the record is still there")
		}
		if err := e.Log.Trim(ctx, log.Partition{Topic: "s"}, 5); err != nil {
			t.Fatal(err)
		}
		e.Run("RESUME CTAS_COUNTS_2;")
		e.Settle()
		// What stood before the record is lost with it, unless it was committed.
		if got := e.Query("SELECT * FROM counts;"); !slices.Equal(got, []string{`"k0" 4`}) && !slices.Equal(got, []string{`"k0" 5`}) {
			t.Errorf("no state %v: %q", noState, got)
		}
		e.Close()
	}
}

// TestPauseKeepsState pauses, resumes and replaces queries, with a database and
// without.
func TestPauseKeepsState(t *testing.T) {
	for _, noState := range []bool{false, true} {
		e := exectest.Open(t, exectest.Options{NoState: noState})
		e.Run(countStatements)
		e.Produce("s", someRecords(0, 6)...)
		e.Settle()
		e.Run("PAUSE " + countsID + ";")
		e.Produce("s", someRecords(6, 9)...)
		wantCounts(t, e, 2, 2, 2)
		e.Run("RESUME " + countsID + ";")
		wantCounts(t, e, 3, 3, 3)
		e.Run("CREATE OR REPLACE TABLE counts AS SELECT k, COUNT(*) AS n FROM s WHERE v = 1 GROUP BY k;")
		e.Produce("s", someRecords(9, 12)...)
		e.Produce("s", exectest.Record{Key: "k0", Value: `{"V":2}`})
		wantCounts(t, e, 4, 4, 4)
		e.Close()
	}
}

// TestMemoryBudget lets a query's state outgrow the budget: it stops and says
// why, others go on, and with more memory it ends where it would have.
func TestMemoryBudget(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs, MemoryBytes: 2 << 20, BatchRows: 512})
	e.Run(countStatements + `CREATE STREAM copy AS SELECT * FROM s;`)
	const keys = 30_000
	var recs []exectest.Record
	for n := range keys {
		recs = append(recs, exectest.Record{Key: fmt.Sprint("k", n), Value: `{"V":1}`})
	}
	e.Produce("s", recs...)
	if err := e.Quiesce(context.Background()); err == nil || !strings.Contains(err.Error(), "2 MiB are allowed") {
		t.Errorf("error %v", err)
	}
	e.Run("PAUSE " + countsID + ";") // so that the rest can settle
	e.Settle()
	if got := len(e.Query("SELECT k FROM copy;")); got != keys {
		t.Errorf("%d records copied, want %d", got, keys)
	}
	e.Close()

	e = exectest.Open(t, exectest.Options{FS: fs})
	defer e.Close()
	e.Run("RESUME " + countsID + ";")
	if got := len(e.Query("SELECT k FROM counts WHERE n = 1;")); got != keys {
		t.Errorf("%d keys counted once, want %d", got, keys)
	}
}

// An absentLog gives no answer to who opens a writer, for some times.
type absentLog struct {
	log.Log
	absent atomic.Int64
}

// OpenWriter implements log.Log.
func (l *absentLog) OpenWriter(ctx context.Context, id string) (log.Writer, error) {
	if l.absent.Add(-1) >= 0 {
		return nil, fmt.Errorf("%w: in this test", log.ErrUnavailable)
	}
	return l.Log.OpenWriter(ctx, id)
}

// TestStartWhileLogIsAway starts queries while the log gives no answer: they
// wait for it, and are not failed. One that is dropped while it waits is gone.
func TestStartWhileLogIsAway(t *testing.T) {
	fs := vfs.NewMem()
	e := exectest.Open(t, exectest.Options{FS: fs})
	e.Run(countStatements + "CREATE STREAM copy AS SELECT * FROM s;")
	e.Produce("s", someRecords(0, 6)...)
	wantCounts(t, e, 2, 2, 2)
	e.Produce("s", someRecords(6, 9)...)
	e.Close()
	away := &absentLog{}
	away.absent.Store(2)
	e = exectest.Open(t, exectest.Options{FS: fs, WrapLog: func(l log.Log) log.Log { away.Log = l; return away }})
	for _, q := range e.Queries() {
		if q.State != "RUNNING" || q.Error != "" {
			t.Errorf("%s is %s: %s", q.ID, q.State, q.Error)
		}
	}
	wantCounts(t, e, 3, 3, 3)
	e.Close()
	away.absent.Store(1 << 40)
	e = exectest.Open(t, exectest.Options{FS: fs, WrapLog: func(l log.Log) log.Log { away.Log = l; return away }})
	e.Run("DROP STREAM copy;")
	if n := len(e.Queries()); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
	e.Close()
}

// A mutedLog gives no answer to who asks for a topic, for some times.
type mutedLog struct {
	log.Log
	topic string
	muted atomic.Int64
}

// Topic implements log.Log.
func (l *mutedLog) Topic(ctx context.Context, name string) (log.Topic, error) {
	if name == l.topic && l.muted.Add(-1) >= 0 {
		return log.Topic{}, fmt.Errorf("%w: in this test", log.ErrUnavailable)
	}
	return l.Log.Topic(ctx, name)
}

// TestPlacesWhileLogIsAway: a query that is not told how many partitions its
// results have waits; each key stays where it belongs. A statement does not take
// a topic for missing either.
func TestPlacesWhileLogIsAway(t *testing.T) {
	muted := &mutedLog{topic: "COPY"}
	e := exectest.Open(t, exectest.Options{WrapLog: func(l log.Log) log.Log { muted.Log = l; return muted }})
	defer e.Close()
	e.Run(countStatements + "CREATE STREAM copy WITH (PARTITIONS = 5) AS SELECT * FROM s;")
	muted.muted.Store(2)
	e.Produce("s", someRecords(0, 60)...)
	e.Settle()
	got := e.Read("COPY")
	for _, r := range got {
		if want := log.PartitionForKey([]byte(r.Key), 5); int(r.Partition) != want {
			t.Fatalf("key %s is in partition %d, belongs into %d", r.Key, r.Partition, want)
		}
	}
	if len(got) != 60 {
		t.Errorf("%d records are copied", len(got))
	}
	muted.muted.Store(1)
	_, err := e.Execute(context.Background(), "CREATE STREAM again (k STRING KEY, v INT) WITH (KAFKA_TOPIC='COPY', VALUE_FORMAT='JSON');", &exec.Session{})
	if !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("a statement over a topic of which nothing is known: %v", err)
	}
}

// A fullLog has no space for some commits.
type fullLog struct {
	log.Log
	full atomic.Int64
}

// OpenWriter implements log.Log.
func (l *fullLog) OpenWriter(ctx context.Context, id string) (log.Writer, error) {
	w, err := l.Log.OpenWriter(ctx, id)
	return &fullWriter{w, l}, err
}

type fullWriter struct {
	log.Writer
	log *fullLog
}

// Commit implements log.Writer.
func (w *fullWriter) Commit(done func(error)) {
	if w.log.full.Add(-1) >= 0 {
		w.Writer.Abort()
		done(fmt.Errorf("%w: in this test", log.ErrDiskFull))
		return
	}
	w.Writer.Commit(done)
}

// TestDiskIsFull lets a query wait for space, longer than one that fails for a
// reason of its own would.
func TestDiskIsFull(t *testing.T) {
	full := &fullLog{}
	e := exectest.Open(t, exectest.Options{WrapLog: func(l log.Log) log.Log { full.Log = l; return full }})
	e.Run(countStatements)
	e.Produce("s", someRecords(0, 6)...)
	wantCounts(t, e, 2, 2, 2)
	full.full.Store(5)
	e.Produce("s", someRecords(6, 9)...)
	wantCounts(t, e, 3, 3, 3)
	if left := full.full.Load(); left >= 0 {
		t.Errorf("%d commits have still to fail", left)
	}
	e.Close()
}
