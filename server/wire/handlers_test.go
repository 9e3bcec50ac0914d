package wire

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"karst/log"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nopConn is a connection that nothing is read from or written to.
type nopConn struct{ net.Conn }

func (nopConn) Close() error         { return nil }
func (nopConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func TestProduceRefuses(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, map[string]string{"max.message.bytes": "1000"})
	b.topic("_own", 1, nil)
	c := b.dial()
	good := func() []byte { return batch(nil, 0, false, "v") }
	broken := good()
	broken[len(broken)-1] ^= 1
	oldFormat := good()
	oldFormat[16] = 1
	zstd := good()
	zstd[22] = 4
	setCRC(zstd)
	for _, x := range []struct {
		name      string
		version   int16
		topic     string
		partition int32
		records   []byte
		code      int16
		text      string
	}{
		{"unknown topic", 9, "none", 0, good(), 3, "none"},
		{"unknown partition", 9, "t", 1, good(), 3, "partition 1"},
		{"negative partition", 9, "t", -1, good(), 3, "partition -1"},
		{"broken CRC", 9, "t", 0, broken, 2, "CRC"},
		{"cut off", 9, "t", 0, good()[:70], 87, "one whole"},
		{"nothing", 9, "t", 0, []byte{}, 87, "one record batch"},
		{"old format", 9, "t", 0, oldFormat, 87, "format 1"},
		{"two batches", 9, "t", 0, append(good(), good()...), 87, "more than one"},
		{"too large", 9, "t", 0, batch(nil, 0, false, strings.Repeat("x", 2000)), 10, "1000"},
		{"zstd in an old version", 6, "t", 0, zstd, 76, ""},
		{"Karst's own topic", 9, "_own", 0, good(), 17, "only read"},
		{"version 0", 0, "t", 0, good(), 35, ""},
		{"version 2", 2, "t", 0, good(), 35, ""},
	} {
		p := c.produce(x.version, x.topic, x.partition, x.records)
		if p.ErrorCode != x.code || x.version >= 8 && !strings.Contains(str(p.ErrorMessage), x.text) {
			t.Errorf("%s: code %d, %q; want %d, %q", x.name, p.ErrorCode, str(p.ErrorMessage), x.code, x.text)
		}
	}
	req := produceRequestOf("t", 0, good())
	req.Acks = 2
	if p := ask[*kmsg.ProduceResponse](c, 9, req).Topics[0].Partitions[0]; p.ErrorCode != 21 {
		t.Errorf("acks 2: code %d", p.ErrorCode)
	}
	// All that leaves the good one at offset 0.
	if p := c.produce(9, "t", 0, good()); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("a good batch: %+v", p)
	}
}

func TestProduceByTopicID(t *testing.T) {
	b := newBench(t, nil)
	topic := b.topic("t", 1, nil)
	c := b.dial()
	req := produceRequestOf("", 0, batch(nil, 0, false, "v"))
	req.Topics[0].TopicID = topic.ID
	if got := ask[*kmsg.ProduceResponse](c, 13, req).Topics[0]; got.Partitions[0].ErrorCode != 0 || got.TopicID != topic.ID {
		t.Errorf("%+v", got)
	}
	req.Topics[0].TopicID[0]++
	if p := ask[*kmsg.ProduceResponse](c, 13, req).Topics[0].Partitions[0]; p.ErrorCode != 100 {
		t.Errorf("unknown id: code %d", p.ErrorCode)
	}
}

func TestProduceWithoutAcks(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	req := produceRequestOf("t", 0, batch(nil, 0, false, "v"))
	req.Version, req.Acks = 9, 0
	c.send(req)
	// The next answer is the next request's.
	if p := c.produce(9, "t", 0, batch(nil, 0, false, "w")); p.BaseOffset != 1 {
		t.Errorf("offset %d, want 1", p.BaseOffset)
	}
	req.Topics[0].Topic = "none"
	c.send(req)
	c.closed("a failed produce without acks")
}

