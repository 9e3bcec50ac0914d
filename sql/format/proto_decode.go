package format

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A protoProgram decodes messages of one schema; which of its messages a
// record holds is told by the record.
type protoProgram struct {
	file     protoreflect.FileDescriptor
	cols     []types.Column
	needed   []bool
	builders []*vector.Builder
	messages []protoRoot
	protoReader
}

// A protoRoot is a message of the schema whose fields become columns.
type protoRoot struct {
	place   []int
	message *protoMessage
	bound   bool
}

// A protoReader keeps what was found wrong with a record.
type protoReader struct {
	reason, message string
}

// A protoMessage is a message on its way to builders. It is scanned first, then
// each field appends its row: fields may come in any order, several times or
// not at all.
type protoMessage struct {
	fields []*protoField
	// numbers are the fields by number, those beyond its end are searched for.
	numbers []*protoField
	// missing are the wanted fields that the message does not have.
	missing []int
}

// A protoField is a field on its way to a builder.
type protoField struct {
	number protowire.Number
	fd     protoreflect.FieldDescriptor
	typ    *types.Type
	// What the descriptor says, asked once.
	kind, wrapped protoreflect.Kind // wrapped: of the scalar in a wrapper
	wire          protowire.Type
	many, message bool // a list or map; a message
	presence      bool // absent is null, not a default
	at            int  // which of the wanted fields it is
	path          string
	b             *vector.Builder
	wrong         bool
	well          protoreflect.FullName // of a message with a meaning of its own
	inner         *protoMessage         // of a STRUCT, or of a map's entry

	seen    bool
	bits    uint64 // of a number
	bytes   []byte // of a string or message
	scratch []byte // where parts of a message that came in pieces are joined
}

func newProtoDecoder(o Options, cols []types.Column, needed []bool) Decoder {
	return newFramedDecoder(o, cols, needed, func(s *Schema) (program, error) {
		file, err := parseProto(s)
		return &protoProgram{file: file, cols: cols, needed: needed}, err
	})
}

func (p *protoProgram) bind(builders []*vector.Builder) {
	p.builders = builders
	for i := range p.messages {
		p.messages[i].bound = false
	}
}

func (p *protoProgram) row(payload []byte) (reason, message string) {
	place, n := protoPlace(payload)
	if n < 0 {
		return ReasonMalformed, "the record does not say which message it holds"
	}
	root, err := p.root(place)
	if err != nil {
		return ReasonSchema, err.Error()
	}
	return p.decode(root, p.builders, payload[n:])
}

func (p *protoReader) decode(m *protoMessage, builders []*vector.Builder, payload []byte) (reason, message string) {
	p.reason = ""
	if !p.scan(m, payload, 0) || !p.emit(m) {
		return p.reason, p.message
	}
	for _, i := range m.missing {
		if builders[i] != nil {
			builders[i].Null()
		}
	}
	return "", ""
}

// maxProtoPlace bounds how deep in others a record's message is defined.
const maxProtoPlace = 32

// protoPlace reads which message of the schema a record holds, and how many
// bytes that took: a count of indexes and the indexes, zig-zag; a count of zero
// stands for the first message.
func protoPlace(b []byte) ([]int, int) {
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return nil, -1
	}
	if v == 0 {
		return nil, n
	}
	count := protowire.DecodeZigZag(v)
	if count < 0 || count > maxProtoPlace {
		return nil, -1
	}
	var place []int
	for range count {
		v, k := protowire.ConsumeVarint(b[n:])
		if k < 0 {
			return nil, -1
		}
		n += k
		place = append(place, int(protowire.DecodeZigZag(v)))
	}
	return place, n
}

// appendPlace appends what protoPlace reads.
func appendPlace(buf []byte, place []int) []byte {
	if len(place) == 1 && place[0] == 0 {
		return append(buf, 0)
	}
	buf = protowire.AppendVarint(buf, protowire.EncodeZigZag(int64(len(place))))
	for _, i := range place {
		buf = protowire.AppendVarint(buf, protowire.EncodeZigZag(int64(i)))
	}
	return buf
}

var firstMessage = []int{0}

// root returns the message at a place, bound to the batch's builders.
func (p *protoProgram) root(place []int) (*protoMessage, error) {
	if len(place) == 0 {
		place = firstMessage
	}
	var r *protoRoot
	for i := range p.messages {
		if slices.Equal(p.messages[i].place, place) {
			r = &p.messages[i]
		}
	}
	if r == nil {
		md := messageAt(p.file, place)
		if md == nil {
			return nil, schemaFault("the schema has no message at %v", place)
		}
		p.messages = append(p.messages, protoRoot{place: place, message: newProtoRoot(md, p.cols, p.needed)})
		r = &p.messages[len(p.messages)-1]
	}
	if !r.bound {
		r.message.bindColumns(p.builders)
		r.bound = true
	}
	return r.message, nil
}

