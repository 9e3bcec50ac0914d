package state

import (
	"encoding/binary"

	"karst/sql/vector"
)

// Keys is a list of state keys, one after another in one buffer. It lives as
// long as the arena it comes from.
type Keys struct {
	buf []byte // inlineKey bytes can be read from any position within
	off []int32
}

// Len returns the number of keys.
func (k *Keys) Len() int { return len(k.off) - 1 }

// Key returns the i-th key; the bytes are k's.
func (k *Keys) Key(i int) []byte { return k.buf[k.off[i]:k.off[i+1]:k.off[i+1]] }

// newKeys returns keys whose offsets are given by lengths, stored at off[i+1].
func newKeys(a *vector.Arena, off []int32) *Keys {
	var end int32
	for i := range off {
		end += off[i]
		off[i] = end
	}
	buf := a.Bytes(int(end) + inlineKey)
	return &Keys{buf: buf[:end], off: off}
}

// MakeKeys copies keys given one by one; for places that are not hot.
func MakeKeys(a *vector.Arena, keys ...[]byte) *Keys {
	off := a.Int32s(len(keys) + 1)
	for i, b := range keys {
		off[i+1] = int32(len(b))
	}
	k := newKeys(a, off)
	for i, b := range keys {
		copy(k.buf[off[i]:], b)
	}
	return k
}

// TimeBytes is the length of a time in a key.
const TimeBytes = 8

// AppendTime appends t in memcomparable form.
func AppendTime(key []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(key, uint64(t)^1<<63)
}

// KeyTime reads a time appended by AppendTime from the start of b.
func KeyTime(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

// WithTime returns for each i the key rows[i] of k followed by times[i].
func (k *Keys) WithTime(a *vector.Arena, rows []int32, times []int64) *Keys {
	return k.withTimes(a, rows, times, nil)
}

// WithTimes is WithTime with two times behind each key.
func (k *Keys) WithTimes(a *vector.Arena, rows []int32, first, second []int64) *Keys {
	return k.withTimes(a, rows, first, second)
}

func (k *Keys) withTimes(a *vector.Arena, rows []int32, first, second []int64) *Keys {
	suffix := int32(TimeBytes)
	if second != nil {
		suffix = 2 * TimeBytes
	}
	off := a.Int32s(len(rows) + 1)
	for i, r := range rows {
		off[i+1] = k.off[r+1] - k.off[r] + suffix
	}
	out := newKeys(a, off)
	for i, r := range rows {
		at := off[i] + int32(copy(out.buf[off[i]:], k.Key(int(r))))
		binary.BigEndian.PutUint64(out.buf[at:], uint64(first[i])^1<<63)
		if second != nil {
			binary.BigEndian.PutUint64(out.buf[at+TimeBytes:], uint64(second[i])^1<<63)
		}
	}
	return out
}
