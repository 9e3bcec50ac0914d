package operator

import (
	"slices"

	"karst/exec/state"
	"karst/exec/window"
)

// Collect implements Collector: windows that have left the retention which the query
// gave are deleted, all at once each time that stream time has moved on by a
// quarter of it.
func (a *aggregate) Collect() {
	horizon, bounded := a.horizon(a.time)
	if !bounded || a.time < 0 || a.swept >= 0 && a.time-a.swept < *a.window.RetentionMS/4 {
		return
	}
	a.swept = a.time
	var old [][]byte
	a.store.Each(func(t *state.Table, slot int32) bool {
		if key := t.Key(slot); a.expired(key, horizon) {
			old = append(old, slices.Clone(key))
		}
		return true
	})
	for _, key := range old {
		a.store.Delete(key)
		if a.spec.Kind == window.Session {
			a.forgetSession(key)
		}
	}
}

// forgetSession takes a session out of the directory.
func (a *aggregate) forgetSession(key []byte) {
	if a.dir == nil {
		return
	}
	start, end := windowOfKey(key)
	k := string(key[:len(key)-16])
	list := slices.DeleteFunc(a.dir[k], func(s session) bool { return s == session{start, end} })
	if len(list) == 0 {
		delete(a.dir, k)
	} else {
		a.dir[k] = list
	}
}
