package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// damageWhileItLives lets a world live on with a segment's file gone or cut
// short, over starts and power cuts, and then gives it back: what was
// acknowledged before must be there, and transactions ended meanwhile must have
// ended.
func damageWhileItLives(seed uint64, steps int) (offline bool, err error) {
	rng := rand.New(rand.NewPCG(seed, 13))
	w := newWorld(seed, vfs.NewCrashableMem(), nil)
	if err := w.open(w.fs); err != nil {
		return false, err
	}
	w.steps(steps)
	if err := w.restart(rng, true); err != nil || w.err != nil {
		return false, errors.Join(err, w.err)
	}
	f := &flipped{fs: w.fs}
	if err := f.list("data"); err != nil || len(f.segments) == 0 {
		return false, err
	}
	name := f.files[pick(rng, f.segments)]
	was := contents(w.fs, w.fs.PathDir(name))
	left := was[name]
	if rng.IntN(2) == 0 {
		err = errors.Join(w.fs.Remove(name), syncDir(w.fs, w.fs.PathDir(name)))
		left = ""
	} else {
		left = left[:rng.IntN(len(left))]
		err = rewrite(w.fs, name, []byte(left))
	}
	if err != nil {
		return false, err
	}
	w.damage = true
	for range 1 + rng.IntN(3) {
		if err := w.powerCutAtOpen(rng); err != nil {
			return false, err
		}
		if err := w.open(w.fs); err != nil {
			return false, fmt.Errorf("opening with %s cut to %d bytes: %w", name, len(left), err)
		}
		part, err := w.onlyOffline(name)
		if err != nil {
			return false, err
		}
		if part == nil { // the file was not needed, or its topic is deleted
			w.damage = false
		}
		offline = offline || part != nil
		w.steps(steps / 2)
		if err := w.check(w.l); err != nil {
			return offline, fmt.Errorf("with %v offline: %w", part, err)
		}
		if err := w.restart(rng, false); err != nil {
			return offline, err
		}
		if part == nil {
			return offline, w.recovers(w.fs)
		}
	}
	if w.topicOf(name) == nil {
		return offline, w.recovers(w.fs)
	}
	now := contents(w.fs, w.fs.PathDir(name))
	for other, data := range was {
		if other != name && len(now[other]) < len(data) {
			return offline, fmt.Errorf("%s of a partition that is offline has %d bytes and had %d", other, len(now[other]), len(data))
		}
	}
	if err := rewrite(w.fs, name, []byte(was[name])); err != nil {
		return offline, err
	}
	if err := w.recovers(w.fs.CrashClone(vfs.CrashCloneCfg{})); err != nil {
		return offline, fmt.Errorf("%s is restored: %w", name, err)
	}
	w.damage = false
	if err := w.powerCutAtOpen(rng); err != nil {
		return offline, err
	}
	if err := w.open(w.fs); err != nil {
		return offline, err
	}
	w.steps(steps)
	if err := w.check(w.l); err != nil {
		return offline, fmt.Errorf("some time after %s was restored: %w", name, err)
	}
	if err := w.restart(rng, false); err != nil {
		return offline, err
	}
	names, err := w.fs.List("data")
	if err == nil && slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, heldPrefix) }) {
		err = fmt.Errorf("what was held is still there: %v", names)
	}
	return offline, errors.Join(err, w.recovers(w.fs))
}

// restart closes the log, or cuts the power.
func (w *world) restart(rng *rand.Rand, mayKeep bool) error {
	if w.closed = rng.IntN(2) == 0; w.closed {
		return w.l.Close()
	}
	cfg := vfs.CrashCloneCfg{}
	if mayKeep {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}
	}
	clone := w.fs.CrashClone(cfg)
	err := w.l.Close()
	w.fs = clone
	return err
}

// powerCutAtOpen opens the log and has the power cut meanwhile, now and then.
func (w *world) powerCutAtOpen(rng *rand.Rand) error {
	if rng.IntN(2) == 0 {
		return nil
	}
	var clone *vfs.MemFS
	var herr error
	left := 1 + rng.IntN(40)
	fs := &faultFS{FS: w.fs, hook: func(op fsOp) error {
		if left--; left == 0 {
			clone, herr = pick(rng, models(rng, op, 4)).crash(w.fs, rng, op)
		}
		if left <= 0 {
			return errCrashed
		}
		return nil
	}}
	l, err := Open(w.aside(fs))
	if err == nil {
		err = l.Close()
	}
	if clone != nil {
		w.fs, err = clone, nil
	}
	return errors.Join(herr, err)
}

