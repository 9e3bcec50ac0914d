package format

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"pgregory.net/rapid"
)

// A testRegistry keeps schemas in memory and counts what it is asked.
type testRegistry struct {
	schemas []Schema
	asked   int
	down    error
}

type notFound struct{ error }

func (notFound) NotFound() bool { return true }

func (r *testRegistry) Schema(id int) (string, string, [][2]string, error) {
	r.asked++
	if r.down != nil {
		return "", "", nil, r.down
	}
	if id < 1 || id > len(r.schemas) {
		return "", "", nil, notFound{fmt.Errorf("schema %d not found", id)}
	}
	s := r.schemas[id-1]
	return s.Kind, s.Text, s.Imports, nil
}

func (r *testRegistry) Register(_, kind, text string) (int, error) {
	return r.add(Schema{Kind: kind, Text: text}), nil
}

func (r *testRegistry) add(s Schema) int {
	for i := range r.schemas {
		if reflect.DeepEqual(r.schemas[i], s) {
			return i + 1
		}
	}
	r.schemas = append(r.schemas, s)
	return len(r.schemas)
}

// rowValue returns a row as nil, bool, int64, text or nested values; of a map
// with a key twice the last counts.
func rowValue(v *vector.Vector, i int) any {
	if v.IsNull(i) {
		return nil
	}
	switch v.Type.Kind() {
	case types.KindBoolean:
		return v.Bits.Get(i)
	case types.KindInt, types.KindDate, types.KindTime:
		return int64(v.I32[i])
	case types.KindBigint, types.KindTimestamp:
		return v.I64[i]
	case types.KindDouble:
		return "double " + strconv.FormatUint(math.Float64bits(v.F64[i]), 16)
	case types.KindDecimal:
		return "decimal " + types.FormatDecimal(v.Dec[i].BigInt(), v.Type.Scale())
	case types.KindString:
		return "text " + string(v.Str(i))
	case types.KindBytes:
		return "bytes " + base64.StdEncoding.EncodeToString(v.Str(i))
	case types.KindArray:
		out := []any{}
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			out = append(out, rowValue(v.Kids[0], int(j)))
		}
		return out
	case types.KindMap:
		out := map[string]any{}
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			out[fmt.Sprint(rowValue(v.Kids[0], int(j)))] = rowValue(v.Kids[1], int(j))
		}
		return out
	}
	out := map[string]any{}
	for k, f := range v.Type.Fields() {
		out[f.Name] = rowValue(v.Kids[k], i)
	}
	return out
}

// drawType draws a type that a format can hold; nested ones have depth left.
func drawType(t *rapid.T, format string, depth int) *types.Type {
	scalars := []*types.Type{types.Boolean, types.Int, types.Bigint, types.Double, types.String, types.Bytes, types.Date, types.Time, types.Timestamp,
		types.MustDecimal(4, 2), types.MustDecimal(38, 10), types.MustDecimal(18, 0)}
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "nested") > 0 {
		return rapid.SampledFrom(scalars).Draw(t, "type")
	}
	elem := drawType(t, format, depth-1)
	if strings.HasPrefix(format, "PROTOBUF") && (elem.Kind() == types.KindArray || elem.Kind() == types.KindMap) {
		elem = types.Struct(types.Field{Name: "IN", Type: elem})
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		return types.Array(elem)
	case 1:
		return types.Map(types.String, elem)
	}
	return types.Struct(types.Field{Name: "A", Type: elem}, types.Field{Name: "B", Type: drawType(t, format, depth-1)})
}

