package state

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A brokenFS gives an error for what would create a file or write to one, if its name
// has what.
type brokenFS struct {
	vfs.FS
	err   atomic.Pointer[error]
	what  string
	tried atomic.Int64
}

func (fs *brokenFS) fault(name string) error {
	if err := fs.err.Load(); err != nil && strings.Contains(name, fs.what) {
		fs.tried.Add(1)
		return *err
	}
	return nil
}

func (fs *brokenFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.fault(name); err != nil {
		return nil, err
	}
	f, err := fs.FS.Create(name, c)
	return brokenFile{f, fs, name}, err
}

type brokenFile struct {
	vfs.File
	fs   *brokenFS
	name string
}

func (f brokenFile) Write(p []byte) (int, error) {
	if err := f.fs.fault(f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// messages are those of a log that say that something can't be written.
type messages chan string

func (m messages) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "level=ERROR") {
		select {
		case m <- string(p):
		default:
		}
	}
	return len(p), nil
}

// cutOf is one of query q, old enough to be flushed at once.
func cutOf(n, bytes int) *Cut {
	c := &Cut{Query: "q", At: Position{Next: int64(n), TimeMS: int64(n) * flushEveryMS}}
	c.Add(fmt.Appendf(nil, "key %d", n), make([]byte, bytes))
	return c
}

func brokenDB(t *testing.T, what string, cause error) (*DB, *brokenFS, *vfs.MemFS, messages) {
	t.Helper()
	mem, m := vfs.NewCrashableMem(), make(messages, 1)
	fs := &brokenFS{FS: mem, what: what}
	d, err := OpenDB(fs, "state", slog.New(slog.NewTextHandler(m, nil)))
	if err != nil {
		t.Fatal(err)
	}
	fs.err.Store(&cause)
	d.Submit(cutOf(1, 10))
	<-m // it is told
	return d, fs, mem, m
}

// TestShortage has no space, or no file, for a while: nobody waits for the
// database but itself, which tries again with each cut and has everything at last.
func TestShortage(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
	}{{".sst", syscall.ENOSPC}, {".sst", syscall.EMFILE}, {"MANIFEST", syscall.EDQUOT}, {"MANIFEST", syscall.ENFILE}} {
		d, fs, mem, _ := brokenDB(t, c.what, c.err)
		for n := 2; n <= 100; n++ {
			d.Submit(cutOf(n, 10))
		}
		if tried := fs.tried.Load(); tried > 100 {
			t.Errorf("%s, %v: tried %d times for 100 cuts", c.what, c.err, tried)
		}
		fs.err.Store(nil)
		d.Submit(cutOf(101, 10))
		if err := d.Close(); err != nil {
			t.Errorf("%s, %v: %v", c.what, c.err, err)
		}
		d, err := OpenDB(mem, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if p, ok, err := d.Stamp("q", 0); err != nil || !ok || p.Next != 101 {
			t.Errorf("%s, %v: stamp %+v, %v, %v", c.what, c.err, p, ok, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLongShortage writes more than may wait, then asks everything, and stops:
// nobody hangs.
func TestLongShortage(t *testing.T) {
	d, _, mem, _ := brokenDB(t, ".sst", syscall.ENOSPC)
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := d.Drop("other"); err != nil && !errors.Is(err, errShort) {
		t.Error(err)
	}
	for n := 2; d.Err() == nil && n < 100; n++ {
		d.Submit(cutOf(n, maxQueueBytes/4))
	}
	if !errors.Is(d.Err(), errShort) {
		t.Errorf("after more than may wait: %v", d.Err())
	}
	d.Submit(cutOf(1000, 10))
	d.Wipe("q", 0)
	if err := d.Drop("q"); err == nil {
		t.Error("it was dropped")
	}
	if err := d.Close(); !errors.Is(err, errShort) {
		t.Errorf("closing: %v", err)
	}
	d, err := OpenDB(clone, "state", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if p, ok, err := d.Stamp("q", 0); ok || err != nil {
		t.Errorf("after a crash: %+v, %v, %v", p, ok, err)
	}
}

// TestFatal has Pebble come to what it takes to be the end: the database is left as it
// is, and the process goes on.
func TestFatal(t *testing.T) {
	d, _, _, _ := brokenDB(t, "MANIFEST", syscall.EACCES)
	<-d.fatal
	d.Submit(cutOf(2, 10))
	if p, ok, err := d.Stamp("q", 0); ok || err != nil {
		t.Errorf("stamp: %+v, %v, %v", p, ok, err)
	}
	d.Wipe("q", 0)
	if err := d.Drop("q"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("dropping: %v", err)
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("closing: %v", err)
	}
	fs := &brokenFS{FS: vfs.NewMem(), what: "MANIFEST"}
	var cause error = syscall.EIO
	fs.err.Store(&cause)
	if _, err := OpenDB(fs, "state", slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EIO) {
		t.Errorf("opening: %v", err)
	}
}
