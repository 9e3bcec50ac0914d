package segment

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A world is what clients of a log have sent and been told: the history that a
// log must agree with, whatever happens to its disk. A step is one action of
// one of them, chosen at random; the log works in the goroutine that asks, so
// that a run is repeatable.
type world struct {
	rng    *rand.Rand
	clock  *fakeClock
	fs     *vfs.MemFS // what the log's fs ends up in
	l      *Log
	change func(*Options)

	epoch     int32 // of the log that is open
	closed    bool  // it was closed in order
	manyLarge bool  // batches bypass the journal often
	flood     bool  // journals are long
	deferred  int   // bytes from which on batches stay in the journal until a checkpoint
	piece     int   // bytes of those that journal entries are written in
	late      bool  // commits come while a checkpoint is under way
	lossy     bool  // the log does not sync: a power cut may lose what was acknowledged
	damage    bool  // files are damaged: partitions may be offline
	next      int   // number of the next record
	topics    map[string]*wTopic
	plain     []*wProducer // idempotent
	txns      []*wTxnClient
	writers   []*wWriter
	groups    map[string]*wRegister // by group and partition
	records   map[string]*wRecord   // by number
	all       []*wTxn
	making    *wTopic // asked for, not answered
	err       error   // of the log against the model, found while running
}

// status of what was asked for.
type status int

const (
	asked  status = iota // the answer is not known: it may have happened
	done                 // it has
	undone               // it has not and never will
)

type wTopic struct {
	name       string
	id         log.TopicID
	partitions []*wPartition
	compact    bool
	retention  int64 // ms, -1 none
	deleting   bool  // asked for, not answered
}

type wPartition struct {
	topic   *wTopic
	index   int32
	records []*wRecord // in the order sent
	start   int64      // records below may be gone because they were trimmed
	least   int64      // records below are gone for sure
}

type wRecord struct {
	part   *wPartition
	number string // in the record's header
	key    string
	value  string // "" is a tombstone
	offset int64  // -1 unknown
	status status
	txn    *wTxn
	time   int64
}

// A wTxn is a transaction of either kind.
type wTxn struct {
	records []*wRecord
	offsets map[*wRegister]int64
	single  bool   // one request
	open    bool   // not asked to end
	commit  bool   // asked to commit, else to abort
	status  status // of the end
}

type wProducer struct {
	id   log.Producer
	seq  map[*wPartition]int32
	sent map[*wPartition][]*wBatch
}

type wBatch struct {
	batch   []byte
	records []*wRecord
}

type wTxnClient struct {
	id       string
	producer log.Producer
	bump     bool // speaks version 2
	seq      map[*wPartition]int32
	joined   map[*wPartition]bool
	group    bool
	txn      *wTxn
}

type wWriter struct {
	id string
	w  log.Writer
}

// A wRegister holds a group's offset of a partition.
type wRegister struct {
	group   string
	part    *wPartition
	value   int64 // last known, -1 none
	pending bool  // an open transaction has another
}

func newWorld(seed uint64, fs *vfs.MemFS, change func(*Options)) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 77)), clock: newFakeClock(), fs: fs, change: change,
		topics: map[string]*wTopic{}, groups: map[string]*wRegister{}, records: map[string]*wRecord{}, closed: true, manyLarge: seed%2 == 0, deferred: []int{1, 150, 5000}[seed/2%3], piece: []int{300, 100, 5000}[seed%3], flood: seed%5 == 4, late: seed%4 >= 2,
	}
}

// aside returns options to open a clone of the world's disk with, without an
// effect on the world.
func (w *world) aside(fs vfs.FS) Options {
	o := w.options(fs)
	clock := newFakeClock()
	clock.now = w.clock.Now()
	o.Clock, o.Rand = clock, rand.New(rand.NewPCG(5, 6)).Uint64
	return o
}

