package function

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// Users write Java's regular expressions; RE2, which runs in linear time, has
// most of the language, some of it written differently. What it can't do
// (lookaround, back references, possessive quantifiers, intersections of
// character classes), and where Java goes on after an empty match otherwise, is
// left to an engine that backtracks, within a limit of time. What neither has
// is refused by name.

// javaClasses are Java's named classes that RE2 writes differently.
var javaClasses = map[string]string{
	"Lower": "a-z", "Upper": "A-Z", "ASCII": `\x00-\x7F`, "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
	"Punct": `!-/:-@\[-` + "`" + `{-~`, "Graph": "!-~", "Print": " -~", "Blank": ` \t`, "Cntrl": `\x00-\x1F\x7F`, "XDigit": "0-9A-Fa-f",
	"Space": ` \t\n\x0B\f\r`, "IsAlphabetic": `\p{L}\p{Nl}`, "IsLetter": `\p{L}`, "IsDigit": `\p{Nd}`, "IsUppercase": `\p{Lu}`, "IsLowercase": `\p{Ll}`,
	"javaLowerCase": `\p{Ll}`, "javaUpperCase": `\p{Lu}`, "javaWhitespace": `\s`,
}

// A javaRegex is a compiled regular expression of Java's.
type javaRegex struct {
	linear    *regexp.Regexp  // nil if RE2 can't do it
	backtrack *regexp2.Regexp // nil if RE2 does all of it
	names     map[string]int
	groups    int
}

// regexTimeout bounds one match that backtracks.
const regexTimeout = 250 * time.Millisecond

// errBacktrack says that RE2 lacks what an expression asks for.
var errBacktrack = errors.New("it needs an engine that backtracks")

func compileJavaRegex(text string) (*javaRegex, error) {
	t := &regexTranslator{in: text, names: map[string]int{}}
	err := t.run()
	if err == nil {
		re := &javaRegex{names: t.names, groups: t.groups}
		if re.linear, err = regexp.Compile(t.out.String()); err == nil && !nullable(t.out.String()) {
			return re, nil
		}
	}
	if err != nil && !errors.Is(err, errBacktrack) {
		return nil, fmt.Errorf("regular expression %q: %w", text, err)
	}
	re := &javaRegex{}
	if err == nil {
		re.linear, _ = regexp.Compile(t.out.String())
	}
	t = &regexTranslator{in: text, names: map[string]int{}, back: true}
	if err = t.run(); err == nil {
		re.names, re.groups = t.names, t.groups
		re.backtrack, err = regexp2.Compile(t.out.String(), regexp2.None)
	}
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", text, err)
	}
	re.backtrack.MatchTimeout = regexTimeout
	return re, nil
}

// nullable reports whether an expression may match an empty text.
func nullable(text string) bool {
	re, err := syntax.Parse(text, syntax.Perl)
	return err == nil && nullableTree(re)
}

func nullableTree(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch, syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return nullableTree(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || nullableTree(re.Sub[0])
	case syntax.OpConcat:
		for _, s := range re.Sub {
			if !nullableTree(s) {
				return false
			}
		}
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if nullableTree(s) {
				return true
			}
		}
		return false
	}
	return true
}

