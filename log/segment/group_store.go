package segment

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"karst/log"
)

// A storedGroup is what is kept of a group: that of its last stable or empty
// generation. It is a file format.
type storedGroup struct {
	Generation   int32          `json:"generation"`
	ProtocolType string         `json:"protocolType,omitempty"`
	Protocol     string         `json:"protocol,omitempty"`
	Leader       string         `json:"leader,omitempty"`
	EmptySince   int64          `json:"emptySince,omitempty"` // ms
	Members      []storedMember `json:"members,omitempty"`
}

type storedMember struct {
	ID         string              `json:"id"`
	Instance   string              `json:"instance,omitempty"`
	ClientID   string              `json:"clientId,omitempty"`
	ClientHost string              `json:"clientHost,omitempty"`
	Session    int64               `json:"session"`   // ms
	Rebalance  int64               `json:"rebalance"` // ms
	Protocols  []log.GroupProtocol `json:"protocols"`
	Assignment []byte              `json:"assignment,omitempty"`
}

// save stores the group and calls stored, with Groups' mutex held, when that is
// durable or has failed.
func (g *consumerGroup) save(stored func(error)) {
	g.kept = true
	s := storedGroup{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader}
	if len(g.members) == 0 {
		s.EmptySince = g.emptySince.UnixMilli()
	}
	for _, m := range g.sorted() {
		s.Members = append(s.Members, storedMember{
			ID: m.id, Instance: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			Session: m.session.Milliseconds(), Rebalance: m.rebalance.Milliseconds(),
			Protocols: m.protocols, Assignment: m.assignment,
		})
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, numbers and bytes only
	}
	of := g.of
	of.later(func() {
		of.opts.Store.StoreGroup(g.id, text, func(err error) {
			of.mu.Lock()
			defer of.unlock()
			stored(err)
		})
	})
}

// load makes a group of what was stored. A group of offsets alone, which its
// owner has committed past the coordinator, is none of ours.
func (g *Groups) load(id string, state []byte) error {
	if state == nil {
		return nil
	}
	var s storedGroup
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("%w: state of group %q: %w", log.ErrCorrupt, id, err)
	}
	gr := newConsumerGroup(g, id)
	gr.kept = true
	gr.generation, gr.protocolType, gr.protocol, gr.leader = s.Generation, s.ProtocolType, s.Protocol, s.Leader
	if s.EmptySince > 0 {
		gr.emptySince = time.UnixMilli(s.EmptySince)
	}
	for _, x := range s.Members {
		m := &member{
			id: x.ID, instance: x.Instance, clientID: x.ClientID, clientHost: x.ClientHost,
			session: time.Duration(x.Session) * time.Millisecond, rebalance: time.Duration(x.Rebalance) * time.Millisecond,
			protocols: x.Protocols, assignment: x.Assignment,
		}
		gr.members[m.id] = m
		if m.instance != "" {
			gr.static[m.instance] = m
		}
		gr.touch(m)
	}
	if len(gr.members) > 0 {
		gr.state = log.GroupStable
	}
	g.groups[id] = gr
	gr.rearm()
	return nil
}

// sweepEvery is how often expired offsets are looked for.
const sweepEvery = 10 * time.Minute

func (g *Groups) scheduleSweep() {
	g.sweep = g.opts.Clock.AfterFunc(sweepEvery, func() {
		g.mu.Lock()
		defer g.unlock()
		if g.closed {
			return
		}
		for _, gr := range g.groups {
			if gr.state == log.GroupEmpty && len(gr.invited) == 0 {
				g.later(gr.expire)
			}
		}
		g.scheduleSweep()
	})
}

// expire forgets the offsets of an empty group that were committed, and had no
// reader, for the retention's time; the group too when none are left. It runs in
// the outbox; what is to go is decided by the store, behind the commits that are
// still on their way to it.
func (g *consumerGroup) expire() {
	limit := g.of.opts.Clock.Now().Add(-g.of.opts.OffsetRetention)
	g.of.mu.Lock()
	since, empty := g.emptySince, g.state == log.GroupEmpty && len(g.invited) == 0
	if g.protocolType == "" {
		since = time.Time{} // never had members: only the commits count
	}
	g.expiring = empty && since.Before(limit)
	due := g.expiring
	g.of.mu.Unlock()
	if !due {
		return
	}
	gone, err := g.of.opts.Store.ExpireOffsets(context.Background(), g.id, limit.UnixMilli())
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if err == nil && gone && g.expiring && g.state == log.GroupEmpty && len(g.invited) == 0 {
		g.drop()
	}
	g.expiring = false // what stays is tried again at the next sweep
}

// subscribed reports whether a member's subscription has the topic. Kafka's
// consumers put it in front of their metadata: a version, int16, and the topics,
// an int32 count of strings with int16 lengths.
func (g *consumerGroup) subscribed(topic string) bool {
	if g.protocolType != consumerProtocol {
		return false
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if slices.Contains(subscription(p.Metadata), topic) {
				return true
			}
		}
	}
	return false
}

func subscription(metadata []byte) []string {
	if len(metadata) < 6 {
		return nil
	}
	n := binary.BigEndian.Uint32(metadata[2:])
	rest := metadata[6:]
	var topics []string
	for ; n > 0 && len(rest) >= 2; n-- {
		length := int(binary.BigEndian.Uint16(rest))
		if length > len(rest)-2 {
			return nil
		}
		topics = append(topics, string(rest[2:2+length]))
		rest = rest[2+length:]
	}
	return topics
}
