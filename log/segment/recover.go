package segment

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	journals := listJournals(names)
	c, err := readCheckpoint(l.opts.FS, l.opts.Dir)
	if err != nil {
		return err
	}
	seq := uint64(1)
	l.clusterID = l.randomID()
	if c == nil { // a new directory, or one whose first start was cut short
		if err := l.checkUnused(names, journals); err != nil {
			return err
		}
	} else {
		if journals[c.Journal] {
			if err := l.removeJournals(journals, c.Journal); err != nil {
				return err
			}
		}
		if seq, err = l.loadAndReplay(c, journals); err != nil {
			return err
		}
		if l.epoch = c.Epoch; !c.Clean && !seeded("no-epoch-at-unclean-start") {
			l.epoch++
			l.opts.Logger.Info("the log was not closed; recovered it", "journal_entries", l.replayed, "leader_epoch", l.epoch)
		}
	}
	if err := l.finishHeld(); err != nil {
		return err
	}
	l.nextProducer = l.endProducer // some of the last block may have been given
	// The next journal takes the number after the last one that was used: what
	// has a higher one was made by a start that was cut short.
	l.journal.seq, l.journal.nosync = seq, l.opts.NoSync
	if err := l.checkpointNow(false); err != nil {
		return err
	}
	return l.removeStray(names)
}

// removeJournals removes those before the checkpoint's, which must be there after a
// power cut, too: on a full disk the replay may need their space.
func (l *Log) removeJournals(journals map[int]bool, before int) error {
	synced := false
	for n := range journals {
		if n >= before {
			continue
		}
		if !synced {
			if err := syncDir(l.opts.FS, l.opts.Dir); err != nil {
				return err
			}
			synced = true
		}
		_ = l.opts.FS.Remove(journalName(l.opts.FS, l.opts.Dir, n)) // else it goes with the strays
	}
	return nil
}

// listJournals returns the numbers of the journals among names.
func listJournals(names []string) map[int]bool {
	exists := map[int]bool{}
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, "journal-"); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				exists[n] = true
			}
		}
	}
	return exists
}

// checkUnused makes sure that a directory without a checkpoint has no data.
func (l *Log) checkUnused(names []string, journals map[int]bool) error {
	used := slices.Contains(names, "topics")
	for n := range journals {
		j, err := openJournal(l.opts.FS, l.opts.Dir, n)
		if err != nil {
			return err
		}
		if j == nil {
			continue
		}
		ended, err := j.ended()
		_ = j.file.Close()
		if err != nil {
			return err
		}
		// A header whose end mark is cut off was not in use yet.
		used = used || !ended && j.size >= journalHeaderBytes+entryHeaderBytes
	}
	if used {
		return fmt.Errorf("%w: the data directory %s has lost its checkpoint; restore it from a copy", log.ErrCorrupt, l.opts.Dir)
	}
	return nil
}

// loadAndReplay sets the state that the checkpoint describes and applies the
// journals. A journal that is not synced may name a batch in a segment that the
// crash has lost: the log then goes back to before that entry, which takes a
// second run, for half of the entry was applied. So does a partition of which
// the journal shows that it is damaged.
func (l *Log) loadAndReplay(c *checkpointFile, journals map[int]bool) (seq uint64, err error) {
	for end := uint64(math.MaxUint64); ; {
		if err := l.load(c); err != nil {
			return 0, err
		}
		seq, err := l.replay(c, journals, end)
		if lost := (*damageError)(nil); errors.As(err, &lost) {
			l.opts.Logger.Warn("the log was not synced and has lost its last entries", "first_entry", seq, "error", err)
			end = seq
		} else if err != nil || !l.again {
			return seq, err
		}
		l.closeFiles()
		l.reset()
		// The state that was loaded is made of the checkpoint's own parts.
		if c, err = readCheckpoint(l.opts.FS, l.opts.Dir); err != nil {
			return 0, err
		}
	}
}

// replay applies the journals from the checkpoint's on, up to entry end, and
// returns the sequence number after the last one.
func (l *Log) replay(c *checkpointFile, exists map[int]bool, end uint64) (uint64, error) {
	fs, seq := l.opts.FS, c.Seq
	if !exists[c.Journal] {
		return 0, brokenJournal(fmt.Sprintf("journal-%d", c.Journal), seq, "the checkpoint names it")
	}
	for more, n := true, c.Journal; more && exists[n]; n++ {
		j, err := openJournal(fs, l.opts.Dir, n)
		if err != nil {
			return 0, err
		}
		name := fs.PathBase(journalName(fs, l.opts.Dir, n))
		if j == nil {
			if n == c.Journal || exists[n+1] {
				return 0, brokenJournal(name, seq, "it was in use")
			}
			break // it was made, then came the crash
		}
		seq, more, err = l.replayJournal(j, name, seq, end)
		_ = j.file.Close()
		if err != nil {
			return seq, err
		}
		if !seeded("no-sync-of-replayed-journal") {
			if err := syncFile(fs, journalName(fs, l.opts.Dir, n)); err != nil {
				return 0, fmt.Errorf("syncing journal: %w", err)
			}
		}
	}
	return seq, nil
}

