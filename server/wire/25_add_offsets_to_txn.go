package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// addOffsetsToTxn makes a group's offsets part of a transaction.
func (c *call) addOffsetsToTxn(req *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	err := c.checkTxn(req.TransactionalID)
	if err == nil {
		err = c.ownGroup(req.Group)
	}
	if err == nil {
		err = c.srv.opts.Log.JoinTxnGroup(c.ctx, txnProducer(req.TransactionalID, req.ProducerID, req.ProducerEpoch), req.Group)
	}
	resp.ErrorCode = fencedCode(err, req.Version, 2)
	return resp
}
