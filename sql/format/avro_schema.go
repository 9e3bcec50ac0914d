package format

import (
	"encoding/json"
	"fmt"
	"strings"

	"karst/sql/schema"
	"karst/sql/types"

	"github.com/twmb/avro"
)

// avroNamespace is where ksqlDB puts the records it derives from columns.
const avroNamespace = "io.confluent.ksql.avro_schemas"

// avroDefaultName is the record that ksqlDB derives from value columns.
const avroDefaultName = avroNamespace + ".KsqlDataSourceSchema"

// avroSchemaOf derives the Avro schema of columns as ksqlDB does: a record of
// nullable fields; a MAP is an array of entries, since its keys may be null.
func avroSchemaOf(o Options, cols []types.Column) (string, error) {
	name := o.FullName
	if name == "" {
		name = avroDefaultName
	}
	var root any
	if o.wrapped(cols) {
		fields := make([]types.Field, len(cols))
		for i, c := range cols {
			fields[i] = types.Field{Name: c.Name, Type: c.Type}
		}
		root = avroRecord(name, fields)
	} else {
		root = avroTypeOf(cols[0].Type, name)
	}
	text, err := json.Marshal(root)
	if err != nil {
		return "", err
	}
	if _, err := avro.Parse(string(text)); err != nil {
		return "", types.Errorf(types.ErrStatement, types.Pos{}, "Schema is not compatible with Avro: %s", avroNameFault(cols, err))
	}
	return string(text), nil
}

// avroNameFault names the column whose name Avro does not take, if it is that.
func avroNameFault(cols []types.Column, err error) string {
	for _, c := range cols {
		if !avroName(c.Name) {
			return "a field can't be called " + types.QuoteAlways(c.Name) + ": Avro's names begin with a letter or _ and go on with letters, digits and _"
		}
	}
	return strings.TrimPrefix(err.Error(), "avro: ")
}

func avroName(s string) bool {
	for i, r := range s {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}

type jsonMap = map[string]any

// An avroRecordJSON keeps the order that Avro schemas are written in.
type avroRecordJSON struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Namespace   string          `json:"namespace,omitempty"`
	Fields      []avroFieldJSON `json:"fields"`
	ConnectName string          `json:"connect.name,omitempty"`
	Internal    string          `json:"connect.internal.type,omitempty"`
}

type avroFieldJSON struct {
	Name    string `json:"name"`
	Type    any    `json:"type"`
	Default any    `json:"default"`
}

func avroRecord(fullName string, fields []types.Field) *avroRecordJSON {
	r := &avroRecordJSON{Type: "record", Name: fullName, Fields: []avroFieldJSON{}, ConnectName: fullName}
	if i := strings.LastIndexByte(fullName, '.'); i >= 0 {
		r.Namespace, r.Name = fullName[:i], fullName[i+1:]
	}
	for _, f := range fields {
		r.Fields = append(r.Fields, avroFieldJSON{Name: f.Name, Type: nullable(avroTypeOf(f.Type, fullName+"_"+f.Name))})
	}
	return r
}

func nullable(t any) any { return []any{"null", t} }

// avroTypeOf returns the schema of a type; records within it are named after
// name.
func avroTypeOf(t *types.Type, name string) any {
	switch t.Kind() {
	case types.KindBoolean:
		return "boolean"
	case types.KindInt:
		return "int"
	case types.KindBigint:
		return "long"
	case types.KindDouble:
		return "double"
	case types.KindString:
		return "string"
	case types.KindBytes:
		return "bytes"
	case types.KindDecimal:
		p, s := t.Precision(), t.Scale()
		return jsonMap{"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s, "connect.version": 1, "connect.name": connectDecimal,
			"connect.parameters": jsonMap{"scale": fmt.Sprint(s), "connect.decimal.precision": fmt.Sprint(p)}}
	case types.KindDate:
		return jsonMap{"type": "int", "logicalType": "date", "connect.version": 1, "connect.name": connectDate}
	case types.KindTime:
		return jsonMap{"type": "int", "logicalType": "time-millis", "connect.version": 1, "connect.name": connectTime}
	case types.KindTimestamp:
		return jsonMap{"type": "long", "logicalType": "timestamp-millis", "connect.version": 1, "connect.name": connectTimestamp}
	case types.KindArray:
		return jsonMap{"type": "array", "items": nullable(avroTypeOf(t.Elem(), name))}
	case types.KindMap:
		entry := avroRecord(name, nil)
		entry.ConnectName, entry.Internal = "", "MapEntry"
		entry.Fields = []avroFieldJSON{{Name: "key", Type: nullable(avroTypeOf(t.Key(), name+"_MapKey"))}, {Name: "value", Type: nullable(avroTypeOf(t.Elem(), name+"_MapValue"))}}
		return jsonMap{"type": "array", "items": entry}
	}
	return avroRecord(name, t.Fields())
}

