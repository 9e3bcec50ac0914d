package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// findCoordinator answers with this broker: it coordinates all groups and
// transactions.
func (c *call) findCoordinator(req *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if req.Version < 4 {
		resp.ErrorCode, resp.ErrorMessage = coordinatorError(req.CoordinatorType)
		resp.NodeID, resp.Port = -1, -1
		if resp.ErrorCode == codeNone {
			resp.NodeID, resp.Host, resp.Port = nodeID, c.srv.host, c.srv.port
		}
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		x := kmsg.NewFindCoordinatorResponseCoordinator()
		x.Key, x.NodeID, x.Port = key, -1, -1
		if x.ErrorCode, x.ErrorMessage = coordinatorError(req.CoordinatorType); x.ErrorCode == codeNone {
			x.NodeID, x.Host, x.Port = nodeID, c.srv.host, c.srv.port
		}
		resp.Coordinators = append(resp.Coordinators, x)
	}
	return resp
}

// Kinds of coordinators: for groups and for transactions. Share groups, 2, are
// not served.
func coordinatorError(kind int8) (int16, *string) {
	switch {
	case kind < 0 || kind > 1:
		return codeInvalidRequest, text("there are coordinators of type 0, groups, and 1, transactions")
	}
	return codeNone, nil
}
