package sql

import "karst/sql/types"

// An Expr is an expression; the set is sealed.
type Expr interface {
	// Pos is where the expression begins in its statement's text.
	Pos() types.Pos
	expr()
}

type node struct{ At types.Pos }

func (n node) Pos() types.Pos { return n.At }
func (n node) expr()          {}

// LiteralKind tells how a literal was written.
type LiteralKind uint8

// The kinds of literals.
const (
	LitNull LiteralKind = iota + 1
	LitBoolean
	LitInteger
	LitDecimal // digits with a point
	LitDouble  // with an exponent
	LitString
	LitDate      // DATE '…'
	LitTime      // TIME '…'
	LitTimestamp // TIMESTAMP '…'
)

type (
	// A Literal is a constant. Text is the number as written, the string
	// without quotes, or TRUE or FALSE.
	Literal struct {
		node
		Kind LiteralKind
		Text string
	}
	// A ColumnRef names a column, a lambda parameter or an interval unit.
	ColumnRef struct {
		node
		Source string // alias or name of the source; "" if not given
		Name   string
	}
	// A FieldRef is e->Field.
	FieldRef struct {
		node
		Of    Expr
		Field string
	}
	// A StructAll is e->*; it stands only as a select item.
	StructAll struct {
		node
		Of Expr
	}
	// A Subscript is e[index].
	Subscript struct {
		node
		Of, Index Expr
	}
	// An ArrayLit is ARRAY[…].
	ArrayLit struct {
		node
		Elems []Expr
	}
	// A MapLit is MAP(k := v, …).
	MapLit struct {
		node
		Keys, Values []Expr
	}
	// A StructLit is STRUCT(name := v, …).
	StructLit struct {
		node
		Names  []string
		Values []Expr
	}
	// A Call is a function call; Star for f(*).
	Call struct {
		node
		Name     string
		Distinct bool
		Star     bool
		Args     []Expr
	}
	// A WindowCall is a function call with OVER.
	WindowCall struct {
		node
		Call        *Call
		PartitionBy []Expr
		OrderBy     []OrderItem
		Frame       string // ROWS … or RANGE …, "" if none
	}
	// A Lambda is (x, y) => body.
	Lambda struct {
		node
		Params []string
		Body   Expr
	}
	// A Unary is -e or +e.
	Unary struct {
		node
		Op string
		Of Expr
	}
	// A Binary is arithmetic (+ - * / %) or concatenation (||).
	Binary struct {
		node
		Op          string
		Left, Right Expr
	}
	// A Comparison is one of = <> < <= > >=, IS DISTINCT FROM and IS NOT
	// DISTINCT FROM.
	Comparison struct {
		node
		Op          string
		Left, Right Expr
	}
	// A Logical is AND or OR.
	Logical struct {
		node
		Op          string
		Left, Right Expr
	}
	// A Not negates.
	Not struct {
		node
		Of Expr
	}
	// An IsNull is e IS [NOT] NULL.
	IsNull struct {
		node
		Of     Expr
		Negate bool
	}
	// A Between is e [NOT] BETWEEN low AND high.
	Between struct {
		node
		Of, Low, High Expr
		Negate        bool
	}
	// An In is e [NOT] IN (list) or e [NOT] IN (query).
	In struct {
		node
		Of     Expr
		List   []Expr
		Query  QueryExpr // nil for a list
		Negate bool
	}
	// A Like is e [NOT] LIKE pattern [ESCAPE 'c'].
	Like struct {
		node
		Of, Pattern Expr
		Escape      string
		Negate      bool
	}
	// A Case is CASE [operand] WHEN … THEN … ELSE … END.
	Case struct {
		node
		Operand Expr // nil for the searched form
		Whens   []When
		Else    Expr // nil if not given
	}
	// A When is one branch of a Case.
	When struct{ Cond, Result Expr }
	// A Cast is CAST(e AS type).
	Cast struct {
		node
		Of Expr
		To TypeRef
	}
	// A Subquery is a query as a value.
	Subquery struct {
		node
		Query  QueryExpr
		Exists bool // EXISTS (…)
		Negate bool
	}
)

