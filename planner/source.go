package planner

import (
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
)

// withNames are the properties a WITH clause may have.
var withNames = []string{"KAFKA_TOPIC", "FORMAT", "KEY_FORMAT", "VALUE_FORMAT", "PARTITIONS", "REPLICAS", "RETENTION_MS", "TIMESTAMP", "TIMESTAMP_FORMAT",
	"WRAP_SINGLE_VALUE", "VALUE_DELIMITER", "KEY_DELIMITER", "WINDOW_TYPE", "WINDOW_SIZE", "QUERY_ID"}

// A with holds the properties of a WITH clause by name.
type with map[string]*sql.Literal

func readWith(props []sql.Property) (with, error) {
	w := with{}
	for _, p := range props {
		known := false
		for _, n := range withNames {
			known = known || n == p.Name
		}
		if !known {
			hint := ""
			if n := nearest(p.Name, withNames); n != "" {
				hint = "Did you mean " + n + "?"
			}
			return nil, fault(p.At, hint, "Invalid config variable(s) in the WITH clause: %s", p.Name)
		}
		if w[p.Name] != nil {
			return nil, fault(p.At, "", "Duplicate property in the WITH clause: %s", p.Name)
		}
		w[p.Name] = p.Value
	}
	if w["FORMAT"] != nil && (w["KEY_FORMAT"] != nil || w["VALUE_FORMAT"] != nil) {
		return nil, fault(props[0].At, "", "Cannot supply both 'KEY_FORMAT' or 'VALUE_FORMAT' properties and the 'FORMAT' property, as 'FORMAT' sets both key and value formats.")
	}
	return w, nil
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

// formats returns the key and value formats; those not given are as def says.
func (w with) formats(keyDef, valueDef plan.Format) (key, value plan.Format, err error) {
	key, value = keyDef, valueDef
	if f := strings.ToUpper(w.text("FORMAT")); f != "" {
		key, value = plan.Format{Name: f}, plan.Format{Name: f}
	}
	if f := strings.ToUpper(w.text("KEY_FORMAT")); f != "" {
		key = plan.Format{Name: f}
	}
	if f := strings.ToUpper(w.text("VALUE_FORMAT")); f != "" {
		value = plan.Format{Name: f}
	}
	if d := w.text("VALUE_DELIMITER"); d != "" {
		value.Properties = map[string]string{"VALUE_DELIMITER": d}
	}
	if d := w.text("KEY_DELIMITER"); d != "" {
		key.Properties = map[string]string{"KEY_DELIMITER": d}
	}
	if l := w["WRAP_SINGLE_VALUE"]; l != nil {
		b, perr := strconv.ParseBool(l.Text)
		if perr != nil {
			return key, value, fault(l.Pos(), "", "WRAP_SINGLE_VALUE must be TRUE or FALSE, found %s", l.Text)
		}
		value.WrapSingle = &b
	}
	return key, value, nil
}

// topicConfig is the configuration of a topic that a statement makes: its
// records are kept, since event time is often years old.
func (w with) topicConfig() map[string]string {
	retention := "-1"
	if l := w["RETENTION_MS"]; l != nil {
		retention = l.Text
	}
	return map[string]string{"retention.ms": retention}
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
		return nil, fault(l.Pos(), "Use TUMBLING, HOPPING or SESSION.", "Unknown window type: %s", l.Text)
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
			return nil, fault(w["TIMESTAMP_FORMAT"].Pos(), "", "%v", err)
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
	if old, ok := in.Catalog.Source(s.Name); ok && s.IfNotExists {
		return &Result{Message: "Cannot add " + kindOf(s.Table).Lower() + " `" + s.Name + "`: A " + old.Kind.Lower() + " with the same name already exists."}, nil
	} else if ok && !s.OrReplace {
		return nil, types.Errorf(types.ErrExists, s.Pos(), "Cannot add %s '%s': A %s with the same name already exists", kindOf(s.Table).Lower(), s.Name, old.Kind.Lower())
	}
	w, err := readWith(s.With)
	if err != nil {
		return nil, err
	}
	schema, err := declaredSchema(s, in)
	if err != nil {
		return nil, err
	}
	key, value, err := w.formats(defaultFormat(in.Settings, "key", "KAFKA"), defaultFormat(in.Settings, "value", ""))
	if err != nil {
		return nil, err
	}
	if value.Name == "" {
		return nil, fault(s.Pos(), "For example VALUE_FORMAT = 'JSON'.", "Statement is missing the 'VALUE_FORMAT' property from the WITH clause.")
	}
	src := &catalog.Source{Name: s.Name, Kind: kindOf(s.Table), Schema: schema, NextColumnID: len(schema.Columns) + 1, KeyFormat: key, ValueFormat: value,
		Topic: w.text("KAFKA_TOPIC"), ReadOnly: s.ReadOnly, SQL: in.Text, Version: in.Offset}
	if src.Topic == "" {
		src.Topic = s.Name
	}
	if src.Window, err = w.sourceWindow(); err != nil {
		return nil, err
	}
	if src.Timestamp, err = w.timestamp(schema, in.Settings); err != nil {
		return nil, err
	}
	if len(schema.Keys()) == 0 && w["KEY_FORMAT"] == nil && w["FORMAT"] == nil {
		src.KeyFormat = plan.Format{Name: "KAFKA"}
	}
	if err := checkFormats(src, s.Pos()); err != nil {
		return nil, err
	}
	r := &Result{Change: &catalog.Change{Put: src}, Message: strings.ToUpper(src.Kind.Lower()[:1]) + src.Kind.Lower()[1:] + " created", Schema: schema}
	if old, ok := in.Catalog.Source(s.Name); ok {
		if err := checkUpgrade(old, src, s.Pos()); err != nil {
			return nil, err
		}
		r.Change.Replace = true
	}
	if r.CreateTopic, err = sourceTopic(w, src, in, s.Pos()); err != nil {
		return nil, err
	}
	return r, nil
}

func kindOf(table bool) catalog.Kind {
	if table {
		return catalog.Table
	}
	return catalog.Stream
}

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
	case n < 1 || n > 1000:
		return nil, fault(w["PARTITIONS"].Pos(), "", "PARTITIONS must be between 1 and 1000, found %d", n)
	}
	return &Topic{Name: src.Topic, Partitions: int(n), Config: w.topicConfig()}, nil
}

