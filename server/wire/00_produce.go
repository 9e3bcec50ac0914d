package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceAPI serves Produce from version 3 on. Versions 0 to 2 carry a record
// format that is gone; they are advertised nonetheless, since librdkafka takes
// a broker without them for one that doesn't know compression (KAFKA-18659).
func produceAPI() *api {
	return &api{min: 0, max: 13, advertise: 0, weight: 1, handle: func(c *call, version int16, body []byte) (answer, error) {
		req, err := decodeProduce(version, body)
		if err != nil {
			return answer{}, err
		}
		return c.produce(req), nil
	}}
}

// maxProducePartitions bounds a request, whose frame may hold millions of empty
// ones.
const maxProducePartitions = 20_000

// A produceRequest is a decoded Produce. The batches are pieces of its frame.
type produceRequest struct {
	version    int16
	txnID      string
	acks       int16
	partitions []producePartition
}

// A producePartition is one partition of a produceRequest; topics stand for
// themselves, one after the other.
type producePartition struct {
	topic   string
	id      log.TopicID
	index   int32
	records []byte
}

// decodeProduce is written here, not taken from kmsg, because Produce is the
// one request whose frame may be large, and kmsg believes the length of an
// array before its elements have come.
func decodeProduce(version int16, body []byte) (*produceRequest, error) {
	r := fieldReader{buf: body, compact: version >= 9}
	req := &produceRequest{version: version}
	if version >= 3 {
		req.txnID = string(r.bytes(r.stringLen()))
	}
	req.acks = r.int16()
	r.skip(4) // the time limit: an append is durable or it fails
	for range r.arrayLen() {
		var p producePartition
		if version >= 13 {
			copy(p.id[:], r.bytes(len(p.id)))
		} else {
			p.topic = string(r.bytes(r.stringLen()))
		}
		for range r.arrayLen() {
			p.index = r.int32()
			p.records = r.bytes(r.bytesLen())
			r.tags()
			if r.bad {
				break
			}
			if len(req.partitions) == maxProducePartitions {
				return nil, fmt.Errorf("%w: Produce for more than %d partitions", errFrame, maxProducePartitions)
			}
			req.partitions = append(req.partitions, p)
		}
		if r.tags(); r.bad {
			break
		}
	}
	if r.tags(); r.bad || len(r.buf) > 0 {
		return nil, fmt.Errorf("%w: Produce version %d", errFrame, version)
	}
	return req, nil
}

// produce hands the batches to the log and answers when they are durable,
// whatever acks says; with acks=0 there is no answer, and an error closes the
// connection.
func (c *call) produce(req *produceRequest) answer {
	results := make([]log.RawResult, len(req.partitions))
	raw := log.RawProduce{TransactionalID: req.txnID, JoinTxn: req.version >= 12}
	var at []int // index in results of each batch
	for i := range req.partitions {
		p := &req.partitions[i]
		if results[i].Err = c.checkProduce(req, p); results[i].Err != nil {
			continue
		}
		raw.Batches = append(raw.Batches, log.Append{Partition: log.Partition{Topic: p.topic, Index: p.index}, Batch: p.records})
		at = append(at, i)
	}
	done := make(chan struct{})
	if len(raw.Batches) == 0 {
		close(done)
	} else {
		c.srv.opts.Log.ProduceRaw(raw, func(got []log.RawResult) {
			for j, r := range got {
				results[at[j]] = r
			}
			close(done)
		})
	}
	return answer{ready: done, response: func() kmsg.Response {
		if req.acks == 0 {
			for i := range results {
				if results[i].Err != nil {
					c.conn.close(fmt.Errorf("produce with acks=0: %w", results[i].Err))
				}
			}
			return nil
		}
		return req.response(results)
	}}
}

// checkProduce finds what can be said before the log is asked, and the topic's
// name where the request has its id.
func (c *call) checkProduce(req *produceRequest, p *producePartition) error {
	if req.version < 3 {
		return errOldFormat
	}
	if req.version >= 13 {
		t, err := c.srv.opts.Log.TopicByID(c.ctx, p.id)
		if err != nil {
			return err
		}
		p.topic = t.Name
	}
	if c.srv.opts.Own(p.topic) {
		return fmt.Errorf("%w: %s is Karst's own; clients may only read it", log.ErrInvalidTopic, p.topic)
	}
	err := checkOneBatch(p.records, req.txnID, req.version)
	if err == nil && (req.acks < -1 || req.acks > 1) {
		err = errAcks
	}
	if err != nil && !errors.Is(err, errNoTxnID) {
		if gone := c.exists(log.Partition{Topic: p.topic, Index: p.index}); gone != nil {
			return gone // what else is wrong doesn't matter then
		}
	}
	return err
}

