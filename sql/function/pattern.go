package function

import (
	"strings"

	"karst/sql/types"
)

// A Pattern is what a parameter takes: a type, any DECIMAL, DECIMALS (any
// DECIMAL too, all parameters of that pattern being converted to the one that
// holds them all), a type variable (one capital letter), or an ARRAY, MAP or
// LAMBDA of such.
type Pattern struct {
	text   string
	exact  *types.Type
	kind   types.Kind // of the others; KindInvalid for variables and ANY
	v      string
	parts  []*Pattern // ARRAY: element; MAP: key, value; LAMBDA: parameters
	result *Pattern   // of LAMBDA
}

// String returns the pattern as it is documented.
func (p *Pattern) String() string { return p.text }

// P parses a pattern; it panics on a wrong one, which is a programmer's error.
func P(text string) *Pattern {
	p, rest := parsePattern(text)
	if rest != "" {
		panic("function: pattern " + text)
	}
	return p
}

var exactTypes = map[string]*types.Type{
	"BOOLEAN": types.Boolean, "INT": types.Int, "BIGINT": types.Bigint, "DOUBLE": types.Double, "STRING": types.String,
	"BYTES": types.Bytes, "DATE": types.Date, "TIME": types.Time, "TIMESTAMP": types.Timestamp, "INTERVAL": types.Interval,
}

func parsePattern(s string) (*Pattern, string) {
	s = strings.TrimSpace(s)
	n := strings.IndexAny(s, "<>(), ")
	if n < 0 {
		n = len(s)
	}
	word, rest := s[:n], s[n:]
	p := &Pattern{text: word, exact: exactTypes[word]}
	switch {
	case p.exact != nil:
	case word == "DECIMAL":
		p.kind = types.KindDecimal
	case word == "DECIMALS":
		p.kind, p.v = types.KindDecimal, word
	case word == "STRUCT":
		p.kind = types.KindStruct
	case word == "ARRAY", word == "MAP":
		p.kind = types.KindArray
		if word == "MAP" {
			p.kind = types.KindMap
		}
		p.parts, rest = parseParts(rest, '>')
	case word == "LAMBDA":
		p.kind = types.KindLambda
		p.parts, rest = parseParts(rest, ')')
		p.result, rest = parsePattern(strings.TrimPrefix(strings.TrimSpace(rest), "=>"))
	case word == "ANY" || len(word) == 1:
		p.v = word
	default:
		panic("function: pattern word " + word)
	}
	if p.text = strings.TrimSpace(s[:len(s)-len(rest)]); p.v == "DECIMALS" {
		p.text = "DECIMAL"
	}
	return p, rest
}

func parseParts(s string, closer byte) ([]*Pattern, string) {
	var parts []*Pattern
	for {
		p, rest := parsePattern(s[1:])
		parts = append(parts, p)
		if rest[0] == closer {
			return parts, rest[1:]
		}
		s = rest
	}
}

// A binding holds the types of type variables during a match.
type binding map[string]*types.Type

// match reports whether an argument of type t may be given, and how far the
// conversion is.
func (p *Pattern) match(t *types.Type, b binding) (cost int, ok bool) {
	if t.Kind() == types.KindNull {
		return 0, p.kind != types.KindLambda && p.exact != types.Interval
	}
	switch {
	case p.exact != nil:
		return conversion(t, p.exact)
	case p.v == "ANY":
		return 5, t.Kind() < types.KindNull
	case p.kind == types.KindDecimal:
		return p.decimal(t, b)
	case p.v != "":
		return p.bind(t, b)
	case p.kind != t.Kind():
		return 0, false
	case p.kind == types.KindArray:
		return p.parts[0].match(t.Elem(), b)
	case p.kind == types.KindMap:
		c1, ok1 := p.parts[0].match(t.Key(), b)
		c2, ok2 := p.parts[1].match(t.Elem(), b)
		return c1 + c2, ok1 && ok2
	}
	return 0, true
}

