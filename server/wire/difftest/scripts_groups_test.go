package difftest

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetFetch asks for one partition's offset, in the shape of any version.
func (s *session) offsetFetch(version int16, group, topic string, partitions []int32, stable bool) {
	s.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, stable
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if partitions != nil {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = topic, partitions
		g.Topics = append(g.Topics, gt)
	}
	req.Groups = append(req.Groups, g)
	s.do(version, req)
}

func (s *session) fetchOffsets(group, topic string, stable bool) {
	s.Helper()
	s.offsetFetch(7, group, topic, []int32{0, 1}, stable)
}

func (s *session) commitRequest(group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = group, -1, -1
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	t.Topic, t.TopicID = topic, s.topics[topic]
	p.Partition, p.Offset, p.Metadata = partition, offset, kmsg.StringPtr("meta")
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// subscription is what a member of a consumer group says of itself. Brokers
// read it: with anything else in its place a real one never answers.
var subscription = (&kmsg.ConsumerMemberMetadata{Topics: []string{"t"}}).AppendTo(nil)

func joinRequest(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 300_000, 300_000
	for _, n := range protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = n, subscription
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// A member is one of a group.
type member struct {
	group, id  string
	generation int32
}

// joined makes a stable group of one member.
func (s *session) joined(group string) member {
	s.Helper()
	m := member{group: group}
	s.silently(func() {
		resp := s.do(5, joinRequest(group, "", "range")).(*kmsg.JoinGroupResponse)
		if resp.ErrorCode == 79 {
			resp = s.do(5, joinRequest(group, resp.MemberID, "range")).(*kmsg.JoinGroupResponse)
		}
		if resp.ErrorCode != 0 {
			s.Fatalf("joining: code %d", resp.ErrorCode)
		}
		m.id, m.generation = resp.MemberID, resp.Generation
		if resp := s.do(3, syncRequest(m, m.id)).(*kmsg.SyncGroupResponse); resp.ErrorCode != 0 {
			s.Fatalf("syncing: code %d", resp.ErrorCode)
		}
	})
	s.dump.symbol("member", m.id)
	return m
}

func syncRequest(m member, assigned ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for _, id := range assigned {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, []byte("assigned")
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func heartbeatRequest(m member) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	return req
}

func leaveRequest(m member) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.group, m.id
	x := kmsg.NewLeaveGroupRequestMember()
	x.MemberID = m.id
	req.Members = append(req.Members, x)
	return req
}

// strangers are members that are not what they say.
func strangers(m member) []member {
	return []member{
		{m.group, "nobody", m.generation}, {m.group, "", m.generation}, {m.group, m.id, m.generation + 1}, {m.group, m.id, m.generation - 1},
		{m.group, m.id, -1}, {m.group + "x", m.id, m.generation}, {"", m.id, m.generation}, {m.group, "", -1},
	}
}

func init() {
	const find = 10
	define(find, "find coordinator", func(s *session) {
		for _, kind := range []int8{0, 1, 2, 5} {
			for _, key := range []string{s.name("g"), ""} {
				req := kmsg.NewPtrFindCoordinatorRequest()
				req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, key, []string{key}
				s.try(req)
			}
		}
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = s.name("g")
		req.CoordinatorKeys = []string{s.name("a"), s.name("b"), s.name("a")}
		s.try(req)
	})

	const commit = 8
	define(commit, "offset commit/simple", func(s *session) {
		t, g := s.topic("t", 2), s.name("g")
		s.try(s.commitRequest(g, t, 0, 5))
		s.fetchOffsets(g, t, false)
		s.try(s.commitRequest(g, t, 0, 3))
		s.try(s.commitRequest(g, t, 1, 0))
		s.try(s.commitRequest(g, t, 1, -1))
		s.fetchOffsets(g, t, true)
		s.try(s.commitRequest(g, t, 7, 5))
		s.try(s.commitRequest(g, t, -1, 5))
		s.try(s.commitRequest(g, s.name("nobody"), 0, 5))
		s.try(s.commitRequest("", t, 0, 5))
		long := s.commitRequest(g, t, 0, 9)
		long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
		s.try(long)
		none := s.commitRequest(g, t, 0, 9)
		none.Topics[0].Partitions[0].Metadata = nil
		s.try(none)
		none.Topics = nil
		s.try(none)
		s.fetchOffsets(g, t, false)
	})
	define(commit, "offset commit/of members", func(s *session) {
		t, g := s.topic("t", 2), s.name("g")
		m := s.joined(g)
		for _, x := range append(strangers(m), m) {
			if x.group == "" {
				continue // a group like others, which other scripts make meanwhile
			}
			req := s.commitRequest(x.group, t, 0, 5)
			req.MemberID, req.Generation = x.id, x.generation
			s.try(req)
		}
		long := s.commitRequest(g, t, 0, 5) // who says it comes before what is said
		long.MemberID, long.Generation = "nobody", m.generation
		long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
		s.try(long)
		req := s.commitRequest(g, t, 0, 6)
		req.MemberID, req.Generation, req.InstanceID = m.id, m.generation, kmsg.StringPtr("instance")
		s.try(req)
		s.fetchOffsets(g, t, false)
	})
	define(commit, "offset commit/no group", func(s *session) {
		t := s.topic("t", 1)
		req := s.commitRequest(s.name("g"), t, 0, 5)
		req.MemberID, req.Generation = "somebody", 3
		s.try(req)
		req.MemberID, req.Generation = "", 0
		s.try(req)
	})

	// Who has no generation may commit while the group has no members, whatever else
	// it says of itself.
	define(commit, "offset commit/without members", func(s *session) {
		t, m := s.topic("t", 1), s.joined(s.name("g"))
		s.silently(func() { s.do(2, leaveRequest(m)) })
		for _, group := range []string{m.group, s.name("new")} {
			for _, instance := range []*string{nil, kmsg.StringPtr("instance")} {
				req := s.commitRequest(group, t, 0, 5)
				req.MemberID, req.InstanceID = "somebody", instance
				s.try(req)
			}
			s.fetchOffsets(group, t, false)
		}
	})
	// Offsets of partitions that are not there make no group.
	define(commit, "offset commit/unknown partitions only", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		s.try(s.commitRequest(g, t, 7, 5))
		s.describeGroup(g)
		s.offsetDelete(g, t, 0)
		req := s.commitRequest(g, s.name("nobody"), 0, 5)
		req.MemberID, req.Generation = "nobody", 3
		s.try(req)
	})
	// A topic made anew under the name of one that was deleted begins without
	// offsets.
	define(commit, "offset commit/topic made again", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		s.try(s.commitRequest(g, t, 0, 5))
		p := s.txnProducer("id")
		s.joinGroup(p, g)
		s.txnCommit(3, p, g, t, 9)
		s.silently(func() { s.deleteTopic(t) })
		s.topic("t", 1)
		s.fetchOffsets(g, t, true)
		s.endTxn(p, true)
		s.fetchOffsets(g, t, true)
	})

	const fetch = 9
	define(fetch, "offset fetch", func(s *session) {
		t, g := s.topic("t", 3), s.name("g")
		s.silently(func() {
			s.do(7, s.commitRequest(g, t, 0, 5))
			s.do(7, s.commitRequest(g, t, 2, 6))
		})
		s.offsetFetch(s.version, g, t, []int32{0, 1, 2, 9, -1}, false)
		s.offsetFetch(s.version, g, t, []int32{}, false)
		s.offsetFetch(s.version, g, s.name("nobody"), []int32{0}, false)
		s.offsetFetch(s.version, s.name("nobody"), t, []int32{0}, true)
		s.offsetFetch(s.version, "", t, []int32{0}, false)
	})
	defineFrom(fetch, 2, "offset fetch/all", func(s *session) {
		t, g := s.topic("t", 3), s.name("g")
		s.silently(func() { s.do(7, s.commitRequest(g, t, 0, 5)) })
		s.offsetFetch(s.version, g, t, nil, false)
		s.offsetFetch(s.version, s.name("nobody"), t, nil, false)
	})
	defineFrom(fetch, 7, "offset fetch/unstable", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		p := s.txnProducer("id")
		s.silently(func() {
			s.do(7, s.commitRequest(g, t, 0, 5))
			add := kmsg.NewPtrAddOffsetsToTxnRequest()
			add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.name, p.id, p.epoch, g
			s.do(3, add)
			req := kmsg.NewPtrTxnOffsetCommitRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, p.id, p.epoch, g
			rt, rp := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rt.Topic, rp.Partition, rp.Offset = t, 0, 9
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			s.do(3, req)
		})
		s.offsetFetch(s.version, g, t, []int32{0}, true)
		s.offsetFetch(s.version, g, t, []int32{0}, false)
		s.endTxn(p, true)
		s.offsetFetch(s.version, g, t, []int32{0}, true)
	})
	defineFrom(fetch, 9, "offset fetch/member", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		m := s.joined(g)
		for _, id := range []string{m.id, "nobody"} {
			for _, epoch := range []int32{m.generation, -1, 44} {
				req := kmsg.NewPtrOffsetFetchRequest()
				x := kmsg.NewOffsetFetchRequestGroup()
				x.Group, x.MemberID, x.MemberEpoch = g, kmsg.StringPtr(id), epoch
				xt := kmsg.NewOffsetFetchRequestGroupTopic()
				xt.Topic, xt.Partitions = t, []int32{0}
				x.Topics = append(x.Topics, xt)
				req.Groups = append(req.Groups, x)
				s.try(req)
			}
		}
	})

	const join = 11
	define(join, "join/alone", func(s *session) {
		g := s.name("g")
		resp, _ := s.try(joinRequest(g, "", "range", "roundrobin")).(*kmsg.JoinGroupResponse)
		if resp != nil && resp.ErrorCode == 79 {
			resp, _ = s.try(joinRequest(g, resp.MemberID, "range", "roundrobin")).(*kmsg.JoinGroupResponse)
		}
		if resp == nil {
			return
		}
		m := member{g, resp.MemberID, resp.Generation}
		s.do(3, heartbeatRequest(m))
		s.do(3, syncRequest(m, m.id))
		s.do(3, heartbeatRequest(m))
		s.try(joinRequest(g, m.id, "range", "roundrobin")) // the leader joins again: a new generation
		s.do(3, heartbeatRequest(m))
	})
	define(join, "join/bad", func(s *session) {
		g := s.name("g")
		s.try(joinRequest("", "", "range"))
		s.try(joinRequest(g, "nobody", "range"))
		s.try(joinRequest(g, ""))
		for _, ms := range []int32{0, -1, 1, 5_999, 1_800_001, 1<<31 - 1} {
			req := joinRequest(g, "nobody", "range")
			req.SessionTimeoutMillis = ms
			s.try(req)
		}
		req := joinRequest(g, "", "range")
		req.ProtocolType = ""
		s.try(req)
	})
	define(join, "join/inconsistent", func(s *session) {
		g := s.name("g")
		s.joined(g)
		s.try(joinRequest(g, "", "unheard-of"))
		req := joinRequest(g, "", "range")
		req.ProtocolType = "connect"
		s.try(req)
		s.try(joinRequest(g, "nobody", "range"))
		s.try(joinRequest(g, "nobody", "unheard-of"))
	})
	// The protocols of the only member count, too, when it joins again.
	define(join, "join/only member", func(s *session) {
		m := s.joined(s.name("g"))
		s.try(joinRequest(m.group, m.id, "other"))
		req := joinRequest(m.group, m.id, "range")
		req.ProtocolType = "connect"
		s.try(req)
		s.describeGroup(m.group)
	})
	defineFrom(join, 5, "join/only static member", func(s *session) {
		g := s.name("g")
		req := joinRequest(g, "", "range")
		req.InstanceID = kmsg.StringPtr("one")
		first := s.do(5, req).(*kmsg.JoinGroupResponse)
		m := member{g, first.MemberID, first.Generation}
		s.do(3, syncRequest(m, m.id))
		req = joinRequest(g, "", "other")
		req.InstanceID = kmsg.StringPtr("one")
		s.try(req)
		req.ProtocolType = "connect"
		s.try(req)
		s.describeGroup(g)
	})
	// A member that is invited and has not joined is none yet.
	defineFrom(join, 4, "join/invited", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		resp, _ := s.try(joinRequest(g, "", "range")).(*kmsg.JoinGroupResponse)
		if resp == nil {
			return
		}
		m := member{g, resp.MemberID, 0}
		s.do(3, heartbeatRequest(m))
		s.do(3, syncRequest(m))
		for _, generation := range []int32{-1, 0} {
			req := s.commitRequest(g, t, 0, 5)
			req.MemberID, req.Generation = m.id, generation
			s.do(7, req)
		}
		s.describeGroup(g)
		del := kmsg.NewPtrDeleteGroupsRequest()
		del.Groups = []string{g}
		s.do(2, del)
		s.do(3, leaveRequest(m))
	})
	defineFrom(join, 5, "join/static members anew", func(s *session) {
		g := s.name("g")
		one := func(id string) *kmsg.JoinGroupRequest {
			req := joinRequest(g, id, "range")
			req.InstanceID = kmsg.StringPtr("one")
			return req
		}
		join := func(conn string, req *kmsg.JoinGroupRequest) func() member {
			answer := s.later(conn, s.version, req)
			return func() member {
				resp, ok := answer().(*kmsg.JoinGroupResponse)
				if !ok {
					s.Fatal("no answer")
				}
				return member{g, resp.MemberID, resp.Generation}
			}
		}
		a := join("", one(""))()
		s.do(3, syncRequest(a, a.id))
		second := s.secondJoins(g, s.version)
		s.rebalancing(a, "one")
		a = join("", one(a.id))()
		b := second().(*kmsg.JoinGroupResponse).MemberID
		synced := s.later("second", 3, syncRequest(member{g, b, a.generation}))
		s.do(3, syncRequest(a, a.id, b))
		synced()
		// While others are waited for, it has joined again and starts anew.
		third := ""
		s.silently(func() { third = s.on("third", 5, joinRequest(g, "", "range")).(*kmsg.JoinGroupResponse).MemberID })
		joined := s.later("third", 5, joinRequest(g, third, "range"))
		s.rebalancing(a, "one")
		before := join("before", one(a.id))
		s.settle(g)
		anew := join("anew", one(""))
		before()
		s.do(3, heartbeatRequest(a))
		again := s.later("second", 5, joinRequest(g, b, "range"))
		a = anew()
		again()
		joined()
		// While assignments are waited for, once more.
		wait := s.later("third", 3, syncRequest(member{g, third, a.generation}))
		s.settle(g)
		anew = join("last", one(""))
		wait()
		s.do(3, syncRequest(a, a.id, third))
		s.do(3, heartbeatRequest(a))
		s.do(2, leaveRequest(member{g, third, 0}))
		s.do(2, leaveRequest(member{g, b, 0}))
		anew()
	})
	defineFrom(join, 5, "join/static", func(s *session) {
		g := s.name("g")
		req := joinRequest(g, "", "range")
		req.InstanceID = kmsg.StringPtr("one")
		first, _ := s.try(req).(*kmsg.JoinGroupResponse)
		if first == nil {
			return
		}
		m := member{g, first.MemberID, first.Generation}
		s.do(3, syncRequest(m, m.id))
		second, _ := s.try(req).(*kmsg.JoinGroupResponse) // as after a restart
		hb := heartbeatRequest(m)
		hb.InstanceID = kmsg.StringPtr("one")
		s.do(3, hb)
		if second != nil {
			hb.MemberID, hb.Generation = second.MemberID, second.Generation
			s.do(3, hb)
		}
		hb.InstanceID = kmsg.StringPtr("two")
		s.do(3, hb)
		req.MemberID = m.id
		s.try(req) // the one before
		req.InstanceID = kmsg.StringPtr("")
		s.try(req)
		req.InstanceID = kmsg.StringPtr(strings.Repeat("x", 300))
		s.try(req)
	})
	// Who is left leads, not who comes next, and assignments are shown until there
	// are new ones.
	defineFrom(join, 5, "join/leader leaves", func(s *session) {
		g := s.name("g")
		static := func() *kmsg.JoinGroupRequest {
			req := joinRequest(g, "", "range")
			req.InstanceID = kmsg.StringPtr("one")
			return req
		}
		first := s.do(5, static()).(*kmsg.JoinGroupResponse)
		a := member{g, first.MemberID, first.Generation}
		s.do(3, syncRequest(a, a.id))
		second := s.secondJoins(g, s.version)
		s.rebalancing(a, "one")
		again := static()
		again.MemberID = a.id
		a.generation = s.do(5, again).(*kmsg.JoinGroupResponse).Generation
		b := member{g, second().(*kmsg.JoinGroupResponse).MemberID, a.generation}
		synced := s.later("second", 3, syncRequest(b))
		s.do(3, syncRequest(a, a.id, b.id))
		synced()
		s.do(2, leaveRequest(a))
		s.heartbeatUntil(b, 27)
		s.describeGroup(g)
		anew := s.later("anew", s.version, static())
		s.settle(g)
		s.on("second", s.version, joinRequest(g, b.id, "range"))
		anew()
		s.describeGroup(g)
	})
	define(join, "join/two members", func(s *session) {
		g := s.name("g")
		a := s.joined(g)
		later := s.secondJoins(g, s.version)
		s.heartbeatUntil(a, 27)
		s.do(3, heartbeatRequest(a))
		again := s.later("", s.version, joinRequest(g, a.id, "range"))
		resp, _ := again().(*kmsg.JoinGroupResponse)
		other, _ := later().(*kmsg.JoinGroupResponse)
		if resp == nil || other == nil {
			return
		}
		a.generation = resp.Generation
		b := member{g, other.MemberID, other.Generation}
		sync := s.later("second", 3, syncRequest(b))
		s.do(3, syncRequest(a, a.id, b.id))
		sync()
		s.do(3, heartbeatRequest(b))
		s.do(3, leaveRequest(b))
		s.heartbeatUntil(a, 27)
	})

	const sync = 14
	define(sync, "sync", func(s *session) {
		m := s.joined(s.name("g"))
		s.try(syncRequest(m, m.id))
		s.try(syncRequest(m))
		for _, x := range strangers(m) {
			s.try(syncRequest(x, m.id))
		}
		s.try(syncRequest(m, "nobody"))
	})
	define(sync, "sync/protocol", func(s *session) {
		m := s.joined(s.name("g"))
		req := syncRequest(m, m.id)
		req.Protocol = kmsg.StringPtr("roundrobin")
		s.try(req)
		req = syncRequest(m, m.id)
		req.ProtocolType = kmsg.StringPtr("connect")
		s.try(req)
		req.ProtocolType, req.Protocol = nil, nil
		s.try(req)
		req = syncRequest(m, m.id)
		req.InstanceID = kmsg.StringPtr("nobody")
		s.try(req)
	})

	const heartbeat = 12
	define(heartbeat, "heartbeat", func(s *session) {
		m := s.joined(s.name("g"))
		s.try(heartbeatRequest(m))
		for _, x := range strangers(m) {
			s.try(heartbeatRequest(x))
		}
		req := heartbeatRequest(m)
		req.InstanceID = kmsg.StringPtr("nobody")
		s.try(req)
	})
	define(heartbeat, "heartbeat/gone", func(s *session) {
		m := s.joined(s.name("g"))
		s.silently(func() { s.do(2, leaveRequest(m)) })
		s.try(heartbeatRequest(m))
	})

	const leave = 13
	define(leave, "leave", func(s *session) {
		m := s.joined(s.name("g"))
		for _, x := range strangers(m) {
			s.try(leaveRequest(x))
		}
		s.try(leaveRequest(m))
		s.try(leaveRequest(m))
		req := leaveRequest(m)
		req.Members = append(req.Members, req.Members[0])
		s.try(req)
		req.Members[0].InstanceID = kmsg.StringPtr("nobody")
		s.try(req)
		req.Members = nil
		s.try(req)
	})

	defineFrom(leave, 3, "leave/several", func(s *session) {
		g := s.name("g")
		join := joinRequest(g, "", "range")
		join.InstanceID = kmsg.StringPtr("one")
		first := s.do(5, join).(*kmsg.JoinGroupResponse)
		m := member{g, first.MemberID, first.Generation}
		s.do(3, syncRequest(m, m.id))
		leave := func(members ...string) { // ids and instances
			req := leaveRequest(m)
			req.Members = nil
			for i := 0; i < len(members); i += 2 {
				x := kmsg.NewLeaveGroupRequestMember()
				if x.MemberID = members[i]; members[i+1] != "" {
					x.InstanceID = &members[i+1]
				}
				req.Members = append(req.Members, x)
			}
			s.try(req)
			s.describeGroup(g)
		}
		leave("nobody", "", "", "two", "nobody", "one", "nobody", "two", "", "")
		leave("", "one", "", "one")
	})

	const describe = 15
	define(describe, "describe groups", func(s *session) {
		t := s.topic("t", 1)
		m := s.joined(s.name("g"))
		gone := s.joined(s.name("empty"))
		s.silently(func() {
			s.do(2, leaveRequest(gone))
			s.do(7, s.commitRequest(s.name("offsets"), t, 0, 1))
		})
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{m.group, gone.group, s.name("offsets"), s.name("nobody"), ""}
		s.try(req)
		req.IncludeAuthorizedOperations = true
		s.try(req)
		req.Groups = nil
		s.try(req)
	})

	const deleteGroups = 42
	define(deleteGroups, "delete groups", func(s *session) {
		t := s.topic("t", 1)
		m := s.joined(s.name("g"))
		s.silently(func() { s.do(7, s.commitRequest(s.name("offsets"), t, 0, 1)) })
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{m.group, s.name("offsets"), s.name("nobody")} // not "": other scripts make that one meanwhile
		s.try(req)
		s.fetchOffsets(s.name("offsets"), t, false)
		s.try(req)
		s.silently(func() { s.do(2, leaveRequest(m)) })
		s.try(req)
	})

	define(47, "offset delete", func(s *session) {
		t := s.topic("t", 2)
		g := s.name("offsets")
		s.silently(func() {
			s.do(7, s.commitRequest(g, t, 0, 1))
			s.do(7, s.commitRequest(g, t, 1, 2))
		})
		del := s.offsetDelete
		del(g, t, 0)
		del(g, t, 0)
		del(g, t, 9)
		del(g, s.name("nobody"), 0)
		del(s.name("nobody"), t, 0)
		del("", t, 0)
		s.fetchOffsets(g, t, false)
		m := s.joined(s.name("g"))
		s.silently(func() {
			req := s.commitRequest(m.group, t, 0, 5)
			req.MemberID, req.Generation = m.id, m.generation
			s.do(7, req)
		})
		del(m.group, t, 0)
	})

	define(47, "offset delete/subscribed", func(s *session) {
		t, u, g := s.topic("t", 1), s.topic("u", 1), s.name("g")
		join := joinRequest(g, "", "range")
		join.Protocols[0].Metadata = (&kmsg.ConsumerMemberMetadata{Topics: []string{t}}).AppendTo(nil)
		m := member{group: g}
		s.silently(func() {
			join.MemberID = s.do(5, join).(*kmsg.JoinGroupResponse).MemberID
			m.id, m.generation = join.MemberID, s.do(5, join).(*kmsg.JoinGroupResponse).Generation
			s.do(3, syncRequest(m, m.id))
			for _, topic := range []string{t, u} {
				req := s.commitRequest(g, topic, 0, 5)
				req.MemberID, req.Generation = m.id, m.generation
				s.do(7, req)
			}
		})
		s.offsetDelete(g, t, 0)
		s.offsetDelete(g, u, 0)
		s.fetchOffsets(g, t, false)
		s.fetchOffsets(g, u, false)
		s.silently(func() { s.do(2, leaveRequest(m)) })
		s.offsetDelete(g, t, 0)
		s.fetchOffsets(g, t, false)
		other := joinRequest(s.name("other"), "", "range")
		other.ProtocolType = "connect"
		s.silently(func() {
			other.MemberID = s.do(5, other).(*kmsg.JoinGroupResponse).MemberID
			s.do(5, other)
		})
		s.offsetDelete(other.Group, t, 0)
	})
	// What an open transaction has in store goes with the offset that it would
	// replace.
	define(47, "offset delete/pending", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		for i := range 2 {
			p := s.txnProducer("id")
			s.joinGroup(p, g)
			s.txnCommit(3, p, g, t, 9)
			s.offsetDelete(g, t, 0)
			s.fetchOffsets(g, t, true)
			s.endTxn(p, true)
			s.fetchOffsets(g, t, true)
			if i == 0 {
				s.silently(func() { s.do(7, s.commitRequest(g, t, 0, 5)) })
			}
		}
	})
	define(deleteGroups, "delete groups/pending", func(s *session) {
		t, g := s.topic("t", 1), s.name("g")
		p := s.txnProducer("id")
		s.joinGroup(p, g)
		s.txnCommit(3, p, g, t, 9)
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{g}
		s.try(req)
		s.fetchOffsets(g, t, true)
		s.endTxn(p, true)
		s.fetchOffsets(g, t, true)
	})

	const list = 16
	define(list, "list groups", func(s *session) {
		m := s.joined(s.name("g"))
		t := s.topic("t", 1)
		s.silently(func() { s.do(7, s.commitRequest(s.name("offsets"), t, 0, 1)) })
		s.onlyOwn = true
		for _, states := range [][]string{nil, {"Stable"}, {"Empty"}, {"stable"}, {"Nonsense"}} {
			for _, kinds := range [][]string{nil, {"classic"}, {"consumer"}, {"Nonsense"}} {
				req := kmsg.NewPtrListGroupsRequest()
				req.StatesFilter, req.TypesFilter = states, kinds
				s.try(req)
			}
		}
		_ = m
	})
}

