package sql

import "karst/sql/types"

// A QueryExpr is a SELECT or a set operation of several.
type QueryExpr interface {
	// Pos is where the query begins in its statement's text.
	Pos() types.Pos
	query()
}

// A Query is one SELECT.
type Query struct {
	At          types.Pos
	With        []CTE
	Recursive   bool // WITH RECURSIVE
	Distinct    bool
	Items       []SelectItem
	From        Relation // nil only within set operations and subqueries without FROM
	Window      *WindowClause
	Where       Expr
	GroupBy     []Expr
	GroupAt     types.Pos
	PartitionBy []Expr
	Having      Expr
	OrderBy     []OrderItem
	Emit        Emit
	Limit       *int64
}

// A SetOp is left UNION [ALL] | INTERSECT | EXCEPT right. What stands after
// the last SELECT of a set operation belongs to the whole.
type SetOp struct {
	At          types.Pos
	With        []CTE
	Recursive   bool
	Op          string
	Left, Right QueryExpr
	OrderBy     []OrderItem
	Emit        Emit
	Limit       *int64
}

func (*Query) query() {}
func (*SetOp) query() {}

// Pos implements QueryExpr.
func (q *Query) Pos() types.Pos { return q.At }

// Pos implements QueryExpr.
func (q *SetOp) Pos() types.Pos { return q.At }

// A CTE is one element of WITH.
type CTE struct {
	Name  string
	Query QueryExpr
}

// Emit is a query's EMIT clause.
type Emit uint8

// The EMIT clauses.
const (
	EmitNone Emit = iota
	EmitChanges
	EmitFinal
)

// A SelectItem is an expression with an optional alias, or * or source.*.
type SelectItem struct {
	At     types.Pos
	Expr   Expr   // nil for a star
	Alias  string // "" if none
	Source string // of source.*
}

// A Relation is what FROM reads; the set is sealed.
type Relation interface{ relation() }

type (
	// A SourceRef is a stream or table, with its alias (its name if none was
	// given).
	SourceRef struct {
		At    types.Pos
		Name  string
		Alias string
	}
	// A Join joins two relations.
	Join struct {
		At          types.Pos
		Type        JoinType
		Left, Right Relation
		Within      *Within
		On          Expr
	}
	// A Derived is a query in FROM.
	Derived struct {
		At    types.Pos
		Query QueryExpr
		Alias string
	}
)

func (*SourceRef) relation() {}
func (*Join) relation()      {}
func (*Derived) relation()   {}

// JoinType is the kind of a join.
type JoinType string

// The join types.
const (
	InnerJoin JoinType = "INNER"
	LeftJoin  JoinType = "LEFT"
	RightJoin JoinType = "RIGHT"
	FullJoin  JoinType = "FULL"
	CrossJoin JoinType = "CROSS"
)

// A Duration is a number of a unit, as written.
type Duration struct {
	N    int64
	Unit string // singular: MILLISECOND, SECOND, MINUTE, HOUR, DAY
}

// unitMS are the units' lengths in milliseconds.
var unitMS = map[string]int64{"MILLISECOND": 1, "SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}

// MS returns the duration in milliseconds.
func (d Duration) MS() int64 { return d.N * unitMS[d.Unit] }

// A Within is a join's WITHIN before, after [GRACE PERIOD].
type Within struct {
	At            types.Pos
	Before, After Duration
	Grace         *Duration
}

// A WindowClause is WINDOW TUMBLING|HOPPING|SESSION (…).
type WindowClause struct {
	At        types.Pos
	Name      string // optional name before the kind
	Kind      string // TUMBLING, HOPPING, SESSION
	Size      Duration
	Advance   Duration // of hopping windows
	Gap       Duration // of session windows
	Retention *Duration
	Grace     *Duration
}
