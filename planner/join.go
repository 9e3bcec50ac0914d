package planner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/types"
)

// A side is one input of a join.
type side struct {
	step   plan.Step
	keys   []keyColumn
	placed bool
	on     sql.Expr // the side of ON, as written
	expr   sql.Expr // and rewritten
	typ    *types.Type
	names  string // of its sources, for messages
	first  bool   // it stands on the left of ON's equality
}

func (p *queryPlanner) side() side { return side{step: p.step, keys: p.keys, placed: p.placed} }

// join plans left JOIN right. Columns of joined sources are called
// ALIAS_COLUMN from here on.
func (p *queryPlanner) join(j *sql.Join) error {
	ref, ok := j.Right.(*sql.SourceRef)
	if !ok {
		return unsupported(j.At, "this kind of join")
	}
	if err := p.from(j.Left); err != nil {
		return err
	}
	if !p.joined {
		p.joined = true
		p.qualify(p.sources[0])
	}
	left := p.side()
	if err := p.from(ref); err != nil {
		return err
	}
	right := p.sources[len(p.sources)-1]
	if err := p.checkRepeated(j, ref, right); err != nil {
		return err
	}
	p.qualify(right)
	r := p.side()
	if j.On == nil || j.Type == sql.CrossJoin {
		return fault(j.At, "Join on an equality: ON a.x = b.y.", "a join needs an ON clause")
	}
	if err := p.criteria(j, &left, &r, right); err != nil {
		return err
	}
	if err := p.checkJoin(j, left, r, right); err != nil {
		return err
	}
	return p.joinSteps(j, left, r)
}

// checkRepeated refuses a source that has been joined already.
func (p *queryPlanner) checkRepeated(j *sql.Join, ref *sql.SourceRef, right *relation) error {
	name := right.source.Name
	for _, other := range p.sources[:len(p.sources)-1] {
		switch _, many := j.Left.(*sql.Join); {
		case other.source != right.source:
		case many:
			return fault(ref.At, "Join a copy of it, made by CREATE ... AS SELECT * FROM "+sql.QuoteName(name)+".", "N-way joins do not support multiple occurrences of the same source. Source: '%s'.", name)
		default:
			return fault(ref.At, "Join a copy of it, made by CREATE ... AS SELECT * FROM "+sql.QuoteName(name)+".", "Can not join '%s' to '%s': self joins are not yet supported.", name, name)
		}
	}
	return nil
}

// qualify renames a source's columns to ALIAS_COLUMN and adds its pseudo
// columns; what nobody needs is not computed.
func (p *queryPlanner) qualify(r *relation) {
	m := *p.step.Meta()
	pr := &plan.Project{Common: plan.Common{ID: "qualify." + r.alias, IsTable: m.IsTable, Window: m.Window}, Input: p.step}
	p.keys = nil
	for i, k := range m.Schema.Keys() {
		name := "KEY_" + r.alias + "_" + strconv.Itoa(i)
		p.keys = append(p.keys, keyColumn{name, []sql.Expr{column(r.alias + "_" + k.Name)}})
		pr.Keys = append(pr.Keys, name)
		k.Name = name
		pr.Schema.Columns = append(pr.Schema.Columns, k)
	}
	add := func(name string, t *types.Type) {
		pr.Values = append(pr.Values, plan.Expr{Name: r.alias + "_" + name, Text: sql.QuoteName(name), Type: t})
		pr.Schema.Columns = append(pr.Schema.Columns, types.Column{Name: r.alias + "_" + name, Type: t})
	}
	for _, c := range m.Schema.Columns {
		add(c.Name, c.Type)
	}
	for _, name := range []string{types.RowTime, types.RowPartition, types.RowOffset, types.WindowStart, types.WindowEnd} {
		if bound := name == types.WindowStart || name == types.WindowEnd; !bound || m.Window != nil {
			add(name, expr.PseudoType(name))
		}
	}
	r.step = pr
	p.step = pr
}