// The names of Connect's logical types, which schemas derived by ksqlDB carry.
const (
	connectDecimal   = "org.apache.kafka.connect.data.Decimal"
	connectDate      = "org.apache.kafka.connect.data.Date"
	connectTime      = "org.apache.kafka.connect.data.Time"
	connectTimestamp = "org.apache.kafka.connect.data.Timestamp"
)

// An avroType is a schema as decoders and encoders walk it; a type that holds
// itself is a cycle of pointers.
type avroType struct {
	kind             string // null, boolean … record, union
	op               avroOp // the same, to switch on
	logical          string
	name             string // without its namespace
	precision, scale int
	size             int // of fixed
	symbols          []string
	fields           []avroField
	elem             *avroType   // of arrays and maps
	branches         []*avroType // of unions
}

// An avroOp is a kind of type.
type avroOp uint8

const (
	avroNull avroOp = iota
	avroBoolean
	avroInteger // int and long
	avroFloat
	avroDouble
	avroText // bytes and string
	avroFixed
	avroEnum
	avroArray
	avroMap
	avroRecordOp
	avroUnion
)

var avroOps = map[string]avroOp{"null": avroNull, "boolean": avroBoolean, "int": avroInteger, "long": avroInteger, "float": avroFloat, "double": avroDouble, "bytes": avroText,
	"string": avroText, "fixed": avroFixed, "enum": avroEnum, "array": avroArray, "map": avroMap, "record": avroRecordOp, "error": avroRecordOp, "union": avroUnion}

type avroField struct {
	name   string
	typ    *avroType
	def    []byte // the encoded default
	hasDef bool
}

// parseAvro parses a schema and what it refers to.
func parseAvro(s *Schema) (*avroType, error) {
	parsed, err := schema.Avro(s.Text, s.Imports)
	if err != nil {
		return nil, schemaFault("%v", err)
	}
	b := avroBuilder{named: map[string]*avroType{}}
	t := b.build(parsed.Root(), "")
	return t, b.err
}

type avroBuilder struct {
	named map[string]*avroType
	err   error
}

// build turns a node into a type; namespace is the one around it.
func (b *avroBuilder) build(n *avro.SchemaNode, namespace string) *avroType {
	t := &avroType{kind: n.Type, op: avroOps[n.Type], logical: n.LogicalType, name: n.Name, precision: n.Precision, scale: n.Scale, size: n.Size, symbols: n.Symbols}
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return t
	case "array":
		t.elem = b.build(n.Items, namespace)
	case "map":
		t.elem = b.build(n.Values, namespace)
	case "union":
		for i := range n.Branches {
			t.branches = append(t.branches, b.build(&n.Branches[i], namespace))
		}
	case "enum", "fixed":
		b.define(n, t)
	case "record", "error":
		t.kind = "record"
		namespace = b.define(n, t)
		for i := range n.Fields {
			f := &n.Fields[i]
			t.fields = append(t.fields, b.field(f, namespace))
		}
	default:
		return b.reference(n, namespace)
	}
	return t
}

func (b *avroBuilder) field(f *avro.SchemaField, namespace string) avroField {
	out := avroField{name: f.Name, typ: b.build(&f.Type, namespace), hasDef: f.HasDefault}
	if !f.HasDefault {
		return out
	}
	s, err := f.Type.Schema()
	if err == nil {
		out.def, err = s.Encode(f.Default)
	}
	if err != nil && b.err == nil {
		b.err = schemaFault("the default of the field %s: %v", f.Name, err)
	}
	return out
}

// define notes a named type and returns the namespace it opens.
func (b *avroBuilder) define(n *avro.SchemaNode, t *avroType) string {
	full := n.Name
	if n.Namespace != "" && !strings.Contains(n.Name, ".") {
		full = n.Namespace + "." + n.Name
	}
	b.named[full] = t
	i := strings.LastIndexByte(full, '.')
	t.name = full[i+1:]
	return full[:max(i, 0)]
}

