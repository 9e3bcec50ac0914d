package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A DB is the Pebble below all stores of a data directory: what the changelogs
// of queries said up to some point, so that only what follows need be read at
// the next start. Keys in it:
//
//	'c' query 0 partition key   a record of the changelog's partition
//	's' query 0 partition       the stamp: up to where
//
// with the partition as four bytes. There is no write-ahead log: after a crash
// a partition's last cut is there whole or an earlier one is, and the changelog
// goes on from its stamp.
//
// Cuts are written by one goroutine, which Close waits for.
type DB struct {
	db      *pebble.DB
	flushed int64 // ms; when the cuts so far were last asked to be flushed

	mu      sync.Mutex
	changed sync.Cond // of what follows
	queue   []*Cut
	bytes   int // of the queue and the cut being written
	err     error
	closed  bool
	ended   chan struct{}

	logger   *slog.Logger
	patience *patience
	fatal    chan struct{} // closed when Pebble must not be asked anything any more
}

// A Position is a point in a partition of a changelog, as of which the state
// is known: all records before Next are in it.
type Position struct {
	Topic [16]byte // the changelog's id
	Epoch int32    // of the last record before Next
	Next  int64
	// TimeMS is when it was noted, by the engine's clock; 0: not known.
	TimeMS int64
}

// A Cut is some changes of one partition, in order.
type Cut struct {
	Query     string
	Partition int32
	At        Position // after the changes

	buf  []byte
	ends []cutEnd
}

type cutEnd struct {
	key, value int // end of the key and of the value
	deleted    bool
}

// Add appends a change; a nil value deletes the key.
func (c *Cut) Add(key, value []byte) {
	c.buf = append(c.buf, key...)
	end := cutEnd{key: len(c.buf), deleted: value == nil}
	c.buf = append(c.buf, value...)
	end.value = len(c.buf)
	c.ends = append(c.ends, end)
}

// Len and Bytes tell how much there is in the cut.
func (c *Cut) Len() int   { return len(c.ends) }
func (c *Cut) Bytes() int { return len(c.buf) + 24*len(c.ends) }

// Mark returns a mark to which Truncate goes back.
func (c *Cut) Mark() int { return len(c.ends) }

// Truncate drops the changes since a mark.
func (c *Cut) Truncate(mark int) {
	c.ends = c.ends[:mark]
	c.buf = c.buf[:c.begin(mark)]
}

func (c *Cut) begin(i int) int {
	if i == 0 {
		return 0
	}
	return c.ends[i-1].value
}

func (c *Cut) key(i int) []byte   { return c.buf[c.begin(i):c.ends[i].key] }
func (c *Cut) value(i int) []byte { return c.buf[c.ends[i].key:c.ends[i].value] }

// maxQueueBytes bounds the cuts that wait; who adds more waits too.
const maxQueueBytes = 64 << 20

// OpenDB opens the database in dir, which nobody else may have open. One that a
// crash has left unreadable is thrown away: the changelogs have it all.
func OpenDB(fs vfs.FS, dir string, logger *slog.Logger) (*DB, error) {
	d := &DB{logger: logger, ended: make(chan struct{}), patience: newPatience(), fatal: make(chan struct{})}
	d.changed.L = &d.mu
	d.patience.told = func(err error) {
		if err == nil {
			logger.Info("state is written again", "dir", dir)
			return
		}
		logger.Error("state is not written for want of space or open files; nothing is lost, the changelogs have it", "dir", dir, "error", err)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed {
			go d.lastTry() // Close waits for what it comes to
		}
		d.changed.Broadcast()
	}
	opts := &pebble.Options{FS: patientFS{fs, d.patience}, DisableWAL: true, MemTableSize: 16 << 20, Logger: pebbleLogger{logger, d}}
	open := func() (err error) { d.db, err = pebble.Open(dir, opts); return err }
	err := d.unlessFatal(open)
	if err != nil && (pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist)) {
		logger.Warn("the state's database can't be read and is built again from the changelogs", "error", err)
		if err = fs.RemoveAll(dir); err == nil {
			err = d.unlessFatal(open)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	d.patience.begin()
	go d.write()
	return d, nil
}

// pebbleLogger hands Pebble's messages to slog.
type pebbleLogger struct {
	l *slog.Logger
	d *DB
}

func (p pebbleLogger) Infof(format string, args ...any)  { p.l.Debug(fmt.Sprintf(format, args...)) }
func (p pebbleLogger) Errorf(format string, args ...any) { p.l.Error(fmt.Sprintf(format, args...)) }

// Fatalf must not return. It leaves Pebble as it is, whatever that holds: the state
// is a cache, for which the server need not end.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	p.d.mu.Lock()
	p.d.leave(fmt.Errorf(format, args...))
	p.d.mu.Unlock()
	select {}
}

