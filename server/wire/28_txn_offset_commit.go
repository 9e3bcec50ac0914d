package wire

import (
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
	c.checkTxnCommit(req, func(err error) {
		if err != nil || !ask {
			kept.keep(err)
			return
		}
		c.srv.opts.Log.TxnOffsets(p, req.Group, offsets, req.Version >= 5, func(err error) {
			if err == nil {
				c.srv.opts.Groups.KeptOffsets(req.Group)
			}
			kept.keep(err)
		})
	})
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

// checkTxnCommit calls then with why the offsets may not be kept, or nil.
func (c *call) checkTxnCommit(req *kmsg.TxnOffsetCommitRequest, then func(error)) {
	err := c.ownTxn(req.TransactionalID)
	if err == nil {
		err = c.ownGroup(req.Group)
	}
	if err != nil {
		then(err)
		return
	}
	c.srv.opts.Groups.CheckMember(log.GroupMember{
		Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: req.Generation,
	}, then)
}
