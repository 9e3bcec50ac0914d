package segment

import (
	"context"
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

// CreateTopic implements log.Log.
func (l *Log) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	if !validTopicName(name) {
		return log.Topic{}, fmt.Errorf("%w: %q must be 1 to 249 letters, digits, dots, underscores and hyphens", log.ErrInvalidTopic, name)
	}
	if partitions < 1 || partitions > l.opts.MaxPartitions {
		return log.Topic{}, fmt.Errorf("%w: %d, must be between 1 and %d", log.ErrPartitionsLimit, partitions, l.opts.MaxPartitions)
	}
	t := log.Topic{Name: name, Partitions: partitions, Config: maps.Clone(config)}
	binary.BigEndian.PutUint64(t.ID[:], l.opts.Rand())
	binary.BigEndian.PutUint64(t.ID[8:], l.opts.Rand())
	err := l.submit(ctx, &request{
		ops: []op{{kind: opCreateTopic, created: t}},
		check: func([]op) error {
			if l.topics[name] != nil {
				return fmt.Errorf("%w: %s", log.ErrTopicExists, name)
			}
			return nil
		},
	})
	return t, err
}

// DeleteTopic implements log.Log.
func (l *Log) DeleteTopic(ctx context.Context, name string) error {
	return l.submit(ctx, &request{
		ops: []op{{kind: opDeleteTopic}},
		check: func(ops []op) error {
			t := l.topics[name]
			if t == nil {
				return fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
			}
			ops[0].topic = t.ID
			return nil
		},
	})
}

// Trim implements log.Log; files go once all their records have.
func (l *Log) Trim(ctx context.Context, p log.Partition, offset int64) error {
	return l.submit(ctx, &request{
		ops: []op{{kind: opTrim, partition: p.Index, base: offset}},
		check: func(ops []op) error {
			t := l.topics[p.Topic]
			if t == nil || p.Index < 0 || p.Index >= t.Partitions {
				return unknown(p)
			}
			if b := t.partitions[p.Index].bounds(); offset < 0 || offset > b.HighWatermark {
				return &log.OffsetRangeError{Partition: p, Offset: offset, End: b.HighWatermark}
			}
			ops[0].topic = t.ID
			return nil
		},
	})
}

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

// CommittedOffsets implements log.Log.
func (l *Log) CommittedOffsets(_ context.Context, group string) (map[log.Partition]int64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := maps.Clone(l.groups[group])
	if out == nil {
		out = map[log.Partition]int64{}
	}
	return out, nil
}

// DeleteGroup implements log.Log.
func (l *Log) DeleteGroup(ctx context.Context, group string) error {
	return l.submit(ctx, &request{ops: []op{{kind: opDeleteGroup, group: group}}})
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
