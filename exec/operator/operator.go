package operator

import (
	"fmt"
	"time"

	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/expr"
	"karst/sql/format"
	"karst/sql/vector"
)

// An Operator is one step of a plan on one partition. It processes a round:
// given the round's batch of each input, in the order of the step's Inputs, it
// returns the round's output, nil if there is none. An input that has no rows
// this round is nil.
//
// The output may share the inputs' vectors and lives, like them, until the
// end of the round. An operator starts no goroutine and is used by one at a
// time; its state is in exec/state stores, so that a round can be undone by
// dropping their overlays.
type Operator interface {
	Run(c *Context, in []*vector.Batch) (*vector.Batch, error)
}

// A Flusher is an Operator that holds back changes until the commit: by
// default a table emits one change per key and commit.
type Flusher interface {
	// Flush returns the changes held back; nil if there are none.
	Flush(c *Context) (*vector.Batch, error)
}

// A Resetter is an Operator that remembers something beside its stores, which
// it must forget, or build again from them, after a round has been undone.
type Resetter interface{ Reset() }

// A Collector is an Operator whose state expires. Collect, called before a
// commit, may delete what no row and no reader can reach any more, which is a
// matter of the logged stream time alone: when it does so shows in no answer.
type Collector interface{ Collect() }

// A Context is what a round gives to the operators of a task.
type Context struct {
	Arena     *vector.Arena
	Now       func() time.Time
	Rand      func() uint64
	Partition int32
	// Report counts and logs a record-level fault; processing goes on.
	Report func(Fault)
}

// eval returns the context of an expression of a step over batch b.
func (c *Context) eval(step string, b *vector.Batch) *expr.Context {
	return &expr.Context{Arena: c.Arena, Now: c.Now, Rand: c.Rand, Report: func(row int32, message string) {
		f := Fault{Step: step, Reason: ReasonExpression, Message: message, Partition: c.Partition, Offset: -1}
		if b.Offset != nil {
			f.Partition, f.Offset = b.Partition[row], b.Offset[row]
		}
		c.Report(f)
	}}
}

// Reasons of faults beside those of sql/format.
const (
	ReasonExpression = "expression"
	ReasonTimestamp  = "timestamp"
	ReasonLate       = "late"
	ReasonNullKey    = "null key"
	ReasonRemoved    = "removed" // from the topic, by retention
)

// A Fault is one record (or row) that could not be processed in full.
type Fault struct {
	Step    string // id of the step
	Topic   string // "" if not known
	Reason  string // one of a small set, for counters
	Message string // what was found where; may quote the data in brief
	// Position of the record if it is known, else Offset is -1.
	Partition int32
	Offset    int64
}

// Deps are what operators are built with.
type Deps struct {
	// Store returns the store of that id on this partition.
	Store       func(id string, l state.Layout) (*state.Store, error)
	EveryChange bool
	Settings    map[string]string
	Registry    format.Registry // of the schemas of records
	// Place returns the partition, of n, that a record with these key bytes
	// belongs to.
	Place func(key []byte, n int) int
}

// Build returns the operator of a step. Sources, sinks and exchanges have
// types of their own, see NewSource, NewSink and NewExchange. needed says
// which columns of each step's output are used.
func Build(step plan.Step, needed Needed, d Deps) (Operator, error) {
	switch s := step.(type) {
	case *plan.Filter:
		return newFilter(s, d)
	case *plan.Project:
		return newProject(s, needed, d)
	case *plan.Explode:
		return newExplode(s, d)
	case *plan.Rekey:
		return newRekey(s, d)
	case *plan.Aggregate:
		return newAggregate(s, d)
	case *plan.StreamTableJoin:
		return newStreamTableJoin(s, d)
	case *plan.TableTableJoin:
		return newTableTableJoin(s, d)
	case *plan.StreamStreamJoin:
		return newStreamStreamJoin(s, d)
	case *plan.ForeignKeySubscribe:
		return newForeignKeySubscribe(s, d)
	case *plan.ForeignKeyAnswer:
		return newForeignKeyAnswer(s, d)
	case *plan.ForeignKeyResult:
		return newForeignKeyResult(s, d)
	}
	return nil, fmt.Errorf("step %s: no operator for a %s", step.Meta().ID, plan.TypeName(step))
}

// scope is the scope of expressions over a step's output.
func scope(in plan.Step) expr.Scope {
	m := in.Meta()
	return expr.ScopeOf(m.Schema, m.Window != nil)
}

// compile compiles a plan's expression over a step's output.
func compile(text string, in plan.Step, settings map[string]string) (*expr.Program, error) {
	sc := scope(in)
	sc.Settings = settings
	p, err := expr.CompileText(text, sc)
	if err != nil {
		return nil, fmt.Errorf("step %s: %s: %w", in.Meta().ID, text, err)
	}
	return p, nil
}
