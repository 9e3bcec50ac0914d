package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A manualClock goes on when it is told to.
type manualClock struct {
	now    time.Time
	timers []*manualTimer
}

type manualTimer struct {
	at      time.Time
	f       func()
	stopped bool
}

func (c *manualClock) Now() time.Time { return c.now }

func (c *manualClock) AfterFunc(d time.Duration, f func()) func() bool {
	t := &manualTimer{at: c.now.Add(d), f: f}
	c.timers = append(c.timers, t)
	return func() bool {
		was := !t.stopped
		t.stopped = true
		return was
	}
}

// advance runs what comes due, in order.
func (c *manualClock) advance(d time.Duration) {
	end := c.now.Add(d)
	for {
		slices.SortStableFunc(c.timers, func(a, b *manualTimer) int { return a.at.Compare(b.at) })
		i := slices.IndexFunc(c.timers, func(t *manualTimer) bool { return !t.stopped })
		if i < 0 || c.timers[i].at.After(end) {
			break
		}
		t := c.timers[i]
		t.stopped = true
		c.timers = c.timers[i+1:]
		if t.at.After(c.now) {
			c.now = t.at
		}
		t.f()
	}
	c.now = end
}

// still lets time pass in which no timer runs, then those that are due.
func (c *manualClock) still(d time.Duration) {
	c.now = c.now.Add(d)
	c.advance(0)
}

// A fakeStore keeps offsets and states in memory. With hold, what is stored is
// answered by release.
type fakeStore struct {
	clock   *manualClock
	offsets map[string]map[log.Partition]log.GroupOffset
	states  map[string][]byte
	hold    bool
	held    []func(error)

	expiring func() // called before offsets expire
}

func newFakeStore(clock *manualClock) *fakeStore {
	return &fakeStore{clock: clock, offsets: map[string]map[log.Partition]log.GroupOffset{}, states: map[string][]byte{}}
}

func (s *fakeStore) answer(done func(error)) {
	if s.hold {
		s.held = append(s.held, done)
		return
	}
	done(nil)
}

func (s *fakeStore) release(err error) {
	held := s.held
	s.held, s.hold = nil, false
	for _, done := range held {
		done(err)
	}
}

func (s *fakeStore) StoreOffsets(group string, offsets map[log.Partition]log.GroupOffset, done func(error)) {
	if s.offsets[group] == nil {
		s.offsets[group] = map[log.Partition]log.GroupOffset{}
	}
	for p, o := range offsets {
		o.CommitTime = s.clock.now.UnixMilli()
		s.offsets[group][p] = o
	}
	s.answer(done)
}

func (s *fakeStore) GroupOffsets(_ context.Context, group string) (map[log.Partition]log.GroupOffset, map[log.Partition]struct{}, error) {
	return maps.Clone(s.offsets[group]), nil, nil
}

func (s *fakeStore) DeleteOffsets(_ context.Context, group string, partitions []log.Partition) error {
	for _, p := range partitions {
		delete(s.offsets[group], p)
	}
	return nil
}

func (s *fakeStore) StoreGroup(group string, state []byte, done func(error)) {
	s.states[group] = slices.Clone(state)
	s.answer(done)
}

func (s *fakeStore) StoredGroups(context.Context) (map[string][]byte, error) {
	out := maps.Clone(s.states)
	for g, m := range s.offsets {
		if _, ok := out[g]; !ok && len(m) > 0 {
			out[g] = nil
		}
	}
	return out, nil
}

func (s *fakeStore) ExpireOffsets(_ context.Context, group string, before int64) (gone bool, err error) {
	if s.expiring != nil {
		s.expiring()
	}
	maps.DeleteFunc(s.offsets[group], func(_ log.Partition, o log.GroupOffset) bool { return o.CommitTime < before })
	if gone = len(s.offsets[group]) == 0; gone {
		err = s.DeleteGroup(context.Background(), group)
	}
	return gone, err
}

func (s *fakeStore) DeleteGroup(_ context.Context, group string) error {
	delete(s.offsets, group)
	delete(s.states, group)
	return nil
}

// A bench is a coordinator under test.
type groupBench struct {
	t     *testing.T
	clock *manualClock
	store *fakeStore
	*Groups
}

