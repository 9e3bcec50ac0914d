package operator

import (
	"cmp"
	"encoding/binary"
	"slices"

	"karst/exec/state"
	"karst/sql/function"
	"karst/sql/vector"
)

// A session of a key; both ends inclusive.
type session struct{ start, end int64 }

func windowOfKey(key []byte) (start, end int64) {
	tail := key[len(key)-16:]
	return int64(binary.BigEndian.Uint64(tail)), int64(binary.BigEndian.Uint64(tail[8:]))
}

// directory returns the sessions of each key, built from the store.
func (a *aggregate) directory() map[string][]session {
	if a.dir == nil {
		a.dir = map[string][]session{}
		a.store.Each(func(t *state.Table, slot int32) bool {
			key := t.Key(slot)
			start, end := windowOfKey(key)
			k := string(key[:len(key)-16])
			a.dir[k] = append(a.dir[k], session{start, end})
			return true
		})
	}
	return a.dir
}

// sessions folds rows one by one: each may join sessions that it touches.
func (a *aggregate) sessions(c *Context, b *vector.Batch, sel []int32, args [][]*vector.Vector) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, true, len(sel))
	before := slices.Clone(a.time)
	now := a.time.follow(c.Arena, b, sel)
	var key []byte
	for _, i := range sel {
		if b.Time[i] < 0 {
			continue
		}
		key = appendKey(key[:0], b.Cols[:a.nk], int(i))
		if err := a.sessionRow(c, b, args, out, key, i, now[i]); err != nil {
			return nil, err
		}
		if lane := laneOf(b, i); a.step.EmitFinal && now[i] > before.of(lane) {
			before.advance(lane, now[i])
			if err := a.emitClosed(c, out, lane, now[i]); err != nil {
				return nil, err
			}
		}
	}
	return out.finish(), nil
}

// sessionRow folds row i, whose stream time is now.
func (a *aggregate) sessionRow(c *Context, b *vector.Batch, args [][]*vector.Vector, out *rowBuilder, key []byte, i int32, now int64) error {
	out.from(b, int(i))
	t := b.Time[i]
	merged, old, rest := a.touched(key, t, now)
	if a.spec.SessionClosed(merged.end, now) {
		a.late(c, b, i, now)
		return nil
	}
	if a.every && !a.step.EmitFinal && merged != (session{t, t}) {
		if err := a.removeSessions(c, out, key, old); err != nil {
			return err
		}
	} else if a.every && !a.step.EmitFinal && a.step.Retract && len(old) > 0 {
		if err := a.retract(c, out, a.store.ProbeOne(sessionKey(key, merged))); err != nil {
			return err
		}
	}
	into := a.mergeSessions(c, key, merged, old)
	head := a.store.Cells(0)
	a.touch(&head, into, b, i)
	*head.Int64(into, slotTime) = merged.end
	a.dir[string(key)] = append(rest, merged)
	one, slot := []int32{i}, []int32{into}
	for k, kernel := range a.kernels {
		a.update(c, b, k, kernel, args[k], one, slot, false)
	}
	switch {
	case a.step.EmitFinal:
		if flags := head.Int32(into, slotFlags); *flags&flagListed == 0 {
			*flags |= flagListed
			*head.Int32(into, slotLane) = laneOf(b, i)
			a.openOf(laneOf(b, i)).add(merged.end, string(sessionKey(key, merged)))
		}
		return nil
	case a.every:
		return a.emit(c, out, slot)
	}
	for _, s := range old {
		a.markSession(sessionKey(key, s))
	}
	a.markSession(sessionKey(key, merged))
	return nil
}

// touched returns the session that a row of time t makes, the sessions that
// become part of it, and the key's others. Those out of retention at stream
// time now are forgotten.
func (a *aggregate) touched(key []byte, t, now int64) (merged session, old, rest []session) {
	merged = session{t, t}
	horizon := a.spec.Horizon(now)
	for _, s := range a.directory()[string(key)] {
		switch {
		case s.end < horizon:
		case a.spec.Touches(s.start, s.end, t):
			old = append(old, s)
			merged.start, merged.end = min(merged.start, s.start), max(merged.end, s.end)
		default:
			rest = append(rest, s)
		}
	}
	// The directory's order is not that of before a restart.
	slices.SortFunc(old, func(x, y session) int { return cmp.Compare(x.start, y.start) })
	return merged, old, rest
}

func (a *aggregate) markSession(key []byte) {
	if !a.changedMark[string(key)] {
		a.changedMark[string(key)] = true
		a.changed = append(a.changed, string(key))
	}
}

// removeSessions emits a tombstone for each session that a greater one takes
// the place of.
func (a *aggregate) removeSessions(c *Context, out *rowBuilder, key []byte, old []session) error {
	for _, s := range old {
		k := sessionKey(key, s)
		if a.step.Retract {
			if err := a.retract(c, out, a.store.ProbeOne(k)); err != nil {
				return err
			}
		}
		nullRow(out.cols[a.nk:])
		if err := a.closeRow(out, vector.Delete, k, s.end); err != nil {
			return err
		}
	}
	return nil
}

// flushSessions emits one change for each session changed since the last
// Flush: its value, or a tombstone if it was there at the last commit and is
// no more.
func (a *aggregate) flushSessions(c *Context) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, true, len(a.changed))
	for _, k := range a.changed {
		key := []byte(k)
		was, _ := a.store.LookupCommitted(key)
		is := a.store.Has(key)
		if was != nil && a.step.Retract {
			if err := a.retractCommitted(c, out, key); err != nil {
				return nil, err
			}
		}
		var err error
		switch {
		case is:
			err = a.emit(c, out, []int32{a.store.ProbeOne(key)})
		case was != nil:
			_, end := windowOfKey(key)
			nullRow(out.cols[a.nk:])
			err = a.closeRow(out, vector.Delete, key, end)
		}
		if err != nil {
			return nil, err
		}
	}
	a.changed = a.changed[:0]
	clear(a.changedMark)
	return out.finish(), nil
}

func sessionKey(key []byte, s session) []byte {
	return appendWindowKey(appendWindowKey(append([]byte(nil), key...), s.start), s.end)
}

// mergeSessions returns the slot of the session that takes the place of the
// old ones, with their values merged.
func (a *aggregate) mergeSessions(c *Context, key []byte, merged session, old []session) int32 {
	into := a.store.ProbeOne(sessionKey(key, merged))
	for _, s := range old {
		if s == merged {
			continue
		}
		from := a.store.ProbeOne(sessionKey(key, s))
		for k, kernel := range a.kernels {
			call := &function.AggregateCall{Arena: c.Arena, Cells: a.store.Cells(a.offsets[k])}
			kernel.(function.Merger).Merge(call, into, from)
		}
		a.store.Delete(sessionKey(key, s))
	}
	return into
}
