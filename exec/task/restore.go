package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/log"
	"karst/planner/plan"
	"karst/sql/types"
)

// A frontier is where a unit stood at a commit. The changelog keeps it in its
// first partition.
type frontier struct {
	// Sources are the input positions by step and partition, Boot where the
	// tables end that are read before anything else.
	Sources map[string][]int64 `json:"sources"`
	Boot    map[string][]int64 `json:"boot,omitempty"`
	// Topics are the ids of the source topics that the positions are of.
	Topics map[string]string `json:"topics,omitempty"`
}

// frontierKey is the frontier's key in the changelog; those of stores begin
// with other letters.
var frontierKey = []byte("f")

func (f *frontier) encode() ([]byte, error) { return json.Marshal(f) }

// frontier returns where the unit stands.
func (u *Unit) frontier() *frontier {
	f := &frontier{Sources: map[string][]int64{}, Boot: map[string][]int64{}, Topics: map[string]string{}}
	_ = u.eachSource(func(n *node, s *source) error {
		id := n.step.Meta().ID
		f.Sources[id] = append(f.Sources[id], s.position)
		f.Topics[s.at.Topic] = n.topic.String()
		if n.first {
			f.Boot[id] = append(f.Boot[id], s.bootEnd)
		}
		return nil
	})
	return f
}

// Recover goes back to the last commit, or finds out what it was: it is the
// only way on after an error. It halves the input of rounds, drops the overlays, fences what may be under
// way, and reads the changelog from where the tables stand.
func (u *Unit) Recover(ctx context.Context) error {
	u.Close()
	u.limit = max(1, u.limit/2)
	return u.open(ctx)
}

// Careful reports whether each round should be committed, since one has failed
// not long ago.
func (u *Unit) Careful() bool { return u.limit < u.cfg.BatchRows }

// Close drops what is not committed.
func (u *Unit) Close() {
	if u.writer != nil {
		u.writer.Abort()
		u.writer.Close()
		u.writer = nil
	}
}

// open takes up the last commit. The order matters: the new writer ends what an
// earlier one has begun, then the positions are final, and only then the
// changelog's end tells how far it must be read.
func (u *Unit) open(ctx context.Context) error {
	for _, s := range u.stores {
		s.Abort()
	}
	var group map[log.Partition]int64
	var last *frontier
	var err error
	if !u.push() {
		if u.writer, err = u.cfg.Log.OpenWriter(ctx, u.group()); err != nil {
			return fmt.Errorf("opening writer: %w", err)
		}
		if group, err = u.cfg.Log.CommittedOffsets(ctx, u.group()); err != nil {
			return fmt.Errorf("reading committed positions: %w", err)
		}
	}
	if u.changelog != nil {
		if last, err = u.restore(ctx, len(group) > 0); err != nil {
			return err
		}
	}
	if err := u.takeUp(ctx, group, last); err != nil {
		return err
	}
	u.reset()
	if len(group) == 0 && !u.push() {
		// So that it begins there for ever.
		if err := u.endTransaction(ctx); err != nil {
			return err
		}
	}
	u.publish()
	return nil
}

// changelogSegmentBytes is that of Kafka Streams' changelogs. What is in the last
// segment is not compacted: the greater that is, the more of what was written
// over since stays on the disk.
const changelogSegmentBytes = "52428800"

// restore brings the committed tables to the changelog's end.
func (u *Unit) restore(ctx context.Context, known bool) (*frontier, error) {
	c := u.changelog
	t, err := u.cfg.Log.Topic(ctx, c.topic)
	switch {
	case errors.Is(err, log.ErrUnknownTopic) && known:
		return nil, lost(c, "is gone")
	case errors.Is(err, log.ErrUnknownTopic):
		t, err = u.cfg.Log.CreateTopic(ctx, c.topic, int32(len(c.at)), map[string]string{"cleanup.policy": "compact", "segment.bytes": changelogSegmentBytes})
	}
	if err != nil {
		return nil, fmt.Errorf("the changelog of query %s: %w", c.query, err)
	}
	if int(t.Partitions) != len(c.at) {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "the changelog %s has %d partitions, the query's state needs %d: a source topic has got more since; drop the query and create it again", c.topic, t.Partitions, len(c.at))
	}
	c.id = t.ID
	var last *frontier
	for p := range c.at {
		f, err := u.restorePartition(ctx, int32(p))
		if err != nil {
			return nil, fmt.Errorf("restoring partition %d from %s: %w", p, c.topic, err)
		}
		if p == 0 {
			last = f
		}
	}
	if known && last == nil {
		return nil, lost(c, "is empty")
	}
	return last, nil
}

