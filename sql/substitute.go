package sql

import (
	"strings"

	"karst/sql/types"
)

// substitute replaces each ${x} by the one token that the variable's value
// is, keeping the position of the reference. A value that is not exactly one
// token is an error: nothing can be smuggled in. Within a string literal ${x}
// is replaced by the value's text.
func (l *lexer) substitute(vars map[string]string) {
	for i := range l.toks {
		t := &l.toks[i]
		switch {
		case t.kind == tokVariable:
			l.substituteToken(t, vars)
		case t.kind == tokString && strings.Contains(t.text, "${"):
			l.substituteString(t, vars)
		}
	}
}

func lookupVariable(vars map[string]string, name string) (string, bool) {
	for n, v := range vars {
		if strings.EqualFold(n, name) {
			return v, true
		}
	}
	return "", false
}

func (l *lexer) substituteToken(t *token, vars map[string]string) {
	value, ok := lookupVariable(vars, t.text)
	if !ok {
		l.errs = append(l.errs, &types.Error{Kind: types.ErrParse, Pos: l.position(t.start), Message: "Syntax Error: variable " + t.text + " is not defined", Hint: "Define it with DEFINE " + t.text + " = '…';"})
		return
	}
	v := newLexer(value)
	toks := v.run()
	if len(v.errs) > 0 || len(toks) != 2 || toks[0].kind == tokVariable || toks[0].kind == tokOp {
		l.errs = append(l.errs, &types.Error{Kind: types.ErrParse, Pos: l.position(t.start), Message: "Syntax Error: the value of variable " + t.text + " is not one identifier or literal", Hint: "Quote a string within the value: DEFINE " + t.text + " = '''text''';"})
		return
	}
	start, end := t.start, t.end
	*t = toks[0]
	t.start, t.end = start, end
}

func (l *lexer) substituteString(t *token, vars map[string]string) {
	var sb strings.Builder
	rest := t.text
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		n := strings.IndexByte(rest[i:], '}')
		if n < 0 {
			break
		}
		value, ok := lookupVariable(vars, rest[i+2:i+n])
		if !ok {
			value = rest[i : i+n+1] // a string may hold such text as it is
		}
		sb.WriteString(rest[:i])
		sb.WriteString(value)
		rest = rest[i+n+1:]
	}
	t.text = sb.String() + rest
}
