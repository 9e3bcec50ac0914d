package segment

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"karst/log"
)

// The kinds of journal operations. They are a file format: numbers stay.
const (
	opAppend      = 1 // a batch, inside the entry
	opPlaced      = 2 // a batch that already stands in its segment
	opOffsets     = 3 // offsets of a group
	opCreateTopic = 4
	opDeleteTopic = 5
	opDeleteGroup = 6
	opTrim        = 7 // a partition's start offset moves up
)

// An op is one change of the log's state.
type op struct {
	kind      byte
	topic     log.TopicID
	partition int32
	base      int64 // of a batch; the new start of a trim
	roll      bool  // the batch begins a new segment
	batch     []byte
	length    int // of a placed batch
	last      int64
	group     string
	offsets   map[log.Partition]int64
	created   log.Topic
}

func (o *op) append(buf []byte) []byte {
	buf = append(buf, o.kind)
	switch o.kind {
	case opAppend, opPlaced:
		buf = append(buf, o.topic[:]...)
		buf = binary.AppendUvarint(buf, uint64(o.partition))
		buf = binary.AppendUvarint(buf, uint64(o.base))
		roll := byte(0)
		if o.roll {
			roll = 1
		}
		buf = append(buf, roll)
		buf = binary.AppendUvarint(buf, uint64(len(o.batch)))
		if o.kind == opAppend {
			buf = append(buf, o.batch...)
		} else {
			buf = binary.AppendUvarint(buf, uint64(o.last))
		}
	case opOffsets:
		buf = appendString(buf, o.group)
		buf = binary.AppendUvarint(buf, uint64(len(o.offsets)))
		for p, next := range o.offsets {
			buf = appendString(buf, p.Topic)
			buf = binary.AppendUvarint(buf, uint64(p.Index))
			buf = binary.AppendUvarint(buf, uint64(next))
		}
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
	}
	return buf
}

func appendString(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// decodeOps calls apply for each operation of an entry's payload. Batches are
// slices of payload.
func decodeOps(payload []byte, apply func(*op) error) error {
	d := opDecoder{buf: payload}
	for len(d.buf) > 0 {
		o, err := d.next()
		if err != nil {
			return err
		}
		if err := apply(o); err != nil {
			return err
		}
	}
	return nil
}

type opDecoder struct {
	buf []byte
	bad bool
}

func (d *opDecoder) next() (*op, error) {
	o := &op{kind: d.bytes(1)[0]}
	switch o.kind {
	case opAppend, opPlaced:
		copy(o.topic[:], d.bytes(16))
		o.partition = int32(d.uvarint())
		o.base = int64(d.uvarint())
		o.roll = d.bytes(1)[0] != 0
		o.length = int(d.uvarint())
		if o.kind == opAppend {
			o.batch = d.bytes(o.length)
		} else {
			o.last = int64(d.uvarint())
		}
	case opOffsets:
		o.group = d.string()
		o.offsets = map[log.Partition]int64{}
		for n := d.uvarint(); n > 0 && !d.bad; n-- {
			p := log.Partition{Topic: d.string(), Index: int32(d.uvarint())}
			o.offsets[p] = int64(d.uvarint())
		}
	case opCreateTopic:
		if err := json.Unmarshal([]byte(d.string()), &o.created); err != nil {
			return nil, fmt.Errorf("%w: topic in journal: %w", log.ErrCorrupt, err)
		}
	case opDeleteTopic:
		copy(o.topic[:], d.bytes(16))
	case opDeleteGroup:
		o.group = d.string()
	case opTrim:
		copy(o.topic[:], d.bytes(16))
		o.partition = int32(d.uvarint())
		o.base = int64(d.uvarint())
	default:
		d.bad = true
	}
	if d.bad {
		return nil, fmt.Errorf("%w: journal operation of kind %d", log.ErrCorrupt, o.kind)
	}
	return o, nil
}

var zeroes [16]byte

func (d *opDecoder) bytes(n int) []byte {
	if n < 0 || n > len(d.buf) {
		d.bad, d.buf = true, nil
		return zeroes[:min(max(n, 0), 16)]
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *opDecoder) uvarint() uint64 {
	x, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.bad, d.buf = true, nil
		return 0
	}
	d.buf = d.buf[n:]
	return x
}

func (d *opDecoder) string() string { return string(d.bytes(int(d.uvarint()))) }
