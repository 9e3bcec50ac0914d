package segment

import (
	"context"
	"fmt"

	"karst/log"
)

// A writer gathers a transaction in memory and submits it as one request: the
// embedded log's journal makes one entry of it, which is durable as a whole or
// not at all, so no markers are needed.
type writer struct {
	log        *Log
	id         string
	generation uint64
	ops        []op
}

// OpenWriter implements log.Log.
func (l *Log) OpenWriter(_ context.Context, transactionalID string) (log.Writer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writers[transactionalID]++
	return &writer{log: l, id: transactionalID, generation: l.writers[transactionalID]}, nil
}

// Append implements log.Writer.
func (w *writer) Append(p log.Partition, batch []byte) error {
	w.ops = append(w.ops, op{kind: opAppend, batch: batch, created: log.Topic{Name: p.Topic}, partition: p.Index})
	return nil
}

// Offsets implements log.Writer.
func (w *writer) Offsets(group string, next map[log.Partition]int64) error {
	w.ops = append(w.ops, op{kind: opOffsets, group: group, offsets: next})
	return nil
}

// Commit implements log.Writer.
func (w *writer) Commit(done func(error)) {
	ops := w.ops
	w.ops = nil
	w.log.enqueue(&request{ops: ops, check: w.fenced, done: done})
}

func (w *writer) fenced() error {
	if w.log.writers[w.id] != w.generation {
		return fmt.Errorf("%w: %s", log.ErrFenced, w.id)
	}
	return nil
}

// Abort implements log.Writer.
func (w *writer) Abort() { w.ops = nil }

// Close implements log.Writer.
func (w *writer) Close() { w.ops = nil }
