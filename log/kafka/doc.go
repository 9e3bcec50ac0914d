// Package kafka keeps the contract of log.Log on an Apache Kafka cluster, 3.0
// or later, through franz-go.
//
//	Fetch ─> broker's raw batches ─> log.Records, the one codec
//	Produce ─> pipeline ─> sender: idempotent batches, one request a leader
//	Writer ─> its worker: sender, offsets, end of the transaction, in order
//	Watch <─ watcher: long polls at the ends that readers have come to
//
// franz-go does connections, authentication, protocol versions and the routing
// of administrative requests. Batches are sent and fetched as they are: they
// are encoded and decoded nowhere but in package log.
//
// # Transactions
//
// A Writer is a transactional producer; its worker does one transaction after
// the other. What is appended goes out once a megabyte has gathered, or with
// the commit, so an abort of little costs nothing. A commit sends what is left
// and the offsets, ends the transaction, and is done when the coordinator says
// that its markers are written, since only then others can read it. Where the
// cluster has transaction.version 2 (KIP-890), the protocol of that is used: a
// request of an earlier transaction can then do no harm to a later one.
//
// Whatever goes wrong within a transaction, the way out is the same: it is
// aborted, and with a new epoch sequence numbers begin again. If the answer to the end of a transaction is
// lost for good, the outcome is unknown (log.ErrFailed) and the writer takes
// nothing more; opening it again settles what became of it.
//
// # Watching
//
// A cluster may hold thousands of topics that nobody here reads. So Watch tells
// of the topics whose end a Fetch has come to, and of those written to through
// this Log. A Fetch that finds nothing leaves its position with the watcher; a
// long poll waits there, and what it brings is kept for the next Fetch, within
// bounds.
//
// # Failures
//
// Requests are repeated while leaders move and brokers restart, for
// Options.Patience; then the error says what was tried and what to look at.
package kafka
