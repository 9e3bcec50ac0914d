package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sendBytes is how much gathers in a writer before it is sent ahead of the
// commit.
const sendBytes = 1 << 20

// A writer is a transactional producer. What is asked of it goes through a
// queue to its worker, which does one thing after the other.
type writer struct {
	log    *Log
	sender sender // the worker's

	mu     sync.Mutex
	queue  []step
	bytes  int           // of batches not sent yet
	ready  chan struct{} // tells the worker, capacity 1
	room   chan struct{} // closed and replaced when bytes has become less
	closed bool
	ended  chan struct{} // closed when the worker has ended

	// The worker's.
	begun   bool  // the transaction has been sent some of
	failed  error // why it can't be committed
	dead    error // why the writer takes nothing more
	offsets map[string]map[log.Partition]int64
	wrote   []log.Append
}

// A step is one thing asked of a writer.
type step struct {
	parcel  *parcel
	group   string
	offsets map[log.Partition]int64
	end     func(error) // of a commit
	abort   bool
}

// OpenWriter implements log.Log. The cluster gives the id to one producer at a
// time: the request waits until the open transaction of the one before is
// aborted, or its commit has come to its end.
func (l *Log) OpenWriter(ctx context.Context, transactionalID string) (log.Writer, error) {
	w := &writer{
		log: l, sender: sender{log: l, txnID: transactionalID}, ready: make(chan struct{}, 1), room: make(chan struct{}), ended: make(chan struct{}),
		offsets: map[string]map[log.Partition]int64{},
	}
	if err := w.sender.init(ctx, log.NoProducer); err != nil {
		return nil, fmt.Errorf("opening writer %s: %w", transactionalID, err)
	}
	l.goWork(w.run) // until Close, of the writer or of the Log
	return w, nil
}

// Append implements log.Writer. It waits while WriterBytes are on their way.
func (w *writer) Append(p log.Partition, batch []byte) error {
	parcel, err := w.log.parcel(log.Append{Partition: p, Batch: batch}, func(error) { w.gone(len(batch)) })
	if err != nil {
		return err
	}
	for !w.reserve(len(batch)) {
		if err := w.awaitRoom(); err != nil {
			return err
		}
	}
	w.ask(step{parcel: parcel})
	return nil
}

// reserve takes room for n bytes, if there is some or nothing is on its way.
func (w *writer) reserve(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes > 0 && w.bytes+n > w.log.opts.WriterBytes {
		return false
	}
	w.bytes += n
	return true
}

func (w *writer) awaitRoom() error {
	w.mu.Lock()
	room := w.room
	w.mu.Unlock()
	w.tell()
	select {
	case <-room:
		return nil
	case <-w.ended:
		return log.ErrClosed
	}
}

// gone gives the room of n bytes free.
func (w *writer) gone(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= n
	close(w.room)
	w.room = make(chan struct{})
}

// Offsets implements log.Writer.
func (w *writer) Offsets(group string, next map[log.Partition]int64) error {
	w.ask(step{group: group, offsets: maps.Clone(next)})
	return nil
}

// Commit implements log.Writer.
func (w *writer) Commit(done func(error)) { w.ask(step{end: done}) }

// Abort implements log.Writer.
func (w *writer) Abort() { w.ask(step{abort: true}) }

// Close implements log.Writer. It waits until an open transaction is aborted,
// or cannot be.
func (w *writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.tell()
	<-w.ended
}

// ask queues a step. The worker is told when there is enough to do.
func (w *writer) ask(s step) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.queue = append(w.queue, s)
	}
	tell := s.parcel == nil && s.offsets == nil || w.bytes >= sendBytes
	w.mu.Unlock()
	if closed {
		s.refuse(log.ErrClosed)
	} else if tell {
		w.tell()
	}
}

func (s step) refuse(err error) {
	switch {
	case s.parcel != nil:
		s.parcel.done(err)
	case s.end != nil:
		s.end(err)
	}
}

