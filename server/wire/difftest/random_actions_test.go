package difftest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conversation makes up a random conversation: of everything, or mostly of one
// subject, which goes deeper.
func conversation(r *rand.Rand) []action {
	list := []action{createAction(0, 2, nil), createAction(1, 1, []string{"cleanup.policy", "compact"})}
	about := oneOf(r, everything, everything, records, transactions, groups, settings)
	if about == transactions {
		for slot := range producerSlots {
			list = append(list, initAction(slot, 5, 0, 60_000))
		}
	}
	for range 10 + r.IntN(51) {
		list = append(list, anyAction(r, about))
	}
	return list
}

// A subject is what actions are about.
type subject int

const (
	everything subject = iota
	records
	transactions
	groups
	settings
)

// A draw makes an action up.
type draw func(*rand.Rand) action

// draws are the kinds of actions, each as often as it is to come.
var draws = []struct {
	about  subject
	weight int
	draw   draw
}{
	{records, 14, drawProduce}, {transactions, 14, drawProduceBy}, {records, 16, drawFetch}, {records, 6, drawListOffsets}, {records, 2, drawEpochEnd},
	{records, 3, drawDeleteRecords},
	{settings, 3, drawCreateTopic}, {settings, 1, drawDeleteTopic}, {settings, 2, drawGrow}, {settings, 4, drawAlter}, {settings, 2, drawDescribeConfigs},
	{settings, 3, drawMetadata},
	{transactions, 6, drawInit}, {transactions, 4, drawAddPartitions}, {transactions, 3, drawAddOffsets}, {transactions, 5, drawTxnCommit},
	{transactions, 8, drawEnd},
	{groups, 5, drawCommit}, {groups, 5, drawOffsetFetch}, {groups, 2, drawOffsetDelete}, {groups, 1, drawDeleteGroup}, {groups, 3, drawDescribeGroup},
	{groups, 2, drawListGroups}, {groups, 6, drawJoin}, {groups, 6, drawSync}, {groups, 4, drawHeartbeat}, {groups, 3, drawLeave},
	{transactions, 3, drawDescribeProducers}, {transactions, 3, drawDescribeTransactions}, {transactions, 3, drawListTransactions},
}

// anyAction makes an action up, mostly about a subject.
func anyAction(r *rand.Rand, about subject) action {
	weight := func(i int) int {
		if d := &draws[i]; about == everything || d.about == about {
			return 10 * d.weight
		}
		return draws[i].weight
	}
	total := 0
	for i := range draws {
		total += weight(i)
	}
	n := r.IntN(total)
	for i := range draws {
		if n -= weight(i); n < 0 {
			return draws[i].draw(r)
		}
	}
	panic("unreachable")
}

// often returns usual, or now and then one of the others.
func often[T any](r *rand.Rand, usual T, others ...T) T {
	if r.IntN(6) > 0 {
		return usual
	}
	return others[r.IntN(len(others))]
}

