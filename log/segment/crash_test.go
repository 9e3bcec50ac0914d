package segment

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
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
	random := 1
	if *long {
		random = 8
	}
	states, err := crashEverywhere(1, 300, random)
	if err != nil {
		t.Fatal(err)
	}
	if states < 3000 {
		t.Fatalf("only %d crash states", states)
	}
	t.Logf("%d crash states", states)
}

// errCrashed is what everything gives once the power is gone.
var errCrashed = errors.New("the power is gone")

// randomCrashes lets a world live through several power cuts at random times,
// also while it recovers from the one before.
func randomCrashes(seed uint64, steps int) error {
	rng := rand.New(rand.NewPCG(seed, 10))
	w := newWorld(seed, vfs.NewCrashableMem(), nil)
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
	return w.recovers(w.fs)
}

// live opens the log, finds out what has become of what was asked for before,
// and goes on.
func (w *world) live(fs vfs.FS, steps int) error {
	before := w.l
	if err := w.open(fs); err != nil {
		return err
	}
	if before != nil {
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
		if _, err := w.l.Topic(ctx, t.name); errors.Is(err, log.ErrUnknownTopic) && t.deleting {
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

// TestRandomCrashes runs seeds; each fails on its own with -run and -seed.
func TestRandomCrashes(t *testing.T) {
	seeds := uint64(500)
	if *long {
		seeds = 10_000
	}
	first := uint64(0)
	if *seed > 0 {
		first, seeds = *seed, 1
	}
	for s := first; s < first+seeds; s++ {
		if err := randomCrashes(s, 60); err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
	}
}
