package kafka_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	"karst/log/logtest"
	realkafka "karst/testdata/kafka"
)

// TestContractOnOldTransactions runs the suite on a cluster that does
// transactions as before KIP-890.
func TestContractOnOldTransactions(t *testing.T) {
	t.Parallel()
	b := realkafka.Start(t, "--feature=transaction.version=1")
	logtest.Run(t, logtest.Backend{TooLarge: 2 << 20, Open: func(t testing.TB) log.Log {
		return open(t, kafka.Options{Brokers: []string{b.Addr}})
	}})
}

// batch encodes one record.
func batch(value string) []byte {
	var b log.Builder
	b.Add(1, nil, []byte(value), nil)
	return b.Finish()
}

func committed(w log.Writer) error {
	done := make(chan error, 1)
	w.Commit(func(err error) { done <- err })
	return <-done
}

// TestBrokerKilled kills the broker under a writer and a plain producer, and
// starts it again. What was acknowledged is there once; what failed is not, or
// is as far as the writer's successor can tell.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	broker := realkafka.Start(t, realkafka.QuickReturn)
	l := open(t, kafka.Options{Brokers: []string{broker.Addr}, Patience: 10 * time.Minute})
	ctx := t.Context()
	for _, topic := range []string{"txn", "plain"} {
		if _, err := l.CreateTopic(ctx, topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
			t.Fatal(err)
		}
	}
	txn, plain := log.Partition{Topic: "txn"}, log.Partition{Topic: "plain"}
	const n, kills = 300, 2
	at := make(chan int, n)
	ended := make(chan error, 2)
	go func() { ended <- transact(t, l, txn, n, at) }()
	go func() {
		for i := range n {
			if err := l.Produce(ctx, []log.Append{{Partition: plain, Batch: batch(fmt.Sprint(i))}}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for k := range kills {
		for i := range at {
			if i >= (k+1)*n/(kills+1) {
				break
			}
		}
		broker.Kill()
		broker.Run(t)
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []log.Partition{txn, plain} {
		for i, v := range read(t, l, p) {
			if v != fmt.Sprint(i) {
				t.Fatalf("%s: record %d is %s", p.Topic, i, v)
			}
		}
		if got := len(read(t, l, p)); got != n {
			t.Errorf("%s: %d of %d records", p.Topic, got, n)
		}
	}
}

// transact commits n transactions of one record and its position each. After a
// commit whose outcome is not known a new writer tells how far it got.
func transact(t *testing.T, l *kafka.Log, p log.Partition, n int, at chan<- int) error {
	ctx := t.Context()
	w, err := l.OpenWriter(ctx, "writer")
	if err != nil {
		return err
	}
	defer func() { w.Close() }()
	for i := 0; i < n; {
		if err := errors.Join(w.Append(p, batch(fmt.Sprint(i))), w.Offsets("group", map[log.Partition]int64{p: int64(i + 1)}), committed(w)); err == nil {
			at <- i
			i++
			continue
		}
		w.Close()
		if w, err = l.OpenWriter(ctx, "writer"); err != nil {
			return err
		}
		offsets, err := l.CommittedOffsets(ctx, "group")
		if err != nil {
			return err
		}
		i = int(offsets[p])
	}
	return nil
}

func read(t *testing.T, l log.Log, p log.Partition) []string {
	t.Helper()
	b, err := l.Bounds(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	var r log.Records
	for offset := b.Start; offset < b.LastStable; {
		if offset, err = l.Fetch(t.Context(), p, offset, 1<<20, &r); err != nil {
			t.Fatal(err)
		}
		for i := range r.Len() {
			out = append(out, string(r.Value(i)))
		}
	}
	return out
}

// TestUnavailable: where nobody answers, the error says so in time and what to
// do.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	_, err := kafka.Open(t.Context(), kafka.Options{Brokers: []string{"127.0.0.1:1"}, Clock: newClock(1000), Patience: time.Second})
	if !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("opening: %v", err)
	}
	broker := realkafka.Start(t, realkafka.QuickReturn)
	// A coordinator that has just begun takes its time; on a busy machine more
	// than the other one's patience.
	patient := open(t, kafka.Options{Brokers: []string{broker.Addr}, Patience: 10 * time.Minute})
	p := log.Partition{Topic: "t"}
	if _, err := patient.CreateTopic(t.Context(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	w, err := patient.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	clock := newClock(patiently)
	l := open(t, kafka.Options{Brokers: []string{broker.Addr}, Patience: time.Second, Clock: clock})
	if w, err = l.OpenWriter(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	broker.Kill()
	clock.pass(1000) // each try tries for a while by itself
	var r log.Records
	if _, err := l.Fetch(t.Context(), p, 0, 100, &r); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("fetching: %v", err)
	}
	if err := l.Produce(t.Context(), []log.Append{{Partition: p, Batch: batch("x")}}); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("producing: %v", err)
	}
	if err := errors.Join(w.Append(p, batch("x")), committed(w)); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("committing: %v", err)
	}
	broker.Run(t)
	if err := errors.Join(w.Append(p, batch("x")), committed(w)); err == nil {
		t.Error("a writer that has failed commits")
	}
	w.Close()
	if w, err = patient.OpenWriter(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(p, batch("y")), committed(w)); err != nil {
		t.Error(err)
	}
	w.Close()
}

// TestPortsApart: a port that a broker is to get is for it alone, though nobody
// listens on it yet.
func TestPortsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 300 {
		port := realkafka.FreePort(t)
		if seen[port] {
			t.Fatalf("port %s is free twice", port)
		}
		seen[port] = true
	}
}
