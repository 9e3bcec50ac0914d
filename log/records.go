package log

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Records are decoded records in columns: all bytes lie in Buf, and record i's
// key is Buf[KeyOff[i]:KeyOff[i]+KeyLen[i]], its value likewise; a length of -1
// is null. A Records is reused from fetch to fetch; its slices are valid until
// the next Decode or Reset.
type Records struct {
	Buf        []byte
	KeyOff     []int32
	KeyLen     []int32
	ValueOff   []int32
	ValueLen   []int32
	Timestamps []int64 // ms since the epoch
	Offsets    []int64 // ascending
	// HeaderOff and HeaderCount locate each record's headers in Buf, still
	// encoded; see Headers. HeaderTotal counts those of all records.
	HeaderOff   []int32
	HeaderCount []int32
	HeaderTotal int
}

// Len returns the number of records.
func (r *Records) Len() int { return len(r.Offsets) }

// Key returns record i's key, nil if null; the bytes are r's.
func (r *Records) Key(i int) []byte { return cell(r.Buf, r.KeyOff[i], r.KeyLen[i]) }

// Value returns record i's value, nil if null; the bytes are r's.
func (r *Records) Value(i int) []byte { return cell(r.Buf, r.ValueOff[i], r.ValueLen[i]) }

func cell(buf []byte, off, n int32) []byte {
	if n < 0 {
		return nil
	}
	return buf[off : off+n : off+n]
}

// Reset empties r, keeping its memory.
func (r *Records) Reset() {
	r.Buf = r.Buf[:0]
	r.truncate(0)
	r.HeaderTotal = 0
}

// resize sets the length of all columns; new cells have any content.
func (r *Records) resize(n int) {
	if more := n - len(r.Offsets); more > 0 {
		r.KeyOff, r.KeyLen = slices.Grow(r.KeyOff, more), slices.Grow(r.KeyLen, more)
		r.ValueOff, r.ValueLen = slices.Grow(r.ValueOff, more), slices.Grow(r.ValueLen, more)
		r.Timestamps, r.Offsets = slices.Grow(r.Timestamps, more), slices.Grow(r.Offsets, more)
		r.HeaderOff, r.HeaderCount = slices.Grow(r.HeaderOff, more), slices.Grow(r.HeaderCount, more)
	}
	r.truncate(n)
}

func (r *Records) truncate(n int) {
	r.KeyOff, r.KeyLen = r.KeyOff[:n], r.KeyLen[:n]
	r.ValueOff, r.ValueLen = r.ValueOff[:n], r.ValueLen[:n]
	r.Timestamps, r.Offsets = r.Timestamps[:n], r.Offsets[:n]
	r.HeaderOff, r.HeaderCount = r.HeaderOff[:n], r.HeaderCount[:n]
}

// Headers decodes record i's headers; it returns nil if there are none. The
// values' bytes are r's.
func (r *Records) Headers(i int) []Header {
	n := int(r.HeaderCount[i])
	if n == 0 {
		return nil
	}
	out := make([]Header, n)
	c := cursor{buf: r.Buf, pos: int(r.HeaderOff[i])}
	for j := range out {
		off, length := c.bytes()
		out[j].Key = string(r.Buf[off : off+length])
		off, length = c.bytes()
		out[j].Value = cell(r.Buf, off, length)
	}
	return out
}

// A Span says what of Records.Buf to decode, and what to leave out.
type Span struct {
	Start, End int   // of the batches within Buf; a last one may be cut off
	From       int64 // records before this offset are left out
	MaxRecords int   // no further batch is decoded that would exceed this
	// Before leaves out batches that begin at this offset or later, if it is
	// above 0: they are not consumed.
	Before int64
	// Aborted are the transactions to leave out, by first offset ascending.
	Aborted []AbortedTxn
}

// An AbortedTxn is an aborted transaction of a producer; it ends at the
// producer's next abort marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// maxInflated bounds what is decompressed by one Decode, apart from its first
// batch, which has a bound of its own.
const maxInflated = 64 << 20

// Decode appends the records of whole batches in s to r's columns, at least
// those of the first batch; decompressed records go to the end of r.Buf. It
// returns the offset after the last batch it consumed and the bytes consumed,
// also with an error, which then concerns the batch that stands there and has
// left nothing in r.
func (r *Records) Decode(s Span) (next int64, consumed int, err error) {
	next = s.From
	raw := len(r.Buf)
	aborts := abortFilter{pending: s.Aborted}
	pos := s.Start
	for s.End-pos >= headerBytes {
		info, err := ReadHeader(r.Buf[pos:s.End])
		if err != nil {
			return next, pos - s.Start, err
		}
		full := len(r.Offsets)+info.Count > s.MaxRecords || len(r.Buf)-raw > maxInflated
		if info.Bytes > s.End-pos || full && pos > s.Start || s.Before > 0 && info.BaseOffset >= s.Before {
			break
		}
		if err := r.decodeBatch(pos, info, s.From, &aborts); err != nil {
			return next, pos - s.Start, err
		}
		pos += info.Bytes
		next = max(next, info.LastOffset+1)
	}
	return next, pos - s.Start, nil
}

// decodeBatch decodes the whole batch at pos of r.Buf. The CRC of one that is
// left out is checked too, since its header said where the next begins.
func (r *Records) decodeBatch(pos int, info BatchInfo, from int64, aborts *abortFilter) error {
	batch := r.Buf[pos : pos+info.Bytes]
	if _, err := CheckBatch(batch); err != nil {
		return err
	}
	if aborts.skips(info, batch) || info.LastOffset < from {
		return nil
	}
	return r.inflate(pos, info, from)
}