// messageAt returns the message at a place, nil if there is none; an empty place
// is the first one's.
func messageAt(file protoreflect.FileDescriptor, place []int) protoreflect.MessageDescriptor {
	if len(place) == 0 {
		place = firstMessage
	}
	list := file.Messages()
	var md protoreflect.MessageDescriptor
	for _, i := range place {
		if i < 0 || i >= list.Len() {
			return nil
		}
		md = list.Get(i)
		list = md.Messages()
	}
	return md
}

func newProtoRoot(md protoreflect.MessageDescriptor, cols []types.Column, needed []bool) *protoMessage {
	want := make([]types.Field, len(cols))
	for i, c := range cols {
		if want[i].Name = c.Name; needed[i] {
			want[i].Type = c.Type
		}
	}
	return newProtoMessage(md, want, "")
}

// maxProtoIndex is the highest field number that is found by index.
const maxProtoIndex = 64

// newProtoMessage plans how a message becomes the wanted fields; those without
// a type are skipped.
func newProtoMessage(md protoreflect.MessageDescriptor, want []types.Field, path string) *protoMessage {
	m := &protoMessage{}
	given := make([]string, md.Fields().Len())
	for i := range given {
		given[i] = string(md.Fields().Get(i).Name())
	}
	names := make([]string, len(want))
	for i, f := range want {
		names[i] = f.Name
	}
	for i, j := range matchFields(names, given) {
		switch {
		case j < 0:
			m.missing = append(m.missing, i)
		case want[i].Type != nil:
			m.add(newProtoField(md.Fields().Get(j), want[i].Type, join(path, want[i].Name)), i)
		}
	}
	return m
}

func (m *protoMessage) add(f *protoField, at int) {
	f.at = at
	m.fields = append(m.fields, f)
	if f.number > maxProtoIndex {
		return
	}
	for len(m.numbers) <= int(f.number) {
		m.numbers = append(m.numbers, nil)
	}
	m.numbers[f.number] = f
}

func (m *protoMessage) find(n protowire.Number) *protoField {
	if int(n) < len(m.numbers) {
		return m.numbers[n]
	}
	if n > maxProtoIndex {
		for _, f := range m.fields {
			if f.number == n {
				return f
			}
		}
	}
	return nil
}

func newProtoField(fd protoreflect.FieldDescriptor, typ *types.Type, path string) *protoField {
	f := &protoField{number: fd.Number(), fd: fd, typ: typ, path: path, kind: fd.Kind(), wire: wireOf(fd.Kind()), many: fd.IsList() || fd.IsMap(),
		message: fd.Message() != nil, presence: fd.HasPresence() && !fd.ContainingMessage().IsMapEntry()}
	elem := typ
	switch {
	case fd.IsMap() || fd.IsList() && typ.Kind() == types.KindMap && fd.Message() != nil && isEntry(fd.Message()):
		if f.wrong = typ.Kind() != types.KindMap; !f.wrong {
			f.inner = newProtoMessage(fd.Message(), []types.Field{{Name: "key", Type: typ.Key()}, {Name: "value", Type: typ.Elem()}}, path)
		}
		return f
	case fd.IsList():
		if f.wrong = typ.Kind() != types.KindArray; f.wrong {
			return f
		}
		elem = typ.Elem()
	}
	if md := fd.Message(); md != nil {
		switch {
		case elem.Kind() == types.KindStruct:
			f.inner = newProtoMessage(md, elem.Fields(), path)
		case protoWrappers[md.FullName()]:
			f.well, f.wrapped = md.FullName(), md.Fields().Get(0).Kind()
			f.wrong = !protoReads(f.wrapped, elem)
		default:
			f.well = md.FullName()
			f.wrong = !wellReads(f.well, elem)
		}
		return f
	}
	f.wrong = !protoReads(fd.Kind(), elem)
	return f
}

// protoReads reports whether scalars of a kind can become typ.
func protoReads(kind protoreflect.Kind, typ *types.Type) bool {
	k := typ.Kind()
	switch kind {
	case protoreflect.BoolKind:
		return k == types.KindBoolean || k == types.KindString
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return k == types.KindDouble || k == types.KindDecimal || k == types.KindString
	case protoreflect.StringKind:
		return k == types.KindString
	case protoreflect.BytesKind:
		return k == types.KindBytes
	case protoreflect.EnumKind:
		return k == types.KindString || k == types.KindInt || k == types.KindBigint
	case protoreflect.GroupKind, protoreflect.MessageKind:
		return false
	}
	return k != types.KindBoolean && k != types.KindBytes && !typ.IsNested()
}

