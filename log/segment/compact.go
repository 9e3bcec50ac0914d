package segment

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Compaction keeps the last record of each key. A pass reads the segments that
// were not compacted yet, up to one still being written or beyond the last
// stable offset, and notes where each key was last seen; then it copies all
// segments up to there without the records that a later one replaces, to files
// of the next generation, syncs them, and has the journal put them in place of
// the old ones. Until that is durable, the old ones are the log; files that the
// journal does not name are removed at the next start.

// A keyHash identifies a key; two keys with one hash are not to be found.
type keyHash [16]byte

func hashKey(key []byte) (h keyHash) {
	sum := sha256.Sum256(key)
	copy(h[:], sum[:])
	return h
}

// A compaction is one pass over a partition.
type compaction struct {
	p        *partition
	settings *settings
	now      int64 // ms
	maxKeys  int
	segments []*segmentFile         // held open; the first so many of the partition's
	from     int64                  // compacted up to here before
	end      int64                  // offset at which this pass ends
	aborted  map[int64][]abortedTxn // by producer, each by last offset
	last     map[int64]int64        // offset of each known producer's last batch

	latest map[keyHash]int64
	alive  map[int64]bool // producers whose open transaction has kept records
	out    *replace
	file   *segmentFile // being written
	buf    []byte

	hasSpace  func() bool
	unchecked int // bytes that may be written until that is asked again
}

// compactionCheckBytes is how much compaction writes until it looks at the space
// again.
const compactionCheckBytes = 8 << 20

// compactionRetryMS is how long a partition is left alone whose compaction did
// not succeed.
const compactionRetryMS = 10 * 60 * 1000

// compactAll compacts the partitions that need it.
func (l *Log) compactAll(ctx context.Context) error {
	if l.full.Load() {
		return nil // it would take what the reserve gave free
	}
	var first error
	for _, t := range l.allTopics() {
		if !t.settings.compacts {
			continue
		}
		for i := range t.partitions {
			p := t.partitions[i]
			if p.offline != nil || l.opts.now() < p.noCompactionUntil {
				continue
			}
			if err := l.compact(ctx, t, int32(i)); err != nil {
				p.noCompactionUntil = l.opts.now() + compactionRetryMS
				first = cmp.Or(first, fmt.Errorf("compacting %s partition %d: %w", t.Name, i, err))
			}
		}
	}
	return first
}

// compactionSpace reports whether there is space for compaction to go on: what it
// takes must not be missing for what is in the journal alone, or make the disk full.
func (l *Log) compactionSpace() bool {
	l.checkSpace()
	if l.full.Load() {
		return false
	}
	return l.hasSpace(max(l.opts.ReserveBytes, 2*compactionCheckBytes) + 2*l.floodLimit())
}

func (l *Log) compact(ctx context.Context, t topic, index int32) error {
	p := t.partitions[index]
	c := &compaction{p: p, settings: t.settings, now: l.opts.now(), maxKeys: l.opts.CompactionKeys, hasSpace: l.compactionSpace}
	defer func() {
		for _, s := range c.segments {
			s.release()
		}
	}()
	if ok, err := p.compactable(c); !ok {
		return err
	}
	err := l.submit(ctx, &request{check: func(*request) error {
		c.last = map[int64]int64{}
		for id, s := range p.producers {
			c.last[id] = s.Last
		}
		return nil
	}})
	if err != nil {
		return err
	}
	c.out = &replace{Partition: partitionID{t.ID, index}}
	if err = c.run(); err == nil {
		err = l.submit(ctx, &request{ops: []op{detailOp(c.out)}, alone: true, check: func(*request) error { return l.checkReplace(c.out) }})
	}
	if err != nil {
		c.discard(errors.Is(err, log.ErrFailed))
	}
	return err
}

