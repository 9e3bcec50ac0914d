package state

import "errors"

// ErrScanTooOld tells that a scan was open for so long that the values it
// should have shown would take more memory than is allowed.
var ErrScanTooOld = errors.New("scan was open too long: too much has changed since it began")

// A history keeps the values that merges replace, as long as a scan that was
// opened before may want them. Each merge during which scans are open is one
// generation. It is guarded by the store's lock.
type history struct {
	generations []generation
	open        map[*Scan]struct{}
	bytes       int
	limit       int
}

type generation struct {
	seq uint64 // of the merge
	old map[int32][]byte
}

// savedOverhead is what an entry of a generation takes besides its value.
const savedOverhead = 64

// begin notes that the merge seq begins.
func (h *history) begin(seq uint64) {
	if len(h.open) > 0 {
		h.generations = append(h.generations, generation{seq, map[int32][]byte{}})
	}
}

// wanted reports whether the value of slot g should be saved.
func (h *history) wanted(g int32) bool {
	if len(h.generations) == 0 || len(h.open) == 0 {
		return false
	}
	_, saved := h.generations[len(h.generations)-1].old[g]
	return !saved
}

func (h *history) save(g int32, value []byte) {
	h.generations[len(h.generations)-1].old[g] = value
	h.bytes += len(value) + savedOverhead
	if h.bytes > h.limit {
		h.dropAll()
	}
}

// dropAll makes every open scan fail.
func (h *history) dropAll() {
	for s := range h.open {
		s.failed = true
	}
	h.open, h.generations, h.bytes = nil, nil, 0
}

// find returns the value of slot g as of sequence seq, if it has changed since.
func (h *history) find(seq uint64, g int32) ([]byte, bool) {
	for _, gen := range h.generations {
		if gen.seq > seq {
			if v, ok := gen.old[g]; ok {
				return v, true
			}
		}
	}
	return nil, false
}

func (h *history) enter(s *Scan) {
	if h.open == nil {
		h.open = map[*Scan]struct{}{}
	}
	h.open[s] = struct{}{}
}

// leave removes a scan and the generations that no other one wants.
func (h *history) leave(s *Scan) {
	delete(h.open, s)
	oldest := ^uint64(0)
	for o := range h.open {
		oldest = min(oldest, o.seq)
	}
	n := 0
	for n < len(h.generations) && h.generations[n].seq <= oldest {
		for _, v := range h.generations[n].old {
			h.bytes -= len(v) + savedOverhead
		}
		n++
	}
	h.generations = append([]generation(nil), h.generations[n:]...)
}
