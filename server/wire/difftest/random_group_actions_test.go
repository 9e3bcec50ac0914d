package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// any reports whether the group has members.
func (g *groupSide) any() bool {
	for i := range g.members {
		if g.members[i].id != "" {
			return true
		}
	}
	return false
}

func (s *side) groupName(g int) string { return s.name(fmt.Sprintf("g%d", g)) }

// noteMembers notes who is a member, as far as members know.
func (s *side) noteMembers() {
	for g := range s.groups {
		for i, m := range s.groups[g].members {
			if m.id != "" {
				s.dump.out[fmt.Sprintf("members of g%d: m%d", g, i)] = fmt.Sprint(s.dump.symbol("member", m.id), " of generation ", m.generation)
			}
		}
	}
}

// drawnMember is a member, mostly as it has to be.
type drawnMember struct {
	slot       int
	generation int32 // beside the one it is in
	id         int   // 0 its own, 1 none, 2 of nobody, 3 of the next one
	none       bool  // it has no generation
}

func drawMember(r *rand.Rand) drawnMember {
	m := drawnMember{slot: r.IntN(memberSlots)}
	switch r.IntN(12) {
	case 0:
		m.generation = oneOf[int32](r, 1, -1)
	case 1:
		m.id = 1 + r.IntN(3)
	case 2:
		m.none = true
	}
	return m
}

func (m drawnMember) String() string {
	t := fmt.Sprintf("m%d", m.slot)
	if m.generation != 0 || m.id != 0 || m.none {
		t += fmt.Sprintf(" (id %d, generation %+d, none %v)", m.id, m.generation, m.none)
	}
	return t
}

func (m drawnMember) of(s *side, g int) (member, *string) {
	x := s.groups[g].members[m.slot]
	out := member{s.groupName(g), x.id, x.generation + m.generation}
	switch m.id {
	case 1:
		out.id = ""
	case 2:
		out.id = "nobody"
	case 3:
		out.id = s.groups[g].members[(m.slot+1)%memberSlots].id
	}
	if x.id == "" || m.none {
		out.generation = -1
	}
	if x.instance == "" {
		return out, nil
	}
	return out, &x.instance
}

func memberConn(g, slot int) string { return fmt.Sprintf("g%d.%d", g, slot) }

func drawJoin(r *rand.Rand) action {
	g, slot, v := r.IntN(groupSlots), r.IntN(memberSlots), between(r, 0, 9)
	static := slot == 2
	if static {
		v = between(r, 5, 9)
	}
	protocols := often(r, []string{"range", "roundrobin"}, []string{"range"}, []string{"roundrobin"}, []string{"other"}, nil)
	kind := often(r, "consumer", "consumer", "connect", "")
	id := often(r, 0, 0, 1, 2)
	timeout := often[int32](r, 300_000, 300_000, 300_000, 10)
	return action{fmt.Sprintf("join v%d g%d m%d %q %q, id %d, timeout %d", v, g, slot, protocols, kind, id, timeout), func(s *side) {
		m := &s.groups[g].members[slot]
		protocols, kind := protocols, kind
		if !s.groups[g].any() { // in a group that there is not even a refused join leaves something behind
			protocols, kind = []string{"range", "roundrobin"}, "consumer"
		}
		if static {
			m.instance = "instance"
		}
		req := joinRequest(s.groupName(g), m.id, protocols...)
		if m.id != "" {
			// With something new to say, so that the group rebalances whether or not it
			// leads, which is the broker's choice.
			said := (&kmsg.ConsumerMemberMetadata{Topics: []string{"t"}, UserData: []byte(itoa(int64(s.steps)))}).AppendTo(nil)
			for i := range req.Protocols {
				req.Protocols[i].Metadata = said
			}
		}
		req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = kind, timeout, 300_000
		switch id {
		case 1:
			req.MemberID = ""
		case 2:
			req.MemberID = "nobody"
		}
		if static {
			req.InstanceID = &m.instance
		}
		s.joinTogether(g, slot, v, req)
	}}
}

