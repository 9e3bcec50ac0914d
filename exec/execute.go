package exec

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"karst/log"
	"karst/planner"
	"karst/planner/catalog"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// A Session is what one client has set: properties and variables. The zero
// Session is ready.
type Session struct {
	Properties map[string]string
	Variables  map[string]string
}

// settings are the session's properties over those of ALTER SYSTEM, over the
// server's.
func (e *Engine) settings(s *Session) map[string]string {
	m := map[string]string{}
	maps.Copy(m, e.opts.Settings)
	e.mu.RLock()
	maps.Copy(m, e.system)
	e.mu.RUnlock()
	for k, v := range s.Properties {
		m[k] = v
	}
	return m
}

func (e *Engine) input(ctx context.Context, s *Session, stmt sql.Statement) (planner.Input, error) {
	cat := e.Catalog()
	settings := e.settings(s)
	facts, err := e.facts(ctx, planner.Topics(stmt, cat))
	if err != nil {
		return planner.Input{}, err
	}
	facts.Schemas, err = e.schemas(planner.Schemas(stmt, settings))
	return planner.Input{Catalog: cat, Facts: facts, Settings: settings, Offset: e.offset, Text: stmt.Text()}, err
}

// Declared returns the source that a CREATE with columns would make; nothing
// is made.
func (e *Engine) Declared(stmt *sql.CreateSource, s *Session) (*catalog.Source, error) {
	in, err := e.input(e.ctx, s, stmt)
	if err != nil {
		return nil, err
	}
	return planner.Declared(stmt, in)
}

// Execute runs the statements of a text, except queries (see Query). It stops
// at the first that fails; what came before has happened and is returned.
func (e *Engine) Execute(ctx context.Context, text string, s *Session) ([]Result, error) {
	stmts, err := sql.Parse(text, sql.Options{Variables: s.Variables})
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, stmt := range stmts {
		r, err := e.ExecuteStatement(ctx, stmt, s)
		if err != nil {
			return out, err
		}
		out = append(out, *r)
	}
	return out, nil
}

// ExecuteStatement runs one statement that is not a query.
func (e *Engine) ExecuteStatement(ctx context.Context, stmt sql.Statement, s *Session) (*Result, error) {
	answer, err := e.answer(ctx, stmt, s)
	if err != nil {
		return nil, err
	}
	return &Result{Statement: stmt.Text(), Answer: answer}, nil
}

func (e *Engine) answer(ctx context.Context, stmt sql.Statement, s *Session) (Answer, error) {
	switch x := stmt.(type) {
	case *sql.SelectStmt, *sql.PrintTopic:
		return nil, types.Errorf(types.ErrStatement, stmt.Pos(), "a query gives rows; send it to the query endpoint")
	case *sql.SetProperty:
		return nil, setProperty(x, s)
	case *sql.Define:
		define(x, s)
		return nil, nil
	case *sql.InsertValues:
		return nil, e.insertValues(ctx, x, s)
	case *sql.Show:
		return e.show(ctx, x, s)
	case *sql.Describe:
		return e.describe(ctx, x)
	case *sql.Explain:
		return e.explain(ctx, x, s)
	case *sql.CreateConnector, *sql.DropConnector:
		return nil, noConnectors(stmt.Pos())
	case *sql.AssertTopic:
		return e.assertTopic(ctx, x)
	case *sql.AssertSchema:
		return e.assertSchema(x)
	case *sql.AlterSystem:
		return e.alterSystem(x)
	case *sql.QueryControl:
		if x.Action == "TERMINATE" && !x.All && e.CloseQuery(x.ID) {
			return Done{Message: "Query terminated."}, nil
		}
	}
	return e.define(ctx, stmt, s)
}

