package pull

import (
	"bytes"
	"math"
	"slices"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/expr"
	"karst/sql/types"
	"karst/sql/vector"
)

// An alternative is one of a plan.Lookup, compiled.
type alternative struct {
	keys   []*expr.Program // nil where nothing usable is said of the column
	bounds []bound
}

// A bound compares a window's start or end, in ms.
type bound struct {
	end   bool // else start
	op    string
	value *expr.Program
}

func compileAlternatives(l plan.Lookup, keys []types.Column) []alternative {
	var out []alternative
	for _, a := range l.Alternatives {
		c := alternative{keys: make([]*expr.Program, len(keys))}
		for i, e := range a.Keys {
			if e != nil {
				c.keys[i] = constantAs(e, keys[i].Type)
			}
		}
		for _, b := range a.Bounds {
			if value, err := expr.CompileTime(b.Value, expr.Scope{}); err == nil {
				c.bounds = append(c.bounds, bound{b.Column == types.WindowEnd, b.Op, value})
			}
		}
		out = append(out, c)
	}
	return out
}

// constantAs compiles an expression without columns as a type; nil if it is
// not compared as that type. WHERE has been compiled: what is wrong in it is
// not found here.
func constantAs(e sql.Expr, t *types.Type) *expr.Program {
	p, err := expr.CompileAs(e, expr.Scope{}, t)
	if err != nil {
		return nil
	}
	return p
}

// A selection tells which keys a run reads.
type selection struct {
	exact bool // keys are all there can be; else conditions rule some out
	whole bool // each condition has all key columns
	keys  state.Keys
	conds []condition
}

// A condition is what an alternative says of a key's bytes. The zero condition
// is true of every key.
type condition struct {
	prefix   []byte // of the key columns that lead and are known
	whole    bool   // prefix has all key columns
	windowed bool
	start    interval
	end      interval
}

// An interval is of ms, both ends included.
type interval struct{ low, high int64 }

func everything() interval { return interval{math.MinInt64, math.MaxInt64} }

func (i interval) has(x int64) bool { return i.low <= x && x <= i.high }

// narrow cuts the interval to what compares with x.
func (i *interval) narrow(op string, x int64) {
	switch op {
	case "=":
		i.low, i.high = max(i.low, x), min(i.high, x)
	case "<":
		i.high = min(i.high, saturated(x, -1))
	case "<=":
		i.high = min(i.high, x)
	case ">":
		i.low = max(i.low, saturated(x, 1))
	case ">=":
		i.low = max(i.low, x)
	}
}

func saturated(x, by int64) int64 {
	if by > 0 && x == math.MaxInt64 || by < 0 && x == math.MinInt64 {
		return x
	}
	return x + by
}

// maxExactKeys bounds the keys that are listed, the windows of a range each
// counting; beyond it a scan is no dearer.
const maxExactKeys = 10_000

// selection evaluates the alternatives' constants. A constant that is null
// equals nothing, so that its alternative can't hold.
func (q *Query) selection(c *operator.Context) *selection {
	s := &selection{exact: len(q.alts) > 0}
	if len(q.alts) == 0 {
		s.conds = []condition{{}}
		return s
	}
	for _, a := range q.alts {
		cond, possible := q.condition(&a, c)
		if possible {
			s.conds = append(s.conds, cond)
		}
	}
	s.list(q.window)
	return s
}

// condition evaluates one alternative; false if no key can match.
func (q *Query) condition(a *alternative, c *operator.Context) (condition, bool) {
	one := &vector.Batch{N: 1, Time: []int64{0}}
	ec := &expr.Context{Arena: c.Arena, Now: c.Now, Rand: c.Rand}
	cond := condition{windowed: q.window != nil, start: everything(), end: everything(), whole: true}
	for _, p := range a.keys {
		if p == nil {
			cond.whole = false
			break
		}
		v := p.Eval(ec, one)
		if v.IsNull(0) {
			return cond, false
		}
		if v.Type.Kind() == types.KindDouble && (v.F64[0] == 0 || math.IsNaN(v.F64[0])) {
			cond.whole = false // 0 and -0 are equal and have different bytes
			break
		}
		cond.prefix = vector.AppendValue(cond.prefix, v, 0)
	}
	for _, b := range a.bounds {
		v := b.value.Eval(ec, one)
		if v.IsNull(0) {
			return cond, false
		}
		if b.end {
			cond.end.narrow(b.op, v.I64[0])
		} else {
			cond.start.narrow(b.op, v.I64[0])
		}
	}
	return cond, true
}

// list makes the selection exact, if every condition can be listed as keys.
func (s *selection) list(w *plan.Window) {
	s.keys.Reset()
	seen := map[string]bool{}
	s.whole = !slices.ContainsFunc(s.conds, func(c condition) bool { return !c.whole })
	if !s.whole {
		s.exact = false
		return
	}
	for _, c := range s.conds {
		if !c.each(w, func(key []byte) {
			if !seen[string(key)] {
				seen[string(key)] = true
				s.keys.Buf = append(s.keys.Buf, key...)
				s.keys.Close()
			}
		}) || s.keys.Len() > maxExactKeys {
			s.exact = false
			return
		}
	}
}

// each calls f with every key that meets the condition, whether it is there
// or not; false if they can't be listed: a session's bounds are known only
// when it is over, and a window's size may be unknown.
func (c *condition) each(w *plan.Window, f func(key []byte)) bool {
	if w == nil {
		f(c.prefix)
		return true
	}
	if w.Kind == plan.Session || w.SizeMS == 0 {
		return false
	}
	advance := w.SizeMS
	if w.Kind == plan.Hopping {
		advance = w.AdvanceMS
	}
	// start ≥ 0, and end = start + size.
	low, high := max(c.start.low, 0), c.start.high
	if c.end.low > math.MinInt64 {
		low = max(low, c.end.low-w.SizeMS)
	}
	if c.end.high < math.MaxInt64 {
		high = min(high, c.end.high-w.SizeMS)
	}
	if high == math.MaxInt64 || (high-low)/advance > maxExactKeys {
		return false
	}
	for start := (low + advance - 1) / advance * advance; start <= high; start += advance {
		f(operator.AppendWindow(bytes.Clone(c.prefix), start, start+w.SizeMS))
	}
	return true
}

// may reports whether a key can match one of the conditions.
func (s *selection) may(key []byte) bool {
	for i := range s.conds {
		if s.conds[i].may(key) {
			return true
		}
	}
	return false
}

func (c *condition) may(key []byte) bool {
	if !bytes.HasPrefix(key, c.prefix) {
		return false
	}
	if !c.windowed {
		return !c.whole || len(key) == len(c.prefix)
	}
	start, end := operator.WindowOfKey(key)
	return c.start.has(start) && c.end.has(end)
}
