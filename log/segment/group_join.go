package segment

import (
	"fmt"
	"time"

	"karst/log"
)

// JoinGroup implements log.GroupCoordinator.
func (g *Groups) JoinGroup(j log.JoinGroup, done func(log.JoinedGroup)) {
	g.mu.Lock()
	defer g.unlock()
	if id, err := g.join(&j, done); err != nil {
		g.later(func() { done(log.JoinedGroup{Err: err, MemberID: id, Generation: -1}) })
	}
}

// join takes the request on, or refuses it with an error and the member id to
// answer with.
func (g *Groups) join(j *log.JoinGroup, done func(log.JoinedGroup)) (string, error) {
	gr := g.groups[j.Group]
	j.ClientID = j.ClientID[:min(len(j.ClientID), maxIDBytes)] // it only tells who that is
	switch {
	case g.closed:
		return j.MemberID, log.ErrClosed
	case j.Group == "":
		return j.MemberID, fmt.Errorf("%w: it is empty", log.ErrInvalidGroup)
	case j.SessionTimeout < g.opts.MinSession || j.SessionTimeout > g.opts.MaxSession:
		return j.MemberID, fmt.Errorf("%w: %v is not between %v and %v", log.ErrSessionTimeout, j.SessionTimeout, g.opts.MinSession, g.opts.MaxSession)
	case gr == nil && j.MemberID != "":
		return j.MemberID, fmt.Errorf("%w: the group %q has none", log.ErrUnknownMember, j.Group)
	}
	gr, err := g.make(j.Group)
	if err != nil {
		return j.MemberID, err
	}
	if j.MemberID != "" {
		return j.MemberID, gr.joinAgain(j, done)
	}
	id, err := gr.joinFirst(j, done)
	gr.forget()
	return id, err
}

// joinFirst is a join without a member id: of somebody new, or of a static
// member that has started anew.
func (g *consumerGroup) joinFirst(j *log.JoinGroup, done func(log.JoinedGroup)) (string, error) {
	old := g.static[j.InstanceID]
	if err := g.checkRoom(j, old); err != nil {
		return "", err
	}
	switch {
	case !g.supports(j.ProtocolType, j.Protocols):
		return "", log.ErrProtocolMismatch
	case old == nil && len(g.members)+len(g.invited) >= g.of.opts.MaxMembers:
		return "", fmt.Errorf("%w: %d", log.ErrGroupFull, g.of.opts.MaxMembers)
	}
	id := g.of.memberID(j)
	switch {
	case old != nil:
		g.replace(old, id, j, done)
	case j.InstanceID == "" && j.NeedID:
		g.invited[id] = g.of.opts.Clock.Now().Add(j.SessionTimeout)
		g.rearm()
		return id, log.ErrMemberIDRequired
	default:
		g.add(id, j, done)
	}
	return id, nil
}

// memberID makes a member id as Kafka's are: whose it is, and a random UUID.
func (g *Groups) memberID(j *log.JoinGroup) string {
	name := j.InstanceID
	if name == "" {
		name = j.ClientID
	}
	a, b := g.opts.Rand(), g.opts.Rand()
	return fmt.Sprintf("%s-%08x-%04x-4%03x-%04x-%012x", name, a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&(1<<48-1))
}

// add makes a member of the group and begins a rebalance.
func (g *consumerGroup) add(id string, j *log.JoinGroup, done func(log.JoinedGroup)) {
	m := &member{id: id, instance: j.InstanceID}
	if len(g.members) == 0 {
		g.protocolType = j.ProtocolType
	}
	g.members[id] = m
	if m.instance != "" {
		g.static[m.instance] = m
	}
	if g.leader == "" {
		g.leader = id
	}
	g.rejoin(m, j, done)
}

// update takes over what a member says of itself.
func (m *member) update(j *log.JoinGroup) {
	m.clientID, m.clientHost = j.ClientID, j.ClientHost
	m.session, m.rebalance = j.SessionTimeout, max(j.RebalanceTimeout, 0)
	m.protocols = j.Protocols
}

// rejoin makes m wait for the next generation.
func (g *consumerGroup) rejoin(m *member, j *log.JoinGroup, done func(log.JoinedGroup)) {
	m.update(j)
	g.answerJoin(m, log.JoinedGroup{Err: log.ErrRebalancing, MemberID: m.id, Generation: -1}) // it has asked twice
	m.join = done
	if g.state == log.GroupPreparing {
		g.tryComplete()
		g.rearm()
		return
	}
	g.prepare()
}