func TestIdempotence(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	init := kmsg.NewPtrInitProducerIDRequest()
	got := ask[*kmsg.InitProducerIDResponse](c, 4, init)
	if got.ErrorCode != 0 {
		t.Fatalf("code %d", got.ErrorCode)
	}
	p := log.Producer{ID: got.ProducerID, Epoch: got.ProducerEpoch}
	for _, x := range []struct {
		name     string
		epoch    int16
		sequence int32
		code     int16
		offset   int64
	}{
		{"first", 0, 0, 0, 0},
		{"second", 0, 1, 0, 1},
		{"second again", 0, 1, 0, 1},
		{"first again", 0, 0, 0, 0},
		{"gap", 0, 5, 45, -1},
		{"new epoch", 1, 0, 0, 2},
		{"old epoch", 0, 2, 47, -1},
	} {
		r := c.produce(9, "t", 0, batch(&log.Producer{ID: p.ID, Epoch: x.epoch}, x.sequence, false, "v"))
		if r.ErrorCode != x.code || r.BaseOffset != x.offset {
			t.Errorf("%s: code %d, offset %d; want %d, %d", x.name, r.ErrorCode, r.BaseOffset, x.code, x.offset)
		}
	}
}

// TestTransactions goes through both transaction protocols.
func TestTransactions(t *testing.T) {
	for _, second := range []bool{false, true} {
		b := newBench(t, nil)
		b.topic("t", 1, nil)
		c := b.dial()
		p := initTxn(c, "x")
		write := func(sequence int32, value string) {
			t.Helper()
			version := int16(12)
			if !second {
				version = 11
				add := kmsg.NewPtrAddPartitionsToTxnRequest()
				add.TransactionalID, add.ProducerID, add.ProducerEpoch = "x", p.ID, p.Epoch
				add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
				if code := ask[*kmsg.AddPartitionsToTxnResponse](c, 3, add).Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Fatalf("adding: code %d", code)
				}
			}
			req := produceRequestOf("t", 0, batch(&p, sequence, true, value))
			req.TransactionID = kmsg.StringPtr("x")
			if r := ask[*kmsg.ProduceResponse](c, version, req).Topics[0].Partitions[0]; r.ErrorCode != 0 {
				t.Fatalf("writing %s: code %d %s", value, r.ErrorCode, str(r.ErrorMessage))
			}
		}
		end := func(commit bool) {
			t.Helper()
			req := kmsg.NewPtrEndTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = "x", p.ID, p.Epoch, commit
			version := int16(3)
			if second {
				version = 5
			}
			resp := ask[*kmsg.EndTxnResponse](c, version, req)
			if resp.ErrorCode != 0 {
				t.Fatalf("ending: code %d", resp.ErrorCode)
			}
			if second {
				if resp.ProducerEpoch != p.Epoch+1 {
					t.Errorf("epoch %d after %d", resp.ProducerEpoch, p.Epoch)
				}
				p = log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}
			}
		}
		read := func(isolation int8) []string {
			req := fetchRequestOf("t", 0)
			req.IsolationLevel = isolation
			return values(t, &ask[*kmsg.FetchResponse](c, 12, req).Topics[0].Partitions[0])
		}
		write(0, "aborted")
		if got := read(0); !slices.Equal(got, []string{"aborted"}) {
			t.Errorf("uncommitted: %v", got)
		}
		if got := read(1); len(got) != 0 {
			t.Errorf("committed, while open: %v", got)
		}
		end(false)
		next := int32(1)
		if second {
			next = 0 // a new epoch counts anew
		}
		write(next, "committed")
		end(true)
		if got := read(1); !slices.Equal(got, []string{"committed"}) {
			t.Errorf("second protocol %v, committed: %v", second, got)
		}
		// The producer's place is taken: it is a zombie.
		old := p
		p = initTxn(c, "x")
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = "x", old.ID, old.Epoch, true
		if code := ask[*kmsg.EndTxnResponse](c, 3, req).ErrorCode; code != 90 {
			t.Errorf("zombie: code %d, want 90", code)
		}
		if code := ask[*kmsg.EndTxnResponse](c, 1, req).ErrorCode; code != 47 {
			t.Errorf("zombie of an old version: code %d, want 47", code)
		}
	}
}

