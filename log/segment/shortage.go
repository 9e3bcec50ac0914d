package segment

import (
	"errors"
	"fmt"
	"syscall"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A shortageError is a write that found less space than it takes, or a file that
// could not be opened because the process or the system has as many open as it may:
// nothing else has changed, and the same may succeed later.
//
// What a shortage keeps from being done waits, or is done without:
//
//	checkpoint        waits, the journal grows meanwhile
//	segment that ends goes on beyond its size
//	large run         goes to the journal, if its segment can't be made durable
//	first segment     who writes to the partition is refused
//	cold segment      who reads it is refused
//	compaction        is tried again later
//
// Without space no records are taken; without files they are, as long as the
// journal has room. A sync is never in short of anything: if it fails, what was
// written may be lost.
type shortageError struct{ error }

func (e *shortageError) Unwrap() error { return e.error }

// asShortage makes err, of a write or of opening a file, a shortageError if that is
// what it says.
func asShortage(err error) error {
	switch {
	case err == nil:
		return nil
	case noFiles(err):
		return &shortageError{fmt.Errorf("%w: %w", log.ErrNoFiles, err)}
	case vfs.IsNoSpaceError(err):
		return &shortageError{err}
	}
	return err
}

// noFiles reports whether a file could not be opened because there is no room for
// another open one.
func noFiles(err error) bool {
	for _, short := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, short) {
			return true
		}
	}
	return false
}

// waitFor has a checkpoint wait for what it is short of, as err says, until the
// next look at the disk. Without space no records are taken until then.
func (l *Log) waitFor(err error) {
	l.waits.Store(true)
	if l.noteFiles(err); noFiles(err) {
		return
	}
	l.full.Store(true)
	l.opts.Logger.Error("a checkpoint waits for space on the disk; no records are taken until then", "dir", l.opts.Dir, "error", err)
}

// noteFiles says once that no more files can be opened, if that is what err says.
func (l *Log) noteFiles(err error) {
	if noFiles(err) && !l.noFiles.Swap(true) {
		l.opts.Logger.Error("no more files can be opened: what needs one waits or is refused until some are closed; raise the limit of open files (ulimit -n)", "dir", l.opts.Dir, "error", err)
	}
}

// checkFiles looks whether files can be opened again, unless a checkpoint waits for
// them and is going to tell.
func (l *Log) checkFiles() {
	if !l.noFiles.Load() || l.waits.Load() {
		return
	}
	if d, err := openDir(l.opts.FS, l.opts.Dir); err == nil {
		_ = d.Close()
		l.filesAgain()
	}
}

// filesAgain takes back noteFiles.
func (l *Log) filesAgain() {
	if l.noFiles.Swap(false) {
		l.opts.Logger.Info("files can be opened again", "dir", l.opts.Dir)
	}
}

// checkShort refuses records that there is no room for until a shortage is over:
// only those of the essential topic go on.
func (l *Log) checkShort(topic string) error {
	switch {
	case topic == l.opts.Essential:
		return nil
	case l.full.Load():
		return fmt.Errorf("%w: nothing is written to %s until there is space", log.ErrDiskFull, l.opts.Dir)
	case l.noFiles.Load() && l.journal.bytes >= max(2*l.journalLimit(), l.floodLimit()):
		return fmt.Errorf("%w: nothing is written to %s until a checkpoint can open some", log.ErrNoFiles, l.opts.Dir)
	}
	return nil
}

// explainStart says of a start that found no space how much it may take.
func (l *Log) explainStart(err error) error {
	if !vfs.IsNoSpaceError(err) {
		return err
	}
	fs, need := l.opts.FS, int64(1<<20) // for a journal and a checkpoint
	names, _ := fs.List(l.opts.Dir)
	for n := range listJournals(names) {
		if info, serr := fs.Stat(journalName(fs, l.opts.Dir, n)); serr == nil {
			need += info.Size() // all of it may have to go to segments
		}
	}
	_, free := l.Space()
	return fmt.Errorf("%w: a start needs up to %d MiB in %s, %d MiB are free: free some and start again; nothing is lost: %w",
		log.ErrDiskFull, (need+1<<20-1)>>20, l.opts.Dir, max(free, 0)>>20, err)
}
