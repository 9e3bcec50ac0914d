package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"karst/log/registry"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// A caseReference is a schema that another one refers to.
type caseReference struct {
	Name   string
	Format string
	Schema json.RawMessage
}

// registryFormats matches statements that need the registry.
var registryFormats = regexp.MustCompile(`(?i)AVRO|PROTOBUF|JSON_SR`)

// registerSchemas fills the registry as ksqlDB's runner does: the schemas with
// a given id, those of each CREATE's topic in the order of the statements, the
// given ones or those that its columns stand for, and the rest.
func (r *caseRun) registerSchemas() error {
	if !registryFormats.MatchString(strings.Join(r.c.Statements, " ") + fmt.Sprint(r.c.Properties)) {
		return nil
	}
	if err := r.registry.SetLevel("", registry.None); err != nil {
		return err
	}
	if err := r.registerGiven(func(_ string, id int) bool { return id > 0 }); err != nil {
		return err
	}
	e, err := r.open()
	if err != nil {
		return err
	}
	defer e.close()
	for _, s := range r.stmts {
		switch s := s.(type) {
		case *sql.CreateType:
		case *sql.CreateSource:
			if s.As != nil || !s.HasColumns {
				continue
			}
			topic, _ := createdTopic(s, r.c.Properties)
			if err := r.registerGiven(func(t string, _ int) bool { return t == topic }); err != nil {
				return err
			}
		default:
			continue
		}
		_, _ = e.engine.ExecuteStatement(r.ctx, s, e.session) // one that fails will do so again
	}
	return r.registerGiven(func(string, int) bool { return true })
}

// registerGiven registers those schemas of the case's topics that are wanted.
func (r *caseRun) registerGiven(wanted func(topic string, id int) bool) error {
	for _, t := range r.c.Topics {
		for _, x := range []struct {
			subject, format string
			schema          json.RawMessage
			id              int
			references      []caseReference
		}{{t.Name + "-key", t.KeyFormat, t.KeySchema, t.KeySchemaID, t.KeySchemaReferences}, {t.Name + "-value", t.ValueFormat, t.ValueSchema, t.ValueSchemaID, t.ValueSchemaReferences}} {
			if x.schema == nil || !wanted(t.Name, x.id) {
				continue
			}
			s, err := caseSchema(x.format, x.schema)
			if err != nil {
				return err
			}
			for _, ref := range x.references {
				to, err := caseSchema(ref.Format, ref.Schema)
				if err != nil {
					return err
				}
				v, err := r.registry.Add(ref.Name, to, 0, 0)
				if err != nil {
					return err
				}
				s.References = append(s.References, registry.Reference{Name: ref.Name, Subject: ref.Name, Version: v.Version})
			}
			if _, err := r.registry.Add(x.subject, s, x.id, 0); err != nil {
				return fmt.Errorf("the schema of %s: %w", x.subject, err)
			}
		}
	}
	return nil
}

// caseSchema returns a schema as cases write it: JSON, or a JSON string that
// holds a .proto file.
func caseSchema(format string, raw json.RawMessage) (registry.Schema, error) {
	switch format {
	case "", "AVRO":
		return registry.Schema{Type: registry.Avro, Text: string(raw)}, nil
	case "JSON", "JSON_SR":
		return registry.Schema{Type: registry.JSON, Text: string(raw)}, nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return registry.Schema{Type: registry.Protobuf, Text: text}, err
}

// options returns how the cells are read or written whole: as one column that
// stands for all, except in Protobuf, which has no such thing.
func (c *cells) options() format.Options {
	o := format.Options{Name: c.Name, Key: c.key, Registry: c.registry, FullName: c.Properties[plan.FullName], Nullable: c.Properties[plan.Nullable]}
	if c.Name == "AVRO" || c.Name == "JSON_SR" {
		whole := false
		o.WrapSingle = &whole
	}
	return o
}

// columnsOf returns the columns of a schema in the registry; those of a format
// without a registry are the source's.
func (c *cells) columnsOf(id int, o format.Options) ([]types.Column, error) {
	if c.Name == "PROTOBUF_NOSR" {
		return c.cols, nil
	}
	kind, text, imports, err := c.registry.Schema(id)
	if err != nil {
		return nil, err
	}
	return format.Infer(o, &format.Schema{Kind: kind, Text: text, Imports: imports})
}

// encodeSchema turns a case's JSON into bytes by the topic's latest schema.
func (c *cells) encodeSchema(raw json.RawMessage) ([]byte, error) {
	o := c.options()
	var err error
	if c.Name != "PROTOBUF_NOSR" {
		if o.SchemaID, err = c.registry.Latest(format.Subject(c.topic, c.key)); err != nil {
			return nil, err
		}
	}
	cols, err := c.columnsOf(o.SchemaID, o)
	if err != nil {
		return nil, err
	}
	in := format.Options{Name: "JSON", WrapSingle: o.WrapSingle}
	if o.WrapSingle == nil {
		wrap := true
		in.WrapSingle = &wrap
	}
	vs, err := decodeCells(in, cols, raw)
	if err != nil {
		return nil, err
	}
	enc, err := format.NewEncoder(o, cols)
	if err != nil {
		return nil, err
	}
	var out format.Cells
	if err = enc.Encode(vs, []int32{0}, &out); err != nil {
		return nil, err
	}
	return out.At(0), nil
}

// decodeCells decodes one cell into columns of one row.
func decodeCells(o format.Options, cols []types.Column, b []byte) ([]*vector.Vector, error) {
	d, err := format.NewDecoder(o, cols, nil)
	if err != nil {
		return nil, err
	}
	var fault error
	in := &format.Cells{Buf: b, Off: []int32{0}, Len: []int32{int32(len(b))}}
	vs := d.Decode(vector.NewArena(), in, 1, func(_ int, reason, message string) {
		if reason != format.ReasonUnknownField {
			fault = errors.New(message)
		}
	})
	return vs, errors.Join(fault, format.Err(d))
}

// decodeSchema turns bytes into a case's value by the schema that they name.
func (c *cells) decodeSchema(b []byte) (any, error) {
	o := c.options()
	id := 0
	if c.Name != "PROTOBUF_NOSR" {
		if len(b) < 5 || b[0] != 0 {
			return nil, fmt.Errorf("%q has no schema id", b)
		}
		id = int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4])
	}
	cols, err := c.columnsOf(id, o)
	if err != nil {
		return nil, err
	}
	vs, err := decodeCells(o, cols, b)
	if err != nil {
		return nil, err
	}
	if o.WrapSingle == nil {
		return membersOf(columnFields(cols), vs, 0), nil
	}
	if vs[0].Type.Kind() == types.KindStruct && !vs[0].IsNull(0) {
		return membersOf(vs[0].Type.Fields(), vs[0].Kids, 0), nil
	}
	return valueOf(vs[0], 0), nil
}

