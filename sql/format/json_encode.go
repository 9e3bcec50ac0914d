package format

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"karst/sql/types"
	"karst/sql/vector"
)

type jsonEncoder struct {
	wrapped bool
	names   [][]byte // `{"A":`, `,"B":` …
	cols    []types.Column
}

func newJSONEncoder(o Options, cols []types.Column) *jsonEncoder {
	e := &jsonEncoder{wrapped: o.wrapped(cols), cols: cols}
	for i, c := range cols {
		e.names = append(e.names, fieldPrefix(i, c.Name))
	}
	return e
}

func fieldPrefix(i int, name string) []byte {
	p := []byte{','}
	if i == 0 {
		p[0] = '{'
	}
	return append(AppendJSONString(p, []byte(name)), ':')
}

// Encode implements Encoder.
func (e *jsonEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for _, row := range rows {
		start := len(out.Buf)
		switch {
		case e.wrapped:
			for i, c := range cols {
				out.Buf = AppendJSON(append(out.Buf, e.names[i]...), c, int(row))
			}
			if len(cols) == 0 {
				out.Buf = append(out.Buf, '{')
			}
			out.Buf = append(out.Buf, '}')
		case cols[0].IsNull(int(row)):
			out.Null()
			continue
		default:
			out.Buf = AppendJSON(out.Buf, cols[0], int(row))
		}
		out.close(start)
	}
	return nil
}

// AppendJSON appends row i of v as ksqlDB writes it: doubles as Java prints
// them, DECIMAL with its scale, BYTES as base64, DATE as days, TIME and
// TIMESTAMP as milliseconds.
func AppendJSON(buf []byte, v *vector.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(buf, "null"...)
	}
	switch v.Type.Kind() {
	case types.KindBoolean:
		return strconv.AppendBool(buf, v.Bits.Get(i))
	case types.KindInt, types.KindDate, types.KindTime:
		return strconv.AppendInt(buf, int64(v.I32[i]), 10)
	case types.KindBigint, types.KindTimestamp:
		return strconv.AppendInt(buf, v.I64[i], 10)
	case types.KindDouble:
		return appendJSONDouble(buf, v.F64[i])
	case types.KindDecimal:
		return append(buf, types.FormatDecimal(v.Dec[i].BigInt(), v.Type.Scale())...)
	case types.KindString:
		return AppendJSONString(buf, v.Str(i))
	case types.KindBytes:
		buf = base64.StdEncoding.AppendEncode(append(buf, '"'), v.Str(i))
		return append(buf, '"')
	}
	return appendNested(buf, v, i)
}

// appendJSONDouble quotes the doubles that JSON has no numbers for.
func appendJSONDouble(buf []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(AppendDouble(append(buf, '"'), f), '"')
	}
	return AppendDouble(buf, f)
}

func appendNested(buf []byte, v *vector.Vector, i int) []byte {
	switch v.Type.Kind() {
	case types.KindArray:
		buf = append(buf, '[')
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			if j > v.Offsets[i] {
				buf = append(buf, ',')
			}
			buf = AppendJSON(buf, v.Kids[0], int(j))
		}
		return append(buf, ']')
	case types.KindMap:
		buf = append(buf, '{')
		for j := v.Offsets[i]; j < v.Offsets[i+1]; j++ {
			if j > v.Offsets[i] {
				buf = append(buf, ',')
			}
			buf = appendMapKeyJSON(buf, v.Kids[0], int(j))
			buf = AppendJSON(append(buf, ':'), v.Kids[1], int(j))
		}
		return append(buf, '}')
	case types.KindStruct:
		for k, f := range v.Type.Fields() {
			if k == 0 {
				buf = append(buf, '{')
			} else {
				buf = append(buf, ',')
			}
			buf = append(AppendJSONString(buf, []byte(f.Name)), ':')
			buf = AppendJSON(buf, v.Kids[k], i)
		}
		if len(v.Kids) == 0 {
			buf = append(buf, '{')
		}
		return append(buf, '}')
	}
	return append(buf, "null"...)
}

func appendMapKeyJSON(buf []byte, keys *vector.Vector, j int) []byte {
	if keys.Type.Kind() == types.KindString && !keys.IsNull(j) {
		return AppendJSONString(buf, keys.Str(j))
	}
	return append(AppendJSON(append(buf, '"'), keys, j), '"')
}

const hexDigits = "0123456789ABCDEF"

// AppendJSONString appends s quoted and escaped.
func AppendJSONString(buf, s []byte) []byte {
	buf = append(buf, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				buf = append(append(buf, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		buf = append(buf, s[start:i]...)
		switch c {
		case '"', '\\':
			buf = append(buf, '\\', c)
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		case '\b':
			buf = append(buf, '\\', 'b')
		case '\f':
			buf = append(buf, '\\', 'f')
		default:
			buf = append(buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(buf, s[start:]...), '"')
}