func oneOf[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func between(r *rand.Rand, low, high int16) int16 { return low + int16(r.IntN(int(high-low)+1)) }

// place is a partition of a topic slot.
type place struct {
	topic int
	age   int // of the topic's id
	part  int32
}

func drawPlace(r *rand.Rand) place {
	p := place{topic: r.IntN(topicSlots), part: int32(r.IntN(2))}
	switch r.IntN(25) {
	case 0:
		p.topic = topicSlots
	case 1:
		p.age = 1
	case 2:
		p.part = oneOf(r, int32(7), -1)
	}
	return p
}

func (p place) String() string {
	t := fmt.Sprintf("t%d/%d", p.topic, p.part)
	if p.age > 0 {
		t += fmt.Sprintf(" (id %d times ago)", p.age)
	}
	return t
}

const epochTime = 1_700_000_000_000

// A drawnBatch is a batch made up.
type drawnBatch struct {
	bytes []byte
	count int32
	text  string
}

func drawBatch(r *rand.Rand) drawnBatch {
	var b log.Builder
	n := 1 + r.IntN(4)
	at := epochTime + int64(r.IntN(50))
	nullKey := r.IntN(4) == 0
	var text []string
	for range n {
		key := []byte(oneOf(r, "a", "b", "c"))
		if nullKey && r.IntN(2) == 0 {
			key = nil
		}
		value := []byte(fmt.Sprint(r.IntN(100)))
		switch r.IntN(12) {
		case 0:
			value = nil
		case 1:
			value = bytes.Repeat([]byte("x"), 100+r.IntN(400))
		case 2:
			value = []byte{}
		}
		var headers []log.Header
		if r.IntN(10) == 0 {
			headers = []log.Header{{Key: "h", Value: oneOf(r, nil, []byte("v"))}}
		}
		ts := at + int64(r.IntN(20)) - 5
		b.Add(ts, key, value, headers)
		text = append(text, fmt.Sprintf("%d:%s=%.5s(%d)", ts-epochTime, key, value, len(value)))
	}
	out := b.Finish()
	codec := often(r, log.None, log.Gzip, log.Snappy, log.LZ4, log.Zstd)
	if codec != log.None {
		var err error
		if out, err = log.Recompress(out, codec); err != nil {
			panic(err)
		}
		text = append(text, fmt.Sprintf("codec %d", codec))
	}
	return drawnBatch{out, int32(n), "{" + strings.Join(text, " ") + "}"}
}

func (s *side) produceTo(list []place, batches [][]byte, acks int16, txnID string) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 60_000
	if txnID != "" {
		req.TransactionID = &txnID
	}
	for i, p := range list {
		t, tp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		t.Topic, t.TopicID = s.topicName(p.topic), s.topicID(p.topic, p.age)
		tp.Partition, tp.Records = p.part, batches[i]
		t.Partitions = append(t.Partitions, tp)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func drawProduce(r *rand.Rand) action {
	v, at, acks := between(r, 3, 13), []place{drawPlace(r)}, often[int16](r, -1, 1, 1, 2)
	b := drawBatch(r)
	batches := [][]byte{b.bytes}
	text := fmt.Sprintf("produce v%d %v %s", v, at[0], b.text)
	if r.IntN(6) == 0 {
		if p := drawPlace(r); p.topic != at[0].topic {
			b := drawBatch(r)
			at, batches = append(at, p), append(batches, b.bytes)
			text += fmt.Sprintf(" and %v %s", p, b.text)
		}
	}
	return action{text, func(s *side) {
		copies := [][]byte{}
		for _, b := range batches {
			copies = append(copies, bytes.Clone(b))
		}
		ask[*kmsg.ProduceResponse](s, v, s.produceTo(at, copies, acks, ""))
	}}
}

// drawProduceBy writes as an idempotent or transactional producer.
func drawProduceBy(r *rand.Rand) action {
	v, at, slot := between(r, 3, 13), drawPlace(r), r.IntN(producerSlots)
	if slot > 0 {
		v = drawnProducer{slot: slot}.version(r, 3, 12, 13)
	}
	b := drawBatch(r)
	age := often(r, 0, 0, 1, 2)
	raise := often[int16](r, 0, 0, 0, 1)
	gap := often[int32](r, 0, 0, 1, -1, -2, -b.count, -20)
	wrap := r.IntN(20) == 0
	transactional := slot > 0
	idOf := slot
	if r.IntN(20) == 0 {
		transactional = !transactional
		gap, wrap = 0, false
	}
	if r.IntN(20) == 0 {
		idOf = min(slot, 1) * (1 + r.IntN(producerSlots-1))
	}
	if slot == 0 && transactional { // refused as a whole; by which error depends on the version
		v = min(v, 12)
	}
	text := fmt.Sprintf("produce v%d %v by p%d (of %d times ago, epoch %+d, sequence %+d, wrap %v, transactional %v, id of p%d) %s", v, at, slot, age, raise, gap, wrap, transactional, idOf, b.text)
	return action{text, func(s *side) {
		p := s.producerName(slot, age)
		if p.ID >= 1<<40 && transactional {
			p.ID += producerSlots // who is nobody to the coordinator may be somebody to a partition
		}
		part := log.Partition{Topic: s.topicName(at.topic), Index: at.part}
		if v >= 13 {
			part.Topic = fmt.Sprint(s.topicID(at.topic, at.age))
		} else if at.topic < topicSlots {
			part.Topic = fmt.Sprint(s.topicID(at.topic, 0))
		}
		next, known := s.producers[slot].next[part]
		if wrap && !known {
			next = math.MaxInt32 - 1
		}
		sequence := next + gap
		if sequence < 0 {
			sequence = next
		}
		resp := ask[*kmsg.ProduceResponse](s, v, s.produceTo([]place{at}, [][]byte{from(b.bytes, p.ID, p.Epoch+raise, sequence, transactional)}, -1, s.txnID(idOf)))
		if resp != nil && resp.Topics[0].Partitions[0].ErrorCode == 0 && age == 0 && raise == 0 && len(s.producers[slot].names) > 0 {
			if sequence == next {
				next = int32((int64(next) + int64(b.count)) % (1 << 31))
			}
			s.producers[slot].next[part] = next
		}
	}}
}

func drawFetch(r *rand.Rand) action {
	type want struct {
		place
		offset    int64
		max       int32
		epoch     int32
		lastEpoch int32
	}
	v := between(r, 4, 18)
	var list []want
	seen := map[place]bool{}
	for range often(r, 1, 2, 3) {
		p := drawPlace(r)
		if key := (place{topic: p.topic, part: p.part}); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		list = append(list, want{p, int64(r.IntN(12)), often[int32](r, 1<<20, 0, 1, 100, 200, 400), often[int32](r, -1, 0, 0, 1), often[int32](r, -1, 0, 0, 1)})
		if r.IntN(4) == 0 {
			list[len(list)-1].offset = oneOf[int64](r, 0, 0, 0, -1, 1<<40, 15, 20, 30)
		}
	}
	isolation, most, least := int8(r.IntN(2)), often[int32](r, 1<<20, 0, 1, 150, 300, 600), oneOf[int32](r, 0, 0, 1, 1000)
	session := often[int32](r, -1, 0, 3)
	text := fmt.Sprintf("fetch v%d isolation %d, max %d, min %d, session epoch %d:", v, isolation, most, least, session)
	for _, w := range list {
		text += fmt.Sprintf(" %v offset %d max %d epoch %d after %d", w.place, w.offset, w.max, w.epoch, w.lastEpoch)
	}
	return action{text, func(s *side) {
		req := emptyFetch()
		req.MaxBytes, req.MinBytes, req.IsolationLevel, req.SessionEpoch = most, least, isolation, session
		if least > 0 {
			req.MaxWaitMillis = 5
		}
		for _, w := range list {
			t, p := kmsg.NewFetchRequestTopic(), fetchPartition(w.part, w.offset)
			t.Topic, t.TopicID = s.topicName(w.topic), s.topicID(w.topic, w.age)
			p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = w.max, w.epoch, w.lastEpoch
			same := func(x kmsg.FetchRequestTopic) bool { return x.Topic == t.Topic && x.TopicID == t.TopicID }
			if n := slices.IndexFunc(req.Topics, same); n >= 0 {
				req.Topics[n].Partitions = append(req.Topics[n].Partitions, p)
				continue
			}
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
		}
		s.do(v, req)
	}}
}

func drawListOffsets(r *rand.Rand) action {
	v, at, isolation, epoch := between(r, 1, 11), drawPlace(r), int8(r.IntN(2)), often[int32](r, -1, 0, 1)
	time := oneOf[int64](r, -1, -2, -3, -3, -4, -5, -6, -7, 0, epochTime, epochTime+int64(r.IntN(60)), epochTime+int64(r.IntN(60)), epochTime+1000)
	both := r.IntN(4) == 0
	return action{fmt.Sprintf("list offsets v%d %v (and the other partition's: %v) time %d isolation %d epoch %d", v, at, both, time, isolation, epoch), func(s *side) {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.TimeoutMillis, req.IsolationLevel = -1, 60_000, isolation
		t, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		t.Topic, p.Partition, p.Timestamp, p.CurrentLeaderEpoch = s.topicName(at.topic), at.part, time, epoch
		if time == log.TimeMax && s.trimmed[log.Partition{Topic: t.Topic, Index: at.part}] {
			p.Timestamp = log.TimeLatest // Kafka answers with what is not there any more
		}
		t.Partitions = append(t.Partitions, p)
		if both { // of the other partition, too
			p.Partition, p.Timestamp = 1-at.part, log.TimeLatest
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		s.do(v, req)
	}}
}

func drawEpochEnd(r *rand.Rand) action {
	v, at, epoch, current := between(r, 2, 4), drawPlace(r), oneOf[int32](r, 0, 0, 1, 5, -1), often[int32](r, -1, 0, 1)
	return action{fmt.Sprintf("epoch end v%d %v epoch %d current %d", v, at, epoch, current), func(s *side) {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		rt, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rt.Topic, p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = s.topicName(at.topic), at.part, epoch, current
		rt.Partitions = append(rt.Partitions, p)
		req.Topics = append(req.Topics, rt)
		req.ReplicaID = -1
		s.do(v, req)
	}}
}

func drawDeleteRecords(r *rand.Rand) action {
	v, at, offset := between(r, 0, 2), drawPlace(r), oneOf[int64](r, -1, int64(r.IntN(8)), int64(r.IntN(8)), 30, -2)
	return action{fmt.Sprintf("delete records v%d %v before %d", v, at, offset), func(s *side) {
		s.trimmed[log.Partition{Topic: s.topicName(at.topic), Index: at.part}] = true
		s.do(v, trimRequest(s.topicName(at.topic), at.part, offset))
	}}
}

var someConfig = [][2]string{
	{"retention.ms", "1000000"}, {"retention.ms", "-1"}, {"retention.ms", "-2"}, {"cleanup.policy", "compact"}, {"cleanup.policy", "delete"},
	{"cleanup.policy", "compact,delete"}, {"cleanup.policy", "delete,compact"}, {"cleanup.policy", ""}, {"max.message.bytes", "150"}, {"max.message.bytes", "1000000"}, {"max.message.bytes", "-1"},
	{"message.timestamp.type", "LogAppendTime"}, {"message.timestamp.type", "CreateTime"}, {"compression.type", "gzip"}, {"compression.type", "zstd"}, {"compression.type", "lz4"}, {"compression.type", "snappy"},
	{"compression.type", "uncompressed"}, {"compression.type", "producer"}, {"message.timestamp.before.max.ms", "1000"},
	{"message.timestamp.after.max.ms", "1000"}, {"min.compaction.lag.ms", "100000000"}, {"max.compaction.lag.ms", "50000000"}, {"max.compaction.lag.ms", "500000000"},
	{"delete.retention.ms", "0"}, {"delete.retention.ms", "-1"}, {"retention.bytes", "1000"}, {"min.cleanable.dirty.ratio", "0.1"}, {"min.cleanable.dirty.ratio", "1.5"},
	{"no.such", "1"}, {"segment.ms", "1000000000"}, {"flush.messages", "1"},
}

func drawConfig(r *rand.Rand, n int) []string {
	var out []string
	for range n {
		c := someConfig[r.IntN(len(someConfig))]
		known := false
		for i := 0; i < len(out); i += 2 {
			known = known || out[i] == c[0]
		}
		if !known {
			out = append(out, c[0], c[1])
		}
	}
	return out
}

func createAction(slot int, parts int32, config []string) action {
	return action{fmt.Sprintf("create t%d, %d partitions, %q", slot, parts, config), func(s *side) {
		name := s.topicName(slot)
		resp := ask[*kmsg.CreateTopicsResponse](s, 7, s.create(false, newTopic{name, parts, 1, config, nil}))
		if resp == nil || resp.Topics[0].ErrorCode != 0 {
			return
		}
		s.topicIDs[slot] = append([][16]byte{resp.Topics[0].TopicID}, s.topicIDs[slot]...)
		s.parts[slot] = parts
		s.await("topic made", func() bool { return s.writable(name, parts) })
	}}
}

// await does something until it says that it is enough.
func (s *side) await(what string, enough func() bool) {
	s.Helper()
	s.silently(func() {
		for range 3000 {
			if enough() {
				return
			}
		}
		s.Fatalf("%s: never (step %d)", what, s.steps)
	})
}

func drawCreateTopic(r *rand.Rand) action {
	return createAction(oneOf(r, 2, 2, 0, 1), int32(1+r.IntN(2)), drawConfig(r, r.IntN(3)))
}

func drawDeleteTopic(r *rand.Rand) action {
	slot, v, byID, age := r.IntN(topicSlots), between(r, 1, 6), r.IntN(2) == 0, often(r, 0, 1)
	return action{fmt.Sprintf("delete t%d v%d, by id %v of %d times ago", slot, v, byID, age), func(s *side) {
		for p := 1; p < producerSlots; p++ {
			if s.ongoing(p) { // Kafka goes by the topic's name, and takes its successor's partitions for its own
				return
			}
		}
		req := kmsg.NewPtrDeleteTopicsRequest()
		name := s.topicName(slot)
		req.TimeoutMillis, req.TopicNames = 60_000, []string{name}
		x := kmsg.NewDeleteTopicsRequestTopic()
		if byID {
			x.TopicID = s.topicID(slot, age)
		} else {
			x.Topic = kmsg.StringPtr(name)
		}
		req.Topics = append(req.Topics, x)
		resp := ask[*kmsg.DeleteTopicsResponse](s, v, req)
		if resp == nil || resp.Topics[0].ErrorCode != 0 {
			return
		}
		s.await("topic gone", func() bool {
			return s.do(9, metadataRequest(name)).(*kmsg.MetadataResponse).Topics[0].ErrorCode == 3
		})
		s.barrier()
	}}
}

func drawGrow(r *rand.Rand) action {
	slot, v, to, validate := r.IntN(topicSlots), between(r, 0, 3), int32(1+r.IntN(3)), r.IntN(4) == 0
	return action{fmt.Sprintf("grow t%d to %d v%d, validate %v", slot, to, v, validate), func(s *side) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = 60_000, validate
		x := kmsg.NewCreatePartitionsRequestTopic()
		x.Topic, x.Count = s.topicName(slot), to
		req.Topics = append(req.Topics, x)
		resp := ask[*kmsg.CreatePartitionsResponse](s, v, req)
		if resp != nil && resp.Topics[0].ErrorCode == 0 && !validate {
			s.await("partitions made", func() bool { return s.writable(x.Topic, to) })
			s.parts[slot] = to
		}
	}}
}

func drawAlter(r *rand.Rand) action {
	slot, config, validate := r.IntN(topicSlots), drawConfig(r, 1+r.IntN(2)), r.IntN(6) == 0
	if r.IntN(3) == 0 {
		v := between(r, 0, 2)
		return action{fmt.Sprintf("alter configs v%d of t%d %q, validate %v", v, slot, config, validate), func(s *side) {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.ValidateOnly = validate
			x := kmsg.NewAlterConfigsRequestResource()
			x.ResourceType, x.ResourceName = kmsg.ConfigResourceTypeTopic, s.topicName(slot)
			for i := 0; i < len(config); i += 2 {
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name, c.Value = config[i], &config[i+1]
				x.Configs = append(x.Configs, c)
			}
			req.Resources = append(req.Resources, x)
			s.do(v, req)
			s.barrier()
		}}
	}
	v := between(r, 0, 1)
	op := oneOf(r, kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract)
	if op >= kmsg.IncrementalAlterConfigOpAppend && r.IntN(2) == 0 || slices.Contains(config, "") {
		config = []string{"cleanup.policy", oneOf(r, "compact", "delete", "compact,delete")}
	}
	return action{fmt.Sprintf("incremental alter v%d of t%d op %d %q, validate %v", v, slot, op, config, validate), func(s *side) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = validate
		x := kmsg.NewIncrementalAlterConfigsRequestResource()
		x.ResourceType, x.ResourceName = kmsg.ConfigResourceTypeTopic, s.topicName(slot)
		for i := 0; i < len(config); i += 2 {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Op, c.Value = config[i], op, &config[i+1]
			x.Configs = append(x.Configs, c)
		}
		req.Resources = append(req.Resources, x)
		s.do(v, req)
		s.barrier()
	}}
}

func drawDescribeConfigs(r *rand.Rand) action {
	slot, v := r.IntN(topicSlots), between(r, 1, 4)
	return action{fmt.Sprintf("describe configs v%d of t%d", v, slot), func(s *side) {
		names := []string{}
		for _, c := range someConfig {
			if c[0] != "segment.ms" {
				names = append(names, c[0])
			}
		}
		s.describeConfigs(v, resource(kmsg.ConfigResourceTypeTopic, s.topicName(slot), names...))
	}}
}

func drawMetadata(r *rand.Rand) action {
	v, at := between(r, 0, 13), drawPlace(r)
	if r.IntN(3) == 0 {
		return action{fmt.Sprintf("describe topic partitions of %v", at), func(s *side) {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.ResponsePartitionLimit = 2000
			x := kmsg.NewDescribeTopicPartitionsRequestTopic()
			x.Topic = s.topicName(at.topic)
			req.Topics = append(req.Topics, x)
			s.do(0, req)
		}}
	}
	byID := v >= 12 && r.IntN(2) == 0
	return action{fmt.Sprintf("metadata v%d of %v, by id %v", v, at, byID), func(s *side) {
		req := metadataRequest(s.topicName(at.topic))
		if byID {
			req.Topics[0].Topic, req.Topics[0].TopicID = nil, s.topicID(at.topic, at.age)
		}
		s.do(v, req)
	}}
}
