package segment

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// reserveName is a file that takes up space which is given free when the disk
// is full, so that what is under way can be finished and the log stays whole.
const reserveName = "reserve"

// watchSpace has the log told when the disk is full, or a quota used up: the reserve is given free,
// the write that failed goes on, and no records are taken until there is space
// again.
func (l *Log) watchSpace() {
	inner := vfs.FS(quotaFS{l.opts.FS})
	l.opts.FS = vfs.OnDiskFull(inner, func() {
		if !l.full.Swap(true) {
			l.opts.Logger.Error("the disk is full; no records are taken until there is space", "dir", l.opts.Dir)
		}
		_ = inner.Remove(inner.PathJoin(l.opts.Dir, reserveName))
	})
}

// Space implements log.Broker.
func (l *Log) Space() (total, free int64) {
	usage, err := l.opts.FS.GetDiskUsage(l.opts.Dir)
	if err != nil {
		return -1, -1
	}
	return int64(min(usage.TotalBytes, math.MaxInt64)), int64(min(usage.AvailBytes, math.MaxInt64))
}

// checkSpace looks at how much space is left: below the reserve's size no
// records are taken, from twice that on they are, and the reserve is made again.
// A filesystem that can't tell is taken to have space.
func (l *Log) checkSpace() {
	l.waits.Store(false)
	if l.opts.ReserveBytes < 0 {
		l.full.Store(false)
		return
	}
	reserve := uint64(l.opts.ReserveBytes)
	usage, err := l.opts.FS.GetDiskUsage(l.opts.Dir)
	free := usage.AvailBytes
	if err != nil {
		free = 2 * reserve
	}
	if err == nil {
		l.flood.Store(int64(min(uint64(l.opts.FloodBytes), free/16)))
	}
	l.spareSpace(err == nil && free < 4*uint64(l.opts.JournalBytes))
	_, serr := l.opts.FS.Stat(l.opts.FS.PathJoin(l.opts.Dir, reserveName))
	reserved := serr == nil
	switch {
	case reserved && free >= reserve/8 || free >= 2*reserve:
		if !reserved && !l.unreserved {
			if err := l.makeReserve(); vfs.IsNoSpaceError(err) {
				return
			} else if err != nil && !errors.As(err, new(*shortageError)) {
				l.unreserved = true
				l.opts.Logger.Warn("no space is reserved for a full disk", "dir", l.opts.Dir, "error", err)
			}
		}
		if l.full.Swap(false) {
			l.opts.Logger.Info("there is space on the disk again; records are taken", "dir", l.opts.Dir)
		}
	case !l.full.Swap(true):
		l.opts.Logger.Error("the disk is nearly full; no records are taken until there is space", "dir", l.opts.Dir, "free_bytes", free)
	}
}

// spareSpace has journals take less space, or as much as they like again. What
// they take now is given free by a checkpoint.
func (l *Log) spareSpace(tight bool) {
	if l.tight.Swap(tight) != tight && tight {
		l.queue.add(&request{done: func(error) {}, check: func(*request) error { l.due = true; return nil }})
	}
}

// floodBytesPerSecond is what a journal takes on average in a flood.
const floodBytesPerSecond = 64 << 20

// journalFull reports whether it is time for a checkpoint. One writes all data a
// second time: in a flood it waits until that is over, or the journal as long as
// the next start should have to read.
func (l *Log) journalFull() bool {
	bytes := l.journal.bytes + l.largeBytes/8
	if bytes < l.journalLimit() {
		return false
	}
	flood := l.opts.Clock != nil && float64(bytes) > floodBytesPerSecond*l.opts.time().Sub(l.journal.began).Seconds()
	return !flood || bytes >= l.floodLimit()
}

// floodLimit is what a journal may grow to in a flood.
func (l *Log) floodLimit() int64 {
	if l.tight.Load() {
		return l.journalLimit()
	}
	return max(l.journalLimit(), l.flood.Load())
}

// journalLimit is how many bytes make a checkpoint where there is no flood.
func (l *Log) journalLimit() int64 {
	if l.tight.Load() {
		return l.opts.JournalBytes / 16
	}
	return l.opts.JournalBytes
}

// mayDefer reports whether so many bytes may stay in the journal alone: there must
// be space for what a checkpoint is going to write of them. It looks at the disk
// every now and then, and leaves the reserve for who else writes there.
func (l *Log) mayDefer(bytes int64) bool {
	if l.tight.Load() {
		return false
	}
	if bytes > l.room {
		const most = 16 << 20
		usage, err := l.opts.FS.GetDiskUsage(l.opts.Dir)
		if l.room = most; err == nil {
			unsettled := l.settling + l.journal.bytes
			l.room = min(most, (int64(min(usage.AvailBytes, math.MaxInt64))-unsettled-l.opts.ReserveBytes)/2)
		}
		if bytes > l.room {
			return false
		}
	}
	l.room -= bytes
	return true
}

// hasSpace reports whether there are so many bytes on the disk, without the reserve.
// A filesystem that can't tell is taken to have them.
func (l *Log) hasSpace(bytes int64) bool {
	usage, err := l.opts.FS.GetDiskUsage(l.opts.Dir)
	return err != nil || usage.AvailBytes >= uint64(bytes)
}

// roomFor reports whether an entry may have so many bytes, which go to the journal
// and to segments: without space for it the log would fail in the middle. The
// reserve is enough for one that is gathered; more must find space beside it. So
// must all once the reserve is given free, or go where the journal writes over what
// its file held before.
func (l *Log) roomFor(bytes int) bool {
	const more = 64 << 10 // what the filesystem takes for itself
	if bytes > gatherBytes {
		return l.hasSpace(2 * int64(bytes))
	}
	if !l.full.Load() || l.journal.end()+int64(bytes)+more <= l.journal.space {
		return true
	}
	_, err := l.opts.FS.Stat(l.opts.FS.PathJoin(l.opts.Dir, reserveName))
	return err == nil || l.hasSpace(2*int64(bytes)+more)
}

func (l *Log) makeReserve() error {
	fs := l.opts.FS
	f, err := fs.Create(fs.PathJoin(l.opts.Dir, reserveName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return asShortage(fmt.Errorf("making reserve: %w", err))
	}
	err = f.Preallocate(0, l.opts.ReserveBytes)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = fs.Remove(fs.PathJoin(l.opts.Dir, reserveName))
		return asShortage(fmt.Errorf("making reserve: %w", err))
	}
	return nil
}
