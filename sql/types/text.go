package types

import (
	"fmt"
	"strconv"
	"strings"
)

// MarshalText implements encoding.TextMarshaler by String.
func (t *Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler by ParseType.
func (t *Type) UnmarshalText(text []byte) error {
	u, err := ParseType(string(text))
	if err != nil {
		return err
	}
	*t = *u
	return nil
}

// ParseType parses a type in the canonical form that String writes. Types as
// users write them are parsed by package sql.
func ParseType(text string) (*Type, error) {
	p := typeParser{text: text}
	t, err := p.parse()
	if err == nil && p.text != "" {
		err = fmt.Errorf("unexpected %q", p.text)
	}
	if err == nil && t.String() != text {
		err = fmt.Errorf("it is not in the form in which types are kept, %s", t)
	}
	if err != nil {
		return nil, fmt.Errorf("parsing type %q: %w", text, err)
	}
	return t, nil
}

// A typeParser holds the text that is left.
type typeParser struct{ text string }

func (p *typeParser) expect(s string) error {
	rest, ok := strings.CutPrefix(p.text, s)
	if !ok {
		return fmt.Errorf("expected %q at %q", s, p.text)
	}
	p.text = rest
	return nil
}

func (p *typeParser) word() string {
	n := 0
	for n < len(p.text) && p.text[n] >= 'A' && p.text[n] <= 'Z' {
		n++
	}
	w := p.text[:n]
	p.text = p.text[n:]
	return w
}

var plainTypes = map[string]*Type{
	"BOOLEAN": Boolean, "INTEGER": Int, "BIGINT": Bigint, "DOUBLE": Double, "STRING": String, "BYTES": Bytes,
	"DATE": Date, "TIME": Time, "TIMESTAMP": Timestamp, "NULL": Null, "INTERVALUNIT": Interval, "LAMBDA": Lambda,
}

func (p *typeParser) parse() (*Type, error) {
	w := p.word()
	switch w {
	case "DECIMAL":
		return p.decimal()
	case "ARRAY":
		elem, err := p.inBrackets(p.parse)
		if err != nil {
			return nil, err
		}
		return Array(elem), nil
	case "MAP":
		return p.inBrackets(p.mapBody)
	case "STRUCT":
		return p.inBrackets(p.structBody)
	}
	if t := plainTypes[w]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("unknown type %q", w)
}

func (p *typeParser) inBrackets(body func() (*Type, error)) (*Type, error) {
	if err := p.expect("<"); err != nil {
		return nil, err
	}
	t, err := body()
	if err != nil {
		return nil, err
	}
	return t, p.expect(">")
}

func (p *typeParser) mapBody() (*Type, error) {
	key, err := p.parse()
	if err != nil {
		return nil, err
	}
	if err := p.expect(", "); err != nil {
		return nil, err
	}
	elem, err := p.parse()
	if err != nil {
		return nil, err
	}
	return Map(key, elem), nil
}

func (p *typeParser) structBody() (*Type, error) {
	var fields []Field
	for !strings.HasPrefix(p.text, ">") {
		if len(fields) > 0 {
			if err := p.expect(", "); err != nil {
				return nil, err
			}
		}
		name, err := p.quoted()
		if err != nil {
			return nil, err
		}
		if err := p.expect(" "); err != nil {
			return nil, err
		}
		t, err := p.parse()
		if err != nil {
			return nil, err
		}
		fields = append(fields, Field{name, t})
	}
	return Struct(fields...), nil
}

func (p *typeParser) quoted() (string, error) {
	if err := p.expect("`"); err != nil {
		return "", err
	}
	var sb strings.Builder
	for {
		i := strings.IndexByte(p.text, '`')
		if i < 0 {
			return "", fmt.Errorf("a quoted name does not end at %q", p.text)
		}
		sb.WriteString(p.text[:i])
		p.text = p.text[i+1:]
		if !strings.HasPrefix(p.text, "`") {
			return sb.String(), nil
		}
		sb.WriteByte('`')
		p.text = p.text[1:]
	}
}

func (p *typeParser) decimal() (*Type, error) {
	var n [2]int
	for i, before := range []string{"(", ", "} {
		if err := p.expect(before); err != nil {
			return nil, err
		}
		digits := 0
		for digits < len(p.text) && p.text[digits] >= '0' && p.text[digits] <= '9' {
			digits++
		}
		v, err := strconv.Atoi(p.text[:digits])
		if err != nil {
			return nil, err
		}
		n[i], p.text = v, p.text[digits:]
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return Decimal(n[0], n[1])
}

var namespaceNames = [...]string{NamespaceValue: "value", NamespaceKey: "key", NamespaceHeaders: "headers"}

// MarshalText implements encoding.TextMarshaler.
func (n Namespace) MarshalText() ([]byte, error) { return []byte(namespaceNames[n]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Namespace) UnmarshalText(text []byte) error {
	for i, s := range namespaceNames {
		if s == string(text) {
			*n = Namespace(i)
			return nil
		}
	}
	return fmt.Errorf("unknown namespace %q", text)
}
