package planner

import (
	"strconv"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
	"karst/sql/types"
)

// group plans GROUP BY, the aggregates and HAVING.
func (p *queryPlanner) group(items []selectItem) ([]selectItem, error) {
	var exprs []sql.Expr
	for _, e := range p.q.GroupBy {
		r, err := p.rewrite(e)
		if err != nil {
			return nil, err
		}
		exprs = append(exprs, r)
	}
	names, err := p.groupNames(exprs, items)
	if err != nil {
		return nil, err
	}
	if p.q.PartitionBy != nil {
		return nil, fault(p.q.GroupAt, "", "GROUP BY and PARTITION BY can't stand together")
	}
	table := p.step.Meta().IsTable
	if table {
		if p.q.Window != nil {
			return nil, fault(p.q.Window.At, "", "WINDOW clause is only supported on streams: %s is a table", p.sources[0].alias)
		}
		retractBelow(p.step)
	}
	same := p.isKey(exprs)
	if err := p.rekey("group", exprs, names, true); err != nil {
		return nil, err
	}
	p.step.Meta().Retract = table
	var rel *relation
	if !p.joined {
		rel = p.sources[0]
	}
	p.step = p.exchange("exchange", p.step, rel, !same || table, p.partitions())
	p.step.Meta().Retract = table
	return p.aggregate(items, exprs, names, table)
}

// retractBelow asks the steps below for the previous rows of changes.
func retractBelow(s plan.Step) {
	s.Meta().Retract = true
	switch x := s.(type) {
	case *plan.Source:
		x.Materialized = true
	case *plan.TableTableJoin, *plan.Aggregate:
		return // they know the previous row themselves
	}
	for _, in := range s.Inputs() {
		retractBelow(in)
	}
}

// groupNames names the key columns: by the select item that computes the same.
func (p *queryPlanner) groupNames(exprs []sql.Expr, items []selectItem) ([]string, error) {
	names := make([]string, len(exprs))
	for i, e := range exprs {
		text := sql.PrintExpr(e)
		found := 0
		for _, it := range items {
			if sql.PrintExpr(it.expr) != text {
				continue
			}
			if found++; found > 1 && p.target != "" {
				return nil, fault(it.at, "Use AS_VALUE for a copy among the values.", "The projection contains a key column more than once: %s and %s.", types.QuoteAlways(names[i]), types.QuoteAlways(it.name))
			}
			names[i] = it.name
		}
		if found == 0 && p.target != "" {
			return nil, fault(e.Pos(), "", "The query used to build %s must include the grouping expression%s %s in its projection (eg, SELECT %s...).",
				types.QuoteAlways(p.target), plural(len(exprs)), joinNames(exprs), joinNames(exprs))
		}
		if found == 0 {
			if names[i] = p.itemName(e); names[i] == "" {
				names[i] = "KSQL_KEY_" + strconv.Itoa(i)
			}
		}
	}
	return names, nil
}

func plural(n int) string {
	if n > 1 {
		return "s"
	}
	return ""
}

// aggregate plans the Aggregate step and rewrites the items over its output.
func (p *queryPlanner) aggregate(items []selectItem, exprs []sql.Expr, names []string, table bool) ([]selectItem, error) {
	in := p.step
	agg := &plan.Aggregate{Common: plan.Common{ID: "agg", IsTable: true}, Input: in, Undo: table, EmitFinal: p.q.Emit == sql.EmitFinal}
	agg.Schema.Columns = append(agg.Schema.Columns, in.Meta().Schema.Keys()...)
	if p.q.Window != nil {
		agg.Window = planWindow(p.q.Window)
		if err := checkWindow(agg.Window, p.q.Window.At); err != nil {
			return nil, err
		}
	} else if agg.EmitFinal {
		return nil, fault(p.q.At, "", "EMIT FINAL is only supported for windowed aggregations.")
	}
	g := &grouping{p: p, agg: agg, exprs: exprs, names: names, in: in, calls: map[string]string{}}
	// The columns below keep their names, but a key column hides its expression.
	for i := range items {
		e, err := g.rewrite(items[i].expr, items[i].at)
		if err != nil {
			return nil, err
		}
		items[i].expr = e
	}
	var having sql.Expr
	if p.q.Having != nil {
		h, err := p.rewrite(p.q.Having)
		if err != nil {
			return nil, err
		}
		if having, err = g.rewrite(h, p.q.Having.Pos()); err != nil {
			return nil, err
		}
	}
	if len(agg.Calls) == 0 && p.target != "" && having == nil && p.q.Window == nil && !table {
		// Grouping alone keeps each key once; COUNT makes it a table.
		if _, err := g.call(&sql.Call{Name: "COUNT", Star: true}); err != nil {
			return nil, err
		}
	}
	p.step = agg
	p.keyExprs = nil
	for _, n := range names {
		p.keyExprs = append(p.keyExprs, &sql.ColumnRef{Name: n})
	}
	if having != nil {
		agg.Retract = true
		return items, p.filter("having", having)
	}
	return items, nil
}

