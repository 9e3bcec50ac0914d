package expr

import (
	"strings"

	"karst/sql"
	"karst/sql/types"
	"karst/sql/vector"
)

// A Column is a column of the batches a program runs on.
type Column struct {
	Source string // alias that may qualify it, or ""
	Name   string
	Type   *types.Type
}

// A Scope says which names an expression may use: columns by their position
// in the batch, and the rows' metadata by the pseudo columns' names.
type Scope struct {
	Columns []Column
	// Windowed: WINDOWSTART and WINDOWEND are known.
	Windowed bool
	// Settings are the session's properties that functions ask for.
	Settings map[string]string
}

// ScopeOf returns the scope of a schema's columns.
func ScopeOf(s types.Schema, windowed bool) Scope {
	sc := Scope{Windowed: windowed}
	for _, c := range s.Columns {
		sc.Columns = append(sc.Columns, Column{Name: c.Name, Type: c.Type})
	}
	return sc
}

func (s Scope) find(source, name string) int {
	found := -1
	for i, c := range s.Columns {
		if c.Name == name && (source == "" || c.Source == source) {
			if found >= 0 && s.Columns[found].Source != c.Source {
				return -2
			}
			found = i
		}
	}
	return found
}

// PseudoType returns the type of a pseudo column, nil of other names.
func PseudoType(name string) *types.Type {
	switch name {
	case types.RowTime, types.RowOffset, types.WindowStart, types.WindowEnd:
		return types.Bigint
	case types.RowPartition:
		return types.Int
	}
	return nil
}

func (k *compiler) column(e *sql.ColumnRef) typed {
	if e.Source == "" {
		if p, ok := k.params[e.Name]; ok {
			return k.param(p, e.Pos())
		}
	}
	i := k.scope.find(e.Source, e.Name)
	switch {
	case i >= 0:
		k.use(i)
		return typed{typ: k.scope.Columns[i].Type, at: e.Pos(), eval: func(_ *Context, b *vector.Batch, _ []int32) *vector.Vector { return b.Cols[i] }}
	case i == -2:
		var could []string
		for _, c := range k.scope.Columns {
			if c.Name == e.Name {
				could = append(could, c.Source+"."+c.Name)
			}
		}
		k.fail(e.Pos(), "Column '"+e.Name+"' is ambiguous", "It may be "+strings.Join(could, " or ")+".")
		return typed{}
	}
	window := e.Name == types.WindowStart || e.Name == types.WindowEnd
	if t := PseudoType(e.Name); t != nil && e.Source == "" && (!window || k.scope.Windowed) {
		k.use(metaColumn)
		return typed{typ: t, at: e.Pos(), eval: pseudo(e.Name)}
	}
	if unit := intervalUnits[e.Name]; e.Source == "" && unit != "" {
		return typed{typ: types.Interval, at: e.Pos(), unit: unit}
	}
	name := e.Name
	if e.Source != "" {
		name = e.Source + "." + name
	}
	k.fail(e.Pos(), "Column '"+name+"' cannot be resolved", k.nearest(e.Name))
	return typed{}
}

func pseudo(name string) evaluator {
	return func(c *Context, b *vector.Batch, _ []int32) *vector.Vector {
		switch name {
		case types.RowTime:
			return &vector.Vector{Type: types.Bigint, Len: b.N, I64: b.Time}
		case types.WindowStart:
			return &vector.Vector{Type: types.Bigint, Len: b.N, I64: b.WindowStart}
		case types.WindowEnd:
			return &vector.Vector{Type: types.Bigint, Len: b.N, I64: b.WindowEnd}
		case types.RowPartition:
			if b.Partition == nil {
				return vector.NewNull(c.Arena, types.Int, b.N)
			}
			return &vector.Vector{Type: types.Int, Len: b.N, I32: b.Partition}
		}
		if b.Offset == nil {
			return vector.NewNull(c.Arena, types.Bigint, b.N)
		}
		return &vector.Vector{Type: types.Bigint, Len: b.N, I64: b.Offset}
	}
}

// intervalUnits are the bare words for units of time, one or many.
var intervalUnits = func() map[string]string {
	units := map[string]string{}
	for _, u := range []string{"MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"} {
		units[u], units[strings.TrimSuffix(u, "S")] = u, u
	}
	return units
}()

// nearest returns a hint with the column whose name is closest.
func (k *compiler) nearest(name string) string {
	var names []string
	for _, c := range k.scope.Columns {
		names = append(names, c.Name)
	}
	if n := types.Nearest(name, names); n != "" {
		return "Did you mean " + n + "?"
	}
	if len(names) == 0 {
		return ""
	}
	return "Columns: " + strings.Join(names, ", ") + "."
}