// syncFile makes durable what a file is read to have. Its last writer may have
// gone before that: the next journal must not be durable before.
func syncFile(fs vfs.FS, name string) error {
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return asShortage(err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// replayJournal applies the entries of a journal, which must begin with number
// seq. It returns the number after the last one, and whether the next journal may
// go on from there.
func (l *Log) replayJournal(j *journalFile, name string, seq, end uint64) (next uint64, more bool, err error) {
	if j.seq != seq {
		if j.nosync {
			return seq, false, nil
		}
		return 0, false, brokenJournal(name, seq, fmt.Sprintf("the journal after it begins with entry %d", j.seq))
	}
	l.journal.number = j.number
	err = j.entries(end, func(payload []byte) error {
		l.replayed++
		return decodeOps(payload, func(o *op) error { return l.replayOp(o, j.nosync) })
	})
	if lost, system := (*damageError)(nil), syscall.Errno(0); err != nil && !errors.As(err, &lost) {
		if !errors.As(err, &system) { // else it is not the journal that is wrong
			err = fmt.Errorf("%w: %w", log.ErrCorrupt, err)
		}
		return 0, false, err
	}
	if err != nil || j.seq == end {
		return j.seq, false, err
	}
	switch ended, err := j.ended(); {
	case err != nil:
		return 0, false, err
	case ended:
		return j.seq, true, nil
	}
	if !j.nosync {
		if later, err := j.laterEntry(); err != nil {
			return 0, false, err
		} else if later >= 0 {
			return 0, false, brokenJournal(name, j.seq, fmt.Sprintf("goes on at byte %d", later))
		}
	}
	l.opts.Logger.Warn("dropped the journal's last entry, which is not whole: it was cut off by a crash and then never acknowledged, or damaged since",
		"journal", name, "entry", j.seq, "position", j.pos)
	return j.seq, !j.nosync, nil
}

// load sets the state that a checkpoint describes.
func (l *Log) load(c *checkpointFile) error {
	for _, ct := range c.Topics {
		t := l.addTopic(ct.Topic)
		for i := range ct.Parts {
			if err := l.loadPartition(partitionID{t.ID, int32(i)}, &ct.Parts[i]); err != nil {
				return err
			}
		}
	}
	l.clusterID = c.Cluster
	l.nextProducer, l.endProducer = c.Producers, c.Producers
	for name, list := range c.Groups {
		l.group(name).load(list)
		for _, o := range list {
			l.offsetOrder = max(l.offsetOrder, o.Order)
		}
	}
	for name, state := range c.States {
		l.group(name).state = state
	}
	for _, g := range l.groups {
		l.groupBytes += g.bytes()
	}
	for _, ct := range c.Txns {
		t := ct.txn(l.opts.time())
		l.txns[t.id], l.txnOf[t.producer.ID] = t, t
		l.joined += len(t.partitions) + len(t.groups)
	}
	return nil
}

func (g *group) load(list []checkpointOffset) {
	for _, o := range list {
		at := log.Partition{Topic: o.Topic, Index: o.Partition}
		offset := groupOffset{log.GroupOffset{Offset: o.Next, LeaderEpoch: -1, Metadata: o.Metadata, CommitTime: o.Time}, o.Order}
		if o.Epoch != nil {
			offset.LeaderEpoch = *o.Epoch
		}
		if o.Producer == nil {
			g.offsets[at] = offset
			continue
		}
		if g.pending[*o.Producer] == nil {
			g.pending[*o.Producer] = map[log.Partition]groupOffset{}
		}
		g.pending[*o.Producer][at] = offset
	}
}

func (c *checkpointTxn) txn(now time.Time) *txn {
	t := &txn{
		id: c.ID, producer: c.Producer, before: c.Before, state: c.State, timeout: time.Duration(c.TimeoutMS) * time.Millisecond,
		began: since(c.Began, now), updated: c.Updated, partitions: map[partitionID]struct{}{}, groups: map[string]struct{}{},
	}
	for _, p := range c.Partitions {
		t.partitions[p] = struct{}{}
	}
	for _, g := range c.Groups {
		t.groups[g] = struct{}{}
	}
	return t
}

func (p *partition) load(c *checkpointPartition) error {
	p.start, p.next, p.tail, p.dirMade = c.Start, c.Next, c.Next, len(c.Segments) > 0
	p.epochs, p.cleaned, p.producers, p.open, p.aborted = c.Epochs, c.Cleaned, c.Producers, c.Open, c.Aborted
	for i, cs := range c.Segments {
		s, err := p.openSegment(cs)
		if err != nil {
			return err
		}
		if i < len(c.Segments)-1 {
			s.close()
		}
		p.segments = append(p.segments, s)
	}
	return nil
}

// openSegment opens a segment's file, which must have what it says; else it is a
// damageError, and the file is as it was.
func (p *partition) openSegment(c checkpointSegment) (*segmentFile, error) {
	path := p.path(c.segmentID)
	info, err := p.fs.Stat(path)
	if err == nil && info.Size() < c.Bytes {
		err = fmt.Errorf("%w: it has %d bytes and had %d", log.ErrCorrupt, info.Size(), c.Bytes)
	}
	if err != nil {
		return nil, damaged(path, false, fmt.Errorf("segment %s: %w", c.name(), withoutPath(err)))
	}
	f, err := p.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, damaged(path, false, fmt.Errorf("opening segment %s: %w", c.name(), withoutPath(err)))
	}
	s := newSegmentFile(c.segmentID, f)
	s.size, s.end, s.maxTime, s.fileEnd, s.created, s.sum = c.Bytes, c.Bytes, c.MaxTime, -1, c.Created, c.Sum
	return s, nil
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
	case opAddPartitions:
		if d := o.detail.(*addPartitions); d.Total > maxTopicPartitions {
			return fmt.Errorf("%w: topic with %d partitions", log.ErrCorrupt, d.Total)
		}
	case opTrim:
		if t := l.byID[o.topic]; t == nil || o.partition >= t.Partitions {
			return fmt.Errorf("%w: trim of topic %s partition %d, which there is not", log.ErrCorrupt, o.topic, o.partition)
		}
	}
	switch d := o.detail.(type) {
	case *replace:
		if err := l.redoReplace(d); err != nil {
			return err
		}
	case *heldMarker:
		return l.redoMarker(d)
	}
	if err := l.ahead(o); err != nil {
		return err
	}
	l.applyMeta(o)
	return nil
}

