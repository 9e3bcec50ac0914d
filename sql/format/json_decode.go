package format

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"karst/sql/types"
	"karst/sql/vector"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

const (
	maxJSONDepth    = 100
	maxNumberDigits = 1000
)

// A jsonDecoder scans JSON text, directed by the columns: it predicts that
// fields come in the order of the last record and decodes straight into the
// columns' builders.
type jsonDecoder struct {
	wrapped bool
	cols    []types.Column
	needed  []bool
	known   []string
	root    jsonObject
	scratch []byte
	doc     []byte
	row     int
	depth   int
	reason  string
	message string
	fail    Fail
}

// A jsonObject is the fields of an object: the root's columns or a struct's.
type jsonObject struct {
	fields []jsonField
	path   string
	open   bool // unknown fields are reported
}

type jsonField struct {
	name string
	seen []byte // the spelling that matched last
	skip bool
	set  int // number of the object in which the field was last set
	val  jsonValue
}

// A jsonValue decodes values of one type.
type jsonValue struct {
	typ  *types.Type
	kind types.Kind
	path string
	b    *vector.Builder
	elem *jsonValue  // of arrays and maps
	obj  *jsonObject // of structs
	n    int         // objects decoded, to tell set fields
}

func newJSONDecoder(o Options, cols []types.Column, needed []bool) *jsonDecoder {
	d := &jsonDecoder{wrapped: o.wrapped(cols), cols: cols, needed: needed, known: o.Known}
	d.root.open = true
	for i, c := range cols {
		d.root.fields = append(d.root.fields, jsonField{name: c.Name, skip: !needed[i], val: newJSONValue(c.Type, c.Name)})
	}
	return d
}

func newJSONValue(t *types.Type, path string) jsonValue {
	v := jsonValue{typ: t, kind: t.Kind(), path: path}
	switch v.kind {
	case types.KindArray, types.KindMap:
		e := newJSONValue(t.Elem(), path+"[]")
		v.elem = &e
	case types.KindStruct:
		v.obj = &jsonObject{path: path}
		for _, f := range t.Fields() {
			v.obj.fields = append(v.obj.fields, jsonField{name: f.Name, val: newJSONValue(f.Type, path+"->"+f.Name)})
		}
	}
	return v
}

// bind gives the value its builder for a batch.
func (v *jsonValue) bind(b *vector.Builder) {
	v.b, v.n = b, 0
	switch v.kind {
	case types.KindArray:
		v.elem.bind(b.Kid(0))
	case types.KindMap:
		v.elem.bind(b.Kid(1))
	case types.KindStruct:
		for i := range v.obj.fields {
			v.obj.fields[i].set = 0
			v.obj.fields[i].val.bind(b.Kid(i))
		}
	}
}

// Decode implements Decoder.
func (d *jsonDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	d.fail = fail
	fields := d.root.fields
	for i := range fields {
		fields[i].set = 0
		if !fields[i].skip {
			fields[i].val.bind(vector.NewBuilder(a, d.cols[i].Type, n))
		}
	}
	for row := range n {
		d.row = row
		doc := in.At(row)
		if doc == nil || !d.document(doc) {
			for i := range fields {
				if !fields[i].skip {
					fields[i].val.b.Truncate(row)
					fields[i].val.b.Null()
				}
			}
		}
	}
	out := make([]*vector.Vector, len(fields))
	for i := range fields {
		if !fields[i].skip {
			out[i] = fields[i].val.b.Finish()
		}
	}
	return out
}

