package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// deleteGroups forgets groups without members and their offsets.
func (c *call) deleteGroups(req *kmsg.DeleteGroupsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	for _, id := range req.Groups {
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group = id
		g.ErrorCode = codeOf(c.ownGroup(id))
		if g.ErrorCode == codeNone {
			g.ErrorCode = codeOf(c.srv.opts.Groups.DeleteGroup(c.ctx, id))
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