func initTxn(c *testClient, id string) log.Producer {
	c.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 60_000
	resp := ask[*kmsg.InitProducerIDResponse](c, 4, req)
	if resp.ErrorCode != 0 {
		c.t.Fatalf("init of %s: code %d", id, resp.ErrorCode)
	}
	return log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}
}

// TestTxnOffsets commits a group's offsets in a transaction, by the second
// protocol.
func TestTxnOffsets(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	p := initTxn(c, "x")
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = "x", "g", p.ID, p.Epoch
	commit.Generation = -1
	tp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	tp.Offset, tp.LeaderEpoch = 7, -1
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{tp}}}
	if code := ask[*kmsg.TxnOffsetCommitResponse](c, 5, commit).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.RequireStable = true
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	offset := func() (int64, int16) {
		p := ask[*kmsg.OffsetFetchResponse](c, 9, fetch).Groups[0].Topics[0].Partitions[0]
		return p.Offset, p.ErrorCode
	}
	if _, code := offset(); code != 88 {
		t.Errorf("while open: code %d, want 88", code)
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", p.ID, p.Epoch, true
	if code := ask[*kmsg.EndTxnResponse](c, 5, end).ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	if o, code := offset(); o != 7 || code != 0 {
		t.Errorf("offset %d, code %d", o, code)
	}
}

func TestFetch(t *testing.T) { synctest.Test(t, testFetch) }

func testFetch(t *testing.T) {
	b := newBench(t, nil)
	topic := b.topic("t", 2, nil)
	c := b.dial()
	for _, v := range []string{"a", "b", "c"} {
		c.produce(9, "t", 0, batch(nil, 0, false, v))
	}
	get := func(change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		req := fetchRequestOf("t", 0)
		req.Version = 12
		change(req)
		return ask[*kmsg.FetchResponse](c, req.Version, req)
	}
	first := func(change func(*kmsg.FetchRequest)) *kmsg.FetchResponseTopicPartition {
		return &get(change).Topics[0].Partitions[0]
	}
	if got := values(t, first(func(*kmsg.FetchRequest) {})); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("all: %v", got)
	}
	if got := values(t, first(func(r *kmsg.FetchRequest) { r.MaxBytes = 1 })); !slices.Equal(got, []string{"a"}) {
		t.Errorf("with one byte allowed: %v, want one batch", got)
	}
	if got := values(t, first(func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 1 })); !slices.Equal(got, []string{"a"}) {
		t.Errorf("with one byte allowed of the partition: %v, want one batch", got)
	}
	if p := first(func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 3 }); p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.HighWatermark != 3 {
		t.Errorf("at the end: %+v", p)
	}
	for _, x := range []struct {
		name   string
		code   int16
		change func(*kmsg.FetchRequest)
	}{
		{"beyond the end", 1, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 4 }},
		{"unknown topic", 3, func(r *kmsg.FetchRequest) { r.Topics[0].Topic = "none" }},
		{"unknown partition", 3, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 2 }},
		{"unknown id", 100, func(r *kmsg.FetchRequest) { r.Version, r.Topics[0].TopicID = 13, [16]byte{1} }},
		{"newer epoch", 75, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 99 }},
	} {
		begun := time.Now()
		p := first(func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 50_000, 1; x.change(r) })
		if p.ErrorCode != x.code || time.Since(begun) > 0 {
			t.Errorf("%s: code %d, want %d, at once", x.name, p.ErrorCode, x.code)
		}
	}
	byID := first(func(r *kmsg.FetchRequest) { r.Version, r.Topics[0].TopicID = 18, topic.ID })
	if got := values(t, byID); len(got) != 3 {
		t.Errorf("by id: %v", got)
	}
	if code := get(func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 5, 1 }).ErrorCode; code != codeFetchSessionNotFound {
		t.Errorf("session: code %d", code)
	}
	begun := time.Now()
	resp := get(func(r *kmsg.FetchRequest) {
		r.MaxWaitMillis, r.MinBytes, r.SessionEpoch, r.Topics = 50_000, 1, -1, nil
	})
	if len(resp.Topics) != 0 || resp.ErrorCode != 0 || time.Since(begun) > 0 {
		t.Errorf("the end of a session: %+v after %v, want an empty answer at once", resp, time.Since(begun))
	}
}

