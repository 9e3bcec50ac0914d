package expr

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"pgregory.net/rapid"
)

// The reference evaluator walks the tree row by row over big rationals. It
// knows INT, BIGINT, DECIMAL, DOUBLE, STRING, BOOLEAN and DATE and some
// functions, and takes the types that the compiler found as given, so that it
// checks values, nulls and faults. A DOUBLE is a rational, rounded after each
// step to the nearest double.

type refValue any // nil, *big.Rat, string or bool

type refUnknown struct{}

type refRow map[string]refValue

func genNumber(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"I", "L", "P", "Q", "0", "3", "-7", "2.50", "1000000"}).Draw(t, "leaf")
	}
	switch rapid.IntRange(0, 9).Draw(t, "number") {
	case 1:
		return fmt.Sprintf("(%s %s %s)", genNumber(t, depth-1), rapid.SampledFrom([]string{"+", "-", "*"}).Draw(t, "op"), rapid.SampledFrom([]string{"D", "0.25E0", "3E0"}).Draw(t, "double"))
	case 2:
		return fmt.Sprintf("%s(%s)", rapid.SampledFrom([]string{"ABS", "FLOOR", "CEIL"}).Draw(t, "function"), genNumber(t, depth-1))
	case 3:
		return fmt.Sprintf("COALESCE(%s, %s)", genNumber(t, depth-1), genNumber(t, 0))
	case 4:
		return fmt.Sprintf("LEN(%s)", genText(t, depth-1))
	case 0:
		return fmt.Sprintf("(CASE WHEN %s THEN %s ELSE %s END)", genBool(t, depth-1), genNumber(t, 0), genNumber(t, 0))
	default:
		op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%"}).Draw(t, "op")
		return fmt.Sprintf("(%s %s %s)", genNumber(t, depth-1), op, genNumber(t, 0))
	}
}

func genText(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"S", "'abc'", "''", "'é_'"}).Draw(t, "text")
	}
	switch rapid.IntRange(0, 3).Draw(t, "text") {
	case 0:
		return fmt.Sprintf("SUBSTRING(%s, %d, %d)", genText(t, depth-1), rapid.IntRange(-3, 4).Draw(t, "pos"), rapid.IntRange(-1, 3).Draw(t, "length"))
	case 1:
		return fmt.Sprintf("UCASE(%s)", genText(t, depth-1))
	case 2:
		return fmt.Sprintf("NULLIF(%s, %s)", genText(t, depth-1), genText(t, 0))
	}
	return fmt.Sprintf("(%s || %s)", genText(t, depth-1), genText(t, 0))
}

func genBool(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"B", "TRUE", "FALSE", "I = 3", "S = 'abc'", "S <> 'b'", "L > I", "P <= Q", "S LIKE '%b%'", "I IS NULL", "S IS NOT NULL", "P IS DISTINCT FROM Q"}).Draw(t, "leaf")
	}
	switch rapid.IntRange(0, 7).Draw(t, "bool") {
	case 6:
		return fmt.Sprintf("(%s %s %s)", genText(t, depth-1), rapid.SampledFrom([]string{"=", "<>", "<", ">=", "IS DISTINCT FROM"}).Draw(t, "op"), genText(t, depth-1))
	case 7:
		return fmt.Sprintf("(W %s %s)", rapid.SampledFrom([]string{"=", "<>", "<", ">="}).Draw(t, "op"), rapid.SampledFrom([]string{"W", "'1970-01-04'", "DATE '1970-01-08'", "FROM_DAYS(I)"}).Draw(t, "date"))
	case 0:
		return fmt.Sprintf("(NOT %s)", genBool(t, depth-1))
	case 1, 2:
		return fmt.Sprintf("(%s %s %s)", genBool(t, depth-1), rapid.SampledFrom([]string{"AND", "OR"}).Draw(t, "op"), genBool(t, depth-1))
	case 3:
		return fmt.Sprintf("(%s BETWEEN %s AND %s)", genNumber(t, 0), genNumber(t, 0), genNumber(t, 0))
	case 4:
		return fmt.Sprintf("(%s %sIN (%s, %s))", genNumber(t, 0), rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not"), genNumber(t, 0), genNumber(t, 0))
	}
	op := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"}).Draw(t, "op")
	return fmt.Sprintf("(%s %s %s)", genNumber(t, depth-1), op, genNumber(t, depth-1))
}

var refColumns = []Column{
	{Name: "I", Type: types.Int}, {Name: "L", Type: types.Bigint}, {Name: "P", Type: types.MustDecimal(6, 2)},
	{Name: "Q", Type: types.MustDecimal(9, 4)}, {Name: "S", Type: types.String}, {Name: "B", Type: types.Boolean},
	{Name: "D", Type: types.Double}, {Name: "W", Type: types.Date},
}

