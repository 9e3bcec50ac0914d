package segment

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestNoFiles has no file be opened for a while: records are taken as long as the
// journal has room, what needs a file is refused, and all goes on by itself.
func TestNoFiles(t *testing.T) {
	short := false
	mem := vfs.NewCrashableMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	clock := newFakeClock()
	opens := &faultFS{FS: mem, opens: true, hook: func(op fsOp) error {
		if short && (op.kind == "open" || op.kind == "create") {
			return &os.PathError{Op: "open", Path: op.path, Err: syscall.EMFILE}
		}
		return nil
	}}
	fs := &countFS{open: map[string]int{}, FS: opens}
	l := openTest(t, fs, func(o *Options) { o.Clock, o.SegmentBytes, o.JournalBytes, o.LargeRunBytes = clock, 2000, 10_000, 3000 })
	known, fresh := log.Partition{Topic: "known"}, log.Partition{Topic: "fresh"}
	for _, p := range []log.Partition{known, fresh} {
		if _, err := l.CreateTopic(ctx, p.Topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	produce := func(p log.Partition, bytes int) error {
		return l.Produce(ctx, []log.Append{{Partition: p, Batch: encode(strings.Repeat("v", bytes))}})
	}
	records := 1
	produceTest(t, l, known, "first")
	short = true
	if err := produce(fresh, 10); !errors.Is(err, log.ErrNoFiles) || log.Code(err) != 56 {
		t.Errorf("a partition's first batch: %v", err)
	}
	if err := produce(known, 4000); err != nil {
		t.Fatalf("a batch that is long enough to bypass the journal: %v", err)
	}
	records++
	for ; records < 100; records++ {
		if err := produce(known, 1000); errors.Is(err, log.ErrNoFiles) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		clock.advance(5 * time.Second)
	}
	if bytes := l.journal.bytes; bytes < 20_000 || bytes > 25_000 {
		t.Errorf("refused with a journal of %d bytes", bytes)
	}
	if got := readAll(t, l, known); len(got) != records {
		t.Errorf("%d records of %d", len(got), records)
	}
	if n := len(l.topics["known"].partitions[0].segments); n != 1 {
		t.Errorf("%d segments", n)
	}
	if err := l.Trim(ctx, known, 1); err != nil {
		t.Errorf("trimming: %v", err)
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})

	short = false
	clock.advance(5 * time.Second)
	for range 10 {
		for _, p := range []log.Partition{known, fresh} {
			if err := produce(p, 1000); err != nil {
				t.Errorf("with files again: %s: %v", p.Topic, err)
			}
		}
	}
	if got := readAll(t, l, known); len(got) != records-1+10 {
		t.Errorf("%d records of %d", len(got), records-1+10)
	}
	if n := len(l.topics["known"].partitions[0].segments); n < 3 {
		t.Errorf("%d segments", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(fs.open) > 0 || fs.err != nil {
		t.Errorf("open at the end: %v; %v", fs.open, fs.err)
	}
	l = openTest(t, clone, nil) // the power was cut meanwhile
	defer l.Close()
	if got := readAll(t, l, known); len(got) != records-1 {
		t.Errorf("after a power cut: %d records of %d", len(got), records-1)
	}
}

// TestNoFilesForMarkers ends a transaction in a partition that has no file, while
// none can be made: it stays open, and ends later.
func TestNoFilesForMarkers(t *testing.T) {
	short := false
	clock := newFakeClock()
	fs := &faultFS{FS: vfs.NewMem(), hook: func(op fsOp) error {
		if short && op.kind == "create" {
			return syscall.ENFILE
		}
		return nil
	}}
	l := openTest(t, fs, func(o *Options) { o.Clock = clock })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	begin := func(id string) log.TxnProducer {
		p, err := l.InitProducer(ctx, id, 8*time.Second, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		txn := log.TxnProducer{TransactionalID: id, Producer: p}
		if err := l.JoinTxn(ctx, txn, []log.Partition{{Topic: "t", Index: int32(len(id) % 2)}}); err != nil {
			t.Fatal(err)
		}
		return txn
	}
	ends, expires := begin("ends"), begin("expires")
	short = true
	if _, err := l.EndTxn(ctx, ends, true, true); !errors.Is(err, log.ErrNoFiles) {
		t.Errorf("ending without a file for the marker: %v", err)
	}
	clock.advance(5 * time.Second)
	clock.advance(5 * time.Second)
	states := func() (out []log.TxnState) {
		list, err := l.Transactions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			out = append(out, x.State)
		}
		return out
	}
	if got := states(); got[0] != log.TxnOngoing || got[1] != log.TxnOngoing {
		t.Errorf("without files: %v", got)
	}
	short = false
	if _, err := l.EndTxn(ctx, ends, true, true); err != nil {
		t.Errorf("ending with a file for the marker: %v", err)
	}
	clock.advance(5 * time.Second)
	if l.noFiles.Load() {
		t.Error("still takes files to be short")
	}
	if got := states(); got[0] != log.TxnCompleteCommit || got[1] != log.TxnCompleteAbort {
		t.Errorf("with files: %v; %v", got, expires)
	}
}

// TestStartOnFullDisk is refused where there is no space for what only the journal
// has, and says so; once there is space nothing is missing.
func TestStartOnFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	p := log.Partition{Topic: "t"}
	l := openTest(t, mem, func(o *Options) { o.ReserveBytes = -1 })
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		produceTest(t, l, p, strings.Repeat("v", 1<<20-400))
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{".log", "journal-", "checkpoint.tmp"} {
		fs := &faultFS{FS: clone, hook: func(op fsOp) error {
			if op.kind == "write" && strings.Contains(op.path, what) {
				return &os.PathError{Op: op.kind, Path: op.path, Err: syscall.ENOSPC}
			}
			return nil
		}}
		clone.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 2<<20 + 5})
		_, err := Open(Options{FS: fs, Dir: "data", Rand: func() uint64 { return 1 }, Inline: true, ReserveBytes: -1})
		if !errors.Is(err, log.ErrDiskFull) || errors.Is(err, log.ErrCorrupt) || !strings.Contains(err.Error(), "needs up to 4 MiB in data, 2 MiB are free") {
			t.Errorf("no space for %s: %v", what, err)
		}
	}
	l = openTest(t, clone, nil)
	defer l.Close()
	if got := readAll(t, l, p); len(got) != 3 {
		t.Errorf("%d records", len(got))
	}
}
