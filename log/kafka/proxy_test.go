package kafka_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	realkafka "karst/testdata/kafka"
)

// A proxy stands between a client and a broker and loses answers.
type proxy struct {
	net.Listener
	// broker is the address of the broker, nil until that has one: it is told the
	// proxy's first, and clients may come before.
	broker atomic.Pointer[string]
	// lose is how many answers to EndTxn are still to be lost: the request goes
	// through, then the connection breaks.
	lose atomic.Int32
	lost atomic.Int32
	all  sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
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
		const endTxn = 26
		if binary.BigEndian.Uint16(request[4:]) == endTxn && p.lose.Add(-1) >= 0 {
			p.lost.Add(1)
			return
		}
		if _, err := client.Write(answer); err != nil {
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
	l := open(t, kafka.Options{Brokers: []string{p.Addr().String()}, Patience: 2 * time.Second})
	at := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(t.Context(), "t", 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	w, err := l.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	commit := func(value string) error { return errors.Join(w.Append(at, batch(value)), committed(w)) }
	for _, v := range []string{"a", "b", "c"} {
		p.lose.Store(2)
		if err := commit(v); err != nil {
			t.Fatalf("committing %s: %v", v, err)
		}
	}
	if n := p.lost.Load(); n != 6 {
		t.Errorf("%d answers were lost", n)
	}
	p.lose.Store(1 << 30)
	if err := commit("d"); !errors.Is(err, log.ErrFailed) {
		t.Errorf("with all answers lost: %v", err)
	}
	if err := commit("not even sent"); err == nil {
		t.Error("the writer goes on")
	}
	w.Close()
	p.lose.Store(0)
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
