package planner

import (
	"slices"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
)

// A SchemaNeed names a schema in the registry: by its id, or, if that is 0, as
// the last version of a subject.
type SchemaNeed struct {
	ID      int
	Subject string
}

// A Schema is a fact about the registry.
type Schema struct {
	ID int
	format.Schema
}

// A Registration is a schema to be made a version of a subject before the
// statement takes effect. Its id goes into the formats of the change.
type Registration struct {
	Topic, Subject string
	Kind, Text     string
	ID             int // of a schema that exists already; then there is no text
	Into           []*int
	At             types.Pos // of the statement
	key            bool
}

// Schemas returns the schemas that planning the statement needs: those that it
// names by id, and for a source without AS SELECT those of its topic.
func Schemas(s sql.Statement, settings map[string]string) []SchemaNeed {
	create, ok := s.(*sql.CreateSource)
	if !ok {
		return nil
	}
	w := with{}
	for _, p := range create.With {
		w[p.Name] = p.Value
	}
	topic := w.text("KAFKA_TOPIC")
	if topic == "" {
		topic = create.Name
	}
	var out []SchemaNeed
	for _, p := range []part{{key: true}, {}} {
		if id, given, err := w.integer(p.name() + "_SCHEMA_ID"); given && err == nil {
			out = append(out, SchemaNeed{ID: int(id)})
			continue
		}
		f := w.formatName(p.name(), defaultFormat(settings, p.lower(), "").Name)
		if create.As == nil && format.SchemaKind(f) != "" {
			out = append(out, SchemaNeed{Subject: format.Subject(topic, p.key)})
		}
	}
	return out
}

// A part is the keys or the values of a source.
type part struct {
	key    bool
	format *plan.Format
	given  bool // the statement declares columns of it
}

func (p part) name() string {
	if p.key {
		return "KEY"
	}
	return "VALUE"
}

func (p part) lower() string { return strings.ToLower(p.name()) }

// registryProperties reads the properties of a format with schemas.
func (w with) registryProperties(which string, f *plan.Format) error {
	names := []string{which + "_SCHEMA_FULL_NAME"}
	if which == "VALUE" {
		names = append(names, "VALUE_AVRO_SCHEMA_FULL_NAME")
	}
	for _, name := range names {
		l := w[name]
		if l == nil {
			continue
		}
		full := strings.TrimSpace(l.Text)
		switch {
		case format.SchemaKind(f.Name) == "" && f.Name != "PROTOBUF_NOSR":
			return fault(l.Pos(), "Remove it, or use AVRO or PROTOBUF.", "%s does not support the following configs: [%s]", f.Name, plan.FullName)
		case full == "":
			return fault(l.Pos(), "", "%s cannot be empty. Format configuration: {%s=}", plan.FullName, plan.FullName)
		}
		f.Properties = cloneWith(f.Properties, plan.FullName, full)
	}
	if l := w[which+"_PROTOBUF_NULLABLE_REPRESENTATION"]; l != nil {
		how := strings.ToUpper(strings.TrimSpace(l.Text))
		switch {
		case !strings.HasPrefix(f.Name, "PROTOBUF"):
			return fault(l.Pos(), "Remove it, or use PROTOBUF.", "%s does not support the following configs: [%s]", f.Name, plan.Nullable)
		case how != "OPTIONAL" && how != "WRAPPER":
			return fault(l.Pos(), "Use OPTIONAL or WRAPPER.", "%s can't be %s", which+"_PROTOBUF_NULLABLE_REPRESENTATION", l.Text)
		}
		f.Properties = cloneWith(f.Properties, plan.Nullable, how)
	}
	id, given, err := w.integer(which + "_SCHEMA_ID")
	switch l := w[which+"_SCHEMA_ID"]; {
	case err != nil || !given:
		return err
	case format.SchemaKind(f.Name) == "":
		return fault(l.Pos(), "Use AVRO, PROTOBUF or JSON_SR.", "%s_FORMAT should support schema inference when %s_SCHEMA_ID is provided. Current format is %s.", which, which, f.Name)
	case id < 1:
		return fault(l.Pos(), "", "%s_SCHEMA_ID must be a positive number, found %d", which, id)
	}
	f.SchemaID = int(id)
	return nil
}

func cloneWith(m map[string]string, k, v string) map[string]string {
	out := map[string]string{k: v}
	for name, value := range m {
		if name != k {
			out[name] = value
		}
	}
	return out
}

