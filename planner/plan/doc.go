// Package plan is what the planner makes and the engine runs: steps, their ids
// and their JSON form. It is all that exec knows of planning.
//
// A plan is a tree of steps. Records enter at Source steps, flow towards the
// root, and leave at a Sink (persistent query) or an Output (push query).
//
//	Source ─> Filter ─> Project ─> Rekey ─> Exchange ─> Aggregate ─> Project ─> Sink
//	Source ─> Rekey ─> Exchange ─┐
//	Source ──────────────────────┴> StreamTableJoin ─> Project ─> Sink
//
// Plans are kept in the command log and read back by later versions, so the
// JSON form only grows: fields are added with a zero value that means the old
// behaviour, none is renamed. Expressions are canonical text (see
// sql/expr.CanonicalText) over the column names of the input step's schema;
// ids are role paths ("agg", "join1.left") that name state stores and so stay
// what they are for the life of the query.
//
// # Rows
//
// A step's output is a stream (every row an Upsert) or a table (Upsert,
// Delete, and Retract rows if the step's parent asked for them). Names that
// are not columns of a schema, ROWTIME, ROWPARTITION, ROWOFFSET, WINDOWSTART
// and WINDOWEND, refer to the row's own metadata.
package plan