// A joining is members that join a group: one because it wants to, the others
// because the group then rebalances.
type joining struct {
	*side
	group   int
	first   int // who wants to
	done    chan joinAnswer
	waiting int          // for so many answers
	others  map[int]bool // members that have not been told to join again
	answers [memberSlots]*kmsg.JoinGroupResponse
	invited string // the id that the first one was given to join with
	refused *kmsg.JoinGroupResponse
}

type joinAnswer struct {
	slot int
	resp *kmsg.JoinGroupResponse
}

// joinTogether lets a member join, and all others again that have to.
func (s *side) joinTogether(g, slot int, v int16, req *kmsg.JoinGroupRequest) {
	s.Helper()
	s.steps++
	j := joining{side: s, group: g, first: slot, done: make(chan joinAnswer, 2*memberSlots), others: map[int]bool{}}
	var invitation *kmsg.JoinGroupResponse
	s.silently(func() { // the answers are noted at the end, in order
		j.settle(req)
		if invitation = j.invite(v, req); invitation != nil && j.invited == "" {
			return
		}
		j.send(slot, v, req)
		j.finish()
	})
	if invitation != nil {
		s.dump.response(fmt.Sprintf("%02d JoinGroup v%d first", s.steps, v), invitation)
	}
	if j.refused != nil {
		s.dump.response(fmt.Sprintf("%02d JoinGroup v%d of m%d refused", s.steps, v, slot), j.refused)
	}
	s.noteJoined(g, j.answers[:])
}

// settle lets a rebalance that is under way end before somebody new joins: else it
// would depend on who is faster whether they are part of it.
func (j *joining) settle(req *kmsg.JoinGroupRequest) {
	m := &j.groups[j.group].members[j.first]
	if m.id != "" && m.id != req.MemberID && req.InstanceID == nil { // it joins as somebody else: who it was leaves
		j.leave(m.id)
		m.id = ""
	}
	if m.id != "" {
		return // it is waited for
	}
	for i, x := range j.groups[j.group].members {
		if x.id != "" {
			j.beat(i)
		}
	}
	for j.waiting > 0 {
		j.take(<-j.done)
	}
	j.learnAll()
	j.answers = [memberSlots]*kmsg.JoinGroupResponse{}
}

// invite asks for the id that a new member is to join with. The answer, an
// invitation or a refusal, comes at once; nil if none is needed.
func (j *joining) invite(v int16, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	if req.InstanceID != nil || v < 4 || req.MemberID != "" {
		return nil
	}
	resp, ok := j.on(memberConn(j.group, j.first), v, req).(*kmsg.JoinGroupResponse)
	if !ok {
		j.Fatal("no answer to a first join")
	}
	j.learnMember(j.group, j.first, resp.MemberID)
	if resp.ErrorCode == 79 {
		j.invited, req.MemberID = resp.MemberID, resp.MemberID
	}
	return resp
}

func (j *joining) leave(id string) {
	j.on("helper", 2, leaveRequest(member{group: j.groupName(j.group), id: id}))
}

func (j *joining) send(slot int, v int16, req *kmsg.JoinGroupRequest) {
	wait := j.later(memberConn(j.group, slot), v, req)
	j.waiting++
	go func() { // ends with the answer
		a := joinAnswer{slot: slot}
		defer func() { j.done <- a }() // also if the test ends here
		a.resp, _ = wait().(*kmsg.JoinGroupResponse)
	}()
}

func (j *joining) take(a joinAnswer) {
	j.waiting--
	if a.slot != j.first || j.refused != nil || a.resp == nil || a.resp.ErrorCode == 0 {
		j.answers[a.slot] = a.resp
		return
	}
	j.refused = a.resp
	if j.invited != "" { // others would wait for it
		j.leave(j.invited)
	}
	if j.groups[j.group].members[j.first].id != "" { // it is still a member, and others wait for it, too
		j.others[j.first] = true
	}
}

