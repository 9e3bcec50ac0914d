package planner

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
)

// The properties that a WITH clause may have.
var (
	topicNames = []string{"KAFKA_TOPIC", "FORMAT", "KEY_FORMAT", "VALUE_FORMAT", "PARTITIONS", "REPLICAS", "RETENTION_MS", "TIMESTAMP", "TIMESTAMP_FORMAT", "WRAP_SINGLE_VALUE", "VALUE_DELIMITER", "KEY_DELIMITER",
		"KEY_SCHEMA_ID", "VALUE_SCHEMA_ID", "KEY_SCHEMA_FULL_NAME", "VALUE_SCHEMA_FULL_NAME", "VALUE_AVRO_SCHEMA_FULL_NAME", "KEY_PROTOBUF_NULLABLE_REPRESENTATION", "VALUE_PROTOBUF_NULLABLE_REPRESENTATION"}
	createNames = append([]string{"WINDOW_TYPE", "WINDOW_SIZE"}, topicNames...)
	createAs    = append([]string{"QUERY_ID"}, topicNames...)
	insertNames = []string{"QUERY_ID"}
)

// A with holds the properties of a WITH clause by name.
type with map[string]*sql.Literal

func readWith(props []sql.Property, names []string) (with, error) {
	w := with{}
	var errs types.Errors
	for _, p := range props {
		switch {
		case !slices.Contains(names, p.Name):
			hint := "It may have " + strings.Join(names, ", ") + "."
			if n := types.Nearest(p.Name, names); n != "" {
				hint = "Did you mean " + n + "?"
			}
			errs = append(errs, fault(p.At, hint, "Invalid config variable(s) in the WITH clause: %s", p.Name))
		case w[p.Name] != nil:
			errs = append(errs, fault(p.At, "", "Duplicate property in the WITH clause: %s", p.Name))
		}
		w[p.Name] = p.Value
	}
	for _, name := range []string{"KEY_FORMAT", "VALUE_FORMAT"} {
		if w["FORMAT"] != nil && w[name] != nil {
			errs = append(errs, fault(w[name].Pos(), "Use either just FORMAT, or KEY_FORMAT and VALUE_FORMAT.", "Cannot supply both '%s' and 'FORMAT' properties, as 'FORMAT' sets both key and value formats.", name))
		}
	}
	for _, name := range []string{"PARTITIONS", "REPLICAS", "RETENTION_MS"} {
		n, given, err := w.integer(name)
		var e *types.Error
		switch {
		case errors.As(err, &e):
			errs = append(errs, e)
		case given && name == "RETENTION_MS" && n < -1:
			errs = append(errs, fault(w[name].Pos(), "-1 keeps records for good.", "RETENTION_MS must be at least -1, found %d", n))
		}
	}
	return w, all(errs)
}

func (w with) text(name string) string {
	if w[name] == nil {
		return ""
	}
	return w[name].Text
}

