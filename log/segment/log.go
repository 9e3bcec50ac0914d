package segment

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Log is the embedded log. It implements log.Broker.
type Log struct {
	opts      Options
	lock      io.Closer
	epoch     int32 // leader epoch of all partitions, raised at an unclean start
	clusterID log.TopicID
	closed    atomic.Bool
	full      atomic.Bool  // the disk is; see space.go
	tight     atomic.Bool  // space on the disk is
	waits     atomic.Bool  // a checkpoint does, for the next look at the space on the disk
	noFiles   atomic.Bool  // can be opened; see shortage.go
	flood     atomic.Int64 // bytes that a journal may have in a flood; see space.go

	// mu guards the maps, which only the committer changes and so reads
	// without; partitions have their own locks.
	mu         sync.RWMutex
	topics     map[string]*topic
	byID       map[log.TopicID]*topic
	groups     map[string]*group
	partitions int // of all topics
	// groupBytes is what the groups keep, in memory.
	groupBytes  int64
	offsetOrder uint64 // of the offsets that came last; see groupOffset

	watchMu  sync.Mutex
	watchers atomic.Pointer[[]*watcher] // replaced, never changed

	unreserved bool // the filesystem can't reserve space; the housekeeping's

	queue   *committer
	keeper  keeper
	metrics metrics
	// The following belong to the committer, and to Open and Close while there
	// is none.
	writers    map[string]uint64 // current generation of each transactional id
	generation uint64            // last one given
	txns       map[string]*txn   // by transactional id
	txnOf      map[int64]*txn    // by producer id
	joined     int               // partitions and groups of open transactions
	producers  int               // that partitions know, at most; see producerAdded
	// Producer ids from nextProducer up to endProducer are reserved.
	nextProducer, endProducer int64
	broken                    error // of the entry being made: the log's failure
	journal                   journal
	salt                      uint64 // of the journals made by this Log
	entry                     entryEncoder
	ops, appends              []*op // of the entry being committed, and its appends
	touched                   map[string]struct{}
	room                      int64         // bytes that may stay in the journal alone before the space on the disk is looked at
	short                     int           // extents of short runs in the journal
	due                       bool          // a checkpoint is, whatever the journal's size
	settling                  int64         // bytes of the journal before this one, which a checkpoint may still need space for
	oldFiles                  []string      // to be removed once no checkpoint names them
	largeBytes                int64         // of batches that bypassed the current journal
	checkpoint                chan struct{} // closed when the checkpoint under way has ended
	lateCheckpoint            func()        // the rest of it, nil but in tests; see Options.late
	spare                     string        // journal to be written over, "" if none; of the checkpoint under way
	stalled                   *cut          // a checkpoint that was short of something; of the one under way
	unremoved                 []string      // files that the last checkpoint could not remove; of the one under way
	replayed                  int           // journal entries, by Open
	// What Open finds wrong with the files of partitions, and that it must begin
	// again because it did not know that from the beginning.
	damaged map[partitionID]*damageError
	again   bool
}

// l.mu guards it.
type topic struct {
	log.Topic
	settings   *settings
	partitions []*partition
}

type watcher struct{ wake func(topic string) }

var _ log.Broker = (*Log)(nil)

// Open opens the log in opts.Dir, making it if it is new, and recovers what
// was acknowledged. ErrLocked says that another process has it.
func Open(opts Options) (*Log, error) {
	opts.setDefaults()
	l := &Log{opts: opts, metrics: newMetrics(), writers: map[string]uint64{}, touched: map[string]struct{}{}, damaged: map[partitionID]*damageError{}, checkpoint: make(chan struct{})}
	l.salt = opts.Rand()
	l.reset()
	close(l.checkpoint)
	l.flood.Store(opts.FloodBytes)
	l.watchSpace()
	l.watchers.Store(&[]*watcher{})
	l.queue = newCommitter(l.commit)
	l.queue.onFailure = opts.OnFailure
	opts.FS = l.opts.FS
	if err := makeDir(opts.FS, opts.Dir); err != nil {
		return nil, fmt.Errorf("making data directory: %w", err)
	}
	lock, err := opts.FS.Lock(opts.FS.PathJoin(opts.Dir, "LOCK"))
	if path := (*iofs.PathError)(nil); errors.As(err, &path) { // it could not be opened, so nobody knows
		return nil, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", log.ErrLocked, opts.Dir, err)
	}
	l.lock = lock
	if err := l.recover(); err != nil {
		l.closeFiles()
		err = l.explainStart(err)
		_ = lock.Close()
		return nil, err
	}
	l.checkSpace()
	if !opts.Inline {
		l.queue.start(l.opts.time)
	}
	l.keeper.start(l)
	return l, nil
}

