package segment

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion of the data directory. A newer one is refused, and so are those
// from before the first release. Version 4 has partitions that are offline; a
// program that knew nothing of those would lose what is held for them. Version 5
// has aborted transactions as bytes. A checkpoint has the version that it needs.
const (
	formatVersion  = packedVersion
	packedVersion  = 5
	offlineVersion = 4
	oldestVersion  = 3
)

// A checkpointFile is the log's state as of the start of a journal. It is
// stored as a line of JSON and a line with that line's CRC-32C.
type checkpointFile struct {
	Version int
	Journal int    // number of the journal that goes on from here
	Seq     uint64 // of its first entry
	Clean   bool   // written by Close
	Epoch   int32
	Cluster log.TopicID
	Topics  []checkpointTopic
	Groups  map[string][]checkpointOffset
	States  map[string][]byte `json:",omitempty"` // of groups
	Txns    []checkpointTxn   `json:",omitempty"`
	// Producers is the first producer id that was never reserved.
	Producers int64
}

type checkpointTopic struct {
	log.Topic
	Parts []checkpointPartition
}

type checkpointPartition struct {
	Start     int64
	Next      int64
	Cleaned   int64                    `json:",omitempty"`
	Epochs    []epochStart             `json:",omitempty"`
	Segments  []checkpointSegment      `json:",omitempty"`
	Producers map[int64]*producerState `json:",omitempty"`
	Open      []openTxn                `json:",omitempty"`
	Aborted   abortedTxns              `json:",omitempty"`
	// Of a partition that is offline; see offline.go.
	Held    uint64       `json:",omitempty"` // operations in its file
	Markers []heldMarker `json:",omitempty"`
}

type checkpointSegment struct {
	segmentID
	Bytes, MaxTime int64
	Created        int64
	Sum            uint32 `json:",omitempty"`
}

// A checkpointOffset is an offset of a group, pending if it has a producer.
type checkpointOffset struct {
	Topic     string
	Partition int32
	Next      int64
	Epoch     *int32 `json:",omitempty"` // nil: not known
	Metadata  string `json:",omitempty"`
	Time      int64  `json:",omitempty"`
	Producer  *int64 `json:",omitempty"`
	Order     uint64 `json:",omitempty"` // among the group's, if some are pending
}

type checkpointTxn struct {
	ID         string
	Producer   log.Producer
	Before     log.Producer
	State      log.TxnState
	TimeoutMS  int64
	Began      int64
	Updated    int64
	Partitions []partitionID `json:",omitempty"`
	Groups     []string      `json:",omitempty"`
}

const checkpointName = "checkpoint"

// readCheckpoint returns the checkpoint in dir, or nil if there is none.
func readCheckpoint(fs vfs.FS, dir string) (*checkpointFile, error) {
	text, err := readFile(fs, fs.PathJoin(dir, checkpointName))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	line, crc, _ := bytes.Cut(text, []byte("\n"))
	if string(crc) != checkpointCRC(line) {
		return nil, fmt.Errorf("%w: the CRC of the checkpoint in %s does not fit; restore the data directory from a copy", log.ErrCorrupt, dir)
	}
	var c checkpointFile
	if err := json.Unmarshal(line, &c); err != nil {
		return nil, fmt.Errorf("%w: checkpoint: %w", log.ErrCorrupt, err)
	}
	if c.Version > formatVersion {
		return nil, fmt.Errorf("the data directory %s has format %d, newer than this program's %d; use a newer program", dir, c.Version, formatVersion)
	}
	if c.Version < oldestVersion {
		return nil, fmt.Errorf("the data directory %s has format %d, which this program no longer reads (%d is the oldest); use the program that wrote it", dir, c.Version, oldestVersion)
	}
	return &c, nil
}

func checkpointCRC(line []byte) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli))
}

// writeCheckpoint replaces the checkpoint atomically.
func writeCheckpoint(fs vfs.FS, dir string, c *checkpointFile) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	text := append(line, "\n"+checkpointCRC(line)...)
	tmp := fs.PathJoin(dir, checkpointName+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return asShortage(fmt.Errorf("making checkpoint: %w", err))
	}
	_, err = f.Write(text)
	if err = asShortage(err); err == nil && !seeded("no-checkpoint-sync") {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	if err := fs.Rename(tmp, fs.PathJoin(dir, checkpointName)); err != nil {
		return fmt.Errorf("placing checkpoint: %w", err)
	}
	return syncDir(fs, dir)
}

