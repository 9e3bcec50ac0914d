package segment

import (
	"errors"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A quotaFS makes a quota that is used up the same as a full disk, which is what
// vfs.OnDiskFull knows. A sync that fails for it stays what it is: what was
// written may be lost.
type quotaFS struct{ vfs.FS }

// A quotaError is ENOSPC, in the words of the quota's error.
type quotaError struct{ error }

func (quotaError) Unwrap() error { return syscall.ENOSPC }

func asFull(err error) error {
	if err != nil && errors.Is(err, syscall.EDQUOT) {
		return quotaError{err}
	}
	return err
}

func (q quotaFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return quotaed(q.FS.Create(name, c))
}

func (q quotaFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return quotaed(q.FS.OpenReadWrite(name, c, o...))
}

func (q quotaFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return quotaed(q.FS.ReuseForWrite(from, to, c))
}

func (q quotaFS) MkdirAll(dir string, perm os.FileMode) error {
	return asFull(q.FS.MkdirAll(dir, perm))
}

func (q quotaFS) Rename(from, to string) error { return asFull(q.FS.Rename(from, to)) }

func (q quotaFS) Unwrap() vfs.FS { return q.FS }

type quotaFile struct{ vfs.File }

func quotaed(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, asFull(err)
	}
	return quotaFile{f}, nil
}

func (f quotaFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, asFull(err)
}

func (f quotaFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, asFull(err)
}

func (f quotaFile) Preallocate(at, bytes int64) error {
	return asFull(f.File.Preallocate(at, bytes))
}
