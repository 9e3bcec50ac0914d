// Package state keeps what queries remember: keyed stores in memory with an
// overlay for what is not committed yet, and Pebble below.
//
//	Probe ─> overlay ─miss─> committed table ─> copied into the overlay
//	commit:  Merge moves the overlay into the committed table
//	abort:   Abort drops it
//	         Changes lists what it changes, for the query's changelog
//	cut:     DB.Submit writes what was committed since the last cut, with the
//	         changelog's position as its stamp, as one batch in the background:
//	         Pebble is behind the log, never ahead of it
//	open:    Store.Restore takes the records that Pebble has, then those of the
//	         changelog from the stamp on
//
// A Table is pointer free: keys lie in one buffer, values in slots of fixed
// width that aggregate kernels change in place (see vector.Cells), variable
// parts in a vector.Blobs. Slots of removed keys are used again, and after a
// restore slots stand in another order: what iterates must not let the order
// show.
//
// # Concurrency
//
// One task writes a store. Pull queries read the committed table from other
// goroutines: they take the store's read lock, which Merge holds for writing,
// so that they see one commit whole or not at all.
package state
