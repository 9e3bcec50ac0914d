package operator_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/vector"

	"github.com/cockroachdb/datadriven"
)

// A record is one line of a test: topic, key and value as JSON, time, window.
type record struct {
	topic      string
	key, value []byte
	time       int64
}

// A runner runs the last query of a script on one partition.
type runner struct {
	t      testing.TB
	root   plan.Step
	needed operator.Needed
	arena  *vector.Arena
	ops    map[plan.Step]any
	stores []*state.Store
	out    []string
	// raw, if set, is every round's input, and output is counted only.
	raw     *operator.Records
	discard bool
	faults  []string
	offset  map[string]int64
	ctx     *operator.Context
}

func newRunner(t testing.TB, script string, every bool) *runner {
	t.Helper()
	stmts, err := sql.Parse(script, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	if every {
		settings["ksql.streams.cache.max.bytes.buffering"] = "0"
	}
	cat := catalog.New()
	var p *plan.Plan
	facts := planner.Facts{Topics: map[string]int{}}
	for i, s := range stmts {
		for _, name := range planner.Topics(s, cat) {
			facts.Topics[name] = 1
		}
		r, err := planner.Plan(s, planner.Input{Catalog: cat, Facts: facts, Settings: settings, Offset: int64(i)})
		if err != nil {
			t.Fatal(err)
		}
		if cat, err = cat.Apply(r.Change); err != nil {
			t.Fatal(err)
		}
		if r.Change.Start != nil {
			p = r.Change.Start.Plan
		}
	}
	r := &runner{t: t, root: p.Root, arena: vector.NewPoisonedArena(), ops: map[plan.Step]any{}, offset: map[string]int64{}}
	if r.needed, err = operator.ComputeNeeded(p.Root); err != nil {
		t.Fatal(err)
	}
	d := operator.Deps{EveryChange: every, Place: func([]byte, int) int { return 0 }, Store: func(id string, l state.Layout) (*state.Store, error) {
		s := state.NewStore(id, l)
		r.stores = append(r.stores, s)
		return s, nil
	}}
	r.ctx = &operator.Context{Arena: r.arena, Now: func() time.Time { return time.Unix(0, 0) }, Rand: func() uint64 { return 4 },
		Report: func(f operator.Fault) { r.faults = append(r.faults, f.Reason) }}
	plan.Walk(p.Root, func(s plan.Step) {
		var op any
		var err error
		switch s := s.(type) {
		case *plan.Source:
			op, err = operator.NewSource(s, r.needed, d)
		case *plan.Exchange:
			op, err = operator.NewExchange(s, d)
		case *plan.Sink:
			op, err = operator.NewSink(s, d)
		default:
			op, err = operator.Build(s, r.needed, d)
		}
		if err != nil {
			panic(err)
		}
		r.ops[s] = op
	})
	return r
}

// round runs the plan on the records of each topic; nil flushes.
func (r *runner) round(recs []record) {
	r.arena.Reset()
	r.step(r.root, recs)
}

func (r *runner) step(s plan.Step, recs []record) *vector.Batch {
	var in []*vector.Batch
	for _, i := range s.Inputs() {
		in = append(in, r.step(i, recs))
	}
	var b *vector.Batch
	var err error
	switch op := r.ops[s].(type) {
	case *operator.Source:
		if raw := r.records(s.(*plan.Source).Topic, recs); raw.N > 0 {
			b, err = op.Run(r.ctx, raw)
		}
	case *operator.Exchange:
		if in[0] != nil {
			var sel [][]int32
			sel, err = op.Split(r.ctx, in[0])
			// In two parts, so that rows are copied.
			n := len(sel[0]) / 2
			for n > 0 && in[0].Op(int(sel[0][n-1])) == vector.Retract {
				n--
			}
			b = op.Gather(r.ctx, []operator.Part{{Batch: in[0], Sel: sel[0][:n]}, {Batch: in[0], Sel: sel[0][n:]}})
		}
	case *operator.Sink:
		if in[0] != nil {
			var out *operator.SinkRecords
			if out, err = op.Run(r.ctx, in[0]); err == nil {
				r.write(s.(*plan.Sink), out)
			}
		}
	case operator.Operator:
		b, err = op.Run(r.ctx, in)
		if f, ok := op.(operator.Flusher); ok && recs == nil && err == nil {
			b, err = f.Flush(r.ctx)
		}
	}
	if err != nil {
		panic(err)
	}
	return b
}

func (r *runner) records(topic string, recs []record) *operator.Records {
	if r.raw != nil {
		return r.raw
	}
	out := &operator.Records{}
	out.Keys.Buf, out.Values.Buf = []byte{}, []byte{}
	for _, rec := range recs {
		if rec.topic != topic {
			continue
		}
		addCell(&out.Keys, rec.key)
		addCell(&out.Values, rec.value)
		out.Timestamps = append(out.Timestamps, rec.time)
		out.Offsets = append(out.Offsets, r.offset[topic])
		r.offset[topic]++
		out.N++
	}
	return out
}

func addCell(c *format.Cells, b []byte) {
	c.Off, c.Len = append(c.Off, int32(len(c.Buf))), append(c.Len, int32(len(b)))
	if b == nil {
		c.Len[len(c.Len)-1] = -1
	}
	c.Buf = append(c.Buf, b...)
}

func (r *runner) write(s *plan.Sink, recs *operator.SinkRecords) {
	if r.discard {
		return
	}
	for i, t := range recs.Times {
		key, window := recs.Keys.At(i), ""
		if s.Window != nil {
			n := len(key) - 8
			start := binary.BigEndian.Uint64(key[n:])
			if s.Window.Kind == plan.Session {
				n -= 8
				window = fmt.Sprintf(" [%d,%d]", start, binary.BigEndian.Uint64(key[n:]))
			} else {
				window = fmt.Sprintf(" [%d,%d)", start, int64(start)+s.Window.SizeMS)
			}
			key = key[:n]
		}
		r.out = append(r.out, fmt.Sprintf("%s %s @%d%s", text(key), text(recs.Values.At(i)), t, window))
	}
}

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	return string(b)
}

