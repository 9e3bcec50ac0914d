package wire

import (
	"slices"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeTransactions describes transactional ids.
func (c *call) describeTransactions(req *kmsg.DescribeTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	all, err := c.srv.opts.Log.Transactions(c.ctx) // by id
	for _, id := range req.TransactionalIDs {
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID, out.ProducerID, out.ProducerEpoch, out.StartTimestamp = id, -1, -1, -1
		i, found := slices.BinarySearchFunc(all, id, func(t log.TxnInfo, id string) int { return strings.Compare(t.TransactionalID, id) })
		switch {
		case err != nil:
			out.ErrorCode = codeOf(err)
		case id == "":
			out.ErrorCode = codeInvalidRequest
		case !found:
			out.ErrorCode = codeOf(log.ErrNoTxnID)
		default:
			const partitionBytes = 48
			if !c.spend(partitionBytes * len(all[i].Partitions)) {
				return resp
			}
			describeTransaction(&all[i], &out)
		}
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}

func describeTransaction(t *log.TxnInfo, out *kmsg.DescribeTransactionsResponseTransactionState) {
	out.State, out.TimeoutMillis, out.StartTimestamp = string(t.State), int32(t.Timeout.Milliseconds()), t.Began
	out.ProducerID, out.ProducerEpoch = t.ID, t.Epoch
	for _, p := range t.Partitions {
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != p.Topic {
			x := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			x.Topic = p.Topic
			out.Topics = append(out.Topics, x)
		}
		last := &out.Topics[len(out.Topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
}
