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
	stale    bool                    // one that is not transactional needs a new producer id
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

// A queue is what is to be sent to a partition, in order.
type queue struct {
	parcels []*parcel
	wait    backoff
	failing time.Time // since when, or zero
	next    time.Time // not to be tried before
}

// queues are the queues that are not empty.
type queues map[log.Partition]*queue

func (q queues) add(list []*parcel) {
	for _, p := range list {
		if q[p.Partition] == nil {
			q[p.Partition] = &queue{}
		}
		q[p.Partition].parcels = append(q[p.Partition].parcels, p)
	}
}

// refuse ends all parcels of a partition: those behind one that can't be stored
// must not overtake it.
func (q queues) refuse(p log.Partition, err error) {
	for _, x := range q[p].parcels {
		x.done(err)
	}
	delete(q, p)
}

func (q queues) refuseAll(err error) {
	for p := range q {
		q.refuse(p, err)
	}
}

// next returns when there is something to be tried.
func (q queues) next() time.Time {
	var first time.Time
	for _, x := range q {
		if first.IsZero() || x.next.Before(first) {
			first = x.next
		}
	}
	return first
}

// An inbox is where further parcels come from while others are sent.
type inbox interface {
	take() []*parcel
	arrived() <-chan struct{} // may tell when there are some
}

// send sends parcels, and calls each one's done. A partition that can't be
// written to is tried again, for as long as Patience, and holds up no other one.
//
// A transaction ends with the first parcel that is refused: that error is
// returned, and the producer must be set up anew by init. Without a transaction
// the others go on, under a new producer id where they have not been sent yet:
// what has keeps its old one, so that it is not stored twice.
func (s *sender) send(ctx context.Context, parcels []*parcel, more inbox) error {
	ctx, cancel := s.log.alive(ctx)
	defer cancel()
	q := queues{}
	q.add(parcels)
	for len(q) > 0 {
		if s.stale {
			if err := s.init(ctx, log.NoProducer); err != nil {
				q.refuseAll(err)
				return err
			}
			s.stale = false
		}
		if err := s.round(ctx, q); err != nil && s.txnID != "" {
			q.refuseAll(err)
			return err
		} else if err != nil {
			s.stale = true
		}
		if more != nil {
			q.add(more.take())
		}
		if err := s.await(ctx, q, more); err != nil {
			q.refuseAll(err)
			return err
		}
	}
	return nil
}

// await waits until something may be tried.
func (s *sender) await(ctx context.Context, q queues, more inbox) error {
	var arrived <-chan struct{}
	if more != nil {
		arrived = more.arrived()
	}
	d := q.next().Sub(s.log.opts.Clock.Now())
	if len(q) == 0 || d <= 0 {
		return nil
	}
	if s.log.pause(ctx, d, arrived) != nil {
		return s.log.ended(ctx)
	}
	if more != nil {
		q.add(more.take())
	}
	return nil
}

// A routed parcel knows where it goes.
type routed struct {
	*parcel
	topic *topic
	epoch int32 // the leader's
}

// round sends what is first in each queue, and returns the first error for
// which something was refused.
func (s *sender) round(ctx context.Context, q queues) error {
	var failed error
	settle := func(p *parcel, a answer) { failed = cmp.Or(failed, s.settle(ctx, q, p, a)) }
	byLeader := s.byLeader(ctx, q, settle)
	if err := s.join(ctx, byLeader); err != nil {
		for _, list := range byLeader {
			for _, p := range list {
				settle(p.parcel, answer{err: err})
			}
		}
		return failed
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
			settle(p.parcel, (*answers[broker])[i])
		}
	}
	return failed
}

// byLeader returns the first parcels of the queues whose time has come by the
// broker to ask, numbered.
func (s *sender) byLeader(ctx context.Context, q queues, settle func(*parcel, answer)) map[int32][]routed {
	out := map[int32][]routed{}
	size := map[int32]int{}
	now := s.log.opts.Clock.Now()
	for at, x := range q {
		if x.next.After(now) {
			continue
		}
		p := x.parcels[0]
		t, lead, err := s.log.partition(ctx, at)
		if err == nil && lead.broker < 0 {
			err = kerr.LeaderNotAvailable
		}
		if err != nil {
			settle(p, answer{err: err})
			continue
		}
		n := len(p.parts[0])
		if size[lead.broker] == 0 || size[lead.broker]+n <= maxRequestBytes {
			size[lead.broker] += n
			out[lead.broker] = append(out[lead.broker], routed{p, t, lead.epoch})
			if !p.sent {
				log.SetProducer(p.parts[0], s.producer, s.sequence[at], s.txnID != "")
				p.sent = true
			}
		}
	}
	return out
}

// join makes the parcels' partitions part of the transaction, for clusters that
// do not do so by themselves when they get the batches.
func (s *sender) join(ctx context.Context, byLeader map[int32][]routed) error {
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
func (s *sender) sendTo(ctx context.Context, broker int32, list []routed) []answer {
	out := make([]answer, len(list))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(produceTimeout.Milliseconds())
	if s.txnID != "" {
		req.TransactionID = &s.txnID
	}
	byID := map[log.TopicID]string{}
	at := map[log.Partition]int{}
	for i, p := range list {
		t := p.topic
		out[i] = answer{err: errShape, epoch: p.epoch}
		byID[t.ID] = t.Name
		at[p.Partition] = i
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

// settle draws the consequences of an answer; it returns an error if the
// partition's parcels are refused for it.
func (s *sender) settle(ctx context.Context, q queues, p *parcel, a answer) error {
	x := q[p.Partition]
	switch {
	case a.err == nil:
		x.wait, x.failing = backoff{}, time.Time{}
		s.stored(q, p, a)
		return nil
	case errors.Is(a.err, kerr.MessageTooLarge) && p.divide():
		return nil
	case passing(a.err):
		if moved(a.err) {
			s.log.forget(p.Partition.Topic)
		}
		now := s.log.opts.Clock.Now()
		if x.failing.IsZero() {
			x.failing = now
		}
		if ctx.Err() == nil && now.Sub(x.failing) <= s.log.opts.Patience {
			x.next = now.Add(x.wait.next())
			return nil
		}
		a.err = fmt.Errorf("%w (tried for %s)", s.log.explain(a.err), s.log.opts.Patience)
		if ctx.Err() != nil {
			a.err = s.log.ended(ctx)
		}
	}
	err := fmt.Errorf("writing to %s partition %d: %w", p.Partition.Topic, p.Partition.Index, s.log.explain(a.err))
	q.refuse(p.Partition, err)
	return err
}

// stored takes the part that was sent off its parcel, and that off its queue if
// it was the last.
func (s *sender) stored(q queues, p *parcel, a answer) {
	info, _ := log.ReadHeader(p.parts[0]) // as it was sent
	if info.Producer == s.producer {
		s.sequence[p.Partition] = (s.sequence[p.Partition] + int32(info.Count)) & math.MaxInt32
	}
	if p.base < 0 {
		p.base = a.base
		log.SetBase(p.Batch, a.base, a.epoch)
	}
	if p.parts, p.sent = p.parts[1:], false; len(p.parts) > 0 {
		return
	}
	if x := q[p.Partition]; len(x.parcels) > 1 {
		x.parcels = x.parcels[1:]
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