func checkWindow(w *plan.Window, at types.Pos) error {
	switch {
	case w.Kind == plan.Session && w.GapMS <= 0, w.Kind != plan.Session && w.SizeMS <= 0:
		return fault(at, "", "a window's size must be positive")
	case w.Kind == plan.Hopping && (w.AdvanceMS <= 0 || w.AdvanceMS > w.SizeMS):
		return fault(at, "", "a HOPPING window's ADVANCE BY must be positive and at most its size")
	case w.RetentionMS != nil && *w.RetentionMS < w.SizeMS:
		return fault(at, "", "a window's RETENTION must be at least its size")
	}
	return nil
}

// A grouping rewrites expressions over rows into ones over groups.
type grouping struct {
	p     *queryPlanner
	agg   *plan.Aggregate
	exprs []sql.Expr
	names []string
	in    plan.Step
	calls map[string]string // printed call → column
}

// rewrite replaces grouping expressions by key columns and aggregates by the
// columns that hold them; any other column is a fault.
func (g *grouping) rewrite(e sql.Expr, at types.Pos) (sql.Expr, error) {
	var failed error
	out := sql.Transform(e, func(x sql.Expr) sql.Expr {
		if failed != nil {
			return x
		}
		for i, k := range g.exprs {
			if sql.PrintExpr(k) == sql.PrintExpr(x) {
				return &sql.ColumnRef{Name: g.names[i]}
			}
		}
		if c := aggregateCall(x); c != nil {
			ref, err := g.call(c)
			if err != nil {
				failed = err
				return x
			}
			return ref
		}
		if c, ok := x.(*sql.ColumnRef); ok && !(pseudoName(c.Name) && g.agg.Window != nil) && scopeOf(g.in).Columns != nil && g.in.Meta().Schema.Find(c.Name) >= 0 {
			failed = fault(at, "Either add the column(s) to the GROUP BY or remove them from the SELECT.", "Non-aggregate SELECT expression(s) not part of GROUP BY: %s", sql.PrintExpr(e))
		}
		return x
	})
	return out, failed
}

// call adds an aggregate to the step, each once, and returns its column.
func (g *grouping) call(c *sql.Call) (sql.Expr, error) {
	text := sql.PrintExpr(c)
	if name, ok := g.calls[text]; ok {
		return &sql.ColumnRef{Name: name}, nil
	}
	name := "KSQL_AGG_VARIABLE_" + strconv.Itoa(len(g.agg.Calls))
	call := plan.AggregateCall{Name: name, Function: c.Name}
	var args []function.Arg
	for _, a := range c.Args {
		prog, err := expr.Compile(a, scopeOf(g.in))
		if err != nil {
			return nil, err
		}
		call.Args = append(call.Args, plan.Expr{Text: sql.PrintExpr(a), Type: prog.Type()})
		args = append(args, function.Arg{Type: prog.Type(), Const: prog.Const()})
	}
	r, err := function.Default().Resolve(c.Name, function.Aggregate, args, nil)
	if err != nil {
		err.Pos = c.Pos()
		return nil, err
	}
	if g.agg.Undo {
		k, kerr := r.Signature.Aggregate(args)
		if kerr != nil {
			return nil, fault(c.Pos(), "", "%s: %v", c.Name, kerr)
		}
		if _, ok := k.(function.Undoer); !ok {
			return nil, fault(c.Pos(), "", "The aggregation function(s) (%s) cannot be applied to a table source, only to a stream source.", c.Name)
		}
	}
	call.Type = r.Returns
	g.agg.Calls = append(g.agg.Calls, call)
	g.agg.Schema.Columns = append(g.agg.Schema.Columns, types.Column{Name: name, Type: r.Returns})
	g.calls[text] = name
	return &sql.ColumnRef{Name: name}, nil
}