func wellReads(name protoreflect.FullName, typ *types.Type) bool {
	k := typ.Kind()
	switch name {
	case protoTimestamp:
		return k == types.KindTimestamp || k == types.KindBigint
	case protoDate:
		return k == types.KindDate
	case protoTime:
		return k == types.KindTime
	case protoDecimal:
		return k == types.KindDecimal || k == types.KindString || k == types.KindDouble
	}
	return false
}

func (m *protoMessage) bindColumns(builders []*vector.Builder) {
	for _, f := range m.fields {
		f.bind(builders[f.at])
	}
}

func (f *protoField) bind(b *vector.Builder) {
	if f.b = b; f.wrong || f.inner == nil {
		return
	}
	if f.typ.Kind() == types.KindArray {
		b = b.Kid(0)
	}
	for _, g := range f.inner.fields {
		g.bind(b.Kid(g.at))
	}
}

func (p *protoReader) fault(reason, message string) bool {
	if p.reason == "" {
		p.reason, p.message = reason, message
	}
	return false
}

func (p *protoReader) malformed(n int) bool {
	return p.fault(ReasonMalformed, "not a Protobuf message: "+protowire.ParseError(n).Error())
}

func (p *protoReader) wrong(f *protoField, found string) bool {
	return p.fault(ReasonWrongType, f.path+": expected "+f.typ.String()+", found "+found)
}

const maxProtoDepth = 100