func newGroupBench(t *testing.T) *groupBench {
	b := &groupBench{t: t, clock: &manualClock{now: time.UnixMilli(1e12)}}
	b.store = newFakeStore(b.clock)
	b.open()
	return b
}

func (b *groupBench) open() {
	n := uint64(0)
	g, err := NewGroups(GroupOptions{Store: b.store, Clock: b.clock, Rand: func() uint64 { n += 1 << 40; return n }})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Groups = g
	b.t.Cleanup(g.Close)
}

// A player is a client as far as the coordinator knows it.
type player struct {
	b         *groupBench
	request   log.JoinGroup
	joined    []log.JoinedGroup
	synced    []log.SyncedGroup
	syncedGen int32 // generation of the last sync that succeeded
	committed []error
}

func (b *groupBench) player(name string) *player {
	return &player{b: b, request: log.JoinGroup{
		GroupMember: log.GroupMember{Group: "g", Generation: -1}, ClientID: name,
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second, ProtocolType: "consumer",
		Protocols: []log.GroupProtocol{{Name: "range", Metadata: subscribedTo("t", name)}},
	}}
}

// subscribedTo is consumer metadata of version 0 with one topic and user data.
func subscribedTo(topic, user string) []byte {
	m := []byte{0, 0, 0, 0, 0, 1, 0, byte(len(topic))}
	m = append(m, topic...)
	m = append(m, 0, 0, 0, byte(len(user)))
	return append(m, user...)
}

func (p *player) join() *player {
	p.b.JoinGroup(p.request, func(j log.JoinedGroup) {
		p.joined = append(p.joined, j)
		if j.MemberID != "" {
			p.request.MemberID = j.MemberID
		}
	})
	return p
}

func (p *player) lastJoin() log.JoinedGroup {
	if len(p.joined) == 0 {
		return log.JoinedGroup{Err: errors.New("not joined"), Generation: -1}
	}
	return p.joined[len(p.joined)-1]
}

func (p *player) who() log.GroupMember {
	m := p.request.GroupMember
	m.Generation = p.lastJoin().Generation
	return m
}

// sync assigns, if p leads, each member its own id.
func (p *player) sync() *player {
	s := log.SyncGroup{GroupMember: p.who(), Assignments: map[string][]byte{}}
	for _, m := range p.lastJoin().Members {
		s.Assignments[m.MemberID] = []byte("work of " + m.MemberID)
	}
	p.b.SyncGroup(s, func(r log.SyncedGroup) {
		if p.synced = append(p.synced, r); r.Err == nil {
			p.syncedGen = s.Generation
		}
	})
	return p
}

func (p *player) commit(offset int64) error {
	p.b.CommitOffsets(p.who(), map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: offset}}, func(err error) {
		p.committed = append(p.committed, err)
	})
	return p.committed[len(p.committed)-1]
}

// stable makes a stable group of the players.
func (b *groupBench) stable(players ...*player) {
	b.t.Helper()
	for _, p := range players {
		p.join()
	}
	b.clock.advance(time.Second)
	for _, p := range players {
		if p.lastJoin().Err != nil {
			b.t.Fatalf("joining: %v", p.lastJoin().Err)
		}
		p.sync()
	}
	for _, p := range players {
		if got := p.lastSync(); got != "work of "+p.request.MemberID {
			b.t.Fatalf("assignment %q", got)
		}
	}
}

func (p *player) lastSync() string {
	if len(p.synced) == 0 {
		return "none"
	}
	s := p.synced[len(p.synced)-1]
	if s.Err != nil {
		return s.Err.Error()
	}
	return string(s.Assignment)
}

