package planner

import (
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
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
	keyExprs  []sql.Expr // expressions whose value the key columns hold, rewritten, in order of the key columns
	alternate []sql.Expr // other expressions equal to the single key column of a join
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
	return s, nil
}

// planFrom plans FROM, the joins and WHERE.
func (p *queryPlanner) planFrom() error {
	if err := p.from(p.q.From); err != nil {
		return err
	}
	if p.q.Where != nil {
		e, err := p.rewrite(p.q.Where)
		if err != nil {
			return err
		}
		return p.filter("where", e)
	}
	return nil
}

func (p *queryPlanner) filter(id string, e sql.Expr) error {
	prog, err := expr.Compile(e, scopeOf(p.step))
	if err != nil {
		return err
	}
	if prog.Type().Kind() != types.KindBoolean {
		return fault(e.Pos(), "", "Type error in WHERE or HAVING: expected BOOLEAN, found %s", prog.Type())
	}
	m := *p.step.Meta()
	m.ID = id
	m.Retract = false
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
		p.step = rel.step
		p.keyExprs = nil
		for _, k := range src.Schema.Keys() {
			p.keyExprs = append(p.keyExprs, &sql.ColumnRef{Name: k.Name})
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
	var failed error
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
				return nil, fault(c.Pos(), "Put the source's name before it: "+found.alias+"."+c.Name, "Column '%s' is ambiguous.", c.Name)
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
				if n := nearest(c.Name, columnNames(r.source.Schema)); n != "" {
					hint = "Did you mean " + n + "?"
				}
				return nil, fault(c.Pos(), hint, "Column '%s.%s' cannot be resolved.", c.Source, c.Name)
			}
		}
		return nil, fault(c.Pos(), "", "Column '%s.%s' cannot be resolved: '%s' is not a source of this query.", c.Source, c.Name, c.Source)
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

// partitions returns the greatest partition count of the query's sources.
func (p *queryPlanner) partitions() int {
	n := 1
	for _, r := range p.sources {
		n = max(n, p.in.Facts.Topics[r.source.Topic])
	}
	return n
}

// isKey reports whether the exprs, rewritten, are the step's key.
func (p *queryPlanner) isKey(exprs []sql.Expr) bool {
	if len(exprs) != len(p.keyExprs) || len(exprs) == 0 {
		return false
	}
	for i := range exprs {
		if sql.PrintExpr(exprs[i]) != sql.PrintExpr(p.keyExprs[i]) {
			return false
		}
	}
	return true
}

// exchange moves rows to the partition of their key. A topic that one of our
// queries writes is placed already; one that takes writes from outside may be
// placed by another rule.
func (p *queryPlanner) exchange(id string, s plan.Step, rel *relation, rekeyed bool, n int) plan.Step {
	if !rekeyed && rel != nil && len(p.in.Catalog.TopicWriters(rel.source.Topic)) > 0 && p.in.Facts.Topics[rel.source.Topic] == n {
		return s
	}
	m := *s.Meta()
	m.ID = id
	m.Retract = false
	return &plan.Exchange{Common: m, Input: s, Partitions: n, Carrier: plan.InProcess, KeyFormat: p.keyFormat(m.Schema.Keys())}
}

// keyFormat is the format by whose bytes keys are placed.
func (p *queryPlanner) keyFormat(keys []types.Column) plan.Format {
	f := p.sources[0].source.KeyFormat
	if checkFormat(f, keys, true) != nil {
		return plan.Format{Name: "JSON"}
	}
	return f
}

// rekey gives rows the key columns that exprs compute.
func (p *queryPlanner) rekey(id string, exprs []sql.Expr, names []string, dropNulls bool) error {
	in := p.step
	r := &plan.Rekey{Common: plan.Common{ID: id, IsTable: in.Meta().IsTable}, Input: in, DropNulls: dropNulls}
	var schema types.Schema
	for i, e := range exprs {
		prog, err := expr.Compile(e, scopeOf(in))
		if err != nil {
			return err
		}
		if prog.Type().Kind() == types.KindMap {
			return fault(e.Pos(), "", "%s has type MAP, which can't be a key", sql.PrintExpr(e))
		}
		schema.Columns = append(schema.Columns, types.Column{Name: names[i], Type: prog.Type(), Namespace: types.NamespaceKey})
		r.Keys = append(r.Keys, plan.Expr{Name: names[i], Text: sql.PrintExpr(e), Type: prog.Type()})
	}
	for _, c := range in.Meta().Schema.Columns {
		if schema.Find(c.Name) < 0 {
			schema.Columns = append(schema.Columns, types.Column{Name: c.Name, Type: c.Type})
		}
	}
	r.Schema = schema
	p.step = r
	return nil
}

