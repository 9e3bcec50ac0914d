package segment

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"karst/log"
)

// consumerProtocol is the protocol type of Kafka's consumers.
const consumerProtocol = "consumer"

// A consumerGroup is the state of one group; Groups' mutex guards it.
type consumerGroup struct {
	of         *Groups
	id         string
	state      log.GroupState
	generation int32
	// protocolType is that of the members, or of the last ones.
	protocolType string
	protocol     string // chosen for this generation
	leader       string
	members      map[string]*member
	static       map[string]*member   // by instance id
	invited      map[string]time.Time // members to be: ids given out, until when
	emptySince   time.Time            // or the start, for a group that was empty then

	kept     bool // something of it is stored
	expiring bool // that is about to go, unless somebody comes to keep offsets; see expire
	bytes    int  // of members and those invited, about; see measure
	// While Preparing: when it ends at the latest, and at the earliest.
	deadline, notBefore time.Time
	wakeAt              time.Time // when the timer is due
	stopTimer           func() bool
}

// A member is one member of a group.
type member struct {
	id, instance         string
	clientID, clientHost string
	session, rebalance   time.Duration
	protocols            []log.GroupProtocol
	assignment           []byte
	expires              time.Time // of the session
	syncBy               time.Time // to sync after a join; zero once it has
	join                 func(log.JoinedGroup)
	sync                 func(log.SyncedGroup)
	storing              int // commits that are yet to be answered
}

func newConsumerGroup(of *Groups, id string) *consumerGroup {
	return &consumerGroup{
		of: of, id: id, state: log.GroupEmpty, emptySince: of.opts.Clock.Now(),
		members: map[string]*member{}, static: map[string]*member{}, invited: map[string]time.Time{},
	}
}

func (g *consumerGroup) info() log.GroupInfo {
	info := log.GroupInfo{ID: g.id, State: g.state, ProtocolType: g.protocolType}
	if g.state == log.GroupStable {
		info.Protocol = g.protocol
	}
	return info
}

// sorted returns the members by id.
func (g *consumerGroup) sorted() []*member {
	out := make([]*member, 0, len(g.members))
	for _, m := range g.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *member) int { return cmp.Compare(a.id, b.id) })
	return out
}

// identify returns the member that who is: by its id, and for a static one the
// id that its instance has now.
func (g *consumerGroup) identify(who log.GroupMember) (*member, error) {
	if who.InstanceID != "" {
		if s := g.static[who.InstanceID]; s == nil {
			return nil, fmt.Errorf("%w: instance %q", log.ErrUnknownMember, who.InstanceID)
		} else if s.id != who.MemberID {
			return nil, fmt.Errorf("%w: %q", log.ErrFencedInstance, who.InstanceID)
		}
	}
	m := g.members[who.MemberID]
	if m == nil {
		return nil, fmt.Errorf("%w: %q", log.ErrUnknownMember, who.MemberID)
	}
	return m, nil
}

// touch begins m's session anew.
func (g *consumerGroup) touch(m *member) { m.expires = g.of.opts.Clock.Now().Add(m.session) }

// wake makes tick run at t at the latest.
func (g *consumerGroup) wake(t time.Time) {
	if t.IsZero() || g.of.closed || g.stopTimer != nil && !t.Before(g.wakeAt) {
		return
	}
	if g.stopTimer != nil {
		g.stopTimer()
	}
	g.wakeAt = t
	g.stopTimer = g.of.opts.Clock.AfterFunc(max(t.Sub(g.of.opts.Clock.Now()), 0), func() {
		g.of.mu.Lock()
		defer g.of.unlock()
		if g.of.groups[g.id] == g && !g.of.closed {
			g.stopTimer = nil
			g.putOff(stoodStill(g.wakeAt, g.of.opts.Clock.Now()))
			g.tick()
		}
	})
}

// A timer that comes later than by stillFrom says that the process, or the machine,
// stood still. What was due meanwhile is due later by as long as that, and not within
// afterStill: nobody could be heard, and what was sent is yet to be read.
const stillFrom, afterStill = time.Second, 5 * time.Second

