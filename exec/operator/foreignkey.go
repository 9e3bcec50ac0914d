package operator

import (
	"encoding/binary"
	"slices"
	"strings"

	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// The notes of a subscription say what is to be done with it and when it is to
// be answered.
const (
	noteIfFound     = iota // subscribe; answer if the right side has the row
	noteAlways             // subscribe; answer in any case, with nulls or a Delete
	noteLeave              // end the subscription, without an answer
	noteLeaveAnswer        // end the subscription; the answer is a Delete
)

// A foreignKeySubscribe keeps each left row's foreign key, so that a change of
// it ends the subscription to the old one.
type foreignKeySubscribe struct {
	step    *plan.ForeignKeySubscribe
	foreign *expr.Program
	nk      int
	store   *state.Store // left key → foreign key
	version int64
	key     []byte
	fk      []byte
	old     []byte
}

const metaVersion = "version"

func newForeignKeySubscribe(s *plan.ForeignKeySubscribe, d Deps) (Operator, error) {
	o := &foreignKeySubscribe{step: s, nk: len(s.Input.Meta().Schema.Keys())}
	var err error
	if o.foreign, err = compile(s.ForeignKey.Text, s.Input, d.Settings); err != nil {
		return nil, err
	}
	o.store, err = d.Store(s.ID, rowLayout)
	return o, err
}

// Run implements Operator.
func (o *foreignKeySubscribe) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	o.version = state.Int64(o.store.Meta(metaVersion), 0)
	foreign := o.foreign.Eval(c.eval(o.step.ID, b), b)
	out := newRowBuilder(c.Arena, o.step.Schema, false, b.Rows())
	for n := range b.Rows() {
		i := b.Row(n)
		if b.Op(i) == vector.Retract {
			continue
		}
		out.from(b, i)
		o.change(out, b, foreign, i)
	}
	o.store.SetMeta(metaVersion, state.AppendInt64(o.version))
	return out.finish(), nil
}

// change tells what row i does to the subscriptions: a change of the foreign
// key leaves the old one and always asks for an answer from the new one, since
// what was joined before is to be replaced. An inner join takes a row without
// foreign key for none.
func (o *foreignKeySubscribe) change(out *rowBuilder, b *vector.Batch, foreign *vector.Vector, i int) {
	o.key = appendKey(o.key[:0], b.Cols[:o.nk], i)
	o.version++
	inner := o.step.Type == plan.InnerJoin
	had := o.present()
	subscribed := had && o.old[0] != 0 // not null
	if b.Op(i) == vector.Delete {
		if had {
			o.store.Delete(o.key)
		}
		if subscribed || had && !inner {
			o.tell(out, b, i, o.old, noteLeaveAnswer)
		}
		return
	}
	o.fk = vector.AppendValue(o.fk[:0], foreign, i)
	slot := o.store.ProbeOne(o.key)
	cells := o.store.Cells(0)
	cells.SetBlob(slot, 0, o.fk)
	moved := subscribed && string(o.old) != string(o.fk)
	switch {
	case foreign.IsNull(i) && inner:
		if moved {
			o.tell(out, b, i, o.old, noteLeaveAnswer)
		}
		return
	case moved:
		o.tell(out, b, i, o.old, noteLeave)
	}
	note := int32(noteIfFound)
	if moved || !inner {
		note = noteAlways
	}
	o.tell(out, b, i, o.fk, note)
}

// present sets o.old to the foreign key that o.key has, if it is there.
func (o *foreignKeySubscribe) present() bool {
	table, slot := o.store.Lookup(o.key)
	if table == nil {
		return false
	}
	cells := table.Cells(0)
	o.old = append(o.old[:0], cells.Blob(slot, 0)...)
	return true
}