// criteria reads ON left = right, right being of the source joined last.
func (p *queryPlanner) criteria(j *sql.Join, left, right *side, rel *relation) error {
	c, ok := j.On.(*sql.Comparison)
	if l, and := j.On.(*sql.Logical); and && l.Op == "AND" {
		return fault(j.On.Pos(), "Join on one expression, for example a STRUCT of both.", "Invalid join condition: joins on multiple conditions are not yet supported. Got %s.", sql.PrintExpr(j.On))
	}
	if !ok || c.Op != "=" {
		return fault(j.On.Pos(), "", "Unsupported join expression: only an equality is supported, found %s", sql.PrintExpr(j.On))
	}
	a, aOf, err := p.sourcesOf(c.Left)
	if err != nil {
		return err
	}
	b, bOf, err := p.sourcesOf(c.Right)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		e  sql.Expr
		of []*relation
	}{{c.Left, aOf}, {c.Right, bOf}} {
		if len(s.of) != 1 {
			return fault(s.e.Pos(), "", "Invalid comparison expression '%s' in join '%s'. Each side of the join comparison must contain references from exactly one source.", sql.PrintExpr(s.e), sql.PrintExpr(c))
		}
	}
	switch {
	case bOf[0] == rel && aOf[0] != rel:
		left.expr, right.expr, left.names = a, b, aOf[0].alias
		left.on, right.on, left.first = c.Left, c.Right, true
	case aOf[0] == rel && bOf[0] != rel:
		left.expr, right.expr, left.names = b, a, bOf[0].alias
		left.on, right.on = c.Right, c.Left
	default:
		return fault(j.On.Pos(), "", "A join criteria is expected to reference the source (%s) in the FROM clause, instead it references %s and %s", types.QuoteAlways(rel.alias), types.QuoteAlways(aOf[0].alias), types.QuoteAlways(bOf[0].alias))
	}
	right.names = rel.alias
	return p.joinTypes(j, left, right)
}

// joinTypes types both sides of ON, which must be equal.
func (p *queryPlanner) joinTypes(j *sql.Join, left, right *side) error {
	for _, s := range []*side{left, right} {
		prog, err := expr.Compile(s.expr, scopeOf(s.step))
		if err != nil {
			return err
		}
		s.typ = prog.Type()
	}
	if !left.typ.Equal(right.typ) {
		return fault(j.On.Pos(), "Use CAST.", "Invalid join condition: types don't match. Got %s.", p.condition(*left, *right, func(s side) string { return "{" + s.typ.String() + "}" }))
	}
	return checkKeyType(sql.PrintExpr(left.on), left.typ, j.On.Pos())
}

// condition shows ON with each column's source before it, and something after
// each side.
func (p *queryPlanner) condition(left, right side, after func(side) string) string {
	if !left.first {
		left, right = right, left
	}
	var parts []string
	for _, s := range []side{left, right} {
		parts = append(parts, sql.PrintExpr(p.qualified(s.expr))+after(s))
	}
	return strings.Join(parts, " = ")
}

// qualified turns the plan's names in a rewritten expression back into the
// user's, each with its source.
func (p *queryPlanner) qualified(e sql.Expr) sql.Expr {
	return sql.Transform(e, func(x sql.Expr) sql.Expr {
		c, ok := x.(*sql.ColumnRef)
		if !ok || !p.joined {
			return x
		}
		for _, r := range p.sources {
			if name, ok := strings.CutPrefix(c.Name, r.alias+"_"); ok && (r.source.Schema.Find(name) >= 0 || pseudoName(name)) {
				return &sql.ColumnRef{Source: r.alias, Name: name}
			}
		}
		return x
	})
}

// sourcesOf rewrites e and returns the sources it refers to.
func (p *queryPlanner) sourcesOf(e sql.Expr) (sql.Expr, []*relation, error) {
	r, err := p.rewrite(e)
	if err != nil {
		return nil, nil, err
	}
	var of []*relation
	sql.Walk(r, func(x sql.Expr) bool {
		c, ok := x.(*sql.ColumnRef)
		if !ok {
			return true
		}
		known := false
		for _, rel := range p.sources {
			if rel.step.Meta().Schema.Find(c.Name) < 0 {
				continue
			}
			known = true
			if !slices.Contains(of, rel) {
				of = append(of, rel)
			}
		}
		if !known && err == nil {
			err = fault(c.Pos(), "", "JOIN ON column '%s' cannot be resolved.", c.Name)
		}
		return true
	})
	return r, of, err
}

