package planner

import (
	"slices"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// A Pull is a planned pull query: its steps, which run over the rows that are
// there, and the keys that they can be about.
type Pull struct {
	Plan   *plan.Plan
	Lookup plan.Lookup
	// Schema lists the client's columns; those of a table's key, window bounds
	// among them, are marked as keys.
	Schema types.Schema
}

// PlanPull plans a SELECT without EMIT: one answer from the rows that a stream
// or a table has now.
func PlanPull(q sql.QueryExpr, in Input, id string, at types.Pos) (*Pull, error) {
	p, err := newQuery(q, in, "", at)
	if err != nil {
		return nil, err
	}
	if err := p.checkPull(); err != nil {
		return nil, err
	}
	if err := p.from(p.q.From); err != nil {
		return nil, err
	}
	src := p.sources[0].source
	m := p.step.Meta()
	m.IsTable = false // rows, not changes
	p.names = p.newNamer(p.q.From)
	pull := &Pull{}
	if p.q.Where != nil {
		where, err := p.rewrite(p.q.Where)
		if err != nil {
			return nil, err
		}
		if err := p.filter("where", where); err != nil {
			return nil, err
		}
		if src.IsTable() {
			pull.Lookup = lookupOf(where, m)
		}
	}
	if src.IsTable() {
		if err := p.checkLookup(&pull.Lookup, m); err != nil {
			return nil, err
		}
	}
	items, err := p.body()
	if err != nil {
		return nil, err
	}
	if err := p.project(items); err != nil {
		return nil, err
	}
	root := p.output()
	if src.IsTable() {
		markKeys(&root.Schema, items, m)
	}
	if err := duplicates(root.Schema, items); err != nil {
		return nil, err
	}
	pull.Plan, pull.Schema = p.newPlan(id, root, false), root.Schema
	return pull, nil
}

// checkPull refuses the clauses that a pull query can't have.
func (p *queryPlanner) checkPull() error {
	const hint = "Add EMIT CHANGES if you intended to issue a push query."
	refuse := func(at types.Pos, clause string) error {
		return fault(at, hint, "Pull queries don't support %s clauses.", clause)
	}
	q := p.q
	switch _, join := q.From.(*sql.Join); {
	case join:
		return refuse(q.At, "JOIN")
	case q.Window != nil:
		return refuse(q.Window.At, "WINDOW")
	case len(q.GroupBy) > 0:
		return refuse(q.GroupAt, "GROUP BY")
	case len(q.PartitionBy) > 0:
		return refuse(q.PartitionBy[0].Pos(), "PARTITION BY")
	case q.Having != nil:
		return refuse(q.Having.Pos(), "HAVING")
	}
	var errs types.Errors
	for _, it := range q.Items {
		collect(&errs, offsetsRefused(it.Expr, "SELECT"))
	}
	collect(&errs, offsetsRefused(q.Where, "WHERE"))
	collect(&errs, nullRefused(q.Where))
	return all(errs)
}

// nullRefused refuses comparisons with NULL, which are never true: what is
// meant is IS NULL.
func nullRefused(where sql.Expr) error {
	var found *sql.Comparison
	sql.Walk(where, func(e sql.Expr) bool {
		c, ok := e.(*sql.Comparison)
		if ok && mirrored[c.Op] != "" && (isNull(c.Left) || isNull(c.Right)) {
			found = c
		}
		return found == nil
	})
	if found == nil {
		return nil
	}
	return fault(found.Pos(), "Use IS NULL or IS NOT NULL.", "Comparison with NULL not supported: %s", sql.PrintExpr(found))
}

// offsetsRefused refuses the pseudo columns that only a record has: a row of a
// table comes from many.
func offsetsRefused(e sql.Expr, clause string) error {
	var found *sql.ColumnRef
	sql.Walk(e, func(e sql.Expr) bool {
		if c, ok := e.(*sql.ColumnRef); ok && (c.Name == types.RowPartition || c.Name == types.RowOffset) {
			found = c
		}
		return found == nil
	})
	if found == nil {
		return nil
	}
	return fault(found.Pos(), "Add EMIT CHANGES for a push query, which has them.", "Pull queries don't support the following columns in %s clauses: %s", clause, types.QuoteAlways(found.Name))
}

// markKeys marks the columns that are the table's key or its window's bounds.
func markKeys(s *types.Schema, items []selectItem, source *plan.Common) {
	for i, it := range items {
		c, ok := it.expr.(*sql.ColumnRef)
		if !ok {
			continue
		}
		at := source.Schema.Find(c.Name)
		bound := source.Window != nil && (c.Name == types.WindowStart || c.Name == types.WindowEnd)
		if bound || at >= 0 && source.Schema.Columns[at].Namespace == types.NamespaceKey {
			s.Columns[i].Namespace = types.NamespaceKey
		}
	}
}

func duplicates(s types.Schema, items []selectItem) error {
	var errs types.Errors
	for i, c := range s.Columns {
		if s.Find(c.Name) < i {
			errs = append(errs, fault(items[i].at, "Give one of them another name with AS.", "Duplicate value columns found in schema: %s %s", types.QuoteAlways(c.Name), c.Type))
		}
	}
	return all(errs)
}

// maxDisjuncts bounds what WHERE is taken apart into; beyond it all rows are
// read.
const maxDisjuncts = 1000

// lookupOf takes WHERE apart into alternatives and finds in each what it says
// of the key and the window's bounds.
func lookupOf(where sql.Expr, source *plan.Common) plan.Lookup {
	list, ok := disjuncts(where)
	if !ok {
		return plan.Lookup{}
	}
	var out plan.Lookup
	for _, conjuncts := range list {
		out.Alternatives = append(out.Alternatives, alternative(conjuncts, source))
	}
	return out
}

// disjuncts returns e as alternatives, each of conditions that must all hold;
// false if there are too many.
func disjuncts(e sql.Expr) ([][]sql.Expr, bool) {
	switch e := e.(type) {
	case *sql.Logical:
		l, ok1 := disjuncts(e.Left)
		r, ok2 := disjuncts(e.Right)
		if !ok1 || !ok2 {
			return nil, false
		}
		if e.Op == "OR" {
			return append(l, r...), len(l)+len(r) <= maxDisjuncts
		}
		if len(l)*len(r) > maxDisjuncts {
			return nil, false
		}
		var out [][]sql.Expr
		for _, x := range l {
			for _, y := range r {
				out = append(out, slices.Concat(x, y))
			}
		}
		return out, true
	case *sql.In:
		if e.Negate || len(e.List) > maxDisjuncts {
			break
		}
		var out [][]sql.Expr
		for _, v := range e.List {
			out = append(out, []sql.Expr{&sql.Comparison{Op: "=", Left: e.Of, Right: v}})
		}
		return out, true
	case *sql.Between:
		if !e.Negate {
			return [][]sql.Expr{{&sql.Comparison{Op: ">=", Left: e.Of, Right: e.Low}, &sql.Comparison{Op: "<=", Left: e.Of, Right: e.High}}}, true
		}
	}
	return [][]sql.Expr{{e}}, true
}

// alternative finds what conditions say of the key and the window.
func alternative(conjuncts []sql.Expr, source *plan.Common) plan.Alternative {
	keys := source.Schema.Keys()
	a := plan.Alternative{Keys: make([]sql.Expr, len(keys)), Conditions: conjuncts}
	for _, e := range conjuncts {
		name, op, value := comparedColumn(e)
		if value == nil {
			continue
		}
		if source.Window != nil && (name == types.WindowStart || name == types.WindowEnd) {
			a.Bounds = append(a.Bounds, plan.Bound{Column: name, Op: op, Value: value})
			continue
		}
		at := slices.IndexFunc(keys, func(c types.Column) bool { return c.Name == name })
		switch {
		case at < 0:
		case op == "=" && a.Keys[at] == nil:
			a.Keys[at] = value
		case op != "=" && op != "<>":
			a.Ranges = append(a.Ranges, plan.Bound{Column: name, Op: op, Value: value})
		}
	}
	return a
}

var mirrored = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// comparedColumn returns the column that e compares with an expression without
// columns, the column standing left; a nil value if e is nothing of the kind.
func comparedColumn(e sql.Expr) (name, op string, value sql.Expr) {
	c, ok := e.(*sql.Comparison)
	if !ok || mirrored[c.Op] == "" {
		return "", "", nil
	}
	if l, ok := c.Left.(*sql.ColumnRef); ok && !refersToColumns(c.Right) {
		return l.Name, c.Op, c.Right
	}
	if r, ok := c.Right.(*sql.ColumnRef); ok && !refersToColumns(c.Left) {
		return r.Name, mirrored[c.Op], c.Left
	}
	return "", "", nil
}

// refersToColumns reports whether e has columns; a lambda's parameters look
// like some, which costs no more than a scan.
func refersToColumns(e sql.Expr) bool {
	found := false
	sql.Walk(e, func(e sql.Expr) bool {
		_, isColumn := e.(*sql.ColumnRef)
		found = found || isColumn
		return !found
	})
	return found
}

// checkLookup refuses keys that are NULL and, where the session forbids to
// read all rows (ksql.query.pull.table.scan.enabled), what needs it.
func (p *queryPlanner) checkLookup(l *plan.Lookup, source *plan.Common) error {
	for _, a := range l.Alternatives {
		for i, k := range a.Keys {
			if k != nil && isNull(k) {
				return fault(k.Pos(), "Use IS NULL or IS NOT NULL.", "Primary key columns can not be NULL: %s = NULL", types.QuoteAlways(source.Schema.Columns[i].Name))
			}
			if err := textKey(k, source.Schema.Columns[i]); err != nil {
				return err
			}
		}
	}
	if settingBool(p.in.Settings, "ksql.query.pull.table.scan.enabled", true) {
		return nil
	}
	if len(l.Alternatives) == 0 {
		return p.needsScan(p.q.At, "there is no condition on the key")
	}
	ranges := settingBool(p.in.Settings, "ksql.query.pull.range.scan.enabled", false) && len(l.Alternatives) == 1
	for i := range l.Alternatives {
		if err := p.checkAlternative(&l.Alternatives[i], source, ranges); err != nil {
			return err
		}
	}
	return nil
}

// textKey refuses a text that stands for a number or a boolean, which WHERE
// takes in an IN list.
func textKey(e sql.Expr, key types.Column) error {
	l, ok := e.(*sql.Literal)
	if kind := key.Type.Kind(); !ok || l.Kind != sql.LitString || !key.Type.IsNumeric() && kind != types.KindBoolean {
		return nil
	}
	return fault(e.Pos(), "Leave the quotes out.", "'%s' can not be converted to the type of the key column: %s %s KEY", l.Text, key.Name, key.Type)
}

func (p *queryPlanner) needsScan(at types.Pos, why string) error {
	return fault(at, "SET 'ksql.query.pull.table.scan.enabled'='true' allows it.", "Query requires table scan to be enabled: %s.", why)
}

// checkAlternative holds one alternative of WHERE to naming its keys.
func (p *queryPlanner) checkAlternative(a *plan.Alternative, source *plan.Common, ranges bool) error {
	keys := source.Schema.Keys()
	text := conditionText(a.Conditions)
	at := a.Conditions[0].Pos()
	given := 0
	for _, k := range a.Keys {
		if k != nil {
			given++
		}
	}
	switch {
	case given == len(keys):
		return nil
	case given == 0 && len(a.Ranges) == 0 && !mentions(a.Conditions, keys):
		return p.needsScan(at, "WHERE clause missing key column for disjunct: "+text)
	case given+len(a.Ranges) > 0 && len(keys) > 1:
		return p.needsScan(at, "multi-column sources must specify every key in the WHERE clause, found "+text)
	case len(a.Ranges) > 1:
		return p.needsScan(at, "a comparison condition on the key column cannot be combined with other comparisons, found "+text)
	case len(a.Ranges) == 1 && ranges && keys[0].Type.Kind() == types.KindString && source.Window == nil:
		return nil
	case len(a.Ranges) == 1:
		return p.needsScan(at, "a range of keys, found "+text)
	}
	return p.needsScan(at, "a comparison must be between a key column and an expression without columns, by '=', found "+text)
}

func conditionText(list []sql.Expr) string {
	var parts []string
	for _, e := range list {
		parts = append(parts, sql.PrintExpr(e))
	}
	return strings.Join(parts, " AND ")
}

func mentions(list []sql.Expr, keys []types.Column) bool {
	found := false
	for _, e := range list {
		sql.Walk(e, func(e sql.Expr) bool {
			c, ok := e.(*sql.ColumnRef)
			found = found || ok && slices.ContainsFunc(keys, func(k types.Column) bool { return k.Name == c.Name })
			return !found
		})
	}
	return found
}
