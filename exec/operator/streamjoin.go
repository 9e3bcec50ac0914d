package operator

import (
	"karst/exec/state"
	"karst/exec/window"
	"karst/planner/plan"
	"karst/sql/vector"
)

// A streamStreamJoin buffers both sides' rows. A buffer's key is the row's
// join key (key columns and, if windowed, the window), its time and a sequence
// number; its value whether the row was joined, and the row.
type streamStreamJoin struct {
	step    *plan.StreamStreamJoin
	spec    window.Join
	sides   [2]joinSide
	stores  [2]*state.Store
	buffers [2]joinBuffer
	time    [2]streamTime // each side's
	seq     int64
	key     []byte
	mine    []byte
	theirs  []byte
	due     []bufferedRow
}

// A slot begins with whether the row was joined, and its lane.
const (
	slotJoined   = 0
	slotJoinLane = 4
)

func newStreamStreamJoin(s *plan.StreamStreamJoin, d Deps) (Operator, error) {
	j := &streamStreamJoin{step: s, sides: [2]joinSide{sideOf(s.Left), sideOf(s.Right)}, spec: window.Join{Before: s.BeforeMS, After: s.AfterMS, Grace: window.DefaultGrace}}
	if s.GraceMS != nil {
		j.spec.Grace = *s.GraceMS
	}
	for k, name := range []string{".left", ".right"} {
		var err error
		if j.stores[k], err = d.Store(s.ID+name, state.Layout{FixedBytes: 8 + vector.BlobCellBytes, Blobs: []int{8}}); err != nil {
			return nil, err
		}
	}
	j.Reset()
	return j, nil
}

// Reset implements Resetter: the buffers' indexes are built from the stores.
func (j *streamStreamJoin) Reset() {
	j.seq = 0
	for k, s := range j.stores {
		j.time[k] = readStreamTime(s.Meta(metaTime))
		j.buffers[k].reset()
		s.Each(func(t *state.Table, slot int32) bool {
			cells := t.Cells(0)
			r := rowOfKey(string(t.Key(slot)), *cells.Int32(slot, slotJoinLane))
			j.buffers[k].insert(r, j.waits(k) && *cells.Int32(slot, slotJoined) == 0)
			j.seq = max(j.seq, r.seq+1)
			return true
		})
	}
}

// Run implements Operator.
func (j *streamStreamJoin) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	if in[0] == nil && in[1] == nil {
		return nil, nil
	}
	out := newRowBuilder(c.Arena, j.step.Schema, j.step.Window != nil, 64)
	err := interleave(in[0], in[1], false, func(right bool, i int) error {
		k := 0
		if right {
			k = 1
		}
		return j.row(c, out, in[k], k, i)
	})
	for k, s := range j.stores {
		s.SetMeta(metaTime, j.time[k].bytes())
	}
	return out.finish(), err
}

// StreamTime implements Timer.
func (j *streamStreamJoin) StreamTime(input, lane int) int64 { return j.time[input].of(int32(lane)) }

// advance takes side k's stream time to row i and returns the row's lane: that
// of a side without an exchange is the partition.
func (j *streamStreamJoin) advance(c *Context, b *vector.Batch, k, i int) int32 {
	if b.Lane == nil {
		j.time[k].advance(c.Partition, b.Time[i])
		return c.Partition
	}
	j.time[k].advance(b.Lane[i], b.StreamTime[i])
	return b.Lane[i]
}

func (j *streamStreamJoin) row(c *Context, out *rowBuilder, b *vector.Batch, k, i int) error {
	nk := j.sides[k].nk
	if b.Op(i) != vector.Upsert || anyNull(b.Cols[:nk], i) || b.Time[i] < 0 {
		return nil
	}
	out.from(b, i)
	t := b.Time[i]
	lane := j.advance(c, b, k, i)
	if err := j.expire(out, lane); err != nil {
		return err
	}
	j.key = j.joinKey(j.key[:0], b, k, i)
	start, end := windowOf(b, i)
	j.mine = appendRowBytes(j.mine[:0], t, b.Cols[nk:], i)
	j.mine = appendWindowKey(appendWindowKey(j.mine, start), end)
	matched, err := j.matches(out, b, k, i)
	if err != nil {
		return err
	}
	if !matched && j.outer(k) && (j.step.GraceMS == nil || j.closed(k, t, lane)) {
		if err := j.emit(out, b.Cols[:nk], i, k, j.mine, nil, t); err != nil {
			return err
		}
		matched = j.step.GraceMS != nil // it will not come out again
	}
	if t >= j.spec.Horizon(j.time[k].of(lane)) {
		j.keep(k, t, lane, matched)
	}
	return nil
}

// joinKey appends what rows must have in common: the key columns and, if the
// keys have windows, the start of a time window or both ends of a session.
func (j *streamStreamJoin) joinKey(buf []byte, b *vector.Batch, k, i int) []byte {
	buf = appendKey(buf, b.Cols[:j.sides[k].nk], i)
	if j.step.Window == nil || b.WindowStart == nil {
		return buf
	}
	buf = appendWindowKey(buf, b.WindowStart[i])
	if j.step.Window.Kind == plan.Session {
		buf = appendWindowKey(buf, b.WindowEnd[i])
	}
	return buf
}