// DecodeBatch decodes the one batch b, whatever it is, control or of an aborted
// transaction, replacing r's content. b is copied.
func (r *Records) DecodeBatch(b []byte) (BatchInfo, error) {
	r.Reset()
	info, err := CheckBatch(b)
	if err != nil {
		return info, err
	}
	r.Buf = append(r.Buf, b...)
	return info, r.inflate(0, info, 0)
}

// inflate decodes the checked batch at pos, decompressing it first if need be.
func (r *Records) inflate(pos int, info BatchInfo, from int64) error {
	body, end := pos+headerBytes, pos+info.Bytes
	if codec := info.Codec(); codec != None {
		at := len(r.Buf)
		out, err := decompress(codec, r.Buf[body:end], r.Buf)
		if err != nil {
			return fmt.Errorf("decompressing batch at offset %d: %w", info.BaseOffset, err)
		}
		r.Buf = out
		body, end = at, len(out)
	}
	return r.decodeRecords(r.Buf[:end], body, info, from)
}

// Keyless reports whether a batch that was checked has a record without a key.
func Keyless(batch []byte, info BatchInfo) (bool, error) {
	body := batch[headerBytes:info.Bytes]
	if codec := info.Codec(); codec != None {
		var err error
		if body, err = decompress(codec, body, nil); err != nil {
			return false, fmt.Errorf("decompressing batch: %w", err)
		}
	}
	for range info.Count {
		length, n := binary.Varint(body)
		if n <= 0 || length < minRecordBytes-1 || length > int64(len(body)-n) {
			return false, fmt.Errorf("%w: a record of %d bytes does not fit in its batch", ErrCorrupt, length)
		}
		record := body[n : n+int(length)]
		at := 1       // behind the attributes
		for range 2 { // time and offset
			for at < len(record)-1 && record[at] >= 0x80 {
				at++
			}
			at++
		}
		if at < len(record) && record[at] == 1 { // the length -1
			return true, nil
		}
		body = body[n+int(length):]
	}
	return false, nil
}

// minRecordBytes is the size of the smallest record: seven one-byte fields.
const minRecordBytes = 7

// decodeRecords decodes the records at buf[body:], where buf is a prefix of
// r.Buf. After an error r has what it had before.
func (r *Records) decodeRecords(buf []byte, body int, info BatchInfo, from int64) error {
	before := len(r.Offsets)
	if info.Count > (len(buf)-body)/minRecordBytes {
		return fmt.Errorf("%w: batch at offset %d can't hold %d records", ErrCorrupt, info.BaseOffset, info.Count)
	}
	r.resize(before + info.Count)
	d := recordDecoder{
		cursor: cursor{buf: buf, pos: body}, base: info.BaseOffset, baseTime: info.BaseTime,
		delta: -1, lastDelta: info.LastOffset - info.BaseOffset,
	}
	n, headers := before, 0
	for i := range info.Count {
		if !d.record(r, n) {
			r.truncate(before)
			return fmt.Errorf("%w: record %d of the batch at offset %d does not fit its bounds", ErrCorrupt, i, info.BaseOffset)
		}
		if info.Attributes&attrAppendTime != 0 {
			r.Timestamps[n] = info.MaxTime
		}
		if r.Offsets[n] >= from {
			headers += int(r.HeaderCount[n])
			n++
		}
	}
	r.truncate(n)
	r.HeaderTotal += headers
	if d.pos != len(buf) {
		r.truncate(before)
		return fmt.Errorf("%w: %d bytes after the last record of the batch at offset %d", ErrCorrupt, len(buf)-d.pos, info.BaseOffset)
	}
	return nil
}

// A recordDecoder walks the records of a batch.
type recordDecoder struct {
	cursor
	base, baseTime int64
	delta          int64 // of the record before
	lastDelta      int64
}

// record decodes the next record into cell n of r's columns; it reports false
// if the record does not fit its bounds.
func (d *recordDecoder) record(r *Records, n int) bool {
	length := d.varint()
	if length < minRecordBytes-1 || length > int64(len(d.buf)-d.pos) {
		return false
	}
	end := d.pos + int(length)
	d.pos++ // attributes
	r.Timestamps[n] = d.baseTime + d.varint()
	delta := d.varint()
	r.Offsets[n] = d.base + delta
	r.KeyOff[n], r.KeyLen[n] = d.bytes()
	r.ValueOff[n], r.ValueLen[n] = d.bytes()
	headers := d.varint()
	if d.bad || delta <= d.delta || delta > d.lastDelta || headers < 0 || headers > length {
		return false
	}
	d.delta = delta
	r.HeaderOff[n], r.HeaderCount[n] = int32(d.pos), int32(headers)
	for range headers {
		if _, n := d.bytes(); n < 0 {
			return false
		}
		d.bytes()
	}
	return !d.bad && d.pos == end
}

// A cursor reads varints and byte strings; past the end it sets bad.
type cursor struct {
	buf []byte
	pos int
	bad bool
}

func (c *cursor) varint() int64 {
	if c.pos < len(c.buf) {
		if b := c.buf[c.pos]; b < 0x80 { // one byte is by far the most frequent
			c.pos++
			return int64(b>>1) ^ -int64(b&1)
		}
	}
	return c.longVarint()
}

func (c *cursor) longVarint() int64 {
	if c.pos > len(c.buf) {
		c.bad = true
		return 0
	}
	x, n := binary.Varint(c.buf[c.pos:])
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.pos += n
	return x
}

// bytes reads a length and skips as many bytes; -1 is null.
func (c *cursor) bytes() (off, length int32) {
	n := c.varint()
	if n < -1 || n > int64(len(c.buf)-c.pos) {
		c.bad = true
		return 0, 0
	}
	off = int32(c.pos)
	if n > 0 {
		c.pos += int(n)
	}
	return off, int32(n)
}
