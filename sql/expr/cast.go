package expr

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func (k *compiler) cast(e *sql.Cast) typed {
	of := k.expr(e.Of)
	to, err := sql.ResolveType(e.To, func(string) (*types.Type, bool) { return nil, false })
	if err != nil {
		var user *types.Error
		if !errors.As(err, &user) {
			user = types.Errorf(types.ErrStatement, e.Pos(), "%v", err)
		}
		k.errs = append(k.errs, user)
		return typed{}
	}
	if of.typ == nil {
		return typed{}
	}
	if !castable(of.typ, to) {
		k.fail(e.Pos(), "Cast of "+described(e.Of, of)+" to "+to.String()+" is not supported", "")
		return typed{}
	}
	return k.castTo(of, to)
}

// castable reports whether CAST knows the way.
func castable(from, to *types.Type) bool {
	f, t := from.Kind(), to.Kind()
	switch {
	case f == types.KindNull || from.Equal(to):
		return true
	case t == types.KindString:
		return f != types.KindBytes
	case f == types.KindString:
		return !to.IsNested() && t != types.KindBytes
	case from.IsNumeric() && to.IsNumeric():
		return true
	case f == types.KindTimestamp && (t == types.KindDate || t == types.KindTime), f == types.KindDate && t == types.KindTimestamp:
		return true
	case f == types.KindArray && t == types.KindArray:
		return castable(from.Elem(), to.Elem())
	case f == types.KindMap && t == types.KindMap:
		return castable(from.Key(), to.Key()) && castable(from.Elem(), to.Elem())
	case f == types.KindStruct && t == types.KindStruct:
		for _, x := range to.Fields() {
			if i := from.FieldIndex(x.Name); i >= 0 && !castable(from.Fields()[i].Type, x.Type) {
				return false
			}
		}
		return true
	}
	return false
}

// castTo returns p as type t.
func (k *compiler) castTo(p typed, t *types.Type) typed {
	if p.typ.Equal(t) {
		return p
	}
	return foldIf(typed{typ: t, at: p.at, eval: func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		return castRows(c, p.eval(c, b, sel), t, sel)
	}}, p)
}

// coerce returns p as type t where ksqlDB converts implicitly, or fails.
func (k *compiler) coerce(p typed, t *types.Type) typed {
	if p.typ == nil || p.typ.Equal(t) {
		return p
	}
	if !coercible(p.typ, t) {
		k.fail(p.at, "expected "+t.String()+", found "+p.typ.String(), "Use CAST.")
		return typed{}
	}
	return k.castTo(p, t)
}

// coercible reports whether a value becomes one of another type by itself,
// within arrays, maps and structs as it does alone. Fields that the other
// struct lacks are left out, as ksqlDB's INSERT does.
func coercible(from, to *types.Type) bool {
	f, t := from.Kind(), to.Kind()
	switch {
	case f == types.KindNull || from.Equal(to):
		return true
	case from.IsNumeric() && to.IsNumeric():
		return f <= t || f == types.KindDecimal && t == types.KindDouble
	case f == types.KindString:
		return t == types.KindDate || t == types.KindTime || t == types.KindTimestamp
	case f != t:
		return false
	case f == types.KindArray:
		return coercible(from.Elem(), to.Elem())
	case f == types.KindMap:
		return coercible(from.Key(), to.Key()) && coercible(from.Elem(), to.Elem())
	case f == types.KindStruct:
		for _, field := range from.Fields() {
			i := slices.IndexFunc(to.Fields(), func(g types.Field) bool { return g.Name == field.Name })
			if i >= 0 && !coercible(field.Type, to.Fields()[i].Type) {
				return false
			}
		}
		return true
	}
	return false
}

// castRows converts the selected rows of x.
func castRows(c *Context, x *vector.Vector, t *types.Type, sel []int32) *vector.Vector {
	n := x.Len
	if x.Type.Kind() == types.KindNull {
		return vector.NewNull(c.Arena, t, n)
	}
	if v := widen(c, x, t); v != nil {
		return v
	}
	b := vector.NewBuilder(c.Arena, t, n)
	for _, i := range sel {
		for b.Len() < int(i) {
			b.Null()
		}
		if x.IsNull(int(i)) {
			b.Null()
		} else if message := castRow(b, x, int(i)); message != "" {
			b.Truncate(int(i))
			b.Null()
			c.report(i, message)
		}
	}
	for b.Len() < n {
		b.Null()
	}
	return b.Finish()
}

