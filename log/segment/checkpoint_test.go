package segment

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lateLog opens a log whose checkpoints are finished when they are waited for. It
// has a topic of one partition.
func lateLog(t *testing.T, fs vfs.FS, change func(*Options)) (*Log, log.Partition) {
	t.Helper()
	l := openTest(t, fs, func(o *Options) {
		o.late, o.JournalBytes, o.SegmentBytes = true, 1000, 100_000
		if change != nil {
			change(o)
		}
	})
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	return l, log.Partition{Topic: "t"}
}

// fillJournal produces until a checkpoint is under way, and returns how many records
// that took.
func fillJournal(t *testing.T, l *Log, p log.Partition) (n int) {
	t.Helper()
	for ; !l.checkpointing(); n++ {
		if n == 1000 {
			t.Fatal("no checkpoint begins")
		}
		produceTest(t, l, p, fmt.Sprint(n))
	}
	return n
}

// holdsAfterPowerCut opens the log on what a power cut leaves of mem.
func holdsAfterPowerCut(t *testing.T, mem *vfs.MemFS, p log.Partition, records int) {
	t.Helper()
	l := openTest(t, mem.CrashClone(vfs.CrashCloneCfg{}), nil)
	defer l.Close()
	if got := readAll(t, l, p); len(got) < records {
		t.Errorf("%d records after a power cut, %d were acknowledged", len(got), records)
	}
}

// TestLargeBatchDuringCheckpoint writes a large batch to a segment whose directory
// entry the checkpoint under way is yet to sync: the batch needs it before.
func TestLargeBatchDuringCheckpoint(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l, p := lateLog(t, mem, func(o *Options) { o.LargeRunBytes = 500 })
	n := fillJournal(t, l, p)
	produceTest(t, l, p, strings.Repeat("x", 600))
	if !l.checkpointing() {
		t.Fatal("the checkpoint has ended")
	}
	holdsAfterPowerCut(t, mem, p, n+1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestShortExtentsAreBounded has so many short runs come during a checkpoint that they
// must not all stay in the journal.
func TestShortExtentsAreBounded(t *testing.T) {
	l, p := lateLog(t, vfs.NewMem(), nil)
	defer l.Close()
	n := fillJournal(t, l, p)
	for _, c := range []struct{ before, want int }{{0, 1}, {maxShort - 1, 1}, {maxShort, 0}} {
		extents := &l.topics["t"].partitions[0].segments[0].extents
		l.short = c.before
		was := len(extents.snapshot())
		produceTest(t, l, p, fmt.Sprint(n))
		if got := len(extents.snapshot()) - was; got != c.want || !l.checkpointing() {
			t.Errorf("behind %d short runs %d of one stay in the journal, want %d", c.before, got, c.want)
		}
		n++
	}
	if got := readAll(t, l, p); len(got) != n {
		t.Errorf("%d records of %d", len(got), n)
	}
}

// TestNoCheckpointAfterFailedOne has a checkpoint's sync fail while the committer
// waits for it: the next checkpoint must not leave out what that had to sync.
func TestNoCheckpointAfterFailedOne(t *testing.T) {
	mem, failing := vfs.NewCrashableMem(), false
	l, p := lateLog(t, &faultFS{FS: mem, hook: func(op fsOp) error {
		if failing && op.kind == "sync" && strings.HasSuffix(op.path, ".log") {
			failing = false // the system forgets what it could not write
			return syscall.EIO
		}
		return nil
	}}, func(o *Options) { o.DeferRunBytes = 1 << 20 })
	acked := fillJournal(t, l, p)
	failing = true
	for ; l.queue.failure() == nil; acked++ {
		if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode("v")}}); err != nil {
			t.Fatal(err)
		}
	}
	holdsAfterPowerCut(t, mem, p, acked)
	if err := l.Close(); err == nil {
		t.Error("a log whose sync failed closed in order")
	}
	holdsAfterPowerCut(t, mem, p, acked)
}

// TestReadsAfterFailedSync: what a failed sync may have lost is read from the
// journal.
func TestReadsAfterFailedSync(t *testing.T) {
	mem, failing := vfs.NewCrashableMem(), false
	l, p := lateLog(t, &faultFS{FS: mem, hook: func(op fsOp) error {
		if !failing || op.kind != "sync" || !strings.HasSuffix(op.path, ".log") {
			return nil
		}
		data, err := mem.UnsafeGetFileDataBuffer(op.path)
		if err != nil {
			return err
		}
		clear(data)
		return syscall.EIO
	}}, func(o *Options) { o.DeferRunBytes = 1 })
	acked := fillJournal(t, l, p)
	failing = true
	l.finishLate()
	if l.queue.failure() == nil {
		t.Fatal("nothing has failed")
	}
	if got := readAll(t, l, p); len(got) != acked {
		t.Errorf("%d of %d records", len(got), acked)
	}
	journal := l.topics["t"].partitions[0].segments[0].extents.list[0].source
	if err := l.Close(); err == nil {
		t.Error("closed in order")
	}
	if n := journal.refs.Load(); n != 0 {
		t.Errorf("journal-%d is held %d times by a log that is closed", journal.journal, n)
	}
}

