package logtest

import (
	"fmt"
	"maps"
	"strings"

	"karst/log"
)

// transaction: what a writer appends is readable once it has committed, all
// together, and each batch then knows its offset.
func transaction(h *harness) {
	topic := h.topic(2)
	w := h.writer(h.name("writer"))
	defer w.Close()
	for round := range 3 {
		first, second, other := batch("a", "b"), batch("c"), batch("d")
		h.ok(w.Append(at(topic, 0), first))
		h.ok(w.Append(at(topic, 1), other))
		h.ok(w.Append(at(topic, 0), second))
		if got := h.values(at(topic, 0)); len(got) != 3*round {
			h.Fatalf("before the commit of round %d there are %q", round, got)
		}
		h.ok(h.commit(w))
		if got := h.values(at(topic, 0)); len(got) != 3*round+3 || strings.Join(got[3*round:], "") != "abc" {
			h.Fatalf("after the commit of round %d there are %q", round, got)
		}
		for _, c := range []struct {
			p     log.Partition
			batch []byte
			value string
		}{{at(topic, 0), first, "a"}, {at(topic, 0), second, "c"}, {at(topic, 1), other, "d"}} {
			info, err := log.ReadHeader(c.batch)
			h.ok(err)
			var r log.Records
			h.ok(ignore(h.Fetch(h.ctx, c.p, info.BaseOffset, 1, &r)))
			if r.Len() == 0 || r.Offsets[0] != info.BaseOffset || string(r.Value(0)) != c.value {
				h.Fatalf("batch of %q says it is at %d, where there are %v", c.value, info.BaseOffset, r.Offsets)
			}
		}
	}
}

func abort(h *harness) {
	p := at(h.topic(1), 0)
	w := h.writer(h.name("writer"))
	defer w.Close()
	group := h.name("group")
	for i := range 4 {
		// Enough that a part of it may have been sent already.
		for range 3 {
			h.ok(w.Append(p, batch(strings.Repeat("dropped", 100_000))))
		}
		h.ok(w.Offsets(group, map[log.Partition]int64{p: 77}))
		w.Abort()
		h.ok(w.Append(p, batch(fmt.Sprint("kept", i))))
		h.ok(h.commit(w))
	}
	h.want(p, "kept0", "kept1", "kept2", "kept3")
	if got, err := h.CommittedOffsets(h.ctx, group); err != nil || len(got) != 0 {
		h.Fatalf("offsets of aborted transactions: %v, %v", got, err)
	}
}

// failedTransaction: a commit that can't be done says why, nothing of it is
// readable, and the writer goes on.
func failedTransaction(h *harness) {
	topic := h.topic(1)
	w := h.writer(h.name("writer"))
	defer w.Close()
	group := h.name("group")
	for _, unknown := range []log.Partition{at(h.name("nobody"), 0), at(topic, 5)} {
		h.ok(w.Append(at(topic, 0), batch("dropped")))
		h.ok(w.Offsets(group, map[log.Partition]int64{at(topic, 0): 5}))
		err := w.Append(unknown, batch("x"))
		if err == nil {
			err = h.commit(w)
		}
		h.is(err, log.ErrUnknownTopic)
		w.Abort()
	}
	h.ok(w.Append(at(topic, 0), batch("kept")))
	h.ok(h.commit(w))
	h.want(at(topic, 0), "kept")
	if got, err := h.CommittedOffsets(h.ctx, group); err != nil || len(got) != 0 {
		h.Fatalf("offsets of failed transactions: %v, %v", got, err)
	}
}

// commitOrder: transactions begun while others are being committed end in
// order.
func commitOrder(h *harness) {
	p := at(h.topic(1), 0)
	w := h.writer(h.name("writer"))
	defer w.Close()
	group := h.name("group")
	const n = 30
	done := make(chan int, n)
	var want []string
	for i := range n {
		v := fmt.Sprint(i)
		h.ok(w.Append(p, batch(v)))
		if i%5 == 3 { // one in between that leaves nothing
			w.Abort()
			done <- -1
			continue
		}
		want = append(want, v)
		h.ok(w.Offsets(group, map[log.Partition]int64{p: int64(i)}))
		w.Commit(func(err error) {
			if err != nil {
				h.Error(err)
			}
			done <- i
		})
	}
	last := -1
	for range n {
		select {
		case i := <-done:
			if i >= 0 && i < last {
				h.Fatalf("commit %d ended after commit %d", i, last)
			}
			last = max(last, i)
		case <-h.ctx.Done():
			h.Fatal("a commit did not end")
		}
	}
	h.want(p, want...)
	if got, err := h.CommittedOffsets(h.ctx, group); err != nil || got[p] != n-1 {
		h.Fatalf("offsets are %v, %v", got, err)
	}
}