// widen handles the conversions that can't fail, without a row's check.
func widen(c *Context, x *vector.Vector, t *types.Type) *vector.Vector {
	from, to := x.Type.Kind(), t.Kind()
	switch {
	case from == types.KindInt && to == types.KindBigint:
		v := vector.New(c.Arena, t, x.Len)
		for i, n := range x.I32 {
			v.I64[i] = int64(n)
		}
		v.Valid = x.Valid
		return v
	case from == types.KindInt && to == types.KindDouble:
		v := vector.New(c.Arena, t, x.Len)
		for i, n := range x.I32 {
			v.F64[i] = float64(n)
		}
		v.Valid = x.Valid
		return v
	case from == types.KindBigint && to == types.KindDouble:
		v := vector.New(c.Arena, t, x.Len)
		for i, n := range x.I64 {
			v.F64[i] = float64(n)
		}
		v.Valid = x.Valid
		return v
	}
	return nil
}

const dayMS = 86_400_000

// castRow appends row i of x converted to b's type, or says why it can't.
func castRow(b *vector.Builder, x *vector.Vector, i int) string {
	t := b.Type()
	switch t.Kind() {
	case types.KindString:
		b.Bytes(AppendText(nil, x, i))
		return ""
	case types.KindArray, types.KindMap, types.KindStruct:
		return castNested(b, x, i)
	}
	switch x.Type.Kind() {
	case types.KindString:
		return castText(b, string(x.Str(i)))
	case types.KindTimestamp:
		if t.Kind() == types.KindDate {
			b.Int32(int32(floorDiv(x.I64[i], dayMS)))
		} else {
			b.Int32(int32(x.I64[i] - floorDiv(x.I64[i], dayMS)*dayMS))
		}
		return ""
	case types.KindDate:
		b.Int64(int64(x.I32[i]) * dayMS)
		return ""
	}
	return castNumber(b, x, i)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func castNumber(b *vector.Builder, x *vector.Vector, i int) string {
	t := b.Type()
	if t.Kind() == types.KindDecimal && x.Type.Kind() != types.KindDouble {
		n, ok := toDecimal(x, i, t)
		if !ok {
			return "the value does not fit " + t.String()
		}
		b.Decimal(n)
		return ""
	}
	if t.Kind() == types.KindDecimal {
		n, ok := types.ParseDecimal(string(AppendText(nil, x, i)), t.Precision(), t.Scale())
		if !ok {
			return "the value does not fit " + t.String()
		}
		b.Decimal(decimal128.FromBigInt(n))
		return ""
	}
	var whole int64
	var float float64
	switch x.Type.Kind() {
	case types.KindInt:
		whole = int64(x.I32[i])
		float = float64(whole)
	case types.KindBigint:
		whole, float = x.I64[i], float64(x.I64[i])
	case types.KindDouble:
		float = x.F64[i]
		whole = javaLong(float)
	case types.KindDecimal:
		if t.Kind() == types.KindDouble {
			float = decimalFloat(x.Dec[i], x.Type.Scale())
		} else {
			whole = wholePart(x.Dec[i], x.Type.Scale())
		}
	}
	switch t.Kind() {
	case types.KindInt:
		if x.Type.Kind() == types.KindDouble {
			b.Int32(int32(max(min(whole, math.MaxInt32), math.MinInt32)))
		} else {
			b.Int32(int32(whole))
		}
	case types.KindBigint:
		b.Int64(whole)
	case types.KindDouble:
		b.Float64(float)
	default:
		return "can't convert"
	}
	return ""
}

// javaLong converts as Java's (long) does: saturating, NaN is 0.
func javaLong(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

func castText(b *vector.Builder, s string) string {
	t := b.Type()
	bad := func() string { return "can't convert " + strconv.Quote(s) + " to " + t.String() }
	switch t.Kind() {
	case types.KindBoolean:
		lower := strings.ToLower(s)
		b.Bool(lower != "" && (strings.HasPrefix("true", lower) || strings.HasPrefix("yes", lower)))
	case types.KindInt:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return bad()
		}
		b.Int32(int32(n))
	case types.KindBigint:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return bad()
		}
		b.Int64(n)
	case types.KindDouble:
		f, ok := types.ParseDouble(s)
		if !ok {
			return bad()
		}
		b.Float64(f)
	case types.KindDecimal:
		n, ok := types.ParseDecimal(strings.TrimSpace(s), t.Precision(), t.Scale())
		if !ok {
			return bad()
		}
		b.Decimal(decimal128.FromBigInt(n))
	default:
		return appendTimeText(b, s)
	}
	return ""
}