// decimal matches a DECIMAL, or a whole number that becomes one.
func (p *Pattern) decimal(t *types.Type, b binding) (int, bool) {
	if !t.IsNumeric() || t.Kind() == types.KindDouble {
		return 0, false
	}
	if p.v != "" {
		wide := asDecimal(t)
		if old := b[p.v]; old != nil {
			wide = widerNumber(old, wide)
		}
		b[p.v] = wide
	}
	if t.Kind() == types.KindDecimal {
		return 0, true
	}
	return 3, true
}

func (p *Pattern) bind(t *types.Type, b binding) (int, bool) {
	if t.Kind() > types.KindNull {
		return 0, false
	}
	old := b[p.v]
	switch {
	case old == nil:
		b[p.v] = t
		return 4, true
	case old.Equal(t):
		return 4, true
	case old.IsNumeric() && t.IsNumeric():
		b[p.v] = widerNumber(old, t)
		return 6, true
	case t.Kind() == types.KindString && isTime(old):
		return 8, true
	}
	return 0, false
}

func isTime(t *types.Type) bool {
	return t.Kind() == types.KindDate || t.Kind() == types.KindTime || t.Kind() == types.KindTimestamp
}

// widerNumber is the type that both numbers convert to.
func widerNumber(a, b *types.Type) *types.Type {
	switch {
	case a.Kind() == types.KindDouble || b.Kind() == types.KindDouble:
		return types.Double
	case a.Kind() != types.KindDecimal && b.Kind() != types.KindDecimal:
		if a.Kind() == types.KindBigint {
			return a
		}
		return b
	}
	a, b = asDecimal(a), asDecimal(b)
	scale := max(a.Scale(), b.Scale())
	precision := min(types.MaxDecimalPrecision, scale+max(a.Precision()-a.Scale(), b.Precision()-b.Scale()))
	return types.MustDecimal(precision, min(scale, precision))
}

// asDecimal is the DECIMAL that holds an integer type's values.
func asDecimal(t *types.Type) *types.Type {
	switch t.Kind() {
	case types.KindInt:
		return types.MustDecimal(10, 0)
	case types.KindBigint:
		return types.MustDecimal(19, 0)
	case types.KindNull:
		return types.MustDecimal(1, 0)
	}
	return t
}

// conversion is the cost of giving a from where to is wanted.
func conversion(from, to *types.Type) (int, bool) {
	switch {
	case from.Equal(to):
		return 0, true
	case from.IsNumeric() && to.IsNumeric():
		if to.Kind() == types.KindDouble {
			return 4, true
		}
		return int(to.Kind()) - int(from.Kind()), from.Kind() < to.Kind() && to.Kind() != types.KindDecimal && from.Kind() != types.KindDouble
	case from.Kind() == types.KindString:
		return 8, isTime(to)
	}
	return 0, false
}

// resolve returns the type that an argument given as t is converted to.
func (p *Pattern) resolve(t *types.Type, b binding) *types.Type {
	switch {
	case p.exact != nil:
		return p.exact
	case p.kind == types.KindDecimal && p.v == "":
		return asDecimal(t)
	case p.kind == types.KindDecimal && b[p.v] == nil:
		return asDecimal(types.Null)
	case p.v != "" && p.v != "ANY":
		if b[p.v] != nil {
			return b[p.v]
		}
		return types.String
	case p.v == "ANY" && t.Kind() == types.KindNull:
		return types.String
	case p.v == "ANY":
		return t
	case p.kind == types.KindArray:
		if t.Kind() == types.KindArray {
			return types.Array(p.parts[0].resolve(t.Elem(), b))
		}
		return types.Array(p.parts[0].resolve(types.Null, b))
	case p.kind == types.KindMap:
		if t.Kind() == types.KindMap {
			return types.Map(p.parts[0].resolve(t.Key(), b), p.parts[1].resolve(t.Elem(), b))
		}
		return types.Map(p.parts[0].resolve(types.Null, b), p.parts[1].resolve(types.Null, b))
	}
	return t
}
