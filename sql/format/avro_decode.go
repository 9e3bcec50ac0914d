package format

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// An avroProgram decodes records of one writer's schema into columns: a tree
// of the schema's types, each with the builder that it fills, is walked along
// the bytes.
type avroProgram struct {
	// union is the root's, if it is one; record is the branch that holds the
	// columns.
	union  *avroType
	record *avroType
	root   *avroValue // the columns as a STRUCT, or the only column
	whole  bool       // root is the only column
	cols   []*vector.Builder
	avroReader
}

// An avroReader is a place in a record's bytes and what was found wrong there.
type avroReader struct {
	buf []byte
	// left bounds the items of a record's arrays and maps, which may take no
	// bytes at all.
	left            int
	reason, message string
}

// An avroValue is a type of the writer's schema on its way to a builder.
type avroValue struct {
	t     *avroType
	typ   *types.Type // that it becomes; nil: it is skipped
	path  string
	b     *vector.Builder
	wrong bool // the types do not fit
	// kids are a record's fields, a union's branches, the elements of an array,
	// or a map's keys and values.
	kids []*avroValue
	// at says which field of a STRUCT each kid fills, -1 if none; nil of a
	// union that fills no STRUCT of its branches.
	at      []int
	missing []int // the fields of a STRUCT that no kid fills
}

const maxAvroDepth = 100

func newAvroDecoder(o Options, cols []types.Column, needed []bool) Decoder {
	return newFramedDecoder(o, cols, needed, func(s *Schema) (program, error) { return newAvroProgram(o, s, cols, needed) })
}

func newAvroProgram(o Options, s *Schema, cols []types.Column, needed []bool) (program, error) {
	t, err := parseAvro(s)
	if err != nil {
		return nil, err
	}
	p := &avroProgram{record: t, whole: !o.wrapped(cols)}
	if p.whole {
		typ := cols[0].Type
		if !needed[0] {
			typ = nil
		}
		p.root = newAvroValue(t, typ, cols[0].Name)
		return p, nil
	}
	if t.kind == "union" {
		p.union, p.record = t, t.value()
	}
	if p.record.kind != "record" {
		return nil, schemaFault("the schema's root is %s, not a record", p.record.kind)
	}
	p.root = &avroValue{t: p.record}
	want := make([]types.Field, len(cols))
	for i, c := range cols {
		if want[i].Name = c.Name; needed[i] {
			want[i].Type = c.Type
		}
	}
	p.root.fields(want)
	return p, nil
}

// newAvroValue plans how values of t become typ; nil: they are skipped.
func newAvroValue(t *avroType, typ *types.Type, path string) *avroValue {
	v := &avroValue{t: t, typ: typ, path: path}
	if typ == nil {
		return v
	}
	switch t.kind {
	case "union":
		if t.value() == t && typ.Kind() == types.KindStruct {
			v.fields(typ.Fields())
			return v
		}
		for _, b := range t.branches {
			v.kids = append(v.kids, newAvroValue(b, typ, path))
		}
	case "array":
		if key, value, ok := t.entry(); ok && typ.Kind() == types.KindMap {
			v.kids = []*avroValue{newAvroValue(key, typ.Key(), path), newAvroValue(value, typ.Elem(), path+"[]")}
		} else if typ.Kind() == types.KindArray {
			v.kids = []*avroValue{newAvroValue(t.elem, typ.Elem(), path+"[]")}
		} else {
			v.wrong = true
		}
	case "map":
		if v.wrong = typ.Kind() != types.KindMap; !v.wrong {
			v.kids = []*avroValue{newAvroValue(t.elem, typ.Elem(), path+"[]")}
		}
	case "record":
		if v.wrong = typ.Kind() != types.KindStruct; !v.wrong {
			v.fields(typ.Fields())
		}
	default:
		v.wrong = !avroReads(t, typ)
	}
	return v
}

