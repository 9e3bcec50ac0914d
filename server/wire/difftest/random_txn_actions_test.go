package difftest

import (
	"fmt"
	"math/rand/v2"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// drawnProducer is who speaks, mostly as it has to.
type drawnProducer struct {
	slot, idOf, age int
	raise           int16
}

func drawProducer(r *rand.Rand) drawnProducer {
	p := drawnProducer{slot: 1 + r.IntN(producerSlots-1)}
	p.idOf = p.slot
	switch r.IntN(12) {
	case 0:
		p.age = 1
	case 1:
		p.age = 2
	case 2:
		p.raise = oneOf[int16](r, 1, -1)
	case 3:
		p.idOf = 1 + r.IntN(producerSlots-1)
	}
	return p
}

// secondProtocol reports whether a slot's producer uses the second transaction
// protocol, in which ends raise epochs and nothing is added by hand.
func secondProtocol(slot int) bool { return slot != 2 }

// version draws one of a request that has the second protocol from there on.
func (p drawnProducer) version(r *rand.Rand, low, second, high int16) int16 {
	if secondProtocol(p.slot) {
		return between(r, second, high)
	}
	return between(r, low, second-1)
}

func (p drawnProducer) String() string {
	t := fmt.Sprintf("p%d", p.slot)
	if p.idOf != p.slot {
		t += fmt.Sprintf(" (id of p%d)", p.idOf)
	}
	if p.age != 0 || p.raise != 0 {
		t += fmt.Sprintf(" (of %d times ago, epoch %+d)", p.age, p.raise)
	}
	return t
}

func (p drawnProducer) of(s *side) txn {
	n := s.producerName(p.slot, p.age)
	return txn{s.txnID(p.idOf), n.ID, max(n.Epoch+p.raise, 0)}
}

func drawInit(r *rand.Rand) action {
	slot, v, form := r.IntN(producerSlots), between(r, 0, 5), 0
	if v >= 3 {
		form = often(r, 0, 1, 2, 3, 4)
	}
	return initAction(slot, v, form, often[int32](r, 600_000, 600_000, 700_000, 0, -1, 900_001))
}

// initAction asks for a producer id in one of these forms: anew (0), as who it is
// (1), as who it was (2), with an epoch that nobody has yet (3), with none (4).
func initAction(slot int, v int16, form int, timeout int32) action {
	return action{fmt.Sprintf("init p%d v%d, form %d, timeout %d", slot, v, form, timeout), func(s *side) {
		req := initRequest(s.txnID(slot))
		req.TransactionTimeoutMillis = timeout
		now := s.producerName(slot, 0)
		form := form
		if form > 1 && s.ongoing(slot) { // Kafka aborts what is open before it refuses
			form = 1
		}
		switch form {
		case 1:
			req.ProducerID, req.ProducerEpoch = now.ID, now.Epoch
		case 2:
			old := s.producerName(slot, 1)
			req.ProducerID, req.ProducerEpoch = old.ID, old.Epoch
		case 3:
			req.ProducerID, req.ProducerEpoch = now.ID, now.Epoch+5
		case 4:
			req.ProducerID, req.ProducerEpoch = now.ID, -1
		}
		resp := ask[*kmsg.InitProducerIDResponse](s, v, req)
		if resp != nil && resp.ErrorCode == 0 {
			s.learn(slot, log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch})
			if slot > 0 {
				s.silently(func() { s.settled(txn{name: s.txnID(slot)}) })
			}
		}
	}}
}

// ongoing reports whether a slot's producer has a transaction open.
func (s *side) ongoing(slot int) (open bool) {
	s.silently(func() {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{s.txnID(slot)}
		open = ask[*kmsg.DescribeTransactionsResponse](s, 0, req).TransactionStates[0].State == "Ongoing"
	})
	return open
}