// document decodes one record; it returns false after reporting a fault.
func (d *jsonDecoder) document(doc []byte) bool {
	d.doc, d.depth, d.reason = doc, 0, ""
	i := skipSpace(doc, 0)
	switch {
	case i >= len(doc):
		i = d.malformed(i, "a value")
	case d.wrapped && doc[i] == 'n' && d.word(i, "null") > 0:
		i += 4
		d.nullFields(&d.root, d.row+1)
	case d.wrapped:
		i = d.object(&d.root, i, d.row+1)
	case d.root.fields[0].skip:
		i = d.skip(i)
	default:
		i = d.value(&d.root.fields[0].val, i)
	}
	if i >= 0 {
		if i = skipSpace(doc, i); i < len(doc) {
			i = d.malformed(i, "the end")
		}
	}
	if i < 0 {
		d.fail(d.row, d.reason, d.message)
		return false
	}
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// malformed notes that the text is not JSON at i; it returns -1.
func (d *jsonDecoder) malformed(i int, expected string) int {
	if d.reason == "" {
		found := "the end"
		if i < len(d.doc) {
			found = brief(d.doc[i:min(i+20, len(d.doc))])
		}
		d.reason, d.message = ReasonMalformed, "JSON byte "+strconv.Itoa(i)+": expected "+expected+", found "+found
	}
	return -1
}

// wrong notes that the value at i does not fit v's type; it returns -1.
func (d *jsonDecoder) wrong(v *jsonValue, i int) int {
	if d.reason == "" {
		end := d.skip(i)
		if end < 0 {
			return -1 // not even JSON
		}
		d.reason, d.message = ReasonWrongType, v.path+": expected "+v.typ.String()+", found "+brief(bytes.TrimSpace(d.doc[i:end]))
	}
	return -1
}

// object decodes an object's fields; number tells this object from the one
// decoded before with the same fields.
func (d *jsonDecoder) object(o *jsonObject, i, number int) int {
	b := d.doc
	if b[i] != '{' {
		if d.reason == "" && o == &d.root {
			return d.malformed(i, "an object")
		}
		return -1
	}
	if d.depth++; d.depth > maxJSONDepth {
		return d.malformed(i, "at most "+strconv.Itoa(maxJSONDepth)+" levels")
	}
	next, missing := 0, len(o.fields)
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		i++
	} else {
		for {
			if i >= len(b) || b[i] != '"' {
				return d.malformed(i, "a field name")
			}
			key, end := d.key(i)
			if end < 0 {
				return -1
			}
			f := o.find(key, &next)
			if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
				return d.malformed(i, "':'")
			}
			if i = skipSpace(b, i+1); i >= len(b) {
				return d.malformed(i, "a value")
			}
			if f != nil && f.set != number {
				f.set = number
				missing--
			} else if f != nil && !f.skip { // given twice: the last one counts
				f.val.b.Truncate(f.val.b.Len() - 1)
			}
			if f == nil || f.skip {
				i = d.skip(i)
				if f == nil && o.open && i >= 0 && !d.isKnown(key) {
					d.fail(d.row, ReasonUnknownField, "field "+brief(key)+" is not a column")
				}
			} else {
				i = d.value(&f.val, i)
			}
			if i < 0 {
				return -1
			}
			if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
				i = skipSpace(b, i+1)
				continue
			}
			if i >= len(b) || b[i] != '}' {
				return d.malformed(i, "',' or '}'")
			}
			i++
			break
		}
	}
	if missing > 0 {
		d.nullFields(o, number)
	}
	d.depth--
	return i
}

func (d *jsonDecoder) isKnown(key []byte) bool {
	for _, k := range d.known {
		if bytes.EqualFold([]byte(k), key) {
			return true
		}
	}
	return false
}

// nullFields makes the fields null that are not set in this object.
func (d *jsonDecoder) nullFields(o *jsonObject, number int) {
	for k := range o.fields {
		if f := &o.fields[k]; f.set != number {
			f.set = number
			if !f.skip {
				f.val.b.Null()
			}
		}
	}
}

