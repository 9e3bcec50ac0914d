package plan

import "karst/sql/types"

// A Step is one node of a plan; the set is sealed.
type Step interface {
	// Meta returns what all steps have.
	Meta() *Common
	// Inputs returns the steps whose output this one reads, left to right.
	Inputs() []Step
}

// Common is what every step has.
type Common struct {
	// ID is the step's role path, unique within the plan: "source.FLIGHTS",
	// "agg", "join1". State stores are named by it.
	ID string `json:"id"`
	// Schema is the step's output: key columns first, then values.
	Schema types.Schema `json:"schema"`
	// IsTable tells that the output is a table's changes, not a stream.
	IsTable bool `json:"table,omitempty"`
	// Window is set if the output's key has a window.
	Window *Window `json:"window,omitempty"`
	// Retract: each change of an existing key is preceded by a Retract row
	// with the previous value. The planner sets it where a step downstream
	// must undo.
	Retract bool `json:"retract,omitempty"`
}

// Meta implements Step.
func (c *Common) Meta() *Common { return c }

// WindowKind is the kind of a window.
type WindowKind string

// The window kinds.
const (
	Tumbling WindowKind = "TUMBLING"
	Hopping  WindowKind = "HOPPING"
	Session  WindowKind = "SESSION"
)

// A Window describes the windows of an aggregate or of a windowed key.
type Window struct {
	Kind        WindowKind `json:"kind"`
	SizeMS      int64      `json:"sizeMs,omitempty"`      // of tumbling and hopping windows; 0 if unknown
	AdvanceMS   int64      `json:"advanceMs,omitempty"`   // of hopping windows
	GapMS       int64      `json:"gapMs,omitempty"`       // of session windows
	GraceMS     *int64     `json:"graceMs,omitempty"`     // nil: not given, the default of 24 h applies
	RetentionMS *int64     `json:"retentionMs,omitempty"` // nil: not given
}

// A Format says how keys or values are serialized.
type Format struct {
	Name       string            `json:"name"` // JSON, DELIMITED, KAFKA, NONE…
	Properties map[string]string `json:"properties,omitempty"`
	// SchemaID is the registry's schema that records are written with; 0: the
	// one that is derived from the columns.
	SchemaID int `json:"schemaId,omitempty"`
	// WrapSingle tells whether a single column stands in an envelope; nil is
	// the format's default for keys or values.
	WrapSingle *bool `json:"wrapSingle,omitempty"`
}

// The properties of formats with schemas.
const (
	FullName = "fullSchemaName"         // of the record or message
	Nullable = "nullableRepresentation" // OPTIONAL or WRAPPER, of Protobuf's fields
)

// A Timestamp says where a record's event time comes from, or goes to.
type Timestamp struct {
	Column string `json:"column"`
	// Pattern is the date pattern of a STRING column; empty for BIGINT (ms)
	// and TIMESTAMP columns.
	Pattern string `json:"pattern,omitempty"`
	// Throw: a record whose time can't be read stops the query instead of
	// being skipped (ksql.timestamp.throw.on.invalid).
	Throw bool `json:"throw,omitempty"`
}

// An Expr is a named expression over the input step's schema.
type Expr struct {
	Name string      `json:"name"`
	Text string      `json:"text"` // canonical text
	Type *types.Type `json:"type"`
}

// A Source reads a topic. Its output has the source's declared columns, keys
// first; which of them are decoded follows from what steps above it refer to.
type Source struct {
	Common
	Source      string     `json:"source"` // name in the catalog
	Topic       string     `json:"topic"`
	KeyFormat   Format     `json:"keyFormat"`
	ValueFormat Format     `json:"valueFormat"`
	Timestamp   *Timestamp `json:"timestamp,omitempty"`
	// Materialized: the step keeps the table's current rows in a store under
	// its id, so that it knows previous values.
	Materialized bool `json:"materialized,omitempty"`
}

// A Filter keeps the rows for which Predicate is true. Over a table a row
// that does not pass becomes a Delete; if the input has Retract rows it does
// so only if the key's previous row passed, else it is left out.
type Filter struct {
	Common
	Input     Step   `json:"-"`
	Predicate string `json:"predicate"`
}

// A Project computes new value columns. Key columns keep their values; they
// may be renamed (Keys[i] is the new name of the input's i-th key column).
type Project struct {
	Common
	Input  Step     `json:"-"`
	Keys   []string `json:"keys,omitempty"`
	Values []Expr   `json:"values"`
}

// An Explode appends one column for each table function and gives one row for
// each of the values they return, side by side; shorter ones end in nulls.
type Explode struct {
	Common
	Input Step   `json:"-"`
	Calls []Expr `json:"calls"`
}

// A Rekey gives rows a new key, in the order of Keys; without Keys the new
// key is null (PARTITION BY NULL). The output's values are those columns of
// the input, keys or values, that Schema's value columns name.
type Rekey struct {
	Common
	Input Step   `json:"-"`
	Keys  []Expr `json:"keys"`
	// DropNulls: a row for which any of the keys is null goes no further, as
	// in GROUP BY.
	DropNulls bool `json:"dropNulls,omitempty"`
}

// Carrier is how an Exchange moves rows.
type Carrier string

// The carriers.
const (
	InProcess Carrier = "IN_PROCESS" // within the commit unit, on the embedded log
	ByTopic   Carrier = "TOPIC"      // through a repartition topic, on a Kafka cluster
)

