package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicAge is how old what is known of a topic may be. Others change topics,
// too; who leads a partition is asked anew as soon as a broker says it does not.
const topicAge = 5 * time.Second

// A topicCache is what is known of topics.
type topicCache struct {
	mu    sync.Mutex
	known map[string]*topic
}

// A topic is what the cluster says of one; it is not changed once made.
type topic struct {
	log.Topic
	leaders []leader // by partition
	read    time.Time
}

// A leader is who leads a partition; broker is -1 if nobody does.
type leader struct{ broker, epoch int32 }

// topic returns what is known of a topic, asking the cluster if need be.
func (l *Log) topic(ctx context.Context, name string) (*topic, error) {
	l.topics.mu.Lock()
	t := l.topics.known[name]
	l.topics.mu.Unlock()
	if t != nil && l.opts.Clock.Now().Sub(t.read) < topicAge {
		return t, nil
	}
	t, err := l.readTopic(ctx, name)
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if err != nil {
		delete(l.topics.known, name)
		return nil, err
	}
	if old := l.topics.known[name]; old != nil && (old.ID != t.ID || old.Partitions != t.Partitions) {
		l.goWork(func() { l.watcher.changed(name) }) // who asks here may hold locks
	}
	l.topics.known[name] = t
	return t, nil
}

// forget makes the next user of a topic ask for it anew.
func (l *Log) forget(name string) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if t := l.topics.known[name]; t != nil {
		stale := *t
		stale.read = time.Time{}
		l.topics.known[name] = &stale
	}
}

// partition returns a partition's topic and leader.
func (l *Log) partition(ctx context.Context, p log.Partition) (*topic, leader, error) {
	t, err := l.topic(ctx, p.Topic)
	if err == nil && (p.Index < 0 || p.Index >= t.Partitions) {
		err = unknown(p)
	}
	if err != nil {
		return nil, leader{}, err
	}
	return t, t.leaders[p.Index], nil
}

// recheck looks again whether a partition is there and where, after an error
// that says it is not where it was; it returns the error, or what it found.
func (l *Log) recheck(ctx context.Context, p log.Partition, err error) error {
	if err == nil || !moved(err) {
		return err
	}
	l.forget(p.Topic)
	if _, _, now := l.partition(ctx, p); errors.Is(now, log.ErrUnknownTopic) {
		return now
	}
	return err
}

func unknown(p log.Partition) error {
	return fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, p.Topic, p.Index)
}

func (l *Log) readTopic(ctx context.Context, name string) (*topic, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: a topic without a name", log.ErrUnknownTopic)
	}
	list, err := l.readTopics(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("looking for topic %s: %w", name, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
	}
	return list[0], nil
}