// timestampLayouts are how a TIMESTAMP may be written, each but the last two
// with or without a zone.
var timestampLayouts = func() []string {
	var out []string
	for _, l := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02"} {
		out = append(out, l, l+"Z07:00", l+"Z0700")
	}
	return append(out, "2006-01", "2006")
}()

// appendTimeText appends a DATE, TIME or TIMESTAMP given as text.
func appendTimeText(b *vector.Builder, s string) string {
	switch b.Type().Kind() {
	case types.KindDate:
		if d, err := time.Parse("2006-01-02", s); err == nil {
			b.Int32(int32(floorDiv(d.Unix(), 86400)))
			return ""
		}
	case types.KindTime:
		for _, layout := range []string{"15:04:05.999999999", "15:04"} {
			if d, err := time.Parse(layout, s); err == nil {
				b.Int32(int32((d.Hour()*3600+d.Minute()*60+d.Second())*1000 + d.Nanosecond()/1e6))
				return ""
			}
		}
	case types.KindTimestamp:
		for _, layout := range timestampLayouts {
			if d, err := time.Parse(layout, s); err == nil {
				b.Int64(d.UnixMilli())
				return ""
			}
		}
	}
	return "can't convert " + strconv.Quote(s) + " to " + b.Type().String()
}

// AppendText appends row i of x, not null, as CAST(… AS STRING) gives it.
func AppendText(buf []byte, x *vector.Vector, i int) []byte {
	switch x.Type.Kind() {
	case types.KindString:
		return append(buf, x.Str(i)...)
	case types.KindDate:
		return time.Unix(int64(x.I32[i])*86400, 0).UTC().AppendFormat(buf, "2006-01-02")
	case types.KindTime:
		return types.AppendTimeOfDay(buf, int64(x.I32[i]))
	case types.KindTimestamp:
		return time.UnixMilli(x.I64[i]).UTC().AppendFormat(buf, "2006-01-02T15:04:05.000")
	case types.KindArray, types.KindMap, types.KindStruct:
		return appendNestedText(buf, x, i)
	}
	if x.Type.Kind() == types.KindDouble {
		return format.AppendDouble(buf, x.F64[i])
	}
	return format.AppendJSON(buf, x, i)
}

func appendPart(buf []byte, x *vector.Vector, i int) []byte {
	if x.IsNull(i) {
		return append(buf, "null"...)
	}
	return AppendText(buf, x, i)
}

// appendNestedText prints collections as Java does: [1, 2], {a=1}.
func appendNestedText(buf []byte, x *vector.Vector, i int) []byte {
	switch x.Type.Kind() {
	case types.KindStruct:
		buf = append(buf, "Struct{"...)
		first := true
		for k, f := range x.Type.Fields() {
			if x.Kids[k].IsNull(i) {
				continue
			}
			if !first {
				buf = append(buf, ',')
			}
			first = false
			buf = appendPart(append(append(buf, f.Name...), '='), x.Kids[k], i)
		}
		return append(buf, '}')
	case types.KindArray:
		buf = append(buf, '[')
	default:
		buf = append(buf, '{')
	}
	for j := x.Offsets[i]; j < x.Offsets[i+1]; j++ {
		if j > x.Offsets[i] {
			buf = append(buf, ", "...)
		}
		buf = appendPart(buf, x.Kids[0], int(j))
		if len(x.Kids) == 2 {
			buf = appendPart(append(buf, '='), x.Kids[1], int(j))
		}
	}
	if x.Type.Kind() == types.KindArray {
		return append(buf, ']')
	}
	return append(buf, '}')
}

func castNested(b *vector.Builder, x *vector.Vector, i int) string {
	if x.Type.Kind() == types.KindStruct {
		for k, f := range b.Type().Fields() {
			from := x.Type.FieldIndex(f.Name)
			if from < 0 {
				b.Kid(k).Null()
			} else if message := castElement(b.Kid(k), x.Kids[from], i); message != "" {
				return message
			}
		}
		b.Close()
		return ""
	}
	for j := x.Offsets[i]; j < x.Offsets[i+1]; j++ {
		for k := range x.Kids {
			if message := castElement(b.Kid(k), x.Kids[k], int(j)); message != "" {
				return message
			}
		}
	}
	b.Close()
	return ""
}

func castElement(b *vector.Builder, x *vector.Vector, i int) string {
	switch {
	case x.IsNull(i):
		b.Null()
		return ""
	case b.Type().Equal(x.Type):
		b.Append(x, i)
		return ""
	}
	return castRow(b, x, i)
}