// A selectItem is one output column.
type selectItem struct {
	name string
	expr sql.Expr // rewritten
	at   types.Pos
}

// items expands the SELECT list.
func (p *queryPlanner) items() ([]selectItem, error) {
	var out []selectItem
	generated := 0
	for _, it := range p.q.Items {
		switch x := it.Expr.(type) {
		case nil:
			star, err := p.star(it)
			if err != nil {
				return nil, err
			}
			out = append(out, star...)
			continue
		case *sql.StructAll:
			all, err := p.structAll(x)
			if err != nil {
				return nil, err
			}
			out = append(out, all...)
			continue
		}
		e, err := p.rewrite(it.Expr)
		if err != nil {
			return nil, err
		}
		name := it.Alias
		if name == "" {
			name = p.itemName(it.Expr)
		}
		if name == "" {
			name = "KSQL_COL_" + strconv.Itoa(generated)
			generated++
		}
		if pseudoName(name) && it.Alias != "" && p.target != "" {
			return nil, fault(it.At, "Use another alias.", "Reserved column name in select: %s. Please remove or alias the column.", types.QuoteAlways(name))
		}
		out = append(out, selectItem{name, e, it.At})
	}
	seen := map[string]bool{}
	for _, it := range out {
		if seen[it.name] && p.target != "" {
			return nil, fault(it.at, "Give one of them another alias.", "Duplicate value columns found in schema: %s", types.QuoteAlways(it.name))
		}
		seen[it.name] = true
	}
	return out, nil
}

// itemName is the name of a select item without an alias, "" if it must be
// made up.
func (p *queryPlanner) itemName(e sql.Expr) string {
	switch e := e.(type) {
	case *sql.ColumnRef:
		if p.joined && p.ambiguous(e.Name) {
			return e.Source + "_" + e.Name
		}
		return e.Name
	case *sql.FieldRef:
		return e.Field
	}
	return ""
}

// ambiguous reports whether more than one source has the column.
func (p *queryPlanner) ambiguous(name string) bool {
	n := 0
	for _, r := range p.sources {
		if r.source.Schema.Find(name) >= 0 || pseudoName(name) {
			n++
		}
	}
	return n > 1
}

// star expands * and source.*.
func (p *queryPlanner) star(it sql.SelectItem) ([]selectItem, error) {
	var out []selectItem
	found := false
	for _, r := range p.sources {
		if it.Source != "" && it.Source != r.alias {
			continue
		}
		found = true
		cols := columnNames(r.source.Schema)
		if r.source.Window != nil {
			nk := len(r.source.Schema.Keys())
			cols = append(append(append([]string{}, cols[:nk]...), types.WindowStart, types.WindowEnd), cols[nk:]...)
			if p.target != "" {
				cols = columnNames(r.source.Schema)
			}
		}
		for _, c := range cols {
			name := c
			if p.joined {
				name = r.alias + "_" + c
			}
			out = append(out, selectItem{name, &sql.ColumnRef{Name: name}, it.At})
		}
	}
	if !found {
		return nil, fault(it.At, "", "'%s' is not a source of this query", it.Source)
	}
	return out, nil
}

func (p *queryPlanner) structAll(x *sql.StructAll) ([]selectItem, error) {
	of, err := p.rewrite(x.Of)
	if err != nil {
		return nil, err
	}
	prog, err := expr.Compile(of, scopeOf(p.step))
	if err != nil {
		return nil, err
	}
	if prog.Type().Kind() != types.KindStruct {
		return nil, fault(x.Pos(), "", "'->*' takes a STRUCT, found %s", prog.Type())
	}
	var out []selectItem
	for _, f := range prog.Type().Fields() {
		out = append(out, selectItem{f.Name, &sql.FieldRef{Of: of, Field: f.Name}, x.Pos()})
	}
	return out, nil
}

// body plans what stands between FROM and the sink: grouping, PARTITION BY,
// table functions. It returns the output columns over p.step.
func (p *queryPlanner) body() ([]selectItem, error) {
	items, err := p.items()
	if err != nil {
		return nil, err
	}
	aggregates := p.hasAggregates(items)
	switch {
	case len(p.q.GroupBy) > 0:
		return p.group(items)
	case aggregates != nil:
		return nil, fault(aggregates.Pos(), "Add a GROUP BY clause.", "Use of aggregate function %s requires a GROUP BY clause.", aggregates.Name)
	case p.q.Window != nil:
		return nil, fault(p.q.Window.At, "Add a GROUP BY clause.", "WINDOW clause requires a GROUP BY clause.")
	case p.q.Having != nil:
		return nil, fault(p.q.Having.Pos(), "Use WHERE.", "HAVING clause requires a GROUP BY clause.")
	}
	if items, err = p.explode(items); err != nil {
		return nil, err
	}
	if len(p.q.PartitionBy) > 0 {
		return p.partitionBy(items)
	}
	return items, nil
}

