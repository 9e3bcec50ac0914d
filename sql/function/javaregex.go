package function

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Users write Java's regular expressions; RE2, which runs in linear time, has
// most of the language. What is only written differently is translated; what
// RE2 can't do (lookaround, back references, possessive quantifiers, character
// class intersections) is refused by name.

// javaClasses are Java's named classes that RE2 writes differently.
var javaClasses = map[string]string{
	"Lower": "a-z", "Upper": "A-Z", "ASCII": `\x00-\x7F`, "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
	"Punct": `!-/:-@\[-` + "`" + `{-~`, "Graph": "!-~", "Print": " -~", "Blank": ` \t`, "Cntrl": `\x00-\x1F\x7F`, "XDigit": "0-9A-Fa-f",
	"Space": ` \t\n\x0B\f\r`, "IsAlphabetic": `\p{L}\p{Nl}`, "IsLetter": `\p{L}`, "IsDigit": `\p{Nd}`, "IsUppercase": `\p{Lu}`, "IsLowercase": `\p{Ll}`,
	"javaLowerCase": `\p{Ll}`, "javaUpperCase": `\p{Lu}`, "javaWhitespace": `\s`,
}

// compileJavaRegex compiles a regular expression of Java's.
func compileJavaRegex(text string) (*regexp.Regexp, error) {
	t := &regexTranslator{in: text}
	if err := t.run(); err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", text, err)
	}
	re, err := regexp.Compile(t.out.String())
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", text, err)
	}
	return re, nil
}

type regexTranslator struct {
	in    string
	at    int
	class int // depth of brackets
	out   strings.Builder
}

func (t *regexTranslator) run() error {
	for t.at < len(t.in) {
		rest := t.in[t.at:]
		var err error
		switch {
		case rest[0] == '\\':
			err = t.escape(rest)
		case t.class > 0:
			err = t.inClass(rest)
		case rest[0] == '[':
			t.class++
			t.copy(1)
			t.classStart()
		case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!"):
			err = fmt.Errorf("lookahead and lookbehind are not supported")
		case strings.HasPrefix(rest, "(?>"):
			err = fmt.Errorf("atomic groups are not supported")
		case strings.ContainsRune("*+?}", rune(rest[0])) && len(rest) > 1 && rest[1] == '+':
			err = fmt.Errorf("possessive quantifiers are not supported")
		default:
			t.copy(1)
		}
		if err != nil {
			return err
		}
	}
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
	case strings.HasPrefix(rest, "&&"):
		return fmt.Errorf("intersections of character classes (&&) are not supported")
	case rest[0] == '[':
		return fmt.Errorf("character classes within character classes are not supported; write '[' as '\\['")
	case rest[0] == ']':
		t.class--
	}
	t.copy(1)
	return nil
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
		t.replace(6, `\x{`+rest[2:6]+"}")
	case c == 'p' || c == 'P':
		t.property(rest)
	case c == 'h':
		t.set(2, ` \t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`)
	case c == 's':
		t.set(2, ` \t\n\x0B\f\r`)
	case c == 'e':
		t.replace(2, `\x1B`)
	case c == 'R' && t.class == 0:
		t.replace(2, `(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])`)
	case c == 'Z' && t.class == 0:
		t.replace(2, `(?:\r?\n)?\z`)
	case c >= '1' && c <= '9' || c == 'k':
		return fmt.Errorf("back references are not supported")
	case c == 'G' || c == 'X':
		return fmt.Errorf("\\%c is not supported", c)
	default:
		t.copy(2)
	}
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

// property translates \p{Name} where RE2 has another name for it.
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
	default: // a negated set within a set: as RE2 names it, or refused by it
		t.copy(end + 1)
	}
}

// appendReplacement appends a replacement as Java writes it: $1 and ${name}
// are groups, \ takes the next character as it is. Of the digits after $ as
// many are taken as name a group.
func appendReplacement(buf []byte, re *regexp.Regexp, template, src []byte, match []int) ([]byte, error) {
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
func replacementGroup(re *regexp.Regexp, s []byte) (group, n int) {
	if len(s) > 0 && s[0] == '{' {
		for end := 1; end < len(s); end++ {
			if s[end] == '}' {
				if group = re.SubexpIndex(string(s[1:end])); group < 0 {
					return 0, 0
				}
				return group, end + 1
			}
		}
		return 0, 0
	}
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		next := group*10 + int(s[n]-'0')
		if next > re.NumSubexp() {
			break
		}
		group, n = next, n+1
	}
	return group, n
}

// replaceAllJava replaces every match.
func replaceAllJava(re *regexp.Regexp, src, template []byte) ([]byte, error) {
	var out []byte
	from := 0
	for _, m := range re.FindAllSubmatchIndex(src, -1) {
		var err error
		if out, err = appendReplacement(append(out, src[from:m[0]]...), re, template, src, m); err != nil {
			return nil, err
		}
		from = m[1]
	}
	return append(out, src[from:]...), nil
}
