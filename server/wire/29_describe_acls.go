package wire

import "github.com/twmb/franz-go/pkg/kmsg"

const noACLs = "there are no ACLs: whoever is let in may do everything"

// describeACLs says that there are none, as a broker without an authorizer does.
func (c *call) describeACLs(req *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	resp.ErrorCode, resp.ErrorMessage = codeSecurityDisabled, text(noACLs)
	return resp
}