func (w *world) options(fs vfs.FS) Options {
	o := Options{
		FS: fs, Dir: "data", Rand: w.rng.Uint64, Inline: true, Clock: w.clock, HousekeepingEvery: 1000 * time.Hour,
		SegmentBytes: 500, JournalBytes: 3000, LargeRunBytes: 1600, CompactionKeys: 6, ReserveBytes: 4096,
		MaxTxnTimeout: time.Hour, ProducerExpiry: 1000 * time.Hour,
	}
	o.NoSync, o.pieceBytes = w.lossy, w.piece
	if w.manyLarge {
		o.LargeRunBytes = 400
	}
	if w.flood {
		o.FloodBytes = 12_000
	} else {
		o.FloodBytes = 1
	}
	if o.DeferRunBytes, o.late = w.deferred, w.late; w.late {
		o.SegmentBytes, o.JournalBytes = 2500, 1000 // what is large does not always begin one
	}
	if w.change != nil {
		w.change(&o)
	}
	return o
}

// open opens the log; the clients find out what has become of what they asked.
func (w *world) open(fs vfs.FS) error {
	l, err := Open(w.options(fs))
	if err != nil {
		return err
	}
	if w.l != nil && !w.closed && l.epoch <= w.epoch {
		return fmt.Errorf("leader epoch %d after a crash in epoch %d", l.epoch, w.epoch)
	}
	w.l, w.epoch, w.closed = l, l.epoch, false
	w.writers = nil
	for i := range 2 {
		x := &wWriter{id: fmt.Sprintf("writer%d", i)}
		if x.w, err = l.OpenWriter(ctx, x.id); err != nil {
			return err
		}
		w.writers = append(w.writers, x)
	}
	return nil
}

// together has the requests that f makes committed as one, as happens when they
// come while an fsync is under way.
func (w *world) together(f func()) {
	q := w.l.queue
	q.mu.Lock()
	q.working = true
	q.mu.Unlock()
	f()
	q.workInline()
}

// short reports whether err refuses something because there is no space or no file
// can be opened.
func short(err error) bool { return errors.Is(err, log.ErrDiskFull) || errors.Is(err, log.ErrNoFiles) }

// failed reports whether the log can't go on; then err is no fault of it.
func failed(err error) bool { return errors.Is(err, log.ErrFailed) || errors.Is(err, log.ErrClosed) }

// offline reports whether err says that a partition is, and it may be.
func (w *world) offline(err error) bool { return w.damage && errors.Is(err, log.ErrOffline) }

