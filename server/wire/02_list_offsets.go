package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Special times that only mean something else with tiered storage.
const (
	timeEarliestLocal   = -4 // here the earliest
	timeLatestTiered    = -5 // here none
	timeEarliestPending = -6 // to be tiered; here none
)

// timeKnown reports whether a version of ListOffsets has a time: the special ones
// came one after the other.
func timeKnown(version int16, time int64) bool {
	switch time {
	case log.TimeMax:
		return version >= 7
	case timeEarliestLocal:
		return version >= 8
	case timeLatestTiered:
		return version >= 9
	case timeEarliestPending:
		return version >= 11
	}
	return time >= log.TimeEarliest
}

// listOffsets looks offsets up by time, or the special ones: the latest (-1),
// the earliest (-2), the one with the greatest timestamp (-3).
func (c *call) listOffsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	times := map[log.Partition]int{} // that a partition is asked for
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			times[log.Partition{Topic: t.Topic, Index: p.Partition}]++
		}
	}
	for i := range req.Topics {
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			part := log.Partition{Topic: t.Topic, Index: p.Partition}
			if times[part] == 0 {
				continue // it has been answered for
			}
			out := kmsg.NewListOffsetsResponseTopicPartition()
			out.Partition, out.ErrorCode = p.Partition, codeInvalidRequest
			if times[part] == 1 {
				out = c.listOffset(req, t.Topic, p)
			}
			times[part] = 0
			t.Partitions = append(t.Partitions, out)
		}
		if len(t.Partitions) > 0 || len(req.Topics[i].Partitions) == 0 {
			resp.Topics = append(resp.Topics, t)
		}
	}
	return resp
}

func (c *call) listOffset(req *kmsg.ListOffsetsRequest, topic string, p *kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition = p.Partition
	if !timeKnown(req.Version, p.Timestamp) {
		out.ErrorCode = codeUnsupportedVersion
		return out
	}
	part := log.Partition{Topic: topic, Index: p.Partition}
	b, err := c.srv.opts.Log.Bounds(c.ctx, part)
	if err != nil {
		out.ErrorCode = codeOf(err)
		return out
	}
	if out.ErrorCode = epochError(p.CurrentLeaderEpoch, b.LeaderEpoch); out.ErrorCode != codeNone {
		return out
	}
	q := log.OffsetQuery{Partition: part, Time: p.Timestamp, Committed: req.IsolationLevel == 1}
	switch p.Timestamp {
	case timeEarliestLocal:
		q.Time = log.TimeEarliest
	case timeLatestTiered, timeEarliestPending:
		return out // nothing is tiered
	}
	found, err := c.srv.opts.Log.FindOffset(c.ctx, q)
	if err != nil {
		out.ErrorCode = codeOf(err)
		return out
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
	if q.Time == log.TimeEarliest && out.LeaderEpoch < 0 { // an empty partition
		out.LeaderEpoch = b.LeaderEpoch
	}
	return out
}
