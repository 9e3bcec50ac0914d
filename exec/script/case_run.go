package script

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"karst/exec"
	"karst/log"
	"karst/log/registry"
	"karst/log/segment"
	"karst/planner/catalog"
	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A record is one of a topic, as bytes.
type record struct {
	key, value []byte
	time       int64
	headers    []log.Header
}

// A caseEngine is an engine in memory in which a case's definitions have been
// made. All its queries are paused.
type caseEngine struct {
	log     *segment.Log
	engine  *exec.Engine
	session *exec.Session
	queries []string // ids, in the order of their making
}

// A caseRun is one run of a case. As ksqlDB's cases have it each query runs
// on its own and after those before it: the first engine makes the definitions
// and takes the INSERT VALUES; then each query has an engine to itself, is fed
// the inputs of its sources in the file's order, then what earlier queries
// wrote.
type caseRun struct {
	ctx      context.Context
	c        *queryCase
	batch    int
	serial   bool              // queries run one after another
	settings map[string]string // the server's
	stmts    []sql.Statement
	registry *registry.Registry  // of all the run's engines
	topics   map[string]int      // partitions of the topics that are there before
	given    map[string]bool     // topics that have inputs
	stored   map[string][]record // all that a topic holds
	reported bool                // a query has reported faults of rows
}

// run returns what is wrong, nil if nothing is. With batch 1 queries are fed
// record by record, else inputs that follow each other on one topic go in
// together, in batches of that many rows.
func (c *queryCase) run(ctx context.Context, batch int) *caseFault {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	r := &caseRun{ctx: ctx, c: c, batch: max(batch, 1), settings: caseSettings(), registry: registry.New(), given: map[string]bool{}, stored: map[string][]record{}}
	script := strings.Join(c.Statements, "\n")
	var err error
	if r.stmts, err = sql.Parse(script, sql.Options{}); err != nil {
		return c.judge(err, script, true)
	}
	def := 1 // records go to partition 0, so one will do unless the case speaks of partitions at all
	if c.countsPartitions(r.stmts) {
		def = defaultPartitions
	}
	r.topics = c.topicsBefore(r.stmts, def)
	if err := r.registerSchemas(); err != nil {
		return faultf("%v", err)
	}
	e, err := r.open()
	if err != nil {
		return faultf("%v", err)
	}
	defer e.close()
	failed, err := e.make(r.ctx, r.stmts)
	switch {
	case c.Error != nil && err == nil && len(c.Inputs) == 0:
		return faultf("expected an error, there was none: %s", c.Error.Message)
	case c.Error != nil && err != nil:
		return c.judge(err, failed.Text(), failed == r.stmts[len(r.stmts)-1])
	case err != nil:
		return faultf("unexpected error: %v", err)
	}
	err = r.feed(e)
	switch {
	case c.Error != nil && err == nil:
		if simpleName(c.Error.Type) == "StreamsException" && r.reported {
			return nil // the row was left out and reported, the query goes on
		}
		return faultf("expected an error, there was none: %s", c.Error.Message)
	case c.Error != nil:
		return c.judge(err, script, true)
	case err != nil:
		return faultf("%v", err)
	}
	if f := r.compare(e); f != nil {
		return f
	}
	return c.Post.check(r, e)
}

