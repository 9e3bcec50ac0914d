package task

import (
	"context"
	"errors"
	"fmt"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/log"
	"karst/planner/plan"
	"karst/sql/types"
)

// A node is a step with its instances, one a partition.
type node struct {
	step   plan.Step
	inputs []int // nodes
	parts  int   // partitions

	ops      []operator.Operator
	sources  []*source
	topic    log.TopicID // of the sources
	sinks    []*operator.Sink
	exchange []*operator.Exchange // of the sending side, by its partitions
	stateful bool                 // it has stores
	first    bool                 // a table that is read before any stream
}

// build makes nodes of the plan, inputs before the nodes that read them.
func (u *Unit) build(ctx context.Context) error {
	needed, err := operator.ComputeNeeded(u.plan.Root)
	if err != nil {
		return err
	}
	if _, err = u.buildNode(ctx, u.plan.Root, needed); err != nil {
		return err
	}
	sources := 0
	for _, n := range u.nodes {
		if n.sources != nil {
			sources++
		}
	}
	u.merged = sources > 1
	return nil
}

func (u *Unit) buildNode(ctx context.Context, s plan.Step, needed operator.Needed) (int, error) {
	n := &node{step: s}
	for _, in := range s.Inputs() {
		i, err := u.buildNode(ctx, in, needed)
		if err != nil {
			return 0, err
		}
		n.inputs = append(n.inputs, i)
		n.parts = max(n.parts, u.nodes[i].parts)
	}
	var err error
	stores := len(u.stores)
	switch s := s.(type) {
	case *plan.Source:
		err = u.buildSource(ctx, n, s, needed)
	case *plan.Exchange:
		err = u.buildExchange(n, s)
	case *plan.Sink:
		for p := range n.parts {
			var k *operator.Sink
			if k, err = operator.NewSink(s, u.deps(p)); err != nil {
				break
			}
			n.sinks = append(n.sinks, k)
		}
	case *plan.Output:
	default:
		for p := range n.parts {
			var op operator.Operator
			if op, err = operator.Build(s, needed, u.deps(p)); err != nil {
				break
			}
			n.ops = append(n.ops, op)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("building step %s: %w", s.Meta().ID, err)
	}
	if j, ok := s.(*plan.StreamTableJoin); ok {
		u.markFirst(j.Table)
	}
	n.stateful = len(u.stores) > stores
	u.nodes = append(u.nodes, n)
	return len(u.nodes) - 1, nil
}

// markFirst marks the sources below a join's table side.
func (u *Unit) markFirst(table plan.Step) {
	plan.Walk(table, func(s plan.Step) {
		for _, n := range u.nodes {
			if n.step == s && n.sources != nil {
				n.first = true
			}
		}
	})
}

func (u *Unit) buildSource(ctx context.Context, n *node, s *plan.Source, needed operator.Needed) error {
	t, err := u.cfg.Log.Topic(ctx, s.Topic)
	if err != nil {
		return err
	}
	n.parts, n.topic = int(t.Partitions), t.ID
	for p := range n.parts {
		op, err := operator.NewSource(s, needed, u.deps(p))
		if err != nil {
			return err
		}
		n.sources = append(n.sources, &source{op: op, at: log.Partition{Topic: s.Topic, Index: int32(p)}, arena: u.cfg.NewArena()})
	}
	return nil
}

// ErrGrown says that a source topic has more partitions than when the unit was
// made: another unit must take its place.
var ErrGrown = errors.New("a source topic has got more partitions")

// Check holds that the source topics are those that the unit was made for.
func (u *Unit) Check(ctx context.Context) error {
	var grown error
	for _, n := range u.nodes {
		if n.sources == nil {
			continue
		}
		name := n.sources[0].at.Topic
		t, err := u.cfg.Log.Topic(ctx, name)
		switch {
		case err != nil:
			return err
		case t.ID != n.topic:
			return u.remade(name)
		case int(t.Partitions) > n.parts:
			grown = ErrGrown
		}
	}
	return grown
}

// remade says that positions of a topic are those of another one.
func (u *Unit) remade(topic string) error {
	return types.Errorf(types.ErrStatement, types.Pos{}, "topic %s was deleted and made again, but query %s has read the old one: drop the query and create it again", topic, u.plan.QueryID)
}

func (u *Unit) buildExchange(n *node, s *plan.Exchange) error {
	senders := n.parts
	n.parts = s.Partitions
	for p := range max(senders, n.parts) {
		x, err := operator.NewExchange(s, u.deps(p))
		if err != nil {
			return err
		}
		n.exchange = append(n.exchange, x)
	}
	return nil
}

// deps returns what operators of a partition are built with.
func (u *Unit) deps(partition int) operator.Deps {
	return operator.Deps{
		EveryChange: u.plan.EveryChange, Settings: u.plan.Settings, Place: log.PartitionForKey, Registry: u.cfg.Registry,
		Store: func(id string, l state.Layout) (*state.Store, error) {
			s := state.NewStore(id, l)
			if old := u.cfg.Before; old != nil && u.cfg.DB == nil && partition < len(old.byStep[id]) {
				s = old.byStep[id][partition]
			}
			u.stores = append(u.stores, partitionStore{s, int32(partition)})
			u.byStep[id] = append(u.byStep[id], s)
			return s, nil
		},
	}
}
