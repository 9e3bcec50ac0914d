package segment

import (
	"context"
	"fmt"
	"sync"

	"karst/log"
)

// A request is what must become durable together.
type request struct {
	ops []op
	// check, if set, runs before anything is written, under the log's lock,
	// after all earlier requests have been applied.
	check func() error
	done  func(error)
	err   error // set by the commit if the request was refused
}

// submit queues a request and waits for it. A context that ends first only
// ends the waiting.
func (l *Log) submit(ctx context.Context, r *request) error {
	ch := make(chan error, 1)
	r.done = func(err error) { ch <- err }
	l.enqueue(r)
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) enqueue(r *request) {
	if l.opts.Inline {
		l.queue.inline(r, l.commit)
		return
	}
	l.queue.add(r)
}

// A committer is the queue in front of the journal: its goroutine takes all
// that has gathered while the last fsync ran and commits it as one. The Log
// owns the goroutine and waits for it in Close.
type committer struct {
	mu      sync.Mutex
	pending []*request
	failed  error // why nothing is accepted any more
	closed  bool
	ready   chan struct{}
	ended   chan struct{}
	serial  sync.Mutex // inline commits
}

func (q *committer) start(commit func([]*request) error) {
	q.ready, q.ended = make(chan struct{}, 1), make(chan struct{})
	go q.run(commit)
}

func (q *committer) run(commit func([]*request) error) {
	defer close(q.ended)
	for {
		q.mu.Lock()
		batch, closed := q.pending, q.closed
		q.pending = nil
		q.mu.Unlock()
		if len(batch) > 0 {
			q.finish(batch, commit(batch))
			continue
		}
		if closed {
			return
		}
		<-q.ready
	}
}

// finish calls every request's done; err is a failure of the log itself, after
// which nothing is accepted.
func (q *committer) finish(batch []*request, err error) {
	if err != nil {
		q.mu.Lock()
		q.failed = fmt.Errorf("the log has failed and takes no more writes until it is opened again: %w", err)
		err = q.failed
		q.mu.Unlock()
	}
	for _, r := range batch {
		if r.err != nil {
			r.done(r.err)
		} else {
			r.done(err)
		}
	}
}

func (q *committer) refuse() error {
	if q.failed != nil {
		return q.failed
	}
	if q.closed {
		return log.ErrClosed
	}
	return nil
}

func (q *committer) add(r *request) {
	q.mu.Lock()
	err := q.refuse()
	if err == nil {
		q.pending = append(q.pending, r)
	}
	q.mu.Unlock()
	if err != nil {
		r.done(err)
		return
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *committer) inline(r *request, commit func([]*request) error) {
	q.serial.Lock()
	defer q.serial.Unlock()
	q.mu.Lock()
	err := q.refuse()
	q.mu.Unlock()
	if err != nil {
		r.done(err)
		return
	}
	batch := []*request{r}
	q.finish(batch, commit(batch))
}

// stop lets the queue drain and returns the failure of the log, if any.
func (q *committer) stop() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	if q.ready != nil {
		select {
		case q.ready <- struct{}{}:
		default:
		}
		<-q.ended
	}
	return q.failed
}

// gatherBytes bounds the bytes gathered into one journal entry; further
// requests go to the next one.
const gatherBytes = 32 << 20

