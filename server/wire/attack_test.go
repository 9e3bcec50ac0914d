package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"karst/log"
	"karst/log/segment"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The tests here attack a server: what is asked for is refused or the connection
// closed, the heap stays within bounds meanwhile, and another client is answered.

// A heap measures how much memory is in use more than before.
type heap struct{ before uint64 }

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC() // what pools have kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func newHeap() heap { return heap{heapBytes()} }

// below holds that not much more is in use now.
func (h heap) below(t *testing.T, mib int) {
	t.Helper()
	if now := heapBytes(); now > h.before && (now-h.before)>>20 >= uint64(mib) {
		t.Errorf("the heap grew by %d MiB, at most %d are fine", (now-h.before)>>20, mib)
	}
}

// lives holds that another client can do everything that it came for.
func (b *bench) lives(topic string) {
	b.t.Helper()
	c := b.dial()
	defer c.nc.Close()
	for i := range 5 {
		if p := c.produce(9, topic, 0, batch(nil, 0, false, strings.Repeat("v", 10_000*i))); p.ErrorCode != 0 {
			b.t.Errorf("producing: code %d", p.ErrorCode)
		}
		fetch := fetchRequestOf(topic, 0)
		resp := ask[*kmsg.FetchResponse](c, 11, fetch)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			b.t.Errorf("fetching: %+v", p)
		}
		if resp := ask[*kmsg.MetadataResponse](c, 9, kmsg.NewPtrMetadataRequest()); len(resp.Topics) == 0 {
			b.t.Error("no metadata")
		}
	}
}

// settled holds that, with all other clients gone, no memory is held.
func (b *bench) settled() {
	b.t.Helper()
	b.mu.Lock()
	for c := range b.conns {
		c.close(nil)
	}
	b.mu.Unlock()
	b.work.Wait()
	if left := b.memory.left; left != b.opts.MaxMemory {
		b.t.Errorf("%d bytes of memory are left of %d, with nobody there", left, b.opts.MaxMemory)
	}
}

// tight makes a server with little memory. Its tests have a time of their own,
// which passes only while everybody waits: a client that has no processor for a
// while does not count as one that stands still.
func tight(t *testing.T, mib int) *bench {
	return newBench(t, func(o *Options) { o.MaxMemory = mib << 20 })
}

func (b *bench) fill(topic string, mib int) {
	b.t.Helper()
	c := b.dial()
	defer c.nc.Close()
	for range mib {
		if p := c.produce(9, topic, 0, batch(nil, 0, false, strings.Repeat("v", 1<<20-1000))); p.ErrorCode != 0 {
			b.t.Fatalf("code %d", p.ErrorCode)
		}
	}
}

// TestSlowReaders asks for everything again and again and reads nothing.
func TestSlowReaders(t *testing.T) { synctest.Test(t, testSlowReaders) }

func testSlowReaders(t *testing.T) {
	b := tight(t, 16)
	b.topic("t", 1, nil)
	b.fill("t", 40)
	h := newHeap()
	var writers sync.WaitGroup
	for range 30 {
		c := b.dial()
		writers.Go(func() {
			f := kmsg.NewRequestFormatter()
			req := fetchRequestOf("t", 0)
			req.Version, req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 11, 1<<30, 1<<30
			for i := range int32(100) {
				if _, err := c.nc.Write(f.AppendRequest(nil, req, i)); err != nil {
					return
				}
			}
		})
	}
	b.lives("t")
	h.below(t, 150)
	b.lives("t")
	b.settled()
	writers.Wait()
}

// TestHalfFrames announces large requests, sends some of it and stops.
func TestHalfFrames(t *testing.T) { synctest.Test(t, testHalfFrames) }

func testHalfFrames(t *testing.T) {
	b := tight(t, 16)
	b.topic("t", 1, nil)
	b.fill("t", 1)
	half := append([]byte{0x06, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1}, make([]byte, 3<<20)...) // of a Produce of 100,663,296 bytes
	h := newHeap()
	var writers sync.WaitGroup
	for range 50 {
		c := b.dial()
		writers.Go(func() {
			_, _ = c.nc.Write(half) // then nothing, and the server closes it
		})
	}
	b.lives("t")
	h.below(t, 100)
	b.settled()
	writers.Wait()
}

// TestPinnedByWaiting lets requests pile up behind one that waits.
func TestPinnedByWaiting(t *testing.T) { synctest.Test(t, testPinnedByWaiting) }

