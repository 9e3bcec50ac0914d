package segment

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strconv"
	"strings"

	"karst/log"
)

// A partition whose files are found damaged when the log is opened (one is
// missing, shorter than the checkpoint says, not to be opened, or has lost a
// batch that the journal names) is offline for as long as the log is open: it
// gives and takes nothing (log.ErrOffline), and its files are left as they are.
// The rest of the log works. Once the files are back, the next start has the
// partition whole again; that takes what the journal has said of it since the
// checkpoint, which drops the journal:
//
//	saved    the checkpoint goes on saying what it said of the partition
//	held     the journal's operations on the partition, in a file of their own
//	markers  the ends of transactions that were decided while it was offline
//
// A start that finds the partition's files as saved says applies held and the
// markers, then its next checkpoint has the partition as any other. Held is
// written once, by the start that takes the partition offline: after that
// there is nothing in the journal for it but markers.

// A damageError is what is wrong with the files of one partition.
type damageError struct {
	file string
	// lost is a batch that the journal names and that is not, or not whole, in
	// its segment: of a journal that is not synced a power cut may leave that.
	lost bool
	error
}

func (e *damageError) Unwrap() error { return e.error }

// damaged makes err, met with a file of a partition, a damageError, unless it
// says that the machine is short of something: then the log is not opened.
func damaged(file string, lost bool, err error) error {
	if short := asShortage(err); errors.As(short, new(*shortageError)) {
		return short
	}
	return &damageError{file: file, lost: lost, error: err}
}

