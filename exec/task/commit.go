package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/log"
	"karst/planner/plan"
	"karst/sql/vector"
)

// Commit makes everything since the last commit durable and visible, all
// together. After an error nobody may know whether it has happened: only
// Recover goes on.
//
// A commit without effect (no output, no change of state) waits in memory, at
// most lazyAfter or until Stop: after a crash those rows are read again.
func (u *Unit) Commit(ctx context.Context) error {
	if u.push() {
		return u.flushPush()
	}
	if !u.dirty {
		return nil
	}
	u.arena.Reset()
	if err := u.run(make([][]*vector.Batch, len(u.nodes)), true); err != nil {
		return err
	}
	for _, n := range u.nodes {
		for _, op := range n.ops {
			if c, ok := op.(operator.Collector); ok {
				c.Collect()
			}
		}
	}
	if now := u.cfg.Now(); !u.effective() && now.Sub(u.durable) < lazyAfter {
		u.dirty, u.lazy = false, true
		u.publish()
		return nil
	}
	if err := u.Check(ctx); err != nil && !errors.Is(err, ErrGrown) {
		return err
	}
	if err := u.endTransaction(ctx); err != nil {
		return err
	}
	u.publish()
	if u.changelog != nil {
		u.changelog.cut(u.cfg.DB, u.cfg.Now(), false)
	}
	return nil
}

// lazyAfter is how long positions of rows without effect may be known in memory
// alone.
const lazyAfter = 5 * time.Second

// effective reports whether anything but positions has changed.
func (u *Unit) effective() bool {
	if u.size > 0 {
		return true
	}
	for _, b := range u.rows {
		if b.Len() > 0 {
			return true
		}
	}
	for _, s := range u.stores {
		if s.Changed() {
			return true
		}
	}
	return false
}

// endTransaction writes what is to be committed and waits for the decision.
func (u *Unit) endTransaction(ctx context.Context) error {
	if u.changelog != nil {
		if err := u.logState(); err != nil {
			return err
		}
	}
	for at, b := range u.rows {
		if err := u.append(at, b); err != nil {
			return err
		}
	}
	clear(u.rows)
	if err := u.writer.Offsets(u.group(), u.sourcePositions()); err != nil {
		return err
	}
	done := make(chan error, 1)
	u.writer.Commit(func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("committing: %w", err)
		}
	case <-ctx.Done():
		return fmt.Errorf("committing: %w", ctx.Err())
	}
	u.dirty, u.lazy, u.size, u.durable = false, false, 0, u.cfg.Now()
	u.most = min(u.most+u.most/16+1, u.cfg.BatchRows)
	u.limit = min(2*u.limit, u.most)
	if u.changelog != nil {
		return u.changelog.committed()
	}
	return nil
}

// logState writes each changed key's new value to the changelog, and the
// frontier.
func (u *Unit) logState() error {
	now := u.cfg.Now().UnixMilli()
	for _, s := range u.stores {
		if err := s.Changes(func(key, value []byte) error { return u.logRecord(s.partition, now, key, value) }); err != nil {
			return err
		}
	}
	u.changelog.next = u.frontier()
	f, err := u.changelog.next.encode()
	if err != nil {
		return err
	}
	return u.logRecord(0, now, frontierKey, f)
}

func (u *Unit) logRecord(p int32, now int64, key, value []byte) error {
	u.changelog.cuts[p].Add(key, value)
	at := log.Partition{Topic: u.changelog.topic, Index: p}
	b := u.rows[at]
	if b == nil {
		b = &log.Builder{}
		u.rows[at] = b
	}
	if b.Add(now, key, value, nil); b.Bytes() >= maxBatchBytes {
		return u.append(at, b)
	}
	return nil
}

// sourcePositions returns the next offset of each source partition; a topic
// read twice counts by the one that is behind.
func (u *Unit) sourcePositions() map[log.Partition]int64 {
	next := map[log.Partition]int64{}
	_ = u.eachSource(func(_ *node, s *source) error {
		if old, ok := next[s.at]; !ok || s.position < old {
			next[s.at] = s.position
		}
		return nil
	})
	return next
}

