package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A fetched is what a broker gave from one offset of a partition on.
type fetched struct {
	batches []byte
	aborted []log.AbortedTxn // by first offset
	stable  int64            // last stable offset
}

// Fetch implements log.Log.
func (l *Log) Fetch(ctx context.Context, p log.Partition, offset int64, maxBytes int, r *log.Records) (int64, error) {
	r.Reset()
	f, ok := l.watcher.take(p, offset)
	if !ok {
		var err error
		if f, err = l.fetch(ctx, p, offset, maxBytes); err != nil {
			if errors.Is(err, log.ErrOffsetRange) {
				return offset, l.outOfRange(ctx, p, offset)
			}
			return offset, fmt.Errorf("reading %s partition %d: %w", p.Topic, p.Index, err)
		}
	}
	r.Buf = append(r.Buf, f.batches...)
	next, _, err := r.Decode(log.Span{End: len(r.Buf), From: offset, MaxRecords: math.MaxInt, Aborted: f.aborted})
	switch {
	case err != nil && next == offset:
		return offset, fmt.Errorf("reading %s partition %d: %w", p.Topic, p.Index, err)
	case next == offset:
		l.watcher.wait(p, offset)
	}
	return next, nil
}

// fetch asks a partition's leader for committed records.
func (l *Log) fetch(ctx context.Context, p log.Partition, offset int64, maxBytes int) (fetched, error) {
	if offset < 0 { // which would mean something else there
		return fetched{}, log.ErrOffsetRange
	}
	var out fetched
	err := l.retry(ctx, func(ctx context.Context) error {
		t, lead, err := l.partition(ctx, p)
		if err != nil {
			return err
		}
		at := position{p, t.ID, lead.epoch, offset}
		resp, err := sendFetch(ctx, l.client, lead.broker, fetchRequest([]position{at}, int32(min(maxBytes, int(l.opts.FetchBytes))), 0))
		if err != nil {
			return l.recheck(ctx, p, err)
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return errShape
		}
		part := &resp.Topics[0].Partitions[0]
		out = readFetched(part)
		return l.recheck(ctx, p, codeError(part.ErrorCode, nil))
	})
	return out, l.explain(err)
}

// A position is where to fetch from.
type position struct {
	log.Partition
	id     log.TopicID
	epoch  int32 // its leader's
	offset int64
}

// fetchRequest asks for committed records at positions with the same leader,
// waiting up to waitMS for some.
func fetchRequest(list []position, maxBytes, waitMS int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.IsolationLevel = -1, readCommitted
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = waitMS, min(waitMS, 1), maxBytes
	req.SessionEpoch = -1 // no session: every request says it all
	topics := map[string]int{}
	for _, at := range list {
		i, ok := topics[at.Topic]
		if !ok {
			i = len(req.Topics)
			topics[at.Topic] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = at.Topic, at.id
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.Index, at.offset, maxBytes
		p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = at.epoch, -1, -1
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

// sendFetch sends a request to a broker, once.
func sendFetch(ctx context.Context, c *kgo.Client, broker int32, req *kmsg.FetchRequest) (*kmsg.FetchResponse, error) {
	if broker < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	r, err := c.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := r.(*kmsg.FetchResponse)
	return resp, codeError(resp.ErrorCode, nil)
}

func readFetched(p *kmsg.FetchResponseTopicPartition) fetched {
	f := fetched{batches: p.RecordBatches, stable: p.LastStableOffset}
	for _, a := range p.AbortedTransactions {
		f.aborted = append(f.aborted, log.AbortedTxn{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	slices.SortFunc(f.aborted, func(a, b log.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return f
}
