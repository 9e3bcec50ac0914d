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

// indexEveryBytes is the spacing of a segment's index entries, indexReadBytes
// the size of the reads that build an index.
const (
	indexEveryBytes = 16 << 10
	indexReadBytes  = 256 << 10
)

// A segmentFile holds the batches from base up to the next segment's base.
type segmentFile struct {
	base int64
	file vfs.File
	refs atomic.Int32 // of the partition and of readers; the last one closes

	size    int64 // bytes of readable batches; guarded by the partition's lock
	maxTime int64 // of those; likewise

	// The committer's.
	end     int64 // bytes of placed batches
	fileEnd int64 // where a sequential write goes, -1 if not known
	dirty   bool  // has bytes or an entry that is not synced

	// The index is derived: an entry for the first batch of about every
	// indexEveryBytes, up to indexed, and the last positions that readers went
	// on from.
	mu       sync.Mutex
	index    []indexEntry
	indexed  int64
	indexMax int64 // greatest timestamp up to indexed
	recent   [8]position
	recentAt int
}

type position struct{ offset, pos int64 }

type indexEntry struct {
	position
	maxTime int64 // of all batches before
}

func segmentName(base int64) string { return fmt.Sprintf("%020d.log", base) }

func newSegmentFile(base int64, f vfs.File) *segmentFile {
	s := &segmentFile{base: base, file: f, maxTime: math.MinInt64, indexMax: math.MinInt64}
	s.refs.Store(1)
	return s
}

func (s *segmentFile) release() {
	if s.refs.Add(-1) == 0 {
		_ = s.file.Close()
	}
}

// write puts a batch at its place.
func (s *segmentFile) write(batch []byte, pos int64) error {
	s.dirty = true
	var err error
	if pos == s.fileEnd {
		_, err = s.file.Write(batch)
		s.fileEnd += int64(len(batch))
	} else {
		_, err = s.file.WriteAt(batch, pos)
		s.fileEnd = -1
	}
	if err != nil {
		return fmt.Errorf("writing segment: %w", err)
	}
	return nil
}

// holds reports an error if the file is shorter than n.
func (s *segmentFile) holds(n int64) error {
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("looking at segment: %w", err)
	}
	if info.Size() < n {
		return fmt.Errorf("%w: segment %s has %d bytes and had %d", log.ErrCorrupt, segmentName(s.base), info.Size(), n)
	}
	return nil
}

// extend makes the batch of o, the next one, part of what may be read. The
// caller holds the partition's lock.
func (s *segmentFile) extend(o *op) {
	// A reader that builds the index right now takes this batch in itself.
	if s.mu.TryLock() {
		if s.indexed == o.pos {
			s.addIndex(position{o.base, o.pos}, o.length, o.maxTime)
		}
		s.mu.Unlock()
	}
	s.size += int64(o.length)
	s.maxTime = max(s.maxTime, o.maxTime)
}

func (s *segmentFile) addIndex(at position, length int, maxTime int64) {
	if n := len(s.index); n == 0 || at.pos-s.index[n-1].pos >= indexEveryBytes {
		s.index = append(s.index, indexEntry{position: at, maxTime: s.indexMax})
	}
	s.indexMax = max(s.indexMax, maxTime)
	s.indexed = at.pos + int64(length)
}

// buildIndex reads the headers of the batches up to size that are not indexed
// yet.
func (s *segmentFile) buildIndex(size int64) error {
	if s.indexed >= size {
		return nil
	}
	buf := make([]byte, min(indexReadBytes, size-s.indexed))
	for s.indexed < size {
		n := min(int64(len(buf)), size-s.indexed)
		if err := s.readAt(buf[:n], s.indexed); err != nil {
			return err
		}
		for chunk := buf[:n]; len(chunk) >= log.HeaderBytes || int64(len(chunk)) == size-s.indexed && len(chunk) > 0; {
			b, err := log.ReadHeader(chunk)
			if err == nil && int64(b.Bytes) > size-s.indexed {
				err = fmt.Errorf("%w: batch of %d bytes, %d are left", log.ErrCorrupt, b.Bytes, size-s.indexed)
			}
			if err != nil {
				return fmt.Errorf("segment %s at byte %d: %w", segmentName(s.base), s.indexed, err)
			}
			s.addIndex(position{b.BaseOffset, s.indexed}, b.Bytes, b.MaxTime)
			chunk = chunk[min(b.Bytes, len(chunk)):]
		}
	}
	return nil
}