func (w with) integer(name string) (int64, bool, error) {
	l := w[name]
	if l == nil {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(l.Text, 10, 64)
	if err != nil {
		return 0, false, fault(l.Pos(), "", "%s must be an integer, found %s", name, l.Text)
	}
	return n, true, nil
}

// formats returns the key and value formats; those not given are as def says,
// with def's delimiter but not its wrapping.
func (w with) formats(keyDef, valueDef plan.Format) (key, value plan.Format, err error) {
	if key, err = w.format("KEY", keyDef); err != nil {
		return
	}
	value, err = w.format("VALUE", valueDef)
	return
}

func (w with) format(which string, def plan.Format) (plan.Format, error) {
	f := plan.Format{Name: def.Name, Properties: def.Properties}
	if given := w.formatName(which, f.Name); given != f.Name {
		f = plan.Format{Name: given}
	}
	if err := w.registryProperties(which, &f); err != nil {
		return f, err
	}
	l := w[which+"_DELIMITER"]
	if l == nil {
		return f, nil
	}
	switch {
	case f.Name != "DELIMITED":
		return f, fault(l.Pos(), "Remove it, or use the format DELIMITED.", "%s does not support the property %s_DELIMITER", f.Name, which)
	case strings.TrimSpace(l.Text) == "":
		return f, fault(l.Pos(), "For a tab or a space write TAB or SPACE.", "%s_DELIMITER can't be empty", which)
	case len([]rune(l.Text)) > 1 && !strings.EqualFold(l.Text, "TAB") && !strings.EqualFold(l.Text, "SPACE"):
		return f, fault(l.Pos(), "For example ';'.", "%s_DELIMITER must be a single character, TAB or SPACE, found '%s'", which, l.Text)
	}
	f.Properties = map[string]string{which + "_DELIMITER": strings.ToUpper(l.Text)}
	return f, nil
}

// formatName returns the name of the key or value format, def if none is given.
func (w with) formatName(which, def string) string {
	for _, name := range []string{which + "_FORMAT", "FORMAT"} {
		if given := strings.ToUpper(strings.TrimSpace(w.text(name))); given != "" {
			return given
		}
	}
	return def
}

// wrapping sets whether a single value column stands in an envelope: as the
// statement says, else as the session does.
func (w with) wrapping(f *plan.Format, values []types.Column, settings map[string]string) error {
	l := w["WRAP_SINGLE_VALUE"]
	if l == nil {
		if v, set := settings["ksql.persistence.wrap.single.values"]; set && v != "" && len(values) == 1 && wraps(f.Name, v == "true") {
			wrap := v == "true"
			f.WrapSingle = &wrap
		}
		return nil
	}
	wrap, err := strconv.ParseBool(l.Text)
	switch {
	case err != nil:
		return fault(l.Pos(), "", "WRAP_SINGLE_VALUE must be TRUE or FALSE, found %s", l.Text)
	case len(values) != 1:
		return fault(l.Pos(), "Remove it.", "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas")
	case !wraps(f.Name, wrap):
		return fault(l.Pos(), "Remove it.", "Format '%s' does not support 'WRAP_SINGLE_VALUE' set to '%t'.", f.Name, wrap)
	}
	f.WrapSingle = &wrap
	return nil
}

// wraps reports whether a format can hold a single value in that way.
func wraps(format string, wrapped bool) bool {
	switch format {
	case "JSON", "JSON_SR", "AVRO":
		return true
	case "PROTOBUF", "PROTOBUF_NOSR":
		return wrapped
	case "DELIMITED", "KAFKA":
		return !wrapped
	}
	return false
}

// topicConfig is the configuration of the topic that a statement makes for src.
// Its records are kept, since event time is often years old; of a table the last
// one of each key is. Keys of windows come and go: there RETENTION_MS counts, too.
// These are ksqlDB's policies.
func (w with) topicConfig(src *catalog.Source) map[string]string {
	retention, policy := "-1", "delete"
	if l := w["RETENTION_MS"]; l != nil {
		retention = l.Text
	}
	if src.IsTable() {
		if policy = "compact"; src.Window != nil {
			policy = "compact,delete"
		}
	}
	return map[string]string{"retention.ms": retention, "cleanup.policy": policy}
}

// sourceWindow reads WINDOW_TYPE and WINDOW_SIZE.
func (w with) sourceWindow() (*plan.Window, error) {
	l := w["WINDOW_TYPE"]
	if l == nil {
		return nil, nil
	}
	kind := plan.WindowKind(strings.ToUpper(l.Text))
	win := &plan.Window{Kind: kind}
	switch kind {
	case plan.Session:
		if w["WINDOW_SIZE"] != nil {
			return nil, fault(l.Pos(), "", "'WINDOW_SIZE' should not be set for SESSION windows.")
		}
		return win, nil
	case plan.Tumbling, plan.Hopping:
	default:
		return nil, fault(l.Pos(), "Use TUMBLING, HOPPING or SESSION.", "WINDOW_TYPE is invalid: unknown window type: %s", l.Text)
	}
	n, unit, _ := strings.Cut(strings.TrimSpace(w.text("WINDOW_SIZE")), " ")
	size, err := strconv.ParseInt(n, 10, 64)
	ms := sql.Duration{N: size, Unit: strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(unit)), "S")}.MS()
	if err != nil || ms <= 0 {
		return nil, fault(l.Pos(), "For example WINDOW_SIZE = '1 HOUR'.", "Windows of type %s require a size in the WITH clause, 'WINDOW_SIZE'.", kind)
	}
	win.SizeMS = ms
	return win, nil
}

