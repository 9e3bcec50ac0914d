package expr

import (
	"karst/sql"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

func (k *compiler) call(e *sql.Call) typed {
	args := make([]typed, len(e.Args))
	sig := make([]function.Arg, len(e.Args))
	for i, a := range e.Args {
		if l, ok := a.(*sql.Lambda); ok {
			args[i] = typed{typ: types.Lambda, at: a.Pos(), lambda: &lambdaPart{expr: l}}
			sig[i] = function.Arg{Type: types.Lambda, Lambda: &function.LambdaType{Params: make([]*types.Type, len(l.Params))}}
			continue
		}
		args[i] = k.argument(a)
		if args[i].typ == nil {
			return typed{}
		}
		sig[i] = function.Arg{Type: args[i].typ, Const: args[i].konst, Text: sql.PrintExpr(a)}
	}
	if len(k.errs) > 0 {
		return typed{}
	}
	call, err := library.Resolve(e.Name, function.Scalar, sig, func(i int, params []*types.Type) (*types.Type, error) {
		return k.bindLambda(args[i].lambda, params)
	})
	if err != nil {
		if err.Pos == (types.Pos{}) {
			err.Pos = e.Pos()
		}
		k.errs = append(k.errs, err)
		return typed{}
	}
	for i := range args {
		if l := args[i].lambda; l != nil {
			l.body = k.castTo(l.body, sig[i].Lambda.Result)
		} else if call.Params[i].Kind() != types.KindInterval {
			args[i] = k.castTo(args[i], call.Params[i])
		}
		sig[i].Type, sig[i].Const = args[i].typ, args[i].konst
		if args[i].unit != "" {
			b := one(types.String)
			b.String(args[i].unit)
			sig[i].Const = b.Finish()
			args[i] = constant(sig[i].Const)
		}
	}
	under, kerr := call.Signature.Under(k.scope.Settings)
	var kernel function.ScalarKernel
	if kerr == nil {
		kernel, kerr = under.Scalar(sig)
	}
	if kerr != nil {
		k.errs = append(k.errs, &types.Error{Kind: types.ErrFunction, Pos: e.Pos(), Message: e.Name + ": " + kerr.Error()})
		return typed{}
	}
	t := typed{typ: call.Returns, at: e.Pos(), eval: callRows(e.Name, under, call.Returns, kernel, args)}
	if call.Signature.Volatile {
		return t
	}
	for _, a := range args {
		if a.lambda != nil {
			return t
		}
	}
	return foldIf(t, args...)
}

func callRows(name string, sig *function.Signature, returns *types.Type, kernel function.ScalarKernel, args []typed) evaluator {
	return func(c *Context, b *vector.Batch, sel []int32) *vector.Vector {
		if len(sel) == 0 {
			return vector.NewNull(c.Arena, returns, b.N)
		}
		call := &function.Call{Arena: c.Arena, N: b.N, Sel: sel, Args: make([]*vector.Vector, len(args)), Now: c.Now, Rand: c.Rand}
		for i, a := range args {
			if a.lambda != nil {
				call.Lambdas = append(call.Lambdas, make([]function.LambdaFunc, i+1-len(call.Lambdas))...)
				call.Lambdas[i] = a.lambda.function(c, b)
				continue
			}
			call.Args[i] = a.eval(c, b, sel)
		}
		valid := vector.Bitmap(nil)
		if !sig.NullTolerant {
			call.Sel, valid = dropNulls(c, call, sel)
		}
		var failed []int32
		call.Fail = func(row int32, message string) {
			failed = append(failed, row)
			c.report(row, name+": "+message)
		}
		out, err := kernel(call)
		if err != nil {
			c.report(sel[0], name+": "+err.Error())
			return vector.NewNull(c.Arena, returns, b.N)
		}
		if valid != nil || len(failed) > 0 {
			v := *out
			v.Type = returns
			if valid != nil {
				v.Valid = validBoth(c.Arena, &vector.Vector{Len: b.N, Valid: valid}, out)
			}
			if len(failed) > 0 {
				ownValid(c.Arena, &v)
				for _, i := range failed {
					v.Valid.Clear(int(i))
				}
			}
			return &v
		}
		return out
	}
}

// dropNulls returns the rows without null arguments and, if there are others,
// the validity of the result.
func dropNulls(c *Context, call *function.Call, sel []int32) ([]int32, vector.Bitmap) {
	var valid vector.Bitmap
	for _, a := range call.Args {
		if a != nil && a.Valid != nil {
			if valid == nil {
				valid = a.Valid
			} else {
				valid = validBoth(c.Arena, &vector.Vector{Len: call.N, Valid: valid}, a)
			}
		}
	}
	if valid == nil {
		return sel, nil
	}
	out := c.Arena.Int32s(len(sel))[:0]
	for _, i := range sel {
		if valid.Get(int(i)) {
			out = append(out, i)
		}
	}
	return out, valid
}
