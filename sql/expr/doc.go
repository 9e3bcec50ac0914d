// Package expr compiles expressions to programs over batches.
//
//	sql.Expr ─Compile(scope, library)─> Program ─Eval(batch)─> vector
//
// Compile resolves names, gives every part a type, makes coercions explicit,
// folds constants and chooses a kernel for each operator by its types, once.
// Eval runs the kernels over the selected rows of a batch; there is no
// interface call, no boxing and no allocation per row.
//
// # Nulls
//
// As in ksqlDB a comparison with NULL is FALSE; arithmetic and functions with
// a NULL argument give NULL; AND, OR and NOT know three values.
//
// # Errors
//
// Faults of the expression itself (names, types) are user errors with a
// position, found by Compile. A row whose evaluation fails (division by zero, a
// text that is no number) gives NULL and is reported.
package expr
