package segment

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"sync"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexEveryBytes is the spacing of a segment's index entries.
const indexEveryBytes = 4 << 10

// A partition is a list of segments. Only the committer changes it; readers
// take the lock to look at it and read files without.
type partition struct {
	fs  vfs.FS
	dir string

	mu       sync.RWMutex
	start    int64 // first offset kept
	next     int64 // next offset: the high watermark
	segments []*segmentFile
	dirMade  bool
	dirDirty bool // entries of dir, or dir itself, are not synced
	closed   bool
}

// A segmentFile holds the batches from base up to the next segment's base.
type segmentFile struct {
	base  int64
	file  vfs.File
	size  int64 // bytes of readable batches
	end   int64 // bytes of written batches; the committer's
	dirty bool  // has bytes that are not synced

	// The index is derived: an entry for the first batch of every
	// indexEveryBytes. indexed is the size up to which it is built.
	index   []indexEntry
	indexed int64
	maxTime int64 // of all indexed batches
}

type indexEntry struct {
	offset  int64
	pos     int64
	maxTime int64 // of all batches before pos
}

func segmentName(base int64) string { return fmt.Sprintf("%020d.log", base) }

// parseSegmentName returns the base offset in a segment file's name.
func parseSegmentName(name string) (int64, bool) {
	if len(name) != 24 || name[20:] != ".log" {
		return 0, false
	}
	base, err := strconv.ParseInt(name[:20], 10, 64)
	return base, err == nil
}

// needsRoll reports whether a batch of n bytes begins a new segment.
func (p *partition) needsRoll(n int, segmentBytes int64) bool {
	if len(p.segments) == 0 {
		return true
	}
	last := p.segments[len(p.segments)-1]
	return last.end > 0 && last.end+int64(n) > segmentBytes
}

// active returns the segment to append at base to, making a new one if roll.
func (p *partition) active(base int64, roll bool) (*segmentFile, error) {
	if !roll && len(p.segments) > 0 {
		return p.segments[len(p.segments)-1], nil
	}
	if !p.dirMade {
		if err := p.fs.MkdirAll(p.dir, 0o700); err != nil {
			return nil, fmt.Errorf("making partition directory: %w", err)
		}
		p.dirMade = true
	}
	f, err := p.fs.OpenReadWrite(p.fs.PathJoin(p.dir, segmentName(base)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("making segment: %w", err)
	}
	p.dirDirty = true
	s := &segmentFile{base: base, file: f}
	p.mu.Lock()
	p.segments = append(p.segments, s)
	p.mu.Unlock()
	return s, nil
}

// write puts a batch at the end of the active segment; it is not readable
// until publish.
func (p *partition) write(batch []byte, base int64, roll bool) (*segmentFile, error) {
	s, err := p.active(base, roll)
	if err != nil {
		return nil, err
	}
	if _, err := s.file.WriteAt(batch, s.end); err != nil {
		return nil, fmt.Errorf("writing segment: %w", err)
	}
	s.end += int64(len(batch))
	s.dirty = true
	return s, nil
}

// publish makes the next n bytes of s readable, which end at offset next.
func (p *partition) publish(s *segmentFile, n int, next int64) {
	p.mu.Lock()
	s.size += int64(n)
	p.next = next
	p.mu.Unlock()
}

// sync makes all segments and their directory entries durable.
func (p *partition) sync() error {
	for _, s := range p.segments {
		if !s.dirty {
			continue
		}
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("syncing segment: %w", err)
		}
		s.dirty = false
	}
	if !p.dirDirty {
		return nil
	}
	// The partition's directory, its topic's, and the one of all topics.
	for dir, i := p.dir, 0; i < 3; dir, i = p.fs.PathDir(dir), i+1 {
		if err := syncDir(p.fs, dir); err != nil {
			return err
		}
	}
	p.dirDirty = false
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("opening directory to sync: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	return nil
}

// trim moves the start up to offset and removes whole segments below it.
func (p *partition) trim(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start = max(p.start, min(offset, p.next))
	for len(p.segments) > 1 && p.segments[1].base <= p.start {
		s := p.segments[0]
		_ = s.file.Close()
		_ = p.fs.Remove(p.fs.PathJoin(p.dir, segmentName(s.base)))
		p.segments = p.segments[1:]
		p.dirDirty = true
	}
}

func (p *partition) bounds() log.Bounds {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return log.Bounds{Start: p.start, HighWatermark: p.next, LastStable: p.next}
}

// locate returns the segment that holds offset, its readable size and the
// position of a batch at or before offset.
func (p *partition) locate(offset int64) (s *segmentFile, pos, size int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, 0, 0, log.ErrClosed
	}
	if offset < p.start || offset > p.next {
		return nil, 0, 0, fmt.Errorf("%w: %d is not within %d and %d", log.ErrOffsetRange, offset, p.start, p.next)
	}
	if offset == p.next {
		return nil, 0, 0, nil
	}
	i := sort.Search(len(p.segments), func(i int) bool { return p.segments[i].base > offset }) - 1
	if i < 0 {
		return nil, 0, 0, fmt.Errorf("%w: no segment holds offset %d", log.ErrCorrupt, offset)
	}
	s = p.segments[i]
	if err := s.extendIndex(); err != nil {
		return nil, 0, 0, err
	}
	return s, s.position(offset), s.size, nil
}

