package operator

import (
	"encoding/binary"

	"karst/exec/state"
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

// interleave calls f for each row of both batches in the round's merge order.
// Rows that have none are taken in time order: with equal times the right's
// (a table's) come first where rightFirst is set.
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
			if right = tr < tl || tr == tl && rightFirst; l.Order != nil && r.Order != nil {
				right = r.Order[r.Row(j)] < l.Order[l.Row(i)]
			}
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
	out.from(b, i)
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
	were  [2][]byte // both sides' rows before the change at hand
	is    []byte    // and the changed row
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
	out.from(b, i)
	key := j.rows[k].keyOf(b, i)
	var before [2][]byte
	for n, rows := range j.rows {
		if row := rows.get(key); row != nil {
			j.were[n] = append(j.were[n][:0], row...) // the store's bytes may move
			before[n] = j.were[n]
		}
	}
	after := before
	gone := b.Op(i) == vector.Delete
	switch {
	case !gone:
		j.is = appendRowBytes(j.is[:0], b.Time[i], b.Cols[j.sides[k].nk:], i)
		after[k] = j.is
		j.rows[k].put(key, j.is)
	case before[k] != nil:
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
	case was || gone && before[1-k] != nil: // a delete goes on beside a row of the other side, as in Kafka Streams
		appendRow(out.cols[:j.sides[k].nk], b.Cols, i)
		nullRow(out.cols[j.sides[k].nk:])
		time := b.Time[i]
		if other := before[1-k]; other != nil {
			time = max(time, int64(binary.BigEndian.Uint64(other)))
		}
		out.close(vector.Delete, time, start, end)
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
