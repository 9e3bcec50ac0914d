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
// Columns of a single source keep their names in the plan; those of joined
// sources are called ALIAS_COLUMN. Expressions are rewritten to those names and
// kept as text.
package planner
