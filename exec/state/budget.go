package state

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Budget counts the bytes that stores and others hold against a limit. It
// refuses nothing: who holds too much commits early, or waits. Safe for
// concurrent use; a nil Budget counts nothing.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Add counts n more bytes, or fewer if n is negative.
func (b *Budget) Add(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(n))
	}
}

// Used returns the bytes held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Over reports whether more than the limit is held.
func (b *Budget) Over() bool { return b != nil && b.used.Load() > b.limit }

const (
	segmentBytes = 1 << 20
	keptSegments = 16
)

// An Allocator gives tables their memory, in segments of at most 1 MiB, and
// counts it. It is the one place to change should tables leave the Go heap.
// Safe for concurrent use.
type Allocator struct {
	budget *Budget
	mu     sync.Mutex
	free   [][]uint64 // full segments for use again
}

// NewAllocator returns an allocator that counts against budget, which may be nil.
func NewAllocator(budget *Budget) *Allocator { return &Allocator{budget: budget} }

// words returns n words with undefined content.
func (a *Allocator) words(n int) []uint64 {
	a.budget.Add(n * 8)
	if n*8 == segmentBytes {
		a.mu.Lock()
		defer a.mu.Unlock()
		if k := len(a.free); k > 0 {
			s := a.free[k-1]
			a.free = a.free[:k-1]
			return s
		}
	}
	return make([]uint64, n)
}

// giveBack takes memory back that words returned.
func (a *Allocator) giveBack(w []uint64) {
	a.budget.Add(-len(w) * 8)
	if len(w)*8 != segmentBytes {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.free) < keptSegments {
		a.free = append(a.free, w)
	}
}

func asBytes(w []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), len(w)*8)
}

func asWords(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), len(b)/8)
}