func genRows(t *rapid.T) []refRow {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) refRow {
		r := refRow{}
		for _, c := range refColumns {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				r[c.Name] = nil
				continue
			}
			switch c.Type.Kind() {
			case types.KindString:
				r[c.Name] = rapid.SampledFrom([]string{"", "a", "abc", "b", "aé"}).Draw(t, c.Name)
			case types.KindBoolean:
				r[c.Name] = rapid.Bool().Draw(t, c.Name)
			case types.KindDouble:
				r[c.Name] = new(big.Rat).SetFrac64(rapid.SampledFrom([]int64{0, 1, -1, 3, 20, -250, 9999}).Draw(t, c.Name), 8)
			default:
				n := rapid.SampledFrom([]int64{0, 1, -1, 3, 7, -250, 9999}).Draw(t, c.Name)
				r[c.Name] = new(big.Rat).SetFrac(big.NewInt(n), types.PowerOfTen(max(0, scaleOf(c.Type))))
			}
		}
		return r
	}), 1, 20).Draw(t, "rows")
}

func scaleOf(t *types.Type) int {
	if t.Kind() == types.KindDecimal {
		return t.Scale()
	}
	return 0
}

func refBatch(a *vector.Arena, rows []refRow) *vector.Batch {
	b := &vector.Batch{N: len(rows), Time: make([]int64, len(rows))}
	for _, c := range refColumns {
		out := vector.NewBuilder(a, c.Type, len(rows))
		for _, r := range rows {
			switch x := r[c.Name].(type) {
			case nil:
				out.Null()
			case string:
				out.String(x)
			case bool:
				out.Bool(x)
			case *big.Rat:
				n := new(big.Rat).Mul(x, new(big.Rat).SetInt(types.PowerOfTen(scaleOf(c.Type)))).Num()
				switch c.Type.Kind() {
				case types.KindDouble:
					f, _ := x.Float64()
					out.Float64(f)
				case types.KindInt, types.KindDate:
					out.Int32(int32(n.Int64()))
				case types.KindBigint:
					out.Int64(n.Int64())
				default:
					out.Decimal(decimal128.FromBigInt(n))
				}
			}
		}
		b.Cols = append(b.Cols, out.Finish())
	}
	return b
}

// ref evaluates e for one row; typeOf tells what the compiler found.
type ref struct {
	scope   Scope
	faults  int
	unknown bool // the row's value is not looked at
}

func (r *ref) typeOf(e sql.Expr) *types.Type {
	p, err := Compile(e, r.scope)
	if err != nil {
		panic(err)
	}
	return p.Type()
}

func (r *ref) eval(e sql.Expr, row refRow) refValue {
	switch e := e.(type) {
	case *sql.ColumnRef:
		return row[e.Name]
	case *sql.Literal:
		switch e.Kind {
		case sql.LitBoolean:
			return e.Text == "TRUE"
		case sql.LitString:
			return e.Text
		case sql.LitDate:
			return refDate(e.Text)
		}
		n, _ := new(big.Rat).SetString(e.Text)
		return n
	case *sql.Call:
		return r.call(e, row)
	case *sql.Unary:
		n, ok := r.eval(e.Of, row).(*big.Rat)
		if !ok {
			return nil
		}
		return new(big.Rat).Neg(n)
	case *sql.Binary:
		return r.arith(e, row)
	case *sql.Comparison:
		x, y := r.eval(e.Left, row), r.eval(e.Right, row)
		if isDouble := r.typeOf(e.Left).Kind() == types.KindDouble; isDouble || r.typeOf(e.Right).Kind() == types.KindDouble {
			x, y = r.fit(x, types.Double), r.fit(y, types.Double)
		}
		return r.compare(e.Op, x, y)
	case *sql.Logical:
		return r.logical(e, row)
	case *sql.Not:
		x := r.eval(e.Of, row)
		if x == nil {
			return nil
		}
		return !x.(bool)
	case *sql.IsNull:
		return (r.eval(e.Of, row) == nil) != e.Negate
	case *sql.Between:
		x, low, high := r.eval(e.Of, row), r.eval(e.Low, row), r.eval(e.High, row)
		return r.compare(">=", x, low).(bool) && r.compare("<=", x, high).(bool)
	case *sql.In:
		x, found := r.eval(e.Of, row), false
		for _, y := range e.List {
			found = r.compare("=", x, r.eval(y, row)).(bool) || found
		}
		return x != nil && found != e.Negate
	case *sql.Like:
		s, ok := r.eval(e.Of, row).(string)
		return ok && strings.Contains(s, "b")
	case *sql.Case:
		for _, w := range e.Whens {
			if r.eval(w.Cond, row) == true {
				return r.fit(r.eval(w.Result, row), r.typeOf(e))
			}
		}
		return r.fit(r.eval(e.Else, row), r.typeOf(e))
	}
	panic(fmt.Sprintf("%T", e))
}

