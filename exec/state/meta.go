package state

import (
	"maps"
	"slices"
)

// metaByte begins the changelog and Pebble key of a metadata entry; no
// encoded key begins with it.
const metaByte = 0

// metaLayers are the store's metadata entries, layered as the tables are. A
// present nil value is a deletion.
type metaLayers struct {
	top, sealed, base map[string][]byte
	dirty             map[string]bool // names changed since the last cut
}

// PutMeta sets a metadata entry, such as a stream time or a frontier, which
// is committed with the store. It copies value; nil deletes the entry.
func (s *Store) PutMeta(name string, value []byte) {
	if s.meta.top == nil {
		s.meta.top = map[string][]byte{}
	}
	if value == nil {
		s.meta.top[name] = nil
		return
	}
	s.meta.top[name] = append([]byte{}, value...)
}

// Meta returns a metadata entry as the owner sees it; nil if there is none.
// The bytes are the store's.
func (s *Store) Meta(name string) []byte {
	for _, layer := range []map[string][]byte{s.meta.top, s.meta.sealed, s.meta.base} {
		if v, ok := layer[name]; ok {
			return v
		}
	}
	return nil
}

// CommittedMeta returns a copy of a committed metadata entry; nil if there is
// none. It may be called from any goroutine.
func (s *Store) CommittedMeta(name string) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.merging != nil {
		if v, ok := s.meta.sealed[name]; ok {
			return slices.Clone(v)
		}
	}
	return slices.Clone(s.meta.base[name])
}

// changes calls visit with the sealed entries in the order of their names.
func (m *metaLayers) changes(visit func(name string, value []byte) error) error {
	for _, name := range slices.Sorted(maps.Keys(m.sealed)) {
		v := m.sealed[name]
		if _, exists := m.base[name]; v == nil && !exists {
			continue
		}
		if err := visit(name, v); err != nil {
			return err
		}
	}
	return nil
}

// set changes a committed entry. The store's write lock is held.
func (m *metaLayers) set(name string, value []byte) {
	if m.base == nil {
		m.base, m.dirty = map[string][]byte{}, map[string]bool{}
	}
	if value == nil {
		delete(m.base, name)
	} else {
		m.base[name] = value
	}
	m.dirty[name] = true
}
