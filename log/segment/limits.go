package segment

import (
	"cmp"
	"fmt"
	"slices"

	"karst/log"
)

// Clients can have the log remember things: topics, transactional ids,
// producers' sequences, offsets. Each of these has a bound in Options, so that
// neither memory nor the checkpoint grows with what clients make up. What would
// only be forgotten later anyway (idle transactional ids, idle producers) makes
// room; else what is new is refused and what is there goes on.

// maxIDBytes bounds the ids that clients choose: of transactions, groups and
// static members.
const maxIDBytes = 1 << 10

// checkID refuses an id that is too long with the error that it stands for.
func checkID(what, id string, sentinel error) error {
	if len(id) > maxIDBytes {
		return fmt.Errorf("%w: %s of %d bytes, at most %d are taken", sentinel, what, len(id), maxIDBytes)
	}
	return nil
}

// checkRoom refuses a new topic, or more partitions, beyond what there may be.
// It reads what mu guards.
func (l *Log) checkRoom(topics int, partitions int32) error {
	if len(l.topics)+topics > l.opts.MaxTopics {
		return fmt.Errorf("%w: there are %d topics, as many as may be", log.ErrLimit, len(l.topics))
	}
	if total := l.partitions + int(partitions); total > l.opts.MaxServerPartitions {
		return fmt.Errorf("%w: %d more partitions would make %d on this server, which may have %d", log.ErrLimit, partitions, total, l.opts.MaxServerPartitions)
	}
	return nil
}

// takeTxnRoom forgets the transactional ids that were unused for longest if
// there are as many as may be. Whoever comes back with one of them finds it
// unknown, as after TxnIDExpiry, and gets a new producer id.
func (l *Log) takeTxnRoom(r *request) error {
	if len(l.txns) < l.opts.MaxTxnIDs {
		return nil
	}
	idle := slices.Collect(func(yield func(*txn) bool) {
		for _, t := range l.txns {
			if t.state != log.TxnOngoing && !yield(t) {
				return
			}
		}
	})
	if len(idle) == 0 {
		return fmt.Errorf("%w: %d transactional ids have an open transaction, as many as may", log.ErrLimit, len(l.txns))
	}
	slices.SortFunc(idle, func(a, b *txn) int { return cmp.Or(cmp.Compare(a.updated, b.updated), cmp.Compare(a.id, b.id)) })
	idle = idle[:min(len(idle), l.opts.MaxTxnIDs/100+1)] // some more, so that this is rare
	l.opts.Logger.Warn("forgot transactional ids unused for long, to make room", "forgotten", len(idle), "limit", l.opts.MaxTxnIDs)
	for _, t := range idle {
		if err := l.take(r, detailOp(&txnForget{ID: t.id})); err != nil {
			return err
		}
	}
	return nil
}

// checkJoin refuses to let open transactions have more partitions and groups
// than they may.
func (l *Log) checkJoin(partitions []partitionID, groups []string) error {
	for _, g := range groups {
		if err := checkID("group id", g, log.ErrInvalidGroup); err != nil {
			return err
		}
	}
	if l.joined+len(partitions)+len(groups) > l.opts.MaxTxnParts {
		return fmt.Errorf("%w: open transactions have %d partitions and groups, at most %d are taken", log.ErrLimit, l.joined, l.opts.MaxTxnParts)
	}
	return nil
}

