package difftest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *session) produce(topic string, partition int32, records []byte, change ...func(*kmsg.ProduceRequest)) *kmsg.ProduceResponse {
	s.Helper()
	id := s.topics[topic]
	if id == [16]byte{} {
		id = [16]byte{9, 9, 9} // of no topic
	}
	req := produceRequest(topic, id, partition, records)
	for _, f := range change {
		f(req)
	}
	resp, _ := s.try(req).(*kmsg.ProduceResponse)
	return resp
}

// sealed makes a change to a batch and its CRC right again.
func sealed(b []byte, change func([]byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// from gives a batch a producer.
func from(b []byte, id int64, epoch int16, sequence int32, transactional bool) []byte {
	b = bytes.Clone(b)
	log.SetProducer(b, log.Producer{ID: id, Epoch: epoch}, sequence, transactional)
	return b
}

// producer asks for a producer id.
func (s *session) producer() (id int64, epoch int16) {
	s.Helper()
	s.silently(func() {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 600_000, -1, -1
		resp := s.do(4, req).(*kmsg.InitProducerIDResponse)
		id, epoch = resp.ProducerID, resp.ProducerEpoch
	})
	return id, epoch
}

func init() {
	const produce = 0
	defineFrom(produce, 0, "produce/old versions", func(s *session) {
		t := s.topic("t", 1)
		if s.version < 3 { // advertised, so that clients do not think compression is beyond the broker
			s.try(produceRequest(t, s.topics[t], 0, batch("a")))
		}
	})
	defineFrom(produce, 3, "produce/plain", func(s *session) {
		t := s.topic("t", 2)
		s.produce(t, 0, batch("a", "b"))
		s.produce(t, 0, batch("c"))
		s.produce(t, 1, batch("d"), func(r *kmsg.ProduceRequest) { r.Acks = 1 })
	})
	defineFrom(produce, 3, "produce/compressed, unknown topic", func(s *session) {
		b, err := log.Recompress(batch("a"), log.Zstd)
		if err != nil {
			s.Fatal(err)
		}
		s.produce(s.name("nobody"), 0, b)
	})
	defineFrom(produce, 3, "produce/no answer", func(s *session) {
		t := s.topic("t", 1)
		req := produceRequest(t, s.topics[t], 0, batch("a"))
		req.Acks = 0
		req.SetVersion(s.version)
		c, _ := s.conn("")
		if err := c.send(req, answerTime); err != nil {
			s.Fatal(err)
		}
		s.produce(t, 0, batch("b"))
	})
	for _, acks := range []int16{2, -2} {
		defineFrom(produce, 3, "produce/acks "+string(rune('0'+acks&7)), func(s *session) {
			s.produce(s.topic("t", 1), 0, batch("a"), func(r *kmsg.ProduceRequest) { r.Acks = acks })
			s.produce(s.name("nobody"), 0, batch("a"), func(r *kmsg.ProduceRequest) { r.Acks = acks })
		})
	}
	defineFrom(produce, 3, "produce/unknown topic", func(s *session) { s.produce(s.name("nobody"), 0, batch("a")) })
	defineFrom(produce, 3, "produce/bad partition", func(s *session) {
		t := s.topic("t", 1)
		s.produce(t, 1, batch("a"))
		s.produce(t, -1, batch("a"))
	})
	defineFrom(produce, 3, "produce/one of two", func(s *session) {
		t := s.topic("t", 2)
		s.produce(t, 0, batch("a"), func(r *kmsg.ProduceRequest) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = 7, batch("b")
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		})
	})
	defineFrom(produce, 3, "produce/nothing", func(s *session) {
		t := s.topic("t", 1)
		s.wait = neverTime
		s.produce(t, 0, nil)
		s.wait = 0
		s.produce(t, 0, []byte{})
		none := kmsg.NewPtrProduceRequest()
		none.Acks = -1
		s.try(none)
	})
	defineFrom(produce, 3, "produce/broken", func(s *session) {
		t := s.topic("t", 1)
		flipped := batch("a", "b")
		flipped[len(flipped)-2] ^= 1
		s.produce(t, 0, flipped)
		s.produce(t, 0, batch("a")[:40])
		s.produce(t, 0, batch("a")[:65])
		s.produce(t, 0, append(batch("a"), 1, 2, 3))
		s.produce(t, 0, []byte("rubbish that is long enough to have a header of its own, or nearly so, in any case"))
		s.produce(t, 0, batch("fine"))
	})
	defineFrom(produce, 3, "produce/magic", func(s *session) {
		t := s.topic("t", 1)
		for _, magic := range []byte{0, 1, 3} {
			b := batch("a")
			b[16] = magic
			s.produce(t, 0, b)
		}
	})
	defineFrom(produce, 3, "produce/two batches", func(s *session) {
		t := s.topic("t", 1)
		s.produce(t, 0, append(batch("a"), batch("b")...))
	})
	defineFrom(produce, 3, "produce/counts", func(s *session) {
		t := s.topic("t", 1)
		s.produce(t, 0, sealed(batch("a", "b"), func(b []byte) { binary.BigEndian.PutUint32(b[57:], 1) }))
		s.produce(t, 0, sealed(batch("a", "b"), func(b []byte) { binary.BigEndian.PutUint32(b[57:], 3) }))
		s.produce(t, 0, sealed(batch("a", "b"), func(b []byte) { binary.BigEndian.PutUint32(b[23:], 5) }))
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { binary.BigEndian.PutUint32(b[57:], 0) }))
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { binary.BigEndian.PutUint32(b[57:], 1<<31-1) }))
	})
	defineFrom(produce, 3, "produce/control", func(s *session) {
		s.produce(s.topic("t", 1), 0, sealed(batch("a"), func(b []byte) { b[22] |= 0x20 }))
	})
	defineFrom(produce, 3, "produce/base offset", func(s *session) {
		b := batch("a")
		log.SetBase(b, 1000, 77)
		s.produce(s.topic("t", 1), 0, b)
	})
	defineFrom(produce, 3, "produce/codecs", func(s *session) {
		t := s.topic("t", 1)
		for _, c := range []log.Codec{log.Gzip, log.Snappy, log.LZ4, log.Zstd} {
			b, err := log.Recompress(batch(strings.Repeat("compress ", 100), "x"), c)
			if err != nil {
				s.Fatal(err)
			}
			s.produce(t, 0, b)
		}
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { b[22] |= 1 })) // not gzip
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { b[22] |= 4 })) // not zstd
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { b[22] |= 5 })) // no codec
	})
	defineFrom(produce, 3, "produce/too large", func(s *session) {
		t := s.topic("t", 1)
		s.produce(t, 0, batch(strings.Repeat("x", 2<<20)))
		small := s.topic("small", 1, "max.message.bytes", "1000")
		s.produce(small, 0, batch(strings.Repeat("x", 900)))
		s.produce(small, 0, batch(strings.Repeat("x", 1000)))
	})
	defineFrom(produce, 3, "produce/compacted", func(s *session) {
		t := s.topic("t", 1, "cleanup.policy", "compact")
		var b log.Builder
		b.Add(1_700_000_000_000, nil, []byte("v"), nil)
		s.produce(t, 0, b.Finish())
		s.produce(t, 0, batch("a"))
	})
	defineFrom(produce, 3, "produce/timestamps", func(s *session) {
		t := s.topic("append", 1, "message.timestamp.type", "LogAppendTime")
		s.produce(t, 0, batch("a"))
		t = s.topic("bounded", 1, "message.timestamp.before.max.ms", "1000")
		s.produce(t, 0, batch("a"))
		t = s.topic("negative", 1)
		var b log.Builder
		b.Add(-1, nil, []byte("v"), nil)
		s.produce(t, 0, b.Finish())
		b.Add(-7, nil, []byte("v"), nil)
		s.produce(t, 0, b.Finish())
		b.Add(1<<52, nil, []byte("v"), nil) // far ahead
		s.produce(t, 0, b.Finish())
	})
	defineFrom(produce, 3, "produce/sequence", func(s *session) {
		t := s.topic("t", 1)
		id, epoch := s.producer()
		s.produce(t, 0, from(batch("a", "b"), id, epoch, 0, false))
		s.produce(t, 0, from(batch("c"), id, epoch, 2, false))
		s.produce(t, 0, from(batch("a", "b"), id, epoch, 0, false)) // again
		s.produce(t, 0, from(batch("c"), id, epoch, 2, false))
		s.produce(t, 0, from(batch("e"), id, epoch, 4, false)) // a gap
		s.produce(t, 0, from(batch("b"), id, epoch, 1, false)) // half of one
		for i := range int32(6) {
			s.produce(t, 0, from(batch("d"), id, epoch, 3+i, false))
		}
		s.produce(t, 0, from(batch("a", "b"), id, epoch, 0, false)) // too long ago
		s.produce(t, 0, from(batch("d"), id, epoch, 4, false))
		s.produce(t, 0, from(batch("d"), id, epoch+1, 5, false)) // a new epoch begins at 0
		s.produce(t, 0, from(batch("d"), id, epoch+1, 0, false))
		s.produce(t, 0, from(batch("d"), id, epoch, 9, false)) // the old one
		s.produce(t, 0, batch("plain"))
	})
	defineFrom(produce, 3, "produce/sequence goes around", func(s *session) {
		t := s.topic("t", 1)
		id, epoch := s.producer()
		s.produce(t, 0, from(batch("a", "b"), id, epoch, math.MaxInt32-2, false))
		s.produce(t, 0, from(batch("c", "d", "e"), id, epoch, math.MaxInt32, false))
		s.produce(t, 0, from(batch("c", "d", "e"), id, epoch, math.MaxInt32, false)) // again
		s.produce(t, 0, from(batch("f"), id, epoch, 2, false))
		s.produce(t, 0, from(batch("f"), id, epoch, 2, false)) // again
		s.produce(t, 0, from(batch("g"), id, epoch, 4, false)) // a gap
	})
	defineFrom(produce, 3, "produce/no timestamp", func(s *session) {
		var b log.Builder
		b.Add(-1, []byte("k"), []byte("v"), nil)
		none := b.Finish()
		for name, config := range map[string][]string{
			"before": {"message.timestamp.before.max.ms", "1000"}, "after": {"message.timestamp.after.max.ms", "1000"},
			"append": {"message.timestamp.type", "LogAppendTime"}, "plain": nil,
		} {
			s.silently(func() { s.topic(name, 1, config...) })
		}
		for _, name := range []string{"before", "after", "append", "plain"} {
			s.produce(s.name(name), 0, bytes.Clone(none))
		}
	})
	defineFrom(produce, 3, "produce/strange producers", func(s *session) {
		t := s.topic("t", 1)
		id, epoch := s.producer()
		s.produce(t, 0, from(batch("a"), id, epoch, 5, false)) // not from 0, of nobody known
		s.produce(t, 0, from(batch("a"), id+100_000, 3, 0, false))
		s.produce(t, 0, from(batch("a"), id, -1, 0, false))
		s.produce(t, 0, from(batch("a"), id, epoch, -1, false))
		s.produce(t, 0, from(batch("a"), -1, 0, 0, false))
		s.produce(t, 0, from(batch("a"), -5, 0, 0, false))
	})
	defineFrom(produce, 3, "produce/transactional without", func(s *session) {
		t := s.topic("t", 1)
		id, epoch := s.producer()
		s.produce(t, 0, from(batch("a"), id, epoch, 0, true)) // no transactional id
		s.produce(t, 0, from(batch("a"), id, epoch, 0, true), func(r *kmsg.ProduceRequest) { r.TransactionID = kmsg.StringPtr(s.name("nobody")) })
		s.produce(t, 0, batch("a"), func(r *kmsg.ProduceRequest) { r.TransactionID = kmsg.StringPtr(s.name("nobody")) })
		s.produce(t, 0, sealed(batch("a"), func(b []byte) { b[22] |= 0x10 }))
	})
	defineFrom(produce, 3, "produce/topic twice", func(s *session) {
		t := s.topic("t", 1)
		s.produce(t, 0, batch("a"), func(r *kmsg.ProduceRequest) { r.Topics = append(r.Topics, r.Topics[0]) })
	})

	const fetch = 1
	define(fetch, "fetch/plain", func(s *session) {
		t := s.filled()
		for _, offset := range []int64{0, 1, 3, 4} {
			s.fetch(t, 0, offset)
		}
		s.fetch(t, 1, 0)
	})
	define(fetch, "fetch/out of range", func(s *session) {
		t := s.filled()
		s.fetch(t, 0, 5)
		s.fetch(t, 0, -1)
		s.fetch(t, 0, 1<<40)
		s.silently(func() { s.trim(t, 2) })
		s.fetch(t, 0, 1)
		s.fetch(t, 0, 2)
	})
	define(fetch, "fetch/unknown", func(s *session) {
		t := s.filled()
		s.fetch(s.name("nobody"), 0, 0)
		s.fetch(t, 9, 0)
		s.fetch(t, -1, 0)
	})
	define(fetch, "fetch/limits", func(s *session) {
		t := s.filled()
		for _, limit := range []int32{0, 1, 100, 200} {
			s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.MaxBytes = limit })
			s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = limit })
		}
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.MaxBytes = -1 })
		s.fetch(t, 0, 4, func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = 1, 5 })
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.MinBytes, r.MaxWaitMillis = 1<<20, 5 })
	})
	// What stands before an offset, in front of where a broker looks it up, takes no
	// room.
	define(fetch, "fetch/room for two", func(s *session) {
		t := s.topic("t", 1)
		one := batch("a")
		s.fill(t, 0, one, bytes.Clone(one), bytes.Clone(one), bytes.Clone(one))
		for offset := range int64(4) {
			s.fetch(t, 0, offset, func(r *kmsg.FetchRequest) {
				r.MaxBytes, r.MinBytes, r.MaxWaitMillis = int32(2*len(one)), int32(3*len(one)), 5
			})
		}
	})
	define(fetch, "fetch/two partitions", func(s *session) {
		t := s.filled()
		s.fill(t, 1, batch("x"), batch("y"))
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, fetchPartition(1, 1))
		})
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) {
			r.MaxBytes = 1
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, fetchPartition(1, 1))
		})
		s.fetch(t, 0, 9, func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, fetchPartition(1, 0))
		})
		s.try(emptyFetch())
	})
	define(fetch, "fetch/sessions", func(s *session) {
		t := s.filled()
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 123456, 5 })
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 123456, -1 })
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 0, 3 })
	})
	define(fetch, "fetch/epochs", func(s *session) {
		t := s.filled()
		for _, epoch := range []int32{0, 1, 100, -2} {
			s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch })
			s.fetch(t, 0, 4, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
			s.fetch(t, 0, 9, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
			s.fetch(t, 0, -1, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = epoch })
		}
	})
	define(fetch, "fetch/isolation", func(s *session) {
		t := s.filled()
		p := s.openTxn(t)
		for _, isolation := range []int8{0, 1, 2} {
			s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
			s.fetch(t, 0, 4, func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
		}
		s.endTxn(p, false)
		for _, isolation := range []int8{0, 1} {
			for _, offset := range []int64{0, 4, 5, 6} {
				s.fetch(t, 0, offset, func(r *kmsg.FetchRequest) { r.IsolationLevel = isolation })
			}
		}
		p = s.openTxn(t)
		s.endTxn(p, true)
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.IsolationLevel = 1 })
	})
	define(fetch, "fetch/deleted", func(s *session) {
		t := s.filled()
		s.silently(func() { s.deleteTopic(t) })
		s.fetch(t, 0, 0)
	})
	defineFrom(fetch, 13, "fetch/wrong id", func(s *session) {
		t := s.filled()
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{1, 2, 3} })
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{} })
	})
	define(fetch, "fetch/replica", func(s *session) {
		t := s.filled()
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.ReplicaID = 55 })
		s.fetch(t, 0, 0, func(r *kmsg.FetchRequest) { r.ReplicaID = -2 })
	})

	const list = 2
	for _, time := range []int64{-1, -2, -3, -4, -5, -6, -7, -100, 0, 1_700_000_000_001, 1_700_000_000_003, 1_800_000_000_000} {
		define(list, "list offsets/time "+itoa(time), func(s *session) {
			t := s.filled()
			s.list(t, 0, time)
			s.list(t, 1, time)
			s.list(t, 2, time)
		})
	}
	define(list, "list offsets/unknown", func(s *session) {
		t := s.filled()
		s.list(s.name("nobody"), 0, -1)
		s.list(t, 5, -1)
		s.list(t, -1, -1)
		s.list("", 0, -1)
		s.list("bad name", 0, -1)
	})
	define(list, "list offsets/epochs", func(s *session) {
		t := s.filled()
		for _, epoch := range []int32{0, 1, -2} {
			s.list(t, 0, -1, func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch })
		}
	})
	define(list, "list offsets/twice", func(s *session) {
		t := s.filled()
		s.list(t, 0, -1, func(r *kmsg.ListOffsetsRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		})
		s.list(t, 0, -1, func(r *kmsg.ListOffsetsRequest) { r.Topics = append(r.Topics, r.Topics[0]) })
		s.try(kmsg.NewPtrListOffsetsRequest())
	})
	define(list, "list offsets/isolation", func(s *session) {
		t := s.filled()
		s.openTxn(t)
		for _, isolation := range []int8{0, 1, 2} {
			for _, time := range []int64{-1, -2, -3, 1_700_000_000_000, 1_900_000_000_000} {
				s.list(t, 0, time, func(r *kmsg.ListOffsetsRequest) { r.IsolationLevel = isolation })
			}
		}
	})
	define(list, "list offsets/greatest in an open transaction", func(s *session) {
		t := s.filled()
		p := s.txnProducer("id")
		s.join(p, t, 0)
		var b log.Builder
		b.Add(1_700_000_000_999, []byte("k"), []byte("late"), nil)
		s.silently(func() {
			req := produceRequest(t, [16]byte{}, 0, from(b.Finish(), p.id, p.epoch, 0, true))
			req.TransactionID = &p.name
			s.do(9, req)
		})
		for _, isolation := range []int8{0, 1} {
			s.list(t, 0, -3, func(r *kmsg.ListOffsetsRequest) { r.IsolationLevel = isolation })
		}
	})
	define(list, "list offsets/replica", func(s *session) {
		t := s.filled()
		s.list(t, 0, -1, func(r *kmsg.ListOffsetsRequest) { r.ReplicaID = 5 })
		s.list(t, 0, -1, func(r *kmsg.ListOffsetsRequest) { r.ReplicaID = -2 })
	})
	define(list, "list offsets/trimmed", func(s *session) {
		t := s.filled()
		s.silently(func() { s.trim(t, 3) })
		for _, time := range []int64{-2, -1, -3, 0, 1_700_000_000_000} {
			s.list(t, 0, time)
		}
		s.silently(func() { s.trim(t, 4) })
		for _, time := range []int64{-2, -1, -3, 0} {
			s.list(t, 0, time)
		}
	})

	const epochEnd = 23
	define(epochEnd, "epoch end", func(s *session) {
		t := s.filled()
		for _, at := range []struct {
			topic string
			part  int32
			epoch int32
		}{{t, 0, 0}, {t, 0, 1}, {t, 0, 50}, {t, 0, -1}, {t, 1, 0}, {t, 7, 0}, {s.name("nobody"), 0, 0}} {
			for _, current := range []int32{-1, 0, 4, -3} {
				req := kmsg.NewPtrOffsetForLeaderEpochRequest()
				rt, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				rt.Topic, p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = at.topic, at.part, at.epoch, current
				rt.Partitions = append(rt.Partitions, p)
				req.Topics = append(req.Topics, rt)
				req.ReplicaID = -1
				s.try(req)
			}
		}
		s.try(kmsg.NewPtrOffsetForLeaderEpochRequest())
	})

	const deleteRecords = 21
	define(deleteRecords, "delete records", func(s *session) {
		t := s.filled()
		for _, at := range []struct {
			topic  string
			part   int32
			offset int64
		}{{t, 0, 1}, {t, 0, 0}, {t, 0, 5}, {t, 0, -2}, {t, 0, -1}, {t, 1, 0}, {t, 1, 1}, {t, 9, 0}, {s.name("nobody"), 0, 0}} {
			s.try(trimRequest(at.topic, at.part, at.offset))
		}
		s.try(kmsg.NewPtrDeleteRecordsRequest())
	})
	define(deleteRecords, "delete records/compacted", func(s *session) {
		t := s.topic("t", 1, "cleanup.policy", "compact")
		s.fill(t, 0, batch("a"), batch("b"))
		s.try(trimRequest(t, 0, 1))
		t = s.topic("both", 1, "cleanup.policy", "compact,delete")
		s.fill(t, 0, batch("a"), batch("b"))
		s.try(trimRequest(t, 0, 1))
	})
}

