package logtest

import (
	"strings"

	"karst/log"
)

func topics(h *harness) {
	name := h.name("topic")
	made, err := h.CreateTopic(h.ctx, name, 3, map[string]string{"retention.ms": "-1", "cleanup.policy": "compact"})
	h.ok(err)
	if made.Name != name || made.Partitions != 3 || made.ID == (log.TopicID{}) {
		h.Fatalf("made %+v", made)
	}
	h.is(ignore(h.CreateTopic(h.ctx, name, 3, nil)), log.ErrTopicExists)
	got, err := h.Topic(h.ctx, name)
	h.ok(err)
	if got.Name != name || got.ID != made.ID || got.Partitions != 3 || got.Config["retention.ms"] != "-1" || got.Config["cleanup.policy"] != "compact" {
		h.Fatalf("topic is %+v, made as %+v", got, made)
	}
	for i := range int32(3) {
		if b := h.bounds(at(name, i)); b.Start != 0 || b.HighWatermark != 0 {
			h.Fatalf("new partition %d has bounds %+v", i, b)
		}
	}
	other := h.topic(1)
	list, err := h.Topics(h.ctx)
	h.ok(err)
	found := 0
	for i, t := range list {
		if i > 0 && t.Name <= list[i-1].Name {
			h.Fatalf("topics are not sorted: %s after %s", t.Name, list[i-1].Name)
		}
		switch t.Name {
		case name:
			found++
			if t.ID != made.ID || t.Partitions != 3 || t.Config["retention.ms"] != "-1" {
				h.Fatalf("listed as %+v", t)
			}
		case other:
			found++
		}
	}
	if found != 2 {
		h.Fatalf("%d of 2 topics are listed", found)
	}
	h.ok(h.DeleteTopic(h.ctx, name))
	h.is(ignore(h.Topic(h.ctx, name)), log.ErrUnknownTopic)
	h.is(h.DeleteTopic(h.ctx, name), log.ErrUnknownTopic)
}

func topicNames(h *harness) {
	for _, name := range []string{"", ".", "..", "a b", "ä", "a/b", strings.Repeat("x", 250)} {
		h.is(ignore(h.CreateTopic(h.ctx, name, 1, nil)), log.ErrInvalidTopic)
	}
	for _, n := range []int32{0, -2} {
		h.is(ignore(h.CreateTopic(h.ctx, h.name("topic"), n, nil)), log.ErrPartitionsLimit)
	}
	h.is(ignore(h.CreateTopic(h.ctx, h.name("topic"), 1, map[string]string{"retention.ms": "soon"})), log.ErrInvalidConfig)
	long := h.name("A.b_c-") + strings.Repeat("x", 200)
	h.ok(ignore(h.CreateTopic(h.ctx, long, 1, map[string]string{"retention.ms": "-1"})))
	h.produce(at(long, 0), "a")
	h.want(at(long, 0), "a")
}

func unknownTopics(h *harness) {
	known := h.topic(2)
	for _, p := range []log.Partition{at(h.name("nobody"), 0), at(known, 2), at(known, -1)} {
		h.is(ignore(h.Bounds(h.ctx, p)), log.ErrUnknownTopic)
		h.is(ignore(h.EpochEnd(h.ctx, p, 0)), log.ErrUnknownTopic)
		h.is(ignore(h.OffsetForTime(h.ctx, p, 0)), log.ErrUnknownTopic)
		h.is(h.Trim(h.ctx, p, 0), log.ErrUnknownTopic)
		var r log.Records
		h.is(ignore(h.Fetch(h.ctx, p, 0, 1000, &r)), log.ErrUnknownTopic)
		h.is(h.Produce(h.ctx, []log.Append{{Partition: p, Batch: batch("x")}}), log.ErrUnknownTopic)
	}
	h.is(ignore(h.Topic(h.ctx, h.name("nobody"))), log.ErrUnknownTopic)
}

// recreated: a topic made again is another one.
func recreated(h *harness) {
	name := h.name("topic")
	keep := map[string]string{"retention.ms": "-1"}
	first, err := h.CreateTopic(h.ctx, name, 1, keep)
	h.ok(err)
	h.produce(at(name, 0), "old", "old")
	h.want(at(name, 0), "old", "old")
	h.ok(h.DeleteTopic(h.ctx, name))
	second, err := h.CreateTopic(h.ctx, name, 2, keep)
	h.ok(err)
	if first.ID == second.ID {
		h.Fatalf("the topic made again has the id of the first one, %s", first.ID)
	}
	h.want(at(name, 0))
	h.produce(at(name, 1), "new")
	h.want(at(name, 1), "new")
	if got, err := h.Topic(h.ctx, name); err != nil || got.ID != second.ID || got.Partitions != 2 {
		h.Fatalf("topic is %+v, %v", got, err)
	}
}
