package exec

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"karst/exec/pull"
	"karst/exec/task"
)

// A transientQuery is a push query that runs for a client.
type transientQuery struct {
	id, text string
	cancel   context.CancelFunc
}

// pushing notes that a push query runs, until done is called; its context ends
// with CloseQuery and with the engine.
func (e *Engine) pushing(ctx context.Context, id, text string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.ctx, cancel)
	e.mu.Lock()
	e.transients[id] = &transientQuery{id, text, cancel}
	e.mu.Unlock()
	return ctx, func() {
		stop()
		cancel()
		e.mu.Lock()
		delete(e.transients, id)
		e.mu.Unlock()
	}
}

// CloseQuery ends a running push query; false if there is none of that id.
func (e *Engine) CloseQuery(id string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	q, ok := e.transients[id]
	if ok {
		q.cancel()
	}
	return ok
}

// pushQueries lists the push queries that run, by id.
func (e *Engine) pushQueries() []*transientQuery {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var out []*transientQuery
	for _, q := range e.transients {
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b *transientQuery) int { return strings.Compare(a.id, b.id) })
	return out
}

// pullCounts count what pull queries on tables have read.
type pullCounts struct{ queries, keys, rows atomic.Int64 }

func (c *pullCounts) add(s pull.Stats) {
	c.queries.Add(1)
	c.keys.Add(s.Keys)
	c.rows.Add(s.Rows)
}

// PullCounts returns how many pull queries on tables have been answered since
// the start, how many keys they looked at, and how many rows they read.
func (e *Engine) PullCounts() (queries, keys, rows int64) {
	return e.pulled.queries.Load(), e.pulled.keys.Load(), e.pulled.rows.Load()
}

// running returns the unit of a query; nil if it has none, or r is nil.
func (r *running) running() *task.Unit {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unit
}