// maxTopicPartitions is what the format allows.
const maxTopicPartitions = 1 << 16

func (l *Log) redoAppend(p *partition, o *op) error {
	if o.base != p.tail {
		return damaged(p.dir, false, fmt.Errorf("%w: the journal goes on at offset %d of %s partition %d, which ends at %d", log.ErrCorrupt, o.base, p.name.Topic, p.name.Index, p.tail))
	}
	now := l.opts.now()
	placed := o.kind == opPlaced
	if !placed {
		if err := o.checkBatch(); err != nil {
			return err
		}
		if err := p.place(o, false, now); err != nil {
			return err
		}
		if err := o.seg.write(o.batch, o.pos); err != nil {
			return err
		}
	} else {
		// What follows needs the batch, which tells its place.
		if err := p.readPlaced(o); err != nil {
			return err
		}
		if err := p.place(o, false, now); err != nil {
			return err
		}
	}
	if p.track(o.info, now) {
		l.producerAdded()
	}
	p.publish(o)
	return nil
}

// checkBatch reads the header of a batch from the journal.
func (o *op) checkBatch() error {
	b, err := log.CheckBatch(o.batch)
	if err != nil {
		return err
	}
	if b.BaseOffset != o.base {
		return fmt.Errorf("%w: batch says offset %d, journal %d", log.ErrCorrupt, b.BaseOffset, o.base)
	}
	o.info, o.epoch = b, b.LeaderEpoch
	return nil
}

// readPlaced reads a batch that stands in its segment already, at the place
// that is next.
func (p *partition) readPlaced(o *op) error {
	id, pos := segmentID{Base: o.base}, int64(0)
	var f vfs.File
	if n := len(p.segments); !o.roll && n > 0 {
		id, pos, f = p.segments[n-1].segmentID, p.segments[n-1].end, p.segments[n-1].file
	} else {
		opened, err := p.fs.Open(p.path(id))
		if err != nil {
			return damaged(p.path(id), true, fmt.Errorf("opening segment %s, which has a batch that the journal names: %w", id.name(), withoutPath(err)))
		}
		defer opened.Close()
		f = opened
	}
	if info, err := f.Stat(); err != nil || info.Size() < pos+int64(o.length) {
		return damaged(p.path(id), true, fmt.Errorf("%w: segment %s ends before a batch that the journal names", log.ErrCorrupt, id.name()))
	}
	o.batch = make([]byte, o.length)
	if n, err := f.ReadAt(o.batch, pos); n < o.length {
		return damaged(p.path(id), false, fmt.Errorf("reading segment %s: %w", id.name(), withoutPath(err)))
	}
	epoch := o.epoch
	err := o.checkBatch()
	if err == nil && o.epoch != epoch {
		err = fmt.Errorf("%w: batch says leader epoch %d, journal %d", log.ErrCorrupt, o.epoch, epoch)
	}
	if err != nil {
		return damaged(p.path(id), true, fmt.Errorf("segment %s at byte %d: %w", id.name(), pos, err))
	}
	return nil
}

// removeStray drops files that a crash left behind: what neither the checkpoint
// nor the journal names.
func (l *Log) removeStray(names []string) error {
	fs := l.opts.FS
	current := journalName(fs, l.opts.Dir, l.journal.number)
	for _, name := range names {
		if path := fs.PathJoin(l.opts.Dir, name); strings.HasPrefix(name, "journal-") && path != current && path != l.spare {
			_ = fs.Remove(path)
		}
	}
	l.removeStrayHeld(names)
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
			if p.offline == nil || seeded("offline-files-removed") {
				p.removeStray()
			}
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
		known[s.name()] = true
	}
	for _, name := range names {
		if !known[name] {
			_ = p.fs.Remove(p.fs.PathJoin(p.dir, name))
		}
	}
}