// TestFetchFull holds that a fetch does not wait for more than there is room for.
func TestFetchFull(t *testing.T) { synctest.Test(t, testFetchFull) }

func testFetchFull(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 2, nil)
	c := b.dial()
	one := batch(nil, 0, false, "a")
	for range 3 {
		c.produce(9, "t", 0, one)
	}
	for _, offset := range []int64{0, 1} {
		req := fetchRequestOf("t", offset)
		req.Version, req.MaxWaitMillis, req.MinBytes = 12, 50_000, int32(2*len(one)-1)
		req.Topics[0].Partitions[0].PartitionMaxBytes = req.MinBytes
		begun := time.Now()
		resp := ask[*kmsg.FetchResponse](c, 12, req)
		if got := values(t, &resp.Topics[0].Partitions[0]); len(got) != 1 || time.Since(begun) > 0 {
			t.Errorf("from %d: %v after %v, want what there is room for at once", offset, got, time.Since(begun))
		}
	}
	req := fetchRequestOf("t", 1)
	req.Version, req.MaxBytes = 12, int32(2*len(one))
	if got := values(t, &ask[*kmsg.FetchResponse](c, 12, req).Topics[0].Partitions[0]); len(got) != 2 {
		t.Errorf("%v where there is room for two batches", got)
	}
}

// TestFetchWaits holds that a fetch at the end waits, is woken by a record, and
// not before there are as many bytes as it wants.
func TestFetchWaits(t *testing.T) { synctest.Test(t, testFetchWaits) }

func testFetchWaits(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c, writer := b.dial(), b.dial()
	req := fetchRequestOf("t", 0)
	one := batch(nil, 0, false, "a")
	req.Version, req.MaxWaitMillis, req.MinBytes = 12, 50_000, int32(len(one)+1)
	begun := time.Now()
	id := c.send(req)
	writer.produce(9, "t", 0, one)
	writer.produce(9, "t", 0, batch(nil, 0, false, "b"))
	got := values(t, &c.receive(req, id).(*kmsg.FetchResponse).Topics[0].Partitions[0])
	if !slices.Equal(got, []string{"a", "b"}) || time.Since(begun) > 0 {
		t.Errorf("%v after %v", got, time.Since(begun))
	}
	req.MaxWaitMillis = 1
	req.Topics[0].Partitions[0].FetchOffset = 2
	if p := ask[*kmsg.FetchResponse](c, 12, req).Topics[0].Partitions[0]; len(p.RecordBatches) != 0 {
		t.Errorf("%d bytes at the end", len(p.RecordBatches))
	}
}

func TestListOffsets(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	var builder log.Builder
	now := time.Now().UnixMilli()
	for i := range int64(10) {
		builder.Add(now+i*10, nil, []byte("v"), nil)
	}
	c.produce(9, "t", 0, builder.Finish())
	for _, x := range []struct {
		time, offset int64
		code         int16
		version      int16
	}{
		{-1, 10, 0, 7}, {-2, 0, 0, 7}, {-3, 9, 0, 7}, {-3, -1, 35, 6}, {-4, 0, 0, 8}, {-5, -1, 0, 9}, {-6, -1, 0, 11}, {-9, -1, 35, 11},
		{now + 45, 5, 0, 7}, {now + 1000, -1, 0, 7},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = x.time, -1
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		got := ask[*kmsg.ListOffsetsResponse](c, x.version, req).Topics[0].Partitions[0]
		if got.ErrorCode != x.code || got.Offset != x.offset {
			t.Errorf("time %d: offset %d, code %d; want %d, %d", x.time, got.Offset, got.ErrorCode, x.offset, x.code)
		}
	}
}

