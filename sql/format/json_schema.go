package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// The JSON_SR format is JSON behind a frame with the id of a JSON Schema.

type framedJSONDecoder struct{ json *jsonDecoder }

func newJSONSchemaDecoder(o Options, cols []types.Column, needed []bool) Decoder {
	return &framedJSONDecoder{newJSONDecoder(o, cols, needed)}
}

// Decode implements Decoder. The text says what it holds, so the schema is not
// looked up.
func (d *framedJSONDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	bare := Cells{Buf: in.Buf, Off: a.Int32s(n), Len: a.Int32s(n)}
	var unframed []int
	for i := range n {
		cell := in.At(i)
		bare.Off[i], bare.Len[i] = in.Off[i]+frameBytes, in.Len[i]-frameBytes
		if readFrame(cell) < 0 {
			bare.Off[i], bare.Len[i] = 0, -1
			if cell != nil {
				unframed = append(unframed, i)
			}
		}
	}
	for _, i := range unframed {
		fail(i, ReasonMalformed, "a record of format JSON_SR begins with a zero byte and a schema id, found "+brief(in.At(i)))
	}
	return d.json.Decode(a, &bare, n, fail)
}

type framedJSONEncoder struct {
	json *jsonEncoder
	id   int
	bare bool
}

func newJSONSchemaEncoder(o Options, cols []types.Column) (Encoder, error) {
	s, id, err := o.writerSchema(cols)
	if err != nil {
		return nil, err
	}
	e := &framedJSONEncoder{json: newJSONEncoder(o, cols), id: id, bare: o.Bare}
	if o.SchemaID > 0 {
		err = e.json.rename(o, s, cols)
	}
	return e, err
}

// Encode implements Encoder.
func (e *framedJSONEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for n := range rows {
		start := len(out.Buf)
		if !e.bare {
			out.Buf = appendFrame(out.Buf, e.id)
		}
		if err := e.json.Encode(cols, rows[n:n+1], out); err != nil {
			return err
		}
		last := len(out.Off) - 1
		if out.Len[last] < 0 {
			out.Buf = out.Buf[:start]
			continue
		}
		out.Len[last] += out.Off[last] - int32(start)
		out.Off[last] = int32(start)
	}
	return nil
}

// rename makes the encoder spell columns as the schema does.
func (e *jsonEncoder) rename(o Options, s *Schema, cols []types.Column) error {
	if !e.wrapped {
		return nil
	}
	in, err := jsonColumns(o, s)
	if err != nil {
		return err
	}
	given := columnNames(in)
	for i, j := range matchFields(columnNames(cols), given) {
		if j >= 0 {
			e.names[i] = fieldPrefix(i, given[j])
		}
	}
	return nil
}

// jsonSchemaOf derives the JSON Schema of columns as ksqlDB does.
func jsonSchemaOf(o Options, cols []types.Column) string {
	var buf []byte
	if o.wrapped(cols) {
		fields := make([]types.Field, len(cols))
		for i, c := range cols {
			fields[i] = types.Field{Name: c.Name, Type: c.Type}
		}
		buf = appendObjectSchema(buf, fields)
	} else {
		buf = appendNullableSchema(buf, cols[0].Type)
	}
	return string(buf)
}

func appendObjectSchema(buf []byte, fields []types.Field) []byte {
	buf = append(buf, `{"type":"object","properties":{`...)
	for i, f := range fields {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(AppendJSONString(buf, []byte(f.Name)), `:{"connect.index":`...)
		buf = append(strconv.AppendInt(buf, int64(i), 10), `,"oneOf":[{"type":"null"},`...)
		buf = append(appendTypeSchema(buf, f.Type), `]}`...)
	}
	return append(buf, `}}`...)
}

func appendNullableSchema(buf []byte, t *types.Type) []byte {
	buf = append(buf, `{"oneOf":[{"type":"null"},`...)
	return append(appendTypeSchema(buf, t), `]}`...)
}

func appendTypeSchema(buf []byte, t *types.Type) []byte {
	logical := func(kind, name, connect string) []byte {
		return fmt.Appendf(buf, `{"type":%q,"title":%q,"connect.version":1,"connect.type":%q}`, kind, name, connect)
	}
	switch t.Kind() {
	case types.KindBoolean:
		return append(buf, `{"type":"boolean"}`...)
	case types.KindInt:
		return append(buf, `{"type":"integer","connect.type":"int32"}`...)
	case types.KindBigint:
		return append(buf, `{"type":"integer","connect.type":"int64"}`...)
	case types.KindDouble:
		return append(buf, `{"type":"number","connect.type":"float64"}`...)
	case types.KindString:
		return append(buf, `{"type":"string"}`...)
	case types.KindBytes:
		return append(buf, `{"type":"string","connect.type":"bytes"}`...)
	case types.KindDecimal:
		return fmt.Appendf(buf, `{"type":"number","title":%q,"connect.version":1,"connect.type":"bytes","connect.parameters":{"scale":"%d","connect.decimal.precision":"%d"}}`, connectDecimal, t.Scale(), t.Precision())
	case types.KindDate:
		return logical("integer", connectDate, "int32")
	case types.KindTime:
		return logical("integer", connectTime, "int32")
	case types.KindTimestamp:
		return logical("integer", connectTimestamp, "int64")
	case types.KindArray:
		buf = append(buf, `{"type":"array","items":`...)
		return append(appendNullableSchema(buf, t.Elem()), '}')
	case types.KindMap:
		buf = append(buf, `{"type":"object","connect.type":"map","additionalProperties":`...)
		return append(appendNullableSchema(buf, t.Elem()), '}')
	}
	return appendObjectSchema(buf, t.Fields())
}

