package operator

import (
	"cmp"
	"slices"
)

// A bufferedRow is a row that a stream–stream join has kept.
type bufferedRow struct {
	time, seq int64
	side      int
	lane      int32
	key       string // in the store: join key, time, sequence number
}

func rowOfKey(key string, lane int32) bufferedRow {
	time, seq := windowOfKey([]byte(key[len(key)-16:]))
	return bufferedRow{time: time, seq: seq, lane: lane, key: key}
}

func compareBuffered(a, b bufferedRow) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.side, b.side), cmp.Compare(a.seq, b.seq))
}

func sortBuffered(list []bufferedRow) { slices.SortFunc(list, compareBuffered) }

// A joinBuffer indexes the rows that one side has kept: by key, and in each
// lane by time for those that go away and those that wait for their window to
// close.
type joinBuffer struct {
	byKey map[string][]bufferedRow // by time and sequence
	lanes []laneBuffer
}

type laneBuffer struct{ all, waiting timeline }

func (b *joinBuffer) reset() {
	b.byKey = map[string][]bufferedRow{}
	b.lanes = nil
}

func (b *joinBuffer) lane(n int32) *laneBuffer {
	for int(n) >= len(b.lanes) {
		b.lanes = append(b.lanes, laneBuffer{})
	}
	return &b.lanes[n]
}

// find returns the rows of a join key.
func (b *joinBuffer) find(key []byte) []bufferedRow { return b.byKey[string(key)] }

func (b *joinBuffer) insert(r bufferedRow, waits bool) {
	key := r.key[:len(r.key)-16]
	b.byKey[key] = insertSorted(b.byKey[key], r)
	l := b.lane(r.lane)
	l.all.insert(r)
	if waits {
		l.waiting.insert(r)
	}
}

// takeWaiting takes out a lane's waiting rows of side that are done waiting.
func (b *joinBuffer) takeWaiting(out []bufferedRow, side int, lane int32, done func(time int64) bool) []bufferedRow {
	from := len(out)
	out = b.lane(lane).waiting.take(out, done)
	for i := from; i < len(out); i++ {
		out[i].side = side
	}
	return out
}

// takeOld takes out a lane's rows that are old.
func (b *joinBuffer) takeOld(out []bufferedRow, lane int32, old func(time int64) bool) []bufferedRow {
	from := len(out)
	out = b.lane(lane).all.take(out, old)
	for _, r := range out[from:] {
		key := r.key[:len(r.key)-16]
		list := b.byKey[key]
		if at, ok := slices.BinarySearchFunc(list, r, compareBuffered); ok {
			list = slices.Delete(list, at, at+1)
		}
		if len(list) == 0 {
			delete(b.byKey, key)
		} else {
			b.byKey[key] = list
		}
	}
	return out
}

// A timeline is a queue of rows by time. Rows come mostly in order.
type timeline struct {
	rows []bufferedRow
	head int
}

func (l *timeline) insert(r bufferedRow) {
	if l.head > len(l.rows)/2 && l.head > 64 {
		l.rows = l.rows[:copy(l.rows, l.rows[l.head:])]
		l.head = 0
	}
	if n := len(l.rows); n == l.head || compareBuffered(l.rows[n-1], r) < 0 {
		l.rows = append(l.rows, r)
		return
	}
	at, _ := slices.BinarySearchFunc(l.rows[l.head:], r, compareBuffered)
	l.rows = slices.Insert(l.rows, l.head+at, r)
}

// take takes rows off the front for which done is true.
func (l *timeline) take(out []bufferedRow, done func(time int64) bool) []bufferedRow {
	for l.head < len(l.rows) && done(l.rows[l.head].time) {
		out = append(out, l.rows[l.head])
		l.rows[l.head].key = ""
		l.head++
	}
	return out
}

func insertSorted(list []bufferedRow, r bufferedRow) []bufferedRow {
	if n := len(list); n == 0 || compareBuffered(list[n-1], r) < 0 {
		return append(list, r)
	}
	at, _ := slices.BinarySearchFunc(list, r, compareBuffered)
	return slices.Insert(list, at, r)
}
