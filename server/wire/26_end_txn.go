package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// endTxn commits or aborts a transaction. From version 5 on, the second
// transaction protocol, it raises the producer's epoch, so that nothing late can
// get into the next transaction.
func (c *call) endTxn(req *kmsg.EndTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if err := c.checkTxn(req.TransactionalID); err != nil {
		resp.ErrorCode = codeOf(err)
		return resp
	}
	bump := req.Version >= 5
	p, err := c.srv.opts.Log.EndTxn(c.ctx, txnProducer(req.TransactionalID, req.ProducerID, req.ProducerEpoch), req.Commit, bump)
	if err != nil {
		resp.ErrorCode = fencedCode(err, req.Version, 2)
		return resp
	}
	if bump {
		resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
	}
	return resp
}
