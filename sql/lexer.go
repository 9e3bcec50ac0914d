package sql

import (
	"strings"
	"unicode/utf8"

	"karst/sql/types"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokWord
	tokQuoted // `x` or "x", and identifiers that begin with a digit
	tokString
	tokInteger
	tokDecimal
	tokDouble
	tokVariable // ${x}
	tokOp
)

// A token is a piece of the text. For words upper holds the folded text, for
// operators the operator; text of quoted tokens and strings is unescaped.
type token struct {
	kind       tokenKind
	text       string
	upper      string
	start, end int // bytes of the script
	at         types.Pos
}

func (t token) isWord(w string) bool { return t.kind == tokWord && t.upper == w }
func (t token) isOp(o string) bool   { return t.kind == tokOp && t.upper == o }
func (t token) isNumber() bool {
	return t.kind == tokInteger || t.kind == tokDecimal || t.kind == tokDouble
}

// A lexer splits a script. Faults are collected in errs.
type lexer struct {
	src  string
	pos  int
	toks []token
	errs types.Errors
	all  bool // no limits: lex all there is
	open int  // where a string, name, variable or comment begins that has no end, or -1

	// The place of byte known, from which position goes on.
	known   int
	knownAt types.Pos
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isWordByte(c byte) bool  { return isLetter(c) || isDigit(c) || c == '@' }
func isSpaceByte(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func newLexer(src string) *lexer {
	return &lexer{src: src, open: -1, knownAt: types.Pos{Line: 1, Column: 1}}
}

// position turns a byte offset into line and column. Asked in ascending order
// it reads the text once.
func (l *lexer) position(at int) types.Pos {
	if at < l.known {
		l.known, l.knownAt = 0, types.Pos{Line: 1, Column: 1}
	}
	s := l.src[l.known:min(at, len(l.src))]
	if n := strings.LastIndexByte(s, '\n'); n >= 0 {
		l.knownAt = types.Pos{Line: l.knownAt.Line + strings.Count(s, "\n"), Column: 1}
		s = s[n+1:]
	}
	l.knownAt.Column += utf8.RuneCountInString(s)
	l.known = min(at, len(l.src))
	return l.knownAt
}

func (l *lexer) fault(at types.Pos, message, hint string) {
	if len(l.errs) < maxErrors {
		l.errs = append(l.errs, &types.Error{Kind: types.ErrParse, Pos: at, Message: message, Hint: hint})
	}
}

func (l *lexer) add(kind tokenKind, end int) *token {
	l.toks = append(l.toks, token{kind: kind, text: l.src[l.pos:end], start: l.pos, end: end, at: l.position(l.pos)})
	l.pos = end
	return &l.toks[len(l.toks)-1]
}

// run lexes the whole text, or as much as the limits allow; the last token is
// tokEOF.
func (l *lexer) run() []token {
	for l.pos < len(l.src) && (l.all || len(l.toks) <= maxTokens && len(l.errs) < maxErrors) {
		if l.skipBlank() {
			continue
		}
		l.token()
	}
	l.pos = len(l.src)
	l.add(tokEOF, len(l.src))
	return l.toks
}

func (l *lexer) skipBlank() bool {
	s := l.src[l.pos:]
	switch {
	case isSpaceByte(s[0]):
		l.pos++
	case strings.HasPrefix(s, "--"):
		if n := strings.IndexByte(s, '\n'); n >= 0 {
			l.pos += n
		} else {
			l.pos = len(l.src)
		}
	case strings.HasPrefix(s, "/*"):
		n := strings.Index(s[2:], "*/")
		if n < 0 {
			l.unclosed("comment", "*/")
		} else {
			l.pos += n + 4
		}
	default:
		return false
	}
	return true
}

func (l *lexer) token() {
	c := l.src[l.pos]
	next := byte(0)
	if l.pos+1 < len(l.src) {
		next = l.src[l.pos+1]
	}
	switch {
	case isLetter(c):
		t := l.add(tokWord, l.wordEnd(l.pos))
		t.upper = strings.ToUpper(t.text)
	case isDigit(c) || c == '.' && isDigit(next) && !l.afterName():
		l.number()
	case c == '\'' || c == '"' || c == '`':
		l.quoted(c)
	case c == '$' && next == '{':
		l.variable()
	default:
		l.operator(next)
	}
}

func (l *lexer) wordEnd(i int) int {
	for i < len(l.src) && isWordByte(l.src[i]) {
		i++
	}
	return i
}

// afterName reports whether the text so far ends, without a blank, in
// something that a field name may follow after a point.
func (l *lexer) afterName() bool {
	if len(l.toks) == 0 {
		return false
	}
	t := l.toks[len(l.toks)-1]
	return t.end == l.pos && (t.kind == tokWord || t.kind == tokQuoted)
}

func (l *lexer) digits(i int) int {
	for i < len(l.src) && isDigit(l.src[i]) {
		i++
	}
	return i
}

func (l *lexer) number() {
	i, kind := l.digits(l.pos), tokInteger
	afterPoint := len(l.toks) > 0 && l.toks[len(l.toks)-1].isOp(".") && l.toks[len(l.toks)-1].end == l.pos
	if i < len(l.src) && l.src[i] == '.' && !afterPoint {
		i, kind = l.digits(i+1), tokDecimal
	}
	if i < len(l.src) && l.src[i]|0x20 == 'e' && !afterPoint {
		j := i + 1
		if j < len(l.src) && (l.src[j] == '+' || l.src[j] == '-') {
			j++
		}
		if k := l.digits(j); k > j && (k == len(l.src) || !isWordByte(l.src[k])) {
			i, kind = k, tokDouble
		}
	}
	if kind == tokInteger && i < len(l.src) && isLetter(l.src[i]) {
		t := l.add(tokQuoted, l.wordEnd(i)) // 2nd: an identifier that begins with a digit
		t.text = strings.ToUpper(t.text)
		return
	}
	l.add(kind, i)
}

func (l *lexer) quoted(q byte) {
	i := l.pos + 1
	for {
		n := strings.IndexByte(l.src[i:], q)
		if n < 0 {
			what := "string"
			if q != '\'' {
				what = "quoted name"
			}
			l.unclosed(what, string(q))
			return
		}
		i += n + 1
		if i < len(l.src) && l.src[i] == q {
			i++
			continue
		}
		break
	}
	kind := tokQuoted
	if q == '\'' {
		kind = tokString
	}
	t := l.add(kind, i)
	t.text = strings.ReplaceAll(t.text[1:len(t.text)-1], string(q)+string(q), string(q))
}

// unclosed reports something that has no end, and ends the text.
func (l *lexer) unclosed(what, end string) {
	l.fault(l.position(l.pos), "Syntax Error: the "+what+" is not closed", "End it with "+end)
	l.open, l.pos = l.pos, len(l.src)
}

func (l *lexer) variable() {
	n := strings.IndexByte(l.src[l.pos:], '}')
	if n < 0 {
		l.unclosed("variable", "}")
		return
	}
	t := l.add(tokVariable, l.pos+n+1)
	t.text = t.text[2 : len(t.text)-1]
}

func (l *lexer) operator(next byte) {
	n := 1
	switch two := string(l.src[l.pos]) + string(next); two {
	case "<>", "!=", "<=", ">=", "||", ":=", "->", "=>":
		n = 2
	}
	op := l.src[l.pos : l.pos+n]
	if n == 1 && !strings.Contains("<>=+-*/%()[],.;", op) {
		_, size := utf8.DecodeRuneInString(l.src[l.pos:])
		l.fault(l.position(l.pos), "Syntax Error: unexpected character '"+l.src[l.pos:l.pos+size]+"'", characterHints[op])
		l.add(tokOp, l.pos+size)
		return
	}
	l.add(tokOp, l.pos+n).upper = op
}

// characterHints say what to write for characters other dialects know.
var characterHints = map[string]string{
	"!": "Write NOT, or <> for 'is not equal'.",
	"&": "Write AND.",
	"|": "Write OR, or || to join strings.",
	":": "Write -> for the field of a struct, := for the value of a struct's field or a map's key.",
	"{": "Write STRUCT(name := value, …) or MAP(key := value, …).",
	"$": "Write ${name} for a variable.",
	"#": "Comments begin with -- or stand between /* and */.",
}
