package vector

import (
	"errors"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// chunkBytes is the size of an arena's chunks, but that the first are smaller,
// so that an arena for a few values costs little; a larger request gets a chunk
// of its own.
const (
	chunkBytes      = 256 << 10
	firstChunkBytes = 1 << 10
)

// An Arena hands out the buffers of a round and takes them all back at once.
// It is not safe for concurrent use: each task has its own.
type Arena struct {
	chunks  [][]uint64 // as words, so that every buffer is 8-byte aligned
	current int        // index of the chunk in use
	used    int        // words used of it
	inUse   int        // bytes handed out since the last Reset
	poison  bool

	bound   int // see Bound
	stopped func() error
	checks  int
}

// ErrFull says that a round has taken more memory than it may.
var ErrFull = errors.New("too much memory for one round")

// NewArena returns an empty arena.
func NewArena() *Arena { return &Arena{} }

// NewPoisonedArena returns an arena for tests that overwrites buffers when it
// is reset, so that a reader that comes too late reads rubbish.
func NewPoisonedArena() *Arena { return &Arena{poison: true} }

// InUse returns the bytes handed out since the last Reset.
func (a *Arena) InUse() int { return a.inUse }

// Bound says from how many bytes on Check reports ErrFull, 0: never, and what tells it
// that the round should stop; nil: nothing does.
func (a *Arena) Bound(bytes int, stopped func() error) { a.bound, a.stopped = bytes, stopped }

// Check returns an error if the round is to end here, when it takes so many bytes
// beside those of the arena. It is for loops that make many rows of one, and costs
// little.
func (a *Arena) Check(bytes int) error {
	if a.bound > 0 && bytes > a.bound-a.inUse {
		return ErrFull
	}
	if a.checks++; a.checks%256 == 0 && a.stopped != nil {
		return a.stopped()
	}
	return nil
}

// Reset takes back every buffer. Chunks are kept for the next round, except
// those of unusual size.
func (a *Arena) Reset() {
	if a.poison {
		for _, c := range a.chunks {
			for i := range c {
				c[i] = 0xdbdbdbdbdbdbdbdb
			}
		}
		a.chunks = nil // fresh memory each round: old slices keep the poison
	}
	kept := a.chunks[:0]
	for _, c := range a.chunks {
		if len(c) <= chunkBytes/8 {
			kept = append(kept, c)
		}
	}
	clear(a.chunks[len(kept):])
	a.chunks, a.current, a.used, a.inUse = kept, 0, 0, 0
}

// words returns n zeroed words.
func (a *Arena) words(n int) []uint64 {
	a.inUse += n * 8
	if n > chunkBytes/8 {
		c := make([]uint64, n)
		// In front of the current chunk, so that filling goes on there.
		a.chunks = append(a.chunks, nil)
		copy(a.chunks[a.current+1:], a.chunks[a.current:])
		a.chunks[a.current] = c
		a.current++
		return c
	}
	for {
		if a.current >= len(a.chunks) {
			size := min(firstChunkBytes<<min(2*len(a.chunks), 30), chunkBytes) / 8
			a.chunks = append(a.chunks, make([]uint64, max(size, n)))
			a.used = 0
		}
		c := a.chunks[a.current]
		if len(c)-a.used >= n {
			s := c[a.used : a.used+n : a.used+n]
			a.used += n
			clear(s)
			return s
		}
		a.current, a.used = a.current+1, 0
	}
}

// Bytes returns a zeroed buffer of n bytes.
func (a *Arena) Bytes(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	w := a.words((n + 7) / 8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), len(w)*8)[:n:n]
}

// GrowBytes returns buf with room for at least extra more bytes, moved to a
// new buffer if it had too little.
func (a *Arena) GrowBytes(buf []byte, extra int) []byte {
	if cap(buf)-len(buf) >= extra {
		return buf
	}
	out := a.Bytes(max(2*cap(buf), len(buf)+extra, 256))
	return out[:copy(out, buf)]
}

// Bitmap returns a cleared bitmap for n rows.
func (a *Arena) Bitmap(n int) Bitmap { return Bitmap(a.Bytes(BitmapBytes(n))) }

// Int32s returns n zeroes.
func (a *Arena) Int32s(n int) []int32 {
	if n == 0 {
		return []int32{}
	}
	w := a.words((n + 1) / 2)
	return unsafe.Slice((*int32)(unsafe.Pointer(&w[0])), len(w)*2)[:n:n]
}

// Int64s returns n zeroes.
func (a *Arena) Int64s(n int) []int64 {
	if n == 0 {
		return []int64{}
	}
	w := a.words(n)
	return unsafe.Slice((*int64)(unsafe.Pointer(&w[0])), n)
}

// Float64s returns n zeroes.
func (a *Arena) Float64s(n int) []float64 {
	if n == 0 {
		return []float64{}
	}
	w := a.words(n)
	return unsafe.Slice((*float64)(unsafe.Pointer(&w[0])), n)
}

// Uint64s returns n zeroes.
func (a *Arena) Uint64s(n int) []uint64 { return a.words(n) }

// Decimals returns n zeroes.
func (a *Arena) Decimals(n int) []decimal128.Num {
	if n == 0 {
		return []decimal128.Num{}
	}
	w := a.words(2 * n)
	return unsafe.Slice((*decimal128.Num)(unsafe.Pointer(&w[0])), n)
}
