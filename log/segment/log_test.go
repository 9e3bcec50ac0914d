package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var ctx = context.Background()

func openTest(t testing.TB, fs vfs.FS, change func(*Options)) *Log {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	opts := Options{FS: fs, Dir: "data", Rand: rng.Uint64, Inline: true, FloodBytes: 1}
	if change != nil {
		change(&opts)
	}
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func encode(values ...string) []byte {
	var b log.Builder
	for i, v := range values {
		b.Add(int64(1000+i), []byte("k"), []byte(v), nil)
	}
	return b.Finish()
}

// readAll returns all values of a partition.
func readAll(t testing.TB, l *Log, p log.Partition) []string {
	t.Helper()
	b, err := l.Bounds(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	var r log.Records
	for offset := b.Start; offset < b.HighWatermark; {
		next, err := l.Fetch(ctx, p, offset, 100, &r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Len() {
			if r.Offsets[i] != offset+int64(i) {
				t.Fatalf("offset %d at position %d after %d", r.Offsets[i], i, offset)
			}
			out = append(out, string(r.Value(i)))
		}
		offset = next
	}
	return out
}

func TestProduceFetchReopen(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, func(o *Options) { o.SegmentBytes, o.LargeRunBytes = 300, 200 })
	if _, err := l.CreateTopic(ctx, "t", 2, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateTopic(ctx, "t", 2, nil); !errors.Is(err, log.ErrTopicExists) {
		t.Fatalf("second creation: %v", err)
	}
	var want []string
	for i := range 20 {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d%0*d", i, 20*i, 0)
		want = append(want, a, b)
		// Two batches for one partition in one request.
		err := l.Produce(ctx, []log.Append{
			{Partition: log.Partition{Topic: "t", Index: 1}, Batch: encode(a)},
			{Partition: log.Partition{Topic: "t", Index: 1}, Batch: encode(b)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(l *Log) {
		t.Helper()
		if got := readAll(t, l, log.Partition{Topic: "t", Index: 1}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("read %d values %q, want %d", len(got), got, len(want))
		}
		if got := readAll(t, l, log.Partition{Topic: "t", Index: 0}); len(got) != 0 {
			t.Fatalf("partition 0 has %q", got)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, nil)
	check(l)
	if l.replayed != 0 || l.epoch != 0 {
		t.Errorf("after a clean stop: %d entries replayed, epoch %d", l.replayed, l.epoch)
	}
	if topic, err := l.Topic(ctx, "t"); err != nil || topic.Config["retention.ms"] != "-1" {
		t.Errorf("topic after reopening: %+v, %v", topic, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOffsetForTime(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.SegmentBytes = 2000 })
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var times []int64
	for range 200 {
		var b log.Builder
		for range 1 + rng.IntN(5) {
			ts := int64(len(times)*10) + rng.Int64N(300)
			times = append(times, ts)
			b.Add(ts, nil, []byte("some value"), nil)
		}
		if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: b.Finish()}}); err != nil {
			t.Fatal(err)
		}
	}
	for ms := int64(0); ms < int64(len(times)*10+400); ms += 37 {
		want := int64(len(times))
		for i, ts := range times {
			if ts >= ms {
				want = int64(i)
				break
			}
		}
		got, err := l.OffsetForTime(ctx, p, ms)
		if err != nil || got != want {
			t.Fatalf("offset for %d ms: %d, %v; want %d", ms, got, err, want)
		}
	}
}

func TestTransactionIsAtomicAndFenced(t *testing.T) {
	l := openTest(t, vfs.NewMem(), nil)
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	old, _ := l.OpenWriter(ctx, "id")
	w, _ := l.OpenWriter(ctx, "id")
	commit := func(w log.Writer) (err error) {
		w.Commit(func(e error) { err = e })
		return err
	}
	for _, x := range []log.Writer{old, w} {
		if err := x.Append(p, encode("v")); err != nil {
			t.Fatal(err)
		}
		if err := x.Offsets("g", map[log.Partition]int64{p: 7}); err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(old); !errors.Is(err, log.ErrFenced) {
		t.Fatalf("commit of the older writer: %v", err)
	}
	if got := readAll(t, l, p); len(got) != 0 {
		t.Fatalf("fenced transaction left %q", got)
	}
	if err := commit(w); err != nil {
		t.Fatal(err)
	}
	offsets, _ := l.CommittedOffsets(ctx, "g")
	if got := readAll(t, l, p); len(got) != 1 || offsets[p] != 7 {
		t.Fatalf("after commit: %q, offsets %v", got, offsets)
	}
}

func TestGroupCommit(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.Inline = false; o.JournalBytes = 4000 })
	if _, err := l.CreateTopic(ctx, "t", 4, nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				p := log.Partition{Topic: "t", Index: int32(g % 4)}
				if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode(fmt.Sprintf("%d-%d", g, i))}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i := range int32(4) {
		last := map[string]int{}
		for _, v := range readAll(t, l, log.Partition{Topic: "t", Index: i}) {
			var g, n int
			if _, err := fmt.Sscanf(v, "%d-%d", &g, &n); err != nil {
				t.Fatal(err)
			}
			if before, ok := last[fmt.Sprint(g)]; ok && n != before+1 {
				t.Fatalf("producer %d: %d after %d", g, n, before)
			}
			last[fmt.Sprint(g)] = n
			seen[v] = true
		}
	}
	if len(seen) != 400 {
		t.Fatalf("%d of 400 records", len(seen))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Produce(ctx, nil); !errors.Is(err, log.ErrClosed) {
		t.Fatalf("produce after close: %v", err)
	}
}

func TestLocked(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, nil)
	defer l.Close()
	if _, err := Open(Options{FS: fs, Dir: "data", Rand: rand.Uint64}); !errors.Is(err, log.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	// A lock that can't be opened says nothing of another process.
	if _, err := Open(Options{FS: lockFS{vfs.NewMem()}, Dir: "data", Rand: rand.Uint64}); !errors.Is(err, syscall.EROFS) || errors.Is(err, log.ErrLocked) {
		t.Fatalf("read-only: %v", err)
	}
}

// A lockFS is read-only where a lock is taken.
type lockFS struct{ vfs.FS }

func (lockFS) Lock(name string) (io.Closer, error) {
	return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EROFS}
}

// A crashPoint clones the filesystem, as a power cut would leave it, before
// the n-th operation that changes it.
type crashPoint struct {
	n, at   int
	fs      *vfs.MemFS
	rng     *rand.Rand
	percent int
	clone   *vfs.MemFS
	acked   int // records acknowledged by then
	count   *int
}

func (c *crashPoint) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		if c.n == c.at {
			c.clone = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: c.rng})
			c.acked = *c.count
		}
		c.n++
	}
	return nil
}

func (c *crashPoint) String() string { return "crash point" }

// workload writes transactions of three records over two topics; it returns
// how many operations on the filesystem it made. Every transaction i writes i
// to a, i to b and offset i+1 to the group.
func workload(t *testing.T, fs vfs.FS, acked *int) {
	l := openTest(t, fs, func(o *Options) { o.SegmentBytes, o.JournalBytes, o.LargeRunBytes = 400, 700, 250 })
	for _, topic := range []string{"a", "b"} {
		if _, err := l.CreateTopic(ctx, topic, 1, nil); err != nil && !errors.Is(err, log.ErrTopicExists) {
			t.Fatal(err)
		}
	}
	w, _ := l.OpenWriter(ctx, "w")
	for i := range 12 {
		pad := ""
		if i%5 == 4 {
			pad = fmt.Sprintf("%0300d", 0)
		}
		_ = w.Append(log.Partition{Topic: "a"}, encode(fmt.Sprintf("%d%s", i, pad)))
		_ = w.Append(log.Partition{Topic: "b"}, encode(fmt.Sprint(i), fmt.Sprint(i)))
		_ = w.Offsets("g", map[log.Partition]int64{{Topic: "in"}: int64(i + 1)})
		w.Commit(func(err error) {
			if err == nil {
				*acked++
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCrashAtEveryOperation cuts the power before every write of a workload
// and checks that what was acknowledged is there, whole, and nothing in part.
func TestCrashAtEveryOperation(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	states := 0
	for at := 0; ; at++ {
		done := false
		for _, percent := range []int{0, 50, 50, 100} {
			acked := 0
			mem := vfs.NewCrashableMem()
			c := &crashPoint{at: at, fs: mem, rng: rng, percent: percent, count: &acked}
			workload(t, errorfs.Wrap(mem, c), &acked)
			if c.clone == nil {
				done = true
				break
			}
			states++
			checkAfterCrash(t, c, at)
		}
		if done {
			break
		}
	}
	if states < 200 {
		t.Fatalf("only %d crash states", states)
	}
	t.Logf("%d crash states", states)
}

func checkAfterCrash(t *testing.T, c *crashPoint, at int) {
	t.Helper()
	l := openTest(t, c.clone, nil)
	defer l.Close()
	offsets, _ := l.CommittedOffsets(ctx, "g")
	n := int(offsets[log.Partition{Topic: "in"}])
	if n < c.acked || n > c.acked+1 {
		t.Fatalf("crash at %d: %d transactions acknowledged, %d found", at, c.acked, n)
	}
	if n == 0 {
		return
	}
	a, b := readAll(t, l, log.Partition{Topic: "a"}), readAll(t, l, log.Partition{Topic: "b"})
	if len(a) != n || len(b) != 2*n {
		t.Fatalf("crash at %d: %d transactions, but %d and %d records", at, n, len(a), len(b))
	}
	// The log goes on.
	if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "a"}, Batch: encode("more")}}); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, l, log.Partition{Topic: "a"}); len(got) != n+1 || got[n] != "more" {
		t.Fatalf("crash at %d: after going on: %q", at, got)
	}
}

// TestErrorAtEveryOperation fails each write once: what is acknowledged must
// be there after the next open, and a failed log must not acknowledge.
func TestErrorAtEveryOperation(t *testing.T) {
	for at := 0; at < 400; at++ {
		mem := vfs.NewMem()
		n := 0
		failed := false
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			n++
			if n == at+1 {
				failed = true
				return errorfs.ErrInjected
			}
			return nil
		}))
		acked := tryWorkload(fs)
		if !failed {
			return
		}
		l := openTest(t, mem, nil)
		offsets, _ := l.CommittedOffsets(ctx, "g")
		got := int(offsets[log.Partition{Topic: "in"}])
		if got < acked {
			t.Fatalf("error at %d: %d acknowledged, %d found", at, acked, got)
		}
		if got > 0 {
			if a := readAll(t, l, log.Partition{Topic: "a"}); len(a) != got {
				t.Fatalf("error at %d: %d transactions, %d records", at, got, len(a))
			}
		}
		_ = l.Close()
	}
}

