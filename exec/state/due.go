package state

import "slices"

const (
	dueMinBuckets = 1024
	duePerBucket  = 8 // entries a bucket should have once there are many
)

// A timeIndex finds entries by the first time of their key's suffix. Slots
// are gathered in buckets of 1<<shift ms, and the buckets are widened when
// there are too many of them. Entries whose slot has gone are noticed when they
// are read and swept when they are in the majority.
type timeIndex struct {
	shift   uint8
	ids     []int64 // of the buckets, ascending
	buckets map[int64][]int32
	entries int // slots listed, stale ones included
	live    int // slots that should be listed
}

func (x *timeIndex) init() { x.buckets = map[int64][]int32{} }

func (x *timeIndex) insert(t int64, g int32) {
	id := t >> x.shift
	b, ok := x.buckets[id]
	if !ok {
		at, _ := slices.BinarySearch(x.ids, id)
		x.ids = slices.Insert(x.ids, at, id)
	}
	x.buckets[id] = append(b, g)
	x.entries++
	x.live++
}

// remove notes that a slot has gone.
func (x *timeIndex) remove() { x.live-- }

// crowded reports whether the index should be rebuilt from the slots.
func (x *timeIndex) crowded() bool {
	return x.entries > 2*x.live+dueMinBuckets || x.sparse()
}

func (x *timeIndex) sparse() bool {
	return len(x.ids) > dueMinBuckets && len(x.ids)*duePerBucket > x.live && x.shift < 62
}

// clear empties the index, with wider buckets if there were too many.
func (x *timeIndex) clear() {
	if x.sparse() {
		x.shift = min(62, x.shift+3)
	}
	x.reset()
}

func (x *timeIndex) reset() {
	clear(x.buckets)
	x.ids, x.entries, x.live = x.ids[:0], 0, 0
}

// candidates calls visit with every slot listed in buckets that overlap
// [from, to], in order of buckets, duplicates included. What visit finds stale
// is taken off the list.
func (x *timeIndex) candidates(from, to int64, visit func(bucket int64, g int32) (stale bool)) {
	first, _ := slices.BinarySearch(x.ids, from>>x.shift)
	kept := first // ids[first:kept] stay
	at := first
	for ; at < len(x.ids) && x.ids[at] <= to>>x.shift; at++ {
		id := x.ids[at]
		list := x.buckets[id]
		stays := list[:0]
		for _, g := range list {
			if !visit(id, g) {
				stays = append(stays, g)
			}
		}
		x.entries -= len(list) - len(stays)
		if len(stays) == 0 {
			delete(x.buckets, id)
			continue
		}
		x.buckets[id] = stays
		x.ids[kept] = id
		kept++
	}
	x.ids = slices.Delete(x.ids, kept, at)
}
