package segment

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// beginWrite has the disk begin with what was written to f from pos on, without
// waiting for it. Where that cannot be done a sync does all of it.
func beginWrite(f vfs.File, pos, bytes int64) error {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return nil
	}
	err := unix.SyncFileRange(int(fd), pos, bytes, unix.SYNC_FILE_RANGE_WRITE)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM), errors.Is(err, unix.ESPIPE), errors.Is(err, unix.EOPNOTSUPP):
		return nil
	}
	return err
}
