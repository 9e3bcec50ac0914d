package planner

import (
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/types"
)

func checkFormat(f plan.Format, cols []types.Column, key bool) error {
	o := format.Options{Name: f.Name, Key: key, WrapSingle: f.WrapSingle, Delimiter: f.Properties["VALUE_DELIMITER"]}
	if key {
		o.Delimiter = f.Properties["KEY_DELIMITER"]
	}
	return format.Check(o, cols)
}

func newQuery(qe sql.QueryExpr, in Input, target string, at types.Pos) (*queryPlanner, error) {
	q, err := asQuery(qe, at)
	if err != nil {
		return nil, err
	}
	return &queryPlanner{in: in, q: q, target: target}, nil
}

// project computes the output columns over p.step: those that are the key
// become key columns, the others values.
func (p *queryPlanner) project(items []selectItem) error {
	in := p.step.Meta()
	keys := in.Schema.Keys()
	pr := &plan.Project{Common: plan.Common{ID: "project", IsTable: in.IsTable, Window: in.Window, Retract: false}, Input: p.step, Keys: make([]string, len(keys))}
	var values []types.Column
	for _, it := range items {
		if k := p.keyIndex(it.expr); k >= 0 && p.target != "" && pr.Keys[k] == "" {
			pr.Keys[k] = it.name
			continue
		} else if k >= 0 && p.target != "" && p.exactKey(it.expr, k) {
			return fault(it.at, "Use AS_VALUE for a copy among the values.", "The projection contains a key column more than once: %s and %s.", types.QuoteAlways(pr.Keys[k]), types.QuoteAlways(it.name))
		}
		prog, err := expr.Compile(it.expr, scopeOf(p.step))
		if err != nil {
			return err
		}
		t := prog.Type()
		if t.Kind() == types.KindNull {
			t = types.String
		}
		pr.Values = append(pr.Values, plan.Expr{Name: it.name, Text: castText(it.expr, prog.Type()), Type: t})
		values = append(values, types.Column{Name: it.name, Type: t})
	}
	for k := range keys {
		if pr.Keys[k] == "" {
			if p.target != "" {
				return fault(p.q.At, "", "Key missing from projection (ie, SELECT). The query used to build %s must include the key column %s in its projection.", types.QuoteAlways(p.target), p.keyLabel(k, keys[k]))
			}
			pr.Keys[k] = "KSQL_KEY_" + strconv.Itoa(k)
		}
		c := keys[k]
		c.Name = pr.Keys[k]
		pr.Schema.Columns = append(pr.Schema.Columns, c)
	}
	if len(values) == 0 && p.target != "" {
		return fault(p.q.At, "", "The projection contains no value columns.")
	}
	pr.Schema.Columns = append(pr.Schema.Columns, values...)
	p.step = pr
	return nil
}

// castText is an expression's text; a bare NULL is a STRING.
func castText(e sql.Expr, t *types.Type) string {
	if t.Kind() == types.KindNull {
		return "CAST(" + sql.PrintExpr(e) + " AS STRING)"
	}
	return sql.PrintExpr(e)
}

func (p *queryPlanner) keyLabel(k int, c types.Column) string {
	if k < len(p.keyExprs) {
		return sql.PrintExpr(p.keyExprs[k])
	}
	return c.Name
}

// keyIndex returns the key column that e is, or -1.
func (p *queryPlanner) keyIndex(e sql.Expr) int {
	for k := range p.keyExprs {
		if p.exactKey(e, k) {
			return k
		}
	}
	if len(p.keyExprs) == 1 {
		for _, a := range p.alternate {
			if sql.PrintExpr(a) == sql.PrintExpr(e) {
				return 0
			}
		}
	}
	return -1
}

func (p *queryPlanner) exactKey(e sql.Expr, k int) bool {
	return sql.PrintExpr(p.keyExprs[k]) == sql.PrintExpr(e)
}

// planQuery plans everything below the sink.
func (p *queryPlanner) planQuery() error {
	if err := p.planFrom(); err != nil {
		return err
	}
	items, err := p.body()
	if err != nil {
		return err
	}
	return p.project(items)
}

func (p *queryPlanner) newPlan(id string, root plan.Step, latest bool) *plan.Plan {
	pl := &plan.Plan{Version: plan.FormatVersion, QueryID: id, Root: root, EveryChange: everyChange(p.in.Settings), FromLatest: fromLatest(p.in.Settings, latest), Topics: map[string]int{}}
	for _, r := range p.sources {
		pl.Topics[r.source.Topic] = p.in.Facts.Topics[r.source.Topic]
	}
	return pl
}

