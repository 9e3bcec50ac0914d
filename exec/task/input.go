package task

import (
	"context"
	"fmt"
	"math"

	"karst/exec/operator"
	"karst/log"
	"karst/sql/vector"
)

// A source is one partition of a source step: what has been read of it, and
// how far rounds have taken that.
type source struct {
	op    *operator.Source
	at    log.Partition
	arena *vector.Arena // of the rows at hand, which may wait for later rounds

	recs    log.Records
	decoded int   // records of recs that are rows, or were
	fetched int64 // offset after recs

	batch *vector.Batch // the rows at hand: recs[first:decoded], decoded
	first int           // record of the batch's physical row 0
	rows  []int32       // its selected rows
	taken int           // rows that rounds have taken

	position  int64 // offset of the next record that is not taken
	committed int64 // position of the last commit
	bootEnd   int64 // of a table that is read first: up to here
	consumed  int64 // records taken since the start
}

// seek goes to an offset and forgets what was read.
func (s *source) seek(offset int64) {
	s.recs.Reset()
	s.decoded, s.fetched, s.position = 0, offset, offset
	s.batch, s.rows, s.taken = nil, nil, 0
}

// waiting returns how many rows are at hand.
func (s *source) waiting() int { return len(s.rows) - s.taken }

// fill reads and decodes further records, at most limit and none from offset
// end on, if no row is at hand. It reports whether it has read anything; if not, the log
// has no more committed records.
func (s *source) fill(ctx context.Context, l log.Log, c *operator.Context, limit int, end int64) (bool, error) {
	if s.waiting() > 0 {
		return false, nil
	}
	if s.decoded == s.recs.Len() {
		if s.position >= end {
			return false, nil
		}
		next, err := l.Fetch(ctx, s.at, s.fetched, fetchBytes, &s.recs)
		s.decoded = 0
		if err != nil || next == s.fetched {
			s.recs.Reset()
			return false, err
		}
		s.fetched = next
	}
	s.first = s.decoded
	n := 0
	for n < limit && s.first+n < s.recs.Len() && s.recs.Offsets[s.first+n] < end {
		n++
	}
	s.decoded += n
	s.batch, s.rows, s.taken = nil, nil, 0
	if n == 0 {
		s.position = s.after()
		return s.decoded == s.recs.Len(), nil // markers and aborted records only
	}
	s.consumed += int64(n)
	in := records(c.Arena, &s.recs, s.first, s.decoded)
	in.Partition = s.at.Index
	b, err := s.op.Decode(c, in)
	if err != nil {
		return false, err
	}
	if b == nil {
		s.position = s.after()
		return true, nil
	}
	s.batch, s.rows = b, b.Selected(c.Arena)
	return true, nil
}

// after returns the offset after the records that are decoded.
func (s *source) after() int64 {
	if s.decoded < s.recs.Len() {
		return s.recs.Offsets[s.decoded]
	}
	return s.fetched
}

// take returns the next n rows at hand as a batch.
func (s *source) take(n int) *vector.Batch {
	b := *s.batch
	if n < len(s.rows) {
		b.Sel = s.rows[s.taken : s.taken+n : s.taken+n]
	}
	if s.taken += n; s.waiting() > 0 {
		s.position = s.recs.Offsets[s.first+int(s.rows[s.taken])]
	} else {
		s.position = s.after()
	}
	return &b
}