// unexpected notes an error that the model has no reason for.
func (w *world) unexpected(what string, err error) {
	if err != nil && !failed(err) && !short(err) && !w.offline(err) && w.err == nil {
		w.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (w *world) steps(n int) {
	for range n {
		if w.l.queue.failure() != nil || w.err != nil {
			return
		}
		w.step()
		if w.rng.IntN(6) == 0 {
			w.l.finishLate()
		}
	}
}

func (w *world) step() {
	switch n := w.rng.IntN(100); {
	case len(w.topics) < 3 || n < 3:
		w.createTopic()
	case n < 5 && !w.lossy:
		w.deleteTopic()
	case n < 8:
		w.trim()
	case n < 14:
		w.clock.advance(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
		w.l.Housekeep()
	case n < 24:
		w.producePlain()
	case n < 38:
		w.produceIdempotent()
	case n < 52:
		w.writerTxn()
	case n < 56:
		w.storeOffsets()
	case n < 57:
		w.alter()
	case n < 58:
		w.misbehave()
	case n < 66:
		w.together(func() {
			for range 2 + w.rng.IntN(4) {
				switch w.rng.IntN(4) {
				case 0:
					w.writerTxn()
				case 1:
					w.produceIdempotent()
				case 2:
					w.produceInTxn()
				case 3:
					w.storeOffsets()
				}
			}
		})
	case n < 80:
		w.produceInTxn()
	case n < 84:
		w.txnOffsets()
	default:
		w.endTxn()
	}
}

func (w *world) createTopic() {
	name := fmt.Sprintf("topic%d", w.rng.IntN(4))
	if w.topics[name] != nil {
		return
	}
	t := &wTopic{name: name, retention: -1}
	config := map[string]string{"retention.ms": "-1", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "3000"}
	switch w.rng.IntN(4) {
	case 0, 1:
		t.compact, config["cleanup.policy"] = true, "compact"
	case 2:
		t.retention, config["retention.ms"] = 4000, "4000"
	}
	n := 1 + w.rng.IntN(2)
	for i := range n {
		t.partitions = append(t.partitions, &wPartition{topic: t, index: int32(i)})
	}
	w.making = t
	info, err := w.l.CreateTopic(ctx, name, int32(n), config)
	w.unexpected("creating a topic", err)
	if !failed(err) {
		w.making = nil
	}
	if err == nil {
		t.id = info.ID
		w.topics[name] = t
	}
}

func (w *world) deleteTopic() {
	t := w.anyTopic()
	if t == nil {
		return
	}
	t.deleting = true
	err := w.l.DeleteTopic(ctx, t.name)
	w.unexpected("deleting a topic", err)
	if failed(err) {
		return
	}
	if t.deleting = false; err == nil {
		w.forget(t)
	}
}

func (w *world) forget(t *wTopic) {
	delete(w.topics, t.name)
	maps.DeleteFunc(w.groups, func(_ string, r *wRegister) bool { return r.part.topic == t })
}

func (w *world) anyTopic() *wTopic {
	if len(w.topics) == 0 {
		return nil
	}
	return w.topics[pick(w.rng, slices.Sorted(maps.Keys(w.topics)))]
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

func (w *world) anyPartition() *wPartition {
	if t := w.anyTopic(); t != nil {
		return pick(w.rng, t.partitions)
	}
	return nil
}

func (p *wPartition) name() log.Partition { return log.Partition{Topic: p.topic.name, Index: p.index} }

// batch makes records for a partition. Now and then it is a large one.
func (w *world) batch(p *wPartition, txn *wTxn) *wBatch {
	var b log.Builder
	out := &wBatch{}
	for range 1 + w.rng.IntN(3) {
		w.next++
		r := &wRecord{
			part: p, number: fmt.Sprint(w.next), key: fmt.Sprintf("k%d", w.rng.IntN(8)), value: fmt.Sprintf("v%d", w.next),
			offset: -1, txn: txn, time: w.clock.Now().UnixMilli(),
		}
		if w.rng.IntN(6) == 0 && p.topic.compact {
			r.value = ""
		} else if w.rng.IntN(25) == 0 {
			r.value += strings.Repeat("x", 500)
		}
		b.Add(r.time, []byte(r.key), nullable(cmp.Or(r.value, "-")), []log.Header{{Key: r.number}})
		out.records = append(out.records, r)
		p.records = append(p.records, r)
		w.records[r.number] = r
		if txn != nil {
			txn.records = append(txn.records, r)
		}
	}
	out.batch = b.Finish()
	return out
}

// answer notes what has become of a batch.
func (b *wBatch) answer(err error, base int64) {
	for i, r := range b.records {
		switch {
		case err == nil:
			r.status, r.offset = done, base+int64(i)
		case !failed(err):
			r.status = undone
		}
	}
}

func (w *world) producePlain() {
	p, q := w.anyPartition(), w.anyPartition()
	if p == nil {
		return
	}
	txn := w.txn(true)
	a, b := w.batch(p, txn), w.batch(q, txn)
	err := w.l.Produce(ctx, []log.Append{{Partition: p.name(), Batch: a.batch}, {Partition: q.name(), Batch: b.batch}})
	w.unexpected("producing", err)
	w.ended(txn, []*wBatch{a, b}, err)
}

// ended notes the end of a transaction that is one request.
func (w *world) ended(txn *wTxn, batches []*wBatch, err error) {
	for _, b := range batches {
		base := int64(-1)
		if err == nil {
			h, _ := log.ReadHeader(b.batch)
			base = h.BaseOffset
		}
		b.answer(err, base)
	}
	w.decided(txn, err)
}

// decided notes what has become of a transaction, and of the offsets in it.
func (w *world) decided(txn *wTxn, err error) {
	if failed(err) {
		return
	}
	if txn.status = done; err != nil {
		txn.status, txn.commit = done, false
	}
	for r, value := range txn.offsets {
		if r.pending = false; txn.commit {
			r.value = max(r.value, value) // the last one asked for, whenever its transaction ends
		}
	}
}

func (w *world) writerTxn() {
	x := pick(w.rng, w.writers)
	txn := w.txn(true)
	var batches []*wBatch
	for range 1 + w.rng.IntN(3) {
		if p := w.anyPartition(); p != nil {
			b := w.batch(p, txn)
			batches = append(batches, b)
			if err := x.w.Append(p.name(), b.batch); err != nil {
				w.unexpected("appending", err)
			}
		}
	}
	if p := w.anyPartition(); p != nil {
		_ = x.w.Offsets("wg", map[log.Partition]int64{p.name(): w.ask(txn, "wg", p)})
	}
	x.w.Commit(func(err error) {
		w.unexpected("committing", err)
		w.ended(txn, batches, err)
	})
}

func (w *world) txn(commit bool) *wTxn {
	t := &wTxn{commit: commit, open: !commit, single: commit, offsets: map[*wRegister]int64{}}
	w.all = append(w.all, t)
	return t
}

func (w *world) register(group string, p *wPartition) *wRegister {
	name := fmt.Sprintf("%s %s/%d", group, p.topic.name, p.index)
	reg := w.groups[name]
	if reg == nil {
		reg = &wRegister{group: group, part: p, value: -1}
		// A power cut may have left one that the world has given up (loseAcks).
		if committed, _, err := w.l.GroupOffsets(ctx, group); w.lossy && err == nil {
			if o, found := committed[p.name()]; found {
				reg.value = o.Offset
			}
		}
		w.groups[name] = reg
	}
	return reg
}

// ask makes a new offset of a group part of a transaction.
func (w *world) ask(txn *wTxn, group string, p *wPartition) int64 {
	w.next++
	txn.offsets[w.register(group, p)] = int64(w.next)
	return int64(w.next)
}

func (w *world) storeOffsets() {
	p := w.anyPartition()
	if p == nil {
		return
	}
	txn, group := w.txn(true), pick(w.rng, []string{"sg", "tg"})
	w.l.StoreOffsets(group, map[log.Partition]log.GroupOffset{p.name(): {Offset: w.ask(txn, group, p), LeaderEpoch: -1}}, func(err error) {
		w.unexpected("storing offsets", err)
		w.decided(txn, err)
	})
}

func (w *world) alter() {
	if t := w.anyTopic(); t != nil {
		err := w.l.AlterTopicConfig(ctx, t.name, []log.ConfigChange{{Name: "max.message.bytes", Value: "1000000"}}, false)
		w.unexpected("altering a topic", err)
	}
}

func (w *world) trim() {
	p := w.anyPartition()
	if p == nil || p.topic.compact {
		return
	}
	b, err := w.l.Bounds(ctx, p.name())
	if err != nil || b.HighWatermark == b.Start {
		return
	}
	at := b.Start + w.rng.Int64N(min(6, b.HighWatermark-b.Start)+1)
	if at > b.LastStable {
		return
	}
	p.start = max(p.start, at)
	err = w.l.Trim(ctx, p.name(), at)
	w.unexpected("trimming", err)
	if err == nil {
		p.least = max(p.least, at)
	}
}

func (w *world) produceIdempotent() {
	p := w.anyPartition()
	if p == nil {
		return
	}
	if w.l.queue.working && len(w.plain) < 3 {
		return // it needs the answer
	}
	if len(w.plain) < 3 {
		id, err := w.l.InitProducer(ctx, "", 0, log.NoProducer)
		if err != nil {
			w.unexpected("getting a producer id", err)
			return
		}
		for _, other := range w.plain {
			if other.id == id && w.err == nil && !w.lossy {
				w.err = fmt.Errorf("producer id %d is given twice", id.ID)
			}
		}
		w.plain = append(w.plain, &wProducer{id: id, seq: map[*wPartition]int32{}, sent: map[*wPartition][]*wBatch{}})
	}
	x := pick(w.rng, w.plain)
	if b := x.last(p); b != nil && w.rng.IntN(3) == 0 {
		w.resend(b, p)
		return
	}
	b := w.batch(p, nil)
	log.SetProducer(b.batch, x.id, x.seq[p], false)
	x.seq[p] += int32(len(b.records))
	x.sent[p] = append(x.sent[p], b)
	w.l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: p.name(), Batch: slices.Clone(b.batch)}}}, func(res []log.RawResult) {
		w.unexpected("producing raw", res[0].Err)
		b.answer(res[0].Err, res[0].BaseOffset)
		if res[0].Err != nil && !failed(res[0].Err) {
			x.drop(p)
		}
	})
}

