package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
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
	Offsets    []int64
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
	r.KeyOff, r.KeyLen = r.KeyOff[:0], r.KeyLen[:0]
	r.ValueOff, r.ValueLen = r.ValueOff[:0], r.ValueLen[:0]
	r.Timestamps, r.Offsets = r.Timestamps[:0], r.Offsets[:0]
	r.HeaderOff, r.HeaderCount, r.HeaderTotal = r.HeaderOff[:0], r.HeaderCount[:0], 0
}

// Headers decodes record i's headers; it returns nil if there are none.
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

// A BatchInfo is what a batch's header says.
type BatchInfo struct {
	BaseOffset  int64
	Bytes       int // of the whole batch
	LeaderEpoch int32
	Attributes  int16
	LastOffset  int64
	MaxTime     int64
	Count       int
}

// Control reports whether the batch holds a transaction marker.
func (b BatchInfo) Control() bool { return b.Attributes&0x20 != 0 }

// HeaderBytes is how much of a batch ReadHeader needs.
const HeaderBytes = headerBytes

// ReadHeader reads the header of the batch that buf starts with; buf may end
// within the batch, but must hold HeaderBytes.
func ReadHeader(buf []byte) (BatchInfo, error) {
	if len(buf) < headerBytes {
		return BatchInfo{}, fmt.Errorf("%w: batch header cut off", ErrCorrupt)
	}
	length := int32(binary.BigEndian.Uint32(buf[posLength:]))
	base := int64(binary.BigEndian.Uint64(buf))
	last := int32(binary.BigEndian.Uint32(buf[posLastDelta:]))
	b := BatchInfo{
		BaseOffset:  base,
		Bytes:       int(length) + prefixBytes,
		LeaderEpoch: int32(binary.BigEndian.Uint32(buf[posLeaderEpoch:])),
		Attributes:  int16(binary.BigEndian.Uint16(buf[posAttributes:])),
		LastOffset:  base + int64(last),
		MaxTime:     int64(binary.BigEndian.Uint64(buf[posMaxTime:])),
		Count:       int(int32(binary.BigEndian.Uint32(buf[posCount:]))),
	}
	if buf[posMagic] != 2 {
		return b, fmt.Errorf("%w: batch magic %d", ErrCorrupt, buf[posMagic])
	}
	if b.Bytes < headerBytes || base < 0 || last < 0 || b.Count < 0 {
		return b, fmt.Errorf("%w: batch of %d bytes and %d records at offset %d", ErrCorrupt, b.Bytes, b.Count, base)
	}
	return b, nil
}

// SetBase sets the offset of the batch's first record and the leader epoch, in
// place.
func SetBase(batch []byte, baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(batch, uint64(baseOffset))
	binary.BigEndian.PutUint32(batch[posLeaderEpoch:], uint32(leaderEpoch))
}

// CheckBatch verifies that b is exactly one whole batch with a right CRC.
func CheckBatch(b []byte) (BatchInfo, error) {
	info, err := ReadHeader(b)
	if err != nil {
		return info, err
	}
	if info.Bytes != len(b) {
		return info, fmt.Errorf("%w: batch says %d bytes, has %d", ErrCorrupt, info.Bytes, len(b))
	}
	if got, want := crc32.Checksum(b[posAttributes:], castagnoli), binary.BigEndian.Uint32(b[posCRC:]); got != want {
		return info, fmt.Errorf("%w: CRC %08x of batch at offset %d, expected %08x", ErrCorrupt, got, info.BaseOffset, want)
	}
	return info, nil
}

// Decode appends the records of batches, from offset from on, to r: as many
// whole batches as buf holds, of at most limit records in all (at least one
// batch). r.Buf must end with buf: decoded columns refer to positions in
// r.Buf, of which buf is the part from start on. It returns the offset after
// the last record decoded and the number of bytes of r.Buf consumed.
// Control batches are stepped over. Decompressed records go to the end of
// r.Buf.
func (r *Records) Decode(start, end int, from int64, limit int) (next int64, consumed int, err error) {
	pos := start
	next = from
	for end-pos >= headerBytes {
		batch := r.Buf[pos:end]
		info, err := ReadHeader(batch)
		if err != nil {
			return next, pos - start, err
		}
		if info.Bytes > len(batch) {
			break
		}
		if pos > start && len(r.Offsets)+info.Count > limit {
			break
		}
		if err := r.decodeBatch(pos, info, from); err != nil {
			return next, pos - start, err
		}
		pos += info.Bytes
		next = max(next, info.LastOffset+1)
	}
	return next, pos - start, nil
}

func (r *Records) decodeBatch(pos int, info BatchInfo, from int64) error {
	batch := r.Buf[pos : pos+info.Bytes]
	if _, err := CheckBatch(batch); err != nil {
		return err
	}
	if info.Control() || info.LastOffset < from {
		return nil
	}
	body, end := pos+headerBytes, pos+info.Bytes
	if codec := info.Attributes & 7; codec != 0 {
		at := len(r.Buf)
		out, err := decompress(codec, r.Buf[body:end], r.Buf)
		if err != nil {
			return fmt.Errorf("decompressing batch at offset %d: %w", info.BaseOffset, err)
		}
		r.Buf = out
		body, end = at, len(out)
	}
	c := cursor{buf: r.Buf[:end], pos: body}
	baseTime := int64(binary.BigEndian.Uint64(batch[posBaseTime:]))
	appendTime := info.Attributes&8 != 0
	for range info.Count {
		if !r.record(&c, info, baseTime, appendTime, from) {
			return fmt.Errorf("%w: record %d of batch at offset %d", ErrCorrupt, r.Len(), info.BaseOffset)
		}
	}
	return nil
}

// record decodes one record; it reports false if it does not fit its bounds.
func (r *Records) record(c *cursor, info BatchInfo, baseTime int64, appendTime bool, from int64) bool {
	length := c.varint()
	if length < 1 || length > int64(len(c.buf)-c.pos) {
		return false
	}
	end := c.pos + int(length)
	c.pos++ // attributes
	ts := baseTime + c.varint()
	offset := info.BaseOffset + c.varint()
	keyOff, keyLen := c.bytes()
	valueOff, valueLen := c.bytes()
	headers := c.varint()
	if c.bad || headers < 0 || headers > length {
		return false
	}
	headerOff := c.pos
	for range headers {
		if _, n := c.bytes(); n < 0 {
			return false
		}
		c.bytes()
	}
	if c.bad || c.pos != end {
		return false
	}
	if offset < from {
		return true
	}
	if appendTime {
		ts = info.MaxTime
	}
	r.KeyOff, r.KeyLen = append(r.KeyOff, keyOff), append(r.KeyLen, keyLen)
	r.ValueOff, r.ValueLen = append(r.ValueOff, valueOff), append(r.ValueLen, valueLen)
	r.Timestamps, r.Offsets = append(r.Timestamps, ts), append(r.Offsets, offset)
	r.HeaderOff, r.HeaderCount = append(r.HeaderOff, int32(headerOff)), append(r.HeaderCount, int32(headers))
	r.HeaderTotal += int(headers)
	return true
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