// A jsonSchema is what of a JSON Schema says which columns there are.
type jsonSchema struct {
	Ref         string                     `json:"$ref"`
	Type        json.RawMessage            `json:"type"`
	Title       string                     `json:"title"`
	Format      string                     `json:"format"`
	Properties  json.RawMessage            `json:"properties"`
	Additional  json.RawMessage            `json:"additionalProperties"`
	Items       json.RawMessage            `json:"items"`
	OneOf       []json.RawMessage          `json:"oneOf"`
	AnyOf       []json.RawMessage          `json:"anyOf"`
	AllOf       []json.RawMessage          `json:"allOf"`
	Enum        []json.RawMessage          `json:"enum"`
	Definitions map[string]json.RawMessage `json:"definitions"`
	Defs        map[string]json.RawMessage `json:"$defs"`
	ConnectType string                     `json:"connect.type"`
	Parameters  map[string]string          `json:"connect.parameters"`
}

// A jsonScope finds what $ref names.
type jsonScope struct {
	root    *jsonSchema
	imports [][2]string
}

// jsonColumns returns the columns of a JSON Schema.
func jsonColumns(o Options, s *Schema) ([]types.Column, error) {
	var root jsonSchema
	if err := json.Unmarshal([]byte(s.Text), &root); err != nil {
		return nil, schemaFault("not a right JSON Schema: %v", err)
	}
	scope := jsonScope{&root, s.Imports}
	t, err := scope.sql([]byte(s.Text), o.anonymous(), &nesting{})
	if err != nil {
		return nil, err
	}
	if o.unwraps() {
		return []types.Column{{Name: o.anonymous(), Type: t}}, nil
	}
	if t.Kind() != types.KindStruct {
		return nil, schemaFault("the schema's root is %s, not an object with properties; WRAP_SINGLE_VALUE = FALSE reads it as one column", t)
	}
	var out []types.Column
	for _, f := range t.Fields() {
		out = append(out, types.Column{Name: f.Name, Type: f.Type})
	}
	return out, nil
}

// sql returns the SQL type of what a schema admits.
func (sc jsonScope) sql(raw json.RawMessage, path string, n *nesting) (*types.Type, error) {
	if err := n.enter(path); err != nil {
		return nil, err
	}
	defer n.leave()
	var s jsonSchema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, schemaFault("%s: not a right JSON Schema: %v", path, err)
	}
	if s.Ref != "" {
		to, scope, err := sc.resolve(s.Ref)
		if err != nil {
			return nil, err
		}
		return scope.sql(to, path, n)
	}
	for _, list := range [][]json.RawMessage{s.OneOf, s.AnyOf} {
		if len(list) > 0 {
			return sc.choice(list, path, n)
		}
	}
	if len(s.AllOf) > 0 && s.Properties == nil {
		return sc.merged(s.AllOf, path, n)
	}
	kind, err := s.kind(path)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "boolean":
		return types.Boolean, nil
	case "integer":
		return s.integer(), nil
	case "number":
		return s.number(path)
	case "string":
		if s.ConnectType == "bytes" {
			return types.Bytes, nil
		}
		return types.String, nil
	case "array":
		if s.Items == nil {
			return nil, schemaFault("%s: an array without items can't be a column", path)
		}
		elem, err := sc.sql(s.Items, path+"[]", n)
		if err == nil && s.ConnectType == "map" && elem.Kind() == types.KindStruct && len(elem.Fields()) == 2 {
			return types.Map(elem.Fields()[0].Type, elem.Fields()[1].Type), nil
		}
		return types.Array(elem), err
	case "object":
		return sc.object(&s, path, n)
	}
	return nil, schemaFault("%s: the JSON Schema type %s can't be a column", path, kind)
}

// kind returns the only type beside null that the schema names.
func (s *jsonSchema) kind(path string) (string, error) {
	var one string
	var list []string
	switch {
	case s.Type == nil && s.Properties != nil:
		return "object", nil
	case s.Type == nil && len(s.Enum) > 0:
		return "string", nil
	case json.Unmarshal(s.Type, &one) == nil:
		return one, nil
	case json.Unmarshal(s.Type, &list) != nil:
		return "", schemaFault("%s: the JSON Schema does not say which type it is", path)
	}
	for _, k := range list {
		if k != "null" {
			if one != "" {
				return "", schemaFault("%s: a value of several types (%s) can't be a column", path, strings.Join(list, ", "))
			}
			one = k
		}
	}
	return one, nil
}

