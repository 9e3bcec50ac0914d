package function

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"
)

func stringFunctions() []Def {
	return []Def{
		{Name: "UCASE", Kind: Scalar, Category: CategoryString, Description: "The text in upper case.",
			Signatures: []Signature{scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				return appendUpper(buf, str(c, 0, i)), true
			}))}, Examples: []Example{{"UCASE('abc')", "'ABC'"}, {"UCASE('straße')", "'STRASSE'"}}},
		{Name: "LCASE", Kind: Scalar, Category: CategoryString, Description: "The text in lower case.",
			Signatures: []Signature{scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				return appendLower(buf, str(c, 0, i)), true
			}))}, Examples: []Example{{"LCASE('AbC')", "'abc'"}, {"LCASE('ΟΔΟΣ')", "'οδος'"}}},
		{Name: "LEN", Kind: Scalar, Category: CategoryString, Description: "The number of characters of a text, or of bytes.",
			Signatures: []Signature{
				scalar("input STRING", types.Int, intKernel(func(c *Call, i int) (int32, bool) { return int32(utf8.RuneCount(str(c, 0, i))), true })),
				scalar("input BYTES", types.Int, intKernel(func(c *Call, i int) (int32, bool) { return int32(len(str(c, 0, i))), true })),
			}, Examples: []Example{{"LEN('héllo')", "5"}}},
		{Name: "TRIM", Kind: Scalar, Category: CategoryString, Description: "The text without blanks at both ends.",
			Signatures: []Signature{scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				return append(buf, bytes.TrimFunc(str(c, 0, i), func(r rune) bool { return r <= ' ' })...), true
			}))}, Examples: []Example{{"TRIM('  x ')", "'x'"}}},
		substringDef(),
		{Name: "CONCAT", Kind: Scalar, Category: CategoryString, Description: "The texts one after another; nulls are left out.",
			Signatures: []Signature{concatSignature("STRING", types.String), concatSignature("BYTES", types.Bytes)}, Examples: []Example{{"CONCAT('a', NULL, 'b')", "'ab'"}}},
		{Name: "CONCAT_WS", Kind: Scalar, Category: CategoryString, Description: "The texts with a separator, the first argument, between them; nulls are left out.",
			Signatures: []Signature{{Params: params("separator STRING, inputs STRING..."), Returns: always(types.String), NullTolerant: true, Scalar: plain(stringKernel(concatWS))},
				{Params: params("separator BYTES, inputs BYTES..."), Returns: always(types.Bytes), NullTolerant: true, Scalar: plain(bytesKernel(types.Bytes, concatWS))}},
			Examples: []Example{{"CONCAT_WS('-', 'a', NULL, 'b')", "'a-b'"}}},
		{Name: "REPLACE", Kind: Scalar, Category: CategoryString, Description: "The text with every occurrence of one text replaced by another.",
			Signatures: []Signature{scalar("str STRING, oldStr STRING, newStr STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				return appendReplaced(buf, str(c, 0, i), str(c, 1, i), str(c, 2, i)), true
			}))}, Examples: []Example{{"REPLACE('aXbX', 'X', '-')", "'a-b-'"}}},
		{Name: "INSTR", Kind: Scalar, Category: CategoryString, Description: "The position of a text within another, 0 if it is not there; from a position on, the n-th occurrence.",
			Signatures: []Signature{
				scalar("str STRING, substring STRING", types.Int, intKernel(func(c *Call, i int) (int32, bool) { return instr(str(c, 0, i), str(c, 1, i), 1, 1), true })),
				scalar("str STRING, substring STRING, position INT", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
					return instr(str(c, 0, i), str(c, 1, i), int(c.Args[2].I32[i]), 1), true
				})),
				scalar("str STRING, substring STRING, position INT, occurrence INT", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
					return instr(str(c, 0, i), str(c, 1, i), int(c.Args[2].I32[i]), int(c.Args[3].I32[i])), true
				})),
			}, Examples: []Example{{"INSTR('corporate floor', 'or', 3)", "5"}, {"INSTR('x', 'y')", "0"}}},
		{Name: "LPAD", Kind: Scalar, Category: CategoryString, Description: "The text filled on the left, or cut, to a length.",
			Signatures: []Signature{scalar("input STRING, targetLen INT, padding STRING", types.String, stringKernel(pad(true))),
				scalar("input BYTES, targetLen INT, padding BYTES", types.Bytes, bytesKernel(types.Bytes, padBytes(true)))}, Examples: []Example{{"LPAD('7', 3, '0')", "'007'"}}},
		{Name: "RPAD", Kind: Scalar, Category: CategoryString, Description: "The text filled on the right, or cut, to a length.",
			Signatures: []Signature{scalar("input STRING, targetLen INT, padding STRING", types.String, stringKernel(pad(false))),
				scalar("input BYTES, targetLen INT, padding BYTES", types.Bytes, bytesKernel(types.Bytes, padBytes(false)))}, Examples: []Example{{"RPAD('ab', 4, 'xy')", "'abxy'"}}},
		{Name: "INITCAP", Kind: Scalar, Category: CategoryString, Description: "Each word with a capital first letter, the rest in lower case.",
			Signatures: []Signature{scalar("str STRING", types.String, stringKernel(initcap))}, Examples: []Example{{"INITCAP('the SQL')", "'The Sql'"}}},
		{Name: "SPLIT", Kind: Scalar, Category: CategoryString, Description: "The parts of a text between delimiters; an empty delimiter splits into characters.",
			Signatures: []Signature{scalar("string STRING, delimiter STRING", types.Array(types.String), splitKernel),
				scalar("bytes BYTES, delimiter BYTES", types.Array(types.Bytes), splitKernel)}, Examples: []Example{{"SPLIT('a,b', ',')", "ARRAY['a', 'b']"}}},
		{Name: "ELT", Kind: Scalar, Category: CategoryString, Description: "The n-th of the texts that follow.",
			Signatures: []Signature{{Params: params("n INT, args STRING..."), Returns: always(types.String), NullTolerant: true, Scalar: plain(stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				n := c.Args[0]
				if n.IsNull(i) || n.I32[i] < 1 || int(n.I32[i]) >= len(c.Args) || c.Args[n.I32[i]].IsNull(i) {
					return nil, false
				}
				return append(buf, str(c, int(n.I32[i]), i)...), true
			}))}}, Examples: []Example{{"ELT(2, 'a', 'b')", "'b'"}}},
		{Name: "FIELD", Kind: Scalar, Category: CategoryString, Description: "The position of a text among those that follow, 0 if it is not there.",
			Signatures: []Signature{{Params: params("str STRING, args STRING..."), Returns: always(types.Int), NullTolerant: true, Scalar: plain(intKernel(func(c *Call, i int) (int32, bool) {
				for k := 1; k < len(c.Args) && !c.Args[0].IsNull(i); k++ {
					if !c.Args[k].IsNull(i) && bytes.Equal(str(c, 0, i), str(c, k, i)) {
						return int32(k), true
					}
				}
				return 0, true
			}))}}, Examples: []Example{{"FIELD('b', 'a', 'b')", "2"}}},
		{Name: "REVERSE", Kind: Scalar, Category: CategoryString, Description: "The text from its end to its beginning.",
			Signatures: []Signature{scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				for s := str(c, 0, i); len(s) > 0; {
					_, n := utf8.DecodeLastRune(s)
					buf = append(buf, s[len(s)-n:]...)
					s = s[:len(s)-n]
				}
				return buf, true
			}))}, Examples: []Example{{"REVERSE('abc')", "'cba'"}}},
		{Name: "MD5", Kind: Scalar, Category: CategoryString, Description: "The MD5 digest of a text as hexadecimal digits.",
			Signatures: []Signature{scalar("s STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				sum := md5.Sum(str(c, 0, i))
				return hex.AppendEncode(buf, sum[:]), true
			}))}, Examples: []Example{{"MD5('a')", "'0cc175b9c0f1b6a831c399e269772661'"}}},
		{Name: "CHR", Kind: Scalar, Category: CategoryString, Description: "The character with a code point.",
			Signatures: []Signature{scalar("decimalCode INT", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				r := rune(c.Args[0].I32[i])
				return utf8.AppendRune(buf, r), utf8.ValidRune(r)
			})), scalar("utf16Code STRING", types.String, stringKernel(chrText))}, Examples: []Example{{"CHR(75)", "'K'"}, {`CHR('\u004b')`, "'K'"}}},
		maskDef("MASK", "Each letter and digit replaced: capitals by X, small letters by x, digits by n, others by -; or by characters given, where NULL keeps that kind.", func(n, _ int) (int, int) { return 0, n }, "MASK('My Test 1')", "'Xx-Xxxx-n'", false),
		maskDef("MASK_LEFT", "The first characters masked.", func(n, k int) (int, int) { return 0, min(k, n) }, "MASK_LEFT('abc1', 2)", "'xxc1'", true),
		maskDef("MASK_RIGHT", "The last characters masked.", func(n, k int) (int, int) { return max(0, n-k), n }, "MASK_RIGHT('abc1', 2)", "'abxn'", true),
		maskDef("MASK_KEEP_LEFT", "All but the first characters masked.", func(n, k int) (int, int) { return min(k, n), n }, "MASK_KEEP_LEFT('abc1', 2)", "'abxn'", true),
		maskDef("MASK_KEEP_RIGHT", "All but the last characters masked.", func(n, k int) (int, int) { return 0, max(0, n-k) }, "MASK_KEEP_RIGHT('abc1', 2)", "'xxc1'", true),
	}
}