func testPinnedByWaiting(t *testing.T) {
	b := tight(t, 32)
	b.topic("t", 1, map[string]string{"max.message.bytes": "67108864"})
	b.fill("t", 1)
	h := newHeap()
	var writers sync.WaitGroup
	for i := range 10 {
		c := b.dial()
		writers.Go(func() {
			f := kmsg.NewRequestFormatter()
			send := func(req kmsg.Request, version int16) error {
				req.SetVersion(version)
				_, err := c.nc.Write(f.AppendRequest(nil, req, 1))
				return err
			}
			one, two := joinRequest(fmt.Sprint("g", i), "a"), joinRequest(fmt.Sprint("g", i), "b")
			one.RebalanceTimeoutMillis = 1 << 30
			err := errors.Join(send(one, 2), send(two, 2)) // the second waits for the first, which is not read
			for err == nil {
				err = send(produceRequestOf("t", 0, make([]byte, 4<<20)), 3)
			}
		})
	}
	b.lives("t")
	h.below(t, 200)
	b.settled()
	writers.Wait()
}

func joinRequest(group, client string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = group, 30_000, 30_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte(client)
	req.Protocols = append(req.Protocols, p)
	return req
}

// TestBombs sends small batches that decompress to a lot.
func TestBombs(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	b.fill("t", 1)
	c := b.dial()
	h := newHeap()
	var zeros log.Builder
	zeros.Add(time.Now().UnixMilli(), nil, make([]byte, 200<<20), nil)
	plain := zeros.Finish()
	for _, codec := range []log.Codec{log.Gzip, log.Snappy, log.LZ4, log.Zstd} {
		bomb, err := log.Recompress(plain, codec)
		if err != nil {
			t.Fatal(err)
		}
		if len(bomb) > 1<<20 { // snappy does 20:1, the topic's own limit holds it
			bomb = bomb[:1<<20]
			binary.BigEndian.PutUint32(bomb[8:], uint32(len(bomb)-12))
			setCRC(bomb)
		}
		p := c.produce(9, "t", 0, bomb)
		if p.ErrorCode != codeInvalidRecord && p.ErrorCode != log.Code(log.ErrRecordTooLarge) {
			t.Errorf("codec %d, %d bytes: code %d, %s", codec, len(bomb), p.ErrorCode, str(p.ErrorMessage))
		}
	}
	plain, zeros = nil, log.Builder{}
	b.lives("t")
	h.below(t, 64)
}

// TestMillionHeaders takes a record with a million headers as any other.
func TestMillionHeaders(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, map[string]string{"max.message.bytes": "16777216"})
	c := b.dial()
	h := newHeap()
	headers := make([]log.Header, 1_000_000)
	var r log.Builder
	r.Add(time.Now().UnixMilli(), nil, []byte("v"), headers)
	if p := c.produce(9, "t", 0, r.Finish()); p.ErrorCode != 0 {
		t.Errorf("code %d, %s", p.ErrorCode, str(p.ErrorMessage))
	}
	headers, r = nil, log.Builder{}
	b.lives("t")
	h.below(t, 64)
}

// TestHugeCounts puts huge numbers at each place of each request in each
// version: decoding may not allocate by them.
func TestHugeCounts(t *testing.T) {
	huge := [][]byte{
		{0x7f, 0xff, 0xff, 0xff}, {0x00, 0xff, 0xff, 0xff}, // int32 lengths
		{0xff, 0xff, 0xff, 0xff, 0x07}, {0x80, 0x80, 0x80, 0x40}, // uvarints
	}
	for key, api := range keys {
		for version := api.min; version <= api.max; version++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			empty := req.AppendTo(nil)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for at := range empty {
				for _, n := range huge {
					body := append(append(bytes.Clone(empty[:at]), n...), make([]byte, 1000)...)
					if key == int16(kmsg.Produce) {
						_, _ = decodeProduce(version, body)
						continue
					}
					r := kmsg.RequestForKey(key)
					r.SetVersion(version)
					_ = r.ReadFrom(body)
				}
			}
			runtime.ReadMemStats(&after)
			each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(empty)*len(huge)+1)
			if each > 2*weight*1000 {
				t.Errorf("%s version %d: %d bytes are allocated for a request of 1,000", kmsg.NameForKey(key), version, each)
			}
		}
	}
}

// TestEmptyPartitions bounds the partitions of a Produce, whose frame may be
// large.
func TestEmptyPartitions(t *testing.T) { synctest.Test(t, testEmptyPartitions) }