// timestamp reads TIMESTAMP and TIMESTAMP_FORMAT.
func (w with) timestamp(schema types.Schema, settings map[string]string) (*plan.Timestamp, error) {
	l := w["TIMESTAMP"]
	if l == nil {
		if f := w["TIMESTAMP_FORMAT"]; f != nil {
			return nil, fault(f.Pos(), "", "TIMESTAMP_FORMAT needs the property TIMESTAMP")
		}
		return nil, nil
	}
	i := findColumn(schema, l.Text)
	if i < 0 {
		return nil, fault(l.Pos(), "", "The TIMESTAMP column set in the WITH clause does not exist in the schema: '%s'", l.Text)
	}
	c := schema.Columns[i]
	ts := &plan.Timestamp{Column: c.Name, Pattern: w.text("TIMESTAMP_FORMAT"), Throw: settingBool(settings, "ksql.timestamp.throw.on.invalid", false)}
	switch c.Type.Kind() {
	case types.KindString:
		if ts.Pattern == "" {
			return nil, fault(l.Pos(), "For example TIMESTAMP_FORMAT = 'yyyy-MM-dd HH:mm:ss'.", "A String timestamp field has been specified without also specifying the TIMESTAMP_FORMAT")
		}
		if _, err := function.ParseTimePattern(ts.Pattern); err != nil {
			return nil, fault(w["TIMESTAMP_FORMAT"].Pos(), "", "TIMESTAMP_FORMAT is invalid: %v", err)
		}
	case types.KindBigint, types.KindTimestamp:
		if ts.Pattern != "" {
			return nil, fault(w["TIMESTAMP_FORMAT"].Pos(), "", "TIMESTAMP_FORMAT is for a STRING column; %s is %s", c.Name, c.Type)
		}
	default:
		return nil, fault(l.Pos(), "", "Timestamp column, `%s`, should be LONG(INT64), TIMESTAMP, or a String with a timestamp_format specified.", c.Name)
	}
	return ts, nil
}

// findColumn finds a column named in a property: folded unless quoted.
func findColumn(schema types.Schema, name string) int {
	if n := len(name); n >= 2 && name[0] == '`' && name[n-1] == '`' {
		return schema.Find(name[1 : n-1])
	}
	return schema.Find(strings.ToUpper(name))
}

func defaultFormat(settings map[string]string, which, def string) plan.Format {
	if f := settings["ksql.persistence.default.format."+which]; f != "" {
		def = strings.ToUpper(f)
	}
	return plan.Format{Name: def}
}

// planCreate plans CREATE STREAM or TABLE over a topic.
func planCreate(s *sql.CreateSource, in Input) (*Result, error) {
	old, done, err := existing(s, in)
	if done != nil || err != nil {
		return done, err
	}
	w, err := readWith(s.With, createNames)
	if err != nil {
		return nil, err
	}
	src, err := declaredSource(s, w, in)
	if err != nil {
		return nil, err
	}
	r := &Result{Register: newSubjects(s, src, in), Change: &catalog.Change{Put: src}, Message: strings.ToUpper(src.Kind.Lower()[:1]) + src.Kind.Lower()[1:] + " created", Schema: src.Schema}
	if old != nil {
		if err := checkUpgrade(old, src, s.Pos()); err != nil {
			return nil, err
		}
		r.Change.Replace = true
	}
	if r.CreateTopic, err = sourceTopic(w, src, in, s.Pos()); err != nil {
		return nil, err
	}
	if src.ReadOnly && src.IsTable() {
		materialize(r, src, in)
	}
	return r, nil
}

// materialize adds the query that keeps a source table's rows, for pull
// queries.
func materialize(r *Result, src *catalog.Source, in Input) {
	step := sourceStep(src, src.Name)
	step.Materialized = true
	id := fmt.Sprintf("CST_%s_%d", src.Name, in.Offset)
	partitions := in.Facts.Topics[src.Topic]
	if r.CreateTopic != nil {
		partitions = r.CreateTopic.Partitions
	}
	pl := &plan.Plan{Version: plan.FormatVersion, QueryID: id, Root: step, EveryChange: everyChange(in.Settings), Topics: map[string]int{src.Topic: partitions}}
	src.CreatedBy = id
	r.Change.Start = &catalog.Query{ID: id, Plan: pl, Sources: []string{src.Name}, SQL: in.Text, State: catalog.Running}
}

// existing returns the source that has the name already, if it is to be
// replaced; done is the answer if nothing is to be done.
func existing(s *sql.CreateSource, in Input) (old *catalog.Source, done *Result, err error) {
	old, ok := in.Catalog.Source(s.Name)
	if s.OrReplace {
		if err := checkReplace(old, s, in); err != nil {
			return nil, nil, err
		}
	}
	if !ok || s.OrReplace {
		return old, nil, nil
	}
	kind := kindOf(s.Table).Lower()
	if s.IfNotExists {
		return nil, &Result{Message: fmt.Sprintf("Cannot add %s %s: A %s with the same name already exists.", kind, types.QuoteAlways(s.Name), old.Kind.Lower())}, nil
	}
	e := types.Errorf(types.ErrExists, s.Pos(), "Cannot add %s '%s': A %s with the same name already exists", kind, s.Name, old.Kind.Lower())
	e.Hint = "Drop it first, or use CREATE OR REPLACE or IF NOT EXISTS."
	return nil, nil, e
}

