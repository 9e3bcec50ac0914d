package planner

import (
	"slices"
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
// become key columns, the others values. A client's query has values alone.
func (p *queryPlanner) project(items []selectItem) error {
	in := p.step.Meta()
	pr := &plan.Project{Common: plan.Common{ID: "project", IsTable: in.IsTable, Window: in.Window}, Input: p.step}
	asKey, err := p.assignKeys(items)
	if err != nil {
		return err
	}
	for k, c := range in.Schema.Keys() {
		name := "KSQL_KEY_" + strconv.Itoa(k)
		if p.target != "" {
			name = items[asKey[k]].name
		}
		pr.Keys = append(pr.Keys, name)
		c.Name = name
		pr.Schema.Columns = append(pr.Schema.Columns, c)
	}
	var errs types.Errors
	for i, it := range items {
		if slices.Contains(asKey, i) {
			continue
		}
		prog, err := expr.Compile(it.expr, scopeOf(p.step))
		if !collect(&errs, err) {
			return err
		} else if err != nil {
			continue
		}
		t := prog.Type()
		v := plan.Expr{Name: it.name, Text: castText(it.expr, t), Type: t}
		if t.Kind() == types.KindNull {
			v.Type = types.String
		}
		if pr.Schema.Find(v.Name) >= 0 && p.target != "" {
			errs = append(errs, fault(it.at, "Give one of them another name with AS.", "Duplicate value columns found in schema: %s %s", types.QuoteAlways(v.Name), v.Type))
		}
		pr.Values = append(pr.Values, v)
		pr.Schema.Columns = append(pr.Schema.Columns, types.Column{Name: v.Name, Type: v.Type})
	}
	if len(errs) > 0 {
		return all(errs)
	}
	if len(pr.Values) == 0 && p.target != "" {
		return fault(p.q.At, "Add a column that is not a key; AS_VALUE copies one.", "The projection contains no value columns.")
	}
	p.step = pr
	return nil
}

// assignKeys returns for each key column the item that names it; none for a
// client's query. With several expressions that equal a join's key, the first
// that the projection has is the key and the others are values.
func (p *queryPlanner) assignKeys(items []selectItem) ([]int, error) {
	if p.target == "" {
		return nil, nil
	}
	out := make([]int, len(p.keys))
	var missing []keyColumn
	for k, key := range p.keys {
		out[k] = -1
		for _, e := range key.same {
			for i, it := range items {
				switch {
				case !sameText(it.expr, e):
				case out[k] < 0:
					out[k] = i
				default:
					return nil, fault(it.at, "Use AS_VALUE for a copy among the values.", "The projection contains a key column more than once: %s and %s.", types.QuoteAlways(items[out[k]].name), types.QuoteAlways(it.name))
				}
			}
			if out[k] >= 0 {
				break
			}
		}
		if out[k] < 0 {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return nil, p.missingKeys(missing)
	}
	return out, nil
}

func (p *queryPlanner) missingKeys(missing []keyColumn) error {
	var names []string
	for i, k := range p.keys {
		if slices.ContainsFunc(missing, func(m keyColumn) bool { return m.name == k.name }) {
			names = append(names, p.keyLabel(i))
		}
	}
	what := "key column"
	switch {
	case len(p.q.GroupBy) > 0:
		what = "grouping expression"
	case len(p.q.PartitionBy) > 0:
		what = "partitioning expression"
	case p.joined:
		what = "join expression"
	}
	hint := "Add it to the SELECT."
	if p.synthetic != "" && what == "join expression" {
		hint = p.synthetic + " was added as a synthetic key column because the join criteria did not match any source column. Add it to the SELECT, with AS if it is to have another name."
	}
	return fault(p.q.At, hint, "Key missing from projection (ie, SELECT). The query used to build %s must include the %s %s in its projection.", types.QuoteAlways(p.target), what, strings.Join(names, " and "))
}

// keyLabel is how a user would write the i-th key column.
func (p *queryPlanner) keyLabel(i int) string {
	switch {
	case len(p.q.GroupBy) > 0:
		return sql.PrintExpr(p.q.GroupBy[i])
	case len(p.q.PartitionBy) > 0:
		return sql.PrintExpr(p.q.PartitionBy[i])
	}
	cols := p.keys[i].columns()
	if len(cols) == 0 || p.synthetic != "" {
		return p.keys[i].name
	}
	var names []string
	for _, c := range cols {
		names = append(names, p.userName(c.(*sql.ColumnRef).Name))
	}
	return strings.Join(names, " or ")
}

// userName turns ALIAS_COLUMN back into ALIAS.COLUMN.
func (p *queryPlanner) userName(name string) string {
	for _, r := range p.sources {
		for _, c := range r.source.Schema.Columns {
			if p.joined && r.alias+"_"+c.Name == name {
				return sql.QuoteName(r.alias) + "." + sql.QuoteName(c.Name)
			}
		}
	}
	return sql.QuoteName(name)
}

// castText is an expression's text; a bare NULL is a STRING.
func castText(e sql.Expr, t *types.Type) string {
	if t.Kind() == types.KindNull {
		return "CAST(" + sql.PrintExpr(e) + " AS STRING)"
	}
	return sql.PrintExpr(e)
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
