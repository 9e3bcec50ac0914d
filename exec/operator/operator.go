package operator

import (
	"time"

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

// A Context is what a round gives to the operators of a task.
type Context struct {
	Arena     *vector.Arena
	Now       func() time.Time
	Rand      func() uint64
	Partition int32
	// Report counts and logs a record-level fault; processing goes on.
	Report func(Fault)
}

// A Fault is one record (or row) that could not be processed in full.
type Fault struct {
	Step    string // id of the step
	Reason  string // one of a small set, for counters: "malformed", "wrong type", "expression"…
	Message string // what was found where; may quote the data in brief
	// Topic position of the record if it is known, else Offset is -1.
	Partition int32
	Offset    int64
}
