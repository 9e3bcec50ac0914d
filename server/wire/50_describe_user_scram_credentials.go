package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// describeUserScramCredentials tells of nobody: users are in the file given to
// ksh serve, and clients don't get to know them.
func (c *call) describeUserScramCredentials(req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	for _, u := range req.Users {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorCode = u.Name, codeResourceNotFound
		r.ErrorMessage = text("users can't be looked up")
		resp.Results = append(resp.Results, r)
	}
	return resp
}
