package segment

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sort"
	"strconv"
	"sync"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a log. The zero value of each field but FS, Dir and Rand is a
// sensible default.
type Options struct {
	FS  vfs.FS
	Dir string
	// Rand is the source of topic ids.
	Rand   func() uint64
	Logger *slog.Logger
	// NoSync acknowledges what the operating system has and the disk may not:
	// a power cut may lose acknowledged records.
	NoSync bool
	// Inline commits in the goroutine that asks, for deterministic tests.
	Inline bool

	SegmentBytes    int64 // a segment is closed when it would exceed this; 256 MiB
	JournalBytes    int64 // a checkpoint is made when the journal exceeds this; 64 MiB
	LargeBatchBytes int   // batches from this size on bypass the journal; 1 MiB
	MaxBatchBytes   int   // 64 MiB
	MaxPartitions   int32 // of a topic; 1,000
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *int64
		value int64
	}{{&o.SegmentBytes, 256 << 20}, {&o.JournalBytes, 64 << 20}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.LargeBatchBytes == 0 {
		o.LargeBatchBytes = 1 << 20
	}
	if o.MaxBatchBytes == 0 {
		o.MaxBatchBytes = 64 << 20
	}
	if o.MaxPartitions == 0 {
		o.MaxPartitions = 1000
	}
}

// A Log is the embedded log. It implements log.Log.
type Log struct {
	opts Options
	lock io.Closer

	// mu guards the maps below. The committer changes them; partitions have
	// their own locks.
	mu       sync.RWMutex
	topics   map[string]*topic
	byID     map[log.TopicID]*topic
	groups   map[string]map[log.Partition]int64
	writers  map[string]uint64 // current generation of each transactional id
	watchers map[int]func(string)
	watchID  int
	epoch    int32

	queue committer
	// The following belong to whoever commits.
	journal  journal
	entry    []byte
	touched  map[string]struct{}
	replayed int
}

type topic struct {
	log.Topic
	partitions []*partition
}

var _ log.Log = (*Log)(nil)

// Open opens the log in opts.Dir, making it if it is new, and recovers what
// was acknowledged. ErrLocked says that another process has it.
func Open(opts Options) (*Log, error) {
	opts.setDefaults()
	l := &Log{
		opts: opts, topics: map[string]*topic{}, byID: map[log.TopicID]*topic{},
		groups: map[string]map[log.Partition]int64{}, writers: map[string]uint64{},
		watchers: map[int]func(string){}, touched: map[string]struct{}{},
	}
	if err := opts.FS.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making data directory: %w", err)
	}
	if err := syncDir(opts.FS, opts.FS.PathDir(opts.Dir)); err != nil {
		return nil, err
	}
	lock, err := opts.FS.Lock(opts.FS.PathJoin(opts.Dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", log.ErrLocked, opts.Dir, err)
	}
	l.lock = lock
	if err := l.recover(); err != nil {
		l.closeFiles()
		_ = lock.Close()
		return nil, err
	}
	if !opts.Inline {
		l.queue.start(l.commit)
	}
	return l, nil
}

func (l *Log) journalName(n int) string {
	return l.opts.FS.PathJoin(l.opts.Dir, "journal-"+strconv.Itoa(n))
}

func (l *Log) recover() error {
	fs := l.opts.FS
	c, err := readCheckpoint(fs, l.opts.Dir)
	if err != nil {
		return err
	}
	if err := l.load(c); err != nil {
		return err
	}
	l.epoch = c.Epoch
	seq, torn := c.Seq, false
	if c.Journal > 0 {
		seq, torn, err = replay(fs, l.journalName(c.Journal), c.Seq, func(payload []byte) error {
			l.replayed++
			return decodeOps(payload, l.redo)
		})
		if err != nil {
			return err
		}
	}
	if !c.Clean && c.Journal > 0 {
		l.epoch++
		l.opts.Logger.Info("log was not closed cleanly; recovered", "journal_entries", l.replayed, "torn_tail_dropped", torn)
	}
	l.journal = journal{number: c.Journal, seq: seq, nosync: l.opts.NoSync}
	if err := l.checkpoint(false); err != nil {
		return err
	}
	return l.removeStray()
}

