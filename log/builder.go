package log

import "encoding/binary"

// A Header is a record header.
type Header struct {
	Key   string
	Value []byte // nil is null
}

// A Builder encodes records into one batch. The zero Builder is ready; after
// Finish it is ready for the next batch and its memory has gone to the caller,
// who may bring it back with Reuse. A batch should stay well below 2 GiB.
type Builder struct {
	buf      []byte
	count    int32
	baseTime int64
	maxTime  int64
}

// Len returns the number of records added since the last Finish.
func (b *Builder) Len() int { return int(b.count) }

// Bytes returns the size of the batch so far.
func (b *Builder) Bytes() int { return len(b.buf) }

// Reuse gives the builder memory for its next batch: one it made earlier, once
// the log has done with it. It does nothing while a batch is being built.
func (b *Builder) Reuse(batch []byte) {
	if b.count == 0 && cap(batch) > cap(b.buf) {
		b.buf = batch[:0]
	}
}

// Grow makes room for n more bytes.
func (b *Builder) Grow(n int) {
	if cap(b.buf)-len(b.buf) < n {
		b.buf = append(make([]byte, 0, len(b.buf)+n+headerBytes), b.buf...)
	}
}

// Add appends a record; a nil key or value is null. It copies them.
func (b *Builder) Add(timestampMS int64, key, value []byte, headers []Header) {
	if b.count == 0 {
		b.buf = append(b.buf[:0], make([]byte, headerBytes)...)
		b.baseTime, b.maxTime = timestampMS, timestampMS
	}
	b.maxTime = max(b.maxTime, timestampMS)
	delta := timestampMS - b.baseTime
	n := 1 + varintLen(delta) + varintLen(int64(b.count)) + bytesLen(key) + bytesLen(value) + varintLen(int64(len(headers)))
	for _, h := range headers {
		n += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	buf := binary.AppendVarint(b.buf, int64(n))
	buf = append(buf, 0)
	buf = binary.AppendVarint(buf, delta)
	buf = binary.AppendVarint(buf, int64(b.count))
	buf = appendBytes(buf, key)
	buf = appendBytes(buf, value)
	buf = binary.AppendVarint(buf, int64(len(headers)))
	for _, h := range headers {
		buf = binary.AppendVarint(buf, int64(len(h.Key)))
		buf = append(buf, h.Key...)
		buf = appendBytes(buf, h.Value)
	}
	b.buf = buf
	b.count++
}

// Finish returns the encoded batch, uncompressed, with base offset 0, and
// resets the builder. It returns nil if no record was added.
func (b *Builder) Finish() []byte {
	if b.count == 0 {
		return nil
	}
	buf := b.buf
	binary.BigEndian.PutUint32(buf[posLength:], uint32(len(buf)-prefixBytes))
	buf[posMagic] = 2
	binary.BigEndian.PutUint32(buf[posLastDelta:], uint32(b.count-1))
	binary.BigEndian.PutUint64(buf[posBaseTime:], uint64(b.baseTime))
	binary.BigEndian.PutUint64(buf[posMaxTime:], uint64(b.maxTime))
	binary.BigEndian.PutUint64(buf[posProducerID:], ^uint64(0))
	binary.BigEndian.PutUint16(buf[posProducerEpch:], ^uint16(0))
	binary.BigEndian.PutUint32(buf[posBaseSequence:], ^uint32(0))
	binary.BigEndian.PutUint32(buf[posCount:], uint32(b.count))
	setCRC(buf)
	b.buf, b.count = nil, 0
	return buf
}

func varintLen(x int64) int {
	u := uint64(x)<<1 ^ uint64(x>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}

func bytesLen(p []byte) int {
	if p == nil {
		return 1
	}
	return varintLen(int64(len(p))) + len(p)
}

func appendBytes(buf, p []byte) []byte {
	if p == nil {
		return append(buf, 1) // -1
	}
	return append(binary.AppendVarint(buf, int64(len(p))), p...)
}
