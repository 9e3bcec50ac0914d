package wire

import (
	"cmp"
	"errors"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnOffsetCommit keeps a group's offsets to be committed with a transaction.
// From version 5 on, the second transaction protocol, it makes them part of it
// too.
func (c *call) txnOffsetCommit(req *kmsg.TxnOffsetCommitRequest) answer {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	offsets := map[log.Partition]log.GroupOffset{}
	ask := false
	for i := range req.Topics {
		t := kmsg.NewTxnOffsetCommitResponseTopic()
		t.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			out := kmsg.NewTxnOffsetCommitResponseTopicPartition()
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
	kept := newPromise[error]()
	p := txnProducer(req.TransactionalID, req.ProducerID, req.ProducerEpoch)
	if err := c.mayTxnCommit(req); err != nil || !ask {
		kept.keep(err)
	} else {
		c.keepInTxn(req, p, offsets, kept.keep)
	}
	return answer{ready: kept.ready, response: func() kmsg.Response {
		code := coordinatorCode(kept.value)
		if errors.Is(kept.value, log.ErrFenced) { // never told by this request
			code = codeOf(log.ErrProducerEpoch)
		}
		if errors.Is(kept.value, log.ErrTxnState) && req.Version >= 4 { // who knows that code can go on
			code = codeOf(log.ErrTxnAbortable)
		}
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

// mayTxnCommit refuses to touch what Karst's queries keep.
func (c *call) mayTxnCommit(req *kmsg.TxnOffsetCommitRequest) error {
	if err := c.ownTxn(req.TransactionalID); err != nil {
		return err
	}
	return c.ownGroup(req.Group)
}

// keepInTxn keeps the offsets if the member may commit. If not, the transaction is
// asked all the same: it is told first what is wrong with that, and the group is
// part of it.
func (c *call) keepInTxn(req *kmsg.TxnOffsetCommitRequest, p log.TxnProducer, offsets map[log.Partition]log.GroupOffset, done func(error)) {
	who := log.GroupMember{Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: req.Generation}
	c.srv.opts.Groups.CheckMember(who, func(refused error) {
		if errors.Is(refused, log.ErrInvalidGroup) { // none that could be part of it
			done(refused)
			return
		}
		if refused != nil {
			offsets = nil
		}
		c.srv.opts.Log.TxnOffsets(p, req.Group, offsets, req.Version >= 5, func(err error) {
			if err == nil && len(offsets) > 0 {
				c.srv.opts.Groups.KeptOffsets(req.Group)
			}
			done(cmp.Or(err, refused))
		})
	})
}
