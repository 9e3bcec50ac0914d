package segment

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"karst/log"
)

// A GroupStore is where Groups keeps offsets and the state of groups.
type GroupStore interface {
	log.OffsetStore
	DeleteGroup(ctx context.Context, group string) error
	// ExpireOffsets forgets those offsets of a group that were committed before a
	// time, ms, and the group if none are left. What was handed to the store before
	// counts, durable or not; while an open transaction has offsets in store, nothing
	// goes.
	ExpireOffsets(ctx context.Context, group string, before int64) (gone bool, err error)
}

// GroupOptions of the group coordinator.
type GroupOptions struct {
	Store GroupStore
	Clock log.Clock
	Rand  func() uint64 // for member ids; not to be foreseen

	// InitialDelay is how long the first rebalance of a group waits for more
	// members; 200 ms if 0.
	InitialDelay time.Duration
	// MinSession and MaxSession bound session timeouts; 6 s and 30 min if 0.
	MinSession, MaxSession time.Duration
	// OffsetRetention is how long the offsets of a group without members are
	// kept; 7 days if 0.
	OffsetRetention time.Duration
	MaxGroups       int // 10,000 if 0
	MaxMembers      int // of a group; 1,000 if 0
	// MaxGroupBytes bounds what the members of a group say of themselves, of all
	// groups together MaxBytes; 4 MiB and 128 MiB if 0.
	MaxGroupBytes, MaxBytes int
}

// maxProtocols bounds how many assignment protocols a member may know; clients
// know one or two.
const maxProtocols = 32

func (o *GroupOptions) setDefaults() {
	o.InitialDelay = cmp.Or(o.InitialDelay, 200*time.Millisecond)
	o.MinSession = cmp.Or(o.MinSession, 6*time.Second)
	o.MaxSession = cmp.Or(o.MaxSession, 30*time.Minute)
	o.OffsetRetention = cmp.Or(o.OffsetRetention, 7*24*time.Hour)
	o.MaxGroups = cmp.Or(o.MaxGroups, 10_000)
	o.MaxMembers = cmp.Or(o.MaxMembers, 1000)
	o.MaxGroupBytes = cmp.Or(o.MaxGroupBytes, 4<<20)
	o.MaxBytes = cmp.Or(o.MaxBytes, 128<<20)
}

// Groups is the group coordinator: it implements log.GroupCoordinator over an
// OffsetStore.
//
//	             join                     all joined, or time over
//	Empty ──────────────> Preparing ────────────────────────────> Completing
//	  ^                     ^  ^                                      │ leader has synced,
//	  │ last one left       │  └──────── join, leave, expiry ─────────┤ state is durable
//	  └─────────────────────┴──────────── join, leave, expiry ──── Stable
//
// One mutex guards all groups. What a step tells others (answers, writes to the
// store) goes to the outbox and is done in order after the mutex is free, by
// whoever holds it then: see unlock.
type Groups struct {
	opts GroupOptions

	mu       sync.Mutex
	groups   map[string]*consumerGroup
	bytes    int // of all groups' members
	outbox   []func()
	draining bool // somebody works the outbox
	closed   bool
	sweep    func() bool // stops the timer of the offsets' expiry
}

var _ log.GroupCoordinator = (*Groups)(nil)

// NewGroups returns the coordinator of the groups that o.Store has. Members that
// were there when it was last used have their session timeout to come back.
func NewGroups(o GroupOptions) (*Groups, error) {
	o.setDefaults()
	g := &Groups{opts: o, groups: map[string]*consumerGroup{}}
	stored, err := o.Store.StoredGroups(context.Background())
	if err != nil {
		return nil, fmt.Errorf("reading the groups: %w", err)
	}
	g.mu.Lock()
	defer g.unlock()
	for id, state := range stored {
		if err := g.load(id, state); err != nil {
			return nil, err
		}
	}
	g.scheduleSweep()
	return g, nil
}

// Close stops the timers and answers whoever waits with ErrClosed.
func (g *Groups) Close() {
	g.mu.Lock()
	defer g.unlock()
	g.closed = true
	if g.sweep != nil {
		g.sweep()
	}
	for _, gr := range g.groups {
		if gr.stopTimer != nil {
			gr.stopTimer()
		}
		for _, m := range gr.members {
			gr.answerJoin(m, log.JoinedGroup{Err: log.ErrClosed, MemberID: m.id, Generation: -1})
			gr.answerSync(m, log.SyncedGroup{Err: log.ErrClosed})
		}
	}
}

// later puts something to do into the outbox; the caller holds mu.
func (g *Groups) later(f func()) { g.outbox = append(g.outbox, f) }

