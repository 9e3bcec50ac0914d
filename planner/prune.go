package planner

import (
	"fmt"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// prune drops the columns that nothing above needs from the steps that choose
// their columns, Project and Rekey, so that exchanges and joins carry and keep
// no more than the query uses. It returns the columns needed of each source
// step, by the step's id.
func prune(root plan.Step) map[string]names {
	p := pruner{sources: map[string]names{}}
	p.step(root, nil)
	return p.sources
}

// names is a set of column names.
type names map[string]bool

type pruner struct{ sources map[string]names }

// step prunes s, of whose output the columns need are used, and all below it.
func (p *pruner) step(s plan.Step, need names) {
	switch s := s.(type) {
	case *plan.Source:
		p.sources[s.ID] = need
		return
	case *plan.Sink, *plan.Output:
		need = names{}
		need.addColumns(s.Meta().Schema.Columns)
	case *plan.Project:
		s.Values = keep(s.Values, need)
		need = names{}
		need.addExprs(s.Values)
	case *plan.Filter:
		need = need.with(s.Predicate)
	case *plan.Explode:
		need = need.with()
		need.addExprs(s.Calls)
	case *plan.Rekey:
		need = need.with()
		need.addExprs(s.Keys)
	case *plan.ForeignKeySubscribe:
		need = need.with(s.ForeignKey.Text)
	case *plan.ForeignKeyAnswer:
		need = need.with(plan.ForeignKeyVersion, plan.ForeignKeyNote)
		need.addColumns(s.Schema.Keys())
	case *plan.ForeignKeyResult:
		need = need.with(plan.ForeignKeyVersion)
	case *plan.Aggregate:
		need = names{}
		for _, c := range s.Calls {
			need.addExprs(c.Args)
		}
	}
	above := need
	for _, in := range s.Inputs() {
		p.step(in, above)
	}
	reshape(s, above)
}

// with returns a copy of n with the columns that texts refer to.
func (n names) with(texts ...string) names {
	out := names{}
	for name := range n {
		out[name] = true
	}
	for _, t := range texts {
		out.addText(t)
	}
	return out
}

func (n names) addColumns(cols []types.Column) {
	for _, c := range cols {
		n[c.Name] = true
	}
}

func (n names) addExprs(list []plan.Expr) {
	for _, e := range list {
		n.addText(e.Text)
	}
}

func (n names) addText(text string) {
	e, err := sql.ParseExpr(text)
	if err != nil {
		panic(fmt.Sprintf("planner: a plan's expression %q: %v", text, err)) // it was printed from a tree
	}
	sql.Walk(e, func(x sql.Expr) bool {
		if c, ok := x.(*sql.ColumnRef); ok {
			n[c.Name] = true
		}
		return true
	})
}

func keep(list []plan.Expr, need names) []plan.Expr {
	var out []plan.Expr
	for _, e := range list {
		if need[e.Name] {
			out = append(out, e)
		}
	}
	return out
}

// reshape brings s's schema in line with its inputs', which were pruned. need
// are the columns that s itself and what is above it use of its inputs.
func reshape(s plan.Step, need names) {
	m := s.Meta()
	keys := m.Schema.Keys()
	values := m.Schema.Values()
	switch s := s.(type) {
	case *plan.Project:
		kept := names{}
		for _, v := range s.Values {
			kept[v.Name] = true
		}
		values = only(values, kept)
	case *plan.Rekey:
		values = only(values, need)
	case *plan.Filter, *plan.Exchange:
		values = notKeys(s.Inputs()[0].Meta().Schema)
	case *plan.Explode:
		values = notKeys(s.Input.Meta().Schema)
		for _, c := range s.Calls {
			values = append(values[:len(values):len(values)], types.Column{Name: c.Name, Type: c.Type})
		}
	case *plan.ForeignKeySubscribe:
		values = subscribeValues(s.Input)
	case *plan.ForeignKeyAnswer:
		values = answerValues(s.Left, s.Right, len(keys))
	case *plan.ForeignKeyResult:
		values = resultValues(s.Input)
	case *plan.StreamStreamJoin, *plan.StreamTableJoin, *plan.TableTableJoin:
		values = append(s.Inputs()[0].Meta().Schema.Values(), s.Inputs()[1].Meta().Schema.Values()...)
	default:
		return
	}
	m.Schema = types.Schema{Columns: append(keys, values...)}
}

func only(cols []types.Column, need names) []types.Column {
	var out []types.Column
	for _, c := range cols {
		if need[c.Name] {
			out = append(out, c)
		}
	}
	return out
}
