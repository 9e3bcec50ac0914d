package operator

import (
	"fmt"
	"math"
	"slices"

	"karst/exec/state"
	"karst/exec/window"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// A slot begins with the group's time, the greatest of its rows', and a flag.
const (
	slotTime   = 0
	slotFlags  = 8
	slotLane   = 12 // of the last row folded in, with EMIT FINAL of the first; see streamTime
	slotHead   = 16
	flagFinal  = 1 // the window's last value has been emitted, or never will be
	flagListed = 4 // the window stands in openWindows, for EMIT FINAL
)

// Groups is what reading an aggregate's state takes: its kernels and where
// each one's cells begin.
type Groups struct {
	schema  types.Schema
	nk      int
	window  *plan.Window
	kernels []function.AggregateKernel
	offsets []int
	layout  state.Layout
}

type aggregate struct {
	Groups
	step   *plan.Aggregate
	args   [][]*expr.Program
	every  bool
	store  *state.Store
	spec   window.Spec
	time   streamTime
	swept  streamTime // time at the last Collect that looked
	keys   state.Keys
	slots  []int32
	dirty  []int32 // overlay slots changed since the last Flush, in order
	marked []bool  // by slot: stands in dirty
	assign window.Assigned
	open   []openWindows // by lane, for EMIT FINAL
	dir    map[string][]session
	// Of sessions: the keys of those changed since the last Flush.
	changed     []string
	changedMark map[string]bool
}

func newAggregate(s *plan.Aggregate, d Deps) (Operator, error) {
	a := &aggregate{step: s, every: d.EveryChange || s.EmitFinal, changedMark: map[string]bool{}}
	g, args, err := newGroups(s, d.Settings)
	if err != nil {
		return nil, err
	}
	a.Groups, a.args = *g, args
	if s.Undo {
		for i, k := range a.kernels {
			if _, ok := k.(function.Undoer); !ok {
				return nil, types.Errorf(types.ErrStatement, types.Pos{}, "%s can't be used over a table: it has no way to undo", s.Calls[i].Function)
			}
		}
	}
	if s.Window != nil {
		if a.spec, err = WindowSpec(s.Window); err != nil {
			return nil, err
		}
	}
	if a.store, err = d.Store(s.ID, a.layout); err != nil {
		return nil, err
	}
	a.Reset()
	return a, nil
}

// WindowSpec returns the window arithmetic of a plan's window.
func WindowSpec(w *plan.Window) (window.Spec, error) {
	kind := map[plan.WindowKind]window.Kind{plan.Tumbling: window.Tumbling, plan.Hopping: window.Hopping, plan.Session: window.Session}[w.Kind]
	return window.New(kind, w.SizeMS, w.AdvanceMS, w.GapMS, w.GraceMS, w.RetentionMS)
}

// newGroups resolves an aggregate's calls and lays out its slots.
func newGroups(s *plan.Aggregate, settings map[string]string) (*Groups, [][]*expr.Program, error) {
	g := &Groups{schema: s.Schema, nk: len(s.Schema.Keys()), window: s.Window, layout: state.Layout{FixedBytes: slotHead}}
	var all [][]*expr.Program
	for _, call := range s.Calls {
		var exprs []sql.Expr
		for _, a := range call.Args {
			e, err := sql.ParseExpr(a.Text)
			if err != nil {
				return nil, nil, err
			}
			exprs = append(exprs, e)
		}
		progs, sig, under, err := compileCall(call.Function, function.Aggregate, exprs, s.Input, settings)
		if err != nil {
			return nil, nil, err
		}
		k, err := under.Aggregate(sig)
		if err != nil {
			return nil, nil, err
		}
		fixed, blobs := k.Layout()
		g.kernels, g.offsets = append(g.kernels, k), append(g.offsets, g.layout.FixedBytes)
		for _, b := range blobs {
			g.layout.Blobs = append(g.layout.Blobs, g.layout.FixedBytes+b)
		}
		g.layout.FixedBytes += fixed
		all = append(all, progs)
	}
	return g, all, nil
}

// Store returns the aggregate's store.
func (a *aggregate) Store() *state.Store { return a.store }

// Reset implements Resetter.
func (a *aggregate) Reset() {
	a.time = readStreamTime(a.store.Meta(metaTime))
	a.swept = nil
	a.unmark()
	a.changed = a.changed[:0]
	clear(a.changedMark)
	a.dir = nil
	a.listOpen()
}

// StreamTime implements Timer.
func (a *aggregate) StreamTime(_, lane int) int64 { return a.time.of(int32(lane)) }

// Run implements Operator.
func (a *aggregate) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	args := make([][]*vector.Vector, len(a.args))
	ec := c.eval(a.step.ID, b)
	for k, progs := range a.args {
		for _, p := range progs {
			args[k] = append(args[k], p.Eval(ec, b))
		}
	}
	before := slices.Clone(a.time)
	out, err := a.apply(c, b, args)
	if !slices.Equal(a.time, before) {
		a.store.SetMeta(metaTime, a.time.bytes())
	}
	return out, err
}