// unlock works the outbox, then frees mu. While something of it is done mu is
// free, and what others, or that itself, put into the outbox meanwhile is done
// here after it.
func (g *Groups) unlock() {
	if !g.draining {
		g.draining = true
		for len(g.outbox) > 0 {
			f := g.outbox[0]
			g.outbox = g.outbox[1:]
			g.mu.Unlock()
			f()
			g.mu.Lock()
		}
		g.outbox, g.draining = nil, false
	}
	g.mu.Unlock()
}

// find returns a group that members may speak to.
func (g *Groups) find(id string) (*consumerGroup, error) {
	if g.closed {
		return nil, log.ErrClosed
	}
	if gr := g.groups[id]; gr != nil {
		return gr, nil
	}
	return nil, fmt.Errorf("%w: the group %q has none", log.ErrUnknownMember, id)
}

// mayMake says why a group that there is not can't be.
func (g *Groups) mayMake(id string) error {
	if err := checkID("group id", id, log.ErrInvalidGroup); err != nil {
		return err
	}
	if len(g.groups) >= g.opts.MaxGroups {
		return fmt.Errorf("%w: there are %d groups, as many as may be", log.ErrGroupFull, len(g.groups))
	}
	return nil
}

// make returns the group, a new one if there is none.
func (g *Groups) make(id string) (*consumerGroup, error) {
	if gr := g.groups[id]; gr != nil {
		return gr, nil
	}
	if err := g.mayMake(id); err != nil {
		return nil, err
	}
	return g.add(id), nil
}

func (g *Groups) add(id string) *consumerGroup {
	gr := newConsumerGroup(g, id)
	g.groups[id] = gr
	return gr
}

// keep makes a group that is used to keep offsets, if there is none, and stores
// that it is one, so that its offsets expire one day.
func (g *Groups) keep(id string) error {
	if err := g.mayKeep(id); err != nil {
		return err
	}
	gr, err := g.make(id)
	if err == nil {
		gr.keep()
	}
	return err
}

// mayKeep says why no offsets can be kept for a group by who is no member.
func (g *Groups) mayKeep(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", log.ErrInvalidGroup)
	case g.groups[id] == nil:
		return g.mayMake(id)
	}
	return nil
}

// keep stores that the group keeps offsets.
func (g *consumerGroup) keep() {
	if !g.kept || g.expiring {
		g.kept, g.expiring = true, false
		g.save(func(error) {}) // goes with the offsets that follow
	}
}

// Heartbeat implements log.GroupCoordinator.
func (g *Groups) Heartbeat(who log.GroupMember) error {
	g.mu.Lock()
	defer g.unlock()
	gr, m, err := g.member(who)
	if err != nil {
		return err
	}
	gr.touch(m)
	if gr.state == log.GroupPreparing {
		return log.ErrRebalancing
	}
	return nil
}

// member returns the member that who is, of the current generation.
func (g *Groups) member(who log.GroupMember) (*consumerGroup, *member, error) {
	gr, err := g.find(who.Group)
	if err != nil {
		return nil, nil, err
	}
	m, err := gr.identify(who)
	if err != nil {
		return nil, nil, err
	}
	if who.Generation != gr.generation {
		return nil, nil, fmt.Errorf("%w: %d, which is %d", log.ErrIllegalGen, who.Generation, gr.generation)
	}
	return gr, m, nil
}

// CommitOffsets implements log.GroupCoordinator.
func (g *Groups) CommitOffsets(who log.GroupMember, offsets map[log.Partition]log.GroupOffset, done func(error)) {
	g.mu.Lock()
	defer g.unlock()
	m, err := g.checkCommit(who, len(offsets) > 0)
	if err != nil || len(offsets) == 0 {
		g.later(func() { done(err) })
		return
	}
	if m != nil {
		gr := g.groups[who.Group]
		m.storing++
		committed := done
		done = func(err error) {
			g.stored(gr, m)
			committed(err)
		}
	}
	g.later(func() { g.opts.Store.StoreOffsets(who.Group, offsets, done) })
}

// stored begins a member's session anew whose commit is about to be answered: on a
// slow disk it may wait for that, with its next heartbeat, for longer than a session.
func (g *Groups) stored(gr *consumerGroup, m *member) {
	g.mu.Lock()
	defer g.unlock()
	m.storing--
	if gr.touch(m); gr.members[m.id] == m && !g.closed {
		gr.rearm()
	}
}

// checkCommit says whether who may commit, and returns the member that it is. It
// makes the group of a client that uses it to keep offsets and nothing else, if
// there are any.
func (g *Groups) checkCommit(who log.GroupMember, any bool) (*member, error) {
	gr := g.groups[who.Group]
	switch {
	case g.closed:
		return nil, log.ErrClosed
	case who.Generation < 0 && (gr == nil || len(gr.members) == 0):
		if !any {
			return nil, g.mayKeep(who.Group)
		}
		return nil, g.keep(who.Group)
	case gr == nil:
		return nil, fmt.Errorf("%w: the group %q has no members", log.ErrIllegalGen, who.Group)
	}
	_, m, err := g.member(who)
	if err != nil {
		return nil, err
	}
	if gr.state == log.GroupCompleting {
		return nil, log.ErrRebalancing
	}
	gr.touch(m)
	return m, nil
}

