package log

import (
	"context"
	"encoding/hex"
)

// TopicID identifies a topic for ever; a topic created again under the same
// name has another.
type TopicID [16]byte

// String returns the id as hexadecimal digits.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// A Partition names one partition of a topic.
type Partition struct {
	Topic string
	Index int32
}

// A Topic describes a topic.
type Topic struct {
	Name       string
	ID         TopicID
	Partitions int32
	// Config holds the settings given at creation, named as Kafka names them
	// (retention.ms, cleanup.policy, …).
	Config map[string]string
	// Offline lists the partitions of which nothing can be read or written
	// (ErrOffline), ascending.
	Offline []int32 `json:"-"`
}

// Bounds are the ends of a partition.
type Bounds struct {
	Start         int64 // first offset kept
	HighWatermark int64 // next offset after the last durable record
	LastStable    int64 // first offset of an open transaction, or HighWatermark
	// LeaderEpoch is the one in force, which the next records will carry. It is
	// raised whenever records that a reader may have seen could have been lost.
	LeaderEpoch int32
}

// A Log is what the engine needs of a log. All methods may be called from any
// goroutine.
type Log interface {
	// CreateTopic makes a topic; ErrTopicExists if the name is taken.
	CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (Topic, error)
	// DeleteTopic drops a topic and its records.
	DeleteTopic(ctx context.Context, name string) error
	// Topic describes a topic; ErrUnknownTopic if there is none.
	Topic(ctx context.Context, name string) (Topic, error)
	// Topics lists all topics by name.
	Topics(ctx context.Context) ([]Topic, error)
	// Bounds returns a partition's ends as of now; with ErrOffline the leader
	// epoch alone.
	Bounds(ctx context.Context, p Partition) (Bounds, error)
	// EpochEnd returns the offset after the last record of that leader epoch or
	// an earlier one, -1 if the epoch is newer than the partition's. A position
	// (epoch, next) is still good iff EpochEnd(epoch) is at least next.
	EpochEnd(ctx context.Context, p Partition, epoch int32) (int64, error)
	// OffsetForTime returns the first offset whose record has a timestamp of
	// at least ms, or where committed reads end now if there is none.
	OffsetForTime(ctx context.Context, p Partition, ms int64) (int64, error)
	// Fetch decodes committed records from offset on into r, replacing its
	// content: at least one batch if there is one, then more up to about
	// maxBytes. It never waits; no records is not an error. The returned
	// offset is where to go on; it may lie beyond the last record, and with no
	// record, where transaction markers and aborted batches were stepped over. An offset below the start or above the high
	// watermark is an *OffsetRangeError.
	Fetch(ctx context.Context, p Partition, offset int64, maxBytes int, r *Records) (next int64, err error)
	// Watch calls wake, which must not block, with the topic's name whenever
	// records of it become readable, until the returned function is called.
	Watch(wake func(topic string)) (stop func())
	// Produce appends batches without a transaction and returns once they
	// are durable. On the embedded log all or none of the batches of one call
	// become readable. The log keeps the bytes until Produce has returned nil
	// or an error other than that of ctx; it then has set each batch's base
	// offset in place. Topics that are compacted take no records without a key:
	// ErrInvalidRecord, as of a Writer.
	Produce(ctx context.Context, batches []Append) error
	// Trim removes the records before offset, Kafka's DeleteRecords.
	Trim(ctx context.Context, p Partition, offset int64) error
	// OpenWriter returns the transactional producer with that id, fencing any
	// earlier one: when it returns, each transaction of an earlier one has
	// either ended, so that CommittedOffsets and Fetch show it, or never will.
	OpenWriter(ctx context.Context, transactionalID string) (Writer, error)
	// CommittedOffsets returns the offsets a group has committed.
	CommittedOffsets(ctx context.Context, group string) (map[Partition]int64, error)
	// DeleteGroup forgets a group's offsets.
	DeleteGroup(ctx context.Context, group string) error
}

// An Append is one encoded record batch for a partition. Its base offset is
// set by the log, in place.
type Append struct {
	Partition Partition
	Batch     []byte
}

// A Writer is a transactional producer. It has one transaction open at a time,
// begun by the first Append or Offsets after the last Commit or Abort. It is
// used by one goroutine at a time.
type Writer interface {
	// Append adds a batch to the transaction; the log keeps the bytes until
	// the transaction has ended. After a commit each batch's header has its
	// base offset (see ReadHeader).
	Append(p Partition, batch []byte) error
	// Offsets makes the group's offsets part of the transaction.
	Offsets(group string, next map[Partition]int64) error
	// Commit ends the transaction and calls done once: with nil when its
	// records and offsets are durable and readable, all together, else with
	// the reason why none of them is, or with ErrFailed where that is not known.
	// done must not block. A commit may be under way while the next transaction
	// is begun; they end in order. A transaction with nothing in it costs no
	// write.
	Commit(done func(error))
	// Abort drops the open transaction, not one whose commit is under way.
	Abort()
	// Close gives the id free. An open transaction is dropped.
	Close()
}
