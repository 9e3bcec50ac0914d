package segment

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A keptLog is one whose disk has all it can do, until rest is called.
type keptLog struct {
	*Log
	t     *testing.T
	fs    *vfs.MemFS
	clock *fakeClock
	opts  func(*Options)
	want  map[log.Partition][]string
}

func newKeptLog(t *testing.T, change func(*Options)) *keptLog {
	t.Helper()
	k := &keptLog{t: t, fs: vfs.NewCrashableMem(), clock: newFakeClock(), want: map[log.Partition][]string{}}
	k.opts = func(o *Options) {
		o.Clock, o.HousekeepingEvery = k.clock, 1000*time.Hour
		o.JournalBytes, o.SegmentBytes, o.DeferRunBytes, o.KeepBytes, o.keepEntryBytes = 2000, 3000, 1, 1<<20, 1
		if change != nil {
			change(o)
		}
	}
	k.Log = openTest(t, k.fs, k.opts)
	if _, err := k.CreateTopic(ctx, "t", 2, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	return k
}

// produce sends records until so many journals are kept.
func (k *keptLog) produce(journals int) {
	k.t.Helper()
	for i := 0; len(k.kept) < journals; i++ {
		if i == 10_000 {
			k.t.Fatalf("%d journals are kept", len(k.kept))
		}
		p := log.Partition{Topic: "t", Index: int32(i % 2)}
		v := fmt.Sprint(strings.Repeat("v", 100), len(k.want[p]))
		produceTest(k.t, k.Log, p, v)
		k.want[p] = append(k.want[p], v)
	}
}

// all holds that everything is there, from the first record that was not trimmed on.
func (k *keptLog) all() {
	k.t.Helper()
	for p, want := range k.want {
		b, err := k.Bounds(ctx, p)
		if err != nil {
			k.t.Fatal(err)
		}
		if got := readAll(k.t, k.Log, p); !slices.Equal(got, want[b.Start:]) {
			k.t.Fatalf("partition %d has %d records from offset %d on, want %d: %.200q", p.Index, len(got), b.Start, len(want), got)
		}
	}
}

func (k *keptLog) close() {
	k.t.Helper()
	if err := k.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// powerCut has the log begin again with what was durable.
func (k *keptLog) powerCut() {
	k.t.Helper()
	fs := k.fs.CrashClone(vfs.CrashCloneCfg{})
	k.close()
	k.fs = fs
	k.Log = openTest(k.t, fs, k.opts)
}

// rest gives the disk time.
func (k *keptLog) rest() {
	k.clock.advance(time.Second)
	k.Housekeep()
}

// journals returns the files of journals.
func (k *keptLog) journals() (names []string) {
	k.t.Helper()
	all, err := k.fs.List("data")
	if err != nil {
		k.t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, "journal-") {
			names = append(names, name)
		}
	}
	return names
}

func (k *keptLog) version() int {
	k.t.Helper()
	c, err := readCheckpoint(k.fs, "data")
	if err != nil {
		k.t.Fatal(err)
	}
	return c.Version
}

// TestKeptJournals keeps journals while the disk is busy, over power cuts and stops,
// and gives them free when it has time: one slice after the other.
func TestKeptJournals(t *testing.T) {
	k := newKeptLog(t, nil)
	k.produce(3)
	k.all()
	k.powerCut()
	if len(k.kept) < 3 || k.version() != keptVersion {
		t.Errorf("%d journals are kept after a power cut, format %d", len(k.kept), k.version())
	}
	k.all()
	k.produce(6)
	k.powerCut()
	k.all()
	k.close()
	k.Log = openTest(t, k.fs, k.opts)
	k.all()
	var sizes []int
	for range 15 {
		sizes = append(sizes, len(k.kept))
		k.rest()
	}
	if sizes[0] < 3 || sizes[1] == 0 || slices.Max(sizes[10:]) > 0 || !slices.IsSortedFunc(sizes, func(a, b int) int { return b - a }) {
		t.Errorf("kept while the disk has time: %v", sizes)
	}
	if names := k.journals(); len(names) > 2 || k.version() >= keptVersion {
		t.Errorf("journals %v are left, format %d", names, k.version())
	}
	k.all()
	k.powerCut()
	k.all()
	k.close()
}

// TestKeptJournalsAreBounded writes much more than may be kept.
func TestKeptJournalsAreBounded(t *testing.T) {
	k := newKeptLog(t, func(o *Options) { o.KeepBytes = 10_000 })
	for i := range 40 {
		k.produce(2)
		number := k.journal.number
		for ; k.journal.number == number; i++ {
			p := log.Partition{Topic: "t"}
			produceTest(t, k.Log, p, "more")
			k.want[p] = append(k.want[p], "more")
		}
		bytes := int64(0)
		for _, j := range k.kept {
			bytes += j.bytes
		}
		if bytes > 10_000 || len(k.journals()) > 8 {
			t.Fatalf("%d bytes are kept, in %v", bytes, k.journals())
		}
	}
	k.all()
	k.powerCut()
	k.all()
	k.close()
}

// TestKeptJournalGoesWithItsRecords trims partitions: what is gone is not copied.
func TestKeptJournalGoesWithItsRecords(t *testing.T) {
	k := newKeptLog(t, nil)
	k.produce(5)
	for p, want := range k.want {
		if err := k.Trim(ctx, p, int64(len(want))-1); err != nil {
			t.Fatal(err)
		}
	}
	k.produce(len(k.kept)) // a commit, and with it a checkpoint
	if len(k.kept) > 2 || len(k.journals()) > 4 {
		t.Errorf("%d journals are kept: %v", len(k.kept), k.journals())
	}
	k.all()
	k.powerCut()
	k.all()
	k.close()
}

// TestDamagedKeptJournal loses a kept journal, or its end: partitions that have
// records there are offline, and all is back with the file.
func TestDamagedKeptJournal(t *testing.T) {
	for _, left := range []int64{-1, 0, 30, 300, 1500} {
		k := newKeptLog(t, nil)
		k.produce(4)
		if _, err := k.CreateTopic(ctx, "other", 1, nil); err != nil {
			t.Fatal(err)
		}
		other := log.Partition{Topic: "other"}
		produceTest(t, k.Log, other, "o")
		k.close()
		name := fmt.Sprint("data/journal-", k.kept2())
		was := contents(k.fs, "data")[name]
		err := k.fs.Remove(name)
		if left >= 0 {
			err = errors.Join(err, rewrite(k.fs, name, []byte(was[:left])))
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second one begins with what the first has left
			k.Log = openTest(t, k.fs, k.opts)
			offline := 0
			for p := range k.want {
				if err := k.Produce(ctx, []log.Append{{Partition: p, Batch: encode("lost")}}); errors.Is(err, log.ErrOffline) {
					offline++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if offline != 2 {
				t.Errorf("%d bytes of a journal are left: %d partitions are offline", left, offline)
			}
			if got := readAll(t, k.Log, other); len(got) != 1 {
				t.Errorf("another topic has %q", got)
			}
			k.rest()
			k.rest()
			k.close()
		}
		if err := rewrite(k.fs, name, []byte(was)); err != nil {
			t.Fatal(err)
		}
		k.Log = openTest(t, k.fs, k.opts)
		k.all()
		for range 10 {
			k.rest()
		}
		k.all()
		if names := k.journals(); len(names) > 2 {
			t.Errorf("journals %v are left", names)
		}
		k.close()
	}
}

// kept2 is the number of the second journal that the checkpoint names.
func (k *keptLog) kept2() int {
	k.t.Helper()
	c, err := readCheckpoint(k.fs, "data")
	if err != nil {
		k.t.Fatal(err)
	}
	var numbers []int
	for n := range c.journals() {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	if len(numbers) < 2 {
		k.t.Fatalf("the checkpoint names journals %v", numbers)
	}
	return numbers[1]
}

// TestUnreadableKeptJournal has a kept journal's reads fail: its records can't be read,
// all else goes on, and all is there at a start that can read it.
func TestUnreadableKeptJournal(t *testing.T) {
	k := newKeptLog(t, nil)
	k.close()
	broken := ""
	mem := k.fs
	k.Log = openTest(t, &faultFS{FS: mem, reads: true, hook: func(op fsOp) error {
		if op.kind == "read" && broken != "" && strings.HasSuffix(op.path, broken) {
			return syscall.EIO
		}
		return nil
	}}, k.opts)
	k.produce(5)
	broken = fmt.Sprint("/journal-", k.kept[2].number)
	for range 10 {
		k.rest()
	}
	if err := k.queue.failure(); err != nil {
		t.Fatal(err)
	}
	if len(k.kept) == 0 || len(k.kept) > 3 || k.version() != keptVersion {
		t.Errorf("%d journals are kept, format %d", len(k.kept), k.version())
	}
	errs := 0
	for p := range k.want {
		for offset := int64(0); offset < int64(len(k.want[p])); offset++ {
			var r log.Records
			if _, err := k.Fetch(ctx, p, offset, 1, &r); err != nil {
				errs++
			} else if string(r.Value(0)) != k.want[p][offset] {
				t.Errorf("offset %d is %q", offset, r.Value(0))
			}
		}
		produceTest(t, k.Log, p, "after")
		k.want[p] = append(k.want[p], "after")
	}
	if errs == 0 {
		t.Error("what can't be read is read")
	}
	k.rest()
	k.close()
	if names := k.journals(); !slices.Contains(names, broken[1:]) {
		t.Errorf("journals %v are left", names)
	}
	k.Log = openTest(t, mem, k.opts)
	k.all()
	for range 10 {
		k.rest()
	}
	k.all()
	if names := k.journals(); len(names) > 2 || len(k.kept) > 0 {
		t.Errorf("journals %v are left", names)
	}
	k.close()
}

// TestKeptJournalOfDeletedTopic deletes the topic of partitions that are offline: what
// was kept for them goes.
func TestKeptJournalOfDeletedTopic(t *testing.T) {
	k := newKeptLog(t, nil)
	k.produce(4)
	k.close()
	if err := k.fs.Remove(fmt.Sprint("data/journal-", k.kept2())); err != nil {
		t.Fatal(err)
	}
	k.Log = openTest(t, k.fs, k.opts)
	if len(k.journals()) < 4 {
		t.Fatalf("journals %v", k.journals())
	}
	if err := k.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	k.rest()
	if names := k.journals(); len(names) > 2 || len(k.kept) > 0 {
		t.Errorf("journals %v are left, %d kept", names, len(k.kept))
	}
	k.close()
}

// TestReadersHoldKeptJournals reads a segment whose topic is deleted meanwhile: its
// journals are not written over.
func TestReadersHoldKeptJournals(t *testing.T) {
	k := newKeptLog(t, nil)
	k.produce(3)
	p := log.Partition{Topic: "t"}
	produceTest(t, k.Log, p, "the last one") // it is in the journal that is the first to be written over
	k.want[p] = append(k.want[p], "the last one")
	last := int64(len(k.want[p])) - 1
	v, err := k.topics["t"].partitions[0].view(last)
	if err != nil {
		t.Fatal(err)
	}
	want := k.want[p][last]
	if err := k.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	clear(k.want)
	for range 5 {
		k.rest()
		k.produce(2)
	}
	var r log.Records
	if _, err := v.decode(last, 1<<20, &r); err != nil || r.Len() == 0 || string(r.Value(0)) != want {
		t.Errorf("%d records, %v", r.Len(), err)
	}
	v.release()
	k.all()
	k.close()
}

func randomExtents(rng *rand.Rand, n int) (list extentList) {
	journal, pos := 0, int64(0)
	var s *source
	for range n {
		if s == nil || rng.IntN(3) == 0 {
			journal += 1 + rng.IntN(300)
			s = &source{journal: journal}
		}
		pos += rng.Int64N(3) * rng.Int64N(1<<20)
		e := extent{pos: pos, bytes: 1 + rng.Int64N(1<<20), at: journalHeaderBytes + rng.Int64N(1<<30), source: s}
		pos += e.bytes
		list = append(list, e)
	}
	return list
}

func sameExtents(a, b extentList) bool {
	return slices.EqualFunc(a, b, func(a, b extent) bool {
		return a.pos == b.pos && a.bytes == b.bytes && a.at == b.at && a.source.journal == b.source.journal
	})
}

// TestExtentsInCheckpoint reads lists as they were written.
func TestExtentsInCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		list := randomExtents(rng, rng.IntN(20))
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		var back extentList
		if err := json.Unmarshal(text, &back); err != nil || !sameExtents(list, back) {
			t.Fatalf("%v is %v, %v", list, back, err)
		}
	}
	text, err := json.Marshal(randomExtents(rng, 10_000))
	if err != nil || len(text) > 20*10_000 {
		t.Errorf("10,000 extents take %d bytes, %v", len(text), err)
	}
}

// FuzzExtentList reads lists of anything: what is taken makes sense, and is the same
// when it is written again.
func FuzzExtentList(f *testing.F) {
	for n := range 4 {
		text, err := randomExtents(rand.New(rand.NewPCG(1, uint64(n))), n).MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		var buf []byte
		if err := json.Unmarshal(text, &buf); err != nil {
			f.Fatal(err)
		}
		f.Add(buf)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		text, err := json.Marshal(buf)
		if err != nil {
			t.Fatal(err)
		}
		var list extentList
		if json.Unmarshal(text, &list) != nil {
			return
		}
		end, journal := int64(0), 1
		for _, e := range list {
			if e.pos < end || e.bytes <= 0 || e.at < journalHeaderBytes || e.at+e.bytes < 0 || e.source.journal < journal {
				t.Fatalf("%+v in journal-%d behind %d, journal-%d", e, e.source.journal, end, journal)
			}
			end, journal = e.pos+e.bytes, e.source.journal
		}
		list.fileBytes(end)
		if text, err = json.Marshal(list); err != nil {
			t.Fatal(err)
		}
		var back extentList
		if err := json.Unmarshal(text, &back); err != nil || !sameExtents(list, back) {
			t.Fatalf("%v is %v, %v", list, back, err)
		}
	})
}
