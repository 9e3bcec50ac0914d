package log

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Rewrite encodes the records of the batch that r holds, see DecodeBatch, for
// which keep says so, under the batch's own header: offsets, producer,
// sequence, codec and kind stay. A horizon of 0 or more is noted as the time
// from which on tombstones may go. With no record kept the batch is empty, and
// still covers its offsets.
func (r *Records) Rewrite(info BatchInfo, horizon int64, keep func(i int) bool) ([]byte, error) {
	head := append([]byte(nil), r.Buf[:headerBytes]...)
	if horizon >= 0 {
		head[posAttributes+1] |= attrHorizon
		binary.BigEndian.PutUint64(head[posBaseTime:], uint64(horizon))
	}
	base := int64(binary.BigEndian.Uint64(head[posBaseTime:]))
	var body []byte
	count, maxTime := 0, int64(math.MinInt64)
	for i := range r.Len() {
		if keep(i) {
			body = r.appendRecord(body, i, r.Timestamps[i]-base, r.Offsets[i]-info.BaseOffset)
			maxTime = max(maxTime, r.Timestamps[i])
			count++
		}
	}
	if count == 0 {
		maxTime = -1
	}
	if !info.AppendTime() {
		binary.BigEndian.PutUint64(head[posMaxTime:], uint64(maxTime))
	}
	binary.BigEndian.PutUint32(head[posCount:], uint32(count))
	if count == 0 {
		head[posAttributes+1] &^= attrCodec
	}
	out := append(head, body...)
	if codec := info.Codec(); codec != None && count > 0 {
		var err error
		if out, err = compress(codec, body, head); err != nil {
			return nil, fmt.Errorf("compressing batch: %w", err)
		}
	}
	binary.BigEndian.PutUint32(out[posLength:], uint32(len(out)-prefixBytes))
	setCRC(out)
	return out, nil
}

// appendRecord encodes record i with these deltas.
func (r *Records) appendRecord(buf []byte, i int, timestamp, offset int64) []byte {
	headers := r.encodedHeaders(i)
	key, value := r.Key(i), r.Value(i)
	n := 1 + varintLen(timestamp) + varintLen(offset) + bytesLen(key) + bytesLen(value) +
		varintLen(int64(r.HeaderCount[i])) + len(headers)
	buf = binary.AppendVarint(buf, int64(n))
	buf = append(buf, 0)
	buf = binary.AppendVarint(buf, timestamp)
	buf = binary.AppendVarint(buf, offset)
	buf = appendBytes(buf, key)
	buf = appendBytes(buf, value)
	buf = binary.AppendVarint(buf, int64(r.HeaderCount[i]))
	return append(buf, headers...)
}

// encodedHeaders returns record i's headers as they stand in Buf.
func (r *Records) encodedHeaders(i int) []byte {
	c := cursor{buf: r.Buf, pos: int(r.HeaderOff[i])}
	for range r.HeaderCount[i] {
		c.bytes()
		c.bytes()
	}
	return r.Buf[r.HeaderOff[i]:c.pos]
}
