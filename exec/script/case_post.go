package script

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// A casePost is what must hold after a case's statements have run.
type casePost struct {
	Sources []postSource
	Topics  struct {
		Blacklist string
		Topics    []postTopic
	}
}

type postSource struct {
	Name, Type, Schema string
	KeyFormat          *postKeyFormat
	ValueFormat        *postFormat
	KeyFeatures        *[]string
	ValueFeatures      *[]string
	IsSource           *bool
}

type postKeyFormat struct {
	Format     string
	WindowType string
	WindowSize *int64 // ms
}

// A postFormat is a format's name, alone or as a member.
type postFormat struct{ Format string }

// UnmarshalJSON implements json.Unmarshaler.
func (f *postFormat) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &f.Format) == nil {
		return nil
	}
	var o struct{ Format string }
	err := json.Unmarshal(b, &o)
	f.Format = o.Format
	return err
}

type postTopic struct {
	Name                   string
	KeyFormat, ValueFormat postTopicFormat
	Partitions             *int
	KeySchema, ValueSchema json.RawMessage
	KeySchemaID            int
	ValueSchemaID          int
}

type postTopicFormat struct {
	Format     string
	Properties map[string]string
	Features   []string
	WindowInfo *struct {
		Type string
		Size json.Number // seconds
	}
}

// internalTopic matches names that Kafka Streams gives its own topics.
var internalTopic = regexp.MustCompile(`^_confluent-ksql-.*-(repartition|changelog)$|^_confluent-ksql-some\.ksql\.service\.id`)

// onlyInternalTopics reports whether a case checks nothing but internal
// topics, which we do not have.
func (c *queryCase) onlyInternalTopics() bool {
	p := &c.Post
	if len(c.Inputs)+len(c.Outputs)+len(p.Sources) > 0 || c.Error != nil || p.Topics.Blacklist != "" || len(p.Topics.Topics) == 0 {
		return false
	}
	return !slices.ContainsFunc(p.Topics.Topics, func(t postTopic) bool { return !internalTopic.MatchString(t.Name) })
}

// check holds the catalog and the plans to the post-conditions.
func (p *casePost) check(r *caseRun, e *caseEngine) *caseFault {
	cat := e.engine.Catalog()
	for i := range p.Sources {
		if fault := p.Sources[i].check(cat); fault != "" {
			return faultf("%s", fault)
		}
	}
	for i := range p.Topics.Topics {
		t := &p.Topics.Topics[i]
		if internalTopic.MatchString(t.Name) {
			continue
		}
		if fault := t.check(r, cat); fault != "" {
			return faultf("topic %s: %s", t.Name, fault)
		}
	}
	return p.checkBlacklist(cat)
}

func (p *casePost) checkBlacklist(cat *catalog.Catalog) *caseFault {
	if p.Topics.Blacklist == "" {
		return nil
	}
	banned, err := regexp.Compile(p.Topics.Blacklist)
	if err != nil {
		return faultf("blacklist: %v", err)
	}
	for _, id := range cat.QueryIDs() {
		q, _ := cat.Query(id)
		for _, step := range repartitions(q.Plan.Root) {
			if name := id + "-" + step + "-repartition"; banned.MatchString(name) {
				return faultf("the query must not repartition, it does at step %s", step)
			}
		}
	}
	return nil
}

// repartitions returns the exchanges to which rows come with a key other than
// the one they were read with. An exchange of rows as they were read only sees
// to it that they lie where our own placement has them.
func repartitions(root plan.Step) []string {
	var out []string
	plan.Walk(root, func(s plan.Step) {
		x, ok := s.(*plan.Exchange)
		if !ok {
			return
		}
		for below := x.Input; ; below = below.Inputs()[0] {
			if r, ok := below.(*plan.Rekey); ok && !sameKeys(r) {
				out = append(out, x.ID)
			}
			if _, ok := below.(*plan.Exchange); ok || len(below.Inputs()) != 1 {
				return
			}
		}
	})
	return out
}

