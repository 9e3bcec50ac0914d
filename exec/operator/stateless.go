package operator

import (
	"fmt"
	"slices"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

type filter struct {
	step *plan.Filter
	prog *expr.Program
}

func newFilter(s *plan.Filter, d Deps) (Operator, error) {
	p, err := compile(s.Predicate, s.Input, d.Settings)
	return &filter{s, p}, err
}

// Run implements Operator.
func (f *filter) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	if !f.step.IsTable {
		out := *valued(c, b)
		out.Sel = f.prog.Filter(c.eval(f.step.ID, b), &out)
		if len(out.Sel) == 0 {
			return nil, nil
		}
		return &out, nil
	}
	return f.table(c, b)
}

// valued returns b without the rows that have no value: a stream's records
// without one pass no filter and give no rows to a table function.
func valued(c *Context, b *vector.Batch) *vector.Batch {
	if b.Ops == nil {
		return b
	}
	out := *b
	out.Sel = c.Arena.Int32s(b.Rows())[:0]
	for _, i := range b.Selected(c.Arena) {
		if b.Ops[i] != vector.Delete {
			out.Sel = append(out.Sel, i)
		}
	}
	return &out
}

// table turns rows that do not pass into Deletes. Where the input retracts, a
// key that did not pass before needs none.
func (f *filter) table(c *Context, b *vector.Batch) (*vector.Batch, error) {
	passes := c.Arena.Bitmap(b.N)
	for _, i := range f.prog.Filter(c.eval(f.step.ID, b), b) {
		passes.Set(int(i))
	}
	out := *b
	out.Sel = nil
	out.Ops = make([]vector.Op, b.N)
	sel := c.Arena.Int32s(b.N)[:0]
	passedBefore := !f.step.Input.Meta().Retract
	for _, i := range b.Selected(c.Arena) {
		op := b.Op(int(i))
		out.Ops[i] = op
		switch {
		case op == vector.Retract:
			passedBefore = passes.Get(int(i))
			if passedBefore && f.step.Retract {
				sel = append(sel, i)
			}
			continue
		case op == vector.Upsert && passes.Get(int(i)):
			sel = append(sel, i)
		case passedBefore:
			out.Ops[i] = vector.Delete
			sel = append(sel, i)
		}
		passedBefore = !f.step.Input.Meta().Retract
	}
	if len(sel) == 0 {
		return nil, nil
	}
	out.Sel = sel
	return &out, nil
}

type project struct {
	step  *plan.Project
	keys  int
	progs []*expr.Program // nil for values that nobody needs
}

func newProject(s *plan.Project, needed Needed, d Deps) (Operator, error) {
	p := &project{step: s, keys: len(s.Schema.Keys())}
	use := needed[s.ID]
	for i, v := range s.Values {
		if use != nil && !use[p.keys+i] {
			p.progs = append(p.progs, nil)
			continue
		}
		prog, err := compile(v.Text, s.Input, d.Settings)
		if err != nil {
			return nil, err
		}
		p.progs = append(p.progs, prog)
	}
	return p, nil
}

// Run implements Operator.
func (p *project) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	cols := append([]*vector.Vector{}, b.Cols[:p.keys]...)
	// A deleted row has no values to compute.
	live := valued(c, b)
	ec := c.eval(p.step.ID, b)
	for _, prog := range p.progs {
		if prog == nil {
			cols = append(cols, nil)
			continue
		}
		cols = append(cols, prog.Eval(ec, live))
	}
	return b.With(cols), nil
}

type rekey struct {
	step   *plan.Rekey
	progs  []*expr.Program
	plain  []bool // the key is computed from key columns alone
	values []int  // positions of the output's values in the input
}

func newRekey(s *plan.Rekey, d Deps) (Operator, error) {
	r := &rekey{step: s}
	for _, k := range s.Keys {
		p, err := compile(k.Text, s.Input, d.Settings)
		if err != nil {
			return nil, err
		}
		r.progs = append(r.progs, p)
		plain, err := ofKeys(k.Text, s.Input.Meta().Schema)
		if err != nil {
			return nil, err
		}
		r.plain = append(r.plain, plain)
	}
	for _, v := range s.Schema.Values() {
		i := s.Input.Meta().Schema.Find(v.Name)
		if i < 0 {
			return nil, fmt.Errorf("step %s: no column %s below", s.ID, v.Name)
		}
		r.values = append(r.values, i)
	}
	return r, nil
}

// Run implements Operator.
func (r *rekey) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	ec := c.eval(r.step.ID, b)
	var cols []*vector.Vector
	for k, p := range r.progs {
		v := p.Eval(ec, b)
		if !r.plain[k] && !r.step.DropNulls {
			v = ofValues(c, b, v)
		}
		cols = append(cols, v)
	}
	keys := cols
	for _, i := range r.values {
		cols = append(cols, b.Cols[i])
	}
	out := b.With(cols)
	out.WindowStart, out.WindowEnd = nil, nil
	if r.step.DropNulls {
		sel := c.Arena.Int32s(b.N)[:0]
		for _, i := range b.Selected(c.Arena) {
			if !anyNull(keys, int(i)) {
				sel = append(sel, i)
			}
		}
		if len(sel) == 0 {
			return nil, nil
		}
		out.Sel = sel
	}
	return out, nil
}

// ofKeys reports whether an expression refers to key columns alone.
func ofKeys(text string, in types.Schema) (bool, error) {
	e, err := sql.ParseExpr(text)
	if err != nil {
		return false, err
	}
	only := true
	sql.Walk(e, func(x sql.Expr) bool {
		if c, ok := x.(*sql.ColumnRef); ok {
			i := in.Find(c.Name)
			only = only && i >= 0 && in.Columns[i].Namespace == types.NamespaceKey
		}
		return true
	})
	return only, nil
}

