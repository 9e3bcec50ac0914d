package planner

import (
	"slices"
	"strconv"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
	"karst/sql/types"
)

// group plans GROUP BY, the aggregates and HAVING.
func (p *queryPlanner) group(items []selectItem) ([]selectItem, error) {
	if p.q.PartitionBy != nil {
		return nil, fault(p.q.PartitionBy[0].Pos(), "", "GROUP BY and PARTITION BY can't stand together")
	}
	exprs, err := p.groupExprs()
	if err != nil {
		return nil, err
	}
	table := p.step.Meta().IsTable
	if table {
		if p.q.Window != nil {
			return nil, fault(p.q.Window.At, "", "WINDOW clause is only supported on streams: %s is a table", p.sources[0].alias)
		}
		retractBelow(p.step)
	}
	if items, err = p.explode(items); err != nil {
		return nil, err
	}
	p.addOrigin(items)
	if err := p.groupKeys(exprs, items); err != nil {
		return nil, err
	}
	p.step.Meta().Retract = table
	p.exchange("exchange", p.partitions())
	p.step.Meta().Retract = table
	return p.aggregate(items, exprs, table)
}

// groupExprs returns what the rows are grouped by.
func (p *queryPlanner) groupExprs() ([]sql.Expr, error) {
	var exprs []sql.Expr
	for _, e := range p.q.GroupBy {
		r, err := p.rewrite(e)
		if err != nil {
			return nil, err
		}
		if err := p.noBounds(r); err != nil {
			return nil, err
		}
		if c := findCall(r, function.Aggregate); c != nil {
			return nil, fault(c.Pos(), "", "GROUP BY does not support aggregate functions: %s is an aggregate function.", c.Name)
		}
		for _, other := range exprs {
			if sameText(other, r) {
				return nil, fault(e.Pos(), "Remove it.", "Duplicate GROUP BY expression: %s", sql.PrintExpr(e))
			}
		}
		exprs = append(exprs, r)
	}
	return exprs, nil
}

// groupKeys makes the grouping expressions the key. Rows that have that key
// already stay where they are.
func (p *queryPlanner) groupKeys(exprs []sql.Expr, items []selectItem) error {
	labels := make([]string, len(exprs))
	for i, e := range exprs {
		labels[i] = label(e, items)
	}
	same, placed, before := p.isKey(exprs), p.placed, p.step
	if err := p.rekey("group", exprs, labels, toGroup); err != nil {
		return onInput(err, items)
	}
	// A table's rows may leave their group's partition when the group is
	// computed from values; the primary key never changes.
	if same && (placed || p.placedBelow(before)) {
		p.placed = true
	}
	return nil
}

// placedBelow reports whether s's rows lie where its key belongs.
func (p *queryPlanner) placedBelow(s plan.Step) bool {
	saved := p.step
	p.step = s
	ok := p.ownPlacement(p.keyFormat(s.Meta().Schema.Keys()), p.partitions())
	p.step = saved
	return ok
}

// addOrigin keeps ROWPARTITION and ROWOFFSET, which an exchange loses, as
// columns if an aggregate asks for them.
func (p *queryPlanner) addOrigin(items []selectItem) {
	in := p.step.Meta()
	pr := &plan.Project{Common: *in, Input: p.step}
	pr.ID = "origin"
	pr.Schema.Columns = append([]types.Column{}, in.Schema.Columns...)
	for _, k := range in.Schema.Keys() {
		pr.Keys = append(pr.Keys, k.Name)
	}
	for _, c := range in.Schema.Columns[len(pr.Keys):] {
		pr.Values = append(pr.Values, plan.Expr{Name: c.Name, Text: sql.QuoteName(c.Name), Type: c.Type})
	}
	found := false
	look := func(e sql.Expr) bool {
		c, ok := e.(*sql.ColumnRef)
		if ok && (c.Name == types.RowPartition || c.Name == types.RowOffset) && pr.Schema.Find(c.Name) < 0 {
			found = true
			t := expr.PseudoType(c.Name)
			pr.Values = append(pr.Values, plan.Expr{Name: c.Name, Text: c.Name, Type: t})
			pr.Schema.Columns = append(pr.Schema.Columns, types.Column{Name: c.Name, Type: t})
		}
		return true
	}
	for _, it := range items {
		sql.Walk(it.expr, look)
	}
	if p.q.Having != nil {
		sql.Walk(p.q.Having, look)
	}
	if found {
		p.step = pr
	}
}

