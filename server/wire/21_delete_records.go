package wire

import (
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteRecords moves the first offset of partitions up; -1 is the end.
func (c *call) deleteRecords(req *kmsg.DeleteRecordsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for _, t := range req.Topics {
		x := kmsg.NewDeleteRecordsResponseTopic()
		x.Topic = t.Topic
		for _, p := range t.Partitions {
			out := kmsg.NewDeleteRecordsResponseTopicPartition()
			out.Partition = p.Partition
			start, err := c.trim(log.Partition{Topic: t.Topic, Index: p.Partition}, p.Offset)
			out.LowWatermark, out.ErrorCode = start, codeOf(err)
			x.Partitions = append(x.Partitions, out)
		}
		resp.Topics = append(resp.Topics, x)
	}
	return resp
}

// trim returns the new first offset, -1 with an error.
func (c *call) trim(p log.Partition, offset int64) (int64, error) {
	if c.srv.opts.Own(p.Topic) {
		return -1, fmt.Errorf("%w: %s is Karst's own", log.ErrInvalidTopic, p.Topic)
	}
	b, err := c.srv.opts.Log.Bounds(c.ctx, p)
	if err != nil {
		return -1, err
	}
	if offset == -1 {
		offset = b.HighWatermark
	}
	if offset < b.Start && offset >= 0 {
		return b.Start, nil
	}
	if err := c.srv.opts.Log.Trim(c.ctx, p, offset); err != nil {
		return -1, err
	}
	if b, err = c.srv.opts.Log.Bounds(c.ctx, p); err != nil {
		return -1, err
	}
	return b.Start, nil
}
