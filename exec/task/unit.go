package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/log"
	"karst/planner/plan"
	"karst/sql/format"
	"karst/sql/vector"
)

// A Config is what a unit runs with.
type Config struct {
	Log  log.Log
	DB   *state.DB // nil: state is kept in memory only
	Now  func() time.Time
	Rand func() uint64
	// NewArena makes the arenas of the unit's batches; nil: vector.NewArena.
	NewArena func() *vector.Arena
	// BatchRows bounds the rows that a source partition gives in a round.
	BatchRows int
	// Registry holds the schemas of records.
	Registry format.Registry
	// Report is told of each record that could not be processed in full.
	Report func(operator.Fault)
	// Output takes the rows of a push query; false ends it.
	Output func(b *vector.Batch) bool
}

const (
	defaultBatchRows = 4096
	fetchBytes       = 1 << 20
	cutInterval      = time.Second
)

// A Unit is one running query. Step, Commit and Stop are called by one
// goroutine at a time; the other methods by any.
type Unit struct {
	plan   *plan.Plan
	cfg    Config
	nodes  []*node
	stores []*state.Store
	byStep map[string][]*state.Store // by step id, one a partition
	writer log.Writer
	arena  *vector.Arena
	merged bool // several sources meet, by time
	loaded int
	rr     int
	ended  bool
	dirty  bool // something to commit
	size   int  // bytes appended since the last commit
	cutAt  time.Time
	rows   map[log.Partition]*log.Builder

	mu        sync.Mutex
	committed map[log.Partition]int64
	consumed  int64 // records read since the start
	produced  int64
}

// New builds a unit, loads its state and takes up its positions.
func New(ctx context.Context, p *plan.Plan, cfg Config) (*Unit, error) {
	if cfg.BatchRows == 0 {
		cfg.BatchRows = defaultBatchRows
	}
	if cfg.NewArena == nil {
		cfg.NewArena = vector.NewArena
	}
	u := &Unit{plan: p, cfg: cfg, byStep: map[string][]*state.Store{}, arena: cfg.NewArena(), rows: map[log.Partition]*log.Builder{}, committed: map[log.Partition]int64{}}
	if err := u.build(ctx); err != nil {
		return nil, err
	}
	if err := u.open(ctx); err != nil {
		return nil, err
	}
	u.reset()
	return u, nil
}

func (u *Unit) push() bool {
	_, ok := u.plan.Root.(*plan.Output)
	return ok
}

func (u *Unit) group() string { return "karst-query-" + u.plan.QueryID }

// open takes up the positions: those of the state's stamp, or of the last
// commit, or the ends that the plan asks for.
func (u *Unit) open(ctx context.Context) error {
	var err error
	if !u.push() {
		if u.writer, err = u.cfg.Log.OpenWriter(ctx, u.group()); err != nil {
			return fmt.Errorf("opening writer: %w", err)
		}
	}
	positions, known, err := u.positions(ctx)
	if err != nil {
		return err
	}
	return u.eachSource(func(n *node, s *source) error {
		b, err := u.cfg.Log.Bounds(ctx, s.at)
		if err != nil {
			return err
		}
		next, ok := positions[s.at]
		switch {
		case ok:
		case !known && u.plan.FromLatest && !n.step.Meta().IsTable:
			next = b.HighWatermark
		default:
			next = b.Start
		}
		s.seek(min(max(next, b.Start), b.HighWatermark))
		if n.first {
			s.bootEnd = b.HighWatermark
		}
		s.committed = s.position
		u.committed[s.at] = s.position
		return nil
	})
}

// positions returns where the unit was; known is false if it never ran.
func (u *Unit) positions(ctx context.Context) (map[log.Partition]int64, bool, error) {
	if u.push() {
		return nil, false, nil
	}
	if len(u.stores) > 0 && u.cfg.DB != nil {
		stamp, err := u.cfg.DB.Stamp(u.plan.QueryID)
		if err != nil || stamp == nil {
			return nil, false, err
		}
		var list []stampEntry
		if err := json.Unmarshal(stamp, &list); err != nil {
			return nil, false, fmt.Errorf("reading the state's stamp: %w", err)
		}
		out := map[log.Partition]int64{}
		for _, e := range list {
			out[log.Partition{Topic: e.Topic, Index: e.Partition}] = e.Next
		}
		return out, true, nil
	}
	m, err := u.cfg.Log.CommittedOffsets(ctx, u.group())
	return m, len(m) > 0, err
}

type stampEntry struct {
	Topic     string
	Partition int32
	Next      int64
}