func testEmptyPartitions(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	b.fill("t", 1)
	req := produceRequestOf("t", 0, nil)
	req.Topics[0].Partitions = make([]kmsg.ProduceRequestTopicPartition, 1_000_000)
	h := newHeap()
	c := b.dial()
	req.Version = 9
	go func() { _, _ = c.nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)) }() // the server closes before all of it is written
	c.closed("a Produce for a million partitions")
	synctest.Wait() // for whoever has some of it still
	req.Topics = nil
	b.lives("t")
	h.below(t, 64)
}

// TestWideAnswers asks for the same large thing many times in one request.
func TestWideAnswers(t *testing.T) { synctest.Test(t, testWideAnswers) }

func testWideAnswers(t *testing.T) {
	b := newBench(t, nil)
	topic := b.topic("t", 500, nil)
	b.fill("t", 1)
	offsets := map[log.Partition]log.GroupOffset{}
	for i := range int32(500) {
		offsets[log.Partition{Topic: "t", Index: i}] = log.GroupOffset{Offset: 1, Metadata: strings.Repeat("m", 4000)}
	}
	stored := make(chan error, 1)
	b.opts.Groups.CommitOffsets(log.GroupMember{Group: "g", Generation: -1}, offsets, func(err error) { stored <- err })
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	const n = 30_000
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Version, configs.IncludeDocumentation = 4, true
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version = 9
	producers := kmsg.NewPtrDescribeProducersRequest()
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version, metadata.Topics = 12, []kmsg.MetadataRequestTopic{}
	names := kmsg.NewPtrMetadataRequest()
	names.Version, names.Topics = 12, []kmsg.MetadataRequestTopic{}
	for range n {
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"})
		fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: "g", MemberEpoch: -1})
		metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{TopicID: topic.ID})
		names.Topics = append(names.Topics, kmsg.MetadataRequestTopic{Topic: text("t")})
	}
	for _, x := range []struct {
		req    kmsg.Request
		closed bool
	}{{configs, true}, {fetch, true}, {producers, false}, {metadata, false}, {names, false}} {
		name := kmsg.NameForKey(x.req.Key())
		h := newHeap()
		c := b.dial()
		go func() { _, _ = c.nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, x.req, 1)) }()
		_, body, err := c.frame()
		if (err != nil) != x.closed {
			t.Errorf("%s: %v", name, err)
		}
		if len(body) > 1<<20 {
			t.Errorf("%s is answered with %d bytes", name, len(body))
		}
		_ = c.nc.Close()
		synctest.Wait() // for whoever works on it still
		b.lives("t")
		h.below(t, 64)
	}
	b.settled()
}

// TestManyPartitions asks for very many partitions, there and not there, in one
// request.
func TestManyPartitions(t *testing.T) { synctest.Test(t, testManyPartitions) }

func testManyPartitions(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 2, nil)
	b.fill("t", 1)
	const n = 40_000
	fetch := fetchRequestOf("t", 0)
	fetch.Version = 11
	list := kmsg.NewPtrListOffsetsRequest()
	list.Version = 7
	lt := kmsg.NewListOffsetsRequestTopic()
	lt.Topic = "t"
	for i := range int32(n) {
		p := fetch.Topics[0].Partitions[0]
		p.Partition = i % 4 // half of them there
		fetch.Topics[0].Partitions = append(fetch.Topics[0].Partitions, p)
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Partition = i
		lt.Partitions = append(lt.Partitions, q)
	}
	list.Topics = append(list.Topics, lt)
	h := newHeap()
	for _, req := range []kmsg.Request{fetch, list} {
		c := b.dial()
		go c.send(req)
		if _, body, err := c.frame(); err != nil || len(body) > 8<<20 {
			t.Errorf("%s: %d bytes, %v", kmsg.NameForKey(req.Key()), len(body), err)
		}
		_ = c.nc.Close()
		synctest.Wait() // for whoever works on it still
		b.lives("t")
		h.below(t, 64)
	}
	b.settled()
}

