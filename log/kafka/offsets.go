package kafka

import (
	"context"
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readUncommitted = 0
	readCommitted   = 1
)

// listOffset asks a partition's leader for one offset: the first whose
// timestamp is at least ms, or a special one.
func (l *Log) listOffset(ctx context.Context, p log.Partition, ms int64, isolation int8) (kmsg.ListOffsetsResponseTopicPartition, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	t, tp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	t.Topic, tp.Partition, tp.Timestamp, tp.CurrentLeaderEpoch = p.Topic, p.Index, ms, -1
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	var out kmsg.ListOffsetsResponseTopicPartition
	_, err := request(ctx, l, req, func(r *kmsg.ListOffsetsResponse) error {
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return errShape
		}
		out = r.Topics[0].Partitions[0]
		return l.recheck(ctx, p, codeError(out.ErrorCode, nil))
	})
	if err != nil {
		err = fmt.Errorf("looking for an offset in %s partition %d: %w", p.Topic, p.Index, err)
	}
	return out, err
}

// Bounds implements log.Log. Each end is asked for by itself, in the order in
// which they can only move apart: so they never contradict each other.
func (l *Log) Bounds(ctx context.Context, p log.Partition) (log.Bounds, error) {
	if _, _, err := l.partition(ctx, p); err != nil {
		return log.Bounds{}, err
	}
	start, err := l.listOffset(ctx, p, log.TimeEarliest, readUncommitted)
	if err != nil {
		return log.Bounds{}, err
	}
	stable, err := l.listOffset(ctx, p, log.TimeLatest, readCommitted)
	if err != nil {
		return log.Bounds{}, err
	}
	high, err := l.listOffset(ctx, p, log.TimeLatest, readUncommitted)
	if err != nil {
		return log.Bounds{}, err
	}
	l.watcher.see(p, stable.Offset)
	return log.Bounds{Start: start.Offset, LastStable: stable.Offset, HighWatermark: high.Offset, LeaderEpoch: high.LeaderEpoch}, nil
}

// OffsetForTime implements log.Log. It may return the offset of a record that
// was aborted, from which reading goes on at the first that was not.
func (l *Log) OffsetForTime(ctx context.Context, p log.Partition, ms int64) (int64, error) {
	if _, _, err := l.partition(ctx, p); err != nil {
		return 0, err
	}
	if ms < 0 { // these mean something else there
		ms = 0
	}
	found, err := l.listOffset(ctx, p, ms, readCommitted)
	if err != nil {
		return 0, err
	}
	if found.Offset < 0 {
		found, err = l.listOffset(ctx, p, log.TimeLatest, readCommitted)
	}
	return found.Offset, err
}

// EpochEnd implements log.Log.
func (l *Log) EpochEnd(ctx context.Context, p log.Partition, epoch int32) (int64, error) {
	if _, _, err := l.partition(ctx, p); err != nil {
		return 0, err
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t, tp := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	t.Topic, tp.Partition, tp.LeaderEpoch, tp.CurrentLeaderEpoch = p.Topic, p.Index, epoch, -1
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	var end int64
	_, err := request(ctx, l, req, func(r *kmsg.OffsetForLeaderEpochResponse) error {
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return errShape
		}
		end = r.Topics[0].Partitions[0].EndOffset
		return l.recheck(ctx, p, codeError(r.Topics[0].Partitions[0].ErrorCode, nil))
	})
	if err != nil {
		return 0, fmt.Errorf("looking for the end of epoch %d of %s partition %d: %w", epoch, p.Topic, p.Index, err)
	}
	return end, nil
}

// CommittedOffsets implements log.Log. Offsets that are part of a transaction
// about to end are waited for.
func (l *Log) CommittedOffsets(ctx context.Context, group string) (map[log.Partition]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	req.Groups = append(req.Groups, g)
	out := map[log.Partition]int64{}
	_, err := request(ctx, l, req, func(r *kmsg.OffsetFetchResponse) error {
		clear(out)
		if len(r.Groups) != 1 {
			return errShape
		}
		if err := codeError(r.Groups[0].ErrorCode, nil); err != nil {
			return err
		}
		for _, t := range r.Groups[0].Topics {
			for _, p := range t.Partitions {
				if err := codeError(p.ErrorCode, nil); err != nil {
					return err
				}
				if p.Offset >= 0 {
					out[log.Partition{Topic: t.Topic, Index: p.Partition}] = p.Offset
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	return out, nil
}