// define plans and commits a defining statement.
func (e *Engine) define(ctx context.Context, stmt sql.Statement, s *Session) (Answer, error) {
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := e.resolve(); err != nil {
		return nil, err
	}
	in, err := e.input(ctx, s, stmt)
	if err != nil {
		return nil, err
	}
	r, err := planner.Plan(stmt, in)
	if err != nil {
		return nil, err
	}
	done := Done{Message: r.Message}
	if r.Change == nil {
		return done, nil
	}
	done.Command, done.Offset = commandOf(stmt), e.offset
	if err := e.commit(stmt.Text(), r); err != nil {
		return nil, err
	}
	if r.Change.Start != nil {
		done.QueryID = r.Change.Start.ID
	}
	return done, nil
}

func setProperty(x *sql.SetProperty, s *Session) error {
	if s.Properties == nil {
		s.Properties = map[string]string{}
	}
	if x.Unset {
		delete(s.Properties, x.Name)
		return nil
	}
	if err := CheckProperty(x.Name, x.Value, x.Pos()); err != nil {
		return err
	}
	s.Properties[x.Name] = x.Value
	return nil
}

func define(x *sql.Define, s *Session) {
	if s.Variables == nil {
		s.Variables = map[string]string{}
	}
	if x.Undefine {
		delete(s.Variables, x.Name)
		return
	}
	s.Variables[x.Name] = x.Value
}

// insertValues appends one record to a source's topic.
func (e *Engine) insertValues(ctx context.Context, x *sql.InsertValues, _ *Session) error {
	src, err := planner.InsertTarget(x, e.Catalog())
	if err != nil {
		return err
	}
	names := x.Columns
	if len(names) == 0 {
		for _, c := range src.Schema.Columns {
			names = append(names, c.Name)
		}
	}
	if len(names) != len(x.Values) {
		return types.Errorf(types.ErrStatement, x.Pos(), "Expected number columns and values to match: %d columns, %d values", len(names), len(x.Values))
	}
	a := vector.NewArena()
	time := e.opts.Now().UnixMilli()
	cols := make([]*vector.Vector, len(src.Schema.Columns))
	for i, c := range src.Schema.Columns {
		cols[i] = vector.NewNull(a, c.Type, 1)
	}
	for i, name := range names {
		at, t := src.Schema.Find(name), types.Bigint
		if at >= 0 {
			t = src.Schema.Columns[at].Type
		} else if name != types.RowTime {
			return types.Errorf(types.ErrStatement, x.Values[i].Pos(), "Column name `%s` does not exist in %s.", name, x.Target)
		}
		v, err := e.Constant(x.Values[i], t, a)
		if err != nil {
			return inColumn(err, name)
		}
		if at >= 0 {
			cols[at] = v
		} else if !v.IsNull(0) {
			time = v.I64[0]
		}
	}
	nk := len(src.Schema.Keys())
	for i := range nk {
		if src.IsTable() && cols[i].IsNull(0) {
			return types.Errorf(types.ErrStatement, x.Pos(), "Failed to insert values into '%s'. Value for primary key column(s) %s is required for tables", x.Target, types.QuoteAlways(src.Schema.Columns[i].Name))
		}
	}
	return e.insertRow(ctx, src, cols, time)
}

// inColumn names the column whose value is at fault.
func inColumn(err error, name string) error {
	var e *types.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Message = "Column " + types.QuoteAlways(name) + ": " + e.Message
	return &named
}

// Constant evaluates an expression without columns, as type t, as INSERT
// VALUES does: text stands for BYTES in base64. The vector has one row.
func (e *Engine) Constant(x sql.Expr, t *types.Type, a *vector.Arena) (*vector.Vector, error) {
	x, err := sql.ResolveCasts(x, e.Catalog().Type)
	if err != nil {
		return nil, err
	}
	if t.Kind() == types.KindBytes {
		if p, err := expr.Compile(x, expr.Scope{}); err == nil && p.Type().Kind() == types.KindString {
			x = &sql.Call{Name: "TO_BYTES", Args: []sql.Expr{x, &sql.Literal{Kind: sql.LitString, Text: "base64"}}}
		}
	}
	p, err := expr.CompileAs(x, expr.Scope{}, t)
	if err != nil {
		return nil, err
	}
	var failed string
	c := &expr.Context{Arena: a, Now: e.opts.Now, Rand: e.opts.Rand, Report: func(_ int32, m string) { failed = m }}
	v := p.Eval(c, &vector.Batch{N: 1, Time: []int64{0}})
	if failed != "" {
		return nil, types.Errorf(types.ErrStatement, x.Pos(), "%s", failed)
	}
	return v, nil
}

