package planner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"karst/planner"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/datadriven"
)

// TestGolden runs planner/testdata. Each file is a session of its own:
//
//	topic name=t partitions=4     a topic that exists
//	set key=value                 a property of the session
//	ddl                           statements; prints what they say
//	plan                          statements; prints the queries' plans too
//	push                          a SELECT; prints its plan
//	catalog                       prints all sources and queries
//
// Errors are printed with position and hint. Every plan goes through JSON, and
// is planned twice to see that planning is pure.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newSession()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var sb strings.Builder
			if err := s.golden(t, d, &sb); err != nil {
				writeError(&sb, err)
			}
			return sb.String()
		})
	})
}

func writeError(sb *strings.Builder, err error) {
	var many types.Errors
	if !errors.As(err, &many) {
		var one *types.Error
		if !errors.As(err, &one) {
			fmt.Fprintf(sb, "internal error: %v\n", err)
			return
		}
		many = types.Errors{one}
	}
	for _, e := range many {
		fmt.Fprintf(sb, "%s: %s\n", errorKind(e.Kind), strings.ReplaceAll(e.Error(), "\n", "\n  "))
	}
}

func errorKind(k types.ErrorKind) string {
	switch k {
	case types.ErrUnsupported:
		return "unsupported"
	case types.ErrNotFound:
		return "not found"
	case types.ErrExists:
		return "exists"
	}
	return "error"
}

func (s *session) golden(t *testing.T, d *datadriven.TestData, sb *strings.Builder) error {
	switch d.Cmd {
	case "topic":
		var name, partitions string
		d.ScanArgs(t, "name", &name)
		d.ScanArgs(t, "partitions", &partitions)
		s.topics[name], _ = strconv.Atoi(partitions)
		return nil
	case "set":
		for _, a := range d.CmdArgs {
			s.settings[a.Key] = a.Vals[0]
		}
		return nil
	case "catalog":
		s.writeCatalog(sb)
		return nil
	}
	stmts, err := sql.Parse(d.Input, sql.Options{})
	if err != nil {
		return err
	}
	for _, stmt := range stmts {
		if err := s.goldenStatement(t, d.Cmd, stmt, sb); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) goldenStatement(t *testing.T, cmd string, stmt sql.Statement, sb *strings.Builder) error {
	if sel, ok := stmt.(*sql.SelectStmt); ok {
		p, _, err := planner.PlanPush(sel.Query, s.input(stmt), "transient_1", stmt.Pos())
		if err != nil {
			return err
		}
		s.writePlan(t, p, sb)
		return nil
	}
	before := s.input(stmt)
	before.Facts.Topics = maps.Clone(s.topics)
	r, err := s.run(stmt)
	if err != nil {
		return err
	}
	again, err := planner.Plan(stmt, before)
	if a, b := encode(t, r), encode(t, again); err != nil || a != b {
		t.Fatalf("planning again gives %s, %v; it was %s", b, err, a)
	}
	fmt.Fprintln(sb, r.Message)
	if r.CreateTopic != nil && cmd == "plan" {
		fmt.Fprintf(sb, "new topic %s with %d partitions, cleanup.policy %s, retention.ms %s\n",
			r.CreateTopic.Name, r.CreateTopic.Partitions, r.CreateTopic.Config["cleanup.policy"], r.CreateTopic.Config["retention.ms"])
	}
	if cmd == "plan" && r.Change != nil && r.Change.Start != nil {
		s.writePlan(t, r.Change.Start.Plan, sb)
	}
	return nil
}

func encode(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *session) writePlan(t *testing.T, p *plan.Plan, sb *strings.Builder) {
	if err := checkRoundTrip(p); err != nil {
		t.Fatal(err)
	}
	if err := checkSteps(p); err != nil {
		t.Fatal(err)
	}
	sb.WriteString(planner.Explain(p))
}

func (s *session) writeCatalog(sb *strings.Builder) {
	for _, name := range s.cat.SourceNames() {
		src, _ := s.cat.Source(name)
		fmt.Fprintf(sb, "%s %s: %s\n", src.Kind, name, src.Schema)
		for _, c := range src.Schema.Columns {
			fmt.Fprintf(sb, "  %d %s\n", c.ID, c.Name)
		}
	}
	for _, id := range s.cat.QueryIDs() {
		q, _ := s.cat.Query(id)
		fmt.Fprintf(sb, "query %s %s: %s to %s\n", id, q.State, strings.Join(q.Sources, ", "), q.Sink)
	}
}

// checkSteps holds a plan to what exec relies on: ids are unique, keys stand
// first, and a step that needs previous rows has an input that gives them.
func checkSteps(p *plan.Plan) error {
	ids := map[string]bool{}
	var fault error
	plan.Walk(p.Root, func(s plan.Step) {
		m := s.Meta()
		if ids[m.ID] {
			fault = fmt.Errorf("two steps are called %s", m.ID)
		}
		ids[m.ID] = true
		for i, c := range m.Schema.Columns {
			if c.Namespace == types.NamespaceKey && i >= len(m.Schema.Keys()) {
				fault = fmt.Errorf("step %s: key column %s stands behind values", m.ID, c.Name)
			}
			if m.Schema.Find(c.Name) != i {
				fault = fmt.Errorf("step %s: two columns are called %s", m.ID, c.Name)
			}
		}
		switch s := s.(type) {
		case *plan.Aggregate:
			if s.Undo && !s.Input.Meta().Retract {
				fault = fmt.Errorf("step %s undoes, but its input does not retract", m.ID)
			}
		case *plan.Filter:
			if s.IsTable && !s.Input.Meta().Retract {
				fault = fmt.Errorf("step %s filters a table, but its input does not retract", m.ID)
			}
		case *plan.Project:
			if s.Retract && !s.Input.Meta().Retract {
				fault = fmt.Errorf("step %s retracts, but its input does not", m.ID)
			}
		}
	})
	return fault
}
