package kafka_test

import (
	"testing"

	"karst/log"
	"karst/log/kafka"

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
