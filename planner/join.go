package planner

import (
	"strconv"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

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
	left, leftKeys := p.step, p.keyExprs
	if err := p.from(ref); err != nil {
		return err
	}
	right := p.sources[len(p.sources)-1]
	p.qualify(right)
	rightStep, rightKeys := p.step, p.keyExprs
	if j.On == nil || j.Type == sql.CrossJoin {
		return fault(j.At, "Join on an equality: ON a.x = b.y.", "a join needs an ON clause")
	}
	l, r, err := p.criteria(j, right)
	if err != nil {
		return err
	}
	return p.joinSteps(j, left, leftKeys, l, rightStep, rightKeys, r, right)
}

// qualify renames a source's columns to ALIAS_COLUMN and adds its row time.
func (p *queryPlanner) qualify(r *relation) {
	in := r.step
	m := *in.Meta()
	pr := &plan.Project{Common: plan.Common{ID: "qualify." + r.alias, IsTable: m.IsTable, Window: m.Window}, Input: in}
	for i, k := range m.Schema.Keys() {
		name := "KEY_" + r.alias + "_" + strconv.Itoa(i)
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
	add(types.RowTime, types.Bigint)
	if m.Window != nil {
		add(types.WindowStart, types.Bigint)
		add(types.WindowEnd, types.Bigint)
	}
	r.step = pr
	p.step = pr
	p.keyExprs = nil
	for _, k := range r.source.Schema.Keys() {
		p.keyExprs = append(p.keyExprs, &sql.ColumnRef{Name: r.alias + "_" + k.Name})
	}
}

// criteria returns the sides of ON left = right, rewritten, right being the
// source joined last.
func (p *queryPlanner) criteria(j *sql.Join, right *relation) (l, r sql.Expr, err error) {
	c, ok := j.On.(*sql.Comparison)
	if !ok || c.Op != "=" {
		return nil, nil, fault(j.On.Pos(), "", "Unsupported join expression: only an equality is supported, found %s", sql.PrintExpr(j.On))
	}
	side := func(e sql.Expr) (rewritten sql.Expr, ofRight, ofLeft bool, err error) {
		if rewritten, err = p.rewrite(e); err != nil {
			return
		}
		sql.Walk(rewritten, func(x sql.Expr) bool {
			if col, ok := x.(*sql.ColumnRef); ok {
				if right.step.Meta().Schema.Find(col.Name) >= 0 {
					ofRight = true
				} else {
					ofLeft = true
				}
			}
			return true
		})
		return
	}
	a, aRight, aLeft, err := side(c.Left)
	if err != nil {
		return nil, nil, err
	}
	b, bRight, bLeft, err := side(c.Right)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case aLeft && !aRight && bRight && !bLeft:
		return a, b, nil
	case bLeft && !bRight && aRight && !aLeft:
		return b, a, nil
	}
	return nil, nil, fault(j.On.Pos(), "", "Invalid comparison expression '%s' in join: each side must refer to one source. Each side of the join comparison must contain references from exactly one source.", sql.PrintExpr(j.On))
}

func sameExpr(a []sql.Expr, b sql.Expr) bool {
	return len(a) == 1 && sql.PrintExpr(a[0]) == sql.PrintExpr(b)
}

func (p *queryPlanner) joinSteps(j *sql.Join, left plan.Step, leftKeys []sql.Expr, l sql.Expr, right plan.Step, rightKeys []sql.Expr, r sql.Expr, rel *relation) error {
	lt, rt := left.Meta().IsTable, right.Meta().IsTable
	switch {
	case lt && !rt:
		return fault(j.At, "Put the stream on the left.", "Invalid join order: table-stream joins are not supported; only stream-table joins.")
	case rt && !sameExpr(rightKeys, r):
		return p.notPrimary(j, lt, r)
	case lt && !sameExpr(leftKeys, l):
		return unsupported(j.On.Pos(), "a foreign-key join")
	case !lt && !rt && j.Within == nil:
		return fault(j.At, "Add WITHIN, for example WITHIN 1 HOUR.", "Stream-Stream joins must have a WITHIN clause specified. None was provided.")
	case rt && j.Within != nil:
		return fault(j.Within.At, "Remove it.", "WITHIN is for joins of two streams; %s is a table", rel.alias)
	case !lt && rt && (j.Type == sql.RightJoin || j.Type == sql.FullJoin):
		return fault(j.At, "Use INNER or LEFT.", "Invalid join type: %s join of a stream with a table is not supported", j.Type)
	}
	n := p.partitions()
	id := "join" + strconv.Itoa(len(p.sources)-1)
	keyName := "KEY_" + strconv.Itoa(len(p.sources)-1)
	var first *relation
	if len(p.sources) == 2 {
		first = p.sources[0]
	}
	var err error
	if left, err = p.keyed(id+".left", left, leftKeys, l, keyName, first, n); err != nil {
		return err
	}
	if right, err = p.keyed(id+".right", right, rightKeys, r, keyName, rel, n); err != nil {
		return err
	}
	lk, rk := left.Meta().Schema.Keys()[0].Type, right.Meta().Schema.Keys()[0].Type
	if !lk.Equal(rk) {
		return fault(j.On.Pos(), "Use CAST.", "Invalid join condition: types don't match. Got %s{%s} = %s{%s}.", sql.PrintExpr(l), lk, sql.PrintExpr(r), rk)
	}
	m := plan.Common{ID: id, IsTable: lt, Window: left.Meta().Window}
	m.Schema.Columns = append(m.Schema.Columns, left.Meta().Schema.Columns...)
	m.Schema.Columns = append(m.Schema.Columns, right.Meta().Schema.Values()...)
	switch {
	case !lt && !rt:
		s := &plan.StreamStreamJoin{Common: m, Left: left, Right: right, Type: plan.JoinType(j.Type), BeforeMS: j.Within.Before.MS(), AfterMS: j.Within.After.MS()}
		if j.Within.Grace != nil {
			ms := j.Within.Grace.MS()
			s.GraceMS = &ms
		}
		p.step = s
	case !lt:
		p.step = &plan.StreamTableJoin{Common: m, Stream: left, Table: right, Type: plan.JoinType(j.Type)}
	default:
		p.step = &plan.TableTableJoin{Common: m, Left: left, Right: right, Type: plan.JoinType(j.Type)}
	}
	// Either side's expression is the key; a FULL or RIGHT join's left side
	// may be null, so the key column itself stands for both.
	p.keyExprs = []sql.Expr{l}
	p.alternate = append(p.alternate, r)
	return nil
}

func (p *queryPlanner) notPrimary(j *sql.Join, tables bool, r sql.Expr) error {
	what := "stream-table joins require to join on the primary key of the table"
	if tables {
		what = "table-table joins require to join on the primary key of the right input table"
	}
	return fault(j.On.Pos(), "", "Invalid join condition: %s. Got %s.", what, sql.PrintExpr(j.On))
}

// keyed returns s with its key being e, moved to the key's partition.
func (p *queryPlanner) keyed(id string, s plan.Step, keys []sql.Expr, e sql.Expr, name string, rel *relation, n int) (plan.Step, error) {
	same := sameExpr(keys, e)
	saved := p.step
	p.step = s
	if !same {
		if err := p.rekey(id+".rekey", []sql.Expr{e}, []string{name}, false); err != nil {
			return nil, err
		}
		// A key that is a column of the same name as a value hides nothing.
	}
	out := p.exchange(id+".exchange", p.step, rel, !same, n)
	p.step = saved
	return out, nil
}