// find returns the field that key names: exactly, or else without regard to
// case. next is the position where it is expected.
func (o *jsonObject) find(key []byte, next *int) *jsonField {
	n := len(o.fields)
	for range n {
		if *next >= n {
			*next = 0
		}
		f := &o.fields[*next]
		*next++
		if string(f.seen) == string(key) {
			return f
		}
	}
	for k := range o.fields {
		if o.fields[k].name == string(key) {
			return o.found(k, key, next)
		}
	}
	for k := range o.fields {
		if bytes.EqualFold([]byte(o.fields[k].name), key) {
			return o.found(k, key, next)
		}
	}
	return nil
}

func (o *jsonObject) found(k int, key []byte, next *int) *jsonField {
	o.fields[k].seen = append(o.fields[k].seen[:0], key...)
	*next = k + 1
	return &o.fields[k]
}

// key returns a field name and the position after its closing quote.
func (d *jsonDecoder) key(i int) ([]byte, int) {
	end, escaped := stringEnd(d.doc, i+1)
	if end < 0 {
		return nil, d.malformed(i, "a closed string")
	}
	if !escaped {
		return d.doc[i+1 : end], end + 1
	}
	s, ok := unescape(d.scratch[:0], d.doc[i+1:end])
	d.scratch = s
	if !ok {
		return nil, d.malformed(i, "a string with right escapes")
	}
	return s, end + 1
}

// stringEnd returns the position of the quote that ends the string whose text
// begins at i, and whether there are escapes in it; -1 if none ends it or it
// holds a control character.
func stringEnd(b []byte, i int) (end int, escaped bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^(ones*'"'), w^(ones*'\\')
		m := ((q - ones) &^ q & highs) | ((s - ones) &^ s & highs) | ((w - ones*0x20) &^ w & highs)
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		switch {
		case b[i] == '"':
			return i, escaped
		case b[i] == '\\':
			escaped = true
			i += 2
		default:
			return -1, escaped
		}
	}
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i, escaped
		case c == '\\':
			escaped = true
			i++
		case c < 0x20:
			return -1, escaped
		}
		i++
	}
	return -1, escaped
}

// unescape appends the text of a JSON string to dst.
func unescape(dst, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		if i++; i >= len(s) {
			return dst, false
		}
		switch s[i] {
		case '"', '\\', '/':
			dst = append(dst, s[i])
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(s, i+1)
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					low, ok = hex4(s, i+3)
				}
				if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(s []byte, i int) (rune, bool) {
	if i+4 > len(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[i:i+4]), 16, 32)
	return rune(n), err == nil
}

// word returns the position after the word at i, or -1 if another stands there.
func (d *jsonDecoder) word(i int, w string) int {
	if len(d.doc)-i >= len(w) && string(d.doc[i:i+len(w)]) == w {
		return i + len(w)
	}
	return -1
}

// skip steps over a value of any kind, checking its grammar.
func (d *jsonDecoder) skip(i int) int {
	b := d.doc
	if i >= len(b) {
		return d.malformed(i, "a value")
	}
	switch c := b[i]; {
	case c == '"':
		end, escaped := stringEnd(b, i+1)
		if end < 0 {
			return d.malformed(i, "a closed string")
		}
		if escaped {
			s, ok := unescape(d.scratch[:0], b[i+1:end])
			if d.scratch = s; !ok {
				return d.malformed(i, "a string with right escapes")
			}
		}
		return end + 1
	case c == '{' || c == '[':
		return d.skipNested(i)
	case c == 't':
		return d.skipWord(i, "true")
	case c == 'f':
		return d.skipWord(i, "false")
	case c == 'n':
		return d.skipWord(i, "null")
	}
	if end := numberEnd(b, i); end > 0 {
		return end
	}
	return d.malformed(i, "a value")
}

func (d *jsonDecoder) skipWord(i int, w string) int {
	if end := d.word(i, w); end > 0 {
		return end
	}
	return d.malformed(i, "a value")
}

