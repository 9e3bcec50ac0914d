package log

import "context"

// A Broker serves the Kafka protocol from raw batches, stored and handed out as
// they came; only the embedded log is one. Its group and transaction
// coordinators come with the protocol.
type Broker interface {
	Log
	// FetchRaw appends to dst whole encoded batches from the one that holds
	// offset on: at least one if there is one, then more up to about maxBytes.
	// Bounds and errors are those of Fetch. Nothing is decoded or filtered: a
	// reader of committed records must be given no batch at or beyond the
	// last stable offset, and the list of aborted transactions.
	FetchRaw(ctx context.Context, p Partition, offset int64, maxBytes int, dst []byte) ([]byte, error)
}
