package script

import (
	"encoding/json"
	"fmt"
	"strings"

	"karst/exec/operator"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// assertValues holds the next record of a source's topic to the columns that
// the statement lists.
func (r *sqlRun) assertValues(s *sql.AssertValues) error {
	src, ok := r.engine.Catalog().Source(s.Source)
	if !ok {
		return types.Errorf(types.ErrNotFound, s.Pos(), "%s does not exist.", s.Source)
	}
	names := s.Columns
	if len(names) == 0 {
		for _, c := range src.Schema.Columns {
			names = append(names, c.Name)
		}
	}
	if len(names) != len(s.Values) {
		return types.Errorf(types.ErrStatement, s.Pos(), "%d columns, %d values", len(names), len(s.Values))
	}
	rec, err := r.next(src.Topic)
	if err != nil {
		return err
	}
	got, err := r.decodeRecord(src, rec)
	if err != nil {
		return err
	}
	var wanted, found []string
	if s.Null && rec.value != nil {
		wanted, found = append(wanted, "no value"), append(found, r.showActual(src, rec))
	}
	if !s.Null && rec.value == nil && len(src.Schema.Values()) > 0 {
		wanted, found = append(wanted, "a value"), append(found, "none")
	}
	for i, name := range names {
		w, g, err := r.compareColumn(src, name, s.Values[i], got)
		if err != nil {
			return err
		}
		if w != g {
			wanted, found = append(wanted, name+" = "+w), append(found, name+" = "+g)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return &assertion{fmt.Sprintf("Expected record does not match actual.\nExpected: %s\nActual: %s\nThe record: %s", strings.Join(wanted, ", "), strings.Join(found, ", "), r.showActual(src, rec))}
}

// compareColumn returns the expected and the actual value of a column as JSON.
func (r *sqlRun) compareColumn(src *catalog.Source, name string, e sql.Expr, got map[string]*vector.Vector) (want, found string, err error) {
	v, ok := got[name]
	if !ok {
		return "", "", types.Errorf(types.ErrStatement, e.Pos(), "Column %s does not exist in %s.", types.QuoteAlways(name), src.Name)
	}
	w, err := r.engine.Constant(e, v.Type, vector.NewArena())
	if err != nil {
		return "", "", err
	}
	return string(format.AppendJSON(nil, w, 0)), string(format.AppendJSON(nil, v, 0)), nil
}

// decodeRecord returns a record's columns, one row each, ROWTIME among them.
func (r *sqlRun) decodeRecord(src *catalog.Source, rec *record) (map[string]*vector.Vector, error) {
	a := vector.NewArena()
	out := map[string]*vector.Vector{}
	bare, _, err := splitWindow(src, rec.key)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		b    []byte
		f    plan.Format
		cols []types.Column
		key  bool
	}{{bare, src.KeyFormat, src.Schema.Keys(), true}, {rec.value, src.ValueFormat, src.Schema.Values(), false}} {
		d, err := format.NewDecoder(operator.FormatOptions(part.f, part.key, src.Topic, r.registry), part.cols, nil)
		if err != nil {
			return nil, err
		}
		cell := format.Cells{Buf: part.b, Off: []int32{0}, Len: []int32{int32(len(part.b))}}
		if part.b == nil {
			cell.Len[0] = -1
		}
		failed := ""
		vs := d.Decode(a, &cell, 1, func(_ int, reason, message string) {
			if reason != format.ReasonUnknownField {
				failed = message
			}
		})
		if failed != "" {
			return nil, types.Errorf(types.ErrSerialization, types.Pos{}, "a record of %s: %s", src.Topic, failed)
		}
		for i, c := range part.cols {
			out[c.Name] = vs[i]
		}
	}
	b := vector.NewBuilder(a, types.Bigint, 1)
	b.Int64(rec.time)
	out[types.RowTime] = b.Finish()
	return out, nil
}

// assertSource holds a source to the columns and properties of the statement.
func (r *sqlRun) assertSource(s *sql.AssertSource) error {
	name := s.Source.Name
	got, ok := r.engine.Catalog().Source(name)
	if !ok {
		return types.Errorf(types.ErrNotFound, s.Pos(), "%s does not exist.", name)
	}
	want, err := r.engine.Declared(s.Source, r.session)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		what      string
		want, got any
	}{
		{"schema", want.Schema.String(), got.Schema.String()},
		{"type", want.Kind, got.Kind},
		{"kafka topic", want.Topic, got.Topic},
		{"key format", bareFormat(want.KeyFormat), bareFormat(got.KeyFormat)},
		{"value format", bareFormat(want.ValueFormat), bareFormat(got.ValueFormat)},
		{"key schema id", want.KeyFormat.SchemaID, idIfAsked(want.KeyFormat, got.KeyFormat)},
		{"value schema id", want.ValueFormat.SchemaID, idIfAsked(want.ValueFormat, got.ValueFormat)},
		{"key window", want.Window, got.Window},
		{"value serde features", features(want, false), features(got, false)},
		{"timestamp column", timestamp(want).Column, timestamp(got).Column},
		{"timestamp format", timestamp(want).Pattern, timestamp(got).Pattern},
	} {
		w, g := asJSON(p.want), asJSON(p.got)
		if w != g {
			return &assertion{fmt.Sprintf("Expected %s does not match actual for source %s.\nExpected: %s\nActual: %s", p.what, name, w, g)}
		}
	}
	return nil
}

// idIfAsked is the id of a format's schema, if one is expected: the registry
// gives one to every schema.
func idIfAsked(want, got plan.Format) int {
	if want.SchemaID == 0 {
		return 0
	}
	return got.SchemaID
}

// bareFormat is a format's name with its delimiter.
func bareFormat(f plan.Format) []string {
	return []string{f.Name, f.Properties["KEY_DELIMITER"] + f.Properties["VALUE_DELIMITER"]}
}

func timestamp(s *catalog.Source) plan.Timestamp {
	if s.Timestamp == nil {
		return plan.Timestamp{}
	}
	return *s.Timestamp
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
