package format

import (
	"math"
	"strconv"
	"time"

	"karst/sql/types"
	"karst/sql/vector"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A protoEncoder writes rows as one message of a schema.
type protoEncoder struct {
	frame []byte // what stands before each message
	sinks []*protoSink
}

// A protoSink is a field of a message with what is written to it.
type protoSink struct {
	fd   protoreflect.FieldDescriptor
	from int // which of the vectors
	path string
	well protoreflect.FullName // of a message with a meaning of its own
	kids []*protoSink          // of a message
	// key and value are a map's.
	key, value *protoSink
}

func newProtoEncoder(o Options, cols []types.Column) (Encoder, error) {
	s, id, err := o.writerSchema(cols)
	if err != nil {
		return nil, err
	}
	e := &protoEncoder{}
	if len(cols) == 0 {
		return e, nil
	}
	file, err := parseProto(s)
	if err != nil {
		return nil, err
	}
	md, place, err := protoMessageOf(o, file)
	if err != nil {
		return nil, err
	}
	if o.Name == "PROTOBUF" && !o.Bare {
		e.frame = appendPlace(appendFrame(nil, id), place)
	}
	fields := make([]types.Field, len(cols))
	for i, c := range cols {
		fields[i] = types.Field{Name: c.Name, Type: c.Type}
	}
	e.sinks, err = protoSinks(md, fields, "")
	return e, err
}

// protoSinks plans how fields of a row are written as a message's; those that
// the message does not have are a fault.
func protoSinks(md protoreflect.MessageDescriptor, fields []types.Field, path string) ([]*protoSink, error) {
	given := make([]string, md.Fields().Len())
	for i := range given {
		given[i] = string(md.Fields().Get(i).Name())
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	var out []*protoSink
	for i, j := range matchFields(given, names) {
		if j < 0 {
			continue
		}
		k, err := newProtoSink(md.Fields().Get(i), fields[j].Type, join(path, fields[j].Name))
		if err != nil {
			return nil, err
		}
		k.from = j
		out = append(out, k)
	}
	return out, nil
}

func newProtoSink(fd protoreflect.FieldDescriptor, typ *types.Type, path string) (*protoSink, error) {
	k := &protoSink{fd: fd, path: path}
	unfit := schemaFault("%s: the schema has %s there, which can't hold %s", path, protoKindName(fd), typ)
	elem := typ
	switch md := fd.Message(); {
	case fd.IsMap() || fd.IsList() && md != nil && isEntry(md) && typ.Kind() == types.KindMap:
		if typ.Kind() != types.KindMap {
			return nil, unfit
		}
		var err error
		if k.key, err = newProtoSink(md.Fields().Get(0), typ.Key(), path); err != nil {
			return nil, err
		}
		k.value, err = newProtoSink(md.Fields().Get(1), typ.Elem(), path+"[]")
		return k, err
	case fd.IsList():
		if typ.Kind() != types.KindArray {
			return nil, unfit
		}
		elem = typ.Elem()
	}
	md := fd.Message()
	switch {
	case md == nil:
		if !protoWrites(fd.Kind(), elem) {
			return nil, unfit
		}
	case elem.Kind() == types.KindStruct:
		var err error
		k.kids, err = protoSinks(md, elem.Fields(), path)
		return k, err
	default:
		k.well = md.FullName()
		if protoWrappers[k.well] && !protoWrites(md.Fields().Get(0).Kind(), elem) || !protoWrappers[k.well] && !wellWrites(k.well, elem) {
			return nil, unfit
		}
	}
	return k, nil
}

func protoKindName(fd protoreflect.FieldDescriptor) string {
	name := fd.Kind().String()
	if fd.Message() != nil {
		name = string(fd.Message().FullName())
	}
	if fd.IsList() {
		name = "repeated " + name
	}
	return name
}

func protoWrites(kind protoreflect.Kind, typ *types.Type) bool {
	k := typ.Kind()
	switch kind {
	case protoreflect.BoolKind:
		return k == types.KindBoolean
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return k == types.KindDouble
	case protoreflect.StringKind:
		return k == types.KindString
	case protoreflect.BytesKind:
		return k == types.KindBytes
	case protoreflect.EnumKind:
		return k == types.KindString || k == types.KindInt
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	}
	return k == types.KindInt || k == types.KindBigint || k == types.KindDate || k == types.KindTime || k == types.KindTimestamp
}

func wellWrites(name protoreflect.FullName, typ *types.Type) bool {
	switch name {
	case protoTimestamp:
		return typ.Kind() == types.KindTimestamp
	case protoDate:
		return typ.Kind() == types.KindDate
	case protoTime:
		return typ.Kind() == types.KindTime
	case protoDecimal:
		return typ.Kind() == types.KindDecimal
	}
	return false
}

// Encode implements Encoder.
func (e *protoEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for _, row := range rows {
		start := len(out.Buf)
		out.Buf = append(out.Buf, e.frame...)
		var err error
		if out.Buf, err = writeProto(out.Buf, e.sinks, cols, int(row)); err != nil {
			out.Buf = out.Buf[:start]
			return err
		}
		out.close(start)
	}
	return nil
}

// writeProto appends the fields of a message, taken from row i of cols.
func writeProto(buf []byte, sinks []*protoSink, cols []*vector.Vector, i int) ([]byte, error) {
	var err error
	for _, k := range sinks {
		if buf, err = k.write(buf, cols[k.from], i); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// write appends the field with row i of v; nothing if that is null.
func (k *protoSink) write(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	switch {
	case v.IsNull(i):
		return buf, nil
	case k.key != nil:
		return k.writeMap(buf, v, i)
	case k.fd.IsList():
		return k.writeList(buf, v, i)
	case k.fd.Message() == nil && !k.fd.HasPresence() && isZero(v, i):
		return buf, nil
	}
	return k.writeOne(buf, v, i)
}

// isZero reports whether row i is what an absent field of its type stands for.
func isZero(v *vector.Vector, i int) bool {
	switch v.Type.Kind() {
	case types.KindBoolean:
		return !v.Bits.Get(i)
	case types.KindInt, types.KindDate, types.KindTime:
		return v.I32[i] == 0
	case types.KindBigint, types.KindTimestamp:
		return v.I64[i] == 0
	case types.KindDouble:
		return math.Float64bits(v.F64[i]) == 0
	case types.KindString, types.KindBytes:
		return v.Offsets[i] == v.Offsets[i+1]
	}
	return false
}

// writeOne appends the field's tag and row i of v, null or not.
func (k *protoSink) writeOne(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	if k.fd.Message() == nil {
		buf = protowire.AppendTag(buf, k.fd.Number(), wireOf(k.fd.Kind()))
		return k.writeScalar(buf, k.fd, v, i)
	}
	return k.delimited(buf, func(buf []byte) ([]byte, error) {
		if v.IsNull(i) {
			return buf, nil
		}
		return k.writeMessage(buf, v, i)
	})
}

// delimited appends the field's tag and what body appends, behind its length.
func (k *protoSink) delimited(buf []byte, body func([]byte) ([]byte, error)) ([]byte, error) {
	buf = protowire.AppendTag(buf, k.fd.Number(), protowire.BytesType)
	start := len(buf)
	buf, err := body(append(buf, 0)) // most lengths take one byte
	if err != nil {
		return buf, err
	}
	n := len(buf) - start - 1
	size := protowire.SizeVarint(uint64(n))
	for range size - 1 {
		buf = append(buf, 0)
	}
	if size > 1 {
		copy(buf[start+size:], buf[start+1:start+1+n])
	}
	protowire.AppendVarint(buf[:start], uint64(n))
	return buf, nil
}

// writeMessage appends the content of a message.
func (k *protoSink) writeMessage(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	switch {
	case k.well == "":
		return writeProto(buf, k.kids, v.Kids, i)
	case protoWrappers[k.well]:
		fd := k.fd.Message().Fields().Get(0)
		if isZero(v, i) {
			return buf, nil
		}
		return k.writeScalar(protowire.AppendTag(buf, 1, wireOf(fd.Kind())), fd, v, i)
	}
	switch k.well {
	case protoTimestamp:
		s := floorDiv(v.I64[i], 1000)
		buf = appendNumber(buf, 1, s)
		buf = appendNumber(buf, 2, (v.I64[i]-s*1000)*1_000_000)
	case protoDate:
		t := time.Unix(int64(v.I32[i])*(dayMS/1000), 0).UTC()
		buf = appendNumber(buf, 1, int64(t.Year()))
		buf = appendNumber(buf, 2, int64(t.Month()))
		buf = appendNumber(buf, 3, int64(t.Day()))
	case protoTime:
		ms := int64(v.I32[i])
		buf = appendNumber(buf, 1, ms/3_600_000)
		buf = appendNumber(buf, 2, ms/60_000%60)
		buf = appendNumber(buf, 3, ms/1000%60)
		buf = appendNumber(buf, 4, ms%1000*1_000_000)
	case protoDecimal:
		var tmp [20]byte
		digits, _ := appendUnscaled(tmp[:0], v.Dec[i].BigInt(), 0)
		buf = protowire.AppendBytes(protowire.AppendTag(buf, 1, protowire.BytesType), digits)
		buf = appendNumber(buf, 2, int64(v.Type.Precision()))
		buf = appendNumber(buf, 3, int64(v.Type.Scale()))
	}
	return buf, nil
}

// appendNumber appends a varint field, nothing for zero.
func appendNumber(buf []byte, field protowire.Number, n int64) []byte {
	if n == 0 {
		return buf
	}
	return protowire.AppendVarint(protowire.AppendTag(buf, field, protowire.VarintType), uint64(n))
}

// writeScalar appends row i of v as fd's kind, without a tag; a null is a zero.
func (k *protoSink) writeScalar(buf []byte, fd protoreflect.FieldDescriptor, v *vector.Vector, i int) ([]byte, error) {
	null := v.IsNull(i)
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protowire.AppendVarint(buf, protowire.EncodeBool(!null && v.Bits.Get(i))), nil
	case protoreflect.StringKind, protoreflect.BytesKind:
		if null {
			return append(buf, 0), nil
		}
		return protowire.AppendBytes(buf, v.Str(i)), nil
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		f := 0.0
		if !null {
			f = v.F64[i]
		}
		if fd.Kind() == protoreflect.FloatKind {
			return protowire.AppendFixed32(buf, math.Float32bits(float32(f))), nil
		}
		return protowire.AppendFixed64(buf, math.Float64bits(f)), nil
	case protoreflect.EnumKind:
		return k.writeEnum(buf, fd, v, i)
	}
	n := int64(0)
	switch {
	case null:
	case v.Type.Kind() == types.KindBigint || v.Type.Kind() == types.KindTimestamp:
		n = v.I64[i]
	default:
		n = int64(v.I32[i])
	}
	return k.writeInteger(buf, fd.Kind(), n)
}

func (k *protoSink) writeInteger(buf []byte, kind protoreflect.Kind, n int64) ([]byte, error) {
	fits := true
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		fits = int64(int32(n)) == n
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		fits = int64(uint32(n)) == n
	}
	if !fits {
		return buf, schemaFault("%s: %d does not fit the schema's %s", k.path, n, kind)
	}
	switch kind {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protowire.AppendVarint(buf, protowire.EncodeZigZag(n)), nil
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.AppendFixed32(buf, uint32(n)), nil
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(buf, uint64(n)), nil
	}
	return protowire.AppendVarint(buf, uint64(n)), nil
}

func (k *protoSink) writeEnum(buf []byte, fd protoreflect.FieldDescriptor, v *vector.Vector, i int) ([]byte, error) {
	switch {
	case v.IsNull(i):
		return append(buf, 0), nil
	case v.Type.Kind() == types.KindInt:
		return protowire.AppendVarint(buf, uint64(int64(v.I32[i]))), nil
	}
	text := string(v.Str(i))
	if e := fd.Enum().Values().ByName(protoreflect.Name(text)); e != nil {
		return protowire.AppendVarint(buf, uint64(int64(e.Number()))), nil
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil { // as an unknown one is read
		return protowire.AppendVarint(buf, uint64(n)), nil
	}
	return buf, schemaFault("%s: %q is none of the enum's values", k.path, text)
}

// writeList appends an array, packed if the schema says so.
func (k *protoSink) writeList(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	from, to := int(v.Offsets[i]), int(v.Offsets[i+1])
	if from == to {
		return buf, nil
	}
	if k.fd.IsPacked() {
		return k.delimited(buf, func(buf []byte) ([]byte, error) {
			var err error
			for j := from; j < to && err == nil; j++ {
				buf, err = k.writeScalar(buf, k.fd, v.Kids[0], j)
			}
			return buf, err
		})
	}
	var err error
	for j := from; j < to && err == nil; j++ {
		buf, err = k.writeOne(buf, v.Kids[0], j)
	}
	return buf, err
}

// writeMap appends a map's entries; a null value is left out of its entry.
func (k *protoSink) writeMap(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	var err error
	for j := int(v.Offsets[i]); j < int(v.Offsets[i+1]) && err == nil; j++ {
		buf, err = k.delimited(buf, func(buf []byte) ([]byte, error) {
			if buf, err = k.key.write(buf, v.Kids[0], j); err != nil {
				return buf, err
			}
			return k.value.write(buf, v.Kids[1], j)
		})
	}
	return buf, err
}