// leave has Pebble not be asked anything any more. The caller holds the lock.
func (d *DB) leave(err error) {
	d.giveUp(fmt.Errorf("writing state: %w", err))
	if !d.left() {
		close(d.fatal)
	}
}

func (d *DB) left() bool {
	select {
	case <-d.fatal:
		return true
	default:
		return false
	}
}

// giveUp has nothing more be written. The caller holds the lock.
func (d *DB) giveUp(err error) {
	if d.err == nil {
		d.err = err
		d.logger.Error("state is not written any more until the next start, which reads it from the changelogs: nothing is lost", "error", err)
	}
	d.queue, d.bytes = nil, 0
	d.changed.Broadcast()
}

// unlessFatal calls f, of Pebble, and leaves it if that can't go on.
func (d *DB) unlessFatal(f func() error) error {
	ch := make(chan error, 1)
	go func() { ch <- f() }() // waited for unless Pebble stands still
	select {
	case err := <-ch:
		return err
	case <-d.fatal:
		return d.Err()
	}
}

// Close writes what waits, flushes what is in memory and closes the database.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	d.changed.Broadcast()
	d.mu.Unlock()
	d.lastTry()
	return d.unlessFatal(func() error {
		<-d.ended
		err := d.Err()
		if err == nil {
			err = d.db.Flush()
		}
		return errors.Join(err, d.db.Close())
	})
}

// lastTry leaves Pebble waiting if it has to.
func (d *DB) lastTry() {
	if d.patience.retry() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.leave(errShort)
	}
}

// Submit hands a cut over, to be written in the background; its position must
// be committed in the changelog. It waits while too much waits already, but not for
// space or files. After an error nothing more is written: the changelog has it all.
func (d *DB) Submit(c *Cut) {
	d.patience.again()
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes > maxQueueBytes && d.err == nil && !d.closed {
		if d.patience.short() {
			d.giveUp(fmt.Errorf("writing state: %w", errShort))
			return
		}
		d.changed.Wait()
	}
	if d.err == nil && !d.closed {
		d.queue = append(d.queue, c)
		d.bytes += c.Bytes()
		d.changed.Broadcast()
	}
}

// errShort says that something would have to wait for too long.
var errShort = errors.New("there is no space, or no more files can be opened")

// Sync waits until what was submitted is written, but not for space or files.
func (d *DB) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes > 0 && d.err == nil {
		if d.patience.short() {
			return errShort
		}
		d.changed.Wait()
	}
	return d.err
}

// write writes cuts one after the other; it ends when the database is closed
// and nothing waits.
func (d *DB) write() {
	defer close(d.ended)
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for len(d.queue) == 0 && !d.closed {
			d.changed.Wait()
		}
		if len(d.queue) == 0 {
			return
		}
		c := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		err := d.writeCut(c)
		d.mu.Lock()
		d.bytes = max(d.bytes-c.Bytes(), 0)
		if err != nil {
			d.giveUp(fmt.Errorf("writing state: %w", err))
		}
		d.changed.Broadcast()
	}
}