func TestMetadata(t *testing.T) {
	b := newBench(t, nil)
	topic := b.topic("t", 2, nil)
	c := b.dial()
	named := func(name string, create bool) kmsg.MetadataResponseTopic {
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = create
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		return ask[*kmsg.MetadataResponse](c, 12, req).Topics[0]
	}
	if got := named("t", false); got.ErrorCode != 0 || len(got.Partitions) != 2 || got.TopicID != topic.ID {
		t.Errorf("%+v", got)
	}
	if got := named("new", false); got.ErrorCode != 3 {
		t.Errorf("made without leave: %+v", got)
	}
	if got := named("new", true); got.ErrorCode != 0 || len(got.Partitions) != 1 {
		t.Errorf("not made: %+v", got)
	}
	if got := named("not valid!", true); got.ErrorCode != 17 {
		t.Errorf("invalid name: code %d", got.ErrorCode)
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	all := ask[*kmsg.MetadataResponse](c, 9, req)
	if len(all.Topics) != 2 || all.Brokers[0].Host != "broker" || all.Brokers[0].Port != 9092 || all.ControllerID != nodeID {
		t.Errorf("%+v", all)
	}
	req.Topics = []kmsg.MetadataRequestTopic{}
	if got := ask[*kmsg.MetadataResponse](c, 9, req); len(got.Topics) != 0 {
		t.Errorf("no topics asked for, %d told", len(got.Topics))
	}
	req.Topics = []kmsg.MetadataRequestTopic{{TopicID: topic.ID}, {TopicID: [16]byte{1}}}
	if got := ask[*kmsg.MetadataResponse](c, 12, req).Topics; str(got[0].Topic) != "t" || got[1].ErrorCode != 100 {
		t.Errorf("by id: %+v", got)
	}
	empty := "" // as Java clients say it
	req.Topics = []kmsg.MetadataRequestTopic{{TopicID: topic.ID, Topic: &empty}}
	if got := ask[*kmsg.MetadataResponse](c, 12, req).Topics; len(got) != 1 || got[0].ErrorCode != 0 || str(got[0].Topic) != "t" {
		t.Errorf("by id, with an empty name: %+v", got)
	}
	closed := newBench(t, func(o *Options) { o.AutoCreate = false }).dial()
	name := "new"
	req.Topics, req.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: &name}}, true
	if got := ask[*kmsg.MetadataResponse](closed, 9, req).Topics[0]; got.ErrorCode != 3 {
		t.Errorf("made although the server doesn't: %+v", got)
	}
}

func TestTopics(t *testing.T) {
	b := newBench(t, nil)
	c := b.dial()
	create := func(name string, change func(*kmsg.CreateTopicsRequest, *kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsResponseTopic {
		req := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 1
		change(req, &topic)
		req.Topics = append(req.Topics, topic)
		return ask[*kmsg.CreateTopicsResponse](c, 7, req).Topics[0]
	}
	plain := func(*kmsg.CreateTopicsRequest, *kmsg.CreateTopicsRequestTopic) {}
	bad := "x"
	for _, x := range []struct {
		name   string
		code   int16
		change func(*kmsg.CreateTopicsRequest, *kmsg.CreateTopicsRequestTopic)
	}{
		{"checked", 0, func(r *kmsg.CreateTopicsRequest, _ *kmsg.CreateTopicsRequestTopic) { r.ValidateOnly = true }},
		{"checked", 0, plain}, // was only checked
		{"checked", 36, plain},
		{"not valid!", 17, plain},
		{"_own", 17, plain},
		{"zero", 37, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 0 }},
		{"replicas", 38, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 3 }},
		{"config", 40, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) {
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: &bad}}
		}},
		{"unknown-config", 40, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) {
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "no.such.setting", Value: &bad}}
		}},
		{"twice", 42, func(r *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) { r.Topics = append(r.Topics, *t) }},
		{"assigned", 0, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{nodeID}}}
		}},
		{"elsewhere", 39, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{7}}}
		}},
	} {
		if got := create(x.name, x.change); got.ErrorCode != x.code || x.code != 0 && got.ErrorMessage == nil {
			t.Errorf("creating %s: code %d %q, want %d", x.name, got.ErrorCode, str(got.ErrorMessage), x.code)
		}
	}
	parts := kmsg.NewPtrCreatePartitionsRequest()
	parts.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "checked", Count: 5}, {Topic: "checked", Count: 2}, {Topic: "none", Count: 2}}
	got := ask[*kmsg.CreatePartitionsResponse](c, 3, parts).Topics
	if codes := []int16{got[0].ErrorCode, got[1].ErrorCode, got[2].ErrorCode}; !slices.Equal(codes, []int16{0, 37, 3}) {
		t.Errorf("adding partitions: codes %v", codes)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TopicNames = []string{"checked", "none", "_own"}
	deleted := ask[*kmsg.DeleteTopicsResponse](c, 5, del).Topics
	if codes := []int16{deleted[0].ErrorCode, deleted[1].ErrorCode, deleted[2].ErrorCode}; !slices.Equal(codes, []int16{0, 3, 3}) {
		t.Errorf("deleting: codes %v", codes)
	}
}