// contents reads the files of a directory.
func contents(fs *vfs.MemFS, dir string) map[string]string {
	out := map[string]string{}
	names, _ := fs.List(dir) // it may be gone
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if data, err := readFile(fs, path); err == nil {
			out[path] = string(data)
		}
	}
	return out
}

// topicOf returns the topic that a segment's file is of, nil if it is deleted.
func (w *world) topicOf(name string) *wTopic {
	for _, t := range w.topics {
		if strings.Contains(name, t.id.String()) {
			return t
		}
	}
	return nil
}

// onlyOffline returns the partition that is offline, which must be that of the
// file, if any is.
func (w *world) onlyOffline(name string) (*log.Partition, error) {
	topics, err := w.l.Topics(ctx)
	if err != nil {
		return nil, err
	}
	var found *log.Partition
	for _, t := range topics {
		for _, i := range t.Offline {
			if dir := fmt.Sprintf("data/topics/%s/%d", t.ID, i); found != nil || dir != w.fs.PathDir(name) {
				return nil, fmt.Errorf("%s partition %d is offline, %s is damaged", t.Name, i, name)
			}
			found = &log.Partition{Topic: t.Name, Index: i}
		}
	}
	return found, nil
}

// TestDamageWhileItLives runs seeds; each fails on its own with -seed.
func TestDamageWhileItLives(t *testing.T) {
	t.Parallel()
	seeds := uint64(300)
	if *long {
		seeds *= 20
	} else if raceDetector {
		seeds /= 10
	}
	first, offline := uint64(0), 0
	if *seed > 0 {
		first, seeds = *seed, 1
	}
	for s := first; s < first+seeds; s++ {
		was, err := damageWhileItLives(s, 60)
		if err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
		if was {
			offline++
		}
	}
	if *seed == 0 && offline < int(seeds)/2 {
		t.Errorf("a partition was offline in %d of %d worlds", offline, seeds)
	}
	t.Logf("a partition was offline in %d of %d worlds", offline, seeds)
}

// offlineLog is a log with two topics of two partitions with a record in each;
// partition 0 of "t" is damaged by damage, given the file of its segment, while
// the log is closed.
func offlineLog(t *testing.T, fs *vfs.MemFS, damage func(name string)) *Log {
	t.Helper()
	l := openTest(t, fs, nil)
	for _, name := range []string{"t", "u"} {
		if _, err := l.CreateTopic(ctx, name, 2, nil); err != nil {
			t.Fatal(err)
		}
		for i := range int32(2) {
			produceTest(t, l, log.Partition{Topic: name, Index: i}, "before")
		}
	}
	name := l.topics["t"].partitions[0].path(segmentID{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damage(name)
	return openTest(t, fs, nil)
}

func produceTest(t *testing.T, l *Log, p log.Partition, values ...string) {
	t.Helper()
	if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode(values...)}}); err != nil {
		t.Fatal(err)
	}
}