// load sets the state that a checkpoint describes.
func (l *Log) load(c *checkpoint) error {
	fs := l.opts.FS
	for _, ct := range c.Topics {
		t := l.addTopic(ct.Topic)
		for i, cp := range ct.Parts {
			p := t.partitions[i]
			p.start, p.next, p.dirMade = cp.Start, cp.Next, len(cp.Segments) > 0
			for _, cs := range cp.Segments {
				name := fs.PathJoin(p.dir, segmentName(cs.Base))
				info, err := fs.Stat(name)
				if err != nil || info.Size() < cs.Bytes {
					return fmt.Errorf("%w: %s partition %d: segment %s is missing or shorter than the %d bytes it had", log.ErrCorrupt, ct.Name, i, segmentName(cs.Base), cs.Bytes)
				}
				f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
				if err != nil {
					return fmt.Errorf("opening segment: %w", err)
				}
				p.segments = append(p.segments, &segmentFile{base: cs.Base, file: f, size: cs.Bytes, end: cs.Bytes})
			}
		}
	}
	for g, list := range c.Groups {
		m := map[log.Partition]int64{}
		for _, o := range list {
			m[log.Partition{Topic: o.Topic, Index: o.Partition}] = o.Next
		}
		l.groups[g] = m
	}
	return nil
}

func (l *Log) addTopic(info log.Topic) *topic {
	t := &topic{Topic: info}
	fs := l.opts.FS
	for i := range info.Partitions {
		dir := fs.PathJoin(l.opts.Dir, "topics", info.ID.String(), strconv.Itoa(int(i)))
		t.partitions = append(t.partitions, &partition{fs: fs, dir: dir})
	}
	l.topics[info.Name] = t
	l.byID[info.ID] = t
	return t
}

// redo applies a journal operation during recovery.
func (l *Log) redo(o *op) error {
	switch o.kind {
	case opAppend, opPlaced:
		t := l.byID[o.topic]
		if t == nil {
			return nil // deleted later on
		}
		return l.redoAppend(t.partitions[o.partition], o)
	default:
		l.applyMeta(o)
	}
	return nil
}

func (l *Log) redoAppend(p *partition, o *op) error {
	if o.base < p.next {
		return nil // the segment had it already
	}
	if o.base > p.next {
		return fmt.Errorf("%w: journal goes on at offset %d, segment ends at %d", log.ErrCorrupt, o.base, p.next)
	}
	if o.kind == opPlaced {
		s, err := p.active(o.base, o.roll)
		if err != nil {
			return err
		}
		s.end += int64(o.length)
		p.publish(s, o.length, o.last+1)
		return nil
	}
	b, err := log.CheckBatch(o.batch)
	if err != nil {
		return err
	}
	s, err := p.write(o.batch, o.base, o.roll)
	if err != nil {
		return err
	}
	p.publish(s, len(o.batch), b.LastOffset+1)
	return nil
}

// applyMeta applies an operation that is not an append. The caller holds mu,
// or nobody else knows the log yet.
func (l *Log) applyMeta(o *op) {
	switch o.kind {
	case opOffsets:
		m := l.groups[o.group]
		if m == nil {
			m = map[log.Partition]int64{}
			l.groups[o.group] = m
		}
		for p, next := range o.offsets {
			m[p] = next
		}
	case opCreateTopic:
		l.addTopic(o.created)
	case opDeleteTopic:
		if t := l.byID[o.topic]; t != nil {
			l.dropTopic(t)
		}
	case opDeleteGroup:
		delete(l.groups, o.group)
	case opTrim:
		if t := l.byID[o.topic]; t != nil {
			t.partitions[o.partition].trim(o.base)
		}
	}
}

