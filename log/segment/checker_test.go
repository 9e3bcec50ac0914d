package segment

import (
	"errors"
	"fmt"
	"math"

	"karst/log"
)

// A seen is what a reader finds in a partition.
type seen struct {
	bounds  log.Bounds
	visible map[*wRecord]int64 // committed records with their offsets
	present map[*wRecord]int64 // all records
}

// check compares a log with the history: acknowledged ⊆ read ⊆ sent, nothing
// twice, offsets as acknowledged and ascending, transactions whole or not at
// all, aborted ones never, the last stable offset, compaction, trimming, group
// offsets, epochs. Where the answer to a request is still out, both outcomes
// are right, but only one of them everywhere.
func (w *world) check(l *Log) error {
	if w.err != nil {
		return w.err
	}
	if w.l != l && !w.closed && l.epoch <= w.epoch {
		return fmt.Errorf("leader epoch %d after a crash in epoch %d", l.epoch, w.epoch)
	}
	all := map[*wPartition]*seen{}
	for _, t := range w.topics {
		if err := w.checkTopic(l, t, all); err != nil {
			return err
		}
	}
	if err := w.checkNoOthers(l); err != nil {
		return err
	}
	for i, txn := range w.all {
		if err := w.checkWhole(l, txn, all); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	if w.lossy && w.l != l {
		return nil // group offsets may be any that were
	}
	return w.checkGroups(l)
}

// loseAcks makes the world take no answer of a log that does not sync for
// certain: after a power cut any of it may be undone, but what is there must
// fit together.
func (w *world) loseAcks() {
	for _, t := range w.topics {
		for _, p := range t.partitions {
			p.least = 0
			for _, r := range p.records {
				if r.status == done {
					r.status = asked
				}
			}
		}
	}
	for _, t := range w.all {
		t.status, t.offsets = asked, nil
	}
	w.groups = map[string]*wRegister{}
	w.plain = nil
}

func (w *world) checkNoOthers(l *Log) error {
	list, err := l.Topics(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		known := w.topics[t.Name]
		if known == nil && (w.making == nil || w.making.name != t.Name) || known != nil && known.id != t.ID {
			return fmt.Errorf("topic %s %s that nobody made, or that was deleted", t.Name, t.ID)
		}
	}
	return nil
}

func (w *world) checkTopic(l *Log, t *wTopic, all map[*wPartition]*seen) error {
	info, err := l.Topic(ctx, t.name)
	if errors.Is(err, log.ErrUnknownTopic) && (t.deleting || w.lossy) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.ID != t.id || int(info.Partitions) != len(t.partitions) {
		return fmt.Errorf("topic %s is %+v, was made as %s with %d partitions", t.name, info, t.id, len(t.partitions))
	}
	for _, p := range t.partitions {
		s, err := w.read(l, p)
		if w.offline(err) {
			continue
		}
		if err == nil {
			all[p] = s
			err = w.checkPartition(p, s)
		}
		if err != nil {
			return fmt.Errorf("%s partition %d: %w", t.name, p.index, err)
		}
	}
	return nil
}

// read reads a partition as a committed and as an uncommitted reader.
func (w *world) read(l *Log, p *wPartition) (*seen, error) {
	s := &seen{visible: map[*wRecord]int64{}, present: map[*wRecord]int64{}}
	var err error
	if s.bounds, err = l.Bounds(ctx, p.name()); err != nil {
		return nil, err
	}
	if err := w.readRaw(l, p, s); err != nil {
		return nil, err
	}
	var r log.Records
	last := int64(-1)
	for offset := s.bounds.Start; offset < s.bounds.LastStable; {
		next, err := l.Fetch(ctx, p.name(), offset, 300, &r)
		if err != nil {
			return nil, err
		}
		for i := range r.Len() {
			rec, err := w.known(p, &r, i)
			if err != nil {
				return nil, err
			}
			if _, twice := s.visible[rec]; twice || r.Offsets[i] <= last {
				return nil, fmt.Errorf("record %s at %d, again or out of order", rec.number, r.Offsets[i])
			}
			last = r.Offsets[i]
			s.visible[rec] = last
		}
		if next <= offset {
			return nil, fmt.Errorf("fetch from %d goes on at %d, stable is %d", offset, next, s.bounds.LastStable)
		}
		offset = next
	}
	return s, nil
}

// readRaw goes through all batches; committed raw reads must have no batch from
// the last stable offset on, and each transaction among them must be over.
func (w *world) readRaw(l *Log, p *wPartition, s *seen) error {
	b := s.bounds
	for _, committed := range []bool{false, true} {
		for offset := b.Start; ; {
			f, err := l.FetchRaw(ctx, log.RawFetch{Partition: p.name(), Offset: offset, MaxBytes: 400, AtLeastOne: true, Committed: committed}, nil)
			if err != nil {
				return err
			}
			if len(f.Batches) == 0 {
				break
			}
			for rest := f.Batches; len(rest) > 0; {
				h, err := log.CheckBatch(rest[:batchBytes(rest)])
				if err != nil {
					return err
				}
				if h.LastOffset < offset || committed && h.LastOffset >= b.LastStable || h.LastOffset >= b.HighWatermark {
					return fmt.Errorf("raw batch %d-%d at %d of %+v", h.BaseOffset, h.LastOffset, offset, b)
				}
				if !committed && !h.Control() {
					if err := w.note(p, s, rest[:h.Bytes]); err != nil {
						return err
					}
				}
				offset, rest = h.LastOffset+1, rest[h.Bytes:]
			}
		}
	}
	return nil
}

func (w *world) note(p *wPartition, s *seen, batch []byte) error {
	var r log.Records
	if _, err := r.DecodeBatch(batch); err != nil {
		return err
	}
	for i := range r.Len() {
		rec, err := w.known(p, &r, i)
		if err != nil {
			return err
		}
		if _, twice := s.present[rec]; twice {
			return fmt.Errorf("record %s at %d again", rec.number, r.Offsets[i])
		}
		s.present[rec] = r.Offsets[i]
	}
	return nil
}

func (w *world) known(p *wPartition, r *log.Records, i int) (*wRecord, error) {
	h := r.Headers(i)
	if len(h) != 1 {
		return nil, fmt.Errorf("record at %d with %d headers", r.Offsets[i], len(h))
	}
	rec := w.records[h[0].Key]
	if rec == nil || rec.part != p || string(r.Key(i)) != rec.key || string(r.Value(i)) != rec.value || (r.Value(i) == nil) != (rec.value == "") || r.Timestamps[i] != rec.time {
		return nil, fmt.Errorf("record %s at %d that nobody sent", h[0].Key, r.Offsets[i])
	}
	return rec, nil
}

// committed tells whether a record must, may or must not be visible.
func (r *wRecord) committed() (must, may bool) {
	if r.status == undone {
		return false, false
	}
	must, may = r.status == done, true
	if t := r.txn; t != nil {
		must = must && t.status == done && t.commit
		may = t.commit && !t.open
	}
	return must, may
}

func (w *world) checkPartition(p *wPartition, s *seen) error {
	b := s.bounds
	now := w.clock.Now().UnixMilli()
	if b.Start < p.least || b.LastStable < b.Start || b.HighWatermark < b.LastStable {
		return fmt.Errorf("bounds %+v, trimmed to %d", b, p.least)
	}
	for _, r := range p.records {
		at, visible := s.visible[r]
		was, present := s.present[r]
		must, may := r.committed()
		switch {
		case visible && !may:
			return fmt.Errorf("record %s at %d is visible; it is refused, aborted or not committed", r.number, at)
		case visible && r.offset >= 0 && r.offset != at:
			return fmt.Errorf("record %s at %d was acknowledged at %d", r.number, at, r.offset)
		case must && r.offset >= b.HighWatermark:
			return fmt.Errorf("record %s was acknowledged at %d, the partition ends at %d", r.number, r.offset, b.HighWatermark)
		case r.offset >= 0 && r.offset < b.Start && r.offset >= p.start && (p.topic.retention < 0 || r.time >= now-p.topic.retention || r.txn != nil && r.txn.open):
			return fmt.Errorf("record %s at %d is gone, the partition starts at %d", r.number, r.offset, b.Start)
		case must && !visible && r.offset >= b.Start && r.offset < b.LastStable && !(p.topic.compact && w.compactedAway(r, s)):
			return fmt.Errorf("record %s, acknowledged at %d, is lost", r.number, r.offset)
		case present && r.status == undone:
			return fmt.Errorf("record %s at %d was refused", r.number, was)
		case !present && r.status == done && r.offset >= b.Start && !(p.topic.compact && (!may && !(r.txn != nil && r.txn.open) || w.compactedAway(r, s))):
			return fmt.Errorf("record %s, acknowledged at %d, is lost (uncommitted)", r.number, r.offset)
		}
	}
	return w.checkStable(p, b)
}

// compactedAway reports whether a record may be gone because a later one has
// its key, or because it is a tombstone of old.
func (w *world) compactedAway(r *wRecord, s *seen) bool {
	older := false
	for _, o := range r.part.records {
		if o.key != r.key || o == r {
			continue
		}
		at, visible := s.visible[o]
		if must, _ := o.committed(); (must && o.offset > r.offset) || visible && at > r.offset {
			return true
		}
		older = older || visible && at < r.offset
	}
	return r.value == "" && !older && w.clock.Now().UnixMilli() >= r.time+3000
}

// checkStable compares the last stable offset with the transactions that are
// open, and those that may be.
func (w *world) checkStable(p *wPartition, b log.Bounds) error {
	most, least := b.HighWatermark, b.HighWatermark
	for _, r := range p.records {
		if r.txn == nil || r.status == undone || r.txn.status == done || r.offset >= 0 && r.offset < b.Start {
			continue
		}
		if r.offset < 0 {
			least = math.MinInt64
			continue
		}
		least = min(least, r.offset)
		if r.txn.open && r.status == done { // if not, it may be lost, and its offset given to something else
			most = min(most, r.offset)
		}
	}
	if b.LastStable > most || b.LastStable < least {
		return fmt.Errorf("last stable offset %d, must be between %d and %d", b.LastStable, least, most)
	}
	return nil
}

// checkWhole holds that of a transaction whose end is not known all is there or
// nothing.
func (w *world) checkWhole(l *Log, t *wTxn, all map[*wPartition]*seen) error {
	if t.open || t.status == done {
		return nil // each record is checked for itself
	}
	shown, hidden := "", ""
	for _, r := range t.records {
		s := all[r.part]
		if s == nil || r.status == undone {
			continue
		}
		at, visible := s.visible[r]
		if t.single {
			at, visible = s.present[r]
		}
		switch {
		case visible:
			shown = fmt.Sprintf("record %s at %d", r.number, at)
		case !t.single && s.present[r] >= s.bounds.LastStable: // behind another's
		case r.offset >= 0 && r.offset < s.bounds.Start || r.offset < 0 && r.part.topic.retention >= 0, r.part.topic.compact:
		default:
			hidden = "record " + r.number
		}
	}
	for reg, value := range t.offsets {
		if w.topics[reg.part.topic.name] != reg.part.topic || reg.part.topic.deleting {
			continue
		}
		committed, _, err := l.GroupOffsets(ctx, reg.group)
		if err != nil {
			return err
		}
		switch got, found := committed[reg.part.name()]; {
		case found && got.Offset == value:
			shown = fmt.Sprintf("offset %d of %s", value, reg.group)
		case w.overwritten(reg, value):
		default:
			hidden = fmt.Sprintf("offset %d of %s", value, reg.group)
		}
	}
	if shown != "" && (hidden != "" || !t.commit) {
		return fmt.Errorf("%s is visible, %s is not; commit asked for: %v", shown, hidden, t.commit)
	}
	return nil
}

// overwritten reports whether another value for the register is asked for, too.
func (w *world) overwritten(reg *wRegister, value int64) bool {
	for _, t := range w.all {
		if v, ok := t.offsets[reg]; ok && v > value {
			return true
		}
	}
	return false
}

func (w *world) checkGroups(l *Log) error {
	for name, reg := range w.groups {
		if reg.part.topic.deleting {
			continue
		}
		committed, pending, err := l.GroupOffsets(ctx, reg.group)
		if err != nil {
			return err
		}
		got := int64(-1)
		if o, found := committed[reg.part.name()]; found {
			got = o.Offset
		}
		ok := got == reg.value
		for _, t := range w.all {
			if v, asked := t.offsets[reg]; asked && v == got && t.commit && !t.open && t.status == 0 {
				ok = true
			}
		}
		if !ok {
			return fmt.Errorf("offset of %s is %d, was acknowledged as %d", name, got, reg.value)
		}
		if _, is := pending[reg.part.name()]; reg.pending && !is && w.stillOpen(reg) {
			return fmt.Errorf("offset of %s is not pending, though its transaction is open", name)
		}
	}
	return nil
}

func (w *world) stillOpen(reg *wRegister) bool {
	for _, t := range w.all {
		if _, has := t.offsets[reg]; has && t.open {
			return true
		}
	}
	return false
}

// goesOn checks that a recovered log works: what was sent before is recognised,
// open transactions can be aborted, new records are taken, and opening it once
// more changes nothing. The world is not told of any of it.
func (w *world) goesOn(l *Log, reopen func() (*Log, error)) (*Log, error) {
	for _, x := range w.plain {
		for p := range x.sent {
			b := x.last(p)
			if b == nil || w.topics[p.topic.name] != p.topic || p.topic.deleting || b.records[0].status != done {
				continue
			}
			var res log.RawResult
			l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: p.name(), Batch: append([]byte(nil), b.batch...)}}}, func(r []log.RawResult) { res = r[0] })
			if res.Err != nil || res.BaseOffset != b.records[0].offset {
				return l, fmt.Errorf("batch sent again after recovery: offset %d, %v; had %d", res.BaseOffset, res.Err, b.records[0].offset)
			}
		}
	}
	if err := w.check(l); err != nil {
		return l, fmt.Errorf("after sending again: %w", err)
	}
	for _, c := range w.txns {
		if _, err := l.InitProducer(ctx, c.id, 1e9, log.NoProducer); err != nil {
			return l, fmt.Errorf("fencing %s after recovery: %w", c.id, err)
		}
	}
	before, err := dump(l)
	if err != nil {
		return l, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if l, err = reopen(); err != nil {
		return nil, fmt.Errorf("opening again: %w", err)
	}
	after, err := dump(l)
	if err != nil {
		return l, err
	}
	if before != after {
		return l, fmt.Errorf("opening again changed\n%s\nto\n%s", before, after)
	}
	for _, t := range w.topics {
		for _, p := range t.partitions {
			b, err := l.Bounds(ctx, p.name())
			if errors.Is(err, log.ErrUnknownTopic) && (t.deleting || w.lossy) {
				continue
			}
			if err != nil {
				return l, err
			}
			if b.LastStable != b.HighWatermark {
				return l, fmt.Errorf("%s partition %d: %+v, though no transaction is open", t.name, p.index, b)
			}
			a := []log.Append{{Partition: p.name(), Batch: encode("more")}}
			if err := l.Produce(ctx, a); err != nil {
				return l, err
			}
			if h, _ := log.ReadHeader(a[0].Batch); h.BaseOffset != b.HighWatermark {
				return l, fmt.Errorf("new record at %d, the partition ended at %d", h.BaseOffset, b.HighWatermark)
			}
		}
	}
	return l, nil
}

