package wire

import (
	"bytes"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncGroup waits for the caller's assignment.
func (c *call) syncGroup(req *kmsg.SyncGroupRequest) answer {
	s := log.SyncGroup{
		GroupMember:  log.GroupMember{Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: req.Generation},
		ProtocolType: str(req.ProtocolType), Protocol: str(req.Protocol),
		Assignments: map[string][]byte{},
	}
	for _, a := range req.GroupAssignment {
		s.Assignments[a.MemberID] = bytes.Clone(a.MemberAssignment)
	}
	synced := newPromise[log.SyncedGroup]()
	if req.Group == "" {
		synced.keep(log.SyncedGroup{Err: log.ErrInvalidGroup})
	} else if req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
		synced.keep(log.SyncedGroup{Err: log.ErrProtocolMismatch})
	} else {
		c.srv.opts.Groups.SyncGroup(s, synced.keep)
	}
	return answer{ready: synced.ready, byPeers: true, response: func() kmsg.Response {
		r := &synced.value
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, resp.MemberAssignment = coordinatorCode(r.Err), r.Assignment
		resp.ProtocolType, resp.Protocol = null(r.ProtocolType), null(r.Protocol)
		if resp.MemberAssignment == nil {
			resp.MemberAssignment = []byte{}
		}
		return resp
	}}
}
