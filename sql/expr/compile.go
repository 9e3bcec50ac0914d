package expr

import (
	"strconv"
	"strings"

	"karst/sql"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Compile compiles e. The error, a *types.Error or types.Errors, holds all
// faults found.
func Compile(e sql.Expr, scope Scope) (*Program, error) {
	k := &compiler{scope: scope, params: map[string]lambdaParam{}}
	t := k.expr(e)
	if len(k.errs) == 1 {
		return nil, k.errs[0]
	}
	if len(k.errs) > 0 {
		return nil, k.errs
	}
	return &Program{root: t}, nil
}

// CompileText compiles canonical text, such as a plan holds.
func CompileText(text string, scope Scope) (*Program, error) {
	e, err := sql.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	return Compile(e, scope)
}

// CompileAs compiles e with its value coerced to type t, where ksqlDB does so
// implicitly.
func CompileAs(e sql.Expr, scope Scope, t *types.Type) (*Program, error) {
	p, err := Compile(e, scope)
	if err != nil {
		return nil, err
	}
	k := &compiler{scope: scope}
	root := k.coerce(p.root, t)
	if len(k.errs) > 0 {
		return nil, k.errs[0]
	}
	return &Program{root: root}, nil
}

// CompileTime compiles what is compared to ROWTIME or to a window's bound: a
// BIGINT in ms, or a constant text that is a time.
func CompileTime(e sql.Expr, scope Scope) (*Program, error) {
	k := &compiler{scope: scope, params: map[string]lambdaParam{}}
	root := k.expr(e)
	if len(k.errs) == 0 {
		root = k.coerce(k.textTime(root), types.Bigint)
	}
	if len(k.errs) > 0 {
		return nil, k.errs[0]
	}
	return &Program{root: root}, nil
}

// Columns returns the columns that e refers to, by position in the scope.
func Columns(e sql.Expr, scope Scope) []int {
	k := &compiler{scope: scope, params: map[string]lambdaParam{}, used: map[int]bool{}}
	k.expr(e)
	var out []int
	for i := range scope.Columns {
		if k.used[i] {
			out = append(out, i)
		}
	}
	return out
}

type compiler struct {
	scope  Scope
	params map[string]lambdaParam
	depth  int // parameters in scope
	used   map[int]bool
	errs   types.Errors
}

func (k *compiler) use(i int) {
	if k.used != nil {
		k.used[i] = true
	}
}

func (k *compiler) fail(at types.Pos, message, hint string) {
	k.errs = append(k.errs, &types.Error{Kind: types.ErrStatement, Pos: at, Message: message, Hint: hint})
}

// expr compiles e; after a fault the result's type is nil.
func (k *compiler) expr(e sql.Expr) typed {
	t := k.argument(e)
	if t.unit != "" {
		k.fail(e.Pos(), "Column '"+t.unit+"' cannot be resolved", k.nearest(t.unit))
		return typed{}
	}
	return t
}

// argument compiles a function's argument, which may be a unit of time.
func (k *compiler) argument(e sql.Expr) typed {
	t := k.dispatch(e)
	if t.typ == nil && len(k.errs) == 0 && t.lambda == nil {
		k.fail(e.Pos(), "this expression is not supported: "+sql.PrintExpr(e), "")
	}
	return t
}

func (k *compiler) dispatch(e sql.Expr) typed {
	switch e := e.(type) {
	case *sql.Literal:
		return k.literal(e)
	case *sql.ColumnRef:
		return k.column(e)
	case *sql.Binary:
		return k.binary(e)
	case *sql.Unary:
		return k.unary(e)
	case *sql.Comparison:
		return k.comparison(e)
	case *sql.Logical:
		return k.logical(e)
	case *sql.Not:
		return k.not(e)
	case *sql.IsNull:
		return k.isNull(e)
	case *sql.Between:
		return k.between(e)
	case *sql.In:
		return k.in(e)
	case *sql.Like:
		return k.like(e)
	case *sql.Case:
		return k.caseExpr(e)
	case *sql.Cast:
		return k.cast(e)
	case *sql.FieldRef:
		return k.field(e)
	case *sql.Subscript:
		return k.subscript(e)
	case *sql.ArrayLit:
		return k.arrayLit(e)
	case *sql.MapLit:
		return k.mapLit(e)
	case *sql.StructLit:
		return k.structLit(e)
	case *sql.Call:
		return k.call(e)
	case *sql.Subquery, *sql.WindowCall:
		k.errs = append(k.errs, &types.Error{Kind: types.ErrUnsupported, Pos: e.Pos(), Message: "subqueries and OVER are not supported yet"})
	}
	return typed{}
}

// foldIf returns t evaluated to a constant if all parts are constant.
func foldIf(t typed, parts ...typed) typed {
	for _, p := range parts {
		if p.konst == nil {
			return t
		}
	}
	if t.typ == nil || t.eval == nil || t.konst != nil {
		return t
	}
	failed := false
	c := &Context{Arena: vector.NewArena(), Report: func(int32, string) { failed = true }}
	v := t.eval(c, &vector.Batch{N: 1, Time: []int64{0}}, []int32{0})
	if failed {
		return t // reported for each row it concerns
	}
	out := constant(head(v, 1))
	out.at = t.at
	return out
}

func (k *compiler) literal(l *sql.Literal) typed {
	v := k.literalValue(l)
	if v == nil {
		return typed{}
	}
	t := constant(v)
	t.at = l.Pos()
	return t
}

func one(t *types.Type) *vector.Builder { return vector.NewBuilder(vector.NewArena(), t, 1) }

func (k *compiler) literalValue(l *sql.Literal) *vector.Vector {
	switch l.Kind {
	case sql.LitNull:
		return vector.NewNull(vector.NewArena(), types.Null, 1)
	case sql.LitBoolean:
		b := one(types.Boolean)
		b.Bool(l.Text == "TRUE")
		return b.Finish()
	case sql.LitString:
		b := one(types.String)
		b.String(l.Text)
		return b.Finish()
	case sql.LitInteger:
		return k.integerValue(l)
	case sql.LitDecimal:
		return k.decimalValue(l)
	case sql.LitDouble:
		f, err := strconv.ParseFloat(l.Text, 64)
		if err != nil {
			k.fail(l.Pos(), "the number "+l.Text+" does not fit a DOUBLE", "")
			return nil
		}
		b := one(types.Double)
		b.Float64(f)
		return b.Finish()
	}
	t := map[sql.LiteralKind]*types.Type{sql.LitDate: types.Date, sql.LitTime: types.Time, sql.LitTimestamp: types.Timestamp}[l.Kind]
	b := one(t)
	if message := appendTimeText(b, l.Text); message != "" {
		k.fail(l.Pos(), message, "")
		return nil
	}
	return b.Finish()
}

func (k *compiler) integerValue(l *sql.Literal) *vector.Vector {
	n, err := strconv.ParseInt(l.Text, 10, 64)
	switch {
	case err != nil:
		return k.decimalValue(l)
	case int64(int32(n)) == n:
		b := one(types.Int)
		b.Int32(int32(n))
		return b.Finish()
	}
	b := one(types.Bigint)
	b.Int64(n)
	return b.Finish()
}

func (k *compiler) decimalValue(l *sql.Literal) *vector.Vector {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(l.Text, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	precision, scale := max(len(whole)+len(fraction), 1), len(fraction)
	if precision > types.MaxDecimalPrecision {
		k.fail(l.Pos(), "the number "+l.Text+" has more than 38 digits", "")
		return nil
	}
	n, ok := types.ParseDecimal(l.Text, precision, scale)
	if !ok {
		k.fail(l.Pos(), l.Text+" is not a number", "")
		return nil
	}
	b := one(types.MustDecimal(precision, scale))
	b.Decimal(decimal128.FromBigInt(n))
	return b.Finish()
}

// library is what calls are resolved against.
var library = function.Default()