func (a *aggregate) apply(c *Context, b *vector.Batch, args [][]*vector.Vector) (*vector.Batch, error) {
	sel := a.foldable(c, b)
	if a.window != nil && a.spec.Kind == window.Session {
		return a.sessions(c, b, sel, args)
	}
	if a.window == nil {
		return a.fold(c, b, args, sel, nil)
	}
	before := slices.Clone(a.time)
	now := a.time.follow(c.Arena, b, sel)
	if err := c.Arena.Check(len(sel) * int(min(a.spec.Size/a.spec.Advance, math.MaxInt32)) * windowBytes); err != nil {
		return nil, err
	}
	a.spec.Assign(b.Time, now, sel, &a.assign)
	for _, i := range a.assign.Late {
		a.late(c, b, i, now[i])
	}
	out, err := a.fold(c, b, args, a.assign.Rows, a.assign.Starts)
	if err == nil && a.step.EmitFinal {
		return a.final(c, b, now, sel, before)
	}
	return out, err
}

// windowBytes is what a window of a row takes, at least, while rows are folded.
const windowBytes = 32

// foldable returns the rows to fold. A row without a value is none: what it
// deletes in a table is taken back by its Retract row.
func (a *aggregate) foldable(c *Context, b *vector.Batch) []int32 {
	sel := b.Selected(c.Arena)
	if b.Ops == nil {
		return sel
	}
	kept := c.Arena.Int32s(len(sel))[:0]
	for _, i := range sel {
		if b.Ops[i] == vector.Upsert || b.Ops[i] == vector.Retract && a.step.Undo {
			kept = append(kept, i)
		}
	}
	return kept
}

func (a *aggregate) late(c *Context, b *vector.Batch, i int32, now int64) {
	c.Report(Fault{Step: a.step.ID, Reason: ReasonLate, Message: fmt.Sprintf("a row of time %d came when its window was closed; stream time is %d", b.Time[i], now), Partition: c.Partition, Offset: -1})
}

// fold folds rows (each with its window) into their groups.
func (a *aggregate) fold(c *Context, b *vector.Batch, args [][]*vector.Vector, rows []int32, starts []int64) (*vector.Batch, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	a.keys.Reset()
	for n, i := range rows {
		a.keys.Buf = appendKey(a.keys.Buf, b.Cols[:a.nk], int(i))
		if starts != nil {
			a.keys.Buf = appendWindowKey(appendWindowKey(a.keys.Buf, starts[n]), a.spec.End(starts[n]))
		}
		a.keys.Close()
	}
	a.slots = slices.Grow(a.slots[:0], len(rows))[:len(rows)]
	a.store.Probe(&a.keys, a.slots)
	switch {
	case a.step.EmitFinal:
		a.noteAll(b, rows)
	case a.every && (a.step.Retract || a.step.Undo):
		return a.foldEach(c, b, args, rows)
	case a.every:
		return a.foldTraced(c, b, args, rows, starts), nil
	}
	head := a.store.Cells(0)
	for n, g := range a.slots {
		a.touch(&head, g, b, rows[n])
		if !a.every {
			a.mark(g)
		}
	}
	for k, kernel := range a.kernels {
		a.update(c, b, k, kernel, args[k], rows, a.slots, false)
	}
	return nil, nil
}

// touch notes in slot g that row i is folded in and returns the group's time.
func (a *aggregate) touch(head *vector.Cells, g int32, b *vector.Batch, i int32) int64 {
	t := head.Int64(g, slotTime)
	*t = max(*t, b.Time[i])
	if b.Lane != nil && !a.step.EmitFinal {
		*head.Int32(g, slotLane) = b.Lane[i]
	}
	return *t
}

