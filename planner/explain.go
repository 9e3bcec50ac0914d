package planner

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// Explain returns a plan as text: the steps as a tree, the root first. Under
// each step stand its output's columns, where they differ from its input's,
// and the state it keeps.
func Explain(p *plan.Plan) string {
	var e explainer
	e.line(0, "query %s%s", p.QueryID, explainSettings(p))
	e.step(p.Root, 1)
	return e.String()
}

func explainSettings(p *plan.Plan) string {
	var notes []string
	if p.FromLatest {
		notes = append(notes, "from the sources' ends")
	}
	if p.EveryChange {
		notes = append(notes, "every change of a table is emitted")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		notes = append(notes, name+" = "+p.Settings[name])
	}
	if len(notes) == 0 {
		return ""
	}
	return ": " + strings.Join(notes, ", ")
}

type explainer struct{ strings.Builder }

func (e *explainer) line(depth int, text string, args ...any) {
	e.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(e, text, args...)
	e.WriteByte('\n')
}

func (e *explainer) step(s plan.Step, depth int) {
	m := s.Meta()
	e.line(depth, "%s", strings.TrimRight(strings.ToUpper(plan.TypeName(s))+" ["+m.ID+"] "+explainDetail(s), " "))
	if in := s.Inputs(); len(in) == 0 || !in[0].Meta().Schema.Equal(m.Schema) {
		e.line(depth+2, "columns: %s%s", m.Schema, explainKind(m))
	}
	for _, st := range explainState(s) {
		e.line(depth+2, "state: %s", st)
	}
	for _, in := range s.Inputs() {
		e.step(in, depth+1)
	}
}

