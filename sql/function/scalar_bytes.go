package function

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"
)

// A textEncoding turns bytes to text and back.
type textEncoding struct {
	encode func(buf, raw []byte) []byte
	decode func(buf, text []byte) ([]byte, error)
}

// textEncodings are the encodings that users name.
var textEncodings = map[string]textEncoding{
	"HEX":    {hex.AppendEncode, hex.AppendDecode},
	"BASE64": {base64.StdEncoding.AppendEncode, base64.StdEncoding.AppendDecode},
	"UTF8": {func(buf, raw []byte) []byte { return append(buf, bytes.ToValidUTF8(raw, []byte("\uFFFD"))...) },
		func(buf, text []byte) ([]byte, error) { return append(buf, text...), nil }},
	"ASCII": {encodeASCII, decodeASCII},
}

// encodeASCII shows each byte above 127 as the replacement character.
func encodeASCII(buf, raw []byte) []byte {
	for _, c := range raw {
		if c < utf8.RuneSelf {
			buf = append(buf, c)
		} else {
			buf = utf8.AppendRune(buf, utf8.RuneError)
		}
	}
	return buf
}

// decodeASCII takes each character that ASCII does not have as '?'.
func decodeASCII(buf, text []byte) ([]byte, error) {
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			buf = append(buf, byte(r))
		} else {
			buf = append(buf, '?')
		}
	}
	return buf, nil
}

// encodingOf returns the encoding that row i of an argument names.
func encodingOf(c *Call, arg, i int) (textEncoding, bool) {
	name := string(str(c, arg, i))
	e, ok := textEncodings[strings.ToUpper(name)]
	if !ok {
		c.Fail(int32(i), fmt.Sprintf("unknown encoding %q; known are hex, utf8, ascii and base64", name))
	}
	return e, ok
}

// decodeText appends the bytes that row i of argument 0 stands for.
func decodeText(c *Call, i int, e textEncoding, buf, text []byte) ([]byte, bool) {
	out, err := e.decode(buf, text)
	if err != nil {
		c.Fail(int32(i), err.Error())
	}
	return out, err == nil
}

// hexLiteral returns the digits of hexadecimal text in one of the notations
// 0x1F, X'1F' and 1F. After 0x an odd number of digits gets a 0 in front.
func hexLiteral(text []byte) []byte {
	n := len(text)
	switch {
	case n >= 2 && text[0] == '0' && text[1] == 'x':
		text = text[2:]
		if len(text)%2 == 1 {
			text = append([]byte{'0'}, text...)
		}
	case n >= 3 && text[0]|0x20 == 'x' && text[1] == '\'' && text[n-1] == '\'':
		text = text[2 : n-1]
	}
	return text
}

