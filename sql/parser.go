package sql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/sql/types"
)

// Limits of what is parsed.
const (
	maxScriptBytes     = 1 << 20
	maxStatements      = 1000
	maxTokens          = 200_000 // of a script
	maxStatementTokens = 100_000 // a tree has at most as many nodes
	maxDepth           = 200     // of nesting
	maxChain           = 5000    // of operators in a row
	maxErrors          = 20      // that are reported
)

// Options of parsing.
type Options struct {
	// Variables are the values of ${name}; names compare without case. DEFINE
	// and UNDEFINE in a script hold for the statements after them.
	Variables map[string]string
}

// Parse parses a script of statements, each ended by a semicolon (the last
// one may lack it). The syntax errors of all statements are returned, as
// types.Errors; a limit that was exceeded is an error of kind ErrLimit.
func Parse(text string, opts Options) ([]Statement, error) {
	p, err := newParser(text, opts)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for !p.done() && !p.overLimit && len(p.lex.errs) < maxErrors {
		if p.acceptOp(";") {
			continue
		}
		if len(out) == maxStatements {
			p.failLimit(fmt.Sprintf("more than %d statements in one request", maxStatements))
			continue
		}
		if s := p.scriptStatement(); s != nil {
			out = append(out, s)
		}
	}
	if len(p.lex.errs) > 0 {
		return nil, p.lex.errs
	}
	return out, nil
}

// ParseStatement parses text that is exactly one statement.
func ParseStatement(text string, opts Options) (Statement, error) {
	stmts, err := Parse(text, opts)
	if err != nil {
		return nil, err
	}
	if len(stmts) != 1 {
		return nil, types.Errors{types.Errorf(types.ErrParse, types.Pos{Line: 1, Column: 1}, "Syntax Error: expected one statement, found %d", len(stmts))}
	}
	return stmts[0], nil
}

// ParseExpr parses one expression, such as a plan holds. Plans are compiled
// from their texts again and again, so what was parsed of late is remembered:
// expressions are immutable.
func ParseExpr(text string) (Expr, error) {
	if e := parsed.get(text); e != nil {
		return e, nil
	}
	e, err := parseExpr(text)
	if err == nil {
		parsed.put(text, e)
	}
	return e, err
}

func parseExpr(text string) (Expr, error) {
	p, err := newParser(text, Options{})
	if err != nil {
		return nil, err
	}
	list := p.exprs()
	if !p.failed && !p.done() {
		p.fail("an operator", "the end of the expression")
	}
	if !p.failed && len(list) != 1 {
		p.failAt(list[1].Pos(), "Syntax Error: expected one expression, found "+strconv.Itoa(len(list)), "")
	}
	if p.failed {
		return nil, p.lex.errs
	}
	return list[0], nil
}

// ParseType parses a type.
func ParseType(text string) (TypeRef, error) {
	p, err := newParser(text, Options{})
	if err != nil {
		return TypeRef{}, err
	}
	t := p.typeRef()
	if !p.failed && !p.done() {
		p.fail("the end of the type")
	}
	if p.failed {
		return TypeRef{}, p.lex.errs
	}
	return t, nil
}

// A parser works on the tokens of a script. After a fault in a statement
// failed is set and the rest of that statement is skipped.
type parser struct {
	lex    *lexer
	toks   []token
	i      int
	failed bool
	// overLimit is set when the rest of the script is not looked at.
	overLimit bool
	vars      variables
	depth     int // of nesting
}

