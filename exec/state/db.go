package state

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A DB is the Pebble below all stores of a data directory. Keys in it:
//
//	'k' query 0 store 0 key    a slot
//	'm' query 0 store 0 name   a value beside the keys
//	's' query                  the stamp of the query's last cut
//
// There is no write-ahead log: after a crash a query's cut is there whole or
// an earlier one is, and the log goes on from its stamp.
type DB struct {
	db *pebble.DB
}

// OpenDB opens the database in dir.
func OpenDB(fs vfs.FS, dir string, logger *slog.Logger) (*DB, error) {
	opts := &pebble.Options{FS: fs, DisableWAL: true, MemTableSize: 16 << 20, Logger: pebbleLogger{logger}}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	return &DB{db}, nil
}

// pebbleLogger hands Pebble's messages to slog.
type pebbleLogger struct{ l *slog.Logger }

func (p pebbleLogger) Infof(format string, args ...any)  { p.l.Debug(fmt.Sprintf(format, args...)) }
func (p pebbleLogger) Errorf(format string, args ...any) { p.l.Error(fmt.Sprintf(format, args...)) }
func (p pebbleLogger) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Close flushes what is in memory and closes the database.
func (d *DB) Close() error {
	if err := d.db.Flush(); err != nil {
		return fmt.Errorf("flushing state: %w", err)
	}
	return d.db.Close()
}

func dbKey(kind byte, query, store string, key []byte) []byte {
	buf := append([]byte{kind}, query...)
	buf = append(append(append(buf, 0), store...), 0)
	return append(buf, key...)
}

func stampKey(query string) []byte { return append([]byte{'s'}, query...) }

// Stamp returns the stamp of a query's last cut, nil if there is none.
func (d *DB) Stamp(query string) ([]byte, error) {
	v, closer, err := d.db.Get(stampKey(query))
	if err == pebble.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading stamp: %w", err)
	}
	defer closer.Close()
	return append([]byte(nil), v...), nil
}

// WriteCut writes what the stores of a query have committed since the last
// cut, with its stamp, as one batch. It is called between commits.
func (d *DB) WriteCut(query string, stores []*Store, stamp []byte) error {
	b := d.db.NewBatch()
	defer b.Close()
	var buf []byte
	for _, s := range stores {
		for _, slot := range s.dirtySlots() {
			key := dbKey('k', query, s.id, s.committed.Key(slot))
			var err error
			if s.committed.dead[slot] {
				err = b.Delete(key, nil)
			} else {
				buf = s.committed.appendSlot(buf[:0], slot)
				err = b.Set(key, buf, nil)
			}
			if err != nil {
				return fmt.Errorf("writing state: %w", err)
			}
		}
		if s.metaDirty {
			for name, v := range s.meta {
				if err := b.Set(dbKey('m', query, s.id, []byte(name)), v, nil); err != nil {
					return fmt.Errorf("writing state: %w", err)
				}
			}
		}
	}
	if err := b.Set(stampKey(query), stamp, nil); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	for _, s := range stores {
		clear(s.dirty)
		s.metaDirty = false
	}
	return nil
}

// dirtySlots returns the slots changed since the last cut, in key order.
func (s *Store) dirtySlots() []int32 {
	out := make([]int32, 0, len(s.dirty))
	for slot := range s.dirty {
		out = append(out, slot)
	}
	sort.Slice(out, func(i, j int) bool { return string(s.committed.Key(out[i])) < string(s.committed.Key(out[j])) })
	return out
}

// Load reads a store's keys and values; the store is new. It returns how many
// keys there were.
func (d *DB) Load(query string, s *Store) (int, error) {
	n := 0
	err := d.scan(dbKey('k', query, s.id, nil), func(key, value []byte) error {
		n++
		slot := s.committed.Insert(key, Hash(key))
		return s.committed.readSlot(slot, value)
	})
	if err != nil {
		return n, fmt.Errorf("loading state of %s: %w", s.id, err)
	}
	err = d.scan(dbKey('m', query, s.id, nil), func(key, value []byte) error {
		s.meta[string(key)] = append([]byte(nil), value...)
		return nil
	})
	return n, err
}

func (d *DB) scan(prefix []byte, f func(key, value []byte) error) error {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return err
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

// Drop removes everything a query kept.
func (d *DB) Drop(query string) error {
	for _, kind := range []byte{'k', 'm'} {
		prefix := append(append([]byte{kind}, query...), 0)
		if err := d.db.DeleteRange(prefix, prefixEnd(prefix), pebble.NoSync); err != nil {
			return fmt.Errorf("dropping state: %w", err)
		}
	}
	return d.db.Delete(stampKey(query), pebble.NoSync)
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
