package operator

import (
	"encoding/binary"

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
func (a *aggregate) sessions(c *Context, b *vector.Batch, args [][]*vector.Vector) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, true, b.Rows())
	var key []byte
	for n := range b.Rows() {
		i := b.Row(n)
		if b.Op(i) != vector.Upsert || b.Time[i] < 0 {
			continue
		}
		key = appendKey(key[:0], b.Cols[:a.nk], i)
		if err := a.sessionRow(c, b, args, out, key, i); err != nil {
			return nil, err
		}
	}
	return out.finish(), nil
}

func (a *aggregate) sessionRow(c *Context, b *vector.Batch, args [][]*vector.Vector, out *rowBuilder, key []byte, i int) error {
	t := b.Time[i]
	a.time = max(a.time, t)
	merged := session{t, t}
	var old, rest []session
	horizon := a.spec.Horizon(a.time)
	for _, s := range a.directory()[string(key)] {
		if s.end < horizon {
			a.store.Delete(sessionKey(key, s)) // expired: nobody may see it any more
			continue
		}
		if a.spec.Touches(s.start, s.end, t) {
			old = append(old, s)
			merged.start, merged.end = min(merged.start, s.start), max(merged.end, s.end)
		} else {
			rest = append(rest, s)
		}
	}
	if a.spec.SessionClosed(merged.end, a.time) {
		a.late(c, b, int32(i))
		return nil
	}
	into := a.mergeSessions(c, key, merged, old)
	head := a.store.Cells(0)
	*head.Int64(into, slotTime) = merged.end
	for _, s := range old {
		if s == merged {
			continue
		}
		if !a.step.EmitFinal {
			nullRow(out.cols[a.nk:])
			if err := a.closeRow(out, vector.Delete, sessionKey(key, s), s.end); err != nil {
				return err
			}
		}
		a.store.Delete(sessionKey(key, s))
	}
	one, slot := []int32{int32(i)}, []int32{into}
	for k, kernel := range a.kernels {
		v := a.update(c, b, k, kernel, args[k], one, slot, true)
		if !a.step.EmitFinal {
			out.cols[a.nk+k].Append(v[0], 0)
		}
	}
	a.dir[string(key)] = append(rest, merged)
	a.closes = 0
	if a.step.EmitFinal {
		return nil
	}
	return a.closeRow(out, vector.Upsert, sessionKey(key, merged), merged.end)
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
	}
	return into
}
