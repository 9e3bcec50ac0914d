package segment

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The crash suite: a world of clients works on a log while power cuts, disk
// errors and flipped bits come, and what is found then is compared with what
// the clients were told. Each test reports an error by returning it, so that
// the tests of the suite itself (see seeded_test.go) can look for one.
var (
	long = flag.Bool("long", false, "run the crash suite with its large counts")
	seed = flag.Uint64("seed", 0, "run the random crash tests with this seed alone")
)

// A crashModel is a state that a power cut may leave.
type crashModel struct {
	percent int // of what was not synced, kept
	torn    int // bytes of the write under way that are kept, -1 for none of it
}

// models are those to try at an operation: nothing that was not synced is kept,
// all of it, some of it, and parts of the write under way.
func models(rng *rand.Rand, op fsOp, random int) []crashModel {
	out := []crashModel{{0, -1}, {100, -1}}
	for range random {
		out = append(out, crashModel{50, -1})
	}
	if n := len(op.data); n > 1 {
		for cut := 512; cut < n; cut += 512 {
			out = append(out, crashModel{100, cut})
		}
		out = append(out, crashModel{100, 1 + rng.IntN(n-1)}, crashModel{0, 1 + rng.IntN(n-1)})
	}
	return out
}

// crash returns the disk as it is after a power cut before op.
func (m crashModel) crash(fs *vfs.MemFS, rng *rand.Rand, op fsOp) (*vfs.MemFS, error) {
	clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: m.percent, RNG: rng})
	if m.torn < 0 {
		return clone, nil
	}
	f, err := clone.OpenReadWrite(op.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return clone, nil // the file itself is lost
	}
	defer f.Close()
	_, err = f.WriteAt(op.data[:m.torn], op.pos)
	return clone, err
}

// recovers opens a log on what a crash has left and compares it with the world.
func (w *world) recovers(fs *vfs.MemFS) error {
	damage := w.damage
	w.damage = false // it is repaired
	defer func() { w.damage = damage }()
	reopen := func() (*Log, error) { return Open(w.aside(fs)) }
	l, err := reopen()
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	if err = w.check(l); err == nil {
		l, err = w.goesOn(l, reopen)
	}
	if l != nil {
		if cerr := l.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// crashEverywhere runs a workload and has the power cut before each operation
// on the filesystem, in all models.
func crashEverywhere(seed uint64, steps, random int) (states int, err error) {
	mem := vfs.NewCrashableMem()
	w := newWorld(seed, mem, nil)
	rng := rand.New(rand.NewPCG(seed, 9))
	n := 0
	fs := &faultFS{FS: mem, hook: func(op fsOp) error {
		n++
		for _, m := range models(rng, op, random) {
			if err != nil {
				return nil
			}
			states++
			clone, cerr := m.crash(mem, rng, op)
			if cerr == nil {
				cerr = w.recovers(clone)
			}
			if cerr != nil {
				err = fmt.Errorf("crash before operation %d (%s %s, %d bytes), %+v: %w", n, op.kind, op.path, len(op.data), m, cerr)
			}
		}
		return nil
	}}
	if oerr := w.open(fs); oerr != nil {
		return states, oerr
	}
	for range 2 {
		w.steps(steps / 2)
		if err == nil {
			err = w.check(w.l)
		}
		if rerr := w.reopen(fs); err == nil {
			err = rerr
		}
		if err != nil {
			return states, err
		}
	}
	w.closed = true
	cerr := w.l.Close()
	if err == nil {
		err = cerr
	}
	return states, err
}

// TestCrashEverywhere is exhaustive over the operations of a workload of 300
// steps.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	steps, random := 300, 0
	if *long {
		random = 8
	} else if raceDetector {
		steps = 40
	}
	states, err := crashEverywhere(2, steps, random)
	if err != nil {
		t.Fatal(err)
	}
	if states < 10*steps {
		t.Fatalf("only %d crash states", states)
	}
	t.Logf("%d crash states", states)
}

// errCrashed is what everything gives once the power is gone.
var errCrashed = errors.New("the power is gone")

// randomCrashes lets a world live through several power cuts at random times,
// also while it recovers from the one before. In some worlds the disk has no space
// for a while.
func randomCrashes(seed uint64, steps int, lossy bool) error {
	rng := rand.New(rand.NewPCG(seed, 10))
	w := newWorld(seed, vfs.NewCrashableMem(), nil)
	w.lossy = lossy
	for cuts := 0; cuts < 4; cuts++ {
		var clone *vfs.MemFS
		var herr error
		left := 1 + rng.IntN(250)
		mem := w.fs
		ops, full, space := 0, math.MaxInt, 0
		if seed%4 == 3 {
			full = rng.IntN(left)
			space = full + rng.IntN(100)
		}
		fs := &faultFS{FS: mem, hook: func(op fsOp) error {
			if clone != nil {
				return errCrashed
			}
			if left--; left > 0 {
				ops++
				return noSpace(op, ops > full && ops <= space)
			}
			all := models(rng, op, 4)
			clone, herr = pick(rng, all).crash(mem, rng, op)
			return errCrashed
		}}
		err := w.live(fs, steps)
		if herr != nil {
			return herr
		}
		if clone == nil && err != nil && (failed(err) || errors.Is(err, syscall.ENOSPC)) {
			clone = mem.CrashClone(vfs.CrashCloneCfg{})
		}
		if clone == nil {
			if err != nil {
				return err
			}
			return w.recovers(mem) // it was closed in order
		}
		if err != nil && !errors.Is(err, errCrashed) && !failed(err) && !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("before power cut %d: %w", cuts+1, err)
		}
		w.fs = clone
	}
	if w.lossy {
		w.loseAcks()
	}
	return w.recovers(w.fs)
}

