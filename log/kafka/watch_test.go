package kafka_test

import (
	"strings"
	"testing"

	"karst/log"
	"karst/log/kafka"
	"karst/server/wire/wiretest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWatchReadersApart: of two readers of a partition one has come to an end
// that the other one has not seen. The other is told, though nobody polls at
// its place any more.
func TestWatchReadersApart(t *testing.T) {
	t.Parallel()
	l, proxy := openBehind(t, kafka.Options{})
	release := make(chan struct{})
	proxy.with(func(x *exchange) bool {
		if x.key == int16(kmsg.Fetch) && x.asked(t).(*kmsg.FetchRequest).MaxWaitMillis > 0 {
			<-release
		}
		return true
	})
	defer close(release)
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(t.Context(), p.Topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	woken := make(chan struct{}, 1)
	defer l.Watch(func(string) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})()
	fetch := func(from, want int64) {
		t.Helper()
		var r log.Records
		if next, err := l.Fetch(t.Context(), p, from, 1000, &r); err != nil || next != want {
			t.Fatalf("fetching from %d goes on at %d, want %d; %v", from, next, want, err)
		}
	}
	fetch(0, 0) // the one
	other := open(t, kafka.Options{Brokers: []string{*proxy.broker.Load()}})
	if err := other.Produce(t.Context(), []log.Append{{Partition: p, Batch: batch("x")}}); err != nil {
		t.Fatal(err)
	}
	fetch(0, 1) // the other
	fetch(1, 1)
	select {
	case <-woken:
	case <-timeout(t):
		t.Fatal("the reader that waits at 0 is not told of the record there")
	}
}

// TestTimeBehindOpenTransaction: what is not committed is at no time yet.
func TestTimeBehindOpenTransaction(t *testing.T) {
	t.Parallel()
	l := open(t, kafka.Options{Brokers: []string{wiretest.Start(t)}})
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(t.Context(), p.Topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Produce(t.Context(), []log.Append{{Partition: p, Batch: batch("early")}}); err != nil {
		t.Fatal(err)
	}
	w, err := l.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 3 { // enough that some is sent
		var b log.Builder
		b.Add(5000, nil, []byte(strings.Repeat("x", 500_000)), nil)
		if err := w.Append(p, b.Finish()); err != nil {
			t.Fatal(err)
		}
	}
	for late := timeout(t); ; {
		b, err := l.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if b.HighWatermark > 1 {
			break
		}
		select {
		case <-late:
			t.Fatal("nothing is sent")
		default:
		}
	}
	for _, ms := range []int64{5000, 6000} {
		if got, err := l.OffsetForTime(t.Context(), p, ms); err != nil || got != 1 {
			t.Errorf("offset for %d is %d, %v; committed reads end at 1", ms, got, err)
		}
	}
	if err := committed(w); err != nil {
		t.Fatal(err)
	}
	if got, err := l.OffsetForTime(t.Context(), p, 5000); err != nil || got != 1 {
		t.Errorf("offset for 5000 is %d, %v, with the transaction committed", got, err)
	}
}