func (p *queryPlanner) sourceNames() []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range p.sources {
		if !seen[r.source.Name] {
			out = append(out, r.source.Name)
		}
		seen[r.source.Name] = true
	}
	return out
}

// planCreateAs plans CREATE STREAM or TABLE AS SELECT.
func planCreateAs(s *sql.CreateSource, in Input) (*Result, error) {
	if old, ok := in.Catalog.Source(s.Name); ok && s.IfNotExists {
		return &Result{Message: "Cannot add " + kindOf(s.Table).Lower() + " `" + s.Name + "`: A " + old.Kind.Lower() + " with the same name already exists."}, nil
	} else if ok && !s.OrReplace {
		return nil, types.Errorf(types.ErrExists, s.Pos(), "Cannot add %s '%s': A %s with the same name already exists", kindOf(s.Table).Lower(), s.Name, old.Kind.Lower())
	} else if ok {
		return nil, unsupported(s.Pos(), "CREATE OR REPLACE of a query")
	}
	w, err := readWith(s.With)
	if err != nil {
		return nil, err
	}
	p, err := newQuery(s.As, in, s.Name, s.Pos())
	if err != nil {
		return nil, err
	}
	if err := p.planQuery(); err != nil {
		return nil, err
	}
	if p.q.Limit != nil {
		return nil, fault(s.Pos(), "Remove LIMIT.", "LIMIT is for queries, not for CREATE ... AS SELECT")
	}
	if got := p.step.Meta().IsTable; got != s.Table {
		return nil, fault(s.Pos(), "Use CREATE "+string(kindOf(got))+" AS SELECT.", "Invalid result type. Your SELECT query produces a %s. Please use CREATE %s AS SELECT statement instead.", strings.ToUpper(kindOf(got).Lower()), kindOf(got))
	}
	prefix := "CSAS_"
	if s.Table {
		prefix = "CTAS_"
	}
	id := prefix + s.Name + "_" + strconv.FormatInt(in.Offset, 10)
	src, err := p.sinkSource(s, w, id)
	if err != nil {
		return nil, err
	}
	n, given, err := w.integer("PARTITIONS")
	if err != nil {
		return nil, err
	}
	if !given {
		n = int64(p.partitions())
	}
	pl := p.newPlan(id, p.sink(src), false)
	q := &catalog.Query{ID: id, Plan: pl, Sink: s.Name, Sources: p.sourceNames(), SQL: in.Text, State: catalog.Running}
	r := &Result{Change: &catalog.Change{Put: src, Start: q}, Message: "Created query with ID " + id, Schema: src.Schema}
	if have, exists := in.Facts.Topics[src.Topic]; exists && given && have != int(n) {
		return nil, fault(w["PARTITIONS"].Pos(), "", "A Kafka topic with the name '%s' already exists, with different partition/replica configuration than required. Expected %d partitions (topic has %d).", src.Topic, n, have)
	} else if !exists {
		r.CreateTopic = &Topic{Name: src.Topic, Partitions: int(n), Config: w.topicConfig()}
	}
	return r, nil
}

// sinkSource describes the stream or table that a query fills.
func (p *queryPlanner) sinkSource(s *sql.CreateSource, w with, id string) (*catalog.Source, error) {
	m := p.step.Meta()
	first := p.sources[0].source
	key, value, err := w.formats(first.KeyFormat, first.ValueFormat)
	if err != nil {
		return nil, err
	}
	if value.Name == first.ValueFormat.Name && value.WrapSingle == nil && w["VALUE_FORMAT"] == nil && w["FORMAT"] == nil {
		value.WrapSingle = nil
	}
	keys := m.Schema.Keys()
	if len(keys) == 0 && w["KEY_FORMAT"] == nil && w["FORMAT"] == nil {
		key = plan.Format{Name: "NONE"}
	} else if key.Name == "NONE" && len(keys) > 0 && w["KEY_FORMAT"] == nil {
		key = defaultFormat(p.in.Settings, "key", "KAFKA")
	}
	src := &catalog.Source{Name: s.Name, Kind: kindOf(s.Table), Schema: m.Schema, KeyFormat: key, ValueFormat: value, Topic: w.text("KAFKA_TOPIC"),
		Window: m.Window, CreatedBy: id, SQL: p.in.Text, Version: p.in.Offset}
	src.Schema.Columns = append([]types.Column{}, m.Schema.Columns...)
	for i := range src.Schema.Columns {
		src.Schema.Columns[i].ID = i + 1
	}
	src.NextColumnID = len(src.Schema.Columns) + 1
	if src.Topic == "" {
		src.Topic = p.in.Settings["ksql.output.topic.name.prefix"] + s.Name
	}
	if src.Timestamp, err = w.timestamp(src.Schema, p.in.Settings); err != nil {
		return nil, err
	}
	return src, checkFormats(src, s.Pos())
}

