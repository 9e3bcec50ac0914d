package operator

import (
	"slices"

	"karst/exec/state"
	"karst/exec/window"
	"karst/sql/vector"
)

// openWindows lists the windows whose last value is still to be emitted, by
// the time that closes them: the start of a time window, the end of a session.
type openWindows struct {
	times []int64 // ascending
	keys  map[int64][]string
}

func (w *openWindows) add(time int64, key string) {
	if w.keys == nil {
		w.keys = map[int64][]string{}
	}
	list, ok := w.keys[time]
	if !ok {
		at, _ := slices.BinarySearch(w.times, time)
		w.times = slices.Insert(w.times, at, time)
	}
	w.keys[time] = append(list, key)
}

// openOf returns the open windows of a lane. A window is of the lane that
// began it.
func (a *aggregate) openOf(lane int32) *openWindows {
	for int(lane) >= len(a.open) {
		a.open = append(a.open, openWindows{})
	}
	return &a.open[lane]
}

// noteAll adds the windows of a's present slots that are new.
func (a *aggregate) noteAll(b *vector.Batch, rows []int32) {
	head := a.store.Cells(0)
	for n, g := range a.slots {
		flags := head.Int32(g, slotFlags)
		if *flags&flagListed == 0 {
			*flags |= flagListed
			*head.Int32(g, slotLane) = laneOf(b, rows[n])
			key := a.keys.At(n)
			start, _ := windowOfKey(key)
			a.openOf(laneOf(b, rows[n])).add(start, string(key))
		}
	}
}

// listOpen builds the list from the store.
func (a *aggregate) listOpen() {
	a.open = nil
	if !a.step.EmitFinal {
		return
	}
	a.store.Each(func(t *state.Table, slot int32) bool {
		cells := t.Cells(0)
		if *cells.Int32(slot, slotFlags)&flagFinal == 0 {
			start, end := windowOfKey(t.Key(slot))
			if a.spec.Kind == window.Session {
				start = end
			}
			a.openOf(*cells.Int32(slot, slotLane)).add(start, string(t.Key(slot)))
		}
		return true
	})
}

// final emits what has closed, as if after each row: rows that came after a
// window had closed have not changed it.
func (a *aggregate) final(c *Context, b *vector.Batch, now []int64, sel []int32, before streamTime) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, true, 0)
	for _, i := range sel {
		if lane := laneOf(b, i); now[i] > before.of(lane) {
			before.advance(lane, now[i])
			if err := a.emitClosed(c, out, lane, now[i]); err != nil {
				return nil, err
			}
		}
	}
	return out.finish(), nil
}

// emitClosed emits the lane's windows that are closed at streamTime, by time
// and key.
// A time window that by now is out of retention is lost: stream time has
// jumped over the time in which it could be emitted.
func (a *aggregate) emitClosed(c *Context, out *rowBuilder, lane int32, streamTime int64) error {
	w := a.openOf(lane)
	horizon := a.spec.Horizon(streamTime)
	for len(w.times) > 0 {
		t := w.times[0]
		if a.spec.Kind == window.Session && !a.spec.SessionClosed(t, streamTime) || a.spec.Kind != window.Session && !a.spec.Closed(t, streamTime) {
			return nil
		}
		keys := w.keys[t]
		delete(w.keys, t)
		w.times = w.times[1:]
		slices.Sort(keys)
		for _, key := range keys {
			if err := a.emitFinal(c, out, []byte(key), a.spec.Kind == window.Session || t >= horizon); err != nil {
				return err
			}
		}
	}
	return nil
}

// emitFinal emits a window's value for good. A session that has been merged
// into another, or listed twice, is passed over.
func (a *aggregate) emitFinal(c *Context, out *rowBuilder, key []byte, alive bool) error {
	if !a.store.Has(key) {
		return nil
	}
	slot := a.store.ProbeOne(key)
	head := a.store.Cells(0)
	flags := head.Int32(slot, slotFlags)
	if *flags&flagFinal != 0 {
		return nil
	}
	*flags |= flagFinal
	if !alive {
		return nil
	}
	return a.emit(c, out, []int32{slot})
}