// misbehave sends what must be refused: a gap in the sequence, a batch of a
// producer that was fenced.
func (w *world) misbehave() {
	p := w.anyPartition()
	if p == nil {
		return
	}
	send := func(what string, r log.RawProduce, want error) {
		w.l.ProduceRaw(r, func(res []log.RawResult) {
			if err := res[0].Err; !errors.Is(err, want) && !failed(err) && !short(err) && !w.offline(err) && w.err == nil {
				w.err = fmt.Errorf("%s: %v, want %w", what, err, want)
			}
		})
	}
	for _, x := range w.plain {
		if x.last(p) != nil {
			b := encode("gap")
			log.SetProducer(b, x.id, x.seq[p]+1, false)
			send("a gap", log.RawProduce{Batches: []log.Append{{Partition: p.name(), Batch: b}}}, log.ErrOutOfOrder)
			break
		}
	}
	for _, c := range w.txns {
		if c.producer.Epoch > 0 {
			b := encode("zombie")
			log.SetProducer(b, log.Producer{ID: c.producer.ID, Epoch: c.producer.Epoch - 1}, 0, true)
			send("a zombie", log.RawProduce{JoinTxn: true, Batches: []log.Append{{Partition: p.name(), Batch: b}}}, log.ErrProducerEpoch)
			break
		}
	}
}

