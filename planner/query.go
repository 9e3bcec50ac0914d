package planner

import (
	"slices"
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/types"
)

// A queryPlanner plans one SELECT.
type queryPlanner struct {
	in        Input
	q         *sql.Query
	target    string // name of what is made, "" for a push query
	sources   []*relation
	joined    bool
	step      plan.Step
	keys      []keyColumn // of step
	placed    bool        // step's rows are in the partition of their key, by an exchange
	foreign   string      // the left side of a foreign-key join whose key the rows have
	synthetic string      // name by which the query may call a join's key that is no source's column
	names     *namer
	calls     map[string]string // printed aggregate → column that holds it
}

// A relation is one source of FROM.
type relation struct {
	alias  string
	source *catalog.Source
	at     types.Pos
	step   plan.Step
}

// unsupported refuses what parses but can't be planned yet.
func unsupported(at types.Pos, what string) error {
	return &types.Error{Kind: types.ErrUnsupported, Pos: at, Message: what + " is not supported yet"}
}

func asQuery(q sql.QueryExpr, at types.Pos) (*sql.Query, error) {
	s, ok := q.(*sql.Query)
	switch {
	case !ok:
		return nil, unsupported(at, "UNION, INTERSECT or EXCEPT")
	case len(s.With) > 0:
		return nil, unsupported(at, "WITH")
	case s.Distinct:
		return nil, unsupported(at, "SELECT DISTINCT")
	case len(s.OrderBy) > 0:
		return nil, unsupported(at, "ORDER BY")
	case s.From == nil:
		return nil, fault(at, "", "a query needs a FROM clause")
	}
	return s, notYet(s)
}

// notYet refuses expressions that can't be planned yet.
func notYet(q *sql.Query) error {
	var errs types.Errors
	look := func(e sql.Expr) bool {
		switch e := e.(type) {
		case *sql.WindowCall:
			collect(&errs, unsupported(e.Pos(), "OVER"))
			return false
		case *sql.Subquery:
			collect(&errs, unsupported(e.Pos(), "a subquery"))
		case *sql.In:
			if e.Query != nil {
				collect(&errs, unsupported(e.Pos(), "a subquery in IN"))
			}
		case *sql.Call:
			if e.Distinct {
				collect(&errs, unsupported(e.Pos(), "DISTINCT in a function call"))
			}
		}
		return true
	}
	for _, e := range expressions(q) {
		sql.Walk(e, look)
	}
	return all(errs)
}

// checkQualifiers refuses columns of sources that FROM does not name.
func checkQualifiers(q *sql.Query) error {
	var aliases []string
	for _, r := range sourceRefs(q.From) {
		aliases = append(aliases, r.Alias)
	}
	var errs types.Errors
	look := func(e sql.Expr) bool {
		c, ok := e.(*sql.ColumnRef)
		if !ok || c.Source == "" || slices.Contains(aliases, c.Source) {
			return true
		}
		hint := "The sources are " + strings.Join(aliases, ", ") + "."
		if n := types.Nearest(c.Source, aliases); n != "" {
			hint = "Did you mean " + n + "?"
		}
		errs = append(errs, fault(c.Pos(), hint, "Column '%s.%s' cannot be resolved: '%s' is not a valid stream/table name or alias.", c.Source, c.Name, c.Source))
		return true
	}
	for _, e := range slices.Concat(expressions(q), joinConditions(q.From)) {
		sql.Walk(e, look)
	}
	return all(errs)
}

