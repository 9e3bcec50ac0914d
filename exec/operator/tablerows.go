package operator

import (
	"encoding/binary"

	"karst/exec/state"
	"karst/sql/types"
	"karst/sql/vector"
)

// rowLayout is the layout of stores that keep a row in one variable cell.
var rowLayout = state.Layout{FixedBytes: vector.BlobCellBytes, Blobs: []int{0}}

// tableRows keeps a table's current rows, so that changes carry the previous
// row where a step above must undo it, and pull queries find the rows.
type tableRows struct {
	store    *state.Store
	schema   types.Schema
	nk       int
	windowed bool
	retract  bool
	key      []byte
	row      []byte
}

func newTableRows(id string, schema types.Schema, windowed, retract bool, d Deps) (*tableRows, error) {
	store, err := d.Store(id, rowLayout)
	return &tableRows{store: store, schema: schema, nk: len(schema.Keys()), windowed: windowed, retract: retract}, err
}

// keyOf sets t.key to the bytes of row i's key: the key columns and, of a
// windowed key, start and end.
func (t *tableRows) keyOf(b *vector.Batch, i int) []byte {
	t.key = appendKey(t.key[:0], b.Cols[:t.nk], i)
	if t.windowed {
		t.key = appendWindowKey(appendWindowKey(t.key, b.WindowStart[i]), b.WindowEnd[i])
	}
	return t.key
}

// get returns the stored bytes of a key, nil if it is not there.
func (t *tableRows) get(key []byte) []byte {
	table, slot := t.store.Lookup(key)
	if table == nil {
		return nil
	}
	c := table.Cells(0)
	return c.Blob(slot, 0)
}

func (t *tableRows) put(key, row []byte) {
	slot := t.store.ProbeOne(key)
	c := t.store.Cells(0)
	c.SetBlob(slot, 0, row)
}

// apply keeps the rows of b and returns its changes: with Retract rows if the
// step must have them; a Delete of a key that is not there is left out.
func (t *tableRows) apply(c *Context, b *vector.Batch) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, t.schema, t.windowed, b.Rows())
	for n := range b.Rows() {
		i := b.Row(n)
		op := b.Op(i)
		if op == vector.Retract {
			continue
		}
		key := t.keyOf(b, i)
		old := t.get(key)
		if op == vector.Delete && old == nil {
			continue
		}
		start, end := windowOf(b, i)
		out.from(b, i)
		if old != nil && t.retract {
			appendRow(out.cols[:t.nk], b.Cols[:t.nk], i)
			time, _, err := readRowBytes(out.cols[t.nk:], old)
			if err != nil {
				return nil, err
			}
			out.close(vector.Retract, time, start, end)
		}
		if op == vector.Delete {
			t.store.Delete(key)
		} else {
			t.row = appendRowBytes(t.row[:0], b.Time[i], b.Cols[t.nk:], i)
			t.put(key, t.row)
		}
		appendRow(out.cols, b.Cols, i)
		out.close(op, b.Time[i], start, end)
	}
	return out.finish(), nil
}

// readKey appends the key columns of a store's key, and returns its window.
func readKey(cols []*vector.Builder, key []byte, windowed bool) (start, end int64, err error) {
	for _, c := range cols {
		if key, err = vector.ReadValue(c, key); err != nil {
			return 0, 0, err
		}
	}
	if windowed {
		if len(key) != 16 {
			return 0, 0, vector.ErrValue
		}
		start = int64(binary.BigEndian.Uint64(key))
		end = int64(binary.BigEndian.Uint64(key[8:]))
	}
	return start, end, nil
}
