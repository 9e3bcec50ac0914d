// Package planner turns a statement into what it does: a change of the catalog
// and, for a query, a plan. It is pure: the same statement, catalog, facts and
// settings give the same result, so that a replay asks nobody.
//
//	sql.Statement ─Plan(catalog, facts, settings)─> Result{Change, Topic, Plan}
//
// A query is planned bottom up:
//
//	FROM ─> joins ─> WHERE ─> GROUP BY / PARTITION BY ─> HAVING ─> SELECT ─> sink
//
// and pruned from the top down of columns that nothing uses.
//
// # Names
//
// Columns of a single source keep their names in the plan; those of joined
// sources are called ALIAS_COLUMN. Expressions are rewritten to those names and
// kept as text. A key column knows all expressions that have its value
// (keyColumn): after ON a.x = b.y both a.x and b.y may name the key of the
// result. A key that is no source's column goes by ROWKEY.
//
// # Where rows lie
//
// Joins and groups need equal keys in one partition. A topic that takes writes
// from outside may be placed by another rule than ours, so its rows always go
// through an exchange, also if the key stays; those of a topic that one of our
// queries made do only if the key or its bytes change. Behind an exchange there
// are as many partitions as the source with the most has, so sources with
// different counts join, which ksqlDB refuses. PARTITION BY needs no exchange:
// the sink places rows.
//
// # Previous rows
//
// A group over a table takes replaced rows back, and a filter over a table must
// know whether a key that does not pass now did before. Both ask the steps
// below for Retract rows (retractBelow), down to what knows them: an aggregate,
// a join of tables, or a source that is materialized for it.
package planner
