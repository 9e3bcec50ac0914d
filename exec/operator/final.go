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

func (w *openWindows) reset() { w.times, w.keys = w.times[:0], map[int64][]string{} }

func (w *openWindows) add(time int64, key string) {
	list, ok := w.keys[time]
	if !ok {
		at, _ := slices.BinarySearch(w.times, time)
		w.times = slices.Insert(w.times, at, time)
	}
	w.keys[time] = append(list, key)
}

// noteAll adds the windows of a's present slots that are new.
func (w *openWindows) noteAll(a *aggregate) {
	head := a.store.Cells(0)
	for n, g := range a.slots {
		flags := head.Int64(g, slotFlags)
		if *flags&flagListed == 0 {
			*flags |= flagListed
			key := a.keys.At(n)
			start, _ := windowOfKey(key)
			w.add(start, string(key))
		}
	}
}

// listOpen builds the list from the store.
func (a *aggregate) listOpen() {
	a.open.reset()
	if !a.step.EmitFinal {
		return
	}
	a.store.Each(func(t *state.Table, slot int32) bool {
		cells := t.Cells(0)
		if *cells.Int64(slot, slotFlags)&flagFinal == 0 {
			start, end := windowOfKey(t.Key(slot))
			if a.spec.Kind == window.Session {
				start = end
			}
			a.open.add(start, string(t.Key(slot)))
		}
		return true
	})
}

// final emits what has closed, as if after each row: rows that came after a
// window had closed have not changed it.
func (a *aggregate) final(c *Context, times []int64, sel []int32, streamTime int64) (*vector.Batch, error) {
	out := newRowBuilder(c.Arena, a.schema, true, 0)
	for _, i := range sel {
		if times[i] > streamTime {
			streamTime = times[i]
			if err := a.emitClosed(c, out, streamTime); err != nil {
				return nil, err
			}
		}
	}
	return out.finish(), nil
}

// emitClosed emits the windows that are closed at streamTime, by time and key.
// A time window that by now is out of retention is lost: stream time has
// jumped over the time in which it could be emitted.
func (a *aggregate) emitClosed(c *Context, out *rowBuilder, streamTime int64) error {
	w := &a.open
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
	flags := head.Int64(slot, slotFlags)
	if *flags&flagFinal != 0 {
		return nil
	}
	*flags |= flagFinal
	if !alive {
		return nil
	}
	return a.emit(c, out, []int32{slot})
}
