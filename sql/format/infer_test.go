package format

import (
	"fmt"
	"strings"
	"testing"

	"karst/sql/types"
)

// TestInferredColumns: which columns schemas stand for that others have made.
func TestInferredColumns(t *testing.T) {
	for _, c := range []struct{ name, kind, text, want string }{
		{"AVRO", KindAvro, `{"type":"record","name":"R","fields":[{"name":"a","type":["null","string","int"]},{"name":"b","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}},{"name":"c","type":["string"]},{"name":"d","type":{"type":"string","logicalType":"uuid"}}]}`,
			"`a` STRUCT<`string` STRING, `int` INTEGER>, `b` MAP<STRING, BYTES>, `c` STRING, `d` STRING"},
		{"AVRO", KindAvro, `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"long","logicalType":"local-timestamp-micros"}},{"name":"b","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":2}},{"name":"c","type":{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"key","type":"int"},{"name":"value","type":"R2"}]}}}]}`,
			`! not a right Avro schema: `},
		{"PROTOBUF", KindProtobuf, `syntax = "proto2"; import "google/protobuf/timestamp.proto"; message A { required fixed64 a = 1; oneof o { string b = 2; B c = 3; } repeated google.protobuf.Timestamp d = 4; map<int32, B> e = 5; message B { optional bool x = 1; } }`,
			"`a` BIGINT, `b` STRING, `c` STRUCT<`x` BOOLEAN>, `d` ARRAY<TIMESTAMP>, `e` MAP<INTEGER, STRUCT<`x` BOOLEAN>>"},
		{"JSON_SR", KindJSON, `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"z":{"type":["null","string"]},"a":{"$ref":"#/definitions/A"},"e":{"enum":["x"]},"m":{"type":"object","additionalProperties":{"type":"boolean"}}},"definitions":{"A":{"allOf":[{"properties":{"p":{"type":"integer"}}},{"type":"object","properties":{"q":{"type":"number"}}}]}}}`,
			"`z` STRING, `a` STRUCT<`p` BIGINT, `q` DOUBLE>, `e` STRING, `m` MAP<STRING, BOOLEAN>"},
		// Types without end, or with a far one.
		{"AVRO", KindAvro, `{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"]},{"name":"b","type":["null","R"]}]}`, "! a->a->a->"},
		{"PROTOBUF", KindProtobuf, `syntax = "proto3"; message A { A x = 1; A y = 2; }`, "! "},
		{"JSON_SR", KindJSON, `{"$ref":"#/definitions/N","definitions":{"N":{"type":"object","properties":{"l":{"$ref":"#/definitions/N"},"r":{"$ref":"#/definitions/N"}}}}}`, "! "},
		{"PROTOBUF", KindProtobuf, doubling(14), "! "},
		{"JSON_SR", KindJSON, `{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"integer"}]}}}`, "! ROWVAL->a: a value of one of 2 schemas can't be a column"},
		{"JSON_SR", KindJSON, `[]`, "! not a right JSON Schema"},
		{"PROTOBUF", KindProtobuf, `message A {`, "! not a right Protobuf schema"},
	} {
		cols, err := Infer(Options{Name: c.name}, &Schema{Kind: c.kind, Text: c.text})
		got := ""
		if err != nil {
			got = "! " + err.Error()
		}
		for i, col := range cols {
			if i > 0 {
				got += ", "
			}
			got += types.QuoteAlways(col.Name) + " " + col.Type.String()
		}
		if got != c.want && !(strings.HasPrefix(c.want, "!") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%.200s\n got %.300s\nwant %s", c.text, got, c.want)
		}
	}
}

// doubling is a schema whose every message holds the next one twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`syntax = "proto3";`)
	for i := range n {
		fmt.Fprintf(&b, "message M%d { M%d a = 1; M%d b = 2; }", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "message M%d { int32 x = 1; }", n)
	return b.String()
}

// FuzzInfer: no schema, however wrong, makes more than an error; what is
// inferred can be written and read.
func FuzzInfer(f *testing.F) {
	f.Add(byte(0), `{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"],"default":null}]}`)
	f.Add(byte(1), `syntax = "proto3"; message A { repeated B b = 1; enum E { X = 0; } message B { E e = 1; map<string, double> m = 2; } }`)
	f.Add(byte(2), `{"type":"object","properties":{"a":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/A"}]}},"definitions":{"A":{"type":"array","items":{"type":"string"}}}}`)
	f.Add(byte(3), `{"type":"enum","name":"E","symbols":["A"]}`)
	f.Fuzz(func(t *testing.T, which byte, text string) {
		o := []Options{{Name: "AVRO"}, {Name: "PROTOBUF"}, {Name: "JSON_SR"}, {Name: "AVRO", Key: true}}[which%4]
		s := Schema{Kind: SchemaKind(o.Name), Text: text}
		cols, err := Infer(o, &s)
		if err != nil {
			return
		}
		o.Registry = &testRegistry{schemas: []Schema{s}}
		if _, reason := decodeOne(t, o, cols, []byte("\x00\x00\x00\x00\x01\x00\x00{}")); reason == "" {
			return
		}
		o.SchemaID = 1
		_, _ = NewEncoder(o, cols)
	})
}