// sameKeys reports whether a Rekey's keys are those that its input has.
func sameKeys(r *plan.Rekey) bool {
	keys := r.Input.Meta().Schema.Keys()
	return slices.EqualFunc(keys, r.Keys, func(k types.Column, e plan.Expr) bool { return sql.QuoteName(k.Name) == e.Text })
}

func (want *postSource) check(cat *catalog.Catalog) string {
	src, ok := cat.Source(want.Name)
	switch {
	case !ok:
		return "there is no source " + want.Name
	case !strings.EqualFold(string(src.Kind), want.Type):
		return want.Name + " is a " + src.Kind.Lower()
	case want.IsSource != nil && *want.IsSource != src.ReadOnly:
		return fmt.Sprintf("%s: a source made by CREATE SOURCE: %t, expected %t", want.Name, src.ReadOnly, *want.IsSource)
	case want.ValueFormat != nil && want.ValueFormat.Format != src.ValueFormat.Name:
		return fmt.Sprintf("%s has value format %s, expected %s", want.Name, src.ValueFormat.Name, want.ValueFormat.Format)
	}
	if want.KeyFormat != nil {
		if fault := want.KeyFormat.check(src); fault != "" {
			return want.Name + " " + fault
		}
	}
	for _, f := range []struct {
		which string
		want  *[]string
		got   []string
	}{{"key", want.KeyFeatures, features(src, true)}, {"value", want.ValueFeatures, features(src, false)}} {
		if f.want != nil && !sameSet(*f.want, f.got) {
			return fmt.Sprintf("%s has the %s features %v, expected %v", want.Name, f.which, f.got, *f.want)
		}
	}
	if want.Schema == "" {
		return ""
	}
	schema, err := postSchema(want.Schema, cat)
	switch {
	case err != nil:
		return err.Error()
	case !schema.Equal(src.Schema):
		return fmt.Sprintf("%s has schema %s, expected %s", want.Name, src.Schema, schema)
	}
	return ""
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (want *postKeyFormat) check(src *catalog.Source) string {
	kind, size := "", int64(0)
	if w := src.Window; w != nil {
		kind, size = string(w.Kind), w.SizeMS
	}
	switch {
	case want.Format != src.KeyFormat.Name:
		return fmt.Sprintf("has key format %s, expected %s", src.KeyFormat.Name, want.Format)
	case !strings.EqualFold(want.WindowType, kind):
		return fmt.Sprintf("has keys of window %q, expected %q", kind, want.WindowType)
	case want.WindowSize != nil && *want.WindowSize != size:
		return fmt.Sprintf("has windows of %d ms, expected %d", size, *want.WindowSize)
	}
	return ""
}

// features returns how a single column is written where the format leaves a
// choice: keys are bare by default, values are as they are unless the
// statement says.
func features(src *catalog.Source, key bool) []string {
	f, cols := src.ValueFormat, src.Schema.Values()
	if key {
		f, cols = src.KeyFormat, src.Schema.Keys()
	}
	switch {
	case key && strings.HasPrefix(f.Name, "PROTOBUF"):
		return nil // it has no bare keys
	case len(cols) != 1 || f.Name == "KAFKA" || f.Name == "DELIMITED" || f.Name == "NONE":
		return nil
	case f.WrapSingle != nil && *f.WrapSingle:
		return []string{"WRAP_SINGLES"}
	case f.WrapSingle != nil || key:
		return []string{"UNWRAP_SINGLES"}
	}
	return nil
}

// postSchema reads "K INT KEY, V STRING".
func postSchema(text string, cat *catalog.Catalog) (types.Schema, error) {
	var schema types.Schema
	stmts, err := sql.Parse("CREATE STREAM X ("+strings.ReplaceAll(text, "PRIMARY KEY", "KEY")+") WITH (KAFKA_TOPIC='x');", sql.Options{})
	if err != nil {
		return schema, err
	}
	for _, c := range stmts[0].(*sql.CreateSource).Columns {
		t, err := sql.ResolveType(c.Type, cat.Type)
		if err != nil {
			return schema, err
		}
		col := types.Column{Name: c.Name, Type: t}
		if c.Key {
			col.Namespace = types.NamespaceKey
		} else if c.Headers {
			col.Namespace, col.HeaderKey = types.NamespaceHeaders, c.HeaderKey
		}
		schema.Columns = append(schema.Columns, col)
	}
	return schema, nil
}

// defaultPartitions are those of a topic for which nothing else is said.
const defaultPartitions = 4

// check holds a topic to what its source says; a topic that a query makes
// counts as one of the default number of partitions.
func (want *postTopic) check(r *caseRun, cat *catalog.Catalog) string {
	src := sourceOf(cat, want.Name)
	if src == nil {
		return "no source has it"
	}
	for _, f := range []struct {
		which string
		want  postTopicFormat
		key   bool
	}{{"key", want.KeyFormat, true}, {"value", want.ValueFormat, false}} {
		if fault := f.want.check(src, f.key); fault != "" {
			return f.which + " " + fault
		}
	}
	for _, s := range []struct {
		want json.RawMessage
		id   int
		key  bool
	}{{want.KeySchema, want.KeySchemaID, true}, {want.ValueSchema, want.ValueSchemaID, false}} {
		if fault := r.checkSchema(want.Name, s.want, s.key); fault != "" {
			return fault
		}
		if got := r.namedSchema(want.Name, s.key); got != s.id {
			return fmt.Sprintf("the schema named by id is %d, expected %d", got, s.id)
		}
	}
	if want.Partitions != nil && *want.Partitions != r.partitionsOf(src) {
		return fmt.Sprintf("%d partitions, expected %d", r.partitionsOf(src), *want.Partitions)
	}
	return ""
}

// partitionsOf returns the partitions that a source's topic has by the case.
func (r *caseRun) partitionsOf(src *catalog.Source) int {
	for _, t := range r.c.Topics {
		if t.Name == src.Topic {
			return max(t.Partitions, 1)
		}
	}
	for _, s := range r.stmts {
		if create, ok := s.(*sql.CreateSource); ok && create.As == nil {
			if topic, n := createdTopic(create, r.c.Properties); topic == src.Topic && n > 0 {
				return n
			}
		}
	}
	return defaultPartitions
}

func (want *postTopicFormat) check(src *catalog.Source, key bool) string {
	f := src.ValueFormat
	if key {
		f = src.KeyFormat
	}
	props := formatProperties(f)
	switch got := features(src, key); {
	case want.Format != f.Name:
		return fmt.Sprintf("format %s, expected %s", f.Name, want.Format)
	case !sameSet(want.Features, got):
		return fmt.Sprintf("features %v, expected %v", got, want.Features)
	case !maps.Equal(want.Properties, props):
		return fmt.Sprintf("properties %v, expected %v", props, want.Properties)
	}
	if !key {
		return ""
	}
	return want.checkWindow(src)
}

// formatProperties returns a format's properties by ksqlDB's names.
func formatProperties(f plan.Format) map[string]string {
	props := map[string]string{}
	for name, v := range f.Properties {
		switch name {
		case "VALUE_DELIMITER", "KEY_DELIMITER":
			props["delimiter"] = v
		case plan.Nullable:
			props[name] = strings.ToLower(v)
			if f.Name == "PROTOBUF" && v == "WRAPPER" {
				props["unwrapPrimitives"] = "true"
			}
		default:
			props[name] = v
		}
	}
	return props
}

func registryFormat(name string) bool {
	return name == "AVRO" || name == "JSON_SR" || strings.HasPrefix(name, "PROTOBUF")
}

func (want *postTopicFormat) checkWindow(src *catalog.Source) string {
	kind, size, got, gotSize := "", "", "", ""
	if w := want.WindowInfo; w != nil {
		kind, size = w.Type, w.Size.String()
	}
	if w := src.Window; w != nil {
		got = string(w.Kind)
		if w.SizeMS > 0 {
			gotSize = fmt.Sprint(float64(w.SizeMS) / 1000)
		}
	}
	if !strings.EqualFold(kind, got) || !(comparison{inexact: true}).numbers(orZero(size), orZero(gotSize)) {
		return fmt.Sprintf("window %s %s, expected %s %s", got, gotSize, kind, size)
	}
	return ""
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