// insertRow appends one record of the schema's columns.
func (e *Engine) insertRow(ctx context.Context, src *catalog.Source, cols []*vector.Vector, time int64) error {
	schema := src.Schema
	nk := len(schema.Keys())
	var key, value format.Cells
	for _, part := range []struct {
		o    format.Options
		cols []types.Column
		vs   []*vector.Vector
		out  *format.Cells
	}{{e.formatOptions(src, true), schema.Keys(), cols[:nk], &key}, {e.formatOptions(src, false), schema.Values(), valuesOf(schema, cols), &value}} {
		if len(part.cols) == 0 {
			part.out.Null()
			continue
		}
		enc, err := format.NewEncoder(part.o, part.cols)
		if err != nil {
			return err
		}
		if err := enc.Encode(part.vs, []int32{0}, part.out); err != nil {
			return err
		}
	}
	return e.Produce(ctx, src.Topic, []Record{{Time: time, Key: key.At(0), Value: value.At(0)}})
}

func valuesOf(schema types.Schema, cols []*vector.Vector) []*vector.Vector {
	var out []*vector.Vector
	for i, c := range schema.Columns {
		if c.Namespace == types.NamespaceValue {
			out = append(out, cols[i])
		}
	}
	return out
}

// A Record is one to produce.
type Record struct {
	Time       int64
	Key, Value []byte // nil is null
	// Partition -1, or by the key if Placed is false.
	Partition int32
	Placed    bool
	Headers   []log.Header
}

// Produce appends records to a topic, each at its key's partition, and returns
// once they are durable.
func (e *Engine) Produce(ctx context.Context, topic string, records []Record) error {
	t, err := e.opts.Log.Topic(ctx, topic)
	if err != nil {
		return err
	}
	builders := make([]log.Builder, t.Partitions)
	e.mu.Lock()
	turn := e.pushes
	e.pushes++
	e.mu.Unlock()
	for _, r := range records {
		p := int(turn % int64(t.Partitions))
		if r.Key != nil {
			p = log.PartitionForKey(r.Key, int(t.Partitions))
		} else {
			turn++
		}
		if r.Placed {
			p = int(r.Partition)
		}
		if p < 0 || p >= len(builders) {
			return fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, topic, p)
		}
		if len(r.Key)+len(r.Value) > maxRecordBytes {
			return fmt.Errorf("%w: a record of %d bytes for topic %s, at most %d are taken", log.ErrRecordTooLarge, len(r.Key)+len(r.Value), topic, maxRecordBytes)
		}
		builders[p].Add(r.Time, r.Key, r.Value, r.Headers)
	}
	var batches []log.Append
	for p := range builders {
		if batch := builders[p].Finish(); batch != nil {
			batches = append(batches, log.Append{Partition: log.Partition{Topic: topic, Index: int32(p)}, Batch: batch})
		}
	}
	return e.opts.Log.Produce(ctx, batches)
}

const maxRecordBytes = 1 << 20

// KeyEncoderFor returns how a source declared on the topic serializes its key;
// the KAFKA format if none does.
func (e *Engine) KeyEncoderFor(topic string) (format.Options, []types.Column) {
	cat := e.Catalog()
	for _, name := range cat.SourceNames() {
		if src, _ := cat.Source(name); src.Topic == topic && len(src.Schema.Keys()) == 1 {
			return e.formatOptions(src, true), src.Schema.Keys()
		}
	}
	return format.Options{Name: "KAFKA", Key: true}, []types.Column{{Name: "KEY", Type: types.String}}
}
