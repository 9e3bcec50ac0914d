package format

import (
	"encoding/binary"
	"fmt"
	"math"

	"karst/sql/types"
	"karst/sql/vector"
)

// An avroEncoder writes rows with one schema, which its records name by id.
type avroEncoder struct {
	id    int
	bare  bool
	whole bool
	root  *avroSink
}

// An avroSink is a type of the schema with what is written to it.
type avroSink struct {
	t    *avroType
	path string
	null int // the union's branch for nulls, -1 if there is none
	// branch is the union's branch for values, -1 if there is no union.
	branch int
	// fields are a record's: from says which vector each is taken from, -1 for
	// its default or null.
	kids []*avroSink
	from []int
	def  []byte // written for a null that the schema does not allow
	has  bool   // there is such a default
}

func newAvroEncoder(o Options, cols []types.Column) (Encoder, error) {
	s, id, err := o.writerSchema(cols)
	if err != nil {
		return nil, err
	}
	t, err := parseAvro(s)
	if err != nil {
		return nil, err
	}
	e := &avroEncoder{id: id, bare: o.Bare, whole: !o.wrapped(cols)}
	if e.whole {
		e.root, err = newAvroSink(t, cols[0].Type, cols[0].Name)
		return e, err
	}
	fields := make([]types.Field, len(cols))
	for i, c := range cols {
		fields[i] = types.Field{Name: c.Name, Type: c.Type}
	}
	e.root, err = newAvroSink(t, types.Struct(fields...), "")
	return e, err
}

// newAvroSink plans how values of typ are written as t.
func newAvroSink(t *avroType, typ *types.Type, path string) (*avroSink, error) {
	k := &avroSink{t: t, path: path, null: -1, branch: -1}
	if t.kind == "union" {
		for i, b := range t.branches {
			switch {
			case b.kind == "null":
				k.null = i
			case k.branch < 0 && avroWrites(b, typ):
				k.branch, k.t = i, b
			}
		}
		if k.branch < 0 {
			return nil, schemaFault("%s: %s is none of the types of the schema's union", path, typ)
		}
	}
	if !avroWrites(k.t, typ) {
		return nil, schemaFault("%s: the schema has %s there, which can't hold %s", path, k.t.kind, typ)
	}
	return k, k.parts(typ)
}

// parts plans what is within a value.
func (k *avroSink) parts(typ *types.Type) error {
	add := func(t *avroType, typ *types.Type, path string) error {
		kid, err := newAvroSink(t, typ, path)
		k.kids = append(k.kids, kid)
		return err
	}
	switch k.t.kind {
	case "map":
		return add(k.t.elem, typ.Elem(), k.path+"[]")
	case "array":
		if typ.Kind() == types.KindArray {
			return add(k.t.elem, typ.Elem(), k.path+"[]")
		}
		key, value, _ := k.t.entry()
		if err := add(key, typ.Key(), k.path); err != nil {
			return err
		}
		return add(value, typ.Elem(), k.path+"[]")
	case "record":
		return k.record(typ.Fields())
	}
	return nil
}

func (k *avroSink) record(fields []types.Field) error {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	members := make([]string, len(k.t.fields))
	for i, f := range k.t.fields {
		members[i] = f.name
	}
	from := matchFields(members, names)
	for i, f := range k.t.fields {
		if from[i] < 0 {
			k.kids = append(k.kids, absent(f, join(k.path, f.name)))
			continue
		}
		kid, err := newAvroSink(f.typ, fields[from[i]].Type, join(k.path, f.name))
		if err != nil {
			return err
		}
		kid.def, kid.has = f.def, f.hasDef
		k.kids = append(k.kids, kid)
	}
	k.from = from
	return nil
}

// absent writes a field of the schema that no column fills.
func absent(f avroField, path string) *avroSink {
	k := &avroSink{t: f.typ, path: path, null: -1, branch: -1, def: f.def, has: f.hasDef}
	for i, b := range f.typ.branches {
		if b.kind == "null" {
			k.null = i
		}
	}
	return k
}

// avroWrites reports whether values of typ can be written as t.
func avroWrites(t *avroType, typ *types.Type) bool {
	k := typ.Kind()
	switch t.kind {
	case "null":
		return false
	case "boolean":
		return k == types.KindBoolean
	case "int":
		return k == types.KindInt || k == types.KindBigint || k == types.KindDate || k == types.KindTime
	case "long":
		return k == types.KindInt || k == types.KindBigint || k == types.KindTimestamp || k == types.KindTime
	case "float", "double":
		return k == types.KindDouble || k == types.KindInt
	case "string":
		return k == types.KindString
	case "enum":
		return k == types.KindString
	case "bytes", "fixed":
		return k == types.KindDecimal == (t.logical == "decimal") && (k == types.KindDecimal || k == types.KindBytes)
	case "array":
		_, _, entries := t.entry()
		return k == types.KindArray || k == types.KindMap && entries
	case "map":
		return k == types.KindMap && typ.Key().Kind() == types.KindString
	case "record":
		return k == types.KindStruct
	}
	return false
}

// Encode implements Encoder.
func (e *avroEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for _, row := range rows {
		if e.whole && cols[0].IsNull(int(row)) {
			out.Null()
			continue
		}
		start := len(out.Buf)
		if !e.bare {
			out.Buf = appendFrame(out.Buf, e.id)
		}
		var err error
		if e.whole {
			out.Buf, err = e.root.write(out.Buf, cols[0], int(row))
		} else {
			if e.root.branch >= 0 {
				out.Buf = binary.AppendVarint(out.Buf, int64(e.root.branch))
			}
			out.Buf, err = e.root.writeFields(out.Buf, cols, int(row))
		}
		if err != nil {
			out.Buf = out.Buf[:start]
			return err
		}
		out.close(start)
	}
	return nil
}