// tell appends a subscription's row; one that leaves needs no left values.
func (o *foreignKeySubscribe) tell(out *rowBuilder, b *vector.Batch, i int, fk []byte, note int32) {
	if _, err := vector.ReadValue(out.cols[0], fk); err != nil {
		panic("operator: a foreign key written by us can't be read: " + err.Error())
	}
	n := len(out.cols) - 2
	left := out.cols[1:n]
	if note >= noteLeave {
		appendRow(left[:o.nk], b.Cols, i)
		nullRow(left[o.nk:])
	} else {
		appendRow(left, b.Cols, i)
	}
	out.cols[n].Int64(o.version)
	out.cols[n+1].Int32(note)
	out.close(vector.Upsert, b.Time[i], 0, 0)
}

// A foreignKeyAnswer keeps, for each foreign key, the right side's row and the
// first of its subscribers, who are a doubly linked list: so that a right row's
// change finds them, and one of many can leave, without a search.
type foreignKeyAnswer struct {
	step        *plan.ForeignKeyAnswer
	nk          int // left key columns
	left, right int // value columns
	places      format.Encoder
	rights      *state.Store // foreign key → right row or none, first subscriber
	subs        *state.Store // foreign key and left key → left key and row, neighbours
	cells       format.Cells
	fk          []byte
	sub         []byte
	row         []byte
	buf         []byte
	found       []subscriber
}

// A subscriber is one to answer: its place in the order of answers is that of
// its key's bytes in the key format.
type subscriber struct {
	place string
	row   string
}

// Cells of a right row's slot, and of a subscription's.
const (
	rightPresent = 0
	rightRow     = 8
	rightFirst   = rightRow + vector.BlobCellBytes
	subRow       = 0
	subBefore    = subRow + vector.BlobCellBytes
	subAfter     = subBefore + vector.BlobCellBytes
)

func newForeignKeyAnswer(s *plan.ForeignKeyAnswer, d Deps) (Operator, error) {
	o := &foreignKeyAnswer{step: s, nk: len(s.Schema.Keys()), right: len(notKey(s.Right))}
	o.left = len(s.Left.Meta().Schema.Columns) - 1 - o.nk - 2
	var err error
	if o.places, err = format.NewEncoder(placeOptions(s.KeyFormat), s.Schema.Keys()); err != nil {
		return nil, err
	}
	if o.rights, err = d.Store(s.ID+".right", state.Layout{FixedBytes: rightFirst + vector.BlobCellBytes, Blobs: []int{rightRow, rightFirst}}); err != nil {
		return nil, err
	}
	o.subs, err = d.Store(s.ID+".left", state.Layout{FixedBytes: subAfter + vector.BlobCellBytes, Blobs: []int{subRow, subBefore, subAfter}})
	return o, err
}

func notKey(s plan.Step) []types.Column {
	m := s.Meta()
	return m.Schema.Columns[len(m.Schema.Keys()):]
}

// Run implements Operator.
func (o *foreignKeyAnswer) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	if in[0] == nil && in[1] == nil {
		return nil, nil
	}
	out := newRowBuilder(c.Arena, o.step.Schema, false, 64)
	err := interleave(in[0], in[1], true, func(right bool, i int) error {
		if right {
			out.from(in[1], i)
			return o.rightChange(out, in[1], i)
		}
		out.from(in[0], i)
		return o.subscription(out, in[0], i)
	})
	return out.finish(), err
}