func (d *jsonDecoder) skipNested(i int) int {
	if d.depth++; d.depth > maxJSONDepth {
		return d.malformed(i, "at most "+strconv.Itoa(maxJSONDepth)+" levels")
	}
	b := d.doc
	object, closer := b[i] == '{', byte(']')
	if object {
		closer = '}'
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == closer {
		d.depth--
		return i + 1
	}
	for {
		if object {
			if i >= len(b) || b[i] != '"' {
				return d.malformed(i, "a field name")
			}
			if i = d.skip(i); i < 0 {
				return -1
			}
			if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
				return d.malformed(i, "':'")
			}
			i = skipSpace(b, i+1)
		}
		if i = d.skip(i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
			continue
		}
		if i >= len(b) || b[i] != closer {
			return d.malformed(i, "',' or '"+string(closer)+"'")
		}
		d.depth--
		return i + 1
	}
}

// numberEnd returns the position after the number at i, or -1.
func numberEnd(b []byte, i int) int {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := func() bool {
		s := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > s
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	if i-start > maxNumberDigits {
		return -1
	}
	return i
}

// value decodes a value of v's type.
func (d *jsonDecoder) value(v *jsonValue, i int) int {
	b := d.doc
	if b[i] == 'n' {
		if end := d.word(i, "null"); end > 0 {
			v.b.Null()
			return end
		}
		return d.malformed(i, "a value")
	}
	switch v.kind {
	case types.KindString:
		return d.text(v, i)
	case types.KindInt, types.KindDate, types.KindTime, types.KindBigint, types.KindTimestamp:
		return d.integer(v, i)
	case types.KindDouble:
		return d.double(v, i)
	case types.KindBoolean:
		if end := d.word(i, "true"); end > 0 {
			v.b.Bool(true)
			return end
		}
		if end := d.word(i, "false"); end > 0 {
			v.b.Bool(false)
			return end
		}
		return d.wrong(v, i)
	case types.KindDecimal:
		return d.decimal(v, i)
	case types.KindBytes:
		return d.base64(v, i)
	case types.KindArray:
		return d.array(v, i)
	case types.KindMap:
		return d.mapping(v, i)
	case types.KindStruct:
		return d.structure(v, i)
	}
	return d.wrong(v, i)
}

// text decodes a STRING: a string, or any other value as its JSON text without
// blanks.
func (d *jsonDecoder) text(v *jsonValue, i int) int {
	b := d.doc
	if b[i] != '"' {
		end := d.skip(i)
		if end >= 0 {
			d.scratch = AppendCompact(d.scratch[:0], b[i:end])
			v.b.Bytes(d.scratch)
		}
		return end
	}
	end, escaped := stringEnd(b, i+1)
	if end < 0 {
		return d.malformed(i, "a closed string")
	}
	s := b[i+1 : end]
	if escaped {
		var ok bool
		if s, ok = unescape(d.scratch[:0], s); !ok {
			return d.malformed(i, "a string with right escapes")
		}
		d.scratch = s
	}
	if !utf8.Valid(s) {
		return d.malformed(i, "valid UTF-8")
	}
	v.b.Bytes(s)
	return end + 1
}

// scalar returns the text of a number, or of a number within a string.
func (d *jsonDecoder) scalar(i int) (text []byte, end int) {
	b := d.doc
	if b[i] == '"' {
		e, escaped := stringEnd(b, i+1)
		if e < 0 || escaped || numberEnd(b, i+1) != e {
			return nil, -1
		}
		return b[i+1 : e], e + 1
	}
	e := numberEnd(b, i)
	if e < 0 {
		return nil, -1
	}
	return b[i:e], e
}

func (d *jsonDecoder) integer(v *jsonValue, i int) int {
	b := d.doc
	j, neg := i, false
	if b[j] == '-' {
		neg = true
		j++
	}
	start, n := j, int64(0)
	for j < len(b) && b[j]-'0' <= 9 {
		n = n*10 + int64(b[j]-'0')
		j++
	}
	if j == start || j-start > 18 || b[start] == '0' && j-start > 1 || j < len(b) && (b[j] == '.' || b[j]|0x20 == 'e') {
		return d.slowInteger(v, i)
	}
	if neg {
		n = -n
	}
	return d.putInteger(v, n, i, j)
}

func (d *jsonDecoder) putInteger(v *jsonValue, n int64, i, end int) int {
	switch v.kind {
	case types.KindBigint, types.KindTimestamp:
		v.b.Int64(n)
		return end
	}
	if int64(int32(n)) != n {
		return d.wrong(v, i)
	}
	v.b.Int32(int32(n))
	return end
}

// slowInteger takes long integers, integers in strings, and numbers with a
// fraction, which is cut off.
func (d *jsonDecoder) slowInteger(v *jsonValue, i int) int {
	text, end := d.scalar(i)
	if end < 0 {
		return d.wrong(v, i)
	}
	s := unsafe.String(unsafe.SliceData(text), len(text))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return d.putInteger(v, n, i, end)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || d.doc[i] == '"' || f < -9.2233720368547e18 || f > 9.2233720368547e18 {
		return d.wrong(v, i)
	}
	return d.putInteger(v, int64(f), i, end)
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

func (d *jsonDecoder) double(v *jsonValue, i int) int {
	b := d.doc
	j, neg := i, false
	if b[j] == '-' {
		neg = true
		j++
	}
	start, point, m := j, -1, uint64(0)
	for ; j < len(b); j++ {
		if c := b[j]; c-'0' <= 9 {
			m = m*10 + uint64(c-'0')
		} else if c == '.' && point < 0 {
			point = j
		} else {
			break
		}
	}
	digits, fraction := j-start, 0
	if point >= 0 {
		digits, fraction = digits-1, j-point-1
	}
	// Exact when the digits fit a float's mantissa and the power of ten is exact.
	if digits == 0 || digits > 15 || point == start || point >= 0 && fraction == 0 || b[start] == '0' && digits-fraction > 1 || j < len(b) && b[j]|0x20 == 'e' {
		return d.slowDouble(v, i)
	}
	f := float64(m) / pow10[fraction]
	if neg {
		f = -f
	}
	v.b.Float64(f)
	return j
}

func (d *jsonDecoder) slowDouble(v *jsonValue, i int) int {
	for n, text := range notFiniteTexts {
		if bytes.HasPrefix(d.doc[i:], text) {
			v.b.Float64(notFinite[n])
			return i + len(text)
		}
	}
	text, end := d.scalar(i)
	if end < 0 {
		return d.wrong(v, i)
	}
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil && f == 0 {
		return d.wrong(v, i)
	}
	v.b.Float64(f)
	return end
}

// notFinite are the doubles that JSON has no numbers for, notFiniteTexts what the
// encoder writes for them.
var (
	notFinite      = [...]float64{math.NaN(), math.Inf(1), math.Inf(-1)}
	notFiniteTexts = [...][]byte{appendJSONDouble(nil, notFinite[0]), appendJSONDouble(nil, notFinite[1]), appendJSONDouble(nil, notFinite[2])}
)

func (d *jsonDecoder) decimal(v *jsonValue, i int) int {
	text, end := d.decimalText(i)
	if end < 0 {
		return d.wrong(v, i)
	}
	n, ok := types.ParseDecimal(string(text), v.typ.Precision(), v.typ.Scale())
	if !ok {
		return d.wrong(v, i)
	}
	v.b.Decimal(decimal128.FromBigInt(n))
	return end
}

// decimalText returns the text of a number, or of a string, whose digits may
// begin with zeros.
func (d *jsonDecoder) decimalText(i int) (text []byte, end int) {
	if d.doc[i] != '"' {
		return d.scalar(i)
	}
	e, escaped := stringEnd(d.doc, i+1)
	if e < 0 || escaped || e-i > maxNumberDigits {
		return nil, -1
	}
	return d.doc[i+1 : e], e + 1
}

func (d *jsonDecoder) base64(v *jsonValue, i int) int {
	if d.doc[i] != '"' {
		return d.wrong(v, i)
	}
	end, escaped := stringEnd(d.doc, i+1)
	if end < 0 {
		return d.malformed(i, "a closed string")
	}
	s := d.doc[i+1 : end]
	if escaped {
		s, _ = unescape(nil, s)
	}
	out, err := base64.StdEncoding.AppendDecode(d.scratch[:0], s)
	d.scratch = out
	if err != nil {
		return d.wrong(v, i)
	}
	v.b.Bytes(out)
	return end + 1
}

func (d *jsonDecoder) array(v *jsonValue, i int) int {
	b := d.doc
	if b[i] != '[' {
		return d.wrong(v, i)
	}
	if d.depth++; d.depth > maxJSONDepth {
		return d.malformed(i, "at most "+strconv.Itoa(maxJSONDepth)+" levels")
	}
	i = skipSpace(b, i+1)
	for i < len(b) && b[i] != ']' {
		if i = d.value(v.elem, i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
			if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
				return d.malformed(i, "a value")
			}
		} else if i >= len(b) || b[i] != ']' {
			return d.malformed(i, "',' or ']'")
		}
	}
	if i >= len(b) {
		return d.malformed(i, "']'")
	}
	d.depth--
	v.b.Close()
	return i + 1
}

// mapping decodes an object as a MAP; a key given twice keeps both, and
// look-ups find the last.
func (d *jsonDecoder) mapping(v *jsonValue, i int) int {
	b := d.doc
	if b[i] != '{' {
		return d.wrong(v, i)
	}
	if d.depth++; d.depth > maxJSONDepth {
		return d.malformed(i, "at most "+strconv.Itoa(maxJSONDepth)+" levels")
	}
	i = skipSpace(b, i+1)
	for i < len(b) && b[i] != '}' {
		if b[i] != '"' {
			return d.malformed(i, "a key")
		}
		key, end := d.key(i)
		if end < 0 {
			return -1
		}
		if !appendMapKey(v.b.Kid(0), v.typ.Key(), key) {
			return d.wrong(v, i)
		}
		if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
			return d.malformed(i, "':'")
		}
		if i = skipSpace(b, i+1); i >= len(b) {
			return d.malformed(i, "a value")
		}
		if i = d.value(v.elem, i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
			if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
				return d.malformed(i, "a key")
			}
		} else if i >= len(b) || b[i] != '}' {
			return d.malformed(i, "',' or '}'")
		}
	}
	if i >= len(b) {
		return d.malformed(i, "'}'")
	}
	d.depth--
	v.b.Close()
	return i + 1
}

// appendMapKey appends a map key given as text.
func appendMapKey(b *vector.Builder, t *types.Type, key []byte) bool {
	switch t.Kind() {
	case types.KindString, types.KindBytes:
		b.Bytes(key)
	case types.KindInt:
		n, err := strconv.ParseInt(string(key), 10, 32)
		if err != nil {
			return false
		}
		b.Int32(int32(n))
	case types.KindBigint:
		n, err := strconv.ParseInt(string(key), 10, 64)
		if err != nil {
			return false
		}
		b.Int64(n)
	case types.KindDouble:
		f, err := strconv.ParseFloat(string(key), 64)
		if err != nil {
			return false
		}
		b.Float64(f)
	case types.KindBoolean:
		b.Bool(string(key) == "true")
	default:
		return false
	}
	return true
}

func (d *jsonDecoder) structure(v *jsonValue, i int) int {
	if d.doc[i] != '{' {
		return d.wrong(v, i)
	}
	v.n++
	end := d.object(v.obj, i, v.n)
	if end >= 0 {
		v.b.Close()
	}
	return end
}