// noSpace is what an operation gives that takes space, on a disk that is full: the
// journal has some, being written over what its file held.
func noSpace(op fsOp, full bool) error {
	if full && (op.kind == "create" || op.kind == "write" && !strings.Contains(op.path, "journal-")) {
		return &os.PathError{Op: op.kind, Path: op.path, Err: syscall.ENOSPC}
	}
	return nil
}

// live opens the log, finds out what has become of what was asked for before,
// and goes on.
func (w *world) live(fs vfs.FS, steps int) error {
	before := w.l
	if before != nil && w.lossy {
		w.loseAcks()
	}
	if err := w.open(fs); err != nil {
		return err
	}
	if before != nil && !w.lossy {
		if err := w.check(w.l); err != nil {
			w.closed = w.l.Close() == nil
			return fmt.Errorf("after a power cut: %w", err)
		}
	}
	if before != nil {
		if err := w.learn(); err != nil { // it may have been refused for a full disk
			w.closed = w.l.Close() == nil
			return err
		}
		if err := w.check(w.l); err != nil {
			return fmt.Errorf("after learning what happened: %w", err)
		}
	}
	w.steps(steps)
	if err := w.l.queue.failure(); err != nil {
		_ = w.l.Close()
		return err
	}
	if err := w.check(w.l); err != nil {
		return err
	}
	w.closed = true
	return w.l.Close()
}

// learn replaces what was not known by what the log says.
func (w *world) learn() error {
	if err := w.learnTopics(); err != nil {
		return err
	}
	for _, c := range w.txns {
		if c.txn != nil && c.txn.open {
			c.txn.open, c.txn.commit = false, false
		}
		p, err := w.l.InitProducer(ctx, c.id, 10*time.Minute, log.NoProducer)
		if err != nil {
			return err
		}
		c.producer, c.seq = p, map[*wPartition]int32{}
	}
	ended := map[*wTxn]bool{}
	for _, t := range w.topics {
		for _, p := range t.partitions {
			s, err := w.read(w.l, p)
			if err != nil {
				return err
			}
			for _, r := range p.records {
				if r.status == asked {
					if at, present := s.present[r]; present {
						r.status, r.offset = done, at
					} else {
						r.status = undone
					}
				}
				if _, visible := s.visible[r]; visible && r.txn != nil {
					ended[r.txn] = true
				}
			}
		}
	}
	for _, reg := range w.groups {
		committed, _, err := w.l.GroupOffsets(ctx, reg.group)
		if err != nil {
			return err
		}
		reg.pending = false
		o, found := committed[reg.part.name()]
		if !found {
			reg.value = -1
			continue
		}
		reg.value = o.Offset
		for _, t := range w.all {
			if t.offsets[reg] == o.Offset {
				ended[t] = true
			}
		}
	}
	for _, t := range w.all {
		if t.status == asked {
			t.status, t.open = done, false
			t.commit = t.commit && ended[t]
		}
	}
	for _, c := range w.txns {
		c.txn = nil
	}
	for _, x := range w.plain {
		for p := range x.sent {
			for b := x.last(p); b != nil && b.records[0].status == undone; b = x.last(p) {
				x.drop(p)
			}
		}
	}
	return nil
}

