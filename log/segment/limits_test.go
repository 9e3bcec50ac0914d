package segment

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkpointBytes closes the log and returns the size of its checkpoint.
func checkpointBytes(t *testing.T, fs vfs.FS, l *Log) int {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := readFile(fs, "data/"+checkpointName)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// produceAs writes a record of a producer.
func produceAs(t *testing.T, l *Log, topic string, p log.Producer, sequence int32, txn bool) log.RawResult {
	t.Helper()
	b := encode("v")
	log.SetProducer(b, p, sequence, txn)
	var out log.RawResult
	l.ProduceRaw(log.RawProduce{JoinTxn: txn, Batches: []log.Append{{Partition: log.Partition{Topic: topic}, Batch: b}}}, func(r []log.RawResult) { out = r[0] })
	return out
}

func TestTopicLimits(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, func(o *Options) { o.MaxTopics, o.MaxServerPartitions = 3, 10 })
	create := func(name string, partitions int32) error {
		err := l.CheckTopic(ctx, name, partitions, nil)
		_, cerr := l.CreateTopic(ctx, name, partitions, nil)
		if (err == nil) != (cerr == nil) {
			t.Errorf("%s: check says %v, create %v", name, err, cerr)
		}
		return cerr
	}
	for i := range 2 {
		if err := create(fmt.Sprint("t", i), 4); err != nil {
			t.Fatal(err)
		}
	}
	if err := create("wide", 3); !errors.Is(err, log.ErrLimit) || log.Code(err) != 44 || !strings.Contains(err.Error(), "10") {
		t.Errorf("11 partitions: %v", err)
	}
	if err := l.AddPartitions(ctx, "t0", 7, true); !errors.Is(err, log.ErrLimit) {
		t.Errorf("11 partitions by adding: %v", err)
	}
	if err := create("t2", 1); err != nil {
		t.Fatal(err)
	}
	if err := create("t3", 1); !errors.Is(err, log.ErrLimit) || !strings.Contains(err.Error(), "3 topics") {
		t.Errorf("a fourth topic: %v", err)
	}
	if err := l.DeleteTopic(ctx, "t1"); err != nil {
		t.Fatal(err)
	}
	if err := create("t3", 5); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A directory that holds more than may be is opened, and takes no more.
	l = openTest(t, fs, func(o *Options) { o.MaxTopics, o.MaxServerPartitions = 1, 1 })
	defer l.Close()
	if err := create("t4", 1); !errors.Is(err, log.ErrLimit) {
		t.Errorf("%v", err)
	}
	if got := produceAs(t, l, "t3", log.Producer{ID: 1}, 0, false); got.Err != nil {
		t.Errorf("producing to what is there: %v", got.Err)
	}
}