// Declared returns the source that a CREATE with columns, or the like of an
// ASSERT, describes; nothing is made.
func Declared(s *sql.CreateSource, in Input) (*catalog.Source, error) {
	w, err := readWith(s.With, createNames)
	if err != nil {
		return nil, err
	}
	return declaredSource(s, w, in)
}

// declaredSource reads the columns and properties of a CREATE.
func declaredSource(s *sql.CreateSource, w with, in Input) (*catalog.Source, error) {
	key, value, err := w.formats(defaultFormat(in.Settings, "key", "KAFKA"), defaultFormat(in.Settings, "value", ""))
	if err != nil {
		return nil, err
	}
	if value.Name == "" {
		return nil, fault(s.Pos(), "For example VALUE_FORMAT = 'JSON', or SET 'ksql.persistence.default.format.value' = 'JSON'.", "Statement is missing the 'VALUE_FORMAT' property from the WITH clause.")
	}
	if err := knownFormats(w, key, value, s.Pos()); err != nil {
		return nil, err
	}
	keyRecordName(&key, s.Name, w["KEY_SCHEMA_FULL_NAME"] != nil)
	src := &catalog.Source{Name: s.Name, Kind: kindOf(s.Table), KeyFormat: key, ValueFormat: value,
		Topic: w.text("KAFKA_TOPIC"), ReadOnly: s.ReadOnly, SQL: in.Text, Version: in.Offset}
	if src.Topic == "" {
		src.Topic = s.Name
	}
	more, err := inferred(s, w, partsOf(s, src), src.Topic, in)
	if err != nil {
		return nil, err
	}
	schema, err := declaredSchema(s, more, in)
	if err != nil {
		return nil, err
	}
	src.Schema, src.NextColumnID = schema, len(schema.Columns)+1
	if src.Window, err = w.sourceWindow(); err != nil {
		return nil, err
	}
	if src.Window != nil && len(schema.Keys()) == 0 {
		return nil, fault(w["WINDOW_TYPE"].Pos(), "Add a KEY column.", "Windowed sources require a key column: %s has none.", s.Name)
	}
	if src.Timestamp, err = w.timestamp(schema, in.Settings); err != nil {
		return nil, err
	}
	if err := w.wrapping(&src.ValueFormat, schema.Values(), in.Settings); err != nil {
		return nil, err
	}
	return src, checkFormats(src, s.Pos())
}

// knownFormats refuses formats that do not exist, or not yet.
func knownFormats(w with, key, value plan.Format, at types.Pos) error {
	for _, f := range []plan.Format{key, value} {
		if slices.Contains(format.Names(), f.Name) {
			continue
		}
		for _, name := range []string{"FORMAT", "KEY_FORMAT", "VALUE_FORMAT"} {
			if l := w[name]; l != nil && strings.EqualFold(strings.TrimSpace(l.Text), f.Name) {
				at = l.Pos()
			}
		}
		return placed(format.Check(format.Options{Name: f.Name}, nil), at)
	}
	return nil
}

// placed gives a user's error a position if it has none.
func placed(err error, at types.Pos) error {
	var e *types.Error
	if errors.As(err, &e) && e.Pos == (types.Pos{}) {
		moved := *e
		moved.Pos = at
		return &moved
	}
	return err
}

func kindOf(table bool) catalog.Kind {
	if table {
		return catalog.Table
	}
	return catalog.Stream
}

// maxPartitions bounds the topics that statements make.
const maxPartitions = 1000

// sourceTopic returns the topic to make if there is none, which needs
// PARTITIONS.
func sourceTopic(w with, src *catalog.Source, in Input, at types.Pos) (*Topic, error) {
	n, given, err := w.integer("PARTITIONS")
	if err != nil {
		return nil, err
	}
	have, exists := in.Facts.Topics[src.Topic]
	switch {
	case exists && given && int(n) != have:
		return nil, fault(w["PARTITIONS"].Pos(), "Leave PARTITIONS out, or use another topic.", "A Kafka topic with the name '%s' already exists, with different partition/replica configuration than required. Expected %d partitions (topic has %d).", src.Topic, n, have)
	case exists:
		return nil, nil
	case !given:
		return nil, fault(at, "Add PARTITIONS to the WITH clause to make it.", "Topic '%s' does not exist. If you want to create a new topic for the %s please re-run the statement providing the required 'PARTITIONS' configuration in the WITH clause.", src.Topic, src.Kind.Lower())
	case n < 1 || n > maxPartitions:
		return nil, fault(w["PARTITIONS"].Pos(), "", "PARTITIONS must be between 1 and %d, found %d", maxPartitions, n)
	}
	return &Topic{Name: src.Topic, Partitions: int(n), Config: w.topicConfig(src)}, nil
}