// CheckMember implements log.GroupCoordinator.
func (g *Groups) CheckMember(who log.GroupMember, then func(error)) {
	g.mu.Lock()
	defer g.unlock()
	err := g.checkTxnCommit(who)
	g.later(func() { then(err) })
}

// KeptOffsets implements log.GroupCoordinator. What there is already can't be
// refused any more, so the group is made whatever the limit on them.
func (g *Groups) KeptOffsets(id string) {
	g.mu.Lock()
	defer g.unlock()
	if g.closed {
		return
	}
	gr := g.groups[id]
	if gr == nil {
		gr = g.add(id)
	}
	gr.keep()
}

// checkTxnCommit says whether who may commit in a transaction. It makes no group:
// the transaction has yet to be looked at.
func (g *Groups) checkTxnCommit(who log.GroupMember) error {
	gr := g.groups[who.Group]
	switch {
	case g.closed:
		return log.ErrClosed
	case who.Generation < 0 && (who.MemberID == "" && who.InstanceID == "" || gr == nil || len(gr.members) == 0):
		return g.mayKeep(who.Group)
	case gr == nil:
		return fmt.Errorf("%w: the group %q has no members", log.ErrIllegalGen, who.Group)
	}
	_, m, err := g.member(who)
	if err == nil {
		gr.touch(m)
	}
	return err
}

// DescribeGroup implements log.GroupCoordinator.
func (g *Groups) DescribeGroup(_ context.Context, id string) (log.GroupInfo, error) {
	g.mu.Lock()
	defer g.unlock()
	gr := g.groups[id]
	if gr == nil {
		return log.GroupInfo{ID: id, State: log.GroupDead}, fmt.Errorf("%w: %q", log.ErrUnknownGroup, id)
	}
	info := gr.info()
	for _, m := range gr.sorted() {
		x := log.GroupMemberInfo{MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, Assignment: m.assignment}
		if gr.state == log.GroupStable {
			x.Metadata = m.metadata(gr.protocol)
		}
		info.Members = append(info.Members, x)
	}
	return info, nil
}

// ListGroups implements log.GroupCoordinator. Groups whose offsets were stored
// past the coordinator, by transactions, are among them.
func (g *Groups) ListGroups(ctx context.Context) ([]log.GroupInfo, error) {
	stored, err := g.opts.Store.StoredGroups(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.unlock()
	all := map[string]log.GroupInfo{}
	for id := range stored {
		all[id] = log.GroupInfo{ID: id, State: log.GroupEmpty}
	}
	for id, gr := range g.groups {
		all[id] = gr.info()
	}
	out := make([]log.GroupInfo, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[id])
	}
	return out, nil
}

// DeleteGroup implements log.GroupCoordinator.
func (g *Groups) DeleteGroup(ctx context.Context, id string) error {
	stored, err := g.opts.Store.StoredGroups(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	gr := g.groups[id]
	_, known := stored[id]
	switch {
	case gr == nil && !known:
		err = fmt.Errorf("%w: %q", log.ErrUnknownGroup, id)
	case gr != nil && len(gr.members) > 0:
		err = fmt.Errorf("%w: %q has %d", log.ErrNonEmptyGroup, id, len(gr.members))
	case gr != nil:
		gr.drop()
	}
	g.unlock()
	if err != nil || !known {
		return err
	}
	return g.opts.Store.DeleteGroup(ctx, id)
}

// DeleteOffsets implements log.GroupCoordinator.
func (g *Groups) DeleteOffsets(ctx context.Context, id string, partitions []log.Partition) (map[log.Partition]error, error) {
	stored, err := g.opts.Store.StoredGroups(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	gr := g.groups[id]
	_, known := stored[id]
	refused := map[log.Partition]error{}
	var rest []log.Partition
	switch {
	case gr == nil && !known:
		err = fmt.Errorf("%w: %q", log.ErrUnknownGroup, id)
	case gr != nil && len(gr.members) > 0 && gr.protocolType != consumerProtocol:
		err = fmt.Errorf("%w: %q has %d", log.ErrNonEmptyGroup, id, len(gr.members))
	default:
		for _, p := range partitions {
			if gr != nil && gr.subscribed(p.Topic) {
				refused[p] = fmt.Errorf("%w: %s", log.ErrSubscribed, p.Topic)
			} else {
				rest = append(rest, p)
			}
		}
	}
	g.unlock()
	if err != nil || len(rest) == 0 || !known {
		return refused, err
	}
	return refused, g.opts.Store.DeleteOffsets(ctx, id, rest)
}
