package segment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"karst/log"
)

// A txn is what the coordinator knows of a transactional id. It belongs to the
// committer and runs ahead of what is durable; what others may see of a
// transaction (markers, offsets) is applied with the journal entry.
type txn struct {
	id         string
	producer   log.Producer
	before     log.Producer // whose transaction the last end was, if that raised the epoch
	state      log.TxnState
	timeout    time.Duration
	began      time.Time
	updated    int64 // ms
	partitions map[partitionID]struct{}
	groups     map[string]struct{}
}

// producerIDBlock is how many producer ids one journal operation reserves.
const producerIDBlock = 1000

// lastEpoch is the greatest epoch that is given to a producer; the one above
// is for the marker that ends its last transaction.
const lastEpoch = math.MaxInt16 - 1

// newProducerID returns an id never given before.
func (l *Log) newProducerID(r *request) (int64, error) {
	if l.nextProducer == l.endProducer {
		if err := l.take(r, detailOp(&producerIDs{Next: l.endProducer + producerIDBlock})); err != nil {
			return 0, err
		}
	}
	l.nextProducer++
	return l.nextProducer - 1, nil
}

// raised returns p with a higher epoch, or a new id where epochs are used up.
func (l *Log) raised(r *request, p log.Producer) (log.Producer, error) {
	if p.Epoch < lastEpoch {
		return log.Producer{ID: p.ID, Epoch: p.Epoch + 1}, nil
	}
	id, err := l.newProducerID(r)
	return log.Producer{ID: id}, err
}

// InitProducer implements log.TransactionCoordinator.
func (l *Log) InitProducer(ctx context.Context, id string, timeout time.Duration, current log.Producer) (log.Producer, error) {
	var p log.Producer
	if id != "" && (timeout <= 0 || timeout > l.opts.MaxTxnTimeout) {
		return p, fmt.Errorf("%w: %v, must be at most %v", log.ErrTxnTimeout, timeout, l.opts.MaxTxnTimeout)
	}
	if err := checkID("transactional id", id, log.ErrInvalidRequest); err != nil {
		return p, err
	}
	err := l.submit(ctx, &request{check: func(r *request) (err error) {
		if id == "" {
			p.ID, err = l.newProducerID(r)
			return err
		}
		p, err = l.initTxn(r, id, timeout, current)
		return err
	}})
	return p, err
}

func (l *Log) initTxn(r *request, id string, timeout time.Duration, current log.Producer) (log.Producer, error) {
	t := l.txns[id]
	if t == nil {
		if err := l.takeTxnRoom(r); err != nil {
			return log.Producer{}, err
		}
		pid, err := l.newProducerID(r)
		if err != nil {
			return log.Producer{}, err
		}
		p := log.Producer{ID: pid}
		return p, l.take(r, detailOp(&txnInit{ID: id, Producer: p, Was: log.NoProducer, TimeoutMS: timeout.Milliseconds(), Time: l.opts.now()}))
	}
	if current.ID >= 0 && current != t.producer {
		if current == t.before && t.state != log.TxnOngoing { // sent again
			return t.producer, l.take(r, detailOp(&txnInit{ID: id, Producer: t.producer, Was: t.before, TimeoutMS: timeout.Milliseconds(), Time: l.opts.now()}))
		}
		return log.Producer{}, fmt.Errorf("%w: %s is producer %d with epoch %d now", log.ErrFenced, id, t.producer.ID, t.producer.Epoch)
	}
	if err := l.canEnd(t); err != nil {
		return log.Producer{}, err
	}
	was := t.producer
	p, err := l.raised(r, was)
	if err != nil {
		return p, err
	}
	if t.state == log.TxnOngoing && !seeded("init-does-not-abort") {
		if err := l.takeEnd(r, t, p, false); err != nil {
			return p, err
		}
	}
	if current.ID < 0 {
		was = log.NoProducer
	}
	return p, l.take(r, detailOp(&txnInit{ID: id, Producer: p, Was: was, TimeoutMS: timeout.Milliseconds(), Time: l.opts.now()}))
}

