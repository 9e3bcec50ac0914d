package segment

import "karst/log"

// A detail is the content of the rarer journal operations. Its JSON form is a
// file format: names stay.
type detail interface{ kind() byte }

// A partitionID names a partition for ever.
type partitionID struct {
	Topic log.TopicID
	Index int32
}

type (
	// txnInit gives a transactional id a producer, without a transaction.
	txnInit struct {
		ID        string
		Producer  log.Producer
		Was       log.Producer // who asked for its epoch to be raised, or NoProducer
		TimeoutMS int64
		Time      int64 // ms
	}
	// txnJoin makes partitions and groups part of a producer's transaction.
	txnJoin struct {
		ProducerID int64
		Partitions []partitionID `json:",omitempty"`
		Groups     []string      `json:",omitempty"`
		Time       int64
	}
	// txnEnd is the decision on a producer's transaction. The markers follow
	// it in the same journal entry.
	txnEnd struct {
		ID     string
		Was    log.Producer // whose transaction it is
		Next   log.Producer // for the transactions to come
		Commit bool
		Groups []string `json:",omitempty"` // whose offsets were part of it
		Time   int64
	}
	txnForget struct{ ID string }
	// producerIDs says that producer ids below Next may have been given.
	producerIDs struct{ Next int64 }
	// groupState is the coordinator's state of a group.
	groupState struct {
		Group string
		State []byte // nil for none
	}
	deleteOffsets struct {
		Group      string
		Partitions []log.Partition
	}
	topicConfig struct {
		Topic  log.TopicID
		Config map[string]string
	}
	addPartitions struct {
		Topic log.TopicID
		Total int32
	}
	// replace puts compacted segments in the place of others.
	replace struct {
		Partition partitionID
		Old       []segmentID
		New       []checkpointSegment
		Cleaned   int64   // compacted up to this offset
		Markers   []int64 // offsets of abort markers that are gone, ascending
		files     []*segmentFile
	}
)

// A segmentID names a segment's file in its partition's directory.
type segmentID struct {
	Base int64
	Gen  int // how often it was compacted
}

func (*txnInit) kind() byte       { return opTxnInit }
func (*txnJoin) kind() byte       { return opTxnJoin }
func (*txnEnd) kind() byte        { return opTxnEnd }
func (*txnForget) kind() byte     { return opTxnForget }
func (*producerIDs) kind() byte   { return opProducerIDs }
func (*groupState) kind() byte    { return opGroupState }
func (*deleteOffsets) kind() byte { return opDeleteOffsets }
func (*topicConfig) kind() byte   { return opTopicConfig }
func (*addPartitions) kind() byte { return opAddPartitions }
func (*replace) kind() byte       { return opReplace }
func (*heldMarker) kind() byte    { return opHeldMarker }

func newDetail(kind byte) detail {
	switch kind {
	case opTxnInit:
		return &txnInit{}
	case opTxnJoin:
		return &txnJoin{}
	case opTxnEnd:
		return &txnEnd{}
	case opTxnForget:
		return &txnForget{}
	case opProducerIDs:
		return &producerIDs{}
	case opGroupState:
		return &groupState{}
	case opDeleteOffsets:
		return &deleteOffsets{}
	case opTopicConfig:
		return &topicConfig{}
	case opAddPartitions:
		return &addPartitions{}
	case opReplace:
		return &replace{}
	case opHeldMarker:
		return &heldMarker{}
	}
	return nil
}

func detailOp(d detail) op { return op{kind: d.kind(), detail: d} }
