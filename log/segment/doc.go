// Package segment is the embedded log: topics and partitions kept in segment
// files on a vfs.FS, made durable by one journal per data directory.
//
//	Produce, Writer.Commit ─> queue ─> committer: one journal entry, one fsync
//	                                      │ (durable here)
//	                                      ├> extents: what of a segment is in the journal
//	                                      └> high watermarks, group offsets, watchers
//	checkpoint: journal ─> segment files, synced; the journal is free
//	Fetch <─ segment files, and journals where those lack extents; files that
//	         nobody reads for a while are closed (cold.go)
//
// # Files
//
//	LOCK                                  held while the log is open
//	checkpoint                            JSON and its CRC: the state as of a journal's start
//	journal-N, journal-N+1, …             what has happened since
//	held-<topic id>-<partition>           what journals had for a partition that is offline
//	reserve                               disk space given free when the disk is full
//	topics/<topic id>/<partition>/<base offset>[.<generation>].log
//	                                      record batches, back to back
//
// A journal is a header and a sequence of entries, each the work of one group
// commit. Integers are big endian:
//
//	magic "KSTJ"  uint32          magic "KSTE"  uint32
//	version       uint32          length        uint32   of the payload
//	flags         uint32          CRC-32C       uint32   of sequence and payload, see below
//	CRC-32C       uint32          sequence      uint64   counts on without gaps
//	sequence      uint64          payload       operations and batches, see entry.go and op.go
//	number        uint64
//	salt          uint64
//
// A journal that is no longer needed is written over by a later one. The CRC of
// an entry goes on from that of its journal's header, which the salt makes
// another for each, so what the file held before is no entry. Zeros of an entry's
// header follow the last entry.
//
// # Requests
//
// Whatever changes the log is a request in the queue of the committer. It checks
// one after the other against its own state, which runs ahead of what is
// durable: next offsets, producers' sequences (producer.go), transactions
// (txn.go). The requests that are not refused make one journal entry; once that
// is durable their effects become visible all at once: high watermarks, last
// stable offsets, group offsets (offsets.go), topics. When the journal is read
// again at start, the same functions make the same state. A failed write ends
// the log, so that nothing that ran ahead is ever taken back.
//
// # Transactions
//
// A Writer gathers its transaction in memory, and all of it (batches, group
// offsets) goes into one journal entry, which is written whole or not at all.
// The entry is the decision: there is no moment, before or after a crash, at
// which a part of the transaction is readable, nothing of an aborted one ever
// reaches the disk, and no reader waits behind an open one. So these batches
// carry no transactional bit and need no markers.
//
// Producers that come in through the Kafka protocol append before they have
// decided. Their batches are readable uncommitted at once, and hold back the
// last stable offset. The end of such a transaction is one journal entry: the
// decision (txnEnd), then a marker for each partition; with it offsets kept for
// groups are committed. Before the entry is durable the transaction is open,
// after it ended everywhere, so no state between the two needs to be kept or
// repaired. What was aborted stays in the segments; each partition has the list
// of its aborted transactions, which committed reads leave out.
//
// # Durability
//
// What is in the journal has happened, and there it stays until a checkpoint,
// where readers find it (extent.go); only short batches are put in their segments
// at once, without fsync. A checkpoint begins a new journal, fills and syncs the
// segments while appends go on, then names the new journal in place of the old
// one and drops that. In a flood it waits, within bounds, for the flood's end
// (space.go).
// Batches of a segment that come to LargeRunBytes or more are written and synced
// there first and the journal only says where they are. Files of deleted topics,
// trimmed and compacted segments go once no checkpoint names them.
//
// On open segments are cut back to what the checkpoint says, and the journals
// are applied again. A torn last entry was never acknowledged and is dropped.
// An entry that is broken before a whole one is corruption, and the log
// refuses to open rather than lose what it acknowledged; with NoSync, where
// that is what a power cut leaves, the log goes back to the last entry before.
// The leader epoch is raised unless the log was closed in order.
//
// What is wrong with the files of one partition takes that partition offline, not
// the log (offline.go): they are left as they are, what the journals have for
// it is kept, and once the missing file is back the next start has it whole.
// A bad batch that a reader comes upon is an error of that read.
//
// After a failed write or fsync nothing is accepted any more: the page cache
// can't be trusted then, and a second fsync would lie. Reads go on. A full disk
// is no failure: the reserve is given free, the write goes on, and records are
// refused until there is space again (space.go). Where another program has taken
// the reserve's space, too, a checkpoint waits: the journals keep what it would
// have put elsewhere. Nor is it a failure that no more files can be opened
// (shortage.go).
//
// Offset and time indexes are derived from the segments. Reads check the CRC of
// every batch, and what that does not cover (offset, length, leader epoch)
// against its neighbours, in a compacted segment against a sum.
//
// # Housekeeping
//
// Time brings changes too, and they are requests like others: transactions open
// for too long are aborted, retention moves the start of partitions up (clean.go),
// compaction puts rewritten segments in place of others (compact.go).
package segment
