package wire

import (
	"errors"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nodeID is this broker's number; it is the only one.
const nodeID int32 = 1

// noLeader is the leader of a partition that is offline.
const noLeader int32 = -1

// noOperations says that authorized operations were not asked for.
const noOperations int32 = -1 << 31

// allOperations of a topic or of the cluster, as bits: whoever is let in may do
// everything.
const (
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	groupOperations   int32 = 1<<3 | 1<<6 | 1<<8
)

// metadata describes the broker and topics: all, or those asked for by name or
// id. A topic asked for by name may be made.
func (c *call) metadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = nodeID, c.srv.host, c.srv.port
	resp.Brokers = append(resp.Brokers, b)
	cluster := c.srv.opts.Log.ClusterID()
	resp.ClusterID, resp.ControllerID = &cluster, nodeID
	resp.AuthorizedOperations = noOperations
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		topics, err := c.srv.opts.Log.Topics(c.ctx)
		if err != nil {
			resp.ErrorCode = codeOf(err)
		}
		for _, t := range topics {
			resp.Topics = append(resp.Topics, c.topicMetadata(req, t))
		}
		return resp
	}
	// Where one topic is asked for by its id, all are; names are not looked at.
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != log.TopicID{} })
	seen, seenID := map[string]bool{}, map[log.TopicID]bool{}
	for _, t := range req.Topics {
		switch {
		case byID && t.TopicID == log.TopicID{}:
			continue
		case byID:
			t.Topic = nil
		}
		if t.Topic == nil {
			if seenID[t.TopicID] {
				continue
			}
			seenID[t.TopicID] = true
		} else {
			if seen[*t.Topic] {
				continue
			}
			seen[*t.Topic] = true
		}
		resp.Topics = append(resp.Topics, c.askedMetadata(req, &t))
	}
	return resp
}

// askedMetadata describes a topic that was asked for.
func (c *call) askedMetadata(req *kmsg.MetadataRequest, asked *kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	var t log.Topic
	var err error
	if asked.Topic == nil {
		t, err = c.srv.opts.Log.TopicByID(c.ctx, asked.TopicID)
	} else if t, err = c.srv.opts.Log.Topic(c.ctx, *asked.Topic); errors.Is(err, log.ErrUnknownTopic) {
		t, err = c.autoCreate(req, *asked.Topic, err)
	}
	if err != nil {
		out := kmsg.NewMetadataResponseTopic()
		out.ErrorCode, out.Topic, out.TopicID, out.AuthorizedOperations = codeOf(err), asked.Topic, asked.TopicID, noOperations
		if out.Topic == nil && req.Version < 12 {
			out.Topic = text("")
		}
		return out
	}
	return c.topicMetadata(req, t)
}

// autoCreate makes the topic that is not there if client and server both want
// it; unknown is what is answered otherwise.
func (c *call) autoCreate(req *kmsg.MetadataRequest, name string, unknown error) (log.Topic, error) {
	allowed := c.srv.opts.AutoCreate && (req.Version < 4 || req.AllowAutoTopicCreation)
	err := c.srv.opts.Log.CheckTopic(c.ctx, name, c.srv.opts.DefaultPartitions, nil)
	if errors.Is(err, log.ErrInvalidTopic) {
		return log.Topic{}, err
	}
	if !allowed || c.srv.opts.Own(name) {
		return log.Topic{}, unknown
	}
	if errors.Is(err, log.ErrLimit) {
		return log.Topic{}, err
	}
	t, err := c.srv.opts.Log.CreateTopic(c.ctx, name, c.srv.opts.DefaultPartitions, nil)
	if errors.Is(err, log.ErrTopicExists) { // another client was first
		return c.srv.opts.Log.Topic(c.ctx, name)
	}
	if err == nil {
		c.srv.opts.Logger.Info("topic made for a Kafka client", "topic", name, "client", c.clientID)
	}
	return t, err
}

func (c *call) topicMetadata(req *kmsg.MetadataRequest, t log.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, c.srv.opts.Own(t.Name)
	out.AuthorizedOperations = noOperations
	if req.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = topicOperations
	}
	for i := range t.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.Replicas, p.ISR = i, nodeID, []int32{nodeID}, []int32{nodeID}
		p.OfflineReplicas = []int32{}
		b, err := c.srv.opts.Log.Bounds(c.ctx, log.Partition{Topic: t.Name, Index: i})
		if errors.Is(err, log.ErrOffline) {
			p.ErrorCode, p.Leader, p.ISR, p.OfflineReplicas = codeLeaderNotAvailable, noLeader, []int32{}, []int32{nodeID}
		}
		p.LeaderEpoch = b.LeaderEpoch
		out.Partitions = append(out.Partitions, p)
	}
	return out
}