// Err returns why the database is not written any more, nil if it is.
func (d *DB) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// writeCut writes the last change of each key, in key order, with the stamp, as
// one batch.
func (d *DB) writeCut(c *Cut) error {
	b := d.db.NewBatch()
	defer b.Close()
	prefix := dbKey('c', c.Query, c.Partition)
	var key []byte
	for _, i := range c.lastOfEach() {
		key = append(append(key[:0], prefix...), c.key(i)...)
		var err error
		if c.ends[i].deleted {
			err = b.Delete(key, nil)
		} else {
			err = b.Set(key, c.value(i), nil)
		}
		if err != nil {
			return err
		}
	}
	if err := b.Set(dbKey('s', c.Query, c.Partition), c.At.append(nil), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil || c.At.TimeMS-d.flushed < flushEveryMS {
		return err
	}
	d.flushed = c.At.TimeMS
	_, err := d.db.AsyncFlush()
	return err
}

// flushEveryMS is how old what a crash takes from the database may get, where
// little is written. Much is flushed as it comes.
const flushEveryMS = 10 * 60 * 1000

func dbKey(kind byte, query string, partition int32) []byte {
	buf := append(append([]byte{kind}, query...), 0)
	return binary.BigEndian.AppendUint32(buf, uint32(partition))
}

const positionBytes = 36

func (p Position) append(buf []byte) []byte {
	buf = append(buf, p.Topic[:]...)
	buf = binary.BigEndian.AppendUint32(buf, uint32(p.Epoch))
	buf = binary.BigEndian.AppendUint64(buf, uint64(p.Next))
	return binary.BigEndian.AppendUint64(buf, uint64(p.TimeMS))
}

// Stamp returns up to where the state of a query's partition is known; false
// if nothing is.
func (d *DB) Stamp(query string, partition int32) (Position, bool, error) {
	if d.left() {
		return Position{}, false, nil
	}
	v, closer, err := d.db.Get(dbKey('s', query, partition))
	if errors.Is(err, pebble.ErrNotFound) {
		return Position{}, false, nil
	}
	if err != nil {
		return Position{}, false, fmt.Errorf("reading stamp: %w", err)
	}
	defer closer.Close()
	if len(v) != positionBytes {
		return Position{}, false, nil
	}
	p := Position{Epoch: int32(binary.BigEndian.Uint32(v[16:])), Next: int64(binary.BigEndian.Uint64(v[20:])), TimeMS: int64(binary.BigEndian.Uint64(v[28:]))}
	copy(p.Topic[:], v)
	return p, true, nil
}

// Scan calls f for the records of a query's partition, by key.
func (d *DB) Scan(query string, partition int32, f func(key, value []byte) error) error {
	prefix := dbKey('c', query, partition)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("reading state: %w", err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		if err := f(it.Key()[len(prefix):], it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

// prefixEnd returns the first key after all that begin with prefix.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Wipe removes what is known of a query's partition, its stamp included. If that
// can't be done, nothing more is written: the next start finds what is there needless.
func (d *DB) Wipe(query string, partition int32) {
	if err := d.remove(dbKey('c', query, partition), dbKey('s', query, partition)); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.giveUp(err)
	}
}

// Drop removes everything of a query.
func (d *DB) Drop(query string) error {
	return d.remove(append([]byte("c"+query), 0), append([]byte("s"+query), 0))
}

func (d *DB) remove(prefixes ...[]byte) error {
	if err := d.Sync(); err != nil {
		return err
	}
	b := d.db.NewBatch()
	defer b.Close()
	for _, p := range prefixes {
		if err := b.DeleteRange(p, prefixEnd(p), nil); err != nil {
			return fmt.Errorf("dropping state: %w", err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("dropping state: %w", err)
	}
	return nil
}

// Queries returns the queries of which something is known.
func (d *DB) Queries() ([]string, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte("s"), UpperBound: []byte("t")})
	if err != nil {
		return nil, fmt.Errorf("reading state: %w", err)
	}
	defer it.Close()
	var out []string
	for it.First(); it.Valid(); it.Next() {
		k := it.Key()
		if id := string(k[1 : len(k)-5]); len(out) == 0 || out[len(out)-1] != id {
			out = append(out, id)
		}
	}
	return out, it.Error()
}

// AppendInt64 and Int64 are the form of numbers kept as meta values.
func AppendInt64(x int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(x)) }

// Int64 reads what AppendInt64 wrote; def if there is nothing.
func Int64(b []byte, def int64) int64 {
	if len(b) != 8 {
		return def
	}
	return int64(binary.BigEndian.Uint64(b))
}

// lastOfEach returns the last change of each key, in key order.
func (c *Cut) lastOfEach() []int {
	order := make([]int, len(c.ends))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if d := bytes.Compare(c.key(a), c.key(b)); d != 0 {
			return d
		}
		return b - a // the last one first
	})
	return slices.CompactFunc(order, func(a, b int) bool { return bytes.Equal(c.key(a), c.key(b)) })
}
