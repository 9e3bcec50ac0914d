package wire

import (
	"errors"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeGroups describes groups with their members. One that isn't there is
// dead, which before version 6 is no error.
func (c *call) describeGroups(req *kmsg.DescribeGroupsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group, g.AuthorizedOperations = id, noOperations
		if req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = groupOperations
		}
		info, err := c.srv.opts.Groups.DescribeGroup(c.ctx, id)
		if errors.Is(err, log.ErrUnknownGroup) && c.hasOffsets(id) {
			info, err = log.GroupInfo{ID: id, State: log.GroupEmpty}, nil
		}
		if g.State = string(info.State); errors.Is(err, log.ErrUnknownGroup) {
			g.State = string(log.GroupDead)
			if req.Version < 6 {
				err = nil
			} else {
				g.AuthorizedOperations = noOperations
			}
		}
		g.ErrorCode, g.ErrorMessage = codeOf(err), reason(err)
		g.ProtocolType, g.Protocol = info.ProtocolType, info.Protocol
		for _, m := range info.Members {
			x := kmsg.NewDescribeGroupsResponseGroupMember()
			x.MemberID, x.InstanceID, x.ClientID, x.ClientHost = m.MemberID, null(m.InstanceID), m.ClientID, m.ClientHost
			x.ProtocolMetadata, x.MemberAssignment = m.Metadata, m.Assignment
			g.Members = append(g.Members, x)
			const memberBytes = 256
			if !c.spend(memberBytes + len(m.MemberID) + len(m.ClientID) + len(m.Metadata) + len(m.Assignment)) {
				return resp
			}
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

// hasOffsets reports whether a group that has no members ever had offsets, as
// those of queries have.
func (c *call) hasOffsets(id string) bool {
	offsets, _, err := c.srv.opts.Log.GroupOffsets(c.ctx, id)
	return err == nil && len(offsets) > 0
}
