package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetDelete forgets a group's offsets of topics that it isn't subscribed to.
func (c *call) offsetDelete(req *kmsg.OffsetDeleteRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	var partitions []log.Partition
	for _, t := range req.Topics {
		x := kmsg.NewOffsetDeleteResponseTopic()
		x.Topic = t.Topic
		for _, p := range t.Partitions {
			out := kmsg.NewOffsetDeleteResponseTopicPartition()
			out.Partition = p.Partition
			part := log.Partition{Topic: t.Topic, Index: p.Partition}
			if err := c.exists(part); err != nil {
				out.ErrorCode = codeOf(err)
			} else {
				partitions = append(partitions, part)
			}
			x.Partitions = append(x.Partitions, out)
		}
		resp.Topics = append(resp.Topics, x)
	}
	err := c.ownGroup(req.Group)
	if req.Group == "" {
		err = log.ErrInvalidGroup
	}
	var refused map[log.Partition]error
	if err == nil {
		refused, err = c.srv.opts.Groups.DeleteOffsets(c.ctx, req.Group, partitions)
	}
	if resp.ErrorCode = codeOf(err); err != nil {
		resp.Topics = nil
		return resp
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if err := refused[log.Partition{Topic: resp.Topics[i].Topic, Index: p.Partition}]; err != nil {
				p.ErrorCode = codeOf(err)
			}
		}
	}
	return resp
}
