package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// addPartitionsToTxn makes partitions part of a transaction, from version 4 on
// of several transactions. Of one with an unknown partition none is added.
func (c *call) addPartitionsToTxn(req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if req.Version < 4 {
		p := txnProducer(req.TransactionalID, req.ProducerID, req.ProducerEpoch)
		for _, t := range c.joinTxn(req.Version, p, txnPartitions(req.Topics)) {
			x := kmsg.NewAddPartitionsToTxnResponseTopic()
			x.Topic = t.Topic
			for _, q := range t.Partitions {
				x.Partitions = append(x.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition(q))
			}
			resp.Topics = append(resp.Topics, x)
		}
		return resp
	}
	var all []log.TxnInfo // asked for once
	for i := range req.Transactions {
		t := &req.Transactions[i]
		x := kmsg.NewAddPartitionsToTxnResponseTransaction()
		x.TransactionalID = t.TransactionalID
		var topics []kmsg.AddPartitionsToTxnRequestTopic
		for _, q := range t.Topics {
			topics = append(topics, kmsg.AddPartitionsToTxnRequestTopic(q))
		}
		p := txnProducer(t.TransactionalID, t.ProducerID, t.ProducerEpoch)
		if t.VerifyOnly {
			var err error
			if all == nil {
				all, err = c.srv.opts.Log.Transactions(c.ctx)
			}
			x.Topics = c.verifyTxn(all, err, p, txnPartitions(topics))
		} else {
			x.Topics = c.joinTxn(req.Version, p, txnPartitions(topics))
		}
		resp.Transactions = append(resp.Transactions, x)
	}
	return resp
}

func txnPartitions(topics []kmsg.AddPartitionsToTxnRequestTopic) []log.Partition {
	var out []log.Partition
	for _, t := range topics {
		for _, p := range t.Partitions {
			out = append(out, log.Partition{Topic: t.Topic, Index: p})
		}
	}
	return out
}

// joinTxn adds partitions and returns a code for each.
func (c *call) joinTxn(version int16, p log.TxnProducer, partitions []log.Partition) []kmsg.AddPartitionsToTxnResponseTransactionTopic {
	codes, bad := c.unwritable(partitions)
	err := c.checkTxn(p.TransactionalID)
	if err == nil && !bad {
		err = c.srv.opts.Log.JoinTxn(c.ctx, p, partitions)
	}
	for i := range codes {
		if err != nil {
			codes[i] = fencedCode(err, version, 2)
		}
	}
	return txnCodes(partitions, codes)
}

// unwritable returns a code for each partition: if there is one that can't be
// written to, nothing is done for the others.
func (c *call) unwritable(partitions []log.Partition) (codes []int16, refused bool) {
	const notAttempted int16 = 55
	codes = make([]int16, len(partitions))
	for i, part := range partitions {
		codes[i] = codeOf(c.writable(part))
		refused = refused || codes[i] != codeNone
	}
	for i := range codes {
		if refused && codes[i] == codeNone {
			codes[i] = notAttempted
		}
	}
	return codes, refused
}

// writable says why clients may not write to a partition. One that is offline may
// be part of a transaction; its end is kept for it.
func (c *call) writable(p log.Partition) error {
	if c.srv.opts.Own(p.Topic) {
		return fmt.Errorf("%w: %s is Karst's own", log.ErrInvalidTopic, p.Topic)
	}
	return c.exists(p)
}

// verifyTxn tells which partitions are part of a transaction; all are those
// there are, by id, unless terr is set.
func (c *call) verifyTxn(all []log.TxnInfo, terr error, p log.TxnProducer, partitions []log.Partition) []kmsg.AddPartitionsToTxnResponseTransactionTopic {
	codes, bad := c.unwritable(partitions)
	if bad {
		return txnCodes(partitions, codes)
	}
	err := fmt.Errorf("%w: %q", log.ErrProducerID, p.TransactionalID)
	in := map[log.Partition]bool{}
	i, found := slices.BinarySearchFunc(all, p.TransactionalID, func(t log.TxnInfo, id string) int { return strings.Compare(t.TransactionalID, id) })
	if found && all[i].ID == p.ID {
		t := &all[i]
		if err = nil; t.Epoch != p.Epoch {
			err = log.ErrFenced
		}
		for _, part := range t.Partitions {
			in[part] = t.State == log.TxnOngoing
		}
	}
	if terr != nil {
		err = terr
	}
	for i, part := range partitions {
		if codes[i] = codeOf(err); err == nil && !in[part] {
			codes[i] = codeOf(log.ErrTxnAbortable)
		}
	}
	return txnCodes(partitions, codes)
}

func txnCodes(partitions []log.Partition, codes []int16) []kmsg.AddPartitionsToTxnResponseTransactionTopic {
	var out []kmsg.AddPartitionsToTxnResponseTransactionTopic
	for i, part := range partitions {
		if n := len(out); n == 0 || out[n-1].Topic != part.Topic {
			t := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			t.Topic = part.Topic
			out = append(out, t)
		}
		p := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
		p.Partition, p.ErrorCode = part.Index, codes[i]
		out[len(out)-1].Partitions = append(out[len(out)-1].Partitions, p)
	}
	return out
}

// fencedCode is the code for err in requests whose clients know PRODUCER_FENCED
// from version knows on, and an old epoch before.
func fencedCode(err error, version, knows int16) int16 {
	if errors.Is(err, log.ErrFenced) && version < knows {
		return codeOf(log.ErrProducerEpoch)
	}
	return coordinatorCode(err)
}
