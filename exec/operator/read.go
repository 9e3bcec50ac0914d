package operator

import (
	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// A Reader turns slots of a step's committed table into rows, for pull
// queries. It is used by one goroutine at a time.
type Reader interface {
	// Read returns the rows of slots, in their order, with the columns of the
	// step's schema; nil if there are none. It is called while the table does
	// not change and keeps nothing of it. meta are the store's values beside
	// the keys.
	Read(a *vector.Arena, t *state.Table, meta func(name string) []byte, slots []int32) (*vector.Batch, error)
}

// NewReader returns the reader of a step that keeps a table's rows: an
// Aggregate, a materialized Source or Sink.
func NewReader(s plan.Step) (Reader, error) {
	if agg, ok := s.(*plan.Aggregate); ok {
		g, _, err := newGroups(agg, nil)
		return g, err
	}
	return &rowReader{s.Meta().Schema, s.Meta().Window != nil}, nil
}

// A rowReader reads tables of stored rows, see tableRows.
type rowReader struct {
	schema   types.Schema
	windowed bool
}

// Read implements Reader.
func (r *rowReader) Read(a *vector.Arena, t *state.Table, _ func(string) []byte, slots []int32) (*vector.Batch, error) {
	nk := len(r.schema.Keys())
	out := newRowBuilder(a, r.schema, r.windowed, len(slots))
	cells := t.Cells(0)
	for _, slot := range slots {
		start, end, err := readKey(out.cols[:nk], t.Key(slot), r.windowed)
		if err != nil {
			return nil, err
		}
		time, _, err := readRowBytes(out.cols[nk:], cells.Blob(slot, 0))
		if err != nil {
			return nil, err
		}
		out.close(vector.Upsert, time, start, end)
	}
	return out.finish(), nil
}

// horizons is for each lane the least time that is in retention, where the
// query gave a RETENTION.
func (g *Groups) horizons(now streamTime) (ms []int64, bounded bool) {
	if g.window == nil || g.window.RetentionMS == nil {
		return nil, false
	}
	spec, err := WindowSpec(g.window)
	if err != nil {
		return nil, false // the plan was checked when it was made
	}
	for _, t := range now {
		ms = append(ms, spec.Horizon(t))
	}
	return ms, true
}

// expired reports whether a slot's window is before its lane's horizon: a time
// window by its start, a session by its end.
func (g *Groups) expired(t *state.Table, slot int32, horizons []int64) bool {
	cells := t.Cells(0)
	lane := int(*cells.Int32(slot, slotLane))
	if lane >= len(horizons) {
		return false
	}
	start, end := windowOfKey(t.Key(slot))
	if g.window.Kind == plan.Session {
		return end < horizons[lane]
	}
	return start < horizons[lane]
}

// Read implements Reader. Where the query gave a RETENTION, windows that have
// left it are not among the rows.
func (g *Groups) Read(a *vector.Arena, t *state.Table, meta func(string) []byte, slots []int32) (*vector.Batch, error) {
	if horizons, bounded := g.horizons(readStreamTime(meta(metaTime))); bounded {
		kept := a.Int32s(len(slots))[:0]
		for _, slot := range slots {
			if !g.expired(t, slot, horizons) {
				kept = append(kept, slot)
			}
		}
		slots = kept
	}
	out := newRowBuilder(a, g.schema, g.window != nil, len(slots))
	for k, kernel := range g.kernels {
		v := kernel.Values(&function.AggregateCall{Arena: a, Cells: t.Cells(g.offsets[k])}, slots)
		for i := range slots {
			out.cols[g.nk+k].Append(v, i)
		}
	}
	head := t.Cells(0)
	for _, slot := range slots {
		start, end, err := readKey(out.cols[:g.nk], t.Key(slot), g.window != nil)
		if err != nil {
			return nil, err
		}
		out.close(vector.Upsert, *head.Int64(slot, slotTime), start, end)
	}
	return out.finish(), nil
}

// AppendKey appends the bytes by which stores know the key in row i of
// columns; of a windowed key AppendWindow follows.
func AppendKey(buf []byte, keys []*vector.Vector, i int) []byte { return appendKey(buf, keys, i) }

// WindowBytes is the length of a window's bounds at the end of a key's bytes.
const WindowBytes = 16

// AppendWindow appends a window's bounds to the bytes of a key, as stores have
// them.
func AppendWindow(buf []byte, start, end int64) []byte {
	return appendWindowKey(appendWindowKey(buf, start), end)
}

// WindowOfKey returns the bounds that the bytes of a windowed key end in.
func WindowOfKey(key []byte) (start, end int64) { return windowOfKey(key) }
