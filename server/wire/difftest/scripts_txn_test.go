package difftest

import (
	"strconv"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// A txn is a transactional producer with a transaction open.
type txn struct {
	name  string
	id    int64
	epoch int16
}

func initRequest(txnID string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 600_000, -1, -1
	if txnID != "" {
		req.TransactionalID = &txnID
	}
	return req
}

// txnProducer makes a transactional producer.
func (s *session) txnProducer(n string) txn {
	s.Helper()
	p := txn{name: s.name(n)}
	s.silently(func() {
		resp := s.do(4, initRequest(p.name)).(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != 0 {
			s.Fatalf("producer %s: code %d", p.name, resp.ErrorCode)
		}
		p.id, p.epoch = resp.ProducerID, resp.ProducerEpoch
	})
	return p
}

func (s *session) addRequest(p txn, topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.name, p.id, p.epoch
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}

func (s *session) endRequest(p txn, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.name, p.id, p.epoch, commit
	return req
}

// join makes a partition part of the producer's transaction.
func (s *session) join(p txn, topic string, partitions ...int32) {
	s.Helper()
	s.silently(func() {
		resp := s.do(3, s.addRequest(p, topic, partitions...)).(*kmsg.AddPartitionsToTxnResponse)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			s.Fatalf("joining: code %d", code)
		}
	})
}

// openTxn opens a transaction of a new producer, with one record in the topic's
// first partition.
func (s *session) openTxn(topic string) txn {
	s.Helper()
	s.txns++
	p := s.txnProducer("txn-" + strconv.Itoa(s.txns))
	s.join(p, topic, 0)
	s.silently(func() {
		req := produceRequest(topic, [16]byte{}, 0, from(batch("in txn"), p.id, p.epoch, 0, true))
		req.TransactionID = &p.name
		resp := s.do(9, req).(*kmsg.ProduceResponse)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			s.Fatalf("writing in a transaction: code %d", code)
		}
	})
	return p
}

// endTxn ends a producer's transaction and waits until its marker is there.
func (s *session) endTxn(p txn, commit bool) {
	s.Helper()
	s.silently(func() {
		if resp := s.do(3, s.endRequest(p, commit)).(*kmsg.EndTxnResponse); resp.ErrorCode != 0 {
			s.Fatalf("ending: code %d", resp.ErrorCode)
		}
		s.do(4, initRequest(p.name)) // answered once the transaction has ended
	})
}

func (s *session) produceIn(p txn, topic string, partition int32, sequence int32, version int16) {
	s.Helper()
	req := produceRequest(topic, s.topics[topic], partition, from(batch("in txn"), p.id, p.epoch, sequence, true))
	req.TransactionID = &p.name
	s.do(version, req)
}

