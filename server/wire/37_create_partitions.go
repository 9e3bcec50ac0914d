package wire

import (
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// createPartitions raises the number of partitions of topics.
func (c *call) createPartitions(req *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = t.Topic
		err := c.addPartitions(t, req.ValidateOnly)
		out.ErrorCode, out.ErrorMessage = codeOf(err), reason(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (c *call) addPartitions(t *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	if c.srv.opts.Own(t.Topic) {
		return fmt.Errorf("%w: %s is Karst's own", log.ErrInvalidTopic, t.Topic)
	}
	if t.Assignment != nil {
		now, err := c.srv.opts.Log.Topic(c.ctx, t.Topic)
		if err != nil {
			return err
		}
		if more := t.Count - now.Partitions; more > 0 && int(more) != len(t.Assignment) {
			return wireError{codeInvalidAssignment, fmt.Sprintf("%d assignments for %d partitions more", len(t.Assignment), more)}
		}
	}
	for _, a := range t.Assignment {
		if len(a.Replicas) != 1 || a.Replicas[0] != nodeID {
			return wireError{codeInvalidAssignment, fmt.Sprintf("each partition has one replica, on broker %d", nodeID)}
		}
	}
	return c.srv.opts.Log.AddPartitions(c.ctx, t.Topic, t.Count, validateOnly)
}
