package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"karst/log"
)

// topicName is the topic that the embedded registry is folded from; not
// _schemas, which on a cluster may be another registry's.
const topicName = "_karst_schemas"

// A topic is where the registry's records go.
type topic struct {
	log log.Log
	now func() time.Time
}

// A topicKey is the key of a record.
type topicKey struct {
	KeyType string `json:"keytype"` // SCHEMA, CONFIG, MODE
	Subject string `json:"subject,omitempty"`
	Version int    `json:"version,omitempty"`
	Magic   int    `json:"magic"`
}

// A topicValue is the value of a record; null takes back what the key names.
type topicValue struct {
	Subject    string      `json:"subject,omitempty"`
	Version    int         `json:"version,omitempty"`
	ID         int         `json:"id,omitempty"`
	SchemaType string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
	Schema     string      `json:"schema,omitempty"`
	Deleted    bool        `json:"deleted,omitempty"`
	Level      string      `json:"compatibilityLevel,omitempty"`
	Mode       string      `json:"mode,omitempty"`
}

type topicRecord struct {
	key   topicKey
	value *topicValue
}

func putRecord(v *Version) topicRecord {
	return topicRecord{topicKey{KeyType: "SCHEMA", Subject: v.Subject, Version: v.Version, Magic: 1},
		&topicValue{Subject: v.Subject, Version: v.Version, ID: v.ID, SchemaType: v.Type, References: v.References, Schema: v.Text, Deleted: v.Deleted}}
}

func removeRecord(v *Version) topicRecord {
	return topicRecord{topicKey{KeyType: "SCHEMA", Subject: v.Subject, Version: v.Version, Magic: 1}, nil}
}

func settingRecord(kind, subject, field, value string) topicRecord {
	r := topicRecord{key: topicKey{KeyType: kind, Subject: subject}}
	switch {
	case value == "":
	case field == "mode":
		r.value = &topicValue{Subject: subject, Mode: value}
	default:
		r.value = &topicValue{Subject: subject, Level: value}
	}
	return r
}

// Open folds the registry's topic, which is made if it is not there.
func Open(ctx context.Context, l log.Log, now func() time.Time) (*Registry, error) {
	_, err := l.CreateTopic(ctx, topicName, 1, map[string]string{"retention.ms": "-1", "cleanup.policy": "compact"})
	if err != nil && !errors.Is(err, log.ErrTopicExists) {
		return nil, fmt.Errorf("making the schema registry's topic: %w", err)
	}
	r := New()
	r.topic = &topic{log: l, now: now}
	p := log.Partition{Topic: topicName}
	b, err := l.Bounds(ctx, p)
	if errors.Is(err, log.ErrOffline) {
		err = fmt.Errorf("%w. %s has all schemas: there is nothing to go on from without it", err, topicName)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the schema registry's topic: %w", err)
	}
	var recs log.Records
	for offset := b.Start; offset < b.HighWatermark; {
		if offset, err = l.Fetch(ctx, p, offset, 1<<20, &recs); err != nil {
			return nil, fmt.Errorf("reading the schema registry's topic: %w", err)
		}
		for i := range recs.Len() {
			if err := r.fold(recs.Key(i), recs.Value(i)); err != nil {
				return nil, fmt.Errorf("the schema registry's record at offset %d: %w", recs.Offsets[i], err)
			}
		}
	}
	return r, nil
}

// fold applies one record; of kinds that are not known nothing is.
func (r *Registry) fold(key, value []byte) error {
	var k topicKey
	if err := json.Unmarshal(key, &k); err != nil {
		return err
	}
	var v topicValue
	if value != nil {
		if err := json.Unmarshal(value, &v); err != nil {
			return err
		}
	}
	switch k.KeyType {
	case "SCHEMA":
		if value == nil {
			r.remove(k.Subject, k.Version)
			return nil
		}
		r.put(&Version{Schema: Schema{Type: cmpOr(v.SchemaType, Avro), Text: v.Schema, References: v.References}, Subject: v.Subject, Version: v.Version, ID: v.ID, Deleted: v.Deleted})
	case "CONFIG":
		set(r.levels, k.Subject, v.Level)
	case "MODE":
		set(r.modes, k.Subject, v.Mode)
	}
	return nil
}

// write appends a record and returns once it is durable.
func (r *Registry) write(rec topicRecord) error {
	if r.topic == nil {
		return nil
	}
	key, err := json.Marshal(rec.key)
	if err != nil {
		return err
	}
	var value []byte
	if rec.value != nil {
		if value, err = json.Marshal(rec.value); err != nil {
			return err
		}
	}
	var b log.Builder
	b.Add(r.topic.now().UnixMilli(), key, value, nil)
	err = r.topic.log.Produce(context.Background(), []log.Append{{Partition: log.Partition{Topic: topicName}, Batch: b.Finish()}})
	if err != nil {
		return errorf(CodeBackend, "writing the schema registry's topic: %v", err)
	}
	return nil
}
