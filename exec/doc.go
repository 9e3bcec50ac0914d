// Package exec is the engine: it executes statements, keeps the command log
// and runs the queries.
//
//	statement ─sql.Parse─> planner.Plan ─> command log (the record decides)
//	                                          │ applied: catalog swapped,
//	                                          │ topics made, units started
//	                                          v
//	log ─wakes─> running queries (exec/task) ─> log
//	push query = a unit whose rows go to the reader
//	pull query = the plan's stateless steps over committed state
//
// What is in the command log has happened: opening an engine folds it into the
// catalog and starts what runs. Each query has one goroutine that owns its unit;
// the engine waits for all of them in Close.
package exec