// expressions returns all that a query computes, beside its joins' conditions.
func expressions(q *sql.Query) []sql.Expr {
	var out []sql.Expr
	for _, it := range q.Items {
		if it.Expr != nil {
			out = append(out, it.Expr)
		}
	}
	for _, e := range slices.Concat([]sql.Expr{q.Where, q.Having}, q.GroupBy, q.PartitionBy) {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}

func joinConditions(r sql.Relation) []sql.Expr {
	j, ok := r.(*sql.Join)
	if !ok {
		return nil
	}
	out := append(joinConditions(j.Left), joinConditions(j.Right)...)
	if j.On != nil {
		out = append(out, j.On)
	}
	return out
}

// planFrom plans FROM, the joins and WHERE.
func (p *queryPlanner) planFrom() error {
	p.names = p.newNamer(p.q.From)
	if err := checkQualifiers(p.q); err != nil {
		return err
	}
	if err := p.from(p.q.From); err != nil {
		return err
	}
	if err := p.checkSources(); err != nil {
		return err
	}
	if p.q.Where == nil {
		return nil
	}
	e, err := p.rewrite(p.q.Where)
	if err != nil {
		return err
	}
	return p.filter("where", e)
}

// checkSources refuses sources that the query can't be run on.
func (p *queryPlanner) checkSources() error {
	var kafka []string
	at := p.q.At
	for _, r := range p.sources {
		if r.source.IsTable() && r.source.Window != nil && p.target != "" {
			return fault(r.at, "Group the stream again in a query of its own.", "Persistent queries on windowed tables are not supported: %s is %s.", r.source.Name, windowed(r.source.Window))
		}
		if r.source.ValueFormat.Name == "KAFKA" {
			kafka = append(kafka, r.source.Name)
			at = r.at
		}
	}
	what := "JOIN"
	switch {
	case len(p.q.GroupBy) > 0:
		what = "GROUP BY"
	case !p.joined:
		return nil
	}
	if len(kafka) == 0 {
		return nil
	}
	return fault(at, "Copy it to another format first.", "Source(s) %s are using the 'KAFKA' value format. This format does not yet support %s.", strings.Join(kafka, ", "), what)
}

func (p *queryPlanner) filter(id string, e sql.Expr) error {
	prog, err := expr.Compile(e, scopeOf(p.step))
	if err != nil {
		return err
	}
	if prog.Type().Kind() != types.KindBoolean {
		return fault(e.Pos(), "", "Type error in %s expression: should evaluate to BOOLEAN but is %s (%s).", strings.ToUpper(id), sql.PrintExpr(e), prog.Type())
	}
	m := *p.step.Meta()
	m.ID = id
	m.Retract = false
	if m.IsTable {
		retractBelow(p.step) // whether a key goes away depends on its previous row
	}
	p.step = &plan.Filter{Common: m, Input: p.step, Predicate: sql.PrintExpr(e)}
	return nil
}

func scopeOf(s plan.Step) expr.Scope { return expr.ScopeOf(s.Meta().Schema, s.Meta().Window != nil) }

// from plans a relation; afterwards p.step is its output.
func (p *queryPlanner) from(r sql.Relation) error {
	switch r := r.(type) {
	case *sql.SourceRef:
		src, err := lookupSource(p.in, r.Name, r.At)
		if err != nil {
			return err
		}
		for _, other := range p.sources {
			if other.alias == r.Alias {
				return fault(r.At, "Give it an alias with AS.", "Each side of the join must have a unique alias: %s", r.Alias)
			}
		}
		rel := &relation{alias: r.Alias, source: src, at: r.At, step: sourceStep(src, r.Alias)}
		p.sources = append(p.sources, rel)
		p.step, p.placed = rel.step, false
		p.keys = nil
		for _, k := range src.Schema.Keys() {
			p.keys = append(p.keys, keyColumn{k.Name, []sql.Expr{column(k.Name)}})
		}
		return nil
	case *sql.Join:
		return p.join(r)
	case *sql.Derived:
		return unsupported(r.At, "a subquery in FROM")
	}
	return unsupported(types.Pos{}, "this FROM clause")
}

func sourceStep(src *catalog.Source, alias string) *plan.Source {
	return &plan.Source{
		Common: plan.Common{ID: "source." + alias, Schema: src.Schema, IsTable: src.IsTable(), Window: src.Window},
		Source: src.Name, Topic: src.Topic, KeyFormat: src.KeyFormat, ValueFormat: src.ValueFormat, Timestamp: src.Timestamp,
	}
}

// rewrite turns the names of a user's expression into those of the plan.
func (p *queryPlanner) rewrite(e sql.Expr) (sql.Expr, error) {
	look := typeLookup{cat: p.in.Catalog}
	e, failed := sql.ResolveCasts(e, look.find)
	failed = look.explain(failed)
	var walk func(e sql.Expr, bound map[string]bool) sql.Expr
	walk = func(e sql.Expr, bound map[string]bool) sql.Expr {
		return sql.Transform(e, func(x sql.Expr) sql.Expr {
			switch x := x.(type) {
			case *sql.ColumnRef:
				if x.Source == "" && bound[x.Name] {
					return x
				}
				r, err := p.resolve(x)
				if err != nil && failed == nil {
					failed = err
				}
				if r != nil && *r != *x {
					return r
				}
			case *sql.Lambda:
				inner := map[string]bool{}
				for n := range bound {
					inner[n] = true
				}
				for _, n := range x.Params {
					inner[n] = true
				}
				l := *x
				l.Body = walk(x.Body, inner)
				return &l
			}
			return x
		})
	}
	out := walk(e, nil)
	return out, failed
}

// resolve returns the plan's name of a column.
func (p *queryPlanner) resolve(c *sql.ColumnRef) (*sql.ColumnRef, error) {
	var found *relation
	for _, r := range p.sources {
		if c.Source != "" && c.Source != r.alias {
			continue
		}
		if r.source.Schema.Find(c.Name) >= 0 || pseudoName(c.Name) && (c.Source != "" || !p.joined) {
			if found != nil {
				return nil, fault(c.Pos(), "Put the source's name before it.", "Column '%s' is ambiguous. Could be %s.%s or %s.%s.", c.Name, found.alias, c.Name, r.alias, c.Name)
			}
			found = r
		}
	}
	out := *c
	out.Source = ""
	switch {
	case found == nil && c.Source == "":
		return &out, nil // the compiler reports it, with the nearest name
	case found == nil:
		for _, r := range p.sources {
			if r.alias == c.Source {
				hint := ""
				if n := types.Nearest(c.Name, columnNames(r.source.Schema)); n != "" {
					hint = "Did you mean " + n + "?"
				}
				return nil, fault(c.Pos(), hint, "Column '%s.%s' cannot be resolved.", c.Source, c.Name)
			}
		}
		return &out, nil // checkQualifiers has refused it
	case p.joined:
		out.Name = found.alias + "_" + c.Name
	}
	return &out, nil
}

func columnNames(s types.Schema) []string {
	var out []string
	for _, c := range s.Columns {
		out = append(out, c.Name)
	}
	return out
}

// partitions returns the partition count of what the query gives: that of its
// first source. Others differ from it only on the right of a foreign-key join.
func (p *queryPlanner) partitions() int {
	return max(1, p.in.Facts.Topics[p.sources[0].source.Topic])
}

// isKey reports whether the exprs, rewritten, are the step's key.
func (p *queryPlanner) isKey(exprs []sql.Expr) bool {
	if len(exprs) != len(p.keys) || len(exprs) == 0 {
		return false
	}
	for i := range exprs {
		if !p.keys[i].is(exprs[i]) {
			return false
		}
	}
	return true
}

// exchange moves rows to the partition of their key, unless they are there. A
// topic that takes writes from outside may be placed by another rule than
// ours (librdkafka's clients use CRC32), so only the rows of a topic that one
// of our queries made are where they belong, if its keys have the same bytes.
func (p *queryPlanner) exchange(id string, n int) {
	m := *p.step.Meta()
	f := p.keyFormat(m.Schema.Keys())
	if p.placed || p.ownPlacement(f, n) {
		return
	}
	m.ID = id
	p.step = &plan.Exchange{Common: m, Input: p.step, Partitions: n, Carrier: plan.InProcess, KeyFormat: f}
	p.placed = true
}

// ownPlacement reports whether step comes from a topic that one of our queries
// made, with nothing between that changes keys, with n partitions and keys in
// format f.
func (p *queryPlanner) ownPlacement(f plan.Format, n int) bool {
	for s := p.step; ; s = s.Inputs()[0] {
		switch s := s.(type) {
		case *plan.Source:
			return s.KeyFormat.Name == f.Name && p.in.Facts.Topics[s.Topic] == n && p.made(s.Topic)
		case *plan.Filter, *plan.Project, *plan.Explode:
		default:
			return false
		}
	}
}

// made reports whether a query of ours made the topic.
func (p *queryPlanner) made(topic string) bool {
	for _, name := range p.in.Catalog.SourceNames() {
		if s, _ := p.in.Catalog.Source(name); s.Topic == topic && s.CreatedBy != "" && !s.ReadOnly {
			return true
		}
	}
	return false
}

// keyFormat is the format by whose bytes keys are placed: that of the
// left-most source, if it can hold them.
func (p *queryPlanner) keyFormat(keys []types.Column) plan.Format {
	for _, f := range []plan.Format{p.sources[0].source.KeyFormat, defaultFormat(p.in.Settings, "key", "KAFKA")} {
		if f.Name != "NONE" && checkFormat(f, keys, true) == nil {
			return f
		}
	}
	return plan.Format{Name: "JSON"}
}

// A rekeyReason is what rows get a new key for.
type rekeyReason int

const (
	toGroup     rekeyReason = iota // rows without key are dropped
	toPartition                    // they stay
	toJoin                         // all columns stay values, what the key is computed from too
)

// rekey gives rows the key columns that exprs compute; labels are what users
// call them.
func (p *queryPlanner) rekey(id string, exprs []sql.Expr, labels []string, why rekeyReason) error {
	in := p.step
	r := &plan.Rekey{Common: plan.Common{ID: id, IsTable: in.Meta().IsTable}, Input: in, DropNulls: why == toGroup}
	p.keys = nil
	for i, e := range exprs {
		prog, err := expr.Compile(e, scopeOf(in))
		if err != nil {
			return err
		}
		t := prog.Type()
		if err := checkKeyType(labels[i], t, e.Pos()); err != nil {
			return err
		}
		name := freshKey(i, in.Meta().Schema)
		if c, ok := e.(*sql.ColumnRef); ok && why != toJoin && in.Meta().Schema.Find(c.Name) >= 0 {
			name = c.Name
		}
		r.Schema.Columns = append(r.Schema.Columns, types.Column{Name: name, Type: t, Namespace: types.NamespaceKey})
		r.Keys = append(r.Keys, plan.Expr{Name: name, Text: castText(e, t), Type: t})
		p.keys = append(p.keys, keyColumn{name, []sql.Expr{column(name)}})
	}
	for _, c := range in.Meta().Schema.Columns {
		if r.Schema.Find(c.Name) < 0 && (why != toJoin || c.Namespace != types.NamespaceKey) {
			r.Schema.Columns = append(r.Schema.Columns, types.Column{Name: c.Name, Type: c.Type})
		}
	}
	p.step, p.placed = r, false
	return nil
}

// freshKey is a name for the i-th key column that hides no column.
func freshKey(i int, in types.Schema) string {
	n := namer{used: map[string]bool{}}
	for _, c := range in.Columns {
		n.used[c.Name] = true
	}
	return n.unique("KSQL_KEY_" + strconv.Itoa(i))
}

// checkKeyType refuses keys whose bytes may differ for equal values.
func checkKeyType(name string, t *types.Type, at types.Pos) error {
	if !holdsMap(t) {
		return nil
	}
	return fault(at, "Use a column of another type.", "Map keys, including types that contain maps, are not supported as the order of a map's entries is not fixed. Key column name: %s. Column type: %s.", types.QuoteAlways(name), t)
}

func holdsMap(t *types.Type) bool {
	switch t.Kind() {
	case types.KindMap:
		return true
	case types.KindArray:
		return holdsMap(t.Elem())
	case types.KindStruct:
		for _, f := range t.Fields() {
			if holdsMap(f.Type) {
				return true
			}
		}
	}
	return false
}
