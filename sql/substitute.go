package sql

import (
	"maps"
	"slices"
	"strings"
)

// variables are the values of ${name}, by the name in upper case.
type variables map[string]string

func newVariables(given map[string]string) variables {
	vars := variables{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		vars[strings.ToUpper(name)] = given[name]
	}
	return vars
}

// substitute replaces each ${x} among toks by the one token that the
// variable's value is, keeping the position of the reference. A value that is
// not exactly one identifier or literal is an error: nothing can be smuggled
// in. Within a string literal or a quoted identifier ${x} is replaced by the
// value's text.
func (l *lexer) substitute(toks []token, vars variables) (ok bool) {
	ok = true
	for i := range toks {
		t := &toks[i]
		switch {
		case t.kind == tokVariable:
			ok = l.substituteToken(t, vars) && ok
		case (t.kind == tokString || t.kind == tokQuoted) && strings.Contains(t.text, "${"):
			t.text = vars.expand(t.text)
		}
	}
	return ok
}

func (l *lexer) substituteToken(t *token, vars variables) bool {
	value, ok := vars[strings.ToUpper(t.text)]
	if !ok {
		l.fault(t.at, "Syntax Error: variable "+t.text+" is not defined", "Define it with DEFINE "+t.text+" = '…';")
		return false
	}
	v, ok := valueToken(value)
	if !ok {
		l.fault(t.at, "Syntax Error: the value of variable "+t.text+" is not one identifier or literal", "Quote a string within the value: DEFINE "+t.text+" = '''text''';")
		return false
	}
	v.start, v.end, v.at = t.start, t.end, t.at
	*t = v
	return true
}

// valueToken reads a variable's value: an identifier, or a literal, which may
// have a sign.
func valueToken(value string) (token, bool) {
	l := newLexer(value)
	toks := l.run()
	if len(l.errs) > 0 || len(toks) < 2 {
		return token{}, false
	}
	sign := ""
	if toks[0].isOp("-") && toks[1].isNumber() {
		sign, toks = "-", toks[1:]
	}
	if len(toks) != 2 {
		return token{}, false
	}
	t := toks[0]
	if _, name := identifier(t); !name && tokenLiteral(t) == nil {
		return token{}, false
	}
	t.text = sign + t.text
	return t, true
}

// expand replaces the references in text; unknown ones stay as they are.
func (vars variables) expand(text string) string {
	var sb strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		n := strings.IndexByte(text[i:], '}')
		if n < 0 {
			break
		}
		value, ok := vars[strings.ToUpper(text[i+2:i+n])]
		if !ok {
			value = text[i : i+n+1]
		}
		sb.WriteString(text[:i])
		sb.WriteString(value)
		text = text[i+n+1:]
	}
	return sb.String() + text
}
