package segment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func journalName(fs vfs.FS, dir string, n int) string {
	return fs.PathJoin(dir, "journal-"+strconv.Itoa(n))
}

// recover brings back the state that the files hold, and makes it the start of
// a new journal.
func (l *Log) recover() error {
	names, err := l.opts.FS.List(l.opts.Dir)
	if err != nil {
		return fmt.Errorf("listing data directory: %w", err)
	}
	journals, last := listJournals(names)
	c, err := readCheckpoint(l.opts.FS, l.opts.Dir)
	if err != nil {
		return err
	}
	seq := uint64(1)
	if c == nil { // a new directory, or one whose first start was cut short
		if err := l.checkUnused(names, journals); err != nil {
			return err
		}
	} else {
		if err := l.load(c); err != nil {
			return err
		}
		if seq, err = l.replay(c, journals); err != nil {
			return err
		}
		if l.epoch = c.Epoch; !c.Clean {
			l.epoch++
			l.opts.Logger.Info("the log was not closed; recovered it", "journal_entries", l.replayed, "leader_epoch", l.epoch)
		}
	}
	l.journal = journal{number: last, seq: seq, nosync: l.opts.NoSync}
	if err := l.checkpointNow(false); err != nil {
		return err
	}
	return l.removeStray(names)
}

// listJournals returns the numbers of the journals among names, and the last.
func listJournals(names []string) (exists map[int]bool, last int) {
	exists = map[int]bool{}
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, "journal-"); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				exists[n] = true
				last = max(last, n)
			}
		}
	}
	return exists, last
}

// checkUnused makes sure that a directory without a checkpoint has no data.
func (l *Log) checkUnused(names []string, journals map[int]bool) error {
	used := slices.Contains(names, "topics")
	for n := range journals {
		j, ok, err := readJournal(l.opts.FS, journalName(l.opts.FS, l.opts.Dir, n))
		if err != nil {
			return err
		}
		used = used || ok && len(j.data) > 0
	}
	if used {
		return fmt.Errorf("%w: the data directory %s has lost its checkpoint; restore it from a copy", log.ErrCorrupt, l.opts.Dir)
	}
	return nil
}

// replay applies the journals from the checkpoint's on and returns the
// sequence number after the last entry.
func (l *Log) replay(c *checkpointFile, exists map[int]bool) (uint64, error) {
	fs, seq := l.opts.FS, c.Seq
	if !exists[c.Journal] {
		return 0, brokenJournal(fmt.Sprintf("journal-%d", c.Journal), seq, "the checkpoint names it")
	}
	for n := c.Journal; exists[n]; n++ {
		name := fs.PathBase(journalName(fs, l.opts.Dir, n))
		j, ok, err := readJournal(fs, journalName(fs, l.opts.Dir, n))
		if err != nil {
			return 0, err
		}
		if !ok {
			if n == c.Journal || exists[n+1] {
				return 0, brokenJournal(name, seq, "it was in use")
			}
			break // it was made, then came the crash
		}
		if j.seq != seq {
			if j.nosync {
				break
			}
			return 0, brokenJournal(name, seq, fmt.Sprintf("the journal after it begins with entry %d", j.seq))
		}
		var rest []byte
		seq, rest, err = j.entries(func(payload []byte) error {
			l.replayed++
			return decodeOps(payload, l.redo)
		})
		if err != nil {
			return 0, err
		}
		if len(rest) == 0 {
			continue
		}
		if !j.nosync {
			if later := findEntry(rest, seq); later >= 0 {
				return 0, brokenJournal(name, seq, fmt.Sprintf("goes on %d bytes later", later))
			}
		}
		l.opts.Logger.Info("dropped a torn journal entry that was never acknowledged", "journal", name, "entry", seq, "bytes", len(rest))
		if j.nosync {
			break
		}
	}
	return seq, nil
}

// load sets the state that a checkpoint describes.
func (l *Log) load(c *checkpointFile) error {
	for _, ct := range c.Topics {
		t := l.addTopic(ct.Topic)
		for i, cp := range ct.Parts {
			if err := t.partitions[i].load(&cp); err != nil {
				return err
			}
		}
	}
	for g, list := range c.Groups {
		m := map[log.Partition]int64{}
		for _, o := range list {
			m[log.Partition{Topic: o.Topic, Index: o.Partition}] = o.Next
		}
		l.groups[g] = m
	}
	return nil
}