func (w *writer) tell() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// run is the worker.
func (w *writer) run() {
	defer close(w.ended)
	for {
		var stop bool
		select {
		case <-w.ready:
		case <-w.log.ctx.Done():
			stop = true
		}
		w.mu.Lock()
		w.closed = w.closed || stop
		queue, closed := w.queue, w.closed
		w.queue = nil
		w.mu.Unlock()
		w.work(queue)
		if closed {
			w.abort()
			return
		}
	}
}

// work does steps in order; batches that follow each other are sent together.
func (w *writer) work(queue []step) {
	var parcels []*parcel
	for _, s := range queue {
		switch {
		case s.parcel != nil:
			parcels = append(parcels, s.parcel)
		case s.offsets != nil:
			w.addOffsets(s.group, s.offsets)
		case s.abort:
			for _, p := range parcels {
				p.done(nil)
			}
			parcels = nil
			w.abort()
		case s.end != nil:
			w.send(parcels)
			parcels = nil
			s.end(w.commit())
		}
	}
	w.send(parcels)
}

// send makes batches part of the transaction.
func (w *writer) send(parcels []*parcel) {
	if err := cmp.Or(w.dead, w.failed); err != nil {
		for _, p := range parcels {
			p.done(err)
		}
		w.failed = err
		return
	}
	if len(parcels) == 0 {
		return
	}
	w.begun = true
	for _, p := range parcels {
		w.wrote = append(w.wrote, p.Append)
	}
	w.failed = w.sender.send(w.log.ctx, parcels, nil)
}

func (w *writer) addOffsets(group string, next map[log.Partition]int64) {
	m := w.offsets[group]
	if m == nil {
		m = map[log.Partition]int64{}
		w.offsets[group] = m
	}
	maps.Copy(m, next)
}

// commit ends the transaction.
func (w *writer) commit() error {
	switch {
	case w.dead != nil:
		w.clear()
		return w.dead
	case w.failed == nil && !w.begun && len(w.offsets) == 0:
		return nil
	}
	for group, next := range w.offsets {
		if w.failed != nil {
			break
		}
		w.begun = true
		w.failed = w.sendOffsets(group, next)
	}
	if w.failed != nil {
		err := w.failed
		w.abort()
		return err
	}
	wrote := w.wrote
	if err := w.end(); err != nil {
		return err
	}
	w.log.watcher.wrote(wrote)
	return nil
}

func (w *writer) clear() {
	w.begun, w.failed, w.wrote = false, nil, nil
	clear(w.offsets)
}

// abort drops the transaction. After a failure the numbers of what has been sent
// are not known; with a new epoch they begin again.
func (w *writer) abort() {
	begun, failed := w.begun, w.failed != nil
	w.clear()
	if !begun || w.dead != nil {
		return
	}
	_, err := w.endTxn(false)
	if err == nil {
		err = w.completed()
	}
	if err == nil && (w.log.features.txn2 || !failed) {
		return
	}
	// The coordinator may not have heard of the transaction yet.
	if err == nil || errors.Is(err, kerr.InvalidTxnState) {
		err = w.sender.init(w.log.ctx, w.sender.producer)
	}
	if err != nil {
		w.die(w.log.explain(err))
	}
}

// die makes the writer refuse everything from now on.
func (w *writer) die(err error) {
	if !errors.Is(err, log.ErrFenced) && !errors.Is(err, log.ErrFailed) {
		err = fmt.Errorf("%w: writer %s: %w", log.ErrFailed, w.sender.txnID, err)
	}
	w.dead = err
}

