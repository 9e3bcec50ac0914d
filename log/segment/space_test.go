package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestDiskFull fills the disk at a random operation: nothing acknowledged is
// lost, reads and deletions go on, and records are taken again by themselves
// once there is space.
func TestDiskFull(t *testing.T) {
	t.Run("disk", func(t *testing.T) { testDiskFull(t, syscall.ENOSPC) })
	t.Run("quota", func(t *testing.T) { testDiskFull(t, syscall.EDQUOT) })
}

func testDiskFull(t *testing.T, short error) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		mem := vfs.NewMem()
		clock := newFakeClock()
		left, full := 1+rng.IntN(60), false
		fs := &faultFS{FS: mem, hook: func(op fsOp) error {
			if left--; left == 0 {
				full = true
			}
			// What the reserve gave free is enough for what is under way.
			if _, err := mem.Stat("data/" + reserveName); full && err == nil && (op.kind == "write" || op.kind == "create") {
				return short
			}
			return nil
		}}
		opts := Options{FS: fs, Dir: "data", Rand: rng.Uint64, Inline: true, Clock: clock, SegmentBytes: 1000, JournalBytes: 3000, FloodBytes: 1, ReserveBytes: 1000}
		l, err := Open(opts)
		if err != nil {
			continue // it was full before there was anything
		}
		p := log.Partition{Topic: "t"}
		_, _ = l.CreateTopic(ctx, "t", 1, nil)
		acked, refused := 0, 0
		send := func() {
			if err := produceNumber(l, p, &acked, &refused); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for range 40 {
			send()
		}
		if !full || refused == 0 {
			t.Fatalf("seed %d: the disk was never full", seed)
		}
		if got := readAll(t, l, p); len(got) != acked {
			t.Fatalf("seed %d: %d records of %d", seed, len(got), acked)
		}
		if err := l.Trim(ctx, p, int64(acked/2)); err != nil {
			t.Fatalf("seed %d: trimming on a full disk: %v", seed, err)
		}
		full = false
		clock.advance(5 * time.Second)
		refused = 0
		send()
		if got := readAll(t, l, p); refused != 0 || len(got) != acked-(acked-1)/2 {
			t.Fatalf("seed %d: after there is space: refused %d, %d records of %d", seed, refused, len(got), acked)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = Open(opts); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, l, p); len(got) != acked-(acked-1)/2 {
			t.Fatalf("seed %d: after opening again: %d records", seed, len(got))
		}
		_ = l.Close()
	}
}

// TestLowSpace refuses records before the disk is full.
func TestLowSpace(t *testing.T) {
	mem := vfs.NewMem()
	clock := newFakeClock()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30})
	l := openTest(t, mem, func(o *Options) { o.Clock, o.ReserveBytes, o.Essential = clock, 1<<20, "commands" })
	defer l.Close()
	for _, name := range []string{"t", "commands"} {
		if _, err := l.CreateTopic(ctx, name, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		free uint64
		want error
	}{{1 << 30, nil}, {1 << 10, log.ErrDiskFull}, {1 << 30, nil}} {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free})
		clock.advance(5 * time.Second)
		err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: encode("v")}})
		if !errors.Is(err, c.want) {
			t.Errorf("%d bytes free: %v, want %v", c.free, err, c.want)
		}
		if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "commands"}, Batch: encode("drop")}}); err != nil {
			t.Errorf("%d bytes free: the essential topic: %v", c.free, err)
		}
	}
}