func (w *world) learnTopics() error {
	for _, t := range w.topics {
		if _, err := w.l.Topic(ctx, t.name); errors.Is(err, log.ErrUnknownTopic) && (t.deleting || w.lossy) {
			w.forget(t)
		}
		t.deleting = false
	}
	if t := w.making; t != nil {
		w.making = nil
		if info, err := w.l.Topic(ctx, t.name); err == nil {
			t.id = info.ID
			w.topics[t.name] = t
		}
	}
	return nil
}

// TestRandomCrashes runs seeds; each fails on its own with -seed.
func TestRandomCrashes(t *testing.T) { crashSeeds(t, 500, false) }

// TestRandomCrashesNoSync does the same to a log that does not sync.
func TestRandomCrashesNoSync(t *testing.T) { crashSeeds(t, 200, true) }

func crashSeeds(t *testing.T, seeds uint64, lossy bool) {
	t.Parallel()
	if *long {
		seeds *= 20
	} else if raceDetector {
		seeds /= 10
	}
	first := uint64(0)
	if *seed > 0 {
		first, seeds = *seed, 1
	}
	for s := first; s < first+seeds; s++ {
		if err := randomCrashes(s, 60, lossy); err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
	}
}

// A fault is what an operation on the filesystem gives in place of its work.
type fault struct {
	name  string
	err   error
	stays bool // also for all operations that follow
	read  bool // reads are operations, the only ones that fail
	opens bool // the only operations are those that open a file or a directory
}

var faults = []fault{
	{"I/O error", &os.PathError{Op: "test", Path: "disk", Err: syscall.EIO}, false, false, false},
	{"disk full once", &os.PathError{Op: "test", Path: "disk", Err: syscall.ENOSPC}, false, false, false},
	{"disk full", &os.PathError{Op: "test", Path: "disk", Err: syscall.ENOSPC}, true, false, false},
	{"too many files", &os.PathError{Op: "test", Path: "disk", Err: syscall.ENFILE}, false, false, false},
	{"no files once", &os.PathError{Op: "test", Path: "disk", Err: syscall.EMFILE}, false, false, true},
	{"no files", &os.PathError{Op: "test", Path: "disk", Err: syscall.EMFILE}, true, false, true},
	{"short write", errShort, false, false, false},
	{"unreadable once", &os.PathError{Op: "test", Path: "disk", Err: syscall.EIO}, false, true, false},
	{"unreadable", &os.PathError{Op: "test", Path: "disk", Err: syscall.EIO}, true, true, false},
}

// faultAt runs a workload in which operation n fails, and returns how many
// operations it had. What was acknowledged must be there: while the log still
// reads, when it is opened again, and after a power cut.
func faultAt(seed uint64, steps, n int, f fault) (ops int, err error) {
	mem := vfs.NewCrashableMem()
	w := newWorld(seed, mem, nil)
	w.damage = true // a segment that can't be opened takes its partition offline
	off := false
	fs := &faultFS{FS: mem, reads: f.read, opens: f.opens, hook: func(op fsOp) error {
		if f.read && (op.kind != "read" || off) || f.opens && op.kind != "open" && op.kind != "create" {
			return nil
		}
		if ops++; off || ops < n || ops > n && !f.stays || f.err == errShort && op.kind != "write" || op.kind == "remove" {
			return nil
		}
		return f.err
	}}
	check := func() error {
		off = f.read || f.opens // it is the log's own operations that fail
		defer func() { off = false }()
		return w.check(w.l)
	}
	if w.open(fs) == nil {
		w.steps(steps / 2)
		err := check()
		if err == nil && w.l.queue.failure() == nil && w.reopen(fs) == nil {
			w.steps(steps / 2)
			err = check()
		}
		off = true
		if cause := w.l.queue.failure(); f.opens && cause != nil && err == nil {
			err = fmt.Errorf("the log has failed: %w", cause)
		}
		_ = w.l.Close()
		if err != nil {
			return ops, err
		}
	}
	off, w.closed = true, true // in order or not
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := w.recovers(mem); err != nil {
		return ops, fmt.Errorf("opening again: %w", err)
	}
	if err := w.recovers(clone); err != nil {
		return ops, fmt.Errorf("after a power cut: %w", err)
	}
	return ops, nil
}