// last returns the batch sent last to a partition, if any.
func (x *wProducer) last(p *wPartition) *wBatch {
	if n := len(x.sent[p]); n > 0 {
		return x.sent[p][n-1]
	}
	return nil
}

// drop forgets the batch sent last to a partition: it was not taken.
func (x *wProducer) drop(p *wPartition) {
	x.seq[p] -= int32(len(x.last(p).records))
	x.sent[p] = x.sent[p][:len(x.sent[p])-1]
}

// resend sends a batch once more: it must have the offset it had.
func (w *world) resend(b *wBatch, p *wPartition) {
	was := b.records[0].offset
	w.l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: p.name(), Batch: slices.Clone(b.batch)}}}, func(res []log.RawResult) {
		if err := res[0].Err; err != nil {
			w.unexpected("sending again", err)
			return
		}
		if was >= 0 && res[0].BaseOffset != was && w.err == nil {
			w.err = fmt.Errorf("a batch sent again got offset %d, had %d", res[0].BaseOffset, was)
		}
		b.answer(nil, res[0].BaseOffset)
	})
}

// txnClient returns a client with a transaction.
func (w *world) txnClient() *wTxnClient {
	if len(w.txns) < 3 {
		n := len(w.txns)
		w.txns = append(w.txns, &wTxnClient{id: fmt.Sprintf("txn%d", n), producer: log.NoProducer, bump: n > 0})
	}
	c := pick(w.rng, w.txns)
	if c.producer.ID < 0 || w.rng.IntN(15) == 0 {
		if !w.initTxn(c) {
			return nil
		}
	}
	if c.txn == nil {
		c.txn, c.joined, c.group = w.txn(false), map[*wPartition]bool{}, false
	}
	return c
}

