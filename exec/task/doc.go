// Package task runs one query's plan: all its steps on all their partitions,
// as one commit unit.
//
//	round:    rows from the source partitions (input.go) ─> steps in topological
//	          order, exchanges in process ─> encoded output
//	commit:   changes held back ─> output + changelog + input positions, one
//	          transaction ─> state merged, visible to readers
//	cut:      now and then, and at a clean stop, what is committed goes to the
//	          database below the stores, in the background
//	restore:  database, up to its stamp ─> changelog, up to its end ─> positions
//
// # Exactly once
//
// The log's transaction is the only truth. In one transaction are the output
// records, the new value of each changed key (in the query's changelog, with
// stream times beside the keys), and the input positions. So after any crash
// there is, for some commit, all of it and nothing beyond it.
//
//   - Nothing is lost: the input after the committed positions is read again, and
//     it is read into the state as of exactly those positions.
//   - Nothing is there twice: output of a transaction that did not end is never
//     readable, and state that is not committed is in memory only.
//   - The database may be behind the changelog, never ahead of it: a cut holds only what
//     is committed and carries the changelog's position it belongs to (topic id,
//     epoch, next offset), in one batch. Values are absolute, so replaying more than
//     is needed does no harm. A stamp that the changelog does not bear out (another
//     topic, a tail that was lost) wipes that partition, and it is replayed whole.
//
// The order of restore.go: the new writer first, which ends or fences whatever
// an earlier one has begun; then the positions; then the changelog's high
// watermark; then everything up to it, waiting for transactions that are still
// open before it.
//
// Any error, also of a commit whose outcome is not known, takes the same way:
// Recover drops the overlays and opens again, from the state in memory in place of
// the database. There is one way to recover.
//
// A commit without effect is lazy: positions alone are written after a while,
// or at a stop. After a crash rows that had no effect are read again.
package task
