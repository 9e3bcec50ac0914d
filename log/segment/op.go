package segment

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"karst/log"
)

// The kinds of journal operations. They are a file format: numbers stay.
const (
	opAppend      = 1 // a batch, inside the entry
	opPlaced      = 2 // a batch that already stands in its segment
	opCreateTopic = 4
	opDeleteTopic = 5
	opDeleteGroup = 6
	opTrim        = 7 // a partition's start offset moves up

	opGroupOffsets  = 8
	opTxnOffsets    = 9 // offsets of a group, kept until the transaction's end
	opTxnInit       = 10
	opTxnJoin       = 11
	opTxnEnd        = 12
	opTxnForget     = 13
	opProducerIDs   = 14
	opGroupState    = 15
	opDeleteOffsets = 16
	opTopicConfig   = 17
	opAddPartitions = 18
	opReplace       = 19
	opHeldMarker    = 20 // a transaction's end in a partition that is offline
)

// An op is one change of the log's state.
//
//	append   kind topic partition base roll length place
//	placed   kind topic partition base roll length last maxTime epoch
//	offsets  kind group n {topic name, partition, offset, epoch, metadata, time}…
//	pending  kind producer group n {…}…   offsets of a transaction
//	create   kind JSON of log.Topic
//	delete   kind topic
//	group    kind group
//	trim     kind topic partition base
//	others   kind JSON of the detail
//
// A topic is 16 bytes, kind and roll one; other numbers are uvarints (those of
// offsets varints), strings have their length in front. The place of a batch is
// among the entry's (entry.go).
type op struct {
	kind      byte
	roll      bool // the batch begins a new segment
	partition int32
	topic     log.TopicID
	base      int64 // of a batch; the new start of a trim
	batch     []byte
	group     string
	offsets   map[log.Partition]log.GroupOffset
	producer  int64 // of a transaction's offsets
	created   log.Topic
	detail    detail // of the kinds from opTxnInit on

	taken bool // the committer's state has it

	// Of a batch that has got its place.
	name   string // of the topic
	part   *partition
	seg    *segmentFile
	pos    int64 // in seg
	length int
	info   log.BatchInfo
	epoch  int32
	run    int // that of its batch in the entry
	at     int // of its batch, behind the entry's operations
}

// append encodes o.
func (o *op) append(buf []byte) []byte {
	buf = append(buf, o.kind)
	switch o.kind {
	case opAppend, opPlaced:
		buf = o.appendBatch(buf)
	case opGroupOffsets:
		buf = o.appendOffsets(buf)
	case opTxnOffsets:
		buf = binary.AppendUvarint(buf, uint64(o.producer))
		buf = o.appendOffsets(buf)
	case opCreateTopic:
		text, err := json.Marshal(o.created)
		if err != nil {
			panic(err) // strings and numbers only
		}
		buf = appendString(buf, string(text))
	case opDeleteTopic:
		buf = append(buf, o.topic[:]...)
	case opDeleteGroup:
		buf = appendString(buf, o.group)
	case opTrim:
		buf = append(buf, o.topic[:]...)
		buf = binary.AppendUvarint(buf, uint64(o.partition))
		buf = binary.AppendUvarint(buf, uint64(o.base))
	default:
		text, err := json.Marshal(o.detail)
		if err != nil {
			panic(err) // strings and numbers only
		}
		buf = appendString(buf, string(text))
	}
	return buf
}

func (o *op) appendBatch(buf []byte) []byte {
	buf = append(buf, o.topic[:]...)
	buf = binary.AppendUvarint(buf, uint64(o.partition))
	buf = binary.AppendUvarint(buf, uint64(o.base))
	roll := byte(0)
	if o.roll {
		roll = 1
	}
	buf = append(buf, roll)
	buf = binary.AppendUvarint(buf, uint64(o.length))
	if o.kind == opAppend {
		return binary.AppendUvarint(buf, uint64(o.at))
	}
	buf = binary.AppendUvarint(buf, uint64(o.info.LastOffset))
	buf = binary.AppendUvarint(buf, uint64(o.info.MaxTime))
	return binary.AppendUvarint(buf, uint64(o.epoch))
}

func (o *op) appendOffsets(buf []byte) []byte {
	buf = appendString(buf, o.group)
	buf = binary.AppendUvarint(buf, uint64(len(o.offsets)))
	for _, p := range sortedPartitions(o.offsets) {
		g := o.offsets[p]
		buf = appendString(buf, p.Topic)
		buf = binary.AppendUvarint(buf, uint64(p.Index))
		buf = binary.AppendVarint(buf, g.Offset)
		buf = binary.AppendVarint(buf, int64(g.LeaderEpoch))
		buf = appendString(buf, g.Metadata)
		buf = binary.AppendVarint(buf, g.CommitTime)
	}
	return buf
}

