package format

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"testing"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// avroFuzzSchemas hold every type; the fuzzer chooses one by its index.
var avroFuzzSchemas = []string{
	`{"type":"record","name":"R","fields":[{"name":"a","type":"boolean"},{"name":"b","type":"int"},{"name":"c","type":"long"},{"name":"d","type":"double"},{"name":"e","type":"string"},{"name":"f","type":"bytes"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"]},{"name":"b","type":["string","null"]},{"name":"c","type":{"type":"enum","name":"E","symbols":["X","Y"]}},{"name":"d","type":{"type":"fixed","name":"F","size":3}},{"name":"e","type":"float"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":["null","long"]}},{"name":"b","type":{"type":"map","values":"string"}}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"},{"name":"y","type":["null",{"type":"array","items":{"type":"map","values":"double"}}]}]}},{"name":"b","type":{"type":"array","items":"S"}}]}`,
	`["null",{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}]`,
	`{"type":"array","items":["null","string"]}`,
}

// FuzzAvro holds the decoder against the library: both take the same records,
// and read the same from them.
func FuzzAvro(f *testing.F) {
	for i, s := range []string{"\x01\x02\x04\x00\x00\x00\x00\x00\x00\xf0\x3f\x02x\x02\x00", "\x02\x06\x02\x02abc\x00\x00\x80\x3f", "\x04\x00\x02\x04\x00\x02\x02k\x02v\x00", "\x02\x02\x02\x01\x10\x02\x02k\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00", "\x02\x02\x02y", "\x04\x00\x02\x02z\x00"} {
		f.Add(byte(i), []byte(s))
	}
	type target struct {
		lib  *avro.Schema
		cols []types.Column
		o    Options
	}
	targets := make([]target, len(avroFuzzSchemas))
	for i, text := range avroFuzzSchemas {
		x := target{lib: avro.MustParse(text), o: Options{Name: "AVRO", Registry: &testRegistry{schemas: []Schema{{Kind: KindAvro, Text: text}}}}}
		if x.lib.Root().Type == "array" {
			whole := false
			x.o.WrapSingle = &whole
		}
		var err error
		if x.cols, err = Infer(x.o, &Schema{Kind: KindAvro, Text: text}); err != nil {
			f.Fatal(err)
		}
		targets[i] = x
	}
	f.Fuzz(func(t *testing.T, which byte, payload []byte) {
		x := targets[int(which)%len(targets)]
		var want any
		rest, libErr := x.lib.Decode(payload, &want)
		got, reason := decodeOne(t, x.o, x.cols, append([]byte{0, 0, 0, 0, 1}, payload...))
		switch {
		case reason != "" && libErr == nil && len(rest) == 0 && !hasInvalidText(want):
			t.Fatalf("the library takes %q: %v, we say %s", payload, want, reason)
		case reason == "" && (libErr != nil || len(rest) > 0):
			t.Fatalf("we take %q: %v, the library says %v, %d bytes left", payload, got, libErr, len(rest))
		case reason == "":
			if w := libraryRow(want, x.cols); !reflect.DeepEqual(w, got) {
				t.Fatalf("%q: we read %v, the library %v", payload, got, w)
			}
		}
	})
}