// first returns the bounds of the first match and its groups, -1 for a group
// that took no part; nil if there is no match.
func (re *javaRegex) first(src []byte) ([]int, error) {
	if re.linear != nil {
		return re.linear.FindSubmatchIndex(src), nil
	}
	all, err := re.find(src, 1)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// all returns the bounds of all matches and their groups.
func (re *javaRegex) all(src []byte) ([][]int, error) {
	if re.backtrack == nil {
		return re.linear.FindAllSubmatchIndex(src, -1), nil
	}
	return re.find(src, -1)
}

// find backtracks for at most limit matches, all if it is negative.
func (re *javaRegex) find(src []byte, limit int) ([][]int, error) {
	text := string(src)
	offsets := make([]int, 0, len(text)+1) // of the characters
	for i := range text {
		offsets = append(offsets, i)
	}
	offsets = append(offsets, len(text))
	var out [][]int
	m, err := re.backtrack.FindStringMatch(text)
	for m != nil && err == nil && len(out) != limit {
		at := make([]int, 0, 2*re.groups+2)
		for _, g := range m.Groups() {
			if len(g.Captures) == 0 {
				at = append(at, -1, -1)
			} else {
				at = append(at, offsets[g.Index], offsets[g.Index+g.Length])
			}
		}
		out = append(out, at)
		m, err = re.backtrack.FindNextMatch(m)
	}
	if err != nil {
		return nil, fmt.Errorf("the regular expression took longer than %v", regexTimeout)
	}
	return out, nil
}

// split returns the parts between the matches; an empty match at an end does
// not split.
func (re *javaRegex) split(src []byte) ([]string, error) {
	if re.linear != nil {
		return re.linear.Split(string(src), -1), nil
	}
	matches, err := re.find(src, -1)
	var parts []string
	from := 0
	for _, m := range matches {
		if m[1] == 0 || m[0] == m[1] && m[0] == len(src) {
			continue
		}
		parts = append(parts, string(src[from:m[0]]))
		from = m[1]
	}
	return append(parts, string(src[from:])), err
}

type regexTranslator struct {
	in     string
	at     int
	class  int  // depth of brackets
	back   bool // for the engine that backtracks
	out    strings.Builder
	names  map[string]int
	groups int
	opened []int // where the groups open so far begin in out
	atom   int   // where the last atom begins in out: what a quantifier is for
}

func (t *regexTranslator) run() error {
	for t.at < len(t.in) {
		rest := t.in[t.at:]
		var err error
		switch {
		case rest[0] == '\\':
			if t.class == 0 {
				t.atom = t.out.Len()
			}
			err = t.escape(rest)
		case t.class > 0:
			err = t.inClass(rest)
		case rest[0] == '[':
			t.atom = t.out.Len()
			t.class++
			t.copy(1)
			t.classStart()
		case rest[0] == '(':
			err = t.open(rest)
		case rest[0] == ')':
			if n := len(t.opened); n > 0 {
				t.atom, t.opened = t.opened[n-1], t.opened[:n-1]
			}
			t.copy(1)
		case strings.IndexByte("*+?", rest[0]) >= 0:
			err = t.quantifier(1)
		case rest[0] == '{' && strings.Contains(rest, "}"):
			err = t.quantifier(strings.IndexByte(rest, '}') + 1)
		default:
			t.atom = t.out.Len()
			t.copy(1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open takes a group's opening; names are kept apart, since the engines number
// named groups differently.
func (t *regexTranslator) open(rest string) error {
	t.opened = append(t.opened, t.out.Len())
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!", "(?>"} {
		if strings.HasPrefix(rest, look) {
			if !t.back {
				return errBacktrack
			}
			t.copy(len(look))
			return nil
		}
	}
	if strings.HasPrefix(rest, "(?<") {
		end := strings.IndexByte(rest, '>')
		if end < 4 {
			return fmt.Errorf("the name of a group is not closed")
		}
		t.groups++
		t.names[rest[3:end]] = t.groups
		t.replace(end+1, "(")
		return nil
	}
	if !strings.HasPrefix(rest, "(?") {
		t.groups++
	}
	t.copy(1)
	return nil
}

// quantifier takes one of n bytes; a possessive one is an atomic group.
func (t *regexTranslator) quantifier(n int) error {
	text := t.in[t.at : t.at+n]
	if !strings.HasPrefix(t.in[t.at+n:], "+") {
		t.copy(n)
		if strings.HasPrefix(t.in[t.at:], "?") {
			t.copy(1)
		}
		return nil
	}
	if !t.back {
		return errBacktrack
	}
	done := t.out.String()
	t.out.Reset()
	t.out.WriteString(done[:t.atom] + "(?>" + done[t.atom:] + text + ")")
	t.at += n + 1
	return nil
}

// copy takes n bytes over as they are.
func (t *regexTranslator) copy(n int) {
	n = min(n, len(t.in)-t.at)
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
}

// replace writes text in place of n bytes.
func (t *regexTranslator) replace(n int, text string) {
	t.at += n
	t.out.WriteString(text)
}

// classStart takes the ^ of a negated class.
func (t *regexTranslator) classStart() {
	if strings.HasPrefix(t.in[t.at:], "^") {
		t.copy(1)
	}
}

func (t *regexTranslator) inClass(rest string) error {
	switch {
	case strings.HasPrefix(rest, "&&[^"): // the engine knows differences
		end := strings.IndexByte(rest, ']')
		if !t.back {
			return errBacktrack
		}
		if end < 0 || !strings.HasPrefix(rest[end:], "]]") || strings.ContainsAny(rest[4:end], "[\\") {
			return fmt.Errorf("only intersections of the form [x&&[^y]] are supported")
		}
		t.replace(end+1, "-["+rest[4:end]+"]")
		return nil
	case strings.HasPrefix(rest, "&&"):
		return fmt.Errorf("only intersections of the form [x&&[^y]] are supported")
	case rest[0] == '[':
		return fmt.Errorf("character classes within character classes are not supported; write '[' as '\\['")
	case rest[0] == ']':
		t.class--
	}
	t.copy(1)
	return nil
}

// char is a character by its number, in hexadecimal.
func (t *regexTranslator) char(hex string) string {
	if t.back {
		return `\u` + hex
	}
	return `\x{` + hex + "}"
}

func (t *regexTranslator) escape(rest string) error {
	if len(rest) < 2 {
		return fmt.Errorf("a '\\' stands at the end")
	}
	switch c := rest[1]; {
	case c == 'Q':
		end := strings.Index(rest, `\E`)
		if end < 0 {
			t.replace(len(rest), regexp.QuoteMeta(rest[2:]))
		} else {
			t.replace(end+2, regexp.QuoteMeta(rest[2:end]))
		}
	case c == 'u':
		if len(rest) < 6 {
			return fmt.Errorf("\\u needs four hexadecimal digits")
		}
		if _, err := strconv.ParseUint(rest[2:6], 16, 32); err != nil {
			return fmt.Errorf("\\u needs four hexadecimal digits")
		}
		t.replace(6, t.char(rest[2:6]))
	case c == 'p' || c == 'P':
		t.property(rest)
	case c == 'h':
		h := ` \t`
		for _, hex := range []string{"00A0", "1680", "180e", "202f", "205f", "3000"} {
			h += t.char(hex)
		}
		t.set(2, h+t.char("2000")+"-"+t.char("200a"))
	case c == 's':
		t.set(2, ` \t\n\x0B\f\r`)
	case c == 'd' && t.back:
		t.set(2, `0-9`)
	case c == 'w' && t.back:
		t.set(2, `a-zA-Z_0-9`)
	case c == 'S' && t.back && t.class == 0:
		t.replace(2, `[^ \t\n\x0B\f\r]`)
	case c == 'D' && t.back && t.class == 0:
		t.replace(2, `[^0-9]`)
	case c == 'W' && t.back && t.class == 0:
		t.replace(2, `[^a-zA-Z_0-9]`)
	case c == 'e':
		t.replace(2, `\x1B`)
	case c == 'R' && t.class == 0:
		t.replace(2, `(?:\r\n|[\n\x0B\f\r`+t.char("0085")+t.char("2028")+t.char("2029")+`])`)
	case c == 'Z' && t.class == 0:
		t.replace(2, `(?:\r?\n)?\z`)
	case c >= '1' && c <= '9' || c == 'G':
		if !t.back {
			return errBacktrack
		}
		t.copy(2)
	case c == 'k':
		return t.named(rest)
	case c == 'X':
		return fmt.Errorf("\\%c is not supported", c)
	default:
		t.copy(2)
	}
	return nil
}

// named takes a reference to a group by name.
func (t *regexTranslator) named(rest string) error {
	end := strings.IndexByte(rest, '>')
	if len(rest) < 4 || rest[2] != '<' || end < 0 || t.names[rest[3:end]] == 0 {
		return fmt.Errorf("a reference to a group that there is not")
	}
	if !t.back {
		return errBacktrack
	}
	t.replace(end+1, `(?:\`+strconv.Itoa(t.names[rest[3:end]])+")")
	return nil
}

// set writes a set of characters in place of n bytes.
func (t *regexTranslator) set(n int, chars string) {
	if t.class > 0 {
		t.replace(n, chars)
	} else {
		t.replace(n, "["+chars+"]")
	}
}

// property translates \p{Name} where the engine has another name for it.
func (t *regexTranslator) property(rest string) {
	end := strings.IndexByte(rest, '}')
	if len(rest) < 4 || rest[2] != '{' || end < 0 {
		t.copy(2)
		return
	}
	name := rest[3:end]
	chars, known := javaClasses[name]
	switch {
	case !known:
		name = strings.TrimPrefix(strings.TrimPrefix(name, "Is"), "script=")
		t.replace(end+1, rest[:3]+name+"}")
	case rest[1] == 'p':
		t.set(end+1, chars)
	case t.class == 0:
		t.replace(end+1, "[^"+chars+"]")
	default: // a negated set within a set: as the engine names it, or refused
		t.copy(end + 1)
	}
}

// appendReplacement appends a replacement as Java writes it: $1 and ${name}
// are groups, \ takes the next character as it is. Of the digits after $ as
// many are taken as name a group.
func appendReplacement(buf []byte, re *javaRegex, template, src []byte, match []int) ([]byte, error) {
	for k := 0; k < len(template); k++ {
		c := template[k]
		switch {
		case c == '\\' && k+1 == len(template):
			return nil, fmt.Errorf("the replacement ends with '\\'")
		case c == '\\':
			k++
			buf = append(buf, template[k])
		case c == '$':
			group, n := replacementGroup(re, template[k+1:])
			if n == 0 {
				return nil, fmt.Errorf("the replacement %q names a group that the expression does not have", template)
			}
			if at := match[2*group]; at >= 0 {
				buf = append(buf, src[at:match[2*group+1]]...)
			}
			k += n
		default:
			buf = append(buf, c)
		}
	}
	return buf, nil
}

// replacementGroup reads what follows a $; n is 0 if it is no group.
func replacementGroup(re *javaRegex, s []byte) (group, n int) {
	if len(s) > 0 && s[0] == '{' {
		for end := 1; end < len(s); end++ {
			if s[end] == '}' {
				if group = re.names[string(s[1:end])]; group == 0 {
					return 0, 0
				}
				return group, end + 1
			}
		}
		return 0, 0
	}
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		next := group*10 + int(s[n]-'0')
		if next > re.groups {
			break
		}
		group, n = next, n+1
	}
	return group, n
}

// replaceAllJava replaces every match.
func replaceAllJava(re *javaRegex, src, template []byte) ([]byte, error) {
	var out []byte
	from := 0
	matches, err := re.all(src)
	for _, m := range matches {
		if out, err = appendReplacement(append(out, src[from:m[0]]...), re, template, src, m); err != nil {
			return nil, err
		}
		from = m[1]
	}
	return append(out, src[from:]...), err
}