// An OrderItem is one element of ORDER BY.
type OrderItem struct {
	Expr Expr
	Desc bool
}

// Comparison operators that are words.
const (
	OpIsDistinct    = "IS DISTINCT FROM"
	OpIsNotDistinct = "IS NOT DISTINCT FROM"
)

// A TypeRef is a type as written: a built-in one, or the name of a custom
// type, which ResolveType looks up.
type TypeRef struct {
	At     types.Pos
	Name   string // of a custom type, "" for others
	Kind   types.Kind
	Params []int    // of DECIMAL
	Key    *TypeRef // of MAP
	Elem   *TypeRef // of ARRAY and MAP
	Fields []FieldTypeRef
}

// A FieldTypeRef is one field of a STRUCT type.
type FieldTypeRef struct {
	Name string
	Type TypeRef
}

// ResolveType turns a type as written into a type; lookup finds custom types.
func ResolveType(r TypeRef, lookup func(name string) (*types.Type, bool)) (*types.Type, error) {
	switch r.Kind {
	case types.KindInvalid:
		if t, ok := lookup(r.Name); ok {
			return t, nil
		}
		return nil, &types.Error{Kind: types.ErrStatement, Pos: r.At, Message: "Cannot resolve unknown type: " + r.Name, Hint: "Define it with CREATE TYPE, or see SHOW TYPES."}
	case types.KindDecimal:
		t, err := types.Decimal(r.Params[0], r.Params[1])
		if err != nil {
			return nil, &types.Error{Kind: types.ErrStatement, Pos: r.At, Message: err.Error()}
		}
		return t, nil
	case types.KindArray:
		elem, err := ResolveType(*r.Elem, lookup)
		if err != nil {
			return nil, err
		}
		return types.Array(elem), nil
	case types.KindMap:
		key, err := ResolveType(*r.Key, lookup)
		if err != nil {
			return nil, err
		}
		elem, err := ResolveType(*r.Elem, lookup)
		if err != nil {
			return nil, err
		}
		return types.Map(key, elem), nil
	case types.KindStruct:
		fields := make([]types.Field, len(r.Fields))
		for i, f := range r.Fields {
			t, err := ResolveType(f.Type, lookup)
			if err != nil {
				return nil, err
			}
			fields[i] = types.Field{Name: f.Name, Type: t}
		}
		return types.Struct(fields...), nil
	}
	return simpleTypes[r.Kind], nil
}

var simpleTypes = map[types.Kind]*types.Type{
	types.KindBoolean: types.Boolean, types.KindInt: types.Int, types.KindBigint: types.Bigint,
	types.KindDouble: types.Double, types.KindString: types.String, types.KindBytes: types.Bytes,
	types.KindDate: types.Date, types.KindTime: types.Time, types.KindTimestamp: types.Timestamp,
}

// Children returns an expression's direct parts, in source order.
func Children(e Expr) []Expr {
	switch e := e.(type) {
	case *FieldRef:
		return []Expr{e.Of}
	case *StructAll:
		return []Expr{e.Of}
	case *Subscript:
		return []Expr{e.Of, e.Index}
	case *ArrayLit:
		return e.Elems
	case *MapLit:
		out := make([]Expr, 0, 2*len(e.Keys))
		for i := range e.Keys {
			out = append(out, e.Keys[i], e.Values[i])
		}
		return out
	case *StructLit:
		return e.Values
	case *Call:
		return e.Args
	case *WindowCall:
		out := append([]Expr{e.Call}, e.PartitionBy...)
		for _, o := range e.OrderBy {
			out = append(out, o.Expr)
		}
		return out
	case *Lambda:
		return []Expr{e.Body}
	case *Unary:
		return []Expr{e.Of}
	case *Binary:
		return []Expr{e.Left, e.Right}
	case *Comparison:
		return []Expr{e.Left, e.Right}
	case *Logical:
		return []Expr{e.Left, e.Right}
	case *Not:
		return []Expr{e.Of}
	case *IsNull:
		return []Expr{e.Of}
	case *Between:
		return []Expr{e.Of, e.Low, e.High}
	case *In:
		return append([]Expr{e.Of}, e.List...)
	case *Like:
		return []Expr{e.Of, e.Pattern}
	case *Case:
		var out []Expr
		if e.Operand != nil {
			out = append(out, e.Operand)
		}
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Result)
		}
		if e.Else != nil {
			out = append(out, e.Else)
		}
		return out
	case *Cast:
		return []Expr{e.Of}
	}
	return nil
}