func (s *jsonSchema) integer() *types.Type {
	switch {
	case s.Title == connectDate:
		return types.Date
	case s.Title == connectTime:
		return types.Time
	case s.Title == connectTimestamp:
		return types.Timestamp
	case s.ConnectType == "int8" || s.ConnectType == "int16" || s.ConnectType == "int32":
		return types.Int
	}
	return types.Bigint
}

func (s *jsonSchema) number(path string) (*types.Type, error) {
	if s.Title != connectDecimal {
		if strings.HasPrefix(s.ConnectType, "int") {
			return s.integer(), nil
		}
		return types.Double, nil
	}
	precision, scale := types.MaxDecimalPrecision, 0
	if n, err := strconv.Atoi(s.Parameters["connect.decimal.precision"]); err == nil {
		precision = min(n, precision)
	}
	if n, err := strconv.Atoi(s.Parameters["scale"]); err == nil {
		scale = n
	}
	t, err := types.Decimal(precision, scale)
	if err != nil {
		err = schemaFault("%s: %v", path, err)
	}
	return t, err
}

// choice takes the only one of several schemas that is not null.
func (sc jsonScope) choice(list []json.RawMessage, path string, n *nesting) (*types.Type, error) {
	var rest []json.RawMessage
	for _, raw := range list {
		var s jsonSchema
		if err := json.Unmarshal(raw, &s); err != nil || string(bytes.TrimSpace(s.Type)) != `"null"` {
			rest = append(rest, raw)
		}
	}
	if len(rest) != 1 {
		return nil, schemaFault("%s: a value of one of %d schemas can't be a column", path, len(rest))
	}
	return sc.sql(rest[0], path, n)
}

// merged joins the properties of all of several schemas.
func (sc jsonScope) merged(list []json.RawMessage, path string, n *nesting) (*types.Type, error) {
	var fields []types.Field
	for _, raw := range list {
		t, err := sc.sql(raw, path, n)
		if err != nil {
			return nil, err
		}
		if t.Kind() != types.KindStruct {
			return t, nil
		}
		fields = append(fields, t.Fields()...)
	}
	return types.Struct(fields...), nil
}

// object returns a STRUCT of the properties, or a MAP if there are none but
// additional ones.
func (sc jsonScope) object(s *jsonSchema, path string, n *nesting) (*types.Type, error) {
	if s.Properties == nil {
		if len(s.Additional) == 0 || s.Additional[0] != '{' {
			return nil, schemaFault("%s: an object without properties can't be a column", path)
		}
		elem, err := sc.sql(s.Additional, path+"[]", n)
		return types.Map(types.String, elem), err
	}
	props, err := orderedMembers(s.Properties)
	if err != nil {
		return nil, schemaFault("%s: not a right JSON Schema: %v", path, err)
	}
	var fields []types.Field
	for _, p := range props {
		t, err := sc.sql(p.value, join(path, p.name), n)
		if err != nil {
			return nil, err
		}
		fields = append(fields, types.Field{Name: p.name, Type: t})
	}
	return types.Struct(fields...), nil
}

type jsonMember struct {
	name  string
	value json.RawMessage
	index int
}

// orderedMembers returns an object's members by their connect.index, those
// without one in the order of the text.
func orderedMembers(raw json.RawMessage) ([]jsonMember, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("properties are an object, found %s", brief(raw))
	}
	var out []jsonMember
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := jsonMember{name: fmt.Sprint(t), index: len(out)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		var at struct {
			Index *int `json:"connect.index"`
		}
		if json.Unmarshal(m.value, &at) == nil && at.Index != nil {
			m.index = *at.Index
		}
		out = append(out, m)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].index < out[j].index })
	return out, nil
}

// resolve returns what a $ref names, with the scope of its own references.
func (sc jsonScope) resolve(ref string) (json.RawMessage, jsonScope, error) {
	file, pointer, _ := strings.Cut(ref, "#")
	if file != "" {
		text := ""
		for _, imp := range sc.imports {
			if imp[0] == file {
				text = imp[1]
			}
		}
		if text == "" {
			return nil, sc, schemaFault("the schema refers to %s, which is none of its references", file)
		}
		root := &jsonSchema{}
		if err := json.Unmarshal([]byte(text), root); err != nil {
			return nil, sc, schemaFault("%s is not a right JSON Schema: %v", file, err)
		}
		sc.root = root
		if pointer == "" || pointer == "/" {
			return json.RawMessage(text), sc, nil
		}
	}
	for prefix, defs := range map[string]map[string]json.RawMessage{"/definitions/": sc.root.Definitions, "/$defs/": sc.root.Defs} {
		if name, ok := strings.CutPrefix(pointer, prefix); ok && defs[name] != nil {
			return defs[name], sc, nil
		}
	}
	return nil, sc, schemaFault("the schema refers to %s, which it does not define", ref)
}
