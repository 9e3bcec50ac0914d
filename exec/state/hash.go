package state

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// inlineKey is the length up to which a key stands in its slot.
const inlineKey = 24

// keyWords is a key of at most inlineKey bytes, padded with zeroes.
type keyWords [3]uint64

// keyMasks[n] keeps the first n bytes of three words.
var keyMasks = func() (m [inlineKey + 1]keyWords) {
	for n := range m {
		for i := range n {
			m[n][i/8] |= 0xff << (i % 8 * 8)
		}
	}
	return m
}()

const (
	mul0 = 0xa0761d6478bd642f
	mul1 = 0xe7037ed1a0b428db
	mul2 = 0x8ebc6af09c88c6e3
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// loadWords reads a key of n ≤ inlineKey bytes at p, behind which at least
// inlineKey-n more bytes can be read.
func loadWords(p unsafe.Pointer, n int) keyWords {
	m := &keyMasks[n]
	w := (*keyWords)(p)
	return keyWords{w[0] & m[0], w[1] & m[1], w[2] & m[2]}
}

// hashWords hashes a short key. Only the upper half of the product is used: 32
// bits place a key in an index and tell it from its neighbours.
func hashWords(w *keyWords, n int, seed uint64) uint32 {
	h := mix(w[0]^mul0^seed, w[1]^mul1^uint64(n))
	return uint32(mix(h^mul2, w[2]^seed^mul0) >> 32)
}

// hashLong hashes a key that is longer than inlineKey.
func hashLong(b []byte, seed uint64) uint32 {
	h := seed ^ uint64(len(b))*mul2
	for ; len(b) >= 16; b = b[16:] {
		h = mix(binary.LittleEndian.Uint64(b)^mul0^h, binary.LittleEndian.Uint64(b[8:])^mul1)
	}
	var tail [16]byte
	copy(tail[:], b)
	h = mix(binary.LittleEndian.Uint64(tail[:])^mul0^h, binary.LittleEndian.Uint64(tail[8:])^mul1)
	return uint32(mix(h^mul2, seed^mul1) >> 32)
}

// A probe is a key made ready to be looked for.
type probe struct {
	key   []byte
	words keyWords // if short
	tag   uint32
}

func makeProbe(key []byte, seed uint64) probe {
	p := probe{key: key}
	if len(key) > inlineKey {
		p.tag = hashLong(key, seed)
		return p
	}
	var pad [inlineKey]byte
	copy(pad[:], key)
	p.words = *(*keyWords)(unsafe.Pointer(&pad))
	p.tag = hashWords(&p.words, len(key), seed)
	return p
}
