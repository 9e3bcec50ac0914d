package operator

import (
	"fmt"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
)

// Needed tells for each step, by id, which columns of its output are used, by
// position; key columns always are.
type Needed map[string][]bool

// ComputeNeeded walks a plan from its root down. Columns that nobody needs are
// neither decoded nor computed: they are nil in batches.
func ComputeNeeded(root plan.Step) (Needed, error) {
	n := Needed{}
	all := map[string]bool{}
	for _, c := range root.Meta().Schema.Columns {
		all[c.Name] = true
	}
	return n, n.visit(root, all)
}

func (n Needed) visit(s plan.Step, names map[string]bool) error {
	m := s.Meta()
	use := n[m.ID]
	if use == nil {
		use = make([]bool, len(m.Schema.Columns))
		n[m.ID] = use
	}
	for i, c := range m.Schema.Columns {
		use[i] = use[i] || names[c.Name] || i < len(m.Schema.Keys())
	}
	below, err := inputNames(s, names)
	if err != nil {
		return err
	}
	for _, in := range s.Inputs() {
		if err := n.visit(in, below); err != nil {
			return err
		}
	}
	return nil
}

// inputNames returns the columns of its inputs that s needs to give names.
func inputNames(s plan.Step, names map[string]bool) (map[string]bool, error) {
	out := map[string]bool{}
	var texts []string
	keep := true
	switch s := s.(type) {
	case *plan.Filter:
		texts = append(texts, s.Predicate)
	case *plan.Project:
		keep = false
		for _, v := range s.Values {
			if names[v.Name] {
				texts = append(texts, v.Text)
			}
		}
	case *plan.Explode:
		for _, c := range s.Calls {
			texts = append(texts, c.Text)
		}
	case *plan.Rekey:
		for _, k := range s.Keys {
			texts = append(texts, k.Text)
		}
	case *plan.ForeignKeySubscribe:
		texts = append(texts, s.ForeignKey.Text)
	case *plan.ForeignKeyAnswer:
		for _, k := range s.Schema.Keys() {
			out[k.Name] = true
		}
		out[plan.ForeignKeyVersion], out[plan.ForeignKeyNote] = true, true
	case *plan.ForeignKeyResult:
		out[plan.ForeignKeyVersion] = true
	case *plan.Aggregate:
		keep = false
		for _, c := range s.Calls {
			for _, a := range c.Args {
				texts = append(texts, a.Text)
			}
		}
	}
	if keep {
		for name := range names {
			out[name] = true
		}
	}
	for _, text := range texts {
		e, err := sql.ParseExpr(text)
		if err != nil {
			return nil, fmt.Errorf("step %s: %s: %w", s.Meta().ID, text, err)
		}
		for _, in := range s.Inputs() {
			sc := scope(in)
			for _, i := range expr.Columns(e, sc) {
				out[sc.Columns[i].Name] = true
			}
		}
	}
	return out, nil
}
