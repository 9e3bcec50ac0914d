package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat says that a member is alive.
func (c *call) heartbeat(req *kmsg.HeartbeatRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	if req.Group == "" {
		resp.ErrorCode = codeInvalidGroupID
		return resp
	}
	resp.ErrorCode = codeOf(c.srv.opts.Groups.Heartbeat(log.GroupMember{
		Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: req.Generation,
	}))
	return resp
}
