package segment

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A checkpoint that copies what a journal has into the segments writes everything
// a second time. While the disk has all it can do with long entries, whose bytes
// take it the time, it does not: it says where in the journals the segments' extents
// are, and those journals are kept. A start opens them and has the same extents again.
// Once the disk has time, or too much is kept, checkpoints copy the oldest of them,
// one slice at a time, and give them free.

// A keptJournal is one before the checkpoint's in which segments have extents.
type keptJournal struct {
	number  int
	bytes   int64 // that a checkpoint may still need space for
	extents int
	source  *source // held; nil if only partitions that are offline have extents there
}

// Bounds of what is kept.
const (
	keptShare   = 8       // of the free space on the disk, a part
	keptExtents = 1 << 19 // which take memory, and each checkpoint names all
)

// keeps reports whether the journal is to be kept by the checkpoint that ends it.
// Where entries are short it is not their bytes that take time, and a journal that
// can be written over is worth more.
func (l *Log) keeps() bool {
	j := &l.journal
	return j.file != nil && !l.tight.Load() && l.busy() && j.bytes >= l.journalLimit() && j.bytes >= int64(j.seq-j.first)*l.opts.keepEntryBytes
}

// busy reports whether commits have taken more than half of the time since the
// journal began.
func (l *Log) busy() bool {
	return l.opts.Clock != nil && 2*l.journal.busy >= l.opts.time().Sub(l.journal.began)
}

// settleBefore returns the number of the first journal, up to next, of which the
// checkpoint to come copies nothing into segments.
func (l *Log) settleBefore(next int) int {
	all := append(slices.Clone(l.kept), l.keptNow())
	left, extents := l.floodLimit(), 0
	if l.keeps() {
		left = -l.keep.Load()
		for _, k := range all {
			left += k.bytes
			extents += k.extents
		}
	}
	for _, k := range all {
		if left <= 0 && extents <= keptExtents {
			return k.number
		}
		left -= k.bytes
		extents -= k.extents
	}
	return next
}

// keptNow is what the journal is once the next one has begun.
func (l *Log) keptNow() keptJournal {
	j := &l.journal
	return keptJournal{number: j.number, bytes: j.bytes, extents: j.extents, source: j.source}
}

// settleKept has the next checkpoint copy a part of what is kept.
func (l *Log) settleKept(ctx context.Context) error {
	return l.submit(ctx, &request{check: func(*request) error {
		for _, k := range l.kept {
			l.due = l.due || k.bytes > 0 && !l.busy()
		}
		return nil
	}})
}

// journals returns the numbers of those that segments have extents in.
func (c *checkpointFile) journals() map[int]bool {
	numbers := map[int]bool{}
	for _, t := range c.Topics {
		for _, p := range t.Parts {
			for _, s := range p.Segments {
				s.Extents.each(func(number int, _ extentList) { numbers[number] = true })
			}
		}
	}
	return numbers
}

// An extentList is the extents of a segment as a checkpoint has them: where they
// are is known and the journals are not open.
type extentList []extent

// each calls f for each journal with the extents that are there.
func (list extentList) each(f func(number int, part extentList)) {
	for len(list) > 0 {
		number := list[0].source.journal
		n := list.before(number + 1)
		f(number, list[:n])
		list = list[n:]
	}
}

// before returns how many of the extents are in journals before the one given.
func (list extentList) before(journal int) int {
	return sort.Search(len(list), func(i int) bool { return list[i].source.journal >= journal })
}

// fileBytes returns how long the file of a segment must be, of which so many bytes
// are in the file or in the list.
func (list extentList) fileBytes(bytes int64) int64 {
	for i := len(list) - 1; i >= 0 && list[i].pos+list[i].bytes == bytes; i-- {
		bytes = list[i].pos
	}
	return bytes
}

// MarshalJSON makes a string of varints in base64: of each extent the differences of
// journal, position and place there to the end of the one before, and its length.
func (list extentList) MarshalJSON() ([]byte, error) {
	var buf []byte
	journal, pos, at := 0, int64(0), int64(0)
	for _, e := range list {
		buf = binary.AppendUvarint(buf, uint64(e.source.journal-journal))
		buf = binary.AppendUvarint(buf, uint64(e.pos-pos))
		buf = binary.AppendVarint(buf, e.at-at)
		buf = binary.AppendUvarint(buf, uint64(e.bytes))
		journal, pos, at = e.source.journal, e.pos+e.bytes, e.at+e.bytes
	}
	return json.Marshal(buf)
}

// UnmarshalJSON reads what MarshalJSON has made. The extents follow each other, in
// journals with numbers above 0.
func (list *extentList) UnmarshalJSON(text []byte) error {
	var buf []byte
	if err := json.Unmarshal(text, &buf); err != nil {
		return err
	}
	*list = nil
	last := extent{source: &source{}}
	for len(buf) > 0 {
		var d [4]int64
		for i := range d {
			u, n := binary.Uvarint(buf)
			if d[i] = int64(u); i == 2 {
				d[i], n = binary.Varint(buf)
			}
			if n <= 0 {
				return fmt.Errorf("list of extents that is cut off after %d", len(*list))
			}
			buf = buf[n:]
		}
		if d[0] > 0 {
			last.source = &source{journal: last.source.journal + int(d[0])}
		}
		last.pos += last.bytes + d[1]
		last.at += last.bytes + d[2]
		last.bytes = d[3]
		if last.source.journal <= 0 || d[1] < 0 || last.bytes <= 0 || last.pos < 0 || last.at < journalHeaderBytes || last.pos > math.MaxInt64-last.bytes || last.at > math.MaxInt64-last.bytes {
			return fmt.Errorf("extent %d of a list is %d bytes at %d of journal-%d", len(*list), last.bytes, last.at, last.source.journal)
		}
		*list = append(*list, last)
	}
	return nil
}

