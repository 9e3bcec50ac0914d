package segment

import (
	"context"
	"fmt"

	"karst/log"
)

// partition finds a partition that is not offline.
func (l *Log) partition(p log.Partition) (*partition, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[p.Topic]
	if t == nil || p.Index < 0 || p.Index >= t.Partitions {
		return nil, unknown(p)
	}
	part := t.partitions[p.Index]
	return part, part.offline
}

// Bounds implements log.Log.
func (l *Log) Bounds(_ context.Context, p log.Partition) (log.Bounds, error) {
	part, err := l.partition(p)
	if err != nil {
		return log.Bounds{LeaderEpoch: l.epoch}, err
	}
	b := part.bounds()
	b.LeaderEpoch = l.epoch
	return b, nil
}

// EpochEnd implements log.Log.
func (l *Log) EpochEnd(_ context.Context, p log.Partition, epoch int32) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return 0, err
	}
	if epoch > l.epoch {
		return -1, nil
	}
	_, end := part.epochEnd(epoch)
	return end, nil
}

// LeaderEpochEnd implements log.RawLog.
func (l *Log) LeaderEpochEnd(_ context.Context, p log.Partition, epoch int32) (last int32, end int64, err error) {
	part, err := l.partition(p)
	if err != nil || epoch > l.epoch {
		return -1, -1, err
	}
	if last, end = part.epochEnd(epoch); last < 0 || epoch == l.epoch {
		last = epoch
	}
	return last, end, nil
}

// Size implements log.RawLog.
func (l *Log) Size(_ context.Context, p log.Partition) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return 0, err
	}
	part.mu.RLock()
	defer part.mu.RUnlock()
	n := int64(0)
	for _, s := range part.segments {
		n += s.size
	}
	return n, nil
}

// OffsetForTime implements log.Log.
func (l *Log) OffsetForTime(_ context.Context, p log.Partition, ms int64) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return 0, err
	}
	offset, _, err := part.offsetForTime(ms)
	if err != nil {
		l.noteFiles(err)
		return 0, fmt.Errorf("looking for a time in %s partition %d: %w", p.Topic, p.Index, err)
	}
	return offset, nil
}

// Fetch implements log.Log.
func (l *Log) Fetch(_ context.Context, p log.Partition, offset int64, maxBytes int, r *log.Records) (int64, error) {
	r.Reset()
	part, err := l.partition(p)
	if err != nil {
		return offset, err
	}
	next, err := part.fetch(offset, maxBytes, r)
	if err != nil {
		l.noteFiles(err)
		return offset, fmt.Errorf("reading %s partition %d: %w", p.Topic, p.Index, err)
	}
	return next, nil
}

// FetchRaw implements log.RawLog.
func (l *Log) FetchRaw(_ context.Context, r log.RawFetch, dst []byte) (log.RawFetched, error) {
	part, err := l.partition(r.Partition)
	if err != nil {
		return log.RawFetched{Batches: dst}, err
	}
	out, err := part.fetchRaw(r, dst)
	out.Bounds.LeaderEpoch = l.epoch
	if err != nil {
		out.Batches = dst
		l.noteFiles(err)
		return out, fmt.Errorf("reading %s partition %d: %w", r.Partition.Topic, r.Partition.Index, err)
	}
	return out, nil
}

// FindOffset implements log.RawLog.
func (l *Log) FindOffset(_ context.Context, q log.OffsetQuery) (log.TimedOffset, error) {
	out := nowhere
	part, err := l.partition(q.Partition)
	if err != nil {
		return out, err
	}
	b := part.bounds()
	end := b.HighWatermark
	if q.Committed {
		end = b.LastStable
	}
	switch q.Time {
	case log.TimeEarliest:
		out.Offset = b.Start
	case log.TimeLatest:
		out.Offset = end
		out.LeaderEpoch = l.epoch
		return out, nil
	case log.TimeMax:
		// As Kafka has it: of all records, and then it must be one that may be read.
		if out, err = part.findGreatest(b.Start, b.HighWatermark); err == nil && out.Offset >= end {
			return nowhere, nil
		}
	default:
		out, err = part.findTime(q.Time, b.Start, end)
	}
	if err != nil {
		l.noteFiles(err)
		return out, fmt.Errorf("looking for a time in %s partition %d: %w", q.Partition.Topic, q.Partition.Index, err)
	}
	if out.Offset >= 0 {
		part.mu.RLock()
		out.LeaderEpoch = epochOf(part.epochs, out.Offset)
		part.mu.RUnlock()
	}
	return out, nil
}
