package expr

import (
	"strconv"
	"strings"

	"karst/sql"
	"karst/sql/types"
	"karst/sql/vector"
)

// common coerces parts to one type: the list of an IN, the elements of an
// ARRAY or MAP, the branches of a CASE. It goes from left to right. Types that
// widen into each other do; a text constant is read as what the others are,
// and where texts came first other constants become text.
func (k *compiler) common(at types.Pos, what string, exprs []sql.Expr, parts []typed) ([]typed, *types.Type) {
	var t *types.Type
	for i, p := range parts {
		if p.typ == nil {
			return nil, nil
		}
		if p.typ.Kind() == types.KindNull {
			continue
		}
		if t == nil {
			t = p.typ
			continue
		}
		u, why := commonWith(t, p)
		if why != "" {
			k.fail(at, what+": "+why+" ("+sql.PrintExpr(exprs[i])+")", "Use CAST.")
			return nil, nil
		}
		t = u
	}
	if t == nil {
		return nil, nil
	}
	out := make([]typed, len(parts))
	for i, p := range parts {
		out[i] = k.castTo(p, t)
	}
	return out, t
}

// commonWith returns the type that holds t and p, or says why there is none.
func commonWith(t *types.Type, p typed) (*types.Type, string) {
	if p.konst != nil {
		return commonConstant(t, p.konst, 0)
	}
	if u, ok := commonType(t, p.typ); ok {
		return u, ""
	}
	return nil, noCommon(t, p.typ)
}

func noCommon(t, u *types.Type) string {
	return "operator does not exist: " + t.String() + " = " + u.String()
}

// commonConstant is commonWith for a constant, row i of v.
func commonConstant(t *types.Type, v *vector.Vector, i int) (*types.Type, string) {
	if u, ok := commonType(t, v.Type); ok {
		return u, ""
	}
	switch {
	case v.IsNull(i):
	case t.Kind() == types.KindString && !v.Type.IsNested() && v.Type.Kind() != types.KindBytes:
		return t, ""
	case v.Type.Kind() == types.KindString:
		return textConstant(t, string(v.Str(i)))
	case t.Kind() == types.KindArray && v.Type.Kind() == types.KindArray:
		elem, why := commonElements(t.Elem(), v.Kids[0], v.Offsets[i], v.Offsets[i+1])
		return types.Array(elem), why
	case t.Kind() == types.KindMap && v.Type.Kind() == types.KindMap:
		key, why := commonElements(t.Key(), v.Kids[0], v.Offsets[i], v.Offsets[i+1])
		if why != "" {
			return nil, why
		}
		elem, why := commonElements(t.Elem(), v.Kids[1], v.Offsets[i], v.Offsets[i+1])
		return types.Map(key, elem), why
	case t.Kind() == types.KindStruct && v.Type.Kind() == types.KindStruct:
		return commonFields(t, v, i)
	}
	return nil, noCommon(t, v.Type)
}

// commonFields is commonConstant for structs, whose fields go by their names.
func commonFields(t *types.Type, v *vector.Vector, i int) (*types.Type, string) {
	fields := append([]types.Field{}, t.Fields()...)
	for k, f := range v.Type.Fields() {
		n := t.FieldIndex(f.Name)
		if n < 0 {
			fields = append(fields, f)
			continue
		}
		u, why := commonConstant(fields[n].Type, v.Kids[k], i)
		if why != "" {
			return nil, why
		}
		fields[n].Type = u
	}
	return types.Struct(fields...), ""
}

func commonElements(t *types.Type, v *vector.Vector, from, to int32) (*types.Type, string) {
	why := ""
	for i := int(from); i < int(to); i++ {
		if v.IsNull(i) {
			continue
		}
		if t, why = commonConstant(t, v, i); why != "" {
			return nil, why
		}
	}
	return t, ""
}

// textConstant reads text as what t is and returns the type that holds both.
func textConstant(t *types.Type, text string) (*types.Type, string) {
	bad := "invalid input syntax for type " + t.String() + ": " + strconv.Quote(text)
	switch {
	case t.IsNumeric():
		n := numberType(strings.TrimSpace(text))
		if n == nil {
			return nil, bad
		}
		u, _ := commonType(t, n)
		return u, ""
	case t.Kind() == types.KindBoolean:
		s := strings.ToLower(strings.TrimSpace(text))
		for _, word := range []string{"true", "false", "yes", "no"} {
			if s != "" && strings.HasPrefix(word, s) {
				return t, ""
			}
		}
		return nil, bad
	case isTime(t):
		if appendTimeText(one(t), text) != "" {
			return nil, bad
		}
		return t, ""
	}
	return nil, noCommon(t, types.String)
}