// A cut is the state between two journals, and what must be done to make it the
// checkpoint.
type cut struct {
	file     *checkpointFile
	unsynced []unsyncedSegment
	dirs     []string // whose entries are not synced
	remove   []string // files and directories that the checkpoint no longer needs
	old      journal  // before the new one
	spare    string   // the same, if the next one may be written over it
	unread   bool     // nobody reads the old journal
}

// checkpointing reports whether a checkpoint is under way.
func (l *Log) checkpointing() bool {
	select {
	case <-l.checkpoint:
		return false
	default:
		return true
	}
}

// An unsyncedSegment is one that the cut describes and that is not durable.
type unsyncedSegment struct {
	path string
	seg  *segmentFile // held open, if it had extents that are not settled yet
}

// checkpointDue reports whether a checkpoint is to be made, or finished that was
// short of something.
func (l *Log) checkpointDue() bool {
	return l.due || l.journalFull() || len(l.oldFiles) > 0 || !l.checkpointing() && l.stalled != nil
}

// syncing is the journal whose checkpoint may not have synced yet what its cut
// describes, 0 if there is none.
func (l *Log) syncing() int {
	if (l.checkpointing() || l.stalled != nil) && !seeded("entry-left-to-checkpoint") {
		return l.journal.number
	}
	return 0
}

// startCheckpoint begins a new journal and leaves the rest to a goroutine that
// Close waits for. While the last such is still at it the journal may grow as in a
// flood, at least to twice its size. One that is short of space or files loses
// nothing, as the checkpoint and the journals before it are still there: it is taken
// up again when there are some, and the journal grows until then. If it does not
// succeed for another reason the log has failed; what was committed stays so.
func (l *Log) startCheckpoint() {
	if l.checkpointing() {
		if l.journal.bytes < max(2*l.journalLimit(), l.floodLimit()) {
			return
		}
		l.awaitCheckpoint()
	}
	if l.waits.Load() || l.queue.failure() != nil && !seeded("checkpoint-after-failed-one") {
		return // what the last one has not synced must not be left out by this one
	}
	c := l.stalled
	if l.stalled = nil; c == nil {
		var err error
		if c, err = l.cut(false); errors.As(err, new(*shortageError)) {
			l.waitFor(err)
			return
		} else if err != nil {
			_ = l.queue.fail(err)
			return
		}
	}
	ended := make(chan struct{})
	l.checkpoint = ended
	finish := func() {
		defer close(ended)
		began := l.opts.time()
		err := l.finishCheckpoint(c)
		if err == nil {
			l.metrics.checkpoints.Observe(l.seconds(began))
			l.filesAgain()
		} else if errors.As(err, new(*shortageError)) {
			if l.waitFor(err); !seeded("waiting-checkpoint-forgotten") {
				l.stalled = c
			}
		} else {
			c.giveUp()
			_ = l.queue.fail(fmt.Errorf("making a checkpoint: %w", err))
		}
	}
	switch {
	case l.opts.late:
		l.lateCheckpoint = finish
	case l.opts.Inline:
		finish()
	default:
		go finish()
	}
}

// awaitCheckpoint waits for the checkpoint under way, if there is one.
func (l *Log) awaitCheckpoint() {
	l.finishLate()
	<-l.checkpoint
}

func (l *Log) finishLate() {
	if finish := l.lateCheckpoint; finish != nil {
		l.lateCheckpoint = nil
		finish()
	}
}

func (l *Log) checkpointNow(clean bool) error {
	if c := l.stalled; c != nil {
		l.stalled = nil
		if err := l.finishOrGiveUp(c); err != nil {
			return err
		}
	}
	c, err := l.cut(clean)
	if err != nil {
		return err
	}
	return l.finishOrGiveUp(c)
}

func (l *Log) finishOrGiveUp(c *cut) error {
	err := l.finishCheckpoint(c)
	if err != nil {
		c.giveUp()
	}
	return err
}

