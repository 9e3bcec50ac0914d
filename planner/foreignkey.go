package planner

import (
	"slices"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// checkForeign refuses foreign-key joins that ksqlDB's language does not have.
func checkForeign(j *sql.Join, left, right side) error {
	got := left.names + " " + string(j.Type) + " JOIN " + right.names
	switch {
	case j.Type == sql.RightJoin || j.Type == sql.FullJoin:
		return fault(j.At, "Use INNER or LEFT, or swap the tables.", "Invalid join type: a %s join is not supported for foreign-key table-table joins. Got %s.", j.Type, got)
	case left.step.Meta().Window != nil || right.step.Meta().Window != nil:
		return fault(j.At, "", "Foreign-key table-table joins are not supported on windowed tables. Got %s.", got)
	}
	return nil
}

// foreignJoin joins a table to another's primary key by an expression that is
// not its own: see plan.ForeignKeySubscribe.
func (p *queryPlanner) foreignJoin(j *sql.Join, id string, left, right side) error {
	n := p.partitions()
	rn := max(1, p.in.Facts.Topics[p.sources[len(p.sources)-1].source.Topic])
	p.step, p.keys, p.placed = left.step, left.keys, left.placed
	p.exchange(id+".left.exchange", n)
	in := p.step
	leftKeys := in.Meta().Schema.Keys()
	if err := checkKeyType(sql.PrintExpr(left.on), left.typ, left.on.Pos()); err != nil {
		return err
	}
	kind := plan.JoinType(j.Type)
	fk := plan.Expr{Name: "KSQL_FK", Text: sql.PrintExpr(left.expr), Type: left.typ}
	sub := &plan.ForeignKeySubscribe{Common: plan.Common{ID: id + ".subscribe", IsTable: true}, Input: in, ForeignKey: fk, Type: kind}
	sub.Schema.Columns = append([]types.Column{{Name: fk.Name, Type: fk.Type, Namespace: types.NamespaceKey}}, subscribeValues(in)...)
	p.step, p.placed = sub, false
	p.exchange(id+".subscribe.exchange", rn)
	asked := p.step

	if err := p.keyed(id+".right", &right, rn); err != nil {
		return err
	}
	answer := &plan.ForeignKeyAnswer{Common: plan.Common{ID: id + ".answer", IsTable: true}, Left: asked, Right: right.step, Type: kind, KeyFormat: p.keyFormat(leftKeys)}
	answer.Schema.Columns = append(slices.Clone(leftKeys), answerValues(asked, right.step, len(leftKeys))...)
	p.step, p.placed = answer, false
	p.exchange(id+".answer.exchange", n)
	result := &plan.ForeignKeyResult{Common: plan.Common{ID: id, IsTable: true}, Input: p.step}
	result.Schema.Columns = append(slices.Clone(leftKeys), resultValues(p.step)...)
	p.step, p.keys, p.placed = result, left.keys, true
	p.synthetic, p.foreign = "", left.names
	return nil
}

// subscribeValues are the value columns of a ForeignKeySubscribe.
func subscribeValues(in plan.Step) []types.Column {
	var out []types.Column
	for _, c := range in.Meta().Schema.Columns {
		out = append(out, types.Column{Name: c.Name, Type: c.Type})
	}
	return append(out, types.Column{Name: plan.ForeignKeyVersion, Type: types.Bigint}, types.Column{Name: plan.ForeignKeyNote, Type: types.Int})
}

// answerValues are the value columns of a ForeignKeyAnswer whose left table
// has nk key columns.
func answerValues(left, right plan.Step, nk int) []types.Column {
	l := left.Meta().Schema.Values()
	out := slices.Concat(l[nk:len(l)-2], right.Meta().Schema.Values())
	return append(out, types.Column{Name: plan.ForeignKeyVersion, Type: types.Bigint})
}

// resultValues are the value columns of a ForeignKeyResult.
func resultValues(in plan.Step) []types.Column {
	v := in.Meta().Schema.Values()
	return v[:len(v)-1]
}

// missingForeign says which key columns of the left table the projection
// lacks.
func (p *queryPlanner) missingForeign(names []string) error {
	s := ""
	if len(names) > 1 {
		s = "s"
	}
	return fault(p.q.At, "Add it to the SELECT: "+strings.Join(names, ", "), "Primary key column%s missing in projection. For foreign-key table-table joins, the projection must include all primary key columns from the left input table (%s). Missing column%s: %s.",
		s, types.QuoteAlways(p.foreign), s, strings.Join(names, ", "))
}
