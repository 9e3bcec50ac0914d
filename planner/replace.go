package planner

import (
	"encoding/json"
	"fmt"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// checkReplace refuses CREATE OR REPLACE where it can't be: on sources that
// are read-only or get to be, or if the session forbids it.
func checkReplace(old *catalog.Source, s *sql.CreateSource, in Input) error {
	kind := kindOf(s.Table).Lower()
	switch {
	case !settingBool(in.Settings, "ksql.create.or.replace.enabled", true):
		return fault(s.Pos(), "SET 'ksql.create.or.replace.enabled' = 'true';", "Cannot add %s '%s': CREATE OR REPLACE is switched off", kind, s.Name)
	case s.ReadOnly || old != nil && old.ReadOnly:
		if old != nil {
			kind = old.Kind.Lower()
		}
		return fault(s.Pos(), "Drop it first.", "Cannot add %s '%s': CREATE OR REPLACE is not supported on source %ss.", kind, s.Name, kind)
	}
	return nil
}

// checkUpgrade holds a replaced source to what keeps its readers and its data
// working: keys, formats and topic stay, value columns may be added at the end.
func checkUpgrade(old, next *catalog.Source, at types.Pos) error {
	refuse := func(why string, args ...any) error {
		return fault(at, "Drop "+old.Name+" first, or give the new one another name.", "Cannot upgrade data source: %s. "+why, append([]any{types.QuoteAlways(old.Name)}, args...)...)
	}
	switch {
	case old.Kind != next.Kind:
		return refuse("It is a %s.", old.Kind.Lower())
	case (old.CreatedBy == "") != (next.CreatedBy == ""):
		return refuse("A source made by a query can't take the place of one that is not, nor the other way round.")
	case old.Topic != next.Topic:
		return refuse("Its topic is %s.", old.Topic)
	case !sameFormat(old.KeyFormat, next.KeyFormat) || !sameFormat(old.ValueFormat, next.ValueFormat):
		return refuse("Its formats must stay as they are.")
	case !sameJSON(old.Window, next.Window):
		return refuse("The window of its key must stay as it is.")
	case !(types.Schema{Columns: old.Schema.Keys()}).Equal(types.Schema{Columns: next.Schema.Keys()}):
		return refuse("Key columns must be identical. The following key columns are changed, missing or reordered: [%s]", changed(old.Schema.Keys(), next.Schema.Keys()))
	}
	if c := changed(notKeys(old.Schema), notKeys(next.Schema)); c != "" {
		return refuse("The following columns are changed, missing or reordered: [%s]", c)
	}
	keepColumnIDs(old, next)
	return nil
}

// keepColumnIDs gives columns that stay their ids and new ones new ids.
func keepColumnIDs(old, next *catalog.Source) {
	next.NextColumnID = old.NextColumnID
	for i := range next.Schema.Columns {
		c := &next.Schema.Columns[i]
		if k := old.Schema.Find(c.Name); k >= 0 {
			c.ID = old.Schema.Columns[k].ID
			continue
		}
		c.ID = next.NextColumnID
		next.NextColumnID++
	}
}

func notKeys(s types.Schema) []types.Column { return s.Columns[len(s.Keys()):] }

// changed lists the columns of old that next does not begin with.
func changed(old, next []types.Column) string {
	var out types.Schema
	for i, c := range old {
		if i >= len(next) || next[i].Name != c.Name || !next[i].Type.Equal(c.Type) || next[i].Namespace != c.Namespace {
			out.Columns = append(out.Columns, c)
		}
	}
	if len(out.Columns) == 0 {
		return ""
	}
	return out.String()
}

// sameFormat compares formats but for the id that the registry gives to a
// schema: it changes with the columns.
func sameFormat(a, b plan.Format) bool {
	a.SchemaID, b.SchemaID = 0, 0
	return sameJSON(a, b)
}

func sameJSON(a, b any) bool { return encoded(a) == encoded(b) }

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("planner: encoding %T: %v", v, err))
	}
	return string(b)
}

// replaceQuery makes the change that puts q in the place of the query that
// filled old. It goes on where that one stopped, under the same id and with its
// state, which must therefore fit.
func replaceQuery(old *catalog.Query, q *catalog.Query, src *catalog.Source, at types.Pos) (*catalog.Change, error) {
	before, after := stateLayouts(old.Plan), stateLayouts(q.Plan)
	for id, layout := range after {
		if was, ok := before[id]; ok && was != layout {
			return nil, notUpgradable(src, at, "the step %s keeps other state, which can't be carried over", id)
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok && !strings.HasPrefix(id, "source.") {
			return nil, notUpgradable(src, at, "the step %s would go, with the state it keeps", id)
		}
	}
	if strings.Join(old.Sources, ",") != strings.Join(q.Sources, ",") {
		return nil, notUpgradable(src, at, "it reads %s instead of %s", strings.Join(q.Sources, ", "), strings.Join(old.Sources, ", "))
	}
	q.State = old.State
	return &catalog.Change{Put: src, Replace: true, Start: q, Replaces: old.ID}, nil
}

// clone returns a deep copy of a plan.
func clone(p *plan.Plan) *plan.Plan {
	var out plan.Plan
	if err := json.Unmarshal([]byte(encoded(p)), &out); err != nil {
		panic(fmt.Sprintf("planner: copying the plan of %s: %v", p.QueryID, err))
	}
	return &out
}

func notUpgradable(src *catalog.Source, at types.Pos, why string, args ...any) error {
	return fault(at, "Drop "+src.Name+" first, or give the new one another name.", "Cannot upgrade data source: %s. Upgrades are not supported for this change: %s.", types.QuoteAlways(src.Name), fmt.Sprintf(why, args...))
}

// stateLayouts returns, for each step that keeps state, what shapes it. A
// windowed aggregate's never equals another, since whether rows are late
// depends on what is above it too.
func stateLayouts(p *plan.Plan) map[string]string {
	out := map[string]string{}
	p = clone(p) // prune writes to it, and what it is given may be shared
	used := prune(p.Root)
	plan.Walk(p.Root, func(s plan.Step) {
		m := s.Meta()
		switch s := s.(type) {
		case *plan.Source:
			if s.Materialized { // it keeps the columns that are used
				out[m.ID] = m.Schema.String() + encoded(used[m.ID])
			}
		case *plan.Sink:
			if s.Materialized { // columns that are added are null in the rows it has
				out[m.ID] = ""
			}
		case *plan.Aggregate:
			out[m.ID] = encoded(s.Calls) + m.Schema.String() + encoded(s.Undo)
			if m.Window != nil {
				out[m.ID] += encoded(p)
			}
		case *plan.ForeignKeyResult:
			if m.Retract {
				out[m.ID] = m.Schema.String()
			}
		case *plan.StreamStreamJoin, *plan.StreamTableJoin, *plan.TableTableJoin, *plan.ForeignKeySubscribe, *plan.ForeignKeyAnswer:
			out[m.ID] = encoded(s)
		}
	})
	return out
}
