package wire

import (
	"errors"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxMetadataBytes is how much text may go with a committed offset.
const maxMetadataBytes = 4096

// offsetCommit stores a group's offsets. Partitions that don't exist are
// refused one by one; the others succeed or fail together, and without any the
// group is not asked.
func (c *call) offsetCommit(req *kmsg.OffsetCommitRequest) answer {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	offsets := map[log.Partition]log.GroupOffset{}
	ask := false
	for i := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			out := kmsg.NewOffsetCommitResponseTopicPartition()
			out.Partition = p.Partition
			part := log.Partition{Topic: t.Topic, Index: p.Partition}
			out.ErrorCode = c.checkCommit(part, p.Metadata)
			ask = ask || out.ErrorCode == codeNone || out.ErrorCode == codeMetadataTooLarge
			if out.ErrorCode == codeNone {
				offsets[part] = log.GroupOffset{Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: str(p.Metadata)}
			}
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	who := log.GroupMember{Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: req.Generation}
	stored := newPromise[error]()
	if err := c.ownGroup(req.Group); err != nil || !ask {
		stored.keep(err)
	} else {
		c.srv.opts.Groups.CommitOffsets(who, offsets, stored.keep)
	}
	return answer{ready: stored.ready, response: func() kmsg.Response {
		code := c.commitCode(req, stored.value)
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; committed(p.ErrorCode, code) {
					p.ErrorCode = code
				}
			}
		}
		return resp
	}}
}

// committed reports whether what the group was told of a commit goes for a
// partition that has a code already: a refusal by the group goes before what is
// wrong with the metadata.
func committed(partition, group int16) bool {
	return partition == codeNone || partition == codeMetadataTooLarge && group != codeNone
}

// commitCode is the code for err; from version 9 on a group that isn't there is
// told from a generation that isn't the current one.
func (c *call) commitCode(req *kmsg.OffsetCommitRequest, err error) int16 {
	if req.Version >= 9 && errors.Is(err, log.ErrIllegalGen) {
		if _, gone := c.srv.opts.Groups.DescribeGroup(c.ctx, req.Group); errors.Is(gone, log.ErrUnknownGroup) {
			err = gone
		}
	}
	return coordinatorCode(err)
}

// checkCommit says why an offset of a partition can't be stored.
func (c *call) checkCommit(p log.Partition, metadata *string) int16 {
	if err := c.exists(p); err != nil {
		return codeOf(err)
	}
	if len(str(metadata)) > maxMetadataBytes {
		return codeMetadataTooLarge
	}
	return codeNone
}

// ownGroup refuses to touch what Karst's queries keep.
func (c *call) ownGroup(id string) error {
	if c.srv.opts.Own(id) {
		return wireError{codeGroupDenied, id + " belongs to a query of Karst; clients may only look at it"}
	}
	return nil
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// null is the protocol's form of an optional text.
func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