// declaredSchema turns column definitions into a schema, keys first.
func declaredSchema(s *sql.CreateSource, in Input) (types.Schema, error) {
	var schema types.Schema
	var values []types.Column
	if !s.HasColumns || len(s.Columns) == 0 {
		return schema, fault(s.Pos(), "List the columns.", "The statement does not define any columns.")
	}
	for i, c := range s.Columns {
		t, err := sql.ResolveType(c.Type, in.Catalog.Type)
		if err != nil {
			return schema, err
		}
		if schema.Find(c.Name) >= 0 || (types.Schema{Columns: values}).Find(c.Name) >= 0 {
			return schema, fault(c.At, "", "Duplicate column names: %s", types.QuoteAlways(c.Name))
		}
		if pseudoName(c.Name) {
			return schema, fault(c.At, "Use another name.", "'%s' is a reserved column name.", c.Name)
		}
		col := types.Column{ID: i + 1, Name: c.Name, Type: t}
		switch {
		case c.Key && s.Table:
			return schema, fault(c.At, "Use PRIMARY KEY.", "Column %s is a 'KEY' column: please use 'PRIMARY KEY' for tables.", types.QuoteAlways(c.Name))
		case c.PrimaryKey && !s.Table:
			return schema, fault(c.At, "Use KEY.", "Column %s is a 'PRIMARY KEY' column: please use 'KEY' for streams.", types.QuoteAlways(c.Name))
		case c.Key || c.PrimaryKey:
			col.Namespace = types.NamespaceKey
			schema.Columns = append(schema.Columns, col)
			continue
		case c.Headers:
			col.Namespace, col.HeaderKey = types.NamespaceHeaders, c.HeaderKey
		}
		values = append(values, col)
	}
	if s.Table && len(schema.Columns) == 0 {
		return schema, fault(s.Pos(), "Mark its key column PRIMARY KEY.", "Tables require a PRIMARY KEY. Please define the PRIMARY KEY.")
	}
	schema.Columns = append(schema.Columns, values...)
	return schema, nil
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
	keys, values := src.Schema.Keys(), src.Schema.Values()
	if src.KeyFormat.Name == "NONE" && len(keys) == 0 {
		keys = nil
	}
	for _, f := range []struct {
		format plan.Format
		cols   []types.Column
		key    bool
	}{{src.KeyFormat, keys, true}, {src.ValueFormat, values, false}} {
		o := format.Options{Name: f.format.Name, Key: f.key, WrapSingle: f.format.WrapSingle, Delimiter: f.format.Properties["VALUE_DELIMITER"]}
		if f.key {
			o.Delimiter = f.format.Properties["KEY_DELIMITER"]
		}
		if err := format.Check(o, f.cols); err != nil {
			if e, ok := err.(*types.Error); ok {
				e.Pos = at
			}
			return err
		}
	}
	return nil
}

// checkUpgrade holds CREATE OR REPLACE to what keeps readers working: columns
// may be added at the end.
func checkUpgrade(old, next *catalog.Source, at types.Pos) error {
	if old.Kind != next.Kind || old.Topic != next.Topic {
		return fault(at, "Drop it first.", "Cannot replace %s %s: its kind and topic must stay", old.Kind.Lower(), old.Name)
	}
	for i, c := range old.Schema.Columns {
		if i >= len(next.Schema.Columns) || next.Schema.Columns[i].Name != c.Name || !next.Schema.Columns[i].Type.Equal(c.Type) || next.Schema.Columns[i].Namespace != c.Namespace {
			return fault(at, "New columns go to the end.", "Cannot upgrade data source: %s: the column %s must stay as it is", old.Name, types.QuoteAlways(c.Name))
		}
	}
	next.NextColumnID = max(next.NextColumnID, old.NextColumnID)
	return nil
}
