package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A sender sends batches under one producer id, those of a partition in order
// and once: a batch whose answer was lost is sent again with its sequence
// number, which tells the broker whether it has it. It is used by one goroutine
// at a time.
type sender struct {
	log      *Log
	txnID    string // "" if it is not transactional
	producer log.Producer
	sequence map[log.Partition]int32 // next, by partition
	// joined are the partitions of the open transaction, where the cluster wants
	// them announced.
	joined map[log.Partition]bool
}

// A parcel is a batch on its way.
type parcel struct {
	log.Append
	done  func(error) // called once, with nil when the batch is stored
	parts [][]byte    // what is left to send of a batch that had to be divided
	sent  bool        // parts[0] has its sequence number and may be stored already
	base  int64       // of the first part; -1: none is stored
}

func newParcel(a log.Append, done func(error)) *parcel {
	return &parcel{Append: a, done: done, parts: [][]byte{a.Batch}, base: -1}
}

// maxRequestBytes bounds the batches of one request; brokers take 100 MiB.
const maxRequestBytes = 32 << 20

// init asks for a producer id. For a transactional producer that names its
// current one it is the next epoch of that, and what was open is aborted.
func (s *sender) init(ctx context.Context, current log.Producer) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	req.TransactionTimeoutMillis = math.MaxInt32
	if s.txnID != "" {
		req.TransactionalID = &s.txnID
		req.TransactionTimeoutMillis = int32(s.log.opts.TxnTimeout.Milliseconds())
		req.ProducerID, req.ProducerEpoch = current.ID, current.Epoch
	}
	resp, err := request(ctx, s.log, req, func(r *kmsg.InitProducerIDResponse) error { return codeError(r.ErrorCode, nil) })
	if err != nil {
		return fmt.Errorf("asking for a producer id: %w", err)
	}
	s.reset(log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch})
	return nil
}

// reset makes sequence numbers begin again, under p.
func (s *sender) reset(p log.Producer) {
	s.producer = p
	s.sequence, s.joined = map[log.Partition]int32{}, map[log.Partition]bool{}
}

// queues are parcels by partition, in order.
type queues map[log.Partition][]*parcel

func (q queues) add(list []*parcel) {
	for _, p := range list {
		q[p.Partition] = append(q[p.Partition], p)
	}
}

// refuse ends all parcels of a partition: those behind one that can't be stored
// must not overtake it.
func (q queues) refuse(p log.Partition, err error) {
	for _, x := range q[p] {
		x.done(err)
	}
	delete(q, p)
}

// send sends parcels, and calls each one's done. It returns the first error;
// after one the producer must be set up anew by init. more, if not nil, is asked
// for further parcels in between.
func (s *sender) send(ctx context.Context, parcels []*parcel, more func() []*parcel) error {
	ctx, cancel := s.log.alive(ctx)
	defer cancel()
	q := queues{}
	q.add(parcels)
	var failed error
	var wait backoff
	progress := s.log.opts.Clock.Now()
	for len(q) > 0 {
		t := s.round(ctx, q)
		failed = cmp.Or(failed, t.failed)
		if t.moved {
			progress, wait = s.log.opts.Clock.Now(), backoff{}
		} else if err := s.again(ctx, &wait, t.passed, progress); err != nil {
			failed = cmp.Or(failed, err)
			for p := range q {
				q.refuse(p, err)
			}
		}
		if more != nil && failed == nil {
			q.add(more())
		}
	}
	return failed
}

// again waits before the next try after the error passed; it returns an error
// if there should be none.
func (s *sender) again(ctx context.Context, wait *backoff, passed error, progress time.Time) error {
	if ctx.Err() == nil && s.log.opts.Clock.Now().Sub(progress) > s.log.opts.Patience {
		return fmt.Errorf("%w (tried for %s)", s.log.explain(passed), s.log.opts.Patience)
	}
	if s.log.sleep(ctx, wait) != nil {
		return s.log.ended(ctx)
	}
	return nil
}

