package expr

import (
	"bytes"
	"unicode/utf8"
)

// A likeMatcher matches LIKE patterns: % is any text, _ any character. It
// works in the product of the lengths at worst.
type likeMatcher struct {
	text  []byte // pattern it was compiled from
	parts []likePart
}

// A likePart is a literal, one character, or any text.
type likePart struct {
	literal []byte
	one     bool
	any     bool
}

func (m *likeMatcher) compile(pattern []byte, escape rune) {
	if m.parts != nil && bytes.Equal(m.text, pattern) {
		return
	}
	m.text = append(m.text[:0], pattern...)
	m.parts = m.parts[:0]
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			m.parts = append(m.parts, likePart{literal: literal})
			literal = nil
		}
	}
	for i := 0; i < len(pattern); {
		r, n := utf8.DecodeRune(pattern[i:])
		switch {
		case r == escape && i+n < len(pattern):
			i += n
			_, n = utf8.DecodeRune(pattern[i:])
			literal = append(literal, pattern[i:i+n]...)
		case r == '%':
			flush()
			m.parts = append(m.parts, likePart{any: true})
		case r == '_':
			flush()
			m.parts = append(m.parts, likePart{one: true})
		default:
			literal = append(literal, pattern[i:i+n]...)
		}
		i += n
	}
	flush()
	if m.parts == nil {
		m.parts = []likePart{}
	}
}

// match goes back only to the last %, which is enough.
func (m *likeMatcher) match(s []byte) bool {
	p, backPart, backAt, at := 0, -1, 0, 0
	for {
		if p == len(m.parts) && at == len(s) {
			return true
		}
		if p < len(m.parts) {
			part := &m.parts[p]
			switch {
			case part.any:
				backPart, backAt = p, at
				p++
				continue
			case part.one && at < len(s):
				_, n := utf8.DecodeRune(s[at:])
				at += n
				p++
				continue
			case part.literal != nil && bytes.HasPrefix(s[at:], part.literal):
				at += len(part.literal)
				p++
				continue
			}
		}
		if backPart < 0 || backAt >= len(s) {
			return false
		}
		_, n := utf8.DecodeRune(s[backAt:])
		backAt += n
		p, at = backPart+1, backAt
	}
}
