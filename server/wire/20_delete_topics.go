package wire

import (
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteTopics drops topics by name or, from version 6 on, by id.
func (c *call) deleteTopics(req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	topics := req.Topics
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = text(name)
		topics = append(topics, t)
	}
	seen := map[string]int{}
	for i := range topics {
		seen[str(topics[i].Topic)]++
	}
	for i := range topics {
		if t := topics[i].Topic; t != nil && seen[*t] == 0 {
			continue // it has been answered for
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = topics[i].Topic, topics[i].TopicID
		err := error(wireError{codeInvalidRequest, "the topic is named more than once"})
		if topics[i].Topic == nil || seen[*topics[i].Topic] == 1 {
			err = c.deleteTopic(&topics[i], &out)
		} else {
			seen[*topics[i].Topic] = 0
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), reason(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (c *call) deleteTopic(t *kmsg.DeleteTopicsRequestTopic, out *kmsg.DeleteTopicsResponseTopic) error {
	if (t.Topic != nil) == (t.TopicID != log.TopicID{}) {
		return wireError{codeInvalidRequest, "a topic is named either by name or by id"}
	}
	var found log.Topic
	var err error
	if t.Topic != nil {
		found, err = c.srv.opts.Log.Topic(c.ctx, *t.Topic)
	} else {
		found, err = c.srv.opts.Log.TopicByID(c.ctx, t.TopicID)
	}
	if err != nil {
		return err
	}
	out.Topic, out.TopicID = &found.Name, found.ID
	if c.srv.opts.Own(found.Name) {
		return fmt.Errorf("%w: %s is Karst's own", log.ErrInvalidTopic, found.Name)
	}
	return c.srv.opts.Log.DeleteTopicID(c.ctx, found.ID)
}