// fields makes the kids of a record, or of a union that becomes a STRUCT, and
// says which of the wanted fields each fills.
func (v *avroValue) fields(want []types.Field) {
	members := v.t.members()
	given := make([]string, len(members))
	for i, m := range members {
		given[i] = m.name
	}
	names := make([]string, len(want))
	for i, f := range want {
		names[i] = f.Name
	}
	fill := make([]int, len(members))
	for i := range fill {
		fill[i] = -1
	}
	for i, j := range matchFields(names, given) {
		if j < 0 {
			v.missing = append(v.missing, i)
		} else {
			fill[j] = i
		}
	}
	j := 0
	for _, t := range v.kidTypes() {
		kid, at := newAvroValue(t, nil, v.path), -1
		if t.kind != "null" || v.t.kind != "union" {
			if at = fill[j]; at >= 0 {
				kid = newAvroValue(t, want[at].Type, join(v.path, want[at].Name))
			}
			j++
		}
		v.kids, v.at = append(v.kids, kid), append(v.at, at)
	}
}

func (v *avroValue) kidTypes() []*avroType {
	if v.t.kind == "union" {
		return v.t.branches
	}
	var out []*avroType
	for _, f := range v.t.fields {
		out = append(out, f.typ)
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "->" + name
}

// avroReads reports whether values of a type without parts can become typ.
func avroReads(t *avroType, typ *types.Type) bool {
	k := typ.Kind()
	switch t.kind {
	case "null":
		return true
	case "boolean":
		return k == types.KindBoolean || k == types.KindString
	case "int", "long":
		return k != types.KindBoolean && k != types.KindBytes && !typ.IsNested()
	case "float", "double":
		return k == types.KindDouble || k == types.KindDecimal || k == types.KindString
	case "string", "enum":
		return k == types.KindString
	case "bytes", "fixed":
		if t.logical == "decimal" {
			return k == types.KindDecimal || k == types.KindDouble || k == types.KindString
		}
		return k == types.KindBytes
	}
	return false
}

func (p *avroProgram) bind(builders []*vector.Builder) {
	p.cols = builders
	if p.whole {
		p.root.bind(builders[0])
		return
	}
	for i, kid := range p.root.kids {
		if at := p.root.at[i]; at >= 0 {
			kid.bind(builders[at])
		}
	}
}

// bind gives v and what is below it their builders.
func (v *avroValue) bind(b *vector.Builder) {
	if v.typ == nil || v.wrong {
		return
	}
	v.b = b
	for i, kid := range v.kids {
		switch {
		case v.at != nil && v.at[i] < 0:
		case v.at != nil:
			kid.bind(b.Kid(v.at[i]))
		case v.t.kind == "union":
			kid.bind(b)
		case v.t.kind == "map":
			kid.bind(b.Kid(1))
		default:
			kid.bind(b.Kid(i))
		}
	}
}

func (p *avroProgram) row(payload []byte) (reason, message string) {
	p.buf, p.left, p.reason = payload, len(payload)+1<<16, ""
	if !p.decode() && p.reason != "" {
		return p.reason, p.message
	}
	if len(p.buf) > 0 {
		return ReasonMalformed, strconv.Itoa(len(p.buf)) + " bytes are left over after the record"
	}
	return "", ""
}

// decode decodes the root.
func (p *avroProgram) decode() bool {
	if p.whole {
		return p.value(p.root, 0)
	}
	if p.union != nil {
		n, ok := p.branch(p.union)
		switch {
		case !ok:
			return false
		case p.union.branches[n].kind == "null":
			for _, b := range p.cols {
				if b != nil {
					b.Null()
				}
			}
			return true
		case p.union.branches[n] != p.record:
			return p.fault(ReasonWrongType, "expected a record, found "+p.union.branches[n].kind)
		}
	}
	for _, kid := range p.root.kids {
		if !p.value(kid, 1) {
			return false
		}
	}
	for _, i := range p.root.missing {
		if b := p.cols[i]; b != nil {
			b.Null()
		}
	}
	return true
}

func (r *avroReader) fault(reason, message string) bool {
	if r.reason == "" {
		r.reason, r.message = reason, message
	}
	return false
}

func (r *avroReader) short() bool {
	return r.fault(ReasonMalformed, "the record ends too early")
}

// wrong says that what was read does not become the column's type.
func (r *avroReader) wrong(v *avroValue, found string) bool {
	return r.fault(ReasonWrongType, v.path+": expected "+v.typ.String()+", found "+found)
}

// long reads a zig-zag number of up to ten bytes.
func (r *avroReader) long() (int64, bool) {
	u, n := binary.Uvarint(r.buf)
	if n <= 0 {
		return 0, r.short()
	}
	r.buf = r.buf[n:]
	return int64(u>>1) ^ -int64(u&1), true
}

// int reads a zig-zag number of up to five bytes: an int, or the index of a
// symbol or of a union's type.
func (r *avroReader) int() (int64, bool) {
	before := len(r.buf)
	n, ok := r.long()
	if ok && (int64(int32(n)) != n || before-len(r.buf) > binary.MaxVarintLen32) {
		return 0, r.fault(ReasonMalformed, strconv.FormatInt(n, 10)+" is too large for an int, or takes more than five bytes")
	}
	return n, ok
}

// number reads an int or a long.
func (r *avroReader) number(t *avroType) (int64, bool) {
	if t.kind == "int" {
		return r.int()
	}
	return r.long()
}

func (r *avroReader) take(n int) ([]byte, bool) {
	if n < 0 || n > len(r.buf) {
		return nil, r.short()
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b, true
}

// bytes reads what stands behind its length.
func (r *avroReader) bytes() ([]byte, bool) {
	n, ok := r.long()
	if !ok || n > int64(len(r.buf)) {
		return nil, r.short()
	}
	return r.take(int(n))
}

func (r *avroReader) branch(t *avroType) (int, bool) {
	n, ok := r.int()
	if ok && (n < 0 || n >= int64(len(t.branches))) {
		ok = r.fault(ReasonMalformed, fmt.Sprintf("a union of %d types has no type %d", len(t.branches), n))
	}
	return int(n), ok
}

// block reads the head of a block of an array or map: how many items follow.
func (r *avroReader) block() (int, bool) {
	n, ok := r.long()
	if ok && n < 0 { // a size in bytes follows, for those who skip
		n = -n
		_, ok = r.long()
	}
	if !ok {
		return 0, false
	}
	if n < 0 || n > int64(r.left) {
		return 0, r.fault(ReasonMalformed, fmt.Sprintf("a block of %d items in a record of this size", n))
	}
	r.left -= int(n)
	return int(n), true
}

// value reads a value of v's type and appends one row to its builder.
func (r *avroReader) value(v *avroValue, depth int) bool {
	if v.typ == nil {
		return r.skip(v.t, depth)
	}
	if depth > maxAvroDepth {
		return r.fault(ReasonMalformed, fmt.Sprintf("more than %d levels", maxAvroDepth))
	}
	if v.wrong {
		return r.wrong(v, v.t.kind)
	}
	switch v.t.op {
	case avroNull:
		v.b.Null()
		return true
	case avroBoolean:
		return r.boolean(v)
	case avroInteger:
		n, ok := r.number(v.t)
		return ok && r.integer(v, n)
	case avroFloat, avroDouble:
		return r.float(v)
	case avroText:
		b, ok := r.bytes()
		return ok && r.text(v, b)
	case avroFixed:
		b, ok := r.take(v.t.size)
		return ok && r.text(v, b)
	case avroEnum:
		n, ok := r.int()
		if !ok {
			return false
		}
		if n < 0 || n >= int64(len(v.t.symbols)) {
			return r.fault(ReasonMalformed, fmt.Sprintf("%s: an enum of %d symbols has no symbol %d", v.path, len(v.t.symbols), n))
		}
		v.b.String(v.t.symbols[n])
		return true
	case avroArray, avroMap:
		return r.items(v, depth)
	case avroRecordOp:
		return r.record(v, depth)
	}
	return r.union(v, depth)
}

func (r *avroReader) boolean(v *avroValue) bool {
	b, ok := r.take(1)
	switch {
	case !ok:
		return false
	case v.typ.Kind() == types.KindBoolean:
		v.b.Bool(b[0] == 1)
	default:
		v.b.String(strconv.FormatBool(b[0] == 1))
	}
	return true
}

// integer appends an int or long as the column's type.
func (r *avroReader) integer(v *avroValue, n int64) bool {
	switch v.t.logical {
	case "timestamp-micros", "local-timestamp-micros", "time-micros":
		n = floorDiv(n, 1000)
	case "timestamp-nanos", "local-timestamp-nanos":
		n = floorDiv(n, 1_000_000)
	}
	if !appendInteger(v.b, n) {
		return r.wrong(v, strconv.FormatInt(n, 10))
	}
	return true
}

func floorDiv(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

// appendInteger appends n as the builder's type; false if it does not fit.
func appendInteger(b *vector.Builder, n int64) bool {
	switch t := b.Type(); t.Kind() {
	case types.KindInt, types.KindDate, types.KindTime:
		if int64(int32(n)) != n {
			return false
		}
		b.Int32(int32(n))
	case types.KindBigint, types.KindTimestamp:
		b.Int64(n)
	case types.KindDouble:
		b.Float64(float64(n))
	case types.KindString:
		b.String(strconv.FormatInt(n, 10))
	case types.KindDecimal:
		return appendDecimal(b, decimal128.FromI64(n), 0)
	default:
		return false
	}
	return true
}

func (r *avroReader) float(v *avroValue) bool {
	if v.t.op == avroDouble {
		b, ok := r.take(8)
		if !ok {
			return false
		}
		return r.double(v, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	}
	b, ok := r.take(4)
	if !ok {
		return false
	}
	return r.double(v, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
}

func (r *avroReader) double(v *avroValue, f float64, bits int) bool {
	if !appendFloat(v.b, f, bits) {
		return r.wrong(v, strconv.FormatFloat(f, 'g', -1, bits))
	}
	return true
}

// appendFloat appends f, a number of that many bits, as the builder's type;
// false if it does not fit.
func appendFloat(b *vector.Builder, f float64, bits int) bool {
	switch t := b.Type(); t.Kind() {
	case types.KindDouble:
		b.Float64(f)
	case types.KindString:
		if bits == 32 { // as short as a float's text may be
			f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
		}
		b.Bytes(AppendDouble(nil, f))
	case types.KindDecimal:
		n, ok := types.ParseDecimal(strconv.FormatFloat(f, 'f', -1, bits), t.Precision(), t.Scale())
		if ok {
			b.Decimal(decimal128.FromBigInt(n))
		}
		return ok
	default:
		return false
	}
	return true
}

// text appends a string, bytes or a decimal's unscaled digits.
func (r *avroReader) text(v *avroValue, b []byte) bool {
	switch {
	case v.t.kind == "string" && !utf8.Valid(b):
		return r.fault(ReasonMalformed, v.path+": expected UTF-8, found "+brief(b))
	case v.t.logical != "decimal" || v.t.kind == "string":
		v.b.Bytes(b)
		return true
	}
	n, ok := unscaled(b)
	if !ok || !appendDecimal(v.b, n, v.t.scale) {
		return r.wrong(v, "a decimal of scale "+strconv.Itoa(v.t.scale)+" with the digits "+brief(b))
	}
	return true
}

// unscaled reads a big-endian two's complement number of at most 38 digits.
func unscaled(b []byte) (decimal128.Num, bool) {
	for len(b) > 16 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xFF && b[1] >= 0x80) {
		b = b[1:] // sign extension
	}
	if len(b) > 16 {
		return decimal128.Num{}, false
	}
	var hi, lo uint64
	if len(b) > 0 && b[0] >= 0x80 {
		hi, lo = math.MaxUint64, math.MaxUint64
	}
	for _, c := range b {
		hi = hi<<8 | lo>>56
		lo = lo<<8 | uint64(c)
	}
	return decimal128.New(int64(hi), lo), true
}

// appendDecimal appends a decimal of some scale as the builder's type, rounded
// half up; false if it does not fit.
func appendDecimal(b *vector.Builder, n decimal128.Num, scale int) bool {
	t := b.Type()
	switch t.Kind() {
	case types.KindString:
		b.String(types.FormatDecimal(n.BigInt(), scale))
		return true
	case types.KindDouble:
		f, _ := strconv.ParseFloat(types.FormatDecimal(n.BigInt(), scale), 64)
		b.Float64(f)
		return true
	case types.KindDecimal:
	default:
		return false
	}
	if scale == t.Scale() {
		if !n.FitsInPrecision(int32(t.Precision())) {
			return false
		}
		b.Decimal(n)
		return true
	}
	x, ok := types.ParseDecimal(types.FormatDecimal(n.BigInt(), scale), t.Precision(), t.Scale())
	if ok {
		b.Decimal(decimal128.FromBigInt(x))
	}
	return ok
}

// items reads the blocks of an array or a map.
func (r *avroReader) items(v *avroValue, depth int) bool {
	for {
		n, ok := r.block()
		if !ok {
			return false
		}
		if n == 0 {
			v.b.Close()
			return true
		}
		for range n {
			if v.t.kind == "map" {
				key, ok := r.bytes()
				if !ok {
					return false
				}
				if !appendMapKey(v.b.Kid(0), v.typ.Key(), key) {
					return r.wrong(v, "the key "+brief(key))
				}
			}
			for _, kid := range v.kids {
				if !r.value(kid, depth+1) {
					return false
				}
			}
		}
	}
}

func (r *avroReader) record(v *avroValue, depth int) bool {
	for _, kid := range v.kids {
		if !r.value(kid, depth+1) {
			return false
		}
	}
	for _, i := range v.missing {
		v.b.Kid(i).Null()
	}
	v.b.Close()
	return true
}

func (r *avroReader) union(v *avroValue, depth int) bool {
	n, ok := r.branch(v.t)
	switch {
	case !ok:
		return false
	case v.at == nil:
		return r.value(v.kids[n], depth+1)
	case v.t.branches[n].kind == "null":
		v.b.Null()
		return true
	}
	if !r.value(v.kids[n], depth+1) {
		return false
	}
	for i := range v.typ.Fields() {
		if i != v.at[n] {
			v.b.Kid(i).Null()
		}
	}
	v.b.Close()
	return true
}

// skip steps over a value.
func (r *avroReader) skip(t *avroType, depth int) bool {
	if depth > maxAvroDepth {
		return r.fault(ReasonMalformed, fmt.Sprintf("more than %d levels", maxAvroDepth))
	}
	var ok bool
	switch t.op {
	case avroNull:
		return true
	case avroBoolean:
		_, ok = r.take(1)
	case avroInteger:
		_, ok = r.number(t)
	case avroEnum:
		_, ok = r.int()
	case avroFloat:
		_, ok = r.take(4)
	case avroDouble:
		_, ok = r.take(8)
	case avroText:
		_, ok = r.bytes()
	case avroFixed:
		_, ok = r.take(t.size)
	case avroArray, avroMap:
		return r.skipItems(t, depth)
	case avroRecordOp:
		for _, f := range t.fields {
			if !r.skip(f.typ, depth+1) {
				return false
			}
		}
		return true
	case avroUnion:
		var n int
		if n, ok = r.branch(t); ok {
			return r.skip(t.branches[n], depth+1)
		}
	}
	return ok
}

func (r *avroReader) skipItems(t *avroType, depth int) bool {
	for {
		n, ok := r.block()
		if !ok {
			return false
		}
		if n == 0 {
			return true
		}
		for range n {
			if t.kind == "map" {
				if _, ok := r.bytes(); !ok {
					return false
				}
			}
			if !r.skip(t.elem, depth+1) {
				return false
			}
		}
	}
}

// appendUnscaled appends n as the shortest big-endian two's complement number,
// or of size bytes if that is not 0; false if that is too short.
func appendUnscaled(buf []byte, n *big.Int, size int) ([]byte, bool) {
	bits := n.BitLen()
	if n.Sign() < 0 {
		bits = new(big.Int).Not(n).BitLen()
	}
	need := bits/8 + 1
	if size == 0 {
		size = need
	} else if size < need {
		return buf, false
	}
	x := n
	if n.Sign() < 0 {
		x = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	start := len(buf)
	buf = append(buf, make([]byte, size)...)
	x.FillBytes(buf[start:])
	return buf, true
}
