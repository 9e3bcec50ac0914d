package wire

import (
	"cmp"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetFetch returns the offsets of a group, or from version 8 on of several:
// those asked for, -1 where there is none, or all.
func (c *call) offsetFetch(req *kmsg.OffsetFetchRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for i := range req.Groups {
			if c.ctx.Err() != nil { // too large, see spend
				break
			}
			resp.Groups = append(resp.Groups, c.fetchGroup(&req.Groups[i], req.RequireStable))
		}
		return resp
	}
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = req.Group
	if req.Topics != nil || req.Version < 2 {
		asked.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		x := kmsg.NewOffsetFetchRequestGroupTopic()
		x.Topic, x.Partitions = t.Topic, t.Partitions
		asked.Topics = append(asked.Topics, x)
	}
	got := c.fetchGroup(&asked, req.RequireStable)
	resp.ErrorCode = got.ErrorCode
	for _, t := range got.Topics {
		x := kmsg.NewOffsetFetchResponseTopic()
		x.Topic = t.Topic
		for _, p := range t.Partitions {
			x.Partitions = append(x.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
		}
		resp.Topics = append(resp.Topics, x)
	}
	return resp
}

func (c *call) fetchGroup(req *kmsg.OffsetFetchRequestGroup, requireStable bool) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = req.Group
	committed, pending, err := c.srv.opts.Log.GroupOffsets(c.ctx, req.Group)
	if out.ErrorCode = codeOf(err); err != nil {
		return out
	}
	const offsetBytes = 256 // copied, and in the answer
	size := 0
	for _, o := range committed {
		size += offsetBytes + len(o.Metadata)
	}
	if !c.spend(size) {
		return out
	}
	topics := req.Topics
	if topics == nil {
		topics = allTopics(committed)
	}
	for _, t := range topics {
		x := kmsg.NewOffsetFetchResponseGroupTopic()
		x.Topic = t.Topic
		for _, index := range t.Partitions {
			part := log.Partition{Topic: t.Topic, Index: index}
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, -1, -1, text("")
			if _, unstable := pending[part]; unstable && requireStable {
				p.ErrorCode = codeOf(log.ErrUnstableOffsets)
			} else if o, ok := committed[part]; ok {
				p.Offset, p.LeaderEpoch, p.Metadata = o.Offset, o.LeaderEpoch, &o.Metadata
			}
			x.Partitions = append(x.Partitions, p)
		}
		out.Topics = append(out.Topics, x)
	}
	return out
}

// allTopics asks for all offsets that a group has.
func allTopics(offsets map[log.Partition]log.GroupOffset) []kmsg.OffsetFetchRequestGroupTopic {
	var out []kmsg.OffsetFetchRequestGroupTopic
	for _, p := range sortedPartitions(offsets) {
		if n := len(out); n == 0 || out[n-1].Topic != p.Topic {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic = p.Topic
			out = append(out, t)
		}
		out[len(out)-1].Partitions = append(out[len(out)-1].Partitions, p.Index)
	}
	return out
}

func sortedPartitions[V any](m map[log.Partition]V) []log.Partition {
	list := make([]log.Partition, 0, len(m))
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b log.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
	})
	return list
}
