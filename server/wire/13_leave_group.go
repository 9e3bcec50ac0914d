package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveGroup removes a member, or from version 3 on several.
func (c *call) leaveGroup(req *kmsg.LeaveGroupRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	if req.Group == "" {
		resp.ErrorCode = codeInvalidGroupID
		return resp
	}
	if req.Version < 3 {
		errs := c.srv.opts.Groups.LeaveGroup(req.Group, []log.GroupMember{{Group: req.Group, MemberID: req.MemberID, Generation: -1}})
		resp.ErrorCode = codeOf(errs[0])
		return resp
	}
	var members []log.GroupMember
	for _, m := range req.Members {
		members = append(members, log.GroupMember{Group: req.Group, MemberID: m.MemberID, InstanceID: str(m.InstanceID), Generation: -1})
	}
	for i, err := range c.srv.opts.Groups.LeaveGroup(req.Group, members) {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID, m.ErrorCode = req.Members[i].MemberID, req.Members[i].InstanceID, codeOf(err)
		resp.Members = append(resp.Members, m)
	}
	return resp
}
