package segment

import (
	"fmt"
	"math"
	"sort"
	"sync"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A partition is a list of segments. Only the committer changes it; readers
// take the lock to look at it and read files without.
type partition struct {
	fs   vfs.FS
	dir  string
	name log.Partition

	mu       sync.RWMutex
	start    int64 // first offset kept
	next     int64 // next offset: the high watermark
	segments []*segmentFile
	epochs   []epochStart // ascending
	gone     error        // why nothing can be read any more

	// The committer's.
	tail     int64 // next offset to give
	dirMade  bool
	dirDirty bool // entries of dirs() are not synced
}

// An epochStart is where the records of a leader epoch begin.
type epochStart struct {
	Epoch int32
	Start int64
}

// needsRoll reports whether a batch of n bytes begins a new segment.
func (p *partition) needsRoll(n int, segmentBytes int64) bool {
	if len(p.segments) == 0 {
		return true
	}
	end := p.segments[len(p.segments)-1].end
	return end > 0 && end+int64(n) > segmentBytes
}

// place reserves room for o, whose offsets are set, in the last segment or, if
// it says roll, in a new one. A fresh segment's file must not hold anything.
func (p *partition) place(o *op, fresh bool) error {
	if o.roll || len(p.segments) == 0 {
		if err := p.roll(o.base, fresh); err != nil {
			return err
		}
	}
	s := p.segments[len(p.segments)-1]
	o.seg, o.pos, o.part = s, s.end, p
	s.end += int64(o.length)
	p.tail = o.last + 1
	return nil
}

// roll begins the segment that starts with offset base.
func (p *partition) roll(base int64, fresh bool) error {
	if !p.dirMade {
		if err := p.fs.MkdirAll(p.dir, 0o700); err != nil {
			return fmt.Errorf("making partition directory: %w", err)
		}
		p.dirMade = true
	}
	name := p.fs.PathJoin(p.dir, segmentName(base))
	open := func() (vfs.File, error) { return p.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified) }
	if fresh {
		open = func() (vfs.File, error) { return p.fs.Create(name, vfs.WriteCategoryUnspecified) }
	}
	f, err := open()
	if err != nil {
		return fmt.Errorf("making segment: %w", err)
	}
	p.dirDirty = true
	s := newSegmentFile(base, f)
	if !fresh {
		s.fileEnd = -1
	}
	s.dirty = true
	p.mu.Lock()
	p.segments = append(p.segments, s)
	p.mu.Unlock()
	return nil
}

// publish makes a written batch readable.
func (p *partition) publish(o *op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.epochs); n == 0 || p.epochs[n-1].Epoch < o.epoch {
		p.epochs = append(p.epochs, epochStart{Epoch: o.epoch, Start: o.base})
	}
	o.seg.extend(o)
	p.next = o.last + 1
}

// dirs are the directories that must be synced for a new segment to be found:
// the partition's, its topic's, the one of all topics and the data directory.
func (p *partition) dirs() []string {
	out := []string{p.dir}
	for range 3 {
		out = append(out, p.fs.PathDir(out[len(out)-1]))
	}
	return out
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
	for _, dir := range p.dirs() {
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

// trim moves the start up to offset and drops whole segments below it, except
// the last; it returns their files, which may be removed.
func (p *partition) trim(offset int64) (files []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start = max(p.start, min(offset, p.next))
	for len(p.segments) > 1 && p.segments[1].base <= p.start {
		s := p.segments[0]
		s.release()
		files = append(files, p.fs.PathJoin(p.dir, segmentName(s.base)))
		p.segments = p.segments[1:]
	}
	for len(p.epochs) > 1 && p.epochs[1].Start <= p.start {
		p.epochs = p.epochs[1:]
	}
	return files
}

func (p *partition) bounds() log.Bounds {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return log.Bounds{Start: p.start, HighWatermark: p.next, LastStable: p.next}
}

// epochEnd returns where the records of newer epochs begin.
func (p *partition) epochEnd(epoch int32) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.epochs {
		if e.Epoch > epoch {
			return e.Start
		}
	}
	return p.next
}

// A view is a segment as of now, held open for a reader.
type view struct {
	seg  *segmentFile
	size int64 // of what may be read
}

// view returns the segment that holds offset, nil at the partition's end. The
// caller releases the segment.
func (p *partition) view(offset int64) (view, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone != nil {
		return view{}, p.gone
	}
	if offset < p.start || offset > p.next {
		return view{}, &log.OffsetRangeError{Partition: p.name, Offset: offset, Start: p.start, End: p.next}
	}
	if offset == p.next {
		return view{}, nil
	}
	i := sort.Search(len(p.segments), func(i int) bool { return p.segments[i].base > offset }) - 1
	if i < 0 {
		return view{}, fmt.Errorf("%w: no segment holds offset %d", log.ErrCorrupt, offset)
	}
	s := p.segments[i]
	s.refs.Add(1)
	return view{seg: s, size: s.size}, nil
}

// maxRecords bounds the records of one fetch.
const maxRecords = 1 << 16

// fetch reads batches from offset on into the empty r.
func (p *partition) fetch(offset int64, maxBytes int, r *log.Records) (int64, error) {
	v, err := p.view(offset)
	if err != nil || v.seg == nil {
		return offset, err
	}
	defer v.seg.release()
	return v.decode(offset, maxBytes, r)
}

// fetchRaw appends encoded batches from r.Offset on to dst.
func (p *partition) fetchRaw(r log.RawFetch, dst []byte) (log.RawFetched, error) {
	out := log.RawFetched{Batches: dst, Bounds: p.bounds()}
	v, err := p.view(r.Offset)
	if err != nil || v.seg == nil {
		return out, err
	}
	defer v.seg.release()
	out.Batches, err = v.raw(r, dst)
	return out, err
}

// offsetForTime returns the first offset whose record has a timestamp of at
// least ms, or the next offset.
func (p *partition) offsetForTime(ms int64) (int64, error) {
	b := p.bounds()
	var r log.Records
	for offset := b.Start; offset < b.HighWatermark; {
		var err error
		if offset, err = p.skipOlder(offset, ms); err != nil {
			return 0, err
		}
		r.Reset()
		next, err := p.fetch(offset, 1<<20, &r)
		if err != nil {
			return 0, err
		}
		for i, t := range r.Timestamps {
			if t >= ms {
				return r.Offsets[i], nil
			}
		}
		if next == offset {
			break
		}
		offset = next
	}
	return b.HighWatermark, nil
}

// skipOlder returns an offset at or after offset that leaves out only records
// older than ms.
func (p *partition) skipOlder(offset, ms int64) (int64, error) {
	v, end, err := p.newerSegment(offset, ms)
	if err != nil || v.seg == nil {
		return end, err
	}
	defer v.seg.release()
	at, err := v.seg.olderThan(ms, v.size)
	return max(at, offset), err
}

// newerSegment returns the first segment that has offset or later ones and a
// record of at least ms; without one, the end.
func (p *partition) newerSegment(offset, ms int64) (v view, end int64, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone != nil {
		return view{}, 0, p.gone
	}
	for i, s := range p.segments {
		last := int64(math.MaxInt64)
		if i+1 < len(p.segments) {
			last = p.segments[i+1].base
		}
		if last > offset && s.size > 0 && s.maxTime >= ms {
			s.refs.Add(1)
			return view{seg: s, size: s.size}, 0, nil
		}
	}
	return view{}, p.next, nil
}

// close gives the files free; reads fail with err from now on.
func (p *partition) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return
	}
	p.gone = err
	for _, s := range p.segments {
		s.release()
	}
}