func init() {
	const initProducer = 22
	define(initProducer, "init producer/plain", func(s *session) {
		s.try(initRequest(""))
		s.try(initRequest(""))
	})
	define(initProducer, "init producer/transactional", func(s *session) {
		s.try(initRequest(s.name("id")))
		s.try(initRequest(s.name("id")))
		s.try(initRequest(s.name("other")))
	})
	define(initProducer, "init producer/bad", func(s *session) {
		empty := ""
		req := initRequest("x")
		req.TransactionalID = &empty
		s.try(req)
		for _, ms := range []int32{0, -1, 1, 900_000, 900_001, 1<<31 - 1} {
			req := initRequest(s.name("id"))
			req.TransactionTimeoutMillis = ms
			s.try(req)
		}
		for _, ms := range []int32{0, -1} {
			req := initRequest("")
			req.TransactionTimeoutMillis = ms
			s.try(req)
		}
	})
	defineFrom(initProducer, 3, "init producer/current of an open transaction", func(s *session) {
		t := s.topic("t", 1)
		p := s.openTxn(t)
		req := initRequest(p.name)
		req.ProducerID, req.ProducerEpoch = p.id, p.epoch
		s.try(req)
		s.produceIn(p, t, 0, 1, 9)
	})
	defineFrom(initProducer, 3, "init producer/current", func(s *session) {
		p := s.txnProducer("id")
		bump := func(id int64, epoch int16) {
			req := initRequest(p.name)
			req.ProducerID, req.ProducerEpoch = id, epoch
			s.try(req)
		}
		bump(p.id, p.epoch)
		bump(p.id, p.epoch)
		bump(p.id, p.epoch+7)
		bump(p.id+1_000_000, p.epoch)
		bump(p.id, -1)
		bump(-1, p.epoch)
		req := initRequest("")
		req.ProducerID, req.ProducerEpoch = p.id, p.epoch
		s.try(req)
		req = initRequest(s.name("nobody"))
		req.ProducerID, req.ProducerEpoch = p.id, p.epoch
		s.try(req)
	})
	define(initProducer, "init producer/aborts", func(s *session) {
		t := s.filled()
		p := s.openTxn(t)
		s.try(initRequest(p.name))
		s.do(11, func() *kmsg.FetchRequest {
			req := emptyFetch()
			req.IsolationLevel = 1
			ft := kmsg.NewFetchRequestTopic()
			ft.Topic, ft.Partitions = t, append(ft.Partitions, fetchPartition(0, 0))
			req.Topics = append(req.Topics, ft)
			return req
		}())
		s.produceIn(p, t, 0, 1, 9)
		s.do(3, s.endRequest(p, true))
	})

	const add = 24
	v3 := func(s *session) bool { return s.version < 4 }
	define(add, "add partitions", func(s *session) {
		if !v3(s) {
			s.addBatched()
			return
		}
		t := s.filled()
		p := s.txnProducer("id")
		s.try(s.addRequest(p, t, 0))
		s.try(s.addRequest(p, t, 0, 1))
		s.try(s.addRequest(p, t, 0, 5))
		s.try(s.addRequest(p, s.name("nobody"), 0))
		s.try(s.addRequest(txn{p.name, p.id, p.epoch + 1}, t, 0))
		s.try(s.addRequest(txn{p.name, p.id + 1_000_000, p.epoch}, t, 0))
		s.try(s.addRequest(txn{s.name("other"), p.id, p.epoch}, t, 0))
		s.try(s.addRequest(txn{"", p.id, p.epoch}, t, 0))
		newer := s.txnProducer("id")
		s.try(s.addRequest(p, t, 0))
		s.try(s.addRequest(newer, t, 0))
	})

	const addOffsets = 25
	define(addOffsets, "add offsets", func(s *session) {
		p := s.txnProducer("id")
		try := func(p txn, group string) {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, p.id, p.epoch, group
			s.try(req)
		}
		try(p, s.name("g"))
		try(p, s.name("g"))
		try(p, "")
		try(txn{p.name, p.id, p.epoch + 1}, s.name("g"))
		try(txn{p.name, p.id + 1_000_000, p.epoch}, s.name("g"))
		try(txn{s.name("other"), p.id, p.epoch}, s.name("g"))
		try(txn{"", p.id, p.epoch}, s.name("g"))
		newer := s.txnProducer("id")
		try(p, s.name("g"))
		try(newer, s.name("g"))
	})

	const end = 26
	define(end, "end txn/empty", func(s *session) {
		p := s.txnProducer("id")
		s.try(s.endRequest(p, true))
		p = s.txnProducer("id2")
		s.try(s.endRequest(p, false))
	})
	for _, commit := range []bool{true, false} {
		define(end, "end txn/"+strconv.FormatBool(commit), func(s *session) {
			t := s.filled()
			p := s.openTxn(t)
			s.try(s.endRequest(p, commit))
			s.try(s.endRequest(p, commit)) // again
			s.try(s.endRequest(p, !commit))
		})
	}
	define(end, "end txn/wrong producers", func(s *session) {
		t := s.filled()
		p := s.openTxn(t)
		s.try(s.endRequest(txn{p.name, p.id, p.epoch + 1}, true))
		s.try(s.endRequest(txn{p.name, p.id, p.epoch - 1}, true))
		s.try(s.endRequest(txn{p.name, p.id + 1_000_000, p.epoch}, true))
		s.try(s.endRequest(txn{s.name("other"), p.id, p.epoch}, true))
		s.try(s.endRequest(txn{"", p.id, p.epoch}, true))
		s.txnProducer("unrelated")
		s.silently(func() { s.do(4, initRequest(p.name)) })
		s.try(s.endRequest(p, true)) // a zombie
		s.try(s.endRequest(p, false))
	})

	// The second protocol: each end raises the epoch, and may be asked for again.
	defineFrom(end, 5, "end txn/raised epochs", func(s *session) {
		t, g := s.topic("t", 2), s.name("g")
		p := s.txnProducer("id")
		end := func(p txn, commit bool) txn {
			resp, _ := s.try(s.endRequest(p, commit)).(*kmsg.EndTxnResponse)
			s.silently(func() { s.settled(p) })
			if resp != nil && resp.ErrorCode == 0 {
				return txn{p.name, resp.ProducerID, resp.ProducerEpoch}
			}
			return p
		}
		end(p, true) // nothing to commit
		s.produceIn(p, t, 0, 0, 12)
		q := end(p, true)
		end(p, true)
		end(p, false)
		s.produceIn(p, t, 0, 1, 12)
		s.produceIn(q, t, 0, 0, 12)
		end(p, true) // late, when the next transaction has begun
		end(p, false)
		s.txnCommit(5, p, g, t, 4)
		s.txnCommit(5, q, g, t, 5)
		r := end(q, false)
		end(q, false)
		end(q, true)
		s.fetchOffsets(g, t, true)
		x := end(r, false) // nothing to abort
		end(r, false)
		end(x, true)
		s.txnCommit(5, x, g, t, 6)
		y := end(x, true)
		s.fetchOffsets(g, t, true)
		for _, p := range []txn{x, y, y} {
			req := initRequest(p.name)
			req.ProducerID, req.ProducerEpoch = p.id, p.epoch
			s.do(4, req)
		}
	})

	// Whose epoch was raised by asking for it has no end to ask for again.
	defineFrom(end, 5, "end txn/raised by init", func(s *session) {
		p := s.txnProducer("id")
		init := func(p txn) txn {
			req := initRequest(p.name)
			req.ProducerID, req.ProducerEpoch = p.id, p.epoch
			resp := s.do(5, req).(*kmsg.InitProducerIDResponse)
			return txn{p.name, resp.ProducerID, resp.ProducerEpoch}
		}
		q := init(p)
		s.try(s.endRequest(p, false))
		s.try(s.endRequest(p, true))
		s.try(s.endRequest(q, false))
		init(q) // sent again
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{p.name}
		s.do(0, req)
	})

	const produce = 0
	defineFrom(produce, 12, "produce/first in transaction", func(s *session) {
		t := s.topic("t", 2)
		p := s.txnProducer("id")
		s.produceIn(p, t, 0, 3, s.version) // before it something is missing
		s.produceIn(p, t, 0, 0, s.version)
		s.produceIn(p, t, 0, 1, s.version)
		s.produceIn(p, t, 1, 1, s.version)
	})
	defineFrom(produce, 3, "produce/next transaction", func(s *session) {
		t := s.topic("t", 2)
		p := s.txnProducer("id")
		s.join(p, t, 0)
		s.produceIn(p, t, 0, 0, min(s.version, 11))
		s.silently(func() { s.do(3, s.endRequest(p, true)); s.settled(p) })
		s.join(p, t, 0)
		s.produceIn(p, t, 0, 1, min(s.version, 11)) // sequences go on
		s.produceIn(p, t, 0, 3, min(s.version, 11))
	})
	defineFrom(produce, 3, "produce/in transaction", func(s *session) {
		t := s.topic("t", 2)
		p := s.txnProducer("id")
		s.join(p, t, 0)
		s.produceIn(p, t, 0, 0, s.version)
		s.produceIn(p, t, 0, 1, s.version)
		s.produceIn(p, t, 0, 1, s.version) // again
		s.produceIn(p, t, 0, 5, s.version) // a gap
		s.endTxn(p, true)
		s.produceIn(p, t, 0, 2, s.version) // a zombie
	})
	// A batch that is refused is part of the transaction nonetheless.
	defineFrom(produce, 12, "produce/refused in transaction", func(s *session) {
		t := s.topic("t", 1, "cleanup.policy", "compact")
		var b log.Builder
		b.Add(1_700_000_000_000, nil, []byte("no key"), nil)
		keyless := b.Finish()
		for i, refused := range [][]byte{keyless, batch("a")} {
			p := s.txnProducer("id-" + strconv.Itoa(i))
			s.produce(t, 0, from(refused, p.id, p.epoch, int32(i), true), func(r *kmsg.ProduceRequest) { r.TransactionID = &p.name })
			req := kmsg.NewPtrDescribeTransactionsRequest()
			req.TransactionalIDs = []string{p.name}
			s.do(0, req)
			s.do(5, s.endRequest(p, true))
			s.silently(func() { s.settled(p) })
		}
		s.list(t, 0, -1)
		p := s.txnProducer("fenced")
		newer := s.txnProducer("fenced")
		for _, p := range []txn{p, newer} {
			s.produce(t, 0, from(keyless, p.id, p.epoch, 0, true), func(r *kmsg.ProduceRequest) { r.TransactionID = &p.name })
		}
	})
	defineFrom(produce, 3, "produce/not joined", func(s *session) {
		t := s.topic("t", 2)
		p := s.txnProducer("id")
		s.produceIn(p, t, 1, 0, s.version)
		wrong := p
		wrong.name = s.name("other")
		s.produceIn(wrong, t, 0, 0, s.version)
	})
	defineFrom(produce, 3, "produce/plain of a transactional producer", func(s *session) {
		t := s.topic("t", 2)
		p := s.txnProducer("id")
		s.join(p, t, 0)
		s.produceIn(p, t, 0, 0, s.version)
		req := produceRequest(t, s.topics[t], 0, from(batch("plain"), p.id, p.epoch, 1, false))
		s.try(req)
	})

	const txnOffsets = 28
	commit := func(s *session, p txn, group, topic string, change ...func(*kmsg.TxnOffsetCommitRequest)) {
		s.Helper()
		s.txnCommit(s.version, p, group, topic, 3, change...)
	}
	joinGroup := (*session).joinGroup
	define(txnOffsets, "txn offsets", func(s *session) {
		t := s.filled()
		p, g := s.txnProducer("id"), s.name("g")
		joinGroup(s, p, g)
		commit(s, p, g, t)
		s.fetchOffsets(g, t, false)
		s.fetchOffsets(g, t, true)
		s.endTxn(p, true)
		s.fetchOffsets(g, t, true)
		commit(s, p, g, t) // a zombie
	})
	// What came last counts, whenever its transaction ends.
	define(txnOffsets, "txn offsets/beside others", func(s *session) {
		t, g := s.filled(), s.name("g")
		p, q := s.txnProducer("p"), s.txnProducer("q")
		plain := func(offset int64) { s.silently(func() { s.do(7, s.commitRequest(g, t, 0, offset)) }) }
		end := func(p *txn, commit bool) {
			s.endTxn(*p, commit)
			p.epoch++ // endTxn has initialised it
			s.fetchOffsets(g, t, true)
		}
		for _, commit := range []bool{true, false} {
			joinGroup(s, p, g)
			s.txnCommit(s.version, p, g, t, 9)
			plain(5)
			s.fetchOffsets(g, t, false)
			end(&p, commit)
			joinGroup(s, p, g)
			joinGroup(s, q, g)
			s.txnCommit(s.version, p, g, t, 8)
			s.txnCommit(s.version, q, g, t, 4)
			end(&q, commit)
			end(&p, true)
			joinGroup(s, p, g)
			joinGroup(s, q, g)
			s.txnCommit(s.version, p, g, t, 8)
			s.txnCommit(s.version, q, g, t, 4)
			s.txnCommit(s.version, p, g, t, 7)
			end(&q, true)
			end(&p, commit)
		}
	})
	define(txnOffsets, "txn offsets/aborted", func(s *session) {
		t := s.filled()
		p, g := s.txnProducer("id"), s.name("g")
		joinGroup(s, p, g)
		commit(s, p, g, t)
		s.endTxn(p, false)
		s.fetchOffsets(g, t, true)
	})
	define(txnOffsets, "txn offsets/bad", func(s *session) {
		t := s.filled()
		p, g := s.txnProducer("id"), s.name("g")
		commit(s, p, g, t) // not joined
		joinGroup(s, p, g)
		commit(s, p, g, s.name("nobody"))
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 9 })
		commit(s, p, "", t)
		commit(s, txn{p.name, p.id, p.epoch + 3}, g, t)
		commit(s, txn{p.name, p.id + 1_000_000, p.epoch}, g, t)
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) { r.Generation, r.MemberID = 4, "nobody" })
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) { r.Generation = 4 })
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) { r.InstanceID = kmsg.StringPtr("nobody") })
		long := make([]byte, 5000)
		for i := range long {
			long[i] = 'x'
		}
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(long))
		})
	})

	// What is refused makes no group.
	define(txnOffsets, "txn offsets/of no group", func(s *session) {
		t := s.topic("t", 1)
		p, g := s.txnProducer("id"), s.name("g")
		commit(s, txn{p.name, p.id + 1_000_000, p.epoch}, g, t)
		s.describeGroup(g)
		joinGroup(s, p, g)
		s.describeGroup(g)
		commit(s, p, g, s.name("nobody"))
		s.describeGroup(g)
		commit(s, p, g, t)
		s.describeGroup(g)
	})
	defineFrom(txnOffsets, 3, "txn offsets/of members", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		p := s.txnProducer("id")
		joinGroup(s, p, g)
		a := s.joined(g)
		as := func(id string, generation int32) func(*kmsg.TxnOffsetCommitRequest) {
			return func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.Generation = id, generation }
		}
		commit(s, p, g, t, as(a.id, a.generation))
		commit(s, p, g, t, as(a.id, a.generation+1))
		commit(s, p, g, t, as("nobody", a.generation))
		commit(s, p, g, t, as("nobody", -1))
		commit(s, p, g, t, as(a.id, -1))
		commit(s, p, g, t, func(r *kmsg.TxnOffsetCommitRequest) { r.InstanceID = kmsg.StringPtr("nobody") })
		commit(s, p, g, t)
		second := s.secondJoins(g, 5)
		s.heartbeatUntil(a, 27)
		commit(s, p, g, t, as(a.id, a.generation)) // as long as the next one has not begun
		again := s.do(5, joinRequest(g, a.id, "range")).(*kmsg.JoinGroupResponse)
		second()
		commit(s, p, g, t, as(a.id, a.generation))
		commit(s, p, g, t, as(a.id, again.Generation))
		s.endTxn(p, true)
		s.fetchOffsets(g, t, true)
		commit(s, p, s.name("new"), t, as("nobody", -1))
	})

	// The transaction is asked before the group, and the group is part of it then,
	// whatever it says.
	defineFrom(txnOffsets, 3, "txn offsets/refused member", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		p, m := s.txnProducer("id"), s.joined(g)
		stale := func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.Generation = m.id, m.generation+1 }
		commit(s, txn{p.name, p.id + 1_000_000, p.epoch}, g, t, stale)
		commit(s, txn{p.name, p.id, p.epoch + 1}, g, t, stale)
		commit(s, p, g, t, stale)
		s.do(5, s.endRequest(p, true))
		s.fetchOffsets(g, t, true)
	})

	define(61, "describe producers", func(s *session) {
		t := s.filled()
		s.openTxn(t)
		id, epoch := s.producer()
		s.fill(t, 1, from(batch("a"), id, epoch, 0, false))
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = t, []int32{0, 1, 7}
		req.Topics = append(req.Topics, rt)
		rt.Topic, rt.Partitions = s.name("nobody"), []int32{0}
		req.Topics = append(req.Topics, rt)
		s.try(req)
	})
	define(61, "describe producers/ended transactions", func(s *session) {
		t := s.topic("t", 1)
		p := s.openTxn(t)
		s.silently(func() { s.do(3, s.endRequest(p, true)); s.settled(p) })
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = t, []int32{0}
		req.Topics = append(req.Topics, rt)
		s.try(req)
	})
	define(65, "describe transactions", func(s *session) {
		t := s.filled()
		p := s.txnProducer("empty")
		o := s.openTxn(t)
		ended := s.openTxn(t)
		s.silently(func() { s.do(3, s.endRequest(ended, true)); s.settled(ended) })
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{p.name, o.name, ended.name, s.name("nobody"), ""}
		s.try(req)
	})
	define(66, "list transactions", func(s *session) {
		t := s.filled()
		o := s.openTxn(t)
		req := kmsg.NewPtrListTransactionsRequest()
		req.DurationFilterMillis = -1
		req.ProducerIDFilters = []int64{o.id}
		s.try(req)
		req.StateFilters = []string{"Ongoing", "Nonsense"}
		s.try(req)
		req.StateFilters = []string{"Empty"}
		s.try(req)
		req.StateFilters, req.DurationFilterMillis = nil, 100_000_000
		s.try(req)
	})
}