// keyRecordName names the AVRO record of a source's key, which ksqlDB tells
// from those of other sources.
func keyRecordName(f *plan.Format, source string, given bool) {
	if f.Name != "AVRO" || given {
		return
	}
	var b strings.Builder
	up := true
	for _, r := range strings.ToLower(source) {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case !letter:
			up = true
		case up:
			b.WriteString(strings.ToUpper(string(r)))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	name := b.String() + "Key"
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	f.Properties = cloneWith(f.Properties, plan.FullName, "io.confluent.ksql.avro_schemas."+name)
}

// inferred returns the columns that the registry has for the parts of a source
// that the statement declares no columns of.
func inferred(s *sql.CreateSource, w with, parts []part, topic string, in Input) ([]types.Column, error) {
	var out []types.Column
	for _, p := range parts {
		switch {
		case p.given && p.format.SchemaID > 0:
			return nil, fault(w[p.name()+"_SCHEMA_ID"].Pos(), "Leave the columns out, or the id.", "Table elements and %s_SCHEMA_ID cannot both exist for create statement.", p.name())
		case p.given || format.SchemaKind(p.format.Name) == "":
			continue
		}
		cols, id, err := p.columns(w, topic, in, s.Pos())
		if err != nil {
			return nil, err
		}
		p.format.SchemaID = id // what INSERT writes with
		for _, c := range cols {
			if p.key {
				if c.Namespace = types.NamespaceKey; checkKeyType(c.Name, c.Type, s.Pos()) != nil {
					return nil, checkKeyType(c.Name, c.Type, s.Pos())
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// columns infers a part's columns: names of a subject's schema are folded to
// upper case, those of a schema named by id are not.
func (p part) columns(w with, topic string, in Input, at types.Pos) ([]types.Column, int, error) {
	need := SchemaNeed{ID: p.format.SchemaID}
	if need.ID == 0 {
		need.Subject = format.Subject(topic, p.key)
	}
	fact, ok := in.Facts.Schemas[need]
	switch {
	case !ok && need.ID > 0:
		return nil, 0, fault(w[p.name()+"_SCHEMA_ID"].Pos(), "", "Schema with id %d for message %ss on topic '%s' does not exist in the Schema Registry.", need.ID, p.lower(), topic)
	case !ok:
		return nil, 0, fault(at, "Register one under the subject "+need.Subject+", or declare the columns.", "Schema for message %ss on topic '%s' does not exist in the Schema Registry.", p.lower(), topic)
	}
	cols, err := p.infer(w, fact)
	if err != nil {
		return nil, 0, placed(err, at)
	}
	if need.ID == 0 {
		cols = upperColumns(cols)
	}
	return cols, fact.ID, nil
}

func (p part) infer(w with, fact Schema) ([]types.Column, error) {
	o := format.Options{Name: p.format.Name, Key: p.key, FullName: p.format.Properties[plan.FullName]}
	if l := w["WRAP_SINGLE_VALUE"]; l != nil && !p.key {
		wrap := !strings.EqualFold(l.Text, "false")
		o.WrapSingle = &wrap
	}
	if kind := format.SchemaKind(o.Name); kind != fact.Kind {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "Schema %d for message %ss is of type %s; the format %s needs %s", fact.ID, p.lower(), fact.Kind, o.Name, kind)
	}
	return format.Infer(o, &fact.Schema)
}

func upperColumns(cols []types.Column) []types.Column {
	out := slices.Clone(cols)
	for i := range out {
		out[i].Name, out[i].Type = strings.ToUpper(out[i].Name), upperType(out[i].Type)
	}
	return out
}

func upperType(t *types.Type) *types.Type {
	switch t.Kind() {
	case types.KindArray:
		return types.Array(upperType(t.Elem()))
	case types.KindMap:
		return types.Map(upperType(t.Key()), upperType(t.Elem()))
	case types.KindStruct:
		var fields []types.Field
		for _, f := range t.Fields() {
			fields = append(fields, types.Field{Name: strings.ToUpper(f.Name), Type: upperType(f.Type)})
		}
		return types.Struct(fields...)
	}
	return t
}

// partsOf returns a source's keys and values, and which of them the statement
// declares columns of.
func partsOf(s *sql.CreateSource, src *catalog.Source) []part {
	key, value := part{key: true, format: &src.KeyFormat}, part{format: &src.ValueFormat}
	for _, c := range s.Columns {
		switch {
		case c.Key || c.PrimaryKey:
			key.given = true
		case !c.Headers:
			value.given = true
		}
	}
	return []part{key, value}
}

// newSubjects returns the registrations of a source's declared columns, where
// the registry does not have the subject yet.
func newSubjects(s *sql.CreateSource, src *catalog.Source, in Input) []Registration {
	list, err := registrations(*src, s.Pos())
	if err != nil {
		return nil // checkFormats has said it
	}
	var out []Registration
	for _, r := range list {
		if _, exists := in.Facts.Schemas[SchemaNeed{Subject: r.Subject}]; exists || r.ID != 0 {
			continue
		}
		r.Into = []*int{&src.ValueFormat.SchemaID}
		if r.key {
			r.Into[0] = &src.KeyFormat.SchemaID
		}
		out = append(out, r)
	}
	return out
}

// registrations returns the schemas that writing to src takes.
func registrations(src catalog.Source, at types.Pos) ([]Registration, error) {
	var out []Registration
	for _, x := range []struct {
		f    plan.Format
		cols []types.Column
		key  bool
	}{{src.KeyFormat, src.Schema.Keys(), true}, {src.ValueFormat, src.Schema.Values(), false}} {
		kind := format.SchemaKind(x.f.Name)
		if kind == "" || len(x.cols) == 0 {
			continue
		}
		r := Registration{Topic: src.Topic, Subject: format.Subject(src.Topic, x.key), Kind: kind, ID: x.f.SchemaID, At: at, key: x.key}
		if r.ID == 0 {
			text, err := format.Derive(formatOptions(x.f, x.key), x.cols)
			if err != nil {
				return nil, placed(err, at)
			}
			r.Text = text
		}
		out = append(out, r)
	}
	return out, nil
}

// notedIn makes the ids of a result's registrations go to the formats of its
// query's sink and of the source it makes.
func notedIn(r *Result, err error) error {
	if err != nil {
		return err
	}
	for i := range r.Register {
		x := &r.Register[i]
		into := func(key, value *plan.Format) {
			if x.key {
				value = key
			}
			x.Into = append(x.Into, &value.SchemaID)
		}
		if q := r.Change.Start; q != nil {
			sink := q.Plan.Root.(*plan.Sink)
			into(&sink.KeyFormat, &sink.ValueFormat)
		}
		if src := r.Change.Put; src != nil {
			into(&src.KeyFormat, &src.ValueFormat)
		}
	}
	return nil
}

// fitsSchemas holds a sink's columns to the schemas that the statement names by
// id.
func fitsSchemas(w with, src *catalog.Source, in Input, at types.Pos) error {
	if err := fitsSchema(w, part{key: true, format: &src.KeyFormat}, src.Schema.Keys(), in, at); err != nil {
		return err
	}
	return fitsSchema(w, part{format: &src.ValueFormat}, src.Schema.Values(), in, at)
}

// fitsSchema holds a sink's columns to the schema that the statement names by
// id: they are its first columns.
func fitsSchema(w with, p part, cols []types.Column, in Input, at types.Pos) error {
	if p.format.SchemaID == 0 {
		return nil
	}
	want, _, err := p.columns(w, "", in, at)
	if err != nil {
		return err
	}
	var wrong []string
	for i, c := range cols {
		if i >= len(want) || want[i].Name != c.Name && !anonymous(p, want, cols) || !want[i].Type.Equal(c.Type) {
			wrong = append(wrong, types.QuoteAlways(c.Name)+" "+c.Type.String())
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	var have []string
	for _, c := range want {
		have = append(have, types.QuoteAlways(c.Name)+" "+c.Type.String())
	}
	return fault(w[p.name()+"_SCHEMA_ID"].Pos(), "Select the schema's columns first, in its order, with its types.", "The following %s columns are changed, missing or reordered: [%s]. Schema from schema registry is [%s]",
		p.lower(), strings.Join(wrong, ", "), strings.Join(have, ", "))
}

// anonymous reports whether a schema is of a single column that it does not
// name.
func anonymous(p part, want, cols []types.Column) bool {
	return len(want) == 1 && len(cols) == 1 && (want[0].Name == "ROWKEY" && p.key || want[0].Name == "ROWVAL" && !p.key)
}

func formatOptions(f plan.Format, key bool) format.Options {
	o := format.Options{Name: f.Name, Key: key, WrapSingle: f.WrapSingle, SchemaID: f.SchemaID, FullName: f.Properties[plan.FullName], Nullable: f.Properties[plan.Nullable]}
	which := "VALUE_DELIMITER"
	if key {
		which = "KEY_DELIMITER"
	}
	o.Delimiter = f.Properties[which]
	return o
}
