package pull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/types"
	"karst/sql/vector"
)

// chunkSlots is how many slots are read at a time.
const chunkSlots = 4096

// An Env is what the evaluation of expressions needs.
type Env struct {
	Now      func() time.Time
	Rand     func() uint64
	NewArena func() *vector.Arena // nil: vector.NewArena
}

// A Query is a pull query on a table, ready to be run; by one goroutine at a
// time.
type Query struct {
	base   plan.Step // the step that keeps the rows
	reader operator.Reader
	steps  []operator.Operator // from its rows to the answer's
	keys   []types.Column      // of the base's rows
	window *plan.Window
	alts   []alternative
	output *plan.Output
	env    Env
}

// Stores gives a step's stores, one a partition.
type Stores = func(step string) []*state.Store

// Stats tell how much a run looked at.
type Stats struct {
	Keys int64 // keys looked up, or met by a scan
	Rows int64 // rows read
}

// New makes a query of a plan over the table that the query with the given
// root fills.
func New(root plan.Step, p *plan.Plan, l plan.Lookup, env Env) (*Query, error) {
	if env.NewArena == nil {
		env.NewArena = vector.NewArena
	}
	base, above := stateOf(root)
	m := base.Meta()
	q := &Query{base: base, keys: m.Schema.Keys(), window: m.Window, env: env}
	var err error
	if q.reader, err = operator.NewReader(base); err != nil {
		return nil, err
	}
	for _, s := range append(above, stepsAbove(p.Root)...) {
		op, err := operator.Build(s, nil, operator.Deps{})
		if err != nil {
			return nil, err
		}
		q.steps = append(q.steps, op)
	}
	q.output = p.Root.(*plan.Output)
	q.alts = compileAlternatives(l, q.keys)
	return q, nil
}

// stateOf returns the step that keeps the rows of the table below root, and
// the steps between it and the table, lowest first.
func stateOf(root plan.Step) (base plan.Step, above []plan.Step) {
	sink, ok := root.(*plan.Sink)
	if !ok || sink.Materialized {
		return root, nil
	}
	s := sink.Input
	for len(s.Inputs()) > 0 {
		if _, ok := s.(*plan.Aggregate); ok {
			return s, above
		}
		above = append([]plan.Step{s}, above...)
		s = s.Inputs()[0]
	}
	return s, above
}

// stepsAbove returns the steps between a plan's source and its output, lowest
// first.
func stepsAbove(root plan.Step) []plan.Step {
	var out []plan.Step
	for s := root.Inputs()[0]; len(s.Inputs()) > 0; s = s.Inputs()[0] {
		out = append([]plan.Step{s}, out...)
	}
	return out
}

// Run answers the query from the stores of the table's query, which stores
// gives by the step that keeps them, one a partition. emit takes the rows,
// with the columns of the plan's output after its key columns, until it returns
// false; a batch and what is in it lives until emit returns.
func (q *Query) Run(ctx context.Context, stores Stores, emit func(*vector.Batch) bool) (Stats, error) {
	r := &run{Query: q, ctx: ctx, arena: q.env.NewArena(), emit: emit}
	limited := q.output.Limit != nil
	if limited {
		r.first = newFirstRows(*q.output.Limit, q.output.Input.Meta().Schema)
		r.emit = r.first.add
	}
	sel := q.selection(r.context())
	for _, s := range stores(q.base.Meta().ID) {
		if more, err := r.partition(s, sel); err != nil || !more {
			return r.stats, err
		}
	}
	if limited {
		b, err := r.first.finish(r.arena)
		if err == nil && b != nil {
			emit(b)
		}
		return r.stats, err
	}
	return r.stats, nil
}

// A run is one answering of a query.
type run struct {
	*Query
	ctx   context.Context
	arena *vector.Arena
	emit  func(*vector.Batch) bool
	first *firstRows
	stats Stats
}

func (r *run) context() *operator.Context {
	return &operator.Context{Arena: r.arena, Now: r.env.Now, Rand: r.env.Rand, Report: func(operator.Fault) {}}
}