func (b *groupBench) state() log.GroupState {
	info, err := b.DescribeGroup(b.t.Context(), "g")
	if err != nil {
		return log.GroupDead
	}
	return info.State
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestGroupForms(t *testing.T) {
	b := newGroupBench(t)
	one, two, three := b.player("one"), b.player("two"), b.player("three")
	b.stable(one, two, three)
	leaders := 0
	for _, p := range []*player{one, two, three} {
		j := p.lastJoin()
		if j.Generation != 1 || j.Protocol != "range" || j.ProtocolType != "consumer" {
			t.Errorf("joined %+v", j)
		}
		if j.Leader == j.MemberID {
			leaders++
			if len(j.Members) != 3 {
				t.Errorf("the leader knows %d members", len(j.Members))
			}
		} else if j.Members != nil {
			t.Errorf("who doesn't lead was told the members")
		}
		wantErr(t, "heartbeat", b.Heartbeat(p.who()), nil)
	}
	if leaders != 1 || b.state() != log.GroupStable {
		t.Errorf("%d leaders, state %s", leaders, b.state())
	}
	wantErr(t, "commit", two.commit(7), nil)
}

func TestGroupMemberIDRequired(t *testing.T) {
	b := newGroupBench(t)
	p := b.player("one")
	p.request.NeedID = true
	p.join()
	wantErr(t, "first join", p.lastJoin().Err, log.ErrMemberIDRequired)
	if p.request.MemberID == "" {
		t.Fatal("no member id given")
	}
	b.stable(p)

	// An invitation that is not taken up holds nobody up for longer than its time,
	// and a group of it alone goes away.
	q := b.player("two")
	q.request.Group, q.request.NeedID = "other", true
	q.join()
	b.clock.advance(11 * time.Second)
	if list, _ := b.ListGroups(t.Context()); len(list) != 1 {
		t.Errorf("groups %+v", list)
	}
	q.join()
	wantErr(t, "join with an id that is over", q.lastJoin().Err, log.ErrUnknownMember)
}

func TestGroupRebalances(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	b.stable(one)
	two.join()
	wantErr(t, "heartbeat", b.Heartbeat(one.who()), log.ErrRebalancing)
	wantErr(t, "commit while preparing", one.commit(1), nil)
	one.join()
	if one.lastJoin().Generation != 2 || two.lastJoin().Generation != 2 {
		t.Fatalf("generations %d, %d", one.lastJoin().Generation, two.lastJoin().Generation)
	}
	wantErr(t, "commit before the assignment", one.commit(2), log.ErrRebalancing)
	two.sync() // before the leader: waits
	if two.lastSync() != "none" {
		t.Errorf("synced before the leader: %s", two.lastSync())
	}
	one.sync()
	if two.lastSync() != "work of "+two.request.MemberID {
		t.Errorf("synced: %s", two.lastSync())
	}
	old := one.who()
	old.Generation = 1
	wantErr(t, "heartbeat of an old generation", b.Heartbeat(old), log.ErrIllegalGen)
}

func TestGroupMemberDies(t *testing.T) {
	b := newGroupBench(t)
	one, two, three := b.player("one"), b.player("two"), b.player("three")
	b.stable(one, two, three)
	for range 4 { // three is silent
		b.clock.advance(3 * time.Second)
		_ = b.Heartbeat(one.who())
		_ = b.Heartbeat(two.who())
	}
	wantErr(t, "heartbeat of the living", b.Heartbeat(one.who()), log.ErrRebalancing)
	wantErr(t, "heartbeat of the dead", b.Heartbeat(three.who()), log.ErrUnknownMember)
	wantErr(t, "commit of the dead", three.commit(1), log.ErrUnknownMember)
	one.join()
	two.join()
	if one.lastJoin().Generation != 2 || two.lastJoin().Generation != 2 {
		t.Errorf("generations %d, %d", one.lastJoin().Generation, two.lastJoin().Generation)
	}
	// One that does not join again in time is left out.
	one.sync()
	two.sync()
	four := b.player("four").join()
	one.join()
	for range 11 { // two sends heartbeats, but does not join
		b.clock.advance(3 * time.Second)
		_ = b.Heartbeat(two.who())
	}
	if four.lastJoin().Generation != 3 || one.lastJoin().Generation != 3 {
		t.Errorf("generations %d, %d", four.lastJoin().Generation, one.lastJoin().Generation)
	}
	wantErr(t, "heartbeat of who was left out", b.Heartbeat(two.who()), log.ErrUnknownMember)
	// One that joins and doesn't sync is removed too.
	for range 11 {
		b.clock.advance(3 * time.Second)
		_ = b.Heartbeat(one.who())
	}
	wantErr(t, "heartbeat of who did not sync", b.Heartbeat(four.who()), log.ErrUnknownMember)
}

// TestGroupSlowCommit has a commit take longer than a session: who waits for its
// answer is alive, and has a session after it.
func TestGroupSlowCommit(t *testing.T) {
	b := newGroupBench(t)
	one := b.player("one")
	b.stable(one)
	b.store.hold = true
	answered := false
	b.CommitOffsets(one.who(), map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: 1}}, func(err error) { answered = err == nil })
	b.clock.advance(time.Minute)
	b.store.release(nil)
	b.clock.advance(9 * time.Second)
	wantErr(t, "heartbeat after a slow commit", b.Heartbeat(one.who()), nil)
	if !answered {
		t.Error("it was not committed")
	}
	b.clock.advance(11 * time.Second)
	wantErr(t, "heartbeat after a session", b.Heartbeat(one.who()), log.ErrUnknownMember)
}