// scan reads a message: the elements of arrays and maps go to their builders,
// of other fields the last value is kept.
func (p *protoReader) scan(m *protoMessage, b []byte, depth int) bool {
	if depth > maxProtoDepth {
		return p.fault(ReasonMalformed, fmt.Sprintf("more than %d levels", maxProtoDepth))
	}
	for _, f := range m.fields {
		f.seen, f.scratch = false, f.scratch[:0]
	}
	for len(b) > 0 {
		number, wire, n := consumeTag(b)
		if n < 0 {
			return p.malformed(n)
		}
		b = b[n:]
		f := m.find(number)
		if f == nil {
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return p.malformed(n)
			}
			b = b[n:]
			continue
		}
		if f.wrong {
			return p.wrong(f, f.kind.String())
		}
		if n = p.take(f, wire, b, depth); n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// consumeTag reads a field's number and wire type; n is negative if there is
// none that is right.
func consumeTag(b []byte) (number protowire.Number, wire protowire.Type, n int) {
	if number, wire, n = protowire.ConsumeTag(b); n >= 0 && number > protowire.MaxValidNumber {
		_, _, n = protowire.ConsumeTag(nil)
	}
	return number, wire, n
}

// take reads one occurrence of a field and returns its length, -1 if it is
// wrong.
func (p *protoReader) take(f *protoField, wire protowire.Type, b []byte, depth int) int {
	var n int
	packed := f.many && f.wire != protowire.BytesType && wire == protowire.BytesType
	switch {
	case wire != f.wire && !packed: // as a field that is not known
		if n = protowire.ConsumeFieldValue(f.number, wire, b); n < 0 {
			p.malformed(n)
		}
		return n
	case wire == protowire.BytesType:
		x, n := protowire.ConsumeBytes(b)
		if n < 0 {
			p.malformed(n)
		} else if packed && !p.packed(f, x) || !packed && !p.takeBytes(f, x, depth) {
			return -1
		}
		return n
	case wire == protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(b)
	case wire == protowire.Fixed32Type:
		var x uint32
		x, n = protowire.ConsumeFixed32(b)
		f.bits = uint64(x)
	default:
		f.bits, n = protowire.ConsumeFixed64(b)
	}
	if n < 0 {
		p.malformed(n)
		return -1
	}
	f.seen = true
	if f.many && !p.scalar(f, f.kind, f.b.Kid(0)) {
		return -1
	}
	return n
}

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// takeBytes takes what stands behind its length: a string, a message, or one of
// a list.
func (p *protoReader) takeBytes(f *protoField, x []byte, depth int) bool {
	if f.kind == protoreflect.StringKind && !utf8.Valid(x) {
		return p.invalidText(f, x)
	}
	switch {
	case f.many:
		return p.element(f, x, depth)
	case f.message && f.seen: // in pieces, each whole: they are one after another
		for _, piece := range [][]byte{f.bytes, x} {
			if _, n := protoFields(piece); n < 0 {
				p.malformed(n)
				return false
			}
		}
		if len(f.scratch) == 0 {
			f.scratch = append(f.scratch, f.bytes...)
		}
		f.scratch = append(f.scratch, x...)
		f.bytes = f.scratch
	default:
		f.bytes = x
	}
	f.seen = true
	return true
}

func (p *protoReader) invalidText(f *protoField, b []byte) bool {
	return p.fault(ReasonMalformed, f.path+": expected UTF-8, found "+brief(b))
}

// packed appends the elements of a packed list.
func (p *protoReader) packed(f *protoField, x []byte) bool {
	f.seen = true
	for len(x) > 0 {
		var n int
		switch f.wire {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(x)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(x)
			f.bits = uint64(v)
		default:
			f.bits, n = protowire.ConsumeFixed64(x)
		}
		if n < 0 {
			return p.malformed(n)
		}
		x = x[n:]
		if !p.scalar(f, f.kind, f.b.Kid(0)) {
			return false
		}
	}
	return true
}

// element appends one element of a list, or entry of a map, to its builders.
func (p *protoReader) element(f *protoField, x []byte, depth int) bool {
	f.seen = true
	if f.typ.Kind() == types.KindMap {
		if !p.scan(f.inner, x, depth+1) || !p.emit(f.inner) {
			return false
		}
		for _, i := range f.inner.missing {
			f.b.Kid(i).Null()
		}
		return true
	}
	f.bytes = x
	if !f.message {
		return p.scalar(f, f.kind, f.b.Kid(0))
	}
	return p.single(f, f.b.Kid(0), depth)
}

// emit appends a row to the builder of each field.
func (p *protoReader) emit(m *protoMessage) bool {
	for _, f := range m.fields {
		switch {
		case f.wrong:
			f.b.Null()
		case f.many:
			f.b.Close()
		case f.message:
			if !f.seen {
				f.b.Null()
			} else if !p.single(f, f.b, 0) {
				return false
			}
		case !f.seen && f.presence:
			f.b.Null()
		default:
			if !f.seen {
				f.bits, f.bytes = 0, nil
			}
			if !p.scalar(f, f.kind, f.b) {
				return false
			}
		}
	}
	return true
}

// single appends the message that f.bytes holds.
func (p *protoReader) single(f *protoField, b *vector.Builder, depth int) bool {
	switch {
	case f.inner != nil:
		if !p.scan(f.inner, f.bytes, depth+1) || !p.emit(f.inner) {
			return false
		}
		for _, i := range f.inner.missing {
			b.Kid(i).Null()
		}
		b.Close()
		return true
	case protoWrappers[f.well]:
		return p.wrapper(f, b)
	}
	return p.wellKnown(f, b)
}

// wrapper appends the scalar of a google.protobuf wrapper.
func (p *protoReader) wrapper(f *protoField, b *vector.Builder) bool {
	v, n := protoFields(f.bytes)
	if n < 0 {
		return p.malformed(n)
	}
	f.bits, f.bytes = v.numbers[1], v.bytes
	return p.scalar(f, f.wrapped, b)
}

// wellFields are the fields of a message with a meaning of its own: numbers by
// field number, and the bytes of field 1.
type wellFields struct {
	numbers [5]uint64
	bytes   []byte
}

// protoFields reads the first fields of a message; n is negative if it is none.
func protoFields(b []byte) (v wellFields, n int) {
	for len(b) > 0 {
		number, wire, n := consumeTag(b)
		if n < 0 {
			return v, n
		}
		b = b[n:]
		var x uint64
		switch wire {
		case protowire.VarintType:
			x, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var y uint32
			y, n = protowire.ConsumeFixed32(b)
			x = uint64(y)
		case protowire.Fixed64Type:
			x, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			var y []byte
			if y, n = protowire.ConsumeBytes(b); number == 1 {
				v.bytes = y
			}
		default:
			n = protowire.ConsumeFieldValue(number, wire, b)
		}
		if n < 0 {
			return v, n
		}
		if b = b[n:]; int(number) < len(v.numbers) {
			v.numbers[number] = x
		}
	}
	return v, 0
}

const dayMS = 24 * 60 * 60 * 1000

// wellKnown appends a Timestamp, Date, TimeOfDay or Decimal.
func (p *protoReader) wellKnown(f *protoField, b *vector.Builder) bool {
	v, n := protoFields(f.bytes)
	if n < 0 {
		return p.malformed(n)
	}
	ok := true
	switch f.well {
	case protoTimestamp:
		ok = appendInteger(b, int64(v.numbers[1])*1000+floorDiv(int64(int32(v.numbers[2])), 1_000_000))
	case protoDate:
		t := time.Date(int(int32(v.numbers[1])), time.Month(int32(v.numbers[2])), int(int32(v.numbers[3])), 0, 0, 0, 0, time.UTC)
		ok = appendInteger(b, floorDiv(t.Unix(), dayMS/1000))
	case protoTime:
		h, m, s := int64(int32(v.numbers[1])), int64(int32(v.numbers[2])), int64(int32(v.numbers[3]))
		ms := ((h*60+m)*60+s)*1000 + int64(int32(v.numbers[4]))/1_000_000
		ok = ms >= 0 && ms < dayMS && appendInteger(b, ms)
	case protoDecimal:
		x, fits := unscaled(v.bytes)
		scale := int(int32(v.numbers[3]))
		if scale == 0 && v.numbers[2] == 0 && b.Type().Kind() == types.KindDecimal {
			scale = b.Type().Scale() // it does not say
		}
		ok = fits && scale >= 0 && scale <= types.MaxDecimalPrecision && appendDecimal(b, x, scale)
	}
	if !ok {
		return p.wrong(f, "a "+string(f.well)+" that does not fit")
	}
	return true
}

// scalar appends f.bits or f.bytes, read as kind.
func (p *protoReader) scalar(f *protoField, kind protoreflect.Kind, b *vector.Builder) bool {
	ok := true
	switch kind {
	case protoreflect.BoolKind:
		if b.Type().Kind() == types.KindBoolean {
			b.Bool(f.bits != 0)
		} else {
			b.String(strconv.FormatBool(f.bits != 0))
		}
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		ok = appendInteger(b, int64(int32(f.bits)))
	case protoreflect.Sint32Kind:
		ok = appendInteger(b, int64(int32(protowire.DecodeZigZag(f.bits&math.MaxUint32))))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		ok = appendInteger(b, int64(uint32(f.bits)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		ok = appendInteger(b, int64(f.bits))
	case protoreflect.Sint64Kind:
		ok = appendInteger(b, protowire.DecodeZigZag(f.bits))
	case protoreflect.FloatKind:
		ok = appendFloat(b, float64(math.Float32frombits(uint32(f.bits))), 32)
	case protoreflect.DoubleKind:
		ok = appendFloat(b, math.Float64frombits(f.bits), 64)
	case protoreflect.StringKind:
		if f.message && !utf8.Valid(f.bytes) { // others were looked at before
			return p.invalidText(f, f.bytes)
		}
		b.Bytes(f.bytes)
	case protoreflect.BytesKind:
		b.Bytes(f.bytes)
	case protoreflect.EnumKind:
		return p.enum(f, b)
	}
	if !ok {
		return p.wrong(f, "a number that does not fit")
	}
	return true
}

func (p *protoReader) enum(f *protoField, b *vector.Builder) bool {
	n := int32(f.bits)
	if b.Type().Kind() != types.KindString {
		return appendInteger(b, int64(n))
	}
	if v := f.fd.Enum().Values().ByNumber(protoreflect.EnumNumber(n)); v != nil {
		b.String(string(v.Name()))
	} else {
		b.String(strconv.Itoa(int(n)))
	}
	return true
}

// A bareProtoDecoder decodes messages without a frame, by the columns' own
// schema.
type bareProtoDecoder struct {
	cols   []types.Column
	needed []bool
	root   *protoMessage
	protoReader
}

func newBareProtoDecoder(o Options, cols []types.Column, needed []bool) (Decoder, error) {
	d := &bareProtoDecoder{cols: cols, needed: needed}
	if len(cols) == 0 {
		d.root = &protoMessage{}
		return d, nil
	}
	text, err := Derive(o, cols)
	if err != nil {
		return nil, err
	}
	file, err := parseProto(&Schema{Kind: KindProtobuf, Text: text})
	if err != nil {
		return nil, err
	}
	d.root = newProtoRoot(file.Messages().Get(0), cols, needed)
	return d, nil
}

// Decode implements Decoder.
func (d *bareProtoDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	builders := newBuilders(a, d.cols, d.needed, n)
	d.root.bindColumns(builders)
	for row := range n {
		cell := in.At(row)
		if cell == nil {
			nullRow(builders, row)
			continue
		}
		if reason, message := d.decode(d.root, builders, cell); reason != "" {
			fail(row, reason, message)
			nullRow(builders, row)
		}
	}
	return finish(builders)
}
