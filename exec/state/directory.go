package state

import (
	"slices"
	"unsafe"

	"karst/sql/vector"
)

// directoryLayout: where the list begins and ends within the variable cell
// (two int32), then the cell: slot numbers in the order of the keys' suffixes.
var directoryLayout = Layout{Fixed: 8 + vector.BlobCellBytes, Blobs: []int{8}}

// A directory lists the entries of each prefix of a table's keys in order.
type directory struct {
	prefixes slots
	index    index
	suffix   int
	seed     uint64
}

func (d *directory) init(a *Allocator, suffix int, seed uint64) {
	d.prefixes.init(&directoryLayout, a)
	d.index.init(a)
	d.suffix, d.seed = suffix, seed
}

// list returns the slots of a prefix in order; nil if there are none. The
// slice is the directory's.
func (d *directory) list(prefix []byte) []int32 {
	p := makeProbe(prefix, d.seed)
	g := d.index.find(&d.prefixes, &p)
	if g < 0 {
		return nil
	}
	b := d.bounds(g)
	return d.all(g)[b[0]:b[1]]
}

func (d *directory) bounds(g int32) *[2]int32 {
	return (*[2]int32)(unsafe.Pointer(&d.prefixes.fixed(g)[0]))
}

// all returns the cell's content as slot numbers, used or not.
func (d *directory) all(g int32) []int32 {
	b := d.prefixes.cells.Blob(g, headerBytes+8)
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// position returns where in list (slots of s) suffix stands or would stand.
func (d *directory) position(s *slots, list []int32, suffix []byte) int {
	lo, hi := 0, len(list)
	// Mostly the new one is the last.
	if hi > 0 && string(d.suffixOf(s, list[hi-1])) < string(suffix) {
		return hi
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(d.suffixOf(s, list[mid])) < string(suffix) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (d *directory) suffixOf(s *slots, g int32) []byte {
	k := s.key(g)
	return k[len(k)-d.suffix:]
}

// insert lists slot g of s.
func (d *directory) insert(s *slots, g int32) {
	key := s.key(g)
	p := makeProbe(key[:len(key)-d.suffix], d.seed)
	e := d.index.find(&d.prefixes, &p)
	if e < 0 {
		e = d.prefixes.add(&p)
		d.index.insert(p.tag, e)
	}
	b := d.bounds(e)
	if int(b[1])*4 == len(d.prefixes.cells.Blob(e, headerBytes+8)) {
		d.makeRoom(e)
	}
	all := d.all(e)
	at := int(b[0]) + d.position(s, all[b[0]:b[1]], key[len(key)-d.suffix:])
	copy(all[at+1:b[1]+1], all[at:b[1]])
	all[at] = g
	b[1]++
}

// makeRoom gives entry e room for more slots: what removals have left free in
// front, if that is half of it, else more.
func (d *directory) makeRoom(e int32) {
	b := d.bounds(e)
	if n := b[1] - b[0]; b[0] > 0 && b[0] >= n {
		all := d.all(e)
		copy(all, all[b[0]:b[1]])
		b[0], b[1] = 0, n
		return
	}
	d.prefixes.cells.ResizeBlob(e, headerBytes+8, max(16, 2*4*int(b[1])))
}

// remove takes slot g of s, which must be listed, off the list.
func (d *directory) remove(s *slots, g int32) {
	key := s.key(g)
	p := makeProbe(key[:len(key)-d.suffix], d.seed)
	e := d.index.find(&d.prefixes, &p)
	b := d.bounds(e)
	all := d.all(e)
	at := int(b[0]) + d.position(s, all[b[0]:b[1]], key[len(key)-d.suffix:])
	if at == int(b[0]) {
		b[0]++ // expiry takes the oldest
	} else {
		all = slices.Delete(all[:b[1]], at, at+1)
		b[1]--
	}
	if b[0] == b[1] {
		d.index.remove(p.tag, e)
		d.prefixes.remove(e)
	}
}

func (d *directory) reset() {
	d.prefixes.reset()
	d.index.reset()
}

func (d *directory) close() {
	d.prefixes.close()
	d.index.close()
}

func (d *directory) bytes() int { return d.prefixes.bytes() + d.index.bytes() }