// TestNamedLimits goes beyond limits of the log through the door.
func TestNamedLimits(t *testing.T) {
	b := newBenchOver(t, func(o *segment.Options) { o.MaxTopics, o.MaxServerPartitions, o.MaxTxnIDs = 3, 50, 20 }, nil)
	b.topic("t", 1, nil)
	b.fill("t", 1)
	c := b.dial()
	create := kmsg.NewPtrCreateTopicsRequest()
	for i, partitions := range []int32{10, 100, 10, 1} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprint("new", i), partitions, 1
		create.Topics = append(create.Topics, topic)
	}
	got := ""
	for _, x := range ask[*kmsg.CreateTopicsResponse](c, 7, create).Topics {
		got += fmt.Sprintf("%d %s\n", x.ErrorCode, str(x.ErrorMessage))
	}
	want := "0 \n" +
		"44 a limit of this server is reached: 100 more partitions would make 111 on this server, which may have 50\n" +
		"0 \n44 a limit of this server is reached: there are 3 topics, as many as may be\n"
	if got != want {
		t.Errorf("CreateTopics:\n%swant\n%s", got, want)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.AllowAutoTopicCreation = true
	metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{Topic: text("auto")})
	if x := ask[*kmsg.MetadataResponse](c, 9, metadata).Topics[0]; x.ErrorCode != 44 {
		t.Errorf("a topic made by asking: code %d", x.ErrorCode)
	}
	long := strings.Repeat("x", 2000)
	initID := kmsg.NewPtrInitProducerIDRequest()
	initID.TransactionTimeoutMillis, initID.ProducerID, initID.ProducerEpoch = 60_000, -1, -1
	initID.TransactionalID = &long
	if x := ask[*kmsg.InitProducerIDResponse](c, 4, initID); x.ErrorCode != codeInvalidRequest {
		t.Errorf("a long transactional id: code %d", x.ErrorCode)
	}
	for i := range 200 {
		if initID.TransactionalID = text(fmt.Sprint("w", i)); i%4 == 0 {
			initID.TransactionalID = nil
		}
		if x := ask[*kmsg.InitProducerIDResponse](c, 4, initID); x.ErrorCode != 0 {
			t.Errorf("InitProducerId %d: code %d", i, x.ErrorCode)
		}
	}
	if all, err := b.log.Transactions(context.Background()); err != nil || len(all) > 20 {
		t.Errorf("%d transactional ids are kept, %v", len(all), err)
	}
	if x := ask[*kmsg.JoinGroupResponse](c, 2, joinRequest(long, "c")); x.ErrorCode != codeInvalidGroupID {
		t.Errorf("a long group id: code %d", x.ErrorCode)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = long, -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Metadata: text("m")}}}}
	if x := ask[*kmsg.OffsetCommitResponse](c, 8, commit); x.Topics[0].Partitions[0].ErrorCode != codeInvalidGroupID {
		t.Errorf("committing for a long group id: code %d", x.Topics[0].Partitions[0].ErrorCode)
	}
	commit.Group = "g"
	commit.Topics[0].Partitions[0].Metadata = text(strings.Repeat("m", 5000))
	if x := ask[*kmsg.OffsetCommitResponse](c, 8, commit); x.Topics[0].Partitions[0].ErrorCode != log.Code(log.ErrMetadataTooLarge) {
		t.Errorf("long metadata: code %d", x.Topics[0].Partitions[0].ErrorCode)
	}
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "leader.replication.throttled.replicas", Value: &long}}}}
	if x := ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, alter); x.Resources[0].ErrorCode != codeInvalidConfig {
		t.Errorf("a long setting: code %d", x.Resources[0].ErrorCode)
	}
	b.lives("t")
}

// TestTimeouts holds that connections end which do nothing, before
// authentication and after, between requests and within one, when their time is
// over and not before.
func TestTimeouts(t *testing.T) { synctest.Test(t, testTimeouts) }

func testTimeouts(t *testing.T) {
	for _, x := range []struct {
		name  string
		d     time.Duration
		auth  bool
		bytes []byte
	}{
		{"not authenticated", authTimeout, true, nil},
		{"not authenticated, half a frame", authTimeout, true, []byte{0, 0, 0, 50, 0, 18}},
		{"idle", idleTimeout, false, nil},
		{"half a frame", frameTimeout, false, []byte{0, 0, 0, 50, 0, 3}},
		{"half a large frame", frameTimeout, false, []byte{0, 0x10, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0}},
	} {
		b := newBench(t, func(o *Options) {
			if x.auth {
				o.Auth = testUsers(t, Plain)
			}
		})
		c, began := b.dial(), time.Now()
		if len(x.bytes) > 0 {
			if _, err := c.nc.Write(x.bytes); err != nil {
				t.Fatal(err)
			}
		}
		c.closed(x.name)
		if d := time.Since(began); d != x.d {
			t.Errorf("%s: closed after %v, want %v", x.name, d, x.d)
		}
	}
	// One that never takes its answer.
	b := newBench(t, nil)
	c, began := b.dial(), time.Now()
	c.send(kmsg.NewPtrMetadataRequest())
	b.work.Wait()
	if d := time.Since(began); d != writeTimeout {
		t.Errorf("an answer that is not taken: closed after %v, want %v", d, writeTimeout)
	}
}

