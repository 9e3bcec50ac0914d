package operator

import (
	"encoding/binary"
	"fmt"
	"math"

	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
	"time"
)

// Records are what a source takes in: N records of one partition of its topic.
type Records struct {
	N            int
	Keys, Values format.Cells
	Timestamps   []int64 // ms
	Offsets      []int64
	Partition    int32
	// Headers of all records, ARRAY<STRUCT<KEY STRING, VALUE BYTES>>; nil if
	// there are none or nobody asks.
	Headers *vector.Vector
}

// A Source decodes a topic's records. It is not an Operator: it has no input
// but records.
type Source struct {
	step         *plan.Source
	keys, values format.Decoder
	nk           int
	headers      []int // columns of the schema that are headers
	valueAt      []int // columns of the schema that are values
	stamp        int   // column that holds the event time, -1: the record's own
	pattern      *function.TimePattern
	table        *tableRows
}

// FormatOptions returns the options of a plan's format for a topic's keys or
// values, whose schemas are in a registry.
func FormatOptions(f plan.Format, key bool, topic string, r format.Registry) format.Options {
	o := format.Options{Name: f.Name, Key: key, WrapSingle: f.WrapSingle, Registry: r, Subject: format.Subject(topic, key), SchemaID: f.SchemaID,
		FullName: f.Properties[plan.FullName], Nullable: f.Properties[plan.Nullable]}
	for _, name := range []string{"VALUE_DELIMITER", "KEY_DELIMITER", "delimiter"} {
		if d := f.Properties[name]; d != "" {
			o.Delimiter = d
		}
	}
	return o
}

// NewSource returns the source of a step, which decodes the needed columns.
func NewSource(s *plan.Source, needed Needed, d Deps) (*Source, error) {
	src := &Source{step: s, stamp: -1, nk: len(s.Schema.Keys())}
	use := needed[s.ID]
	var values []types.Column
	var want []bool
	for i, c := range s.Schema.Columns {
		isStamp := s.Timestamp != nil && s.Timestamp.Column == c.Name
		if isStamp {
			src.stamp = i
		}
		switch c.Namespace {
		case types.NamespaceValue:
			values, want = append(values, c), append(want, use == nil || use[i] || isStamp || s.Materialized)
			src.valueAt = append(src.valueAt, i)
		case types.NamespaceHeaders:
			src.headers = append(src.headers, i)
		}
	}
	var err error
	keyFormat := FormatOptions(s.KeyFormat, true, s.Topic, d.Registry)
	if src.nk == 0 {
		keyFormat = format.Options{Name: "NONE", Key: true} // whatever the keys are
	}
	if src.keys, err = format.NewDecoder(keyFormat, s.Schema.Keys(), nil); err != nil {
		return nil, err
	}
	o := FormatOptions(s.ValueFormat, false, s.Topic, d.Registry)
	for _, k := range s.Schema.Keys() {
		o.Known = append(o.Known, k.Name) // a value often repeats its key
	}
	if src.values, err = format.NewDecoder(o, values, want); err != nil {
		return nil, err
	}
	if s.Timestamp != nil && s.Timestamp.Pattern != "" {
		if src.pattern, err = function.ParseTimePattern(s.Timestamp.Pattern); err != nil {
			return nil, err
		}
	}
	if s.Materialized {
		src.table, err = newTableRows(s.ID, s.Schema, s.Window != nil, s.Retract, d)
	}
	return src, err
}

// Store returns the store of a materialized table, nil of others.
func (s *Source) Store() *state.Store {
	if s.table == nil {
		return nil
	}
	return s.table.store
}

// Run decodes records and keeps a materialized table's rows.
func (s *Source) Run(c *Context, in *Records) (*vector.Batch, error) {
	b, err := s.Decode(c, in)
	if err != nil || b == nil {
		return nil, err
	}
	return s.Apply(c, b)
}

// Apply keeps the rows of a materialized table and returns its changes; those
// of another source are b.
func (s *Source) Apply(c *Context, b *vector.Batch) (*vector.Batch, error) {
	if s.table == nil {
		return b, nil
	}
	return s.table.apply(c, b)
}

// Decode decodes records; those that can't be are reported and left out. It
// returns nil if none is left. Physical row i of the batch is record i.
func (s *Source) Decode(c *Context, in *Records) (*vector.Batch, error) {
	b := &vector.Batch{N: in.N, Time: in.Timestamps, Offset: in.Offsets, Partition: c.Arena.Int32s(in.N), Headers: in.Headers}
	for i := range b.Partition {
		b.Partition[i] = in.Partition
	}
	bad := c.Arena.Bitmap(in.N)
	fail := func(part string) format.Fail {
		return func(row int, reason, message string) {
			if reason != format.ReasonUnknownField {
				bad.Set(row)
			}
			c.Report(Fault{Step: s.step.ID, Topic: s.step.Topic, Reason: reason, Message: part + ": " + message, Partition: in.Partition, Offset: in.Offsets[row]})
		}
	}
	keys := &in.Keys
	if s.step.Window != nil {
		keys = s.splitWindow(c, b, in, bad)
	}
	b.Cols = make([]*vector.Vector, len(s.step.Schema.Columns))
	copy(b.Cols, s.keys.Decode(c.Arena, keys, in.N, fail("key")))
	for i, v := range s.values.Decode(c.Arena, &in.Values, in.N, fail("value")) {
		b.Cols[s.valueAt[i]] = v
	}
	for _, d := range []format.Decoder{s.keys, s.values} {
		if err := format.Err(d); err != nil {
			return nil, fmt.Errorf("decoding records of %s: %w", s.step.Topic, err)
		}
	}
	s.headerColumns(c, b)
	if s.stamp >= 0 {
		if err := s.stampRows(c, b, in, bad); err != nil {
			return nil, err
		}
	}
	s.selectRows(c, b, in, bad)
	if b.Rows() == 0 {
		return nil, nil
	}
	return b, nil
}

