package format

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// The DELIMITED format is one line of CSV: fields between delimiters, quoted
// where they must be, an empty field is null.

func checkDelimited(o Options, cols []types.Column) error {
	for _, c := range cols {
		if c.Type.IsNested() {
			what := "value"
			if o.Key {
				what = "key"
			}
			return types.Errorf(types.ErrStatement, types.Pos{}, "The 'DELIMITED' %s format does not support type '%s', column: %s", what, c.Type.Kind(), columnList([]types.Column{c}))
		}
	}
	_, err := delimiter(o)
	return err
}

func delimiter(o Options) (byte, error) {
	switch {
	case o.Delimiter == "":
		return ',', nil
	case o.Delimiter == "SPACE":
		return ' ', nil
	case o.Delimiter == "TAB":
		return '\t', nil
	case len(o.Delimiter) == 1:
		return o.Delimiter[0], nil
	}
	return 0, types.Errorf(types.ErrStatement, types.Pos{}, "Invalid delimiter value: '%s'. Delimiter must be a single character or TAB, SPACE", o.Delimiter)
}

type delimitedDecoder struct {
	delimiter byte
	cols      []types.Column
	needed    []bool
	fields    [][]byte
}

func newDelimitedDecoder(o Options, cols []types.Column, needed []bool) (Decoder, error) {
	c, err := delimiter(o)
	return &delimitedDecoder{delimiter: c, cols: cols, needed: needed}, err
}

// Decode implements Decoder.
func (d *delimitedDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	builders := make([]*vector.Builder, len(d.cols))
	for i, c := range d.cols {
		if d.needed[i] {
			builders[i] = vector.NewBuilder(a, c.Type, n)
		}
	}
	for row := range n {
		if reason, message := d.record(builders, in.At(row)); reason != "" {
			fail(row, reason, message)
			for _, b := range builders {
				if b != nil {
					b.Truncate(row)
					b.Null()
				}
			}
		}
	}
	out := make([]*vector.Vector, len(d.cols))
	for i, b := range builders {
		if b != nil {
			out[i] = b.Finish()
		}
	}
	return out
}

func (d *delimitedDecoder) record(builders []*vector.Builder, line []byte) (reason, message string) {
	if line == nil {
		for _, b := range builders {
			if b != nil {
				b.Null()
			}
		}
		return "", ""
	}
	var ok bool
	line = bytes.TrimRight(line, "\r\n") // the line's end is none of its last field's
	if d.fields, ok = splitDelimited(d.fields[:0], line, d.delimiter); !ok {
		return ReasonMalformed, "a quoted field is not closed: " + brief(line)
	}
	if len(d.fields) != len(d.cols) {
		return ReasonMalformed, fmt.Sprintf("expected %d fields, found %d: %s", len(d.cols), len(d.fields), brief(line))
	}
	for i, b := range builders {
		if b == nil {
			continue
		}
		if !appendText(b, d.fields[i]) {
			return ReasonWrongType, fmt.Sprintf("%s: expected %s, found %s", d.cols[i].Name, d.cols[i].Type, brief(d.fields[i]))
		}
	}
	return "", ""
}

