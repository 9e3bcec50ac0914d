package kafka_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWhatDoesNotPass: an error that may pass, but does not within Patience, is
// log.ErrUnavailable, whatever was asked for: whoever can wait goes on waiting.
func TestWhatDoesNotPass(t *testing.T) {
	t.Parallel()
	clock := newClock(patiently)
	l, proxy := openBehind(t, kafka.Options{Patience: 100 * time.Millisecond, Clock: clock})
	ctx, p := t.Context(), log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, p.Topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	clock.pass(1)
	for name, c := range map[string]struct {
		code *kerr.Error
		edit func(kmsg.Response, int16)
		do   func() error
	}{
		"offsets that stay unstable": {kerr.UnstableOffsetCommit, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.OffsetFetchResponse); ok {
				r.Groups[0].ErrorCode = code
			}
		}, func() error { return ignore(l.CommittedOffsets(ctx, "g")) }},
		"a disk that has failed": {kerr.KafkaStorageError, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.FetchResponse); ok {
				r.Topics[0].Partitions[0].ErrorCode = code
			}
		}, func() error { return ignore(l.Fetch(ctx, p, 0, 100, &log.Records{})) }},
		"replicas that are away": {kerr.NotEnoughReplicas, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.ProduceResponse); ok {
				r.Topics[0].Partitions[0].ErrorCode = code
			}
		}, func() error { return l.Produce(ctx, []log.Append{{Partition: p, Batch: batch("x")}}) }},
		"a partition without a leader": {kerr.LeaderNotAvailable, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.ListOffsetsResponse); ok {
				r.Topics[0].Partitions[0].ErrorCode = code
			}
		}, func() error { return ignore(l.Bounds(ctx, p)) }},
		"no controller": {kerr.NotController, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.CreateTopicsResponse); ok {
				r.Topics[0].ErrorCode = code
			}
		}, func() error { return ignore(l.CreateTopic(ctx, "other", 1, nil)) }},
		"a coordinator that loads": {kerr.CoordinatorLoadInProgress, func(r kmsg.Response, code int16) {
			if r, ok := r.(*kmsg.InitProducerIDResponse); ok {
				r.ErrorCode = code
			}
		}, func() error { return ignore(l.OpenWriter(ctx, "w")) }},
	} {
		proxy.with(func(x *exchange) bool {
			x.edit(t, func(r kmsg.Response) { c.edit(r, c.code.Code) })
			return true
		})
		if err := c.do(); !errors.Is(err, log.ErrUnavailable) || !errors.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	proxy.with(nil)
}

func ignore[T any](_ T, err error) error { return err }

// TestPartitionsAway: a partition that can't be written to is given up in time
// however much is written to others, and holds up none of them. One that comes
// back after another one was given up has everything once.
func TestPartitionsAway(t *testing.T) {
	t.Parallel()
	clock := newClock(0)
	l, proxy := openBehind(t, kafka.Options{Patience: 500 * time.Millisecond, Clock: clock})
	ctx := t.Context()
	if _, err := l.CreateTopic(ctx, "t", 3, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	at := func(i int32) log.Partition { return log.Partition{Topic: "t", Index: i} }
	// The answers of partition 0, and for a while of 2, are not those of the
	// broker, which has stored what it was sent.
	var away [3]atomic.Bool
	var tries [3]atomic.Int32
	away[0].Store(true)
	proxy.with(func(x *exchange) bool {
		x.edit(t, func(r kmsg.Response) {
			r0, ok := r.(*kmsg.ProduceResponse)
			for i := 0; ok && i < len(r0.Topics[0].Partitions); i++ {
				if p := &r0.Topics[0].Partitions[i]; away[p.Partition].Load() {
					tries[p.Partition].Add(1)
					p.ErrorCode = kerr.NotEnoughReplicasAfterAppend.Code
				}
			}
		})
		return true
	})
	produce := func(i int32, value string) error {
		return l.Produce(ctx, []log.Append{{Partition: at(i), Batch: batch(value)}})
	}
	first, third := make(chan error, 1), make(chan error, 1)
	n := 0
	// until writes to partition 1, a millisecond after the other, until there is an error.
	until := func(ended <-chan error, each func()) error {
		for ; ; n++ {
			select {
			case err := <-ended:
				return err
			default:
			}
			if err := produce(1, fmt.Sprint(n)); err != nil {
				t.Fatal(err)
			}
			each()
		}
	}
	go func() { first <- produce(0, "zero") }()
	begun := false
	err := until(first, func() {
		switch {
		case !begun && tries[0].Load() == 8: // so that it has waited for less long
			begun = true
			away[2].Store(true)
			go func() { third <- produce(2, "two") }()
		case !begun || tries[2].Load() > 0:
			clock.advance(time.Millisecond)
		}
	})
	if !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("a partition that is away: %v", err)
	}
	away[2].Store(false)
	if err := until(third, func() { clock.advance(time.Millisecond) }); err != nil || !begun {
		t.Errorf("a partition that has come back: %v", err)
	}
	away[0].Store(false)
	for i := range int32(3) {
		if err := produce(i, "after"); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, l, at(1)); len(got) != n+1 {
		t.Errorf("%d of %d records", len(got), n+1)
	}
	if got := fmt.Sprint(read(t, l, at(2))); got != "[two after]" {
		t.Errorf("the partition that has come back holds %s", got)
	}
}