func tryWorkload(fs vfs.FS) (acked int) {
	l, err := Open(Options{FS: fs, Dir: "data", Rand: rand.Uint64, Inline: true, SegmentBytes: 400, JournalBytes: 700, LargeRunBytes: 250})
	if err != nil {
		return 0
	}
	_, _ = l.CreateTopic(ctx, "a", 1, nil)
	w, err := l.OpenWriter(ctx, "w")
	if err != nil {
		_ = l.Close()
		return 0
	}
	for i := range 12 {
		_ = w.Append(log.Partition{Topic: "a"}, encode(fmt.Sprint(i)))
		_ = w.Offsets("g", map[log.Partition]int64{{Topic: "in"}: int64(i + 1)})
		w.Commit(func(err error) {
			if err == nil {
				acked++
			}
		})
	}
	_ = l.Close()
	return acked
}

func BenchmarkProduceGroup(b *testing.B) {
	l := openTest(b, vfs.Default, func(o *Options) { o.Inline = false; o.Dir = b.TempDir() })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 100)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var bl log.Builder
			for range 100 {
				bl.Add(0, nil, value, nil)
			}
			if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: bl.Finish()}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkFetch(b *testing.B) {
	l := openTest(b, vfs.Default, func(o *Options) { o.Dir = b.TempDir(); o.NoSync = true })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 100)
	for range 200 {
		var bl log.Builder
		for range 4096 {
			bl.Add(0, nil, value, nil)
		}
		if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: bl.Finish()}}); err != nil {
			b.Fatal(err)
		}
	}
	var r log.Records
	offset := int64(0)
	for b.Loop() {
		next, err := l.Fetch(ctx, log.Partition{Topic: "t"}, offset, 1<<20, &r)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(r.Buf)))
		if offset = next; offset >= 200*4096 {
			offset = 0
		}
	}
	b.ReportAllocs()
}