// mark notes that slot g has changed since the last Flush.
func (a *aggregate) mark(g int32) {
	if int(g) >= len(a.marked) {
		a.marked = append(a.marked, make([]bool, int(g)+1)...)
	}
	if !a.marked[g] {
		a.marked[g] = true
		a.dirty = append(a.dirty, g)
	}
}

func (a *aggregate) unmark() {
	for _, g := range a.dirty {
		a.marked[g] = false
	}
	a.dirty = a.dirty[:0]
}

// update folds rows in or takes them back, in runs of one kind.
func (a *aggregate) update(c *Context, b *vector.Batch, k int, kernel function.AggregateKernel, args []*vector.Vector, rows, slots []int32, trace bool) []*vector.Vector {
	call := a.call(c, k, args)
	var out []*vector.Vector
	for from := 0; from < len(rows); {
		undo := a.undoes(b, rows[from])
		to := from + 1
		for to < len(rows) && a.undoes(b, rows[to]) == undo {
			to++
		}
		var v *vector.Vector
		if undo {
			v = kernel.(function.Undoer).Undo(call, rows[from:to], slots[from:to], trace)
		} else {
			v = kernel.Update(call, rows[from:to], slots[from:to], trace)
		}
		out = append(out, v)
		from = to
	}
	return out
}

// call returns what kernel k gets.
func (a *aggregate) call(c *Context, k int, args []*vector.Vector) *function.AggregateCall {
	return &function.AggregateCall{Arena: c.Arena, Args: args, Cells: a.store.Cells(a.offsets[k]), Fail: func(row int32, m string) {
		c.Report(Fault{Step: a.step.ID, Reason: ReasonExpression, Message: m, Partition: c.Partition, Offset: -1})
	}}
}

func (a *aggregate) undoes(b *vector.Batch, row int32) bool { return b.Op(int(row)) == vector.Retract }

// foldTraced folds rows of a stream and emits each one's effect: the kernels'
// traces are the output's columns.
func (a *aggregate) foldTraced(c *Context, b *vector.Batch, args [][]*vector.Vector, rows []int32, starts []int64) *vector.Batch {
	out := &vector.Batch{N: len(rows), Time: c.Arena.Int64s(len(rows))}
	head := a.store.Cells(0)
	for n, g := range a.slots {
		out.Time[n] = a.touch(&head, g, b, rows[n])
		*head.Int32(g, slotFlags) |= flagSeen
	}
	for _, k := range b.Cols[:a.nk] {
		out.Cols = append(out.Cols, gather(c.Arena, k, rows))
	}
	for k, kernel := range a.kernels {
		out.Cols = append(out.Cols, kernel.Update(a.call(c, k, args[k]), rows, a.slots, true))
	}
	if b.Headers != nil {
		out.Headers = gather(c.Arena, b.Headers, rows)
	}
	if starts != nil {
		out.WindowStart, out.WindowEnd = c.Arena.Int64s(len(rows)), c.Arena.Int64s(len(rows))
		for n, start := range starts {
			out.WindowStart[n], out.WindowEnd[n] = start, a.spec.End(start)
		}
	}
	return out
}

// foldEach folds row by row, where what a row replaces counts too.
func (a *aggregate) foldEach(c *Context, b *vector.Batch, args [][]*vector.Vector, rows []int32) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, a.window != nil, len(rows))
	one, slot := make([]int32, 1), make([]int32, 1)
	begun := false // the change of a group began with the row before
	for n, row := range rows {
		one[0], slot[0] = row, a.slots[n]
		out.from(b, int(row))
		if a.step.Retract && !begun {
			if err := a.retract(c, out, a.slots[n]); err != nil {
				return nil, err
			}
		}
		head := a.store.Cells(0)
		time := a.touch(&head, slot[0], b, row)
		begun = a.continues(b, rows, n)
		for k, kernel := range a.kernels {
			v := a.update(c, b, k, kernel, args[k], one, slot, !begun)
			if !begun {
				out.cols[a.nk+k].Append(v[0], 0)
			}
		}
		if begun {
			continue
		}
		*head.Int32(slot[0], slotFlags) |= flagSeen
		if err := a.closeRow(out, vector.Upsert, a.keys.At(n), time); err != nil {
			return nil, err
		}
	}
	return out.finish(), nil
}