// TestLostAnswerToCreate loses the answer to a request for a topic: it is made,
// and not taken for somebody else's when the request is repeated.
func TestLostAnswerToCreate(t *testing.T) {
	t.Parallel()
	l, proxy := openBehind(t, kafka.Options{})
	var lost atomic.Bool
	proxy.with(func(x *exchange) bool { return x.key != int16(kmsg.CreateTopics) || lost.Swap(true) })
	got, err := l.CreateTopic(t.Context(), "t", 3, nil)
	if err != nil || got.Partitions != 3 {
		t.Errorf("made %+v, %v", got, err)
	}
	if _, err := l.CreateTopic(t.Context(), "t", 3, nil); !errors.Is(err, log.ErrTopicExists) {
		t.Errorf("a name that is taken: %v", err)
	}
}

// TestOpenEnd: a coordinator that never says whether it has committed leaves the
// outcome unknown, and the writer does not pass it for a transaction that was
// dropped.
func TestOpenEnd(t *testing.T) {
	t.Parallel()
	clock := newClock(patiently)
	l, proxy := openBehind(t, kafka.Options{Patience: 100 * time.Millisecond, Clock: clock})
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(t.Context(), p.Topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	w, err := l.OpenWriter(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	proxy.with(func(x *exchange) bool {
		x.edit(t, func(r kmsg.Response) {
			if r, ok := r.(*kmsg.EndTxnResponse); ok {
				r.ErrorCode = kerr.CoordinatorNotAvailable.Code // as one says whose replicas are slow
			}
		})
		return true
	})
	clock.pass(1)
	if err := errors.Join(w.Append(p, batch("x")), committed(w)); !errors.Is(err, log.ErrFailed) {
		t.Errorf("committing: %v", err)
	}
	proxy.with(nil)
	clock.pass(patiently)
	if got := fmt.Sprint(read(t, l, p)); got != "[x]" {
		t.Errorf("there is %s", got)
	}
}

// TestSlowTry: what fails once is tried again, however long it took to.
func TestSlowTry(t *testing.T) {
	t.Parallel()
	clock := newClock(1)
	l, proxy := openBehind(t, kafka.Options{Clock: clock})
	var failed atomic.Bool
	proxy.with(func(x *exchange) bool {
		if x.key == int16(kmsg.CreateTopics) && !failed.Swap(true) {
			clock.advance(time.Hour)
			x.edit(t, func(r kmsg.Response) { r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode = kerr.NotController.Code })
		}
		return true
	})
	if _, err := l.CreateTopic(t.Context(), "t", 1, nil); err != nil || !failed.Load() {
		t.Error(err)
	}
}
