package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// listPartitionReassignments lists none: partitions stay where they are.
func (c *call) listPartitionReassignments(req *kmsg.ListPartitionReassignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	resp.Topics = []kmsg.ListPartitionReassignmentsResponseTopic{}
	return resp
}
