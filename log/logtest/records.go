package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"karst/log"
)

func produceAndFetch(h *harness) {
	p := at(h.topic(2), 1)
	var b log.Builder
	b.Add(5000, []byte("key"), []byte("value"), []log.Header{{Key: "h", Value: []byte("x")}, {Key: "h"}, {Key: "", Value: []byte{}}})
	b.Add(4000, nil, nil, nil)
	b.Add(6000, []byte{}, []byte{}, nil)
	first, second := b.Finish(), batch("one", "two")
	h.ok(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: first}, {Partition: p, Batch: second}}))
	for i, c := range [][]byte{first, second} {
		info, err := log.CheckBatch(c)
		h.ok(err)
		if info.BaseOffset != int64(3*i) || info.LeaderEpoch != h.bounds(p).LeaderEpoch {
			h.Fatalf("batch %d is placed at %d with epoch %d, bounds %+v", i, info.BaseOffset, info.LeaderEpoch, h.bounds(p))
		}
	}
	if b := h.bounds(p); b.Start != 0 || b.HighWatermark != 5 || b.LastStable != 5 {
		h.Fatalf("bounds are %+v", b)
	}
	var r log.Records
	next, err := h.Fetch(h.ctx, p, 0, 1<<20, &r)
	h.ok(err)
	if next != 5 || r.Len() != 5 {
		h.Fatalf("%d records, next %d", r.Len(), next)
	}
	if string(r.Key(0)) != "key" || string(r.Value(0)) != "value" || r.Timestamps[0] != 5000 || r.Timestamps[1] != 4000 {
		h.Fatalf("first record is %q=%q at %d", r.Key(0), r.Value(0), r.Timestamps[0])
	}
	if hs := r.Headers(0); len(hs) != 3 || hs[0].Key != "h" || string(hs[0].Value) != "x" || hs[1].Value != nil || hs[2].Value == nil {
		h.Fatalf("headers are %v", hs)
	}
	if r.Key(1) != nil || r.Value(1) != nil || r.Key(2) == nil || r.Value(2) == nil {
		h.Fatal("null and empty are not told apart")
	}
	if b := h.bounds(at(p.Topic, 0)); b.HighWatermark != 0 {
		h.Fatalf("the other partition has bounds %+v", b)
	}
	h.ok(h.Produce(h.ctx, nil))
}

func fetchPages(h *harness) {
	p := at(h.topic(1), 0)
	var want []string
	for i := range 30 {
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		want = append(want, a, b)
		h.produce(p, a, b)
	}
	h.want(p, want...)
	// From the middle of a batch, and a batch although it is too large.
	var r log.Records
	next, err := h.Fetch(h.ctx, p, 31, 1, &r)
	h.ok(err)
	if r.Len() == 0 || r.Offsets[0] != 31 || string(r.Value(0)) != "b15" || next != 32 {
		h.Fatalf("offsets %v, next %d", r.Offsets, next)
	}
	if got := h.read(p, 1<<20); len(got) != 60 {
		h.Fatalf("%d records in large pages", len(got))
	}
}

func fetchBounds(h *harness) {
	p := at(h.topic(1), 0)
	var r log.Records
	next, err := h.Fetch(h.ctx, p, 0, 1000, &r)
	if err != nil || next != 0 || r.Len() != 0 {
		h.Fatalf("an empty partition gives %d records, next %d, %v", r.Len(), next, err)
	}
	h.produce(p, "a", "b", "c")
	r.Buf = append(r.Buf, "rubbish"...)
	next, err = h.Fetch(h.ctx, p, 3, 1000, &r)
	if err != nil || next != 3 || r.Len() != 0 {
		h.Fatalf("the end gives %d records, next %d, %v", r.Len(), next, err)
	}
	h.ok(h.Trim(h.ctx, p, 1))
	for _, offset := range []int64{-1, 0, 4, 1 << 40} {
		_, err := h.Fetch(h.ctx, p, offset, 1000, &r)
		h.is(err, log.ErrOffsetRange)
		var out *log.OffsetRangeError
		if !errors.As(err, &out) || out.Partition != p || out.Offset != offset || out.Start != 1 || out.End != 3 {
			h.Fatalf("fetching %d: %+v", offset, out)
		}
	}
}

func compressed(h *harness) {
	p := at(h.topic(1), 0)
	var want []string
	for _, codec := range []log.Codec{log.None, log.Gzip, log.Snappy, log.LZ4, log.Zstd} {
		value := fmt.Sprint(codec, strings.Repeat(" compresses well", 200))
		want = append(want, value, "short")
		b, err := log.Recompress(batch(value, "short"), codec)
		h.ok(err)
		h.ok(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: b}}))
	}
	h.want(p, want...)
}