// initTxn begins a client anew, which aborts what it left open.
func (w *world) initTxn(c *wTxnClient) bool {
	if w.l.queue.working {
		return false // it needs the answer
	}
	if c.txn != nil {
		c.txn.open, c.txn.commit = false, false
	}
	p, err := w.l.InitProducer(ctx, c.id, 10*time.Minute, log.NoProducer)
	if err != nil {
		w.unexpected("initialising a producer", err)
		if c.txn != nil && !failed(err) {
			c.txn.open = true
		}
		return false
	}
	if c.txn != nil {
		w.decided(c.txn, nil)
	}
	c.producer, c.seq, c.txn = p, map[*wPartition]int32{}, nil
	return true
}

func (w *world) produceInTxn() {
	c := w.txnClient()
	if c == nil {
		return
	}
	p := w.anyPartition()
	if p == nil {
		return
	}
	who := log.TxnProducer{TransactionalID: c.id, Producer: c.producer}
	if !c.bump && !c.joined[p] {
		if w.l.queue.working {
			return
		}
		if err := w.l.JoinTxn(ctx, who, []log.Partition{p.name()}); err != nil {
			w.unexpected("joining a transaction", err)
			return
		}
		c.joined[p] = true
	}
	txn := c.txn
	b := w.batch(p, txn)
	log.SetProducer(b.batch, c.producer, c.seq[p], true)
	c.seq[p] += int32(len(b.records))
	w.l.ProduceRaw(log.RawProduce{JoinTxn: c.bump, TransactionalID: c.id, Batches: []log.Append{{Partition: p.name(), Batch: b.batch}}}, func(res []log.RawResult) {
		w.unexpected("producing in a transaction", res[0].Err)
		b.answer(res[0].Err, res[0].BaseOffset)
		if res[0].Err != nil && !failed(res[0].Err) {
			c.seq[p] -= int32(len(b.records))
		}
	})
}

func (w *world) txnOffsets() {
	c := w.txnClient()
	p := w.anyPartition()
	if c == nil || p == nil || w.l.queue.working {
		return
	}
	who := log.TxnProducer{TransactionalID: c.id, Producer: c.producer}
	group := "tg"
	if !c.bump && !c.group {
		if err := w.l.JoinTxnGroup(ctx, who, group); err != nil {
			w.unexpected("joining a group", err)
			return
		}
		c.group = true
	}
	r := w.register(group, p)
	w.l.TxnOffsets(who, group, map[log.Partition]log.GroupOffset{p.name(): {Offset: w.ask(c.txn, group, p), LeaderEpoch: -1}}, c.bump, func(err error) {
		w.unexpected("sending offsets", err)
		if err == nil {
			r.pending = true
		} else if !failed(err) {
			delete(c.txn.offsets, r)
		}
	})
}

func (w *world) endTxn() {
	var open []*wTxnClient
	for _, c := range w.txns {
		if c.txn != nil && (len(c.txn.records) > 0 || len(c.txn.offsets) > 0) {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	c := pick(w.rng, open)
	c.txn.open, c.txn.commit = false, w.rng.IntN(3) > 0
	p, err := w.l.EndTxn(ctx, log.TxnProducer{TransactionalID: c.id, Producer: c.producer}, c.txn.commit, c.bump)
	if err != nil {
		// The partitions may all have been deleted, or the batches refused.
		if !errors.Is(err, log.ErrTxnState) {
			w.unexpected("ending a transaction", err)
		}
		if !failed(err) {
			c.txn.open = true
			w.initTxn(c)
		}
		return
	}
	if p != c.producer {
		c.producer, c.seq = p, map[*wPartition]int32{}
	}
	w.decided(c.txn, nil)
	c.txn = nil
}

// reopen closes the log in order and opens it again.
func (w *world) reopen(fs vfs.FS) error {
	w.closed = true
	if err := w.l.Close(); err != nil {
		return err
	}
	return w.open(fs)
}
