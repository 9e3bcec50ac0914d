package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"karst/exec/operator"
	"karst/exec/task"
	"karst/log"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql/format"
	"karst/sql/vector"
)

// A running query: a goroutine of its own owns the unit.
type running struct {
	id     string
	query  *catalog.Query // nil of push queries
	topics map[string]bool
	wakeup chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	unit    *task.Unit
	err     error         // why it stopped, if it failed
	changed chan struct{} // closed and replaced at every commit
	faults  map[faultKey]*FaultCount
	paused  bool

	bytes int64 // of its state, as the budget knows

	// Of the goroutine alone: where and how often the query has failed, and how
	// often in succession it waited.
	failedAt map[log.Partition]int64
	failures int
	waits    int
}

type faultKey struct{ step, reason string }

// commitEvery is how long rounds go on before a commit at the latest; much
// output or state makes one before, see budget.commitBytes.
const (
	commitEvery = 100 * time.Millisecond
	maxFailures = 3 // at one position
)

// start runs a query, unless it is paused. before is the unit that ran it until
// now, nil if none did.
func (e *Engine) start(q *catalog.Query, before *task.Unit) {
	r := &running{id: q.ID, query: q, topics: planTopics(q.Plan), wakeup: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}), faults: map[faultKey]*FaultCount{}, paused: q.State == catalog.Paused}
	e.mu.Lock()
	e.queries[q.ID] = r
	e.mu.Unlock()
	err := e.open(r, before)
	if err != nil && !passing(err) {
		e.cannotStart(r, err)
		close(r.done)
		return
	}
	e.all.Add(1)
	go func() {
		defer e.all.Done()
		defer close(r.done)
		if e.opened(r, nil, err) {
			e.loop(r)
		}
	}()
}

// opened tries again to open a query while that fails with err in passing. It
// reports whether the query runs.
func (e *Engine) opened(r *running, before *task.Unit, err error) bool {
	for err != nil {
		if !passing(err) {
			e.cannotStart(r, err)
			return false
		}
		if !e.await(r, err) {
			return false
		}
		err = e.open(r, before)
	}
	return true
}

// replace makes a query's unit anew, for its topics as they are now. It reports
// whether the query runs.
func (e *Engine) replace(r *running) bool {
	before := r.unit
	if err := before.Stop(e.ctx); err != nil { // the next one goes on from the commit before
		e.opts.Logger.Warn("query goes back to its last commit", "query", r.id, "error", err)
	}
	return e.opened(r, before, e.open(r, before))
}

func (e *Engine) cannotStart(r *running, err error) {
	e.opts.Logger.Error("starting a query", "query", r.id, "error", err)
	r.fail(err)
}