// drawRow appends a random value; without nulls, if the format has none there.
func drawRow(t *rapid.T, b *vector.Builder, nulls bool) {
	if nulls && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		b.Null()
		return
	}
	switch typ := b.Type(); typ.Kind() {
	case types.KindBoolean:
		b.Bool(rapid.Bool().Draw(t, "bool"))
	case types.KindInt:
		b.Int32(rapid.Int32().Draw(t, "int"))
	case types.KindDate:
		b.Int32(rapid.Int32Range(-700_000, 2_900_000).Draw(t, "date")) // years 1 to 9999
	case types.KindTime:
		b.Int32(rapid.Int32Range(0, dayMS-1).Draw(t, "time"))
	case types.KindBigint:
		b.Int64(rapid.Int64().Draw(t, "bigint"))
	case types.KindTimestamp:
		b.Int64(rapid.Int64Range(-62_000_000_000_000, 253_000_000_000_000).Draw(t, "timestamp"))
	case types.KindDouble:
		b.Float64(rapid.Float64().Draw(t, "double"))
	case types.KindDecimal:
		most := types.PowerOfTen(typ.Precision())
		n := most.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "digits"))
		n.Rem(n, types.PowerOfTen(typ.Precision()))
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		b.Decimal(decimal128.FromBigInt(n))
	case types.KindString:
		b.String(rapid.StringN(0, 8, 24).Draw(t, "string"))
	case types.KindBytes:
		b.Bytes(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes"))
	case types.KindArray:
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			drawRow(t, b.Kid(0), nulls)
		}
		b.Close()
	case types.KindMap:
		for i := range rapid.IntRange(0, 3).Draw(t, "n") {
			b.Kid(0).String(fmt.Sprintf("k%d", i))
			drawRow(t, b.Kid(1), nulls)
		}
		b.Close()
	case types.KindStruct:
		for k := range typ.Fields() {
			drawRow(t, b.Kid(k), nulls)
		}
		b.Close()
	}
}

// drawColumns draws some columns and rows of them.
func drawColumns(t *rapid.T, format string, nulls bool) ([]types.Column, []*vector.Vector, int) {
	var cols []types.Column
	for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
		cols = append(cols, column(fmt.Sprintf("C%d", i), drawType(t, format, 2)))
	}
	n := rapid.IntRange(1, 5).Draw(t, "rows")
	a := vector.NewArena()
	var vs []*vector.Vector
	for _, c := range cols {
		b := vector.NewBuilder(a, c.Type, n)
		for range n {
			drawRow(t, b, nulls)
		}
		vs = append(vs, b.Finish())
	}
	return cols, vs, n
}