// A tally is what came of a round.
type tally struct {
	moved  bool  // something was stored or refused
	passed error // of one that may go better later
	failed error // of the first that was refused
}

// round sends what is first in each queue.
func (s *sender) round(ctx context.Context, q queues) tally {
	var t tally
	byLeader := s.byLeader(ctx, q, &t)
	if err := s.join(ctx, byLeader); err != nil {
		for _, list := range byLeader {
			for _, p := range list {
				s.settle(q, p, answer{err: err}, &t)
			}
		}
		return t
	}
	answers := make(map[int32]*[]answer, len(byLeader))
	var wg sync.WaitGroup
	for broker, list := range byLeader {
		out := new([]answer)
		answers[broker] = out
		wg.Go(func() { *out = s.sendTo(ctx, broker, list) })
	}
	wg.Wait()
	for broker, list := range byLeader {
		for i, p := range list {
			s.settle(q, p, (*answers[broker])[i], &t)
		}
	}
	return t
}

// byLeader returns the first parcels of the queues by the broker to ask.
func (s *sender) byLeader(ctx context.Context, q queues, t *tally) map[int32][]*parcel {
	out := map[int32][]*parcel{}
	size := map[int32]int{}
	for at, list := range q {
		_, lead, err := s.log.partition(ctx, at)
		if err == nil && lead.broker < 0 {
			err = kerr.LeaderNotAvailable
		}
		if err != nil {
			s.settle(q, list[0], answer{err: err}, t)
			continue
		}
		n := len(list[0].parts[0])
		if size[lead.broker] == 0 || size[lead.broker]+n <= maxRequestBytes {
			size[lead.broker] += n
			out[lead.broker] = append(out[lead.broker], list[0])
		}
	}
	return out
}

