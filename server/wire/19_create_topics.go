package wire

import (
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopics makes topics, each for itself.
func (c *call) createTopics(req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	count := map[string]int{}
	for i := range req.Topics {
		count[req.Topics[i].Topic]++
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		switch {
		case count[t.Topic] > 1:
			err := wireError{codeInvalidRequest, "the request names the topic more than once"}
			resp.Topics = append(resp.Topics, failedTopic(t.Topic, err))
			count[t.Topic] = -1
		case count[t.Topic] == 1:
			resp.Topics = append(resp.Topics, c.createTopic(t, req.ValidateOnly, req.Version))
		}
	}
	return resp
}

func failedTopic(name string, err error) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.ErrorCode, out.ErrorMessage = name, codeOf(err), reason(err)
	out.NumPartitions, out.ReplicationFactor = -1, -1
	return out
}

func (c *call) createTopic(t *kmsg.CreateTopicsRequestTopic, validateOnly bool, version int16) kmsg.CreateTopicsResponseTopic {
	if c.srv.opts.Own(t.Topic) {
		return failedTopic(t.Topic, fmt.Errorf("%w: %s is a name that Karst keeps for itself", log.ErrInvalidTopic, t.Topic))
	}
	// First: clients that find a topic there go on, whatever they asked for.
	if _, err := c.srv.opts.Log.Topic(c.ctx, t.Topic); err == nil {
		return failedTopic(t.Topic, fmt.Errorf("%w: %s", log.ErrTopicExists, t.Topic))
	}
	partitions, err := c.partitionCount(t)
	if err != nil {
		return failedTopic(t.Topic, err)
	}
	config := map[string]string{}
	for _, x := range t.Configs {
		if x.Value == nil {
			return failedTopic(t.Topic, fmt.Errorf("%w: %s is null", log.ErrInvalidConfig, x.Name))
		}
		config[x.Name] = *x.Value
	}
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.NumPartitions, out.ReplicationFactor = t.Topic, partitions, 1
	if validateOnly {
		if err := c.srv.opts.Log.CheckTopic(c.ctx, t.Topic, partitions, config); err != nil {
			return failedTopic(t.Topic, err)
		}
		return out
	}
	made, err := c.srv.opts.Log.CreateTopic(c.ctx, t.Topic, partitions, config)
	if err != nil {
		return failedTopic(t.Topic, err)
	}
	out.TopicID = made.ID
	if version >= 5 {
		out.Configs = c.createdConfigs(t.Topic)
	}
	return out
}

// partitionCount returns how many partitions are asked for, by number or by
// listing their replicas, which can only be on this broker.
func (c *call) partitionCount(t *kmsg.CreateTopicsRequestTopic) (int32, error) {
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return 0, wireError{codeInvalidRequest, "with an assignment of replicas, partitions and replication factor must be -1"}
		}
		seen := map[int32]bool{}
		for _, a := range t.ReplicaAssignment {
			if len(a.Replicas) != 1 || a.Replicas[0] != nodeID || a.Partition < 0 || int(a.Partition) >= len(t.ReplicaAssignment) || seen[a.Partition] {
				return 0, wireError{codeInvalidAssignment, fmt.Sprintf("partitions count from 0, each with one replica on broker %d, the only one", nodeID)}
			}
			seen[a.Partition] = true
		}
		return int32(len(t.ReplicaAssignment)), nil
	}
	if t.ReplicationFactor != -1 && t.ReplicationFactor != 1 {
		return 0, wireError{codeInvalidReplication, fmt.Sprintf("replication factor %d: there is one broker, so that it can only be 1, or -1 for the default", t.ReplicationFactor)}
	}
	if t.NumPartitions == -1 {
		return c.srv.opts.DefaultPartitions, nil
	}
	return t.NumPartitions, nil
}

func (c *call) createdConfigs(topic string) []kmsg.CreateTopicsResponseTopicConfig {
	entries, err := c.srv.opts.Log.TopicConfig(c.ctx, topic)
	if err != nil {
		return nil // deleted meanwhile
	}
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, e := range entries {
		x := kmsg.NewCreateTopicsResponseTopicConfig()
		x.Name, x.Value, x.Source = e.Name, text(e.Value), int8(configSource(&e))
		out = append(out, x)
	}
	return out
}