// finish waits for the answers; members that learn from their heartbeats that the
// group rebalances join again. They are asked once more after the last answer: a
// group may rebalance on the way to a refusal, too.
func (j *joining) finish() {
	for i, m := range j.groups[j.group].members {
		if i != j.first && m.id != "" {
			j.others[i] = true
		}
	}
	for tries, last := 0, false; !last || j.waiting > 0; tries++ {
		if tries > 5000 {
			j.Fatalf("joining group %s never ends", j.groupName(j.group))
		}
		last = j.waiting == 0
		select {
		case a := <-j.done:
			j.take(a)
			continue
		default:
		}
		for i := range memberSlots {
			if j.others[i] {
				j.beat(i)
			}
		}
		if len(j.others) == 0 && j.waiting > 0 {
			j.take(<-j.done)
			last = false
		}
	}
	j.learnAll()
}

// learnAll notes what members were told.
func (j *joining) learnAll() {
	for i, resp := range j.answers {
		if resp != nil {
			j.learn(i, resp)
		}
	}
}

// beat lets a member send a heartbeat, and join again if it is told to.
func (j *joining) beat(slot int) {
	m := j.groups[j.group].members[slot]
	var instance *string
	if m.instance != "" {
		instance = &m.instance
	}
	hb := heartbeatRequest(member{j.groupName(j.group), m.id, m.generation})
	hb.InstanceID = instance
	resp, _ := j.on("helper", 3, hb).(*kmsg.HeartbeatResponse)
	switch {
	case resp == nil || resp.ErrorCode == 0:
	case resp.ErrorCode == 27:
		delete(j.others, slot)
		again := joinRequest(j.groupName(j.group), m.id, "range", "roundrobin")
		again.RebalanceTimeoutMillis, again.InstanceID = 300_000, instance
		j.send(slot, 5, again)
	default: // it is none, or does not know its generation
		delete(j.others, slot)
		j.leave(m.id)
		j.groups[j.group].members[slot].id = ""
	}
}

// learn notes what a member was told by the answer to its join.
func (j *joining) learn(slot int, resp *kmsg.JoinGroupResponse) {
	g := &j.groups[j.group]
	m := &g.members[slot]
	switch resp.ErrorCode {
	case 0:
		j.learnMember(j.group, slot, resp.MemberID)
		m.id, m.generation, m.leader = resp.MemberID, resp.Generation, resp.LeaderID == resp.MemberID
		g.chosen = textOf(resp.Protocol)
		if resp.Version >= 7 {
			g.kind = textOf(resp.ProtocolType)
		}
	case 25, 82: // no member, another one with its instance id
		m.id = ""
	}
}

// noteJoined notes the answers of members that have joined together. Which one
// leads is the broker's choice: what the leader is told is noted as that of all, if
// all have joined.
func (s *side) noteJoined(g int, answers []*kmsg.JoinGroupResponse) {
	all := true
	for i, m := range s.groups[g].members {
		all = all && (m.id == "" || answers[i] != nil)
	}
	for i, resp := range answers {
		if resp == nil {
			continue
		}
		list := resp.Members
		resp.Members = nil
		if resp.ErrorCode == 0 && all && resp.MemberID == resp.LeaderID {
			told := kmsg.NewPtrJoinGroupResponse()
			told.Members = list
			s.dump.response(fmt.Sprintf("%02d JoinGroup of the leader", s.steps), told)
		}
		if resp.LeaderID != "" {
			resp.LeaderID = "leader"
		}
		resp.SkipAssignment = resp.SkipAssignment && all
		s.dump.response(fmt.Sprintf("%02d JoinGroup v%d of m%d", s.steps, resp.Version, i), resp)
	}
}