// checkTxn finds the transaction that p speaks for; fenced is the error for an
// epoch that is not the current one.
func (l *Log) checkTxn(p log.TxnProducer, fenced error) (*txn, error) {
	t := l.txns[p.TransactionalID]
	if t == nil || t.producer.ID != p.ID && t.before.ID != p.ID {
		return nil, fmt.Errorf("%w: %d of %q", log.ErrProducerID, p.ID, p.TransactionalID)
	}
	if t.producer != p.Producer {
		return t, fmt.Errorf("%w: %s has epoch %d, not %d", fenced, t.id, t.producer.Epoch, p.Epoch)
	}
	return t, nil
}

// JoinTxn implements log.TransactionCoordinator.
func (l *Log) JoinTxn(ctx context.Context, p log.TxnProducer, partitions []log.Partition) error {
	return l.submit(ctx, &request{check: func(r *request) error {
		t, err := l.checkTxn(p, log.ErrFenced)
		if err != nil {
			return err
		}
		var ids []partitionID
		for _, at := range partitions {
			topic := l.topics[at.Topic]
			if topic == nil || at.Index < 0 || at.Index >= topic.Partitions {
				return unknown(at)
			}
			ids = append(ids, partitionID{topic.ID, at.Index})
		}
		return l.takeJoin(r, t, ids, nil)
	}})
}

// JoinTxnGroup implements log.TransactionCoordinator.
func (l *Log) JoinTxnGroup(ctx context.Context, p log.TxnProducer, group string) error {
	return l.submit(ctx, &request{check: func(r *request) error {
		t, err := l.checkTxn(p, log.ErrFenced)
		if err != nil {
			return err
		}
		return l.takeJoin(r, t, nil, []string{group})
	}})
}

// takeJoin adds to a transaction what is not part of it yet.
func (l *Log) takeJoin(r *request, t *txn, partitions []partitionID, groups []string) error {
	if t.state == log.TxnOngoing {
		partitions = slices.DeleteFunc(partitions, func(p partitionID) bool { _, in := t.partitions[p]; return in })
		groups = slices.DeleteFunc(groups, func(g string) bool { _, in := t.groups[g]; return in })
	}
	if len(partitions) == 0 && len(groups) == 0 {
		return nil
	}
	if err := l.checkJoin(partitions, groups); err != nil {
		return err
	}
	return l.take(r, detailOp(&txnJoin{ProducerID: t.producer.ID, Partitions: partitions, Groups: groups, Time: l.opts.now()}))
}

// TxnOffsets implements log.TransactionCoordinator.
func (l *Log) TxnOffsets(p log.TxnProducer, group string, offsets map[log.Partition]log.GroupOffset, join bool, done func(error)) {
	o := op{kind: opTxnOffsets, group: group, producer: p.ID, offsets: l.stamped(offsets)}
	l.queue.add(&request{done: done, check: func(r *request) error {
		t, err := l.checkTxn(p, log.ErrProducerEpoch)
		if err != nil {
			return err
		}
		if err := l.checkOffsets(group, p.ID, offsets); err != nil {
			return err // before anything is taken
		}
		if join {
			if err := l.takeJoin(r, t, nil, []string{group}); err != nil {
				return err
			}
		}
		if _, in := t.groups[group]; !in || t.state != log.TxnOngoing {
			return fmt.Errorf("%w: group %s is not part of the transaction of %s", log.ErrTxnState, group, t.id)
		}
		if len(offsets) == 0 {
			return nil
		}
		return l.take(r, o)
	}})
}

// EndTxn implements log.TransactionCoordinator.
func (l *Log) EndTxn(ctx context.Context, p log.TxnProducer, commit, bump bool) (log.Producer, error) {
	next := p.Producer
	err := l.submit(ctx, &request{check: func(r *request) error {
		t, err := l.checkTxn(p, log.ErrFenced)
		again := t != nil && p.Producer == t.before
		if err != nil && !(bump && again) {
			return err
		}
		switch {
		case t.state == log.TxnOngoing && !again:
			if err := l.canEnd(t); err != nil {
				return err
			}
			if bump {
				if next, err = l.raised(r, p.Producer); err != nil {
					return err
				}
			}
			return l.takeEnd(r, t, next, commit)
		case t.state == ended(commit) && (again || !bump):
			next = t.producer
			return nil
		case bump && !again && !commit: // nothing to abort
			if next, err = l.raised(r, p.Producer); err != nil {
				return err
			}
			return l.takeEnd(r, t, next, false)
		case again && (t.state == log.TxnOngoing || t.state == log.TxnEmpty): // the next one has begun, or is to
			return err
		}
		return fmt.Errorf("%w: %s is %s", log.ErrTxnState, t.id, t.state)
	}})
	return next, err
}