// TestOfflineAnswers asks everything of a partition that is offline, and of one
// beside it.
func TestOfflineAnswers(t *testing.T) {
	fs := vfs.NewMem()
	l := offlineLog(t, fs, func(name string) {
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
	})
	defer l.Close()
	bad, good := log.Partition{Topic: "t"}, log.Partition{Topic: "t", Index: 1}
	w, err := l.OpenWriter(ctx, "w")
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(log.Partition) error{
		"Bounds":         func(p log.Partition) error { _, err := l.Bounds(ctx, p); return err },
		"EpochEnd":       func(p log.Partition) error { _, err := l.EpochEnd(ctx, p, 0); return err },
		"LeaderEpochEnd": func(p log.Partition) error { _, _, err := l.LeaderEpochEnd(ctx, p, 0); return err },
		"Size":           func(p log.Partition) error { _, err := l.Size(ctx, p); return err },
		"OffsetForTime":  func(p log.Partition) error { _, err := l.OffsetForTime(ctx, p, 0); return err },
		"Fetch":          func(p log.Partition) error { _, err := l.Fetch(ctx, p, 0, 1000, &log.Records{}); return err },
		"FetchRaw": func(p log.Partition) error {
			_, err := l.FetchRaw(ctx, log.RawFetch{Partition: p, MaxBytes: 1000}, nil)
			return err
		},
		"FindOffset": func(p log.Partition) error {
			_, err := l.FindOffset(ctx, log.OffsetQuery{Partition: p, Time: log.TimeLatest})
			return err
		},
		"Producers": func(p log.Partition) error { _, err := l.Producers(ctx, p); return err },
		"Produce": func(p log.Partition) error {
			return l.Produce(ctx, []log.Append{{Partition: p, Batch: encode("x")}, {Partition: good, Batch: encode("x")}})
		},
		"ProduceRaw": func(p log.Partition) (err error) {
			l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: p, Batch: encode("x")}}}, func(r []log.RawResult) { err = r[0].Err })
			return err
		},
		"Commit": func(p log.Partition) (err error) {
			if err := w.Append(p, encode("x")); err != nil {
				return err
			}
			w.Commit(func(e error) { err = e })
			return err
		},
		"Trim": func(p log.Partition) error { return l.Trim(ctx, p, 0) },
	} {
		if err := ask(bad); !errors.Is(err, log.ErrOffline) || log.Code(err) != 56 || !strings.Contains(err.Error(), "00000000000000000000.log") {
			t.Errorf("%s of a partition that is offline: %v", name, err)
		}
		if err := ask(good); err != nil {
			t.Errorf("%s of the one beside it: %v", name, err)
		}
	}
	if got := readAll(t, l, good); !slices.Equal(got, []string{"before", "x", "x", "x", "x"}) {
		t.Errorf("records of the one beside it: %q", got) // Produce asked with it gives it two
	}
	info, err := l.Topic(ctx, "t")
	if err != nil || !slices.Equal(info.Offline, []int32{0}) {
		t.Errorf("topic %+v, %v", info, err)
	}
	if err := l.DeleteTopic(ctx, "t"); err != nil {
		t.Error(err)
	}
	if _, err := l.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Error(err)
	}
	produceTest(t, l, bad, "again")
}