// TestGroupStoodStill stops the process for longer than sessions last: who was there
// before, and goes on, is still there; who does not is removed.
func TestGroupStoodStill(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	b.stable(one, two)
	b.clock.advance(time.Second)
	b.clock.still(time.Minute)
	for range 4 { // two is silent
		wantErr(t, "heartbeat after standing still", b.Heartbeat(one.who()), nil)
		b.clock.advance(time.Second)
	}
	b.clock.advance(6 * time.Second)
	wantErr(t, "heartbeat of the living", b.Heartbeat(one.who()), log.ErrRebalancing)
	wantErr(t, "heartbeat of who did not come back", b.Heartbeat(two.who()), log.ErrUnknownMember)
	// A rebalance that was under way waits for those who are yet to join again.
	one.join()
	one.sync()
	three := b.player("three").join()
	b.clock.still(time.Minute)
	one.join()
	if one.lastJoin().Err != nil || three.lastJoin().Generation != one.lastJoin().Generation {
		t.Errorf("after a rebalance that stood still: %+v, %+v", one.lastJoin(), three.lastJoin())
	}
}

func TestGroupLeaves(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	b.stable(one, two)
	errs := b.LeaveGroup("g", []log.GroupMember{two.who(), {Group: "g", MemberID: "nobody"}})
	wantErr(t, "leave", errs[0], nil)
	wantErr(t, "leave of nobody", errs[1], log.ErrUnknownMember)
	wantErr(t, "heartbeat", b.Heartbeat(one.who()), log.ErrRebalancing)
	b.LeaveGroup("g", []log.GroupMember{one.who()})
	if b.state() != log.GroupEmpty {
		t.Errorf("state %s", b.state())
	}
	wantErr(t, "heartbeat after leaving", b.Heartbeat(one.who()), log.ErrUnknownMember)
	wantErr(t, "commit of nobody", b.player("x").commit(1), nil)
	wantErr(t, "delete", b.DeleteGroup(t.Context(), "g"), nil)
	wantErr(t, "delete again", b.DeleteGroup(t.Context(), "g"), log.ErrUnknownGroup)
}

func TestGroupStaticMember(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	one.request.InstanceID, two.request.InstanceID = "i1", "i2"
	b.stable(one, two)
	before := two.who()
	two.request.MemberID = "" // it starts anew
	two.join()
	if j := two.lastJoin(); j.Err != nil || j.Generation != 1 || j.MemberID == before.MemberID {
		t.Fatalf("joined %+v", j)
	}
	wantErr(t, "heartbeat of the others", b.Heartbeat(one.who()), nil)
	wantErr(t, "heartbeat of the old one", b.Heartbeat(before), log.ErrFencedInstance)
	two.sync()
	if got := two.lastSync(); got != "work of "+before.MemberID {
		t.Errorf("assignment %q, want the old one", got)
	}
	// The leader too, who is told to leave the assignment alone.
	one.request.MemberID, one.request.CanSkip = "", true
	one.join()
	if j := one.lastJoin(); !j.SkipAssignment || j.Leader != j.MemberID || len(j.Members) != 2 {
		t.Errorf("joined %+v", j)
	}
	errs := b.LeaveGroup("g", []log.GroupMember{{Group: "g", InstanceID: "i2"}, {Group: "g", InstanceID: "i1", MemberID: "wrong"}})
	wantErr(t, "leave by instance", errs[0], nil)
	wantErr(t, "leave by instance of another", errs[1], log.ErrFencedInstance)
	wantErr(t, "heartbeat", b.Heartbeat(one.who()), log.ErrRebalancing)
}