// Walk calls visit for e and, where visit returns true, for all below it.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, c := range Children(e) {
		Walk(c, visit)
	}
}

// Transform returns e with every part replaced by what f returns for it; f is
// asked before the parts of an expression and, if it returns another
// expression, that one is taken as it is.
func Transform(e Expr, f func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	if r := f(e); r != e {
		return r
	}
	t := func(x Expr) Expr { return Transform(x, f) }
	list := func(xs []Expr) []Expr {
		if xs == nil {
			return nil
		}
		out := make([]Expr, len(xs))
		for i, x := range xs {
			out[i] = t(x)
		}
		return out
	}
	switch e := e.(type) {
	case *FieldRef:
		return &FieldRef{e.node, t(e.Of), e.Field}
	case *StructAll:
		return &StructAll{e.node, t(e.Of)}
	case *Subscript:
		return &Subscript{e.node, t(e.Of), t(e.Index)}
	case *ArrayLit:
		return &ArrayLit{e.node, list(e.Elems)}
	case *MapLit:
		return &MapLit{e.node, list(e.Keys), list(e.Values)}
	case *StructLit:
		return &StructLit{e.node, e.Names, list(e.Values)}
	case *Call:
		return &Call{e.node, e.Name, e.Distinct, e.Star, list(e.Args)}
	case *WindowCall:
		return transformWindowCall(e, t)
	case *Lambda:
		return &Lambda{e.node, e.Params, t(e.Body)}
	case *Unary:
		return &Unary{e.node, e.Op, t(e.Of)}
	case *Binary:
		return &Binary{e.node, e.Op, t(e.Left), t(e.Right)}
	case *Comparison:
		return &Comparison{e.node, e.Op, t(e.Left), t(e.Right)}
	case *Logical:
		return &Logical{e.node, e.Op, t(e.Left), t(e.Right)}
	case *Not:
		return &Not{e.node, t(e.Of)}
	case *IsNull:
		return &IsNull{e.node, t(e.Of), e.Negate}
	case *Between:
		return &Between{e.node, t(e.Of), t(e.Low), t(e.High), e.Negate}
	case *In:
		return &In{e.node, t(e.Of), list(e.List), e.Query, e.Negate}
	case *Like:
		return &Like{e.node, t(e.Of), t(e.Pattern), e.Escape, e.Negate}
	case *Case:
		c := &Case{node: e.node, Operand: t(e.Operand), Else: t(e.Else)}
		for _, w := range e.Whens {
			c.Whens = append(c.Whens, When{t(w.Cond), t(w.Result)})
		}
		return c
	case *Cast:
		return &Cast{e.node, t(e.Of), e.To}
	}
	return e
}

// transformWindowCall keeps the function itself if f makes something else of
// it: only a function stands before OVER.
func transformWindowCall(e *WindowCall, t func(Expr) Expr) Expr {
	w := &WindowCall{node: e.node, Call: e.Call, Frame: e.Frame}
	if call, ok := t(e.Call).(*Call); ok {
		w.Call = call
	}
	for _, x := range e.PartitionBy {
		w.PartitionBy = append(w.PartitionBy, t(x))
	}
	for _, o := range e.OrderBy {
		w.OrderBy = append(w.OrderBy, OrderItem{t(o.Expr), o.Desc})
	}
	return w
}