func ended(commit bool) log.TxnState {
	if commit {
		return log.TxnCompleteCommit
	}
	return log.TxnCompleteAbort
}

// canEnd has all partitions of t's transaction have a segment for its marker, before
// anything is taken: some may have had no records yet, or no more.
func (l *Log) canEnd(t *txn) error {
	for id := range t.partitions {
		if topic := l.byID[id.Topic]; topic != nil && id.Index < topic.Partitions && topic.partitions[id.Index].offline == nil {
			if err := l.makeFirst(topic.partitions[id.Index]); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeEnd ends t's transaction, which canEnd: the decision, then the markers, in one journal
// entry. next is its producer from then on.
func (l *Log) takeEnd(r *request, t *txn, next log.Producer, commit bool) error {
	end := &txnEnd{ID: t.id, Was: t.producer, Next: next, Commit: commit, Groups: slices.Sorted(maps.Keys(t.groups)), Time: l.opts.now()}
	partitions := t.sortedPartitions()
	if err := l.take(r, detailOp(end)); err != nil {
		return err
	}
	mark := end.Was
	if end.Next.ID == mark.ID {
		mark = end.Next
	} else {
		mark.Epoch++
	}
	for i, id := range partitions {
		topic := l.byID[id.Topic]
		if topic == nil || id.Index >= topic.Partitions {
			continue // deleted meanwhile
		}
		if i > 0 && seeded("marker-missing") {
			break
		}
		part := topic.partitions[id.Index]
		if part.offline != nil {
			held := &heldMarker{Partition: id, Producer: mark, Commit: end.Commit, Epoch: l.epoch, Time: end.Time}
			if err := l.take(r, detailOp(held)); err != nil {
				return err
			}
			continue
		}
		o := op{kind: opAppend, batch: log.Marker(mark, end.Commit, end.Time), topic: id.Topic, name: topic.Name, partition: id.Index, part: part}
		if err := l.take(r, o); err != nil {
			return err
		}
	}
	return nil
}

// takeTimeouts aborts the transactions that are open for longer than their
// producers allowed, and forgets transactional ids unused for long.
func (l *Log) takeTimeouts(r *request) error {
	now := l.opts.time()
	for _, id := range slices.Sorted(maps.Keys(l.txns)) {
		t := l.txns[id]
		switch {
		case t.state == log.TxnOngoing && now.Sub(t.began) > t.timeout:
			if err := l.canEnd(t); l.broken != nil {
				return err
			} else if err != nil {
				continue // the next run tries again
			}
			next, err := l.raised(r, t.producer)
			if err == nil {
				err = l.takeEnd(r, t, next, false)
			}
			if err != nil {
				return err
			}
			l.opts.Logger.Warn("aborted a transaction that was open for too long", "transactional_id", id, "timeout", t.timeout)
		case t.state != log.TxnOngoing && now.UnixMilli()-t.updated > l.opts.TxnIDExpiry.Milliseconds():
			if err := l.take(r, detailOp(&txnForget{ID: id})); err != nil {
				return err
			}
		}
	}
	return nil
}

// Transactions implements log.TransactionCoordinator.
func (l *Log) Transactions(ctx context.Context) (out []log.TxnInfo, err error) {
	err = l.submit(ctx, &request{check: func(*request) error {
		for _, t := range l.txns {
			out = append(out, l.describeTxn(t))
		}
		return nil
	}})
	slices.SortFunc(out, func(a, b log.TxnInfo) int { return strings.Compare(a.TransactionalID, b.TransactionalID) })
	return out, err
}

func (l *Log) describeTxn(t *txn) log.TxnInfo {
	info := log.TxnInfo{TxnProducer: log.TxnProducer{TransactionalID: t.id, Producer: t.producer}, State: t.state, Timeout: t.timeout, Began: -1}
	if t.state != log.TxnOngoing {
		return info
	}
	info.Began = t.began.UnixMilli()
	info.Groups = slices.Sorted(maps.Keys(t.groups))
	for id := range t.partitions {
		if topic := l.byID[id.Topic]; topic != nil {
			info.Partitions = append(info.Partitions, log.Partition{Topic: topic.Name, Index: id.Index})
		}
	}
	slices.SortFunc(info.Partitions, comparePartitions)
	return info
}

// Producers implements log.TransactionCoordinator.
func (l *Log) Producers(ctx context.Context, p log.Partition) (out []log.ProducerInfo, err error) {
	err = l.submit(ctx, &request{check: func(*request) error {
		part, err := l.partition(p)
		if err == nil {
			out = part.describeProducers()
		}
		return err
	}})
	return out, err
}

// aheadTxn makes the coordinator's state what a transaction's operation says,
// both when it is made and when it is read from the journal.
func (l *Log) aheadTxn(d detail) error {
	switch d := d.(type) {
	case *txnInit:
		t := l.txns[d.ID]
		if t == nil {
			t = &txn{id: d.ID, producer: log.NoProducer}
			l.txns[d.ID] = t
		}
		delete(l.txnOf, t.producer.ID)
		t.producer, t.before, t.state, t.updated = d.Producer, d.Was, log.TxnEmpty, d.Time
		t.timeout = time.Duration(d.TimeoutMS) * time.Millisecond
		l.txnOf[t.producer.ID] = t
	case *txnJoin:
		t := l.txnOf[d.ProducerID]
		if t == nil {
			return fmt.Errorf("%w: transaction of producer %d, which there is not", log.ErrCorrupt, d.ProducerID)
		}
		l.joined -= len(t.partitions) + len(t.groups)
		t.join(d, l.opts.time())
		l.joined += len(t.partitions) + len(t.groups)
	case *txnEnd:
		t := l.txns[d.ID]
		if t == nil {
			return fmt.Errorf("%w: end of a transaction of %q, which there is not", log.ErrCorrupt, d.ID)
		}
		delete(l.txnOf, t.producer.ID)
		l.joined -= len(t.partitions) + len(t.groups)
		t.end(d)
		l.txnOf[t.producer.ID] = t
	case *txnForget:
		if t := l.txns[d.ID]; t != nil {
			delete(l.txnOf, t.producer.ID)
			delete(l.txns, d.ID)
		}
	case *producerIDs:
		l.nextProducer, l.endProducer = l.endProducer, d.Next
	}
	return nil
}

func (t *txn) join(d *txnJoin, now time.Time) {
	if t.state != log.TxnOngoing {
		t.state, t.partitions, t.groups = log.TxnOngoing, map[partitionID]struct{}{}, map[string]struct{}{}
		t.began = since(d.Time, now)
	}
	for _, p := range d.Partitions {
		t.partitions[p] = struct{}{}
	}
	for _, g := range d.Groups {
		t.groups[g] = struct{}{}
	}
	t.updated = d.Time
}

// since is the time ms, with now's monotonic reading: what is measured from it
// does not depend on how the clock is set from now on. A time from before a
// restart that lies in the future was told by a clock that was ahead; it counts
// as now.
func since(ms int64, now time.Time) time.Time {
	return now.Add(-time.Duration(max(now.UnixMilli()-ms, 0)) * time.Millisecond)
}

func (t *txn) end(d *txnEnd) {
	t.state, t.partitions, t.groups, t.updated = ended(d.Commit), nil, nil, d.Time
	if t.before = log.NoProducer; d.Next != d.Was {
		t.before = d.Was
	}
	t.producer = d.Next
}

func (t *txn) sortedPartitions() []partitionID {
	return slices.SortedFunc(maps.Keys(t.partitions), func(a, b partitionID) int {
		return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
	})
}