// producerAdded counts a producer that a partition has come to know. At the
// bound those that were idle for longest are forgotten, but for those with an
// open transaction, which checkJoin bounds: one that comes back begins as a new
// one, as after ProducerExpiry.
func (l *Log) producerAdded() {
	if l.producers++; l.producers <= l.opts.MaxProducers {
		return
	}
	keep := l.opts.MaxProducers - l.opts.MaxProducers/10 // so that this is rare
	var seen []int64
	all := 0
	for _, t := range l.topics {
		for _, p := range t.partitions {
			all += len(p.producers)
			for _, s := range p.producers {
				if s.TxnStart < 0 {
					seen = append(seen, s.Seen)
				}
			}
		}
	}
	l.producers = min(all, keep) // above it only by open transactions
	if all <= keep {
		return // some were gone already
	}
	slices.Sort(seen)
	rest := min(all-keep, len(seen))
	if rest == 0 {
		return
	}
	newest := seen[rest-1]
	for _, t := range l.topics {
		for _, p := range t.partitions {
			rest -= p.forgetSome(newest, rest)
		}
	}
	l.opts.Logger.Warn("forgot producers that were idle for longest, to make room", "limit", l.opts.MaxProducers)
}

// forgetSome drops at most n producers that were idle since newest, ms, or
// before, and returns how many.
func (p *partition) forgetSome(newest int64, n int) int {
	dropped := 0
	for id, s := range p.producers {
		if dropped == n {
			break
		}
		if s.TxnStart < 0 && s.Seen <= newest {
			delete(p.producers, id)
			dropped++
		}
	}
	return dropped
}

// Sizes of what a group keeps are those in memory, about.
const offsetBytes = 128

func sizeOfOffset(p log.Partition, o log.GroupOffset) int64 {
	return int64(offsetBytes + len(p.Topic) + len(o.Metadata))
}

func sizeOfOffsets(offsets map[log.Partition]log.GroupOffset) int64 {
	n := int64(0)
	for p, o := range offsets {
		n += sizeOfOffset(p, o)
	}
	return n
}

func (g *group) bytes() int64 {
	n := int64(len(g.state))
	for p, o := range g.offsets {
		n += sizeOfOffset(p, o.GroupOffset)
	}
	for _, m := range g.pending {
		for p, o := range m {
			n += sizeOfOffset(p, o.GroupOffset)
		}
	}
	return n
}

// put stores offsets that come now in m, which is a group's. The caller holds mu.
func (l *Log) put(m map[log.Partition]groupOffset, offsets map[log.Partition]log.GroupOffset) {
	l.offsetOrder++
	for p, o := range offsets {
		l.set(m, p, groupOffset{o, l.offsetOrder})
	}
}

// set stores one offset likewise.
func (l *Log) set(m map[log.Partition]groupOffset, p log.Partition, o groupOffset) {
	l.groupBytes += sizeOfOffset(p, o.GroupOffset)
	if old, ok := m[p]; ok {
		l.groupBytes -= sizeOfOffset(p, old.GroupOffset)
	}
	m[p] = o
}

// checkOffsets refuses offsets that make groups keep more than they may. What
// takes no more than what it replaces is always taken: whoever has offsets here
// goes on. producer is that of the transaction they are kept for, -1 for none.
func (l *Log) checkOffsets(name string, producer int64, offsets map[log.Partition]log.GroupOffset) error {
	if l.groupBytes+sizeOfOffsets(offsets) <= l.opts.MaxGroupBytes {
		return nil
	}
	var have map[log.Partition]groupOffset
	if g := l.groups[name]; g != nil {
		if have = g.offsets; producer >= 0 {
			have = g.pending[producer]
		}
	}
	for p, o := range offsets {
		if old, ok := have[p]; !ok || len(o.Metadata) > len(old.Metadata) {
			return fmt.Errorf("%w: groups keep %d bytes of offsets and states, at most %d are kept", log.ErrOffsetsSize, l.groupBytes, l.opts.MaxGroupBytes)
		}
	}
	return nil
}

// checkState refuses a group's state likewise.
func (l *Log) checkState(name string, state []byte) error {
	have := 0
	if g := l.groups[name]; g != nil {
		have = len(g.state)
	}
	if more := len(state) - have; more > 0 && l.groupBytes+int64(more) > l.opts.MaxGroupBytes {
		return fmt.Errorf("%w: groups keep %d bytes of offsets and states, at most %d are kept", log.ErrGroupFull, l.groupBytes, l.opts.MaxGroupBytes)
	}
	return nil
}
