package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
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
	segmentID
	sum     uint32 // of a compacted one: prefixSum over its batches
	created int64  // ms; guarded by the partition's lock
	file    vfs.File
	opened  atomic.Bool  // the file is; else the segment is cold, see hold
	unused  atomic.Int32 // runs of the housekeeping since it was held
	refs    atomic.Int32 // of the partition and of readers; the last one closes

	size    int64 // bytes of readable batches; guarded by the partition's lock
	maxTime int64 // of those; likewise

	// The committer's.
	end     int64 // bytes of placed batches
	fileEnd int64 // where a sequential write goes, -1 if not known
	dirty   bool  // has bytes or an entry that is not synced
	run     int   // of the entry being made, from 1; see entryEncoder

	extents extents // what stands in journals and not in the file

	// The index is derived: an entry for the first batch of about every
	// indexEveryBytes, up to indexed, and the last positions that readers went
	// on from.
	mu       sync.Mutex
	index    []indexEntry
	indexed  position // of the first batch that is not indexed yet
	indexSum uint32
	indexMax int64 // greatest timestamp up to indexed
	recent   [8]position
	recentAt int
}

// A position is where a batch stands that begins with offset; in a compacted
// segment, with offset or a later one.
type position struct{ offset, pos int64 }

type indexEntry struct {
	position
	maxTime int64 // of all batches before
}

func (id segmentID) name() string {
	if id.Gen == 0 {
		return fmt.Sprintf("%020d.log", id.Base)
	}
	return fmt.Sprintf("%020d.%d.log", id.Base, id.Gen)
}

func newSegmentFile(id segmentID, f vfs.File) *segmentFile {
	s := &segmentFile{segmentID: id, file: f, maxTime: math.MinInt64, indexMax: math.MinInt64, indexed: position{offset: id.Base}}
	s.refs.Store(1)
	s.opened.Store(true)
	s.extents.init()
	return s
}

// sparse reports whether offsets may be missing: the segment was compacted.
func (s *segmentFile) sparse() bool { return s.Gen > 0 }

func (s *segmentFile) release() {
	if s.refs.Add(-1) == 0 {
		if s.opened.Load() {
			_ = s.file.Close()
		}
		s.extents.drop(len(s.extents.snapshot()))
	}
}

// write puts batches at their place.
func (s *segmentFile) write(batches []byte, pos int64) error {
	s.dirty = true
	var err error
	if pos == s.fileEnd {
		_, err = s.file.Write(written(batches))
		s.fileEnd += int64(len(batches))
	} else {
		_, err = s.file.WriteAt(batches, pos)
		s.fileEnd = -1
	}
	if err != nil {
		s.fileEnd = -1
		return fmt.Errorf("writing segment: %w", err)
	}
	return nil
}

// extend makes the batch of o, the next one, part of what may be read. The
// caller holds the partition's lock.
func (s *segmentFile) extend(o *op) {
	// A reader that builds the index right now takes this batch in itself.
	if s.mu.TryLock() {
		if s.indexed.pos == o.pos {
			s.addIndex(o.info)
		}
		s.mu.Unlock()
	}
	s.size += int64(o.length)
	s.maxTime = max(s.maxTime, o.info.MaxTime)
}

// addIndex takes in the batch at indexed.
func (s *segmentFile) addIndex(b log.BatchInfo) {
	pos := s.indexed.pos
	if n := len(s.index); n == 0 || pos-s.index[n-1].pos >= indexEveryBytes {
		s.index = append(s.index, indexEntry{position: position{b.BaseOffset, pos}, maxTime: s.indexMax})
	}
	s.indexMax = max(s.indexMax, b.MaxTime)
	s.indexed = position{b.LastOffset + 1, pos + int64(b.Bytes)}
}

// prefixSum goes on with the sum over what a batch's own CRC does not cover.
func prefixSum(sum uint32, b log.BatchInfo) uint32 {
	var buf [16]byte
	binary.BigEndian.PutUint64(buf[:], uint64(b.BaseOffset))
	binary.BigEndian.PutUint32(buf[8:], uint32(b.Bytes))
	binary.BigEndian.PutUint32(buf[12:], uint32(b.LeaderEpoch))
	return crc32.Update(sum, castagnoli, buf[:])
}

// next checks the batch that chunk, at position at, begins with against what
// must stand there, as far as its own CRC does not cover that. left are the
// segment's bytes from there on.
func (s *segmentFile) next(chunk []byte, at position, left int64) (log.BatchInfo, error) {
	b, err := log.ReadHeader(chunk)
	switch {
	case err != nil:
	case int64(b.Bytes) > left:
		err = fmt.Errorf("%w: batch of %d bytes, %d are left", log.ErrCorrupt, b.Bytes, left)
	case b.BaseOffset < at.offset || b.BaseOffset > at.offset && !s.sparse():
		err = fmt.Errorf("%w: batch with offset %d, expected %d", log.ErrCorrupt, b.BaseOffset, at.offset)
	}
	if err != nil {
		return b, fmt.Errorf("segment %s at byte %d: %w", s.name(), at.pos, err)
	}
	return b, nil
}

// buildIndex reads the headers of the batches up to size that are not indexed
// yet.
func (s *segmentFile) buildIndex(size int64) error {
	if s.indexed.pos >= size {
		return nil
	}
	buf := make([]byte, min(indexReadBytes, size-s.indexed.pos))
	for s.indexed.pos < size {
		left := size - s.indexed.pos
		n := min(int64(len(buf)), left)
		if err := s.readAt(buf[:n], s.indexed.pos); err != nil {
			return err
		}
		for chunk := buf[:n]; len(chunk) >= log.HeaderBytes || int64(len(chunk)) == left && len(chunk) > 0; {
			b, err := s.next(chunk, s.indexed, left)
			if err != nil {
				return err
			}
			s.addIndex(b)
			s.indexSum = prefixSum(s.indexSum, b)
			chunk = chunk[min(b.Bytes, len(chunk)):]
			left -= int64(b.Bytes)
		}
	}
	if s.sparse() && s.indexSum != s.sum {
		s.index, s.indexed, s.indexSum = nil, position{offset: s.Base}, 0
		return fmt.Errorf("%w: the batches' offsets and lengths in segment %s are not what they were", log.ErrCorrupt, s.name())
	}
	return nil
}

func (s *segmentFile) readAt(buf []byte, pos int64) error {
	if n, err := s.extents.readAt(s.file, buf, pos); n < len(buf) {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("%w: segment %s is shorter than it was", log.ErrCorrupt, s.name())
		}
		return fmt.Errorf("reading segment: %w", err)
	}
	return nil
}

// find returns the position of a batch at or not far before offset.
func (s *segmentFile) find(offset, size int64) (position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sparse() || s.indexed.pos >= size {
		if offset <= s.Base {
			return position{offset: s.Base}, nil
		}
		for _, p := range s.recent {
			if p.offset == offset {
				return p, nil
			}
		}
	}
	if err := s.buildIndex(size); err != nil {
		return position{}, err
	}
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].offset > offset }) - 1
	if i < 0 {
		return position{offset: s.Base}, nil
	}
	return s.index[i].position, nil
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
		return s.Base, nil
	}
	return s.index[i].offset, nil
}