// An Exchange moves each row to the partition its key belongs to: murmur2
// over the key's bytes in KeyFormat, modulo Partitions; a null key round
// robin.
type Exchange struct {
	Common
	Input      Step    `json:"-"`
	Partitions int     `json:"partitions"`
	Carrier    Carrier `json:"carrier"`
	KeyFormat  Format  `json:"keyFormat"`
}

// An AggregateCall is one aggregate function of an Aggregate.
type AggregateCall struct {
	Name     string      `json:"name"` // output column
	Function string      `json:"function"`
	Args     []Expr      `json:"args"`
	Type     *types.Type `json:"type"`
}

// An Aggregate folds the rows of each key, or of each key and window. The
// output is a table: the input's key, then one column for each call. Columns
// of the input that stand beside aggregates are carried as calls of
// LATEST_BY_OFFSET-like function "__CARRY".
type Aggregate struct {
	Common
	Input Step            `json:"-"`
	Calls []AggregateCall `json:"calls"`
	// Undo: the input is a table; Retract rows are taken back.
	Undo bool `json:"undo,omitempty"`
	// EmitFinal: only the last value of each window is emitted, once it is
	// closed.
	EmitFinal bool `json:"emitFinal,omitempty"`
}

// JoinType is the kind of a join.
type JoinType string

// The join types.
const (
	InnerJoin JoinType = "INNER"
	LeftJoin  JoinType = "LEFT"
	RightJoin JoinType = "RIGHT"
	FullJoin  JoinType = "FULL"
)

// A StreamStreamJoin joins rows of equal key that are at most BeforeMS and
// AfterMS apart: left.time - BeforeMS ≤ right.time ≤ left.time + AfterMS.
// The output is a stream: the key, the left's values, the right's values.
type StreamStreamJoin struct {
	Common
	Left, Right Step     `json:"-"`
	Type        JoinType `json:"joinType"`
	BeforeMS    int64    `json:"beforeMs"`
	AfterMS     int64    `json:"afterMs"`
	// GraceMS nil: rows without partner are emitted at once and again when a
	// partner comes; else when the window has closed.
	GraceMS *int64 `json:"graceMs,omitempty"`
}

// A StreamTableJoin looks each stream row's key up in a table as it is at the
// row's time. The output is a stream: the key, the stream's values, the
// table's values. Type is INNER or LEFT.
type StreamTableJoin struct {
	Common
	Stream, Table Step     `json:"-"`
	Type          JoinType `json:"joinType"`
}

// A TableTableJoin joins two tables on their primary keys. The output is a
// table: the key, the left's values, the right's values.
type TableTableJoin struct {
	Common
	Left, Right Step     `json:"-"`
	Type        JoinType `json:"joinType"`
}

// A foreign-key join of two tables is three steps with exchanges between them:
//
//	left, by primary key ─> ForeignKeySubscribe ─exchange by foreign key─┐
//	right, by primary key ──────────────────────> ForeignKeyAnswer <─────┘
//	                                                └─exchange by left's primary key─> ForeignKeyResult
//
// Each left row carries a version, which grows with every change of the left
// side; an answer to an older version than one seen already is stale.

// A ForeignKeySubscribe tells the right side of a foreign-key join of each
// change of the left one. The output's key is the foreign key; its values are
// the left's key and value columns, then Version and Note.
type ForeignKeySubscribe struct {
	Common
	Input      Step     `json:"-"`
	ForeignKey Expr     `json:"foreignKey"`
	Type       JoinType `json:"joinType"` // INNER or LEFT
}

// The columns that a ForeignKeySubscribe adds.
const (
	ForeignKeyVersion = "KSQL_FK_VERSION" // BIGINT
	ForeignKeyNote    = "KSQL_FK_NOTE"    // INTEGER, see exec/operator
)

// A ForeignKeyAnswer keeps subscriptions and the right table's rows, and
// answers to each change of either. Its output is keyed by the left's primary
// key; the values are the left's, the right's, then the Version. A right row's
// subscribers are answered in the order of their keys' bytes in KeyFormat.
type ForeignKeyAnswer struct {
	Common
	Left, Right Step     `json:"-"`
	Type        JoinType `json:"joinType"`
	KeyFormat   Format   `json:"keyFormat"`
}

// A ForeignKeyResult drops stale answers and the Version; the output is the
// joined table.
type ForeignKeyResult struct {
	Common
	Input Step `json:"-"`
}

// A Sink writes a topic; the root of a persistent query. Its schema has the
// input's columns, by name.
type Sink struct {
	Common
	Input       Step       `json:"-"`
	Sink        string     `json:"sink"` // name in the catalog
	Topic       string     `json:"topic"`
	KeyFormat   Format     `json:"keyFormat"`
	ValueFormat Format     `json:"valueFormat"`
	Timestamp   *Timestamp `json:"timestamp,omitempty"`
	// Materialized: the step keeps the table's current rows in a store under
	// its id, for pull queries. It is set for a table of which no Aggregate
	// below (with nothing but Filters and Projects between) has the rows.
	Materialized bool `json:"materialized,omitempty"`
}

// An Output hands rows to a client; the root of a push query. Its schema lists
// the client's columns in the order of the SELECT, keys among them; each is
// the input's column of that name.
type Output struct {
	Common
	Input Step   `json:"-"`
	Limit *int64 `json:"limit,omitempty"`
}