// ofValues returns v with null in the rows that have no value: what is
// computed from a row, pseudo columns too, is null then.
func ofValues(c *Context, b *vector.Batch, v *vector.Vector) *vector.Vector {
	if b.Ops == nil || !slices.Contains(b.Ops, vector.Delete) {
		return v
	}
	out := vector.NewBuilder(c.Arena, v.Type, b.N)
	for i := range b.N {
		if b.Op(i) == vector.Delete {
			out.Null()
		} else {
			out.Append(v, i)
		}
	}
	return out.Finish()
}

type explode struct {
	step    *plan.Explode
	args    [][]*expr.Program
	kernels []function.TableKernel
	types   []*types.Type
}

func newExplode(s *plan.Explode, d Deps) (Operator, error) {
	x := &explode{step: s}
	for _, call := range s.Calls {
		e, err := sql.ParseExpr(call.Text)
		if err != nil {
			return nil, err
		}
		f, ok := e.(*sql.Call)
		if !ok {
			return nil, fmt.Errorf("step %s: %s is not a call", s.ID, call.Text)
		}
		args, sig, under, err := compileCall(f.Name, function.Table, f.Args, s.Input, d.Settings)
		if err != nil {
			return nil, err
		}
		k, err := under.Table(sig)
		if err != nil {
			return nil, err
		}
		x.args, x.kernels, x.types = append(x.args, args), append(x.kernels, k), append(x.types, call.Type)
	}
	return x, nil
}

// compileCall compiles the arguments of an aggregate or table function, each
// converted to what the signature that it chooses takes.
func compileCall(name string, kind function.Kind, args []sql.Expr, in plan.Step, settings map[string]string) ([]*expr.Program, []function.Arg, *function.Signature, error) {
	sc := scope(in)
	sc.Settings = settings
	var sig []function.Arg
	for _, a := range args {
		p, err := expr.Compile(a, sc)
		if err != nil {
			return nil, nil, nil, err
		}
		sig = append(sig, function.Arg{Type: p.Type(), Const: p.Const()})
	}
	r, rerr := function.Default().Resolve(name, kind, sig, nil)
	if rerr != nil {
		return nil, nil, nil, rerr
	}
	var progs []*expr.Program
	for i, a := range args {
		p, err := expr.CompileAs(a, sc, r.Params[i])
		if err != nil {
			return nil, nil, nil, err
		}
		progs = append(progs, p)
	}
	under, err := r.Signature.Under(settings)
	return progs, sig, under, err
}

// Run implements Operator.
func (x *explode) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	b = valued(c, b)
	rb := newRowBuilder(c.Arena, x.step.Schema, b.WindowStart != nil, b.N)
	var from origins
	// Of each row there may be a million: first a few tell how large they are.
	for sel, n := b.Selected(c.Arena), 64; len(sel) > 0; {
		part := *b
		part.Sel = sel[:min(len(sel), n)]
		sel = sel[len(part.Sel):]
		before := c.Arena.InUse() + rb.bytes()
		if err := x.rows(c, &part, rb, &from); err != nil {
			return nil, err
		}
		n = max(explodeBytes/(1+(c.Arena.InUse()+rb.bytes()-before)/len(part.Sel)), 1)
	}
	out := rb.finish()
	if out != nil {
		out.Partition, out.Offset = from.partition, from.offset
	}
	return out, nil
}

// explodeBytes is about what the functions of rows take that are evaluated at once.
const explodeBytes = 8 << 20

// origins are the places in the log of rows.
type origins struct {
	partition []int32
	offset    []int64
}

// rows appends the rows that the selected ones of b make.
func (x *explode) rows(c *Context, b *vector.Batch, rb *rowBuilder, from *origins) error {
	sel := b.Sel
	ec := c.eval(x.step.ID, b)
	counts, outs := make([][]int32, len(x.kernels)), make([]*vector.Vector, len(x.kernels))
	for k, kernel := range x.kernels {
		call := &function.Call{Arena: c.Arena, N: b.N, Sel: sel, Now: c.Now, Rand: c.Rand, Fail: func(row int32, m string) { ec.Report(row, m) }}
		for _, p := range x.args[k] {
			call.Args = append(call.Args, p.Eval(ec, b))
		}
		var err error
		if counts[k], outs[k], err = kernel(call); err != nil {
			return err
		}
	}
	// Their rows are put side by side; shorter ones end in nulls.
	n := len(b.Cols)
	at := make([]int, len(outs))
	for i, row := range sel {
		rb.from(b, int(row))
		most := int32(0)
		for k := range counts {
			most = max(most, counts[k][i])
		}
		for j := range most {
			appendRow(rb.cols[:n], b.Cols, int(row))
			for k := range outs {
				if j < counts[k][i] {
					rb.cols[n+k].Append(outs[k], at[k]+int(j))
				} else {
					rb.cols[n+k].Null()
				}
			}
			start, end := windowOf(b, int(row))
			rb.close(vector.Upsert, b.Time[row], start, end)
			if b.Offset != nil {
				from.partition, from.offset = append(from.partition, b.Partition[row]), append(from.offset, b.Offset[row])
			}
			if err := rb.check(); err != nil {
				return err
			}
		}
		for k := range at {
			at[k] += int(counts[k][i])
		}
	}
	return nil
}

func windowOf(b *vector.Batch, i int) (start, end int64) {
	if b.WindowStart == nil {
		return 0, 0
	}
	return b.WindowStart[i], b.WindowEnd[i]
}