// settled waits until a transaction's markers are written.
func (s *session) settled(p txn) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{p.name}
	for range 1000 {
		if resp := s.do(0, req).(*kmsg.DescribeTransactionsResponse); !strings.HasPrefix(resp.TransactionStates[0].State, "Prepare") {
			return
		}
	}
}

// addBatched sends versions 4 and later, which brokers send each other.
func (s *session) addBatched() {
	t := s.filled()
	p := s.txnProducer("id")
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	x := kmsg.NewAddPartitionsToTxnRequestTransaction()
	x.TransactionalID, x.ProducerID, x.ProducerEpoch = p.name, p.id, p.epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	rt.Topic, rt.Partitions = t, []int32{0, 1}
	x.Topics = append(x.Topics, rt)
	req.Transactions = append(req.Transactions, x)
	s.try(req)
	req.Transactions[0].VerifyOnly = true
	s.try(req)
	req.Transactions[0].TransactionalID = s.name("nobody")
	s.try(req)
	req.Transactions[0].TransactionalID, req.Transactions[0].ProducerEpoch = p.name, p.epoch+1
	s.try(req)
	req.Transactions[0].Topics[0].Partitions = []int32{0, 9}
	s.try(req)
}

// txnCommit keeps an offset of the topic's first partition for a transaction.
func (s *session) txnCommit(version int16, p txn, group, topic string, offset int64, change ...func(*kmsg.TxnOffsetCommitRequest)) {
	s.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, p.id, p.epoch, group
	t, tp := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	t.Topic, tp.Partition, tp.Offset, tp.Metadata = topic, 0, offset, kmsg.StringPtr("meta")
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	for _, f := range change {
		f(req)
	}
	s.do(version, req)
}

// joinGroup makes a group part of the producer's transaction.
func (s *session) joinGroup(p txn, group string) {
	s.Helper()
	s.silently(func() {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, p.id, p.epoch, group
		s.do(3, req)
	})
}
