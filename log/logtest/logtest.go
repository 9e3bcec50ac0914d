package logtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"karst/log"
)

// A Backend is what is tested.
type Backend struct {
	// Open returns a handle on the log, closed by t.Cleanup. It is called once a
	// test; the log behind it may be shared and hold other topics.
	Open func(t testing.TB) log.Log
	// TooLarge is the size of a value that a topic does not take; 0: not tested.
	TooLarge int
}

// Run tests a backend.
func Run(t *testing.T, b Backend) {
	for _, c := range []struct {
		name string
		test func(*harness)
	}{
		{"topics", topics},
		{"topic names", topicNames},
		{"unknown topics", unknownTopics},
		{"recreated topic", recreated},
		{"produce and fetch", produceAndFetch},
		{"fetch pages", fetchPages},
		{"fetch bounds", fetchBounds},
		{"compressed batches", compressed},
		{"large batches", largeBatches},
		{"too large", tooLarge},
		{"keyless", keyless},
		{"offset for time", offsetForTime},
		{"epochs", epochs},
		{"trim", trim},
		{"many producers", manyProducers},
		{"watch", watch},
		{"cancelled", cancelled},
		{"transaction", transaction},
		{"abort", abort},
		{"failed transaction", failedTransaction},
		{"commit order", commitOrder},
		{"empty transaction", emptyTransaction},
		{"offsets", offsets},
		{"fencing", fencing},
		{"closed writer", closedWriter},
		{"large transaction", largeTransaction},
		{"random writers", randomWriters},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c.test(&harness{T: t, Log: b.Open(t), ctx: ctx, backend: b})
		})
	}
}

// patience is how long a test may take before what it waits for is taken to
// never come.
const patience = 10 * time.Minute

// A harness is one test's view of the log.
type harness struct {
	*testing.T
	log.Log
	ctx     context.Context
	backend Backend
}

// name returns a name that nobody has used: the log may outlive the process.
func (h *harness) name(kind string) string {
	return fmt.Sprintf("%s-%016x", strings.ReplaceAll(kind, " ", "-"), rand.Uint64())
}

// topic makes a topic of n partitions and returns its name. The records' times
// are long ago, and they are kept all the same.
func (h *harness) topic(n int32) string {
	h.Helper()
	name := h.name("topic")
	h.ok(ignore(h.CreateTopic(h.ctx, name, n, map[string]string{"retention.ms": "-1"})))
	return name
}

func ignore[T any](_ T, err error) error { return err }

func (h *harness) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("error is %v, want %v", err, want)
	}
}

// at names partition i of a topic.
func at(topic string, i int32) log.Partition { return log.Partition{Topic: topic, Index: i} }

// batch encodes values with key "k" and ascending timestamps.
func batch(values ...string) []byte {
	var b log.Builder
	for i, v := range values {
		b.Add(int64(1000+i), []byte("k"), []byte(v), nil)
	}
	return b.Finish()
}

func (h *harness) produce(p log.Partition, values ...string) {
	h.Helper()
	h.ok(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: batch(values...)}}))
}

func (h *harness) bounds(p log.Partition) log.Bounds {
	h.Helper()
	b, err := h.Bounds(h.ctx, p)
	h.ok(err)
	if b.Start < 0 || b.Start > b.LastStable || b.LastStable > b.HighWatermark {
		h.Fatalf("bounds %+v are out of order", b)
	}
	return b
}

// values reads the values of a partition from its start to its last stable
// offset, a few bytes at a time.
func (h *harness) values(p log.Partition) []string {
	h.Helper()
	return h.read(p, 100)
}

func (h *harness) read(p log.Partition, maxBytes int) []string {
	h.Helper()
	b := h.bounds(p)
	out := []string{}
	var r log.Records
	last := b.Start - 1
	for offset := b.Start; offset < b.LastStable; {
		next, err := h.Fetch(h.ctx, p, offset, maxBytes, &r)
		h.ok(err)
		if next <= offset {
			h.Fatalf("fetching from %d gets nowhere; %+v", offset, b)
		}
		for i := range r.Len() {
			if r.Offsets[i] <= last || r.Offsets[i] >= next {
				h.Fatalf("offset %d after %d in a fetch that ends at %d", r.Offsets[i], last, next)
			}
			last = r.Offsets[i]
			out = append(out, string(r.Value(i)))
		}
		offset = next
	}
	return out
}

func (h *harness) want(p log.Partition, values ...string) {
	h.Helper()
	if got := h.values(p); strings.Join(got, "|") != strings.Join(values, "|") || len(got) != len(values) {
		h.Fatalf("%s has %.300q, want %.300q", p.Topic, got, values)
	}
}

func (h *harness) writer(id string) log.Writer {
	h.Helper()
	w, err := h.OpenWriter(h.ctx, id)
	h.ok(err)
	return w
}

// commit ends a writer's transaction and waits for it.
func (h *harness) commit(w log.Writer) error {
	h.Helper()
	return h.wait(h.commitLater(w))
}

func (h *harness) commitLater(w log.Writer) <-chan error {
	ch := make(chan error, 2) // a second call would show
	w.Commit(func(err error) { ch <- err })
	return ch
}

func (h *harness) wait(ch <-chan error) error {
	h.Helper()
	select {
	case err := <-ch:
		return err
	case <-h.ctx.Done():
		h.Fatal("a commit did not end")
		return nil
	}
}
