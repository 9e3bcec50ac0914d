package exec

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
)

// settle is Quiesce of a serial engine: each query in the order of their
// making catches up, and before the next one those that read what it has
// written do.
func (e *Engine) settle(ctx context.Context) error {
	for _, id := range inOrder(e.Catalog().QueryIDs()) {
		if err := e.settleQuery(ctx, id, nil); err != nil {
			return err
		}
	}
	return nil
}

// settleQuery does it for one query; above are those that it reads from.
func (e *Engine) settleQuery(ctx context.Context, id string, above []string) error {
	cat := e.Catalog()
	q, ok := cat.Query(id)
	if !ok || slices.Contains(above, id) {
		return nil
	}
	e.mu.RLock()
	r := e.queries[id]
	e.mu.RUnlock()
	if r == nil || r.paused {
		return nil
	}
	ends, err := e.ends(ctx, r.topics)
	if err != nil {
		return err
	}
	if err := r.waitFor(ctx, ends); err != nil {
		return err
	}
	for _, reader := range inOrder(cat.Readers(q.Sink)) {
		if err := e.settleQuery(ctx, reader, append(above, id)); err != nil {
			return err
		}
	}
	return nil
}

// inOrder sorts query ids by when they were made: by the command offset that
// they end in.
func inOrder(ids []string) []string {
	number := func(id string) int {
		n, err := strconv.Atoi(id[strings.LastIndexByte(id, '_')+1:])
		if err != nil {
			return -1 // named by its user
		}
		return n
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return ids
}
