package catalog

import (
	"encoding/json"
	"fmt"
	"testing"

	"karst/planner/plan"
	"karst/sql/types"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func source(name string, kind Kind) *Source {
	return &Source{
		Name: name, Kind: kind, Topic: name, NextColumnID: 3, SQL: "CREATE …",
		Schema: types.Schema{Columns: []types.Column{
			{ID: 1, Name: "K", Type: types.String, Namespace: types.NamespaceKey},
			{ID: 2, Name: "V", Type: types.Array(types.MustDecimal(4, 2))},
		}},
		KeyFormat: plan.Format{Name: "KAFKA"}, ValueFormat: plan.Format{Name: "JSON"},
	}
}

func query(id, sink string, sources ...string) *Query {
	in := &plan.Source{Common: plan.Common{ID: "source"}, Source: sources[0], Topic: sources[0]}
	out := &plan.Sink{Common: plan.Common{ID: "sink"}, Input: in, Sink: sink, Topic: sink}
	return &Query{ID: id, Plan: &plan.Plan{Version: plan.FormatVersion, QueryID: id, Root: out}, Sink: sink, Sources: sources, State: Running}
}

// state is a catalog in a comparable form.
func state(t interface{ Fatal(...any) }, c *Catalog) string {
	b, err := json.Marshal(map[string]any{"sources": c.sources, "queries": c.queries, "types": c.types})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// anyChange generates changes, most of which can't be applied to some catalogs.
func anyChange() *rapid.Generator[*Change] {
	name := rapid.SampledFrom([]string{"A", "B", "C"})
	id := rapid.SampledFrom([]string{"Q1", "Q2", "Q3"})
	return rapid.Custom(func(t *rapid.T) *Change {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return &Change{Put: source(name.Draw(t, "name"), Stream), Replace: rapid.Bool().Draw(t, "replace")}
		case 1:
			return &Change{Drop: name.Draw(t, "name")}
		case 2:
			return &Change{Start: query(id.Draw(t, "id"), name.Draw(t, "sink"), name.Draw(t, "source"))}
		case 3:
			return &Change{Stop: []string{id.Draw(t, "id")}}
		case 4:
			return &Change{SetState: []QueryTransition{{id.Draw(t, "id"), Paused}}}
		case 5:
			return &Change{PutType: &NamedType{name.Draw(t, "name"), types.Bigint}}
		}
		return &Change{DropType: name.Draw(t, "name")}
	})
}

// TestFold checks that Apply leaves its receiver alone, gives the same for
// changes that went through JSON, and never lets a query's source dangle.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, replayed := New(), New()
		for i, ch := range rapid.SliceOfN(anyChange(), 1, 30).Draw(t, "changes") {
			before := state(t, c)
			next, err := c.Apply(ch)
			if state(t, c) != before {
				t.Fatalf("change %d altered the snapshot it was applied to", i)
			}
			if err != nil {
				continue
			}
			c = next
			if replayed, err = replayed.Apply(throughJSON(t, ch)); err != nil {
				t.Fatalf("change %d fails on replay: %v", i, err)
			}
			checkReferences(t, c)
		}
		if a, b := state(t, c), state(t, replayed); a != b {
			t.Fatalf("the replay differs: %s", cmp.Diff(a, b))
		}
	})
}

func throughJSON(t *rapid.T, ch *Change) *Change {
	b, err := json.Marshal(ch)
	if err != nil {
		t.Fatal(err)
	}
	var back Change
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func checkReferences(t *rapid.T, c *Catalog) {
	for _, id := range c.QueryIDs() {
		q, _ := c.Query(id)
		for _, name := range append([]string{q.Sink}, q.Sources...) {
			if _, ok := c.Source(name); !ok {
				t.Fatalf("query %s refers to %s, which does not exist", id, name)
			}
		}
	}
}

func TestDropNamesWhatStandsInTheWay(t *testing.T) {
	c := New()
	for _, ch := range []*Change{
		{Put: source("A", Stream)}, {Put: source("B", Table)},
		{Start: query("CTAS_B_1", "B", "A")}, {Start: query("INSERTQUERY_2", "A", "A")},
	} {
		var err error
		if c, err = c.Apply(ch); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Apply(&Change{Drop: "A"})
	want := "Cannot drop A. The following queries read from it: [CTAS_B_1, INSERTQUERY_2]. The following queries write into it: [INSERTQUERY_2].\n" +
		"Drop [B] or terminate the queries before dropping A."
	if fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	if c, err = c.Apply(&Change{Stop: []string{"CTAS_B_1"}, Drop: "B"}); err != nil {
		t.Fatal(err)
	}
	if got := c.SourceNames(); len(got) != 1 || got[0] != "A" {
		t.Errorf("left are %v", got)
	}
}