// cut begins a new journal.
func (l *Log) cut(clean bool) (*cut, error) {
	fs, old := l.opts.FS, l.journal
	if seeded("journal-written-over-early") && old.file != nil {
		l.spare = journalName(fs, l.opts.Dir, old.number)
	}
	// A directory at rest needs no space for a journal to come.
	keep := !clean && !l.tight.Load()
	if !keep {
		l.dropSpare()
	}
	next, err := createJournal(fs, l.opts.Dir, l.spare, journal{number: old.number + 1, seq: old.seq, salt: l.salt, nosync: l.opts.NoSync, piece: l.opts.pieceBytes})
	if err != nil {
		l.dropSpare()
		return nil, err
	}
	l.spare = ""
	c := &cut{file: l.snapshot(), remove: append(l.oldFiles, l.unremoved...), unread: true}
	c.file.Journal, c.file.Seq, c.file.Clean = next.number, next.seq, clean
	c.old, l.settling = old, old.bytes
	if old.number > 0 && !keep {
		c.remove = append(c.remove, journalName(fs, l.opts.Dir, old.number))
	} else if old.number > 0 && !seeded("journal-written-over-early") {
		c.spare = journalName(fs, l.opts.Dir, old.number)
	}
	l.journal, l.oldFiles, l.largeBytes, l.short, l.due = next, nil, 0, 0, false
	l.journal.began = l.opts.time()
	for _, t := range l.topics {
		for _, p := range t.partitions {
			c.takeDirty(p, next.number)
		}
	}
	slices.SortFunc(c.unsynced, func(a, b unsyncedSegment) int { return strings.Compare(a.path, b.path) })
	slices.Sort(c.dirs)
	c.dirs = slices.Compact(c.dirs)
	return c, nil
}

func (c *cut) takeDirty(p *partition, journal int) {
	for _, s := range p.segments {
		u := unsyncedSegment{path: p.path(s.segmentID)}
		if s.extents.any() {
			s.refs.Add(1)
			u.seg = s
		}
		if s.dirty || u.seg != nil {
			c.unsynced = append(c.unsynced, u)
			s.dirty = false
		}
	}
	if p.dirDirty {
		c.dirs = append(c.dirs, p.dirs()...)
		p.dirDirty, p.dirCut = false, journal
	}
}

// finishCheckpoint writes and syncs what the cut describes and makes it the
// checkpoint. After a shortageError it may be called again.
func (l *Log) finishCheckpoint(c *cut) error {
	fs := l.opts.FS
	if err := l.each(len(c.unsynced), func(i int) error { return c.unsynced[i].finish(fs, c.file.Journal) }); err != nil {
		return err
	}
	// Who still reads a segment that is dropped may read it in the old journal.
	c.unread = c.old.close() && c.unread
	c.old = journal{}
	if err := l.each(len(c.dirs), func(i int) error { return syncDir(fs, c.dirs[i]) }); err != nil {
		return err
	}
	if seeded("old-files-removed-early") {
		for _, name := range c.remove {
			_ = fs.RemoveAll(name)
		}
	}
	if err := writeCheckpoint(fs, l.opts.Dir, c.file); err != nil {
		return err
	}
	l.unremoved = nil
	for _, name := range c.remove {
		if err := fs.RemoveAll(name); err != nil {
			l.opts.Logger.Warn("could not remove an old file; the next checkpoint tries again", "file", name, "error", err)
			l.unremoved = append(l.unremoved, name)
		}
	}
	if !c.unread && c.spare != "" {
		_ = fs.Remove(c.spare) // else it goes at the next start
		c.spare = ""
	}
	l.spare = c.spare
	return nil
}

// Many files are synced so many at once: then the filesystem makes several durable by
// one write of its journal. Few are synced one after the other, since that leaves
// the disk to commits.
const manySyncs, syncsAtOnce = 64, 16

// each calls f with the numbers below n, of files to sync, until there is an error.
func (l *Log) each(n int, f func(i int) error) error {
	if n < manySyncs || l.opts.Inline {
		for i := range n {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next, failed atomic.Int64
	errs := make([]error, syncsAtOnce)
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			for failed.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = f(i); errs[w] != nil {
					failed.Store(1)
				}
			}
		})
	}
	workers.Wait()
	return cmp.Or(errs...)
}

// giveUp gives free what a cut holds of which no checkpoint will be made.
func (c *cut) giveUp() {
	for i := range c.unsynced {
		c.unsynced[i].release()
	}
	c.old.close()
}

func (u *unsyncedSegment) release() {
	if u.seg != nil {
		u.seg.release()
		u.seg = nil
	}
}