// checkOneBatch holds that records are one batch of format 2: what comes behind
// a first one could not be answered for.
func checkOneBatch(records []byte, txnID string, version int16) error {
	const magicAt = 16
	if len(records) <= magicAt {
		return fmt.Errorf("%w: a partition needs one record batch", log.ErrInvalidRecord)
	}
	switch magic := int8(records[magicAt]); {
	case magic < 0 || magic > 2:
		return fmt.Errorf("%w: record batch format %d", log.ErrCorrupt, magic)
	case magic < 2:
		return fmt.Errorf("%w: record batch format %d, only 2 is taken", log.ErrInvalidRecord, magic)
	case len(records) < log.HeaderBytes:
		return fmt.Errorf("%w: a partition needs one whole record batch", log.ErrInvalidRecord)
	}
	info, err := log.ReadHeader(records)
	switch {
	case err != nil && info.Bytes < log.HeaderBytes:
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", log.ErrInvalidRecord, err)
	case info.Bytes > len(records):
		return fmt.Errorf("%w: a partition needs one whole record batch", log.ErrInvalidRecord)
	case info.Bytes < len(records):
		return fmt.Errorf("%w: more than one record batch for a partition", log.ErrInvalidRecord)
	case info.BaseOffset != 0:
		return fmt.Errorf("%w: offset %d where a producer's batch begins with 0", log.ErrInvalidRecord, info.BaseOffset)
	case info.Transactional() && txnID == "":
		return errNoTxnID
	}
	const zstd = 4
	if info.Attributes&7 == zstd && version < 7 {
		return fmt.Errorf("%w: zstd needs version 7 of Produce", log.ErrCompression)
	}
	return nil
}

var (
	errOldFormat = wireError{codeUnsupportedVersion, "Produce is served from version 3 on"}
	errNoTxnID   = wireError{codeTxnDenied, "transactional records need a transactional id"}
	errAcks      = wireError{21, "acks must be -1, 0 or 1"}
)

func (req *produceRequest) response(results []log.RawResult) kmsg.Response {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = req.version
	for i := range req.partitions {
		p := &req.partitions[i]
		n := len(resp.Topics)
		if n == 0 || !p.sameTopic(&resp.Topics[n-1]) {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = p.topic, p.id
			resp.Topics = append(resp.Topics, t)
			n++
		}
		resp.Topics[n-1].Partitions = append(resp.Topics[n-1].Partitions, producedPartition(p.index, &results[i], req.version))
	}
	return resp
}

func (p *producePartition) sameTopic(t *kmsg.ProduceResponseTopic) bool {
	return t.Topic == p.topic && t.TopicID == p.id
}

func producedPartition(index int32, r *log.RawResult, version int16) kmsg.ProduceResponseTopicPartition {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = index
	if r.Err != nil {
		out.ErrorCode, out.ErrorMessage = producerCode(r.Err, version, 11), reason(r.Err)
		out.BaseOffset, out.LogAppendTime, out.LogStartOffset = -1, -1, -1
		return out
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = r.BaseOffset, r.AppendTime, r.Start
	return out
}

// A fieldReader reads the protocol's fields; past the end it sets bad.
type fieldReader struct {
	buf     []byte
	compact bool // flexible version
	bad     bool
}

func (r *fieldReader) bytes(n int) []byte {
	if n < 0 || n > len(r.buf) {
		r.bad = r.bad || n != -1
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *fieldReader) skip(n int) {
	if r.bytes(n) == nil {
		r.bad = true
	}
}

func (r *fieldReader) int16() int16 {
	if b := r.bytes(2); len(b) == 2 {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *fieldReader) int32() int32 {
	if b := r.bytes(4); len(b) == 4 {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *fieldReader) uvarint() int {
	x, n := binary.Uvarint(r.buf)
	if n <= 0 || x > 1<<31-1 {
		r.bad, r.buf = true, nil
		return 0
	}
	r.buf = r.buf[n:]
	return int(x)
}

// stringLen and the others return -1 for null.
func (r *fieldReader) stringLen() int {
	if r.compact {
		return r.uvarint() - 1
	}
	return int(r.int16())
}

func (r *fieldReader) bytesLen() int {
	if r.compact {
		return r.uvarint() - 1
	}
	return int(r.int32())
}

func (r *fieldReader) arrayLen() int { return max(r.bytesLen(), 0) }

func (r *fieldReader) tags() {
	if !r.compact || r.bad {
		return
	}
	rest, err := skipTags(r.buf)
	if err != nil {
		r.bad, rest = true, nil
	}
	r.buf = rest
}