func TestGroupAcrossRestart(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	b.stable(one, two)
	b.Close()
	b.open()
	if b.state() != log.GroupStable {
		t.Fatalf("state %s", b.state())
	}
	wantErr(t, "heartbeat", b.Heartbeat(one.who()), nil)
	two.sync()
	if got := two.lastSync(); got != "work of "+two.request.MemberID {
		t.Errorf("assignment %q", got)
	}
	b.clock.advance(time.Minute) // nobody comes back
	if b.state() != log.GroupEmpty {
		t.Errorf("state %s", b.state())
	}
}

func TestGroupAssignmentIsDurableFirst(t *testing.T) {
	b := newGroupBench(t)
	one := b.player("one").join()
	b.clock.advance(time.Second)
	b.store.hold = true
	one.sync()
	if one.lastSync() != "none" || b.state() != log.GroupCompleting {
		t.Errorf("synced %s, state %s", one.lastSync(), b.state())
	}
	b.store.release(log.ErrDiskFull)
	if one.lastSync() != log.ErrDiskFull.Error() || b.state() == log.GroupStable {
		t.Errorf("synced %s, state %s", one.lastSync(), b.state())
	}
	one.join()
	one.sync()
	if b.state() != log.GroupStable {
		t.Errorf("state %s", b.state())
	}
}

func TestGroupRefuses(t *testing.T) {
	b := newGroupBench(t)
	join := func(change func(*log.JoinGroup)) error {
		p := b.player("x")
		change(&p.request)
		return p.join().lastJoin().Err
	}
	wantErr(t, "no id", join(func(j *log.JoinGroup) { j.Group = "" }), log.ErrInvalidGroup)
	wantErr(t, "short session", join(func(j *log.JoinGroup) { j.SessionTimeout = time.Second }), log.ErrSessionTimeout)
	wantErr(t, "long session", join(func(j *log.JoinGroup) { j.SessionTimeout = time.Hour }), log.ErrSessionTimeout)
	wantErr(t, "no protocol", join(func(j *log.JoinGroup) { j.Protocols = nil }), log.ErrProtocolMismatch)
	wantErr(t, "unknown member", join(func(j *log.JoinGroup) { j.MemberID = "m" }), log.ErrUnknownMember)
	if len(b.groups) != 0 {
		t.Errorf("%d groups of those who were refused", len(b.groups))
	}
	one := b.player("one")
	b.stable(one)
	wantErr(t, "another type", join(func(j *log.JoinGroup) { j.ProtocolType = "connect" }), log.ErrProtocolMismatch)
	wantErr(t, "nothing in common", join(func(j *log.JoinGroup) { j.Protocols[0].Name = "other" }), log.ErrProtocolMismatch)
	wantErr(t, "a stranger with nothing in common", join(func(j *log.JoinGroup) {
		j.MemberID, j.Protocols[0].Name = "m", "other"
	}), log.ErrProtocolMismatch)
	wantErr(t, "commit of nobody", b.player("x").commit(1), log.ErrUnknownMember)
	wantErr(t, "delete", b.DeleteGroup(t.Context(), "g"), log.ErrNonEmptyGroup)
	refused, err := b.DeleteOffsets(t.Context(), "g", []log.Partition{{Topic: "t"}, {Topic: "u"}})
	wantErr(t, "delete offsets", err, nil)
	if len(refused) != 1 {
		t.Errorf("refused %v", refused)
	}
	wantErr(t, "delete offsets of a topic subscribed to", refused[log.Partition{Topic: "t"}], log.ErrSubscribed)
	_, err = b.DeleteOffsets(t.Context(), "none", nil)
	wantErr(t, "delete offsets of no group", err, log.ErrUnknownGroup)
	b.CheckMember(log.GroupMember{Group: "none", MemberID: "m", Generation: 3}, func(err error) {
		wantErr(t, "check of who has no group", err, log.ErrIllegalGen)
	})
}

// TestGroupMemberNeverSyncs has a member that lives on and never asks for its
// assignment, which somebody else must get.
func TestGroupMemberNeverSyncs(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	one.join()
	two.join()
	b.clock.advance(time.Second)
	one.sync()
	if b.state() != log.GroupStable {
		t.Fatalf("state %s", b.state())
	}
	for range 6 {
		b.clock.advance(5 * time.Second)
		_, _ = b.Heartbeat(one.who()), b.Heartbeat(two.who())
	}
	wantErr(t, "the others", b.Heartbeat(one.who()), log.ErrRebalancing)
	wantErr(t, "who never synced", b.Heartbeat(two.who()), log.ErrUnknownMember)
	one.join()
	one.sync()
	for range 20 { // nobody who has synced is sent away
		b.clock.advance(5 * time.Second)
		wantErr(t, "who has synced", b.Heartbeat(one.who()), nil)
	}
}