// partition reads one store; false if the reader has enough.
func (r *run) partition(s *state.Store, sel *selection) (more bool, err error) {
	switch {
	case sel.exact:
		return r.find(s, sel)
	case sel.whole && r.window != nil:
		return r.windows(s, sel)
	}
	return r.scan(s, sel)
}

// find looks up keys, a chunk at a time.
func (r *run) find(s *state.Store, sel *selection) (more bool, err error) {
	more = true
	for from := 0; from < sel.keys.Len() && more && err == nil; from += chunkSlots {
		n := min(chunkSlots, sel.keys.Len()-from)
		part := state.Keys{Buf: sel.keys.Buf, Off: sel.keys.Off[from : from+n+1]}
		more, err = r.chunk(func(read readFunc) error {
			s.View(func(t *state.Table, meta func(string) []byte) {
				slots := r.arena.Int32s(n)
				t.Get(&part, slots)
				found := slots[:0]
				for _, slot := range slots {
					if slot >= 0 {
						found = append(found, slot)
					}
				}
				read(t, meta, found)
			})
			r.stats.Keys += int64(n)
			return nil
		})
	}
	return more, err
}

// windows reads those windows of keys that the conditions let pass.
func (r *run) windows(s *state.Store, sel *selection) (more bool, err error) {
	seen := map[string]bool{}
	for _, c := range sel.conds {
		if seen[string(c.prefix)] {
			continue
		}
		seen[string(c.prefix)] = true
		more, err := r.chunk(func(read readFunc) error {
			r.stats.Keys += int64(s.Prefixed(c.prefix, operator.WindowBytes, func(t *state.Table, meta func(string) []byte, slots []int32) {
				found := slots[:0]
				for _, slot := range slots {
					if sel.may(t.Key(slot)) {
						found = append(found, slot)
					}
				}
				read(t, meta, found)
			}))
			return nil
		})
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// scan reads all keys that the conditions do not rule out.
func (r *run) scan(s *state.Store, sel *selection) (more bool, err error) {
	scan := s.Scan()
	defer scan.Close()
	for {
		looked := 0
		more, err = r.chunk(func(read readFunc) (err error) {
			looked, err = scan.Next(r.arena.Int32s(chunkSlots), sel.may, read)
			r.stats.Keys += int64(looked)
			return err
		})
		if err != nil || !more || looked == 0 {
			return more, err
		}
	}
}

// A readFunc takes slots of a table to read.
type readFunc = func(t *state.Table, meta func(name string) []byte, slots []int32)

// chunk reads the slots that choose gives, and takes their rows through the
// steps to the reader.
func (r *run) chunk(choose func(read readFunc) error) (more bool, err error) {
	if err := r.ctx.Err(); err != nil {
		return false, fmt.Errorf("reading the table: %w", err)
	}
	r.arena.Reset()
	var b *vector.Batch
	var failed error
	err = choose(func(t *state.Table, meta func(string) []byte, slots []int32) {
		if len(slots) > 0 {
			b, failed = r.reader.Read(r.arena, t, meta, slots)
		}
	})
	if err = errors.Join(err, failed); err != nil || b == nil {
		return true, err
	}
	r.stats.Rows += int64(b.N)
	c := r.context()
	for _, op := range r.steps {
		if b, err = op.Run(c, []*vector.Batch{b}); err != nil || b == nil {
			return true, err
		}
		if b = live(b); b.Rows() == 0 {
			return true, nil
		}
	}
	return r.emit(b), nil
}

// live leaves out what a table's filter turned into Deletes.
func live(b *vector.Batch) *vector.Batch {
	if b.Ops == nil {
		return b
	}
	out := *b
	out.Sel = make([]int32, 0, b.Rows())
	for n := range b.Rows() {
		if i := b.Row(n); b.Op(i) == vector.Upsert {
			out.Sel = append(out.Sel, int32(i))
		}
	}
	out.Ops = nil
	return &out
}