func TestConfigs(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, map[string]string{"cleanup.policy": "compact"})
	c := b.dial()
	describe := func() map[string]string {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
		out := map[string]string{}
		for _, e := range ask[*kmsg.DescribeConfigsResponse](c, 4, req).Resources[0].Configs {
			if e.Source == kmsg.ConfigSourceDynamicTopicConfig {
				out[e.Name] = str(e.Value)
			}
		}
		return out
	}
	if got := describe(); len(got) != 1 || got["cleanup.policy"] != "compact" {
		t.Errorf("%v", got)
	}
	value := "1000"
	inc := kmsg.NewPtrIncrementalAlterConfigsRequest()
	inc.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}}}
	if code := ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, inc).Resources[0].ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	if got := describe(); len(got) != 2 || got["retention.ms"] != "1000" {
		t.Errorf("%v", got)
	}
	// The old request replaces everything.
	all := kmsg.NewPtrAlterConfigsRequest()
	all.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}}}
	if code := ask[*kmsg.AlterConfigsResponse](c, 2, all).Resources[0].ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	if got := describe(); len(got) != 1 || got["retention.ms"] != "1000" {
		t.Errorf("%v", got)
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}, {ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "2"},
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "none"},
	}
	r := ask[*kmsg.DescribeConfigsResponse](c, 4, req).Resources
	if codes := []int16{r[0].ErrorCode, r[1].ErrorCode, r[2].ErrorCode}; !slices.Equal(codes, []int16{0, 42, 3}) {
		t.Errorf("codes %v", codes)
	}
}

// TestBrokerConfigs holds that a broker's settings cannot be set, and that to
// delete what is not set succeeds, as tools do that tidy up.
func TestBrokerConfigs(t *testing.T) {
	c := newBench(t, nil).dial()
	value := "1000"
	for _, x := range []struct {
		broker string
		op     kmsg.IncrementalAlterConfigOp
		want   int16
	}{
		{"1", kmsg.IncrementalAlterConfigOpSet, codeInvalidRequest}, {"", kmsg.IncrementalAlterConfigOpSet, codeInvalidRequest},
		{"1", kmsg.IncrementalAlterConfigOpDelete, 0}, {"", kmsg.IncrementalAlterConfigOpDelete, 0},
		{"2", kmsg.IncrementalAlterConfigOpDelete, codeInvalidRequest},
	} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: x.broker,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "leader.replication.throttled.rate", Op: x.op, Value: &value}}}}
		if got := ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, req).Resources[0].ErrorCode; got != x.want {
			t.Errorf("operation %d on %q: code %d, want %d", x.op, x.broker, got, x.want)
		}
	}
	for n, want := range []int16{0, codeInvalidRequest} {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}}
		for range n {
			req.Resources[0].Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "num.partitions", Value: &value}}
		}
		if got := ask[*kmsg.AlterConfigsResponse](c, 2, req).Resources[0].ErrorCode; got != want {
			t.Errorf("replaced by %d settings: code %d, want %d", n, got, want)
		}
	}
}

