package segment

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"karst/log"
)

// A keeper runs the housekeeping from time to time. Its owner, the Log, stops
// it and waits for a run that is under way.
type keeper struct {
	mu      sync.Mutex
	stopped bool
	cancel  func() bool // of the next run

	running sync.Mutex
}

func (k *keeper) start(l *Log) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.opts.Clock == nil || k.stopped {
		return
	}
	due := l.opts.time().Add(l.opts.HousekeepingEvery)
	k.cancel = l.opts.Clock.AfterFunc(l.opts.HousekeepingEvery, func() {
		k.running.Lock()
		k.mu.Lock()
		stopped := k.stopped
		k.mu.Unlock()
		if !stopped {
			l.putOffTxns(stoodStill(due, l.opts.time()))
			l.Housekeep()
		}
		k.running.Unlock()
		k.start(l)
	})
}

func (k *keeper) stop() {
	k.mu.Lock()
	k.stopped = true
	cancel := k.cancel
	k.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	k.running.Lock() // waits
	defer k.running.Unlock()
}

// Housekeep does once what time brings: transactions that were open for too
// long are aborted, idle producers forgotten, records dropped by retention,
// topics compacted, segments that nobody reads closed, and the space on the disk
// is looked at. With a Clock it happens by itself.
func (l *Log) Housekeep() {
	l.checkSpace()
	if l.queue.failure() != nil {
		return
	}
	ctx := context.Background()
	for _, job := range []struct {
		name string
		run  func(context.Context) error
	}{{"transactions", l.expire}, {"retention", l.retain}, {"compaction", l.compactAll}, {"segments", l.cool}} {
		if err := job.run(ctx); err != nil {
			l.opts.Logger.Error("housekeeping did not succeed", "of", job.name, "error", err)
		}
	}
	l.checkFiles()
}

// putOffTxns has open transactions time out later, after the process stood still for d.
func (l *Log) putOffTxns(d time.Duration) {
	if d == 0 {
		return
	}
	l.opts.Logger.Warn("the process stood still; sessions of group members and transactions last that much longer", "for", d)
	_ = l.submit(context.Background(), &request{check: func(*request) error { // a log that has failed has none to end
		now := l.opts.time()
		for _, t := range l.txns {
			if t.state != log.TxnOngoing {
				continue
			}
			if t.began = t.began.Add(d); now.Sub(t.began) > t.timeout-afterStill {
				t.began = now.Add(afterStill - t.timeout)
			}
		}
		return nil
	}})
}

// expire ends what has been open or idle for too long.
func (l *Log) expire(ctx context.Context) error {
	return l.submit(ctx, &request{check: func(r *request) error {
		idle := l.opts.now() - l.opts.ProducerExpiry.Milliseconds()
		for _, t := range l.topics {
			for _, p := range t.partitions {
				p.forgetProducers(idle)
			}
		}
		return l.takeTimeouts(r)
	}})
}

// retain drops whole segments by retention.ms and retention.bytes.
func (l *Log) retain(ctx context.Context) error {
	r := &request{alone: true}
	for _, t := range l.allTopics() {
		if !t.settings.deletes {
			continue
		}
		for i, p := range t.partitions {
			if p.offline != nil {
				continue
			}
			if start := p.retained(t.settings, l.opts.now()); start > p.bounds().Start {
				r.ops = append(r.ops, op{kind: opTrim, topic: t.ID, partition: int32(i), base: start})
			}
		}
	}
	if len(r.ops) == 0 {
		return nil
	}
	r.check = func(r *request) error {
		r.ops = slices.DeleteFunc(r.ops, func(o op) bool { return l.byID[o.topic] == nil })
		return nil
	}
	return l.submit(ctx, r)
}

// allTopics returns the topics as of now, by name. Their partitions may be used
// without a lock, nothing else that changes.
func (l *Log) allTopics() []topic {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]topic, 0, len(l.topics))
	for _, t := range l.topics {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b topic) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// retained returns where the partition should start. Segments go from the
// first on, below the last stable offset; the last one only by its age.
func (p *partition) retained(s *settings, now int64) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	total := int64(0)
	for _, f := range p.segments {
		total += f.size
	}
	start := p.start
	for i, f := range p.segments {
		end := p.endOf(i)
		if end > p.stable() && !seeded("retention-past-stable") || f.size == 0 {
			break
		}
		old := s.retentionMS >= 0 && p.lastTime(i) < now-s.retentionMS
		large := s.retentionBytes >= 0 && total-f.size >= s.retentionBytes && i < len(p.segments)-1
		if !old && !large {
			break
		}
		total -= f.size
		start = end
	}
	return start
}

// lastTime returns the time of the youngest record in segment i. Records without
// times came before the next segment began; while there is none, nothing is known of
// them. The caller holds the lock.
func (p *partition) lastTime(i int) int64 {
	switch last := len(p.segments) - 1; {
	case p.segments[i].maxTime >= 0:
		return p.segments[i].maxTime
	case i < last:
		return p.segments[i+1].created
	}
	return math.MaxInt64
}