func newParser(text string, opts Options) (*parser, error) {
	if len(text) > maxScriptBytes {
		return nil, limitError(types.Pos{}, fmt.Sprintf("the statements are %d bytes long; at most %d are taken", len(text), maxScriptBytes))
	}
	l := newLexer(text)
	l.run()
	if len(l.toks) > maxTokens {
		return nil, limitError(types.Pos{}, fmt.Sprintf("the statements have more than %d words", maxTokens))
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return &parser{lex: l, toks: l.toks, vars: newVariables(opts.Variables)}, nil
}

func limitError(at types.Pos, message string) types.Errors {
	return types.Errors{{Kind: types.ErrLimit, Pos: at, Message: message, Hint: "Split the request into smaller ones."}}
}

// scriptStatement parses the statement at the current token, and the variables
// it defines; nil after a fault, with the statement skipped.
func (p *parser) scriptStatement() Statement {
	start := p.i
	end := p.i + slices.IndexFunc(p.toks[p.i:], token.endsStatement)
	if end-start > maxStatementTokens {
		p.failLimit(fmt.Sprintf("a statement of more than %d words", maxStatementTokens))
		return nil
	}
	var s Statement
	if p.failed = !p.lex.substitute(p.toks[start:end], p.vars); !p.failed {
		s = p.statement()
	}
	if !p.failed && !p.tok().endsStatement() {
		p.failEnd(s)
	}
	if p.failed {
		p.failed, p.i = false, end
		return nil
	}
	p.setSource(s, start)
	if d, ok := s.(*Define); ok {
		p.vars[d.Name] = d.Value
		if d.Undefine {
			delete(p.vars, d.Name)
		}
	}
	return s
}

func (t token) endsStatement() bool { return t.kind == tokEOF || t.isOp(";") }

// failEnd reports what follows a statement that could end here.
func (p *parser) failEnd(s Statement) {
	expected := []string{"';'"}
	if c, ok := s.(*CreateSource); ok && c.As == nil {
		if c.With == nil {
			expected = []string{"WITH", "';'"}
		}
		if !c.HasColumns && !c.ReadOnly {
			expected = append([]string{"AS"}, expected...)
		}
		if !c.HasColumns && c.With == nil {
			expected = append([]string{"'('"}, expected...)
		}
	}
	p.fail(expected...)
}

// setSource gives s its place and text: from token start to the last one read.
func (p *parser) setSource(s Statement, start int) {
	from, to := p.toks[start], p.toks[p.i-1]
	s.setSource(from.at, p.lex.src[from.start:to.end])
}

func (p *parser) tok() token         { return p.toks[p.i] }
func (p *parser) done() bool         { return p.tok().kind == tokEOF }
func (p *parser) pos() types.Pos     { return p.tok().at }
func (p *parser) peek(n int) token   { return p.toks[min(p.i+n, len(p.toks)-1)] }
func (p *parser) word(w string) bool { return p.tok().isWord(w) }

// source returns a token as it was typed.
func (p *parser) source(t token) string { return p.lex.src[t.start:t.end] }

// fail reports the current token as unexpected; expected says what could
// stand there.
func (p *parser) fail(expected ...string) { p.failToken(p.tok(), expected...) }

func (p *parser) failToken(t token, expected ...string) {
	message := "Syntax Error: unexpected " + p.describeToken(t)
	if len(expected) > 0 {
		message += ", expected " + orList(expected)
	}
	p.failAt(t.at, message, hintFor(t, expected))
}

// describeToken names a token in a message, cut if it is long.
func (p *parser) describeToken(t token) string {
	if t.kind == tokEOF {
		return "end of the text"
	}
	text := []rune(p.source(t))
	if len(text) > 40 {
		text = append(text[:40], '…')
	}
	if t.kind == tokString {
		return string(text)
	}
	return "'" + string(text) + "'"
}

func orList(list []string) string {
	last := len(list) - 1
	if last == 0 {
		return list[0]
	}
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// hintFor says what to do where one of expected should stand instead of t.
func hintFor(t token, expected []string) string {
	wantsName := slices.Contains(expected, expectName) || slices.Contains(expected, expectSource)
	switch {
	case wantsName && t.kind == tokString:
		return "Names stand between double quotes or back quotes, strings between single quotes."
	case wantsName && t.kind == tokWord && reservedWords[t.upper]:
		return t.upper + " is a word of the language: put it between back quotes to use it as a name."
	case slices.Contains(expected, expectString) && t.kind == tokQuoted:
		return "Strings stand between single quotes."
	}
	if word := closest(t, expected); word != "" {
		return "Did you mean " + word + "?"
	}
	return ""
}

// closest returns the one of words that t probably was meant to be, or "".
func closest(t token, words []string) string {
	best, least := "", 3
	if t.kind != tokWord || len(t.upper) < 3 {
		return ""
	}
	for _, w := range words {
		if w != strings.ToUpper(w) || len(w) < 3 || w == t.upper {
			continue
		}
		if d := types.EditDistance(t.upper, w); d < least {
			best, least = w, d
		}
	}
	return best
}

func (p *parser) failAt(at types.Pos, message, hint string) {
	if !p.failed {
		p.failed = true
		p.lex.fault(at, message, hint)
	}
}

// failLimit gives up the whole script.
func (p *parser) failLimit(message string) {
	if p.failed {
		return
	}
	p.lex.errs = append(p.lex.errs, limitError(p.pos(), message)...)
	p.failed, p.overLimit = true, true
}

// accept steps over the words if they come next.
func (p *parser) accept(words ...string) bool {
	if p.failed {
		return false
	}
	for i, w := range words {
		if !p.peek(i).isWord(w) {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *parser) acceptOp(op string) bool {
	if p.failed || !p.tok().isOp(op) {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.fail(w)
		}
	}
}

func (p *parser) expectOp(op string) {
	if !p.acceptOp(op) {
		p.fail("'" + op + "'")
	}
}

// oneOf steps over one of the words and returns it.
func (p *parser) oneOf(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	p.fail(words...)
	return ""
}

// list reads one or more items divided by commas.
func (p *parser) list(item func()) {
	for !p.failed {
		item()
		if !p.acceptOp(",") {
			return
		}
	}
}

// What stands in messages for classes of tokens.
const (
	expectName    = "a name"
	expectString  = "a string between single quotes"
	expectInteger = "a whole number"
	expectExpr    = "an expression"
	expectSource  = "a stream or table"
)

// name reads an identifier, folded to upper case unless quoted.
func (p *parser) name() string {
	if p.failed {
		return ""
	}
	name, ok := identifier(p.tok())
	if !ok {
		p.fail(expectName)
		return ""
	}
	p.i++
	return name
}

// identifier returns the name that a token is.
func identifier(t token) (string, bool) {
	switch {
	case t.kind == tokQuoted:
		return t.text, true
	case t.kind == tokWord && !reservedWords[t.upper]:
		return t.upper, true
	}
	return "", false
}

func (p *parser) names() []string {
	var names []string
	p.list(func() { names = append(names, p.name()) })
	return names
}

// exactName reads a name that is not folded, such as a topic's, or a string.
func (p *parser) exactName() string {
	t := p.tok()
	switch {
	case p.failed:
		return ""
	case t.kind == tokString:
		return p.str()
	case t.kind == tokWord, t.kind == tokQuoted && isDigit(p.lex.src[t.start]):
		p.i++
		return p.source(t)
	}
	return p.name()
}

func (p *parser) nameOrString() string {
	if p.tok().kind == tokString {
		return p.str()
	}
	return p.name()
}

func (p *parser) str() string {
	if p.failed {
		return ""
	}
	if p.tok().kind != tokString {
		p.fail(expectString)
		return ""
	}
	p.i++
	return p.toks[p.i-1].text
}

func (p *parser) integer() int64 {
	if p.failed {
		return 0
	}
	n, err := strconv.ParseInt(p.tok().text, 10, 64)
	if p.tok().kind != tokInteger || err != nil {
		p.fail(expectInteger)
		return 0
	}
	p.i++
	return n
}

// ifNotExists reads IF NOT EXISTS; ifExists reads IF EXISTS.
func (p *parser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }
func (p *parser) ifExists() bool    { return p.accept("IF", "EXISTS") }
