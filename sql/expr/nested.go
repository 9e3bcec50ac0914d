package expr

import (
	"karst/sql"
	"karst/sql/types"
	"karst/sql/vector"
)

func (k *compiler) field(e *sql.FieldRef) typed {
	of := k.expr(e.Of)
	if of.typ == nil {
		return typed{}
	}
	if of.typ.Kind() != types.KindStruct {
		k.fail(e.Pos(), "'->' takes a STRUCT, found "+described(e.Of, of), "")
		return typed{}
	}
	i := of.typ.FieldIndex(e.Field)
	if i < 0 {
		var names []string
		for _, f := range of.typ.Fields() {
			names = append(names, f.Name)
		}
		hint := ""
		if n := types.Nearest(e.Field, names); n != "" {
			hint = "Did you mean " + n + "?"
		}
		k.fail(e.Pos(), "Could not find field '"+e.Field+"' in "+sql.PrintExpr(e.Of)+" of type "+of.typ.String(), hint)
		return typed{}
	}
	return foldIf(typed{typ: of.typ.Fields()[i].Type, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x := of.eval(c, b, sel)
		kid := x.Kids[i]
		if x.Valid == nil {
			return kid
		}
		v := *kid
		v.Valid = validBoth(c.Arena, x, kid)
		return &v
	}}, of)
}

// gather returns the rows at of kid, -1 is null, as a vector of len(at) rows.
func gather(a *vector.Arena, kid *vector.Vector, at []int32) *vector.Vector {
	b := vector.NewBuilder(a, kid.Type, len(at))
	for _, j := range at {
		if j < 0 {
			b.Null()
		} else {
			b.Append(kid, int(j))
		}
	}
	return b.Finish()
}

func (k *compiler) subscript(e *sql.Subscript) typed {
	of, index := k.expr(e.Of), k.expr(e.Index)
	if of.typ == nil || index.typ == nil {
		return typed{}
	}
	switch of.typ.Kind() {
	case types.KindArray:
		return k.arrayIndex(e, of, index)
	case types.KindMap:
		key := of.typ.Key()
		if !coercible(index.typ, key) {
			k.fail(e.Index.Pos(), "a key of "+described(e.Of, of)+" is a "+key.String()+", found "+described(e.Index, index), "Use CAST.")
			return typed{}
		}
		index = k.castTo(index, key)
		return foldIf(typed{typ: of.typ.Elem(), at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
			x, y := of.eval(c, b, sel), index.eval(c, b, sel)
			at := missing(c.Arena, b.N)
			for _, i := range sel {
				if x.IsNull(int(i)) || y.IsNull(int(i)) {
					continue
				}
				for j := x.Offsets[i+1] - 1; j >= x.Offsets[i]; j-- {
					if vector.Compare(x.Kids[0], int(j), y, int(i)) == 0 {
						at[i] = j
						break
					}
				}
			}
			return gather(c.Arena, x.Kids[1], at)
		}}, of, index)
	}
	k.fail(e.Pos(), "'[]' takes an ARRAY or a MAP, found "+described(e.Of, of), "")
	return typed{}
}

func missing(a *vector.Arena, n int) []int32 {
	at := a.Int32s(n)
	for i := range at {
		at[i] = -1
	}
	return at
}

// arrayIndex counts from 1, negative indexes from the end.
func (k *compiler) arrayIndex(e *sql.Subscript, of, index typed) typed {
	if index.typ.Kind() != types.KindInt && index.typ.Kind() != types.KindBigint {
		k.fail(e.Pos(), "an array's index is an INTEGER, found "+described(e.Index, index), "")
		return typed{}
	}
	index = k.castTo(index, types.Bigint)
	return foldIf(typed{typ: of.typ.Elem(), at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		x, y := of.eval(c, b, sel), index.eval(c, b, sel)
		at := missing(c.Arena, b.N)
		for _, i := range sel {
			if x.IsNull(int(i)) || y.IsNull(int(i)) {
				continue
			}
			n, j := int64(x.Offsets[i+1]-x.Offsets[i]), y.I64[i]
			if j < 0 {
				j += n + 1
			}
			if j >= 1 && j <= n {
				at[i] = x.Offsets[i] + int32(j) - 1
			}
		}
		return gather(c.Arena, x.Kids[0], at)
	}}, of, index)
}

func (k *compiler) exprs(es []sql.Expr) []typed {
	out := make([]typed, len(es))
	for i, e := range es {
		out[i] = k.expr(e)
	}
	return out
}

func (k *compiler) arrayLit(e *sql.ArrayLit) typed {
	parts, t := k.common(e.Pos(), "ARRAY", e.Elems, k.exprs(e.Elems))
	if t == nil {
		if len(k.errs) == 0 {
			k.fail(e.Pos(), "Cannot construct an array with all NULL elements", "As a workaround, you may cast a NULL value to the desired type.")
		}
		return typed{}
	}
	return foldIf(typed{typ: types.Array(t), at: e.Pos(), eval: listRows(types.Array(t), [][]typed{parts})}, parts...)
}

