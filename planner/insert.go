package planner

import (
	"slices"
	"strconv"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// InsertTarget returns the source that INSERT VALUES writes to, or says why it
// can't.
func InsertTarget(s *sql.InsertValues, c *catalog.Catalog) (*catalog.Source, error) {
	src, ok := c.Source(s.Target)
	if !ok {
		e := types.Errorf(types.ErrNotFound, s.Pos(), "Cannot insert values into an unknown stream/table: %s", types.QuoteAlways(s.Target))
		if n := types.Nearest(s.Target, c.SourceNames()); n != "" {
			e.Hint = "Did you mean " + sql.QuoteName(n) + "?"
		}
		return nil, e
	}
	switch {
	case src.ReadOnly:
		return nil, fault(s.Pos(), "", "Cannot insert values into read-only %s: %s", src.Kind.Lower(), s.Target)
	case src.Window != nil:
		return nil, fault(s.Pos(), "", "Cannot insert values into windowed stream or table!")
	}
	for i, name := range s.Columns {
		if slices.Contains(s.Columns[:i], name) {
			return nil, fault(s.Pos(), "List each column once.", "Duplicate column name: %s", types.QuoteAlways(name))
		}
	}
	for _, c := range src.Schema.Columns {
		if c.Namespace == types.NamespaceHeaders && (len(s.Columns) == 0 || slices.Contains(s.Columns, c.Name)) {
			return nil, fault(s.Pos(), "List the other columns.", "Cannot insert into HEADER columns: %s", c.Name)
		}
	}
	return src, nil
}

// planInsert plans INSERT INTO … SELECT.
func planInsert(s *sql.InsertSelect, in Input) (*Result, error) {
	target, err := insertSelectTarget(s, in)
	if err != nil {
		return nil, err
	}
	w, err := readWith(s.With, insertNames)
	if err != nil {
		return nil, err
	}
	p, err := newQuery(s.Query, in, s.Target, s.Pos())
	if err != nil {
		return nil, err
	}
	if err := p.planQuery(); err != nil {
		return nil, err
	}
	got := p.step.Meta()
	if got.IsTable {
		return nil, fault(s.Pos(), "Insert the rows of a stream.", "Incompatible data sink and query result. Data sink %s is a stream but the query's result is a table.", s.Target)
	}
	if !sameJSON(target.Window, got.Window) {
		return nil, fault(s.Pos(), "", "Incompatible windows: %s is %s, the query's result is %s.", s.Target, windowed(target.Window), windowed(got.Window))
	}
	if err := p.fit(target.Schema, s.Pos()); err != nil {
		return nil, err
	}
	id, err := queryID(w, "INSERTQUERY_"+strconv.FormatInt(in.Offset, 10), in)
	if err != nil {
		return nil, err
	}
	q := &catalog.Query{ID: id, Plan: p.newPlan(id, p.sink(target), false), Sink: target.Name, Sources: p.sourceNames(), SQL: in.Text, State: catalog.Running}
	r := &Result{Change: &catalog.Change{Start: q}, Message: "Created query with ID " + q.ID, Schema: target.Schema}
	r.Register, err = registrations(*target, s.Pos())
	return r, notedIn(r, err)
}

func insertSelectTarget(s *sql.InsertSelect, in Input) (*catalog.Source, error) {
	target, err := lookupSource(in, s.Target, s.Pos())
	if err != nil {
		return nil, err
	}
	switch {
	case target.IsTable():
		return nil, fault(s.Pos(), "Use CREATE TABLE ... AS SELECT.", "INSERT INTO can only be used to insert into a stream. %s is a table.", s.Target)
	case target.ReadOnly:
		return nil, fault(s.Pos(), "", "Cannot insert into read-only stream: %s", s.Target)
	}
	for _, c := range target.Schema.Columns {
		if c.Namespace == types.NamespaceHeaders {
			return nil, fault(s.Pos(), "", "Cannot insert into %s because it has header columns", s.Target)
		}
	}
	return target, nil
}

// fit holds the projection's columns to the target's; values whose type
// widens to the target's are cast.
func (p *queryPlanner) fit(want types.Schema, at types.Pos) error {
	pr := p.step.(*plan.Project)
	got := pr.Schema.Columns
	nk := len(pr.Keys)
	fits := len(want.Columns) == len(got) && len(want.Keys()) == nk
	for i := 0; fits && i < len(got); i++ {
		same := got[i].Type.Equal(want.Columns[i].Type)
		fits = got[i].Name == want.Columns[i].Name && (same || i >= nk && widens(got[i].Type, want.Columns[i].Type))
	}
	if !fits {
		return fault(at, "Columns go by name and order; use AS and CAST.", "Incompatible schema between results and sink. Result schema is %s, but the sink schema is %s.", pr.Schema, want)
	}
	for i := nk; i < len(got); i++ {
		if t := want.Columns[i].Type; !got[i].Type.Equal(t) {
			v := &pr.Values[i-nk]
			v.Text, v.Type = "CAST("+v.Text+" AS "+t.String()+")", t
			pr.Schema.Columns[i].Type = t
		}
	}
	return nil
}

// widens reports whether values of type from become ones of type to without
// being asked: any number a wider one, in the order INT, BIGINT, DECIMAL,
// DOUBLE. An integer too large for a DECIMAL becomes null as it is written.
func widens(from, to *types.Type) bool {
	rank := map[types.Kind]int{types.KindInt: 1, types.KindBigint: 2, types.KindDecimal: 3, types.KindDouble: 4}
	a, b := rank[from.Kind()], rank[to.Kind()]
	switch {
	case a == 0 || b == 0 || a > b:
		return false
	case a == 3 && b == 3:
		return from.Scale() <= to.Scale() && from.Precision()-from.Scale() <= to.Precision()-to.Scale()
	}
	return a < b
}