// upperOfMany are the letters whose capital is several letters.
var upperOfMany = map[rune]string{
	'ß': "SS", 'ŉ': "ʼN", 'ǰ': "J\u030c", 'ΐ': "Ι\u0308\u0301", 'ΰ': "Υ\u0308\u0301", 'և': "ԵՒ", 'ẖ': "H\u0331", 'ẗ': "T\u0308", 'ẘ': "W\u030a", 'ẙ': "Y\u030a",
	'ẚ': "Aʾ", 'ﬀ': "FF", 'ﬁ': "FI", 'ﬂ': "FL", 'ﬃ': "FFI", 'ﬄ': "FFL", 'ﬅ': "ST", 'ﬆ': "ST", 'ﬓ': "ՄՆ", 'ﬔ': "ՄԵ", 'ﬕ': "ՄԻ", 'ﬖ': "ՎՆ", 'ﬗ': "ՄԽ",
}

// endsWord reports whether the letter at s[at:] stands at the end of a word of
// several letters, where a small sigma has a form of its own.
func endsWord(s []byte, at int) bool {
	before, _ := utf8.DecodeLastRune(s[:at])
	_, n := utf8.DecodeRune(s[at:])
	after, _ := utf8.DecodeRune(s[at+n:])
	return unicode.IsLetter(before) && !unicode.IsLetter(after)
}