// gather takes a round's rows from the sources: one batch at most from each
// partition, by node and partition. It reports whether anything was read.
//
// Where several sources meet in joins, their partitions are merged by time: a
// row is taken only while every other partition has a later row at hand or
// nothing unread. What is ahead waits, and the answer does not depend on how
// the input arrived in batches.
func (u *Unit) gather(ctx context.Context) (out [][]*vector.Batch, worked bool, err error) {
	booting := u.booting()
	for {
		more := false
		for _, n := range u.nodes {
			for p, s := range n.sources {
				if booting && !n.first {
					continue
				}
				read, err := u.fill(ctx, s, p, booting)
				if err != nil {
					return nil, worked, err
				}
				more = more || read
			}
		}
		worked = worked || more
		// Of what was committed before a row at hand, all must have been seen:
		// those that had nothing are asked again.
		if !u.merged || !more {
			break
		}
	}
	out = make([][]*vector.Batch, len(u.nodes))
	if u.merged {
		worked = u.merge(out) || worked
	}
	for i, n := range u.nodes {
		for p, s := range n.sources {
			if out[i] == nil {
				out[i] = make([]*vector.Batch, n.parts)
			}
			if !u.merged && s.waiting() > 0 {
				out[i][p] = s.take(s.waiting())
			}
			if out[i][p] == nil {
				continue
			}
			if out[i][p], err = s.op.Apply(u.context(p), out[i][p]); err != nil {
				return nil, worked, fmt.Errorf("step %s: %w", n.step.Meta().ID, err)
			}
		}
	}
	return out, worked, nil
}

// fill reads records of a source partition if it has no rows at hand.
func (u *Unit) fill(ctx context.Context, s *source, partition int, booting bool) (bool, error) {
	c := u.context(partition)
	if u.merged && s.waiting() == 0 {
		s.arena.Reset()
	}
	if u.merged {
		c.Arena = s.arena
	}
	end := int64(math.MaxInt64)
	if booting {
		end = s.bootEnd
	}
	return s.fill(ctx, u.cfg.Log, c, u.limit, end)
}

// merge takes rows from the sources in merge order, until a partition has no
// more at hand: whether it has unread ones shows in the next round.
func (u *Unit) merge(out [][]*vector.Batch) bool {
	var h mergeHeap
	for i, n := range u.nodes {
		for p, s := range n.sources {
			if s.waiting() > 0 {
				h = append(h, head{source: s, node: i, part: p, stream: !n.step.Meta().IsTable})
			}
		}
	}
	if len(h) == 0 {
		return false
	}
	h.init()
	rank := int32(0)
	for h[0].next < h[0].source.waiting() {
		top := &h[0]
		if top.order == nil {
			top.order = u.arena.Int32s(top.source.batch.N)
		}
		top.order[top.row()] = rank
		rank++
		top.next++
		h.fix()
	}
	for _, t := range h {
		if t.next == 0 {
			continue
		}
		if out[t.node] == nil {
			out[t.node] = make([]*vector.Batch, u.nodes[t.node].parts)
		}
		b := t.source.take(t.next)
		b.Order = t.order
		out[t.node][t.part] = b
	}
	return true
}

// A head is a partition in a merge.
type head struct {
	source     *source
	node, part int
	stream     bool
	next       int // rows taken in this round
	order      []int32
}

func (t *head) row() int32 { return t.source.rows[t.source.taken+t.next] }

// A mergeHeap has the partition with the earliest next row on top: tables
// before streams, then by the order of the join's sides and by partition. One
// that has run out of rows at hand is on top at its last row's time.
type mergeHeap []head

func (h mergeHeap) less(i, j int) bool {
	a, b := &h[i], &h[j]
	switch ta, tb := a.time(), b.time(); {
	case ta != tb:
		return ta < tb
	case a.stream != b.stream:
		return b.stream
	case a.node != b.node:
		return a.node < b.node
	}
	return a.part < b.part
}

// time returns the next row's time; a partition that has run out stops the
// merge, whatever is in the others.
func (t *head) time() int64 {
	if t.next == t.source.waiting() {
		return math.MinInt64
	}
	return t.source.batch.Time[t.row()]
}

func (h mergeHeap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// fix puts the top, whose next row has changed, into its place.
func (h mergeHeap) fix() { h.down(0) }

func (h mergeHeap) down(i int) {
	for {
		least := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < len(h) && h.less(k, least) {
				least = k
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
