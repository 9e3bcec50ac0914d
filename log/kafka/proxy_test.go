package kafka_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	"karst/server/wire/wiretest"
	realkafka "karst/testdata/kafka"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// openBehind opens a log on our own door behind a proxy.
func openBehind(t *testing.T, opts kafka.Options) (*kafka.Log, *proxy) {
	t.Helper()
	p := newProxy(t)
	addr := wiretest.StartBehind(t, p.Addr().String())
	p.broker.Store(&addr)
	opts.Brokers = []string{p.Addr().String()}
	return open(t, opts), p
}

// A proxy stands between a client and a broker and meddles with answers.
type proxy struct {
	net.Listener
	// broker is the address of the broker, nil until that has one: it is told the
	// proxy's first, and clients may come before.
	broker atomic.Pointer[string]
	// meddle is shown each answer before it goes on; false breaks the connection
	// instead. The request has gone through then.
	meddle atomic.Pointer[func(*exchange) bool]
	all    sync.WaitGroup
}

// An exchange is a request and its answer, as frames.
type exchange struct {
	key, version    int16
	request, answer []byte
}

// with sets what meddles; nil: nobody.
func (p *proxy) with(meddle func(*exchange) bool) {
	if meddle == nil {
		meddle = func(*exchange) bool { return true }
	}
	p.meddle.Store(&meddle)
}

// asked decodes the request.
func (x *exchange) asked(t testing.TB) kmsg.Request {
	req := kmsg.RequestForKey(x.key)
	req.SetVersion(x.version)
	r := kbin.Reader{Src: x.request[12:]} // after length, key, version and correlation id
	r.NullableString()
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := req.ReadFrom(r.Src); err != nil {
		t.Error(err)
	}
	return req
}

// edit lets f change the answer.
func (x *exchange) edit(t testing.TB, f func(kmsg.Response)) {
	resp := kmsg.ResponseForKey(x.key)
	resp.SetVersion(x.version)
	head := 8 // length and correlation id
	if resp.IsFlexible() && x.key != int16(kmsg.ApiVersions) {
		head++ // no tags
	}
	if err := resp.ReadFrom(x.answer[head:]); err != nil {
		t.Error(err)
		return
	}
	f(resp)
	x.answer = resp.AppendTo(slices.Clone(x.answer[:head]))
	binary.BigEndian.PutUint32(x.answer, uint32(len(x.answer)-4))
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.with(nil)
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.all.Wait() // connections end with the client
	})
	return p
}

// serve passes on requests one at a time, each with its answer.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	addr := p.broker.Load()
	if addr == nil {
		return
	}
	broker, err := net.Dial("tcp", *addr)
	if err != nil {
		return
	}
	defer broker.Close()
	for {
		request, err := frame(client)
		if err != nil {
			return
		}
		if _, err := broker.Write(request); err != nil {
			return
		}
		answer, err := frame(broker)
		if err != nil {
			return
		}
		x := &exchange{int16(binary.BigEndian.Uint16(request[4:])), int16(binary.BigEndian.Uint16(request[6:])), request, answer}
		if !(*p.meddle.Load())(x) {
			return
		}
		if _, err := client.Write(x.answer); err != nil {
			return
		}
	}
}

func frame(c net.Conn) ([]byte, error) {
	buf := make([]byte, 4)
	if _, err := io.ReadFull(c, buf); err != nil {
		return nil, err
	}
	buf = append(buf, make([]byte, binary.BigEndian.Uint32(buf))...)
	_, err := io.ReadFull(c, buf[4:])
	return buf, err
}

// TestLostAnswers loses the answers to the ends of transactions, for a while
// and for good: each transaction is there once, and the writer never says that
// it is not.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	broker := realkafka.Start(t, "advertised.listeners=PLAINTEXT://"+p.Addr().String())
	p.broker.Store(&broker.Addr)
	clock := newClock(patiently)
	l := open(t, kafka.Options{Brokers: []string{p.Addr().String()}, Patience: 2 * time.Second, Clock: clock})
	at := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(t.Context(), "t", 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	w, err := l.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	var lose, lost atomic.Int32 // how many answers to EndTxn are still to be lost, and have been
	p.with(func(x *exchange) bool {
		if x.key == int16(kmsg.EndTxn) && lose.Add(-1) >= 0 {
			lost.Add(1)
			return false
		}
		return true
	})
	commit := func(value string) error { return errors.Join(w.Append(at, batch(value)), committed(w)) }
	for _, v := range []string{"a", "b", "c"} {
		lose.Store(2)
		if err := commit(v); err != nil {
			t.Fatalf("committing %s: %v", v, err)
		}
	}
	if n := lost.Load(); n != 6 {
		t.Errorf("%d answers were lost", n)
	}
	lose.Store(1 << 30)
	clock.pass(1)
	if err := commit("d"); !errors.Is(err, log.ErrFailed) {
		t.Errorf("with all answers lost: %v", err)
	}
	if err := commit("not even sent"); err == nil {
		t.Error("the writer goes on")
	}
	w.Close()
	lose.Store(0)
	clock.pass(patiently)
	if w, err = l.OpenWriter(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if err := commit("e"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	got := read(t, l, at)
	if len(got) != 5 || got[0] != "a" || got[1] != "b" || got[2] != "c" || got[3] != "d" || got[4] != "e" {
		t.Errorf("there is %q", got)
	}
}

// timeout is when what a test waits for is taken to never come.
func timeout(t *testing.T) <-chan time.Time {
	timer := time.NewTimer(5 * time.Minute)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}