// filled makes a topic of two partitions with batches (a, b), (c), (d) in the
// first.
func (s *session) filled() string {
	s.Helper()
	t := s.topic("t", 2)
	s.fill(t, 0, batch("a", "b"), batch("c"), batch("d"))
	return t
}

func fetchPartition(partition int32, offset int64) kmsg.FetchRequestTopicPartition {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = -1, -1, -1
	return p
}

func emptyFetch() *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.SessionEpoch = -1, 1<<20, -1
	return req
}

func (s *session) fetch(topic string, partition int32, offset int64, change ...func(*kmsg.FetchRequest)) {
	s.Helper()
	req := emptyFetch()
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, s.topics[topic]
	if t.TopicID == [16]byte{} {
		t.TopicID = [16]byte{9, 9, 9}
	}
	t.Partitions = append(t.Partitions, fetchPartition(partition, offset))
	req.Topics = append(req.Topics, t)
	for _, f := range change {
		f(req)
	}
	s.try(req)
}

func (s *session) list(topic string, partition int32, time int64, change ...func(*kmsg.ListOffsetsRequest)) {
	s.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.TimeoutMillis = -1, 60_000
	t, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	t.Topic, p.Partition, p.Timestamp, p.CurrentLeaderEpoch = topic, partition, time, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	for _, f := range change {
		f(req)
	}
	s.try(req)
}

func trimRequest(topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 60_000
	t, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	t.Topic, p.Partition, p.Offset = topic, partition, offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// trim removes the records before offset of the first partition.
func (s *session) trim(topic string, offset int64) {
	s.Helper()
	resp := s.do(2, trimRequest(topic, 0, offset)).(*kmsg.DeleteRecordsResponse)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		s.Fatalf("trimming: code %d", code)
	}
}
