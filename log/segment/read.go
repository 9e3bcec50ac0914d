package segment

import (
	"context"
	"fmt"

	"karst/log"
)

func (l *Log) partition(p log.Partition) (*partition, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[p.Topic]
	if t == nil || p.Index < 0 || p.Index >= t.Partitions {
		return nil, unknown(p)
	}
	return t.partitions[p.Index], nil
}

// Bounds implements log.Log.
func (l *Log) Bounds(_ context.Context, p log.Partition) (log.Bounds, error) {
	part, err := l.partition(p)
	if err != nil {
		return log.Bounds{}, err
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
	return part.epochEnd(epoch), nil
}

// OffsetForTime implements log.Log.
func (l *Log) OffsetForTime(_ context.Context, p log.Partition, ms int64) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return 0, err
	}
	offset, err := part.offsetForTime(ms)
	if err != nil {
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
		return out, fmt.Errorf("reading %s partition %d: %w", r.Partition.Topic, r.Partition.Index, err)
	}
	return out, nil
}
