package exec

import (
	"errors"
	"fmt"
	"sync/atomic"

	"karst/sql/types"
)

// A budget bounds the memory that queries' state may take together. A query
// that would take more stops reading, with the reason, at its last commit: what
// it has not read waits in the log.
type budget struct {
	limit int64 // bytes; 0: none
	used  atomic.Int64
}

// errMemory says that a query stopped because of the budget.
var errMemory = errors.New("out of memory for state")

// note takes down how much a query's state takes now.
func (b *budget) note(r *running, bytes int64) {
	b.used.Add(bytes - r.bytes)
	r.bytes = bytes
}

// check returns an error if there is no room for more.
func (b *budget) check() error {
	used := b.used.Load()
	if b.limit == 0 || used <= b.limit {
		return nil
	}
	return fmt.Errorf("%w: %w", errMemory, &types.Error{Kind: types.ErrLimit,
		Message: fmt.Sprintf("the state of all queries takes %d MiB of memory, %d MiB are allowed", used>>20, b.limit>>20),
		Hint:    "Give the process more memory (GOMEMLIMIT), give windows a RETENTION, or drop a query; then RESUME this one."})
}

// commitBytes is the size of what is not committed yet at which a query commits:
// a share of the budget.
func (b *budget) commitBytes() int {
	if b.limit == 0 {
		return maxCommitBytes
	}
	return int(min(maxCommitBytes, max(b.limit/16, 1<<20)))
}

const maxCommitBytes = 64 << 20
