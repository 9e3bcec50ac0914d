package function

import (
	"errors"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// params parses "name PATTERN, name PATTERN..." into parameters; a pattern
// that ends in ... is variadic, one that starts with ! must be constant.
func params(text string) []Param {
	var out []Param
	depth, start := 0, 0
	add := func(s string) {
		name, pattern, _ := strings.Cut(strings.TrimSpace(s), " ")
		p := Param{Name: name}
		pattern, p.Variadic = strings.CutSuffix(pattern, "...")
		pattern, p.Const = strings.CutPrefix(pattern, "!")
		p.Pattern = P(pattern)
		out = append(out, p)
	}
	for i, c := range text {
		switch c {
		case '<', '(':
			depth++
		case '>', ')':
			if text[i-1] != '=' {
				depth--
			}
		case ',':
			if depth == 0 {
				add(text[start:i])
				start = i + 1
			}
		}
	}
	if strings.TrimSpace(text) != "" {
		add(text[start:])
	}
	return out
}

// always returns a result type that does not depend on the arguments.
func always(t *types.Type) func([]Arg, map[string]*types.Type) (*types.Type, error) {
	return func([]Arg, map[string]*types.Type) (*types.Type, error) { return t, nil }
}

// variable returns the type that a type variable is bound to.
func variable(v string) func([]Arg, map[string]*types.Type) (*types.Type, error) {
	return func(_ []Arg, bound map[string]*types.Type) (*types.Type, error) {
		if bound[v] == nil {
			return nil, errors.New("the arguments' types can't be told")
		}
		return bound[v], nil
	}
}

// sameAs returns the type of an argument.
func sameAs(i int) func([]Arg, map[string]*types.Type) (*types.Type, error) {
	return func(args []Arg, _ map[string]*types.Type) (*types.Type, error) { return args[i].Type, nil }
}

// plain makes a signature's kernel of one that needs nothing of its call site.
func plain(k ScalarKernel) func([]Arg) (ScalarKernel, error) {
	return func([]Arg) (ScalarKernel, error) { return k, nil }
}

// scalar builds a signature.
func scalar(ps string, returns *types.Type, k ScalarKernel) Signature {
	return Signature{Params: params(ps), Returns: always(returns), Scalar: plain(k)}
}

// rows builds a result row by row: f appends row i's value to b. Rows that are
// not selected, and those for which f appended nothing, are null.
func rows(c *Call, t *types.Type, f func(b *vector.Builder, i int)) *vector.Vector {
	b := vector.NewBuilder(c.Arena, t, c.N)
	for _, i := range c.Sel {
		for b.Len() < int(i) {
			b.Null()
		}
		f(b, int(i))
		if b.Len() == int(i) {
			b.Null()
		}
	}
	for b.Len() < c.N {
		b.Null()
	}
	return b.Finish()
}

// bytesKernel is a kernel that gives a STRING or BYTES for each row: f appends
// the row's bytes to buf; false makes the row null.
func bytesKernel(t *types.Type, f func(c *Call, i int, buf []byte) ([]byte, bool)) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		var scratch []byte
		return rows(c, t, func(b *vector.Builder, i int) {
			if out, ok := f(c, i, scratch[:0]); ok {
				b.Bytes(out)
				scratch = out
			}
		}), nil
	}
}

func stringKernel(f func(c *Call, i int, buf []byte) ([]byte, bool)) ScalarKernel {
	return bytesKernel(types.String, f)
}

// intKernel gives an INT for each row.
func intKernel(f func(c *Call, i int) (int32, bool)) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		v := vector.New(c.Arena, types.Int, c.N)
		for _, i := range c.Sel {
			n, ok := f(c, int(i))
			if v.I32[i] = n; !ok {
				v.SetNull(c.Arena, int(i))
			}
		}
		return v, nil
	}
}

// bigintKernel gives a BIGINT (or TIMESTAMP) for each row.
func bigintKernel(t *types.Type, f func(c *Call, i int) (int64, bool)) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		v := vector.New(c.Arena, t, c.N)
		for _, i := range c.Sel {
			n, ok := f(c, int(i))
			if v.I64[i] = n; !ok {
				v.SetNull(c.Arena, int(i))
			}
		}
		return v, nil
	}
}

// boolKernel gives a BOOLEAN for each row.
func boolKernel(f func(c *Call, i int) bool) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		v := vector.New(c.Arena, types.Boolean, c.N)
		for _, i := range c.Sel {
			v.Bits.Put(int(i), f(c, int(i)))
		}
		return v, nil
	}
}

// doubles returns a numeric argument's values as DOUBLE.
func doubles(c *Call, arg int) []float64 {
	v := c.Args[arg]
	if v.Type.Kind() == types.KindDouble {
		return v.F64
	}
	out := c.Arena.Float64s(c.N)
	if v.Type.Kind() == types.KindInt {
		for i, x := range v.I32 {
			out[i] = float64(x)
		}
		return out
	}
	for i, x := range v.I64 {
		out[i] = float64(x)
	}
	return out
}

// numeric gives a signature for INT, BIGINT and DOUBLE arguments each, of
// which ps has the names.
func numeric(names string, returns *types.Type, k ScalarKernel) []Signature {
	var out []Signature
	for _, t := range []string{" INT", " BIGINT", " DOUBLE"} {
		out = append(out, scalar(strings.ReplaceAll(names, ",", t+",")+t, returns, k))
	}
	return out
}

// doubleKernel applies f to one number.
func doubleKernel(f func(float64) float64) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		v := vector.New(c.Arena, types.Double, c.N)
		x := doubles(c, 0)
		for _, i := range c.Sel {
			v.F64[i] = f(x[i])
		}
		return v, nil
	}
}

// double2 applies f to two numbers.
func double2(f func(x, y float64) float64) ScalarKernel {
	return func(c *Call) (*vector.Vector, error) {
		v := vector.New(c.Arena, types.Double, c.N)
		x, y := doubles(c, 0), doubles(c, 1)
		for _, i := range c.Sel {
			v.F64[i] = f(x[i], y[i])
		}
		return v, nil
	}
}

func str(c *Call, arg, i int) []byte { return c.Args[arg].Str(i) }
