package exec

import (
	"context"
	"fmt"

	"karst/exec/operator"
	"karst/exec/task"
	"karst/planner"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// Rows takes a query's answer: Header once, then Row for each row, its columns
// as JSON text. Row returns false to end the query.
type Rows interface {
	Header(queryID string, schema types.Schema, push bool) error
	Row(columns [][]byte, deleted bool) bool
}

// Query runs a SELECT: a push query, if it has EMIT CHANGES, until ctx ends or
// its limit is reached; else a pull query. It returns the final word.
func (e *Engine) Query(ctx context.Context, stmt *sql.SelectStmt, s *Session, rows Rows) (final string, err error) {
	q, ok := stmt.Query.(*sql.Query)
	if !ok {
		return "", &types.Error{Kind: types.ErrUnsupported, Pos: stmt.Pos(), Message: "UNION, INTERSECT and EXCEPT are not supported yet"}
	}
	in := e.input(ctx, s, stmt)
	push := q.Emit != sql.EmitNone
	if !push {
		in.Settings["auto.offset.reset"] = "earliest"
		if q.Window != nil || len(q.GroupBy) > 0 || len(q.PartitionBy) > 0 || q.Having != nil {
			return "", types.Errorf(types.ErrStatement, stmt.Pos(), "Pull queries don't support GROUP BY, WINDOW, HAVING or PARTITION BY clauses. Add EMIT CHANGES for a push query.")
		}
		if _, join := q.From.(*sql.Join); join {
			return "", types.Errorf(types.ErrStatement, stmt.Pos(), "Pull queries don't support JOIN clauses. Add EMIT CHANGES for a push query.")
		}
	}
	e.mu.Lock()
	e.pushes++
	id := fmt.Sprintf("transient_%d", e.pushes)
	e.mu.Unlock()
	p, schema, err := planner.PlanPush(stmt.Query, in, id, stmt.Pos())
	if err != nil {
		return "", err
	}
	if err := rows.Header(id, schema, push); err != nil {
		return "", err
	}
	out := &rowWriter{root: p.Root.(*plan.Output), rows: rows, limit: -1}
	if out.root.Limit != nil {
		out.limit = *out.root.Limit
	}
	if err := out.prepare(); err != nil {
		return "", err
	}
	if out.limit == 0 {
		return "Limit Reached", nil
	}
	switch src := leaf(p.Root); {
	case push:
		err = e.push(ctx, p, out)
	case src.IsTable:
		err = e.pullTable(ctx, p, src, in.Settings, out)
	default:
		err = e.pullStream(ctx, p, src, in.Settings, out)
	}
	switch {
	case err != nil:
		return "", err
	case out.ended && out.limit == 0:
		return "Limit Reached", nil
	}
	return "Query Completed", nil
}

// leaf returns the source at the left end of a plan.
func leaf(s plan.Step) *plan.Source {
	for {
		if src, ok := s.(*plan.Source); ok {
			return src
		}
		s = s.Inputs()[0]
	}
}

// A rowWriter hands batches to a reader, row by row, as JSON columns.
type rowWriter struct {
	root  *plan.Output
	rows  Rows
	at    []int // the output's columns in the input
	limit int64 // rows still wanted; -1: no limit
	ended bool
}

func (w *rowWriter) prepare() error {
	in := w.root.Input.Meta().Schema
	values := len(in.Keys())
	for i := range w.root.Schema.Columns {
		w.at = append(w.at, values+i)
	}
	return nil
}

func (w *rowWriter) write(b *vector.Batch) bool {
	for n := range b.Rows() {
		i := b.Row(n)
		op := b.Op(i)
		if op == vector.Retract {
			continue
		}
		cols := make([][]byte, len(w.at))
		for k, at := range w.at {
			if op == vector.Delete && b.Cols[at] == nil {
				cols[k] = []byte("null")
				continue
			}
			cols[k] = format.AppendJSON(nil, b.Cols[at], i)
		}
		if !w.rows.Row(cols, op == vector.Delete) {
			w.ended = true
			return false
		}
		if w.limit > 0 {
			if w.limit--; w.limit == 0 {
				w.ended = true
				return false
			}
		}
	}
	return true
}

// push runs a transient unit until its reader has enough or ctx ends.
func (e *Engine) push(ctx context.Context, p *plan.Plan, out *rowWriter) error {
	wake := make(chan struct{}, 1)
	topics := planTopics(p)
	stop := e.opts.Log.Watch(func(topic string) {
		if topics[topic] {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
	defer stop()
	unit, err := e.transient(ctx, p, out)
	if err != nil {
		return err
	}
	for {
		for {
			worked, err := unit.Step(ctx)
			if err != nil {
				return ignoreCancel(ctx, err)
			}
			if !worked {
				break
			}
		}
		if err := unit.Commit(ctx); err != nil {
			return ignoreCancel(ctx, err)
		}
		if unit.Ended() {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		case <-e.ctx.Done():
			return nil
		}
	}
}

func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (e *Engine) transient(ctx context.Context, p *plan.Plan, out *rowWriter) (*task.Unit, error) {
	return task.New(ctx, p, task.Config{Log: e.opts.Log, Now: e.opts.Now, Rand: e.opts.Rand, BatchRows: e.opts.BatchRows, NewArena: e.opts.NewArena, Report: e.reportTransient(p.QueryID), Output: out.write})
}

func (e *Engine) reportTransient(id string) func(operator.Fault) {
	return func(f operator.Fault) {
		e.opts.Logger.Debug("a record could not be processed in full", "query", id, "reason", f.Reason, "message", f.Message, "offset", f.Offset)
	}
}

// consistent waits, unless the session asked for committed answers, until the
// source holds everything acknowledged so far.
func (e *Engine) consistent(ctx context.Context, source string, settings map[string]string) error {
	if settings["ksql.query.pull.consistency"] == "committed" {
		return nil
	}
	return e.applied(ctx, source, map[string]bool{})
}

// pullStream reads the topic from its beginning to its end as of now.
func (e *Engine) pullStream(ctx context.Context, p *plan.Plan, src *plan.Source, settings map[string]string, out *rowWriter) error {
	if err := e.consistent(ctx, src.Source, settings); err != nil {
		return err
	}
	ends, err := e.ends(ctx, planTopics(p))
	if err != nil {
		return err
	}
	unit, err := e.transient(ctx, p, out)
	if err != nil {
		return err
	}
	for {
		behind := false
		for at, end := range ends {
			behind = behind || unit.Committed(at) < end
		}
		if !behind || unit.Ended() {
			return nil
		}
		if worked, err := unit.Step(ctx); err != nil || !worked {
			return err
		}
	}
}

// pullTable runs the plan's steps over the committed state of a table.
func (e *Engine) pullTable(ctx context.Context, p *plan.Plan, src *plan.Source, settings map[string]string, out *rowWriter) error {
	cat := e.Catalog()
	table, ok := cat.Source(src.Source)
	if !ok || table.CreatedBy == "" {
		return types.Errorf(types.ErrStatement, types.Pos{}, "The `%s` table isn't queryable. To derive a queryable table, you can do 'CREATE TABLE QUERYABLE_%s AS SELECT * FROM %s'.", src.Source, src.Source, src.Source)
	}
	if err := e.consistent(ctx, src.Source, settings); err != nil {
		return err
	}
	e.mu.RLock()
	r := e.queries[table.CreatedBy]
	e.mu.RUnlock()
	if r == nil || r.unit == nil {
		return types.Errorf(types.ErrStatement, types.Pos{}, "the query %s that fills %s does not run", table.CreatedBy, src.Source)
	}
	return e.snapshot(r.unit, p, out)
}

func (e *Engine) context(a *vector.Arena) *operator.Context {
	return &operator.Context{Arena: a, Now: e.opts.Now, Rand: e.opts.Rand, Report: func(operator.Fault) {}}
}