// decodeOne decodes one record; the reason says why it can't be.
func decodeOne(t *testing.T, o Options, cols []types.Column, record []byte) ([]any, string) {
	d, err := NewDecoder(o, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	reason := ""
	// Between two others, which must come out whole.
	vs := d.Decode(vector.NewPoisonedArena(), cells("<null>", string(record), "<null>"), 3, func(row int, r, message string) {
		if row != 1 {
			t.Fatalf("row %d: %s", row, message)
		}
		reason = r + ": " + message
	})
	var out []any
	for _, v := range vs {
		if v.Len != 3 || !v.IsNull(0) || !v.IsNull(2) || reason != "" && !v.IsNull(1) {
			t.Fatalf("%d rows, or neighbours that are not null", v.Len)
		}
		out = append(out, rowValue(v, 1))
	}
	return out, reason
}

// hasInvalidText reports whether a value has a text that is not UTF-8, which
// the library lets pass.
func hasInvalidText(x any) bool {
	switch x := x.(type) {
	case string:
		return !utf8.ValidString(x)
	case []any:
		for _, e := range x {
			if hasInvalidText(e) {
				return true
			}
		}
	case map[string]any:
		for k, e := range x {
			if !utf8.ValidString(k) || hasInvalidText(e) {
				return true
			}
		}
	}
	return false
}

// libraryRow turns the library's value into rows as rowValue has them.
func libraryRow(x any, cols []types.Column) []any {
	if len(cols) == 1 {
		return []any{libraryValue(x, cols[0].Type)}
	}
	var out []any
	fields, _ := x.(map[string]any)
	for _, c := range cols {
		out = append(out, libraryValue(fields[c.Name], c.Type))
	}
	return out
}

func libraryValue(x any, t *types.Type) any {
	switch x := x.(type) {
	case int32:
		return int64(x)
	case int:
		return int64(x)
	case float32:
		return "double " + strconv.FormatUint(math.Float64bits(float64(x)), 16)
	case float64:
		return "double " + strconv.FormatUint(math.Float64bits(x), 16)
	case string:
		return "text " + x
	case []byte:
		return "bytes " + base64.StdEncoding.EncodeToString(x)
	case []any:
		out := []any{}
		for _, e := range x {
			out = append(out, libraryValue(e, t.Elem()))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			if t.Kind() == types.KindMap {
				out["text "+k] = libraryValue(e, t.Elem())
			} else {
				out[k] = libraryValue(e, t.Fields()[t.FieldIndex(k)].Type)
			}
		}
		return out
	}
	return x
}

const protoFuzzSchema = `syntax = "proto3";
import "google/protobuf/wrappers.proto";
message M {
  bool a = 1; int32 b = 2; sint64 c = 3; uint32 d = 4; fixed32 e = 5; sfixed64 f = 6; float g = 7; double h = 8; string i = 9; bytes j = 10;
  optional int64 k = 11;
  repeated int32 l = 12;
  repeated string m = 13;
  N n = 14;
  repeated N o = 15;
  map<string, int64> p = 16;
  google.protobuf.StringValue q = 17;
  E r = 100;
  message N { sint32 x = 1; repeated double y = 2; optional string z = 3; }
  enum E { ZERO = 0; ONE = 1; }
}
`

// FuzzProtobuf holds the decoder against dynamicpb: both take the same
// messages, and read the same from them.
func FuzzProtobuf(f *testing.F) {
	file, err := parseProto(&Schema{Kind: KindProtobuf, Text: protoFuzzSchema})
	if err != nil {
		f.Fatal(err)
	}
	md := file.Messages().Get(0)
	o := Options{Name: "PROTOBUF", Registry: &testRegistry{schemas: []Schema{{Kind: KindProtobuf, Text: protoFuzzSchema}}}}
	cols, err := Infer(o, &Schema{Kind: KindProtobuf, Text: protoFuzzSchema})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "\x08\x01\x10\x96\x01\x4a\x02hi", "\x62\x02\x01\x02\x60\x03\x6a\x01a\x6a\x00", "\x72\x02\x08\x03\x72\x04\x1a\x02no\x7a\x00\x7a\x02\x08\x01", "\x82\x01\x05\x0a\x01k\x10\x07\x8a\x01\x00\xa0\x06\x05", "\x3d\x00\x00\x80\x3f\x41\x00\x00\x00\x00\x00\x00\xf0\x3f\x58\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := dynamicpb.NewMessage(md)
		libErr := proto.UnmarshalOptions{RecursionLimit: 200}.Unmarshal(payload, m)
		got, reason := decodeOne(t, o, cols, append([]byte{0, 0, 0, 0, 1, 0}, payload...))
		switch {
		case libErr == nil && reason != "":
			t.Fatalf("the library takes %x, we say %s", payload, reason)
		case libErr != nil && reason == "":
			t.Fatalf("we take %x: %v, the library says %v", payload, got, libErr)
		case reason != "":
			return
		}
		var want []any
		for i := range md.Fields().Len() {
			want = append(want, messageField(m, md.Fields().Get(i)))
		}
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%x: we read %v, the library %v", payload, got, want)
		}
	})
}

// messageField returns a field as rowValue has it.
func messageField(m protoreflect.Message, fd protoreflect.FieldDescriptor) any {
	switch v := m.Get(fd); {
	case fd.IsMap():
		out := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out["text "+k.String()] = messageValue(v, fd.MapValue())
			return true
		})
		return out
	case fd.IsList():
		out := []any{}
		for i := range v.List().Len() {
			out = append(out, messageValue(v.List().Get(i), fd))
		}
		return out
	case fd.HasPresence() && !m.Has(fd):
		return nil
	default:
		return messageValue(v, fd)
	}
}

func messageValue(v protoreflect.Value, fd protoreflect.FieldDescriptor) any {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "double " + strconv.FormatUint(math.Float64bits(v.Float()), 16)
	case protoreflect.StringKind:
		return "text " + v.String()
	case protoreflect.BytesKind:
		return "bytes " + base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.EnumKind:
		if e := fd.Enum().Values().ByNumber(v.Enum()); e != nil {
			return "text " + string(e.Name())
		}
		return fmt.Sprintf("text %d", v.Enum())
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return int64(v.Uint())
	case protoreflect.MessageKind:
		m := v.Message()
		if protoWrappers[m.Descriptor().FullName()] {
			return messageValue(m.Get(m.Descriptor().Fields().Get(0)), m.Descriptor().Fields().Get(0))
		}
		out := map[string]any{}
		for i := range m.Descriptor().Fields().Len() {
			f := m.Descriptor().Fields().Get(i)
			out[string(f.Name())] = messageField(m, f)
		}
		return out
	}
	return v.Int()
}
