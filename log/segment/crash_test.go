package segment

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
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
// also while it recovers from the one before.
func randomCrashes(seed uint64, steps int, lossy bool) error {
	rng := rand.New(rand.NewPCG(seed, 10))
	w := newWorld(seed, vfs.NewCrashableMem(), nil)
	w.lossy = lossy
	for cuts := 0; cuts < 4; cuts++ {
		var clone *vfs.MemFS
		var herr error
		left := 1 + rng.IntN(250)
		mem := w.fs
		fs := &faultFS{FS: mem, hook: func(op fsOp) error {
			if clone != nil {
				return errCrashed
			}
			if left--; left > 0 {
				return nil
			}
			all := models(rng, op, 4)
			clone, herr = pick(rng, all).crash(mem, rng, op)
			return errCrashed
		}}
		err := w.live(fs, steps)
		if herr != nil {
			return herr
		}
		if clone == nil {
			if err != nil {
				return err
			}
			return w.recovers(mem) // it was closed in order
		}
		if err != nil && !errors.Is(err, errCrashed) && !failed(err) {
			return fmt.Errorf("before power cut %d: %w", cuts+1, err)
		}
		w.fs = clone
	}
	if w.lossy {
		w.loseAcks()
	}
	return w.recovers(w.fs)
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
			_ = w.l.Close()
			return fmt.Errorf("after a power cut: %w", err)
		}
	}
	if before != nil {
		if err := w.learn(); err != nil {
			_ = w.l.Close()
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
}

var faults = []fault{
	{"I/O error", &os.PathError{Op: "test", Path: "disk", Err: syscall.EIO}, false},
	{"disk full once", &os.PathError{Op: "test", Path: "disk", Err: syscall.ENOSPC}, false},
	{"disk full", &os.PathError{Op: "test", Path: "disk", Err: syscall.ENOSPC}, true},
	{"short write", errShort, false},
}

// faultAt runs a workload in which operation n fails, and returns how many
// operations it had. What was acknowledged must be there: while the log still
// reads, when it is opened again, and after a power cut.
func faultAt(seed uint64, steps, n int, f fault) (ops int, err error) {
	mem := vfs.NewCrashableMem()
	w := newWorld(seed, mem, nil)
	off := false
	fs := &faultFS{FS: mem, hook: func(op fsOp) error {
		if ops++; off || ops < n || ops > n && !f.stays || f.err == errShort && op.kind != "write" || op.kind == "remove" {
			return nil
		}
		return f.err
	}}
	if w.open(fs) == nil {
		w.steps(steps / 2)
		err := w.check(w.l)
		if err == nil && w.l.queue.failure() == nil && w.reopen(fs) == nil {
			w.steps(steps / 2)
			err = w.check(w.l)
		}
		off = true
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
	fs    *vfs.MemFS
	files []string
	sizes []int
	want  string
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
			f.files, f.sizes = append(f.files, path), append(f.sizes, int(info.Size()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look opens a log and describes all that it says, decoded and raw; warned
// tells whether it logged a warning.
func (f *flipped) look(fs *vfs.MemFS) (text string, warned bool, err error) {
	logger := slog.New(slog.NewTextHandler(writerFunc(func() { warned = true }), &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := Open(Options{FS: fs, Dir: "data", Rand: rand.New(rand.NewPCG(1, 1)).Uint64, Inline: true, Logger: logger, ReserveBytes: -1})
	if err != nil {
		return "", warned, err
	}
	defer l.Close()
	if text, err = dump(l); err != nil {
		return "", warned, err
	}
	topics, err := l.Topics(ctx)
	if err != nil {
		return "", warned, err
	}
	for _, t := range topics {
		for i := range t.Partitions {
			p := log.Partition{Topic: t.Name, Index: i}
			b, err := l.Bounds(ctx, p)
			if err != nil {
				return "", warned, err
			}
			for offset := b.Start; offset < b.HighWatermark; {
				f, err := l.FetchRaw(ctx, log.RawFetch{Partition: p, Offset: offset, MaxBytes: 1000, AtLeastOne: true, Committed: offset < b.LastStable}, nil)
				if err != nil {
					return "", warned, err
				}
				if len(f.Batches) == 0 {
					break
				}
				text += fmt.Sprintf("%s %x %v\n", p.Topic, f.Batches, f.Aborted)
				for rest := f.Batches; len(rest) > 0; {
					h, err := log.ReadHeader(rest)
					if err != nil {
						return "", warned, err
					}
					offset, rest = h.LastOffset+1, rest[h.Bytes:]
				}
			}
		}
	}
	return text, warned, nil
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
	got, warned, err := f.look(fs)
	switch {
	case err != nil:
		return "detected", nil
	case got == f.want:
		return "no effect", nil
	case warned:
		return "reported", nil
	}
	return "", fmt.Errorf("bit %d of byte %d of %s changed what the log says", bit, at, f.files[i])
}

// flips flips n bits, each on a disk of its own.
func flips(n int) (map[string]int, error) {
	outcomes := map[string]int{}
	for _, clean := range []bool{true, false} {
		f, err := atRest(8, 300, clean)
		if err != nil {
			return nil, err
		}
		rng := rand.New(rand.NewPCG(11, 12))
		for range n / 2 {
			what, err := f.flip(rng)
			if err != nil {
				return nil, err
			}
			outcomes[what]++
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
	if outcomes["detected"] < n/4 {
		t.Fatalf("hardly any flip was noticed: %v", outcomes)
	}
	t.Log(outcomes)
}