// subscription takes in row i of the left side and answers it.
func (o *foreignKeyAnswer) subscription(out *rowBuilder, b *vector.Batch, i int) error {
	note := b.Cols[len(b.Cols)-1].I32[i]
	o.fk = vector.AppendValue(o.fk[:0], b.Cols[0], i)
	o.sub = appendKey(append(binary.AppendUvarint(o.sub[:0], uint64(len(o.fk))), o.fk...), b.Cols[1:1+o.nk], i)
	isNull := b.Cols[0].IsNull(i) // nothing to wait for
	switch {
	case isNull:
	case note >= noteLeave:
		o.leave()
	default:
		if err := o.enter(b, i); err != nil {
			return err
		}
	}
	if note == noteLeave {
		return nil
	}
	// The answer.
	right, time := []byte(nil), b.Time[i]
	if table, slot := o.rights.Lookup(o.fk); table != nil && !isNull {
		cells := table.Cells(0)
		if *cells.Int64(slot, rightPresent) != 0 {
			right = cells.Blob(slot, rightRow)
		}
		if right != nil && (note != noteLeaveAnswer || o.step.Type == plan.InnerJoin) {
			time = max(time, int64(binary.BigEndian.Uint64(right)))
		}
	}
	if right == nil && note == noteIfFound {
		return nil
	}
	appendRow(out.cols[:o.nk+o.left], b.Cols[1:], i)
	out.cols[len(out.cols)-1].Append(b.Cols[len(b.Cols)-2], i)
	gone := note == noteLeaveAnswer || right == nil && o.step.Type == plan.InnerJoin
	return o.answer(out, right, time, gone)
}

// answer ends a row whose left columns and version have been appended.
func (o *foreignKeyAnswer) answer(out *rowBuilder, right []byte, time int64, gone bool) error {
	cols := out.cols[o.nk+o.left : len(out.cols)-1]
	if right == nil || gone {
		nullRow(cols)
	} else if _, _, err := readRowBytes(cols, right); err != nil {
		return err
	}
	op := vector.Upsert
	if gone {
		op = vector.Delete
	}
	out.close(op, time, 0, 0)
	return nil
}

// enter keeps a subscription: as the first of its foreign key's, or in its
// place if it is there already.
func (o *foreignKeyAnswer) enter(b *vector.Batch, i int) error {
	o.cells.Reset()
	if err := o.places.Encode(b.Cols[1:1+o.nk], []int32{int32(i)}, &o.cells); err != nil {
		return err
	}
	place := o.cells.At(0)
	o.row = append(binary.AppendUvarint(o.row[:0], uint64(len(place))), place...)
	o.row = appendRowBytes(o.row, b.Time[i], b.Cols[1:len(b.Cols)-1], i)
	known := o.subs.Has(o.sub)
	slot := o.subs.ProbeOne(o.sub)
	cells := o.subs.Cells(0)
	cells.SetBlob(slot, subRow, o.row)
	if known {
		return nil
	}
	at := o.rights.ProbeOne(o.fk)
	heads := o.rights.Cells(0)
	o.buf = append(o.buf[:0], heads.Blob(at, rightFirst)...)
	cells.SetBlob(slot, subAfter, o.buf)
	heads.SetBlob(at, rightFirst, o.sub)
	o.link(o.buf, subBefore, o.sub)
	return nil
}

// link sets a neighbour of the subscription of that key, if there is one.
func (o *foreignKeyAnswer) link(key []byte, which int, neighbour []byte) {
	if len(key) == 0 {
		return
	}
	slot := o.subs.ProbeOne(key)
	cells := o.subs.Cells(0)
	cells.SetBlob(slot, which, neighbour)
}

// leave ends the subscription o.sub, if there is one, and forgets the foreign
// key when nothing is known of it any more.
func (o *foreignKeyAnswer) leave() {
	table, slot := o.subs.Lookup(o.sub)
	if table == nil {
		return
	}
	cells := table.Cells(0)
	before, after := slices.Clone(cells.Blob(slot, subBefore)), slices.Clone(cells.Blob(slot, subAfter))
	o.subs.Delete(o.sub)
	o.link(before, subAfter, after)
	o.link(after, subBefore, before)
	if len(before) > 0 {
		return
	}
	at := o.rights.ProbeOne(o.fk)
	heads := o.rights.Cells(0)
	heads.SetBlob(at, rightFirst, after)
	if len(after) == 0 && *heads.Int64(at, rightPresent) == 0 {
		o.rights.Delete(o.fk)
	}
}

