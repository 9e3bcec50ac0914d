package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// createACLs is refused: there are none.
func (c *call) createACLs(req *kmsg.CreateACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = codeSecurityDisabled, text(noACLs)
		resp.Results = append(resp.Results, r)
	}
	return resp
}
