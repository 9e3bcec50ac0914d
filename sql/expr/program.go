package expr

import (
	"time"

	"karst/sql/types"
	"karst/sql/vector"
)

// A Context is what an evaluation needs beside the batch.
type Context struct {
	Arena *vector.Arena
	Now   func() time.Time
	Rand  func() uint64
	// Report is told of each row whose evaluation failed; its result is null.
	Report func(row int32, message string)
}

func (c *Context) report(row int32, message string) {
	if c.Report != nil {
		c.Report(row, message)
	}
}

// An evaluator computes the selected rows of a result of b.N rows.
type evaluator func(c *Context, b *vector.Batch, sel []int32) *vector.Vector

// A typed is an expression's part, compiled.
type typed struct {
	typ   *types.Type
	eval  evaluator
	konst *vector.Vector // one row, if the part is constant
	// lambda is set for a lambda, which has no value of its own.
	lambda *lambdaPart
	at     types.Pos
	unit   string // of an interval unit, which is a bare word
}

// A Program is a compiled expression. It is used by one goroutine at a time.
type Program struct {
	root typed
}

// Type returns the type of the result.
func (p *Program) Type() *types.Type { return p.root.typ }

// Const returns the value, a vector of one row, of a constant expression; nil
// of others.
func (p *Program) Const() *vector.Vector { return p.root.konst }

// Eval returns a vector of b.N rows that is valid on b's selection.
func (p *Program) Eval(c *Context, b *vector.Batch) *vector.Vector {
	return p.root.eval(c, b, b.Selected(c.Arena))
}

// Filter returns the selected rows for which the program, a BOOLEAN one, is
// true.
func (p *Program) Filter(c *Context, b *vector.Batch) []int32 {
	sel := b.Selected(c.Arena)
	v := p.root.eval(c, b, sel)
	out := c.Arena.Int32s(len(sel))[:0]
	for _, i := range sel {
		if v.Bits.Get(int(i)) && !v.IsNull(int(i)) {
			out = append(out, i)
		}
	}
	return out
}

// constant returns a part that always has the value of row 0 of v.
func constant(v *vector.Vector) typed {
	var cached *vector.Vector
	return typed{typ: v.Type, konst: v, eval: func(_ *Context, b *vector.Batch, _ []int32) *vector.Vector {
		if cached == nil || cached.Len < b.N {
			cached = repeat(v, max(b.N, 64))
		}
		return head(cached, b.N)
	}}
}

// repeat returns n rows of v's row 0 on the heap.
func repeat(v *vector.Vector, n int) *vector.Vector {
	b := vector.NewBuilder(vector.NewArena(), v.Type, n)
	for range n {
		b.Append(v, 0)
	}
	return b.Finish()
}

// head returns the first n rows of v, sharing its slices.
func head(v *vector.Vector, n int) *vector.Vector {
	if v.Len == n {
		return v
	}
	w := *v
	w.Len = n
	w.I32, w.I64, w.F64, w.Dec = cut(v.I32, n), cut(v.I64, n), cut(v.F64, n), cut(v.Dec, n)
	w.Bits, w.Valid = cut(v.Bits, vector.BitmapBytes(n)), cut(v.Valid, vector.BitmapBytes(n))
	w.Offsets = cut(v.Offsets, n+1)
	if v.Type.Kind() == types.KindStruct {
		w.Kids = make([]*vector.Vector, len(v.Kids))
		for i, k := range v.Kids {
			w.Kids[i] = head(k, n)
		}
	}
	return &w
}

func cut[S ~[]T, T any](s S, n int) S { return s[:min(n, len(s)):min(n, len(s))] }

// validBoth returns the rows valid in both, which may share a map with them.
func validBoth(a *vector.Arena, x, y *vector.Vector) vector.Bitmap {
	switch {
	case x.Valid == nil:
		return y.Valid
	case y.Valid == nil:
		return x.Valid
	}
	m := a.Bitmap(x.Len)
	for i := range m {
		m[i] = x.Valid[i] & y.Valid[i]
	}
	return m
}

// ownValid gives v a validity map that it does not share.
func ownValid(a *vector.Arena, v *vector.Vector) {
	m := a.Bitmap(v.Len)
	if v.Valid == nil {
		m.Fill(true)
	} else {
		copy(m, v.Valid)
	}
	v.Valid = m
}
