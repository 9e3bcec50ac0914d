package expr

import (
	"maps"
	"slices"

	"karst/sql"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// A lambda's parameters are columns too: those of a batch made for the body,
// behind the columns that are in scope where the lambda stands. In a lambda
// within a lambda the outer one's parameters are such columns.

// A lambdaPart is a lambda whose body is compiled once its parameters' types
// are known.
type lambdaPart struct {
	expr *sql.Lambda
	base int // columns in scope outside
	uses []int
	meta bool // the body refers to pseudo columns
	body typed
}

// A lambdaParam is a parameter in scope: its type and its column.
type lambdaParam struct {
	typ    *types.Type
	column int
}

func (k *compiler) param(p lambdaParam, at types.Pos) typed {
	k.use(p.column)
	return typed{typ: p.typ, at: at, eval: func(_ *Context, b *vector.Batch, _ []int32) *vector.Vector { return b.Cols[p.column] }}
}

// bindLambda compiles a lambda's body for parameters of the given types and
// returns its result's type.
func (k *compiler) bindLambda(l *lambdaPart, params []*types.Type) (*types.Type, error) {
	if len(params) != len(l.expr.Params) {
		return nil, types.Errorf(types.ErrFunction, l.expr.Pos(), "the lambda takes %d arguments, %d are given", len(l.expr.Params), len(params))
	}
	inner := *k
	l.base = len(k.scope.Columns) + k.depth
	inner.params, inner.used, inner.errs = maps.Clone(k.params), map[int]bool{}, nil
	inner.depth += len(params)
	for i, name := range l.expr.Params {
		inner.params[name] = lambdaParam{params[i], l.base + i}
	}
	l.body, l.uses, l.meta = inner.expr(l.expr.Body), nil, false
	for i := range inner.used {
		if i == metaColumn {
			l.meta = true
		} else if i < l.base {
			l.uses = append(l.uses, i)
		}
		if i < l.base {
			k.use(i)
		}
	}
	slices.Sort(l.uses)
	if len(inner.errs) > 0 {
		return nil, inner.errs[0]
	}
	return l.body.typ, nil
}

// metaColumn stands for the pseudo columns among the columns that are used.
const metaColumn = -1

// function returns the lambda as a kernel calls it.
func (l *lambdaPart) function(c *Context, b *vector.Batch) function.LambdaFunc {
	return func(params []*vector.Vector, outer []int32) (*vector.Vector, error) {
		// The body's columns are those of the row each parameter belongs to.
		inner := &vector.Batch{N: len(outer), Cols: make([]*vector.Vector, l.base+len(params))}
		for _, i := range l.uses {
			inner.Cols[i] = gather(c.Arena, b.Cols[i], outer)
		}
		copy(inner.Cols[l.base:], params)
		if l.meta {
			inner.Time, inner.Offset = pick(b.Time, outer), pick(b.Offset, outer)
			inner.WindowStart, inner.WindowEnd = pick(b.WindowStart, outer), pick(b.WindowEnd, outer)
			inner.Partition = pick(b.Partition, outer)
		}
		ic := *c
		ic.Report = func(row int32, message string) { c.report(outer[row], message) }
		return l.body.eval(&ic, inner, inner.Selected(c.Arena)), nil
	}
}

func pick[T any](from []T, at []int32) []T {
	if from == nil {
		return nil
	}
	out := make([]T, len(at))
	for i, row := range at {
		out[i] = from[row]
	}
	return out
}