// makeDir makes a directory and those above it, durable.
func makeDir(fs vfs.FS, dir string) error {
	parents := []string{fs.PathDir(dir)}
	for { // up to the first that is there
		last := parents[len(parents)-1]
		if _, err := fs.Stat(last); err == nil || fs.PathDir(last) == last {
			break
		}
		parents = append(parents, fs.PathDir(last))
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(fs, parent); err != nil {
			return err
		}
	}
	return nil
}

// reset makes the state that of an empty log.
func (l *Log) reset() {
	l.topics, l.byID, l.groups = map[string]*topic{}, map[log.TopicID]*topic{}, map[string]*group{}
	l.txns, l.txnOf = map[string]*txn{}, map[int64]*txn{}
	l.partitions, l.groupBytes, l.offsetOrder, l.joined, l.producers = 0, 0, 0, 0, 0
	l.oldFiles, l.replayed, l.again = nil, 0, false
}

// Close waits for what is queued, makes a checkpoint and gives the directory
// free. A log that failed is closed without a checkpoint and returns why. A log
// is closed once.
func (l *Log) Close() error {
	if l.closed.Swap(true) {
		return log.ErrClosed
	}
	l.keeper.stop()
	l.queue.stop()
	l.awaitCheckpoint()
	err := l.queue.failure()
	if err == nil {
		err = l.checkpointNow(true)
	}
	if l.stalled != nil {
		l.stalled.giveUp()
	}
	l.closeFiles()
	if cerr := l.lock.Close(); err == nil {
		err = cerr
	}
	return err
}

func (l *Log) closeFiles() {
	l.journal.close()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, t := range l.topics {
		for _, p := range t.partitions {
			p.close(log.ErrClosed)
		}
	}
}

func (l *Log) addTopic(info log.Topic) *topic {
	t := &topic{Topic: info, settings: l.opts.settings(info.Config)}
	t.Partitions = 0
	l.growTopic(t, info.Partitions)
	l.topics[info.Name] = t
	l.byID[info.ID] = t
	return t
}

// growTopic adds empty partitions up to total.
func (l *Log) growTopic(t *topic, total int32) {
	fs := l.opts.FS
	for ; t.Partitions < total; t.Partitions++ {
		l.partitions++
		dir := fs.PathJoin(l.topicDir(t.ID), strconv.Itoa(int(t.Partitions)))
		p := &partition{fs: fs, dir: dir, name: log.Partition{Topic: t.Name, Index: t.Partitions}, settings: t.settings}
		if damage := l.damaged[partitionID{t.ID, t.Partitions}]; damage != nil {
			p.takeOffline(damage)
		}
		t.partitions = append(t.partitions, p)
	}
}

func (l *Log) topicDir(id log.TopicID) string {
	return l.opts.FS.PathJoin(l.opts.Dir, "topics", id.String())
}

// dropTopic forgets a topic; its files go after the next checkpoint.
func (l *Log) dropTopic(t *topic) {
	l.partitions -= int(t.Partitions)
	delete(l.topics, t.Name)
	delete(l.byID, t.ID)
	for name, g := range l.groups {
		gone := func(p log.Partition, o groupOffset) bool {
			if p.Topic != t.Name {
				return false
			}
			l.groupBytes -= sizeOfOffset(p, o.GroupOffset)
			return true
		}
		maps.DeleteFunc(g.offsets, gone)
		for _, m := range g.pending {
			maps.DeleteFunc(m, gone)
		}
		l.dropIfEmpty(name)
	}
	for _, p := range t.partitions {
		p.close(fmt.Errorf("%w: %s was deleted", log.ErrUnknownTopic, t.Name))
	}
	l.oldFiles = append(append(l.oldFiles, l.topicDir(t.ID)), l.heldFiles(t)...)
}
