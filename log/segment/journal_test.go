package segment

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// write appends the entry begun in buf.
func (j *journal) write(buf []byte) error { return j.writeEntry(&entryEncoder{buf: buf}) }

// readJournal returns the payloads of a journal's whole entries, whether it says that
// nothing follows them, and where a later entry is.
func readJournal(t *testing.T, fs vfs.FS, number int) (payloads []string, ended bool, later int64) {
	t.Helper()
	j, err := openJournal(fs, "", number)
	if err != nil || j == nil {
		t.Fatal(j, err)
	}
	defer j.file.Close()
	err = j.entries(math.MaxUint64, func(p []byte) error {
		payloads = append(payloads, string(p))
		return nil
	})
	if err == nil {
		ended, err = j.ended()
	}
	if err == nil {
		later, err = j.laterEntry()
	}
	if err != nil {
		t.Fatal(err)
	}
	return payloads, ended, later
}

// TestJournalOverAnother writes a journal over one with entries of the same
// sizes and numbers, which must never be taken for its own.
func TestJournalOverAnother(t *testing.T) {
	fs := vfs.NewMem()
	write := func(j *journal, payloads ...string) {
		for _, p := range payloads {
			if err := j.write(append(beginEntry(nil), p...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	old, err := createJournal(fs, "", "", journal{number: 1, seq: 7, salt: 42})
	if err != nil {
		t.Fatal(err)
	}
	write(&old, "old 7", "old 8", "old 9")
	before, err := readFile(fs, "journal-1")
	if err != nil {
		t.Fatal(err)
	}
	j, err := createJournal(fs, "", "journal-1", journal{number: 2, seq: 7, salt: 42})
	if err != nil {
		t.Fatal(err)
	}
	check := func(wantEnded bool, want ...string) {
		t.Helper()
		got, ended, later := readJournal(t, fs, 2)
		if !slices.Equal(got, want) || ended != wantEnded || later != -1 {
			t.Fatalf("got %q, ended %v, a later entry at %d; want %q, ended %v", got, ended, later, want, wantEnded)
		}
	}
	check(true)
	write(&j, "new 7")
	check(true, "new 7")
	// A power cut may leave the first entry, and the block behind it as it was.
	at := journalHeaderBytes + j.bytes
	if _, err := j.file.WriteAt(before[at:], at); err != nil {
		t.Fatal(err)
	}
	check(false, "new 7")
	write(&j, "new 8", "new 9", "new 10")
	check(true, "new 7", "new 8", "new 9", "new 10")
	if _, err := fs.Stat("journal-1"); err == nil {
		t.Error("the old journal is still there")
	}
	// The header is what is written first; without it there is no journal.
	if _, err := j.file.WriteAt(before[:journalHeaderBytes], 0); err != nil {
		t.Fatal(err)
	}
	if j, err := openJournal(fs, "", 2); j != nil || err != nil {
		t.Errorf("a journal with another's header: %v, %v", j, err)
	}
}

// TestEntryInPieces writes entries in pieces and stops after each write: until the
// last one the journal ends where it did, then it is byte for byte what one write
// makes.
func TestEntryInPieces(t *testing.T) {
	// write makes a journal of two entries, the second of ops, which it stops after
	// some writes of.
	write := func(ops []*op, piece, stop int) (text []byte, n int, err error) {
		left := math.MaxInt
		fs := &faultFS{FS: vfs.NewMem(), hook: func(op fsOp) error {
			if op.kind != "write" {
				return nil
			}
			if left--; left < 0 {
				return errCrashed
			}
			return nil
		}}
		j, err := createJournal(fs, "", "", journal{number: 1, seq: 1, salt: 3, piece: piece})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.write(append(beginEntry(nil), "first"...)); err != nil {
			t.Fatal(err)
		}
		var e entryEncoder
		e.encode(ops)
		left = stop
		err = j.writeEntry(&e)
		want := 2
		if err != nil {
			want = 1
		}
		payloads, ended, later := readJournal(t, fs, 1)
		if len(payloads) != want || payloads[0] != "first" || !ended || later != -1 {
			t.Fatalf("entry of %d bytes in pieces of %d, at most %d writes: %d entries, ended %v, a later one at %d", len(e.buf), piece, stop, len(payloads), ended, later)
		}
		text, rerr := readFile(fs, "journal-1")
		if rerr != nil {
			t.Fatal(rerr)
		}
		return text, len(e.buf), err
	}
	rng := rand.New(rand.NewPCG(8, 9))
	for range 200 {
		piece, size := 20+rng.IntN(6000), rng.IntN(30_000)
		ops := []*op{
			{kind: opDeleteGroup, group: strings.Repeat("g", rng.IntN(10))},
			{kind: opAppend, batch: bytes.Repeat([]byte("a"), size)},
			{kind: opAppend, batch: bytes.Repeat([]byte("b"), size/2)},
		}
		whole, n, err := write(ops, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		for stop := 0; ; stop++ {
			text, _, err := write(ops, piece, stop)
			if err != nil {
				continue
			}
			if !bytes.Equal(text, whole) {
				t.Errorf("entry of %d bytes in pieces of %d is not what it is in one", n, piece)
			}
			if least := (n + len(endMark)) / piece; least >= 2 && stop < least {
				t.Errorf("entry of %d bytes in pieces of %d made by %d writes", n, piece, stop)
			}
			break
		}
	}
}

// TestJournalCutOff tells a file that was cut off behind an entry from one that
// ends there.
func TestJournalCutOff(t *testing.T) {
	fs := vfs.NewMem()
	j, err := createJournal(fs, "", "", journal{number: 1, seq: 1, salt: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(append(beginEntry(nil), "an entry"...)); err != nil {
		t.Fatal(err)
	}
	whole, err := readFile(fs, "journal-1")
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(endMark) + 1 {
		if err := writeFile(fs, "journal-1", written(whole[:len(whole)-cut])); err != nil {
			t.Fatal(err)
		}
		if got, ended, _ := readJournal(t, fs, 1); len(got) != 1 || ended != (cut == 0) {
			t.Errorf("without its last %d bytes: %q, ended %v", cut, got, ended)
		}
	}
}

// TestLaterEntry finds an entry behind a broken one, wherever it begins.
func TestLaterEntry(t *testing.T) {
	for _, n := range []int{0, 1, 1<<20 - 2*entryHeaderBytes - 1, 1<<20 - 2*entryHeaderBytes, 1<<20 - entryHeaderBytes - 2, 1<<20 - entryHeaderBytes, 1 << 20, 5 << 20} {
		fs := vfs.NewMem()
		j, err := createJournal(fs, "", "", journal{number: 1, seq: 1, salt: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{n, 3} {
			if err := j.write(append(beginEntry(nil), make([]byte, size)...)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.file.WriteAt([]byte{1}, journalHeaderBytes); err != nil {
			t.Fatal(err)
		}
		if got, ended, later := readJournal(t, fs, 1); len(got) != 0 || ended || later != int64(journalHeaderBytes+entryHeaderBytes+n) {
			t.Errorf("behind an entry of %d bytes: %q, ended %v, later entry at %d", n, got, ended, later)
		}
	}
}

// TestJournalFilesAreUsedAgain looks at the names in a directory over many
// checkpoints: one journal in use, one that waits for its next use.
func TestJournalFilesAreUsedAgain(t *testing.T) {
	created := 0
	fs := &faultFS{FS: vfs.NewMem(), hook: func(op fsOp) error {
		if op.kind == "create" && len(op.path) > 13 && op.path[:13] == "data/journal-" {
			created++
		}
		return nil
	}}
	l := openTest(t, fs, func(o *Options) { o.JournalBytes = 1000 })
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce := func() {
		for i := range 100 {
			if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: encode(fmt.Sprint("v", i))}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce()
	if n := l.journal.number; created != 2 || n < 8 {
		t.Errorf("%d files made for %d journals, want 2", created, n)
	}
	journals := func() int {
		names, err := fs.List("data")
		if err != nil {
			t.Fatal(err)
		}
		return len(listJournals(names))
	}
	if n := journals(); n != 2 {
		t.Errorf("%d journal files, want 2", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := journals(); n != 1 {
		t.Errorf("%d journal files after Close, want 1", n)
	}
	l = openTest(t, fs, func(o *Options) { o.JournalBytes = 1000 })
	defer l.Close()
	produce()
	if b, err := l.Bounds(ctx, log.Partition{Topic: "t"}); err != nil || b.HighWatermark != 200 {
		t.Errorf("%+v, %v; want 200 records", b, err)
	}
}

// TestUnsyncedJournalGoesOn kills a log that has written an entry and not synced
// it, and cuts the power while the next start has begun its journal, which goes
// on from that entry.
func TestUnsyncedJournalGoesOn(t *testing.T) {
	mem := vfs.NewCrashableMem()
	killed := false
	l := openTest(t, &faultFS{FS: mem, hook: func(op fsOp) error {
		if killed && op.kind == "sync" {
			return errCrashed
		}
		return nil
	}}, nil)
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	produceTest(t, l, p, "acknowledged")
	killed = true
	if err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode("not")}}); err == nil {
		t.Fatal("acknowledged without a sync")
	}
	_ = l.Close()
	var cut *vfs.MemFS
	_, err := Open(Options{FS: &faultFS{FS: mem, hook: func(op fsOp) error {
		if cut == nil && op.path == "data/checkpoint.tmp" {
			cut = mem.CrashClone(vfs.CrashCloneCfg{})
		}
		if cut != nil {
			return errCrashed
		}
		return nil
	}}, Dir: "data", Rand: func() uint64 { return 7 }, Inline: true})
	if err == nil || cut == nil {
		t.Fatalf("opened: %v", err)
	}
	l = openTest(t, cut, nil)
	defer l.Close()
	if got := readAll(t, l, p); len(got) == 0 || got[0] != "acknowledged" {
		t.Errorf("%q", got)
	}
}