// TestDataDirectoryIsDurable has the power cut after a first start in a directory
// below others that were not there.
func TestDataDirectoryIsDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	in := func(o *Options) { o.Dir = "a/b/data" }
	l := openTest(t, mem, in)
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	produceTest(t, l, p, "v")
	after := openTest(t, mem.CrashClone(vfs.CrashCloneCfg{}), in)
	if got := readAll(t, after, p); len(got) != 1 {
		t.Errorf("%d records of one after a power cut", len(got))
	}
	if err := errors.Join(l.Close(), after.Close()); err != nil {
		t.Error(err)
	}
}

// TestSearchOfTrimmed has records go while a time is looked for in them.
func TestSearchOfTrimmed(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.SegmentBytes = 300 })
	defer l.Close()
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		produceTest(t, l, p, "v")
	}
	part := l.topics["t"].partitions[0]
	if err := l.Trim(ctx, p, 15); err != nil {
		t.Fatal(err)
	}
	// The bounds were looked at before.
	if found, err := part.findTime(1000, 0, 20); err != nil || found.Offset != 15 {
		t.Errorf("the first record of a time: %+v, %v; want offset 15", found, err)
	}
	if found, err := part.findGreatest(0, 20); err != nil || found.Offset != 15 {
		t.Errorf("the first record of the greatest time: %+v, %v; want offset 15", found, err)
	}
}