// lost says that a query has run and its state is no more: it must not go on as
// if it began.
func lost(c *changelog, how string) error {
	return &types.Error{Kind: types.ErrStatement, Message: fmt.Sprintf("query %s has committed positions, but its changelog %s %s: its state is lost", c.query, c.topic, how),
		Hint: "Drop the query and create it again."}
}

// restorePartition brings one partition's tables to the changelog's end, from
// where they stand, or where the database stands, or from its beginning.
func (u *Unit) restorePartition(ctx context.Context, p int32) (*frontier, error) {
	c := u.changelog
	at := log.Partition{Topic: c.topic, Index: p}
	b, err := u.cfg.Log.Bounds(ctx, at)
	if err != nil {
		return nil, err
	}
	c.epoch[p] = b.LeaderEpoch
	r := restorer{u: u, partition: p}
	from, fromDB := c.at[p], false
	if from == (state.Position{}) {
		if from, fromDB, err = u.cfg.DB.Stamp(c.query, p); err != nil {
			return nil, err
		}
	}
	valid, err := u.valid(ctx, at, from, b)
	if err != nil {
		return nil, err
	}
	switch {
	case valid && fromDB:
		if err := u.cfg.DB.Scan(c.query, p, r.loaded); err != nil {
			return nil, err
		}
	case !valid:
		u.wipe(p)
		from.Next = b.Start
	}
	c.at[p] = state.Position{Topic: c.id, Epoch: b.LeaderEpoch, Next: from.Next}
	if err := u.replay(ctx, at, &c.at[p].Next, b.HighWatermark, r.replayed); err != nil {
		return nil, err
	}
	u.mu.Lock()
	u.counts.Loaded += r.fromDB
	u.counts.Replayed += r.fromLog
	u.mu.Unlock()
	if r.frontier == nil && p == 0 && c.frontier != nil && valid {
		r.frontier = c.frontier
	}
	if p == 0 {
		c.frontier = r.frontier
	}
	return r.frontier, nil
}

// valid reports whether the changelog still says up to a position what it said
// when the position was noted: it is the same topic, begins before, and its
// epoch was not cut short.
func (u *Unit) valid(ctx context.Context, at log.Partition, from state.Position, b log.Bounds) (bool, error) {
	if from.Topic != u.changelog.id || from.Next < b.Start || from.Next > b.HighWatermark {
		return false, nil
	}
	if from.Next < b.HighWatermark && from.TimeMS > 0 && u.cfg.Now().UnixMilli()-from.TimeMS > maxStampAgeMS {
		return false, nil // tombstones that follow may have been compacted away
	}
	end, err := u.cfg.Log.EpochEnd(ctx, at, from.Epoch)
	return err == nil && end >= from.Next, err
}

// maxStampAgeMS is half of Kafka's default of delete.retention.ms, 24 hours.
const maxStampAgeMS = 12 * 60 * 60 * 1000

// wipe forgets a partition's state.
func (u *Unit) wipe(p int32) {
	for _, s := range u.stores {
		if s.partition == p {
			s.Wipe()
		}
	}
	u.changelog.cuts[p], u.changelog.marks[p] = u.changelog.newCut(int(p)), 0
	u.cfg.DB.Wipe(u.changelog.query, p)
}

