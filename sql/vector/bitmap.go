package vector

import "math/bits"

// A Bitmap holds one bit a row, least significant bit first, as Arrow does.
// As a validity map nil means that every row is valid.
type Bitmap []byte

// BitmapBytes returns the length in bytes of a bitmap of n rows.
func BitmapBytes(n int) int { return (n + 7) / 8 }

// Get returns bit i.
func (b Bitmap) Get(i int) bool { return b[i>>3]>>(i&7)&1 != 0 }

// Set sets bit i.
func (b Bitmap) Set(i int) { b[i>>3] |= 1 << (i & 7) }

// Clear clears bit i.
func (b Bitmap) Clear(i int) { b[i>>3] &^= 1 << (i & 7) }

// Put sets bit i to v.
func (b Bitmap) Put(i int, v bool) {
	if v {
		b.Set(i)
	} else {
		b.Clear(i)
	}
}

// Fill sets all bits of the map to v.
func (b Bitmap) Fill(v bool) {
	var x byte
	if v {
		x = 0xff
	}
	for i := range b {
		b[i] = x
	}
}

// Count returns how many of the first n bits are set.
func (b Bitmap) Count(n int) int {
	c := 0
	for _, x := range b[:n/8] {
		c += bits.OnesCount8(x)
	}
	if r := n % 8; r != 0 {
		c += bits.OnesCount8(b[n/8] << (8 - r))
	}
	return c
}