// TestTransactionalIDLimit inits ever new transactional ids: those idle for
// longest are forgotten, those that are in use are not.
func TestTransactionalIDLimit(t *testing.T) {
	fs, clock := vfs.NewMem(), newFakeClock()
	l := openTest(t, fs, func(o *Options) { o.Clock, o.MaxTxnIDs = clock, 100 })
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	open, err := l.InitProducer(ctx, "open", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	if r := produceAs(t, l, "t", open, 0, true); r.Err != nil {
		t.Fatal(r.Err)
	}
	busy, err := l.InitProducer(ctx, "busy", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	first, err := l.InitProducer(ctx, "new0", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		clock.advance(time.Millisecond)
		if _, err := l.InitProducer(ctx, fmt.Sprint("new", i), time.Minute, log.NoProducer); err != nil {
			t.Fatal(i, err)
		}
		if i%20 == 0 {
			r := produceAs(t, l, "t", busy, int32(i/20), true)
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
			if _, err := l.EndTxn(ctx, log.TxnProducer{TransactionalID: "busy", Producer: busy}, true, false); err != nil {
				t.Fatal(i, err)
			}
		}
		if len(l.txns) > 100 || len(l.txnOf) > 100 {
			t.Fatalf("%d transactional ids, %d of producers", len(l.txns), len(l.txnOf))
		}
	}
	if r := produceAs(t, l, "t", open, 1, true); r.Err != nil {
		t.Errorf("the open transaction: %v", r.Err)
	}
	if r := produceAs(t, l, "t", first, 0, true); !errors.Is(r.Err, log.ErrProducerID) {
		t.Errorf("a forgotten one goes on: %v", r.Err)
	}
	again, err := l.InitProducer(ctx, "new0", time.Minute, first)
	if err != nil || again.ID == first.ID {
		t.Errorf("a forgotten one begins anew: %+v, %v", again, err)
	}
	if _, err := l.InitProducer(ctx, strings.Repeat("x", maxIDBytes+1), time.Minute, log.NoProducer); !errors.Is(err, log.ErrInvalidRequest) {
		t.Errorf("a long id: %v", err)
	}
	if n := checkpointBytes(t, fs, l); n > 100*400 {
		t.Errorf("checkpoint of %d bytes", n)
	}
	l = openTest(t, fs, func(o *Options) { o.Clock, o.MaxTxnIDs = clock, 100 })
	defer l.Close()
	if l.joined != 1 || len(l.txns) > 100 {
		t.Errorf("opened again: %d transactional ids, %d parts", len(l.txns), l.joined)
	}
}

func TestAllTransactionalIDsOpen(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.MaxTxnIDs = 3 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p, err := l.InitProducer(ctx, fmt.Sprint(i), time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		if r := produceAs(t, l, "t", p, 0, true); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if _, err := l.InitProducer(ctx, "4", time.Minute, log.NoProducer); !errors.Is(err, log.ErrLimit) {
		t.Errorf("%v", err)
	}
	if _, err := l.InitProducer(ctx, "0", time.Minute, log.NoProducer); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

// TestInitProducerIDLoop holds that producer ids without a transactional id
// leave nothing behind.
func TestInitProducerIDLoop(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, nil)
	for range 20_000 {
		if _, err := l.InitProducer(ctx, "", 0, log.NoProducer); err != nil {
			t.Fatal(err)
		}
	}
	if n := checkpointBytes(t, fs, l); n > 500 {
		t.Errorf("checkpoint of %d bytes", n)
	}
}

// TestProducerLimit writes with ever new producer ids: a partition forgets those
// idle for longest, as after their expiry, and not the one that goes on.
func TestProducerLimit(t *testing.T) {
	fs, clock := vfs.NewMem(), newFakeClock()
	l := openTest(t, fs, func(o *Options) { o.Clock, o.MaxProducers = clock, 200 })
	for _, name := range []string{"t", "other"} {
		if _, err := l.CreateTopic(ctx, name, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	known := func() int {
		return len(l.topics["t"].partitions[0].producers) + len(l.topics["other"].partitions[0].producers)
	}
	open, err := l.InitProducer(ctx, "open", 10*time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	if r := produceAs(t, l, "other", open, 0, true); r.Err != nil {
		t.Fatal(r.Err)
	}
	for i := range 2000 {
		clock.advance(time.Millisecond)
		if r := produceAs(t, l, "t", log.Producer{ID: int64(1000 + i)}, 7, false); r.Err != nil {
			t.Fatal(i, r.Err)
		}
		if i%10 == 0 {
			if r := produceAs(t, l, "t", log.Producer{ID: 1}, int32(i/10), false); r.Err != nil {
				t.Fatal(i, r.Err)
			}
		}
		if n := known(); n > 200 {
			t.Fatalf("%d producers are known", n)
		}
	}
	if r := produceAs(t, l, "t", log.Producer{ID: 1}, 300, false); !errors.Is(r.Err, log.ErrOutOfOrder) {
		t.Errorf("the producer that goes on was forgotten: %v", r.Err)
	}
	if l.topics["other"].partitions[0].producers[open.ID] == nil {
		t.Error("the producer with an open transaction was forgotten")
	}
	if n := checkpointBytes(t, fs, l); n > 200*400 {
		t.Errorf("checkpoint of %d bytes", n)
	}
	l = openTest(t, fs, func(o *Options) { o.Clock, o.MaxProducers = clock, 200 })
	if n := known(); n > 200 || n < 100 {
		t.Errorf("%d producers are known after opening again", n)
	}
	_ = l.Close()
}

// TestTxnPartsLimit bounds the partitions and groups of open transactions.
func TestTxnPartsLimit(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.MaxTxnParts = 10 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 20, nil); err != nil {
		t.Fatal(err)
	}
	parts := func(from, to int32) (out []log.Partition) {
		for i := from; i < to; i++ {
			out = append(out, log.Partition{Topic: "t", Index: i})
		}
		return out
	}
	p, err := l.InitProducer(ctx, "w", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	w := log.TxnProducer{TransactionalID: "w", Producer: p}
	for _, x := range []struct {
		what string
		err  error
		ok   bool
	}{
		{"9", l.JoinTxn(ctx, w, parts(0, 9)), true},
		{"2 more", l.JoinTxn(ctx, w, parts(9, 11)), false},
		{"the same again", l.JoinTxn(ctx, w, parts(0, 9)), true},
		{"a group", l.JoinTxnGroup(ctx, w, "g"), true},
		{"another group", l.JoinTxnGroup(ctx, w, "h"), false},
	} {
		if (x.err == nil) != x.ok || !x.ok && !errors.Is(x.err, log.ErrLimit) {
			t.Errorf("%s: %v", x.what, x.err)
		}
	}
	if _, err := l.EndTxn(ctx, w, true, false); err != nil || l.joined != 0 {
		t.Fatal(err, l.joined)
	}
	if err := l.JoinTxn(ctx, w, parts(9, 11)); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// TestGroupBytesLimit bounds what groups keep; who has offsets there goes on.
func TestGroupBytesLimit(t *testing.T) {
	fs := vfs.NewMem()
	limit := func(o *Options) { o.MaxGroupBytes = 20_000 }
	l := openTest(t, fs, limit)
	if _, err := l.CreateTopic(ctx, "t", 20, nil); err != nil {
		t.Fatal(err)
	}
	store := func(group string, n int32, metadata int) (err error) {
		offsets := map[log.Partition]log.GroupOffset{}
		for i := range n {
			offsets[log.Partition{Topic: "t", Index: i}] = log.GroupOffset{Offset: 1, Metadata: strings.Repeat("m", metadata)}
		}
		l.StoreOffsets(group, offsets, func(e error) { err = e })
		return err
	}
	if err := store("mine", 2, 10); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 100 {
		if err := store(fmt.Sprint("g", i), 1, 4000); errors.Is(err, log.ErrOffsetsSize) && log.Code(err) == 28 {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused < 90 || l.groupBytes > 20_000 {
		t.Errorf("%d refused, %d bytes kept", refused, l.groupBytes)
	}
	if err := store("g0", 20, 200); err == nil {
		t.Error("more partitions of a group that is there are taken")
	}
	if err := store("mine", 2, 10); err != nil {
		t.Errorf("a group that goes on: %v", err)
	}
	var err error
	l.StoreGroup("mine", bytes.Repeat([]byte("s"), 10_000), func(e error) { err = e })
	if !errors.Is(err, log.ErrGroupFull) {
		t.Errorf("a large state: %v", err)
	}
	// What is counted is what is there, also after opening again and deleting.
	exact := func() {
		t.Helper()
		n := int64(0)
		for _, g := range l.groups {
			n += g.bytes()
		}
		if n != l.groupBytes {
			t.Fatalf("%d bytes are kept, %d counted", n, l.groupBytes)
		}
	}
	exact()
	if err := l.DeleteOffsets(ctx, "mine", []log.Partition{{Topic: "t"}, {Topic: "t", Index: 9}}); err != nil {
		t.Fatal(err)
	}
	exact()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, limit)
	defer l.Close()
	exact()
	if err := l.DeleteGroup(ctx, "g0"); err != nil {
		t.Fatal(err)
	}
	exact()
	if err := l.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	if exact(); l.groupBytes != 0 {
		t.Errorf("%d bytes are kept of nothing", l.groupBytes)
	}
}

// TestPendingOffsetsLimit bounds the offsets of open transactions likewise.
func TestPendingOffsetsLimit(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.MaxGroupBytes = 20_000 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 20, nil); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 20 {
		p, err := l.InitProducer(ctx, fmt.Sprint("w", i), time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		w := log.TxnProducer{TransactionalID: fmt.Sprint("w", i), Producer: p}
		offsets := map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: 1, Metadata: strings.Repeat("m", 4000)}}
		l.TxnOffsets(w, "g", offsets, true, func(e error) { err = e })
		if errors.Is(err, log.ErrOffsetsSize) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		} else if _, err := l.EndTxn(ctx, w, i%2 == 0, false); i < 2 && err != nil {
			t.Fatal(err)
		}
	}
	n := int64(0)
	for _, g := range l.groups {
		n += g.bytes()
	}
	if n != l.groupBytes || n > 20_000 {
		t.Errorf("%d refused, %d bytes are kept, %d counted", refused, n, l.groupBytes)
	}
}

// TestBatchOfManyRecords refuses a small batch of millions of records, which
// producers split then.
func TestBatchOfManyRecords(t *testing.T) {
	l := openTest(t, vfs.NewMem(), nil)
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, map[string]string{"max.message.bytes": "67108864"}); err != nil {
		t.Fatal(err)
	}
	var b log.Builder
	for range 1_000_001 {
		b.Add(1000, nil, nil, nil)
	}
	raw, err := log.Recompress(b.Finish(), log.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	var got log.RawResult
	l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: raw}}}, func(r []log.RawResult) { got = r[0] })
	if !errors.Is(got.Err, log.ErrRecordTooLarge) || !strings.Contains(got.Err.Error(), "1000000") {
		t.Errorf("a batch of %d bytes: %v", len(raw), got.Err)
	}
}