func (r *ref) logical(e *sql.Logical, row refRow) refValue {
	decides := e.Op == "OR"
	x := r.eval(e.Left, row)
	if x == decides {
		return decides
	}
	y := r.eval(e.Right, row)
	switch {
	case y == decides:
		return decides
	case x == nil || y == nil:
		return nil
	}
	return !decides
}

func (r *ref) compare(op string, x, y refValue) refValue {
	if x == nil || y == nil {
		switch op {
		case sql.OpIsDistinct:
			return x != y
		case sql.OpIsNotDistinct:
			return x == y
		}
		return false
	}
	c := 0
	switch x := x.(type) {
	case *big.Rat:
		if text, ok := y.(string); ok {
			y = refDate(text)
		}
		c = x.Cmp(y.(*big.Rat))
	case string:
		c = strings.Compare(x, y.(string))
	}
	switch op {
	case "=", sql.OpIsNotDistinct:
		return c == 0
	case "<>", sql.OpIsDistinct:
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// refDate is a date's days since 1970-01-01.
func refDate(text string) *big.Rat {
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return new(big.Rat).SetInt64(d.Unix() / 86400)
}

func (r *ref) call(e *sql.Call, row refRow) refValue {
	t := r.typeOf(e)
	var args []refValue
	for _, a := range e.Args {
		args = append(args, r.eval(a, row))
	}
	switch e.Name {
	case "COALESCE":
		if args[0] == nil {
			return r.fit(args[1], t)
		}
		return r.fit(args[0], t)
	case "NULLIF":
		if args[0] != nil && args[0] == args[1] {
			return nil
		}
		return args[0]
	}
	switch x := args[0].(type) {
	case nil:
		return nil
	case string:
		return refTextCall(e.Name, []rune(x), args)
	case *big.Rat:
		if e.Name == "FROM_DAYS" {
			return x
		}
		return refNumberCall(e.Name, x, t)
	}
	return nil
}

func refTextCall(name string, x []rune, args []refValue) refValue {
	switch name {
	case "LEN":
		return new(big.Rat).SetInt64(int64(len(x)))
	case "UCASE":
		return strings.ToUpper(string(x))
	}
	number := func(i int) int { n, _ := args[i].(*big.Rat).Float64(); return int(n) }
	from := number(1)
	if from < 0 {
		from += len(x) + 1
	}
	from = min(max(from, 1), len(x)+1)
	return string(x[from-1 : min(len(x), from-1+max(0, number(2)))])
}

func refNumberCall(name string, x *big.Rat, t *types.Type) refValue {
	if name == "ABS" {
		if low := big.NewRat(-1<<31, 1); t.Kind() == types.KindInt && x.Cmp(low) == 0 {
			return low // as in Java
		}
		return new(big.Rat).Abs(x)
	}
	whole, rest := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	if rest.Sign() > 0 && name == "CEIL" || rest.Sign() < 0 && name == "FLOOR" {
		whole.Add(whole, big.NewInt(int64(rest.Sign())))
	}
	return new(big.Rat).SetInt(whole)
}

func (r *ref) arith(e *sql.Binary, row refRow) refValue {
	t := r.typeOf(e)
	if e.Op == "||" {
		x, ok1 := r.eval(e.Left, row).(string)
		y, ok2 := r.eval(e.Right, row).(string)
		if !ok1 || !ok2 {
			return nil
		}
		return x + y
	}
	x, ok1 := r.eval(e.Left, row).(*big.Rat)
	y, ok2 := r.eval(e.Right, row).(*big.Rat)
	if !ok1 || !ok2 {
		return nil
	}
	if t.Kind() == types.KindDouble {
		x, y = r.fit(x, t).(*big.Rat), r.fit(y, t).(*big.Rat)
	}
	out := new(big.Rat)
	switch e.Op {
	case "+":
		out.Add(x, y)
	case "-":
		out.Sub(x, y)
	case "*":
		out.Mul(x, y)
	default:
		if y.Sign() == 0 && t.Kind() == types.KindDouble {
			r.unknown = true // infinite or not a number, which rationals have not
			return nil
		}
		if y.Sign() == 0 {
			r.faults++
			return nil
		}
		out.Quo(x, y)
		if e.Op == "%" { // the rest has the sign of the left
			whole := new(big.Int).Quo(out.Num(), out.Denom())
			out.Sub(x, new(big.Rat).Mul(y, new(big.Rat).SetInt(whole)))
		} else if t.Kind() == types.KindInt || t.Kind() == types.KindBigint {
			out.SetInt(new(big.Int).Quo(out.Num(), out.Denom()))
		}
	}
	return r.fit(out, t)
}

// fit rounds and bounds a number as its type does.
func (r *ref) fit(v refValue, t *types.Type) refValue {
	n, ok := v.(*big.Rat)
	if !ok {
		return v
	}
	switch t.Kind() {
	case types.KindInt:
		return new(big.Rat).SetInt64(int64(int32(low64(n.Num()))))
	case types.KindBigint:
		return new(big.Rat).SetInt64(low64(n.Num()))
	case types.KindDouble:
		f, _ := n.Float64()
		return new(big.Rat).SetFloat64(f)
	case types.KindDate:
		return n
	}
	ten := types.PowerOfTen(t.Scale())
	s := new(big.Rat).Mul(n, new(big.Rat).SetInt(ten))
	twice := new(big.Int).Mul(new(big.Int).Abs(s.Num()), big.NewInt(2))
	q := new(big.Int).Quo(twice.Add(twice, s.Denom()), new(big.Int).Mul(s.Denom(), big.NewInt(2)))
	if s.Sign() < 0 {
		q.Neg(q)
	}
	if !types.FitsPrecision(q, t.Precision()) {
		r.faults++
		return nil
	}
	return new(big.Rat).SetFrac(q, ten)
}

func low64(n *big.Int) int64 {
	return int64(new(big.Int).And(n, new(big.Int).SetUint64(1<<64-1)).Uint64())
}

// TestReference compares random expressions with the reference evaluator over
// random rows, whole, selected and cut into batches.
func TestReference(t *testing.T) {
	scope := Scope{Columns: refColumns}
	rapid.Check(t, func(t *rapid.T) {
		text := genNumber(t, rapid.IntRange(0, 3).Draw(t, "depth"))
		if rapid.IntRange(0, 3).Draw(t, "text") == 0 {
			text = genText(t, rapid.IntRange(0, 3).Draw(t, "depth"))
		} else if rapid.Bool().Draw(t, "boolean") {
			text = genBool(t, rapid.IntRange(0, 3).Draw(t, "depth"))
		}
		e, err := sql.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(e, scope)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		rows := genRows(t)
		want := make([]refValue, len(rows))
		var faults []int
		for i, row := range rows {
			r := &ref{scope: scope}
			want[i] = r.eval(e, row)
			if r.unknown {
				want[i] = refUnknown{}
			}
			faults = append(faults, r.faults)
		}
		checkReference(t, p, text, rows, want, faults, nil)
		var sel []int32
		for i := range rows {
			if rapid.Bool().Draw(t, "selected") {
				sel = append(sel, int32(i))
			}
		}
		if sel != nil {
			checkReference(t, p, text, rows, want, faults, sel)
		}
		cut := rapid.IntRange(0, len(rows)).Draw(t, "cut")
		checkReference(t, p, text, rows[:cut], want[:cut], faults[:cut], nil)
		checkReference(t, p, text, rows[cut:], want[cut:], faults[cut:], nil)
	})
}

func checkReference(t *rapid.T, p *Program, text string, rows []refRow, want []refValue, faults []int, sel []int32) {
	c := &Context{Arena: vector.NewPoisonedArena(), Report: func(row int32, m string) {
		if faults[row] == 0 && want[row] != (refUnknown{}) {
			t.Fatalf("%s: row %v: fault %s", text, rows[row], m)
		}
		faults[row] = -1
	}}
	saved := append([]int{}, faults...)
	defer copy(faults, saved)
	b := refBatch(c.Arena, rows)
	b.Sel = sel
	v := p.Eval(c, b)
	for _, i := range b.Selected(c.Arena) {
		if want[i] == (refUnknown{}) {
			continue
		}
		if got, want := strings.TrimSuffix(string(format.AppendJSON(nil, v, int(i))), "-0.0"), strings.TrimSuffix(refText(want[i], v.Type), "0.0"); got != want && strings.TrimSuffix(got, "0.0") != want {
			t.Fatalf("%s (%s)\nrow %v\n got %s\nwant %s", text, v.Type, rows[i], got, want)
		}
		if faults[i] > 0 && p.Const() == nil {
			t.Fatalf("%s: row %v: no fault was reported", text, rows[i])
		}
	}
}

func refText(v refValue, t *types.Type) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case *big.Rat:
		if t.Kind() == types.KindDouble {
			f, _ := v.Float64()
			return string(format.AppendDouble(nil, f))
		}
		return v.FloatString(scaleOf(t))
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}