func drawSync(r *rand.Rand) action {
	g, v := r.IntN(groupSlots), between(r, 0, 5)
	if r.IntN(4) == 0 {
		m := drawMember(r)
		for m.generation == 0 && m.id != 2 {
			m = drawMember(r)
		}
		return action{fmt.Sprintf("sync v%d g%d %v", v, g, m), func(s *side) {
			x, instance := m.of(s, g)
			req := syncRequest(x)
			req.InstanceID = instance
			s.on(memberConn(g, m.slot), v, req)
		}}
	}
	var leftOut = often(r, -1, 0, 1, 2)
	return action{fmt.Sprintf("sync v%d g%d, without assignment m%d", v, g, leftOut), func(s *side) {
		s.syncTogether(g, v, leftOut)
	}}
}

// syncTogether lets all members sync, the leader last.
func (s *side) syncTogether(g int, v int16, leftOut int) {
	s.Helper()
	s.steps++
	var all sync.WaitGroup
	var answers [memberSlots]kmsg.Response
	leader := -1
	var assigned []string
	for i, m := range s.groups[g].members {
		if m.id == "" {
			continue
		}
		if m.leader || leader < 0 { // somebody, if the leader has left
			leader = i
		}
		if i != leftOut {
			assigned = append(assigned, m.id)
		}
	}
	if leader < 0 {
		return
	}
	send := func(i int, assigned ...string) {
		m := s.groups[g].members[i]
		req := syncRequest(member{s.groupName(g), m.id, m.generation}, assigned...)
		req.ProtocolType, req.Protocol = nil, &s.groups[g].chosen
		if s.groups[g].kind != "" {
			req.ProtocolType = &s.groups[g].kind
		}
		if m.instance != "" {
			req.InstanceID = &m.instance
		}
		for j := range req.GroupAssignment {
			req.GroupAssignment[j].MemberAssignment = []byte(s.dump.symbol("member", assigned[j]))
		}
		wait := s.later(memberConn(g, i), v, req)
		all.Go(func() { answers[i] = wait() })
	}
	s.silently(func() { // the answers are noted at the end, in order
		for i, m := range s.groups[g].members {
			if m.id != "" && i != leader {
				send(i)
			}
		}
		send(leader, assigned...)
		all.Wait()
	})
	for i, resp := range answers {
		if resp != nil {
			s.dump.response(fmt.Sprintf("%02d SyncGroup v%d of m%d", s.steps, v, i), resp)
		}
	}
}

func drawHeartbeat(r *rand.Rand) action {
	g, v, m := r.IntN(groupSlots), between(r, 0, 4), drawMember(r)
	return action{fmt.Sprintf("heartbeat v%d g%d %v", v, g, m), func(s *side) {
		x, instance := m.of(s, g)
		req := heartbeatRequest(x)
		req.InstanceID = instance
		s.on("helper", v, req)
	}}
}

func drawLeave(r *rand.Rand) action {
	g, v, m := r.IntN(groupSlots), between(r, 0, 5), drawMember(r)
	byInstance := r.IntN(3) == 0
	return action{fmt.Sprintf("leave v%d g%d %v, by instance %v", v, g, m, byInstance), func(s *side) {
		x, instance := m.of(s, g)
		req := leaveRequest(x)
		req.Members[0].InstanceID = instance
		if instance != nil && byInstance {
			req.Members[0].MemberID = ""
		}
		resp, _ := s.on("helper", v, req).(*kmsg.LeaveGroupResponse)
		if resp == nil || resp.ErrorCode != 0 || v >= 3 && resp.Members[0].ErrorCode != 0 {
			return
		}
		for i := range s.groups[g].members {
			y := &s.groups[g].members[i]
			if y.id != "" && (y.id == x.id || v >= 3 && instance != nil && byInstance && y.instance == *instance) {
				y.id, y.leader = "", false
			}
		}
	}}
}