// appendUpper appends s in upper case.
func appendUpper(buf, s []byte) []byte {
	for k, c := range s {
		switch {
		case c >= utf8.RuneSelf:
			for _, r := range string(s[k:]) {
				if many, ok := upperOfMany[r]; ok {
					buf = append(buf, many...)
				} else {
					buf = utf8.AppendRune(buf, unicode.ToUpper(r))
				}
			}
			return buf
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// appendLower appends s in lower case.
func appendLower(buf, s []byte) []byte {
	for k, c := range s {
		switch {
		case c >= utf8.RuneSelf:
			for at, r := range string(s[k:]) {
				switch {
				case r == 'İ':
					buf = append(buf, "i\u0307"...)
				case r == 'Σ' && endsWord(s, k+at):
					buf = append(buf, "ς"...)
				default:
					buf = utf8.AppendRune(buf, unicode.ToLower(r))
				}
			}
			return buf
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// runeOffset returns the byte position of the n-th character of s.
func runeOffset(s []byte, n int) int {
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRune(s[at:])
		at += size
	}
	return at
}

// substringDef is SUBSTRING, whose positions a setting takes as they were
// before ksqlDB 5.1: from 0, the third argument being the end.
func substringDef() Def {
	setting := Setting{Name: SettingPrefix + "substring.legacy.args", Default: "false", Description: "Positions of texts count from 0, and the third argument is the end instead of the length."}
	text := func(ps string, f func(c *Call, s []byte, i int) []byte) Signature {
		return scalar(ps, types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) { return append(buf, f(c, str(c, 0, i), i)...), true }))
	}
	at := func(c *Call, arg, i int) int { return int(c.Args[arg].I32[i]) }
	legacy := func(ps string) Signature {
		return text(ps, func(c *Call, s []byte, i int) []byte {
			from, to := max(0, at(c, 1, i)), math.MaxInt32
			if len(c.Args) == 3 {
				to = at(c, 2, i)
			}
			return substring(s, from+1, max(0, to-from))
		})
	}
	either := func(now, then Signature) Signature {
		now.Configure = func(settings map[string]string) (*Signature, error) {
			on, ok := settings[setting.Name]
			if !ok || strings.EqualFold(on, "false") {
				return &now, nil
			}
			if !strings.EqualFold(on, "true") {
				return nil, fmt.Errorf("the setting %s must be true or false, found %q", setting.Name, on)
			}
			return &then, nil
		}
		return now
	}
	const one, two = "str STRING, pos INT", "str STRING, pos INT, length INT"
	return Def{Name: "SUBSTRING", Kind: Scalar, Category: CategoryString,
		Description: "The part of a text, or of bytes, from a position (the first is 1, negative ones count from the end), of at most length characters.",
		Signatures: []Signature{
			either(text(one, func(c *Call, s []byte, i int) []byte { return substring(s, at(c, 1, i), -1) }), legacy(one)),
			either(text(two, func(c *Call, s []byte, i int) []byte { return substring(s, at(c, 1, i), max(0, at(c, 2, i))) }), legacy(two)),
			scalar("bytes BYTES, pos INT", types.Bytes, bytesKernel(types.Bytes, func(c *Call, i int, buf []byte) ([]byte, bool) {
				return append(buf, subbytes(str(c, 0, i), at(c, 1, i), math.MaxInt32)...), true
			})),
			scalar("bytes BYTES, pos INT, length INT", types.Bytes, bytesKernel(types.Bytes, func(c *Call, i int, buf []byte) ([]byte, bool) {
				return append(buf, subbytes(str(c, 0, i), at(c, 1, i), max(0, at(c, 2, i)))...), true
			})),
		}, Examples: []Example{{"SUBSTRING('stream', 2, 3)", "'tre'"}, {"SUBSTRING('stream', -2)", "'am'"}}, Settings: []Setting{setting}}
}

// substring counts characters from 1; a negative length is to the end.
func substring(s []byte, pos, length int) []byte {
	n := utf8.RuneCount(s)
	start := pos - 1
	if pos < 0 {
		start = n + pos
	}
	start = max(0, min(start, n))
	end := n
	if length >= 0 {
		end = min(n, start+length)
	}
	if n == len(s) {
		return s[start:end]
	}
	from := runeOffset(s, start)
	return s[from : from+runeOffset(s[from:], end-start)]
}

// appendReplaced appends s with every old text replaced; an empty one stands
// before each character and at the end.
func appendReplaced(buf, s, old, new []byte) []byte {
	if len(old) == 0 {
		return append(buf, bytes.ReplaceAll(s, old, new)...)
	}
	for {
		n := bytes.Index(s, old)
		if n < 0 {
			return append(buf, s...)
		}
		buf = append(append(buf, s[:n]...), new...)
		s = s[n+len(old):]
	}
}

// subbytes is substring for bytes.
func subbytes(s []byte, pos, length int) []byte {
	start := pos - 1
	if pos < 0 {
		start = len(s) + pos
	}
	start = max(0, min(start, len(s)))
	return s[start:min(len(s), start+length)]
}

// chrText takes the code as Java writes it, \\u004b; one outside the basic
// plane is a pair of surrogates.
func chrText(c *Call, i int, buf []byte) ([]byte, bool) {
	var units []uint16
	for s := str(c, 0, i); len(s) > 0; s = s[6:] {
		if len(s) < 6 || s[0] != '\\' || s[1]|0x20 != 'u' {
			return nil, false
		}
		u, err := strconv.ParseUint(string(s[2:6]), 16, 16)
		if err != nil {
			return nil, false
		}
		units = append(units, uint16(u))
	}
	for _, r := range utf16.Decode(units) {
		buf = utf8.AppendRune(buf, r)
	}
	return buf, len(units) > 0
}

func concatSignature(pattern string, t *types.Type) Signature {
	return Signature{Params: params("inputs " + pattern + "..."), Returns: always(t), NullTolerant: true, Scalar: plain(bytesKernel(t, func(c *Call, i int, buf []byte) ([]byte, bool) {
		any := false
		for _, a := range c.Args {
			if !a.IsNull(i) {
				buf, any = append(buf, a.Str(i)...), true
			}
		}
		return buf, any
	}))}
}

func concatWS(c *Call, i int, buf []byte) ([]byte, bool) {
	if c.Args[0].IsNull(i) {
		return nil, false
	}
	first := true
	for _, a := range c.Args[1:] {
		if a.IsNull(i) {
			continue
		}
		if !first {
			buf = append(buf, str(c, 0, i)...)
		}
		buf, first = append(buf, a.Str(i)...), false
	}
	return buf, true
}

// instr finds the occurrence-th sub in s from character position on; a
// negative position searches backwards from that many characters before the end.
func instr(s, sub []byte, position, occurrence int) int32 {
	if position == 0 || occurrence < 1 {
		return 0
	}
	n := utf8.RuneCount(s)
	if position > 0 {
		for at := position - 1; at < n; at++ {
			if bytes.HasPrefix(s[runeOffset(s, at):], sub) {
				if occurrence--; occurrence == 0 {
					return int32(at + 1)
				}
			}
		}
		return 0
	}
	for at := n + position; at >= 0; at-- {
		if bytes.HasPrefix(s[runeOffset(s, at):], sub) {
			if occurrence--; occurrence == 0 {
				return int32(at + 1)
			}
		}
	}
	return 0
}

// maxPadding bounds the length that one row may ask for.
const maxPadding = 16 << 20

func pad(left bool) func(c *Call, i int, buf []byte) ([]byte, bool) {
	return func(c *Call, i int, buf []byte) ([]byte, bool) {
		s, length, padding := str(c, 0, i), int(c.Args[1].I32[i]), str(c, 2, i)
		if length < 0 || len(padding) == 0 {
			return nil, false
		}
		if length > maxPadding {
			c.Fail(int32(i), "the length is above the limit of 16 MiB")
			return nil, false
		}
		n := utf8.RuneCount(s)
		if n >= length {
			return append(buf, s[:runeOffset(s, length)]...), true
		}
		if left {
			return append(appendFill(buf, padding, length-n), s...), true
		}
		return appendFill(append(buf, s...), padding, length-n), true
	}
}

// appendFill appends n characters of padding, over and over.
func appendFill(buf, padding []byte, n int) []byte {
	for rest := padding; n > 0; n-- {
		if len(rest) == 0 {
			rest = padding
		}
		_, size := utf8.DecodeRune(rest)
		buf, rest = append(buf, rest[:size]...), rest[size:]
	}
	return buf
}

func padBytes(left bool) func(c *Call, i int, buf []byte) ([]byte, bool) {
	return func(c *Call, i int, buf []byte) ([]byte, bool) {
		s, length, padding := str(c, 0, i), int(c.Args[1].I32[i]), str(c, 2, i)
		if length < 0 || len(padding) == 0 {
			return nil, false
		}
		if length > maxPadding {
			c.Fail(int32(i), "the length is above the limit of 16 MiB")
			return nil, false
		}
		if len(s) >= length {
			return append(buf, s[:length]...), true
		}
		if !left {
			buf = append(buf, s...)
		}
		for n := length - len(s); n > 0; {
			k := min(n, len(padding))
			buf, n = append(buf, padding[:k]...), n-k
		}
		if left {
			buf = append(buf, s...)
		}
		return buf, true
	}
}

func initcap(c *Call, i int, buf []byte) ([]byte, bool) {
	start := true
	for s := str(c, 0, i); len(s) > 0; {
		r, n := utf8.DecodeRune(s)
		if start {
			buf = utf8.AppendRune(buf, unicode.ToUpper(r))
		} else {
			buf = utf8.AppendRune(buf, unicode.ToLower(r))
		}
		start = unicode.IsSpace(r)
		s = s[n:]
	}
	return buf, true
}

func splitKernel(c *Call) (*vector.Vector, error) {
	t := c.Args[0].Type
	return rows(c, types.Array(t), func(b *vector.Builder, i int) {
		s, d := str(c, 0, i), str(c, 1, i)
		if len(d) == 0 && len(s) > 0 { // of an empty text there is one part, itself
			for len(s) > 0 {
				n := 1
				if t.Kind() == types.KindString {
					_, n = utf8.DecodeRune(s)
				}
				b.Kid(0).Bytes(s[:n])
				s = s[n:]
			}
			b.Close()
			return
		}
		for {
			n := bytes.Index(s, d)
			if n < 0 || len(d) == 0 {
				b.Kid(0).Bytes(s)
				b.Close()
				return
			}
			b.Kid(0).Bytes(s[:n])
			s = s[n+len(d):]
		}
	}), nil
}

// A maskRule is what replaces each kind of character; none keeps it.
type maskRule [4][]byte // upper, lower, digit, other

var defaultMask = maskRule{[]byte("X"), []byte("x"), []byte("n"), []byte("-")}

// maskDef builds a masking function; span says which of n characters to mask.
func maskDef(name, description string, span func(n, k int) (int, int), call, want string, counted bool) Def {
	ps, first := "input STRING", 1 // the first mask's position
	if counted {
		ps, first = ps+", numChars INT", 2
	}
	kernel := stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
		if c.Args[0].IsNull(i) {
			return nil, false
		}
		s, k := str(c, 0, i), 0
		if counted {
			if k = int(c.Args[1].I32[i]); k < 0 || c.Args[1].IsNull(i) {
				c.Fail(int32(i), "the number of characters must not be negative or null")
				return nil, false
			}
		}
		rule := defaultMask
		for m := first; m < len(c.Args); m++ {
			rule[m-first] = nil
			if !c.Args[m].IsNull(i) {
				rule[m-first] = str(c, m, i)[:runeOffset(str(c, m, i), 1)]
			}
		}
		from, to := span(utf8.RuneCount(s), k)
		for n := 0; len(s) > 0; n++ {
			r, size := utf8.DecodeRune(s)
			if mask := rule[maskClass(r)]; n >= from && n < to && len(mask) > 0 {
				buf = append(buf, mask...)
			} else {
				buf = append(buf, s[:size]...)
			}
			s = s[size:]
		}
		return buf, true
	})
	d := Def{Name: name, Kind: Scalar, Category: CategoryString, Description: description, Examples: []Example{{call, want}}}
	for _, p := range []string{ps, ps + ", upper STRING, lower STRING, digit STRING, other STRING"} {
		d.Signatures = append(d.Signatures, Signature{Params: params(p), Returns: always(types.String), NullTolerant: true, Scalar: plain(kernel)})
	}
	return d
}

func maskClass(r rune) int {
	switch {
	case unicode.IsUpper(r):
		return 0
	case unicode.IsLower(r):
		return 1
	case unicode.IsDigit(r):
		return 2
	}
	return 3
}
