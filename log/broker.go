package log

import (
	"context"
	"time"
)

// A Broker is what the Kafka door needs of a log beyond Log; only the embedded
// log is one. Batches are handed in and out encoded, as they came. All methods
// may be called from any goroutine; Code gives each error its protocol code.
//
// Records that come in through RawLog carry producer ids, and those of
// transactions are readable at once for who reads uncommitted; the reader of
// committed records sees them from the last stable offset down, without those
// that were aborted. Log.Fetch always reads committed records.
type Broker interface {
	Log
	RawLog
	TopicAdmin
	TransactionCoordinator
	OffsetStore
}

// A RawLog takes and gives encoded batches.
type RawLog interface {
	// ProduceRaw checks r's batches, queues them in the order of the calls, and
	// calls done once, from any goroutine or within the call, with one result for
	// each batch, when all that were taken are durable. done must not block. The
	// log keeps the bytes until then, and changes base offset and leader epoch in
	// place, for topics that say so also timestamps or compression. Each batch is
	// taken or refused for itself.
	ProduceRaw(r RawProduce, done func([]RawResult))
	// FetchRaw appends whole batches to dst, from the one that holds offset on;
	// at the end there are none, which is not an error. An offset below the start
	// or above the high watermark is an *OffsetRangeError. It never waits; see
	// Log.Watch, which also tells of the last stable offset.
	FetchRaw(ctx context.Context, r RawFetch, dst []byte) (RawFetched, error)
	// FindOffset looks an offset up by time, or one of the special offsets.
	FindOffset(ctx context.Context, q OffsetQuery) (TimedOffset, error)
	// LeaderEpochEnd returns the greatest leader epoch of p that is at most epoch,
	// with the offset after its last record; epoch itself with the first offset if
	// all records are of newer ones. Both are -1 if epoch is newer than the current
	// one.
	LeaderEpochEnd(ctx context.Context, p Partition, epoch int32) (last int32, end int64, err error)
	// Size returns how many bytes the partition's segments take.
	Size(ctx context.Context, p Partition) (int64, error)
	// Space returns the bytes of the disk that the log is on, and how many of them
	// are free; -1 and -1 if that can't be told.
	Space() (total, free int64)
}

// A RawProduce is the content of one produce request.
type RawProduce struct {
	Batches []Append
	// TransactionalID is what the request says, "" if nothing. If it is given,
	// transactional batches must be its producer's.
	TransactionalID string
	// JoinTxn adds the partitions of transactional batches to the transaction,
	// beginning one if need be, as requests from version 12 on have it. Without
	// it they must be part of it already: ErrTxnAbortable, which before version
	// 11 is to be answered as ErrTxnState.
	JoinTxn bool
}

// A RawResult is what became of one batch. Err may be ErrUnknownTopic,
// ErrCorrupt, ErrRecordTooLarge, ErrInvalidRecord, ErrTimestamp, ErrCompression,
// ErrOutOfOrder, ErrProducerEpoch, ErrProducerID, ErrTxnState, ErrTxnAbortable,
// ErrDiskFull, ErrFailed, ErrClosed.
type RawResult struct {
	Err        error
	BaseOffset int64 // that of the first time, if the batch was sent again
	AppendTime int64 // ms, if the topic stamps records with the time of their arrival; else -1
	Start      int64 // first offset of the partition
}

// A RawFetch asks for encoded batches.
type RawFetch struct {
	Partition Partition
	Offset    int64
	MaxBytes  int
	// AtLeastOne gives a batch even if it alone exceeds MaxBytes.
	AtLeastOne bool
	// Committed gives no batch at or beyond the last stable offset, and the
	// aborted transactions.
	Committed bool
}

// A RawFetched is what FetchRaw found.
type RawFetched struct {
	Batches []byte // dst and what was appended to it
	Next    int64  // offset behind the batches, or the one asked for
	Bounds  Bounds // as of the read
	// Aborted lists, for a committed read, the aborted transactions that have
	// records in Batches, by first offset.
	Aborted []AbortedTxn
}

