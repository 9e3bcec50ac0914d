package exec

import (
	"errors"
	"fmt"
	"strings"

	"karst/exec/task"
	"karst/log"
	"karst/planner/plan"
)

// forget removes what a dropped query has kept: its positions, its changelog and
// what the database has of that.
func (e *Engine) forget(id string) {
	err := e.opts.Log.DeleteGroup(e.ctx, task.Group(id))
	if terr := e.opts.Log.DeleteTopic(e.ctx, plan.ChangelogTopic(id)); terr != nil && !errors.Is(terr, log.ErrUnknownTopic) {
		err = errors.Join(err, terr)
	}
	if e.opts.DB != nil {
		err = errors.Join(err, e.opts.DB.Drop(id))
	}
	if err != nil {
		e.opts.Logger.Warn("removing what a dropped query has kept; it is tried again at the next start", "query", id, "error", err)
	}
}

// sweep forgets dropped queries of which something is left: the engine did not
// get that far when they were dropped.
func (e *Engine) sweep() error {
	left := map[string]bool{}
	topics, err := e.opts.Log.Topics(e.ctx)
	if err != nil {
		return fmt.Errorf("looking for changelogs: %w", err)
	}
	for _, t := range topics {
		if id, ok := strings.CutPrefix(t.Name, plan.ChangelogPrefix); ok {
			left[id] = true
		}
	}
	for _, id := range e.ended {
		offsets, err := e.opts.Log.CommittedOffsets(e.ctx, task.Group(id))
		if err != nil {
			return fmt.Errorf("looking for positions of query %s: %w", id, err)
		}
		left[id] = left[id] || len(offsets) > 0
	}
	if e.opts.DB != nil {
		ids, err := e.opts.DB.Queries()
		if err != nil {
			return err
		}
		for _, id := range ids {
			left[id] = true
		}
	}
	for id := range left {
		if _, live := e.cat.Query(id); left[id] && !live {
			e.forget(id)
		}
	}
	e.ended = nil
	return nil
}
