package segment

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A countFS knows which files are open.
type countFS struct {
	vfs.FS
	mu   sync.Mutex
	open map[string]int
	err  error // of a file that was closed twice
}

type countFile struct {
	vfs.File
	fs     *countFS
	name   string
	closed bool
}

func (fs *countFS) count(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.open[name]++
		return &countFile{File: f, fs: fs, name: name}, nil
	}
}

func (f *countFile) Close() error {
	f.fs.mu.Lock()
	if f.closed {
		f.fs.err = fmt.Errorf("%s is closed twice", f.name)
	}
	f.closed = true
	if f.fs.open[f.name]--; f.fs.open[f.name] == 0 {
		delete(f.fs.open, f.name)
	}
	f.fs.mu.Unlock()
	return f.File.Close()
}

func (fs *countFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.count(name)(fs.FS.Create(name, c))
}

func (fs *countFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.count(name)(fs.FS.Open(name, o...))
}

func (fs *countFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.count(name)(fs.FS.OpenReadWrite(name, c, o...))
}

func (fs *countFS) OpenDir(name string) (vfs.File, error) {
	return fs.count(name)(fs.FS.OpenDir(name))
}

func (fs *countFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.count(to)(fs.FS.ReuseForWrite(from, to, c))
}

// TestFilesAreClosed lets worlds live, with and without an operation that fails, and
// looks for files that are open when the log is closed.
func TestFilesAreClosed(t *testing.T) {
	seeds := uint64(400)
	if raceDetector {
		seeds = 40
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 4))
		mem := vfs.NewMem()
		fails, stays := rng.IntN(600), rng.IntN(2) == 0
		err := []error{syscall.EIO, syscall.ENOSPC}[rng.IntN(2)]
		fs := &countFS{open: map[string]int{}, FS: &faultFS{FS: mem, reads: rng.IntN(2) == 0, hook: func(fsOp) error {
			if fails--; fails == 0 || fails < 0 && stays && seed%3 > 0 {
				return err
			}
			return nil
		}}}
		if seed%3 == 0 {
			fails = -1
		}
		w := newWorld(seed, mem, nil)
		w.damage = true
		for range 2 {
			w.l, w.closed = nil, true
			if w.open(fs) == nil {
				w.steps(60)
			}
			if w.l != nil {
				_ = w.l.Close()
			}
			if len(fs.open) > 0 || fs.err != nil {
				t.Fatalf("seed %d: the log is closed and these are open: %v; %v", seed, slices.Sorted(maps.Keys(fs.open)), fs.err)
			}
		}
	}
}

// TestReadersOfWhatGoes reads a topic, and looks for times in it, while its segments
// are dropped, journals written over, the topic deleted and made again, and the log
// closed: a record has what belongs to its offset, or there is an error that says
// what has happened. Then no file is open.
func TestReadersOfWhatGoes(t *testing.T) {
	fs := &countFS{open: map[string]int{}, FS: vfs.NewMem()}
	l := openTest(t, fs, func(o *Options) {
		o.Inline, o.JournalBytes, o.SegmentBytes, o.DeferRunBytes, o.LargeRunBytes, o.coldAfter = false, 4000, 3000, 100, 1000, 1
	})
	p := log.Partition{Topic: "t"}
	value := func(offset int64) string { return fmt.Sprint(offset, ":", strings.Repeat("v", int(offset*37%1200))) }
	var readers sync.WaitGroup
	for g := range 4 {
		readers.Go(func() {
			var r log.Records
			for offset := int64(0); ; {
				next, err := l.Fetch(ctx, p, offset, 2000, &r)
				if g == 3 && err == nil {
					_, err = l.FindOffset(ctx, log.OffsetQuery{Partition: p, Time: 1000})
				}
				gone := (*log.OffsetRangeError)(nil)
				switch {
				case errors.Is(err, log.ErrClosed):
					return
				case errors.As(err, &gone):
					next = gone.Start
				case errors.Is(err, log.ErrUnknownTopic):
					next = 0
				case err != nil:
					t.Error(err)
					return
				}
				for i := range r.Len() {
					if got, want := string(r.Value(i)), value(r.Offsets[i]); got != want {
						t.Errorf("offset %d has %.20q, want %.20q", r.Offsets[i], got, want)
						return
					}
				}
				if offset = next; g > 1 && next%5 == 0 {
					offset = 0 // reads from the start again
				}
			}
		})
	}
	rounds := 12
	if raceDetector {
		rounds = 2
	}
	for range rounds {
		if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
			t.Fatal(err)
		}
		for offset := range int64(150) {
			produceTest(t, l, p, value(offset))
			if offset%10 == 9 {
				l.Housekeep() // makes segments cold that are not being read
			}
			if offset%25 == 24 {
				if err := l.Trim(ctx, p, offset-20); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.DeleteTopic(ctx, "t"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for offset := range int64(150) {
		produceTest(t, l, p, value(offset))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	readers.Wait()
	if len(fs.open) > 0 || fs.err != nil {
		t.Errorf("open: %v; %v", fs.open, fs.err)
	}
}