func (l *Log) dropTopic(t *topic) {
	delete(l.topics, t.Name)
	delete(l.byID, t.ID)
	for _, m := range l.groups {
		for p := range m {
			if p.Topic == t.Name {
				delete(m, p)
			}
		}
	}
	for _, p := range t.partitions {
		p.close()
	}
	dir := l.opts.FS.PathJoin(l.opts.Dir, "topics", t.ID.String())
	if err := l.opts.FS.RemoveAll(dir); err != nil {
		l.opts.Logger.Warn("removing a deleted topic's files; they go at the next start", "topic", t.Name, "error", err)
	}
}

// checkpoint syncs all segments and begins a new journal.
func (l *Log) checkpoint(clean bool) error {
	for _, t := range l.topics {
		for _, p := range t.partitions {
			if err := p.sync(); err != nil {
				return err
			}
		}
	}
	fs, old := l.opts.FS, l.journal
	number := old.number + 1
	f, err := fs.Create(l.journalName(number), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making journal: %w", err)
	}
	if err := syncFileAndDir(fs, f, l.opts.Dir); err != nil {
		_ = f.Close()
		return err
	}
	c := l.snapshot()
	c.Journal, c.Seq, c.Clean = number, old.seq, clean
	if err := writeCheckpoint(fs, l.opts.Dir, c); err != nil {
		_ = f.Close()
		return err
	}
	l.journal = journal{file: f, number: number, seq: old.seq, nosync: old.nosync}
	if old.file != nil {
		_ = old.file.Close()
	}
	if old.number > 0 {
		_ = fs.Remove(l.journalName(old.number))
	}
	return nil
}

func syncFileAndDir(fs vfs.FS, f vfs.File, dir string) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing journal: %w", err)
	}
	return syncDir(fs, dir)
}

// removeStray drops files that a crash left behind: journals that no
// checkpoint names and directories of deleted topics.
func (l *Log) removeStray() error {
	fs := l.opts.FS
	names, err := fs.List(l.opts.Dir)
	if err != nil {
		return fmt.Errorf("listing data directory: %w", err)
	}
	current := "journal-" + strconv.Itoa(l.journal.number)
	for _, name := range names {
		if len(name) > 8 && name[:8] == "journal-" && name != current {
			_ = fs.Remove(fs.PathJoin(l.opts.Dir, name))
		}
	}
	dirs, err := fs.List(fs.PathJoin(l.opts.Dir, "topics"))
	if err != nil {
		return nil // no topic has records yet
	}
	known := map[string]bool{}
	for id := range l.byID {
		known[id.String()] = true
	}
	for _, d := range dirs {
		if !known[d] {
			_ = fs.RemoveAll(fs.PathJoin(l.opts.Dir, "topics", d))
		}
	}
	return nil
}

// Close waits for what is queued, makes a checkpoint and gives the directory
// free. A log that failed is closed without a checkpoint.
func (l *Log) Close() error {
	err := l.queue.stop()
	if err == nil {
		err = l.checkpoint(true)
	}
	l.closeFiles()
	if cerr := l.lock.Close(); err == nil {
		err = cerr
	}
	return err
}

func (l *Log) closeFiles() {
	if l.journal.file != nil {
		_ = l.journal.file.Close()
	}
	for _, t := range l.topics {
		for _, p := range t.partitions {
			p.close()
		}
	}
}

// topicName is Kafka's rule for topic names.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CreateTopic implements log.Log.
func (l *Log) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	if !topicName.MatchString(name) || name == "." || name == ".." {
		return log.Topic{}, fmt.Errorf("%w: %q must be 1 to 249 letters, digits, dots, underscores and hyphens", log.ErrInvalidTopic, name)
	}
	if partitions < 1 || partitions > l.opts.MaxPartitions {
		return log.Topic{}, fmt.Errorf("%w: %d, must be between 1 and %d", log.ErrPartitionsLimit, partitions, l.opts.MaxPartitions)
	}
	t := log.Topic{Name: name, Partitions: partitions, Config: config}
	binary.BigEndian.PutUint64(t.ID[:], l.opts.Rand())
	binary.BigEndian.PutUint64(t.ID[8:], l.opts.Rand())
	err := l.submit(ctx, &request{
		ops: []op{{kind: opCreateTopic, created: t}},
		check: func() error {
			if l.topics[name] != nil {
				return fmt.Errorf("%w: %s", log.ErrTopicExists, name)
			}
			return nil
		},
	})
	return t, err
}