func (u *Unit) eachSource(f func(n *node, s *source) error) error {
	for _, n := range u.nodes {
		for _, s := range n.sources {
			if err := f(n, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// reset goes back to the last commit.
func (u *Unit) reset() {
	for _, s := range u.stores {
		s.Abort()
	}
	for _, n := range u.nodes {
		for _, op := range n.ops {
			if r, ok := op.(operator.Resetter); ok {
				r.Reset()
			}
		}
		for _, s := range n.sources {
			s.seek(s.committed)
		}
	}
	clear(u.rows)
	u.dirty, u.size = false, 0
	u.arena.Reset()
}

// Abort drops what is not committed.
func (u *Unit) Abort() {
	if u.writer != nil {
		u.writer.Abort()
	}
	u.reset()
}

// context returns the operators' context for a partition.
func (u *Unit) context(partition int) *operator.Context {
	return &operator.Context{Arena: u.arena, Now: u.cfg.Now, Rand: u.cfg.Rand, Partition: int32(partition), Report: u.cfg.Report}
}

// errEnded says that a push query's reader has enough.
var errEnded = errors.New("the reader has ended")

// Step runs one round; it reports whether there was anything to do.
func (u *Unit) Step(ctx context.Context) (worked bool, err error) {
	if u.ended {
		return false, nil
	}
	u.arena.Reset()
	out, worked, err := u.gather(ctx)
	if err != nil || !worked {
		return worked, err
	}
	u.dirty = true
	err = u.run(out, false)
	if errors.Is(err, errEnded) {
		u.ended = true
		return true, nil
	}
	if err == nil && u.push() {
		u.publish()
	}
	return true, err
}

// booting reports whether a join's table is still being read in.
func (u *Unit) booting() bool {
	for _, n := range u.nodes {
		for _, s := range n.sources {
			if n.first && s.position < s.bootEnd {
				return true
			}
		}
	}
	return false
}

// run evaluates the nodes; out holds the sources' batches. With flush the
// sources give nothing and operators give what they held back.
func (u *Unit) run(out [][]*vector.Batch, flush bool) error {
	for i, n := range u.nodes {
		if n.sources != nil {
			if out[i] == nil {
				out[i] = make([]*vector.Batch, n.parts)
			}
			continue
		}
		if n.exchange != nil {
			if err := u.move(n, out[n.inputs[0]], out, i); err != nil {
				return err
			}
			continue
		}
		out[i] = make([]*vector.Batch, n.parts)
		for p := range n.parts {
			in := make([]*vector.Batch, len(n.inputs))
			for k, j := range n.inputs {
				if p < len(out[j]) {
					in[k] = out[j][p]
				}
			}
			b, err := u.runNode(n, p, in, flush)
			if err != nil {
				return fmt.Errorf("step %s: %w", n.step.Meta().ID, err)
			}
			out[i][p] = b
		}
	}
	return nil
}

func (u *Unit) runNode(n *node, p int, in []*vector.Batch, flush bool) (*vector.Batch, error) {
	c := u.context(p)
	switch {
	case n.sinks != nil:
		if in[0] == nil {
			return nil, nil
		}
		recs, err := n.sinks[p].Run(c, in[0])
		if err != nil {
			return nil, err
		}
		return nil, u.write(n.step.(*plan.Sink), recs)
	case n.ops == nil:
		if in[0] != nil && !u.cfg.Output(in[0]) {
			return nil, errEnded
		}
		return nil, nil
	}
	b, err := n.ops[p].Run(c, in)
	if err != nil || !flush {
		return b, err
	}
	if f, ok := n.ops[p].(operator.Flusher); ok {
		if b != nil {
			return nil, errors.New("a step gave rows at a flush and held rows back too")
		}
		return f.Flush(c)
	}
	return b, nil
}

// move runs an exchange: in order of the sending partitions.
func (u *Unit) move(n *node, in []*vector.Batch, out [][]*vector.Batch, i int) error {
	parts := make([][]operator.Part, n.parts)
	for p, b := range in {
		if b == nil {
			continue
		}
		sels, err := n.exchange[p].Split(u.context(p), b)
		if err != nil {
			return err
		}
		for to, sel := range sels {
			parts[to] = append(parts[to], operator.Part{Batch: b, Sel: sel})
		}
	}
	out[i] = make([]*vector.Batch, n.parts)
	for to := range parts {
		out[i][to] = n.exchange[0].Gather(u.context(to), parts[to])
	}
	return nil
}

// write adds encoded records to the open batches of the sink's partitions.
func (u *Unit) write(s *plan.Sink, r *operator.SinkRecords) error {
	parts := u.sinkPartitions(s)
	suffix := 0
	if s.Window != nil {
		if suffix = 8; s.Window.Kind == plan.Session {
			suffix = 16
		}
	}
	for i := range r.Times {
		key := r.Keys.At(i)
		p := 0
		if key == nil {
			u.rr++
			p = u.rr % parts
		} else {
			// A window's key is placed by the key without its window.
			p = log.PartitionForKey(key[:len(key)-suffix], parts)
		}
		at := log.Partition{Topic: s.Topic, Index: int32(p)}
		b := u.rows[at]
		if b == nil {
			b = &log.Builder{}
			u.rows[at] = b
		}
		b.Add(r.Times[i], key, r.Values.At(i), headersOf(r.Headers, r.Rows[i]))
		if b.Bytes() >= maxBatchBytes {
			if err := u.append(at, b); err != nil {
				return err
			}
		}
	}
	u.mu.Lock()
	u.produced += int64(len(r.Times))
	u.mu.Unlock()
	return nil
}

const maxBatchBytes = 1 << 20

func (u *Unit) append(at log.Partition, b *log.Builder) error {
	batch := b.Finish()
	if batch == nil {
		return nil
	}
	u.size += len(batch)
	return u.writer.Append(at, batch)
}

func (u *Unit) sinkPartitions(s *plan.Sink) int {
	t, err := u.cfg.Log.Topic(context.Background(), s.Topic)
	if err != nil {
		return 1 // the append says what is wrong
	}
	return int(t.Partitions)
}

// Pending returns the bytes of output that wait for the next commit.
func (u *Unit) Pending() int { return u.size }

// Dirty reports whether there is anything to commit.
func (u *Unit) Dirty() bool { return u.dirty }

// Commit makes everything since the last commit durable and visible, all
// together. After an error the unit is where the last commit left it.
func (u *Unit) Commit(ctx context.Context) error {
	if !u.dirty || u.push() {
		return u.flushPush()
	}
	if err := u.prepare(); err != nil {
		u.Abort()
		return err
	}
	done := make(chan error, 1)
	u.writer.Commit(func(err error) { done <- err })
	if err := <-done; err != nil {
		u.Abort()
		return fmt.Errorf("committing: %w", err)
	}
	u.publish()
	u.dirty, u.size = false, 0
	if now := u.cfg.Now(); now.Sub(u.cutAt) >= cutInterval {
		u.cutAt = now
		return u.cut()
	}
	return nil
}

// flushPush gives a push query the changes held back.
func (u *Unit) flushPush() error {
	if !u.push() || !u.dirty {
		return nil
	}
	u.dirty = false
	err := u.run(make([][]*vector.Batch, len(u.nodes)), true)
	if errors.Is(err, errEnded) {
		u.ended = true
		return nil
	}
	u.publish()
	return err
}

// Ended reports whether a push query's reader has enough.
func (u *Unit) Ended() bool { return u.ended }

func (u *Unit) prepare() error {
	u.arena.Reset()
	if err := u.run(make([][]*vector.Batch, len(u.nodes)), true); err != nil {
		return err
	}
	for at, b := range u.rows {
		if err := u.append(at, b); err != nil {
			return err
		}
	}
	clear(u.rows)
	return u.writer.Offsets(u.group(), u.sourcePositions())
}

// sourcePositions returns the next offset of each source partition; a topic
// read twice counts by the one that is behind.
func (u *Unit) sourcePositions() map[log.Partition]int64 {
	next := map[log.Partition]int64{}
	_ = u.eachSource(func(_ *node, s *source) error {
		if old, ok := next[s.at]; !ok || s.position < old {
			next[s.at] = s.position
		}
		return nil
	})
	return next
}

// publish makes the state visible and notes the positions.
func (u *Unit) publish() {
	for _, s := range u.stores {
		s.Merge()
	}
	next, consumed := u.sourcePositions(), int64(0)
	_ = u.eachSource(func(_ *node, s *source) error {
		s.committed = s.position
		consumed += s.consumed
		return nil
	})
	u.mu.Lock()
	u.committed = next
	u.consumed = consumed
	u.mu.Unlock()
}

// cut writes the state to Pebble with the positions it belongs to.
func (u *Unit) cut() error {
	if u.cfg.DB == nil || len(u.stores) == 0 {
		return nil
	}
	var list []stampEntry
	for at, next := range u.sourcePositions() {
		list = append(list, stampEntry{at.Topic, at.Index, next})
	}
	stamp, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return u.cfg.DB.WriteCut(u.plan.QueryID, u.stores, stamp)
}

// Stop commits what there is and writes the state down.
func (u *Unit) Stop(ctx context.Context) error {
	err := u.Commit(ctx)
	if err == nil {
		err = u.cut()
	}
	if u.writer != nil {
		u.writer.Close()
	}
	return err
}

// Committed returns the input position of the last commit.
func (u *Unit) Committed(p log.Partition) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.committed[p]
}

// Counts returns how many records were read and written since the start, and
// how many keys of state were loaded at it.
func (u *Unit) Counts() (consumed, produced int64, loaded int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.consumed, u.produced, u.loaded
}

// Stores returns a step's stores, one a partition.
func (u *Unit) Stores(step string) []*state.Store { return u.byStep[step] }

// Plan returns the unit's plan.
func (u *Unit) Plan() *plan.Plan { return u.plan }

// Topics returns the topics the unit reads.
func (u *Unit) Topics() []log.Partition {
	var out []log.Partition
	_ = u.eachSource(func(_ *node, s *source) error {
		out = append(out, s.at)
		return nil
	})
	return out
}