// compactable takes the segments for a pass, if there is enough to compact.
func (p *partition) compactable(c *compaction) (bool, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	clean, dirty, overdue := int64(0), int64(0), false
	n := 0
	for i, s := range p.segments {
		if i == len(p.segments)-1 || p.gone != nil || p.endOf(i) > p.stable() && !seeded("compaction-past-stable") || c.settings.tooYoung(s, c.now) {
			break
		}
		n, c.end = i+1, p.endOf(i)
		if c.end <= p.cleaned {
			clean += s.size
			continue
		}
		dirty += s.size
		overdue = overdue || c.settings.overdue(s, c.now)
	}
	if dirty == 0 || !overdue && float64(dirty) < c.settings.dirtyRatio*float64(clean+dirty) {
		return false, nil
	}
	for _, s := range p.segments[:n] {
		if err := s.hold(p.fs, p.path(s.segmentID)); err != nil {
			return false, err
		}
		c.segments = append(c.segments, s)
	}
	c.from, c.aborted = p.cleaned, map[int64][]abortedTxn{}
	for _, t := range p.aborted {
		c.aborted[t.ID] = append(c.aborted[t.ID], t)
	}
	return true, nil
}

// tooYoung reports whether a segment has records that min.compaction.lag.ms keeps
// from being compacted. Without a lag no record is too young, one with a time
// that is yet to come neither.
func (s *settings) tooYoung(f *segmentFile, now int64) bool {
	return s.minLagMS > 0 && f.maxTime > now-s.minLagMS
}

// overdue reports whether a segment has, or may have, records that are older than
// max.compaction.lag.ms, by their own time or by that of their arrival: the first
// one came when the segment began.
func (s *settings) overdue(f *segmentFile, now int64) bool {
	oldest := f.created
	if f.maxTime >= 0 { // else its records have no time
		oldest = min(oldest, f.maxTime)
	}
	return now-oldest > s.maxLagMS
}