// numberType is the type of the number that text is: the smallest integer
// type, else a DECIMAL; nil if it is none.
func numberType(text string) *types.Type {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if int64(int32(n)) == n {
			return types.Int
		}
		return types.Bigint
	}
	for scale := 0; scale <= types.MaxDecimalPrecision; scale++ {
		n, ok := types.ParseDecimal(text, types.MaxDecimalPrecision, scale)
		if !ok {
			return nil
		}
		if full, ok := types.ParseDecimal(text, types.MaxDecimalPrecision, types.MaxDecimalPrecision); !ok || types.Rescale(n, scale, types.MaxDecimalPrecision).Cmp(full) == 0 {
			digits := len(n.Text(10))
			if n.Sign() < 0 {
				digits--
			}
			return types.MustDecimal(max(digits, scale, 1), scale)
		}
	}
	return nil
}

func isTime(t *types.Type) bool {
	return t.Kind() == types.KindDate || t.Kind() == types.KindTime || t.Kind() == types.KindTimestamp
}

// commonType returns the type that both widen to.
func commonType(a, b *types.Type) (*types.Type, bool) {
	switch {
	case a.Equal(b), b.Kind() == types.KindNull:
		return a, true
	case a.Kind() == types.KindNull:
		return b, true
	case a.IsNumeric() && b.IsNumeric():
		return comparisonType(a, b)
	case a.Kind() != b.Kind():
		return nil, false
	case a.Kind() == types.KindArray:
		e, ok := commonType(a.Elem(), b.Elem())
		return types.Array(e), ok
	case a.Kind() == types.KindMap:
		key, ok1 := commonType(a.Key(), b.Key())
		elem, ok2 := commonType(a.Elem(), b.Elem())
		return types.Map(key, elem), ok1 && ok2
	case a.Kind() == types.KindStruct:
		return commonStruct(a, b)
	}
	return nil, false
}

// commonStruct has the fields of both.
func commonStruct(a, b *types.Type) (*types.Type, bool) {
	fields := append([]types.Field{}, a.Fields()...)
	for _, f := range b.Fields() {
		i := a.FieldIndex(f.Name)
		if i < 0 {
			fields = append(fields, f)
			continue
		}
		t, ok := commonType(fields[i].Type, f.Type)
		if !ok {
			return nil, false
		}
		fields[i].Type = t
	}
	return types.Struct(fields...), true
}

// pseudoTime gives a text constant that is compared to ROWTIME, WINDOWSTART
// or WINDOWEND as milliseconds.
func (k *compiler) pseudoTime(e *sql.Comparison, l, r typed) (typed, typed) {
	if isPseudoTime(e.Left) && l.typ.Kind() == types.KindBigint {
		r = k.textTime(r)
	}
	if isPseudoTime(e.Right) && r.typ.Kind() == types.KindBigint {
		l = k.textTime(l)
	}
	return l, r
}

func isPseudoTime(e sql.Expr) bool {
	c, ok := e.(*sql.ColumnRef)
	return ok && (c.Name == types.RowTime || c.Name == types.WindowStart || c.Name == types.WindowEnd)
}

func (k *compiler) textTime(p typed) typed {
	if p.typ.Kind() != types.KindString || p.konst == nil || p.konst.IsNull(0) {
		return p
	}
	b := one(types.Timestamp)
	text, day := string(p.konst.Str(0)), int64(0)
	if date, rest, found := strings.Cut(text, "T24"); found { // the end of a day is the next one's begin
		text, day = date+"T00"+rest, 24*60*60*1000
	}
	if message := appendTimeText(b, text); message != "" {
		k.fail(p.at, message, "A time is written like 2006-01-02T15:04:05.000, or a part of it from the left.")
		return p
	}
	v := *b.Finish()
	v.Type = types.Bigint
	v.I64[0] += day
	out := constant(&v)
	out.at = p.at
	return out
}
