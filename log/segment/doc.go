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
//	checkpoint                            JSON: the state as of a journal's start
//	journal-N                             what has happened since
//	topics/<topic id>/<partition>/<base offset>.log   record batches, back to back
//
// A journal is a sequence of entries, each the work of one group commit:
//
//	magic "KSTJ"  uint32   big endian, as all
//	length        uint32   of the payload
//	CRC-32C       uint32   of sequence and payload
//	sequence      uint64   counts on from the checkpoint's, without gaps
//	payload       operations, see op.go
//
// # Durability
//
// What is in the journal has happened. An entry is all or nothing, so the
// batches and offsets of one transaction, which always stand in one entry, are
// too: there is no state in which a part of them is readable. Segments are
// filled from the journal without fsync; a checkpoint syncs them, then names a
// new journal, then drops the old one. Batches of LargeBatchBytes or more are
// written and synced to their segment first and the journal only names them.
//
// On open segments are cut back to what the checkpoint says, and the journal
// is applied again. A torn last entry was never acknowledged and is dropped.
// An entry that is broken before a whole one is corruption: the log refuses to
// open. After a failed write or fsync nothing is accepted any more (the page
// cache can't be trusted then); what was acknowledged is found by the next
// open.
//
// Everything else (offset and time indexes) is derived from the segments.
package segment