// TestOfflineBatchOfTheJournal loses a batch that the journal only names, in a
// partition that the checkpoint does not know.
func TestOfflineBatchOfTheJournal(t *testing.T) {
	fs := vfs.NewCrashableMem()
	large := func(o *Options) { o.LargeRunBytes = 300 }
	l := openTest(t, fs, large)
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, text := log.Partition{Topic: "t"}, strings.Repeat("x", 500)
	produceTest(t, l, p, text)
	produceTest(t, l, p, "small")
	name := l.topics["t"].partitions[0].path(segmentID{})
	disk := fs.CrashClone(vfs.CrashCloneCfg{})
	_ = l.Close()
	was, err := readFile(disk, name)
	if err == nil {
		err = disk.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = openTest(t, disk, large)
		if _, err := l.Bounds(ctx, p); !errors.Is(err, log.ErrOffline) {
			t.Errorf("without the segment: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := rewrite(disk, name, was); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, disk, large)
	defer l.Close()
	if got := readAll(t, l, p); !slices.Equal(got, []string{text, "small"}) {
		t.Errorf("%.20q, want the large batch and the small one", got)
	}
}

// TestOfflineTransactions ends transactions, in both ways, that have records in a
// partition that is offline, and joins it to another.
func TestOfflineTransactions(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, nil)
	if _, err := l.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	bad, good := log.Partition{Topic: "t"}, log.Partition{Topic: "t", Index: 1}
	producers := map[string]log.Producer{}
	for _, id := range []string{"commits", "aborts"} {
		p, err := l.InitProducer(ctx, id, 1e9, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []log.Partition{bad, good} {
			b := encode(id)
			log.SetProducer(b, p, 0, true)
			l.ProduceRaw(log.RawProduce{JoinTxn: true, TransactionalID: id, Batches: []log.Append{{Partition: at, Batch: b}}}, func(r []log.RawResult) {
				if r[0].Err != nil {
					t.Fatal(r[0].Err)
				}
			})
		}
		producers[id] = p
	}
	name := l.topics["t"].partitions[0].path(segmentID{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	was, err := readFile(fs, name)
	if err == nil {
		err = fs.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, nil)
	for id, p := range producers {
		if _, err := l.EndTxn(ctx, log.TxnProducer{TransactionalID: id, Producer: p}, id == "commits", false); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	again := log.TxnProducer{TransactionalID: "commits", Producer: producers["commits"]}
	if err := l.JoinTxn(ctx, again, []log.Partition{bad, good}); err != nil {
		t.Errorf("joining a partition that is offline: %v", err)
	}
	if _, err := l.EndTxn(ctx, again, false, false); err != nil {
		t.Error(err)
	}
	if got := readAll(t, l, good); !slices.Equal(got, []string{"commits"}) {
		t.Errorf("beside it: %q", got)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, fs, nil)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(fs, name, was); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, fs, nil)
	defer l.Close()
	b, err := l.Bounds(ctx, bad)
	if got := readAll(t, l, bad); err != nil || !slices.Equal(got, []string{"commits"}) || b.LastStable != b.HighWatermark || b.HighWatermark != 4 {
		t.Errorf("after it is back: %q, %+v, %v", got, b, err)
	}
}

// TestOfflineOrRefused opens a log whose segment can't be opened, for the
// file's sake and for want of file descriptors.
func TestOfflineOrRefused(t *testing.T) {
	for _, c := range []struct {
		err     error
		refused bool
	}{{syscall.EACCES, false}, {syscall.EIO, false}, {syscall.EMFILE, true}} {
		mem := vfs.NewMem()
		l := offlineLog(t, mem, func(string) {})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		fs := &faultFS{FS: mem, hook: func(op fsOp) error {
			if op.kind == "open" && strings.HasSuffix(op.path, ".log") {
				return &os.PathError{Op: "open", Path: op.path, Err: c.err}
			}
			return nil
		}}
		l, err := Open(Options{FS: fs, Dir: "data", Rand: rand.Uint64, Inline: true, ReserveBytes: -1})
		if c.refused {
			if !errors.Is(err, c.err) {
				t.Errorf("%v: opened: %v", c.err, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Bounds(ctx, log.Partition{Topic: "u"}); !errors.Is(err, log.ErrOffline) {
			t.Errorf("%v: %v", c.err, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l = openTest(t, mem, nil)
		if got := readAll(t, l, log.Partition{Topic: "u"}); !slices.Equal(got, []string{"before"}) {
			t.Errorf("after %v: %q", c.err, got)
		}
		_ = l.Close()
	}
}

// TestHeldDamaged damages what was held: the partition stays offline, with that
// as its reason.
func TestHeldDamaged(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openTest(t, fs, nil)
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	produceTest(t, l, p, "old")
	l.startCheckpoint()
	produceTest(t, l, p, "new")
	name := l.topics["t"].partitions[0].path(segmentID{})
	disk := fs.CrashClone(vfs.CrashCloneCfg{})
	_ = l.Close()
	was, err := readFile(disk, name)
	if err == nil {
		err = disk.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, disk, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(disk, name, was); err != nil {
		t.Fatal(err)
	}
	names, _ := disk.List("data")
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, heldPrefix) })
	if i < 0 {
		t.Fatalf("nothing is held: %v", names)
	}
	held := disk.PathJoin("data", names[i])
	whole, err := readFile(disk, held)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole)-len(endMark); at += 7 {
		broken := slices.Clone(whole)
		broken[at] ^= 4
		if err := rewrite(disk, held, broken); err != nil {
			t.Fatal(err)
		}
		l := openTest(t, disk, nil)
		if _, err := l.Bounds(ctx, p); !errors.Is(err, log.ErrOffline) || !strings.Contains(err.Error(), "held") {
			t.Fatalf("with byte %d of what was held changed: %v", at, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := rewrite(disk, held, whole); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, disk, nil)
	defer l.Close()
	if got := readAll(t, l, p); !slices.Equal(got, []string{"old", "new"}) {
		t.Errorf("after all is restored: %q", got)
	}
}
