package state

// Seal ends the top overlay: what has been written goes into the next commit,
// and rounds go on in a new overlay. The sealed overlay must have been merged
// or aborted before.
func (s *Store) Seal() {
	if s.sealed != nil {
		panic("state: a commit is in flight already")
	}
	s.top, s.sealed, s.spare = s.spare, s.top, nil
	s.meta.top, s.meta.sealed = nil, s.meta.top
}

// Changed returns how many keys the sealed overlay may change at most.
func (s *Store) Changed() int {
	if s.sealed == nil {
		return 0
	}
	return int(s.sealed.n) + len(s.meta.sealed)
}

// Changes calls visit with the full new value of every key that the sealed
// overlay changes, or with deleted for one that it deletes, each once and in
// the order in which they were first written; a key made and removed within the
// commit is left out. Metadata comes last. key and value are valid during the
// call only; they are what ApplyChange takes. An error of visit ends it.
func (s *Store) Changes(visit func(key, value []byte, deleted bool) error) error {
	if s.sealed == nil {
		panic("state: no commit is in flight")
	}
	var buf []byte
	o := s.sealed
	for g := range o.n {
		live, below := o.is(g, flagLive), o.is(g, flagBelow)
		if !live && !below {
			continue
		}
		buf = buf[:0]
		if live {
			buf = o.appendValue(buf, g)
		}
		if err := visit(o.key(g), buf, !live); err != nil {
			return err
		}
	}
	return s.meta.changes(func(name string, value []byte) error {
		buf = append(append(buf[:0], metaByte), name...)
		return visit(buf, value, value == nil)
	})
}

// mergeChunk is how many keys Merge moves under one write lock.
const mergeChunk = 256

// Merge makes the sealed overlay part of the committed state, as sequence
// number seq, which is greater than all before. From its first moment on
// readers see the whole of it.
func (s *Store) Merge(seq uint64) {
	if s.sealed == nil {
		panic("state: no commit is in flight")
	}
	s.mergeMu.Lock()
	defer s.mergeMu.Unlock()
	s.finishCut()
	o := s.sealed

	s.mu.Lock()
	s.seq, s.merging = seq, o
	s.history.begin(seq)
	s.mu.Unlock()
	for g := int32(0); g < o.n; {
		s.mu.Lock()
		for end := min(o.n, g+mergeChunk); g < end; g++ {
			s.mergeSlot(o, g)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	for name, v := range s.meta.sealed {
		s.meta.set(name, v)
	}
	s.base.countBlobs()
	s.merging, s.meta.sealed = nil, nil
	s.mu.Unlock()
	s.sealed = nil
	s.keepSpare(o)
}

// mergeSlot carries out slot g of overlay o on base. The write lock is held.
func (s *Store) mergeSlot(o *table, g int32) {
	h := o.header(g)
	if h.flags&(flagLive|flagBelow) == 0 {
		return
	}
	p := probe{key: o.key(g), words: h.key, tag: h.tag}
	b := s.base.find(&p)
	if h.flags&flagLive == 0 {
		if b >= 0 {
			s.kill(b)
		}
		return
	}
	b = s.prepare(&p, b)
	s.base.copyValue(b, &o.slots, g)
}

// prepare returns a live and dirty slot of base for p's key, which has slot b
// or none if b is negative. Its old value is kept where it is still wanted.
func (s *Store) prepare(p *probe, b int32) int32 {
	if b < 0 {
		b = s.base.insert(p)
	} else {
		s.preserve(b)
	}
	if !s.base.is(b, flagLive) {
		s.base.setLive(b)
		if s.base.timed {
			s.base.dir.insert(&s.base.slots, b)
		}
	}
	s.markDirty(b)
	return b
}

// kill deletes the key of slot b of base. While Pebble may hold the key its
// slot stays, dead, until a cut has written the deletion.
func (s *Store) kill(b int32) {
	if s.base.is(b, flagLive) {
		s.preserve(b)
		if s.base.timed {
			s.base.dir.remove(&s.base.slots, b)
		}
		s.base.setDead(b)
	}
	if s.db == nil {
		s.base.drop(b)
		return
	}
	s.markDirty(b)
}

func (s *Store) markDirty(b int32) {
	if s.db == nil || s.base.is(b, flagDirty) {
		return
	}
	s.base.header(b).flags |= flagDirty
	s.dirty = append(s.dirty, b)
}

// preserve saves the value of slot b, which is about to change, for open
// scans and for the cut that is being written.
func (s *Store) preserve(b int32) {
	scans := s.history.wanted(b)
	cut := s.base.is(b, flagCut)
	if !s.base.is(b, flagLive) || !scans && !cut {
		return
	}
	v := s.base.appendValue(nil, b)
	if scans {
		s.history.save(b, v)
	}
	if cut {
		s.cut.old[b] = v
		s.base.header(b).flags &^= flagCut
	}
}

// Abort drops everything written since the last Merge: the overlay of the
// commit in flight, if any, and the one on top of it.
func (s *Store) Abort() {
	s.top.reset()
	s.meta.top = nil
	if s.sealed != nil {
		s.keepSpare(s.sealed)
		s.sealed, s.meta.sealed = nil, nil
	}
}

// keepSpare empties an overlay for the next Seal.
func (s *Store) keepSpare(o *table) {
	o.reset()
	s.spare = o
}

// Sequence returns the sequence number of the last commit merged. It may be
// called from any goroutine.
func (s *Store) Sequence() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seq
}