func (b *avroBuilder) reference(n *avro.SchemaNode, namespace string) *avroType {
	if t := b.named[namespace+"."+n.Type]; t != nil {
		return t
	}
	if t := b.named[n.Type]; t != nil {
		return t
	}
	if b.err == nil {
		b.err = schemaFault("the schema refers to %s, which it does not define", n.Type)
	}
	return &avroType{kind: "null"}
}

// value returns a union's only branch that is not null, and t of others.
func (t *avroType) value() *avroType {
	if t.kind != "union" {
		return t
	}
	var only *avroType
	for _, b := range t.branches {
		if b.kind == "null" {
			continue
		}
		if only != nil {
			return t
		}
		only = b
	}
	if only == nil {
		return t
	}
	return only
}

// entry returns the key's and the value's type of an array that stands for a
// map: its items are records of a key and a value.
func (t *avroType) entry() (key, value *avroType, ok bool) {
	if t.kind != "array" || t.elem.kind != "record" || len(t.elem.fields) != 2 {
		return nil, nil, false
	}
	f := t.elem.fields
	return f[0].typ, f[1].typ, f[0].name == "key" && f[1].name == "value"
}

// avroColumns returns the columns of a schema.
func avroColumns(o Options, s *Schema) ([]types.Column, error) {
	t, err := parseAvro(s)
	if err != nil {
		return nil, err
	}
	root := t.value()
	if o.unwraps() {
		typ, err := root.sql(o.anonymous(), &nesting{})
		return []types.Column{{Name: o.anonymous(), Type: typ}}, err
	}
	if root.kind != "record" {
		return nil, schemaFault("the schema's root is %s, not a record; WRAP_SINGLE_VALUE = FALSE reads it as one column", root.kind)
	}
	var out []types.Column
	n := &nesting{}
	for _, f := range root.fields {
		typ, err := f.typ.sql(f.name, n)
		if err != nil {
			return nil, err
		}
		out = append(out, types.Column{Name: f.name, Type: typ})
	}
	return out, nil
}

// sql returns the SQL type that values of t have.
func (t *avroType) sql(path string, n *nesting) (*types.Type, error) {
	if err := n.enter(path); err != nil {
		return nil, err
	}
	defer n.leave()
	t = t.value()
	switch t.kind {
	case "boolean":
		return types.Boolean, nil
	case "int", "long":
		return t.sqlInteger(), nil
	case "float", "double":
		return types.Double, nil
	case "string", "enum":
		return types.String, nil
	case "bytes", "fixed":
		if t.logical != "decimal" {
			return types.Bytes, nil
		}
		typ, err := types.Decimal(min(t.precision, types.MaxDecimalPrecision), t.scale)
		if err != nil {
			err = schemaFault("%s: %v", path, err)
		}
		return typ, err
	case "map":
		elem, err := t.elem.sql(path, n)
		return types.Map(types.String, elem), err
	case "array":
		if k, v, ok := t.entry(); ok {
			key, err := k.sql(path, n)
			if err != nil {
				return nil, err
			}
			elem, err := v.sql(path, n)
			return types.Map(key, elem), err
		}
		elem, err := t.elem.sql(path, n)
		return types.Array(elem), err
	case "record", "union":
		return t.sqlStruct(path, n)
	}
	return nil, schemaFault("%s: the Avro type %s can't be a column", path, t.kind)
}

func (t *avroType) sqlInteger() *types.Type {
	switch {
	case t.logical == "date":
		return types.Date
	case strings.HasPrefix(t.logical, "time-"):
		return types.Time
	case strings.HasPrefix(t.logical, "timestamp-"):
		return types.Timestamp
	case t.kind == "long":
		return types.Bigint
	}
	return types.Int
}

// sqlStruct returns the STRUCT of a record, or that of a union of several
// types, which has a field for each.
func (t *avroType) sqlStruct(path string, n *nesting) (*types.Type, error) {
	var fields []types.Field
	for _, f := range t.members() {
		typ, err := f.typ.sql(path+"->"+f.name, n)
		if err != nil {
			return nil, err
		}
		fields = append(fields, types.Field{Name: f.name, Type: typ})
	}
	return types.Struct(fields...), nil
}

// members returns a record's fields, or a union's types by name.
func (t *avroType) members() []avroField {
	if t.kind != "union" {
		return t.fields
	}
	var out []avroField
	for _, b := range t.branches {
		if b.kind == "null" {
			continue
		}
		name := b.kind
		if b.name != "" {
			name = b.name
		}
		out = append(out, avroField{name: name, typ: b})
	}
	return out
}
