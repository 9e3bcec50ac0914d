package planner

import (
	"errors"
	"strconv"
	"strings"

	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/function"
	"karst/sql/types"
)

// A selectItem is one output column.
type selectItem struct {
	name string
	expr sql.Expr // rewritten
	at   types.Pos
	star bool // made by a star: it may have a reserved name
}

// items expands the SELECT list.
func (p *queryPlanner) items() ([]selectItem, error) {
	var out []selectItem
	var errs types.Errors
	for _, it := range p.q.Items {
		more, err := p.item(it)
		if !collect(&errs, err) {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, all(errs)
}

func (p *queryPlanner) item(it sql.SelectItem) ([]selectItem, error) {
	switch x := it.Expr.(type) {
	case nil:
		return p.star(it)
	case *sql.StructAll:
		return p.structAll(x)
	}
	e, err := p.rewrite(it.Expr)
	if err != nil {
		return nil, err
	}
	name := it.Alias
	if name == "" {
		name = p.itemName(it.Expr)
	}
	if name == "" {
		name = p.names.generated()
	}
	if pseudoName(name) && p.target != "" {
		return nil, fault(it.At, "Give it another name with AS.", "Reserved column name in select: %s. Please remove or alias the column.", types.QuoteAlways(name))
	}
	return []selectItem{{name: name, expr: e, at: it.At}}, nil
}

// itemName is the name of a select item without an alias, "" if it must be
// made up.
func (p *queryPlanner) itemName(e sql.Expr) string {
	switch e := e.(type) {
	case *sql.ColumnRef:
		if p.joined && p.ambiguous(e.Name) && e.Source != "" {
			return e.Source + "_" + e.Name
		}
		return e.Name
	case *sql.FieldRef:
		return p.names.unique(e.Field)
	}
	return ""
}

// ambiguous reports whether more than one source has the column.
func (p *queryPlanner) ambiguous(name string) bool {
	n := 0
	for _, r := range p.sources {
		if r.source.Schema.Find(name) >= 0 || pseudoName(name) {
			n++
		}
	}
	return n > 1
}

// star expands * and source.*.
func (p *queryPlanner) star(it sql.SelectItem) ([]selectItem, error) {
	var out []selectItem
	found := false
	if it.Source == "" && p.synthetic != "" {
		out = append(out, selectItem{p.synthetic, column(p.synthetic), it.At, true})
	}
	for _, r := range p.sources {
		if it.Source != "" && it.Source != r.alias {
			continue
		}
		found = true
		for _, c := range p.starColumns(r) {
			name := c
			if p.joined {
				name = r.alias + "_" + c
			}
			out = append(out, selectItem{name, column(name), it.At, true})
		}
	}
	if !found {
		return nil, fault(it.At, "", "'%s' is not a valid stream/table name or alias.", it.Source)
	}
	if len(p.q.PartitionBy) > 0 && it.Source == "" {
		return p.newKeys(it, out)
	}
	return out, nil
}

// starColumns are the columns of one source that a star stands for. Window
// bounds are among them where they are values: in a join, and for a client.
// After PARTITION BY the old key is a value like the others, at the end, and a
// join's rows carry their sides' pseudo columns.
func (p *queryPlanner) starColumns(r *relation) []string {
	var keys, rest []string
	for _, c := range r.source.Schema.Columns {
		if c.Namespace == types.NamespaceKey {
			keys = append(keys, c.Name)
		} else {
			rest = append(rest, c.Name)
		}
	}
	if r.source.Window != nil && (p.joined || p.target == "") {
		keys = append(keys, types.WindowStart, types.WindowEnd)
	}
	if len(p.q.PartitionBy) == 0 {
		return append(keys, rest...)
	}
	if p.joined {
		rest = append(rest, types.RowTime, types.RowPartition, types.RowOffset)
	}
	return append(rest, keys...)
}

// newKeys puts the keys of PARTITION BY that are no columns before a star's
// columns.
func (p *queryPlanner) newKeys(it sql.SelectItem, cols []selectItem) ([]selectItem, error) {
	var keys []selectItem
	for _, e := range p.q.PartitionBy {
		r, err := p.rewrite(e)
		if err != nil {
			return nil, err
		}
		c, isColumn := r.(*sql.ColumnRef)
		if isNull(e) || isColumn && !pseudoName(c.Name) {
			continue
		}
		name := p.itemName(e)
		if name == "" {
			name = p.names.generated()
		}
		keys = append(keys, selectItem{name, r, it.At, true})
	}
	return append(keys, cols...), nil
}

func isNull(e sql.Expr) bool {
	l, ok := e.(*sql.Literal)
	return ok && l.Kind == sql.LitNull
}

func (p *queryPlanner) structAll(x *sql.StructAll) ([]selectItem, error) {
	of, err := p.rewrite(x.Of)
	if err != nil {
		return nil, err
	}
	prog, err := expr.Compile(of, scopeOf(p.step))
	if err != nil {
		return nil, err
	}
	if prog.Type().Kind() != types.KindStruct {
		return nil, fault(x.Pos(), "", "'->*' takes a STRUCT, found %s (%s)", sql.PrintExpr(x.Of), prog.Type())
	}
	var out []selectItem
	for _, f := range prog.Type().Fields() {
		out = append(out, selectItem{p.names.unique(f.Name), &sql.FieldRef{Of: of, Field: f.Name}, x.Pos(), true})
	}
	return out, nil
}

// body plans what stands between FROM and the sink: grouping, PARTITION BY,
// table functions. It returns the output columns over p.step.
func (p *queryPlanner) body() ([]selectItem, error) {
	items, err := p.items()
	if err != nil {
		return nil, err
	}
	call := firstCall(items, function.Aggregate)
	if len(p.q.GroupBy) > 0 || call != nil {
		if t := firstCall(items, function.Table); t != nil {
			return nil, fault(t.Pos(), "Use the table function in a stream of its own, and group that.", "Table functions can't be used with aggregations: %s", t.Name)
		}
	}
	if len(p.q.GroupBy) > 0 {
		return p.group(items)
	}
	if call != nil && p.target == "" && p.q.Emit != sql.EmitNone {
		// A client may ask for one group of all rows; its key has no name.
		all := *p.q
		all.GroupBy, all.GroupAt = []sql.Expr{&sql.Literal{Kind: sql.LitInteger, Text: "0"}}, call.Pos()
		p.q = &all
		return p.group(items)
	}
	switch {
	case call != nil:
		return nil, fault(call.Pos(), "Add a GROUP BY clause.", "Use of aggregate function %s requires a GROUP BY clause.", call.Name)
	case p.q.Window != nil:
		return nil, fault(p.q.Window.At, "Add a GROUP BY clause.", "WINDOW clause requires a GROUP BY clause.")
	case p.q.Having != nil:
		return nil, fault(p.q.Having.Pos(), "Use WHERE.", "HAVING clause requires a GROUP BY clause.")
	case p.q.Emit == sql.EmitFinal:
		return nil, fault(p.q.At, "Use EMIT CHANGES.", "EMIT FINAL is only supported for windowed aggregations.")
	}
	if items, err = p.explode(items); err != nil {
		return nil, err
	}
	if len(p.q.PartitionBy) > 0 {
		return p.partitionBy(items)
	}
	return items, nil
}

// callOf returns e if it is a call of a function of that kind, else nil.
func callOf(e sql.Expr, kind function.Kind) *sql.Call {
	c, ok := e.(*sql.Call)
	if !ok {
		return nil
	}
	if d := function.Default().Find(c.Name); d != nil && d.Kind == kind {
		return c
	}
	return nil
}

// findCall returns the first call of a function of that kind within e.
func findCall(e sql.Expr, kind function.Kind) *sql.Call {
	var found *sql.Call
	sql.Walk(e, func(x sql.Expr) bool {
		if c := callOf(x, kind); c != nil && found == nil {
			found = c
		}
		return found == nil
	})
	return found
}

// firstCall returns the first call of a function of that kind in what is
// selected, nil if there is none.
func firstCall(items []selectItem, kind function.Kind) *sql.Call {
	for _, it := range items {
		if c := findCall(it.expr, kind); c != nil {
			return c
		}
	}
	return nil
}

// explode plans table functions: each becomes a synthetic column.
func (p *queryPlanner) explode(items []selectItem) ([]selectItem, error) {
	x := &plan.Explode{Common: *p.step.Meta(), Input: p.step}
	x.ID = "explode"
	x.Schema.Columns = append([]types.Column{}, x.Schema.Columns...)
	var errs types.Errors
	for i, it := range items {
		items[i].expr = sql.Transform(it.expr, func(e sql.Expr) sql.Expr {
			c := callOf(e, function.Table)
			if c == nil {
				return e
			}
			ref, err := p.tableCall(x, c)
			if err != nil {
				collect(&errs, err)
				return e
			}
			return ref
		})
	}
	if len(x.Calls) > 0 {
		p.step = x
	}
	return items, all(errs)
}

// tableCall adds a table function to the step and returns its column.
func (p *queryPlanner) tableCall(x *plan.Explode, c *sql.Call) (sql.Expr, error) {
	if x.IsTable {
		return nil, fault(c.Pos(), "", "Table source is not supported with table functions")
	}
	for _, a := range c.Args {
		if inner := findCall(a, function.Table); inner != nil {
			return nil, fault(inner.Pos(), "", "Table functions can't be nested: %s within %s", inner.Name, c.Name)
		}
	}
	args, err := compileArgs(c.Args, x.Input)
	if err != nil {
		return nil, err
	}
	r, rerr := function.Default().Resolve(c.Name, function.Table, args, nil)
	if rerr != nil {
		rerr.Pos = c.Pos()
		return nil, rerr
	}
	name := "KSQL_SYNTH_" + strconv.Itoa(len(x.Calls))
	x.Calls = append(x.Calls, plan.Expr{Name: name, Text: sql.PrintExpr(c), Type: r.Returns})
	x.Schema.Columns = append(x.Schema.Columns, types.Column{Name: name, Type: r.Returns})
	return column(name), nil
}

// compileArgs types the arguments of an aggregate or table function.
func compileArgs(list []sql.Expr, in plan.Step) ([]function.Arg, error) {
	var args []function.Arg
	for _, a := range list {
		prog, err := expr.Compile(a, scopeOf(in))
		if err != nil {
			return nil, err
		}
		args = append(args, function.Arg{Type: prog.Type(), Const: prog.Const(), Text: sql.PrintExpr(a)})
	}
	return args, nil
}

// partitionBy gives rows a new key. They need no exchange: the sink places
// them.
func (p *queryPlanner) partitionBy(items []selectItem) ([]selectItem, error) {
	if p.step.Meta().IsTable {
		return nil, fault(p.q.PartitionBy[0].Pos(), "", "PARTITION BY is not supported on tables.")
	}
	if w := p.step.Meta().Window; w != nil {
		return nil, fault(p.q.PartitionBy[0].Pos(), "", "Implicit repartitioning of windowed sources is not supported: PARTITION BY %s of a %s source.", sql.PrintExpr(p.q.PartitionBy[0]), windowed(w))
	}
	var exprs []sql.Expr
	var labels []string
	for _, e := range p.q.PartitionBy {
		if isNull(e) {
			if len(p.q.PartitionBy) > 1 {
				return nil, fault(e.Pos(), "Remove NULL.", "Cannot PARTITION BY multiple columns including NULL")
			}
			break
		}
		r, err := p.rewrite(e)
		if err != nil {
			return nil, err
		}
		exprs, labels = append(exprs, r), append(labels, label(r, items))
	}
	if err := p.rekey("partition", exprs, labels, toPartition); err != nil {
		return nil, onInput(err, items)
	}
	p.replaceKeys(items, exprs)
	return items, nil
}

// onInput adds to a fault about PARTITION BY or GROUP BY that an alias of the
// SELECT list can't be used there.
func onInput(err error, items []selectItem) error {
	var e *types.Error
	if !errors.As(err, &e) {
		return err
	}
	for _, it := range items {
		if strings.Contains(e.Message, "'"+it.name+"' cannot be resolved") {
			moved := *e
			moved.Hint = it.name + " is the name of an output column, and these are the input's: " + sql.PrintExpr(it.expr) + " gives the same."
			return &moved
		}
	}
	return err
}

// label is what users call the key column that e computes.
func label(e sql.Expr, items []selectItem) string {
	for _, it := range items {
		if sameText(it.expr, e) {
			return it.name
		}
	}
	return sql.PrintExpr(e)
}

// replaceKeys makes items that compute a key refer to its column.
func (p *queryPlanner) replaceKeys(items []selectItem, exprs []sql.Expr) {
	for i := range items {
		for k, e := range exprs {
			if sameText(items[i].expr, e) {
				items[i].expr = column(p.keys[k].name)
			}
		}
	}
}