// largeBatches: a batch beyond what a topic takes at once, of records that are
// not; and a request of many megabytes.
func largeBatches(h *harness) {
	topic := h.topic(2)
	var b log.Builder
	var want []string
	for i := range 60 {
		v := fmt.Sprint(i, strings.Repeat("x", 100_000))
		want = append(want, v)
		b.Add(int64(i), nil, []byte(v), []log.Header{{Key: "i", Value: fmt.Append(nil, i)}})
	}
	large := b.Finish()
	h.ok(h.Produce(h.ctx, []log.Append{{Partition: at(topic, 0), Batch: large}, {Partition: at(topic, 0), Batch: batch("after")}}))
	h.want(at(topic, 0), append(want, "after")...)
	var all []log.Append
	for range 30 {
		all = append(all, log.Append{Partition: at(topic, 1), Batch: batch(strings.Repeat("y", 900_000))})
	}
	h.ok(h.Produce(h.ctx, all))
	if got := h.read(at(topic, 1), 4<<20); len(got) != 30 {
		h.Fatalf("%d of 30 records", len(got))
	}
}

func tooLarge(h *harness) {
	if h.backend.TooLarge == 0 {
		h.Skip("no limit known")
	}
	p := at(h.topic(1), 0)
	value := strings.Repeat("x", h.backend.TooLarge)
	h.is(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: batch(value)}}), log.ErrRecordTooLarge)
	h.produce(p, "small")
	w := h.writer(h.name("writer"))
	defer w.Close()
	err := w.Append(p, batch("before", value))
	if err == nil {
		err = h.commit(w)
	}
	h.is(err, log.ErrRecordTooLarge)
	w.Abort()
	h.ok(w.Append(p, batch("next")))
	h.ok(h.commit(w))
	h.want(p, "small", "next")
}

// keyless holds that a compacted topic takes no records without a key, which it
// would not keep.
func keyless(h *harness) {
	name := h.name("topic")
	h.ok(ignore(h.CreateTopic(h.ctx, name, 1, map[string]string{"retention.ms": "-1", "cleanup.policy": "compact"})))
	p := at(name, 0)
	var b log.Builder
	without := func() []byte {
		b.Add(1000, []byte("k"), []byte("with"), nil)
		b.Add(1001, nil, []byte("without"), nil)
		return b.Finish()
	}
	compressed, err := log.Recompress(without(), log.Zstd)
	h.ok(err)
	w := h.writer(h.name("writer"))
	defer w.Close()
	for _, batch := range [][]byte{without(), compressed} {
		h.is(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: bytes.Clone(batch)}}), log.ErrInvalidRecord)
		err := w.Append(p, batch)
		if err == nil {
			err = h.commit(w)
		}
		h.is(err, log.ErrInvalidRecord)
		w.Abort()
	}
	b.Add(1000, []byte{}, []byte("empty key"), nil)
	h.ok(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: b.Finish()}}))
	h.ok(w.Append(p, batch("next")))
	h.ok(h.commit(w))
	h.want(p, "empty key", "next")
}

func offsetForTime(h *harness) {
	p := at(h.topic(1), 0)
	rng := rand.New(rand.NewPCG(7, 8))
	var times []int64
	for range 40 {
		var b log.Builder
		for range 1 + rng.IntN(5) {
			ts := int64(1_000_000+len(times)*10) + rng.Int64N(300)
			times = append(times, ts)
			b.Add(ts, nil, []byte("v"), nil)
		}
		h.ok(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: b.Finish()}}))
	}
	for ms := int64(999_900); ms < int64(1_000_000+len(times)*10+400); ms += 97 {
		want := int64(len(times))
		for i, ts := range times {
			if ts >= ms {
				want = int64(i)
				break
			}
		}
		got, err := h.OffsetForTime(h.ctx, p, ms)
		if err != nil || got != want {
			h.Fatalf("offset for %d: %d, %v; want %d", ms, got, err, want)
		}
	}
}

func epochs(h *harness) {
	p := at(h.topic(1), 0)
	h.produce(p, "a", "b")
	b := h.bounds(p)
	if b.LeaderEpoch < 0 {
		h.Fatalf("bounds are %+v", b)
	}
	end, err := h.EpochEnd(h.ctx, p, b.LeaderEpoch)
	if err != nil || end != 2 {
		h.Fatalf("the current epoch ends at %d, %v", end, err)
	}
	for _, newer := range []int32{1, 1000} {
		end, err = h.EpochEnd(h.ctx, p, b.LeaderEpoch+newer)
		if err != nil || end != -1 {
			h.Fatalf("an epoch that is yet to come ends at %d, %v", end, err)
		}
	}
}

