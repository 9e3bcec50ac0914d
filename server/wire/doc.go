// Package wire is the Kafka door: it speaks the Kafka protocol over a
// log.Broker. It sees the log and an Authenticator, nothing of SQL.
//
//	connection ─frame─> header ─> table of keys (keys.go) ─> handler NN_name.go ─> log.Broker
//	     ^                                                        │
//	     └── responses, in the order of the requests <── pending ─┘
//
// One goroutine reads a connection's frames and calls the handlers one after
// the other; another waits for their answers and writes them. What takes its
// time (Produce, OffsetCommit, JoinGroup, SyncGroup) is begun by the handler and
// goes on meanwhile, so that the appends of one connection share a group commit;
// a Fetch that waits for records holds up what comes behind it on its
// connection, as in Apache Kafka.
//
// Record batches are not decoded: a produced batch is a piece of the frame that
// carried it, is checked and handed to the log; a fetched one is copied from
// the log into the response.
//
// What all connections hold together (requests from their first bytes on, what
// handling them takes, answers until they are sent) is bounded by one memory
// (memory.go); docs/kafka-limits.md lists this and the other limits.
//
// A frame is at most 64 KiB before authentication. Garbage, unknown keys and
// versions, and panics of a handler close the connection they came by and no
// other.
package wire