// Special times of an OffsetQuery, as the protocol has them.
const (
	TimeLatest   = -1 // the high watermark, or the last stable offset
	TimeEarliest = -2 // the first offset
	TimeMax      = -3 // of the first record with the greatest timestamp
)

// An OffsetQuery asks for the first offset whose record has a timestamp of at
// least Time, ms, or for one of the special ones.
type OffsetQuery struct {
	Partition Partition
	Time      int64
	Committed bool // look below the last stable offset only
}

// A TimedOffset is an offset found; Offset and Timestamp are -1 if there is no
// such record. Timestamp is -1 also for TimeLatest and TimeEarliest.
type TimedOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32 // of the record, -1 if not known
}

// A TopicAdmin changes topics beyond what Log does.
type TopicAdmin interface {
	// ClusterID is a random id, made with the data directory, in the form that
	// Kafka's have: 22 characters of base64.
	ClusterID() string
	// CheckTopic reports what CreateTopic would refuse, and creates nothing.
	CheckTopic(ctx context.Context, name string, partitions int32, config map[string]string) error
	// TopicByID finds a topic by its id; ErrUnknownTopicID if there is none.
	TopicByID(ctx context.Context, id TopicID) (Topic, error)
	// DeleteTopicID deletes by id; ErrUnknownTopicID if there is none.
	DeleteTopicID(ctx context.Context, id TopicID) error
	// AddPartitions raises a topic's number of partitions to total;
	// ErrPartitionsLimit if that is not more than there are, or too many.
	AddPartitions(ctx context.Context, name string, total int32, validateOnly bool) error
	// TopicConfig returns all settings of a topic, by name.
	TopicConfig(ctx context.Context, name string) ([]ConfigEntry, error)
	// AlterTopicConfig changes settings; all or none. A later change of the same
	// setting comes after an earlier one.
	AlterTopicConfig(ctx context.Context, name string, changes []ConfigChange, validateOnly bool) error
}

// A ConfigEntry is a setting of a topic, named as Kafka names it.
type ConfigEntry struct {
	Name, Value string
	Default     string
	Set         bool // for this topic; else Value is Default
	Type        ConfigType
	Doc         string
}

// A ConfigType is the type of a setting's value, numbered as in
// DescribeConfigs.
type ConfigType int8

// The types there are.
const (
	ConfigBool   ConfigType = 1
	ConfigString ConfigType = 2
	ConfigInt    ConfigType = 3
	ConfigLong   ConfigType = 5
	ConfigDouble ConfigType = 6
	ConfigList   ConfigType = 7
)

// A ConfigOp says how to change a setting, numbered as in
// IncrementalAlterConfigs.
type ConfigOp int8

// What can be done to a setting.
const (
	ConfigSet      ConfigOp = 0
	ConfigDelete   ConfigOp = 1 // back to the default
	ConfigAppend   ConfigOp = 2 // to a list
	ConfigSubtract ConfigOp = 3 // from a list
)

// A ConfigChange changes one setting of a topic.
type ConfigChange struct {
	Name  string
	Op    ConfigOp
	Value string
}

// A Producer is a producer id and its epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

// NoProducer is who has no producer id yet.
var NoProducer = Producer{ID: -1, Epoch: -1}

// A TxnProducer is who speaks for a transactional id.
type TxnProducer struct {
	TransactionalID string
	Producer
}