// write appends row i of v.
func (k *avroSink) write(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	if v.IsNull(i) {
		return k.writeNull(buf)
	}
	if k.branch >= 0 {
		buf = binary.AppendVarint(buf, int64(k.branch))
	}
	switch k.t.kind {
	case "boolean":
		if v.Bits.Get(i) {
			return append(buf, 1), nil
		}
		return append(buf, 0), nil
	case "int", "long":
		return k.writeInteger(buf, v, i)
	case "float", "double":
		f := 0.0
		if v.Type.Kind() == types.KindInt {
			f = float64(v.I32[i])
		} else {
			f = v.F64[i]
		}
		if k.t.kind == "float" {
			return binary.LittleEndian.AppendUint32(buf, math.Float32bits(float32(f))), nil
		}
		return binary.LittleEndian.AppendUint64(buf, math.Float64bits(f)), nil
	case "string":
		return appendAvroBytes(buf, v.Str(i)), nil
	case "enum":
		return k.writeEnum(buf, v.Str(i))
	case "bytes", "fixed":
		return k.writeBytes(buf, v, i)
	case "array", "map":
		return k.writeItems(buf, v, i)
	}
	return k.writeFields(buf, v.Kids, i)
}

// writeNull appends a null, or the default of a field that can't be null.
func (k *avroSink) writeNull(buf []byte) ([]byte, error) {
	switch {
	case k.null >= 0:
		return binary.AppendVarint(buf, int64(k.null)), nil
	case k.t.kind == "null":
		return buf, nil
	case k.has:
		return append(buf, k.def...), nil
	}
	return buf, schemaFault("%s is null, and the schema wants a value there", k.path)
}

func (k *avroSink) writeInteger(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	n := int64(0)
	switch v.Type.Kind() {
	case types.KindBigint, types.KindTimestamp:
		n = v.I64[i]
	default:
		n = int64(v.I32[i])
	}
	by := int64(1)
	switch k.t.logical {
	case "timestamp-micros", "local-timestamp-micros", "time-micros":
		by = 1000
	case "timestamp-nanos", "local-timestamp-nanos":
		by = 1_000_000
	}
	if x := n * by; x/by == n && (k.t.kind == "long" || int64(int32(x)) == x) {
		return binary.AppendVarint(buf, x), nil
	}
	return buf, schemaFault("%s: %d does not fit the schema's %s", k.path, n, k.t.kind)
}

func appendAvroBytes(buf, b []byte) []byte {
	return append(binary.AppendVarint(buf, int64(len(b))), b...)
}

func (k *avroSink) writeEnum(buf, text []byte) ([]byte, error) {
	for n, s := range k.t.symbols {
		if s == string(text) {
			return binary.AppendVarint(buf, int64(n)), nil
		}
	}
	return buf, schemaFault("%s: %s is none of the enum's symbols", k.path, brief(text))
}

func (k *avroSink) writeBytes(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	fixed := k.t.kind == "fixed"
	if k.t.logical != "decimal" {
		b := v.Str(i)
		if !fixed {
			return appendAvroBytes(buf, b), nil
		}
		if len(b) != k.t.size {
			return buf, schemaFault("%s: %d bytes, the schema wants %d", k.path, len(b), k.t.size)
		}
		return append(buf, b...), nil
	}
	n := v.Dec[i].BigInt()
	if s := v.Type.Scale(); s != k.t.scale {
		var ok bool
		if n, ok = types.ParseDecimal(types.FormatDecimal(n, s), types.MaxDecimalPrecision, k.t.scale); !ok {
			return buf, schemaFault("%s: a decimal does not fit the schema's scale %d", k.path, k.t.scale)
		}
	}
	var tmp [20]byte
	b, ok := appendUnscaled(tmp[:0], n, k.t.size)
	switch {
	case !ok:
		return buf, schemaFault("%s: %s does not fit %d bytes", k.path, n, k.t.size)
	case fixed:
		return append(buf, b...), nil
	}
	return appendAvroBytes(buf, b), nil
}

// writeItems appends an array or map as one block.
func (k *avroSink) writeItems(buf []byte, v *vector.Vector, i int) ([]byte, error) {
	from, to := v.Offsets[i], v.Offsets[i+1]
	if to > from {
		buf = binary.AppendVarint(buf, int64(to-from))
	}
	var err error
	for j := int(from); j < int(to); j++ {
		if k.t.kind == "map" {
			if v.Kids[0].IsNull(j) {
				return buf, schemaFault("%s: the key of a map is null", k.path)
			}
			buf = appendAvroBytes(buf, v.Kids[0].Str(j))
			buf, err = k.kids[0].write(buf, v.Kids[1], j)
		} else {
			for n, kid := range k.kids {
				if buf, err = kid.write(buf, v.Kids[n], j); err != nil {
					break
				}
			}
		}
		if err != nil {
			return buf, err
		}
	}
	return append(buf, 0), nil
}

// writeFields appends a record, its fields taken from cols.
func (k *avroSink) writeFields(buf []byte, cols []*vector.Vector, i int) ([]byte, error) {
	var err error
	for n, kid := range k.kids {
		if k.from[n] < 0 {
			if kid.has { // rather than null
				buf = append(buf, kid.def...)
				continue
			}
			buf, err = kid.writeNull(buf)
		} else {
			buf, err = kid.write(buf, cols[k.from[n]], i)
		}
		if err != nil {
			return buf, fmt.Errorf("writing Avro: %w", err)
		}
	}
	return buf, nil
}
