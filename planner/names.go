package planner

import (
	"strconv"

	"karst/sql"
)

// A namer makes up the names of columns that have none; it never takes a name
// that a column of the query's sources has.
type namer struct {
	used map[string]bool
	next int
}

// newNamer returns a namer for the sources below r.
func (p *queryPlanner) newNamer(r sql.Relation) *namer {
	n := &namer{used: map[string]bool{}}
	for _, ref := range sourceRefs(r) {
		if src, ok := p.in.Catalog.Source(ref.Name); ok {
			for _, c := range src.Schema.Columns {
				n.used[c.Name] = true
			}
		}
	}
	return n
}

// sourceRefs returns the sources of a FROM clause, left to right.
func sourceRefs(r sql.Relation) []*sql.SourceRef {
	switch r := r.(type) {
	case *sql.SourceRef:
		return []*sql.SourceRef{r}
	case *sql.Join:
		return append(sourceRefs(r.Left), sourceRefs(r.Right)...)
	}
	return nil
}

// generated returns the next KSQL_COL_n.
func (n *namer) generated() string {
	for {
		name := "KSQL_COL_" + strconv.Itoa(n.next)
		n.next++
		if !n.used[name] {
			n.used[name] = true
			return name
		}
	}
}

// unique returns base, or base_1, base_2… if it is taken.
func (n *namer) unique(base string) string {
	name := base
	for i := 1; n.used[name]; i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	n.used[name] = true
	return name
}

// A keyColumn is one key column of a step.
type keyColumn struct {
	name string // in the step's schema
	// same are the expressions over the step's columns that have the key's
	// value, the first that a projection has names the key.
	same []sql.Expr
}

func column(name string) sql.Expr { return &sql.ColumnRef{Name: name} }

func sameText(a, b sql.Expr) bool { return sql.PrintExpr(a) == sql.PrintExpr(b) }

// is reports whether e has the key's value.
func (k keyColumn) is(e sql.Expr) bool {
	for _, s := range k.same {
		if sameText(s, e) {
			return true
		}
	}
	return false
}

// columns returns those of same that are columns.
func (k keyColumn) columns() []sql.Expr {
	var out []sql.Expr
	for _, e := range k.same {
		if _, ok := e.(*sql.ColumnRef); ok {
			out = append(out, e)
		}
	}
	return out
}