func (s *segmentFile) readAt(buf []byte, pos int64) error {
	if n, err := s.file.ReadAt(buf, pos); n < len(buf) {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("%w: segment %s is shorter than it was", log.ErrCorrupt, segmentName(s.base))
		}
		return fmt.Errorf("reading segment: %w", err)
	}
	return nil
}

// find returns the position of a batch at or not far before offset.
func (s *segmentFile) find(offset, size int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset == s.base {
		return 0, nil
	}
	for _, p := range s.recent {
		if p.offset == offset {
			return p.pos, nil
		}
	}
	if err := s.buildIndex(size); err != nil {
		return 0, err
	}
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].offset > offset }) - 1
	if i < 0 {
		return 0, nil
	}
	return s.index[i].pos, nil
}

// remember notes where the batch that begins with offset stands.
func (s *segmentFile) remember(offset, pos int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent[s.recentAt] = position{offset, pos}
	s.recentAt = (s.recentAt + 1) % len(s.recent)
}

// olderThan returns an offset before which all records are older than ms.
func (s *segmentFile) olderThan(ms, size int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.buildIndex(size); err != nil {
		return 0, err
	}
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].maxTime >= ms }) - 1
	if i < 0 {
		return s.base, nil
	}
	return s.index[i].offset, nil
}

// decode reads batches from the one that holds offset on into the empty r.
func (v view) decode(offset int64, maxBytes int, r *log.Records) (int64, error) {
	pos, err := v.seg.find(offset, v.size)
	if err != nil {
		return offset, err
	}
	for want := int64(max(maxBytes, log.HeaderBytes)); pos < v.size; {
		n := min(want, v.size-pos)
		if int64(cap(r.Buf)) < n {
			r.Buf = make([]byte, n)
		}
		r.Buf = r.Buf[:n]
		if err := v.seg.readAt(r.Buf, pos); err != nil {
			return offset, err
		}
		next, consumed, err := r.Decode(log.Span{End: int(n), From: offset, MaxRecords: maxRecords})
		switch {
		case next > offset: // an error further on is the next fetch's
			v.seg.remember(next, pos+int64(consumed))
			return next, nil
		case err != nil:
			return offset, fmt.Errorf("segment %s at byte %d: %w", segmentName(v.seg.base), pos+int64(consumed), err)
		case consumed == 0:
			if want, err = v.whole(r.Buf, pos); err != nil {
				return offset, err
			}
		}
		pos += int64(consumed) // batches before offset
	}
	return offset, v.short(offset)
}

// whole returns the size of the batch at pos, whose first bytes are given.
func (v view) whole(head []byte, pos int64) (int64, error) {
	b, err := log.ReadHeader(head)
	if err == nil && int64(b.Bytes) > v.size-pos {
		err = fmt.Errorf("%w: batch of %d bytes, %d are left", log.ErrCorrupt, b.Bytes, v.size-pos)
	}
	if err != nil {
		return 0, fmt.Errorf("segment %s at byte %d: %w", segmentName(v.seg.base), pos, err)
	}
	return int64(b.Bytes), nil
}

func (v view) short(offset int64) error {
	return fmt.Errorf("%w: segment %s ends before offset %d", log.ErrCorrupt, segmentName(v.seg.base), offset)
}

// raw appends whole batches to dst, from the one that holds r.Offset on.
func (v view) raw(r log.RawFetch, dst []byte) ([]byte, error) {
	pos, err := v.seg.find(r.Offset, v.size)
	if err != nil {
		return dst, err
	}
	start, end := int64(-1), int64(0)
	var head [log.HeaderBytes]byte
	for pos < v.size && (start < 0 || pos-start < int64(r.MaxBytes) || r.AtLeastOne && end == start) {
		if err := v.seg.readAt(head[:min(log.HeaderBytes, v.size-pos)], pos); err != nil {
			return dst, err
		}
		n, err := v.whole(head[:], pos)
		if err != nil {
			return dst, err
		}
		b, _ := log.ReadHeader(head[:])
		if b.LastOffset >= r.Offset {
			if start < 0 {
				start, end = pos, pos
			}
			if pos+n-start > int64(r.MaxBytes) && (end > start || !r.AtLeastOne) {
				break
			}
			end = pos + n
		}
		pos += n
	}
	if start < 0 {
		return dst, v.short(r.Offset)
	}
	at := len(dst)
	dst = append(dst, make([]byte, end-start)...)
	if err := v.seg.readAt(dst[at:], start); err != nil {
		return dst[:at], err
	}
	return dst, nil
}