func sortedPartitions[V any](m map[log.Partition]V) []log.Partition {
	list := make([]log.Partition, 0, len(m))
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, comparePartitions)
	return list
}

func comparePartitions(a, b log.Partition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}

func appendString(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// journalBytes is about how much of the journal o takes.
func (o *op) journalBytes(large int) int {
	n := 64 + len(o.group)
	if o.kind == opAppend && len(o.batch) < large {
		n += len(o.batch)
	}
	for p, g := range o.offsets {
		n += len(p.Topic) + len(g.Metadata) + 24
	}
	return n
}

type opDecoder struct {
	buf     []byte
	batches []byte // of the whole entry
	bad     bool
}

func (d *opDecoder) next() (*op, error) {
	o := &op{kind: d.byte()}
	switch o.kind {
	case opAppend, opPlaced:
		d.batch(o)
	case opGroupOffsets:
		d.groupOffsets(o)
	case opTxnOffsets:
		o.producer = d.int63()
		d.groupOffsets(o)
	case opCreateTopic:
		if err := json.Unmarshal([]byte(d.string()), &o.created); err != nil {
			return nil, fmt.Errorf("%w: topic in journal: %w", log.ErrCorrupt, err)
		}
	case opDeleteTopic:
		d.topic(o)
	case opDeleteGroup:
		o.group = d.string()
	case opTrim:
		d.topic(o)
		o.partition = d.int32()
		o.base = d.int63()
	default:
		if o.detail = newDetail(o.kind); o.detail == nil {
			d.bad = true
		} else if text := d.string(); !d.bad && json.Unmarshal([]byte(text), o.detail) != nil {
			d.bad = true
		}
	}
	if d.bad {
		return nil, fmt.Errorf("%w: journal operation of kind %d", log.ErrCorrupt, o.kind)
	}
	return o, nil
}

func (d *opDecoder) batch(o *op) {
	d.topic(o)
	o.partition = d.int32()
	o.base = d.int63()
	o.roll = d.byte() != 0
	o.length = int(d.int32())
	if o.kind == opAppend {
		at := int(d.int32())
		if d.bad || at > len(d.batches) || o.length > len(d.batches)-at {
			d.bad = true
			return
		}
		o.batch = d.batches[at:][:o.length:o.length]
		return
	}
	o.info.LastOffset, o.info.MaxTime = d.int63(), int64(d.uvarint())
	o.epoch = d.int32()
	d.bad = d.bad || o.info.LastOffset < o.base || o.length < log.HeaderBytes
}

func (d *opDecoder) groupOffsets(o *op) {
	o.group = d.string()
	o.offsets = map[log.Partition]log.GroupOffset{}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		p := log.Partition{Topic: d.string(), Index: d.int32()}
		o.offsets[p] = log.GroupOffset{Offset: d.varint(), LeaderEpoch: int32(d.varint()), Metadata: d.string(), CommitTime: d.varint()}
	}
}

func (d *opDecoder) varint() int64 {
	x, n := binary.Varint(d.buf)
	if n <= 0 {
		d.bad, d.buf = true, nil
		return 0
	}
	d.buf = d.buf[n:]
	return x
}

func (d *opDecoder) bytes(n int) []byte {
	if n < 0 || n > len(d.buf) {
		d.bad, d.buf = true, nil
		return nil
	}
	b := d.buf[:n:n]
	d.buf = d.buf[n:]
	return b
}

func (d *opDecoder) byte() byte {
	if b := d.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *opDecoder) topic(o *op) { copy(o.topic[:], d.bytes(len(o.topic))) }

func (d *opDecoder) uvarint() uint64 {
	x, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.bad, d.buf = true, nil
		return 0
	}
	d.buf = d.buf[n:]
	return x
}

func (d *opDecoder) below(limit uint64) uint64 {
	x := d.uvarint()
	if x > limit {
		d.bad, d.buf = true, nil
		return 0
	}
	return x
}

func (d *opDecoder) int32() int32   { return int32(d.below(math.MaxInt32)) }
func (d *opDecoder) int63() int64   { return int64(d.below(math.MaxInt64)) }
func (d *opDecoder) string() string { return string(d.bytes(int(d.below(math.MaxInt32)))) }
