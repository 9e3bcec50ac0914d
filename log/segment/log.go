package segment

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"karst/log"
)

// A Log is the embedded log. It implements log.Log; log.Broker is being built.
type Log struct {
	opts  Options
	lock  io.Closer
	epoch int32 // leader epoch of all partitions, raised at an unclean start

	// mu guards the maps, which only the committer changes and so reads
	// without; partitions have their own locks.
	mu     sync.RWMutex
	topics map[string]*topic
	byID   map[log.TopicID]*topic
	groups map[string]map[log.Partition]int64

	watchMu  sync.Mutex
	watchers atomic.Pointer[[]*watcher] // replaced, never changed

	queue *committer
	// The following belong to the committer, and to Open and Close while there
	// is none.
	writers    map[string]uint64 // current generation of each transactional id
	generation uint64            // last one given
	journal    journal
	entry      []byte
	ops        []*op // appends of the entry being committed
	touched    map[string]struct{}
	oldFiles   []string      // to be removed once no checkpoint names them
	largeBytes int64         // of batches that bypassed the current journal
	checkpoint chan struct{} // closed when the checkpoint under way has ended
	replayed   int           // journal entries, by Open
}

type topic struct {
	log.Topic
	partitions []*partition
}

type watcher struct{ wake func(topic string) }

var _ log.Log = (*Log)(nil)

// Open opens the log in opts.Dir, making it if it is new, and recovers what
// was acknowledged. ErrLocked says that another process has it.
func Open(opts Options) (*Log, error) {
	opts.setDefaults()
	l := &Log{
		opts: opts, topics: map[string]*topic{}, byID: map[log.TopicID]*topic{},
		groups: map[string]map[log.Partition]int64{}, writers: map[string]uint64{},
		touched: map[string]struct{}{}, checkpoint: make(chan struct{}),
	}
	close(l.checkpoint)
	l.watchers.Store(&[]*watcher{})
	l.queue = newCommitter(l.commit)
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
		l.queue.start()
	}
	return l, nil
}

// Close waits for what is queued, makes a checkpoint and gives the directory
// free. A log that failed is closed without a checkpoint and returns why.
func (l *Log) Close() error {
	l.queue.stop()
	<-l.checkpoint
	err := l.queue.failure()
	if err == nil {
		err = l.checkpointNow(true)
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
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, t := range l.topics {
		for _, p := range t.partitions {
			p.close(log.ErrClosed)
		}
	}
}

func (l *Log) addTopic(info log.Topic) *topic {
	t := &topic{Topic: info}
	fs := l.opts.FS
	for i := range info.Partitions {
		dir := fs.PathJoin(l.topicDir(info.ID), strconv.Itoa(int(i)))
		t.partitions = append(t.partitions, &partition{fs: fs, dir: dir, name: log.Partition{Topic: info.Name, Index: i}})
	}
	l.topics[info.Name] = t
	l.byID[info.ID] = t
	return t
}

func (l *Log) topicDir(id log.TopicID) string {
	return l.opts.FS.PathJoin(l.opts.Dir, "topics", id.String())
}

// dropTopic forgets a topic; its files go after the next checkpoint.
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
		p.close(fmt.Errorf("%w: %s was deleted", log.ErrUnknownTopic, t.Name))
	}
	l.oldFiles = append(l.oldFiles, l.topicDir(t.ID))
}