// retractBelow asks the steps below for the previous rows of changes.
func retractBelow(s plan.Step) {
	s.Meta().Retract = true
	switch x := s.(type) {
	case *plan.Source:
		x.Materialized = true
	case *plan.TableTableJoin, *plan.Aggregate, *plan.ForeignKeyResult:
		return // they know the previous row themselves
	}
	for _, in := range s.Inputs() {
		retractBelow(in)
	}
}

// aggregate plans the Aggregate step and rewrites the items over its output.
func (p *queryPlanner) aggregate(items []selectItem, exprs []sql.Expr, table bool) ([]selectItem, error) {
	in := p.step
	agg := &plan.Aggregate{Common: plan.Common{ID: "agg", IsTable: true}, Input: in, Undo: table, EmitFinal: p.q.Emit == sql.EmitFinal}
	agg.Schema.Columns = append(agg.Schema.Columns, in.Meta().Schema.Keys()...)
	if p.q.Window != nil {
		var err error
		if agg.Window, err = planWindow(p.q.Window); err != nil {
			return nil, err
		}
	} else if agg.EmitFinal {
		return nil, fault(p.q.At, "Use EMIT CHANGES.", "EMIT FINAL is only supported for windowed aggregations.")
	}
	asked := slices.Clone(items)
	g := &grouping{p: p, agg: agg, exprs: exprs, in: in, calls: map[string]string{}}
	p.calls = g.calls
	var errs types.Errors
	var bad *notGrouped
	for i := range items {
		e, err := g.rewrite(items[i].expr, "SELECT", items[i].at)
		if n, ok := err.(*notGrouped); ok {
			bad = bad.add(n)
		} else if !collect(&errs, err) {
			return nil, err
		}
		items[i].expr = e
	}
	if bad != nil {
		errs = append(errs, bad.fault())
	}
	having, err := g.having()
	if n, ok := err.(*notGrouped); ok {
		err = n.fault()
	}
	if !collect(&errs, onInput(err, asked)) {
		return nil, err
	}
	if len(errs) > 0 {
		return nil, all(errs)
	}
	if len(agg.Calls) == 0 {
		return nil, fault(p.q.GroupAt, "Add for example COUNT(*).", "GROUP BY requires aggregate functions in either the SELECT or HAVING clause.")
	}
	p.step = agg
	if having != nil {
		return items, p.filter("having", having)
	}
	return items, nil
}

// A notGrouped tells of the expressions of a clause that refer to rows, where
// only groups are left.
type notGrouped struct {
	clause string
	at     types.Pos
	names  []string
}

// Error implements error.
func (n *notGrouped) Error() string { return n.fault().Error() }

// add adds what more tells of to n, which may be nil.
func (n *notGrouped) add(more *notGrouped) *notGrouped {
	if n == nil {
		return more
	}
	n.names = append(n.names, more.names...)
	return n
}

func (n *notGrouped) fault() *types.Error {
	return fault(n.at, "Either add the column(s) to the GROUP BY or remove them from the "+n.clause+".", "Non-aggregate %s expression(s) not part of GROUP BY: %s", n.clause, strings.Join(n.names, ", "))
}

// A grouping rewrites expressions over rows into ones over groups.
type grouping struct {
	p     *queryPlanner
	agg   *plan.Aggregate
	exprs []sql.Expr
	in    plan.Step
	calls map[string]string // printed call → column
}

// having rewrites the HAVING clause, nil if there is none.
func (g *grouping) having() (sql.Expr, error) {
	if g.p.q.Having == nil {
		return nil, nil
	}
	h, err := g.p.rewrite(g.p.q.Having)
	if err != nil {
		return nil, err
	}
	if err := g.p.noBounds(h); err != nil {
		return nil, err
	}
	return g.rewrite(h, "HAVING", g.p.q.Having.Pos())
}

// noBounds refuses, in an expression outside of SELECT, the bounds of the
// windows that rows are grouped into.
func (p *queryPlanner) noBounds(e sql.Expr) error {
	var err error
	sql.Walk(e, func(x sql.Expr) bool {
		if c, ok := x.(*sql.ColumnRef); ok && (c.Name == types.WindowStart || c.Name == types.WindowEnd) && p.q.Window != nil && err == nil {
			err = fault(c.Pos(), "Filter the table by it in a query.", "Window bounds column %s can only be used in the SELECT clause of windowed aggregations and can not be passed to aggregate functions.", c.Name)
		}
		return true
	})
	return err
}