// TestPlacement asks for what moves partitions between brokers: there is one.
func TestPlacement(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	for _, x := range []struct {
		partition int32
		replicas  []int32
		want      int16
	}{{0, []int32{1}, 0}, {0, []int32{2}, codeInvalidAssignment}, {0, nil, codeNoReassignment}, {1, []int32{1}, codeUnknownTopicOrPartition}} {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t",
			Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: x.partition, Replicas: x.replicas}}}}
		if got := ask[*kmsg.AlterPartitionAssignmentsResponse](c, 1, req).Topics[0].Partitions[0].ErrorCode; got != x.want {
			t.Errorf("partition %d to %v: code %d, want %d", x.partition, x.replicas, got, x.want)
		}
	}
	if got := ask[*kmsg.ListPartitionReassignmentsResponse](c, 0, kmsg.NewPtrListPartitionReassignmentsRequest()); got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("reassignments: %+v", got)
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	p := ask[*kmsg.ElectLeadersResponse](c, 2, elect).Topics[0].Partitions
	if codes := []int16{p[0].ErrorCode, p[1].ErrorCode}; !slices.Equal(codes, []int16{codeElectionNotNeeded, codeUnknownTopicOrPartition}) {
		t.Errorf("elections: codes %v", codes)
	}
	list := kmsg.NewPtrListConfigResourcesRequest()
	list.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker)}
	if got := ask[*kmsg.ListConfigResourcesResponse](c, 1, list).ConfigResources; len(got) != 2 || got[0].Name != "1" || got[1].Name != "t" {
		t.Errorf("resources with settings: %+v", got)
	}
}

func TestDeleteRecords(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	c.produce(9, "t", 0, batch(nil, 0, false, "a", "b", "c"))
	trim := func(offset int64) (int64, int16) {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: offset}}}}
		p := ask[*kmsg.DeleteRecordsResponse](c, 2, req).Topics[0].Partitions[0]
		return p.LowWatermark, p.ErrorCode
	}
	for _, x := range []struct {
		offset, low int64
		code        int16
	}{{1, 1, 0}, {0, 1, 0}, {9, -1, 1}, {-5, -1, 1}, {-1, 3, 0}} {
		if low, code := trim(x.offset); low != x.low || code != x.code {
			t.Errorf("before %d: low watermark %d, code %d; want %d, %d", x.offset, low, code, x.low, x.code)
		}
	}
}

