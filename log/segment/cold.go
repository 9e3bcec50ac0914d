package segment

import (
	"context"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A segment that is full, synced and not read for a while is cold: its file is
// closed and its index forgotten, so that an old log takes neither open files
// nor memory. Who reads it opens the file again, by hold. That is under the
// partition's lock, and the partition still has the segment then, so that the
// file is there.

// hold takes a reference to the segment and has its file open. Until that is
// released the segment does not become cold. The caller holds the lock of the
// partition that has the segment.
func (s *segmentFile) hold(fs vfs.FS, path string) error {
	s.refs.Add(1)
	s.unused.Store(0)
	if s.opened.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened.Load() { // another reader was faster
		return nil
	}
	f, err := fs.Open(path) // nothing is written to it any more
	if err != nil {
		s.refs.Add(-1) // the partition has another one
		return asShortage(fmt.Errorf("opening segment %s: %w", s.name(), withoutPath(err)))
	}
	s.file = f
	s.opened.Store(true)
	return nil
}

// cool has the segments become cold that nobody has held for a while.
func (l *Log) cool(ctx context.Context) error {
	after := l.opts.coldAfter
	if l.noFiles.Load() {
		after = 1
	}
	return l.submit(ctx, &request{check: func(*request) error {
		for _, t := range l.topics {
			for _, p := range t.partitions {
				p.cool(after)
			}
		}
		return nil
	}})
}

// cool counts a run for each segment that may become cold, and closes those that
// have as many as after.
func (p *partition) cool(after int32) {
	p.mu.Lock() // so that nobody takes hold of one
	defer p.mu.Unlock()
	for i, s := range p.segments {
		if i < len(p.segments)-1 && s.opened.Load() && !s.dirty && !s.extents.any() && s.refs.Load() == 1 && s.unused.Add(1) >= after {
			s.close()
		}
	}
}

// close makes the segment cold. Nobody else has it.
func (s *segmentFile) close() {
	_ = s.file.Close()
	s.file = nil
	s.opened.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index, s.indexed, s.indexSum, s.indexMax = nil, position{offset: s.Base}, 0, math.MinInt64
	clear(s.recent[:])
}