func encodeRows(t rapid.TB, o Options, cols []types.Column, vs []*vector.Vector, n int) *Cells {
	e, err := NewEncoder(o, cols)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	out := &Cells{}
	if err := e.Encode(vs, rows, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func decodeRows(t rapid.TB, o Options, cols []types.Column, needed []bool, in *Cells, n int) []*vector.Vector {
	d, err := NewDecoder(o, cols, needed)
	if err != nil {
		t.Fatal(err)
	}
	vs := d.Decode(vector.NewPoisonedArena(), in, n, func(row int, reason, message string) {
		t.Fatalf("row %d: %s: %s", row, reason, message)
	})
	if err := Err(d); err != nil {
		t.Fatal(err)
	}
	return vs
}

// TestEncodedRowsComeBack: what is encoded decodes to the same rows, whichever
// columns are wanted; schemas that are derived stand for the same columns.
func TestEncodedRowsComeBack(t *testing.T) {
	for _, o := range []Options{{Name: "AVRO"}, {Name: "JSON_SR"}, {Name: "PROTOBUF"}, {Name: "PROTOBUF", Nullable: "OPTIONAL"}, {Name: "PROTOBUF", Nullable: "WRAPPER"}, {Name: "PROTOBUF_NOSR"}, {Name: "AVRO", Bare: true}} {
		t.Run(o.Name+o.Nullable, rapid.MakeCheck(func(t *rapid.T) {
			o := o
			reg := &testRegistry{}
			o.Registry, o.Subject = reg, "s"
			proto := strings.HasPrefix(o.Name, "PROTOBUF")
			cols, vs, n := drawColumns(t, o.Name, !proto)
			in := encodeRows(t, o, cols, vs, n)
			if o.Bare {
				return // there is no reader of these
			}
			needed := make([]bool, len(cols))
			for i := range needed {
				needed[i] = rapid.Bool().Draw(t, "needed")
			}
			for i, v := range decodeRows(t, o, cols, needed, in, n) {
				if !needed[i] {
					continue
				}
				for row := range n {
					if want, got := rowValue(vs[i], row), rowValue(v, row); !reflect.DeepEqual(want, got) {
						t.Fatalf("%s row %d: %v came back as %v", cols[i].Name, row, want, got)
					}
				}
			}
			if SchemaKind(o.Name) == "" || len(cols) == 1 {
				return
			}
			back, err := Infer(o, &reg.schemas[0])
			if err != nil {
				t.Fatalf("%v\n%s", err, reg.schemas[0].Text)
			}
			if !reflect.DeepEqual(cols, back) {
				t.Fatalf("columns %v are inferred as %v from\n%s", cols, back, reg.schemas[0].Text)
			}
		}))
	}
}

// TestNullsOfProtobuf: which nulls survive, by how they are represented.
func TestNullsOfProtobuf(t *testing.T) {
	cols := []types.Column{column("I", types.Int), column("S", types.String), column("B", types.Bytes), column("D", types.Date),
		column("A", types.Array(types.Int)), column("T", types.Struct(types.Field{Name: "X", Type: types.Bigint}))}
	for how, want := range map[string]string{"": `0 "" "" null [] null`, "OPTIONAL": `null null null null [] null`, "WRAPPER": `null null null null [] null`} {
		for _, name := range []string{"PROTOBUF", "PROTOBUF_NOSR"} {
			o := Options{Name: name, Nullable: how, Registry: &testRegistry{}, Subject: "s"}
			a := vector.NewArena()
			var vs []*vector.Vector
			for _, c := range cols {
				vs = append(vs, vector.NewNull(a, c.Type, 1))
			}
			var got []string
			for _, v := range decodeRows(t, o, cols, nil, encodeRows(t, o, cols, vs, 1), 1) {
				got = append(got, string(AppendJSON(nil, v, 0)))
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s %s: %s, want %s", name, how, s, want)
			}
			for i, v := range Written(o, a, vs) {
				if s := string(AppendJSON(nil, v, 0)); how == "" && s != got[i] {
					t.Errorf("%s: Written says %s, it is read as %s", cols[i].Name, s, got[i])
				}
			}
		}
	}
}

// TestRegistryFaults: an unknown schema is the record's fault, a registry that
// does not answer is not.
func TestRegistryFaults(t *testing.T) {
	cols := []types.Column{column("A", types.Int)}
	reg := &testRegistry{}
	reg.add(Schema{Kind: KindJSON, Text: `{"type":"object","properties":{"A":{"type":"integer"}}}`})
	reg.add(Schema{Kind: KindAvro, Text: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`})
	d, err := NewDecoder(Options{Name: "AVRO", Registry: reg}, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func(rows ...string) (string, string) {
		var faults, values []string
		vs := d.Decode(vector.NewPoisonedArena(), cells(rows...), len(rows), func(row int, reason, message string) {
			faults = append(faults, fmt.Sprintf("%d %s: %s", row, reason, message))
		})
		for i := range rows {
			values = append(values, string(AppendJSON(nil, vs[0], i)))
		}
		return strings.Join(values, " "), strings.Join(faults, "\n")
	}
	values, faults := run("\x00\x00\x00\x00\x02\x06", "\x00\x00\x00\x00\x01\x06", "\x00\x00\x00\x00\x09\x06", "x", "<null>", "\x00\x00\x00\x00\x02\x08", "\x00\x00\x00\x00\x02\x08\x08", "\x00\x00\x00\x00\x02")
	if values != "3 null null null null 4 null null" {
		t.Errorf("values %s", values)
	}
	want := `1 schema: schema 1 is of type JSON, the format AVRO needs AVRO
2 schema: looking up schema 9: schema 9 not found
3 malformed: a record of format AVRO begins with a zero byte and a schema id, found "x"
6 malformed: 1 bytes are left over after the record
7 malformed: the record ends too early`
	if faults != want {
		t.Errorf("faults\n%s\nwant\n%s", faults, want)
	}
	asked := reg.asked
	if run("\x00\x00\x00\x00\x02\x06", "\x00\x00\x00\x00\x01\x06"); reg.asked != asked {
		t.Error("what is known was asked for again")
	}
	if run("\x00\x00\x00\x00\x09\x06", "\x00\x00\x00\x00\x09\x06"); reg.asked != asked+1 {
		t.Error("what is not known was asked for twice in a batch")
	}
	reg.down = fmt.Errorf("connection refused")
	if _, faults := run("\x00\x00\x00\x00\x07\x06"); Err(d) == nil {
		t.Errorf("a registry that does not answer is the record's fault: %s", faults)
	}
	reg.down = nil
	reg.schemas = append(reg.schemas, make([]Schema, 4)...)
	reg.schemas = append(reg.schemas[:6], reg.schemas[1])
	if values, _ := run("\x00\x00\x00\x00\x07\x06"); Err(d) != nil || values != "3" {
		t.Errorf("the registry is back, but %s, %v", values, Err(d))
	}
	reg.schemas = append(reg.schemas, Schema{}, reg.schemas[1])
	if values, _ := run("\x00\x00\x00\x00\x09\x06"); values != "3" {
		t.Errorf("the schema is there now, but the value is %s", values)
	}
	reg.down = fmt.Errorf("connection refused")
	e, err := NewEncoder(Options{Name: "AVRO", Registry: reg, SchemaID: 2}, cols)
	if err != nil {
		t.Fatal(err)
	}
	v, out := []*vector.Vector{one(vector.NewArena())}, &Cells{}
	if err := e.Encode(v, []int32{0}, out); !errors.Is(err, ErrUnavailable) {
		t.Errorf("encoding without a registry: %v", err)
	}
	reg.down = nil
	if err := e.Encode(v, []int32{0}, out); err != nil || string(out.At(0)) != "\x00\x00\x00\x00\x02\x02" {
		t.Errorf("the registry is back, but %q, %v", out.At(0), err)
	}
}

// TestAvroEvolution: the writer's schema is projected to the columns, by name
// and with the coercions that lose nothing.
func TestAvroEvolution(t *testing.T) {
	for _, c := range []struct {
		schema, data, want string
		cols               []types.Column
	}{
		{`"int"`, "\x14", `"10"`, []types.Column{column("A", types.String)}},
		{`{"type":"record","name":"R","fields":[{"name":"x","type":"string"},{"name":"a","type":"int"},{"name":"y","type":{"type":"array","items":"R"}}]}`,
			"\x02q\x14\x02\x02r\x02\x00\x00", `10 null`, []types.Column{column("A", types.Bigint), column("B", types.Int)}},
		{`["null",{"type":"record","name":"R","fields":[{"name":"a","type":"float"},{"name":"b","type":["null","int"]}]}]`, "\x02\x00\x00\xc0\x3f\x00", `1.5 null`, []types.Column{column("A", types.Double), column("B", types.Int)}},
		{`["null",{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}]`, "\x00", `null null`, []types.Column{column("A", types.Int), column("B", types.Int)}},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}},{"name":"b","type":{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":2}}]}`,
			"\x02\x7f\xff\x85", `12.70 "-1.23"`, []types.Column{column("A", types.MustDecimal(6, 2)), column("B", types.String)}},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"b","type":{"type":"long","logicalType":"time-micros"}}]}`,
			"\xd1\x0f\xd0\x0f", `-2 1`, []types.Column{column("A", types.Timestamp), column("B", types.Time)}},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":["null","int","string"]},{"name":"b","type":"int"}]}`, "\x04\x02q\x04", `{"INT":null,"STRING":"q"} 2`,
			[]types.Column{column("A", types.Struct(types.Field{Name: "INT", Type: types.Int}, types.Field{Name: "STRING", Type: types.String})), column("B", types.Int)}},
		{`{"type":"record","name":"R","fields":[{"name":"A","type":"int"},{"name":"a","type":"int"}]}`, "\x02\x04", `1 2`, []types.Column{column("A", types.Int), column("a", types.Int)}},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"int"}]}`, "\x80\x80\x80\x80\x20\x02", `! wrong type: A: expected INTEGER, found 4294967296`, []types.Column{column("A", types.Int), column("B", types.Int)}},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":"int"}]}`, "\x02x\x02", `! wrong type: A: expected INTEGER, found string`, []types.Column{column("A", types.Int), column("B", types.Int)}},
	} {
		whole := false
		o := Options{Name: "AVRO", Registry: &testRegistry{schemas: []Schema{{Kind: KindAvro, Text: c.schema}}}}
		if len(c.cols) == 1 {
			o.WrapSingle = &whole
		}
		got := decode(t, o, c.cols, "\x00\x00\x00\x00\x01"+c.data)[0]
		if i := strings.Index(got, "! "); i >= 0 {
			got = got[i:]
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.schema, got, c.want)
		}
	}
}

