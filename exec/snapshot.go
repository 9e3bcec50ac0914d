package exec

import (
	"karst/exec/operator"
	"karst/exec/state"
	"karst/exec/task"
	"karst/planner/plan"
	"karst/sql/vector"
)

// snapshot answers a pull query's plan from the committed state of the unit
// that fills its table, partition by partition.
func (e *Engine) snapshot(u *task.Unit, p *plan.Plan, out *rowWriter) error {
	sink, ok := u.Plan().Root.(*plan.Sink)
	if !ok {
		return nil
	}
	base, above := stateOf(sink)
	read, err := reader(base)
	if err != nil {
		return err
	}
	for _, store := range u.Stores(base.Meta().ID) {
		a := vector.NewArena()
		var b *vector.Batch
		store.View(func(t *state.Table) { b, err = read(a, t) })
		if err != nil || b == nil {
			if err != nil {
				return err
			}
			continue
		}
		if b, err = e.through(a, above, b); err != nil {
			return err
		}
		// The query's own steps, above its source.
		if b != nil {
			if b, err = e.through(a, stepsAbove(p.Root), b); err != nil {
				return err
			}
		}
		if b != nil && !out.write(live(b)) {
			return nil
		}
	}
	return nil
}

// live drops what a filter turned into Deletes.
func live(b *vector.Batch) *vector.Batch {
	out := *b
	out.Sel = []int32{}
	for n := range b.Rows() {
		if i := b.Row(n); b.Op(i) == vector.Upsert {
			out.Sel = append(out.Sel, int32(i))
		}
	}
	return &out
}

// stateOf returns the step that keeps a sink's rows, and the steps between it
// and the sink, lowest first.
func stateOf(sink *plan.Sink) (base plan.Step, above []plan.Step) {
	if sink.Materialized {
		return sink, nil
	}
	for s := sink.Input; ; s = s.Inputs()[0] {
		if _, ok := s.(*plan.Aggregate); ok {
			return s, above
		}
		above = append([]plan.Step{s}, above...)
		if len(s.Inputs()) == 0 {
			return s, nil
		}
	}
}

// stepsAbove returns the Filters and Projects between a plan's source and its
// output, lowest first.
func stepsAbove(root plan.Step) []plan.Step {
	var out []plan.Step
	for s := root.Inputs()[0]; len(s.Inputs()) > 0; s = s.Inputs()[0] {
		out = append([]plan.Step{s}, out...)
	}
	return out
}

func reader(base plan.Step) (func(a *vector.Arena, t *state.Table) (*vector.Batch, error), error) {
	m := base.Meta()
	if agg, ok := base.(*plan.Aggregate); ok {
		g, err := operator.NewGroups(agg)
		if err != nil {
			return nil, err
		}
		return func(a *vector.Arena, t *state.Table) (*vector.Batch, error) { return g.Read(a, t, nil) }, nil
	}
	return func(a *vector.Arena, t *state.Table) (*vector.Batch, error) {
		return operator.ReadRows(a, t, m.Schema, m.Window != nil, nil)
	}, nil
}

// through runs stateless steps on a batch.
func (e *Engine) through(a *vector.Arena, steps []plan.Step, b *vector.Batch) (*vector.Batch, error) {
	for _, s := range steps {
		op, err := operator.Build(s, nil, operator.Deps{})
		if err != nil {
			return nil, err
		}
		if b, err = op.Run(e.context(a), []*vector.Batch{b}); err != nil || b == nil {
			return nil, err
		}
	}
	return b, nil
}
