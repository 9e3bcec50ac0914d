// Package segment is the embedded log: topics and partitions kept in segment
// files on a vfs.FS, made durable by one journal per data directory.
//
//	Produce, Writer.Commit ─> queue ─> committer: one journal entry, one fsync
//	                                      │ (durable here)
//	                                      ├> segment files, page cache only
//	                                      └> high watermarks, group offsets, watchers
//	Fetch <─ segment files
//
// # Files
//
//	LOCK                                  held while the log is open
//	checkpoint                            JSON and its CRC: the state as of a journal's start
//	journal-N, journal-N+1, …             what has happened since
//	topics/<topic id>/<partition>/<base offset>.log   record batches, back to back
//
// A journal is a header and a sequence of entries, each the work of one group
// commit. Integers are big endian:
//
//	magic "KSTJ"  uint32          magic "KSTE"  uint32
//	version       uint32          length        uint32   of the payload
//	flags         uint32          CRC-32C       uint32   of sequence and payload
//	CRC-32C       uint32          sequence      uint64   counts on without gaps
//	sequence      uint64          payload       operations, see op.go
//
// # Transactions
//
// A Writer gathers its transaction in memory, and all of it (batches, group
// offsets) goes into one journal entry, which is written whole or not at all.
// The entry is the decision: there is no moment, before or after a crash, at
// which a part of the transaction is readable, nothing of an aborted one ever
// reaches the disk, and no reader waits behind an open one. So these batches
// carry no transactional bit and need no markers; the last stable offset is
// the high watermark. Transactions of producers that come in through the Kafka
// protocol, who append before they have decided, will need both.
//
// # Durability
//
// What is in the journal has happened. Segments are filled from it without
// fsync. A checkpoint begins a new journal, syncs the segments while appends
// go on, then names the new journal in place of the old ones and drops those.
// Batches of LargeBatchBytes or more are written and synced to their segment
// first and the journal only says where they are. Files of deleted topics and
// trimmed segments go once no checkpoint names them.
//
// On open segments are cut back to what the checkpoint says, and the journals
// are applied again. A torn last entry was never acknowledged and is dropped.
// An entry that is broken before a whole one is corruption, and the log
// refuses to open rather than lose what it acknowledged; with NoSync, where
// that is what a power cut leaves, the log goes back to the last entry before.
// The leader epoch is raised unless the log was closed in order.
//
// After a failed write or fsync nothing is accepted any more: the page cache
// can't be trusted then, and a second fsync would lie. Reads go on.
//
// Everything else (offset and time indexes) is derived from the segments.
package segment