func explainKind(m *plan.Common) string {
	var notes []string
	if m.IsTable {
		notes = append(notes, "table")
	}
	if m.Window != nil {
		notes = append(notes, explainWindow(m.Window))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

func explainDetail(s plan.Step) string {
	switch s := s.(type) {
	case *plan.Source:
		return fmt.Sprintf("%s from topic %s, %s%s", sql.QuoteName(s.Source), s.Topic, explainFormats(s.KeyFormat, s.ValueFormat), explainTimestamp(s.Timestamp))
	case *plan.Filter:
		return s.Predicate
	case *plan.Project:
		return explainProject(s)
	case *plan.Explode:
		return exprList(s.Calls)
	case *plan.Rekey:
		return explainRekey(s)
	case *plan.Exchange:
		return explainExchange(s)
	case *plan.Aggregate:
		return explainAggregate(s)
	case *plan.StreamStreamJoin:
		return explainStreamJoin(s)
	case *plan.StreamTableJoin:
		return string(s.Type)
	case *plan.TableTableJoin:
		return string(s.Type)
	case *plan.ForeignKeySubscribe:
		return fmt.Sprintf("%s, to %s", s.Type, s.ForeignKey.Text)
	case *plan.ForeignKeyAnswer:
		return string(s.Type)
	case *plan.ForeignKeyResult:
		return "without stale answers"
	case *plan.Sink:
		return fmt.Sprintf("%s to topic %s, %s%s", sql.QuoteName(s.Sink), s.Topic, explainFormats(s.KeyFormat, s.ValueFormat), explainTimestamp(s.Timestamp))
	case *plan.Output:
		if s.Limit != nil {
			return fmt.Sprintf("limit %d", *s.Limit)
		}
	}
	return ""
}

func explainFormats(key, value plan.Format) string {
	return "key " + explainFormat(key) + ", value " + explainFormat(value)
}

func explainFormat(f plan.Format) string {
	var notes []string
	for k, v := range f.Properties {
		notes = append(notes, k+" "+types.QuoteString(v))
	}
	sort.Strings(notes)
	if f.WrapSingle != nil && *f.WrapSingle {
		notes = append(notes, "wrapped")
	} else if f.WrapSingle != nil {
		notes = append(notes, "unwrapped")
	}
	if len(notes) == 0 {
		return f.Name
	}
	return f.Name + " (" + strings.Join(notes, ", ") + ")"
}

func explainTimestamp(t *plan.Timestamp) string {
	switch {
	case t == nil:
		return ""
	case t.Pattern == "":
		return ", time " + sql.QuoteName(t.Column)
	}
	return ", time " + sql.QuoteName(t.Column) + " as " + types.QuoteString(t.Pattern)
}

func exprList(list []plan.Expr) string {
	var parts []string
	for _, v := range list {
		if v.Text == sql.QuoteName(v.Name) {
			parts = append(parts, v.Text)
		} else {
			parts = append(parts, v.Text+" AS "+sql.QuoteName(v.Name))
		}
	}
	return strings.Join(parts, ", ")
}

func explainProject(s *plan.Project) string {
	var keys []plan.Expr
	for i, k := range s.Input.Meta().Schema.Keys() {
		keys = append(keys, plan.Expr{Name: s.Keys[i], Text: sql.QuoteName(k.Name)})
	}
	return exprList(append(keys, s.Values...))
}

func explainRekey(s *plan.Rekey) string {
	switch {
	case len(s.Keys) == 0:
		return "to no key"
	case s.DropNulls:
		return "by " + exprList(s.Keys) + ", dropping nulls"
	}
	return "by " + exprList(s.Keys)
}

func explainExchange(s *plan.Exchange) string {
	by := "in process"
	if s.Carrier == plan.ByTopic {
		by = "by an internal topic"
	}
	return fmt.Sprintf("to %d partitions by key as %s, %s", s.Partitions, explainFormat(s.KeyFormat), by)
}

func explainAggregate(s *plan.Aggregate) string {
	var parts []string
	for _, c := range s.Calls {
		var args []string
		for _, a := range c.Args {
			args = append(args, a.Text)
		}
		parts = append(parts, fmt.Sprintf("%s(%s) AS %s", c.Function, strings.Join(args, ", "), c.Name))
	}
	out := strings.Join(parts, ", ")
	if s.Undo {
		out += ", undoing replaced rows"
	}
	if s.EmitFinal {
		out += ", final values only"
	}
	return out
}

func explainStreamJoin(s *plan.StreamStreamJoin) string {
	out := fmt.Sprintf("%s within %s before and %s after", s.Type, ms(s.BeforeMS), ms(s.AfterMS))
	if s.GraceMS != nil {
		out += ", grace " + ms(*s.GraceMS)
	}
	return out
}

// ms returns a duration in the largest unit that divides it.
func ms(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{86_400_000, "d"}, {3_600_000, "h"}, {60_000, "min"}, {1000, "s"}} {
		if n != 0 && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d ms", n)
}

func explainWindow(w *plan.Window) string {
	out := ""
	switch w.Kind {
	case plan.Session:
		out = "SESSION windows"
		if w.GapMS > 0 {
			out += " with gap " + ms(w.GapMS)
		}
	case plan.Hopping:
		out = "HOPPING windows of " + ms(w.SizeMS)
		if w.AdvanceMS > 0 {
			out += " every " + ms(w.AdvanceMS)
		}
	default:
		out = "TUMBLING windows of " + ms(w.SizeMS)
	}
	if w.GraceMS != nil {
		out += ", grace " + ms(*w.GraceMS)
	}
	return out
}

// explainState says what a step keeps in which store, and how long.
func explainState(s plan.Step) []string {
	m := s.Meta()
	switch s := s.(type) {
	case *plan.Source:
		if s.Materialized {
			return []string{m.ID + ": the table's row of each key"}
		}
	case *plan.Sink:
		if s.Materialized {
			return []string{m.ID + ": the table's row of each key"}
		}
	case *plan.Aggregate:
		if m.Window != nil {
			return []string{m.ID + ": the aggregates of each key and window, for " + ms(windowRetention(m.Window))}
		}
		return []string{m.ID + ": the aggregates of each key"}
	case *plan.StreamStreamJoin:
		grace := int64(defaultGrace)
		if s.GraceMS != nil {
			grace = *s.GraceMS
		}
		keep := ms(s.BeforeMS + s.AfterMS + grace)
		return []string{m.ID + ".left: rows by key and time, for " + keep, m.ID + ".right: rows by key and time, for " + keep}
	case *plan.StreamTableJoin:
		return []string{m.ID + ": the table's row of each key"}
	case *plan.ForeignKeySubscribe:
		return []string{m.ID + ": the foreign key of each left row"}
	case *plan.ForeignKeyAnswer:
		return []string{m.ID + ".left: left rows by foreign key", m.ID + ".right: the row of each key"}
	case *plan.ForeignKeyResult:
		if m.Retract {
			return []string{m.ID + ": the joined row of each key"}
		}
	case *plan.TableTableJoin:
		return []string{m.ID + ".left: the row of each key", m.ID + ".right: the row of each key"}
	}
	return nil
}
