package log

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A Codec says how a batch's records are compressed, numbered as in its
// attributes.
type Codec int16

// The codecs there are.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
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
func decompress(codec Codec, src, dst []byte) ([]byte, error) {
	out, err := decompressLimited(codec, src, dst, maxDecompressed(len(src)))
	if err != nil && Code(err) == -1 {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return out, err
}

func decompressLimited(codec Codec, src, dst []byte, limit int) ([]byte, error) {
	switch codec {
	case Gzip:
		z, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		return readLimited(z, dst, limit)
	case LZ4:
		return readLimited(lz4.NewReader(bytes.NewReader(src)), dst, limit)
	case Snappy:
		return unsnappy(src, dst, limit)
	case Zstd:
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		if err := d.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readLimited(d, dst, limit)
	}
	return nil, fmt.Errorf("%w: compression codec %d", ErrCorrupt, codec)
}

// Recompress returns the batch with its records compressed by codec, the batch
// itself if they are already.
func Recompress(batch []byte, codec Codec) ([]byte, error) {
	info, err := CheckBatch(batch)
	if err != nil || info.Codec() == codec {
		return batch, err
	}
	body := batch[headerBytes:]
	if info.Codec() != None {
		if body, err = decompress(info.Codec(), body, nil); err != nil {
			return nil, err
		}
	}
	out, err := compress(codec, body, append(make([]byte, 0, len(batch)), batch[:headerBytes]...))
	if err != nil {
		return nil, fmt.Errorf("compressing batch: %w", err)
	}
	binary.BigEndian.PutUint32(out[posLength:], uint32(len(out)-prefixBytes))
	out[posAttributes+1] = out[posAttributes+1]&^attrCodec | byte(codec)
	setCRC(out)
	return out, nil
}

// compress appends the compressed records to dst.
func compress(codec Codec, src, dst []byte) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	var w io.WriteCloser
	switch codec {
	case None:
		return append(dst, src...), nil
	case Snappy:
		return append(dst, s2.EncodeSnappy(nil, src)...), nil
	case Gzip:
		w = gzip.NewWriter(buf)
	case LZ4:
		w = lz4.NewWriter(buf)
	case Zstd:
		z, err := zstd.NewWriter(buf, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		w = z
	default:
		return nil, fmt.Errorf("%w: compression codec %d", ErrCorrupt, codec)
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
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