func drawCommit(r *rand.Rand) action {
	g, v, m, at, offset := r.IntN(groupSlots), between(r, 2, 9), drawMember(r), drawPlace(r), int64(r.IntN(10))-1
	simple := r.IntN(3) == 0
	metadata := oneOf(r, nil, kmsg.StringPtr(""), kmsg.StringPtr("meta"))
	if r.IntN(20) == 0 {
		metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
	}
	more := r.IntN(4) == 0
	epoch := oneOf[int32](r, -1, 0, 3)
	return action{fmt.Sprintf("commit v%d g%d %v, simple %v, %v offset %d, epoch %d, metadata %.9q, and the other partition's %v", v, g, m, simple, at, offset, epoch, textOf(metadata), more), func(s *side) {
		req := s.commitRequest(s.groupName(g), s.topicName(at.topic), at.part, offset)
		metadata := metadata
		if len(textOf(metadata)) >= 5000 && !s.groups[g].any() { // else Kafka half remembers a group
			metadata = nil
		}
		req.Topics[0].Partitions[0].Metadata, req.Topics[0].Partitions[0].LeaderEpoch = metadata, epoch
		if more { // of the other partition, too
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset = 1-at.part, offset+1
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		if !simple {
			x, instance := m.of(s, g)
			req.MemberID, req.Generation, req.InstanceID = x.id, x.generation, instance
		}
		s.do(v, req)
	}}
}

// textOf is a text that may be null, in which case it is empty.
func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func drawOffsetFetch(r *rand.Rand) action {
	g, v, at, stable, all := r.IntN(groupSlots), between(r, 1, 9), drawPlace(r), r.IntN(2) == 0, r.IntN(2) == 0
	more, byMember, m := r.IntN(4) == 0, r.IntN(2) == 0, drawMember(r)
	return action{fmt.Sprintf("offset fetch v%d g%d %v, stable %v, all %v, of all groups %v, by %v %v", v, g, at, stable, all && v >= 2, v >= 8 && more, m, v >= 9 && byMember), func(s *side) {
		parts := []int32{0, 1, at.part}
		if all && v >= 2 {
			parts = nil
		}
		switch {
		case v >= 8 && more:
			s.offsetFetchAll(v, stable)
			return
		case v >= 9 && byMember: // of groups like these nobody is asked who it is
			x, _ := m.of(s, g)
			req := kmsg.NewPtrOffsetFetchRequest()
			rg := kmsg.NewOffsetFetchRequestGroup()
			rg.Group, rg.MemberID, rg.MemberEpoch = x.group, &x.id, x.generation
			req.Groups = append(req.Groups, rg)
			s.do(v, req)
			return
		}
		s.offsetFetch(v, s.groupName(g), s.topicName(at.topic), parts, stable)
	}}
}

// offsetFetchAll asks for all offsets of all groups, and of one that is not there.
func (s *side) offsetFetchAll(v int16, stable bool) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = stable
	for i := range groupSlots + 1 {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = s.groupName(i)
		req.Groups = append(req.Groups, g)
	}
	s.do(v, req)
}

func drawOffsetDelete(r *rand.Rand) action {
	g, at := r.IntN(groupSlots), drawPlace(r)
	return action{fmt.Sprintf("offset delete g%d %v", g, at), func(s *side) { s.offsetDelete(s.groupName(g), s.topicName(at.topic), at.part) }}
}

func drawDeleteGroup(r *rand.Rand) action {
	g, v := r.IntN(groupSlots), between(r, 0, 2)
	return action{fmt.Sprintf("delete group v%d g%d", v, g), func(s *side) {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{s.groupName(g)}
		s.do(v, req)
	}}
}

func drawDescribeGroup(r *rand.Rand) action {
	g, v := r.IntN(groupSlots), between(r, 0, 6)
	return action{fmt.Sprintf("describe group v%d g%d", v, g), func(s *side) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{s.groupName(g)}
		s.do(v, req)
	}}
}

func drawListGroups(r *rand.Rand) action {
	v := between(r, 0, 5)
	states := oneOf(r, nil, nil, []string{"Stable"}, []string{"Empty", "PreparingRebalance"}, []string{"CompletingRebalance"})
	kinds := oneOf(r, nil, nil, []string{"classic"}, []string{"consumer"})
	return action{fmt.Sprintf("list groups v%d %q %q", v, states, kinds), func(s *side) {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = states, kinds
		s.do(v, req)
	}}
}
