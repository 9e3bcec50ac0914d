package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// deleteACLs is refused: there are none.
func (c *call) deleteACLs(req *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = codeSecurityDisabled, text(noACLs)
		resp.Results = append(resp.Results, r)
	}
	return resp
}
