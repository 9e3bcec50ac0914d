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
	"karst/sql/types"
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
	offset  int64 // after the last command that counts
	read    int64 // next offset of the command log
	doubt   bool  // the command log may hold more, of ours: a write had no answer
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
	// Base is where the command log ended when the command was made: the offset
	// after the last command that counts. One that finds another there does not
	// count, since it was made without knowing that one. So what comes to the log
	// late, after its writer has given it up, or from a second server, breaks
	// nothing. Commands of older versions have none, and count.
	Base *int64 `json:"base,omitempty"`
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
	e.offset, e.read = b.Start, b.Start
	return e.readOn(b.HighWatermark, func(c *command) error {
		e.ended = append(e.ended, c.Change.Stop...)
		return e.makeTopic(c.Topic)
	})
}

// readOn reads the command log up to an offset, and applies each command that
// counts to the catalog and then by apply.
func (e *Engine) readOn(end int64, apply func(*command) error) error {
	p := log.Partition{Topic: CommandTopic}
	var r log.Records
	for e.read < end {
		next, err := e.opts.Log.Fetch(e.ctx, p, e.read, 1<<20, &r)
		if err != nil {
			return fmt.Errorf("reading the command log: %w", err)
		}
		for i := 0; i < r.Len() && r.Offsets[i] < end; i++ {
			c, err := e.fold(r.Offsets[i], r.Value(i))
			if err == nil && c != nil {
				err = apply(c)
			}
			if err != nil {
				return fmt.Errorf("command at offset %d: %w", r.Offsets[i], err)
			}
		}
		e.read = min(next, end)
	}
	return nil
}

// fold applies a record of the command log to the catalog. It returns nil if
// the command does not count.
func (e *Engine) fold(at int64, value []byte) (*command, error) {
	var c command
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, err
	}
	if c.Base != nil && *c.Base != e.offset {
		return nil, nil
	}
	next, err := e.cat.Apply(c.Change)
	if err != nil {
		return nil, err
	}
	e.counts(at, next, c.Set)
	return &c, nil
}

// counts takes up what a command at an offset has made.
func (e *Engine) counts(at int64, cat *catalog.Catalog, set *setting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cat, e.offset, e.read = cat, at+1, at+1
	if set != nil {
		e.system[set.Name] = set.Value
	}
}

// catchUp applies commands that are in the log without our knowing: a write of
// ours that was given up, or those of another server. The caller holds ddl.
func (e *Engine) catchUp(end int64) error {
	return e.readOn(end, func(c *command) error {
		if err := e.makeTopic(c.Topic); err != nil { // whoever wrote the command has made it
			e.opts.Logger.Warn("applying a command that was found in the log", "error", err)
		}
		e.apply(c.Change, c.Delete)
		return nil
	})
}

// resolve finds out what became of writes that had no answer. The caller holds
// ddl.
func (e *Engine) resolve() error {
	if !e.doubt {
		return nil
	}
	b, err := e.opts.Log.Bounds(e.ctx, log.Partition{Topic: CommandTopic})
	if err == nil {
		err = e.catchUp(b.HighWatermark)
	}
	if err != nil {
		return fmt.Errorf("looking what became of an earlier statement: %w", err)
	}
	e.doubt = false
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
	at, err := e.write(command{Version: 1, Text: text, Change: r.Change, Topic: r.CreateTopic, Delete: r.DeleteTopic})
	if err != nil {
		return err
	}
	e.counts(at, next, nil)
	e.apply(r.Change, r.DeleteTopic)
	return nil
}

// write appends a command to the command log and returns its offset, if it
// counts.
func (e *Engine) write(c command) (int64, error) {
	base := e.offset
	c.Base = &base
	value, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("encoding the command: %w", err)
	}
	var b log.Builder
	b.Add(e.opts.Now().UnixMilli(), nil, value, nil)
	batch := b.Finish()
	if err := e.opts.Log.Produce(e.ctx, []log.Append{{Partition: log.Partition{Topic: CommandTopic}, Batch: batch}}); err != nil {
		e.doubt = true
		if errors.Is(err, log.ErrUnavailable) {
			err = fmt.Errorf("%w. The statement may have got there all the same: look before you try again", err)
		}
		return 0, fmt.Errorf("writing the command log: %w", err)
	}
	info, err := log.ReadHeader(batch)
	if err == nil {
		err = e.catchUp(info.BaseOffset)
	}
	if err != nil {
		e.doubt = true
		return 0, err
	}
	if e.offset != base {
		e.read = info.BaseOffset + 1
		return 0, types.Errorf(types.ErrStatement, types.Pos{}, "the statement was not carried out: another one came to the command log before it, of a second server or one whose answer was lost. Look what there is now, and try again")
	}
	return info.BaseOffset, nil
}

// alterSystem gives a property a value for all sessions that set none, and
// keeps it.
func (e *Engine) alterSystem(x *sql.AlterSystem) (Answer, error) {
	if err := CheckProperty(x.Name, x.Value, x.Pos()); err != nil {
		return nil, err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := e.resolve(); err != nil {
		return nil, err
	}
	done := Done{Message: "System property " + x.Name + " was set to " + x.Value + ".", Command: commandOf(x), Offset: e.offset}
	set := &setting{x.Name, x.Value}
	at, err := e.write(command{Version: 1, Text: x.Text(), Change: &catalog.Change{}, Set: set})
	if err != nil {
		return nil, err
	}
	e.counts(at, e.cat, set)
	return done, nil
}

// apply starts and stops what a change says.
func (e *Engine) apply(change *catalog.Change, deleteTopic string) {
	for _, id := range change.Stop {
		e.end(id)
		e.forget(id)
	}
	for _, t := range change.SetState {
		before := e.end(t.ID)
		if q, ok := e.cat.Query(t.ID); ok {
			e.start(q, before)
		}
	}
	if q := change.Start; q != nil {
		e.start(q, e.end(change.Replaces))
	}
	if deleteTopic != "" {
		e.forgetSchemas(deleteTopic)
		if err := e.opts.Log.DeleteTopic(e.ctx, deleteTopic); err != nil {
			e.opts.Logger.Warn("deleting a topic", "topic", deleteTopic, "error", err)
		}
	}
}

// facts gathers what planning needs to know. A log that gives no answer says
// nothing of what there is.
func (e *Engine) facts(ctx context.Context, topics []string) (planner.Facts, error) {
	f := planner.Facts{Topics: map[string]int{}}
	for _, name := range topics {
		t, err := e.opts.Log.Topic(ctx, name)
		if errors.Is(err, log.ErrUnavailable) {
			return f, err
		}
		if err == nil {
			f.Topics[name] = int(t.Partitions)
		}
	}
	return f, nil
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
	var ended sync.WaitGroup // side by side: each may wait for a log that is away
	for _, id := range ids {
		ended.Go(func() { e.end(id) })
	}
	ended.Wait()
	e.stop()
	e.all.Wait()
	return nil
}
