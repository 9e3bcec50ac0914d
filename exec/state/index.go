package state

import "unsafe"

const (
	indexShift = 17 // entries of a full index segment, 1 MiB
	indexMin   = 16
)

// An index finds slots by key: open addressing with linear probing. An entry
// is tag<<32 | slot+1, zero if empty; an entry's home is given by the tag's
// low bits, so the index grows and closes gaps without looking at slots.
type index struct {
	alloc *Allocator
	segs  [][]uint64
	mask  uint32
	n     int
}

func (x *index) init(a *Allocator) {
	x.alloc = a
	x.resize(indexMin)
}

// at returns the entry at position p.
func (x *index) at(p uint32) *uint64 { return &x.segs[p>>indexShift][p&(1<<indexShift-1)] }

// resize makes an empty index of size entries, a power of two.
func (x *index) resize(size int) {
	for _, s := range x.segs {
		x.alloc.giveBack(s)
	}
	x.segs = x.segs[:0]
	for n := size; n > 0; n -= 1 << indexShift {
		seg := x.alloc.words(min(n, 1<<indexShift))
		clear(seg)
		x.segs = append(x.segs, seg)
	}
	x.mask, x.n = uint32(size-1), 0
}

// insert adds an entry for slot g; there must be none.
func (x *index) insert(tag uint32, g int32) {
	if x.n >= int(x.mask)-int(x.mask)/3 {
		x.grow()
	}
	p := tag & x.mask
	for {
		e := x.at(p)
		if *e == 0 {
			*e = uint64(tag)<<32 | uint64(uint32(g+1))
			x.n++
			return
		}
		p = (p + 1) & x.mask
	}
}

func (x *index) grow() {
	old := x.segs
	x.segs = nil
	x.resize(2 * (int(x.mask) + 1))
	for _, seg := range old {
		for _, e := range seg {
			if e != 0 {
				x.insert(uint32(e>>32), int32(uint32(e))-1)
			}
		}
		x.alloc.giveBack(seg)
	}
}

// remove takes the entry of slot g out and moves entries behind it up, so
// that no probe ends at the gap.
func (x *index) remove(tag uint32, g int32) {
	p := tag & x.mask
	for want := uint64(tag)<<32 | uint64(uint32(g+1)); *x.at(p) != want; {
		p = (p + 1) & x.mask
	}
	x.n--
	for q := (p + 1) & x.mask; ; q = (q + 1) & x.mask {
		e := *x.at(q)
		if e == 0 {
			break
		}
		// e may move to p if its home is not between p (exclusive) and q.
		if home := uint32(e>>32) & x.mask; (q-home)&x.mask >= (q-p)&x.mask {
			*x.at(p) = e
			p = q
		}
	}
	*x.at(p) = 0
}

// reset empties the index, and shrinks it if it was used little.
func (x *index) reset() {
	size := int(x.mask) + 1
	if x.n < size/16 && size > indexMin {
		x.resize(size / 2)
		return
	}
	if x.n > 0 {
		for _, s := range x.segs {
			clear(s)
		}
	}
	x.n = 0
}

func (x *index) close() {
	for _, s := range x.segs {
		x.alloc.giveBack(s)
	}
	*x = index{}
}

func (x *index) bytes() int { return (int(x.mask) + 1) * 8 }

// find returns the slot of s with p's key, or -1.
func (x *index) find(s *slots, p *probe) int32 {
	for pos := p.tag & x.mask; ; pos = (pos + 1) & x.mask {
		e := *x.at(pos)
		if e == 0 {
			return -1
		}
		if uint32(e>>32) == p.tag {
			if g := int32(uint32(e)) - 1; s.holds(g, p) {
				return g
			}
		}
	}
}

// findAll looks for all of keys, writes their slots or -1 to out, and returns
// how many were not found.
func (x *index) findAll(s *slots, keys *Keys, seed uint64, out []int32) (missing int) {
	base := unsafe.Pointer(unsafe.SliceData(keys.buf))
	off := keys.off
	for i := range out {
		at, n := off[i], int(off[i+1]-off[i])
		var p probe
		if n > inlineKey {
			p.key = keys.buf[at:off[i+1]]
			p.tag = hashLong(p.key, seed)
			out[i] = x.find(s, &p)
		} else {
			out[i] = x.findShort(s, loadWords(unsafe.Add(base, at), n), n, seed)
		}
		if out[i] < 0 {
			missing++
		}
	}
	return missing
}

func (x *index) findShort(s *slots, w keyWords, n int, seed uint64) int32 {
	tag := hashWords(&w, n, seed)
	for pos := tag & x.mask; ; pos = (pos + 1) & x.mask {
		e := *x.at(pos)
		if e == 0 {
			return -1
		}
		if uint32(e>>32) == tag {
			g := int32(uint32(e)) - 1
			if h := s.header(g); int(h.klen) == n && h.key == w {
				return g
			}
		}
	}
}
