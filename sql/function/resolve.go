package function

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// A Library is a set of functions by name.
type Library struct {
	defs map[string]*Def
}

// NewLibrary collects lists of functions.
func NewLibrary(lists ...[]Def) *Library {
	l := &Library{defs: map[string]*Def{}}
	for _, list := range lists {
		for i := range list {
			d := &list[i]
			if l.defs[d.Name] != nil {
				panic("function: two functions are called " + d.Name)
			}
			describe(d)
			l.defs[d.Name] = d
		}
	}
	return l
}

// All returns the functions by name.
func (l *Library) All() []*Def {
	out := make([]*Def, 0, len(l.defs))
	for _, d := range l.defs {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Find returns the function of that name, nil if there is none.
func (l *Library) Find(name string) *Def { return l.defs[name] }

// CheckSettings refuses values of functions' settings that can't be.
func (l *Library) CheckSettings(settings map[string]string) error {
	for name := range settings {
		if !strings.HasPrefix(name, SettingPrefix) {
			continue
		}
		for _, d := range l.defs {
			if !slices.ContainsFunc(d.Settings, func(s Setting) bool { return s.Name == name }) {
				continue
			}
			for i := range d.Signatures {
				if _, err := d.Signatures[i].Under(settings); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// A Resolved is a call with its signature chosen.
type Resolved struct {
	Def       *Def
	Signature *Signature
	Params    []*types.Type // what each argument is converted to; nil for lambdas
	Returns   *types.Type
}

// Resolve finds the signature for a call. bindLambda compiles argument i's
// body for parameters of the given types and returns its result's type.
func (l *Library) Resolve(name string, kind Kind, args []Arg, bindLambda func(i int, params []*types.Type) (*types.Type, error)) (*Resolved, *types.Error) {
	d := l.defs[name]
	if d == nil {
		return nil, l.unknown(name)
	}
	if d.Kind != kind {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "function %s is %s and can't be used here", name, kindNames[d.Kind])
	}
	c, uerr := d.choose(args)
	if uerr != nil {
		return nil, uerr
	}
	best, bound := c.signature, c.bound
	r := &Resolved{Def: d, Signature: best, Params: make([]*types.Type, len(args))}
	for i := range args {
		p := best.param(i)
		if p.Pattern.kind != types.KindLambda {
			r.Params[i] = p.Pattern.resolve(args[i].Type, bound)
			args[i].Type = r.Params[i]
		}
	}
	for again := true; again; {
		for i := range args {
			if err := bindArg(best.param(i).Pattern, i, args, bound, bindLambda); err != nil {
				return nil, err
			}
		}
		again = r.widen(args, bound)
	}
	t, err := best.Returns(args, bound)
	if err != nil {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "%s: %v", name, err)
	}
	if !complete(t) {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "%s: the result's type can't be told from the arguments; use CAST", name)
	}
	r.Returns = t
	return r, nil
}

// widen converts arguments whose type variable a lambda's result has widened
// since, as an INTEGER state to which BIGINTs are added. It reports whether
// there are any: the lambdas' parameters have changed then.
func (r *Resolved) widen(args []Arg, bound binding) bool {
	widened := false
	for i, t := range r.Params {
		if t == nil {
			continue
		}
		if wide := r.Signature.param(i).Pattern.resolve(t, bound); !wide.Equal(t) {
			r.Params[i], args[i].Type, widened = wide, wide, true
		}
	}
	return widened
}

// A candidate is a signature that a call fits, with its type variables bound.
type candidate struct {
	signature *Signature
	bound     binding
	cost      int // of the conversions
}

// choose finds the signature for a call: one that takes the arguments as they
// are, else one that takes them converted. Where several would give results of
// different types, the call is ambiguous.
func (d *Def) choose(args []Arg) (candidate, *types.Error) {
	var exact, converted []candidate
	for i := range d.Signatures {
		s := &d.Signatures[i]
		c := candidate{s, binding{}, 0}
		ok := false
		if c.cost, ok = s.match(args, c.bound); !ok {
			continue
		}
		if s.takes(args, c.bound) {
			exact = append(exact, c)
		} else {
			converted = append(converted, c)
		}
	}
	fits := exact
	if len(fits) == 0 {
		fits = converted
	}
	if len(fits) == 0 {
		if i := d.notConstant(args); i >= 0 {
			e := types.Errorf(types.ErrStatement, types.Pos{}, "Parameter %d passed to function %s must be a literal constant, but was expression: '%s'", i+1, d.Name, args[i].Text)
			e.Hint = d.alternatives()
			return candidate{}, e
		}
		return candidate{}, d.noMatch(args)
	}
	best := fits[0]
	for _, c := range fits[1:] {
		if c.cost < best.cost {
			best = c
		}
	}
	if (len(exact) == 0 || allNull(args)) && differ(fits, args) {
		return best, d.ambiguous(args)
	}
	return best, nil
}

// notConstant returns the argument that alone keeps a signature from being
// taken because it is no constant, -1 if there is none.
func (d *Def) notConstant(args []Arg) int {
	for i, a := range args {
		if a.Const != nil || a.Lambda != nil || !complete(a.Type) {
			continue // given as it has to be, or no column: a unit of time
		}
		given := slices.Clone(args)
		given[i].Const = vector.NewNull(vector.NewArena(), a.Type, 1)
		for k := range d.Signatures {
			if _, ok := d.Signatures[k].match(given, binding{}); ok {
				return i
			}
		}
	}
	return -1
}

func allNull(args []Arg) bool {
	for _, a := range args {
		if a.Type.Kind() != types.KindNull {
			return false
		}
	}
	return len(args) > 0
}

// takes reports whether s takes the arguments without a conversion.
func (s *Signature) takes(args []Arg, b binding) bool {
	for i, a := range args {
		to := s.param(i).Pattern.resolve(a.Type, b)
		switch k := a.Type.Kind(); {
		case k == types.KindNull || k == types.KindLambda || k == types.KindDecimal && to.Kind() == k:
		case !to.Equal(a.Type):
			return false
		}
	}
	return true
}

// differ reports whether the signatures return different kinds of values.
func differ(fits []candidate, args []Arg) bool {
	kind := types.KindInvalid
	for _, c := range fits {
		given := make([]Arg, len(args))
		for i, a := range args {
			if a.Lambda != nil {
				return false // its result is not known yet
			}
			given[i] = Arg{Type: c.signature.param(i).Pattern.resolve(a.Type, c.bound), Const: a.Const}
		}
		t, err := c.signature.Returns(given, c.bound)
		if err != nil {
			continue
		}
		if kind != types.KindInvalid && t.Kind() != kind {
			return true
		}
		kind = t.Kind()
	}
	return false
}

// complete reports whether a column can have type t.
func complete(t *types.Type) bool {
	switch t.Kind() {
	case types.KindArray:
		return complete(t.Elem())
	case types.KindMap:
		return complete(t.Key()) && complete(t.Elem())
	case types.KindStruct:
		for _, f := range t.Fields() {
			if !complete(f.Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() > types.KindInvalid && t.Kind() < types.KindNull
}

func bindArg(p *Pattern, i int, args []Arg, bound binding, bindLambda func(int, []*types.Type) (*types.Type, error)) *types.Error {
	if p.kind != types.KindLambda {
		return nil
	}
	params := make([]*types.Type, len(p.parts))
	for k, part := range p.parts {
		params[k] = part.resolve(types.Null, bound)
	}
	result, err := bindLambda(i, params)
	if err != nil {
		if user, ok := err.(*types.Error); ok {
			return user
		}
		return types.Errorf(types.ErrStatement, types.Pos{}, "%v", err)
	}
	before := bound[p.result.v]
	if _, ok := p.result.match(result, bound); !ok {
		return types.Errorf(types.ErrStatement, types.Pos{}, "the lambda must return %s, it returns %s", p.result, result)
	}
	if before != nil && before.Kind() == bound[p.result.v].Kind() {
		bound[p.result.v] = before // a sum of DECIMALs would widen the next one
	}
	args[i].Lambda = &LambdaType{Params: params, Result: p.result.resolve(result, bound)}
	return nil
}

var kindNames = map[Kind]string{Scalar: "a scalar function", Aggregate: "an aggregate function", Table: "a table function"}

func (l *Library) unknown(name string) *types.Error {
	e := types.Errorf(types.ErrStatement, types.Pos{}, "Can't find any functions with the name '%s'", name)
	if n := types.Nearest(name, slices.Collect(maps.Keys(l.defs))); n != "" {
		e.Hint = "Did you mean " + n + "?"
	}
	return e
}

func (d *Def) noMatch(args []Arg) *types.Error {
	e := types.Errorf(types.ErrStatement, types.Pos{}, "Function '%s' does not accept parameters (%s).", d.Name, typeList(args))
	e.Hint = d.alternatives()
	return e
}

func (d *Def) ambiguous(args []Arg) *types.Error {
	e := types.Errorf(types.ErrStatement, types.Pos{}, "Function '%s' cannot be resolved due to ambiguous method parameters (%s).", d.Name, typeList(args))
	e.Hint = "Use CAST to bring the arguments to the types of one of these.\n" + d.alternatives()
	return e
}

func typeList(args []Arg) string {
	var given []string
	for _, a := range args {
		given = append(given, a.Type.String())
	}
	return strings.Join(given, ", ")
}

// alternatives lists the ways to call the function.
func (d *Def) alternatives() string {
	var sigs []string
	for i := range d.Signatures {
		sigs = append(sigs, d.Name+d.Signatures[i].String())
	}
	return "Valid alternatives are:\n" + strings.Join(sigs, "\n")
}

// String returns the parameters as they are documented.
func (s *Signature) String() string {
	var parts []string
	for _, p := range s.Params {
		t := p.Pattern.String()
		if p.Variadic {
			t += "..."
		}
		parts = append(parts, fmt.Sprintf("%s %s", p.Name, t))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// Result returns the result's type as it is documented: type variables stand
// as they are, a DECIMAL without its parameters.
func (s *Signature) Result() string {
	bound := map[string]*types.Type{}
	args := make([]Arg, len(s.Params))
	for i, p := range s.Params {
		args[i].Type = p.Pattern.sample(bound)
		if p.Pattern.kind == types.KindLambda {
			args[i].Lambda = &LambdaType{Result: p.Pattern.result.sample(bound)}
		}
	}
	t, err := s.Returns(args, bound)
	if err != nil {
		return ""
	}
	text := t.String()
	for v, of := range bound {
		text = strings.ReplaceAll(text, of.String(), v)
	}
	return sampleDecimal.ReplaceAllString(text, "DECIMAL")
}

// TakesBack reports whether an aggregate can take rows back, as one over a
// table must.
func (s *Signature) TakesBack() (bool, error) {
	bound := map[string]*types.Type{}
	args := make([]Arg, len(s.Params))
	for i, p := range s.Params {
		args[i].Type = p.Pattern.sample(bound)
	}
	k, err := s.Aggregate(args)
	_, ok := k.(Undoer)
	return ok, err
}

// sampleDecimal is any DECIMAL, in a documented type.
var sampleDecimal = regexp.MustCompile(`DECIMAL\(\d+, \d+\)`)

// sample returns a type that the pattern takes; a type variable is a DECIMAL
// that nothing else is.
func (p *Pattern) sample(bound map[string]*types.Type) *types.Type {
	switch {
	case p.exact != nil:
		return p.exact
	case p.kind == types.KindArray:
		return types.Array(p.parts[0].sample(bound))
	case p.kind == types.KindMap:
		return types.Map(p.parts[0].sample(bound), p.parts[1].sample(bound))
	case p.kind == types.KindLambda:
		return types.Lambda
	case p.v != "" && p.v != "DECIMALS" && p.v != "ANY":
		if bound[p.v] == nil {
			bound[p.v] = types.MustDecimal(types.MaxDecimalPrecision, 20+len(bound))
		}
		return bound[p.v]
	}
	return types.MustDecimal(9, 2)
}

func (s *Signature) param(i int) *Param { return &s.Params[min(i, len(s.Params)-1)] }

func (s *Signature) match(args []Arg, b binding) (int, bool) {
	n := len(s.Params)
	variadic := n > 0 && s.Params[n-1].Variadic
	if len(args) < n && !(variadic && len(args) == n-1) || len(args) > n && !variadic {
		return 0, false
	}
	total := 0
	if variadic {
		total = 1
	}
	for i, a := range args {
		p := s.param(i)
		if (a.Lambda != nil) != (p.Pattern.kind == types.KindLambda) || p.Const && a.Const == nil {
			return 0, false
		}
		if a.Lambda != nil {
			if len(a.Lambda.Params) != len(p.Pattern.parts) {
				return 0, false
			}
			continue
		}
		c, ok := p.Pattern.match(a.Type, b)
		if !ok {
			return 0, false
		}
		total += c
	}
	return total, true
}