func trim(h *harness) {
	p := at(h.topic(1), 0)
	h.produce(p, "a", "b")
	h.produce(p, "c", "d")
	h.ok(h.Trim(h.ctx, p, 3))
	if b := h.bounds(p); b.Start != 3 || b.HighWatermark != 4 {
		h.Fatalf("bounds are %+v", b)
	}
	h.want(p, "d")
	h.ok(h.Trim(h.ctx, p, 1)) // has happened already
	h.is(h.Trim(h.ctx, p, 5), log.ErrOffsetRange)
	h.ok(h.Trim(h.ctx, p, 4))
	h.want(p)
	h.produce(p, "e")
	h.want(p, "e")
	if b := h.bounds(p); b.Start != 4 || b.HighWatermark != 5 {
		h.Fatalf("bounds are %+v", b)
	}
}

func manyProducers(h *harness) {
	topic := h.topic(4)
	const producers, each = 8, 50
	var wg sync.WaitGroup
	for g := range producers {
		wg.Go(func() {
			for i := range each {
				var all []log.Append
				for part := range int32(4) {
					all = append(all, log.Append{Partition: at(topic, part), Batch: batch(fmt.Sprintf("%d-%d", g, i))})
				}
				if err := h.Produce(h.ctx, all); err != nil {
					h.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for part := range int32(4) {
		next := make([]int, producers)
		for _, v := range h.read(at(topic, part), 5000) {
			var g, i int
			if _, err := fmt.Sscanf(v, "%d-%d", &g, &i); err != nil {
				h.Fatal(err)
			}
			if i != next[g] {
				h.Fatalf("partition %d: producer %d has %d after %d", part, g, i, next[g]-1)
			}
			next[g]++
		}
		for g, n := range next {
			if n != each {
				h.Fatalf("partition %d: producer %d has %d of %d records", part, g, n, each)
			}
		}
	}
}

// watch: a reader that has come to the end is woken.
func watch(h *harness) {
	topic, quiet := h.topic(3), h.topic(1)
	woken := make(chan struct{}, 1)
	stop := h.Watch(func(name string) {
		switch name {
		case topic:
			select {
			case woken <- struct{}{}:
			default:
			}
		case quiet:
			h.Errorf("woken for %s, to which nothing was written", quiet)
		}
	})
	defer stop()
	w := h.writer(h.name("writer"))
	defer w.Close()
	offset := make([]int64, 3)
	// drain reads what there is, and returns how many records that was.
	drain := func() (n int) {
		var r log.Records
		for part := range offset {
			for {
				next, err := h.Fetch(h.ctx, at(topic, int32(part)), offset[part], 1000, &r)
				h.ok(err)
				if next == offset[part] {
					break
				}
				offset[part] = next
				n += r.Len()
			}
		}
		h.ok(ignore(h.Fetch(h.ctx, at(quiet, 0), 0, 1000, &r)))
		return n
	}
	drain()
	for i := range 20 {
		p := at(topic, int32(i%3))
		if i%2 == 0 {
			h.produce(p, "v")
		} else {
			h.ok(w.Append(p, batch("v")))
			h.ok(h.commit(w))
		}
		for got := 0; got < 1; {
			select {
			case <-woken:
				got += drain()
			case <-h.ctx.Done():
				h.Fatalf("not woken for record %d", i)
			}
		}
	}
	stop()
}

func cancelled(h *harness) {
	p := at(h.topic(1), 0)
	h.produce(p, "a")
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	// Whether it is done or not, it must come back, and with no other error.
	check := func(err error) {
		h.Helper()
		if err != nil && !errors.Is(err, context.Canceled) {
			h.Fatal(err)
		}
	}
	var r log.Records
	check(ignore(h.Fetch(ctx, p, 0, 1000, &r)))
	check(ignore(h.Bounds(ctx, p)))
	check(ignore(h.Topics(ctx)))
	check(ignore(h.CommittedOffsets(ctx, "g")))
	check(h.Produce(ctx, []log.Append{{Partition: p, Batch: batch("b")}}))
	check(ignore(h.OpenWriter(ctx, h.name("writer"))))
	h.produce(p, "c")
	if got := h.values(p); got[0] != "a" || got[len(got)-1] != "c" {
		h.Fatalf("read %q", got)
	}
}