// open makes the unit of a query, which brings back its state.
func (e *Engine) open(r *running, before *task.Unit) error {
	cfg := e.unitConfig(r)
	cfg.Before = before
	if err := e.writable(r.query.Plan); err != nil {
		return err
	}
	unit, err := task.New(e.ctx, r.query.Plan, cfg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.unit = unit
	r.mu.Unlock()
	e.memory.note(r, int64(unit.Bytes()))
	r.committed() // by the one before, for those who wait already
	r.wake()
	return nil
}

// passing reports whether an error is not the query's fault and goes by: the log
// or the schema registry gives no answer, the disk is full, no more files can be opened.
func passing(err error) bool {
	return errors.Is(err, log.ErrUnavailable) || errors.Is(err, format.ErrUnavailable) || errors.Is(err, log.ErrDiskFull) || errors.Is(err, log.ErrNoFiles)
}

// writable holds that no partition of the topic that a plan writes to is offline:
// it would be found out only when a row goes there. What it reads is read first.
func (e *Engine) writable(p *plan.Plan) error {
	sink, ok := p.Root.(*plan.Sink)
	if !ok {
		return nil
	}
	t, err := e.opts.Log.Topic(e.ctx, sink.Topic)
	if err != nil || len(t.Offline) == 0 {
		return nil // the first write tells
	}
	if _, err = e.opts.Log.Bounds(e.ctx, log.Partition{Topic: t.Name, Index: t.Offline[0]}); err != nil {
		return fmt.Errorf("writing to %s: %w", t.Name, err)
	}
	return nil
}

func planTopics(p *plan.Plan) map[string]bool {
	m := map[string]bool{}
	plan.Walk(p.Root, func(s plan.Step) {
		if src, ok := s.(*plan.Source); ok {
			m[src.Topic] = true
		}
	})
	return m
}

func (e *Engine) unitConfig(r *running) task.Config {
	return task.Config{Log: e.opts.Log, DB: e.opts.DB, Now: e.opts.Now, Rand: e.opts.Rand, Registry: e.opts.Registry, BatchRows: e.opts.BatchRows, NewArena: e.opts.NewArena,
		RoundBytes: 4 * e.memory.commitBytes(), Quit: r.quit, Report: func(f operator.Fault) { e.report(r, f) }}
}

// report counts a fault and logs the 1st, 10th, 100th … of its kind. A field
// that is no column is merely noted: the record is kept.
func (e *Engine) report(r *running, f operator.Fault) {
	r.mu.Lock()
	k := faultKey{f.Step, f.Reason}
	c := r.faults[k]
	if c == nil {
		c = &FaultCount{Step: f.Step, Reason: f.Reason}
		r.faults[k] = c
	}
	c.Count++
	c.Last = f
	n := c.Count
	r.mu.Unlock()
	if powerOfTen(n) {
		level := slog.LevelWarn
		if f.Reason == format.ReasonUnknownField {
			level = slog.LevelInfo
		}
		e.opts.Logger.Log(e.ctx, level, "a record could not be processed in full", "query", r.id, "reason", f.Reason, "step", f.Step, "message", f.Message,
			"topic", f.Topic, "partition", f.Partition, "offset", f.Offset, "count", n)
	}
}

func powerOfTen(n int64) bool {
	for n > 1 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

func (r *running) wake() {
	select {
	case r.wakeup <- struct{}{}:
	default:
	}
}

func (r *running) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	close(r.changed)
	r.changed = make(chan struct{})
}

// committed tells those who wait that positions have moved.
func (r *running) committed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// wake tells the queries that read a topic of new records.
func (e *Engine) wake(topic string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.queries {
		if r.topics[topic] {
			r.wake()
		}
	}
}

// loop runs rounds whenever there is something to read, with a commit when the
// query has caught up, or after commitEvery, or commitBytes.
func (e *Engine) loop(r *running) {
	for {
		select {
		case <-r.quit:
			if err := r.unit.Stop(context.WithoutCancel(e.ctx)); err != nil {
				e.opts.Logger.Error("stopping a query", "query", r.id, "error", err)
			}
			return
		case <-r.wakeup:
		}
		if r.paused {
			continue
		}
		err := e.work(r)
		if errors.Is(err, task.ErrGrown) {
			if !e.replace(r) {
				return
			}
			continue
		}
		if err == nil {
			r.failures, r.waits = 0, 0
		}
		for err != nil {
			if errors.Is(err, task.ErrQuit) {
				r.unit.Halt()
				return
			}
			if errors.Is(err, vector.ErrFull) {
				e.opts.Logger.Debug("a round is broken off, to go on with fewer rows at a time", "query", r.id, "error", err)
			} else if passing(err) {
				e.await(r, err)
			} else if r.failed() || errors.Is(err, errMemory) {
				e.opts.Logger.Error("query stopped after repeated failures", "query", r.id, "error", err)
				r.unit.Close()
				r.fail(err)
				return
			}
			if !errors.Is(err, vector.ErrFull) {
				e.opts.Logger.Warn("query goes back to its last commit", "query", r.id, "error", err)
			}
			select {
			case <-r.quit:
				r.unit.Close()
				return
			default:
			}
			if err = r.unit.Recover(e.ctx); err == nil {
				r.committed() // it may have been
				r.wake()
			}
		}
	}
}

// A query waits from firstPause to lastPause, each time twice as long, before it
// tries again what may have passed.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// await waits before a query is tried again that failed in passing. It returns
// false if the query is to quit.
func (e *Engine) await(r *running, err error) bool {
	e.opts.Logger.Warn("query waits", "query", r.id, "error", err)
	pause, cancel := context.WithTimeout(e.ctx, min(firstPause<<min(r.waits, 10), lastPause))
	defer cancel()
	r.waits++
	select {
	case <-pause.Done():
		return e.ctx.Err() == nil
	case <-r.quit:
		return false
	}
}

// failed notes a failure. It reports whether the query has failed too often
// without having got any further.
func (r *running) failed() bool {
	at := r.unit.Positions()
	if r.failures++; !maps.Equal(at, r.failedAt) {
		r.failedAt, r.failures = at, 1
	}
	return r.failures >= maxFailures
}

// work runs rounds until the query has caught up or is told to quit.
func (e *Engine) work(r *running) error {
	if err := r.unit.Check(e.ctx); err != nil {
		return err
	}
	since := e.opts.Now()
	for {
		if r.bytes > 0 {
			if err := e.memory.check(); err != nil {
				return err
			}
		}
		worked, err := r.unit.Step(e.ctx)
		if err != nil {
			return err
		}
		if !worked || r.unit.Careful() || r.unit.Pending() >= e.memory.commitBytes() || e.opts.Now().Sub(since) >= commitEvery {
			dirty := r.unit.Dirty()
			if err := r.unit.Commit(e.ctx); err != nil {
				return err
			}
			if dirty {
				r.committed()
				e.memory.note(r, int64(r.unit.Bytes()))
			}
			since = e.opts.Now()
		}
		select {
		case <-r.quit:
			return nil
		default:
		}
		if !worked {
			return nil
		}
	}
}

// end stops a query, waits for it and returns its unit, nil if it has none.
func (e *Engine) end(id string) *task.Unit {
	e.mu.Lock()
	r := e.queries[id]
	delete(e.queries, id)
	e.mu.Unlock()
	if r == nil {
		return nil
	}
	close(r.quit)
	r.wake()
	<-r.done
	e.memory.note(r, 0)
	r.fail(fmt.Errorf("query %s was stopped", id))
	return r.unit
}

// waitFor waits until the query runs and has committed past the given positions.
func (r *running) waitFor(ctx context.Context, ends map[log.Partition]int64) error {
	for {
		r.mu.Lock()
		err, changed, unit := r.err, r.changed, r.unit
		r.mu.Unlock()
		if err != nil {
			return fmt.Errorf("query %s does not run: %w", r.id, err)
		}
		behind := unit == nil
		for p, end := range ends {
			behind = behind || unit.Committed(p) < end
		}
		if !behind {
			return nil
		}
		r.wake()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for query %s to catch up: %w", r.id, ctx.Err())
		}
	}
}

