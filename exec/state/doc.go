// Package state keeps what queries remember: keyed stores in memory with an
// overlay for what is not committed yet, and Pebble below.
//
//	Probe ─> overlay ─miss─> committed table ─> copied into the overlay
//	commit:  Merge moves the overlay into the committed table
//	abort:   Abort drops it
//	cut:     DB.WriteCut writes the keys changed since the last cut, with a
//	         stamp, as one batch: Pebble is behind the log, never ahead of it
//	open:    Store.Load reads what Pebble has; the stamp says where to go on
//
// A Table is pointer free: keys lie in one buffer, values in slots of fixed
// width that aggregate kernels change in place (see vector.Cells), variable
// parts in a vector.Blobs. Slots are given out in order of first arrival, so
// that iteration is the same in every run.
//
// # Concurrency
//
// One task writes a store. Pull queries read the committed table from other
// goroutines: they take the store's read lock, which Merge holds for writing,
// so that they see one commit whole or not at all.
package state