func (p *partition) load(c *checkpointPartition) error {
	p.start, p.next, p.tail, p.dirMade = c.Start, c.Next, c.Next, len(c.Segments) > 0
	p.epochs = c.Epochs
	for _, cs := range c.Segments {
		name := p.fs.PathJoin(p.dir, segmentName(cs.Base))
		f, err := p.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return fmt.Errorf("opening segment: %w", err)
		}
		s := newSegmentFile(cs.Base, f)
		s.size, s.end, s.maxTime, s.fileEnd = cs.Bytes, cs.Bytes, cs.MaxTime, -1
		p.segments = append(p.segments, s)
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("opening segment: %w", err)
		}
		if info.Size() < cs.Bytes {
			return fmt.Errorf("%w: %s partition %d: segment %s has %d bytes and had %d; restore it from a copy",
				log.ErrCorrupt, p.name.Topic, p.name.Index, name, info.Size(), cs.Bytes)
		}
	}
	return nil
}

// redo applies a journal operation.
func (l *Log) redo(o *op) error {
	switch o.kind {
	case opAppend, opPlaced:
		t := l.byID[o.topic]
		if t == nil || o.partition >= t.Partitions {
			return fmt.Errorf("%w: append to topic %s partition %d, which there is not", log.ErrCorrupt, o.topic, o.partition)
		}
		return l.redoAppend(t.partitions[o.partition], o)
	case opCreateTopic:
		if !validTopicName(o.created.Name) || o.created.Partitions < 1 || o.created.Partitions > maxTopicPartitions {
			return fmt.Errorf("%w: topic %q with %d partitions", log.ErrCorrupt, o.created.Name, o.created.Partitions)
		}
		if l.topics[o.created.Name] != nil || l.byID[o.created.ID] != nil {
			return fmt.Errorf("%w: topic %q is made twice", log.ErrCorrupt, o.created.Name)
		}
	case opTrim:
		if t := l.byID[o.topic]; t == nil || o.partition >= t.Partitions {
			return fmt.Errorf("%w: trim of topic %s partition %d, which there is not", log.ErrCorrupt, o.topic, o.partition)
		}
	}
	l.applyMeta(o)
	return nil
}

// maxTopicPartitions is what the format allows.
const maxTopicPartitions = 1 << 20

func (l *Log) redoAppend(p *partition, o *op) error {
	if o.base != p.tail {
		return fmt.Errorf("%w: journal goes on at offset %d of %s partition %d, which ends at %d", log.ErrCorrupt, o.base, p.name.Topic, p.name.Index, p.tail)
	}
	if o.kind == opAppend {
		b, err := log.CheckBatch(o.batch)
		if err != nil {
			return err
		}
		if b.BaseOffset != o.base {
			return fmt.Errorf("%w: batch says offset %d, journal %d", log.ErrCorrupt, b.BaseOffset, o.base)
		}
		o.last, o.maxTime, o.epoch = b.LastOffset, b.MaxTime, b.LeaderEpoch
	}
	if err := p.place(o, false); err != nil {
		return err
	}
	if o.kind == opAppend {
		if err := o.seg.write(o.batch, o.pos); err != nil {
			return err
		}
	} else if err := o.seg.holds(o.pos + int64(o.length)); err != nil {
		return err
	}
	p.publish(o)
	return nil
}

// removeStray drops files that a crash left behind: what neither the checkpoint
// nor the journal names.
func (l *Log) removeStray(names []string) error {
	fs := l.opts.FS
	current := fs.PathBase(journalName(fs, l.opts.Dir, l.journal.number))
	for _, name := range names {
		if strings.HasPrefix(name, "journal-") && name != current {
			_ = fs.Remove(fs.PathJoin(l.opts.Dir, name))
		}
	}
	if !slices.Contains(names, "topics") {
		return nil
	}
	dirs, err := fs.List(fs.PathJoin(l.opts.Dir, "topics"))
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	known := map[string]*topic{}
	for id, t := range l.byID {
		known[id.String()] = t
	}
	for _, d := range dirs {
		t := known[d]
		if t == nil {
			_ = fs.RemoveAll(fs.PathJoin(l.opts.Dir, "topics", d))
			continue
		}
		for _, p := range t.partitions {
			p.removeStray()
		}
	}
	return nil
}

func (p *partition) removeStray() {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return // no directory yet
	}
	known := map[string]bool{}
	for _, s := range p.segments {
		known[segmentName(s.base)] = true
	}
	for _, name := range names {
		if !known[name] {
			_ = p.fs.Remove(p.fs.PathJoin(p.dir, name))
		}
	}
}