// TestNoSecondLogin holds that who has authenticated stays who that is.
func TestNoSecondLogin(t *testing.T) { synctest.Test(t, testNoSecondLogin) }

func testNoSecondLogin(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Auth, o.FailureDelay = testUsers(t, Plain, ScramSHA256), time.Millisecond })
	shake := kmsg.NewPtrSASLHandshakeRequest()
	auth := kmsg.NewPtrSASLAuthenticateRequest()
	c := b.dial()
	shake.Mechanism = Plain
	ask[*kmsg.SASLHandshakeResponse](c, 1, shake)
	if x := ask[*kmsg.SASLHandshakeResponse](c, 1, shake); x.ErrorCode != codeIllegalSASLState {
		t.Errorf("a second handshake: code %d", x.ErrorCode)
	}
	auth.SASLAuthBytes = []byte("\x00ann\x00secret")
	if x := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth); x.ErrorCode != 0 {
		t.Fatalf("code %d", x.ErrorCode)
	}
	if x := ask[*kmsg.SASLHandshakeResponse](c, 1, shake); x.ErrorCode != codeIllegalSASLState {
		t.Errorf("a handshake of who has authenticated: code %d", x.ErrorCode)
	}
	auth.SASLAuthBytes = []byte("\x00bob\x00pass:word")
	if x := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth); x.ErrorCode != codeIllegalSASLState {
		t.Errorf("authenticating as another: code %d", x.ErrorCode)
	}
	for in := range b.conns {
		if in.sasl.user != "ann" {
			t.Errorf("the connection is %q's", in.sasl.user)
		}
	}
	// To act for another user is refused by each mechanism.
	for mechanism, message := range map[string]string{Plain: "bob\x00ann\x00secret", ScramSHA256: "n,a=bob,n=ann,r=abc"} {
		c := b.dial()
		shake.Mechanism = mechanism
		ask[*kmsg.SASLHandshakeResponse](c, 1, shake)
		auth.SASLAuthBytes = []byte(message)
		if x := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth); x.ErrorCode != codeSASLFailed {
			t.Errorf("%s: ann as bob: code %d", mechanism, x.ErrorCode)
		}
		c.closed(mechanism)
	}
}

// TestNoSecretsTold fails to authenticate in all ways: no password is logged or
// answered.
func TestNoSecretsTold(t *testing.T) { synctest.Test(t, testNoSecretsTold) }

func testNoSecretsTold(t *testing.T) {
	var told lockedBuffer
	const secret = "hunter2canary"
	b := newBench(t, func(o *Options) {
		o.Auth, o.FailureDelay = testUsers(t, Plain, ScramSHA256), time.Millisecond
		o.Logger = slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for mechanism, messages := range map[string][]string{
		Plain: {"\x00ann\x00" + secret, "\x00" + secret, "bob\x00ann\x00" + secret, "\x00\x00" + secret, secret, "\x00" + strings.Repeat("n", 300) + "\x00" + secret},
		// What SCRAM sends can't be a password, but a client may be mistaken.
		ScramSHA256: {secret, "n,,n=ann,r=" + secret, "p=" + secret + ",,n=ann,r=x"},
	} {
		for _, m := range messages {
			c := b.dial()
			shake := kmsg.NewPtrSASLHandshakeRequest()
			shake.Mechanism = mechanism
			ask[*kmsg.SASLHandshakeResponse](c, 1, shake)
			auth := kmsg.NewPtrSASLAuthenticateRequest()
			auth.SASLAuthBytes = []byte(m)
			x := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth)
			if strings.Contains(str(x.ErrorMessage), secret) {
				t.Errorf("told by the answer: %s", *x.ErrorMessage)
			}
			if x.ErrorCode == 0 { // SCRAM's first message: then a wrong proof
				auth.SASLAuthBytes = []byte("c=biws,r=" + secret + ",p=" + secret)
				ask[*kmsg.SASLAuthenticateResponse](c, 1, auth)
			}
			c.closed(mechanism)
		}
	}
	b.Close()
	if told.Len() == 0 || strings.Contains(told.String(), secret) {
		t.Errorf("the log says:\n%s", told.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

var _ io.Writer = (*lockedBuffer)(nil)
