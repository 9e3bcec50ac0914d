package wire

import (
	"bytes"
	"cmp"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinGroup waits until the group's next generation begins.
func (c *call) joinGroup(req *kmsg.JoinGroupRequest) answer {
	j := log.JoinGroup{
		GroupMember: log.GroupMember{Group: req.Group, MemberID: req.MemberID, InstanceID: str(req.InstanceID), Generation: -1},
		ClientID:    cmp.Or(c.clientID, "client"), ClientHost: "/" + c.conn.host,
		SessionTimeout:   milliseconds(req.SessionTimeoutMillis),
		RebalanceTimeout: milliseconds(req.RebalanceTimeoutMillis),
		ProtocolType:     req.ProtocolType,
		NeedID:           req.Version >= 4,
		CanSkip:          req.Version >= 9,
	}
	if req.Version < 1 {
		j.RebalanceTimeout = j.SessionTimeout
	}
	for _, p := range req.Protocols {
		j.Protocols = append(j.Protocols, log.GroupProtocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)})
	}
	joined := newPromise[log.JoinedGroup]()
	if err := c.ownGroup(req.Group); err != nil {
		joined.keep(log.JoinedGroup{Err: err, Generation: -1})
	} else {
		c.srv.opts.Groups.JoinGroup(j, joined.keep)
	}
	return answer{ready: joined.ready, byPeers: true, response: func() kmsg.Response { return joinedResponse(req, &joined.value) }}
}

func joinedResponse(req *kmsg.JoinGroupRequest, r *log.JoinedGroup) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.MemberID, resp.Generation = coordinatorCode(r.Err), r.MemberID, r.Generation
	resp.LeaderID, resp.SkipAssignment = r.Leader, r.SkipAssignment
	resp.ProtocolType, resp.Protocol = null(r.ProtocolType), null(r.Protocol)
	if req.Version < 7 && resp.Protocol == nil {
		resp.Protocol = text("")
	}
	for _, m := range r.Members {
		x := kmsg.NewJoinGroupResponseMember()
		x.MemberID, x.InstanceID, x.ProtocolMetadata = m.MemberID, null(m.InstanceID), m.Metadata
		resp.Members = append(resp.Members, x)
	}
	return resp
}

func milliseconds(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