// TestKeeper has the clock alone do the housekeeping.
func TestKeeper(t *testing.T) {
	clock := newFakeClock()
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.Clock = clock })
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := l.InitProducer(ctx, "w", 10*time.Second, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.JoinTxn(ctx, log.TxnProducer{TransactionalID: "w", Producer: p}, []log.Partition{{Topic: "t"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  log.TxnState
	}{{9 * time.Second, log.TxnOngoing}, {10 * time.Second, log.TxnCompleteAbort}} {
		clock.advance(c.after)
		if list, err := l.Transactions(ctx); err != nil || list[0].State != c.want {
			t.Errorf("after %v more: %+v, %v", c.after, list, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Hour) // nothing is left to run
}

// TestTightSpace has journals give up their space where there is little.
func TestTightSpace(t *testing.T) {
	mem := vfs.NewMem()
	clock := newFakeClock()
	l := openTest(t, mem, func(o *Options) { o.Clock, o.JournalBytes, o.ReserveBytes = clock, 16_000, 1000 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	journals := func() (files int, bytes int64) {
		names, err := mem.List("data")
		if err != nil {
			t.Fatal(err)
		}
		for n := range listJournals(names) {
			info, err := mem.Stat(journalName(mem, "data", n))
			if err != nil {
				t.Fatal(err)
			}
			files, bytes = files+1, bytes+info.Size()
		}
		return files, bytes
	}
	for _, c := range []struct {
		free  uint64
		files int
		most  int64
	}{{1 << 30, 2, 40_000}, {60_000, 1, 2000}, {1 << 30, 2, 40_000}} {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free})
		clock.advance(5 * time.Second)
		if _, bytes := journals(); bytes > c.most {
			t.Errorf("%d bytes free: journals take %d at once, at most %d are to", c.free, bytes, c.most)
		}
		for range 500 {
			if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: encode("a value of some length")}}); err != nil {
				t.Fatal(err)
			}
		}
		if files, bytes := journals(); files != c.files || bytes > c.most {
			t.Errorf("%d bytes free: %d journals of %d bytes, want %d of at most %d", c.free, files, bytes, c.files, c.most)
		}
	}
}

// TestCheckpointsOfAFlood: in a flood a checkpoint waits until the journal is
// long, or the flood is over.
func TestCheckpointsOfAFlood(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	clock := newFakeClock()
	l := openTest(t, mem, func(o *Options) { o.Clock, o.JournalBytes, o.FloodBytes, o.ReserveBytes = clock, 2000, 10_000, 1000 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	checkpoints := func() int { return l.journal.number }
	before := checkpoints()
	send := func(bytes int64) {
		for bytes > 0 {
			from := l.journal.end()
			produceTest(t, l, log.Partition{Topic: "t"}, "some value")
			if n := l.journal.end() - from; n > 0 { // else it begins a journal
				bytes -= n
			}
		}
	}
	made := func(want int, after string) {
		t.Helper()
		if n := checkpoints() - before; n != want {
			t.Errorf("%d checkpoints after %s, want %d", n, after, want)
		}
	}
	send(5000)
	made(0, "the first of a flood")
	clock.advance(5 * time.Second)
	made(1, "a short flood's end")
	send(9000)
	made(1, "as much as a journal takes in a flood")
	send(2000)
	made(2, "more than that")
	clock.advance(time.Second) // the flood is no flood any more
	send(2500)
	made(3, "a journal a second")
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 16 * 3000})
	clock.advance(5 * time.Second)
	for checkpoints()-before == 3 {
		send(1)
	}
	send(2500)
	made(4, "2.5 kB of a flood with 48 kB of space on the disk")
	send(1000)
	made(5, "3.5 kB of a flood with 48 kB of space on the disk")
}

// TestTightSpaceAtRest has journals give up their space where there is little, though
// nothing is written.
func TestTightSpaceAtRest(t *testing.T) {
	mem := vfs.NewMem()
	clock := newFakeClock()
	l := openTest(t, mem, func(o *Options) { o.Clock, o.JournalBytes, o.ReserveBytes = clock, 16_000, 1000 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for l.spare == "" {
		produceTest(t, l, log.Partition{Topic: "t"}, "value")
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 60_000})
	clock.advance(5 * time.Second)
	names, err := mem.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for n := range listJournals(names) {
		if info, err := mem.Stat(journalName(mem, "data", n)); err != nil || info.Size() > 1000 {
			t.Errorf("journal-%d has %d bytes, %v", n, info.Size(), err)
		}
	}
}

// noReserveFS can't give a file space, as is with some network filesystems.
type noReserveFS struct{ vfs.FS }

type noReserveFile struct{ vfs.File }

func (fs noReserveFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return noReserveFile{f}, err
}

func (noReserveFile) Preallocate(int64, int64) error { return syscall.EOPNOTSUPP }

// TestNoReserve has the disk full, and space again, where none can be reserved.
func TestNoReserve(t *testing.T) {
	clock := newFakeClock()
	full := false
	l := openTest(t, noReserveFS{&faultFS{FS: vfs.NewMem(), hook: func(op fsOp) error {
		if full && op.kind == "write" && strings.HasSuffix(op.path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	}}}, func(o *Options) { o.Clock = clock })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	full = true
	produceTest(t, l, p, "taken: it stays in the journal")
	if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode("v")}}); !errors.Is(err, log.ErrDiskFull) {
		t.Errorf("on a full disk: %v", err)
	}
	full = false
	clock.advance(5 * time.Second)
	produceTest(t, l, p, "taken again")
}

