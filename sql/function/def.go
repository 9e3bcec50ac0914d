package function

import (
	"time"

	"karst/sql/types"
	"karst/sql/vector"
)

// Kind tells how a function is used.
type Kind uint8

// The kinds of functions.
const (
	Scalar    Kind = iota + 1 // a value for each row
	Aggregate                 // a value for each group of rows
	Table                     // zero or more rows for each row
)

// Category is the family under which a function is listed.
type Category string

// A Def is everything there is to know of one function.
type Def struct {
	Name        string // upper case
	Kind        Kind
	Category    Category
	Description string // our own words, one or two sentences
	Signatures  []Signature
	Examples    []Example
	Groups      []GroupExample // an aggregate's examples
	Settings    []Setting      // the session's properties it obeys
}

// A Setting is a property of the session that changes what a function does. A
// query keeps those it was made with.
type Setting struct {
	Name        string // begins with SettingPrefix
	Default     string
	Description string
}

// SettingPrefix is what the names of all functions' settings begin with.
const SettingPrefix = "ksql.functions."

// An Example is a call and its result, both as SQL expressions over constants;
// the library's test evaluates and compares them. A table function's result is
// an array of the rows.
type Example struct {
	Call string // e.g. UCASE('abc')
	Want string // e.g. 'ABC'
}

// A GroupExample is a call of an aggregate over the columns x, y… of rows.
type GroupExample struct {
	Call string   // e.g. SUM(x)
	Rows []string // each row's values, e.g. 1, 'a'
	Want string
}

// A Signature is one way to call a function. Exactly one of the kernels is
// set, by the Def's Kind.
type Signature struct {
	Params []Param
	// Returns computes the result type from the arguments' types after
	// coercion to the params (decimal precision, element types…) or refuses
	// them with a user-readable reason.
	// bound holds the types of type variables.
	Returns func(args []Arg, bound map[string]*types.Type) (*types.Type, error)

	// NullTolerant: the kernel sees rows with null arguments. Otherwise any
	// null argument gives null and the kernel is not asked for that row.
	NullTolerant bool

	// Volatile: not folded when all arguments are constant (RANDOM, UUID,
	// UNIX_TIMESTAMP).
	Volatile bool

	// Configure, if set, returns the signature to use under settings that its
	// Def names; a value that does not fit is refused.
	Configure func(settings map[string]string) (*Signature, error)

	Scalar    func(args []Arg) (ScalarKernel, error) // called once per call site
	Aggregate func(args []Arg) (AggregateKernel, error)
	Table     func(args []Arg) (TableKernel, error)
}

// Under returns the signature as it is under the session's settings.
func (s *Signature) Under(settings map[string]string) (*Signature, error) {
	if s.Configure == nil {
		return s, nil
	}
	return s.Configure(settings)
}

// A Param is one parameter of a signature.
type Param struct {
	Name        string
	Description string // what it is; from the glossary
	Pattern     *Pattern
	Variadic    bool // the last parameter may repeat, zero times or more
	Const       bool // must be constant
}

// An Arg is one resolved argument of a call site.
type Arg struct {
	Type *types.Type
	// Const is the argument's value as a vector of one row if it is constant,
	// else nil.
	Const *vector.Vector
	Text  string // the argument as an error quotes it; may be empty
	// Lambda is set for a lambda argument.
	Lambda *LambdaType
}

// A LambdaType is the shape of a lambda argument once its parameters' types
// are known.
type LambdaType struct {
	Params []*types.Type
	Result *types.Type
}

// A Call is what a scalar or table kernel gets for one batch.
type Call struct {
	Arena *vector.Arena
	N     int     // rows of the batch; every vector argument has N rows
	Sel   []int32 // the rows to compute, never nil
	Args  []*vector.Vector
	// Lambdas[i] evaluates argument i if it is a lambda.
	Lambdas []LambdaFunc
	Now     func() time.Time // the engine's clock
	Rand    func() uint64    // the engine's source of randomness
	// Fail reports that row's computation failed: the row's result is null
	// and the message is logged and counted.
	Fail func(row int32, message string)
}

// A LambdaFunc evaluates a lambda's body over rows rows of parameters.
// outer[i] is the row of the batch that parameter row i belongs to, so that
// the body may refer to columns; parameters and result have len(outer) rows.
type LambdaFunc func(params []*vector.Vector, outer []int32) (*vector.Vector, error)

// A ScalarKernel computes rows c.Sel of the result, a vector of c.N rows of
// the signature's result type, taken from c.Arena. Without NullTolerant it
// need not look at the arguments' validity.
type ScalarKernel func(c *Call) (*vector.Vector, error)

// A TableKernel returns for each selected row zero or more values: counts[i]
// rows for c.Sel[i], concatenated in out.
type TableKernel func(c *Call) (counts []int32, out *vector.Vector, err error)

// An AggregateKernel folds rows into groups' cells, strictly in order. One
// aggregate's state is independent of the others', so a caller that emits every
// change runs each kernel over all rows with a Trace and gets that aggregate's
// value after each row as one vector.
type AggregateKernel interface {
	// Layout says what the state needs: fixed bytes (a multiple of 8, zeroed
	// when a group is made) and the offsets within them of variable cells
	// (each vector.BlobCellBytes long, inside the fixed bytes).
	Layout() (fixedBytes int, blobs []int)
	// Result is the type of the final value.
	Result() *types.Type
	// Update folds row rows[i] of the arguments into group groups[i]. With
	// trace set it also returns the value of groups[i] after each step i, a
	// vector of len(rows) rows; else nil.
	Update(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector
	// Values writes the current value of groups[i] to row i of the result.
	Values(c *AggregateCall, groups []int32) *vector.Vector
}

// An Undoer is an AggregateKernel that can take a row back, which an
// aggregate over a table needs.
type Undoer interface {
	// Undo takes row rows[i] back from groups[i]; trace as in Update.
	Undo(c *AggregateCall, rows, groups []int32, trace bool) *vector.Vector
}

// A Merger is an AggregateKernel whose groups can be joined, which session
// windows need: into's rows come before from's when both have seen rows.
type Merger interface {
	Merge(c *AggregateCall, into, from int32)
}

// An AggregateCall carries a batch's arguments and the state.
type AggregateCall struct {
	Arena *vector.Arena
	Args  []*vector.Vector // null values are included; most aggregates skip them
	Cells vector.Cells
	// Fail reports that folding a row failed; the row changes nothing.
	Fail func(row int32, message string)
}