func aggregateCall(e sql.Expr) *sql.Call {
	c, ok := e.(*sql.Call)
	if !ok {
		return nil
	}
	if d := function.Default().Find(c.Name); d != nil && d.Kind == function.Aggregate {
		return c
	}
	return nil
}

func (p *queryPlanner) hasAggregates(items []selectItem) *sql.Call {
	var found *sql.Call
	for _, it := range items {
		sql.Walk(it.expr, func(e sql.Expr) bool {
			if c := aggregateCall(e); c != nil && found == nil {
				found = c
			}
			return true
		})
	}
	return found
}

// explode plans table functions: each becomes a synthetic column.
func (p *queryPlanner) explode(items []selectItem) ([]selectItem, error) {
	var calls []plan.Expr
	m := *p.step.Meta()
	m.Schema.Columns = append([]types.Column{}, m.Schema.Columns...)
	for i, it := range items {
		c, ok := it.expr.(*sql.Call)
		if !ok {
			continue
		}
		d := function.Default().Find(c.Name)
		if d == nil || d.Kind != function.Table {
			continue
		}
		if m.IsTable {
			return nil, fault(it.at, "", "Table source is not supported with table functions")
		}
		t, err := tableFunctionType(c, p.step)
		if err != nil {
			return nil, err
		}
		name := "KSQL_SYNTH_" + strconv.Itoa(len(calls))
		calls = append(calls, plan.Expr{Name: name, Text: sql.PrintExpr(c), Type: t})
		m.Schema.Columns = append(m.Schema.Columns, types.Column{Name: name, Type: t})
		items[i].expr = &sql.ColumnRef{Name: name}
	}
	if len(calls) > 0 {
		m.ID = "explode"
		p.step = &plan.Explode{Common: m, Input: p.step, Calls: calls}
	}
	return items, nil
}

func tableFunctionType(c *sql.Call, in plan.Step) (*types.Type, error) {
	var args []function.Arg
	for _, a := range c.Args {
		prog, err := expr.Compile(a, scopeOf(in))
		if err != nil {
			return nil, err
		}
		args = append(args, function.Arg{Type: prog.Type(), Const: prog.Const()})
	}
	r, err := function.Default().Resolve(c.Name, function.Table, args, nil)
	if err != nil {
		err.Pos = c.Pos()
		return nil, err
	}
	return r.Returns, nil
}

func (p *queryPlanner) partitionBy(items []selectItem) ([]selectItem, error) {
	if p.step.Meta().IsTable {
		return nil, fault(p.q.PartitionBy[0].Pos(), "", "PARTITION BY is not supported on tables.")
	}
	var exprs []sql.Expr
	var names []string
	for i, e := range p.q.PartitionBy {
		if l, ok := e.(*sql.Literal); ok && l.Kind == sql.LitNull && len(p.q.PartitionBy) == 1 {
			break
		}
		r, err := p.rewrite(e)
		if err != nil {
			return nil, err
		}
		name := p.itemName(e)
		if name == "" || p.joined {
			name = "KSQL_COL_" + strconv.Itoa(i)
		}
		for _, it := range items {
			if sql.PrintExpr(it.expr) == sql.PrintExpr(r) {
				name = it.name
			}
		}
		exprs, names = append(exprs, r), append(names, name)
	}
	if err := p.rekey("partition", exprs, names, false); err != nil {
		return nil, err
	}
	// What computes the key is the key column now.
	for i := range items {
		for k, e := range exprs {
			if sql.PrintExpr(items[i].expr) == sql.PrintExpr(e) {
				items[i].expr = &sql.ColumnRef{Name: names[k]}
			}
		}
	}
	p.keyExprs = nil
	for _, n := range names {
		p.keyExprs = append(p.keyExprs, &sql.ColumnRef{Name: n})
	}
	return items, nil
}

// window turns a WINDOW clause into the plan's.
func planWindow(w *sql.WindowClause) *plan.Window {
	out := &plan.Window{Kind: plan.WindowKind(w.Kind), SizeMS: w.Size.MS(), AdvanceMS: w.Advance.MS(), GapMS: w.Gap.MS()}
	if w.Grace != nil {
		ms := w.Grace.MS()
		out.GraceMS = &ms
	}
	if w.Retention != nil {
		ms := w.Retention.MS()
		out.RetentionMS = &ms
	}
	return out
}

func joinNames(es []sql.Expr) string {
	var parts []string
	for _, e := range es {
		parts = append(parts, sql.PrintExpr(e))
	}
	if len(parts) > 1 {
		return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
	}
	return strings.Join(parts, "")
}
