package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"karst/sql/types"
)

// example has every kind of field that steps have.
func example() *Plan {
	source := func(id string) *Source {
		return &Source{
			Common: Common{ID: id, Schema: types.Schema{Columns: []types.Column{{ID: 1, Name: "K", Type: types.String, Namespace: types.NamespaceKey}}}},
			Source: "S", Topic: "s", KeyFormat: Format{Name: "KAFKA"}, ValueFormat: Format{Name: "JSON"},
		}
	}
	grace := int64(0)
	join := &StreamStreamJoin{Common: Common{ID: "join1"}, Left: source("a"), Right: source("b"), Type: LeftJoin, BeforeMS: 1, AfterMS: 2, GraceMS: &grace}
	sink := &Sink{Common: Common{ID: "sink"}, Input: join, Sink: "X", Topic: "X"}
	return &Plan{Version: FormatVersion, QueryID: "CSAS_X_1", Root: sink, Settings: map[string]string{"a": "b"}}
}

func TestPlanReadsBack(t *testing.T) {
	want, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var p Plan
	if err := json.Unmarshal(want, &p); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(&p)
	if err != nil || string(got) != string(want) {
		t.Fatalf("%s became %s: %v", want, got, err)
	}
	join := p.Root.Inputs()[0].(*StreamStreamJoin)
	if join.Left.Meta().ID != "a" || join.Right.Meta().ID != "b" || join.GraceMS == nil {
		t.Errorf("the join came back as %+v", join)
	}
}

func TestPlanRejects(t *testing.T) {
	good, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"version":1`, `"version":99`, "format version 99"},
		{`"type":"sink"`, `"type":"drain"`, `unknown step type "drain"`},
		{`"inputs":["a","b"]`, `"inputs":["a","z"]`, `reads "z"`},
		{`"inputs":["a","b"]`, `"inputs":["a"]`, "has 1 inputs, it needs 2"},
		{`"id":"b"`, `"id":"a"`, `two steps are called "a"`},
		{`"type":"STRING"`, `"type":"TEXT"`, `unknown type "TEXT"`},
	} {
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if bad == string(good) {
			t.Fatalf("%s does not stand in %s", c.old, good)
		}
		var p Plan
		if err := json.Unmarshal([]byte(bad), &p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.new, err, c.want)
		}
	}
}

// TestEveryStepHasAName holds typeNames and TypeName to the same set.
func TestEveryStepHasAName(t *testing.T) {
	for name, newStep := range typeNames {
		if got := TypeName(newStep()); got != name {
			t.Errorf("%s calls itself %s", name, got)
		}
	}
}