// commit flushes and merges.
func (r *runner) commit() {
	r.round(nil)
	for _, s := range r.stores {
		s.Merge()
	}
}

// parseRecord reads "topic key value @time [start-end]"; a windowed key has t
// or s behind its end.
func parseRecord(t *testing.T, line string) record {
	f := strings.Fields(line)
	if len(f) < 4 {
		t.Fatalf("bad record: %s", line)
	}
	n := 3
	rec := record{topic: f[0], key: []byte(f[1]), value: []byte(f[2])}
	if f[1] == "null" {
		rec.key = nil
	}
	if f[2] == "null" {
		rec.value = nil
	}
	ts, err := strconv.ParseInt(strings.TrimPrefix(f[n], "@"), 10, 64)
	if err != nil {
		t.Fatalf("bad record: %s: %v", line, err)
	}
	rec.time = ts
	if len(f) > n+1 {
		var start, end uint64
		var kind rune
		if _, err := fmt.Sscanf(f[n+1], "%d-%d%c", &start, &end, &kind); err != nil {
			t.Fatal(err)
		}
		if kind == 's' {
			rec.key = binary.BigEndian.AppendUint64(rec.key, end)
		}
		rec.key = binary.BigEndian.AppendUint64(rec.key, start)
	}
	return rec
}

// TestQueries runs scripts of testdata: "query" gives the statements, "run" the
// records of a fresh run. Every run is repeated with other batch sizes and with
// commits between batches, and must give the same; with the argument arrival
// the order between topics counts, so that records are run one by one only.
// With the argument cached only the last change of a key and commit comes out;
// a line "commit" commits.
func TestQueries(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		script := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "query" {
				script = d.Input
				return ""
			}
			if d.HasArg("cached") {
				return runCached(t, script, d.Input)
			}
			var recs []record
			for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
				recs = append(recs, parseRecord(t, line))
			}
			first := runBatches(t, script, recs, 1)
			if !d.HasArg("arrival") {
				for _, size := range []int{2, 7, len(recs)} {
					if got := runBatches(t, script, recs, size); got != first {
						t.Errorf("%s: batches of %d give\n%s\nbatches of 1\n%s", d.Pos, size, got, first)
					}
				}
			}
			return first
		})
	})
}

func runBatches(t *testing.T, script string, recs []record, size int) string {
	r := newRunner(t, script, true)
	for from := 0; from < len(recs); from += size {
		r.round(recs[from:min(from+size, len(recs))])
		if from%3 == 0 {
			r.commit()
		}
	}
	r.commit()
	out := strings.Join(r.out, "\n") + "\n"
	if len(r.faults) > 0 {
		out += "faults: " + strings.Join(r.faults, ", ") + "\n"
	}
	return out
}

func runCached(t *testing.T, script, input string) string {
	r := newRunner(t, script, false)
	var recs []record
	end := func() {
		if len(recs) > 0 {
			r.round(recs)
		}
		recs = nil
	}
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		switch line {
		case "commit":
			end()
			r.commit()
			r.out = append(r.out, "commit")
		case "round":
			end()
		default:
			recs = append(recs, parseRecord(t, line))
		}
	}
	end()
	r.commit()
	return strings.Join(r.out, "\n") + "\n"
}
