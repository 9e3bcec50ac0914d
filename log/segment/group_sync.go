package segment

import (
	"fmt"
	"time"

	"karst/log"
)

// SyncGroup implements log.GroupCoordinator.
func (g *Groups) SyncGroup(s log.SyncGroup, done func(log.SyncedGroup)) {
	g.mu.Lock()
	defer g.unlock()
	gr, m, err := g.member(s.GroupMember)
	if err == nil {
		err = gr.sync(m, &s, done)
	}
	if err != nil {
		g.later(func() { done(log.SyncedGroup{Err: err}) })
	}
}

// sync takes a member's SyncGroup on or refuses it.
func (g *consumerGroup) sync(m *member, s *log.SyncGroup, done func(log.SyncedGroup)) error {
	if s.ProtocolType != "" && s.ProtocolType != g.protocolType || s.Protocol != "" && s.Protocol != g.protocol {
		return fmt.Errorf("%w: %s %q, the group has chosen %s %q", log.ErrProtocolMismatch, s.ProtocolType, s.Protocol, g.protocolType, g.protocol)
	}
	if g.state == log.GroupCompleting && m.id == g.leader {
		if err := g.checkAssignments(s.Assignments); err != nil {
			return err
		}
	}
	g.touch(m)
	m.syncBy = time.Time{}
	switch g.state {
	case log.GroupPreparing:
		return log.ErrRebalancing
	case log.GroupStable:
		now := g.synced(m)
		g.of.later(func() { done(now) })
	case log.GroupCompleting:
		g.answerSync(m, log.SyncedGroup{Err: log.ErrRebalancing}) // it has asked twice
		m.sync = done
		if m.id == g.leader {
			g.assign(s.Assignments)
		}
	}
	g.rearm()
	return nil
}

func (g *consumerGroup) synced(m *member) log.SyncedGroup {
	return log.SyncedGroup{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

// assign takes over the leader's assignment; the group is stable once it is
// durable. A rebalance that begins before makes it void.
func (g *consumerGroup) assign(assignments map[string][]byte) {
	for _, m := range g.members {
		m.assignment = assignments[m.id]
	}
	generation := g.generation
	g.save(func(err error) {
		if g.state != log.GroupCompleting || g.generation != generation {
			return
		}
		if err != nil {
			for _, m := range g.sorted() {
				g.answerSync(m, log.SyncedGroup{Err: err})
			}
			g.prepare()
			return
		}
		g.state = log.GroupStable
		for _, m := range g.sorted() {
			if m.sync != nil {
				g.touch(m)
				g.answerSync(m, g.synced(m))
			}
		}
		g.rearm()
	})
}

// LeaveGroup implements log.GroupCoordinator.
func (g *Groups) LeaveGroup(id string, members []log.GroupMember) []error {
	g.mu.Lock()
	defer g.unlock()
	errs := make([]error, len(members))
	for i, who := range members {
		gr, err := g.find(id)
		if err == nil {
			err = gr.leave(who)
		}
		errs[i] = err
	}
	return errs
}

// leave removes a member; one that is named by its instance needs no member id.
func (g *consumerGroup) leave(who log.GroupMember) error {
	if s := g.static[who.InstanceID]; s != nil && who.MemberID == "" {
		who.MemberID = s.id
	}
	if _, ok := g.invited[who.MemberID]; ok && who.InstanceID == "" {
		delete(g.invited, who.MemberID)
		g.tryComplete()
		g.rearm()
		return nil
	}
	m, err := g.identify(who)
	if err != nil {
		return err
	}
	g.remove(m)
	g.rearm()
	return nil
}
