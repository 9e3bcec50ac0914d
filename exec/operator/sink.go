package operator

import (
	"encoding/binary"
	"fmt"
	"strings"

	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// SinkRecords are encoded records: row i has key Keys.At(i), value
// Values.At(i) and time Times[i]. They live until the sink's next Run.
type SinkRecords struct {
	Keys, Values format.Cells
	Times        []int64
	// Headers is the batch's, with Rows[i] the row of record i.
	Headers *vector.Vector
	Rows    []int32
}

// A Sink encodes rows as records of its topic.
type Sink struct {
	step         *plan.Sink
	keys, values format.Encoder
	written      format.Options // of values
	keyAt        []int          // positions of the sink's columns in the input
	valueAt      []int
	stamp        int
	pattern      *function.TimePattern
	session      bool
	nullKeys     bool // a key all of whose columns are null is a null key
	table        *tableRows
	out          SinkRecords
}

// NewSink returns the sink of a step.
func NewSink(s *plan.Sink, d Deps) (*Sink, error) {
	k := &Sink{step: s, stamp: -1, session: s.Window != nil && s.Window.Kind == plan.Session}
	in := s.Input.Meta().Schema
	for _, c := range s.Schema.Columns {
		i := in.Find(c.Name)
		if i < 0 {
			return nil, fmt.Errorf("step %s: no column %s below", s.ID, c.Name)
		}
		if c.Namespace == types.NamespaceKey {
			k.keyAt = append(k.keyAt, i)
		} else {
			k.valueAt = append(k.valueAt, i)
		}
		if s.Timestamp != nil && s.Timestamp.Column == c.Name {
			k.stamp = i
		}
	}
	k.nullKeys = (len(k.keyAt) > 1 || strings.HasPrefix(s.KeyFormat.Name, "PROTOBUF")) && keepsSourceKey(s.Input)
	var err error
	if k.keys, err = format.NewEncoder(FormatOptions(s.KeyFormat, true, s.Topic, d.Registry), s.Schema.Keys()); err != nil {
		return nil, err
	}
	k.written = FormatOptions(s.ValueFormat, false, s.Topic, d.Registry)
	if k.values, err = format.NewEncoder(k.written, s.Schema.Values()); err != nil {
		return nil, err
	}
	if s.Timestamp != nil && s.Timestamp.Pattern != "" {
		if k.pattern, err = function.ParseTimePattern(s.Timestamp.Pattern); err != nil {
			return nil, err
		}
	}
	if s.Materialized {
		k.table, err = newTableRows(s.ID, s.Schema, s.Window != nil, false, d)
	}
	return k, err
}

// Store returns the store of a materialized sink, nil of others.
func (k *Sink) Store() *state.Store {
	if k.table == nil {
		return nil
	}
	return k.table.store
}

func pick(cols []*vector.Vector, at []int) []*vector.Vector {
	out := make([]*vector.Vector, len(at))
	for i, j := range at {
		out[i] = cols[j]
	}
	return out
}

// Run encodes b's rows; Retract rows are not written.
func (k *Sink) Run(c *Context, b *vector.Batch) (*SinkRecords, error) {
	keys, values := pick(b.Cols, k.keyAt), pick(b.Cols, k.valueAt)
	if k.table != nil {
		// The table's rows are what its topic says they are.
		kept := b.With(append(append([]*vector.Vector{}, keys...), format.Written(k.written, c.Arena, values)...))
		if _, err := k.table.apply(c, kept); err != nil {
			return nil, err
		}
	}
	o := &k.out
	o.Keys.Reset()
	o.Values.Reset()
	o.Times, o.Rows, o.Headers = o.Times[:0], o.Rows[:0], b.Headers
	for n := range b.Rows() {
		i := b.Row(n)
		if b.Op(i) == vector.Retract {
			continue
		}
		t, message := k.time(b, i)
		if message != "" {
			if err := k.noTime(c, message); err != nil {
				return nil, err
			}
			continue
		}
		o.Rows, o.Times = append(o.Rows, int32(i)), append(o.Times, t)
	}
	if err := k.writeKeys(b, keys); err != nil {
		return nil, err
	}
	return o, k.writeValues(b, values)
}

// encodeKeys encodes keys without a window.
func (k *Sink) encodeKeys(keys []*vector.Vector) error {
	o := &k.out
	if err := k.keys.Encode(keys, o.Rows, &o.Keys); err != nil || !k.nullKeys {
		return err
	}
	for n, i := range o.Rows {
		if allNull(keys, int(i)) {
			o.Keys.Len[n] = -1
		}
	}
	return nil
}

// keepsSourceKey reports whether the rows' keys are those of records. Then a
// key of several columns, all null, was a null key and is one again; it is not
// where PARTITION BY has computed each of them.
func keepsSourceKey(s plan.Step) bool {
	switch s := s.(type) {
	case *plan.Source:
		return true
	case *plan.Filter, *plan.Project, *plan.Explode, *plan.Exchange:
		return keepsSourceKey(s.Inputs()[0])
	}
	return false
}

func allNull(cols []*vector.Vector, i int) bool {
	for _, c := range cols {
		if !c.IsNull(i) {
			return false
		}
	}
	return true
}

// writeKeys encodes the keys of the rows to write, each with its window
// after it.
func (k *Sink) writeKeys(b *vector.Batch, keys []*vector.Vector) error {
	o := &k.out
	switch {
	case len(keys) == 0:
		for range o.Rows {
			o.Keys.Null()
		}
		return nil
	case k.step.Window == nil:
		return k.encodeKeys(keys)
	}
	for n := range o.Rows {
		if err := k.windowedKey(b, keys, o.Rows[n:n+1]); err != nil {
			return err
		}
	}
	return nil
}

// writeValues encodes the values of the rows to write, in runs of rows that
// have one.
func (k *Sink) writeValues(b *vector.Batch, values []*vector.Vector) error {
	rows, out := k.out.Rows, &k.out.Values
	for from := 0; from < len(rows); {
		if b.Op(int(rows[from])) == vector.Delete {
			out.Null()
			from++
			continue
		}
		to := from + 1
		for to < len(rows) && b.Op(int(rows[to])) != vector.Delete {
			to++
		}
		if err := k.values.Encode(values, rows[from:to], out); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (k *Sink) windowedKey(b *vector.Batch, keys []*vector.Vector, row []int32) error {
	o := &k.out.Keys
	if err := k.keys.Encode(keys, row, o); err != nil {
		return err
	}
	n := len(o.Len) - 1
	before := len(o.Buf)
	if k.session {
		o.Buf = binary.BigEndian.AppendUint64(o.Buf, uint64(b.WindowEnd[row[0]]))
	}
	o.Buf = binary.BigEndian.AppendUint64(o.Buf, uint64(b.WindowStart[row[0]]))
	o.Len[n] = max(0, o.Len[n]) + int32(len(o.Buf)-before)
	return nil
}

// time returns the time to write row i with, or why it has none.
func (k *Sink) time(b *vector.Batch, i int) (int64, string) {
	if k.stamp < 0 || b.Op(i) == vector.Delete {
		return b.Time[i], ""
	}
	return timeOf(b.Cols[k.stamp], i, k.pattern)
}

// noTime reports a row that is not written because it has no time.
func (k *Sink) noTime(c *Context, message string) error {
	message = k.step.Timestamp.Column + ": " + message
	if k.step.Timestamp.Throw {
		return types.Errorf(types.ErrSerialization, types.Pos{}, "%s", message)
	}
	c.Report(Fault{Step: k.step.ID, Topic: k.step.Topic, Reason: ReasonTimestamp, Message: message, Partition: c.Partition, Offset: -1})
	return nil
}
