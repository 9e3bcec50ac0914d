// Package operator runs the steps of a plan on batches, one partition's worth
// of rows at a time.
//
//	raw records ─Source─> batch ─Filter, Project, …─> batch ─Aggregate, joins─> batch ─Sink─> encoded records
//	                                     │ Exchange: Split by key ... Gather on the other side
//
// A task builds the operators of a sub-plan once and calls Run for each round,
// in topological order. Operators keep what outlives a round in state stores.
// All work is done on whole batches; the answer does not depend on how rows
// are cut into batches.
package operator