func bytesFunctions() []Def {
	number := func(name, description string, t *types.Type, size int, e Example, put func(b *vector.Builder, x uint64)) Def {
		kernel := func(c *Call) (*vector.Vector, error) {
			return rows(c, t, func(b *vector.Builder, i int) {
				if x, ok := wholeFromBytes(c, i, size); ok {
					put(b, x)
				}
			}), nil
		}
		return Def{Name: name, Kind: Scalar, Category: CategoryConversions, Description: description, Examples: []Example{e},
			Signatures: []Signature{scalar("value BYTES", t, kernel), scalar("value BYTES, byteOrder STRING", t, kernel)}}
	}
	return []Def{
		{Name: "TO_BYTES", Kind: Scalar, Category: CategoryString, Description: "The bytes that a text in an encoding (hex, utf8, ascii or base64) stands for.",
			Signatures: []Signature{scalar("value STRING, encoding STRING", types.Bytes, bytesKernel(types.Bytes, func(c *Call, i int, buf []byte) ([]byte, bool) {
				e, ok := encodingOf(c, 1, i)
				if !ok {
					return nil, false
				}
				return decodeText(c, i, e, buf, str(c, 0, i))
			}))}, Examples: []Example{{"LEN(TO_BYTES('21FF', 'hex'))", "2"}}},
		{Name: "FROM_BYTES", Kind: Scalar, Category: CategoryString, Description: "Bytes as text in an encoding (hex, utf8, ascii or base64).",
			Signatures: []Signature{scalar("value BYTES, encoding STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				e, ok := encodingOf(c, 1, i)
				if !ok {
					return nil, false
				}
				buf = e.encode(buf, str(c, 0, i))
				if strings.EqualFold(string(str(c, 1, i)), "HEX") {
					buf = bytes.ToUpper(buf)
				}
				return buf, true
			}))}, Examples: []Example{{"FROM_BYTES(TO_BYTES('1ab2', 'hex'), 'hex')", "'1AB2'"}, {"FROM_BYTES(TO_BYTES('!', 'utf8'), 'base64')", "'IQ=='"}}},
		{Name: "ENCODE", Kind: Scalar, Category: CategoryString, Description: "A text in one encoding (hex, utf8, ascii or base64) written in another; hexadecimal may be written as 0x1F or X'1F' too.",
			Signatures: []Signature{scalar("str STRING, inputEncoding STRING, outputEncoding STRING", types.String, stringKernel(encodeKernel))},
			Examples:   []Example{{"ENCODE('4578616d706C6521', 'hex', 'utf8')", "'Example!'"}, {"ENCODE('0x5', 'hex', 'base64')", "'BQ=='"}}},
		number("INT_FROM_BYTES", "The INT that 4 bytes hold, the highest first, or with 'LITTLE_ENDIAN' the lowest first.", types.Int, 4,
			Example{"INT_FROM_BYTES(TO_BYTES('000007E5', 'hex'))", "2021"}, func(b *vector.Builder, x uint64) { b.Int32(int32(uint32(x))) }),
		number("BIGINT_FROM_BYTES", "The BIGINT that 8 bytes hold, the highest first, or with 'LITTLE_ENDIAN' the lowest first.", types.Bigint, 8,
			Example{"BIGINT_FROM_BYTES(TO_BYTES('0500000000000000', 'hex'), 'LITTLE_ENDIAN')", "CAST(5 AS BIGINT)"}, func(b *vector.Builder, x uint64) { b.Int64(int64(x)) }),
		number("DOUBLE_FROM_BYTES", "The DOUBLE that 8 bytes hold, the highest first, or with 'LITTLE_ENDIAN' the lowest first.", types.Double, 8,
			Example{"DOUBLE_FROM_BYTES(TO_BYTES('4000000000000000', 'hex'))", "2E0"}, func(b *vector.Builder, x uint64) { b.Float64(math.Float64frombits(x)) }),
	}
}

func encodeKernel(c *Call, i int, buf []byte) ([]byte, bool) {
	from, ok := encodingOf(c, 1, i)
	if !ok {
		return nil, false
	}
	to, ok := encodingOf(c, 2, i)
	if !ok {
		return nil, false
	}
	text := str(c, 0, i)
	if strings.EqualFold(string(str(c, 1, i)), "HEX") {
		text = hexLiteral(text)
	}
	raw, ok := decodeText(c, i, from, nil, text)
	if !ok {
		return nil, false
	}
	return to.encode(buf, raw), true
}

// wholeFromBytes reads row i's size bytes in the order that it says.
func wholeFromBytes(c *Call, i, size int) (uint64, bool) {
	raw, little := str(c, 0, i), false
	if len(c.Args) == 2 {
		switch order := string(str(c, 1, i)); strings.ToUpper(order) {
		case "BIG_ENDIAN":
		case "LITTLE_ENDIAN":
			little = true
		default:
			c.Fail(int32(i), fmt.Sprintf("byte order %q is neither BIG_ENDIAN nor LITTLE_ENDIAN", order))
			return 0, false
		}
	}
	if len(raw) != size {
		c.Fail(int32(i), fmt.Sprintf("%d bytes are needed, found %d", size, len(raw)))
		return 0, false
	}
	var full [8]byte
	if little {
		copy(full[:], raw)
		return binary.LittleEndian.Uint64(full[:]), true
	}
	copy(full[8-size:], raw)
	return binary.BigEndian.Uint64(full[:]), true
}