// continues reports whether the row after rows[n] replaces it within the same
// group, so that both are one change.
func (a *aggregate) continues(b *vector.Batch, rows []int32, n int) bool {
	return n+1 < len(rows) && b.Op(int(rows[n])) == vector.Retract && rows[n+1] == rows[n]+1 &&
		b.Op(int(rows[n+1])) == vector.Upsert && a.slots[n] == a.slots[n+1]
}

// gather returns rows of v as a vector; all of them are v itself.
func gather(arena *vector.Arena, v *vector.Vector, rows []int32) *vector.Vector {
	if isAll(rows, v.Len) {
		return v
	}
	b := vector.NewBuilder(arena, v.Type, len(rows))
	for _, i := range rows {
		b.Append(v, int(i))
	}
	return b.Finish()
}

// isAll reports whether rows are 0, 1, … n-1.
func isAll(rows []int32, n int) bool {
	if len(rows) != n {
		return false
	}
	for k, i := range rows {
		if int(i) != k {
			return false
		}
	}
	return true
}

// flagSeen: the group has been emitted.
const flagSeen = 2

// retract appends the group's present value as a Retract row, if it has been
// emitted before.
func (a *aggregate) retract(c *Context, out *rowBuilder, slot int32) error {
	head := a.store.Cells(0)
	if *head.Int32(slot, slotFlags)&flagSeen == 0 {
		return nil
	}
	one := []int32{slot}
	for k, kernel := range a.kernels {
		v := kernel.Values(&function.AggregateCall{Arena: c.Arena, Cells: a.store.Cells(a.offsets[k])}, one)
		out.cols[a.nk+k].Append(v, 0)
	}
	return a.closeRow(out, vector.Retract, a.store.OverlayKey(slot), *head.Int64(slot, slotTime))
}

// closeRow ends a row whose values have been appended with its key.
func (a *aggregate) closeRow(out *rowBuilder, op vector.Op, key []byte, time int64) error {
	start, end, err := readKey(out.cols[:a.nk], key, a.window != nil)
	out.close(op, time, start, end)
	return err
}

// Flush implements Flusher: one change for each group changed since the last
// one.
func (a *aggregate) Flush(c *Context) (*vector.Batch, error) {
	if len(a.changed) > 0 {
		return a.flushSessions(c)
	}
	if len(a.dirty) == 0 || a.every {
		return nil, nil
	}
	out := newRowBuilder(c.Arena, a.schema, a.window != nil, len(a.dirty))
	if a.step.Retract {
		if err := a.flushRetract(c, out); err != nil {
			return nil, err
		}
	} else if err := a.emit(c, out, a.dirty); err != nil {
		return nil, err
	}
	a.unmark()
	return out.finish(), nil
}

// emit appends the present values of slots.
func (a *aggregate) emit(c *Context, out *rowBuilder, slots []int32) error {
	values := make([]*vector.Vector, len(a.kernels))
	for k, kernel := range a.kernels {
		values[k] = kernel.Values(&function.AggregateCall{Arena: c.Arena, Cells: a.store.Cells(a.offsets[k])}, slots)
	}
	head := a.store.Cells(0)
	for n, slot := range slots {
		*head.Int32(slot, slotFlags) |= flagSeen
		for k := range values {
			out.cols[a.nk+k].Append(values[k], n)
		}
		if err := a.closeRow(out, vector.Upsert, a.store.OverlayKey(slot), *head.Int64(slot, slotTime)); err != nil {
			return err
		}
	}
	return nil
}

// flushRetract precedes each change by the group's committed value.
func (a *aggregate) flushRetract(c *Context, out *rowBuilder) error {
	for _, slot := range a.dirty {
		if err := a.retractCommitted(c, out, a.store.OverlayKey(slot)); err != nil {
			return err
		}
		if err := a.emit(c, out, []int32{slot}); err != nil {
			return err
		}
	}
	return nil
}

// retractCommitted appends a key's committed value, if it has one, as a
// Retract row.
func (a *aggregate) retractCommitted(c *Context, out *rowBuilder, key []byte) error {
	table, old := a.store.LookupCommitted(key)
	if table == nil {
		return nil
	}
	for k, kernel := range a.kernels {
		v := kernel.Values(&function.AggregateCall{Arena: c.Arena, Cells: table.Cells(a.offsets[k])}, []int32{old})
		out.cols[a.nk+k].Append(v, 0)
	}
	head := table.Cells(0)
	return a.closeRow(out, vector.Retract, key, *head.Int64(old, slotTime))
}
