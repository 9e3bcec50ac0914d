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
	open     []openTxn    // by first offset
	aborted  []abortedTxn // by last offset; what it holds is not changed
	cleaned  int64        // compacted up to this offset
	gone     error        // why nothing can be read any more
	offline  error        // why the partition takes no part, see offline.go; it stays as it was at open

	// The committer's.
	settings  *settings
	producers map[int64]*producerState
	tail      int64 // next offset to give
	dirMade   bool
	first     vfs.File            // of the first segment, before that has a batch; see makeFirst
	saved     checkpointPartition // of one that is offline: what checkpoints say of it
	held      journal             // of one that is offline: the file being written, by Open

	noCompactionUntil int64 // ms; the housekeeping's
	dirDirty          bool  // entries of dirs() are not synced
	dirCut            int   // journal whose checkpoint has them synced
}

// An epochStart is where the records of a leader epoch begin.
type epochStart struct {
	Epoch int32
	Start int64
}

// needsRoll reports whether a batch of n bytes begins a new segment.
func (p *partition) needsRoll(n int, now int64) bool {
	if len(p.segments) == 0 {
		return true
	}
	s := p.segments[len(p.segments)-1]
	if s.created > now { // the clock was ahead then; the segment must not last until it is that late
		p.mu.Lock()
		s.created = now
		p.mu.Unlock()
	}
	return s.end > 0 && (s.end+int64(n) > p.settings.segmentBytes || now-s.created >= p.settings.segmentMS)
}

// place reserves room for o, whose offsets are set, in the last segment or, if
// it says roll, in a new one. A fresh segment's file must not hold anything.
func (p *partition) place(o *op, fresh bool, now int64) error {
	if o.roll || len(p.segments) == 0 {
		if err := p.roll(o.base, fresh, now); err != nil {
			return err
		}
	}
	s := p.segments[len(p.segments)-1]
	o.seg, o.pos, o.part = s, s.end, p
	s.end += int64(o.length)
	p.tail = o.info.LastOffset + 1
	return nil
}

// roll begins the segment that starts with offset base.
func (p *partition) roll(base int64, fresh bool, now int64) error {
	id := segmentID{Base: base}
	f := p.first
	if p.first = nil; f == nil {
		var err error
		if f, err = p.create(id, fresh); err != nil {
			return err
		}
	}
	p.dirDirty = true
	s := newSegmentFile(id, f)
	s.created = now
	if !fresh {
		s.fileEnd = -1
	}
	s.dirty = true
	p.mu.Lock()
	p.segments = append(p.segments, s)
	p.mu.Unlock()
	return nil
}

// makeFirst makes the file of the first segment, if the partition has none: who
// finds no room for another open file can be refused as long as no batch has its
// place. A later segment need not be made, batches go to the one before.
func (p *partition) makeFirst() (err error) {
	if len(p.segments) > 0 || p.first != nil {
		return nil
	}
	p.first, err = p.create(segmentID{Base: p.tail}, true)
	return err
}

// create makes a segment's file, or opens it where it need not be fresh.
func (p *partition) create(id segmentID, fresh bool) (vfs.File, error) {
	if !p.dirMade {
		if err := p.fs.MkdirAll(p.dir, 0o700); err != nil {
			return nil, asShortage(fmt.Errorf("making partition directory: %w", err))
		}
		p.dirMade = true
	}
	var f vfs.File
	var err error
	if fresh {
		f, err = p.fs.Create(p.path(id), vfs.WriteCategoryUnspecified)
	} else {
		f, err = p.fs.OpenReadWrite(p.path(id), vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, asShortage(fmt.Errorf("making segment: %w", err))
	}
	return f, nil
}

func (p *partition) path(id segmentID) string { return p.fs.PathJoin(p.dir, id.name()) }

// publish makes a written batch readable.
func (p *partition) publish(o *op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.epochs); n == 0 || p.epochs[n-1].Epoch < o.epoch {
		p.epochs = append(p.epochs, epochStart{Epoch: o.epoch, Start: o.base})
	}
	if o.info.Transactional() {
		p.publishTxn(o.info, o.info.Control() && log.AbortMarker(o.batch))
	}
	o.seg.extend(o)
	p.next = o.info.LastOffset + 1
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

// sync makes all segments and their directory entries durable. What a cut has taken
// may still be to be synced, by the checkpoint of the journal syncing.
func (p *partition) sync(syncing int) error {
	for _, s := range p.segments {
		if !s.dirty {
			continue
		}
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("syncing segment: %w", err)
		}
		s.dirty = false
	}
	if !p.dirDirty && (syncing == 0 || p.dirCut != syncing) {
		return nil
	}
	for _, dir := range p.dirs() {
		if err := syncDir(p.fs, dir); err != nil {
			return err
		}
	}
	p.dirDirty, p.dirCut = false, 0
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := openDir(fs, dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return syncOpenDir(d)
}

func openDir(fs vfs.FS, dir string) (vfs.File, error) {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return nil, asShortage(fmt.Errorf("opening directory to sync: %w", err))
	}
	return d, nil
}

