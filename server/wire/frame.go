package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of a frame in bytes. The records of a Produce are pieces of its frame,
// so that it may be large; an array's elements take more memory decoded than
// encoded, so that the others may not.
const (
	maxFrameBytes        = 100 << 20
	maxControlFrameBytes = 2 << 20
	maxAnonFrameBytes    = 64 << 10
	minFrameBytes        = 8 // key, version, correlation id
	smallFrameBytes      = 4 << 10
)

var errFrame = errors.New("malformed frame")

// A frame is one request as it came, without its length.
type frame struct {
	buf           []byte
	key, version  int16
	correlationID int32
}

// bufferPool keeps buffers of frames, fetched records and responses, so that an
// idle connection holds none.
var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

// getBuffer returns an empty buffer of whatever capacity.
func getBuffer() []byte { return (*bufferPool.Get().(*[]byte))[:0] }

// getBufferFor returns an empty buffer for a frame of n bytes that may be long
// in coming: never one that is much larger, which others need.
func getBufferFor(n int) []byte {
	b := getBuffer()
	if cap(b) > 4*n+64<<10 {
		putBuffer(b)
		return nil
	}
	return b
}

// putBuffer keeps a buffer that nothing points into any more.
func putBuffer(b []byte) {
	if cap(b) > 0 && cap(b) <= maxPooledBytes {
		bufferPool.Put(&b)
	}
}

// maxPooledBytes is the largest buffer that is kept.
const maxPooledBytes = 64 << 20

// readFrame reads the next frame into a buffer of the pool; free gives it back.
// Memory grows with what has arrived, not with what the length announces; hold
// is asked for what goes beyond freeBytes.
func readFrame(r io.Reader, limit int, hold func(int) error) (frame, error) {
	var head [4 + minFrameBytes]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return frame{}, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n < minFrameBytes || n > int64(limit) {
		return frame{}, fmt.Errorf("%w: length %d, at most %d are taken here", errFrame, n, limit)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return frame{}, err
	}
	f := frame{
		key:           int16(binary.BigEndian.Uint16(head[4:])),
		version:       int16(binary.BigEndian.Uint16(head[6:])),
		correlationID: int32(binary.BigEndian.Uint32(head[8:])),
	}
	if f.key != int16(kmsg.Produce) && n > maxControlFrameBytes {
		return frame{}, fmt.Errorf("%w: length %d of a request of key %d, at most %d are taken", errFrame, n, f.key, maxControlFrameBytes)
	}
	// A small one must not hold a large buffer while it waits to be answered.
	if n > smallFrameBytes {
		f.buf = getBufferFor(int(n))
	} else {
		f.buf = make([]byte, 0, n)
	}
	var err error
	f.buf, err = readGrowing(r, append(f.buf, head[4:]...), int(n), hold)
	return f, err
}

// freeBytes of a frame are read without asking for memory.
const freeBytes = maxAnonFrameBytes

// readGrowing fills buf up to n bytes, at least doubling what it has when it
// needs more memory.
func readGrowing(r io.Reader, buf []byte, n int, hold func(int) error) ([]byte, error) {
	held := freeBytes
	for len(buf) < n {
		end := min(n, max(2*len(buf), freeBytes))
		if end > held {
			if err := hold(end - held); err != nil {
				return buf, err
			}
			held = end
		}
		if end > cap(buf) {
			buf = slices.Grow(buf, end-len(buf))
		}
		got, err := io.ReadFull(r, buf[len(buf):end])
		buf = buf[:len(buf)+got]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// free gives the frame's buffer to another one; nothing may point into it.
func (f *frame) free() {
	if cap(f.buf) > smallFrameBytes {
		putBuffer(f.buf)
	}
	f.buf = nil
}

// skipHeader returns the client id and what follows the request header.
func (f *frame) skipHeader(flexible bool) (clientID string, body []byte, err error) {
	body = f.buf[minFrameBytes:]
	if len(body) < 2 {
		return "", nil, fmt.Errorf("%w: no client id", errFrame)
	}
	n := int(int16(binary.BigEndian.Uint16(body)))
	body = body[2:]
	if n > len(body) {
		return "", nil, fmt.Errorf("%w: client id cut off", errFrame)
	}
	if n > 0 {
		clientID, body = string(body[:n]), body[n:]
	}
	if flexible {
		body, err = skipTags(body)
	}
	return clientID, body, err
}

// skipTags steps over a section of tagged fields.
func skipTags(b []byte) ([]byte, error) {
	count, k := binary.Uvarint(b)
	if k <= 0 || count > uint64(len(b)) {
		return nil, fmt.Errorf("%w: tags", errFrame)
	}
	b = b[k:]
	for range count {
		_, k := binary.Uvarint(b) // the tag's number
		if k <= 0 {
			return nil, fmt.Errorf("%w: tags", errFrame)
		}
		b = b[k:]
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return nil, fmt.Errorf("%w: tags", errFrame)
		}
		b = b[uint64(k)+n:]
	}
	return b, nil
}

// appendResponse appends the frame of a response.
func appendResponse(dst []byte, correlationID int32, resp kmsg.Response) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	// The response to ApiVersions has the old header, since the client may
	// have asked in a version the broker doesn't know.
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		dst = append(dst, 0)
	}
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
