package log

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression codecs of a batch's attributes.
const (
	codecGzip   = 1
	codecSnappy = 2
	codecLZ4    = 3
	codecZstd   = 4
)

// maxDecompressed bounds what one batch may decompress to: 64 times its size
// and 1 MiB, at most 64 MiB.
func maxDecompressed(compressed int) int { return min(64*compressed+1<<20, 64<<20) }

var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		panic(err) // only for wrong options
	}
	return d
}}

// decompress appends the decompressed records to dst.
func decompress(codec int16, src, dst []byte) ([]byte, error) {
	out, err := decompressLimited(codec, src, dst, maxDecompressed(len(src)))
	if err != nil && !errors.Is(err, ErrRecordTooLarge) && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return out, err
}

func decompressLimited(codec int16, src, dst []byte, limit int) ([]byte, error) {
	switch codec {
	case codecGzip:
		z, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		return readLimited(z, dst, limit)
	case codecLZ4:
		return readLimited(lz4.NewReader(bytes.NewReader(src)), dst, limit)
	case codecSnappy:
		return unsnappy(src, dst, limit)
	case codecZstd:
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		if err := d.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readLimited(d, dst, limit)
	}
	return nil, fmt.Errorf("%w: compression codec %d", ErrCorrupt, codec)
}

func readLimited(r io.Reader, dst []byte, limit int) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	n, err := io.Copy(buf, io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, fmt.Errorf("%w: batch decompresses to more than %d bytes", ErrRecordTooLarge, limit)
	}
	return buf.Bytes(), nil
}

// xerialMagic starts the framing that Java's snappy streams use: blocks, each
// with its length in front.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func unsnappy(src, dst []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) || len(src) < 16 {
		return unsnappyBlock(src, dst, limit)
	}
	start := len(dst)
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, fmt.Errorf("%w: snappy block length cut off", ErrCorrupt)
		}
		n := binary.BigEndian.Uint32(src)
		if uint64(n) > uint64(len(src)-4) {
			return nil, fmt.Errorf("%w: snappy block cut off", ErrCorrupt)
		}
		var err error
		if dst, err = unsnappyBlock(src[4:4+n], dst, limit-(len(dst)-start)); err != nil {
			return nil, err
		}
		src = src[4+n:]
	}
	return dst, nil
}

func unsnappyBlock(src, dst []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: batch decompresses to more than %d bytes", ErrRecordTooLarge, limit)
	}
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	out, err := s2.Decode(dst[at:], src)
	if err != nil {
		return nil, err
	}
	return append(dst[:at], out...), nil
}