func syncOpenDir(d vfs.File) error {
	if seeded("no-directory-sync") {
		return nil
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	return nil
}

// trim moves the start up to offset and drops whole segments below it; it
// returns their files, which may be removed.
func (p *partition) trim(offset int64) (files []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start = max(p.start, min(offset, p.next))
	for len(p.segments) > 0 && p.endOf(0) <= p.start {
		files = append(files, p.path(p.segments[0].segmentID))
		p.segments[0].release()
		p.segments = p.segments[1:]
	}
	for len(p.epochs) > 1 && p.epochs[1].Start <= p.start {
		p.epochs = p.epochs[1:]
	}
	for len(p.aborted) > 0 && p.aborted[0].Last < p.start {
		p.aborted = p.aborted[1:]
	}
	return files
}

// endOf returns the offset at which segment i ends. The caller holds the lock.
func (p *partition) endOf(i int) int64 {
	if i+1 < len(p.segments) {
		return p.segments[i+1].Base
	}
	return p.next
}

func (p *partition) bounds() log.Bounds {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return log.Bounds{Start: p.start, HighWatermark: p.next, LastStable: p.stable()}
}

// epochEnd returns the greatest leader epoch up to the one given, -1 if there
// is none, and where the records of newer epochs begin.
func (p *partition) epochEnd(epoch int32) (last int32, end int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	last = -1
	for _, e := range p.epochs {
		if e.Epoch > epoch {
			return last, e.Start
		}
		last = e.Epoch
	}
	return last, p.next
}

// view returns the segment that holds offset, none at the partition's end. The
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
	v := view{stable: p.stable(), aborted: p.aborted, epochs: p.epochs}
	if offset == p.next {
		return v, nil
	}
	i := sort.Search(len(p.segments), func(i int) bool { return p.segments[i].Base > offset }) - 1
	if i < 0 {
		i = 0 // what was before is compacted away
	}
	if i == len(p.segments) {
		return view{}, fmt.Errorf("%w: no segment holds offset %d", log.ErrCorrupt, offset)
	}
	s := p.segments[i]
	if err := s.hold(p.fs, p.path(s.segmentID)); err != nil {
		return view{}, err
	}
	v.seg, v.size, v.next = s, s.size, p.endOf(i)
	return v, nil
}

// fetch reads committed batches from offset on into the empty r.
func (p *partition) fetch(offset int64, maxBytes int, r *log.Records) (int64, error) {
	for {
		v, err := p.view(offset)
		if err != nil || v.seg == nil || offset >= v.stable {
			v.release()
			return offset, err
		}
		next, err := v.decode(offset, maxBytes, r)
		v.release()
		if err != nil || r.Len() > 0 || next < v.next {
			return next, err
		}
		offset = next // nothing in this segment
	}
}

func (v view) release() {
	if v.seg != nil {
		v.seg.release()
	}
}

// fetchRaw appends encoded batches from r.Offset on to dst.
func (p *partition) fetchRaw(r log.RawFetch, dst []byte) (log.RawFetched, error) {
	out, from := log.RawFetched{Batches: dst, Next: r.Offset, Bounds: p.bounds()}, r.Offset
	for {
		v, err := p.view(r.Offset)
		end := int64(math.MaxInt64)
		if r.Committed {
			end = v.stable
		}
		if err != nil || v.seg == nil || r.Offset >= end {
			v.release()
			return out, err
		}
		batches, next, err := v.raw(r, end, dst)
		v.release()
		if err != nil {
			return out, err
		}
		if len(batches) == len(dst) && next > r.Offset {
			r.Offset = next // nothing in this segment
			out.Next = next
			continue
		}
		out.Batches, out.Next = batches, next
		if r.Committed && len(batches) > len(dst) {
			out.Aborted = abortedIn(v.aborted, from, next)
		}
		return out, nil
	}
}

// offsetForTime returns the first committed record with a timestamp of at least
// ms, and that; the last stable offset and -1 if there is none.
func (p *partition) offsetForTime(ms int64) (offset, at int64, err error) {
	b := p.bounds()
	var r log.Records
	for offset := b.Start; offset < b.LastStable; {
		var err error
		if offset, err = p.skipOlder(offset, ms); err != nil {
			return 0, 0, err
		}
		r.Reset()
		next, err := p.fetch(offset, 1<<20, &r)
		if start, trimmed := trimmedTo(offset, err); trimmed {
			next, err = start, nil
		}
		if err != nil {
			return 0, 0, err
		}
		for i, t := range r.Timestamps {
			if t >= ms {
				return r.Offsets[i], t, nil
			}
		}
		if next == offset {
			break
		}
		offset = next
	}
	return b.LastStable, -1, nil
}

// skipOlder returns an offset at or after offset that leaves out only records
// older than ms.
func (p *partition) skipOlder(offset, ms int64) (int64, error) {
	v, end, err := p.newerSegment(offset, ms)
	if err != nil || v.seg == nil {
		return end, err
	}
	defer v.release()
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
		if p.endOf(i) > offset && s.size > 0 && s.maxTime >= ms {
			if err := s.hold(p.fs, p.path(s.segmentID)); err != nil {
				return view{}, 0, err
			}
			return view{seg: s, size: s.size}, 0, nil
		}
	}
	return view{}, p.next, nil
}

// close gives the files free; reads fail with err from now on.
func (p *partition) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held.file != nil {
		_ = p.held.file.Close()
		p.held.file = nil
	}
	if p.first != nil {
		_ = p.first.Close()
		p.first = nil
	}
	if p.gone != nil {
		return
	}
	p.gone = err
	for _, s := range p.segments {
		s.release()
	}
}
