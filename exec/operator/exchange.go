package operator

import (
	"math"

	"karst/planner/plan"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// An Exchange moves rows to the partition of their key. Split runs on the
// sending side, for each source partition; Gather on the receiving side joins
// what came from all of them, in the order of source partitions.
type Exchange struct {
	step  *plan.Exchange
	keys  format.Encoder
	nk    int
	place func(key []byte, n int) int
	cells format.Cells
	next  int // round robin of null keys

	timed bool  // the receiver keeps stream time
	time  int64 // stream time of what was sent
}

// Timed makes the exchange tell its receiver the stream time of each row, going
// on from time: that of the last commit.
func (x *Exchange) Timed(time int64) { x.timed, x.time = true, time }

// NewExchange returns the exchange of a step.
func NewExchange(s *plan.Exchange, d Deps) (*Exchange, error) {
	keys, err := format.NewEncoder(placeOptions(s.KeyFormat), s.Schema.Keys())
	return &Exchange{step: s, keys: keys, nk: len(s.Schema.Keys()), place: d.Place}, err
}

// placeOptions returns how keys are serialized to find their partition: without
// a schema's id, so that equal keys are equal bytes whoever wrote them.
func placeOptions(f plan.Format) format.Options {
	o := FormatOptions(f, true, "", nil)
	o.Bare, o.SchemaID = true, 0
	return o
}

// Split returns the rows of b for each target partition, as selections.
func (x *Exchange) Split(c *Context, b *vector.Batch) ([][]int32, error) {
	out := make([][]int32, x.step.Partitions)
	sel := b.Selected(c.Arena)
	if x.timed {
		x.stamp(c, b, sel)
	}
	if x.step.Partitions == 1 {
		out[0] = sel
		return out, nil
	}
	x.cells.Reset()
	if err := x.keys.Encode(b.Cols[:x.nk], sel, &x.cells); err != nil {
		return nil, err
	}
	for n, i := range sel {
		p := 0
		if key := x.cells.At(n); key != nil {
			p = x.place(key, x.step.Partitions)
		} else {
			x.next++
			p = x.next % x.step.Partitions
		}
		out[p] = append(out[p], i)
	}
	return out, nil
}

// stamp sets the lane and stream time of b's rows.
func (x *Exchange) stamp(c *Context, b *vector.Batch, sel []int32) {
	b.Lane, b.StreamTime = c.Arena.Int32s(b.N), c.Arena.Int64s(b.N)
	for _, i := range sel {
		if b.Op(int(i)) == vector.Upsert {
			x.time = max(x.time, b.Time[i])
		}
		b.Lane[i], b.StreamTime[i] = c.Partition, x.time
	}
}

// A Part is some rows of a batch.
type Part struct {
	Batch *vector.Batch
	Sel   []int32
}

// Gather copies the parts' rows into one batch of c's arena, in the round's
// merge order if rows have one, else part by part; nil if there are none. A
// single part is taken as it is.
func (x *Exchange) Gather(c *Context, parts []Part) *vector.Batch {
	var some []Part
	rows := 0
	for _, p := range parts {
		if len(p.Sel) > 0 {
			some = append(some, p)
			rows += len(p.Sel)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		b := *some[0].Batch
		b.Sel = some[0].Sel
		b.Partition, b.Offset = nil, nil
		return &b
	}
	out := &vector.Batch{}
	some = inMergeOrder(some)
	rows += keepPairs(some, out)
	for k, col := range x.step.Schema.Columns {
		if !anyColumn(some, k) {
			out.Cols = append(out.Cols, nil)
			continue
		}
		out.Cols = append(out.Cols, gatherParts(c.Arena, col.Type, rows, some, func(b *vector.Batch) *vector.Vector { return b.Cols[k] }))
	}
	for _, p := range some {
		for _, i := range p.Sel {
			out.Time = append(out.Time, p.Batch.Time[i])
			out.Ops = append(out.Ops, p.Batch.Op(int(i)))
			if p.Batch.Order != nil {
				out.Order = append(out.Order, p.Batch.Order[i])
			}
			if p.Batch.Lane != nil {
				out.Lane = append(out.Lane, p.Batch.Lane[i])
				out.StreamTime = append(out.StreamTime, p.Batch.StreamTime[i])
			}
			if p.Batch.WindowStart != nil {
				out.WindowStart = append(out.WindowStart, p.Batch.WindowStart[i])
				out.WindowEnd = append(out.WindowEnd, p.Batch.WindowEnd[i])
			}
		}
		if h := p.Batch.Headers; h != nil && out.Headers == nil {
			out.Headers = gatherParts(c.Arena, h.Type, rows, some, func(b *vector.Batch) *vector.Vector { return b.Headers })
		}
	}
	out.N = len(out.Time)
	return out
}

// inMergeOrder cuts parts into runs of rows and puts those into the round's
// merge order. Rows of one part that have the same place stay together.
func inMergeOrder(parts []Part) []Part {
	for _, p := range parts {
		if p.Batch.Order == nil {
			return parts
		}
	}
	var out []Part
	rest := append([]Part(nil), parts...)
	place := func(k int) int32 {
		if len(rest[k].Sel) == 0 {
			return math.MaxInt32
		}
		return rest[k].Batch.Order[rest[k].Sel[0]]
	}
	for {
		first, second := 0, int32(math.MaxInt32) // the part to take from; where the others go on
		for k := 1; k < len(rest); k++ {
			if place(k) < place(first) {
				first, second = k, place(first)
			} else {
				second = min(second, place(k))
			}
		}
		p := &rest[first]
		if len(p.Sel) == 0 {
			return out
		}
		n, here := 1, place(first)
		for n < len(p.Sel) && (p.Batch.Order[p.Sel[n]] < second || p.Batch.Order[p.Sel[n]] == here) {
			n++
		}
		out = append(out, Part{p.Batch, p.Sel[:n]})
		p.Sel = p.Sel[n:]
	}
}

// keepPairs sees to it that a Retract row stands directly before a row, in
// physical positions, only if that row replaces it: where the replacement goes
// elsewhere, an unselected copy of the Retract row takes its place. It returns
// how many rows it has added to the parts.
func keepPairs(parts []Part, out *vector.Batch) (added int) {
	for _, p := range parts {
		for n, i := range p.Sel {
			if p.Batch.Op(int(i)) == vector.Retract && (n+1 == len(p.Sel) || p.Sel[n+1] != i+1) {
				added++
			}
		}
	}
	if added == 0 {
		return 0
	}
	at := int32(0)
	for k, p := range parts {
		var sel []int32
		for n, i := range p.Sel {
			sel = append(sel, i)
			out.Sel = append(out.Sel, at)
			at++
			if p.Batch.Op(int(i)) == vector.Retract && (n+1 == len(p.Sel) || p.Sel[n+1] != i+1) {
				sel = append(sel, i)
				at++
			}
		}
		parts[k].Sel = sel
	}
	return added
}

// gatherParts copies the parts' rows of one vector; a nil one gives nulls.
func gatherParts(a *vector.Arena, t *types.Type, rows int, parts []Part, of func(*vector.Batch) *vector.Vector) *vector.Vector {
	vb := vector.NewBuilder(a, t, rows)
	for _, p := range parts {
		v := of(p.Batch)
		for _, i := range p.Sel {
			if v == nil {
				vb.Null()
			} else {
				vb.Append(v, int(i))
			}
		}
	}
	return vb.Finish()
}

func anyColumn(parts []Part, k int) bool {
	for _, p := range parts {
		if p.Batch.Cols[k] == nil {
			return false
		}
	}
	return true
}