// dump describes all that a log holds.
func dump(l *Log) (string, error) {
	out := ""
	topics, err := l.Topics(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range topics {
		for i := range t.Partitions {
			text, err := dumpPartition(l, log.Partition{Topic: t.Name, Index: i})
			if err != nil {
				return "", err
			}
			out += text
		}
	}
	rest, err := dumpRest(l)
	return out + rest, err
}

// dumpPartition describes a partition with its committed records.
func dumpPartition(l *Log, p log.Partition) (string, error) {
	b, err := l.Bounds(ctx, p)
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("%s %d %d-%d-%d\n", p.Topic, p.Index, b.Start, b.LastStable, b.HighWatermark)
	var r log.Records
	for offset := b.Start; offset < b.LastStable; {
		if offset, err = l.Fetch(ctx, p, offset, 1000, &r); err != nil {
			return "", err
		}
		for j := range r.Len() {
			out += fmt.Sprintf("%d %s %.10s\n", r.Offsets[j], r.Key(j), r.Value(j))
		}
	}
	list, err := l.Producers(ctx, p)
	return out + fmt.Sprintln(list), err
}

// dumpRest describes topics, groups and transactions.
func dumpRest(l *Log) (string, error) {
	out := ""
	topics, err := l.Topics(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range topics {
		t.Offline = nil
		out += fmt.Sprintln(t)
	}
	for _, g := range []string{"wg", "sg", "tg-txn0", "tg-txn1", "tg-txn2"} {
		committed, pending, err := l.GroupOffsets(ctx, g)
		if err != nil {
			return "", err
		}
		out += fmt.Sprintln(g, committed, pending)
	}
	txns, err := l.Transactions(ctx)
	return out + fmt.Sprintln(txns), err
}
