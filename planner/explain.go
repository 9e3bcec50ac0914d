package planner

import (
	"fmt"
	"strings"

	"karst/planner/plan"
)

// Explain returns a plan as text: the steps as a tree, the root first, with
// their expressions, exchanges, and the state each keeps.
func Explain(p *plan.Plan) string {
	var sb strings.Builder
	explainStep(&sb, p.Root, 0)
	return sb.String()
}

func explainStep(sb *strings.Builder, s plan.Step, depth int) {
	m := s.Meta()
	fmt.Fprintf(sb, "%s%s [%s] %s\n", strings.Repeat("  ", depth), strings.ToUpper(plan.TypeName(s)), m.ID, explainDetail(s))
	if st := explainState(s); st != "" {
		fmt.Fprintf(sb, "%s  state: %s\n", strings.Repeat("  ", depth), st)
	}
	for _, in := range s.Inputs() {
		explainStep(sb, in, depth+1)
	}
}

func explainDetail(s plan.Step) string {
	switch s := s.(type) {
	case *plan.Source:
		return fmt.Sprintf("topic %s, %s/%s: %s", s.Topic, s.KeyFormat.Name, s.ValueFormat.Name, s.Schema)
	case *plan.Filter:
		return s.Predicate
	case *plan.Project:
		return exprList(s.Keys, s.Values)
	case *plan.Explode:
		return exprList(nil, s.Calls)
	case *plan.Rekey:
		return "by " + exprList(nil, s.Keys)
	case *plan.Exchange:
		return fmt.Sprintf("to %d partitions, %s, keys as %s", s.Partitions, strings.ToLower(strings.ReplaceAll(string(s.Carrier), "_", " ")), s.KeyFormat.Name)
	case *plan.Aggregate:
		var parts []string
		for _, c := range s.Calls {
			var args []string
			for _, a := range c.Args {
				args = append(args, a.Text)
			}
			parts = append(parts, fmt.Sprintf("%s = %s(%s)", c.Name, c.Function, strings.Join(args, ", ")))
		}
		return explainWindow(s.Window) + strings.Join(parts, ", ")
	case *plan.StreamStreamJoin:
		return fmt.Sprintf("%s, within %d ms before and %d ms after", s.Type, s.BeforeMS, s.AfterMS)
	case *plan.StreamTableJoin:
		return string(s.Type)
	case *plan.TableTableJoin:
		return string(s.Type)
	case *plan.Sink:
		return fmt.Sprintf("topic %s, %s/%s: %s", s.Topic, s.KeyFormat.Name, s.ValueFormat.Name, s.Schema)
	case *plan.Output:
		return s.Schema.String()
	}
	return ""
}

func exprList(keys []string, values []plan.Expr) string {
	parts := append([]string{}, keys...)
	for _, v := range values {
		if v.Text == v.Name {
			parts = append(parts, v.Text)
		} else {
			parts = append(parts, v.Text+" AS "+v.Name)
		}
	}
	return strings.Join(parts, ", ")
}

func explainWindow(w *plan.Window) string {
	if w == nil {
		return ""
	}
	switch w.Kind {
	case plan.Session:
		return fmt.Sprintf("SESSION gap %d ms; ", w.GapMS)
	case plan.Hopping:
		return fmt.Sprintf("HOPPING size %d ms, advance %d ms; ", w.SizeMS, w.AdvanceMS)
	}
	return fmt.Sprintf("TUMBLING size %d ms; ", w.SizeMS)
}

// explainState says what a step keeps.
func explainState(s plan.Step) string {
	m := s.Meta()
	switch s := s.(type) {
	case *plan.Source:
		if s.Materialized {
			return "rows of the table by key"
		}
	case *plan.Sink:
		if s.Materialized {
			return "rows of the table by key"
		}
	case *plan.Aggregate:
		if m.Window != nil {
			return "aggregates by key and window"
		}
		return "aggregates by key"
	case *plan.StreamStreamJoin:
		return "rows of both sides within the join's window"
	case *plan.StreamTableJoin:
		return "rows of the table by key"
	case *plan.TableTableJoin:
		return "rows of both tables by key"
	}
	return ""
}
