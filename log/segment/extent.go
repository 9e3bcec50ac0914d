package segment

import (
	"fmt"
	"io"
	"math"
	"sort"
	"sync"
	"sync/atomic"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A source is a journal's file for those who read batches in it. Extents hold it,
// and the log until the checkpoint has made the journal needless; the last one
// closes it.
type source struct {
	file    vfs.File
	journal int // its number
	refs    atomic.Int32
}

func openSource(fs vfs.FS, name string, journal int) (*source, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, asShortage(fmt.Errorf("opening journal to read: %w", err))
	}
	s := &source{file: f, journal: journal}
	s.refs.Store(1)
	return s, nil
}

// release reports whether nobody holds the source any more.
func (s *source) release() bool {
	if s.refs.Add(-1) > 0 {
		return false
	}
	_ = s.file.Close()
	return true
}

// An extent is a part of a segment that stands in a journal and not yet in the
// segment's file.
type extent struct {
	pos, bytes int64 // in the segment
	at         int64 // in the source
	source     *source
}

// extents are those of a segment, by position. The committer adds to them, a
// checkpoint takes from their beginning, readers look.
type extents struct {
	first atomic.Int64 // position of the first one, MaxInt64 if there is none

	mu   sync.Mutex
	list []extent // what it holds is not changed, nor its array within its length

	// reading is held, shared, by readers for as long as they use a list. Who
	// has taken extents away waits for those before it gives the sources free.
	reading sync.RWMutex
}

func (x *extents) init() { x.first.Store(math.MaxInt64) }

func (x *extents) any() bool { return x.first.Load() != math.MaxInt64 }

// add takes in an extent behind the others.
func (x *extents) add(e extent) {
	e.source.refs.Add(1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.list = append(x.list, e); len(x.list) == 1 {
		x.first.Store(e.pos)
	}
}

func (x *extents) snapshot() []extent {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.list
}

// readAt reads what is in the extents from there and the rest from file. It
// returns how much of buf it has filled if that is not all.
func (x *extents) readAt(file vfs.File, buf []byte, pos int64) (n int, err error) {
	if pos+int64(len(buf)) <= x.first.Load() {
		return file.ReadAt(buf, pos)
	}
	x.reading.RLock()
	defer x.reading.RUnlock()
	list := x.snapshot()
	i := sort.Search(len(list), func(i int) bool { return list[i].pos+list[i].bytes > pos })
	for n < len(buf) {
		part, from, at := buf[n:], file, pos
		if i < len(list) && list[i].pos <= pos {
			e := list[i]
			at = e.at + pos - e.pos
			from, part = e.source.file, part[:min(int64(len(part)), e.pos+e.bytes-pos)]
			i++
		} else if i < len(list) {
			part = part[:min(int64(len(part)), list[i].pos-pos)]
		}
		m, err := from.ReadAt(part, at)
		n += m
		pos += int64(m)
		if m < len(part) {
			return n, err
		}
	}
	return n, nil
}

// settleBytes is the size of the writes that settle makes.
const settleBytes = 1 << 20

// settle writes what journals before the one given have to file, and returns in how
// many extents that is; they may be dropped once the file is synced. It does not
// do that, but has the disk begin with each write: the journal is synced all the
// while, and must not wait for all at once.
func (x *extents) settle(before int, file vfs.File) (n int, err error) {
	var buf []byte
	list := x.snapshot()
	n = sort.Search(len(list), func(i int) bool { return list[i].source.journal >= before })
	for rest := list[:n]; len(rest) > 0; {
		// Those that follow each other are written at once.
		pos := rest[0].pos
		end, count := pos, 0
		for count < len(rest) && rest[count].pos == end && (count == 0 || end+rest[count].bytes-pos <= settleBytes) {
			end += rest[count].bytes
			count++
		}
		if int64(len(buf)) < end-pos {
			last := list[n-1]
			buf = make([]byte, max(end-pos, min(last.pos+last.bytes-pos, settleBytes)))
		}
		for _, e := range rest[:count] {
			part := buf[e.pos-pos:][:e.bytes]
			if m, err := e.source.file.ReadAt(part, e.at); m < len(part) {
				if err == nil || err == io.EOF {
					err = fmt.Errorf("%w: it is shorter than it was", log.ErrCorrupt)
				}
				return 0, fmt.Errorf("reading journal-%d: %w", e.source.journal, err)
			}
		}
		if !seeded("extents-not-settled") {
			if _, err := file.WriteAt(buf[:end-pos], pos); err != nil {
				return 0, asShortage(fmt.Errorf("writing segment: %w", err))
			}
			if _, err := file.SyncTo(end); err != nil {
				return 0, fmt.Errorf("syncing segment: %w", err)
			}
		}
		rest = rest[count:]
	}
	return n, nil
}

// drop takes the first n extents away.
func (x *extents) drop(n int) {
	if n == 0 {
		return
	}
	x.mu.Lock()
	gone := x.list[:n]
	if x.list = x.list[n:]; len(x.list) == 0 {
		x.list = nil
		x.first.Store(math.MaxInt64)
	} else {
		x.first.Store(x.list[0].pos)
	}
	x.mu.Unlock()
	x.reading.Lock() // waits for readers
	//lint:ignore SA2001 nothing is to be done meanwhile
	x.reading.Unlock()
	for _, e := range gone {
		e.source.release()
	}
}
