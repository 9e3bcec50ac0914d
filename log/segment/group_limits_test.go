package segment

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"karst/log"
)

// counted holds that the coordinator's count of bytes is what its groups take.
func (b *groupBench) counted() {
	b.t.Helper()
	n := 0
	for _, g := range b.groups {
		for _, m := range g.members {
			n += m.bytes()
		}
		for id := range g.invited {
			n += memberBytes + len(id)
		}
	}
	if n != b.bytes {
		b.t.Fatalf("members take %d bytes, %d are counted", n, b.bytes)
	}
}

// TestMemberBytesLimit bounds what members say of themselves, in a group and in
// all; those that are in go on.
func TestMemberBytesLimit(t *testing.T) {
	b := newGroupBench(t)
	b.opts.MaxGroupBytes, b.opts.MaxBytes = 20_000, 50_000
	ann := b.player("ann")
	b.stable(ann)
	big := func(group string) *player {
		p := b.player("eve")
		p.request.Group, p.request.Protocols[0].Metadata = group, bytes.Repeat([]byte("m"), 15_000)
		return p
	}
	if p := big("g").join(); len(p.joined) > 0 { // else it waits for the others
		t.Errorf("a first large member: %v", p.lastJoin().Err)
	}
	if err := big("g").join().lastJoin().Err; !errors.Is(err, log.ErrGroupFull) || !strings.Contains(err.Error(), "20000") {
		t.Errorf("a second large member: %v", err)
	}
	refused := 0
	for i := range 20 {
		if p := big(fmt.Sprint("h", i)).join(); len(p.joined) > 0 && errors.Is(p.lastJoin().Err, log.ErrGroupFull) {
			refused++
		}
	}
	b.counted()
	if refused != 18 || b.bytes > 50_000 {
		t.Errorf("%d groups refused, %d bytes are kept", refused, b.bytes)
	}
	if err := ann.join().lastJoin().Err; err != nil && !errors.Is(err, log.ErrRebalancing) {
		t.Errorf("the member that was there: %v", err)
	}
	b.counted()
	b.clock.advance(60 * 1e9) // all of them time out
	if b.counted(); b.bytes != 0 {
		t.Errorf("%d bytes are kept of nobody", b.bytes)
	}
}

// TestInvitationsLimit asks for member ids and never comes back.
func TestInvitationsLimit(t *testing.T) {
	b := newGroupBench(t)
	b.opts.MaxBytes = 1 << 20
	refused := 0
	for i := range 10_000 {
		p := b.player(strings.Repeat("c", 5000))
		p.request.Group, p.request.NeedID = fmt.Sprint("g", i%100), true
		if errors.Is(p.join().lastJoin().Err, log.ErrGroupFull) {
			refused++
		}
	}
	b.counted()
	if refused < 9000 || b.bytes > 1<<20 {
		t.Errorf("%d refused, %d bytes are kept", refused, b.bytes)
	}
	b.clock.advance(60 * 1e9)
	if b.bytes != 0 || len(b.groups) != 0 {
		t.Errorf("%d groups with %d bytes are left", len(b.groups), b.bytes)
	}
}

// TestAssignmentLimit has a leader hand out more than a group may keep.
func TestAssignmentLimit(t *testing.T) {
	b := newGroupBench(t)
	b.opts.MaxGroupBytes = 20_000
	ann := b.player("ann").join()
	b.clock.advance(1e9)
	s := log.SyncGroup{GroupMember: ann.who(), Assignments: map[string][]byte{ann.request.MemberID: make([]byte, 30_000)}}
	var got log.SyncedGroup
	b.SyncGroup(s, func(r log.SyncedGroup) { got = r })
	if !errors.Is(got.Err, log.ErrGroupFull) {
		t.Errorf("%v", got.Err)
	}
	if ann.sync(); ann.synced[0].Err != nil {
		t.Errorf("then a small one: %v", ann.synced[0].Err)
	}
	b.counted()
}

// TestMemberIDsAndProtocols bounds ids and the number of protocols.
func TestMemberIDsAndProtocols(t *testing.T) {
	b := newGroupBench(t)
	long := strings.Repeat("x", maxIDBytes+1)
	group, instance, many := b.player("a"), b.player("b"), b.player("c")
	group.request.Group, instance.request.InstanceID = long, long
	for i := range maxProtocols + 1 {
		many.request.Protocols = append(many.request.Protocols, log.GroupProtocol{Name: fmt.Sprint(i)})
	}
	for _, x := range []struct {
		p    *player
		want error
	}{{group, log.ErrInvalidGroup}, {instance, log.ErrInvalidRequest}, {many, log.ErrProtocolMismatch}} {
		if err := x.p.join().lastJoin().Err; !errors.Is(err, x.want) {
			t.Errorf("%v, want %v", err, x.want)
		}
	}
	if err := group.commit(1); !errors.Is(err, log.ErrInvalidGroup) && !errors.Is(err, log.ErrIllegalGen) {
		t.Errorf("committing: %v", err)
	}
	if len(b.groups) != 0 {
		t.Errorf("%d groups are left", len(b.groups))
	}
}
