package segment

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestConcurrent has producers, transactions, readers, housekeeping and changes
// of topics all at once, mostly for the race detector; then all that was
// acknowledged must be there.
func TestConcurrent(t *testing.T) {
	fs := vfs.NewMem()
	change := func(o *Options) {
		o.Inline, o.Clock, o.SegmentBytes, o.JournalBytes, o.LargeRunBytes, o.DeferRunBytes = false, newFakeClock(), 2000, 20_000, 1500, 200
	}
	l := openTest(t, fs, change)
	for name, policy := range map[string]string{"plain": "delete", "compacted": "compact"} {
		config := map[string]string{"cleanup.policy": policy, "retention.ms": "-1", "min.cleanable.dirty.ratio": "0"}
		if _, err := l.CreateTopic(ctx, name, 2, config); err != nil {
			t.Fatal(err)
		}
	}
	const rounds = 60
	var clients, background sync.WaitGroup
	stop := make(chan struct{})
	var committed atomic.Int64
	for g := range 4 {
		clients.Go(func() {
			if n, err := concurrentProducer(l, g, rounds); err != nil {
				t.Error(err)
			} else {
				committed.Add(n)
			}
		})
	}
	again := func(f func() error) {
		background.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	again(func() error { l.Housekeep(); return nil })
	again(func() error {
		_, err := countRecords(l, "plain")
		if err == nil {
			_, err = countRecords(l, "compacted")
		}
		return err
	})
	again(func() error {
		if _, err := l.CreateTopic(ctx, "passing", 1, nil); err != nil {
			return err
		}
		if err := l.AlterTopicConfig(ctx, "passing", []log.ConfigChange{{Name: "retention.ms", Value: "5"}}, false); err != nil {
			return err
		}
		return l.DeleteTopic(ctx, "passing")
	})
	clients.Wait()
	close(stop)
	background.Wait()
	check := func() {
		t.Helper()
		if n, err := countRecords(l, "plain"); err != nil || n != committed.Load() {
			t.Fatalf("%d records, %v; %d were committed", n, err, committed.Load())
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, change)
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// concurrentProducer sends to both topics, in transactions of which it aborts
// some, and returns how many records for the plain one it committed.
func concurrentProducer(l *Log, g, rounds int) (int64, error) {
	id := fmt.Sprintf("txn%d", g)
	p, err := l.InitProducer(ctx, id, time.Minute, log.NoProducer)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for i := range rounds {
		sent := make(chan error, 2)
		for _, topic := range []string{"plain", "compacted"} {
			var b log.Builder
			for range 3 {
				b.Add(0, fmt.Appendf(nil, "k%d", i%5), make([]byte, 10+i*10), nil)
			}
			batch := b.Finish()
			log.SetProducer(batch, p, 0, true)
			r := log.RawProduce{JoinTxn: true, TransactionalID: id, Batches: []log.Append{{Partition: log.Partition{Topic: topic, Index: int32(g % 2)}, Batch: batch}}}
			l.ProduceRaw(r, func(res []log.RawResult) { sent <- res[0].Err })
		}
		for range 2 {
			if err := <-sent; err != nil {
				return n, err
			}
		}
		if p, err = l.EndTxn(ctx, log.TxnProducer{TransactionalID: id, Producer: p}, i%4 > 0, true); err != nil {
			return n, err
		}
		if i%4 > 0 {
			n += 3
		}
	}
	return n, nil
}

func countRecords(l *Log, topic string) (n int64, err error) {
	var r log.Records
	for i := range int32(2) {
		p := log.Partition{Topic: topic, Index: i}
		for offset := int64(0); ; {
			next, err := l.Fetch(ctx, p, offset, 10_000, &r)
			if err != nil {
				return n, err
			}
			n += int64(r.Len())
			if next == offset {
				break
			}
			offset = next
		}
	}
	return n, nil
}

// TestEntriesAreBounded has more come at once than one journal entry should
// take.
func TestEntriesAreBounded(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.JournalBytes = 1 << 30 })
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	var b log.Builder
	b.Add(0, nil, make([]byte, 900<<10), nil)
	batch := b.Finish()
	const n = 2*gatherBytes/(900<<10) + 1
	before, acked := l.journal.seq, 0
	w := &world{l: l}
	w.together(func() {
		for range n {
			r := log.RawProduce{Batches: []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: append([]byte(nil), batch...)}}}
			l.ProduceRaw(r, func(res []log.RawResult) {
				if res[0].Err == nil {
					acked++
				}
			})
		}
	})
	if got := l.journal.seq - before; got != 3 || acked != n {
		t.Errorf("%d of %d batches in %d entries, want 3", acked, n, got)
	}
	_ = l.Close()
}
