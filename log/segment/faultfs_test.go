package segment

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// An fsOp is a filesystem operation that changes something.
type fsOp struct {
	kind string // create, open, write, sync, syncto, dirsync, remove, removeall, rename, mkdir, read
	path string
	data []byte // of a write
	pos  int64  // of a write
}

// A faultFS calls hook before each operation that changes something; if that
// gives an error the operation is not made. Of a write that fails with errShort
// half is made. If reads says so it is called before reads, too; if opens does, before
// all that opens a file or a directory, as a create or an open.
type faultFS struct {
	vfs.FS
	hook  func(fsOp) error
	reads bool
	opens bool
}

func (f *faultFS) opening(name string) error {
	if !f.opens {
		return nil
	}
	return f.hook(fsOp{kind: "open", path: name})
}

func (f *faultFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if f.reads {
		if err := f.hook(fsOp{kind: "read", path: name}); err != nil {
			return nil, err
		}
	}
	if err := f.opening(name); err != nil {
		return nil, err
	}
	return f.file(name)(f.FS.Open(name, o...))
}

var errShort = &os.PathError{Op: "write", Path: "half of it", Err: io.ErrShortWrite}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.hook(fsOp{kind: "create", path: name}); err != nil {
		return nil, err
	}
	return f.file(name)(f.FS.Create(name, c))
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.hook(fsOp{kind: "open", path: name}); err != nil {
		return nil, err
	}
	return f.file(name)(f.FS.OpenReadWrite(name, c, o...))
}

func (f *faultFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.hook(fsOp{kind: "rename", path: to}); err != nil {
		return nil, err
	}
	if err := f.opening(to); err != nil {
		_ = f.FS.Rename(from, to) // which is done before
		return nil, err
	}
	return f.file(to)(f.FS.ReuseForWrite(from, to, c))
}

func (f *faultFS) OpenDir(name string) (vfs.File, error) {
	if err := f.opening(name); err != nil {
		return nil, err
	}
	d, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: d, fs: f, path: name, dir: true}, nil
}

func (f *faultFS) Remove(name string) error {
	if err := f.hook(fsOp{kind: "remove", path: name}); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faultFS) RemoveAll(name string) error {
	if err := f.hook(fsOp{kind: "removeall", path: name}); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *faultFS) Rename(from, to string) error {
	if err := f.hook(fsOp{kind: "rename", path: to}); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := f.hook(fsOp{kind: "mkdir", path: dir}); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir, perm)
}

func (f *faultFS) file(name string) func(vfs.File, error) (vfs.File, error) {
	return func(file vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &faultFile{File: file, fs: f, path: name}, nil
	}
}

type faultFile struct {
	vfs.File
	fs   *faultFS
	path string
	dir  bool
	pos  int64
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.fs.hook(fsOp{kind: "write", path: f.path, data: p, pos: f.pos}); err != nil {
		n := 0
		if err == errShort {
			n, _ = f.File.Write(p[:len(p)/2])
			f.pos += int64(n)
		}
		return n, err
	}
	n, err := f.File.Write(p)
	f.pos += int64(n)
	return n, err
}

func (f *faultFile) WriteAt(p []byte, pos int64) (int, error) {
	if err := f.fs.hook(fsOp{kind: "write", path: f.path, data: p, pos: pos}); err != nil {
		n := 0
		if err == errShort {
			n, _ = f.File.WriteAt(p[:len(p)/2], pos)
		}
		return n, err
	}
	return f.File.WriteAt(p, pos)
}

func (f *faultFile) Read(p []byte) (int, error) {
	if f.fs.reads {
		if err := f.fs.hook(fsOp{kind: "read", path: f.path}); err != nil {
			return 0, err
		}
	}
	return f.File.Read(p)
}

func (f *faultFile) ReadAt(p []byte, pos int64) (int, error) {
	if f.fs.reads {
		if err := f.fs.hook(fsOp{kind: "read", path: f.path, pos: pos}); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, pos)
}

func (f *faultFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.hook(fsOp{kind: "syncto", path: f.path}); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

func (f *faultFile) Sync() error {
	kind := "sync"
	if f.dir {
		kind = "dirsync"
	}
	if err := f.fs.hook(fsOp{kind: kind, path: f.path}); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error {
	if err := f.fs.hook(fsOp{kind: "sync", path: f.path}); err != nil {
		return err
	}
	return f.File.SyncData()
}