// faultEverywhere has each operation fail once, in each way.
func faultEverywhere(seed uint64, steps int) (runs int, err error) {
	for _, f := range faults {
		for n := 1; ; n++ {
			ops, err := faultAt(seed, steps, n, f)
			if err != nil {
				return runs, fmt.Errorf("%s at operation %d: %w", f.name, n, err)
			}
			if ops < n {
				break
			}
			runs++
		}
	}
	return runs, nil
}

func TestFaultEverywhere(t *testing.T) {
	t.Parallel()
	steps := 60
	if *long {
		steps = 300
	} else if raceDetector {
		steps = 10
	}
	runs, err := faultEverywhere(3, steps)
	if err != nil {
		t.Fatal(err)
	}
	if runs < 10*steps {
		t.Fatalf("only %d faults", runs)
	}
	t.Logf("%d faults", runs)
}

// flipped is a disk at rest with what a log on it says.
type flipped struct {
	fs       *vfs.MemFS
	files    []string
	sizes    []int
	segments []int // those of files that are
	want     said
}

// said is what a log says: of each partition, and of all else under "".
type said map[string]string

// others compares what is said of partitions that are not offline, and of all
// else.
func (s said) others(want said) (offline int, err error) {
	for name, text := range want {
		if s[name] == "offline" {
			offline++
		} else if s[name] != text {
			err = fmt.Errorf("%q is not what it was: %s\nwas %s", name, s[name], text)
		}
	}
	if len(s) != len(want) {
		err = fmt.Errorf("%d partitions, were %d", len(s), len(want))
	}
	return offline, err
}

// atRest returns the disk of a world, closed in order or not.
func atRest(seed uint64, steps int, clean bool) (*flipped, error) {
	mem := vfs.NewCrashableMem()
	w := newWorld(seed, mem, nil)
	if err := w.open(mem); err != nil {
		return nil, err
	}
	w.steps(steps)
	f := &flipped{fs: mem.CrashClone(vfs.CrashCloneCfg{})}
	if err := errors.Join(w.err, w.l.Close()); err != nil {
		return nil, err
	}
	if clean {
		f.fs = mem.CrashClone(vfs.CrashCloneCfg{})
	}
	if err := f.list("data"); err != nil {
		return nil, err
	}
	clone := f.fs.CrashClone(vfs.CrashCloneCfg{})
	var err error
	f.want, _, err = f.look(clone)
	return f, err
}