// matches joins row i of side k with what the other side has kept.
func (j *streamStreamJoin) matches(out *rowBuilder, b *vector.Batch, k, i int) (bool, error) {
	from, to := j.spec.RightRange(b.Time[i])
	if k == 1 {
		from, to = j.spec.LeftRange(b.Time[i])
	}
	matched := false
	for _, r := range j.buffers[1-k].find(j.key) {
		if r.time < max(from, j.spec.Horizon(j.time[1-k].of(r.lane))) || r.time > to {
			continue
		}
		matched = true
		err := j.match(out, b, k, i, r)
		if err == nil {
			err = out.check()
		}
		if err != nil {
			return true, err
		}
	}
	return matched, nil
}

func (j *streamStreamJoin) match(out *rowBuilder, b *vector.Batch, k, i int, r bufferedRow) error {
	table, slot := j.stores[1-k].Lookup([]byte(r.key))
	cells := table.Cells(0)
	if *cells.Int32(slot, slotJoined) == 0 {
		// Only the first match changes the row's slot.
		slot = j.stores[1-k].ProbeOne([]byte(r.key))
		cells = j.stores[1-k].Cells(0)
		*cells.Int32(slot, slotJoined) = 1
	}
	j.theirs = append(j.theirs[:0], cells.Blob(slot, 8)...)
	return j.emit(out, b.Cols[:j.sides[k].nk], i, k, j.mine, j.theirs, max(b.Time[i], r.time))
}

// closed reports whether a row of side k and time t in a lane finds no partner
// any more.
func (j *streamStreamJoin) closed(k int, t int64, lane int32) bool {
	streamTime := max(j.time[0].of(lane), j.time[1].of(lane))
	if k == 0 {
		return j.spec.LeftClosed(t, streamTime)
	}
	return j.spec.RightClosed(t, streamTime)
}

// outer reports whether side k's rows are emitted without a partner.
func (j *streamStreamJoin) outer(k int) bool {
	switch j.step.Type {
	case plan.FullJoin:
		return true
	case plan.LeftJoin:
		return k == 0
	case plan.RightJoin:
		return k == 1
	}
	return false
}

// waits reports whether side k's rows wait for their window to close before
// they are emitted without a partner.
func (j *streamStreamJoin) waits(k int) bool { return j.outer(k) && j.step.GraceMS != nil }

func (j *streamStreamJoin) emit(out *rowBuilder, keys []*vector.Vector, i, k int, mine, theirs []byte, t int64) error {
	appendRow(out.cols[:len(keys)], keys, i)
	return j.values(out, len(keys), k, mine, theirs, t)
}

// values ends an output row with both sides' columns, from position at on; its
// window is the left's, or the right's if there is no left.
func (j *streamStreamJoin) values(out *rowBuilder, at, k int, mine, theirs []byte, t int64) error {
	sides := [2][]byte{mine, theirs}
	if k == 1 {
		sides = [2][]byte{theirs, mine}
	}
	var span []byte
	for n, row := range sides {
		cols := out.cols[at : at+j.sides[n].values]
		at += j.sides[n].values
		if row == nil {
			nullRow(cols)
			continue
		}
		_, rest, err := readRowBytes(cols, row)
		if err != nil {
			return err
		}
		if len(rest) != 16 {
			return vector.ErrValue
		}
		if span == nil {
			span = rest
		}
	}
	start, end := windowOfKey(span)
	out.close(vector.Upsert, t, start, end)
	return nil
}

// keep buffers j.mine under j.key.
func (j *streamStreamJoin) keep(k int, t int64, lane int32, joined bool) {
	j.key = appendWindowKey(appendWindowKey(j.key, t), j.seq)
	j.seq++
	slot := j.stores[k].ProbeOne(j.key)
	cells := j.stores[k].Cells(0)
	if joined {
		*cells.Int32(slot, slotJoined) = 1
	}
	*cells.Int32(slot, slotJoinLane) = lane
	cells.SetBlob(slot, 8, j.mine)
	j.buffers[k].insert(rowOfKey(string(j.key), lane), j.waits(k) && !joined)
}

// expire emits a lane's rows of outer sides that have found no partner and
// can't any more, and drops those that no row can reach.
func (j *streamStreamJoin) expire(out *rowBuilder, lane int32) error {
	j.due = j.due[:0]
	for k := range j.buffers {
		j.due = j.buffers[k].takeWaiting(j.due, k, lane, func(t int64) bool { return j.closed(k, t, lane) })
	}
	sortBuffered(j.due)
	for _, r := range j.due {
		if err := j.emitAlone(out, r); err != nil {
			return err
		}
	}
	for k := range j.buffers {
		horizon := j.spec.Horizon(j.time[k].of(lane))
		j.due = j.buffers[k].takeOld(j.due[:0], lane, func(t int64) bool { return t < horizon && j.closed(k, t, lane) })
		for _, r := range j.due {
			j.stores[k].Delete([]byte(r.key))
		}
	}
	return nil
}

// emitAlone emits a row without partner, unless it has been joined meanwhile.
func (j *streamStreamJoin) emitAlone(out *rowBuilder, r bufferedRow) error {
	table, slot := j.stores[r.side].Lookup([]byte(r.key))
	if table == nil {
		return nil
	}
	cells := table.Cells(0)
	if *cells.Int32(slot, slotJoined) != 0 {
		return nil
	}
	slot = j.stores[r.side].ProbeOne([]byte(r.key))
	cells = j.stores[r.side].Cells(0)
	*cells.Int32(slot, slotJoined) = 1 // it does not come out again
	nk := j.sides[r.side].nk
	rest := []byte(r.key)
	var err error
	for _, c := range out.cols[:nk] {
		if rest, err = vector.ReadValue(c, rest); err != nil {
			return err
		}
	}
	j.theirs = append(j.theirs[:0], cells.Blob(slot, 8)...)
	return j.values(out, nk, r.side, j.theirs, nil, r.time)
}
