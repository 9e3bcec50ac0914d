package planner

import (
	"encoding/json"
	"fmt"
	"testing"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"

	"github.com/cockroachdb/datadriven"
)

// A fixture is a catalog that a test file's statements build up.
type fixture struct {
	cat    *catalog.Catalog
	topics map[string]int
	offset int64
}

func (f *fixture) input(text string) Input {
	return Input{Catalog: f.cat, Facts: Facts{Topics: f.topics}, Settings: map[string]string{}, Offset: f.offset, Text: text}
}

// apply plans a statement and applies its change.
func (f *fixture) apply(s sql.Statement) (*Result, error) {
	r, err := Plan(s, f.input(s.Text()))
	if err != nil || r.Change == nil {
		return r, err
	}
	if f.cat, err = f.cat.Apply(r.Change); err != nil {
		return nil, err
	}
	if r.CreateTopic != nil {
		f.topics[r.CreateTopic.Name] = r.CreateTopic.Partitions
	}
	f.offset++
	return r, nil
}

// TestPlans runs testdata: "exec" applies statements and shows what each says,
// "explain" shows the plan of a query, which must also survive its JSON form.
func TestPlans(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		f := &fixture{cat: catalog.New(), topics: map[string]int{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			stmts, err := sql.Parse(d.Input, sql.Options{})
			if err != nil {
				return err.Error() + "\n"
			}
			out := ""
			for _, s := range stmts {
				if d.Cmd == "explain" {
					out += f.explain(t, s)
					continue
				}
				r, err := f.apply(s)
				if err != nil {
					return out + err.Error() + "\n"
				}
				out += r.Message + "\n"
			}
			return out
		})
	})
}

func (f *fixture) explain(t *testing.T, s sql.Statement) string {
	var p *plan.Plan
	if sel, ok := s.(*sql.SelectStmt); ok {
		q, _, err := PlanPush(sel.Query, f.input(s.Text()), "push", s.Pos())
		if err != nil {
			return err.Error() + "\n"
		}
		p = q
	} else {
		r, err := Plan(s, f.input(s.Text()))
		if err != nil {
			return err.Error() + "\n"
		}
		again, err := Plan(s, f.input(s.Text()))
		if err != nil || Explain(again.Change.Start.Plan) != Explain(r.Change.Start.Plan) {
			t.Errorf("planning again gives another plan: %s", s.Text())
		}
		p = r.Change.Start.Plan
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if Explain(&back) != Explain(p) {
		t.Errorf("the plan came back from JSON as another:\n%s", Explain(&back))
	}
	return fmt.Sprint(Explain(p))
}