func drawAddPartitions(r *rand.Rand) action {
	p, at, v := drawProducer(r), drawPlace(r), between(r, 0, 5)
	verify := r.IntN(4) == 0
	return action{fmt.Sprintf("add partitions v%d %v %v, verify only %v", v, p, at, verify && v >= 4), func(s *side) {
		who := p.of(s)
		if v < 4 {
			s.do(v, s.addRequest(who, s.topicName(at.topic), at.part))
			return
		}
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		x := kmsg.NewAddPartitionsToTxnRequestTransaction()
		x.TransactionalID, x.ProducerID, x.ProducerEpoch, x.VerifyOnly = who.name, who.id, who.epoch, verify
		rt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		rt.Topic, rt.Partitions = s.topicName(at.topic), []int32{at.part}
		x.Topics = append(x.Topics, rt)
		req.Transactions = append(req.Transactions, x)
		s.do(v, req)
	}}
}

func drawAddOffsets(r *rand.Rand) action {
	p, g, v := drawProducer(r), r.IntN(groupSlots), between(r, 0, 4)
	return action{fmt.Sprintf("add offsets v%d %v g%d", v, p, g), func(s *side) {
		who := p.of(s)
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = who.name, who.id, who.epoch, s.groupName(g)
		s.do(v, req)
	}}
}

func drawTxnCommit(r *rand.Rand) action {
	p, g, at, offset := drawProducer(r), r.IntN(groupSlots), drawPlace(r), int64(r.IntN(10))
	v := p.version(r, 0, 5, 5)
	m := drawMember(r)
	asMember := v >= 3 && r.IntN(2) == 0
	return action{fmt.Sprintf("txn commit v%d %v g%d %v offset %d, as member %v %v", v, p, g, at, offset, asMember, m), func(s *side) {
		s.txnCommit(v, p.of(s), s.groupName(g), s.topicName(at.topic), offset, func(req *kmsg.TxnOffsetCommitRequest) {
			req.Topics[0].Partitions[0].Partition = at.part
			if asMember {
				x, instance := m.of(s, g)
				req.MemberID, req.Generation, req.InstanceID = x.id, x.generation, instance
			}
		})
	}}
}

func drawEnd(r *rand.Rand) action {
	p, commit := drawProducer(r), r.IntN(3) > 0
	v := p.version(r, 0, 5, 5)
	return action{fmt.Sprintf("end v%d %v commit %v", v, p, commit), func(s *side) {
		who := p.of(s)
		resp := ask[*kmsg.EndTxnResponse](s, v, s.endRequest(who, commit))
		if resp == nil {
			return
		}
		if who.name != "" {
			s.silently(func() { s.settled(who) })
		}
		if resp.ErrorCode == 0 && v >= 5 && p.slot == p.idOf && resp.ProducerID >= 0 {
			s.learn(p.slot, log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch})
		}
	}}
}

func drawDescribeProducers(r *rand.Rand) action {
	at := drawPlace(r)
	return action{fmt.Sprintf("describe producers %v", at), func(s *side) {
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = s.topicName(at.topic), []int32{at.part}
		req.Topics = append(req.Topics, rt)
		s.do(0, req)
	}}
}

func drawDescribeTransactions(r *rand.Rand) action {
	return action{"describe transactions", func(s *side) {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		for i := 1; i < producerSlots; i++ {
			req.TransactionalIDs = append(req.TransactionalIDs, s.txnID(i))
		}
		s.do(0, req)
	}}
}

func drawListTransactions(r *rand.Rand) action {
	v := between(r, 0, 2)
	states := oneOf(r, nil, nil, []string{"Ongoing"}, []string{"Empty", "CompleteCommit"}, []string{"CompleteAbort", "Nonsense"})
	slot := oneOf(r, -1, -1, 1, 2)
	return action{fmt.Sprintf("list transactions v%d %q, p%d", v, states, slot), func(s *side) {
		req := kmsg.NewPtrListTransactionsRequest()
		req.StateFilters, req.DurationFilterMillis = states, -1
		if slot > 0 {
			req.ProducerIDFilters = []int64{s.producerName(slot, 0).ID}
		}
		if v >= 2 {
			req.TransactionalIDPattern = kmsg.StringPtr(s.prefix + "txn[12]")
		}
		s.do(v, req)
	}}
}