// stoodStill returns for how long, when a timer that was due comes now.
func stoodStill(due, now time.Time) time.Duration {
	if late := now.Sub(due); late >= stillFrom {
		return late
	}
	return 0
}

// putOff has all that members have to do be due later, after the process stood still
// for d.
func (g *consumerGroup) putOff(d time.Duration) {
	if d == 0 {
		return
	}
	soonest := g.of.opts.Clock.Now().Add(afterStill)
	later := func(t time.Time) time.Time {
		if t = t.Add(d); t.Before(soonest) {
			return soonest
		}
		return t
	}
	for id, until := range g.invited {
		g.invited[id] = later(until)
	}
	for _, m := range g.members {
		m.expires = later(m.expires)
		if !m.syncBy.IsZero() {
			m.syncBy = later(m.syncBy)
		}
	}
	if g.state == log.GroupPreparing {
		g.deadline = later(g.deadline)
	}
}

// tick does what is due: invitations and sessions that are over, members that
// didn't sync, a rebalance whose time is up.
func (g *consumerGroup) tick() {
	now := g.of.opts.Clock.Now()
	for id, until := range g.invited {
		if !now.Before(until) {
			delete(g.invited, id)
		}
	}
	for _, m := range g.sorted() {
		if g.members[m.id] == m && g.overdue(m, now) {
			g.remove(m)
		}
	}
	if g.state == log.GroupPreparing {
		g.tryComplete()
	}
	g.forget()
	g.rearm()
}

// forget drops a group that never came to be: its one member-to-be didn't join.
func (g *consumerGroup) forget() {
	if len(g.members)+len(g.invited) == 0 && g.state == log.GroupEmpty && !g.kept {
		g.drop()
	}
}

// overdue reports whether m has to be removed. One that waits for an answer is
// alive.
func (g *consumerGroup) overdue(m *member, now time.Time) bool {
	if m.join != nil || m.storing > 0 {
		return false
	}
	return m.sync == nil && (!now.Before(m.expires) || g.toSync(m) && !now.Before(m.syncBy))
}

// toSync reports whether m has joined and is yet to ask for its assignment, which
// it must do by m.syncBy.
func (g *consumerGroup) toSync(m *member) bool {
	return !m.syncBy.IsZero() && (g.state == log.GroupCompleting || g.state == log.GroupStable)
}

// memberBytes is about what a member takes besides what it says of itself.
const memberBytes = 256

func (m *member) bytes() int {
	return memberBytes + 2*len(m.id) + 2*len(m.instance) + len(m.clientID) + len(m.clientHost) + len(m.assignment) + protocolBytes(m.protocols)
}

func protocolBytes(list []log.GroupProtocol) int {
	n := 0
	for _, p := range list {
		n += 48 + len(p.Name) + len(p.Metadata)
	}
	return n
}

// measure notes what the group takes.
func (g *consumerGroup) measure() {
	n := 0
	for _, m := range g.members {
		n += m.bytes()
	}
	for id := range g.invited {
		n += memberBytes + len(id)
	}
	if g.state == log.GroupDead {
		n = 0
	}
	g.of.bytes += n - g.bytes
	g.bytes = n
}

// checkRoom refuses a join that would make the group, or all of them, take more
// than they may. What a member, nil for a new one, has said before makes way.
func (g *consumerGroup) checkRoom(j *log.JoinGroup, m *member) error {
	if len(j.Protocols) > maxProtocols {
		return fmt.Errorf("%w: %d protocols, at most %d are taken of a member", log.ErrProtocolMismatch, len(j.Protocols), maxProtocols)
	}
	if err := checkID("group instance id", j.InstanceID, log.ErrInvalidRequest); err != nil {
		return err
	}
	more := memberBytes + len(j.ClientID) + protocolBytes(j.Protocols)
	if m != nil {
		more -= m.bytes()
	}
	return g.checkMore(more)
}

// checkAssignments refuses those of the leader likewise.
func (g *consumerGroup) checkAssignments(assignments map[string][]byte) error {
	more := 0
	for _, m := range g.members {
		more += len(assignments[m.id]) - len(m.assignment)
	}
	return g.checkMore(more)
}

