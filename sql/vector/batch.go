package vector

// An Op tells what a row does to its key.
type Op uint8

// The row operations. On a stream every row is an Upsert.
const (
	// Upsert: the row is a stream's record, or the new value of a table's key.
	Upsert Op = iota
	// Delete: the key goes away (a tombstone); value columns are null. In a
	// stream it is a record without value.
	Delete
	// Retract carries the previous value of a key and stands directly before
	// the Upsert or Delete that replaces it. Only operators that must undo
	// (see plan.Step "retract") ask for it and only they see it.
	Retract
)

// A Batch is some rows of one task's input or of an operator's output, in
// order. The columns stand in the order of the producing step's schema.
//
// A Batch and its vectors live for one round of the task whose arena they
// come from; receivers must not change the slices, but may make another Batch
// that shares them.
type Batch struct {
	N    int     // physical rows
	Sel  []int32 // the rows alive, ascending; nil: all N
	Cols []*Vector

	Time []int64 // ROWTIME of each row, ms since the epoch; len N
	Ops  []Op    // nil: all Upsert

	// WindowStart and WindowEnd bound the window of each row's key in ms;
	// nil if the key is not windowed.
	WindowStart, WindowEnd []int64

	// Partition and Offset tell where each row came from; nil once rows have
	// passed a step after which no source position belongs to them.
	Partition []int32
	Offset    []int64

	// Order is each row's place in the round's merge order: that of the source
	// row it comes from. Joins and exchanges go by it. It is nil where all
	// rows come from one source, so that their own order is right.
	Order []int32

	// Lane and StreamTime are set behind an exchange: the partition that sent
	// each row, and its stream time in ms with that row. Lateness is judged by
	// them. Nil where rows of one partition follow each other.
	Lane       []int32
	StreamTime []int64

	// Headers is ARRAY<STRUCT<KEY STRING, VALUE BYTES>>, nil if no row has any.
	Headers *Vector
}

// Rows returns the number of selected rows.
func (b *Batch) Rows() int {
	if b.Sel != nil {
		return len(b.Sel)
	}
	return b.N
}

// Row returns the physical position of the i-th selected row.
func (b *Batch) Row(i int) int {
	if b.Sel != nil {
		return int(b.Sel[i])
	}
	return i
}

// Op returns the operation of physical row i.
func (b *Batch) Op(i int) Op {
	if b.Ops == nil {
		return Upsert
	}
	return b.Ops[i]
}

// Selected returns the selection as an explicit list, taken from a if it is
// implicit.
func (b *Batch) Selected(a *Arena) []int32 {
	if b.Sel != nil {
		return b.Sel
	}
	s := a.Int32s(b.N)
	for i := range s {
		s[i] = int32(i)
	}
	return s
}

// With returns a shallow copy of b with other columns.
func (b *Batch) With(cols []*Vector) *Batch {
	c := *b
	c.Cols = cols
	return &c
}
