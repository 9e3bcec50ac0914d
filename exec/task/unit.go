package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	Log log.Log
	// DB is the database below the stores; nil: state is in memory only and
	// there is no changelog.
	DB   *state.DB
	Now  func() time.Time
	Rand func() uint64
	// NewArena makes the arenas of the unit's batches; nil: vector.NewArena.
	NewArena func() *vector.Arena
	// BatchRows bounds the rows that a source partition gives in a round.
	BatchRows int
	// RoundBytes bounds, about, what a round of a persistent query takes: one that
	// would take more is broken off, with vector.ErrFull. 0: no bound.
	RoundBytes int
	// Quit, once closed, breaks a round off, with ErrQuit; nil: nothing does.
	Quit <-chan struct{}
	// Registry holds the schemas of records.
	Registry format.Registry
	// Report is told of each record that could not be processed in full.
	Report func(operator.Fault)
	// Before is a unit of the same query that has stopped: if there is no
	// database its stores are taken over.
	Before *Unit
	// Output takes the rows of a push query; false ends it.
	Output func(b *vector.Batch) bool
}

const (
	defaultBatchRows = 4096
	fetchBytes       = 1 << 20
)

// A Unit is one running query. Step, Commit and Stop are called by one
// goroutine at a time; the other methods by any.
type Unit struct {
	plan   *plan.Plan
	cfg    Config
	nodes  []*node
	stores []partitionStore
	byStep map[string][]*state.Store // by step id, one a partition
	writer log.Writer
	arena  *vector.Arena
	merged bool // several sources meet, by time
	rr     int
	ended  bool
	limit  int                            // rows a source partition gives in a round; less after a failure
	most   int                            // that limit may become; less after a round that took too much memory
	rows   map[log.Partition]*log.Builder // batches being built
	size   int                            // bytes appended since the last commit

	changelog *changelog // nil: nothing is to be kept, or there is no log of it
	dirty     bool       // something to commit
	lazy      bool       // committed positions are not durable, see Commit
	durable   time.Time  // when they last were

	mu        sync.Mutex
	committed map[log.Partition]int64
	counts    Counts
}

// A partitionStore is a step's store on one partition.
type partitionStore struct {
	*state.Store
	partition int32
}

// Counts of a unit since its start.
type Counts struct {
	Consumed, Produced int64 // records, as of the last commit
	Loaded             int64 // records of state from the database
	Replayed           int64 // records of state from the changelog
}

// New builds a unit, loads its state and takes up its positions.
func New(ctx context.Context, p *plan.Plan, cfg Config) (*Unit, error) {
	if cfg.BatchRows == 0 {
		cfg.BatchRows = defaultBatchRows
	}
	if cfg.NewArena == nil {
		cfg.NewArena = vector.NewArena
	}
	u := &Unit{plan: p, cfg: cfg, byStep: map[string][]*state.Store{}, arena: cfg.NewArena(), limit: cfg.BatchRows, most: cfg.BatchRows, rows: map[log.Partition]*log.Builder{}, committed: map[log.Partition]int64{}}
	if err := u.build(ctx); err != nil {
		return nil, err
	}
	u.stateful()
	if err := u.open(ctx); err != nil {
		if u.writer != nil {
			u.writer.Close()
		}
		return nil, err
	}
	return u, nil
}

func (u *Unit) push() bool {
	_, ok := u.plan.Root.(*plan.Output)
	return ok
}

func (u *Unit) group() string { return Group(u.plan.QueryID) }

// Group returns the consumer group, and transactional id, of a query.
func Group(queryID string) string { return "karst-query-" + queryID }

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

// reset forgets what is not committed and makes the operators begin again from
// their stores.
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
	}
	u.resetTimes()
	clear(u.rows)
	u.dirty, u.size = false, 0
	u.arena.Reset()
	if u.changelog != nil {
		u.changelog.abort()
	}
}

// resetTimes gives the exchanges the stream time of what they had sent: it is
// the greatest that a receiver has seen of it.
func (u *Unit) resetTimes() {
	for _, n := range u.nodes {
		if !keepsTime(n.step) {
			continue
		}
		for input, from := range n.inputs {
			for lane, x := range u.nodes[from].exchange {
				time := int64(-1)
				for _, op := range n.ops {
					time = max(time, op.(operator.Timer).StreamTime(input, lane))
				}
				x.Timed(time)
			}
		}
	}
}

// keepsTime reports whether a step judges rows by stream time.
func keepsTime(s plan.Step) bool {
	switch s := s.(type) {
	case *plan.Aggregate:
		return s.Window != nil
	case *plan.StreamStreamJoin:
		return true
	}
	return false
}

// context returns the operators' context for a partition.
func (u *Unit) context(partition int) *operator.Context {
	return &operator.Context{Arena: u.arena, Now: u.cfg.Now, Rand: u.cfg.Rand, Partition: int32(partition), Report: u.cfg.Report}
}

// errEnded says that a push query's reader has enough.
var errEnded = errors.New("the reader has ended")

// ErrQuit says that a round was broken off because its query is to end.
var ErrQuit = errors.New("the query is to end")

// bound has a round end once it takes too much memory, unless it could not take less,
// or once nobody waits for it any more.
func (u *Unit) bound(ctx context.Context) {
	bytes := u.cfg.RoundBytes
	if u.push() || u.limit == 1 {
		bytes = 0
	}
	u.arena.Bound(bytes, func() error {
		select {
		case <-u.cfg.Quit:
			return ErrQuit
		default:
			return ctx.Err()
		}
	})
}

// Step runs one round; it reports whether there was anything to do. After
// vector.ErrFull it is to be tried again, after Recover, with fewer rows.
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
	u.bound(ctx)
	err = u.run(out, false)
	u.arena.Bound(0, nil)
	if errors.Is(err, vector.ErrFull) {
		u.most = max(u.limit/2, 1)
	}
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
	// Where a key goes must not be guessed.
	t, err := u.cfg.Log.Topic(context.Background(), s.Topic)
	if err != nil {
		return fmt.Errorf("writing to %s: %w", s.Topic, err)
	}
	parts := int(t.Partitions)
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
	u.counts.Produced += int64(len(r.Times))
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
	if u.changelog != nil && at.Topic == u.changelog.topic {
		u.changelog.last[at.Index] = batch
	}
	return u.writer.Append(at, batch)
}

// Pending returns the bytes of output and state that wait for the next commit.
func (u *Unit) Pending() int {
	n := u.size
	for _, b := range u.rows {
		n += b.Bytes()
	}
	for _, s := range u.stores {
		n += s.Pending()
	}
	return n
}

// Bytes returns the memory that the unit's state takes.
func (u *Unit) Bytes() int {
	n := 0
	for _, s := range u.stores {
		n += s.Bytes()
	}
	if u.changelog != nil {
		for _, c := range u.changelog.cuts {
			n += c.Bytes()
		}
	}
	return n
}

// Dirty reports whether there is anything to commit.
func (u *Unit) Dirty() bool { return u.dirty }

// flushPush gives a push query the changes held back.
func (u *Unit) flushPush() error {
	if !u.dirty {
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

// Positions returns the input positions of the last commit.
func (u *Unit) Positions() map[log.Partition]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.committed)
}

// Committed returns the input position of the last commit.
func (u *Unit) Committed(p log.Partition) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.committed[p]
}

// Counts returns what the unit has done since its start.
func (u *Unit) Counts() Counts {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts
}

// Changelog returns the topic in which the unit keeps its state, "" if none.
func (u *Unit) Changelog() string {
	if u.changelog == nil {
		return ""
	}
	return u.changelog.topic
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
