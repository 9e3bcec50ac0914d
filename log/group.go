package log

import (
	"context"
	"time"
)

// A GroupCoordinator runs groups by Kafka's classic protocol: members join, one
// of them, the leader, assigns, all sync, then they send heartbeats until
// somebody comes or goes. It interprets nothing of what members tell each other
// but, for Kafka's own consumer protocol, the topics subscribed to.
//
// All methods may be called from any goroutine. A done function is called once,
// from any goroutine or within the call, and must not block. Byte slices handed
// in are kept and must not change; those handed out are read only.
type GroupCoordinator interface {
	// JoinGroup makes the caller a member of the group's next generation and calls
	// done when that has begun, which takes until all members have joined again or
	// their rebalance timeout is over.
	JoinGroup(j JoinGroup, done func(JoinedGroup))
	// SyncGroup calls done with the caller's assignment once the leader has given
	// it with its own SyncGroup.
	SyncGroup(s SyncGroup, done func(SyncedGroup))
	// Heartbeat says that a member is alive; ErrRebalancing tells it to join again.
	Heartbeat(m GroupMember) error
	// LeaveGroup removes members, named by their ids or instance ids, and returns
	// an error or nil for each.
	LeaveGroup(group string, members []GroupMember) []error
	// CommitOffsets stores offsets of the group, whose member m must be: or
	// nobody's, of generation -1, if the group has no members. Without offsets it
	// only says whether m may.
	CommitOffsets(m GroupMember, offsets map[Partition]GroupOffset, done func(error))
	// CheckMember calls then with why m may not commit offsets in a transaction, or
	// nil; an m with neither member id nor generation always may. Whoever is told
	// later that m's generation is over is told after then has returned, which must
	// not block: so no offsets of a generation come after those that the next one
	// begins with.
	CheckMember(m GroupMember, then func(error))
	// KeptOffsets says that offsets were kept for a group in a transaction, so that
	// it begins to exist with them if it did not before.
	KeptOffsets(group string)
	// DescribeGroup describes a group; ErrUnknownGroup if there is none.
	DescribeGroup(ctx context.Context, group string) (GroupInfo, error)
	// ListGroups lists all groups by id, without members.
	ListGroups(ctx context.Context) ([]GroupInfo, error)
	// DeleteGroup forgets a group without members: ErrNonEmptyGroup.
	DeleteGroup(ctx context.Context, group string) error
	// DeleteOffsets forgets a group's offsets, but those of topics it is subscribed
	// to: those partitions are returned with ErrSubscribed.
	DeleteOffsets(ctx context.Context, group string, partitions []Partition) (map[Partition]error, error)
}

// A GroupMember is who speaks to the coordinator.
type GroupMember struct {
	Group      string
	MemberID   string
	InstanceID string // of a static member, "" of a dynamic one
	Generation int32  // -1 for none
}

// A GroupProtocol is a way to assign that a member supports, with what it tells
// the leader.
type GroupProtocol struct {
	Name     string
	Metadata []byte
}

// A JoinGroup asks to be a member of the next generation.
type JoinGroup struct {
	GroupMember      // MemberID is "" the first time
	ClientID         string
	ClientHost       string
	SessionTimeout   time.Duration // without a heartbeat, until the member is removed
	RebalanceTimeout time.Duration // for the others to join again
	ProtocolType     string
	Protocols        []GroupProtocol // by preference
	// NeedID answers a first join with ErrMemberIDRequired and the id to join
	// with, so that a client whose connection breaks leaves no member behind.
	NeedID bool
	// CanSkip says that the caller understands JoinedGroup.SkipAssignment.
	CanSkip bool
}

// A JoinedGroup is a generation that has begun.
type JoinedGroup struct {
	Err          error
	MemberID     string // given, even with ErrMemberIDRequired
	Generation   int32
	ProtocolType string
	Protocol     string
	Leader       string // member id
	// SkipAssignment tells a leader that came back that the assignment stands.
	SkipAssignment bool
	Members        []JoinedMember // for the leader
}

// A JoinedMember is what the leader needs to know of a member.
type JoinedMember struct {
	MemberID   string
	InstanceID string
	Metadata   []byte
}

// A SyncGroup asks for the caller's assignment and, from the leader, gives all.
type SyncGroup struct {
	GroupMember
	ProtocolType string // "" is not checked
	Protocol     string // "" is not checked
	Assignments  map[string][]byte
}

// A SyncedGroup is a member's assignment.
type SyncedGroup struct {
	Err          error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// A GroupState is the state of a group.
type GroupState string

// The states there are, as Kafka names them.
const (
	GroupEmpty      GroupState = "Empty"
	GroupPreparing  GroupState = "PreparingRebalance"
	GroupCompleting GroupState = "CompletingRebalance"
	GroupStable     GroupState = "Stable"
	GroupDead       GroupState = "Dead"
)

// A GroupInfo describes a group.
type GroupInfo struct {
	ID           string
	State        GroupState
	ProtocolType string
	Protocol     string
	Members      []GroupMemberInfo
}

// A GroupMemberInfo describes a member; its metadata are there while the group is
// stable, its last assignment also while the next one is worked out.
type GroupMemberInfo struct {
	MemberID, InstanceID string
	ClientID, ClientHost string
	Metadata, Assignment []byte
}
