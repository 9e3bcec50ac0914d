package segment

import (
	"context"
	"maps"

	"karst/log"
)

// A group is what is durable of a consumer group. l.mu guards it.
type group struct {
	offsets map[log.Partition]groupOffset
	// pending are offsets of open transactions, by producer id.
	pending map[int64]map[log.Partition]groupOffset
	state   []byte // the coordinator's, nil for none
}

// A groupOffset is one that a group keeps. Of several for a partition the one that
// came last counts, whenever its transaction ends, as in Kafka: a transaction that
// hangs and is committed in the end does not take back what was set since.
type groupOffset struct {
	log.GroupOffset
	order uint64 // that it came in, among those of a group with pending ones
}

// group returns a group, making it if it is new. The caller holds mu.
func (l *Log) group(name string) *group {
	g := l.groups[name]
	if g == nil {
		g = &group{offsets: map[log.Partition]groupOffset{}, pending: map[int64]map[log.Partition]groupOffset{}}
		l.groups[name] = g
	}
	return g
}

// dropIfEmpty forgets a group that has nothing. The caller holds mu.
func (l *Log) dropIfEmpty(name string) {
	if g := l.groups[name]; g != nil && len(g.offsets) == 0 && len(g.pending) == 0 && g.state == nil {
		delete(l.groups, name)
	}
}

// stamped returns a copy of offsets with the time of their commit.
func (l *Log) stamped(offsets map[log.Partition]log.GroupOffset) map[log.Partition]log.GroupOffset {
	out, now := maps.Clone(offsets), l.opts.now()
	for p, o := range out {
		o.CommitTime = now
		out[p] = o
	}
	return out
}

// StoreOffsets implements log.OffsetStore.
func (l *Log) StoreOffsets(name string, offsets map[log.Partition]log.GroupOffset, done func(error)) {
	l.queue.add(&request{
		ops:   []op{{kind: opGroupOffsets, group: name, offsets: l.stamped(offsets)}},
		check: func(*request) error { return l.checkOffsets(name, -1, offsets) },
		done:  done,
	})
}

// GroupOffsets implements log.OffsetStore.
func (l *Log) GroupOffsets(_ context.Context, name string) (committed map[log.Partition]log.GroupOffset, pending map[log.Partition]struct{}, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	committed, pending = map[log.Partition]log.GroupOffset{}, map[log.Partition]struct{}{}
	if g := l.groups[name]; g != nil {
		for p, o := range g.offsets {
			committed[p] = o.GroupOffset
		}
		for _, m := range g.pending {
			for p := range m {
				pending[p] = struct{}{}
			}
		}
	}
	return committed, pending, nil
}

// CommittedOffsets implements log.Log.
func (l *Log) CommittedOffsets(_ context.Context, name string) (map[log.Partition]int64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[log.Partition]int64{}
	if g := l.groups[name]; g != nil {
		for p, o := range g.offsets {
			out[p] = o.Offset
		}
	}
	return out, nil
}

// DeleteOffsets implements log.OffsetStore.
func (l *Log) DeleteOffsets(ctx context.Context, name string, partitions []log.Partition) error {
	return l.submit(ctx, &request{ops: []op{detailOp(&deleteOffsets{Group: name, Partitions: partitions})}})
}

// ExpireOffsets implements GroupStore.
func (l *Log) ExpireOffsets(ctx context.Context, name string, before int64) (gone bool, err error) {
	if !l.mayExpire(name, before) {
		return false, nil
	}
	err = l.submit(ctx, &request{alone: true, check: func(r *request) error {
		g := l.groups[name]
		if g == nil || len(g.pending) > 0 {
			gone = g == nil
			return nil
		}
		var old []log.Partition
		for _, p := range sortedPartitions(g.offsets) {
			if g.offsets[p].CommitTime < before {
				old = append(old, p)
			}
		}
		switch gone = len(old) == len(g.offsets); {
		case gone:
			return l.take(r, op{kind: opDeleteGroup, group: name})
		case len(old) > 0:
			return l.take(r, detailOp(&deleteOffsets{Group: name, Partitions: old}))
		}
		return nil
	}})
	return gone && err == nil, err
}

// mayExpire reports whether there is anything to ask the committer for, whom all
// others would wait for, too: of most groups there is not.
func (l *Log) mayExpire(name string, before int64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	g := l.groups[name]
	if g == nil || len(g.offsets) == 0 {
		return true
	}
	for _, o := range g.offsets {
		if o.CommitTime < before {
			return true
		}
	}
	return false
}

// DeleteGroup implements log.Log.
func (l *Log) DeleteGroup(ctx context.Context, name string) error {
	return l.submit(ctx, &request{ops: []op{{kind: opDeleteGroup, group: name}}})
}

// StoreGroup implements log.OffsetStore.
func (l *Log) StoreGroup(name string, state []byte, done func(error)) {
	l.queue.add(&request{
		ops:   []op{detailOp(&groupState{Group: name, State: state})},
		check: func(*request) error { return l.checkState(name, state) },
		done:  done,
	})
}

// StoredGroups implements log.OffsetStore.
func (l *Log) StoredGroups(context.Context) (map[string][]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[string][]byte{}
	for name, g := range l.groups {
		out[name] = g.state
	}
	return out, nil
}

// applyGroup applies an operation on a group. The caller holds mu.
func (l *Log) applyGroup(o *op) {
	switch o.kind {
	case opGroupOffsets:
		l.put(l.group(o.group).offsets, o.offsets)
	case opTxnOffsets:
		g := l.group(o.group)
		if g.pending[o.producer] == nil {
			g.pending[o.producer] = map[log.Partition]groupOffset{}
		}
		l.put(g.pending[o.producer], o.offsets)
	case opDeleteGroup:
		if g := l.groups[o.group]; g != nil {
			l.groupBytes -= g.bytes()
		}
		delete(l.groups, o.group)
	}
	switch d := o.detail.(type) {
	case *txnEnd:
		for _, name := range d.Groups {
			l.endPending(name, d)
		}
	case *groupState:
		g := l.group(d.Group)
		l.groupBytes += int64(len(d.State) - len(g.state))
		g.state = d.State
		l.dropIfEmpty(d.Group)
	case *deleteOffsets:
		if g := l.groups[d.Group]; g != nil {
			l.forget(g.offsets, d.Partitions)
			for _, m := range g.pending { // else they would come back with the transaction
				l.forget(m, d.Partitions)
			}
			l.dropIfEmpty(d.Group)
		}
	}
}

// forget takes offsets out of m, which is a group's. The caller holds mu.
func (l *Log) forget(m map[log.Partition]groupOffset, partitions []log.Partition) {
	for _, p := range partitions {
		if o, ok := m[p]; ok {
			l.groupBytes -= sizeOfOffset(p, o.GroupOffset)
			delete(m, p)
		}
	}
}

// endPending commits or drops the offsets that a transaction has in store for
// a group, but for those that others have set since.
func (l *Log) endPending(name string, d *txnEnd) {
	g := l.groups[name]
	if g == nil {
		return
	}
	for p, o := range g.pending[d.Was.ID] {
		old, has := g.offsets[p]
		if d.Commit != seeded("offsets-of-aborted") && (!has || old.order <= o.order || seeded("old-offsets-of-transactions")) {
			l.set(g.offsets, p, o)
		}
		l.groupBytes -= sizeOfOffset(p, o.GroupOffset)
	}
	delete(g.pending, d.Was.ID)
	l.dropIfEmpty(name)
}