// TestCheckpointWaitsForSpace has the space that a checkpoint needs taken by another:
// the log stays up, reads go on, and it is taken up again when there is space.
func TestCheckpointWaitsForSpace(t *testing.T) {
	for _, what := range []string{"create data/journal-", "write data/journal-", "write data/topics", "create data/checkpoint", "write data/checkpoint"} {
		for _, closes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, closed meanwhile: %v", what, closes), func(t *testing.T) { checkpointWaits(t, what, closes) })
		}
	}
}

func checkpointWaits(t *testing.T, what string, closes bool) {
	mem, full, met := vfs.NewCrashableMem(), false, false
	var l *Log
	fs := &faultFS{FS: mem, hook: func(op fsOp) error {
		if !full || !strings.HasPrefix(op.kind+" "+op.path, what) || strings.Contains(op.path, "journal-") && op.pos > 0 {
			return nil
		}
		met = true
		return syscall.ENOSPC
	}}
	clock := newFakeClock()
	change := func(o *Options) {
		o.Clock, o.JournalBytes, o.SegmentBytes, o.DeferRunBytes, o.ReserveBytes = clock, 1000, 1_000_000, 1, 1000
	}
	l = openTest(t, fs, change)
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, acked, refused := log.Partition{Topic: "t"}, 0, 0
	send := func() {
		if err := produceNumber(l, p, &acked, &refused); err != nil {
			t.Fatal(err)
		}
	}
	all := func() {
		t.Helper()
		if got := readAll(t, l, p); len(got) != acked {
			t.Fatalf("%d records of %d", len(got), acked)
		}
	}
	for full = true; refused < 3; {
		send()
	}
	all()
	if !met {
		t.Fatal("nothing found the disk full")
	}
	for range 3 {
		clock.advance(l.opts.HousekeepingEvery) // looks whether there is space
		send()
		all()
	}
	if closes {
		full = false
		holdsAfterPowerCut(t, mem, p, acked)
		full = true
		if err := l.Close(); err == nil {
			t.Fatal("closed in order without space")
		}
		full = false
		l = openTest(t, fs, change)
	} else {
		full = false
		before := l.journal.number
		clock.advance(l.opts.HousekeepingEvery)
		for range 30 {
			send()
		}
		if l.journal.number < before+2 {
			t.Errorf("after there is space journal-%d is still in use", l.journal.number)
		}
	}
	holdsAfterPowerCut(t, mem, p, acked)
	send()
	all()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, change)
	defer l.Close()
	all()
}

// TestManyFilesAreSynced has a checkpoint sync many files at once: all of them, and
// an error of one ends the log.
func TestManyFilesAreSynced(t *testing.T) {
	const partitions = 2 * manySyncs
	for _, broken := range []string{"", "/77/00000000000000000000.log", "/77"} {
		var synced sync.Map
		fs := &faultFS{FS: vfs.NewMem(), hook: func(op fsOp) error {
			if op.kind != "sync" && op.kind != "dirsync" {
				return nil
			}
			synced.Store(op.path, true)
			if broken != "" && strings.HasSuffix(op.path, broken) {
				return syscall.EIO
			}
			return nil
		}}
		l := openTest(t, fs, func(o *Options) { o.Inline = false })
		if _, err := l.CreateTopic(ctx, "t", partitions, nil); err != nil {
			t.Fatal(err)
		}
		for i := range int32(partitions) {
			produceTest(t, l, log.Partition{Topic: "t", Index: i}, "v")
		}
		finishCheckpoint(t, l)
		if err := l.queue.failure(); (err != nil) != (broken != "") {
			t.Errorf("%q can't be synced: %v", broken, err)
		}
		for i, p := range l.topics["t"].partitions {
			for _, path := range []string{p.dir, p.path(p.segments[0].segmentID)} {
				if _, ok := synced.Load(path); !ok && broken == "" {
					t.Errorf("partition %d: %s was not synced", i, path)
				}
			}
		}
		if err := l.Close(); (err != nil) != (broken != "") {
			t.Errorf("%q can't be synced: closing: %v", broken, err)
		}
	}
}
