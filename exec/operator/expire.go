package operator

import (
	"slices"

	"karst/exec/state"
	"karst/exec/window"
)

// Collect implements Collector: windows that have left the retention which the query
// gave are deleted, all at once each time that stream time has moved on by a
// quarter of it in a lane.
func (a *aggregate) Collect() {
	horizons, bounded := a.horizons(a.time)
	if !bounded || !a.moved(*a.window.RetentionMS/4) {
		return
	}
	a.swept = slices.Clone(a.time)
	var old [][]byte
	a.store.Each(func(t *state.Table, slot int32) bool {
		if a.expired(t, slot, horizons) {
			old = append(old, slices.Clone(t.Key(slot)))
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

// moved reports whether a lane's stream time has come at least ms further since
// the last Collect that looked, or has begun.
func (a *aggregate) moved(ms int64) bool {
	for lane, t := range a.time {
		if before := a.swept.of(int32(lane)); t >= 0 && (before < 0 || t-before >= ms) {
			return true
		}
	}
	return false
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
