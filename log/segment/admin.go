package segment

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"karst/log"
)

// topicName is Kafka's rule for topic names.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func validTopicName(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

// CheckTopic implements log.TopicAdmin.
func (l *Log) CheckTopic(_ context.Context, name string, partitions int32, config map[string]string) error {
	if err := l.checkTopic(name, partitions, canonical(config)); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.checkNew(name, partitions)
}

func (l *Log) checkTopic(name string, partitions int32, config map[string]string) error {
	if !validTopicName(name) {
		return fmt.Errorf("%w: %q must be 1 to 249 letters, digits, dots, underscores and hyphens", log.ErrInvalidTopic, name)
	}
	if partitions < 1 || partitions > l.opts.MaxPartitions {
		return fmt.Errorf("%w: %d, must be between 1 and %d", log.ErrPartitionsLimit, partitions, l.opts.MaxPartitions)
	}
	return checkConfig(config)
}

func (l *Log) checkNew(name string, partitions int32) error {
	if l.topics[name] != nil {
		return fmt.Errorf("%w: %s", log.ErrTopicExists, name)
	}
	return l.checkRoom(1, partitions)
}

// CreateTopic implements log.Log.
func (l *Log) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	config = canonical(config)
	if err := l.checkTopic(name, partitions, config); err != nil {
		return log.Topic{}, err
	}
	t := log.Topic{Name: name, ID: l.randomID(), Partitions: partitions, Config: config}
	err := l.submit(ctx, &request{
		ops:   []op{{kind: opCreateTopic, created: t}},
		alone: true,
		check: func(*request) error { return l.checkNew(name, partitions) },
	})
	return t, err
}

func (l *Log) randomID() (id log.TopicID) {
	binary.BigEndian.PutUint64(id[:], l.opts.Rand())
	binary.BigEndian.PutUint64(id[8:], l.opts.Rand())
	return id
}

// DeleteTopic implements log.Log.
func (l *Log) DeleteTopic(ctx context.Context, name string) error {
	return l.submit(ctx, &request{
		ops:   []op{{kind: opDeleteTopic}},
		alone: true,
		check: func(r *request) error {
			t := l.topics[name]
			if t == nil {
				return fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
			}
			r.ops[0].topic = t.ID
			return nil
		},
	})
}

// DeleteTopicID implements log.TopicAdmin.
func (l *Log) DeleteTopicID(ctx context.Context, id log.TopicID) error {
	return l.submit(ctx, &request{
		ops:   []op{{kind: opDeleteTopic, topic: id}},
		alone: true,
		check: func(*request) error {
			if l.byID[id] == nil {
				return fmt.Errorf("%w: %s", log.ErrUnknownTopicID, id)
			}
			return nil
		},
	})
}

// Trim implements log.Log; files go once all their records have.
func (l *Log) Trim(ctx context.Context, p log.Partition, offset int64) error {
	return l.submit(ctx, &request{
		ops:   []op{{kind: opTrim, partition: p.Index, base: offset}},
		alone: true,
		check: func(r *request) error {
			t := l.topics[p.Topic]
			if t == nil || p.Index < 0 || p.Index >= t.Partitions {
				return unknown(p)
			}
			if !t.settings.deletes && t.settings.compacts {
				return fmt.Errorf("%w: cleanup.policy of %s is compact only, its records can't be deleted", log.ErrPolicy, p.Topic)
			}
			if err := t.partitions[p.Index].offline; err != nil {
				return err
			}
			if b := t.partitions[p.Index].bounds(); offset < 0 || offset > b.HighWatermark {
				return &log.OffsetRangeError{Partition: p, Offset: offset, End: b.HighWatermark}
			}
			r.ops[0].topic = t.ID
			return nil
		},
	})
}

// AddPartitions implements log.TopicAdmin.
func (l *Log) AddPartitions(ctx context.Context, name string, total int32, validateOnly bool) error {
	d := &addPartitions{Total: total}
	r := &request{alone: true, check: func(r *request) error {
		t := l.topics[name]
		if t == nil {
			return fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
		}
		if total <= t.Partitions || total > l.opts.MaxPartitions {
			return fmt.Errorf("%w: %s has %d partitions, it can have more, up to %d, and not %d", log.ErrPartitionsLimit, name, t.Partitions, l.opts.MaxPartitions, total)
		}
		if err := l.checkRoom(0, total-t.Partitions); err != nil {
			return err
		}
		d.Topic = t.ID
		if validateOnly {
			return nil
		}
		return l.take(r, detailOp(d))
	}}
	return l.submit(ctx, r)
}

// TopicConfig implements log.TopicAdmin.
func (l *Log) TopicConfig(ctx context.Context, name string) ([]log.ConfigEntry, error) {
	t, err := l.Topic(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.opts.entries(t.Config), nil
}

// AlterTopicConfig implements log.TopicAdmin.
func (l *Log) AlterTopicConfig(ctx context.Context, name string, changes []log.ConfigChange, validateOnly bool) error {
	return l.submit(ctx, &request{alone: true, check: func(r *request) error {
		t := l.topics[name]
		if t == nil {
			return fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
		}
		config, err := changeConfig(t.Config, changes)
		if err != nil || validateOnly {
			return err
		}
		return l.take(r, detailOp(&topicConfig{Topic: t.ID, Config: config}))
	}})
}

// TopicByID implements log.TopicAdmin.
func (l *Log) TopicByID(_ context.Context, id log.TopicID) (log.Topic, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if t := l.byID[id]; t != nil {
		return t.describe(), nil
	}
	return log.Topic{}, fmt.Errorf("%w: %s", log.ErrUnknownTopicID, id)
}

// ClusterID implements log.TopicAdmin.
func (l *Log) ClusterID() string { return base64.RawURLEncoding.EncodeToString(l.clusterID[:]) }

func unknown(p log.Partition) error {
	return fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, p.Topic, p.Index)
}

// Topic implements log.Log.
func (l *Log) Topic(_ context.Context, name string) (log.Topic, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[name]
	if t == nil {
		return log.Topic{}, fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
	}
	return t.describe(), nil
}

func (t *topic) describe() log.Topic {
	d := t.Topic
	d.Config = maps.Clone(d.Config)
	for i, p := range t.partitions {
		if p.offline != nil {
			d.Offline = append(d.Offline, int32(i))
		}
	}
	return d
}

// Topics implements log.Log.
func (l *Log) Topics(context.Context) ([]log.Topic, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]log.Topic, 0, len(l.topics))
	for _, t := range l.topics {
		out = append(out, t.describe())
	}
	slices.SortFunc(out, func(a, b log.Topic) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Watch implements log.Log.
func (l *Log) Watch(wake func(topic string)) (stop func()) {
	w := &watcher{wake: wake}
	l.watchMu.Lock()
	defer l.watchMu.Unlock()
	list := append(slices.Clone(*l.watchers.Load()), w)
	l.watchers.Store(&list)
	return func() {
		l.watchMu.Lock()
		defer l.watchMu.Unlock()
		list := slices.DeleteFunc(slices.Clone(*l.watchers.Load()), func(x *watcher) bool { return x == w })
		l.watchers.Store(&list)
	}
}
