package expr

import (
	"strings"
	"testing"
	"time"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

func testContext(t testing.TB, faults *[]string) *Context {
	n := uint64(1)
	return &Context{Arena: vector.NewPoisonedArena(), Now: func() time.Time { return time.UnixMilli(1000) },
		Rand:   func() uint64 { n = n*6364136223846793005 + 1442695040888963407; return n },
		Report: func(_ int32, m string) { *faults = append(*faults, m) }}
}

// TestFunctionExamples runs every example of the library.
func TestFunctionExamples(t *testing.T) {
	n := 0
	for _, d := range function.Default().All() {
		if d.Kind != function.Scalar {
			continue
		}
		if len(d.Examples) == 0 || d.Description == "" {
			t.Errorf("%s has no example or description", d.Name)
		}
		for _, ex := range d.Examples {
			n++
			var faults []string
			got, err := evalText(ex.Call, Scope{}, &vector.Batch{N: 1, Time: []int64{0}}, testContext(t, &faults))
			if err != nil {
				t.Errorf("%s: %v", ex.Call, err)
				continue
			}
			want, err := evalText(ex.Want, Scope{}, &vector.Batch{N: 1, Time: []int64{0}}, testContext(t, &faults))
			if err != nil {
				t.Errorf("%s: %v", ex.Want, err)
				continue
			}
			if got != want || len(faults) > 0 {
				t.Errorf("%s is %s, want %s %q", ex.Call, got, want, faults)
			}
		}
	}
	t.Logf("%d functions, %d examples", len(function.Default().All()), n)
}

func evalText(text string, scope Scope, b *vector.Batch, c *Context) (string, error) {
	p, err := CompileText(text, scope)
	if err != nil {
		return "", err
	}
	v := p.Eval(c, b)
	var rows []string
	for _, i := range b.Selected(c.Arena) {
		rows = append(rows, string(format.AppendJSON(nil, v, int(i))))
	}
	return p.Type().String() + " " + strings.Join(rows, " "), nil
}

func testBatch(a *vector.Arena) (*vector.Batch, Scope) {
	docs := []string{
		`{"I":1,"L":10,"D":1.5,"S":"abc","B":true,"P":12.34,"A":[1,2,3],"M":{"k":7},"T":{"X":5}}`,
		`{"I":null,"L":null,"D":null,"S":null,"B":null,"P":null,"A":null,"M":null,"T":null}`,
		`{"I":-7,"L":0,"D":-2.25,"S":"%x","B":false,"P":0.05,"A":[],"M":{},"T":{"X":null}}`,
	}
	cols := []types.Column{{Name: "I", Type: types.Int}, {Name: "L", Type: types.Bigint}, {Name: "D", Type: types.Double}, {Name: "S", Type: types.String}, {Name: "B", Type: types.Boolean},
		{Name: "P", Type: types.MustDecimal(4, 2)}, {Name: "A", Type: types.Array(types.Int)}, {Name: "M", Type: types.Map(types.String, types.Int)}, {Name: "T", Type: types.Struct(types.Field{Name: "X", Type: types.Int})}}
	var cells format.Cells
	for _, d := range docs {
		cells.Off, cells.Len = append(cells.Off, int32(len(cells.Buf))), append(cells.Len, int32(len(d)))
		cells.Buf = append(cells.Buf, d...)
	}
	dec, err := format.NewDecoder(format.Options{Name: "JSON"}, cols, nil)
	if err != nil {
		panic(err)
	}
	b := &vector.Batch{N: 3, Cols: dec.Decode(a, &cells, 3, func(int, string, string) { panic("fault") }), Time: []int64{5, 6, 7}}
	scope := ScopeOf(types.Schema{Columns: cols}, false)
	return b, scope
}

func TestExpressions(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"I + 1", "INTEGER 2 null -6"},
		{"I + L", "BIGINT 11 null -7"},
		{"I / 2", "INTEGER 0 null -3"},
		{"L / L", "BIGINT 1 null null ! division by zero"},
		{"D * 2", "DOUBLE 3.0 null -4.5"},
		{"P + 1", "DECIMAL(13, 2) 13.34 null 1.05"},
		{"P * P", "DECIMAL(9, 4) 152.2756 null 0.0025"},
		{"P / 3", "DECIMAL(15, 13) 4.1133333333333 null 0.0166666666667"},
		{"I = 1", "BOOLEAN true false false"},
		{"I <> 1", "BOOLEAN false false true"},
		{"NOT I = 1", "BOOLEAN false true true"},
		{"I IS NULL OR I < 0", "BOOLEAN false true true"},
		{"I IS DISTINCT FROM 1", "BOOLEAN false true true"},
		{"B AND I > 0", "BOOLEAN true false false"},
		{"I BETWEEN 0 AND 5", "BOOLEAN true false false"},
		{"I NOT BETWEEN 0 AND 5", "BOOLEAN false false true"},
		{"I IN (1, 2)", "BOOLEAN true false false"},
		{"T IN (STRUCT(X := '5'))", "BOOLEAN true false false"},
		{"T IN (STRUCT(X := 4), STRUCT(Y := 'a', X := '5', Z := 1))", "BOOLEAN false false false"},
		{"S NOT IN ('abc')", "BOOLEAN false false true"},
		{"S LIKE 'a%'", "BOOLEAN true false false"},
		{"S LIKE '!%_' ESCAPE '!'", "BOOLEAN false false true"},
		{"S + '-' + CAST(I AS STRING)", `STRING "abc-1" null "%x--7"`},
		{"A[1]", "INTEGER 1 null null"},
		{"A[-1]", "INTEGER 3 null null"},
		{"M['k']", "INTEGER 7 null null"},
		{"T->X", "INTEGER 5 null null"},
		{"CASE WHEN I > 0 THEN 'p' WHEN I < 0 THEN 'n' END", `STRING "p" null "n"`},
		{"CASE WHEN L <> 0 THEN 10 / L ELSE -1 END", "BIGINT 1 -1 -1"},
		{"L <> 0 AND 10 / L > 0", "BOOLEAN true false false"},
		{"CAST(D AS INT)", "INTEGER 1 null -2"},
		{"CAST(D AS STRING)", `STRING "1.5" null "-2.25"`},
		{"CAST(S AS INT)", `INTEGER null null null ! can't convert "abc" to INTEGER ! can't convert "%x" to INTEGER`},
		{"ROWTIME", "BIGINT 5 6 7"},
		{"TRANSFORM(A, x => x * I)", "ARRAY<INTEGER> [1,2,3] null []"},
		{"REDUCE(A, 0, (s, x) => s + x)", "INTEGER 6 0 0"},
		{"TRANSFORM(A, x => REDUCE(A, x, (s, y) => s + y * x + I))", "ARRAY<INTEGER> [10,17,24] null []"},
		{"FILTER(A, x => ARRAY_CONTAINS(TRANSFORM(A, y => y + x), 5))", "ARRAY<INTEGER> [2,3] null []"},
		{"TRANSFORM(A, x => x + ROWTIME)", "ARRAY<BIGINT> [6,7,8] null []"},
		{"TRANSFORM(A, x => REDUCE(TRANSFORM(A, y => x * y), 0, (s, z) => s + z))", "ARRAY<INTEGER> [6,12,18] null []"},
		{"TRANSFORM(M, (k, v) => 'x', (k, v) => v + I)", `MAP<STRING, INTEGER> {"x":8} null {}`},
		{"TRANSFORM(MAP('a' := I, 'b' := I), (k, v) => 'x', (k, v) => v)", `MAP<STRING, INTEGER> null null null ! TRANSFORM: two entries of the map get the same key ! TRANSFORM: an entry of the map gets a null value ! TRANSFORM: two entries of the map get the same key`},
		{"REDUCE(MAP('yes, thanks' := 'y', 'nope' := 'n', 'sure, yeah' := 's'), '', (r, k, v) => r + v)", `STRING "ysn" "ysn" "ysn"`},
		{"REDUCE(MAP('1' := 1, '2' := 2), L, (s, k, v) => s + v)", "BIGINT 13 null 3"},
		{"MAP('a' := 1, 'a' := I)", `MAP<STRING, INTEGER> {"a":1} {"a":null} {"a":-7}`},
		{"ROUND(P)", "DECIMAL(2, 0) 12 null 0"},
		{"DATEADD(DAY, I, DATE '2020-01-01')", "DATE 18263 null 18255"},
		{"STRUCT(a := I, b := S)", "STRUCT<`A` INTEGER, `B` STRING> " + `{"A":1,"B":"abc"} {"A":null,"B":null} {"A":-7,"B":"%x"}`},
		{"COALESCE(I, 0) + 1", "INTEGER 2 1 -6"},
		{"TIMESTAMP '2001-01-01T00:00:00' < '2001-01-02'", "BOOLEAN true true true"},
	} {
		var faults []string
		c := testContext(t, &faults)
		b, scope := testBatch(c.Arena)
		got, err := evalText(x.text, scope, b, c)
		for _, f := range faults {
			got += " ! " + f
		}
		if err != nil || got != x.want {
			t.Errorf("%s\n got %s, %v\nwant %s", x.text, got, err, x.want)
		}
		// Each row alone must give the same.
		for row := range int32(3) {
			b.Sel = []int32{row}
			var single []string
			c2 := testContext(t, &single)
			alone, err := evalText(x.text, scope, b, c2)
			if err != nil {
				break
			}
			parts := strings.SplitN(strings.TrimPrefix(x.want, strings.SplitN(alone, " ", 2)[0]), "!", 2)
			if value := alone[strings.LastIndex(alone, " ")+1:]; !strings.Contains(parts[0], value) {
				t.Errorf("%s: row %d alone is %s, not in %s", x.text, row, value, parts[0])
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	_, scope := testBatch(vector.NewArena())
	for _, x := range []struct{ text, want string }{
		{"S + 'x' - 1", "line 1:1: Unsupported arithmetic types: S + 'x' (STRING) - 1 (INTEGER)"},
		{"S + I", "line 1:1: Unsupported arithmetic types: S (STRING) + I (INTEGER)"},
		{"NULL + S", "line 1:1: Unsupported arithmetic types: NULL (NULL) + S (STRING)"},
		{"I || L", "line 1:1: Unsupported arithmetic types: I (INTEGER) || L (BIGINT)"},
		{"LL + 1", "line 1:1: Column 'LL' cannot be resolved"},
		{"I + UCASE(I)", "line 1:5: Function 'UCASE' does not accept parameters (INTEGER)."},
		{"UCAS(S)", "line 1:1: Can't find any functions with the name 'UCAS'\nDid you mean UCASE?"},
		{"T->Y", "Could not find field 'Y' in T"},
		{"A = 1", "Cannot compare A (ARRAY<INTEGER>) to 1 (INTEGER) with ="},
		{"S AND B", "AND takes a BOOLEAN, found S (STRING)"},
		{"DATEADD(DAYS, 1, I)", "line 1:1: Function 'DATEADD' does not accept parameters (INTERVALUNIT, INTEGER, INTEGER)."},
		{"DATEADD(NULL, 1, FROM_DAYS(1))", "line 1:1: Function 'DATEADD' does not accept parameters (NULL, INTEGER, DATE)."},
		{"T IN (STRUCT(X := 'five'))", `invalid input syntax for type INTEGER: "five"`},
		{"ARRAY[DAYS]", "line 1:7: Column 'DAYS' cannot be resolved"},
		{"DAYS = DAYS", "line 1:1: Column 'DAYS' cannot be resolved"},
		{"MAP('a' := 1)[1]", "line 1:15: a key of MAP('a' := 1) (MAP<STRING, INTEGER>) is a STRING, found 1 (INTEGER)"},
		{"I LIKE 'a'", "line 1:1: LIKE takes a STRING, found I (INTEGER)"},
		{"S LIKE L", "line 1:8: LIKE takes a STRING, found L (BIGINT)"},
		{"FORMAT_DATE(FROM_DAYS(1), 'ww')", `the letter "w" is not supported`},
		{"PARSE_DATE('2001-01', 'yyyy-QQ')", `the letter "Q" can be written, not read`},
	} {
		e, err := sql.ParseExpr(x.text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Compile(e, scope); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %s", x.text, err, x.want)
		}
	}
}