// commit makes requests durable in order. An error is the log's failure;
// requests that are merely refused have their err set.
func (l *Log) commit(batch []*request) error {
	for len(batch) > 0 {
		n, bytes := 0, 0
		for n < len(batch) && (n == 0 || bytes < gatherBytes) {
			for i := range batch[n].ops {
				bytes += len(batch[n].ops[i].batch)
			}
			n++
			if batch[n-1].changesTopics() {
				break // later requests are checked against its outcome
			}
		}
		if err := l.commitEntry(batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	if l.journal.bytes >= l.opts.JournalBytes {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.checkpoint(false)
	}
	return nil
}

func (r *request) changesTopics() bool {
	for i := range r.ops {
		if k := r.ops[i].kind; k == opCreateTopic || k == opDeleteTopic || k == opTrim {
			return true
		}
	}
	return false
}

// commitEntry commits requests as one journal entry.
func (l *Log) commitEntry(batch []*request) error {
	var placed []placement
	l.entry = beginEntry(l.entry)
	ends := map[*partition]int64{} // where the entry's appends end so far
	for _, r := range batch {
		if r.err = l.prepare(r, ends); r.err != nil {
			continue
		}
		for i := range r.ops {
			o := &r.ops[i]
			if o.kind != opAppend {
				continue
			}
			pl, err := l.place(o, ends)
			if err != nil {
				return err
			}
			placed = append(placed, pl)
		}
	}
	if err := syncLarge(placed); err != nil {
		return err
	}
	for _, r := range batch {
		if r.err == nil {
			for i := range r.ops {
				l.entry = r.ops[i].append(l.entry)
			}
		}
	}
	if len(l.entry) == entryHeaderBytes {
		return nil
	}
	if err := l.journal.write(l.entry); err != nil {
		return err
	}
	if cap(l.entry) > 4*gatherBytes {
		l.entry = nil
	}
	l.apply(batch, placed)
	return nil
}

// prepare checks a request and resolves its topics.
func (l *Log) prepare(r *request, ends map[*partition]int64) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if r.check != nil {
		if err := r.check(); err != nil {
			return err
		}
	}
	for i := range r.ops {
		o := &r.ops[i]
		if o.kind != opAppend {
			continue
		}
		name := o.created.Name
		t := l.topics[name]
		if t == nil || o.partition < 0 || o.partition >= t.Partitions {
			return fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, name, o.partition)
		}
		if len(o.batch) > l.opts.MaxBatchBytes {
			return fmt.Errorf("%w: batch of %d bytes for %s, at most %d are taken", log.ErrRecordTooLarge, len(o.batch), name, l.opts.MaxBatchBytes)
		}
		if _, err := log.CheckBatch(o.batch); err != nil {
			return err
		}
		o.topic = t.ID
	}
	return nil
}

// A placement is where a batch was written.
type placement struct {
	part *partition
	seg  *segmentFile
	n    int
	next int64
	sync bool
}

// place gives a batch its offsets and writes it to its segment's page cache,
// where no reader sees it before publish. Segments are rewritten from the
// journal after a crash, so writing before the journal's fsync is harmless.
func (l *Log) place(o *op, ends map[*partition]int64) (placement, error) {
	l.mu.RLock()
	part := l.byID[o.topic].partitions[o.partition]
	l.mu.RUnlock()
	end, ok := ends[part]
	if !ok {
		end = part.next
	}
	log.SetBase(o.batch, end, l.epoch)
	info, err := log.ReadHeader(o.batch)
	if err != nil {
		return placement{}, err
	}
	o.base, o.last, o.roll = end, info.LastOffset, part.needsRoll(len(o.batch), l.opts.SegmentBytes)
	ends[part] = o.last + 1
	seg, err := part.write(o.batch, o.base, o.roll)
	if err != nil {
		return placement{}, err
	}
	pl := placement{part: part, seg: seg, n: len(o.batch), next: o.last + 1}
	if len(o.batch) >= l.opts.LargeBatchBytes {
		o.kind, pl.sync = opPlaced, true
	}
	return pl, nil
}

// syncLarge makes the segments of large batches durable.
func syncLarge(placed []placement) error {
	done := map[*partition]bool{}
	for _, pl := range placed {
		if pl.sync && !done[pl.part] {
			if err := pl.part.sync(); err != nil {
				return err
			}
			done[pl.part] = true
		}
	}
	return nil
}

// apply makes a durable entry's effects visible and tells the watchers.
func (l *Log) apply(batch []*request, placed []placement) {
	l.mu.Lock()
	for _, r := range batch {
		if r.err != nil {
			continue
		}
		for i := range r.ops {
			switch o := &r.ops[i]; o.kind {
			case opAppend, opPlaced:
				l.touched[o.created.Name] = struct{}{}
			default:
				l.applyMeta(o)
			}
		}
	}
	for _, pl := range placed {
		pl.part.publish(pl.seg, pl.n, pl.next)
	}
	watchers := make([]func(string), 0, len(l.watchers))
	for _, w := range l.watchers {
		watchers = append(watchers, w)
	}
	l.mu.Unlock()
	for t := range l.touched {
		for _, w := range watchers {
			w(t)
		}
		delete(l.touched, t)
	}
}
