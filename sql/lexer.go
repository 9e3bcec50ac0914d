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
}

func (t token) isWord(w string) bool { return t.kind == tokWord && t.upper == w }
func (t token) isOp(o string) bool   { return t.kind == tokOp && t.upper == o }

// A lexer splits a script. Faults are collected in errs.
type lexer struct {
	src   string
	pos   int
	toks  []token
	lines []int // byte offsets at which lines begin
	errs  types.Errors
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isWordByte(c byte) bool  { return isLetter(c) || isDigit(c) || c == '@' }
func isSpaceByte(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func newLexer(src string) *lexer {
	l := &lexer{src: src, lines: []int{0}}
	for i := range len(src) {
		if src[i] == '\n' {
			l.lines = append(l.lines, i+1)
		}
	}
	return l
}

// position turns a byte offset into line and column.
func (l *lexer) position(at int) types.Pos {
	at = min(at, len(l.src))
	lo, hi := 0, len(l.lines)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; l.lines[mid] <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return types.Pos{Line: lo + 1, Column: utf8.RuneCountInString(l.src[l.lines[lo]:at]) + 1}
}

func (l *lexer) fault(at int, message, hint string) {
	l.errs = append(l.errs, &types.Error{Kind: types.ErrParse, Pos: l.position(at), Message: message, Hint: hint})
}

func (l *lexer) add(kind tokenKind, end int) *token {
	l.toks = append(l.toks, token{kind: kind, text: l.src[l.pos:end], start: l.pos, end: end})
	l.pos = end
	return &l.toks[len(l.toks)-1]
}

// run lexes the whole text; the last token is tokEOF.
func (l *lexer) run() []token {
	for l.pos < len(l.src) {
		if l.skipBlank() {
			continue
		}
		l.token()
	}
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
			l.fault(l.pos, "Syntax Error: comment is not closed", "End it with */.")
			l.pos = len(l.src)
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
				what = "quoted identifier"
			}
			l.fault(l.pos, "Syntax Error: "+what+" is not closed", "End it with "+string(q)+".")
			l.pos = len(l.src)
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

func (l *lexer) variable() {
	n := strings.IndexByte(l.src[l.pos:], '}')
	if n < 0 {
		l.fault(l.pos, "Syntax Error: variable reference is not closed", "End it with }.")
		l.pos = len(l.src)
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
	if !strings.Contains("<>!=<=>=||:=->=>+-*/%()[],.;", op) || op == ":" || op == "|" || op == "!" {
		_, size := utf8.DecodeRuneInString(l.src[l.pos:])
		l.fault(l.pos, "Syntax Error: unexpected character '"+l.src[l.pos:l.pos+size]+"'", "")
		l.pos += size
		return
	}
	l.add(tokOp, l.pos+n).upper = op
}
