package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"karst/log"
)

// gatherBytes bounds what is gathered into one journal entry; further requests
// go to the next one.
const gatherBytes = 32 << 20

// submit queues a request and waits for it. A context that ends first only
// ends the waiting.
func (l *Log) submit(ctx context.Context, r *request) error {
	ch := make(chan error, 1)
	r.done = func(err error) { ch <- err }
	l.queue.add(r)
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit makes the first requests of batch durable as one journal entry, and
// returns how many those are. An error is the log's failure; requests that are
// merely refused have their err set.
func (l *Log) commit(batch []*request) (int, error) {
	n := l.gather(batch)
	err := l.commitEntry(batch[:n])
	clear(l.ops) // they hold the batches
	clear(l.appends)
	if err != nil {
		return n, err
	}
	if l.checkpointDue() {
		l.startCheckpoint()
	}
	return n, nil
}

// gather returns how many requests make the next entry. One that changes topics
// stands alone, since others are checked against its outcome.
func (l *Log) gather(batch []*request) int {
	bytes, all := 0, 0
	for n, r := range batch {
		if r.alone {
			return max(n, 1)
		}
		journal, whole := r.sizes(l.opts.LargeRunBytes)
		bytes += journal
		all += whole
		if n > 0 && (bytes > gatherBytes || !l.roomFor(all)) {
			return n
		}
	}
	return len(batch)
}

func (l *Log) commitEntry(batch []*request) error {
	began := l.opts.time()
	l.ops, l.appends = l.ops[:0], l.appends[:0]
	for _, r := range batch {
		if _, all := r.sizes(l.opts.LargeRunBytes); !l.roomFor(all) {
			r.err = fmt.Errorf("%w: %d bytes at once", log.ErrDiskFull, all)
			continue
		}
		if r.err = l.prepare(r); l.broken != nil {
			r.err = nil // it is not refused, nobody knows
			return l.broken
		}
		for i := range r.ops {
			if o := &r.ops[i]; r.err == nil {
				l.ops = append(l.ops, o)
				if o.kind == opAppend {
					l.appends = append(l.appends, o)
				}
			}
		}
	}
	if len(l.ops) == 0 {
		return nil
	}
	if err := l.writeLarge(); err != nil {
		return err
	}
	l.entry.encode(l.ops)
	if err := l.write(); err != nil {
		return err
	}
	l.metrics.journal.Add(float64(len(l.entry.buf)))
	if cap(l.entry.buf) > gatherBytes {
		l.entry.buf = nil
	}
	l.apply(batch)
	l.metrics.commits.Observe(l.seconds(began))
	return nil
}

// write makes the entry durable.
func (l *Log) write() error {
	at := l.journal.end()
	if err := l.journal.writeEntry(&l.entry); err != nil {
		return err
	}
	return l.fill(at)
}

// maxShort bounds the extents of short runs in one journal, which take memory.
const maxShort = 1 << 17

// fill puts the entry's batches in their segments, as far as they are not there
// yet, or leaves them in the journal, in which the entry begins at at. A write to
// a segment waits while a checkpoint syncs it, and is the better the longer it
// is: so only short runs, which would make as many extents, are written at once;
// while a checkpoint is under way, once maxShort of them have stayed. What finds no
// space in its segment stays in the journal, too.
func (l *Log) fill(at int64) error {
	under := l.checkpointing()
	for i := range l.entry.runs {
		r := &l.entry.runs[i]
		short := r.bytes < l.opts.DeferRunBytes
		stays := (!short || under && l.short < maxShort) && l.mayDefer(int64(r.bytes))
		if stays && short {
			l.short++
		}
		if !stays {
			err := r.seg.write(l.entry.batches(r), r.pos)
			if stays = errors.As(asShortage(err), new(*shortageError)); err != nil && !stays {
				return err
			}
		}
		if stays {
			r.seg.extents.add(extent{pos: r.pos, bytes: int64(r.bytes), at: at + int64(l.entry.first+r.at), source: l.journal.source})
		}
	}
	return nil
}

// prepare checks a request and takes its operations.
func (l *Log) prepare(r *request) error {
	if r.check != nil {
		if err := r.check(r); err != nil {
			return err
		}
	}
	bytes := 0
	for i := range r.ops {
		o := &r.ops[i]
		if bytes += o.journalBytes(l.opts.LargeRunBytes); bytes > l.opts.MaxTxnBytes {
			return fmt.Errorf("%w: a transaction of more than %d bytes", log.ErrRecordTooLarge, l.opts.MaxTxnBytes)
		}
		if o.kind == opAppend && !o.taken {
			if err := l.resolve(o); err != nil {
				return err
			}
		}
	}
	for i := range r.ops {
		if o := &r.ops[i]; !o.taken {
			if err := l.ahead(o); err != nil {
				l.broken = err
				return err
			}
		}
	}
	return nil
}

// resolve finds the partition of a batch.
func (l *Log) resolve(o *op) error {
	t := l.topics[o.name]
	if t == nil || o.partition < 0 || o.partition >= t.Partitions {
		return unknown(log.Partition{Topic: o.name, Index: o.partition})
	}
	if err := l.checkShort(o.name); err != nil {
		return err
	}
	o.topic, o.part = t.ID, t.partitions[o.partition]
	if o.part.offline != nil {
		return o.part.offline
	}
	return l.makeFirst(o.part)
}

// makeFirst has a partition have a segment that batches can go to. Who needs it is
// refused if there is none to be had; another error is the log's failure.
func (l *Log) makeFirst(p *partition) error {
	err := p.makeFirst()
	l.noteFiles(err)
	switch {
	case err == nil || noFiles(err):
		return err
	case errors.As(err, new(*shortageError)):
		return fmt.Errorf("%w: %w", log.ErrDiskFull, err)
	}
	l.broken = err
	return err
}

// take makes o part of a request that is being checked: the committer's own
// state runs ahead, the rest follows once the entry is durable. An error is the
// log's failure.
func (l *Log) take(r *request, o op) error {
	if err := l.ahead(&o); err != nil {
		l.broken = err
		return err
	}
	r.ops = append(r.ops, o)
	return nil
}

// ahead changes the committer's state: offsets and places of batches, sequences
// of producers, states of transactions.
func (l *Log) ahead(o *op) error {
	o.taken = true
	if o.kind == opAppend {
		return l.place(o)
	}
	if o.detail != nil {
		return l.aheadTxn(o.detail)
	}
	return nil
}

// place gives a batch its offsets and its position in a segment.
func (l *Log) place(o *op) error {
	p := o.part
	log.SetBase(o.batch, p.tail, l.epoch)
	info, err := log.ReadHeader(o.batch)
	if err != nil {
		return err
	}
	now := l.opts.now()
	o.base, o.info, o.epoch = p.tail, info, l.epoch
	o.length, o.roll = len(o.batch), p.needsRoll(len(o.batch), now)
	err = p.place(o, true, now)
	if len(p.segments) > 0 && errors.As(err, new(*shortageError)) {
		l.noteFiles(err)
		o.roll = false
		err = p.place(o, true, now)
	}
	if err != nil {
		return err
	}
	if p.track(info, now) {
		l.producerAdded()
	}
	return nil
}

// writeLarge writes the large runs of an entry to their segments and makes them
// durable there, so that the journal needs only to name their batches.
func (l *Log) writeLarge() error {
	l.entry.layOut(l.appends)
	var parts []*partition
	for _, o := range l.appends {
		if r := &l.entry.runs[o.run]; r.bytes >= l.opts.LargeRunBytes {
			o.kind = opPlaced
			l.largeBytes += int64(o.length)
			if !slices.Contains(parts, o.part) {
				parts = append(parts, o.part)
			}
		}
	}
	if l.opts.Inline || len(parts) < 2 {
		for _, p := range parts {
			if err := l.unplaced(p, l.writePlaced(p)); err != nil {
				return err
			}
		}
		return nil
	}
	type result struct {
		part *partition
		err  error
	}
	results := make(chan result, len(parts))
	for _, p := range parts {
		go func() { results <- result{p, l.writePlaced(p)} }() // waited for below
	}
	var err error
	for range parts {
		r := <-results
		err = cmp.Or(err, l.unplaced(r.part, r.err))
	}
	return err
}

// unplaced has the placed batches of a partition go to the journal after all, if
// err says that a file was missing to make them durable in their segment.
func (l *Log) unplaced(p *partition, err error) error {
	if !noFiles(err) || !errors.As(err, new(*shortageError)) {
		return err
	}
	l.noteFiles(err)
	for _, o := range l.appends {
		if o.part == p && o.kind == opPlaced {
			o.kind = opAppend
			l.largeBytes -= int64(o.length)
		}
	}
	return nil
}

// writePlaced writes the placed batches of a partition.
func (l *Log) writePlaced(p *partition) error {
	for _, o := range l.appends {
		if o.part == p && o.kind == opPlaced {
			if err := o.seg.write(o.batch, o.pos); err != nil {
				return err
			}
		}
	}
	if l.opts.NoSync || seeded("no-sync-of-large-batches") {
		return nil
	}
	return p.sync(l.syncing())
}

// apply makes a durable entry's effects visible, all at once, and tells the
// watchers.
func (l *Log) apply(batch []*request) {
	bytes := 0
	l.mu.Lock()
	for _, o := range l.appends {
		o.part.publish(o)
		bytes += o.length
		l.touched[o.name] = struct{}{}
	}
	for _, r := range batch {
		for i := range r.ops {
			if o := &r.ops[i]; r.err == nil && o.part == nil {
				l.applyMeta(o)
			}
		}
	}
	l.mu.Unlock()
	l.metrics.batches.Add(float64(len(l.appends)))
	l.metrics.bytes.Add(float64(bytes))
	for _, w := range *l.watchers.Load() {
		for t := range l.touched {
			w.wake(t)
		}
	}
	clear(l.touched)
}

// applyMeta applies an operation that is not an append. The caller holds mu,
// or nobody else knows the log yet.
func (l *Log) applyMeta(o *op) {
	switch o.kind {
	case opCreateTopic:
		l.addTopic(o.created)
	case opDeleteTopic:
		if t := l.byID[o.topic]; t != nil {
			l.dropTopic(t)
		}
	case opTrim:
		if t := l.byID[o.topic]; t != nil {
			l.oldFiles = append(l.oldFiles, t.partitions[o.partition].trim(o.base)...)
		}
	default:
		l.applyGroup(o)
	}
	switch d := o.detail.(type) {
	case *topicConfig:
		if t := l.byID[d.Topic]; t != nil {
			t.Config, t.settings = d.Config, l.opts.settings(d.Config)
			for _, p := range t.partitions {
				p.settings = t.settings
			}
		}
	case *addPartitions:
		if t := l.byID[d.Topic]; t != nil {
			l.growTopic(t, d.Total)
		}
	case *heldMarker:
		if t := l.byID[d.Partition.Topic]; t != nil {
			t.partitions[d.Partition.Index].saved.hold(d)
		}
	case *replace:
		p := l.byID[d.Partition.Topic].partitions[d.Partition.Index]
		l.oldFiles = append(l.oldFiles, p.replace(d)...)
	}
}
