package format

import (
	"karst/sql/types"
	"karst/sql/vector"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Texts show records that name their schema by id as JSON. It is used by one
// goroutine at a time.
type Texts struct {
	registry Registry
	arena    *vector.Arena
	byFrame  map[string]*textDecoder // by what stands before a record's payload
}

// A textDecoder is what shows records of one schema; nil columns: nothing does.
type textDecoder struct {
	name    string
	decoder Decoder
	cols    []types.Column
	whole   bool
	file    protoreflect.FileDescriptor // of Protobuf: the record says which message it is
}

// NewTexts returns Texts of a registry's schemas.
func NewTexts(r Registry) *Texts {
	return &Texts{registry: r, arena: vector.NewArena(), byFrame: map[string]*textDecoder{}}
}

// Text appends a record's JSON to buf and returns the name of its format; "" if
// it is none that names a schema which is known.
func (x *Texts) Text(buf, record []byte) ([]byte, string) {
	id := readFrame(record)
	if x.registry == nil || id < 1 {
		return buf, ""
	}
	frame := string(record[:frameBytes])
	d := x.byFrame[frame]
	if d == nil {
		d = x.load(id, "")
		x.byFrame[frame] = d
	}
	if d.file != nil {
		d = x.message(d, id, record)
	}
	if d.cols == nil {
		return buf, ""
	}
	x.arena.Reset()
	failed := false
	in := &Cells{Buf: record, Off: []int32{0}, Len: []int32{int32(len(record))}}
	vs := d.decoder.Decode(x.arena, in, 1, func(_ int, reason, _ string) { failed = failed || reason != ReasonUnknownField })
	if failed || Err(d.decoder) != nil {
		return buf, ""
	}
	if d.whole {
		return AppendJSON(buf, vs[0], 0), d.name
	}
	for i, v := range vs {
		buf = AppendJSON(append(buf, fieldPrefix(i, d.cols[i].Name)...), v, 0)
	}
	return append(buf, '}'), d.name
}

// message returns what shows the message that a record holds.
func (x *Texts) message(of *textDecoder, id int, record []byte) *textDecoder {
	place, n := protoPlace(record[frameBytes:])
	if n < 0 {
		return &textDecoder{}
	}
	frame := string(record[:frameBytes+n])
	d := x.byFrame[frame]
	if d == nil {
		d = &textDecoder{}
		if md := messageAt(of.file, place); md != nil {
			d = x.load(id, string(md.FullName()))
			d.file = nil
		}
		x.byFrame[frame] = d
	}
	return d
}

// load makes the decoder of a schema, of all of a record as one column; a
// Protobuf message's fields are columns of their own.
func (x *Texts) load(id int, fullName string) *textDecoder {
	kind, text, imports, err := x.registry.Schema(id)
	if err != nil {
		return &textDecoder{}
	}
	d := &textDecoder{name: map[string]string{KindAvro: "AVRO", KindProtobuf: "PROTOBUF", KindJSON: "JSON_SR"}[kind], whole: kind != KindProtobuf}
	o := Options{Name: d.name, Registry: x.registry, FullName: fullName}
	if d.whole {
		wrap := false
		o.WrapSingle = &wrap
	}
	s := &Schema{Kind: kind, Text: text, Imports: imports}
	if kind == KindProtobuf {
		if d.file, err = parseProto(s); err != nil {
			return &textDecoder{}
		}
	}
	cols, err := Infer(o, s)
	if err == nil {
		d.decoder, err = NewDecoder(o, cols, nil)
	}
	if err == nil {
		d.cols = cols
	}
	return d
}