// declaredSchema turns column definitions, and the columns that the registry
// has beside them, into a schema, keys first. All faults are reported.
func declaredSchema(s *sql.CreateSource, more []types.Column, in Input) (types.Schema, error) {
	var keys, values []types.Column
	var errs types.Errors
	add := func(col types.Column, at types.Pos) {
		col.ID = len(keys) + len(values) + 1
		for _, other := range slices.Concat(keys, values) {
			errs = append(errs, clash(other, col, at)...)
		}
		if col.Namespace == types.NamespaceKey {
			keys = append(keys, col)
		} else {
			values = append(values, col)
		}
	}
	for _, c := range s.Columns {
		col, err := declaredColumn(c, s.Table, in)
		if !collect(&errs, err) {
			return types.Schema{}, err
		} else if err == nil {
			add(col, c.At)
		}
	}
	for _, c := range more {
		add(c, s.Pos())
	}
	schema := types.Schema{Columns: append(keys, values...)}
	switch {
	case len(errs) > 0:
	case len(schema.Columns) == 0:
		errs = append(errs, fault(s.Pos(), "List the columns in parentheses after the name.", "No columns supplied."))
	case s.Table && len(keys) == 0:
		errs = append(errs, fault(s.Pos(), "Mark its key column PRIMARY KEY.", "Tables require a PRIMARY KEY. Please define the PRIMARY KEY."))
	}
	return schema, all(errs)
}

// clash says what keeps two columns of one source apart.
func clash(a, b types.Column, at types.Pos) types.Errors {
	switch {
	case a.Name == b.Name:
		return types.Errors{fault(at, "Use another name.", "Duplicate column names: %s", types.QuoteAlways(b.Name))}
	case a.Namespace != types.NamespaceHeaders || b.Namespace != types.NamespaceHeaders:
		return nil
	case a.HeaderKey == "" || b.HeaderKey == "":
		return types.Errors{fault(at, "Use either one HEADERS column or HEADER('key') columns.", "Schema already contains a HEADERS column.")}
	case a.HeaderKey == b.HeaderKey:
		return types.Errors{fault(at, "", "Schema already contains a HEADER('%s') column.", a.HeaderKey)}
	}
	return nil
}

var headersType = types.Array(types.Struct(types.Field{Name: "KEY", Type: types.String}, types.Field{Name: "VALUE", Type: types.Bytes}))

func declaredColumn(c sql.ColumnDef, table bool, in Input) (types.Column, error) {
	col := types.Column{Name: c.Name}
	look := typeLookup{cat: in.Catalog}
	t, err := sql.ResolveType(c.Type, look.find)
	if err != nil {
		return col, look.explain(err)
	}
	col.Type = t
	name := types.QuoteAlways(c.Name)
	switch {
	case pseudoName(c.Name):
		return col, fault(c.At, "Use another name.", "'%s' is a reserved column name. You cannot use it as a name for a column.", c.Name)
	case c.Key && table:
		return col, fault(c.At, "Use PRIMARY KEY.", "Column %s is a 'KEY' column: please use 'PRIMARY KEY' for tables.", name)
	case c.PrimaryKey && !table:
		return col, fault(c.At, "Use KEY.", "Column %s is a 'PRIMARY KEY' column: please use 'KEY' for streams.", name)
	case c.Key || c.PrimaryKey:
		col.Namespace = types.NamespaceKey
		return col, checkKeyType(c.Name, t, c.At)
	case !c.Headers:
		return col, nil
	}
	col.Namespace, col.HeaderKey = types.NamespaceHeaders, c.HeaderKey
	want, what := headersType, "HEADERS"
	if c.HeaderKey != "" {
		want, what = types.Bytes, "HEADER('"+c.HeaderKey+"')"
	}
	if !t.Equal(want) {
		return col, fault(c.At, "", "Invalid type for %s column: expected %s, got %s", what, want, t)
	}
	return col, nil
}

func pseudoName(name string) bool {
	switch name {
	case types.RowTime, types.RowPartition, types.RowOffset, types.WindowStart, types.WindowEnd:
		return true
	}
	return false
}

// checkFormats holds the formats against the schema.
func checkFormats(src *catalog.Source, at types.Pos) error {
	if err := checkFormat(src.KeyFormat, src.Schema.Keys(), true); err != nil {
		return placed(err, at)
	}
	return placed(checkFormat(src.ValueFormat, src.Schema.Values(), false), at)
}
