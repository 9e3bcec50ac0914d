package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"karst/sql/types"
	"karst/sql/vector"
)

func cells(rows ...string) *Cells {
	c := &Cells{}
	for _, r := range rows {
		if r == "<null>" {
			c.Null()
			continue
		}
		start := len(c.Buf)
		c.Buf = append(c.Buf, r...)
		c.close(start)
	}
	return c
}

// decode returns each row's columns as JSON text, or the fault.
func decode(t *testing.T, o Options, cols []types.Column, rows ...string) []string {
	t.Helper()
	d, err := NewDecoder(o, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	faults := map[int]string{}
	vs := d.Decode(vector.NewPoisonedArena(), cells(rows...), len(rows), func(row int, reason, message string) {
		faults[row] += reason + ": " + message
	})
	var out []string
	for i := range rows {
		var parts []string
		for _, v := range vs {
			if v.Len != len(rows) {
				t.Fatalf("vector of %d rows, want %d", v.Len, len(rows))
			}
			parts = append(parts, string(AppendJSON(nil, v, i)))
		}
		s := strings.Join(parts, " ")
		if f := faults[i]; f != "" {
			s += " ! " + f
		}
		out = append(out, s)
	}
	return out
}

func column(name string, t *types.Type) types.Column { return types.Column{Name: name, Type: t} }

func TestJSONDecode(t *testing.T) {
	cols := []types.Column{
		column("I", types.Int), column("L", types.Bigint), column("D", types.Double), column("S", types.String), column("B", types.Boolean),
		column("P", types.MustDecimal(6, 2)), column("A", types.Array(types.Int)), column("M", types.Map(types.String, types.Double)),
		column("T", types.Struct(types.Field{Name: "X", Type: types.Int}, types.Field{Name: "Y", Type: types.String})),
	}
	for _, c := range []struct{ in, want string }{
		{`{"I":1,"L":2,"D":3.5,"S":"x","B":true,"P":1.005,"A":[1,null,3],"M":{"a":1},"T":{"X":1,"Y":"z"}}`, `1 2 3.5 "x" true 1.01 [1,null,3] {"a":1.0} {"X":1,"Y":"z"}`},
		{` { "t" : { "y" : "\u00e9\ud83d\ude00\n" } , "i" : "12" } `, `12 null null null null null null null {"X":null,"Y":"é😀\n"}`},
		{`{"i":1,"I":2,"s":{"a":[1]},"d":"1.5e3"}`, `2 null 1500.0 "{\"a\":[1]}" null null null null null`},
		{`{"L":1.9,"D":123456789012345678,"A":[],"M":{}}`, `null 1 1.2345678901234568E17 null null null [] {} null`},
		{`<null>`, `null null null null null null null null null`},
		{`{"I":1`, `null null null null null null null null null ! malformed: JSON byte 6: expected ',' or '}', found the end`},
		{`{"I":1}x`, `null null null null null null null null null ! malformed: JSON byte 7: expected the end, found "x"`},
		{`{"S": {"a": [ 1.50, "\u0041 \/" ], "b" :null} }`, `null null null "{\"a\":[1.50,\"A /\"],\"b\":null}" null null null null null`},
		{`{"S":"x","I":"abc"}`, `null null null null null null null null null ! wrong type: I: expected INTEGER, found "\"abc\""`},
		{`{"A":[1,2,{"x":1}]}`, `null null null null null null null null null ! wrong type: A[]: expected INTEGER, found "{\"x\":1}"`},
		{`{"Q":1,"I":5}`, `5 null null null null null null null null ! unknown field: field "Q" is not a column`},
		{`{"I":99999999999}`, `null null null null null null null null null ! wrong type: I: expected INTEGER, found "99999999999"`},
		{`{"P":99999.999}`, `null null null null null null null null null ! wrong type: P: expected DECIMAL(6, 2), found "99999.999"`},
		{`{"S":"a` + "\x01" + `"}`, `null null null null null null null null null ! malformed: JSON byte 5: expected a closed string, found "\"a\x01\"}"`},
	} {
		// Between two good rows, which must come out whole.
		got := decode(t, Options{Name: "JSON"}, cols, `{"I":7,"A":[7]}`, c.in, `{"I":8,"A":[8,8]}`)
		if got[1] != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got[1], c.want)
		}
		if got[0] != "7 null null null null null [7] null null" || got[2] != "8 null null null null null [8,8] null null" {
			t.Errorf("%s: neighbours %q, %q", c.in, got[0], got[2])
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for _, c := range []struct {
		o    Options
		cols []types.Column
		rows []string
	}{
		{Options{Name: "DELIMITED"}, []types.Column{column("A", types.String), column("B", types.Double), column("C", types.MustDecimal(4, 2))}, []string{`x,1.5,2.30`, `"a,b",,`, `"q""q",1.0E10,-0.01`}},
		{Options{Name: "DELIMITED"}, []types.Column{column("A", types.Int), column("B", types.String), column("C", types.Int)}, []string{`"-1",-1,-1`, `1,"!",2`, `1,"#x",2`, `1,%x,2`, `1,"x ",2`}},
		{Options{Name: "DELIMITED"}, []types.Column{column("A", types.String), column("B", types.Int)}, []string{`"_a",1`, `Za,1`, `"é",1`}},
		{Options{Name: "DELIMITED", Delimiter: "TAB"}, []types.Column{column("A", types.String), column("B", types.Int)}, []string{"x y\t1"}},
		{Options{Name: "KAFKA"}, []types.Column{column("A", types.Int)}, []string{"\x00\x00\x01\x00", "<null>"}},
		{Options{Name: "KAFKA"}, []types.Column{column("A", types.String)}, []string{"plain"}},
		{Options{Name: "JSON", Key: true}, []types.Column{column("A", types.String)}, []string{`"plain"`, "<null>"}},
		{Options{Name: "JSON"}, []types.Column{column("A", types.Double)}, []string{`{"A":-1.2E-4}`, `{"A":10.0}`}},
	} {
		d, err := NewDecoder(c.o, c.cols, nil)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEncoder(c.o, c.cols)
		if err != nil {
			t.Fatal(err)
		}
		vs := d.Decode(vector.NewArena(), cells(c.rows...), len(c.rows), func(row int, reason, message string) {
			t.Errorf("%v row %d: %s: %s", c.o, row, reason, message)
		})
		var out Cells
		rows := []int32{}
		for i := range c.rows {
			rows = append(rows, int32(i))
		}
		if err := e.Encode(vs, rows, &out); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.rows {
			got := string(out.At(i))
			if out.At(i) == nil {
				got = "<null>"
			}
			if got != want {
				t.Errorf("%v: %q came back as %q", c.o, want, got)
			}
		}
	}
}

// FuzzJSON holds the decoder against encoding/json: what it takes as a STRING
// column's document is valid JSON, and what encoding/json takes it takes too,
// with the same text.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"S":"x"}`, `{"S":"\u00e9\ud800","T":[1,2.5e-3,{"a":null}]}`, `{"S":1e5}`, `{"s":true , "S":false}`, `{}`, `{"S":"\\"}`} {
		f.Add([]byte(s))
	}
	cols := []types.Column{column("S", types.String)}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d := newJSONDecoder(Options{Name: "JSON"}, cols, []bool{true})
		failed := false
		in := cells(string(doc))
		v := d.Decode(vector.NewArena(), in, 1, func(_ int, reason, _ string) { failed = failed || reason != ReasonUnknownField })[0]
		if !failed && !json.Valid(bytes.ToValidUTF8(doc, nil)) {
			t.Fatalf("accepted %q, which is not JSON", doc)
		}
		var want map[string]json.RawMessage
		if failed || json.Unmarshal(doc, &want) != nil {
			return
		}
		var text string
		if len(want) == 1 && want["S"] != nil && want["S"][0] == '"' && json.Unmarshal(want["S"], &text) == nil && !strings.ContainsRune(text, 0xFFFD) && !bytes.Contains(doc, []byte(`"s"`)) {
			if got := string(v.Str(0)); got != text {
				t.Fatalf("%q: text %q, want %q", doc, got, text)
			}
		}
	})
}

func BenchmarkJSONDecode(b *testing.B) {
	cols := []types.Column{column("DATE", types.String), column("DELAY", types.Int), column("DISTANCE", types.Int), column("ORIGIN", types.String), column("DESTINATION", types.String)}
	const n = 4096
	in := &Cells{}
	for i := range n {
		start := len(in.Buf)
		in.Buf = fmt.Appendf(in.Buf, `{"date":"2001/01/01 00:%02d","delay":%d,"distance":1750,"origin":"DTW","destination":"LAS"}`, i%60, i%300)
		in.close(start)
	}
	d, err := NewDecoder(Options{Name: "JSON"}, cols, nil)
	if err != nil {
		b.Fatal(err)
	}
	a := vector.NewArena()
	b.SetBytes(int64(len(in.Buf)))
	b.ReportAllocs()
	for b.Loop() {
		a.Reset()
		d.Decode(a, in, n, func(int, string, string) { b.Fatal("fault") })
	}
}
