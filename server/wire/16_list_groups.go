package wire

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listGroups lists the groups, of given states or types if any are given.
func (c *call) listGroups(req *kmsg.ListGroupsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	groups, err := c.srv.opts.Groups.ListGroups(c.ctx)
	if resp.ErrorCode = codeOf(err); err != nil {
		return resp
	}
	has := func(filter []string, s string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, s) })
	}
	const classic = "classic"
	for _, g := range groups {
		if !has(req.StatesFilter, string(g.State)) || !has(req.TypesFilter, classic) {
			continue
		}
		x := kmsg.NewListGroupsResponseGroup()
		x.Group, x.ProtocolType, x.GroupState, x.GroupType = g.ID, g.ProtocolType, string(g.State), classic
		resp.Groups = append(resp.Groups, x)
	}
	return resp
}