// checkMore refuses more bytes of members than may be.
func (g *consumerGroup) checkMore(more int) error {
	opts := &g.of.opts
	switch {
	case more <= 0:
		return nil
	case g.bytes+more > opts.MaxGroupBytes:
		return fmt.Errorf("%w: its members would take %d bytes, at most %d are kept", log.ErrGroupFull, g.bytes+more, opts.MaxGroupBytes)
	case g.of.bytes+more > opts.MaxBytes:
		return fmt.Errorf("%w: the members of all groups take %d bytes, at most %d are kept", log.ErrGroupFull, g.of.bytes, opts.MaxBytes)
	}
	return nil
}

// rearm sets the timer for the next thing due, after a change.
func (g *consumerGroup) rearm() {
	g.measure()
	var next time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, until := range g.invited {
		sooner(until)
	}
	for _, m := range g.members {
		if m.join != nil || m.sync != nil || m.storing > 0 {
			continue
		}
		sooner(m.expires)
		if g.toSync(m) {
			sooner(m.syncBy)
		}
	}
	if g.state == log.GroupPreparing {
		if now := g.of.opts.Clock.Now(); g.notBefore.After(now) {
			sooner(g.notBefore)
		}
		sooner(g.deadline)
	}
	if g.state != log.GroupDead {
		g.wake(next)
	}
}

// remove takes a member out and lets the others rebalance.
func (g *consumerGroup) remove(m *member) {
	delete(g.members, m.id)
	if m.instance != "" {
		delete(g.static, m.instance)
	}
	g.answerJoin(m, log.JoinedGroup{Err: log.ErrUnknownMember, MemberID: m.id, Generation: -1})
	g.answerSync(m, log.SyncedGroup{Err: log.ErrUnknownMember})
	if g.leader == m.id { // one that has been there before somebody new
		g.leader = ""
		if rest := g.sorted(); len(rest) > 0 {
			g.leader = rest[0].id
		}
	}
	switch g.state {
	case log.GroupStable, log.GroupCompleting:
		g.prepare()
	case log.GroupPreparing:
		g.tryComplete()
	}
}

// drop takes the group out; it must have no members.
func (g *consumerGroup) drop() {
	g.state = log.GroupDead
	if g.stopTimer != nil {
		g.stopTimer()
	}
	delete(g.of.groups, g.id)
	g.measure()
}

func (g *consumerGroup) answerJoin(m *member, j log.JoinedGroup) {
	if done := m.join; done != nil {
		m.join = nil
		g.of.later(func() { done(j) })
	}
}

func (g *consumerGroup) answerSync(m *member, s log.SyncedGroup) {
	if done := m.sync; done != nil {
		m.sync = nil
		g.of.later(func() { done(s) })
	}
}

// metadata returns what m tells the leader under a protocol.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

func (m *member) sameProtocols(list []log.GroupProtocol) bool {
	return slices.EqualFunc(m.protocols, list, func(a, b log.GroupProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// supports reports whether a member of that type may have those protocols: one
// of them must be known to all members as they are, itself too if it is one.
func (g *consumerGroup) supports(protocolType string, list []log.GroupProtocol) bool {
	if protocolType == "" || len(list) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if protocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(list, func(p log.GroupProtocol) bool {
		for _, m := range g.members {
			if !m.has(p.Name) {
				return false
			}
		}
		return true
	})
}

func (m *member) has(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p log.GroupProtocol) bool { return p.Name == protocol })
}

// choose returns the protocol that all members support and most prefer; ties go
// to the first by name.
func (g *consumerGroup) choose() string {
	votes, has := map[string]int{}, map[string]int{}
	for _, m := range g.members {
		for i, p := range m.protocols {
			if !slices.ContainsFunc(m.protocols[:i], func(q log.GroupProtocol) bool { return q.Name == p.Name }) {
				has[p.Name]++
			}
		}
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if has[p.Name] == len(g.members) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for name, n := range votes {
		if best == "" || n > votes[best] || n == votes[best] && name < best {
			best = name
		}
	}
	return best
}
