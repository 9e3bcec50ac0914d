package wire

import (
	"errors"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxPartitionsAnswered bounds an answer; what is left is told by its cursor.
const maxPartitionsAnswered = 2000

// describeTopicPartitions is Metadata in pages: topics by name, from the cursor
// on, up to a number of partitions.
func (c *call) describeTopicPartitions(req *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	left := max(min(int(req.ResponsePartitionLimit), maxPartitionsAnswered), 1)
	for _, name := range c.namesFrom(req) {
		t, err := c.srv.opts.Log.Topic(c.ctx, name)
		if err != nil {
			err = c.unlessInvalid(name, err)
		}
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = text(name), t.ID, c.srv.opts.Own(name), topicOperations
		if out.ErrorCode = codeOf(err); err != nil {
			resp.Topics = append(resp.Topics, out)
			continue
		}
		first := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			first = max(req.Cursor.Partition, 0)
		}
		for i := first; i < t.Partitions; i++ {
			if left == 0 {
				resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: i}
				if i > first {
					resp.Topics = append(resp.Topics, out)
				}
				return resp
			}
			out.Partitions = append(out.Partitions, c.describePartition(name, i))
			left--
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// namesFrom lists the topics to describe, by name: those asked for or all.
func (c *call) namesFrom(req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(names) == 0 {
		topics, _ := c.srv.opts.Log.Topics(c.ctx) // on an error each is asked for in vain
		for _, t := range topics {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor != nil {
		at, _ := slices.BinarySearch(names, req.Cursor.Topic)
		names = names[at:]
	}
	return names
}

func (c *call) describePartition(topic string, index int32) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	p.Partition, p.LeaderID, p.Replicas, p.ISR = index, nodeID, []int32{nodeID}, []int32{nodeID}
	p.EligibleLeaderReplicas, p.LastKnownELR, p.OfflineReplicas = []int32{}, []int32{}, []int32{}
	b, err := c.srv.opts.Log.Bounds(c.ctx, log.Partition{Topic: topic, Index: index})
	if errors.Is(err, log.ErrOffline) {
		p.LeaderID, p.ISR, p.LastKnownELR, p.OfflineReplicas = noLeader, []int32{}, []int32{nodeID}, []int32{nodeID}
	}
	p.LeaderEpoch = b.LeaderEpoch
	return p
}