// readTopics asks for the named topics, all if there are none, with their
// settings. Those that do not exist are left out, and the cluster's own.
func (l *Log) readTopics(ctx context.Context, names ...string) ([]*topic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	resp, err := request(ctx, l, req, func(r *kmsg.MetadataResponse) error {
		for _, t := range r.Topics {
			err := codeError(t.ErrorCode, nil)
			if err != nil && !gone(err) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []*topic
	for _, t := range resp.Topics {
		if t.ErrorCode == 0 && t.Topic != nil && !(t.IsInternal && len(names) == 0) {
			list = append(list, describe(t, l.opts.Clock.Now()))
		}
	}
	return list, l.readConfigs(ctx, list)
}

// gone reports whether an error says that there is no such topic. A name that
// can't be one is no topic, too.
func gone(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InvalidTopicException)
}

func describe(t kmsg.MetadataResponseTopic, now time.Time) *topic {
	out := &topic{Topic: log.Topic{Name: *t.Topic, ID: t.TopicID, Partitions: int32(len(t.Partitions)), Config: map[string]string{}}, read: now}
	out.leaders = make([]leader, len(t.Partitions))
	for i := range out.leaders {
		out.leaders[i].broker = -1
	}
	for _, p := range t.Partitions {
		if p.Partition >= 0 && int(p.Partition) < len(out.leaders) && p.ErrorCode == 0 {
			out.leaders[p.Partition] = leader{p.Leader, p.LeaderEpoch}
		}
	}
	return out
}

// dynamicTopicConfig is the source of settings that were given for the topic.
const dynamicTopicConfig = 1

// readConfigs fills in what was set for the topics.
func (l *Log) readConfigs(ctx context.Context, list []*topic) error {
	if len(list) == 0 {
		return nil
	}
	byName := map[string]*topic{}
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, t := range list {
		byName[t.Name] = t
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t.Name
		req.Resources = append(req.Resources, r)
	}
	resp, err := request(ctx, l, req, func(r *kmsg.DescribeConfigsResponse) error {
		for _, x := range r.Resources {
			err := codeError(x.ErrorCode, x.ErrorMessage)
			if err != nil && !gone(err) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	for _, x := range resp.Resources {
		t := byName[x.ResourceName]
		for _, c := range x.Configs {
			if t != nil && c.Source == dynamicTopicConfig && c.Value != nil {
				t.Config[c.Name] = *c.Value
			}
		}
	}
	return nil
}

// Topic implements log.Log.
func (l *Log) Topic(ctx context.Context, name string) (log.Topic, error) {
	t, err := l.topic(ctx, name)
	if err != nil {
		return log.Topic{}, err
	}
	return t.copy(), nil
}

func (t *topic) copy() log.Topic {
	d := t.Topic
	d.Config = maps.Clone(d.Config)
	return d
}

// Topics implements log.Log. The cluster's internal topics are left out.
func (l *Log) Topics(ctx context.Context) ([]log.Topic, error) {
	list, err := l.readTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	out := make([]log.Topic, len(list))
	for i, t := range list {
		out[i] = t.copy()
	}
	slices.SortFunc(out, func(a, b log.Topic) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// CreateTopic implements log.Log; it returns once every partition has a
// leader. A name that is taken after an answer was lost is taken by us.
func (l *Log) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	if partitions < 1 { // -1 is the cluster's default there
		return log.Topic{}, fmt.Errorf("%w: %d", log.ErrPartitionsLimit, partitions)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(l.opts.Patience.Milliseconds())
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, l.opts.Replication
	for _, k := range slices.Sorted(maps.Keys(config)) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, kmsg.StringPtr(config[k])
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	lost := false
	err := l.retry(ctx, func(ctx context.Context) error {
		controller, err := l.controller(ctx)
		if err != nil {
			return err
		}
		r, err := l.client.Broker(int(controller)).Request(ctx, req) // once: so nothing is lost unseen
		if err != nil {
			lost = true
			return err
		}
		resp := r.(*kmsg.CreateTopicsResponse)
		if len(resp.Topics) != 1 {
			return errShape
		}
		err = codeError(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage)
		switch {
		case lost && errors.Is(err, kerr.TopicAlreadyExists):
			return nil
		case err != nil && passing(err):
			lost = true // as RequestTimedOut says
		}
		return err
	})
	if err != nil {
		return log.Topic{}, fmt.Errorf("making topic %s: %w", name, l.explain(err))
	}
	return l.settled(ctx, name, partitions)
}

// controller returns the broker that makes topics.
func (l *Log) controller(ctx context.Context) (int32, error) {
	r, err := l.client.Request(ctx, noTopics())
	if err != nil {
		return 0, err
	}
	if id := r.(*kmsg.MetadataResponse).ControllerID; id >= 0 {
		return id, nil
	}
	return 0, kerr.NotController // nobody is, for now
}

// settled waits until a topic's partitions have leaders.
func (l *Log) settled(ctx context.Context, name string, partitions int32) (log.Topic, error) {
	var out log.Topic
	err := l.retry(ctx, func(ctx context.Context) error {
		l.forget(name)
		t, err := l.topic(ctx, name)
		switch {
		case errors.Is(err, log.ErrUnknownTopic):
			return kerr.UnknownTopicOrPartition // not yet
		case err != nil:
			return err
		case slices.ContainsFunc(t.leaders, func(x leader) bool { return x.broker < 0 }) || t.Partitions < partitions:
			return kerr.LeaderNotAvailable
		}
		out = t.copy()
		return nil
	})
	if err != nil {
		return log.Topic{}, fmt.Errorf("waiting for the new topic %s: %w", name, l.explain(err))
	}
	return out, nil
}

// DeleteTopic implements log.Log; it returns once the topic is not there any
// more.
func (l *Log) DeleteTopic(ctx context.Context, name string) error {
	l.forget(name)
	before, err := l.topic(ctx, name)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(l.opts.Patience.Milliseconds())
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = kmsg.StringPtr(name)
	req.Topics, req.TopicNames = append(req.Topics, t), []string{name}
	_, err = request(ctx, l, req, func(r *kmsg.DeleteTopicsResponse) error {
		if len(r.Topics) != 1 {
			return errShape
		}
		err := codeError(r.Topics[0].ErrorCode, r.Topics[0].ErrorMessage)
		if gone(err) {
			return nil // by an attempt before, or by somebody else
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	err = l.retry(ctx, func(ctx context.Context) error {
		l.forget(name)
		now, err := l.topic(ctx, name)
		if errors.Is(err, log.ErrUnknownTopic) || err == nil && now.ID != before.ID {
			return nil
		}
		if err == nil {
			return errStillThere
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for the end of topic %s: %w", name, l.explain(err))
	}
	return nil
}

// errStillThere passes, as far as retry is concerned.
var errStillThere = errors.New("the cluster still has it")

// Trim implements log.Log.
func (l *Log) Trim(ctx context.Context, p log.Partition, offset int64) error {
	if _, _, err := l.partition(ctx, p); err != nil {
		return err
	}
	if offset < 0 { // the protocol's -1 is the end
		return l.outOfRange(ctx, p, offset)
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(l.opts.Patience.Milliseconds())
	t, tp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	t.Topic, tp.Partition, tp.Offset = p.Topic, p.Index, offset
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	_, err := request(ctx, l, req, func(r *kmsg.DeleteRecordsResponse) error {
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return errShape
		}
		return l.recheck(ctx, p, codeError(r.Topics[0].Partitions[0].ErrorCode, nil))
	})
	switch {
	case errors.Is(err, log.ErrOffsetRange):
		return l.outOfRange(ctx, p, offset)
	case err != nil:
		return fmt.Errorf("trimming %s partition %d: %w", p.Topic, p.Index, err)
	}
	return nil
}

// outOfRange says which offsets there would have been.
func (l *Log) outOfRange(ctx context.Context, p log.Partition, offset int64) error {
	b, err := l.Bounds(ctx, p)
	if err != nil {
		return err
	}
	return &log.OffsetRangeError{Partition: p, Offset: offset, Start: b.Start, End: b.HighWatermark}
}

// DeleteGroup implements log.Log.
func (l *Log) DeleteGroup(ctx context.Context, group string) error {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	_, err := request(ctx, l, req, func(r *kmsg.DeleteGroupsResponse) error {
		if len(r.Groups) != 1 {
			return errShape
		}
		err := codeError(r.Groups[0].ErrorCode, nil)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting group %s: %w", group, err)
	}
	return nil
}