// listRows builds one list a row, of the parts in order; several columns make
// a MAP.
func listRows(t *types.Type, columns [][]typed) evaluator {
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		values := make([][]*vector.Vector, len(columns))
		for k, parts := range columns {
			for _, p := range parts {
				values[k] = append(values[k], p.eval(c, b, sel))
			}
		}
		out := vector.NewBuilder(c.Arena, t, b.N)
		for _, i := range sel {
			for out.Len() < int(i) {
				out.Null()
			}
			for n := range values[0] {
				if len(values) == 2 && hasKey(values[0][n+1:], values[0][n], int(i)) {
					continue // the last one of equal keys stays
				}
				for k := range values {
					out.Kid(k).Append(values[k][n], int(i))
				}
			}
			out.Close()
		}
		for out.Len() < b.N {
			out.Null()
		}
		return out.Finish()
	}
}

func hasKey(keys []*vector.Vector, key *vector.Vector, i int) bool {
	for _, other := range keys {
		if vector.Compare(other, i, key, i) == 0 {
			return true
		}
	}
	return false
}

func (k *compiler) mapLit(e *sql.MapLit) typed {
	keys, kt := k.common(e.Pos(), "MAP keys", e.Keys, k.exprs(e.Keys))
	values, vt := k.common(e.Pos(), "MAP values", e.Values, k.exprs(e.Values))
	if kt == nil || vt == nil {
		if len(k.errs) == 0 {
			k.fail(e.Pos(), "Cannot construct a map with all NULL keys or values", "As a workaround, you may cast a NULL value to the desired type.")
		}
		return typed{}
	}
	t := types.Map(kt, vt)
	return foldIf(typed{typ: t, at: e.Pos(), eval: listRows(t, [][]typed{keys, values})}, append(append([]typed{}, keys...), values...)...)
}

func (k *compiler) structLit(e *sql.StructLit) typed {
	parts := k.exprs(e.Values)
	fields := make([]types.Field, len(parts))
	for i, p := range parts {
		if p.typ == nil {
			return typed{}
		}
		if p.typ.Kind() == types.KindNull {
			parts[i] = k.castTo(p, types.String)
		}
		for _, f := range fields[:i] {
			if f.Name == e.Names[i] {
				k.fail(e.Pos(), "Duplicate field names found in STRUCT: '"+f.Name+"'", "")
				return typed{}
			}
		}
		fields[i] = types.Field{Name: e.Names[i], Type: parts[i].typ}
	}
	t := types.Struct(fields...)
	return foldIf(typed{typ: t, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		v := &vector.Vector{Type: t, Len: b.N}
		for _, p := range parts {
			v.Kids = append(v.Kids, p.eval(c, b, sel))
		}
		return v
	}}, parts...)
}

// caseExpr evaluates each branch only for the rows that come to it.
func (k *compiler) caseExpr(e *sql.Case) typed {
	var conds, results []typed
	var exprs []sql.Expr
	for _, w := range e.Whens {
		cond := w.Cond
		if e.Operand != nil {
			cond = &sql.Comparison{Op: "=", Left: e.Operand, Right: w.Cond}
		}
		c, ok := k.condition(cond, "WHEN")
		if !ok {
			return typed{}
		}
		conds = append(conds, c)
		exprs, results = append(exprs, w.Result), append(results, k.expr(w.Result))
	}
	if e.Else != nil {
		exprs, results = append(exprs, e.Else), append(results, k.expr(e.Else))
	}
	results, t := k.common(e.Pos(), "CASE", exprs, results)
	if t == nil {
		if len(k.errs) == 0 {
			k.fail(e.Pos(), "Invalid Case expression. All case branches have a NULL type", "")
		}
		return typed{}
	}
	return foldIf(typed{typ: t, at: e.Pos(), eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		return caseRows(c, b, sel, t, conds, results)
	}}, append(append([]typed{}, conds...), results...)...)
}

func caseRows(c *Context, b *vector.Batch, sel []int32, t *types.Type, conds, results []typed) *vector.Vector {
	branch := missing(c.Arena, b.N) // which result each row takes
	values := make([]*vector.Vector, len(results))
	rest := sel
	for n, cond := range conds {
		if len(rest) == 0 {
			break
		}
		v := cond.eval(c, b, rest)
		taken, others := c.Arena.Int32s(len(rest))[:0], c.Arena.Int32s(len(rest))[:0]
		for _, i := range rest {
			if v.Bits.Get(int(i)) && !v.IsNull(int(i)) {
				taken = append(taken, i)
				branch[i] = int32(n)
			} else {
				others = append(others, i)
			}
		}
		if len(taken) > 0 {
			values[n] = results[n].eval(c, b, taken)
		}
		rest = others
	}
	if last := len(conds); last < len(results) && len(rest) > 0 {
		values[last] = results[last].eval(c, b, rest)
		for _, i := range rest {
			branch[i] = int32(last)
		}
	}
	out := vector.NewBuilder(c.Arena, t, b.N)
	for i, n := range branch {
		if n < 0 {
			out.Null()
		} else {
			out.Append(values[n], i)
		}
	}
	return out.Finish()
}