// withoutPath leaves out where the data directory is: clients are told err, too.
func withoutPath(err error) error {
	if p := (*iofs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// A heldMarker is the end of a transaction in a partition that is offline, in
// place of the marker itself, whose offset is not known.
type heldMarker struct {
	Partition partitionID
	Producer  log.Producer
	Commit    bool
	Epoch     int32 // leader epoch
	Time      int64 // ms
}

const heldPrefix = "held-"

// heldName is the file of the journal's operations on a partition.
func heldName(id partitionID) string {
	return heldPrefix + id.Topic.String() + "-" + strconv.Itoa(int(id.Index))
}

// takeOffline sets the partition aside, whose files are damaged as err says.
func (p *partition) takeOffline(err error) {
	for _, s := range p.segments {
		s.release()
	}
	p.segments = nil
	p.start, p.next, p.tail = 0, 0, 0
	p.epochs, p.cleaned, p.producers, p.open, p.aborted = nil, 0, nil, nil, nil
	p.offline = fmt.Errorf("%w: %s partition %d: %v; restore the file from a copy and start again", log.ErrOffline, p.name.Topic, p.name.Index, err)
	p.gone = p.offline
}

// loadPartition sets the state that the checkpoint and what was held describe.
func (l *Log) loadPartition(id partitionID, c *checkpointPartition) error {
	p := l.byID[id.Topic].partitions[id.Index]
	if p.offline != nil { // as the run before has found
		p.saved = *c
		return nil
	}
	err := p.load(c)
	if damage := (*damageError)(nil); errors.As(err, &damage) {
		l.damaged[id] = damage
		p.takeOffline(damage)
		p.saved = *c
		return nil
	}
	if err != nil {
		return err
	}
	l.producers += len(c.Producers)
	if c.Held == 0 && len(c.Markers) == 0 {
		return nil
	}
	if err := l.noteDamage(id, l.redoHeld(id, c)); err != nil || l.damaged[id] != nil {
		return err
	}
	l.opts.Logger.Info("a partition that was offline is whole again", "topic", p.name.Topic, "partition", p.name.Index)
	return nil
}

// noteDamage takes err as it is unless it is about one partition's files: what
// the journal has for that is left out then, and another run has it offline from
// the beginning.
func (l *Log) noteDamage(id partitionID, err error) error {
	damage := (*damageError)(nil)
	if !errors.As(err, &damage) {
		return err
	}
	l.damaged[id], l.again = damage, true
	return nil
}

// redoHeld applies what was held for a partition while it was offline.
func (l *Log) redoHeld(id partitionID, c *checkpointPartition) error {
	if c.Held > 0 {
		name := heldName(id)
		j, err := openJournalFile(l.opts.FS, l.opts.FS.PathJoin(l.opts.Dir, name), 0)
		if err == nil && j == nil {
			err = fmt.Errorf("%w: its header is not whole", log.ErrCorrupt)
		}
		if err != nil {
			return damaged(name, false, fmt.Errorf("%s: %w", name, withoutPath(err)))
		}
		err = j.entries(c.Held, func(payload []byte) error { return decodeOps(payload, l.redo) })
		_ = j.file.Close()
		if err == nil && j.seq < c.Held {
			err = damaged(name, false, fmt.Errorf("%w: %s ends after %d of %d operations", log.ErrCorrupt, name, j.seq, c.Held))
		}
		if err != nil {
			return err
		}
	}
	for i := range c.Markers {
		if err := l.redoMarker(&c.Markers[i]); err != nil {
			return err
		}
	}
	return nil
}

// redoMarker ends a transaction in a partition that was offline when that was
// decided.
func (l *Log) redoMarker(m *heldMarker) error {
	t := l.byID[m.Partition.Topic]
	if t == nil || m.Partition.Index < 0 || m.Partition.Index >= t.Partitions {
		return fmt.Errorf("%w: marker for topic %s partition %d, which there is not", log.ErrCorrupt, m.Partition.Topic, m.Partition.Index)
	}
	p := t.partitions[m.Partition.Index]
	o := &op{kind: opAppend, topic: t.ID, partition: m.Partition.Index, batch: log.Marker(m.Producer, m.Commit, m.Time), base: p.tail}
	log.SetBase(o.batch, p.tail, m.Epoch)
	o.length, o.roll = len(o.batch), p.needsRoll(len(o.batch), l.opts.now())
	return l.redoAppend(p, o)
}

// replayOp applies an operation of a journal, or holds it if it is on a
// partition that is offline.
func (l *Log) replayOp(o *op, nosync bool) error {
	id, one := o.onPartition()
	t := l.byID[id.Topic]
	if !one || t == nil || id.Index < 0 || id.Index >= t.Partitions {
		return l.redo(o)
	}
	if p := t.partitions[id.Index]; p.offline != nil {
		return l.hold(id, p, o)
	}
	if l.damaged[id] != nil {
		return nil // the next run holds it
	}
	err := l.redo(o)
	if damage := (*damageError)(nil); errors.As(err, &damage) && damage.lost && nosync {
		return err
	}
	return l.noteDamage(id, err)
}

// onPartition returns the partition that o changes, if it is one alone.
func (o *op) onPartition() (id partitionID, one bool) {
	switch o.kind {
	case opAppend, opPlaced, opTrim:
		return partitionID{o.topic, o.partition}, true
	}
	switch d := o.detail.(type) {
	case *replace:
		return d.Partition, true
	case *heldMarker:
		return d.Partition, true
	}
	return id, false
}

// hold keeps an operation of a journal for a partition that is offline.
func (l *Log) hold(id partitionID, p *partition, o *op) error {
	if m, ok := o.detail.(*heldMarker); ok {
		p.saved.hold(m)
		return nil
	}
	if seeded("held-operations-lost") {
		return nil
	}
	if p.held.file == nil {
		if p.saved.Held > 0 {
			return fmt.Errorf("%w: the journal has more for %s partition %d, which was offline", log.ErrCorrupt, p.name.Topic, p.name.Index)
		}
		var err error
		name := l.opts.FS.PathJoin(l.opts.Dir, heldName(id))
		if p.held, err = createJournalFile(l.opts.FS, name, "", journal{salt: l.salt, nosync: true}); err != nil {
			return err
		}
	}
	l.entry.encode([]*op{o})
	if err := p.held.writeEntry(&l.entry); err != nil {
		return err
	}
	p.saved.Held = p.held.seq
	return nil
}

// hold keeps the end of a transaction. The partition has no records since its
// first end, so what ends after that for the same producer has nothing here.
func (c *checkpointPartition) hold(m *heldMarker) {
	for i := range c.Markers {
		if c.Markers[i].Producer.ID == m.Producer.ID {
			return
		}
	}
	if !seeded("held-marker-lost") {
		c.Markers = append(c.Markers, *m)
	}
}

// finishHeld makes durable what this start has held, and tells which partitions
// are offline.
func (l *Log) finishHeld() error {
	for _, t := range l.allTopics() {
		for i, p := range t.partitions {
			if p.held.file != nil {
				err := p.held.file.Sync()
				if cerr := p.held.file.Close(); err == nil {
					err = cerr
				}
				if p.held.file = nil; err != nil {
					return fmt.Errorf("keeping the journal's operations on %s partition %d: %w", t.Name, i, err)
				}
			}
			if damage := l.damaged[partitionID{t.ID, int32(i)}]; damage != nil {
				l.opts.Logger.Error("a partition is offline, its files are damaged; the rest of the log works. Restore the file from a copy and start again; without a copy the topic can be deleted",
					"topic", t.Name, "partition", i, "file", damage.file, "found", damage.error)
			}
		}
	}
	l.damaged = nil
	return nil
}

// heldFiles returns the files of what is held for a topic.
func (l *Log) heldFiles(t *topic) (files []string) {
	for i, p := range t.partitions {
		if p.offline != nil && p.saved.Held > 0 {
			files = append(files, l.opts.FS.PathJoin(l.opts.Dir, heldName(partitionID{t.ID, int32(i)})))
		}
	}
	return files
}

// removeStrayHeld removes what was held for partitions that are back.
func (l *Log) removeStrayHeld(names []string) {
	known := map[string]bool{}
	for _, t := range l.topics {
		for _, file := range l.heldFiles(t) {
			known[l.opts.FS.PathBase(file)] = true
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, heldPrefix) && !known[name] {
			_ = l.opts.FS.Remove(l.opts.FS.PathJoin(l.opts.Dir, name))
		}
	}
}
