package segment

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"karst/log"
)

// validators are as many as can be of use at once: each may need memory for
// what a small batch decompresses to.
var validators = makeValidators(runtime.GOMAXPROCS(0))

func makeValidators(n int) chan *log.Validator {
	c := make(chan *log.Validator, n)
	for range n {
		c <- new(log.Validator)
	}
	return c
}

// ProduceRaw implements log.RawLog. Batches are checked in the caller's
// goroutine; sequence and transaction are the committer's to check, in the
// order of the queue.
func (l *Log) ProduceRaw(r log.RawProduce, done func([]log.RawResult)) {
	results := make([]log.RawResult, len(r.Batches))
	ops := make([]op, 0, len(r.Batches))
	at := make([]int, 0, len(r.Batches)) // result of each op
	for i, b := range r.Batches {
		results[i] = log.RawResult{BaseOffset: -1, AppendTime: -1}
		o, err := l.checkRaw(b)
		results[i].Err = err
		if err != nil && !o.info.Transactional() {
			continue
		}
		ops, at = append(ops, o), append(at, i)
	}
	if len(ops) == 0 {
		done(results)
		return
	}
	req := &request{done: func(err error) {
		for i, b := range r.Batches {
			if results[i].Err == nil {
				results[i].Err = err
			}
			results[i].Start = l.startOf(b.Partition)
		}
		done(results)
	}}
	for i := range ops {
		if results[at[i]].Err == nil {
			req.bytes += ops[i].journalBytes(l.opts.LargeRunBytes)
			req.batches += len(ops[i].batch)
		}
	}
	req.check = func(q *request) error {
		for i := range ops {
			res := &results[at[i]]
			err := l.produceOne(q, ops[i], r, res)
			if l.broken != nil {
				return l.broken
			}
			res.Err = err
		}
		return nil
	}
	l.queue.add(req)
}

func (l *Log) startOf(p log.Partition) int64 {
	if part, err := l.partition(p); err == nil {
		return part.bounds().Start
	}
	return -1
}

// checkRaw checks what can be checked of a batch without the committer. Of one
// that is whole but refused it returns what its header says.
func (l *Log) checkRaw(a log.Append) (op, error) {
	l.mu.RLock()
	t := l.topics[a.Partition.Topic]
	var s *settings
	var offline error
	if t != nil && a.Partition.Index >= 0 && a.Partition.Index < t.Partitions {
		s, offline = t.settings, t.partitions[a.Partition.Index].offline
	}
	l.mu.RUnlock()
	if s == nil {
		return op{}, unknown(a.Partition)
	}
	if offline != nil {
		return op{}, offline
	}
	v := <-validators
	defer func() {
		v.Forget()
		validators <- v
	}()
	refused := op{name: a.Partition.Topic, partition: a.Partition.Index}
	if limit := min(s.maxBytes, l.opts.MaxBatchBytes); len(a.Batch) > limit {
		if info, err := log.CheckBatch(a.Batch); err == nil {
			refused.info = info
		}
		return refused, fmt.Errorf("%w: batch of %d bytes for %s, at most %d are taken (max.message.bytes)", log.ErrRecordTooLarge, len(a.Batch), a.Partition.Topic, limit)
	}
	info, recs, err := v.Check(a.Batch)
	if err != nil {
		return op{}, err
	}
	refused.info = info
	if s.compacts && slices.ContainsFunc(recs.KeyLen, func(n int32) bool { return n < 0 }) {
		return refused, needsKey(a.Partition.Topic)
	}
	batch := a.Batch
	if s.recompress {
		if batch, err = log.Recompress(batch, s.codec); err != nil {
			return refused, err
		}
	}
	if s.appendTime {
		log.SetAppendTime(batch, l.opts.now())
	} else if err := s.checkTimes(recs, l.opts.now()); err != nil {
		return refused, err
	}
	info, err = log.ReadHeader(batch)
	if err != nil {
		return op{}, err
	}
	return op{kind: opAppend, batch: batch, name: a.Partition.Topic, partition: a.Partition.Index, info: info}, nil
}

// checkTimes holds timestamps to message.timestamp.before.max.ms and
// after.max.ms.
func (s *settings) checkTimes(r *log.Records, now int64) error {
	for _, ms := range r.Timestamps {
		if ms == -1 { // a record without a time
			continue
		}
		if ms > now && ms-now > s.afterMaxMS || ms < now && now-ms > s.beforeMaxMS {
			return fmt.Errorf("%w: %d ms is too far from now, %d", log.ErrTimestamp, ms, now)
		}
	}
	return nil
}

// produceOne takes a batch into the entry, or says why not. One that is refused for
// what it holds (res.Err) or for its sequence makes its partition part of the
// transaction all the same: its producer may end that as if it had been taken.
func (l *Log) produceOne(q *request, o op, r log.RawProduce, res *log.RawResult) error {
	if err := l.resolve(&o); err != nil {
		return err
	}
	b := o.info
	if b.AppendTime() {
		res.AppendTime = b.MaxTime
	}
	var t *txn
	var err error
	if b.Transactional() {
		if t, err = l.txnOfBatch(b, r.TransactionalID); err != nil {
			return err
		}
	}
	var again *producedBatch
	var refused error
	if b.Producer.ID >= 0 {
		again, refused = l.admit(&o, t != nil && r.JoinTxn)
	}
	if again != nil && res.Err == nil {
		res.BaseOffset = again.Base
		return nil
	}
	if t != nil {
		if err := l.joinForBatch(q, t, &o, r.JoinTxn); err != nil {
			return err
		}
	}
	if err := cmp.Or(res.Err, refused); err != nil {
		return err
	}
	res.BaseOffset = o.part.tail
	return l.take(q, o)
}

// admit checks a batch's sequence; see producerState.admit. joins says that the
// batch may be its transaction's first.
func (l *Log) admit(o *op, joins bool) (*producedBatch, error) {
	b := o.info
	s := o.part.producers[b.Producer.ID]
	if s == nil && joins && b.BaseSequence != 0 {
		// A transaction has its own epoch, and a producer with one open is not
		// forgotten: what comes before this batch was refused.
		return nil, fmt.Errorf("%w: producer %d begins epoch %d with %d", log.ErrOutOfOrder, b.Producer.ID, b.Producer.Epoch, b.BaseSequence)
	}
	return s.admit(b)
}

// txnOfBatch finds the transaction that a batch is to be part of.
func (l *Log) txnOfBatch(b log.BatchInfo, id string) (*txn, error) {
	t := l.txnOf[b.Producer.ID]
	if t == nil || id != "" && t.id != id {
		return nil, fmt.Errorf("%w: %d of %q", log.ErrProducerID, b.Producer.ID, id)
	}
	if t.producer.Epoch != b.Producer.Epoch && !seeded("no-epoch-check") {
		return nil, fmt.Errorf("%w: %d of %s, which has %d", log.ErrProducerEpoch, b.Producer.Epoch, t.id, t.producer.Epoch)
	}
	return t, nil
}

func (l *Log) joinForBatch(q *request, t *txn, o *op, join bool) error {
	p := partitionID{o.topic, o.partition}
	if join {
		return l.takeJoin(q, t, []partitionID{p}, nil)
	}
	if _, in := t.partitions[p]; !in || t.state != log.TxnOngoing {
		return fmt.Errorf("%w: %s partition %d is not part of the transaction of %s", log.ErrTxnAbortable, o.name, o.partition, t.id)
	}
	return nil
}