// sink ends the plan with a Sink that fills src.
func (p *queryPlanner) sink(src *catalog.Source) plan.Step {
	m := plan.Common{ID: "sink", Schema: p.step.Meta().Schema, IsTable: p.step.Meta().IsTable, Window: p.step.Meta().Window}
	s := &plan.Sink{Common: m, Input: p.step, Sink: src.Name, Topic: src.Topic, KeyFormat: src.KeyFormat, ValueFormat: src.ValueFormat, Timestamp: src.Timestamp}
	s.Materialized = m.IsTable && !aggregateBelow(p.step)
	return s
}

// aggregateBelow reports whether an Aggregate, with nothing but Filters and
// Projects between, has the rows of s.
func aggregateBelow(s plan.Step) bool {
	switch s := s.(type) {
	case *plan.Filter:
		return aggregateBelow(s.Input)
	case *plan.Project:
		return aggregateBelow(s.Input)
	case *plan.Aggregate:
		return !s.EmitFinal
	}
	return false
}

// planInsert plans INSERT INTO … SELECT.
func planInsert(s *sql.InsertSelect, in Input) (*Result, error) {
	target, err := lookupSource(in, s.Target, s.Pos())
	if err != nil {
		return nil, err
	}
	switch {
	case target.IsTable():
		return nil, fault(s.Pos(), "", "INSERT INTO can only be used to insert into a stream. %s is a table.", s.Target)
	case target.ReadOnly:
		return nil, fault(s.Pos(), "", "Cannot insert into read-only stream: %s", s.Target)
	}
	w, err := readWith(s.With)
	if err != nil {
		return nil, err
	}
	p, err := newQuery(s.Query, in, s.Target, s.Pos())
	if err != nil {
		return nil, err
	}
	if err := p.planQuery(); err != nil {
		return nil, err
	}
	got := p.step.Meta()
	if got.IsTable {
		return nil, fault(s.Pos(), "", "Incompatible data sink and query result. Data sink %s type is a stream but select query result is a table.", s.Target)
	}
	if err := sameShape(target.Schema, got.Schema, s.Pos()); err != nil {
		return nil, err
	}
	id := w.text("QUERY_ID")
	if id == "" {
		id = "INSERTQUERY_" + strconv.FormatInt(in.Offset, 10)
	}
	q := &catalog.Query{ID: strings.ToUpper(id), Plan: p.newPlan(strings.ToUpper(id), p.sink(target), false), Sink: target.Name, Sources: p.sourceNames(), SQL: in.Text, State: catalog.Running}
	return &Result{Change: &catalog.Change{Start: q}, Message: "Created query with ID " + q.ID, Schema: target.Schema}, nil
}

// sameShape holds an inserted query's columns to the target's.
func sameShape(want, got types.Schema, at types.Pos) error {
	ok := len(want.Columns) == len(got.Columns)
	for i := 0; ok && i < len(want.Columns); i++ {
		ok = want.Columns[i].Name == got.Columns[i].Name && want.Columns[i].Type.Equal(got.Columns[i].Type) && (want.Columns[i].Namespace == types.NamespaceKey) == (got.Columns[i].Namespace == types.NamespaceKey)
	}
	if !ok {
		return fault(at, "", "Incompatible schema between results and sink. Result schema is %s, but the sink schema is %s.", got, want)
	}
	return nil
}

// PlanPush plans a SELECT … EMIT CHANGES.
func PlanPush(q sql.QueryExpr, in Input, id string, at types.Pos) (*plan.Plan, types.Schema, error) {
	p, err := newQuery(q, in, "", at)
	if err != nil {
		return nil, types.Schema{}, err
	}
	if err := p.planFrom(); err != nil {
		return nil, types.Schema{}, err
	}
	items, err := p.body()
	if err != nil {
		return nil, types.Schema{}, err
	}
	if err := p.project(items); err != nil {
		return nil, types.Schema{}, err
	}
	m := *p.step.Meta()
	m.ID = "output"
	m.Schema = types.Schema{Columns: p.step.Meta().Schema.Values()}
	root := &plan.Output{Common: m, Input: p.step, Limit: p.q.Limit}
	return p.newPlan(id, root, true), m.Schema, nil
}