// TestGroupCommitsOfNobody commits without a generation.
func TestGroupCommitsOfNobody(t *testing.T) {
	b := newGroupBench(t)
	nobody := []log.GroupMember{
		{Group: "g", Generation: -1}, {Group: "g", Generation: -1, MemberID: "m"}, {Group: "g", Generation: -1, InstanceID: "i"},
	}
	commit := func(who log.GroupMember) (err, txnErr error) {
		b.CommitOffsets(who, map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: 5}}, func(e error) { err = e })
		b.CheckMember(who, func(e error) { txnErr = e })
		return err, txnErr
	}
	for _, who := range nobody {
		err, txnErr := commit(who)
		wantErr(t, "of an empty group", err, nil)
		wantErr(t, "in a transaction, of an empty group", txnErr, nil)
	}
	b.stable(b.player("one"))
	for i, who := range nobody {
		err, txnErr := commit(who)
		wantErr(t, "of a group with members", err, log.ErrUnknownMember)
		if i == 0 { // before version 3 members do not say who they are
			wantErr(t, "in a transaction, by nobody", txnErr, nil)
		} else {
			wantErr(t, "in a transaction, by somebody else", txnErr, log.ErrUnknownMember)
		}
	}
}

// TestGroupInvitedIsNoMember deletes a group that somebody is about to join.
func TestGroupInvitedIsNoMember(t *testing.T) {
	b := newGroupBench(t)
	one := b.player("one")
	one.request.NeedID = true
	wantErr(t, "join", one.join().lastJoin().Err, log.ErrMemberIDRequired)
	wantErr(t, "delete", b.DeleteGroup(t.Context(), "g"), nil)
	wantErr(t, "join of a group that is gone", one.join().lastJoin().Err, log.ErrUnknownMember)
	if len(b.groups) != 0 || b.bytes != 0 {
		t.Errorf("%d groups of %d bytes are left", len(b.groups), b.bytes)
	}
}

// TestGroupBeginsWithItsOffsets holds that a transaction's offsets make a group, and
// the question whether they may be kept does not.
func TestGroupBeginsWithItsOffsets(t *testing.T) {
	b := newGroupBench(t)
	b.CheckMember(log.GroupMember{Group: "g", Generation: -1}, func(err error) { wantErr(t, "check", err, nil) })
	if len(b.groups) != 0 {
		t.Error("a group of offsets that were never kept")
	}
	b.KeptOffsets("g")
	b.KeptOffsets("g")
	if got := b.state(); got != log.GroupEmpty {
		t.Errorf("state %s", got)
	}
	if b.store.states["g"] == nil {
		t.Error("nothing is stored that the offsets could expire by")
	}
}

// TestGroupLeaderLeaves holds that somebody who has been there before leads then,
// and that assignments stay visible until there are new ones.
func TestGroupLeaderLeaves(t *testing.T) {
	b := newGroupBench(t)
	one, two := b.player("one"), b.player("two")
	b.stable(one, two)
	leader, other := one, two
	if two.lastJoin().Leader == two.request.MemberID {
		leader, other = two, one
	}
	wantErr(t, "leave", b.LeaveGroup("g", []log.GroupMember{leader.who()})[0], nil)
	info, err := b.DescribeGroup(t.Context(), "g")
	if err != nil || len(info.Members) != 1 || string(info.Members[0].Assignment) != "work of "+other.request.MemberID {
		t.Errorf("while the group rebalances: %+v, %v", info, err)
	}
	b.player("three").join()
	other.join()
	if got := other.lastJoin(); got.Err != nil || got.Leader != other.request.MemberID {
		t.Errorf("joined again: %+v", got)
	}
}