// TestNamedSchemas: an encoder writes with the schema that it is given, its
// defaults where a column is missing or null.
func TestNamedSchemas(t *testing.T) {
	reg := &testRegistry{}
	avro := reg.add(Schema{Kind: KindAvro, Text: `{"type":"record","name":"R","fields":[{"name":"c","type":"string","default":"d"},{"name":"a","type":"int","default":7},{"name":"b","type":["string","null"]}]}`})
	event := [2]string{"event.proto", `syntax = "proto3"; message Event { int64 at = 3; }`}
	proto := reg.add(Schema{Kind: KindProtobuf, Text: `syntax = "proto2"; import "event.proto"; message X { message Y { required sfixed32 a = 2; optional Event b = 90; } }`, Imports: [][2]string{event}})
	a := vector.NewArena()
	null := vector.NewNull(a, types.Int, 1)
	b := vector.NewBuilder(a, types.Struct(types.Field{Name: "AT", Type: types.Bigint}), 1)
	b.Kid(0).Int64(5)
	b.Close()
	at := b.Finish()
	text := vector.NewBuilder(a, types.String, 1)
	text.String("x")
	for _, c := range []struct {
		o    Options
		cols []types.Column
		vs   []*vector.Vector
		want string
	}{
		{Options{Name: "AVRO", SchemaID: avro}, []types.Column{column("A", types.Int), column("B", types.String)}, []*vector.Vector{null, text.Finish()}, "\x00\x00\x00\x00\x01\x02d\x0e\x00\x02x"},
		{Options{Name: "PROTOBUF", SchemaID: proto, FullName: "X.Y"}, []types.Column{column("A", types.Int), column("B", at.Type)}, []*vector.Vector{one(a), at}, "\x00\x00\x00\x00\x02\x04\x00\x00\x15\x01\x00\x00\x00\xd2\x05\x02\x18\x05"},
	} {
		c.o.Registry = reg
		if got := encodeRows(t, c.o, c.cols, c.vs, 1).At(0); !bytes.Equal(got, []byte(c.want)) {
			t.Errorf("%s: %q, want %q", c.o.Name, got, c.want)
		}
	}
	e, err := NewEncoder(Options{Name: "AVRO", SchemaID: avro, Registry: reg}, []types.Column{column("A", types.String)})
	if err == nil {
		t.Errorf("a STRING is written as an int: %v", e)
	}
	e, err = NewEncoder(Options{Name: "AVRO", SchemaID: reg.add(Schema{Kind: KindAvro, Text: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`}), Registry: reg}, []types.Column{column("A", types.Int)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Encode([]*vector.Vector{null}, []int32{0}, &Cells{}); err == nil {
		t.Error("a null is written where the schema wants an int")
	}
}

func one(a *vector.Arena) *vector.Vector {
	v := vector.New(a, types.Int, 1)
	v.I32[0] = 1
	return v
}

// TestTexts: records are shown by the schema that they name.
func TestTexts(t *testing.T) {
	reg := &testRegistry{}
	reg.add(Schema{Kind: KindAvro, Text: `{"type":"record","name":"R","fields":[{"name":"a","type":["null","string"]},{"name":"d","type":{"type":"int","logicalType":"date"}}]}`})
	reg.add(Schema{Kind: KindAvro, Text: `"long"`})
	reg.add(Schema{Kind: KindProtobuf, Text: `syntax = "proto3"; message A { int32 x = 1; } message B { message C { string s = 1; } }`})
	reg.add(Schema{Kind: KindJSON, Text: `{"type":"object","properties":{"x":{"type":"array","items":{"type":"number"}}}}`})
	x := NewTexts(reg)
	for _, c := range []struct{ record, want string }{
		{"\x00\x00\x00\x00\x01\x02\x02q\x14", `{"a":"q","d":10}` + " AVRO"},
		{"\x00\x00\x00\x00\x02\x07", "-4 AVRO"},
		{"\x00\x00\x00\x00\x03\x00\x08\x05", `{"x":5} PROTOBUF`},
		{"\x00\x00\x00\x00\x03\x04\x02\x00\x0a\x01z", `{"s":"z"} PROTOBUF`},
		{"\x00\x00\x00\x00\x03\x02\x08\x08\x05", " "},
		{"\x00\x00\x00\x00\x04{\"x\":[1.5]}", `{"x":[1.5]} JSON_SR`},
		{"\x00\x00\x00\x00\x09\x07", " "},
		{"\x00\x00\x00\x00\x01\x02", " "},
		{"plain", " "},
	} {
		for range 2 {
			text, name := x.Text(nil, []byte(c.record))
			if got := string(text) + " " + name; got != c.want {
				t.Errorf("%q: %s, want %s", c.record, got, c.want)
			}
		}
	}
}

// BenchmarkSchemas decodes flights in each format with schemas, all columns and
// two of five.
func BenchmarkSchemas(b *testing.B) {
	cols := []types.Column{column("DATE", types.String), column("DELAY", types.Int), column("DISTANCE", types.Int), column("ORIGIN", types.String), column("DESTINATION", types.String)}
	const n = 4096
	var vs []*vector.Vector
	a := vector.NewArena()
	for k, c := range cols {
		v := vector.NewBuilder(a, c.Type, n)
		for i := range n {
			if c.Type.Kind() == types.KindInt {
				v.Int32(int32(i * k))
			} else {
				v.String(fmt.Sprintf("2001/01/%02d", i%31))
			}
		}
		vs = append(vs, v.Finish())
	}
	for _, name := range []string{"AVRO", "PROTOBUF", "JSON_SR", "JSON"} {
		for _, needed := range [][]bool{nil, {false, true, false, true, false}} {
			o := Options{Name: name, Registry: &testRegistry{}, Subject: "s"}
			e, err := NewEncoder(o, cols)
			if err != nil {
				b.Fatal(err)
			}
			in, rows := &Cells{}, make([]int32, n)
			for i := range rows {
				rows[i] = int32(i)
			}
			if err := e.Encode(vs, rows, in); err != nil {
				b.Fatal(err)
			}
			d, err := NewDecoder(o, cols, needed)
			if err != nil {
				b.Fatal(err)
			}
			what := "all"
			if needed != nil {
				what = "two"
			}
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				arena := vector.NewArena()
				for b.Loop() {
					arena.Reset()
					d.Decode(arena, in, n, func(_ int, _, message string) { b.Fatal(message) })
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			})
		}
	}
}