// open makes an engine with the topics that are there before.
func (r *caseRun) open() (*caseEngine, error) {
	l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: rand.New(rand.NewPCG(1, 2)).Uint64})
	if err != nil {
		return nil, err
	}
	e := &caseEngine{log: l, session: &exec.Session{Properties: map[string]string{}}}
	e.engine, err = exec.Open(exec.Options{Log: l, Now: caseClock, Rand: rand.Uint64, Registry: r.registry, BatchRows: r.batch, Settings: r.settings, Serial: r.serial})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	for k, v := range r.c.Properties {
		e.session.Properties[k] = fmt.Sprint(v)
	}
	for name, n := range r.topics {
		if _, err := l.CreateTopic(r.ctx, name, int32(n), nil); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

// caseClock is a clock that stands still, at a time that functions of the
// current date can tell from the epoch.
func caseClock() time.Time { return time.UnixMilli(1_700_000_000_000) }

// caseSettings are the server's settings that the cases are made for: every
// change of a table is emitted, topics are read from their beginnings.
func caseSettings() map[string]string {
	return map[string]string{"ksql.streams.cache.max.bytes.buffering": "0", "auto.offset.reset": "earliest"}
}

// reported tells whether a query has reported faults of rows.
func (e *caseEngine) reported(ctx context.Context) bool {
	results, err := e.engine.Execute(ctx, "SHOW QUERIES EXTENDED;", e.session)
	if err != nil {
		return false
	}
	for _, r := range results {
		queries, _ := r.Answer.(exec.Queries)
		for _, q := range queries.List {
			if len(q.Faults) > 0 {
				return true
			}
		}
	}
	return false
}

func (e *caseEngine) close() { _ = errors.Join(e.engine.Close(), e.log.Close()) }

// make runs the statements, INSERT VALUES after all others, and pauses each
// query as it is made: the topics are empty until then. It returns the
// statement that failed.
func (e *caseEngine) make(ctx context.Context, stmts []sql.Statement) (sql.Statement, error) {
	for _, inserts := range []bool{false, true} {
		for _, s := range stmts {
			if _, is := s.(*sql.InsertValues); is != inserts {
				continue
			}
			res, err := e.engine.ExecuteStatement(ctx, s, e.session)
			if err != nil {
				return s, err
			}
			if id := res.QueryID(); id != "" && !slices.Contains(e.queries, id) {
				e.queries = append(e.queries, id)
				if err := e.control(ctx, "PAUSE", id); err != nil {
					return s, err
				}
			}
		}
	}
	return nil, nil
}

func (e *caseEngine) control(ctx context.Context, action, id string) error {
	_, err := e.engine.Execute(ctx, action+" "+id+";", e.session)
	return err
}

// feed runs each query on what it reads, so that r.stored holds in the end
// what every topic does.
func (r *caseRun) feed(e *caseEngine) error {
	if len(r.c.Inputs)+len(r.c.Outputs) > 0 && len(e.queries) == 0 && len(e.engine.Catalog().QueryIDs()) == 0 {
		return errors.New("the statements make no query")
	}
	for name := range r.topics {
		recs, err := e.read(r.ctx, name, map[log.Partition]int64{})
		if err != nil {
			return err
		}
		r.stored[name] = recs // by INSERT VALUES
	}
	inputs := make([]*record, len(r.c.Inputs)) // nil: nobody reads the topic
	for i := range r.c.Inputs {
		in := &r.c.Inputs[i]
		src := sourceOf(e.engine.Catalog(), in.Topic)
		if src == nil {
			continue
		}
		rec, err := in.encode(src, r.registry)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		inputs[i] = &rec
		r.given[in.Topic] = true
		r.stored[in.Topic] = append(r.stored[in.Topic], rec)
	}
	for _, id := range e.queries {
		q, ok := e.engine.Catalog().Query(id)
		if !ok {
			continue // stopped again
		}
		if err := r.runQuery(e.engine.Catalog(), q, inputs); err != nil {
			return err
		}
	}
	return nil
}

// A feeder feeds one query, in an engine of its own, and collects what it
// writes.
type feeder struct {
	*caseRun
	*caseEngine
	topics    []string // that the query reads, in the order of its sources
	sink      string   // topic; "" if it writes none
	positions map[log.Partition]int64
}

// runQuery runs one query, in an engine of its own, on its inputs and on the
// topics that only earlier queries have written.
func (r *caseRun) runQuery(cat *catalog.Catalog, q *catalog.Query, inputs []*record) error {
	e, err := r.open()
	if err != nil {
		return err
	}
	defer e.close()
	if _, err := e.make(r.ctx, slices.DeleteFunc(slices.Clone(r.stmts), isInsertValues)); err != nil {
		return err
	}
	if err := e.control(r.ctx, "RESUME", q.ID); err != nil {
		return err
	}
	f := &feeder{caseRun: r, caseEngine: e, positions: map[log.Partition]int64{}}
	if s, ok := cat.Source(q.Sink); ok {
		f.sink = s.Topic
	}
	for _, name := range q.Sources {
		if s, ok := cat.Source(name); ok && !slices.Contains(f.topics, s.Topic) {
			f.topics = append(f.topics, s.Topic)
		}
	}
	if err := f.inputs(inputs); err != nil {
		return err
	}
	for _, topic := range f.topics {
		if r.given[topic] {
			continue
		}
		for part := range slices.Chunk(slices.Clone(r.stored[topic]), r.batch) {
			if err := f.pipe(topic, part); err != nil {
				return err
			}
		}
	}
	r.reported = r.reported || e.reported(r.ctx)
	return nil
}

// inputs feeds the inputs that the query reads, those that follow each other on
// one topic together.
func (f *feeder) inputs(inputs []*record) error {
	var run []record
	topic := ""
	for i, rec := range inputs {
		on := f.c.Inputs[i].Topic
		if rec == nil || !slices.Contains(f.topics, on) {
			continue
		}
		if on != topic || len(run) >= f.batch {
			if err := f.pipe(topic, run); err != nil {
				return err
			}
			run, topic = nil, on
		}
		run = append(run, *rec)
	}
	return f.pipe(topic, run)
}

// pipe feeds records and waits until all that they lead to is written.
func (f *feeder) pipe(topic string, recs []record) error {
	if len(recs) == 0 {
		return nil
	}
	if err := f.produce(f.ctx, topic, recs); err != nil {
		return err
	}
	if err := f.engine.Quiesce(f.ctx); err != nil || f.sink == "" {
		return err
	}
	more, err := f.read(f.ctx, f.sink, f.positions)
	f.stored[f.sink] = append(f.stored[f.sink], more...)
	return err
}

func isInsertValues(s sql.Statement) bool { _, ok := s.(*sql.InsertValues); return ok }

// produce appends records to a topic: to its first partition, or, if a query
// of ours makes the topic, where that would have placed them.
func (e *caseEngine) produce(ctx context.Context, topic string, recs []record) error {
	src := sourceOf(e.engine.Catalog(), topic)
	t, err := e.log.Topic(ctx, topic)
	if err != nil {
		return err
	}
	var list []exec.Record
	for _, rec := range recs {
		r := exec.Record{Time: rec.time, Key: rec.key, Value: rec.value, Headers: rec.headers, Placed: true}
		if src != nil && src.CreatedBy != "" && rec.key != nil {
			bare, _, err := splitWindow(src, rec.key)
			if err != nil {
				return err
			}
			r.Partition = int32(log.PartitionForKey(bare, int(t.Partitions)))
		}
		list = append(list, r)
	}
	return e.engine.Produce(ctx, topic, list)
}

// read returns a topic's records from the positions on, which it moves.
func (e *caseEngine) read(ctx context.Context, topic string, positions map[log.Partition]int64) ([]record, error) {
	t, err := e.log.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	var out []record
	var recs log.Records
	for p := range t.Partitions {
		at := log.Partition{Topic: topic, Index: p}
		b, err := e.log.Bounds(ctx, at)
		if err != nil {
			return nil, err
		}
		for positions[at] < b.HighWatermark {
			if positions[at], err = e.log.Fetch(ctx, at, positions[at], 1<<20, &recs); err != nil {
				return nil, err
			}
			for i := range recs.Len() {
				out = append(out, record{slices.Clone(recs.Key(i)), slices.Clone(recs.Value(i)), recs.Timestamps[i], cloneHeaders(recs.Headers(i))})
			}
		}
	}
	return out, nil
}

func cloneHeaders(list []log.Header) []log.Header {
	var out []log.Header
	for _, h := range list {
		out = append(out, log.Header{Key: strings.Clone(h.Key), Value: slices.Clone(h.Value)})
	}
	return out
}

// topicsBefore returns the topics that are there before the statements run,
// with their partitions: those that the case lists, that its CREATE
// statements with columns name, and those of its records that no query makes.
// They have def partitions where none are asked for.
func (c *queryCase) topicsBefore(stmts []sql.Statement, def int) map[string]int {
	parts := map[string]int{}
	for _, rec := range slices.Concat(c.Inputs, c.Outputs) {
		parts[rec.Topic] = def
	}
	for _, s := range stmts {
		create, ok := s.(*sql.CreateSource)
		if !ok {
			continue
		}
		topic, n := createdTopic(create, c.Properties)
		if create.As != nil {
			if !slices.ContainsFunc(c.Inputs, func(r caseRecord) bool { return r.Topic == topic }) {
				delete(parts, topic)
			}
			continue
		}
		if n == 0 {
			n = def
		}
		parts[topic] = n
	}
	for _, t := range c.Topics {
		if t.Partitions > 0 || parts[t.Name] == 0 {
			parts[t.Name] = max(t.Partitions, 1)
		}
	}
	return parts
}

// countsPartitions reports whether a case gives a topic's partitions.
func (c *queryCase) countsPartitions(stmts []sql.Statement) bool {
	for _, s := range stmts {
		if create, ok := s.(*sql.CreateSource); ok {
			if _, n := createdTopic(create, nil); n > 0 {
				return true
			}
		}
	}
	return slices.ContainsFunc(c.Topics, func(t caseTopic) bool { return t.Partitions > 0 })
}

// createdTopic returns the topic of a CREATE and its PARTITIONS, 0 if there is
// no such property.
func createdTopic(s *sql.CreateSource, properties map[string]any) (topic string, partitions int) {
	topic = s.Name
	if prefix, ok := properties["ksql.output.topic.name.prefix"].(string); ok && s.As != nil {
		topic = prefix + topic
	}
	for _, p := range s.With {
		switch p.Name {
		case "KAFKA_TOPIC":
			topic = p.Value.Text
		case "PARTITIONS":
			partitions, _ = strconv.Atoi(p.Value.Text)
		}
	}
	return topic, partitions
}

// sourceOf returns a source on the topic, nil if there is none; one that a
// query fills if there are several.
func sourceOf(cat *catalog.Catalog, topic string) *catalog.Source {
	var found *catalog.Source
	for _, name := range cat.SourceNames() {
		if s, _ := cat.Source(name); s.Topic == topic && (found == nil || s.CreatedBy != "") {
			found = s
		}
	}
	return found
}

// userError returns the first user's error in err, nil if there is none.
func userError(err error) *types.Error {
	var e *types.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