func TestGroupsOverTheWire(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	for version := int16(0); version <= 9; version++ {
		group := "g" + string(rune('0'+version))
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = group, 10_000, 10_000, "consumer"
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
		joined := ask[*kmsg.JoinGroupResponse](c, version, join)
		if version >= 4 {
			if joined.ErrorCode != 79 || joined.MemberID == "" {
				t.Fatalf("version %d: code %d", version, joined.ErrorCode)
			}
			join.MemberID = joined.MemberID
			joined = ask[*kmsg.JoinGroupResponse](c, version, join)
		}
		if joined.ErrorCode != 0 || joined.LeaderID != joined.MemberID || len(joined.Members) != 1 || string(joined.Members[0].ProtocolMetadata) != "m" {
			t.Fatalf("version %d: %+v", version, joined)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.Generation, sync.MemberID = group, joined.Generation, joined.MemberID
		sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("all")}}
		if s := ask[*kmsg.SyncGroupResponse](c, min(version, 5), sync); s.ErrorCode != 0 || string(s.MemberAssignment) != "all" {
			t.Fatalf("version %d: %+v", version, s)
		}
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Group, commit.Generation, commit.MemberID = group, joined.Generation, joined.MemberID
		commit.Topics = []kmsg.OffsetCommitRequestTopic{
			{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1, Metadata: kmsg.StringPtr("note")}}},
			{Topic: "none", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1}}},
		}
		cr := ask[*kmsg.OffsetCommitResponse](c, max(version, 2), commit).Topics
		if cr[0].Partitions[0].ErrorCode != 0 || cr[1].Partitions[0].ErrorCode != 3 {
			t.Errorf("version %d: %+v", version, cr)
		}
		checkOffset(t, c, max(version, 1), group)
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.Generation, beat.MemberID = group, joined.Generation+1, joined.MemberID
		if code := ask[*kmsg.HeartbeatResponse](c, min(version, 4), beat).ErrorCode; code != 22 {
			t.Errorf("version %d: heartbeat of another generation: code %d", version, code)
		}
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group, leave.MemberID = group, joined.MemberID
		leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: joined.MemberID}}
		if code := ask[*kmsg.LeaveGroupResponse](c, min(version, 5), leave).ErrorCode; code != 0 {
			t.Errorf("version %d: leaving: code %d", version, code)
		}
	}
	list := kmsg.NewPtrListGroupsRequest()
	list.StatesFilter = []string{"empty"}
	if got := ask[*kmsg.ListGroupsResponse](c, 5, list).Groups; len(got) != 10 || got[0].GroupType != "classic" || got[0].GroupState != "Empty" {
		t.Errorf("%+v", got)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g0", "none", "_own"}
	deleted := ask[*kmsg.DeleteGroupsResponse](c, 2, del).Groups
	if codes := []int16{deleted[0].ErrorCode, deleted[1].ErrorCode, deleted[2].ErrorCode}; !slices.Equal(codes, []int16{0, 69, 30}) {
		t.Errorf("deleting: codes %v", codes)
	}
}

// checkOffset holds that the group has committed offset 5 of t, and none of
// partition 1.
func checkOffset(t *testing.T, c *testClient, version int16, group string) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0, 1}}}}}
	resp := ask[*kmsg.OffsetFetchResponse](c, version, req)
	var offsets []int64
	if version >= 8 {
		for _, p := range resp.Groups[0].Topics[0].Partitions {
			offsets = append(offsets, p.Offset)
		}
	} else {
		for _, p := range resp.Topics[0].Partitions {
			offsets = append(offsets, p.Offset)
		}
	}
	if !slices.Equal(offsets, []int64{5, -1}) {
		t.Errorf("version %d: offsets %v", version, offsets)
	}
}

// TestEveryVersion asks each key in each version it is advertised in, with an
// empty request: it must be answered, in an encoding that decodes.
func TestEveryVersion(t *testing.T) {
	b := newBench(t, nil)
	for k, a := range keys {
		for v := a.min; v <= a.max; v++ {
			c := b.dial()
			req := kmsg.RequestForKey(k)
			req.SetVersion(v)
			if r, ok := req.(*kmsg.ProduceRequest); ok {
				r.Acks = -1 // else there is no answer
			}
			c.receive(req, c.send(req))
			_ = c.nc.Close()
		}
	}
}

func TestCodeOf(t *testing.T) {
	for err, want := range map[error]int16{
		nil: 0, errAcks: 21, log.ErrOffsetRange: 1, &log.OffsetRangeError{}: 1, context.Canceled: -1, errors.Join(log.ErrFailed): 56,
	} {
		if got := codeOf(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

// TestDiskSize tells how large the disk is, where the filesystem does.
func TestDiskSize(t *testing.T) {
	mem := vfs.NewMem()
	b := newBenchOver(t, func(o *segment.Options) { o.FS = mem }, nil)
	c := b.dial()
	for _, want := range []struct{ total, free int64 }{{-1, -1}, {1 << 40, 1 << 30}} {
		if want.total > 0 {
			mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: uint64(want.total), AvailBytes: uint64(want.free)})
		}
		dir := ask[*kmsg.DescribeLogDirsResponse](c, 4, kmsg.NewPtrDescribeLogDirsRequest()).Dirs[0]
		if dir.TotalBytes != want.total || dir.UsableBytes != want.free {
			t.Errorf("%d bytes, %d of them free, want %+v", dir.TotalBytes, dir.UsableBytes, want)
		}
	}
}