// A TransactionCoordinator runs the transactions of producers of encoded
// batches. Their end is one write: there is no moment at which a transaction is
// decided but not ended, and ErrConcurrentTxn is never returned.
type TransactionCoordinator interface {
	// InitProducer gives a producer id, a new one if transactionalID is "". For a
	// transactional id it is the same one with a higher epoch: an open transaction
	// of it is aborted and whoever had it before is fenced. current is the
	// producer that asks for its epoch to be raised, or NoProducer; ErrFenced if
	// there is a newer one.
	InitProducer(ctx context.Context, transactionalID string, timeout time.Duration, current Producer) (Producer, error)
	// JoinTxn makes partitions part of p's transaction, beginning it if there is
	// none. With an unknown one among them none is added.
	JoinTxn(ctx context.Context, p TxnProducer, partitions []Partition) error
	// JoinTxnGroup makes a group's offsets part of p's transaction, beginning it
	// if there is none.
	JoinTxnGroup(ctx context.Context, p TxnProducer, group string) error
	// TxnOffsets keeps offsets of a group to be committed with p's transaction.
	// Without join the group must be part of it already: ErrTxnState. There need be
	// no offsets. Calls take effect in order; done is called as that of ProduceRaw.
	TxnOffsets(p TxnProducer, group string, offsets map[Partition]GroupOffset, join bool, done func(error))
	// EndTxn commits or aborts p's transaction. With bump the producer gets a
	// higher epoch for its next transaction (or a new id, where epochs are used
	// up), which is returned, and there need be no open transaction to abort.
	// Without it p is returned. Sent again it has the same answer.
	EndTxn(ctx context.Context, p TxnProducer, commit, bump bool) (Producer, error)
	// Transactions lists what is known of each transactional id, by id.
	Transactions(ctx context.Context) ([]TxnInfo, error)
	// Producers lists the producers that have written to a partition, by id.
	Producers(ctx context.Context, p Partition) ([]ProducerInfo, error)
}

// A TxnState is the state of a transactional id.
type TxnState string

// The states there are, as Kafka names them.
const (
	TxnEmpty          TxnState = "Empty"
	TxnOngoing        TxnState = "Ongoing"
	TxnCompleteCommit TxnState = "CompleteCommit"
	TxnCompleteAbort  TxnState = "CompleteAbort"
)

// A TxnInfo describes a transactional id.
type TxnInfo struct {
	TxnProducer
	State      TxnState
	Timeout    time.Duration
	Began      int64 // ms, -1 if no transaction is open
	Partitions []Partition
	Groups     []string
}

// A ProducerInfo describes a producer's state in a partition.
type ProducerInfo struct {
	Producer
	LastSequence  int32 // -1 if not known
	LastTimestamp int64 // ms
	TxnStart      int64 // first offset of its open transaction, or -1
	Marked        bool  // a transaction of its has ended in the partition
}

// A GroupOffset is a position that a group has committed.
type GroupOffset struct {
	Offset      int64
	LeaderEpoch int32 // of the record before it, -1 if not known
	Metadata    string
	CommitTime  int64 // ms; set by the log
}

// An OffsetStore keeps the offsets of groups, and for the group coordinator a
// state of each group that it alone understands. It knows nothing of members:
// the coordinator checks who commits.
type OffsetStore interface {
	// StoreOffsets makes offsets durable, all or none. Calls take effect in
	// order; done is called as that of ProduceRaw.
	StoreOffsets(group string, offsets map[Partition]GroupOffset, done func(error))
	// GroupOffsets returns a group's offsets, and those partitions for which an
	// open transaction has others in store.
	GroupOffsets(ctx context.Context, group string) (committed map[Partition]GroupOffset, pending map[Partition]struct{}, err error)
	// DeleteOffsets forgets some of a group's offsets.
	DeleteOffsets(ctx context.Context, group string, partitions []Partition) error
	// StoreGroup keeps state for a group, replacing what was; nil drops it. Calls
	// take effect in order; done is called as that of ProduceRaw.
	StoreGroup(group string, state []byte, done func(error))
	// StoredGroups returns all groups that have offsets or a state, with the
	// state. Log.DeleteGroup drops both.
	StoredGroups(ctx context.Context) (map[string][]byte, error)
}

// A Clock is where the time comes from.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless stop
	// is called before; stop reports whether it was.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}