// finish writes to the segment what of it stands in the journals before the one
// given, and syncs it. The file is synced through a handle of its own, since the
// committer goes on writing to it. Readers find all of it in the journals until
// then: what failed to be synced is not to be trusted.
func (u *unsyncedSegment) finish(fs vfs.FS, journal int) (err error) {
	n, late := 0, seeded("settled-after-sync")
	if u.seg != nil && !late {
		if n, err = u.seg.extents.settle(journal, u.seg.file); err != nil {
			return err
		}
	}
	if !seeded("no-segment-sync") {
		if err := syncFile(fs, u.path); err != nil {
			return fmt.Errorf("syncing segment: %w", err)
		}
	}
	if u.seg != nil && late {
		if n, err = u.seg.extents.settle(journal, u.seg.file); err != nil {
			return err
		}
	}
	if u.seg != nil {
		u.seg.extents.drop(n)
	}
	u.release()
	return nil
}

// dropSpare removes the journal kept to be written over.
func (l *Log) dropSpare() {
	if l.spare != "" {
		_ = l.opts.FS.Remove(l.spare) // else it goes at the next start
		l.spare = ""
	}
}

// snapshot describes the state for a checkpoint.
func (l *Log) snapshot() *checkpointFile {
	c := &checkpointFile{
		Version: oldestVersion, Epoch: l.epoch, Cluster: l.clusterID, Producers: l.endProducer,
		Groups: map[string][]checkpointOffset{}, States: map[string][]byte{},
	}
	for _, t := range l.topics {
		ct := checkpointTopic{Topic: t.Topic}
		for _, p := range t.partitions {
			part := p.snapshot()
			if p.offline != nil {
				c.Version = max(c.Version, offlineVersion)
			}
			if len(part.Aborted) > 0 {
				c.Version = packedVersion
			}
			ct.Parts = append(ct.Parts, part)
		}
		c.Topics = append(c.Topics, ct)
	}
	slices.SortFunc(c.Topics, func(a, b checkpointTopic) int { return strings.Compare(a.Name, b.Name) })
	for name, g := range l.groups {
		c.Groups[name] = g.snapshot()
		if g.state != nil {
			c.States[name] = g.state
		}
	}
	for _, t := range l.txns {
		c.Txns = append(c.Txns, t.snapshot())
	}
	slices.SortFunc(c.Txns, func(a, b checkpointTxn) int { return strings.Compare(a.ID, b.ID) })
	return c
}

func (p *partition) snapshot() checkpointPartition {
	if p.offline != nil {
		return p.saved
	}
	c := checkpointPartition{
		Start: p.start, Next: p.next, Cleaned: p.cleaned, Epochs: slices.Clone(p.epochs),
		Producers: map[int64]*producerState{}, Open: slices.Clone(p.open), Aborted: p.aborted,
	}
	for id, s := range p.producers {
		copied := *s
		copied.Batches = slices.Clone(s.Batches)
		c.Producers[id] = &copied
	}
	for _, s := range p.segments {
		c.Segments = append(c.Segments, checkpointSegment{segmentID: s.segmentID, Bytes: s.size, MaxTime: s.maxTime, Created: s.created, Sum: s.sum})
	}
	return c
}

func (g *group) snapshot() []checkpointOffset {
	list := []checkpointOffset{}
	add := func(offsets map[log.Partition]groupOffset, producer *int64) {
		for _, p := range sortedPartitions(offsets) {
			o := offsets[p]
			c := checkpointOffset{
				Topic: p.Topic, Partition: p.Index, Next: o.Offset, Epoch: &o.LeaderEpoch, Metadata: o.Metadata, Time: o.CommitTime, Producer: producer,
			}
			if len(g.pending) > 0 {
				c.Order = o.order
			}
			list = append(list, c)
		}
	}
	add(g.offsets, nil)
	for _, id := range slices.Sorted(maps.Keys(g.pending)) {
		add(g.pending[id], &id)
	}
	return list
}

func (t *txn) snapshot() checkpointTxn {
	c := checkpointTxn{
		ID: t.id, Producer: t.producer, Before: t.before, State: t.state, TimeoutMS: t.timeout.Milliseconds(),
		Updated: t.updated, Groups: slices.Sorted(maps.Keys(t.groups)), Partitions: t.sortedPartitions(),
	}
	if t.state == log.TxnOngoing {
		c.Began = t.began.UnixMilli()
	}
	return c
}
