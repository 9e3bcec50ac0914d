package state

import (
	"bytes"
	"errors"
	"fmt"
)

// A store's changes are records, the same in the query's changelog and in the
// database. Keys:
//
//	'k' store 0 key     the key's slot; no value: the key is gone
//	'm' store 0 name    a value beside the keys
//
// They are full values, so that applying some of them twice does no harm.
const (
	kindKey  = 'k'
	kindMeta = 'm'
)

// Changes calls f for what a commit of the overlay changes: the new value of
// each key, nil for one that goes. The bytes are valid until f returns. A key made
// and removed since the last commit is left out.
func (s *Store) Changes(f func(key, value []byte) error) error {
	prefix := recordKey(kindKey, s.id)
	var key, value []byte
	for slot := range int32(s.overlay.Slots()) {
		k := s.overlay.Key(slot)
		key = append(append(key[:0], prefix...), k...)
		value = value[:0]
		if !s.overlay.Dead(slot) {
			value = s.overlay.appendSlot(value, slot)
		} else if s.committed.Find(k, s.overlay.hashes[slot]) < 0 {
			continue
		}
		if len(value) == 0 {
			value = nil
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	prefix = recordKey(kindMeta, s.id)
	for name, v := range s.metaNew {
		if err := f(append(prefix, name...), v); err != nil {
			return err
		}
	}
	return nil
}

func recordKey(kind byte, store string) []byte {
	return append(append([]byte{kind}, store...), 0)
}

var errRecord = errors.New("a record of the state is malformed")

// RecordStore returns the id of the store that a record belongs to, nothing if
// it belongs to none.
func RecordStore(key []byte) []byte {
	if len(key) == 0 || key[0] != kindKey && key[0] != kindMeta {
		return nil
	}
	id, _, _ := bytes.Cut(key[1:], []byte{0})
	return id
}

// Restore applies a record of the store to what is committed.
func (s *Store) Restore(key, value []byte) error {
	if len(key) < len(s.id)+2 {
		return errRecord
	}
	kind, key := key[0], key[len(s.id)+2:]
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == kindMeta {
		s.meta[string(key)] = append([]byte(nil), value...)
		return nil
	}
	h := Hash(key)
	slot := s.committed.Find(key, h)
	switch {
	case value == nil && slot >= 0:
		s.committed.Remove(slot)
	case value != nil && slot < 0:
		slot = s.committed.Insert(key, h)
		fallthrough
	case value != nil:
		s.committed.Clear(slot)
		if err := s.committed.readSlot(slot, value); err != nil {
			return fmt.Errorf("state of %s: %w", s.id, err)
		}
	}
	return nil
}