// list collects the files below dir.
func (f *flipped) list(dir string) error {
	names, err := f.fs.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		path := f.fs.PathJoin(dir, name)
		info, err := f.fs.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = f.list(path)
		} else if info.Size() > 0 {
			if strings.HasPrefix(path, "data/topics/") {
				f.segments = append(f.segments, len(f.files))
			}
			f.files, f.sizes = append(f.files, path), append(f.sizes, int(info.Size()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look opens a log and takes down all that it says, decoded and raw; warned
// tells whether it logged a warning.
func (f *flipped) look(fs *vfs.MemFS) (out said, warned bool, err error) {
	logger := slog.New(slog.NewTextHandler(writerFunc(func() { warned = true }), &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := Open(Options{FS: fs, Dir: "data", Rand: rand.New(rand.NewPCG(1, 1)).Uint64, Inline: true, Logger: logger, ReserveBytes: -1})
	if err != nil {
		return nil, warned, err
	}
	defer l.Close()
	out = said{}
	if out[""], err = dumpRest(l); err != nil {
		return nil, warned, err
	}
	topics, err := l.Topics(ctx)
	if err != nil {
		return nil, warned, err
	}
	for _, t := range topics {
		for i := range t.Partitions {
			p := log.Partition{Topic: t.Name, Index: i}
			text, err := dumpPartition(l, p)
			if err == nil {
				raw := ""
				raw, err = dumpRaw(l, p)
				text += raw
			}
			if errors.Is(err, log.ErrOffline) && slices.Contains(t.Offline, i) {
				text, err = "offline", nil
			}
			if err != nil {
				return nil, warned, err
			}
			out[fmt.Sprint(p)] = text
		}
	}
	return out, warned, nil
}

// dumpRaw describes a partition's batches.
func dumpRaw(l *Log, p log.Partition) (text string, err error) {
	b, err := l.Bounds(ctx, p)
	for offset := b.Start; err == nil && offset < b.HighWatermark; {
		f, err := l.FetchRaw(ctx, log.RawFetch{Partition: p, Offset: offset, MaxBytes: 1000, AtLeastOne: true, Committed: offset < b.LastStable}, nil)
		if err != nil {
			return "", err
		}
		if len(f.Batches) == 0 {
			break
		}
		text += fmt.Sprintf("%x %v\n", f.Batches, f.Aborted)
		for rest := f.Batches; len(rest) > 0; {
			h, err := log.ReadHeader(rest)
			if err != nil {
				return "", err
			}
			offset, rest = h.LastOffset+1, rest[h.Bytes:]
		}
	}
	return text, err
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// flip changes one bit and looks whether that goes unnoticed.
func (f *flipped) flip(rng *rand.Rand) (outcome string, err error) {
	i := rng.IntN(len(f.files))
	at, bit := rng.IntN(f.sizes[i]), rng.IntN(8)
	fs := f.fs.CrashClone(vfs.CrashCloneCfg{})
	buf, err := fs.UnsafeGetFileDataBuffer(f.files[i])
	if err != nil {
		return "", err
	}
	buf[at] ^= 1 << bit
	outcome, err = f.outcome(fs, i)
	if err != nil {
		err = fmt.Errorf("bit %d of byte %d of %s: %w", bit, at, f.files[i], err)
	}
	return outcome, err
}

// cutShort removes a segment's file, or its end, and looks what becomes of it.
func (f *flipped) cutShort(rng *rand.Rand) (outcome string, err error) {
	i := pick(rng, f.segments)
	fs := f.fs.CrashClone(vfs.CrashCloneCfg{})
	left := rng.IntN(f.sizes[i]+1) - 1
	if left < 0 {
		err = fs.Remove(f.files[i])
	} else {
		err = rewrite(fs, f.files[i], f.content(i)[:left])
	}
	if err == nil {
		outcome, err = f.outcome(fs, i)
	}
	if err != nil {
		err = fmt.Errorf("%s cut to %d of %d bytes: %w", f.files[i], left, f.sizes[i], err)
	}
	return outcome, err
}

func (f *flipped) content(i int) []byte {
	buf, err := f.fs.UnsafeGetFileDataBuffer(f.files[i])
	if err != nil {
		panic(err) // it was listed
	}
	return buf
}

func rewrite(fs vfs.FS, name string, content []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(written(content))
	return errors.Join(err, f.Sync(), f.Close(), syncDir(fs, fs.PathDir(name)))
}

// outcome looks at a disk on which file i is damaged. What a log says of it must
// be an error, be right, or be reported; if a partition is offline the others
// are right, and all is once the file is restored.
func (f *flipped) outcome(fs *vfs.MemFS, i int) (string, error) {
	got, warned, err := f.look(fs)
	if err != nil {
		return "detected", nil
	}
	switch offline, err := got.others(f.want); {
	case err == nil && offline == 0:
		return "no effect", nil
	case err != nil && warned && offline == 0:
		return "reported", nil
	case err != nil || offline > 1 || !warned:
		return "", fmt.Errorf("%d partitions are offline, reported: %v: %w", offline, warned, err)
	}
	if err := rewrite(fs, f.files[i], f.content(i)); err != nil {
		return "", err
	}
	if got, _, err = f.look(fs); err != nil {
		return "", fmt.Errorf("after the file was restored: %w", err)
	}
	if offline, err := got.others(f.want); err != nil || offline > 0 {
		return "", fmt.Errorf("after the file was restored %d partitions are offline: %w", offline, err)
	}
	return "offline", nil
}

// flips flips n bits, and cuts n/4 segments short, each on a disk of its own.
func flips(n int) (map[string]int, error) {
	outcomes := map[string]int{}
	for _, clean := range []bool{true, false} {
		f, err := atRest(8, 300, clean)
		if err != nil {
			return nil, err
		}
		rng := rand.New(rand.NewPCG(11, 12))
		for i := range n / 2 {
			what, err := f.flip(rng)
			if err != nil {
				return nil, err
			}
			outcomes[what]++
			if i%4 > 0 {
				continue
			}
			if what, err = f.cutShort(rng); err != nil {
				return nil, err
			}
			outcomes["cut "+what]++
		}
	}
	return outcomes, nil
}

func TestBitFlips(t *testing.T) {
	t.Parallel()
	n := 1000
	if *long {
		n = 10_000
	}
	outcomes, err := flips(n)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes["detected"] < n/4 || outcomes["cut offline"] < n/8 {
		t.Fatalf("hardly any damage was noticed: %v", outcomes)
	}
	t.Log(outcomes)
}

// abandoned is the disk that a process leaves that ends when it has made write
// number n to a journal and not synced it: the operating system has what was
// written, a power cut would lose it. It is nil if there are not so many.
func abandoned(n int, noSync bool) (disk *vfs.MemFS, err error) {
	mem := vfs.NewCrashableMem()
	fs := &faultFS{FS: mem, hook: func(op fsOp) error {
		if op.kind != "write" || !strings.Contains(op.path, "journal-") || disk != nil {
			return nil
		}
		if n--; n >= 0 {
			return nil
		}
		disk = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		f, err := disk.OpenReadWrite(op.path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(op.data, op.pos)
		return err
	}}
	l, err := Open(Options{FS: fs, Dir: "data", Rand: rand.Uint64, Inline: true, NoSync: noSync, JournalBytes: 300})
	if err != nil {
		return nil, err
	}
	_, err = l.CreateTopic(ctx, "t", 1, nil)
	for range 6 {
		if err == nil {
			err = l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: encode("v")}})
		}
	}
	last := disk
	_ = l.Close()
	return last, err
}

// crashesWhileRecovering has the power fail at each operation of a start that
// finds something in a journal which is not synced: it is lost or not, and the
// log opens.
func crashesWhileRecovering() error {
	for _, noSync := range []bool{false, true} {
		for n := 0; ; n++ {
			if disk, err := abandoned(n, noSync); err != nil {
				return err
			} else if disk == nil && n < 8 {
				return fmt.Errorf("only %d writes to journals", n)
			} else if disk == nil {
				break
			}
			for op := 0; ; op++ {
				more, err := crashWhileRecovering(n, op, noSync)
				if err != nil {
					return fmt.Errorf("the process ended at write %d, the power failed before operation %d of the next start, without sync %v: %w", n+1, op+1, noSync, err)
				}
				if !more {
					break
				}
			}
		}
	}
	return nil
}

// crashWhileRecovering does it for one write and one operation, which there may
// not be.
func crashWhileRecovering(n, op int, noSync bool) (more bool, err error) {
	disk, err := abandoned(n, noSync)
	if err != nil {
		return false, err
	}
	var after *vfs.MemFS
	fs := &faultFS{FS: disk, hook: func(fsOp) error {
		if op--; op >= 0 {
			return nil
		}
		if after == nil {
			after = disk.CrashClone(vfs.CrashCloneCfg{})
		}
		return errCrashed
	}}
	opts := Options{FS: fs, Dir: "data", Rand: rand.Uint64, Inline: true, NoSync: noSync}
	if l, err := Open(opts); err == nil {
		_ = l.Close()
	}
	if after == nil {
		return false, nil
	}
	opts.FS = after
	l, err := Open(opts)
	if err != nil {
		return false, err
	}
	return true, l.Close()
}

func TestCrashWhileRecovering(t *testing.T) {
	if err := crashesWhileRecovering(); err != nil {
		t.Error(err)
	}
}

// TestSameSeedSameDisk: nothing that a log does depends on anything but what it
// is asked for, its clock and its source of randomness.
func TestSameSeedSameDisk(t *testing.T) {
	t.Parallel()
	operations := func(seed uint64) (list []string) {
		w := newWorld(seed, vfs.NewMem(), nil)
		fs := &faultFS{FS: w.fs, hook: func(op fsOp) error {
			list = append(list, fmt.Sprintf("%s %s at %d: %x", op.kind, op.path, op.pos, op.data))
			return nil
		}}
		if err := w.live(fs, 60); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return list
	}
	for seed := range uint64(20) {
		first, second := operations(seed), operations(seed)
		for i, op := range first {
			if i >= len(second) || second[i] != op {
				t.Fatalf("seed %d: operation %d of %d was\n%s\nand is another the second time", seed, i+1, len(first), op)
			}
		}
	}
}
