package exectest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"karst/exec"
	"karst/exec/state"
	"karst/log"
	"karst/log/segment"
	"karst/sql"
	"karst/sql/vector"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a test's engine; the zero value is an engine in memory.
type Options struct {
	FS        vfs.FS // nil: a new one in memory
	BatchRows int    // of a round; 0: the default
	// Tick is what the clock advances by each time somebody looks; 0: it stands.
	Tick time.Duration
	// EveryChange emits every change of a table, so that what a query writes
	// does not depend on when it commits.
	EveryChange bool
	// NoState leaves out the database below the stores.
	NoState bool
	// MemoryBytes is the budget of queries' state; 0: none.
	MemoryBytes int64
	// Idle opens the log alone: Engine is nil.
	Idle bool
	// LogClock is the log's; nil: its time stands still.
	LogClock log.Clock
	// WrapLog, if set, puts something between engine and log.
	WrapLog func(log.Log) log.Log
	Logger  *slog.Logger
}

// An Engine is an engine with its log and state.
type Engine struct {
	*exec.Engine
	Log     *segment.Log
	DB      *state.DB
	t       testing.TB
	session *exec.Session
}

// Open opens an engine; the test fails if it can't.
func Open(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := TryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TryOpen opens an engine.
func TryOpen(t testing.TB, o Options) (*Engine, error) {
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := segment.Open(segment.Options{FS: o.FS, Dir: "log", Rand: rand.Uint64, Clock: o.LogClock})
	if err != nil {
		return nil, err
	}
	e := &Engine{Log: l, t: t, session: &exec.Session{Properties: map[string]string{"auto.offset.reset": "earliest"}}}
	if o.Idle {
		return e, nil
	}
	if !o.NoState {
		if e.DB, err = state.OpenDB(o.FS, "state", o.Logger); err != nil {
			return nil, err
		}
	}
	if o.EveryChange {
		e.session.Properties["ksql.streams.cache.max.bytes.buffering"] = "0"
	}
	opts := exec.Options{Log: l, DB: e.DB, Logger: o.Logger, Now: Clock(o.Tick), Rand: rand.Uint64, BatchRows: o.BatchRows, MemoryBytes: o.MemoryBytes, NewArena: vector.NewPoisonedArena}
	if o.WrapLog != nil {
		opts.Log = o.WrapLog(l)
	}
	if e.Engine, err = exec.Open(opts); err != nil {
		return nil, err
	}
	return e, nil
}

// Clock returns a clock that begins in 2020 and advances by tick with each look.
func Clock(tick time.Duration) func() time.Time {
	var looks atomic.Int64
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time { return start.Add(time.Duration(looks.Add(1)) * tick) }
}

// Close stops the engine, then state and log, in order.
func (e *Engine) Close() {
	e.t.Helper()
	if e.Engine != nil {
		if err := e.Engine.Close(); err != nil {
			e.t.Error(err)
		}
	}
	if e.DB != nil {
		if err := e.DB.Close(); err != nil {
			e.t.Error(err)
		}
	}
	if err := e.Log.Close(); err != nil {
		e.t.Error(err)
	}
}

// Run executes statements.
func (e *Engine) Run(text string) {
	e.t.Helper()
	if _, err := e.Execute(context.Background(), text, e.session); err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
}

// A Record is one to produce, or one read; "" is no key or value.
type Record struct {
	Key, Value string
	Time       int64
	Partition  int32 // of one read
}

func orNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Produce appends records to a topic, all or none.
func (e *Engine) Produce(topic string, records ...Record) {
	e.t.Helper()
	if err := e.TryProduce(topic, records...); err != nil {
		e.t.Fatal(err)
	}
}

// TryProduce is Produce for a log that may fail.
func (e *Engine) TryProduce(topic string, records ...Record) error {
	var list []exec.Record
	for _, r := range records {
		list = append(list, exec.Record{Time: r.Time, Key: orNil(r.Key), Value: orNil(r.Value)})
	}
	return e.Engine.Produce(context.Background(), topic, list)
}

// Settle waits until the queries have committed all there is.
func (e *Engine) Settle() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if err := e.Quiesce(ctx); err != nil {
		e.t.Fatal(err)
	}
}

// settleTimeout is when a test hangs, however seldom it gets a processor.
const settleTimeout = 5 * time.Minute

// Read returns what a topic holds, partition by partition.
func (e *Engine) Read(topic string) []Record {
	e.t.Helper()
	info, err := e.Log.Topic(context.Background(), topic)
	if err != nil {
		e.t.Fatal(err)
	}
	var out []Record
	var recs log.Records
	for p := range info.Partitions {
		at := log.Partition{Topic: topic, Index: p}
		b, err := e.Log.Bounds(context.Background(), at)
		if err != nil {
			e.t.Fatal(err)
		}
		for offset := b.Start; offset < b.LastStable; {
			if offset, err = e.Log.Fetch(context.Background(), at, offset, 1<<20, &recs); err != nil {
				e.t.Fatal(err)
			}
			for i := range recs.Len() {
				out = append(out, Record{Key: string(recs.Key(i)), Value: string(recs.Value(i)), Time: recs.Timestamps[i], Partition: p})
			}
		}
	}
	return out
}

// Query returns a pull query's rows, sorted.
func (e *Engine) Query(text string) []string {
	e.t.Helper()
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	rows := &rows{}
	if _, err := e.Engine.Query(ctx, stmts[0].(*sql.SelectStmt), e.session, rows); err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
	slices.Sort(rows.list)
	return rows.list
}

// Queries returns what SHOW QUERIES EXTENDED tells.
func (e *Engine) Queries() []exec.QueryInfo {
	e.t.Helper()
	r, err := e.Execute(context.Background(), "SHOW QUERIES EXTENDED;", e.session)
	if err != nil {
		e.t.Fatal(err)
	}
	return r[0].Answer.(exec.Queries).List
}

// rows collects an answer.
type rows struct{ list []string }

// Header implements exec.Rows.
func (r *rows) Header(exec.Header) error { return nil }

// Flush implements exec.Rows.
func (r *rows) Flush() bool { return true }

// Row implements exec.Rows.
func (r *rows) Row(cols [][]byte, deleted bool) bool {
	s := string(bytes.Join(cols, []byte(" ")))
	if deleted {
		s = fmt.Sprint(s, " deleted")
	}
	r.list = append(r.list, s)
	return true
}
