package operator

import (
	"encoding/binary"
	"sort"

	"karst/exec/state"
	"karst/exec/window"
	"karst/planner/plan"
	"karst/sql/vector"
)

// A joinSide says how many columns of a side are keys and how many values.
type joinSide struct {
	nk     int
	values int
}

func sideOf(s plan.Step) joinSide {
	m := s.Meta()
	nk := len(m.Schema.Keys())
	return joinSide{nk, len(m.Schema.Columns) - nk}
}

// interleave calls f for each row of both batches in time order: with equal
// times the right's rows (a table's) come first where rightFirst is set.
func interleave(l, r *vector.Batch, rightFirst bool, f func(right bool, i int) error) error {
	i, j, nl, nr := 0, 0, 0, 0
	if l != nil {
		nl = l.Rows()
	}
	if r != nil {
		nr = r.Rows()
	}
	for i < nl || j < nr {
		right := i == nl
		if i < nl && j < nr {
			tl, tr := l.Time[l.Row(i)], r.Time[r.Row(j)]
			right = tr < tl || tr == tl && rightFirst
		}
		var err error
		if right {
			err = f(true, r.Row(j))
			j++
		} else {
			err = f(false, l.Row(i))
			i++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type streamTableJoin struct {
	step        *plan.StreamTableJoin
	left, right joinSide
	table       *tableRows
}

func newStreamTableJoin(s *plan.StreamTableJoin, d Deps) (Operator, error) {
	j := &streamTableJoin{step: s, left: sideOf(s.Stream), right: sideOf(s.Table)}
	var err error
	j.table, err = newTableRows(s.ID, s.Table.Meta().Schema, s.Table.Meta().Window != nil, false, d)
	return j, err
}

// Store returns the store of the table's rows.
func (j *streamTableJoin) Store() *state.Store { return j.table.store }

// Run implements Operator.
func (j *streamTableJoin) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	stream, table := in[0], in[1]
	if stream == nil && table == nil {
		return nil, nil
	}
	n := 0
	if stream != nil {
		n = stream.Rows()
	}
	windowed := j.step.Window != nil
	out := newRowBuilder(c.Arena, j.step.Schema, windowed, n)
	err := interleave(stream, table, true, func(right bool, i int) error {
		if right {
			return j.change(table, i)
		}
		return j.look(out, stream, i)
	})
	return out.finish(), err
}

func (j *streamTableJoin) change(b *vector.Batch, i int) error {
	switch b.Op(i) {
	case vector.Upsert:
		j.table.row = appendRowBytes(j.table.row[:0], b.Time[i], b.Cols[j.right.nk:], i)
		j.table.put(j.table.keyOf(b, i), j.table.row)
	case vector.Delete:
		j.table.store.Delete(j.table.keyOf(b, i))
	}
	return nil
}

func (j *streamTableJoin) look(out *rowBuilder, b *vector.Batch, i int) error {
	if b.Op(i) != vector.Upsert || anyNull(b.Cols[:j.left.nk], i) {
		return nil // a row without key or value joins nothing
	}
	row := j.table.get(j.table.keyOf(b, i))
	if row == nil && j.step.Type == plan.InnerJoin {
		return nil
	}
	nl := j.left.nk + j.left.values
	appendRow(out.cols[:nl], b.Cols, i)
	if row == nil {
		nullRow(out.cols[nl:])
	} else if _, _, err := readRowBytes(out.cols[nl:], row); err != nil {
		return err
	}
	start, end := windowOf(b, i)
	out.close(vector.Upsert, b.Time[i], start, end)
	return nil
}

// A tableTableJoin keeps the rows of both sides.
type tableTableJoin struct {
	step  *plan.TableTableJoin
	sides [2]joinSide
	rows  [2]*tableRows
}

func newTableTableJoin(s *plan.TableTableJoin, d Deps) (Operator, error) {
	j := &tableTableJoin{step: s, sides: [2]joinSide{sideOf(s.Left), sideOf(s.Right)}}
	for k, in := range s.Inputs() {
		name := []string{".left", ".right"}[k]
		var err error
		if j.rows[k], err = newTableRows(s.ID+name, in.Meta().Schema, in.Meta().Window != nil, false, d); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// Run implements Operator.
func (j *tableTableJoin) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	if in[0] == nil && in[1] == nil {
		return nil, nil
	}
	out := newRowBuilder(c.Arena, j.step.Schema, j.step.Window != nil, 64)
	err := interleave(in[0], in[1], false, func(right bool, i int) error {
		k := 0
		if right {
			k = 1
		}
		return j.change(out, in[k], k, i)
	})
	return out.finish(), err
}

// change applies one side's change and emits what it does to the joined row.
func (j *tableTableJoin) change(out *rowBuilder, b *vector.Batch, k, i int) error {
	if b.Op(i) == vector.Retract || anyNull(b.Cols[:j.sides[k].nk], i) {
		return nil
	}
	key := append([]byte(nil), j.rows[k].keyOf(b, i)...)
	before := [2][]byte{j.rows[0].get(key), j.rows[1].get(key)}
	for n := range before {
		before[n] = append([]byte(nil), before[n]...)
		if len(before[n]) == 0 {
			before[n] = nil
		}
	}
	after := before
	if b.Op(i) == vector.Upsert {
		after[k] = appendRowBytes(nil, b.Time[i], b.Cols[j.sides[k].nk:], i)
		j.rows[k].put(key, after[k])
	} else {
		if before[k] == nil {
			return nil
		}
		after[k] = nil
		j.rows[k].store.Delete(key)
	}
	start, end := windowOf(b, i)
	was, is := j.joined(before), j.joined(after)
	if was && j.step.Retract {
		if err := j.emit(out, b, i, k, before, vector.Retract, start, end); err != nil {
			return err
		}
	}
	switch {
	case is:
		return j.emit(out, b, i, k, after, vector.Upsert, start, end)
	case was:
		appendRow(out.cols[:j.sides[k].nk], b.Cols, i)
		nullRow(out.cols[j.sides[k].nk:])
		out.close(vector.Delete, b.Time[i], start, end)
	}
	return nil
}

// joined reports whether the join has a row for these sides.
func (j *tableTableJoin) joined(sides [2][]byte) bool {
	switch l, r := sides[0] != nil, sides[1] != nil; j.step.Type {
	case plan.LeftJoin:
		return l
	case plan.RightJoin:
		return r
	case plan.FullJoin:
		return l || r
	default:
		return l && r
	}
}

func (j *tableTableJoin) emit(out *rowBuilder, b *vector.Batch, i, k int, sides [2][]byte, op vector.Op, start, end int64) error {
	nk := j.sides[k].nk
	appendRow(out.cols[:nk], b.Cols, i)
	time, at := int64(0), nk
	for n, row := range sides {
		cols := out.cols[at : at+j.sides[n].values]
		at += j.sides[n].values
		if row == nil {
			nullRow(cols)
			continue
		}
		t, _, err := readRowBytes(cols, row)
		if err != nil {
			return err
		}
		time = max(time, t)
	}
	out.close(op, max(time, b.Time[i]), start, end)
	return nil
}

// A streamStreamJoin buffers both sides' rows. A buffer's key is the row's key,
// its time and a sequence number; its value the row and whether it was joined.
type streamStreamJoin struct {
	step    *plan.StreamStreamJoin
	spec    window.Join
	sides   [2]joinSide
	stores  [2]*state.Store
	dirs    [2]map[string][]buffered
	time    [2]int64 // each side's stream time
	seq     int64
	pending int64 // least time of a row that waits for its window to close
}

type buffered struct {
	time   int64
	key    string // of the store
	joined bool
}

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

// Reset implements Resetter: the directories are built from the stores.
func (j *streamStreamJoin) Reset() {
	for k, s := range j.stores {
		j.time[k] = state.Int64(s.Meta(metaTime), noStreamTime)
		j.dirs[k] = map[string][]buffered{}
		s.Each(func(t *state.Table, slot int32) bool {
			key := t.Key(slot)
			tail := key[len(key)-16:]
			cells := t.Cells(0)
			j.insert(k, string(key[:len(key)-16]), buffered{int64(binary.BigEndian.Uint64(tail)), string(key), *cells.Int64(slot, 0) != 0})
			j.seq = max(j.seq, int64(binary.BigEndian.Uint64(tail[8:]))+1)
			return true
		})
	}
}

func (j *streamStreamJoin) insert(k int, key string, r buffered) {
	list := j.dirs[k][key]
	at := sort.Search(len(list), func(i int) bool { return list[i].key > r.key })
	list = append(list, buffered{})
	copy(list[at+1:], list[at:])
	list[at] = r
	j.dirs[k][key] = list
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
		s.SetMeta(metaTime, state.AppendInt64(j.time[k]))
	}
	return out.finish(), err
}

func (j *streamStreamJoin) row(c *Context, out *rowBuilder, b *vector.Batch, k, i int) error {
	nk := j.sides[k].nk
	if b.Op(i) != vector.Upsert || anyNull(b.Cols[:nk], i) || b.Time[i] < 0 {
		return nil
	}
	t := b.Time[i]
	j.time[k] = max(j.time[k], t)
	if err := j.expire(c, out); err != nil {
		return err
	}
	key := string(appendKey(nil, b.Cols[:nk], i))
	from, to := j.spec.RightRange(t)
	if k == 1 {
		from, to = j.spec.LeftRange(t)
	}
	mine := appendRowBytes(nil, t, b.Cols[nk:], i)
	matched := false
	other := j.dirs[1-k][key]
	horizon := j.spec.Horizon(j.time[1-k])
	for n := range other {
		if other[n].time < from || other[n].time > to || other[n].time < horizon {
			continue
		}
		matched = true
		if err := j.match(out, b, k, i, mine, &other[n]); err != nil {
			return err
		}
	}
	streamTime := max(j.time[0], j.time[1])
	closed := j.closed(k, t, streamTime)
	if !matched && j.outer(k) && (j.step.GraceMS == nil || closed) {
		if err := j.emit(out, b.Cols[:nk], i, k, mine, nil, t); err != nil {
			return err
		}
		matched = j.step.GraceMS != nil
	}
	if t >= j.spec.Horizon(j.time[k]) {
		j.keep(k, key, t, mine, matched)
	}
	return nil
}

func (j *streamStreamJoin) closed(k int, t, streamTime int64) bool {
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

func (j *streamStreamJoin) match(out *rowBuilder, b *vector.Batch, k, i int, mine []byte, r *buffered) error {
	slot := j.stores[1-k].ProbeOne([]byte(r.key))
	cells := j.stores[1-k].Cells(0)
	*cells.Int64(slot, 0) = 1
	r.joined = true
	theirs := append([]byte(nil), cells.Blob(slot, 8)...)
	return j.emit(out, b.Cols[:j.sides[k].nk], i, k, mine, theirs, max(b.Time[i], r.time))
}

func (j *streamStreamJoin) emit(out *rowBuilder, keys []*vector.Vector, i, k int, mine, theirs []byte, t int64) error {
	appendRow(out.cols[:len(keys)], keys, i)
	return j.values(out, len(keys), k, mine, theirs, t)
}

func (j *streamStreamJoin) values(out *rowBuilder, at, k int, mine, theirs []byte, t int64) error {
	sides := [2][]byte{mine, theirs}
	if k == 1 {
		sides = [2][]byte{theirs, mine}
	}
	for n, row := range sides {
		cols := out.cols[at : at+j.sides[n].values]
		at += j.sides[n].values
		if row == nil {
			nullRow(cols)
		} else if _, _, err := readRowBytes(cols, row); err != nil {
			return err
		}
	}
	out.close(vector.Upsert, t, 0, 0)
	return nil
}

func (j *streamStreamJoin) keep(k int, key string, t int64, row []byte, joined bool) {
	full := appendWindowKey(appendWindowKey([]byte(key), t), j.seq)
	j.seq++
	slot := j.stores[k].ProbeOne(full)
	cells := j.stores[k].Cells(0)
	if joined {
		*cells.Int64(slot, 0) = 1
	}
	cells.SetBlob(slot, 8, row)
	j.insert(k, key, buffered{t, string(full), joined})
	j.pending = min(j.pending, t)
}

// expire drops rows that no partner can reach any more and, with a grace
// period, emits those of an outer side that found none.
func (j *streamStreamJoin) expire(c *Context, out *rowBuilder) error {
	streamTime := max(j.time[0], j.time[1])
	if j.pending >= 0 && !j.closed(0, j.pending, streamTime) && !j.closed(1, j.pending, streamTime) {
		return nil
	}
	type gone struct {
		k   int
		key string
		row buffered
	}
	var list []gone
	least := int64(1<<63 - 1)
	for k := range j.dirs {
		for key, rows := range j.dirs[k] {
			kept := rows[:0]
			for _, r := range rows {
				if j.closed(k, r.time, streamTime) && r.time < j.spec.Horizon(j.time[k]) || j.closed(k, r.time, streamTime) && j.step.GraceMS != nil && !r.joined && j.outer(k) {
					list = append(list, gone{k, key, r})
				} else {
					kept = append(kept, r)
					least = min(least, r.time)
				}
			}
			if len(kept) == 0 {
				delete(j.dirs[k], key)
			} else {
				j.dirs[k][key] = kept
			}
		}
	}
	j.pending = least
	sort.Slice(list, func(a, b int) bool {
		if list[a].row.time != list[b].row.time {
			return list[a].row.time < list[b].row.time
		}
		return list[a].k < list[b].k || list[a].k == list[b].k && list[a].row.key[len(list[a].row.key)-8:] < list[b].row.key[len(list[b].row.key)-8:]
	})
	for _, g := range list {
		if !g.row.joined && j.outer(g.k) && j.step.GraceMS != nil {
			if err := j.emitGone(out, g.k, g.key, g.row); err != nil {
				return err
			}
		}
		j.stores[g.k].Delete([]byte(g.row.key))
	}
	return nil
}

func (j *streamStreamJoin) emitGone(out *rowBuilder, k int, key string, r buffered) error {
	table, slot := j.stores[k].Lookup([]byte(r.key))
	if table == nil {
		return nil
	}
	nk := j.sides[k].nk
	if _, _, err := readKey(out.cols[:nk], []byte(key), false); err != nil {
		return err
	}
	cells := table.Cells(0)
	row := append([]byte(nil), cells.Blob(slot, 8)...)
	return j.values(out, nk, k, row, nil, r.time)
}