// join makes the parcels' partitions part of the transaction, for clusters that
// do not do so by themselves when they get the batches.
func (s *sender) join(ctx context.Context, byLeader map[int32][]*parcel) error {
	if s.txnID == "" || s.log.features.txn2 {
		return nil
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = s.txnID, s.producer.ID, s.producer.Epoch
	topics := map[string]int{}
	var fresh []log.Partition
	for _, list := range byLeader {
		for _, p := range list {
			if s.joined[p.Partition] {
				continue
			}
			i, ok := topics[p.Partition.Topic]
			if !ok {
				i = len(req.Topics)
				topics[p.Partition.Topic] = i
				t := kmsg.NewAddPartitionsToTxnRequestTopic()
				t.Topic = p.Partition.Topic
				req.Topics = append(req.Topics, t)
			}
			req.Topics[i].Partitions = append(req.Topics[i].Partitions, p.Partition.Index)
			fresh = append(fresh, p.Partition)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	_, err := request(ctx, s.log, req, func(r *kmsg.AddPartitionsToTxnResponse) error {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if err := codeError(p.ErrorCode, nil); err != nil {
					return err
				}
			}
		}
		return codeError(r.ErrorCode, nil)
	})
	if err != nil {
		return fmt.Errorf("adding partitions to the transaction: %w", err)
	}
	for _, p := range fresh {
		s.joined[p] = true
	}
	return nil
}

// An answer is what a broker said of one parcel.
type answer struct {
	base  int64
	epoch int32 // the leader's
	err   error
}

// produceTimeout is how long a broker may wait for its replicas.
const produceTimeout = 15 * time.Second

// sendTo sends parcels to a broker, once, and returns their answers in order.
func (s *sender) sendTo(ctx context.Context, broker int32, list []*parcel) []answer {
	out := make([]answer, len(list))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(produceTimeout.Milliseconds())
	if s.txnID != "" {
		req.TransactionID = &s.txnID
	}
	byID := map[log.TopicID]string{}
	at := map[log.Partition]int{}
	for i, p := range list {
		t, lead, err := s.log.partition(ctx, p.Partition)
		if err != nil {
			return fail(out, err)
		}
		out[i] = answer{err: errShape, epoch: lead.epoch}
		byID[t.ID] = t.Name
		at[p.Partition] = i
		if !p.sent {
			log.SetProducer(p.parts[0], s.producer, s.sequence[p.Partition], s.txnID != "")
			p.sent = true
		}
		rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		rt.Topic, rt.TopicID = t.Name, t.ID
		rp.Partition, rp.Records = p.Partition.Index, p.parts[0]
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	req.Topics = grouped(req.Topics)
	r, err := s.log.client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return fail(out, err)
	}
	for _, t := range r.(*kmsg.ProduceResponse).Topics {
		name := t.Topic
		if name == "" {
			name = byID[t.TopicID]
		}
		for _, p := range t.Partitions {
			if i, ok := at[log.Partition{Topic: name, Index: p.Partition}]; ok {
				out[i].base, out[i].err = p.BaseOffset, codeError(p.ErrorCode, p.ErrorMessage)
			}
		}
	}
	return out
}

func fail(out []answer, err error) []answer {
	for i := range out {
		out[i].err = err
	}
	return out
}

// grouped puts the partitions of a topic under one entry.
func grouped(list []kmsg.ProduceRequestTopic) []kmsg.ProduceRequestTopic {
	at := map[string]int{}
	out := list[:0]
	for _, t := range list {
		if i, ok := at[t.Topic]; ok {
			out[i].Partitions = append(out[i].Partitions, t.Partitions...)
			continue
		}
		at[t.Topic] = len(out)
		out = append(out, t)
	}
	return out
}

// settle draws the consequences of an answer.
func (s *sender) settle(q queues, p *parcel, a answer, t *tally) {
	switch {
	case a.err == nil:
		t.moved = true
		s.stored(q, p, a)
	case errors.Is(a.err, kerr.MessageTooLarge) && p.divide():
		t.moved = true
	case passing(a.err):
		if moved(a.err) {
			s.log.forget(p.Partition.Topic)
		}
		t.passed = a.err
	default:
		err := fmt.Errorf("writing to %s partition %d: %w", p.Partition.Topic, p.Partition.Index, s.log.explain(a.err))
		t.moved, t.failed = true, cmp.Or(t.failed, err)
		q.refuse(p.Partition, err)
	}
}

// stored takes the part that was sent off its parcel, and that off its queue if
// it was the last.
func (s *sender) stored(q queues, p *parcel, a answer) {
	info, _ := log.ReadHeader(p.parts[0]) // as it was sent
	s.sequence[p.Partition] = (s.sequence[p.Partition] + int32(info.Count)) & math.MaxInt32
	if p.base < 0 {
		p.base = a.base
		log.SetBase(p.Batch, a.base, a.epoch)
	}
	if p.parts, p.sent = p.parts[1:], false; len(p.parts) > 0 {
		return
	}
	if list := q[p.Partition][1:]; len(list) > 0 {
		q[p.Partition] = list
	} else {
		delete(q, p.Partition)
	}
	p.done(nil)
}

// partBytes is about what the parts of a divided batch have; topics take 1 MiB
// unless they say otherwise.
const partBytes = 900 << 10

// divide makes several batches of the first part; it reports false if that has
// only one record. Batches that a broker found too large are not stored, so
// their sequence number is free.
func (p *parcel) divide() bool {
	info, err := log.ReadHeader(p.parts[0])
	if err != nil || info.Count < 2 {
		return false
	}
	limit := min(partBytes, len(p.parts[0])/2)
	r := log.Records{Buf: slices.Clone(p.parts[0])}
	if _, _, err := r.Decode(log.Span{End: len(r.Buf), MaxRecords: math.MaxInt}); err != nil {
		return false
	}
	var parts [][]byte
	var b log.Builder
	for i := range r.Len() {
		if b.Len() > 0 && b.Bytes()+len(r.Key(i))+len(r.Value(i)) > limit {
			parts = append(parts, b.Finish())
		}
		b.Add(r.Timestamps[i], r.Key(i), r.Value(i), r.Headers(i))
	}
	p.parts, p.sent = append(append(parts, b.Finish()), p.parts[1:]...), false
	return true
}