func isKeyOf(s side) bool { return len(s.keys) == 1 && s.keys[0].is(s.expr) }

// checkJoin refuses joins that ksqlDB's language does not have.
func (p *queryPlanner) checkJoin(j *sql.Join, left, right side, rel *relation) error {
	lt, rt := left.step.Meta().IsTable, right.step.Meta().IsTable
	got := left.names + " " + string(j.Type) + " JOIN " + right.names
	switch {
	case lt && !rt:
		return fault(j.At, "Put the stream on the left.", "Invalid join order: table-stream joins are not supported; only stream-table joins. Got %s.", got)
	case rt && !isKeyOf(right):
		return p.notPrimary(j, left, right)
	case lt && !isKeyOf(left):
		return checkForeign(j, left, right)
	case !lt && !rt && j.Within == nil:
		return fault(j.At, "Add WITHIN, for example WITHIN 1 HOUR.", "Stream-Stream joins must have a WITHIN clause specified. None was provided. Got %s.", got)
	case rt && j.Within != nil:
		return fault(j.Within.At, "Remove it.", "WITHIN is for joins of two streams; %s is a table", rel.alias)
	case !lt && rt && (j.Type == sql.RightJoin || j.Type == sql.FullJoin):
		return fault(j.At, "Use INNER or LEFT.", "Invalid join type: %s join is not supported for stream-table joins. Got %s.", j.Type, got)
	}
	if err := p.checkWindows(j, left, right); err != nil {
		return err
	}
	return p.checkPartitions(j, left, rel)
}

// checkPartitions refuses sources of different partition counts: where their
// keys have the same bytes, equal keys must have equal partitions.
func (p *queryPlanner) checkPartitions(j *sql.Join, left side, right *relation) error {
	n := p.in.Facts.Topics[right.source.Topic]
	for _, r := range p.sources[:len(p.sources)-1] {
		have := p.in.Facts.Topics[r.source.Topic]
		if r.alias != left.names || have == n {
			continue
		}
		return fault(j.At, fmt.Sprintf("Copy one of them with the partitions of the other: CREATE ... WITH (PARTITIONS=%d) AS SELECT * FROM %s.", n, sql.QuoteName(r.source.Name)),
			"Can't join %s with %s since the number of partitions don't match. %s partitions = %d; %s partitions = %d.", types.QuoteAlways(r.alias), types.QuoteAlways(right.alias), types.QuoteAlways(r.alias), have, types.QuoteAlways(right.alias), n)
	}
	return nil
}

// checkWindows refuses joins of keys whose windows differ: a window is part of
// the key.
func (p *queryPlanner) checkWindows(j *sql.Join, left, right side) error {
	l, r := left.step.Meta().Window, right.step.Meta().Window
	switch {
	case l == nil && r == nil:
		return nil
	case l == nil || r == nil:
		return fault(j.At, "", "Can not join windowed source to non-windowed source. %s is %s, %s is %s.", left.names, windowed(l), right.names, windowed(r))
	case !isKeyOf(left) || !isKeyOf(right):
		return fault(j.On.Pos(), "Join on the key columns of both.", "Implicit repartitioning of windowed sources is not supported. Got %s.", p.condition(left, right, func(side) string { return "" }))
	case (l.Kind != plan.Session) && (r.Kind != plan.Session) && p.framedKeys():
		return nil
	case l.Kind != r.Kind || l.SizeMS != r.SizeMS:
		return fault(j.At, "", "Can not join sources of different windows: %s is %s, %s is %s.", left.names, windowed(l), right.names, windowed(r))
	}
	return nil
}

// framedKeys reports whether all sources have keys with a schema's id in them:
// their bytes are rewritten for a join, so that only the windows' starts must be
// equal.
func (p *queryPlanner) framedKeys() bool {
	return !slices.ContainsFunc(p.sources, func(r *relation) bool {
		return !slices.Contains([]string{"AVRO", "JSON_SR", "PROTOBUF"}, r.source.KeyFormat.Name)
	})
}

