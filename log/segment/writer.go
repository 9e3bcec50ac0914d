package segment

import (
	"context"
	"fmt"

	"karst/log"
)

// A writer gathers a transaction in memory and submits it as one request; see
// the package's "Transactions".
type writer struct {
	log        *Log
	id         string
	generation uint64
	ops        []op
}

// OpenWriter implements log.Log. It goes through the queue, so that whatever an
// earlier writer has committed before is applied when it returns, and whatever
// comes later is refused.
func (l *Log) OpenWriter(ctx context.Context, transactionalID string) (log.Writer, error) {
	w := &writer{log: l, id: transactionalID}
	err := l.submit(ctx, &request{check: func(*request) error {
		l.generation++
		w.generation = l.generation
		l.writers[w.id] = w.generation
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Append implements log.Writer.
func (w *writer) Append(p log.Partition, batch []byte) error {
	o, err := w.log.appendOp(p, batch)
	if err != nil {
		return err
	}
	w.ops = append(w.ops, o)
	return nil
}

// Offsets implements log.Writer.
func (w *writer) Offsets(group string, next map[log.Partition]int64) error {
	offsets := make(map[log.Partition]log.GroupOffset, len(next))
	for p, offset := range next {
		offsets[p] = log.GroupOffset{Offset: offset, LeaderEpoch: -1, CommitTime: w.log.opts.now()}
	}
	w.ops = append(w.ops, op{kind: opGroupOffsets, group: group, offsets: offsets})
	return nil
}

// Commit implements log.Writer.
func (w *writer) Commit(done func(error)) {
	ops := w.ops
	w.ops = nil
	w.log.queue.add(&request{ops: ops, check: w.fenced, done: done})
}

func (w *writer) fenced(*request) error {
	if w.log.writers[w.id] != w.generation {
		return fmt.Errorf("%w: %s", log.ErrFenced, w.id)
	}
	return nil
}

// Abort implements log.Writer.
func (w *writer) Abort() { w.ops = nil }

// Close implements log.Writer.
func (w *writer) Close() {
	w.ops = nil
	w.log.queue.add(&request{done: func(error) {}, check: func(*request) error {
		if w.log.writers[w.id] == w.generation {
			delete(w.log.writers, w.id)
		}
		return nil
	}})
}

// Produce implements log.Log.
func (l *Log) Produce(ctx context.Context, batches []log.Append) error {
	r := &request{}
	for _, b := range batches {
		o, err := l.appendOp(b.Partition, b.Batch)
		if err != nil {
			return err
		}
		r.ops = append(r.ops, o)
	}
	return l.submit(ctx, r)
}

// appendOp checks a batch, in the producer's goroutine.
func (l *Log) appendOp(p log.Partition, batch []byte) (op, error) {
	if len(batch) > l.opts.MaxBatchBytes {
		return op{}, fmt.Errorf("%w: batch of %d bytes for %s, at most %d are taken", log.ErrRecordTooLarge, len(batch), p.Topic, l.opts.MaxBatchBytes)
	}
	info, err := log.CheckBatch(batch)
	if err != nil {
		return op{}, err
	}
	if last := info.LastOffset - info.BaseOffset; info.Count == 0 || int64(info.Count) != last+1 || info.Control() || info.Producer.ID >= 0 {
		return op{}, fmt.Errorf("%w: batch of %d records with last offset %d", log.ErrCorrupt, info.Count, last)
	}
	l.mu.RLock()
	t := l.topics[p.Topic]
	compacts := t != nil && t.settings.compacts
	l.mu.RUnlock()
	if compacts { // which would drop records that have none
		keyless, err := log.Keyless(batch, info)
		if err != nil {
			return op{}, err
		}
		if keyless {
			return op{}, needsKey(p.Topic)
		}
	}
	return op{kind: opAppend, batch: batch, name: p.Topic, partition: p.Index}, nil
}

func needsKey(topic string) error {
	return fmt.Errorf("%w: %s is compacted, its records need a key", log.ErrInvalidRecord, topic)
}
