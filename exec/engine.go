package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"karst/exec/state"
	"karst/log"
	"karst/planner"
	"karst/planner/catalog"
	"karst/sql"
	"karst/sql/vector"
)

// Options of an engine.
type Options struct {
	Log    log.Log
	DB     *state.DB // nil: state lives in memory only
	Logger *slog.Logger
	Now    func() time.Time
	Rand   func() uint64
	// Registry holds the schemas of AVRO, PROTOBUF and JSON_SR records; nil:
	// there is none.
	Registry Registry
	// BatchRows bounds the rows of a round's batch; 0 is the default.
	BatchRows int
	// MemoryBytes is what the state of all queries may take together; 0: no limit.
	MemoryBytes int64
	// NewArena makes the arenas of batches; nil: vector.NewArena.
	NewArena func() *vector.Arena
	// Serial lets queries run only while they are waited for, one after another
	// in Quiesce: for tests, where the order of what several queries write to one
	// topic must be the same in each run.
	Serial bool
	// Settings are the server's defaults for the session's properties.
	Settings map[string]string
}

// An Engine runs statements and queries over one log.
type Engine struct {
	opts Options
	ctx  context.Context
	stop context.CancelFunc
	un   func() // stops watching the log

	ddl sync.Mutex // one defining statement at a time

	mu      sync.RWMutex
	cat     *catalog.Catalog
	queries map[string]*running
	offset  int64 // next offset of the command log
	pushes  int64
	// transients are the push queries that run, by id.
	transients map[string]*transientQuery
	pulled     pullCounts
	system     map[string]string // what ALTER SYSTEM has set
	closed     bool
	all        sync.WaitGroup
	memory     budget
	ended      []string // queries that were dropped, as replay has found them
}

// CommandTopic keeps the plans of everything that was defined. Its records are
// few, and needed to give anything up: a log on a full disk should take them.
const CommandTopic = "_karst_commands"

// A command is one record of the command log.
type command struct {
	Version int             `json:"version"`
	Text    string          `json:"text"` // for display
	Change  *catalog.Change `json:"change"`
	Topic   *planner.Topic  `json:"topic,omitempty"`
	Delete  string          `json:"deleteTopic,omitempty"`
	// Set is a property that ALTER SYSTEM has given a value for all sessions.
	Set *setting `json:"set,omitempty"`
}

type setting struct{ Name, Value string }

// Open folds the command log into a catalog and starts its queries.
func Open(opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{opts: opts, memory: budget{limit: opts.MemoryBytes}, cat: catalog.New(), queries: map[string]*running{}, transients: map[string]*transientQuery{}, system: map[string]string{}}
	e.ctx, e.stop = context.WithCancel(context.Background())
	if _, err := opts.Log.CreateTopic(e.ctx, CommandTopic, 1, map[string]string{"retention.ms": "-1"}); err != nil && !errors.Is(err, log.ErrTopicExists) {
		return nil, fmt.Errorf("making the command log: %w", err)
	}
	if err := e.replay(); err != nil {
		if errors.Is(err, log.ErrOffline) {
			err = fmt.Errorf("%w. %s has everything that was defined here: there is nothing to go on from without it", err, CommandTopic)
		}
		return nil, err
	}
	if err := e.sweep(); err != nil {
		return nil, err
	}
	e.un = func() {}
	if !opts.Serial {
		e.un = opts.Log.Watch(e.wake)
	}
	e.startAll()
	return e, nil
}

// startAll starts the catalog's queries; several at a time, since each may have
// much state to read.
func (e *Engine) startAll() {
	var wg sync.WaitGroup
	turns := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	for _, id := range e.cat.QueryIDs() {
		q, _ := e.cat.Query(id)
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			e.start(q, nil)
		})
	}
	wg.Wait()
}

// replay applies the command log's records to the catalog.
func (e *Engine) replay() error {
	p := log.Partition{Topic: CommandTopic}
	b, err := e.opts.Log.Bounds(e.ctx, p)
	if err != nil {
		return fmt.Errorf("reading the command log: %w", err)
	}
	var r log.Records
	for e.offset = b.Start; e.offset < b.HighWatermark; {
		next, err := e.opts.Log.Fetch(e.ctx, p, e.offset, 1<<20, &r)
		if err != nil {
			return fmt.Errorf("reading the command log: %w", err)
		}
		for i := range r.Len() {
			var c command
			if err := json.Unmarshal(r.Value(i), &c); err != nil {
				return fmt.Errorf("command at offset %d: %w", r.Offsets[i], err)
			}
			if e.cat, err = e.cat.Apply(c.Change); err != nil {
				return fmt.Errorf("command at offset %d: %w", r.Offsets[i], err)
			}
			e.ended = append(e.ended, c.Change.Stop...)
			if c.Set != nil {
				e.system[c.Set.Name] = c.Set.Value
			}
			if err := e.makeTopic(c.Topic); err != nil {
				return err
			}
		}
		e.offset = next
	}
	return nil
}

