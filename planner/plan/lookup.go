package plan

import "karst/sql"

// A Lookup is what a pull query's WHERE says of the rows it can be about: any
// of some alternatives. The rows are filtered by WHERE all the same, so that a
// Lookup may leave out what it can't say. Without alternatives all rows count.
type Lookup struct {
	Alternatives []Alternative
}

// An Alternative is one way in which a row can pass.
type Alternative struct {
	// Keys holds for each key column the expression it must equal, without
	// columns; nil where it may have any value.
	Keys []sql.Expr
	// Ranges are comparisons of key columns, Bounds those of WINDOWSTART and
	// WINDOWEND, with expressions without columns.
	Ranges, Bounds []Bound
	// Conditions are all that must hold, as they stand in the statement.
	Conditions []sql.Expr
}

// A Bound compares a column, left of Op, which is = <> < <= > or >=.
type Bound struct {
	Column string
	Op     string
	Value  sql.Expr
}