// joinAgain is a join with a member id, of a member or of one invited.
func (g *consumerGroup) joinAgain(j *log.JoinGroup, done func(log.JoinedGroup)) error {
	if !g.supports(j.ProtocolType, j.Protocols) { // whoever it is
		return log.ErrProtocolMismatch
	}
	if _, ok := g.invited[j.MemberID]; ok && j.InstanceID == "" {
		if err := g.checkRoom(j, nil); err != nil {
			return err
		}
		delete(g.invited, j.MemberID)
		g.add(j.MemberID, j, done)
		return nil
	}
	m, err := g.identify(j.GroupMember)
	if err != nil {
		return err
	}
	if err := g.checkRoom(j, m); err != nil {
		return err
	}
	same := m.sameProtocols(j.Protocols)
	if g.state == log.GroupCompleting && same || g.state == log.GroupStable && same && m.id != g.leader {
		// The answer got lost, or nothing has changed.
		m.update(j)
		g.touch(m)
		now := g.joined(m)
		g.of.later(func() { done(now) })
		return nil
	}
	g.rejoin(m, j, done)
	return nil
}

// replace gives the place of a static member to its new incarnation. A stable
// group goes on without a rebalance if the protocol stays.
func (g *consumerGroup) replace(m *member, id string, j *log.JoinGroup, done func(log.JoinedGroup)) {
	g.answerJoin(m, log.JoinedGroup{Err: log.ErrFencedInstance, MemberID: m.id, Generation: -1})
	g.answerSync(m, log.SyncedGroup{Err: log.ErrFencedInstance})
	delete(g.members, m.id)
	oldLeader := g.leader
	if g.leader == m.id {
		g.leader = id
	}
	m.id, m.syncBy = id, time.Time{}
	g.members[id] = m
	m.update(j)
	g.touch(m)
	if g.state != log.GroupStable || g.choose() != g.protocol {
		g.rejoin(m, j, done)
		return
	}
	answer := g.joined(m)
	if g.leader == id {
		if answer.SkipAssignment = j.CanSkip; !j.CanSkip {
			// A client that can't skip would assign anew, without a new
			// generation; it is not told that it leads.
			answer.Leader, answer.Members = oldLeader, nil
		}
	}
	g.save(func(err error) {
		if err != nil {
			answer = log.JoinedGroup{Err: err, MemberID: id, Generation: -1}
		}
		g.of.later(func() { done(answer) })
	})
	g.rearm()
}

// joined is the answer to a join in the current generation.
func (g *consumerGroup) joined(m *member) log.JoinedGroup {
	j := log.JoinedGroup{
		MemberID: m.id, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader,
	}
	if m.id == g.leader {
		for _, x := range g.sorted() {
			j.Members = append(j.Members, log.JoinedMember{MemberID: x.id, InstanceID: x.instance, Metadata: x.metadata(g.protocol)})
		}
	}
	return j
}

// prepare begins a rebalance: all must join again.
func (g *consumerGroup) prepare() {
	now := g.of.opts.Clock.Now()
	g.notBefore = time.Time{}
	switch g.state {
	case log.GroupCompleting:
		for _, m := range g.sorted() {
			m.assignment = nil
			g.answerSync(m, log.SyncedGroup{Err: log.ErrRebalancing})
		}
	case log.GroupEmpty:
		g.notBefore = now.Add(g.of.opts.InitialDelay)
	}
	g.state = log.GroupPreparing
	g.deadline = now.Add(g.rebalanceTimeout())
	g.tryComplete()
	g.rearm()
}

func (g *consumerGroup) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// tryComplete begins the next generation if all members have joined, or the
// time for it is over.
func (g *consumerGroup) tryComplete() {
	now := g.of.opts.Clock.Now()
	if g.state != log.GroupPreparing || now.Before(g.notBefore) {
		return
	}
	missing := len(g.invited)
	for _, m := range g.members {
		if m.join == nil {
			missing++
		}
	}
	if missing == 0 || !now.Before(g.deadline) {
		g.complete(now)
	}
}

// complete begins the next generation with those who have joined, and the static
// members, who keep their place until their session is over.
func (g *consumerGroup) complete(now time.Time) {
	joined := 0
	for _, m := range g.sorted() {
		switch {
		case m.join != nil:
			joined++
		case m.instance == "":
			delete(g.members, m.id)
		}
	}
	if joined == 0 && len(g.members) > 0 { // static ones only, none of them back yet
		g.deadline = now.Add(max(g.rebalanceTimeout(), time.Second))
		return
	}
	g.generation++
	if len(g.members) == 0 {
		g.state, g.protocol, g.leader, g.emptySince = log.GroupEmpty, "", "", now
		g.save(func(error) {}) // what is stored is only older
		return
	}
	g.state, g.protocol = log.GroupCompleting, g.choose()
	if lead := g.members[g.leader]; lead == nil || lead.join == nil {
		g.leader = g.firstJoined()
	}
	for _, m := range g.sorted() {
		m.syncBy = time.Time{}
		if m.join == nil {
			continue
		}
		m.syncBy = now.Add(g.rebalanceTimeout())
		g.touch(m)
		g.answerJoin(m, g.joined(m))
	}
}

func (g *consumerGroup) firstJoined() string {
	for _, m := range g.sorted() {
		if m.join != nil {
			return m.id
		}
	}
	return ""
}
