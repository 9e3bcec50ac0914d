package segment

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// set sets the clock without running what is due, as a correction of the wall
// clock does.
func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// TestClockSetBackTransaction times a transaction out that was begun, before a
// restart, by a clock that was a day ahead.
func TestClockSetBackTransaction(t *testing.T) {
	for _, way := range []string{"by the journal", "by the checkpoint"} {
		fs, clock := vfs.NewCrashableMem(), newFakeClock()
		ahead := func(o *Options) { o.Clock = clock }
		l := openTest(t, fs, ahead)
		if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
			t.Fatal(err)
		}
		right := clock.Now()
		clock.set(right.Add(24 * time.Hour))
		p, err := l.InitProducer(ctx, "w", time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		if r := produceAs(t, l, "t", p, 0, true); r.Err != nil {
			t.Fatal(r.Err)
		}
		if way == "by the checkpoint" {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			fs = fs.CrashClone(vfs.CrashCloneCfg{})
		}
		clock = newFakeClock()
		clock.set(right)
		l2 := openTest(t, fs, func(o *Options) { o.Clock = clock })
		clock.advance(50 * time.Second)
		l2.Housekeep()
		list, err := l2.Transactions(ctx)
		if err != nil || len(list) != 1 || list[0].State != log.TxnOngoing {
			t.Fatalf("%s: before its time is up: %+v, %v", way, list, err)
		}
		clock.advance(20 * time.Second)
		l2.Housekeep()
		if list, err = l2.Transactions(ctx); err != nil || list[0].State != log.TxnCompleteAbort {
			t.Errorf("%s: after it: %+v, %v", way, list, err)
		}
		if way == "by the journal" {
			_ = l.Close()
		}
		_ = l2.Close()
	}
}

// TestClockSetBackSegments rolls a segment made by a clock that was ahead, and
// retention drops it in time.
func TestClockSetBackSegments(t *testing.T) {
	clock := newFakeClock()
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.Clock = clock })
	defer l.Close()
	config := map[string]string{"segment.ms": "60000", "retention.ms": "600000"}
	if _, err := l.CreateTopic(ctx, "t", 1, config); err != nil {
		t.Fatal(err)
	}
	put := func() {
		t.Helper()
		var b log.Builder
		b.Add(clock.Now().UnixMilli(), nil, []byte("v"), nil)
		if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: b.Finish()}}); err != nil {
			t.Fatal(err)
		}
	}
	segments := func() int { return len(l.topics["t"].partitions[0].segments) }
	right := clock.Now()
	clock.set(right.Add(365 * 24 * time.Hour)) // ahead, when the first segment is made
	part := l.topics["t"].partitions[0]
	var b log.Builder
	b.Add(right.UnixMilli(), nil, []byte("v"), nil)
	if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: b.Finish()}}); err != nil {
		t.Fatal(err)
	}
	clock.set(right)
	put() // seen to be from the future
	clock.advance(2 * time.Minute)
	if put(); segments() != 2 {
		t.Fatalf("%d segments after segment.ms, want 2", segments())
	}
	clock.advance(9 * time.Minute)
	l.Housekeep()
	if start := part.bounds().Start; start != 2 {
		t.Errorf("retention left the start at %d, want 2", start)
	}
	clock.set(right.Add(-time.Hour)) // back: nothing is lost early
	l.Housekeep()
	if got := readAllFrom(t, l, 2); got != 1 {
		t.Errorf("%d records are left, want 1", got)
	}
}

func readAllFrom(t *testing.T, l *Log, from int64) int {
	t.Helper()
	var r log.Records
	if _, err := l.Fetch(ctx, log.Partition{Topic: "t"}, from, 100, &r); err != nil {
		t.Fatal(err)
	}
	return r.Len()
}

// TestClockSetBackTimeIndex looks for times among timestamps that the log gave
// with a clock that went back: the first record that is late enough is found,
// whatever segment it is in.
func TestClockSetBackTimeIndex(t *testing.T) {
	clock := newFakeClock()
	fs := vfs.NewMem()
	open := func() *Log {
		return openTest(t, fs, func(o *Options) { o.Clock, o.SegmentBytes = clock, 400 })
	}
	l := open()
	if _, err := l.CreateTopic(ctx, "t", 1, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		t.Fatal(err)
	}
	base := clock.Now()
	var times []int64
	for i, at := range []int{10, 20, 30, 5, 6, 7, 8, 40, 1, 2, 3, 50, 4, 4, 4} {
		clock.set(base.Add(time.Duration(at) * time.Second))
		if r := produceAs(t, l, "t", log.Producer{ID: 9}, int32(i), false); r.Err != nil {
			t.Fatal(r.Err)
		}
		times = append(times, clock.Now().UnixMilli())
	}
	for _, when := range []string{"as written", "opened again"} {
		for at := range 52 {
			ms := base.UnixMilli() + int64(at)*1000
			want := int64(-1)
			for i, x := range times {
				if x >= ms {
					want = int64(i)
					break
				}
			}
			got, err := l.FindOffset(ctx, log.OffsetQuery{Partition: log.Partition{Topic: "t"}, Time: ms})
			if err != nil || got.Offset != want {
				t.Errorf("%s: at %d s: offset %d, %v, want %d", when, at, got.Offset, err, want)
			}
		}
		if err := l.Close(); err != nil && !errors.Is(err, log.ErrClosed) {
			t.Fatal(err)
		}
		l = open()
	}
	if n := len(l.topics["t"].partitions[0].segments); n < 3 {
		t.Error(fmt.Sprint("only ", n, " segments"))
	}
	_ = l.Close()
}

// TestStoodStill stops the process for longer than a transaction may take: its
// producer can still end it, and one who does not come back is no more waited for than
// ever.
func TestStoodStill(t *testing.T) {
	clock := &manualClock{now: time.UnixMilli(1e12)}
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.Clock = clock })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	begin := func(id string) log.TxnProducer {
		p, err := l.InitProducer(ctx, id, 10*time.Second, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		txn := log.TxnProducer{TransactionalID: id, Producer: p}
		if err := l.JoinTxn(ctx, txn, []log.Partition{{Topic: "t"}}); err != nil {
			t.Fatal(err)
		}
		return txn
	}
	back := begin("back")
	begin("gone")
	clock.still(time.Hour)
	if _, err := l.EndTxn(ctx, back, true, true); err != nil {
		t.Errorf("ending a transaction after standing still: %v", err)
	}
	clock.advance(30 * time.Second)
	list, err := l.Transactions(ctx)
	if err != nil || list[0].State != log.TxnCompleteCommit || list[1].State != log.TxnCompleteAbort {
		t.Errorf("%+v, %v", list, err)
	}
}
