package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducerID gives a producer id and epoch. For a transactional id it fences
// whoever had it before.
func (c *call) initProducerID(req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil && *req.TransactionalID == "" {
		resp.ErrorCode = codeInvalidRequest
		return resp
	}
	if err := c.ownTxn(str(req.TransactionalID)); err != nil {
		resp.ErrorCode = codeOf(err)
		return resp
	}
	current := log.NoProducer
	if req.Version >= 3 {
		current = log.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	}
	if (current.ID < 0) != (current.Epoch < 0) {
		resp.ErrorCode = codeInvalidRequest
		return resp
	}
	p, err := c.srv.opts.Log.InitProducer(c.ctx, str(req.TransactionalID), milliseconds(req.TransactionTimeoutMillis), current)
	if err != nil {
		resp.ErrorCode = fencedCode(err, req.Version, 4)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
	return resp
}

// checkTxn refuses a request that names no transactional id, or one of Karst's
// queries.
func (c *call) checkTxn(id string) error {
	if id == "" {
		return wireError{codeInvalidRequest, "the transactional id is empty"}
	}
	return c.ownTxn(id)
}

// ownTxn refuses to touch the transactions of Karst's queries.
func (c *call) ownTxn(id string) error {
	if id != "" && c.srv.opts.Own(id) {
		return wireError{codeTxnDenied, id + " belongs to a query of Karst"}
	}
	return nil
}

func txnProducer(id string, producer int64, epoch int16) log.TxnProducer {
	return log.TxnProducer{TransactionalID: id, Producer: log.Producer{ID: producer, Epoch: epoch}}
}
