package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetForLeaderEpoch tells where the records of a leader epoch end, by which
// clients find out whether their position is still good.
func (c *call) offsetForLeaderEpoch(req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range req.Topics {
		t := kmsg.NewOffsetForLeaderEpochResponseTopic()
		t.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, c.epochEnd(t.Topic, &req.Topics[i].Partitions[j]))
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func (c *call) epochEnd(topic string, p *kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	out.Partition, out.LeaderEpoch, out.EndOffset = p.Partition, -1, -1
	part := log.Partition{Topic: topic, Index: p.Partition}
	b, err := c.srv.opts.Log.Bounds(c.ctx, part)
	if err != nil {
		out.ErrorCode = codeOf(err)
		return out
	}
	if out.ErrorCode = epochError(p.CurrentLeaderEpoch, b.LeaderEpoch); out.ErrorCode != codeNone {
		return out
	}
	if p.LeaderEpoch < 0 {
		return out
	}
	last, end, err := c.srv.opts.Log.LeaderEpochEnd(c.ctx, part, p.LeaderEpoch)
	if err != nil {
		out.ErrorCode = codeOf(err)
		return out
	}
	out.LeaderEpoch, out.EndOffset = last, end
	return out
}