func emptyTransaction(h *harness) {
	p := at(h.topic(1), 0)
	w := h.writer(h.name("writer"))
	defer w.Close()
	h.ok(h.commit(w))
	w.Abort()
	h.ok(h.commit(w))
	if b := h.bounds(p); b.HighWatermark != 0 {
		h.Fatalf("bounds are %+v", b)
	}
}

func offsets(h *harness) {
	topic := h.topic(3)
	a, b := h.name("group"), h.name("group")
	check := func(group string, want map[log.Partition]int64) {
		h.Helper()
		got, err := h.CommittedOffsets(h.ctx, group)
		h.ok(err)
		if !maps.Equal(got, want) {
			h.Fatalf("offsets of %s are %v, want %v", group, got, want)
		}
	}
	check(a, map[log.Partition]int64{})
	w := h.writer(h.name("writer"))
	defer w.Close()
	h.ok(w.Offsets(a, map[log.Partition]int64{at(topic, 0): 1, at(topic, 1): 2}))
	h.ok(w.Offsets(a, map[log.Partition]int64{at(topic, 0): 3}))
	h.ok(w.Offsets(b, map[log.Partition]int64{at(topic, 2): 4}))
	h.ok(h.commit(w))
	check(a, map[log.Partition]int64{at(topic, 0): 3, at(topic, 1): 2})
	check(b, map[log.Partition]int64{at(topic, 2): 4})
	h.ok(w.Offsets(a, map[log.Partition]int64{at(topic, 1): 9}))
	h.ok(h.commit(w))
	check(a, map[log.Partition]int64{at(topic, 0): 3, at(topic, 1): 9})
	h.ok(h.DeleteGroup(h.ctx, a))
	check(a, map[log.Partition]int64{})
	check(b, map[log.Partition]int64{at(topic, 2): 4})
	h.ok(h.DeleteGroup(h.ctx, a))
}

// fencing: opening a writer ends the transaction of an earlier one with its
// id, and that one can't commit any more.
func fencing(h *harness) {
	p := at(h.topic(1), 0)
	id, group := h.name("writer"), h.name("group")
	old := h.writer(id)
	h.ok(old.Append(p, batch("committed")))
	h.ok(h.commit(old))
	for range 2 { // enough that it may have been sent already
		h.ok(old.Append(p, batch(strings.Repeat("large", 150_000))))
	}
	h.ok(old.Append(p, batch("dropped")))
	h.ok(old.Offsets(group, map[log.Partition]int64{p: 5}))
	w := h.writer(id)
	defer w.Close()
	if b := h.bounds(p); b.LastStable != b.HighWatermark {
		h.Fatalf("with the new writer open a transaction is open still: %+v", b)
	}
	h.want(p, "committed")
	h.ok(w.Append(p, batch("new")))
	h.ok(w.Offsets(group, map[log.Partition]int64{p: 6}))
	h.ok(h.commit(w))
	h.is(h.commit(old), log.ErrFenced)
	h.want(p, "committed", "new")
	// It stays so.
	if err := old.Append(p, batch("late")); err == nil {
		h.is(h.commit(old), log.ErrFenced)
	} else {
		h.is(err, log.ErrFenced)
	}
	old.Close()
	h.ok(w.Append(p, batch("newer")))
	h.ok(h.commit(w))
	h.want(p, "committed", "new", "newer")
	if got, err := h.CommittedOffsets(h.ctx, group); err != nil || got[p] != 6 {
		h.Fatalf("offsets are %v, %v", got, err)
	}
}

// closedWriter: an open transaction of a writer that is closed is dropped, and
// no reader waits for it.
func closedWriter(h *harness) {
	p := at(h.topic(1), 0)
	id := h.name("writer")
	w := h.writer(id)
	for range 2 { // enough that it may have been sent already
		h.ok(w.Append(p, batch(strings.Repeat("large", 150_000))))
	}
	w.Close()
	if b := h.bounds(p); b.LastStable != b.HighWatermark {
		h.Fatalf("the closed writer's transaction is open still: %+v", b)
	}
	h.produce(p, "plain")
	h.want(p, "plain")
	w = h.writer(id)
	h.ok(w.Append(p, batch("again")))
	h.ok(h.commit(w))
	w.Close()
	h.want(p, "plain", "again")
}

func largeTransaction(h *harness) {
	topic := h.topic(3)
	w := h.writer(h.name("writer"))
	defer w.Close()
	const n = 90
	for i := range n {
		h.ok(w.Append(at(topic, int32(i%3)), batch(strings.Repeat("x", 300_000), fmt.Sprint(i))))
	}
	h.ok(h.commit(w))
	for part := range int32(3) {
		got := h.read(at(topic, part), 4<<20)
		if len(got) != 2*n/3 || got[len(got)-1] != fmt.Sprint(n-3+part) {
			h.Fatalf("partition %d has %d records", part, len(got))
		}
	}
}