func (c *compaction) run() error {
	c.latest, c.alive = map[keyHash]int64{}, map[int64]bool{}
	for _, s := range c.segments {
		if err := c.eachBatch(s, c.note); err != nil {
			return err
		}
	}
	for i, s := range c.segments {
		if s.Base >= c.end {
			break // keys did not fit
		}
		if err := c.fileFor(i); err != nil {
			return err
		}
		c.out.Old = append(c.out.Old, s.segmentID)
		if err := c.eachBatch(s, c.copy); err != nil {
			return err
		}
	}
	c.out.Cleaned = c.end
	if err := c.finishFile(); err != nil {
		return err
	}
	for _, dir := range c.p.dirs() {
		if err := syncDir(c.p.fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// eachBatch calls f with the batches of a segment.
func (c *compaction) eachBatch(s *segmentFile, f func(log.BatchInfo, []byte) error) error {
	c.p.mu.RLock()
	v := view{seg: s, size: s.size, epochs: c.p.epochs}
	c.p.mu.RUnlock()
	s.mu.Lock()
	err := s.buildIndex(v.size) // verifies a compacted one
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var buf []byte
	at := position{offset: s.Base}
	for want := int64(1 << 20); at.pos < v.size; {
		n := min(want, v.size-at.pos)
		buf = slices.Grow(buf[:0], int(n))[:n]
		if err := s.readAt(buf, at.pos); err != nil {
			return err
		}
		first, whole, _, err := v.whole(buf, at)
		if err != nil {
			return err
		}
		want = max(1<<20, int64(first.Bytes))
		for rest := buf[:whole]; len(rest) > 0; {
			b, err := log.CheckBatch(rest[:batchBytes(rest)])
			if err == nil {
				err = f(b, rest[:b.Bytes])
			}
			if err != nil {
				return fmt.Errorf("segment %s at byte %d: %w", s.name(), at.pos, err)
			}
			at = position{b.LastOffset + 1, at.pos + int64(b.Bytes)}
			rest = rest[b.Bytes:]
		}
	}
	return nil
}

// batchBytes returns the length of the whole batch that buf begins with.
func batchBytes(buf []byte) int {
	b, err := log.ReadHeader(buf)
	if err != nil {
		panic(err) // it was read before
	}
	return b.Bytes
}

// note takes in where a batch's keys are. When there are too many, the pass
// ends before the batch.
func (c *compaction) note(b log.BatchInfo, batch []byte) error {
	if b.LastOffset < c.from || b.BaseOffset >= c.end || b.Control() || c.isAborted(b) {
		return nil
	}
	if n := len(c.latest); n > 0 && n+b.Count > c.maxKeys {
		c.end = b.BaseOffset
		return nil
	}
	var r log.Records
	if _, err := r.DecodeBatch(batch); err != nil {
		return err
	}
	for i := range r.Len() {
		if r.KeyLen[i] >= 0 {
			c.latest[hashKey(r.Key(i))] = r.Offsets[i]
		}
	}
	return nil
}

func (c *compaction) isAborted(b log.BatchInfo) bool {
	if !b.Transactional() || seeded("compaction-keeps-aborted") {
		return false
	}
	list := c.aborted[b.Producer.ID] // which do not overlap
	i, _ := slices.BinarySearchFunc(list, b.BaseOffset, func(t abortedTxn, o int64) int { return cmp.Compare(t.Last, o) })
	return i < len(list) && list[i].First <= b.BaseOffset && b.BaseOffset < list[i].Last
}

// copy writes what is kept of a batch.
func (c *compaction) copy(b log.BatchInfo, batch []byte) error {
	switch {
	case b.BaseOffset >= c.end:
		return c.write(b, batch)
	case b.Control():
		return c.copyMarker(b, batch)
	case c.isAborted(b):
		return nil
	}
	var r log.Records
	if _, err := r.DecodeBatch(batch); err != nil {
		return err
	}
	keep, kept, tombstones := make([]bool, r.Len()), 0, false
	for i := range keep {
		if keep[i] = c.keeps(b, &r, i); keep[i] {
			kept++
			tombstones = tombstones || r.ValueLen[i] < 0
		}
	}
	if kept == 0 && c.last[b.Producer.ID] != b.LastOffset {
		return nil
	}
	c.alive[b.Producer.ID] = c.alive[b.Producer.ID] || kept > 0
	horizon := b.Horizon()
	if tombstones && horizon < 0 {
		horizon = c.now + c.settings.deleteMS
	} else if kept == r.Len() {
		return c.write(b, batch)
	}
	out, err := r.Rewrite(b, horizon, func(i int) bool { return keep[i] })
	if err != nil {
		return err
	}
	return c.write(b, out)
}

// keeps reports whether a record stays.
func (c *compaction) keeps(b log.BatchInfo, r *log.Records, i int) bool {
	if r.KeyLen[i] < 0 {
		return false
	}
	if later, found := c.latest[hashKey(r.Key(i))]; found && later > r.Offsets[i] {
		return false
	}
	if r.ValueLen[i] >= 0 {
		return true
	}
	return !c.expired(b) && !seeded("tombstone-too-early")
}

// expired reports whether the batch's tombstones, or its marker, may go.
func (c *compaction) expired(b log.BatchInfo) bool { return b.Horizon() >= 0 && c.now >= b.Horizon() }

// copyMarker keeps a marker while its transaction has records, then until the
// delete horizon, and always while it is the last of its producer.
func (c *compaction) copyMarker(b log.BatchInfo, batch []byte) error {
	alive := c.alive[b.Producer.ID]
	delete(c.alive, b.Producer.ID)
	if alive || c.last[b.Producer.ID] == b.LastOffset {
		return c.write(b, batch)
	}
	if c.expired(b) {
		if log.AbortMarker(batch) {
			c.out.Markers = append(c.out.Markers, b.BaseOffset)
		}
		return nil
	}
	if b.Horizon() >= 0 {
		return c.write(b, batch)
	}
	var r log.Records
	if _, err := r.DecodeBatch(batch); err != nil {
		return err
	}
	out, err := r.Rewrite(b, c.now+c.settings.deleteMS, func(int) bool { return true })
	if err != nil {
		return err
	}
	return c.write(b, out)
}

// fileFor goes on with the file being written if segment i fits in, else
// begins one.
func (c *compaction) fileFor(i int) error {
	s := c.segments[i]
	if c.file != nil && c.file.size+int64(len(c.buf))+s.end <= c.settings.segmentBytes {
		c.file.created = max(c.file.created, s.created)
		return nil
	}
	if err := c.finishFile(); err != nil {
		return err
	}
	id := segmentID{Base: s.Base, Gen: s.Gen + 1}
	f, err := c.p.fs.Create(c.p.path(id), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making compacted segment: %w", err)
	}
	c.file = newSegmentFile(id, f)
	c.file.created = s.created
	return nil
}

func (c *compaction) write(b log.BatchInfo, batch []byte) error {
	info, err := log.ReadHeader(batch)
	if err != nil {
		return err
	}
	c.file.sum = prefixSum(c.file.sum, info)
	c.file.maxTime = max(c.file.maxTime, info.MaxTime)
	if c.buf = append(c.buf, batch...); len(c.buf) < 1<<20 {
		return nil
	}
	return c.flush()
}

func (c *compaction) flush() error {
	if len(c.buf) > 0 {
		if c.unchecked -= len(c.buf); c.unchecked < 0 {
			if c.unchecked = compactionCheckBytes; !c.hasSpace() {
				return fmt.Errorf("%w: compaction needs more space than there is", log.ErrDiskFull)
			}
		}
		if _, err := c.file.file.Write(c.buf); err != nil {
			return fmt.Errorf("writing compacted segment: %w", err)
		}
	}
	c.file.size += int64(len(c.buf))
	c.buf = c.buf[:0]
	return nil
}

// finishFile makes the file being written durable. One without batches is
// dropped.
func (c *compaction) finishFile() error {
	s := c.file
	if s == nil {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.file = nil
	if s.size == 0 {
		s.release()
		return c.p.fs.Remove(c.p.path(s.segmentID))
	}
	c.out.files = append(c.out.files, s)
	s.end, s.fileEnd = s.size, -1
	c.out.New = append(c.out.New, checkpointSegment{segmentID: s.segmentID, Bytes: s.size, MaxTime: s.maxTime, Created: s.created, Sum: s.sum})
	if seeded("no-compaction-sync") {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("syncing compacted segment: %w", err)
	}
	return nil
}

// discard drops what was written. The files stay if the journal may name them.
func (c *compaction) discard(named bool) {
	if c.file != nil {
		c.out.files = append(c.out.files, c.file)
	}
	for _, s := range c.out.files {
		s.release()
		if !named || seeded("compacted-files-removed") {
			_ = c.p.fs.Remove(c.p.path(s.segmentID))
		}
	}
}

// checkReplace makes sure that the segments to be replaced are still the
// partition's first.
func (l *Log) checkReplace(d *replace) error {
	t := l.byID[d.Partition.Topic]
	if t == nil || d.Partition.Index < 0 || d.Partition.Index >= t.Partitions {
		return fmt.Errorf("topic %s has no partition %d any more", d.Partition.Topic, d.Partition.Index)
	}
	p := t.partitions[d.Partition.Index]
	for i, id := range d.Old {
		if i >= len(p.segments)-1 || p.segments[i].segmentID != id {
			return fmt.Errorf("segment %s is no longer the one that was compacted", id.name())
		}
	}
	return nil
}

// redoReplace opens the segments that a journal's operation puts in place.
func (l *Log) redoReplace(d *replace) error {
	if err := l.checkReplace(d); err != nil {
		return err
	}
	p := l.byID[d.Partition.Topic].partitions[d.Partition.Index]
	for _, c := range d.New {
		s, err := p.openSegment(c)
		if err != nil {
			return err
		}
		d.files = append(d.files, s)
	}
	return nil
}

// replace puts compacted segments in place of others and returns the files of
// those.
func (p *partition) replace(d *replace) (old []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.segments[:len(d.Old)] {
		old = append(old, p.path(s.segmentID))
		s.release()
	}
	p.segments = append(slices.Clone(d.files), p.segments[len(d.Old):]...)
	p.cleaned = d.Cleaned
	p.aborted = slices.DeleteFunc(slices.Clone(p.aborted), func(t abortedTxn) bool {
		_, gone := slices.BinarySearch(d.Markers, t.Last)
		return gone
	})
	return old
}