func windowed(w *plan.Window) string {
	if w == nil {
		return "not windowed"
	}
	return string(w.Kind) + " windowed"
}

func (p *queryPlanner) notPrimary(j *sql.Join, left, right side) error {
	what := "stream-table joins require to join on the table's primary key"
	if left.step.Meta().IsTable {
		what = "table-table joins require to join on the primary key of the right input table"
	}
	var keys []string
	for _, k := range right.keys {
		for _, e := range k.same {
			keys = append(keys, sql.PrintExpr(p.qualified(e)))
		}
	}
	hint := "The primary key of " + right.names + " is " + strings.Join(keys, ", ") + "."
	return fault(j.On.Pos(), hint, "Invalid join condition: %s. Got %s.", what, p.condition(left, right, func(side) string { return "" }))
}

// joinSteps brings both sides' rows of a key to one partition and joins them.
func (p *queryPlanner) joinSteps(j *sql.Join, left, right side) error {
	id := "join" + strconv.Itoa(len(p.sources)-1)
	n := p.partitions()
	if left.step.Meta().IsTable && !isKeyOf(left) {
		return p.foreignJoin(j, id, left, right)
	}
	if err := p.keyed(id+".left", &left, n); err != nil {
		return err
	}
	if err := p.keyed(id+".right", &right, n); err != nil {
		return err
	}
	p.joinedKey(j, left, right)
	m := plan.Common{ID: id, IsTable: left.step.Meta().IsTable, Window: left.step.Meta().Window}
	m.Schema.Columns = append(m.Schema.Columns, types.Column{Name: p.keys[0].name, Type: left.typ, Namespace: types.NamespaceKey})
	m.Schema.Columns = append(m.Schema.Columns, left.step.Meta().Schema.Values()...)
	m.Schema.Columns = append(m.Schema.Columns, right.step.Meta().Schema.Values()...)
	switch {
	case !right.step.Meta().IsTable:
		s := &plan.StreamStreamJoin{Common: m, Left: left.step, Right: right.step, Type: plan.JoinType(j.Type), BeforeMS: j.Within.Before.MS(), AfterMS: j.Within.After.MS()}
		if j.Within.Grace != nil {
			ms := j.Within.Grace.MS()
			s.GraceMS = &ms
		}
		p.step = s
	case !m.IsTable:
		p.step = &plan.StreamTableJoin{Common: m, Stream: left.step, Table: right.step, Type: plan.JoinType(j.Type)}
	default:
		p.step = &plan.TableTableJoin{Common: m, Left: left.step, Right: right.step, Type: plan.JoinType(j.Type)}
	}
	p.placed = true
	return nil
}

// joinedKey says what has the value of the joined rows' key: both sides of ON
// and all that equals them already. After a FULL join either side may be null,
// so only the key column itself does; it, and a key that is no column at all,
// go by a name made up.
func (p *queryPlanner) joinedKey(j *sql.Join, left, right side) {
	k := keyColumn{name: p.newNamer(p.q.From).unique("ROWKEY")}
	p.synthetic = ""
	if j.Type != sql.FullJoin {
		k.same = []sql.Expr{left.expr}
		if isKeyOf(left) {
			k.same = slices.Clone(left.keys[0].same)
		}
		k.same = append(k.same, right.expr)
	}
	if len(k.columns()) == 0 {
		p.synthetic = k.name
		k.same = append([]sql.Expr{column(k.name)}, k.same...)
	}
	p.keys = []keyColumn{k}
}

// keyed makes s's key the side of ON and brings its rows to the key's
// partition.
func (p *queryPlanner) keyed(id string, s *side, n int) error {
	p.step, p.keys, p.placed = s.step, s.keys, s.placed
	if !isKeyOf(*s) {
		if err := p.rekey(id+".rekey", []sql.Expr{s.expr}, []string{sql.PrintExpr(s.expr)}, toJoin); err != nil {
			return err
		}
	}
	p.exchange(id+".exchange", n)
	s.step = p.step
	return nil
}
