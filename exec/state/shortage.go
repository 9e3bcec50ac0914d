package state

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble tries a flush that failed again at once, without end, and takes it to be
// fatal if it can't write its manifest. So what it writes waits below it while there
// is no space, or no file can be opened: until the next cut, which tries again. When
// the database is closed, Pebble is left waiting. Reads and syncs do not wait.

// A patience is who waits for a shortage to end.
type patience struct {
	// told is called with why the first one waits, and with nil when nobody does any
	// more.
	told func(error)

	mu      sync.Mutex
	changed sync.Cond
	open    bool // else nobody waits
	waiting int
	tries   int
	failed  int // of those who wait, who have tried again since the last again
}

func newPatience() *patience {
	p := &patience{}
	p.changed.L = &p.mu
	return p
}

// begin has shortages be waited for.
func (p *patience) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
}

// again has those who wait try again.
func (p *patience) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	p.failed = 0
	p.changed.Broadcast()
}

// retry is again, and reports whether anybody waits after that.
func (p *patience) retry() bool {
	p.again()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.failed < p.waiting {
		p.changed.Wait()
	}
	return p.waiting > 0
}

// short reports whether anybody waits.
func (p *patience) short() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting > 0
}

// try calls f until that is not short of anything.
func (p *patience) try(f func() error) error {
	err := f()
	if !short(err) {
		return err
	}
	tries, waits := p.wait(err)
	if !waits {
		return err
	}
	for short(err) {
		p.mu.Lock()
		if tries == p.tries {
			p.failed++
			p.changed.Broadcast()
		}
		for tries == p.tries {
			p.changed.Wait()
		}
		tries = p.tries
		p.mu.Unlock()
		err = f()
	}
	p.mu.Lock()
	p.waiting--
	none := p.waiting == 0
	p.changed.Broadcast()
	p.mu.Unlock()
	if none {
		p.told(nil)
	}
	return err
}

// wait counts one more who waits, because of err, if anybody is to.
func (p *patience) wait(err error) (tries int, waits bool) {
	p.mu.Lock()
	if !p.open {
		p.mu.Unlock()
		return 0, false
	}
	tries = p.tries
	p.waiting++
	first := p.waiting == 1
	p.mu.Unlock()
	if first {
		p.told(err)
	}
	return tries, true
}

// short reports whether err says that there is no space or that no more files can be
// opened.
func short(err error) bool {
	for _, e := range []error{syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err != nil && vfs.IsNoSpaceError(err)
}

// A patientFS waits for a shortage to end.
type patientFS struct {
	vfs.FS
	*patience
}

func (fs patientFS) file(f func() (vfs.File, error)) (file vfs.File, err error) {
	err = fs.try(func() (err error) { file, err = f(); return err })
	if err != nil {
		return nil, err
	}
	return patientFile{file, fs.patience}, nil
}

func (fs patientFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs patientFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, o...) })
}

func (fs patientFS) OpenDir(name string) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.OpenDir(name) })
}

func (fs patientFS) Rename(from, to string) error {
	return fs.try(func() error { return fs.FS.Rename(from, to) })
}

func (fs patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return fs.try(func() error { return fs.FS.MkdirAll(dir, perm) })
}

// Unwrap returns the file system below.
func (fs patientFS) Unwrap() vfs.FS { return fs.FS }

type patientFile struct {
	vfs.File
	*patience
}

func (f patientFile) Write(p []byte) (n int, err error) {
	err = f.try(func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	})
	return n, err
}

func (f patientFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.try(func() (err error) { n, err = f.File.WriteAt(p, at); return err })
	return n, err
}