// TestGroupOffsetsInTransaction holds that what a member of one generation keeps
// for a transaction comes before anybody learns of the next generation: whoever
// goes on with its partitions must find that it is pending.
func TestGroupOffsetsInTransaction(t *testing.T) {
	b := newGroupBench(t)
	one := b.player("one")
	b.stable(one)
	var order []string
	b.JoinGroup(log.JoinGroup{GroupMember: log.GroupMember{Generation: -1}}, func(log.JoinedGroup) {
		// Whatever happens now is told once this has returned.
		b.CheckMember(one.who(), func(err error) { order = append(order, fmt.Sprint("kept ", err)) })
		b.JoinGroup(one.request, func(j log.JoinedGroup) { order = append(order, fmt.Sprint("generation ", j.Generation)) })
		b.CheckMember(one.who(), func(err error) { order = append(order, fmt.Sprint("late ", errors.Is(err, log.ErrIllegalGen))) })
	})
	if want := []string{"kept <nil>", "generation 2", "late true"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
}

func TestGroupProtocolChoice(t *testing.T) {
	b := newGroupBench(t)
	protocols := func(names ...string) (list []log.GroupProtocol) {
		for _, n := range names {
			list = append(list, log.GroupProtocol{Name: n, Metadata: []byte(n)})
		}
		return list
	}
	one, two, three := b.player("one"), b.player("two"), b.player("three")
	one.request.Protocols = protocols("sticky", "range")
	two.request.Protocols = protocols("range", "sticky")
	three.request.Protocols = protocols("own", "range", "sticky")
	b.stable(one, two, three)
	if got := one.lastJoin().Protocol; got != "range" {
		t.Errorf("chosen %s, want the one with two votes", got)
	}
}

func TestGroupOffsetsExpire(t *testing.T) {
	b := newGroupBench(t)
	one := b.player("one")
	b.stable(one)
	_ = one.commit(5)
	for range 8 * 24 * 60 * 7 { // alive for eight days
		b.clock.advance(9 * time.Second)
		_ = b.Heartbeat(one.who())
	}
	if len(b.store.offsets["g"]) != 1 {
		t.Fatal("the offsets of a living group are gone")
	}
	b.LeaveGroup("g", []log.GroupMember{one.who()})
	b.clock.advance(6 * 24 * time.Hour)
	if len(b.store.offsets["g"]) != 1 {
		t.Fatal("offsets are gone before the retention's time")
	}
	b.Close()
	b.open() // a restart changes nothing
	b.clock.advance(25 * time.Hour)
	if len(b.store.offsets["g"]) != 0 || b.state() != log.GroupDead {
		t.Errorf("after the retention's time: offsets %v, state %s", b.store.offsets["g"], b.state())
	}
	// Offsets committed past the coordinator, by the engine, never expire.
	b.store.StoreOffsets("query", map[log.Partition]log.GroupOffset{{Topic: "t"}: {}}, func(error) {})
	b.clock.advance(30 * 24 * time.Hour)
	if len(b.store.offsets["query"]) != 1 {
		t.Error("a query's offsets have expired")
	}
}

// TestGroupComesBackWhileExpiring commits while the group's offsets expire: it is
// a group again, whose offsets will expire one day.
func TestGroupComesBackWhileExpiring(t *testing.T) {
	b := newGroupBench(t)
	nobody := log.GroupMember{Group: "g", Generation: -1}
	commit := func() {
		b.CommitOffsets(nobody, map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: 5}}, func(err error) { wantErr(t, "commit", err, nil) })
	}
	commit()
	b.clock.advance(7 * 24 * time.Hour)
	b.store.expiring = func() {
		b.store.expiring = nil
		commit()
	}
	b.clock.advance(time.Hour)
	if b.store.expiring != nil {
		t.Fatal("nothing has expired")
	}
	if len(b.store.offsets["g"]) != 1 || b.store.states["g"] == nil || b.state() != log.GroupEmpty {
		t.Fatalf("offsets %v, state %q, the group is %s", b.store.offsets["g"], b.store.states["g"], b.state())
	}
	b.clock.advance(8 * 24 * time.Hour)
	if len(b.store.offsets) != 0 || len(b.store.states) != 0 || b.state() != log.GroupDead {
		t.Errorf("after the retention's time: offsets %v, states %q, the group is %s", b.store.offsets, b.store.states, b.state())
	}
}

