package exec

import (
	"context"
	"fmt"
	"strconv"

	"karst/exec/operator"
	"karst/exec/pull"
	"karst/exec/task"
	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// A Header begins a query's answer.
type Header struct {
	QueryID string
	// Schema lists the columns. Those of a pull query on a table that are the
	// table's key, or its window's bounds, are marked as keys.
	Schema types.Schema
	Push   bool
	// Table: the query reads a table, else a stream.
	Table bool
}

// Rows takes a query's answer: Header once, then Row for each row, its columns
// as JSON text that lives until Row returns, and Flush when no row follows at
// once. Row and Flush return false to end the query.
type Rows interface {
	Header(h Header) error
	Row(columns [][]byte, deleted bool) bool
	Flush() bool
}

// VectorRows are Rows that take the columns as they are: Vectors instead of
// Row, for row i of the columns, which live until it returns. A column is nil
// where a deleted row has no value.
type VectorRows interface {
	Rows
	Vectors(columns []*vector.Vector, i int, deleted bool) bool
}

// The last words of a query.
const (
	limitReached   = "Limit Reached"
	queryCompleted = "Query Completed"
)

// Query runs a SELECT: a push query, if it has EMIT CHANGES, until ctx ends or
// its limit is reached; else a pull query. It returns the final word.
func (e *Engine) Query(ctx context.Context, stmt *sql.SelectStmt, s *Session, rows Rows) (final string, err error) {
	q, ok := stmt.Query.(*sql.Query)
	if !ok {
		return "", &types.Error{Kind: types.ErrUnsupported, Pos: stmt.Pos(), Message: "UNION, INTERSECT and EXCEPT are not supported yet"}
	}
	in, err := e.input(ctx, s, stmt)
	if err != nil {
		return "", err
	}
	if q.Emit == sql.EmitNone {
		return e.pull(ctx, stmt, in, rows)
	}
	return e.push(ctx, stmt, in, rows)
}

// transientID returns the id of a query that is not persistent.
func (e *Engine) transientID(prefix string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pushes++
	return fmt.Sprintf("%s_%d", prefix, e.pushes)
}

// pull answers from what a table or a stream has now.
func (e *Engine) pull(ctx context.Context, stmt *sql.SelectStmt, in planner.Input, rows Rows) (string, error) {
	in.Settings["auto.offset.reset"] = "earliest"
	p, err := planner.PlanPull(stmt.Query, in, e.transientID("query"), stmt.Pos())
	if err != nil {
		return "", err
	}
	root := p.Plan.Root.(*plan.Output)
	src := leaf(root)
	name := src.Source
	source, _ := in.Catalog.Source(name)
	if source.IsTable() && source.CreatedBy == "" {
		e := types.Errorf(types.ErrStatement, stmt.Pos(), "The %s table isn't queryable.", types.QuoteAlways(name))
		e.Hint = fmt.Sprintf("To derive a queryable table, you can do 'CREATE TABLE QUERYABLE_%s AS SELECT * FROM %s'.", name, name)
		return "", e
	}
	out := newRowWriter(root, rows)
	if out.most, err = maxRows(in.Settings); err != nil {
		return "", err
	}
	run := func() error { return e.pullStream(ctx, p.Plan, name, in.Settings, out) }
	if source.IsTable() {
		q, stores, err := e.pullTable(ctx, source, p)
		if err != nil {
			return "", err
		}
		run = func() error {
			if err := e.consistent(ctx, name, in.Settings); err != nil {
				return err
			}
			stats, err := q.Run(ctx, stores, out.write)
			e.pulled.add(stats)
			return err
		}
	}
	if err := rows.Header(Header{QueryID: p.Plan.QueryID, Schema: p.Schema, Table: source.IsTable()}); err != nil {
		return "", err
	}
	if out.limit == 0 {
		return limitReached, nil
	}
	if err := run(); err != nil {
		return "", err
	}
	return out.final()
}

// maxRowsDefault bounds the answer of a pull query without a LIMIT.
const maxRowsDefault = 100_000

// maxRowsSetting is the property that sets another bound.
const maxRowsSetting = "ksql.query.pull.max.rows"

func maxRows(settings map[string]string) (int64, error) {
	text, ok := settings[maxRowsSetting]
	if !ok {
		return maxRowsDefault, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, types.Errorf(types.ErrStatement, types.Pos{}, "the property '%s' must be a positive number, found '%s'", maxRowsSetting, text)
	}
	return n, nil
}

// pullTable makes a pull query ready for the query that fills its table, once
// that has begun.
func (e *Engine) pullTable(ctx context.Context, table *catalog.Source, p *planner.Pull) (*pull.Query, pull.Stores, error) {
	e.mu.RLock()
	r := e.queries[table.CreatedBy]
	e.mu.RUnlock()
	err := fmt.Errorf("query %s does not run", table.CreatedBy)
	if r != nil {
		err = r.waitFor(ctx, nil)
	}
	if ctx.Err() != nil {
		return nil, nil, err
	}
	unit := r.running()
	if unit == nil {
		return nil, nil, types.Errorf(types.ErrStatement, types.Pos{}, "%s cannot be read: %v", types.QuoteAlways(table.Name), err)
	}
	q, err := pull.New(unit.Plan().Root, p.Plan, p.Lookup, pull.Env{Now: e.opts.Now, Rand: e.opts.Rand, NewArena: e.opts.NewArena})
	return q, unit.Stores, err
}

// push sends rows as they come.
func (e *Engine) push(ctx context.Context, stmt *sql.SelectStmt, in planner.Input, rows Rows) (string, error) {
	p, schema, err := planner.PlanPush(stmt.Query, in, "transient", stmt.Pos())
	if err != nil {
		return "", err
	}
	p.QueryID = e.transientID(pushPrefix(p, in))
	ctx, done := e.pushing(ctx, p.QueryID, stmt.Text())
	defer done()
	root := p.Root.(*plan.Output)
	out := newRowWriter(root, rows)
	wake, stop := e.watch(planTopics(p))
	defer stop()
	// Its positions are taken before the header is sent: what comes after the
	// header is in the answer.
	unit, err := e.transient(ctx, p, out)
	if err != nil {
		return "", err
	}
	if err := rows.Header(Header{QueryID: p.QueryID, Schema: schema, Push: true, Table: root.IsTable}); err != nil {
		return "", err
	}
	if out.limit == 0 {
		return limitReached, nil
	}
	if err := e.follow(ctx, unit, wake); err != nil {
		return "", err
	}
	return out.final()
}

// pushPrefix is what a push query's id begins with. One that only follows what
// a running query writes is called scalable, as ksqlDB calls it.
func pushPrefix(p *plan.Plan, in planner.Input) string {
	if !p.FromLatest || in.Settings["ksql.query.push.v2.enabled"] != "true" {
		return "transient"
	}
	var steps, filled int
	plan.Walk(p.Root, func(s plan.Step) {
		switch s := s.(type) {
		case *plan.Source:
			if src, ok := in.Catalog.Source(s.Source); ok && len(writers(in.Catalog, src.Name)) > 0 {
				filled++
			}
		case *plan.Filter, *plan.Project, *plan.Output:
		default:
			steps++
		}
	})
	if steps > 0 || filled != 1 {
		return "transient"
	}
	return "SCALABLE_PUSH_QUERY"
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
	rows  Rows
	raw   VectorRows // rows, if they take vectors
	table bool
	at    []int // the output's columns in the input
	limit int64 // rows still wanted; -1: no limit
	most  int64 // rows that there may be without a limit; 0: any number
	count int64
	err   error
	// Of the row being sent.
	vectors []*vector.Vector
	buf     []byte
	cols    [][]byte
}

func newRowWriter(root *plan.Output, rows Rows) *rowWriter {
	w := &rowWriter{rows: rows, table: root.IsTable, limit: -1}
	w.raw, _ = rows.(VectorRows)
	if root.Limit != nil {
		w.limit = *root.Limit
	}
	keys := len(root.Input.Meta().Schema.Keys())
	for i := range root.Schema.Columns {
		w.at = append(w.at, keys+i)
	}
	return w
}

// write sends the rows of b; false if there are to be no more.
func (w *rowWriter) write(b *vector.Batch) bool {
	w.vectors = w.vectors[:0]
	for _, at := range w.at {
		w.vectors = append(w.vectors, b.Cols[at])
	}
	for n := range b.Rows() {
		i := b.Row(n)
		op := b.Op(i)
		if op == vector.Retract || op == vector.Delete && !w.table {
			continue // a stream's record without a value is no row
		}
		if w.count++; w.most > 0 && w.limit < 0 && w.count > w.most {
			w.err = &types.Error{Kind: types.ErrLimit, Message: fmt.Sprintf("the answer has more than %d rows", w.most),
				Hint: "Add conditions or a LIMIT, or SET '" + maxRowsSetting + "' to a greater number."}
			return false
		}
		if !w.row(i, op == vector.Delete) {
			return false
		}
		if w.limit > 0 {
			if w.limit--; w.limit == 0 {
				return false
			}
		}
	}
	return w.rows.Flush()
}

// row sends row i of w.vectors.
func (w *rowWriter) row(i int, deleted bool) bool {
	if w.raw != nil {
		return w.raw.Vectors(w.vectors, i, deleted)
	}
	w.buf, w.cols = w.buf[:0], w.cols[:0]
	for _, v := range w.vectors {
		from := len(w.buf)
		if deleted && v == nil {
			w.buf = append(w.buf, "null"...)
		} else {
			w.buf = format.AppendJSON(w.buf, v, i)
		}
		w.cols = append(w.cols, w.buf[from:len(w.buf):len(w.buf)])
	}
	return w.rows.Row(w.cols, deleted)
}

// final returns the last word, once there are no more rows.
func (w *rowWriter) final() (string, error) {
	switch {
	case w.err != nil:
		return "", w.err
	case w.limit == 0:
		return limitReached, nil
	}
	return queryCompleted, nil
}

// watch returns a channel that says when one of the topics has got records.
func (e *Engine) watch(topics map[string]bool) (wake chan struct{}, stop func()) {
	wake = make(chan struct{}, 1)
	return wake, e.opts.Log.Watch(func(topic string) {
		if topics[topic] {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
}

// follow runs a transient unit until its reader has enough or ctx ends.
func (e *Engine) follow(ctx context.Context, unit *task.Unit, wake <-chan struct{}) error {
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
	return task.New(ctx, p, task.Config{Log: e.opts.Log, Now: e.opts.Now, Rand: e.opts.Rand, Registry: e.opts.Registry, BatchRows: e.opts.BatchRows, NewArena: e.opts.NewArena, Report: e.reportTransient(p.QueryID), Output: out.write})
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
func (e *Engine) pullStream(ctx context.Context, p *plan.Plan, source string, settings map[string]string, out *rowWriter) error {
	if err := e.consistent(ctx, source, settings); err != nil {
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
