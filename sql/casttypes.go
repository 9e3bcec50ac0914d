package sql

import "karst/sql/types"

// ResolveCasts returns e with the custom types that its CASTs name replaced by
// what lookup says they are.
func ResolveCasts(e Expr, lookup func(name string) (*types.Type, bool)) (Expr, error) {
	var failed error
	var resolve func(e Expr) Expr
	resolve = func(e Expr) Expr {
		return Transform(e, func(x Expr) Expr {
			c, ok := x.(*Cast)
			if !ok || !c.To.custom() {
				return x
			}
			t, err := ResolveType(c.To, lookup)
			if err != nil {
				if failed == nil {
					failed = err
				}
				return x
			}
			return &Cast{c.node, resolve(c.Of), typeRefOf(t, c.To.At)}
		})
	}
	out := resolve(e)
	return out, failed
}

// custom reports whether the type names a custom one.
func (r *TypeRef) custom() bool {
	if r == nil {
		return false
	}
	for i := range r.Fields {
		if r.Fields[i].Type.custom() {
			return true
		}
	}
	return r.Kind == types.KindInvalid || r.Key.custom() || r.Elem.custom()
}

// typeRefOf returns a type as it would be written at a place.
func typeRefOf(t *types.Type, at types.Pos) TypeRef {
	r := TypeRef{At: at, Kind: t.Kind()}
	of := func(t *types.Type) *TypeRef { u := typeRefOf(t, at); return &u }
	switch t.Kind() {
	case types.KindDecimal:
		r.Params = []int{t.Precision(), t.Scale()}
	case types.KindArray:
		r.Elem = of(t.Elem())
	case types.KindMap:
		r.Key, r.Elem = of(t.Key()), of(t.Elem())
	case types.KindStruct:
		for _, f := range t.Fields() {
			r.Fields = append(r.Fields, FieldTypeRef{f.Name, typeRefOf(f.Type, at)})
		}
	}
	return r
}