// rightChange takes in row i of the right side and answers all its
// subscribers, in the order of their keys' bytes.
func (o *foreignKeyAnswer) rightChange(out *rowBuilder, b *vector.Batch, i int) error {
	nk := len(b.Cols) - o.right
	if b.Op(i) == vector.Retract || anyNull(b.Cols[:nk], i) {
		return nil
	}
	o.fk = appendKey(o.fk[:0], b.Cols[:nk], i)
	gone := b.Op(i) == vector.Delete
	if gone && !o.rights.Has(o.fk) {
		return nil
	}
	at := o.rights.ProbeOne(o.fk)
	heads := o.rights.Cells(0)
	first := slices.Clone(heads.Blob(at, rightFirst))
	o.row = appendRowBytes(o.row[:0], b.Time[i], b.Cols[nk:], i)
	switch {
	case !gone:
		*heads.Int64(at, rightPresent) = 1
		heads.SetBlob(at, rightRow, o.row)
	case len(first) == 0:
		o.rights.Delete(o.fk)
	default:
		*heads.Int64(at, rightPresent) = 0
		heads.SetBlob(at, rightRow, nil)
	}
	right := o.row
	if gone {
		right = nil
	}
	return o.answerAll(out, first, right, b.Time[i])
}

// answerAll answers the subscribers from first on; right nil: the row is gone.
// An answer to a change of the right side has its time, whatever the left's is.
func (o *foreignKeyAnswer) answerAll(out *rowBuilder, first, right []byte, time int64) error {
	o.found = o.found[:0]
	for key := first; len(key) > 0; {
		table, slot := o.subs.Lookup(key)
		cells := table.Cells(0)
		row := cells.Blob(slot, subRow)
		n, size := binary.Uvarint(row)
		row = row[size:]
		o.found = append(o.found, subscriber{string(row[:n]), string(row[n:])})
		key = cells.Blob(slot, subAfter)
	}
	slices.SortFunc(o.found, func(a, b subscriber) int { return strings.Compare(a.place, b.place) })
	left := append(slices.Clone(out.cols[:o.nk+o.left]), out.cols[len(out.cols)-1])
	for _, s := range o.found {
		if err := out.check(); err != nil {
			return err
		}
		if _, _, err := readRowBytes(left, []byte(s.row)); err != nil {
			return err
		}
		if err := o.answer(out, right, time, right == nil && o.step.Type == plan.InnerJoin); err != nil {
			return err
		}
	}
	return nil
}

// A foreignKeyResult drops answers to older versions of a left row than one it
// has seen. Rounds leave no answer under way, so it need not remember versions
// from one to the next.
type foreignKeyResult struct {
	nk    int
	seen  map[string]int64
	key   []byte
	table *tableRows // nil unless a step above undoes changes
}

func newForeignKeyResult(s *plan.ForeignKeyResult, d Deps) (Operator, error) {
	o := &foreignKeyResult{nk: len(s.Schema.Keys()), seen: map[string]int64{}}
	if !s.Retract {
		return o, nil
	}
	var err error
	o.table, err = newTableRows(s.ID, s.Schema, false, true, d)
	return o, err
}

// Run implements Operator.
func (o *foreignKeyResult) Run(c *Context, in []*vector.Batch) (*vector.Batch, error) {
	b := in[0]
	if b == nil {
		return nil, nil
	}
	clear(o.seen)
	n := len(b.Cols) - 1
	versions := b.Cols[n]
	out := *b
	out.Cols = b.Cols[:n:n]
	out.Sel = c.Arena.Int32s(b.Rows())[:0]
	for k := range b.Rows() {
		i := b.Row(k)
		o.key = appendKey(o.key[:0], b.Cols[:o.nk], i)
		version := versions.I64[i]
		if version < o.seen[string(o.key)] {
			continue
		}
		o.seen[string(o.key)] = version
		out.Sel = append(out.Sel, int32(i))
	}
	if len(out.Sel) == 0 {
		return nil, nil
	}
	if o.table != nil {
		return o.table.apply(c, &out)
	}
	return &out, nil
}
