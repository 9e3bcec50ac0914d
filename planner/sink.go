package planner

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
)

func checkFormat(f plan.Format, cols []types.Column, key bool) error {
	return format.Check(formatOptions(f, key), cols)
}

func newQuery(qe sql.QueryExpr, in Input, target string, at types.Pos) (*queryPlanner, error) {
	q, err := asQuery(qe, at)
	if err != nil {
		return nil, err
	}
	if err := function.Default().CheckSettings(in.Settings); err != nil {
		return nil, fault(at, "", "%v", err)
	}
	return &queryPlanner{in: in, q: q, target: target}, nil
}

// project computes the output columns over p.step: those that are the key
// become key columns, the others values. A client's query has values alone.
func (p *queryPlanner) project(items []selectItem) error {
	if err := p.reorderKeys(items); err != nil {
		return err
	}
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

// reorderKeys gives a stream's rows the key columns that the projection has,
// in its order, if the session asks for that
// (ksql.new.query.planner.enabled); else the key stays what it is.
func (p *queryPlanner) reorderKeys(items []selectItem) error {
	m := p.step.Meta()
	if p.target == "" || m.IsTable || m.Window != nil || !settingBool(p.in.Settings, "ksql.new.query.planner.enabled", false) {
		return nil
	}
	var exprs []sql.Expr
	var labels []string
	var order []int
	for _, it := range items {
		for k, key := range p.keys {
			if key.is(it.expr) && !slices.Contains(order, k) {
				order = append(order, k)
				exprs, labels = append(exprs, it.expr), append(labels, it.name)
			}
		}
	}
	if len(order) == len(p.keys) && slices.IsSorted(order) {
		return nil
	}
	if err := p.rekey("keys", exprs, labels, toPartition); err != nil {
		return err
	}
	p.replaceKeys(items, exprs)
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
	var names, every []string
	for i, k := range p.keys {
		every = append(every, p.keyLabel(i))
		if slices.ContainsFunc(missing, func(m keyColumn) bool { return m.name == k.name }) {
			names = append(names, p.keyLabel(i))
		}
	}
	if p.foreign != "" && len(p.q.GroupBy) == 0 {
		return p.missingForeign(names)
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
	if len(every) > 1 {
		what += "s"
	}
	hint := "Add " + strings.Join(names, " and ") + " to the SELECT."
	if p.synthetic != "" && strings.HasPrefix(what, "join") {
		hint = p.synthetic + " was added as a synthetic key column because the join criteria did not match any source column. Add it to the SELECT, with AS if it is to have another name."
	}
	return fault(p.q.At, hint, "Key missing from projection (ie, SELECT). The query used to build %s must include the %s %s in its projection.", types.QuoteAlways(p.target), what, strings.Join(every, " and "))
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
	if err == nil {
		err = p.project(items)
	}
	return p.asWritten(err)
}

var aggregateColumn = regexp.MustCompile(aggregatePrefix + `\d+`)

// asWritten names aggregates in errors as they were written, not by the columns
// that hold them.
func (p *queryPlanner) asWritten(err error) error {
	var list types.Errors
	if len(p.calls) == 0 || err == nil || !collect(&list, err) {
		return err
	}
	written := map[string]string{}
	for text, column := range p.calls {
		written[column] = text
	}
	for i, e := range list {
		named := *e
		named.Message = aggregateColumn.ReplaceAllStringFunc(e.Message, func(column string) string { return written[column] })
		list[i] = &named
	}
	return all(list)
}

func (p *queryPlanner) newPlan(id string, root plan.Step, latest bool) *plan.Plan {
	prune(root)
	pl := &plan.Plan{Version: plan.FormatVersion, QueryID: id, Root: root, EveryChange: everyChange(p.in.Settings), FromLatest: fromLatest(p.in.Settings, latest), Topics: map[string]int{}}
	for name, value := range p.in.Settings {
		if strings.HasPrefix(name, function.SettingPrefix) {
			if pl.Settings == nil {
				pl.Settings = map[string]string{}
			}
			pl.Settings[name] = value
		}
	}
	for _, r := range p.sources {
		pl.Topics[r.source.Topic] = p.in.Facts.Topics[r.source.Topic]
	}
	return pl
}

// sourceNames returns what the query reads, sorted.
func (p *queryPlanner) sourceNames() []string {
	var out []string
	for _, r := range p.sources {
		out = append(out, r.source.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// planCreateAs plans CREATE STREAM or TABLE AS SELECT.
func planCreateAs(s *sql.CreateSource, in Input) (*Result, error) {
	old, done, err := existing(s, in)
	if done != nil || err != nil {
		return done, err
	}
	w, err := readWith(s.With, createAs)
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
		return nil, fault(s.Pos(), "Use CREATE "+string(kindOf(got))+" AS SELECT.", "Invalid result type. Your SELECT query produces a %s. Please use CREATE %s AS SELECT statement instead.", kindOf(got), kindOf(got))
	}
	id, err := createdID(s, w, old, in)
	if err != nil {
		return nil, err
	}
	src, err := p.sinkSource(s, w, id)
	if err != nil {
		return nil, err
	}
	r := &Result{Message: "Created query with ID " + id, Schema: src.Schema}
	if r.CreateTopic, err = p.sinkTopic(w, src); err != nil {
		return nil, err
	}
	if old != nil {
		if err := checkUpgrade(old, src, s.Pos()); err != nil {
			return nil, err
		}
	}
	q := &catalog.Query{ID: id, Plan: p.newPlan(id, p.sink(src), false), Sink: s.Name, Sources: p.sourceNames(), SQL: in.Text, State: catalog.Running}
	r.Change = &catalog.Change{Put: src, Start: q}
	r.Change.Replace = old != nil
	if before := filledBy(old, in); before != nil {
		if r.Change, err = replaceQuery(before, q, src, s.Pos()); err != nil {
			return nil, err
		}
	}
	r.Register, err = registrations(*src, s.Pos())
	return r, notedIn(r, err)
}

// createdID is the id of the query of a CREATE … AS SELECT: that of the one it
// replaces, if that was not terminated, the one given, or one that ends in the statement's offset.
func createdID(s *sql.CreateSource, w with, old *catalog.Source, in Input) (string, error) {
	if q := filledBy(old, in); q != nil {
		return q.ID, nil
	}
	prefix := "CSAS_"
	if s.Table {
		prefix = "CTAS_"
	}
	return queryID(w, prefix+s.Name+"_"+strconv.FormatInt(in.Offset, 10), in)
}

// filledBy returns the query that fills a source made by CREATE … AS SELECT;
// nil if there is none, or none any more.
func filledBy(s *catalog.Source, in Input) *catalog.Query {
	if s == nil {
		return nil
	}
	q, _ := in.Catalog.Query(s.CreatedBy)
	return q
}

// queryID returns the id that WITH gives, or def.
func queryID(w with, def string, in Input) (string, error) {
	l := w["QUERY_ID"]
	if l == nil {
		return def, nil
	}
	id := strings.ToUpper(l.Text)
	for _, r := range id {
		if !(r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_') {
			return "", fault(l.Pos(), "Use letters, digits and underscores.", "Query IDs may contain only alphanumeric characters and '_'. Got: '%s'", l.Text)
		}
	}
	if _, ok := in.Catalog.Query(id); ok {
		return "", types.Errorf(types.ErrExists, l.Pos(), "Query ID '%s' already exists.", id)
	}
	return id, nil
}

// sinkTopic returns the topic to make for a sink, with as many partitions as
// the sources have unless PARTITIONS says otherwise.
func (p *queryPlanner) sinkTopic(w with, src *catalog.Source) (*Topic, error) {
	n, given, err := w.integer("PARTITIONS")
	if err != nil {
		return nil, err
	}
	if !given {
		n = int64(p.partitions())
	}
	have, exists := p.in.Facts.Topics[src.Topic]
	switch {
	case exists && given && have != int(n):
		return nil, fault(w["PARTITIONS"].Pos(), "Leave PARTITIONS out, or use another topic.", "A Kafka topic with the name '%s' already exists, with different partition/replica configuration than required. Expected %d partitions (topic has %d).", src.Topic, n, have)
	case exists:
		return nil, nil
	case n < 1 || n > maxPartitions:
		return nil, fault(w["PARTITIONS"].Pos(), "", "PARTITIONS must be between 1 and %d, found %d", maxPartitions, n)
	}
	return &Topic{Name: src.Topic, Partitions: int(n), Config: w.topicConfig(src)}, nil
}

// sinkSource describes the stream or table that a query fills.
func (p *queryPlanner) sinkSource(s *sql.CreateSource, w with, id string) (*catalog.Source, error) {
	m := p.step.Meta()
	first := p.sources[0].source
	key, value, err := w.formats(first.KeyFormat, first.ValueFormat)
	if err != nil {
		return nil, err
	}
	if err := knownFormats(w, key, value, s.Pos()); err != nil {
		return nil, err
	}
	given := w["KEY_FORMAT"]
	switch hasKeys := len(m.Schema.Keys()) > 0; {
	case !hasKeys && given != nil && key.Name != "NONE":
		return nil, fault(given.Pos(), "Remove it.", "Key format specified for stream without key columns.")
	case !hasKeys:
		key = plan.Format{Name: "NONE"}
	case key.Name == "NONE" && given == nil && w["FORMAT"] == nil:
		key = defaultFormat(p.in.Settings, "key", "KAFKA")
	}
	keyRecordName(&key, s.Name, w["KEY_SCHEMA_FULL_NAME"] != nil)
	src := &catalog.Source{Name: s.Name, Kind: kindOf(s.Table), KeyFormat: key, ValueFormat: value, Topic: w.text("KAFKA_TOPIC"),
		Window: m.Window, CreatedBy: id, SQL: p.in.Text, Version: p.in.Offset}
	src.Schema.Columns = slices.Clone(m.Schema.Columns)
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
	if err := w.wrapping(&src.ValueFormat, src.Schema.Values(), p.in.Settings); err != nil {
		return nil, err
	}
	if err := fitsSchemas(w, src, p.in, s.Pos()); err != nil {
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
	root := p.output()
	return p.newPlan(id, root, true), root.Schema, nil
}

// output ends a plan that is for a client: its columns are the projection's.
func (p *queryPlanner) output() *plan.Output {
	m := *p.step.Meta()
	m.ID = "output"
	m.Schema = types.Schema{Columns: p.step.Meta().Schema.Values()}
	return &plan.Output{Common: m, Input: p.step, Limit: p.q.Limit}
}