// publish makes the state visible and notes the positions.
func (u *Unit) publish() {
	for _, s := range u.stores {
		s.Merge()
	}
	next, consumed := u.sourcePositions(), int64(0)
	_ = u.eachSource(func(_ *node, s *source) error {
		s.committed = s.position
		consumed += s.consumed
		return nil
	})
	u.mu.Lock()
	u.committed = next
	u.counts.Consumed = consumed
	u.mu.Unlock()
}

// Stop commits what there is and writes the state down.
func (u *Unit) Stop(ctx context.Context) error {
	if u.writer == nil {
		return nil
	}
	u.dirty, u.durable = u.dirty || u.lazy, time.Time{}
	err := u.Commit(ctx)
	if err == nil && u.changelog != nil {
		u.changelog.cut(u.cfg.DB, u.cfg.Now(), true)
	}
	u.writer.Close()
	u.writer = nil
	return err
}

// Halt drops what is not committed and writes the state down: for a round that was
// broken off.
func (u *Unit) Halt() {
	u.Close()
	u.reset()
	if u.changelog != nil {
		u.changelog.cut(u.cfg.DB, u.cfg.Now(), true)
	}
}

// A changelog is what a unit knows of its changelog topic, by partition.
type changelog struct {
	query string
	topic string
	id    log.TopicID
	at    []state.Position // up to where the committed tables know it
	epoch []int32          // at open
	last  [][]byte         // last batch of the open transaction
	cuts  []*state.Cut     // committed since the last cut, and what is not yet
	marks []int            // of those: what is committed
	cutAt time.Time
	// frontier is the one of the last commit, next of the open transaction.
	frontier, next *frontier
}

func newChangelog(p *plan.Plan, partitions int) *changelog {
	c := &changelog{query: p.QueryID, topic: plan.ChangelogTopic(p.QueryID)}
	c.at, c.epoch = make([]state.Position, partitions), make([]int32, partitions)
	c.last, c.marks = make([][]byte, partitions), make([]int, partitions)
	for i := range partitions {
		c.cuts = append(c.cuts, c.newCut(i))
	}
	return c
}

func (c *changelog) newCut(partition int) *state.Cut {
	return &state.Cut{Query: c.query, Partition: int32(partition)}
}

// committed notes how far the changelog goes after a commit: the log has set
// the offsets of its batches.
func (c *changelog) committed() error {
	for p, batch := range c.last {
		if batch == nil {
			continue
		}
		info, err := log.ReadHeader(batch)
		if err != nil {
			return err
		}
		c.last[p] = nil
		c.at[p].Topic, c.at[p].Epoch, c.at[p].Next = c.id, max(c.epoch[p], info.LeaderEpoch), info.LastOffset+1
		c.marks[p] = c.cuts[p].Mark()
	}
	c.frontier = c.next
	return nil
}

// abort forgets what is not committed.
func (c *changelog) abort() {
	for p := range c.cuts {
		c.last[p] = nil
		c.cuts[p].Truncate(c.marks[p])
	}
}

// The database gets what has changed when it is this much, or this old: so the
// tail that a restart must read stays short.
const (
	cutRecords  = 256 << 10
	cutBytes    = 16 << 20
	cutInterval = time.Second
)

// cut hands what is committed to the database, if it is time.
func (c *changelog) cut(db *state.DB, now time.Time, always bool) {
	always = always || now.Sub(c.cutAt) >= cutInterval
	for p, cut := range c.cuts {
		always = always || cut.Len() >= cutRecords/len(c.cuts) || cut.Bytes() >= cutBytes/len(c.cuts)
		if always && cut.Len() > 0 {
			c.submit(db, p, now)
		}
	}
	if always {
		c.cutAt = now
	}
}

// submit hands a partition's cut over.
func (c *changelog) submit(db *state.DB, p int, now time.Time) {
	cut := c.cuts[p]
	cut.At = c.at[p]
	cut.At.TimeMS = now.UnixMilli()
	db.Submit(cut)
	c.cuts[p], c.marks[p] = c.newCut(p), 0
}
