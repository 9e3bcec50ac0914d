package log

import (
	"errors"
	"fmt"
)

// Errors of both backends; test with errors.Is. Each stands for one error code
// of the Kafka protocol, see Code.
var (
	// ErrFailed says that the log can't write any more, after a disk error. What
	// was under way may or may not have happened; what was acknowledged has. Only
	// opening the log again tells.
	ErrFailed = newError(56, "the log has failed and takes no more writes until it is opened again")
	// ErrDiskFull says that nothing is written until space is free again; reads,
	// deletions and trimming go on. Nothing of what was refused has happened.
	ErrDiskFull = newError(56, "the disk is full")
	// ErrNoFiles says that a file was not opened because the process or the system
	// has as many open as it may. It may go well later. Nothing of what was refused
	// has happened.
	ErrNoFiles = newError(56, "no more files can be opened; raise the limit of open files (ulimit -n)")
	// ErrOffline says that a partition's files were found damaged when the log was
	// opened: nothing of it can be read or written until they are back and the
	// log is opened again. Other partitions are not affected.
	ErrOffline = newError(56, "the partition is offline")
	// ErrUnavailable says that nobody answers for the time being; the same may go
	// well later.
	ErrUnavailable     = newError(8, "the log cannot be reached")
	ErrUnknownTopic    = newError(3, "unknown topic or partition")
	ErrUnknownTopicID  = newError(100, "unknown topic id")
	ErrTopicExists     = newError(36, "topic already exists")
	ErrInvalidTopic    = newError(17, "invalid topic name")
	ErrPartitionsLimit = newError(37, "number of partitions out of range")
	ErrInvalidConfig   = newError(40, "invalid configuration")
	ErrPolicy          = newError(44, "not allowed by the topic's configuration")
	// ErrLimit says that one of the server's limits is reached.
	ErrLimit          = newError(44, "a limit of this server is reached")
	ErrOffsetRange    = newError(1, "offset out of range")
	ErrCorrupt        = newError(2, "corrupt data")
	ErrRecordTooLarge = newError(10, "record too large")
	ErrInvalidRecord  = newError(87, "invalid record")
	ErrTimestamp      = newError(32, "timestamp out of range")
	ErrCompression    = newError(76, "unsupported compression")
	ErrClosed         = newError(6, "log is closed")
	ErrLocked         = newError(56, "data directory is in use by another process")
	ErrInvalidRequest = newError(42, "invalid request")

	// Producers and transactions.
	ErrFenced        = newError(90, "producer fenced by a newer one with the same transactional id")
	ErrOutOfOrder    = newError(45, "batch's sequence number is not the next one")
	ErrProducerEpoch = newError(47, "producer epoch is older than the current one")
	ErrTxnState      = newError(48, "not possible in the transaction's state")
	ErrProducerID    = newError(49, "producer id is not that of the transactional id")
	ErrTxnTimeout    = newError(50, "transaction timeout out of range")
	ErrConcurrentTxn = newError(51, "the producer's transaction is still ending")
	ErrNoTxnID       = newError(105, "no such transactional id")
	// ErrTxnAbortable says that the producer has to abort its transaction and
	// may go on then.
	ErrTxnAbortable = newError(120, "the batch is not part of an open transaction")

	// Groups.
	ErrInvalidGroup     = newError(24, "invalid group id")
	ErrIllegalGen       = newError(22, "group generation is not the current one")
	ErrProtocolMismatch = newError(23, "group members have no protocol in common")
	ErrUnknownMember    = newError(25, "unknown group member")
	ErrSessionTimeout   = newError(26, "session timeout out of range")
	ErrRebalancing      = newError(27, "the group is rebalancing")
	ErrNonEmptyGroup    = newError(68, "the group has members")
	ErrUnknownGroup     = newError(69, "no such group")
	ErrMemberIDRequired = newError(79, "join again with the member id given")
	ErrGroupFull        = newError(81, "the group has as many members as it may")
	ErrFencedInstance   = newError(82, "another member has taken over the group instance id")
	ErrSubscribed       = newError(86, "the group is subscribed to the topic")
	ErrUnstableOffsets  = newError(88, "offsets are part of an open transaction")
	ErrOffsetsSize      = newError(28, "committed offsets take too much room")
	ErrMetadataTooLarge = newError(12, "offset metadata too large")
)

// A codedError is a sentinel with its code in the Kafka protocol.
type codedError struct {
	code int16
	text string
}

func newError(code int16, text string) error { return &codedError{code, text} }

func (e *codedError) Error() string { return e.text }

// Code returns the Kafka protocol's error code for err: 0 for nil, that of the
// sentinel found in it, or -1, an unknown server error.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	var e *codedError
	if errors.As(err, &e) {
		return e.code
	}
	return -1
}

// An OffsetRangeError says which offsets there are; errors.Is finds
// ErrOffsetRange in it.
type OffsetRangeError struct {
	Partition  Partition
	Offset     int64 // asked for
	Start, End int64 // those that could have been
}

func (e *OffsetRangeError) Error() string {
	return fmt.Sprintf("%v: %d of %s partition %d, which goes from %d to %d",
		ErrOffsetRange, e.Offset, e.Partition.Topic, e.Partition.Index, e.Start, e.End)
}

// Unwrap returns ErrOffsetRange.
func (e *OffsetRangeError) Unwrap() error { return ErrOffsetRange }
