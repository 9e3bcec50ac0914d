// Package task runs one query's plan: all its steps on all their partitions,
// as one commit unit.
//
//	round:   each source partition gives at most one batch ─> steps in
//	         topological order, exchanges in process ─> encoded output
//	commit:  changes held back ─> output + input positions, one transaction
//	         ─> state merged, visible to readers
//	cut:     now and then, and at a clean stop, the state goes to Pebble with
//	         the positions it belongs to
//
// # What survives what
//
// Output and input positions are one transaction of the log: they are there
// together or not at all. State in Pebble is stamped with the positions at
// which it was whole. After a clean stop both agree, and the unit goes on
// where it was. After a crash a unit with state goes on from its stamp: it reads
// again what came after, so nothing is lost and results since may repeat; a
// unit without state goes on from its committed positions exactly.
//
// Any failure drops the overlays and the open transaction and goes back to the
// last commit: there is one way to recover.
package task