// applied waits until every record that was in the root topics of a source
// when it was called has come through the queries that fill the source.
func (e *Engine) applied(ctx context.Context, source string, seen map[string]bool) error {
	if seen[source] {
		return nil
	}
	seen[source] = true
	cat := e.Catalog()
	for _, id := range writers(cat, source) {
		q, ok := cat.Query(id)
		if !ok {
			continue // terminated
		}
		for _, in := range q.Sources {
			if err := e.applied(ctx, in, seen); err != nil {
				return err
			}
		}
		e.mu.RLock()
		r := e.queries[id]
		e.mu.RUnlock()
		if r == nil || r.paused {
			continue
		}
		ends, err := e.ends(ctx, r.topics)
		if err != nil {
			return err
		}
		if err := r.waitFor(ctx, ends); err != nil {
			return err
		}
	}
	return nil
}

// writers returns the queries that fill a source, and the one that holds a
// source table's rows.
func writers(cat *catalog.Catalog, source string) []string {
	ids := cat.Writers(source)
	if src, ok := cat.Source(source); ok && src.CreatedBy != "" && !slices.Contains(ids, src.CreatedBy) {
		ids = append(ids, src.CreatedBy)
	}
	return ids
}

func (e *Engine) ends(ctx context.Context, topics map[string]bool) (map[log.Partition]int64, error) {
	out := map[log.Partition]int64{}
	for name := range topics {
		t, err := e.opts.Log.Topic(ctx, name)
		if err != nil {
			return nil, err
		}
		for i := range t.Partitions {
			p := log.Partition{Topic: name, Index: i}
			b, err := e.opts.Log.Bounds(ctx, p)
			if err != nil {
				return nil, err
			}
			out[p] = b.LastStable
		}
	}
	return out, nil
}

// Quiesce waits until every query has committed everything that was in its
// topics.
func (e *Engine) Quiesce(ctx context.Context) error {
	if e.opts.Serial {
		return e.settle(ctx)
	}
	seen := map[string]bool{}
	for _, name := range e.Catalog().SourceNames() {
		if err := e.applied(ctx, name, seen); err != nil {
			return err
		}
	}
	return nil
}