// TestLargeEntriesNeedSpace: what is more than the reserve has space for is refused
// before it begins, or comes in parts.
func TestLargeEntriesNeedSpace(t *testing.T) {
	for _, large := range []int{1 << 20, 4 << 20} { // batches bypass the journal, or not
		mem := vfs.NewMem()
		l := openTest(t, mem, func(o *Options) { o.LargeRunBytes, o.ReserveBytes = large, -1 })
		defer l.Close()
		if _, err := l.CreateTopic(ctx, "t", 4, map[string]string{"max.message.bytes": "3000000"}); err != nil {
			t.Fatal(err)
		}
		value := strings.Repeat("v", 2<<20)
		commit := func() (result error) {
			w, err := l.OpenWriter(ctx, "w")
			if err != nil {
				t.Fatal(err)
			}
			for i := range int32(20) {
				if err := w.Append(log.Partition{Topic: "t", Index: i % 4}, encode(value)); err != nil {
					t.Fatal(err)
				}
			}
			w.Commit(func(err error) { result = err })
			return result
		}
		together := func() (entries uint64, failed int) {
			before := l.journal.seq
			(&world{l: l}).together(func() {
				for i := range int32(20) {
					r := log.RawProduce{Batches: []log.Append{{Partition: log.Partition{Topic: "t", Index: i % 4}, Batch: encode(value)}}}
					l.ProduceRaw(r, func(res []log.RawResult) {
						if res[0].Err != nil {
							failed++
						}
					})
				}
			})
			return l.journal.seq - before, failed
		}
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20})
		if err := commit(); !errors.Is(err, log.ErrDiskFull) {
			t.Errorf("large %d: with 10 MiB of space: %v", large, err)
		}
		if n, failed := together(); n < 2 || failed > 0 {
			t.Errorf("large %d: with 10 MiB of space 20 batches in %d entries, %d failed", large, n, failed)
		}
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30})
		if err := commit(); err != nil {
			t.Errorf("large %d: with space: %v", large, err)
		}
	}
}

// TestCompactionLeavesSpace ends a pass that would take what else needs.
func TestCompactionLeavesSpace(t *testing.T) {
	mem := vfs.NewMem()
	clock := newFakeClock()
	l := openTest(t, mem, func(o *Options) {
		o.Clock, o.SegmentBytes, o.JournalBytes, o.ReserveBytes, o.HousekeepingEvery = clock, 3000, 1<<20, 1<<20, 1000*time.Hour
	})
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"}); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	for i := range 200 {
		produceTest(t, l, p, fmt.Sprint("value ", i))
	}
	size := func() int64 {
		n, err := l.Size(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	for _, c := range []struct {
		free     uint64
		compacts bool
	}{{10 << 20, false}, {1 << 30, true}} {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free})
		clock.advance(time.Hour)
		l.Housekeep()
		if after := size(); after < before != c.compacts {
			t.Errorf("with %d bytes of space: %d bytes, were %d", c.free, after, before)
		}
	}
	if l.queue.failure() != nil {
		t.Error(l.queue.failure())
	}
}

// produceNumber sends how many records were acknowledged, and counts whether it is,
// too, or refused because the disk is full.
func produceNumber(l *Log, p log.Partition, acked, refused *int) error {
	err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode(fmt.Sprint(*acked))}})
	switch {
	case err == nil:
		*acked++
	case errors.Is(err, log.ErrDiskFull):
		*refused++
	default:
		return err
	}
	return nil
}