// rewrite replaces grouping expressions by key columns and aggregates by the
// columns that hold them; any other column is a fault.
func (g *grouping) rewrite(e sql.Expr, clause string, at types.Pos) (sql.Expr, error) {
	var failed error
	params := lambdaParams(e)
	out := sql.Transform(e, func(x sql.Expr) sql.Expr {
		if failed != nil {
			return x
		}
		for i, k := range g.exprs {
			if sameText(k, x) {
				return column(g.p.keys[i].name)
			}
		}
		switch x := x.(type) {
		case *sql.Call:
			if function.Default().Find(x.Name) == nil {
				_, failed = expr.Compile(x, scopeOf(g.in)) // says that there is none
				return x
			}
			if callOf(x, function.Aggregate) == nil {
				return x
			}
			ref, err := g.call(x)
			if err != nil {
				failed = err
				return x
			}
			return ref
		case *sql.ColumnRef:
			bound := x.Name == types.WindowStart || x.Name == types.WindowEnd
			switch {
			case params[x.Name] || bound && g.agg.Window != nil:
			case g.in.Meta().Schema.Find(x.Name) >= 0 || pseudoName(x.Name):
				failed = &notGrouped{clause: clause, at: at, names: []string{sql.PrintExpr(g.p.qualified(e))}}
			default:
				_, failed = expr.Compile(x, scopeOf(g.in)) // says that there is none
			}
		}
		return x
	})
	return out, failed
}

// aggregatePrefix begins the names of the columns that hold aggregates.
const aggregatePrefix = "KSQL_AGG_VARIABLE_"

// lambdaParams returns the names that lambdas within e give their parameters.
func lambdaParams(e sql.Expr) map[string]bool {
	out := map[string]bool{}
	sql.Walk(e, func(x sql.Expr) bool {
		if l, ok := x.(*sql.Lambda); ok {
			for _, p := range l.Params {
				out[p] = true
			}
		}
		return true
	})
	return out
}

// call adds an aggregate to the step, each once, and returns its column.
func (g *grouping) call(c *sql.Call) (sql.Expr, error) {
	text := sql.PrintExpr(c)
	if name, ok := g.calls[text]; ok {
		return column(name), nil
	}
	for _, a := range c.Args {
		if inner := findCall(a, function.Aggregate); inner != nil {
			return nil, fault(inner.Pos(), "", "Aggregate functions can not be nested: %s within %s", inner.Name, c.Name)
		}
	}
	for _, a := range c.Args {
		if err := g.p.noBounds(a); err != nil {
			return nil, err
		}
	}
	args, err := compileArgs(c.Args, g.in)
	if err != nil {
		return nil, err
	}
	call := plan.AggregateCall{Name: aggregatePrefix + strconv.Itoa(len(g.agg.Calls)), Function: c.Name}
	for i, a := range c.Args {
		call.Args = append(call.Args, plan.Expr{Text: sql.PrintExpr(a), Type: args[i].Type})
	}
	if call.Type, err = g.resolve(c, args); err != nil {
		return nil, err
	}
	g.agg.Calls = append(g.agg.Calls, call)
	g.agg.Schema.Columns = append(g.agg.Schema.Columns, types.Column{Name: call.Name, Type: call.Type})
	g.calls[text] = call.Name
	return column(call.Name), nil
}

// resolve returns the type of an aggregate's value.
func (g *grouping) resolve(c *sql.Call, args []function.Arg) (*types.Type, error) {
	r, rerr := function.Default().Resolve(c.Name, function.Aggregate, args, nil)
	if rerr != nil {
		rerr.Pos = c.Pos()
		return nil, rerr
	}
	if !g.agg.Undo && (g.agg.Window == nil || g.agg.Window.Kind != plan.Session) {
		return r.Returns, nil
	}
	under, err := r.Signature.Under(g.p.in.Settings)
	if err != nil {
		return nil, fault(c.Pos(), "", "%s: %v", c.Name, err)
	}
	k, err := under.Aggregate(args)
	if err != nil {
		return nil, fault(c.Pos(), "", "%s: %v", c.Name, err)
	}
	if _, ok := k.(function.Undoer); g.agg.Undo && !ok {
		return nil, fault(c.Pos(), "", "The aggregation function(s) (%s) cannot be applied to a table source, only to a stream source.", c.Name)
	}
	if _, ok := k.(function.Merger); !g.agg.Undo && !ok {
		return nil, unsupported(c.Pos(), c.Name+" in a SESSION window")
	}
	return r.Returns, nil
}
