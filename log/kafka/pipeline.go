package kafka

import (
	"context"
	"sync"

	"karst/log"
)

// A pipeline takes what is produced without a transaction: while a round of
// requests is under way, what comes gathers for the next.
type pipeline struct {
	sender sender

	mu      sync.Mutex
	pending []*parcel
	working bool          // a goroutine sends
	came    chan struct{} // tells it of what is pending, capacity 1
}

func newPipeline(l *Log) *pipeline {
	return &pipeline{sender: sender{log: l, stale: true}, came: make(chan struct{}, 1)}
}

// Produce implements log.Log. Each batch is stored or not by itself, and once,
// however often it had to be sent; after log.ErrUnavailable it may be stored.
func (l *Log) Produce(ctx context.Context, batches []log.Append) error {
	results := make(chan error, len(batches))
	var parcels []*parcel
	for _, b := range batches {
		p, err := l.parcel(b, func(err error) { results <- err })
		if err != nil {
			return err
		}
		parcels = append(parcels, p)
	}
	l.pipeline.add(parcels)
	var first error
	for range parcels {
		select {
		case err := <-results:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if first == nil {
		l.watcher.wrote(batches)
	}
	return first
}

// parcel checks a batch and makes it ready to be sent.
func (l *Log) parcel(a log.Append, done func(error)) (*parcel, error) {
	info, err := log.CheckBatch(a.Batch)
	if err != nil {
		return nil, err
	}
	if info.Count == 0 || info.Control() {
		return nil, log.ErrInvalidRecord
	}
	p := newParcel(a, done)
	if l.opts.Compression != log.None {
		small, err := log.Recompress(a.Batch, l.opts.Compression)
		if err != nil {
			return nil, err
		}
		if len(small) < len(a.Batch) {
			p.parts[0] = small
		}
	}
	return p, nil
}

// add queues parcels, with a goroutine to send them if there is none.
func (p *pipeline) add(list []*parcel) {
	p.mu.Lock()
	p.pending = append(p.pending, list...)
	start := !p.working && len(p.pending) > 0
	p.working = p.working || start
	p.mu.Unlock()
	if start {
		p.sender.log.goWork(p.work)
		return
	}
	select {
	case p.came <- struct{}{}:
	default:
	}
}

// arrived implements inbox.
func (p *pipeline) arrived() <-chan struct{} { return p.came }

// take implements inbox.
func (p *pipeline) take() []*parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.pending
	p.pending = nil
	return list
}

// work sends until nothing is left.
func (p *pipeline) work() {
	for {
		p.mu.Lock()
		list := p.pending
		p.pending = nil
		p.working = len(list) > 0
		p.mu.Unlock()
		if len(list) == 0 {
			return
		}
		_ = p.sender.send(p.sender.log.ctx, list, p) // each parcel has been told
	}
}