// position returns the position of the last index entry at or before offset.
func (s *segmentFile) position(offset int64) int64 {
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].offset > offset }) - 1
	if i < 0 {
		return 0
	}
	return s.index[i].pos
}

// extendIndex reads the headers of the batches that are not indexed yet.
func (s *segmentFile) extendIndex() error {
	var head [log.HeaderBytes]byte
	for s.indexed < s.size {
		if _, err := s.file.ReadAt(head[:], s.indexed); err != nil && err != io.EOF {
			return fmt.Errorf("indexing segment: %w", err)
		}
		b, err := log.ReadHeader(head[:])
		if err != nil {
			return fmt.Errorf("segment %s at byte %d: %w", segmentName(s.base), s.indexed, err)
		}
		if n := len(s.index); n == 0 || s.indexed-s.index[n-1].pos >= indexEveryBytes {
			s.index = append(s.index, indexEntry{offset: b.BaseOffset, pos: s.indexed, maxTime: s.maxTime})
		}
		s.maxTime = max(s.maxTime, b.MaxTime)
		s.indexed += int64(b.Bytes)
	}
	return nil
}

// recordLimit bounds the records of one fetch.
const recordLimit = 1 << 16

// fetch reads batches from offset on into r.
func (p *partition) fetch(offset int64, maxBytes int, r *log.Records) (int64, error) {
	r.Reset()
	s, pos, size, err := p.locate(offset)
	if err != nil || s == nil {
		return offset, err
	}
	// Index entries are sparse: step over batches that end before offset.
	if pos, err = s.seek(pos, size, offset); err != nil {
		return offset, err
	}
	n := min(int64(max(maxBytes, log.HeaderBytes)), size-pos)
	if err := readAt(s.file, r, pos, n); err != nil {
		return offset, err
	}
	next, consumed, err := r.Decode(0, len(r.Buf), offset, recordLimit)
	if err == nil && consumed == 0 && n < size-pos {
		b, herr := log.ReadHeader(r.Buf)
		if herr != nil {
			return offset, herr
		}
		if err := readAt(s.file, r, pos, min(int64(b.Bytes), size-pos)); err != nil {
			return offset, err
		}
		next, consumed, err = r.Decode(0, len(r.Buf), offset, recordLimit)
	}
	if err == nil && consumed == 0 {
		err = fmt.Errorf("%w: segment %s ends within a batch", log.ErrCorrupt, segmentName(s.base))
	}
	return next, err
}

// seek returns the position of the batch that holds offset, from pos on.
func (s *segmentFile) seek(pos, size, offset int64) (int64, error) {
	var head [log.HeaderBytes]byte
	for pos < size {
		if _, err := s.file.ReadAt(head[:], pos); err != nil && err != io.EOF {
			return 0, fmt.Errorf("reading segment: %w", err)
		}
		b, err := log.ReadHeader(head[:])
		if err != nil {
			return 0, fmt.Errorf("segment %s at byte %d: %w", segmentName(s.base), pos, err)
		}
		if b.LastOffset >= offset {
			return pos, nil
		}
		pos += int64(b.Bytes)
	}
	return 0, fmt.Errorf("%w: segment %s ends before offset %d", log.ErrCorrupt, segmentName(s.base), offset)
}

func readAt(f vfs.File, r *log.Records, pos, n int64) error {
	if int64(cap(r.Buf)) < n {
		r.Buf = make([]byte, n)
	}
	r.Buf = r.Buf[:n]
	if m, err := f.ReadAt(r.Buf, pos); int64(m) < n {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("%w: segment is shorter than it was", log.ErrCorrupt)
		}
		return fmt.Errorf("reading segment: %w", err)
	}
	return nil
}

// offsetForTime returns the first offset whose record has a timestamp of at
// least ms, or next.
func (p *partition) offsetForTime(ms int64) (int64, error) {
	b := p.bounds()
	var r log.Records
	for offset := b.Start; offset < b.HighWatermark; {
		from, err := p.skipOlder(offset, ms)
		if err != nil {
			return 0, err
		}
		next, err := p.fetch(max(from, offset), 1<<20, &r)
		if err != nil {
			return 0, err
		}
		for i, t := range r.Timestamps {
			if t >= ms {
				return r.Offsets[i], nil
			}
		}
		offset = next
	}
	return b.HighWatermark, nil
}

// skipOlder returns an offset at or after offset, within its segment, before
// which all records from offset on are older than ms.
func (p *partition) skipOlder(offset, ms int64) (int64, error) {
	s, _, _, err := p.locate(offset)
	if err != nil || s == nil {
		return offset, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].maxTime >= ms }) - 1
	if i < 0 {
		return offset, nil
	}
	return s.index[i].offset, nil
}

func (p *partition) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.segments {
		_ = s.file.Close()
	}
}