// TestExpireOffsets holds what the log lets expire of a group's offsets.
func TestExpireOffsets(t *testing.T) {
	clock := newFakeClock()
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.Clock = clock })
	if _, err := l.CreateTopic(ctx, "t", 3, nil); err != nil {
		t.Fatal(err)
	}
	p, err := l.InitProducer(ctx, "w", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	writer := log.TxnProducer{TransactionalID: "w", Producer: p}
	at := func(i int32) map[log.Partition]log.GroupOffset {
		return map[log.Partition]log.GroupOffset{{Topic: "t", Index: i}: {Offset: 5}}
	}
	ok := func(err error) { wantErr(t, "storing", err, nil) }
	expire := func(want bool, left int) {
		t.Helper()
		gone, err := l.ExpireOffsets(ctx, "g", clock.Now().UnixMilli())
		offsets, _, _ := l.GroupOffsets(ctx, "g")
		if err != nil || gone != want || len(offsets) != left {
			t.Errorf("gone %v, %d offsets, %v; want %v, %d", gone, len(offsets), err, want, left)
		}
	}
	l.StoreOffsets("g", at(0), ok)
	clock.advance(time.Second)
	l.StoreOffsets("g", at(1), ok)
	l.TxnOffsets(writer, "g", at(2), true, ok)
	expire(false, 2)
	if _, err := l.EndTxn(ctx, writer, true, false); err != nil {
		t.Fatal(err)
	}
	expire(false, 2) // of three the first is old
	l.queue.mu.Lock()
	expire(false, 2) // none is, which is seen without the committer
	l.queue.mu.Unlock()
	clock.advance(time.Second)
	expire(true, 0)
	if stored, _ := l.StoredGroups(ctx); len(stored) != 0 {
		t.Errorf("groups %v", stored)
	}
	expire(true, 0)
}

// TestGroupRandom plays random moves and holds what must always be so: at most
// one generation is current, a stable group's members have distinct assignments,
// and everybody alive is in a stable group in the end.
func TestGroupRandom(t *testing.T) {
	for seed := range uint64(300) {
		b := newGroupBench(t)
		rnd := seed*2 + 1
		next := func(n uint64) uint64 {
			rnd ^= rnd << 13
			rnd ^= rnd >> 7
			rnd ^= rnd << 17
			return rnd % n
		}
		players := make([]*player, 4)
		for i := range players {
			players[i] = b.player(fmt.Sprint("p", i))
			if next(3) == 0 {
				players[i].request.InstanceID = fmt.Sprint("i", i)
			}
			players[i].request.NeedID = next(2) == 0
		}
		for range 60 {
			p := players[next(4)]
			switch next(6) {
			case 0:
				p.join()
			case 1:
				p.sync()
			case 2:
				_ = b.Heartbeat(p.who())
			case 3:
				b.clock.advance(time.Duration(next(8000)) * time.Millisecond)
			case 4:
				_ = p.commit(1)
			case 5:
				if next(4) == 0 {
					b.LeaveGroup("g", []log.GroupMember{p.who()})
					p.request.MemberID = ""
				}
			}
			b.check(seed)
		}
		b.settle(players)
		info, err := b.DescribeGroup(t.Context(), "g")
		if err != nil || info.State != log.GroupStable || len(info.Members) != 4 {
			t.Fatalf("seed %d: in the end %+v, %v", seed, info, err)
		}
	}
}

func (b *groupBench) check(seed uint64) {
	info, err := b.DescribeGroup(b.t.Context(), "g")
	if err != nil || info.State != log.GroupStable {
		return
	}
	seen := map[string]bool{}
	for _, m := range info.Members {
		if a := string(m.Assignment); a != "" && seen[a] {
			b.t.Fatalf("seed %d: assignment %q given twice", seed, a)
		}
		seen[string(m.Assignment)] = true
	}
}

// settle lets the players behave: whoever is told to join joins, whoever has
// joined syncs.
func (b *groupBench) settle(players []*player) {
	for range 40 {
		b.clock.advance(time.Second)
		for _, p := range players {
			err := b.Heartbeat(p.who())
			switch {
			case err == nil:
				if p.syncedGen != p.lastJoin().Generation {
					p.sync()
				}
			case errors.Is(err, log.ErrUnknownMember), errors.Is(err, log.ErrFencedInstance):
				p.request.MemberID = cmp.Or(b.invitedID(p), "")
				p.join()
			default:
				p.join()
			}
		}
	}
}

// invitedID is the member id that p was given and has not joined with yet.
func (b *groupBench) invitedID(p *player) string {
	if g := b.groups["g"]; g != nil {
		if _, ok := g.invited[p.request.MemberID]; ok {
			return p.request.MemberID
		}
	}
	return ""
}