// secondJoins lets a second member join, which waits for the first.
func (s *session) secondJoins(group string, version int16) func() kmsg.Response {
	s.Helper()
	id := ""
	s.silently(func() {
		if version >= 4 {
			id = s.on("second", version, joinRequest(group, "", "range")).(*kmsg.JoinGroupResponse).MemberID
		}
	})
	return s.later("second", version, joinRequest(group, id, "range"))
}

// heartbeatUntil waits until a member's heartbeat is answered by code.
func (s *session) heartbeatUntil(m member, code int16) {
	s.Helper()
	s.silently(func() {
		for range 2000 {
			if resp := s.do(3, heartbeatRequest(m)).(*kmsg.HeartbeatResponse); resp.ErrorCode == code {
				return
			}
		}
		s.Fatalf("heartbeats are never answered by code %d", code)
	})
}

func (s *session) offsetDelete(group, topic string, partition int32) {
	s.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	t, p := kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
	t.Topic, p.Partition = topic, partition
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	s.do(0, req)
}

func (s *session) describeGroup(group string) {
	s.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	s.do(5, req)
}

// rebalancing waits until a static member is told that its group rebalances.
func (s *session) rebalancing(m member, instance string) {
	s.Helper()
	s.silently(func() {
		for range 2000 {
			req := heartbeatRequest(m)
			req.InstanceID = &instance
			if resp := s.do(3, req).(*kmsg.HeartbeatResponse); resp.ErrorCode == 27 {
				return
			}
		}
		s.Fatalf("group %s never rebalances", m.group)
	})
}

// settle gives a broker time to take on a request that nothing shows, sent on
// another connection.
func (s *session) settle(group string) {
	s.Helper()
	s.silently(func() {
		for range 50 {
			s.describeGroup(group)
		}
	})
}
