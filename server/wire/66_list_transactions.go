package wire

import (
	"regexp"
	"slices"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxPattern is how long a pattern may be.
const maxPattern = 1 << 10

// listTransactions lists transactional ids, by state, producer, age and
// pattern, as far as those are given.
func (c *call) listTransactions(req *kmsg.ListTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	known := []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "PrepareEpochFence", "Dead"}
	for _, s := range req.StateFilters {
		if !slices.Contains(known, s) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
		}
	}
	var pattern *regexp.Regexp
	if p := str(req.TransactionalIDPattern); p != "" {
		const invalidRegexp int16 = 128
		var err error
		if len(p) <= maxPattern {
			pattern, err = regexp.Compile("^(?:" + p + ")$")
		}
		if pattern == nil || err != nil {
			resp.ErrorCode = invalidRegexp
			return resp
		}
	}
	all, err := c.srv.opts.Log.Transactions(c.ctx)
	resp.ErrorCode = codeOf(err)
	now := c.srv.opts.Now()
	for _, t := range all {
		if !listed(req, &t, now) || pattern != nil && !pattern.MatchString(t.TransactionalID) {
			continue
		}
		const txnBytes = 120
		if !c.spend(txnBytes + len(t.TransactionalID)) {
			return resp
		}
		out := kmsg.NewListTransactionsResponseTransactionState()
		out.TransactionalID, out.ProducerID, out.TransactionState = t.TransactionalID, t.ID, string(t.State)
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}

func listed(req *kmsg.ListTransactionsRequest, t *log.TxnInfo, now time.Time) bool {
	if len(req.StateFilters) > 0 && !slices.Contains(req.StateFilters, string(t.State)) {
		return false
	}
	if len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, t.ID) {
		return false
	}
	if req.Version < 1 || req.DurationFilterMillis < 0 {
		return true
	}
	return t.Began >= 0 && now.UnixMilli()-t.Began > req.DurationFilterMillis
}