// splitDelimited appends the fields of a line; an empty one, quoted or not, is
// nil.
func splitDelimited(fields [][]byte, line []byte, delimiter byte) ([][]byte, bool) {
	for {
		if len(line) > 0 && line[0] == '"' {
			field, rest, ok := quotedField(line)
			if !ok {
				return fields, false
			}
			fields = append(fields, field)
			if len(rest) == 0 {
				return fields, true
			}
			if rest[0] != delimiter {
				return fields, false
			}
			line = rest[1:]
			continue
		}
		i := bytes.IndexByte(line, delimiter)
		if i < 0 {
			return append(fields, nilIfEmpty(line)), true
		}
		fields = append(fields, nilIfEmpty(line[:i]))
		line = line[i+1:]
	}
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func quotedField(line []byte) (field, rest []byte, ok bool) {
	i := 1
	for {
		n := bytes.IndexByte(line[i:], '"')
		if n < 0 {
			return nil, nil, false
		}
		i += n + 1
		if i < len(line) && line[i] == '"' {
			i++
			continue
		}
		return nilIfEmpty(bytes.ReplaceAll(line[1:i-1], []byte(`""`), []byte(`"`))), line[i:], true
	}
}

// appendText appends a value given as text; nil is null.
func appendText(b *vector.Builder, text []byte) bool {
	if text == nil {
		b.Null()
		return true
	}
	t := b.Type()
	switch t.Kind() {
	case types.KindString:
		b.Bytes(text)
		return true
	case types.KindBytes:
		raw, err := base64.StdEncoding.AppendDecode(nil, text)
		b.Bytes(raw)
		return err == nil
	}
	s := string(bytes.TrimSpace(text))
	switch t.Kind() {
	case types.KindBoolean:
		b.Bool(equalFold(s, "true"))
	case types.KindInt, types.KindDate, types.KindTime:
		n, err := strconv.ParseInt(s, 10, 32)
		b.Int32(int32(n))
		return err == nil
	case types.KindBigint, types.KindTimestamp:
		n, err := strconv.ParseInt(s, 10, 64)
		b.Int64(n)
		return err == nil
	case types.KindDouble:
		f, ok := types.ParseDouble(s)
		b.Float64(f)
		return ok
	case types.KindDecimal:
		n, ok := types.ParseDecimal(s, t.Precision(), t.Scale())
		if ok {
			b.Decimal(decimal128.FromBigInt(n))
		}
		return ok
	}
	return true
}

func equalFold(a, b string) bool { return bytes.EqualFold([]byte(a), []byte(b)) }

type delimitedEncoder struct {
	delimiter byte
	scratch   []byte
}

func newDelimitedEncoder(o Options, _ []types.Column) (Encoder, error) {
	c, err := delimiter(o)
	return &delimitedEncoder{delimiter: c}, err
}

// Encode implements Encoder.
func (e *delimitedEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for _, row := range rows {
		if len(cols) == 1 && cols[0].IsNull(int(row)) {
			out.Null()
			continue
		}
		start := len(out.Buf)
		for i, c := range cols {
			if i > 0 {
				out.Buf = append(out.Buf, e.delimiter)
			}
			if !c.IsNull(int(row)) {
				out.Buf = e.field(out.Buf, c, int(row), i == 0)
			}
		}
		out.close(start)
	}
	return nil
}

// field appends row i of v, quoted where a reader of CSV could take it amiss.
func (e *delimitedEncoder) field(buf []byte, v *vector.Vector, i int, first bool) []byte {
	start := len(buf)
	switch v.Type.Kind() {
	case types.KindString:
		buf = append(buf, v.Str(i)...)
	case types.KindBytes:
		buf = base64.StdEncoding.AppendEncode(buf, v.Str(i))
	case types.KindDouble:
		buf = AppendDouble(buf, v.F64[i])
	default:
		buf = AppendJSON(buf, v, i)
	}
	if !e.mustQuote(buf[start:], first) {
		return buf
	}
	e.scratch = append(e.scratch[:0], buf[start:]...)
	buf = append(buf[:start], '"')
	for _, c := range e.scratch {
		if c == '"' {
			buf = append(buf, c)
		}
		buf = append(buf, c)
	}
	return append(buf, '"')
}

// mustQuote tells whether a field is quoted: one that holds the delimiter, a
// quote or a line break, begins with a character up to '#' (which other readers
// take as a comment) or ends with a blank; a line's first field also if it is
// empty, which an empty line is not, or begins with no letter or digit.
func (e *delimitedEncoder) mustQuote(s []byte, first bool) bool {
	if len(s) == 0 {
		return first
	}
	if s[0] <= '#' || s[len(s)-1] <= ' ' || first && !isAlphanumeric(s[0]) {
		return true
	}
	for _, c := range s {
		if c == e.delimiter || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