// openExtents has a segment that was opened find what stands in kept journals.
// What is wrong with one of those is a damageError.
func (l *Log) openExtents(s *segmentFile, list extentList) (err error) {
	if n := len(list); n > 0 && list[n-1].pos+list[n-1].bytes > s.end {
		return damaged(s.name(), false, fmt.Errorf("%w: segment %s has %d bytes and extents up to %d", log.ErrCorrupt, s.name(), s.end, list[n-1].pos+list[n-1].bytes))
	}
	list.each(func(number int, part extentList) {
		if err != nil {
			return
		}
		var k *keptJournal
		if k, err = l.openKept(number); err != nil {
			return
		}
		for _, e := range part {
			if e.at+e.bytes > k.source.bytes {
				err = damaged(journalName(l.opts.FS, l.opts.Dir, number), false, fmt.Errorf("%w: journal-%d ends before an extent of segment %s", log.ErrCorrupt, number, s.name()))
				return
			}
			e.source = k.source
			s.extents.add(e)
			k.bytes += e.bytes
			k.extents++
		}
	})
	return err
}

// keptAt returns the kept journal with that number, which may be a new one; it is valid
// until the next call.
func (l *Log) keptAt(number int) *keptJournal {
	i, found := slices.BinarySearchFunc(l.kept, number, func(k keptJournal, n int) int { return k.number - n })
	if !found {
		l.kept = slices.Insert(l.kept, i, keptJournal{number: number})
	}
	return &l.kept[i]
}

// openKept returns the kept journal with that number, open.
func (l *Log) openKept(number int) (*keptJournal, error) {
	k := l.keptAt(number)
	if k.source != nil {
		return k, nil
	}
	fs := l.opts.FS
	name := journalName(fs, l.opts.Dir, number)
	src, err := openSource(fs, name, number)
	if err != nil {
		return nil, damaged(name, false, err)
	}
	j, err := readJournalHeader(src.file, number)
	if err == nil && j == nil {
		err = fmt.Errorf("%w: its header is not whole", log.ErrCorrupt)
	}
	if err != nil {
		src.release()
		return nil, damaged(name, false, fmt.Errorf("journal-%d, in which segments have batches: %w", number, withoutPath(err)))
	}
	src.bytes = j.size
	k.source = src
	return k, nil
}

// A freeJournal is one that a checkpoint no longer names.
type freeJournal struct {
	keptJournal
	released bool
	unread   bool // nobody reads it
}

// release gives the journals of a cut free. Who still reads a segment that is dropped may
// read it there.
func (c *cut) release() {
	for i := range c.free {
		if f := &c.free[i]; !f.released {
			f.released, f.unread = true, f.source == nil || f.source.release()
		}
	}
}

// takeKept has the cut take what is kept and what it gives free.
func (l *Log) takeKept(c *cut, old keptJournal) {
	named := c.file.journals()
	if old.number > 0 {
		l.kept = append(l.kept, old)
	}
	kept, bytes := append(l.back, l.kept...), int64(0)
	slices.SortFunc(kept, func(a, b keptJournal) int { return a.number - b.number })
	l.kept, l.back, l.settling = nil, nil, 0
	for _, k := range kept {
		l.settling += k.bytes
		switch {
		case !named[k.number] || seeded("kept-journal-removed"):
			c.free = append(c.free, freeJournal{keptJournal: k})
			continue
		case k.number == old.number:
			c.oldKept = true
		case k.number < c.settle: // for partitions that are offline, or unreadable
			k.bytes, k.extents = 0, 0
		}
		l.kept = append(l.kept, k)
		bytes += k.bytes
	}
	l.metrics.kept.Set(float64(bytes))
}

// keepUnreadable has a checkpoint name what could not be copied from journals because
// they can't be read, and those kept.
func (l *Log) keepUnreadable(c *cut) {
	some := false
	for _, t := range c.file.Topics {
		for _, p := range t.Parts {
			for i := range p.Segments {
				if s := &p.Segments[i]; s.seg != nil && s.seg.unreadable.Load() && len(s.Extents) < len(s.all) {
					s.Extents, some = s.all, true
				}
			}
		}
	}
	if !some {
		return
	}
	c.file.Version = keptVersion
	named := c.file.journals()
	c.free = slices.DeleteFunc(c.free, func(f freeJournal) bool {
		if f.released || !named[f.number] {
			return false
		}
		f.bytes, f.extents = 0, 0
		l.back = append(l.back, f.keptJournal)
		c.oldKept = c.oldKept || f.number == c.old.number
		return true
	})
}

// closeKept gives the kept journals free at the end.
func (l *Log) closeKept() {
	for _, k := range append(l.back, l.kept...) {
		if k.source != nil {
			k.source.release()
		}
	}
	l.kept, l.back = nil, nil
}

// keptNames returns the files of kept journals.
func (l *Log) keptNames(fs vfs.FS) map[string]bool {
	names := map[string]bool{}
	for _, k := range l.kept {
		names[fs.PathBase(journalName(fs, l.opts.Dir, k.number))] = true
	}
	return names
}

// keepFor keeps the journals in which a partition that is offline has extents.
func (l *Log) keepFor(c *checkpointPartition) {
	for _, s := range c.Segments {
		s.Extents.each(func(number int, _ extentList) { l.keptAt(number) })
	}
}