// sendOffsets makes a group's offsets part of the transaction.
func (w *writer) sendOffsets(group string, next map[log.Partition]int64) error {
	if err := w.joinGroup(group); err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = w.sender.txnID, group
	req.ProducerID, req.ProducerEpoch = w.sender.producer.ID, w.sender.producer.Epoch
	topics := map[string]int{}
	for at, offset := range next {
		i, ok := topics[at.Topic]
		if !ok {
			i = len(req.Topics)
			topics[at.Topic] = i
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic = at.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = at.Index, offset
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	_, err := request(w.log.ctx, w.log, req, func(r *kmsg.TxnOffsetCommitResponse) error {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				at := log.Partition{Topic: t.Topic, Index: p.Partition}
				if err := w.log.recheck(w.log.ctx, at, codeError(p.ErrorCode, nil)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the offsets of group %s: %w", group, err)
	}
	return nil
}

// joinGroup makes a group's offsets part of the transaction, for clusters that
// do not do so by themselves when they get them.
func (w *writer) joinGroup(group string) error {
	if w.log.features.txn2 {
		return nil
	}
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.Group = w.sender.txnID, group
	req.ProducerID, req.ProducerEpoch = w.sender.producer.ID, w.sender.producer.Epoch
	_, err := request(w.log.ctx, w.log, req, func(r *kmsg.AddOffsetsToTxnResponse) error { return codeError(r.ErrorCode, nil) })
	if err != nil {
		return fmt.Errorf("adding group %s to the transaction: %w", group, err)
	}
	return nil
}

// end commits what has been sent. If the answer to that is lost and none comes
// later, the outcome is not known.
func (w *writer) end() error {
	switch lost, err := w.endTxn(true); {
	case err == nil:
		w.clear()
		return w.completed()
	case lost:
		w.clear()
		w.die(fmt.Errorf("%w: whether a transaction of %s is committed is not known: %w", log.ErrFailed, w.sender.txnID, w.log.explain(err)))
		return w.dead
	default:
		w.failed = err
		w.abort()
		return fmt.Errorf("committing a transaction of %s: %w", w.sender.txnID, w.log.explain(err))
	}
}

// endTxn tells the coordinator to commit or to abort. lost says that an answer
// was lost on the way, or one came that leaves open whether the coordinator has
// written its decision: then an error need not mean that it has not been done.
func (w *writer) endTxn(commit bool) (lost bool, err error) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.Commit = w.sender.txnID, commit
	req.ProducerID, req.ProducerEpoch = w.sender.producer.ID, w.sender.producer.Epoch
	var resp *kmsg.EndTxnResponse
	err = w.log.retry(w.log.ctx, func(ctx context.Context) error {
		coordinator, err := w.coordinator(ctx)
		if err != nil {
			return err
		}
		r, err := w.log.client.Broker(int(coordinator)).Request(ctx, req)
		if err != nil {
			lost = true
			return err
		}
		resp = r.(*kmsg.EndTxnResponse)
		err = codeError(resp.ErrorCode, nil)
		lost = lost || err != nil && passing(err) || errors.Is(err, kerr.UnknownServerError)
		return err
	})
	if err != nil {
		return lost, err
	}
	if clear(w.sender.joined); w.log.features.txn2 && resp.ProducerID >= 0 {
		w.sender.reset(log.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch})
	}
	return lost, nil
}

// coordinator returns the broker that runs the writer's transactions.
func (w *writer) coordinator(ctx context.Context) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = 1, w.sender.txnID, []string{w.sender.txnID}
	r, err := w.log.client.Request(ctx, req)
	if err != nil {
		return 0, err
	}
	list := r.(*kmsg.FindCoordinatorResponse).Coordinators
	if len(list) != 1 {
		return 0, errShape
	}
	return list[0].NodeID, codeError(list[0].ErrorCode, list[0].ErrorMessage)
}

// completed waits until the markers of a committed transaction are written:
// only then others can read it. A coordinator that can't be asked about its
// transactions writes them before it answers.
func (w *writer) completed() error {
	if !w.log.features.describeTransactions {
		return nil
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{w.sender.txnID}
	_, err := request(w.log.ctx, w.log, req, func(r *kmsg.DescribeTransactionsResponse) error {
		if len(r.TransactionStates) != 1 {
			return errShape
		}
		x := r.TransactionStates[0]
		if strings.HasPrefix(x.State, "Prepare") {
			return kerr.ConcurrentTransactions
		}
		return codeError(x.ErrorCode, nil)
	})
	if err != nil {
		w.die(fmt.Errorf("%w: waiting for the end of a transaction of %s: %w", log.ErrFailed, w.sender.txnID, err))
		return w.dead
	}
	return nil
}