// DeleteTopic implements log.Log.
func (l *Log) DeleteTopic(ctx context.Context, name string) error {
	r := &request{ops: []op{{kind: opDeleteTopic}}}
	r.check = func() error {
		t := l.topics[name]
		if t == nil {
			return fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
		}
		r.ops[0].topic = t.ID
		return nil
	}
	return l.submit(ctx, r)
}

// Topic implements log.Log.
func (l *Log) Topic(_ context.Context, name string) (log.Topic, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[name]
	if t == nil {
		return log.Topic{}, fmt.Errorf("%w: %s", log.ErrUnknownTopic, name)
	}
	return t.Topic, nil
}

// Topics implements log.Log.
func (l *Log) Topics(context.Context) ([]log.Topic, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]log.Topic, 0, len(l.topics))
	for _, t := range l.topics {
		out = append(out, t.Topic)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func (l *Log) partition(p log.Partition) (*partition, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[p.Topic]
	if t == nil || p.Index < 0 || p.Index >= t.Partitions {
		return nil, fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, p.Topic, p.Index)
	}
	return t.partitions[p.Index], nil
}

// Bounds implements log.Log.
func (l *Log) Bounds(_ context.Context, p log.Partition) (log.Bounds, error) {
	part, err := l.partition(p)
	if err != nil {
		return log.Bounds{}, err
	}
	return part.bounds(), nil
}

// OffsetForTime implements log.Log.
func (l *Log) OffsetForTime(_ context.Context, p log.Partition, ms int64) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return 0, err
	}
	return part.offsetForTime(ms)
}

// Fetch implements log.Log.
func (l *Log) Fetch(_ context.Context, p log.Partition, offset int64, maxBytes int, r *log.Records) (int64, error) {
	part, err := l.partition(p)
	if err != nil {
		return offset, err
	}
	next, err := part.fetch(offset, maxBytes, r)
	if err != nil {
		return offset, fmt.Errorf("%s partition %d: %w", p.Topic, p.Index, err)
	}
	return next, nil
}

// Watch implements log.Log.
func (l *Log) Watch(wake func(topic string)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchID++
	id := l.watchID
	l.watchers[id] = wake
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, id)
	}
}

// CommittedOffsets implements log.Log.
func (l *Log) CommittedOffsets(_ context.Context, group string) (map[log.Partition]int64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[log.Partition]int64{}
	for p, next := range l.groups[group] {
		out[p] = next
	}
	return out, nil
}

// DeleteGroup implements log.Log.
func (l *Log) DeleteGroup(ctx context.Context, group string) error {
	return l.submit(ctx, &request{ops: []op{{kind: opDeleteGroup, group: group}}})
}

// Trim removes the records of a partition before offset (Kafka's
// DeleteRecords); files go once all their records have.
func (l *Log) Trim(ctx context.Context, p log.Partition, offset int64) error {
	r := &request{ops: []op{{kind: opTrim, partition: p.Index, base: offset}}}
	r.check = func() error {
		t := l.topics[p.Topic]
		if t == nil || p.Index < 0 || p.Index >= t.Partitions {
			return fmt.Errorf("%w: %s partition %d", log.ErrUnknownTopic, p.Topic, p.Index)
		}
		if offset < 0 || offset > t.partitions[p.Index].next {
			return fmt.Errorf("%w: %d", log.ErrOffsetRange, offset)
		}
		r.ops[0].topic = t.ID
		return nil
	}
	return l.submit(ctx, r)
}

// Produce implements log.Log.
func (l *Log) Produce(ctx context.Context, batches []log.Append) error {
	r := &request{}
	for _, b := range batches {
		r.ops = append(r.ops, op{kind: opAppend, batch: b.Batch, created: log.Topic{Name: b.Partition.Topic}, partition: b.Partition.Index})
	}
	return l.submit(ctx, r)
}