// replay reads a partition from an offset to the end, which it moves the
// offset to. Where that is behind an open transaction it waits for its outcome.
func (u *Unit) replay(ctx context.Context, at log.Partition, from *int64, end int64, apply func(key, value []byte) error) error {
	var r log.Records
	var wake chan struct{}
	for *from < end {
		next, err := u.cfg.Log.Fetch(ctx, at, *from, fetchBytes, &r)
		if err != nil {
			return err
		}
		for i := range r.Len() {
			if err := apply(r.Key(i), r.Value(i)); err != nil {
				return err
			}
		}
		if next > *from {
			*from = next
			u.changelog.marks[at.Index] = u.changelog.cuts[at.Index].Mark()
			u.changelog.cut(u.cfg.DB, u.cfg.Now(), false)
			continue
		}
		if wake == nil { // and look again, now that nothing can be missed
			wake = make(chan struct{}, 1)
			defer u.cfg.Log.Watch(func(topic string) {
				if topic == at.Topic {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			})()
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// A restorer applies the records of a changelog's partition.
type restorer struct {
	u               *Unit
	partition       int32
	frontier        *frontier
	fromDB, fromLog int64
}

func (r *restorer) loaded(key, value []byte) error {
	r.fromDB++
	return r.apply(key, value)
}

func (r *restorer) replayed(key, value []byte) error {
	r.fromLog++
	r.u.changelog.cuts[r.partition].Add(key, value)
	return r.apply(key, value)
}

func (r *restorer) apply(key, value []byte) error {
	if string(key) == string(frontierKey) {
		r.frontier = &frontier{}
		return json.Unmarshal(value, r.frontier)
	}
	// A store that an upgrade has done away with is passed over.
	if stores := r.u.byStep[string(state.RecordStore(key))]; int(r.partition) < len(stores) {
		return stores[r.partition].Restore(key, value)
	}
	return nil
}

// takeUp puts the sources where the last commit left them: where the group
// says, else the frontier. A unit that never ran begins where its plan says.
func (u *Unit) takeUp(ctx context.Context, group map[log.Partition]int64, last *frontier) error {
	readers := map[string]int{} // steps that read a topic
	known := map[string]int{}   // partitions of it that have a position
	for at := range group {
		known[at.Topic]++
	}
	for _, n := range u.nodes {
		if n.sources != nil {
			readers[n.sources[0].at.Topic]++
		}
	}
	if err := u.Check(ctx); err != nil && !errors.Is(err, ErrGrown) {
		return err
	}
	for i, n := range u.nodes {
		for p, s := range n.sources {
			if last != nil && last.Topics[s.at.Topic] != "" && last.Topics[s.at.Topic] != n.topic.String() {
				return u.remade(s.at.Topic)
			}
			b, err := u.cfg.Log.Bounds(ctx, s.at)
			if err != nil {
				return err
			}
			next, ok := group[s.at]
			id := n.step.Meta().ID
			if last != nil && p < len(last.Sources[id]) && (!ok || readers[s.at.Topic] > 1) {
				next, ok = last.Sources[id][p], true
			}
			if n.first {
				switch s.bootEnd = b.HighWatermark; {
				case last != nil && p < len(last.Boot[id]):
					s.bootEnd = last.Boot[id][p]
				case ok:
					s.bootEnd = 0
				}
			}
			switch {
			case ok:
			case len(group) > 0 || last != nil:
				if next, err = u.newPartition(i, s, known[s.at.Topic], b); err != nil {
					return err
				}
			case u.plan.FromLatest && (!n.step.Meta().IsTable || u.changesOnly()):
				next = b.HighWatermark
			default:
				next = b.Start
			}
			if ok && next < b.Start {
				u.cfg.Report(operator.Fault{Step: id, Topic: s.at.Topic, Reason: operator.ReasonRemoved, Partition: s.at.Index, Offset: b.Start - 1,
					Message: fmt.Sprintf("the topic's records from offset %d to %d were removed before they were read", next, b.Start-1)})
			}
			s.seek(min(max(next, b.Start), b.HighWatermark))
			s.committed = s.position
		}
	}
	return nil
}

// changesOnly reports whether the unit is a push query that keeps nothing of
// what it reads: from latest it then gives a table's changes alone.
func (u *Unit) changesOnly() bool {
	if !u.push() {
		return false
	}
	only := true
	plan.Walk(u.plan.Root, func(s plan.Step) {
		switch s.(type) {
		case *plan.Source, *plan.Filter, *plan.Project, *plan.Output:
		default:
			only = false
		}
	})
	return only
}

// newPartition returns where to begin with a partition that has no position
// though others have.
func (u *Unit) newPartition(node int, s *source, known int, b log.Bounds) (int64, error) {
	switch {
	case known == 0 || int(s.at.Index) < known:
		return 0, types.Errorf(types.ErrStatement, types.Pos{}, "query %s has no committed position for topic %s partition %d, though it has run: drop the query and create it again", u.plan.QueryID, s.at.Topic, s.at.Index)
	case u.placed(node):
		return 0, types.Errorf(types.ErrStatement, types.Pos{}, "topic %s has got a new partition %d, but the state of query %s was made for %d: drop the query and create it again", s.at.Topic, s.at.Index, u.plan.QueryID, known)
	}
	return b.Start, nil
}

// placed reports whether state's partitions are those of a node's output: no
// exchange comes before it.
func (u *Unit) placed(node int) bool {
	if u.nodes[node].stateful {
		return true
	}
	for i, n := range u.nodes {
		if n.exchange == nil && slices.Contains(n.inputs, node) && u.placed(i) {
			return true
		}
	}
	return false
}

// stateful gives the unit a changelog if it has anything to keep there.
func (u *Unit) stateful() {
	if u.push() || u.cfg.DB == nil || len(u.stores) == 0 {
		return
	}
	parts := 0
	for _, stores := range u.byStep {
		parts = max(parts, len(stores))
	}
	u.changelog = newChangelog(u.plan, parts)
}