func (e *Engine) makeTopic(t *planner.Topic) error {
	if t == nil {
		return nil
	}
	_, err := e.opts.Log.CreateTopic(e.ctx, t.Name, int32(t.Partitions), t.Config)
	if err != nil && !errors.Is(err, log.ErrTopicExists) {
		return fmt.Errorf("making topic %s: %w", t.Name, err)
	}
	return nil
}

// Catalog returns the present catalog.
func (e *Engine) Catalog() *catalog.Catalog {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.cat
}

// Log returns the engine's log.
func (e *Engine) Log() log.Log { return e.opts.Log }

// commit writes a definition to the command log and applies it: the record
// decides. The caller holds ddl.
func (e *Engine) commit(text string, r *planner.Result) error {
	next, err := e.cat.Apply(r.Change)
	if err != nil {
		return err
	}
	if err := e.register(r.Register); err != nil {
		return err
	}
	if err := e.makeTopic(r.CreateTopic); err != nil {
		return err
	}
	if err := e.write(command{Version: 1, Text: text, Change: r.Change, Topic: r.CreateTopic, Delete: r.DeleteTopic}); err != nil {
		return err
	}
	e.mu.Lock()
	e.cat = next
	e.offset++
	e.mu.Unlock()
	e.apply(r)
	return nil
}

// write appends a command to the command log.
func (e *Engine) write(c command) error {
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding the command: %w", err)
	}
	var b log.Builder
	b.Add(e.opts.Now().UnixMilli(), nil, value, nil)
	if err := e.opts.Log.Produce(e.ctx, []log.Append{{Partition: log.Partition{Topic: CommandTopic}, Batch: b.Finish()}}); err != nil {
		return fmt.Errorf("writing the command log: %w", err)
	}
	return nil
}

// alterSystem gives a property a value for all sessions that set none, and
// keeps it.
func (e *Engine) alterSystem(x *sql.AlterSystem) (Answer, error) {
	if err := CheckProperty(x.Name, x.Value, x.Pos()); err != nil {
		return nil, err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := e.write(command{Version: 1, Text: x.Text(), Change: &catalog.Change{}, Set: &setting{x.Name, x.Value}}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.system[x.Name] = x.Value
	done := Done{Message: "System property " + x.Name + " was set to " + x.Value + ".", Command: commandOf(x), Offset: e.offset}
	e.offset++
	return done, nil
}

// apply starts and stops what a change says.
func (e *Engine) apply(r *planner.Result) {
	for _, id := range r.Change.Stop {
		e.end(id)
		e.forget(id)
	}
	for _, t := range r.Change.SetState {
		before := e.end(t.ID)
		if q, ok := e.cat.Query(t.ID); ok {
			e.start(q, before)
		}
	}
	if q := r.Change.Start; q != nil {
		e.start(q, e.end(r.Change.Replaces))
	}
	if r.DeleteTopic != "" {
		e.forgetSchemas(r.DeleteTopic)
		if err := e.opts.Log.DeleteTopic(e.ctx, r.DeleteTopic); err != nil {
			e.opts.Logger.Warn("deleting a topic", "topic", r.DeleteTopic, "error", err)
		}
	}
}

// facts gathers what planning needs to know.
func (e *Engine) facts(ctx context.Context, topics []string) planner.Facts {
	f := planner.Facts{Topics: map[string]int{}}
	for _, name := range topics {
		if t, err := e.opts.Log.Topic(ctx, name); err == nil {
			f.Topics[name] = int(t.Partitions)
		}
	}
	return f
}

// Close stops all queries, each at a commit with its state written down.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	ids := make([]string, 0, len(e.queries))
	for id := range e.queries {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	e.un()
	for _, id := range ids {
		e.end(id)
	}
	e.stop()
	e.all.Wait()
	return nil
}