// selectRows drops bad rows and marks those without a value.
func (s *Source) selectRows(c *Context, b *vector.Batch, in *Records, bad vector.Bitmap) {
	sel := c.Arena.Int32s(in.N)[:0]
	for i := range in.N {
		if bad.Get(i) {
			continue
		}
		if s.step.IsTable && in.Keys.Len[i] < 0 {
			c.Report(Fault{Step: s.step.ID, Topic: s.step.Topic, Reason: ReasonNullKey, Message: "a table's record has no key", Partition: in.Partition, Offset: in.Offsets[i]})
			continue
		}
		if in.Values.Len[i] < 0 && len(s.valueAt) > 0 {
			if b.Ops == nil {
				b.Ops = make([]vector.Op, in.N)
			}
			b.Ops[i] = vector.Delete
		}
		sel = append(sel, int32(i))
	}
	if len(sel) < in.N {
		b.Sel = sel
	}
}

// splitWindow takes the window off the keys: 8 bytes of start after the key
// of a time window, end and start after that of a session.
func (s *Source) splitWindow(c *Context, b *vector.Batch, in *Records, bad vector.Bitmap) *format.Cells {
	session := s.step.Window.Kind == plan.Session
	suffix := int32(8)
	if session {
		suffix = 16
	}
	keys := &format.Cells{Buf: in.Keys.Buf, Off: in.Keys.Off, Len: make([]int32, in.N)}
	b.WindowStart, b.WindowEnd = c.Arena.Int64s(in.N), c.Arena.Int64s(in.N)
	for i := range in.N {
		n := in.Keys.Len[i]
		if keys.Len[i] = n - suffix; n < suffix {
			keys.Len[i] = -1
			bad.Set(i)
			c.Report(Fault{Step: s.step.ID, Topic: s.step.Topic, Reason: format.ReasonMalformed, Message: "key: it has no window", Partition: in.Partition, Offset: in.Offsets[i]})
			continue
		}
		tail := in.Keys.At(i)[n-suffix:]
		if session {
			b.WindowEnd[i] = int64(binary.BigEndian.Uint64(tail))
			tail = tail[8:]
		}
		b.WindowStart[i] = int64(binary.BigEndian.Uint64(tail))
		if !session {
			b.WindowEnd[i] = math.MaxInt64
			if s.step.Window.SizeMS > 0 {
				b.WindowEnd[i] = b.WindowStart[i] + s.step.Window.SizeMS
			}
		}
	}
	return keys
}

// headerColumns fills HEADERS and HEADER('k') columns.
func (s *Source) headerColumns(c *Context, b *vector.Batch) {
	for _, at := range s.headers {
		col := s.step.Schema.Columns[at]
		if b.Headers != nil && col.HeaderKey == "" {
			v := *b.Headers
			v.Type = col.Type
			b.Cols[at] = &v
			continue
		}
		out := vector.NewBuilder(c.Arena, col.Type, b.N)
		for i := range b.N {
			if !appendHeader(out, b.Headers, i, col) {
				if col.HeaderKey == "" {
					out.Close()
				} else {
					out.Null()
				}
			}
		}
		b.Cols[at] = out.Finish()
	}
}

// appendHeader appends the last header of row i with the column's key.
func appendHeader(out *vector.Builder, headers *vector.Vector, i int, col types.Column) bool {
	if headers == nil || col.HeaderKey == "" {
		return false
	}
	list := headers.Kids[0]
	for j := headers.Offsets[i+1] - 1; j >= headers.Offsets[i]; j-- {
		if string(list.Kids[0].Str(int(j))) == col.HeaderKey {
			out.Append(list.Kids[1], int(j))
			return true
		}
	}
	return false
}

// stampRows takes the rows' times from the timestamp column. It fails only
// where the plan says that a record without a time stops the query.
func (s *Source) stampRows(c *Context, b *vector.Batch, in *Records, bad vector.Bitmap) error {
	b.Time = append(c.Arena.Int64s(in.N)[:0], in.Timestamps...)
	v := b.Cols[s.stamp]
	for i := range in.N {
		if bad.Get(i) || in.Values.Len[i] < 0 {
			continue
		}
		ms, message := timeOf(v, i, s.pattern)
		if message == "" {
			b.Time[i] = ms
			continue
		}
		bad.Set(i)
		message = s.step.Timestamp.Column + ": " + message
		if s.step.Timestamp.Throw {
			return types.Errorf(types.ErrSerialization, types.Pos{}, "topic %s, partition %d, offset %d: %s", s.step.Topic, in.Partition, in.Offsets[i], message)
		}
		c.Report(Fault{Step: s.step.ID, Topic: s.step.Topic, Reason: ReasonTimestamp, Message: message, Partition: in.Partition, Offset: in.Offsets[i]})
	}
	return nil
}

// timeOf reads an event time in ms: text by a pattern, or a number. The
// message says why there is none.
func timeOf(v *vector.Vector, i int, pattern *function.TimePattern) (ms int64, message string) {
	if v.IsNull(i) {
		return 0, "the time is null"
	}
	switch {
	case pattern != nil:
		var err error
		if ms, err = pattern.Parse(v.Str(i), time.UTC); err != nil {
			return 0, err.Error()
		}
	case v.Type.Kind() == types.KindBigint || v.Type.Kind() == types.KindTimestamp:
		ms = v.I64[i]
	default:
		return 0, "a " + v.Type.String() + " is no time"
	}
	if ms < 0 {
		return 0, fmt.Sprintf("the time %d is negative", ms)
	}
	return ms, ""
}
