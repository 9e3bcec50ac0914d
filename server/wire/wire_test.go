package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"karst/log"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type testClock struct{}

func (testClock) Now() time.Time { return time.Now() }

func (testClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// A bench is a server over a log in memory.
type bench struct {
	*Server
	t   testing.TB
	log *segment.Log
}

func newBench(t testing.TB, change func(*Options)) *bench {
	t.Helper()
	return newBenchOver(t, nil, change)
}

// newBenchOver also changes the options of the log.
func newBenchOver(t testing.TB, changeLog func(*segment.Options), change func(*Options)) *bench {
	t.Helper()
	var seed atomic.Uint64
	random := func() uint64 { return seed.Add(0x9e3779b97f4a7c15) }
	// A filesystem in memory is slow with holes in files: no batches stay in the journal.
	lo := segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: random, Clock: testClock{}, DeferRunBytes: 1 << 30}
	if changeLog != nil {
		changeLog(&lo)
	}
	l, err := segment.Open(lo)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := segment.NewGroups(segment.GroupOptions{Store: l, Clock: testClock{}, Rand: random, InitialDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Log: l, Groups: groups, Now: time.Now, Rand: random, Advertised: "broker:9092", AutoCreate: true,
		Own: func(name string) bool { return name == "_own" },
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		groups.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{Server: s, t: t, log: l}
}

func (b *bench) topic(name string, partitions int32, config map[string]string) log.Topic {
	b.t.Helper()
	topic, err := b.log.CreateTopic(context.Background(), name, partitions, config)
	if err != nil {
		b.t.Fatal(err)
	}
	return topic
}

// hanging is when a test hangs: longer than any of the server's time limits, and than
// a test takes that hardly gets a processor. Go's own limit is shorter.
const hanging = time.Hour

// A testClient is one connection.
type testClient struct {
	t    testing.TB
	nc   net.Conn
	r    *bufio.Reader
	next int32
}

func (b *bench) dial() *testClient {
	ours, theirs := net.Pipe()
	b.start(theirs)
	b.t.Cleanup(func() { _ = ours.Close() })
	_ = ours.SetDeadline(time.Now().Add(hanging))
	return &testClient{t: b.t, nc: ours, r: bufio.NewReader(ours)}
}

// send writes a request and returns its correlation id.
func (c *testClient) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.next++
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))
	if _, err := c.nc.Write(f.AppendRequest(nil, req, c.next)); err != nil {
		c.t.Fatalf("sending %s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return c.next
}

// frame reads a response's correlation id and what follows.
func (c *testClient) frame() (int32, []byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err := io.ReadFull(c.r, body)
	return int32(binary.BigEndian.Uint32(head[4:])), body, err
}

// receive reads the response to req.
func (c *testClient) receive(req kmsg.Request, id int32) kmsg.Response {
	c.t.Helper()
	got, body, err := c.frame()
	if err != nil {
		c.t.Fatalf("response to %s: %v", kmsg.NameForKey(req.Key()), err)
	}
	if got != id {
		c.t.Fatalf("response %d, want that to %d", got, id)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		if body, err = skipTags(body); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("response to %s version %d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

// ask sends a request in a version and returns the response.
func ask[R kmsg.Response](c *testClient, version int16, req kmsg.Request) R {
	c.t.Helper()
	req.SetVersion(version)
	return c.receive(req, c.send(req)).(R)
}

// closed holds that the server ends the connection.
func (c *testClient) closed(what string) {
	c.t.Helper()
	switch _, _, err := c.frame(); {
	case err == nil:
		c.t.Errorf("%s: answered, want the connection closed", what)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Errorf("%s: the connection is still open", what)
	}
}

// batch makes a batch of values, of producer p if that is not nil.
func batch(p *log.Producer, sequence int32, txn bool, values ...string) []byte {
	var b log.Builder
	for i, v := range values {
		b.Add(time.Now().UnixMilli(), fmt.Append(nil, "k", i), []byte(v), nil)
	}
	raw := b.Finish()
	if p != nil {
		setProducer(raw, *p, sequence, txn)
	}
	return raw
}

func produceRequestOf(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produce writes a batch in a version and returns its partition's response.
func (c *testClient) produce(version int16, topic string, partition int32, records []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	return ask[*kmsg.ProduceResponse](c, version, produceRequestOf(topic, partition, records)).Topics[0].Partitions[0]
}

func fetchRequestOf(topic string, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// values decodes the records' values of a fetched partition, without those of
// aborted transactions if the response names any.
func values(t testing.TB, p *kmsg.FetchResponseTopicPartition) []string {
	t.Helper()
	var r log.Records
	r.Buf = append(r.Buf, p.RecordBatches...)
	var aborted []log.AbortedTxn
	for _, a := range p.AbortedTransactions {
		aborted = append(aborted, log.AbortedTxn{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	if _, _, err := r.Decode(log.Span{End: len(r.Buf), MaxRecords: 1 << 20, Aborted: aborted}); err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range r.Len() {
		out = append(out, string(r.Value(i)))
	}
	return out
}

// setProducer makes a batch that of a producer.
func setProducer(b []byte, p log.Producer, sequence int32, txn bool) {
	binary.BigEndian.PutUint64(b[43:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[51:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	if txn {
		b[22] |= 0x10
	}
	setCRC(b)
}
