package wire

import (
	"fmt"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterPartitionReassignments lets partitions stay where they are, which is the
// one place there is, and refuses every other.
func (c *call) alterPartitionReassignments(req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			x := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			err := c.reassign(log.Partition{Topic: t.Topic, Index: p.Partition}, p.Replicas)
			x.Partition, x.ErrorCode, x.ErrorMessage = p.Partition, codeOf(err), reason(err)
			out.Partitions = append(out.Partitions, x)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// reassign checks the brokers that a partition shall be on; nil cancels what is
// under way.
func (c *call) reassign(p log.Partition, replicas []int32) error {
	if err := c.exists(p); err != nil {
		return err
	}
	switch {
	case replicas == nil:
		return wireError{codeNoReassignment, "no reassignment is in progress"}
	case !slices.Equal(replicas, []int32{nodeID}):
		return wireError{codeInvalidAssignment, fmt.Sprintf("each partition has one replica, on broker %d", nodeID)}
	}
	return nil
}
