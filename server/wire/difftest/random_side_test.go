package difftest

import (
	"fmt"
	"testing"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// How many of each there are in a random conversation.
const (
	topicSlots    = 3
	groupSlots    = 2
	memberSlots   = 3 // of each group
	producerSlots = 4 // the first has no transactional id
)

// A side is a random conversation with one broker, and what was learnt in it.
type side struct {
	*session
	topicIDs  [topicSlots][][16]byte // newest first
	parts     [topicSlots]int32
	groups    [groupSlots]groupSide
	producers [producerSlots]producerSide
	trimmed   map[log.Partition]bool // partitions that have lost records
}

// A groupSide is a group as its members know it.
type groupSide struct {
	members [memberSlots]memberSide
	kind    string // its protocol type
	chosen  string // protocol
}

// A memberSide is a member of a group; its id is "" if it is none.
type memberSide struct {
	id, instance string
	generation   int32
	leader       bool
	ids          int // it had
}

// A producerSide is a producer; what it was called by last comes first.
type producerSide struct {
	names []log.Producer
	next  map[log.Partition]int32 // sequence
}

func newSide(t *testing.T, addr string, game int) *side {
	s := &session{T: t, addr: addr, prefix: fmt.Sprintf("r%d-", game), conns: map[string]*conn{}, topics: map[string][16]byte{}, onlyOwn: true}
	s.dump = &dumper{seen: map[string]map[string]string{}, prefix: s.prefix, out: map[string]string{}, exact: true}
	x := &side{session: s, trimmed: map[log.Partition]bool{}}
	for slot := range topicSlots + 1 { // ids of no topic
		for age := range 2 {
			s.dump.symbol("topic", fmt.Sprint(x.topicID(slot, age)))
		}
	}
	return x
}

func (s *side) close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// ask sends a request and returns the answer, nil if there is none.
func ask[R kmsg.Response](s *side, version int16, req kmsg.Request) R {
	s.Helper()
	resp, _ := s.do(version, req).(R)
	return resp
}

// topicName is the name of a slot's topics; the slot behind the last has none.
func (s *side) topicName(slot int) string {
	if slot >= topicSlots {
		return s.name("nobody")
	}
	return s.name(fmt.Sprintf("t%d", slot))
}

// topicID is the id of a slot's topic of so many times ago, or one of no topic.
func (s *side) topicID(slot, age int) [16]byte {
	if slot >= topicSlots || age >= len(s.topicIDs[slot]) {
		return [16]byte{9, 9, byte(slot), byte(age)}
	}
	return s.topicIDs[slot][age]
}

// producerName is what a slot's producer was called so many times ago, or somebody
// whom no broker knows.
func (s *side) producerName(slot, age int) log.Producer {
	if p := &s.producers[slot]; len(p.names) > 0 {
		return p.names[min(age, len(p.names)-1)]
	}
	return log.Producer{ID: 1<<40 + int64(slot)}
}

// txnID is the transactional id of a slot's producer, "" if it has none.
func (s *side) txnID(slot int) string {
	if slot == 0 {
		return ""
	}
	return s.name(fmt.Sprintf("txn%d", slot))
}

// learn notes a producer's new name.
func (s *side) learn(slot int, p log.Producer) {
	x := &s.producers[slot]
	if len(x.names) > 0 && x.names[0] == p {
		return
	}
	s.dump.symbol("producer", fmt.Sprint(p.ID))
	s.dump.epoch(p.ID, int64(p.Epoch))
	x.names = append([]log.Producer{p}, x.names...)
	x.next = map[log.Partition]int32{}
}

// learnMember notes that a member has got an id.
func (s *side) learnMember(group, slot int, id string) {
	m := &s.groups[group].members[slot]
	if s.dump.seen["member"] == nil {
		s.dump.seen["member"] = map[string]string{}
	}
	if s.dump.seen["member"][id] == "" {
		m.ids++
		s.dump.seen["member"][id] = fmt.Sprintf("<member %d.%d.%d>", group, slot, m.ids)
	}
}