func columnFields(cols []types.Column) []types.Field {
	var out []types.Field
	for _, c := range cols {
		out = append(out, types.Field{Name: c.Name, Type: c.Type})
	}
	return out
}

// membersOf returns the members of a record; one that is an empty byte string
// counts as null.
func membersOf(fields []types.Field, vs []*vector.Vector, i int) map[string]any {
	out := map[string]any{}
	for k, f := range fields {
		out[f.Name] = valueOf(vs[k], i)
		if f.Type.Kind() == types.KindBytes && out[f.Name] == "" {
			out[f.Name] = nil
		}
	}
	return out
}

// valueOf returns row i of a vector as a case's value; a DOUBLE is a float64,
// which compares by how near it is.
func valueOf(v *vector.Vector, i int) any {
	switch {
	case v.IsNull(i):
		return nil
	case v.Type.Kind() == types.KindDouble:
		return v.F64[i]
	case v.Type.Kind() == types.KindArray:
		out := []any{}
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			out = append(out, valueOf(v.Kids[0], int(j)))
		}
		return out
	case v.Type.Kind() == types.KindMap:
		out := map[string]any{}
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			key := "null"
			if k := valueOf(v.Kids[0], int(j)); k != nil {
				key = fmt.Sprint(k)
			}
			out[key] = valueOf(v.Kids[1], int(j))
		}
		return out
	case v.Type.Kind() == types.KindStruct:
		out := map[string]any{}
		for k, f := range v.Type.Fields() {
			out[f.Name] = valueOf(v.Kids[k], i)
		}
		return out
	}
	x, err := decodeJSON(format.AppendJSON(nil, v, i))
	if err != nil {
		return err.Error()
	}
	return x
}

// checkSchema holds the last schema of a topic's keys or values to the expected
// one: JSON is equal, but for what Connect adds to Avro, and .proto texts are.
func (r *caseRun) checkSchema(topic string, want json.RawMessage, key bool) string {
	if want == nil {
		return ""
	}
	subject := format.Subject(topic, key)
	id, err := r.registry.Latest(subject)
	if err != nil {
		return err.Error()
	}
	kind, text, _, err := r.registry.Schema(id)
	if err != nil {
		return err.Error()
	}
	if kind == registry.Protobuf {
		var proto string
		if json.Unmarshal(want, &proto) == nil && proto == text {
			return ""
		}
		return fmt.Sprintf("the schema of %s is %s, expected %s", subject, text, proto)
	}
	w, err := decodeJSON(want)
	if err != nil {
		return err.Error()
	}
	g, err := decodeJSON([]byte(text))
	if err != nil {
		return err.Error()
	}
	if kind == registry.Avro {
		w, g = withoutConnect(w), withoutConnect(g)
	}
	if !reflect.DeepEqual(w, g) {
		return fmt.Sprintf("the schema of %s is %s, expected %s", subject, valueText(g), valueText(w))
	}
	return ""
}

// withoutConnect drops what Connect notes for itself in Avro schemas.
func withoutConnect(x any) any {
	switch x := x.(type) {
	case []any:
		for i := range x {
			x[i] = withoutConnect(x[i])
		}
	case map[string]any:
		for k := range x {
			if strings.HasPrefix(k, "connect.") {
				delete(x, k)
			} else {
				x[k] = withoutConnect(x[k])
			}
		}
	}
	return x
}

// namedSchema returns the id that a CREATE of the topic names its keys' or
// values' schema by, 0 if none does.
func (r *caseRun) namedSchema(topic string, key bool) int {
	name := "VALUE_SCHEMA_ID"
	if key {
		name = "KEY_SCHEMA_ID"
	}
	for _, s := range r.stmts {
		create, ok := s.(*sql.CreateSource)
		if !ok {
			continue
		}
		if of, _ := createdTopic(create, r.c.Properties); of != topic {
			continue
		}
		for _, p := range create.With {
			if p.Name == name {
				id, _ := strconv.Atoi(p.Value.Text)
				return id
			}
		}
	}
	return 0
}
