package wire

import (
	"errors"
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// electLeaders says of every partition that its one replica leads it already, or
// that there is none to lead it where that is offline.
// Where topics is null all are meant, and of those only partitions would be told
// that got another leader: none.
func (c *call) electLeaders(req *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	resp.Topics = []kmsg.ElectLeadersResponseTopic{}
	var bad error
	if req.ElectionType != 0 && req.ElectionType != 1 { // of a preferred leader, or an unclean one
		bad = wireError{codeInvalidRequest, fmt.Sprintf("election type %d is not known", req.ElectionType)}
	}
	topics := req.Topics
	if topics == nil {
		all, err := c.srv.opts.Log.Topics(c.ctx)
		if bad == nil {
			bad = err
		}
		for _, t := range all {
			topics = append(topics, kmsg.ElectLeadersRequestTopic{Topic: t.Name})
		}
	}
	resp.ErrorCode = codeOf(bad)
	for _, t := range topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = t.Topic
		for _, i := range t.Partitions {
			err := bad
			if err == nil {
				err = c.elect(log.Partition{Topic: t.Topic, Index: i}, req.ElectionType)
			}
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = i, codeOf(err), reason(err)
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// elect returns why a partition gets no other leader.
func (c *call) elect(p log.Partition, electionType int8) error {
	if err := c.exists(p); err != nil {
		return err
	}
	if _, err := c.srv.opts.Log.Bounds(c.ctx, p); errors.Is(err, log.ErrOffline) {
		code := codePreferredLeaderNotAvailable
		if electionType == 1 {
			code = codeEligibleLeadersNotAvailable
		}
		return wireError{code, err.Error()}
	}
	return wireError{codeElectionNotNeeded, fmt.Sprintf("broker %d leads the partition, and there is no other", nodeID)}
}

// exists returns an error unless there is that partition. One that is offline is
// there.
func (c *call) exists(p log.Partition) error {
	t, err := c.srv.opts.Log.Topic(c.ctx, p.Topic)
	if err == nil && (p.Index < 0 || p.Index >= t.Partitions) {
		err = wireError{codeUnknownTopicOrPartition, fmt.Sprintf("%s has partitions 0 to %d", p.Topic, t.Partitions-1)}
	}
	return err
}
