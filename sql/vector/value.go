package vector

import (
	"encoding/binary"
	"errors"
	"math"

	"karst/sql/types"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// ErrValue says that bytes are not a value of the type expected.
var ErrValue = errors.New("bytes are not a value of the expected type")

// AppendValue appends row i of v in the compact form that state keeps: a byte
// that is 0 for null and 1 otherwise, then the value. Integers are varints,
// others little endian; strings and lists have their length in front.
func AppendValue(buf []byte, v *Vector, i int) []byte {
	if v.IsNull(i) {
		return append(buf, 0)
	}
	buf = append(buf, 1)
	switch v.Type.Kind() {
	case types.KindBoolean:
		if v.Bits.Get(i) {
			return append(buf, 1)
		}
		return append(buf, 0)
	case types.KindInt, types.KindDate, types.KindTime:
		return binary.AppendVarint(buf, int64(v.I32[i]))
	case types.KindBigint, types.KindTimestamp:
		return binary.AppendVarint(buf, v.I64[i])
	case types.KindDouble:
		return binary.LittleEndian.AppendUint64(buf, math.Float64bits(v.F64[i]))
	case types.KindDecimal:
		buf = binary.LittleEndian.AppendUint64(buf, v.Dec[i].LowBits())
		return binary.LittleEndian.AppendUint64(buf, uint64(v.Dec[i].HighBits()))
	case types.KindString, types.KindBytes:
		s := v.Str(i)
		return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
	case types.KindStruct:
		for _, k := range v.Kids {
			buf = AppendValue(buf, k, i)
		}
		return buf
	}
	from, to := v.Offsets[i], v.Offsets[i+1]
	buf = binary.AppendUvarint(buf, uint64(to-from))
	for ; from < to; from++ {
		for _, k := range v.Kids {
			buf = AppendValue(buf, k, int(from))
		}
	}
	return buf
}

// ReadValue appends to b the value that buf begins with and returns the rest.
func ReadValue(b *Builder, buf []byte) ([]byte, error) {
	if len(buf) == 0 || buf[0] > 1 {
		return nil, ErrValue
	}
	null := buf[0] == 0
	buf = buf[1:]
	if null {
		b.Null()
		return buf, nil
	}
	switch b.v.Type.Kind() {
	case types.KindBoolean:
		if len(buf) < 1 {
			return nil, ErrValue
		}
		b.Bool(buf[0] != 0)
		return buf[1:], nil
	case types.KindInt, types.KindDate, types.KindTime, types.KindBigint, types.KindTimestamp:
		x, n := binary.Varint(buf)
		if n <= 0 {
			return nil, ErrValue
		}
		if k := b.v.Type.Kind(); k == types.KindBigint || k == types.KindTimestamp {
			b.Int64(x)
		} else {
			b.Int32(int32(x))
		}
		return buf[n:], nil
	case types.KindDouble:
		if len(buf) < 8 {
			return nil, ErrValue
		}
		b.Float64(math.Float64frombits(binary.LittleEndian.Uint64(buf)))
		return buf[8:], nil
	case types.KindDecimal:
		if len(buf) < 16 {
			return nil, ErrValue
		}
		b.Decimal(decimal128.New(int64(binary.LittleEndian.Uint64(buf[8:])), binary.LittleEndian.Uint64(buf)))
		return buf[16:], nil
	case types.KindStruct:
		return readKids(b, buf, 1)
	}
	n, size := binary.Uvarint(buf)
	if size <= 0 || n > uint64(len(buf)-size) {
		return nil, ErrValue
	}
	buf = buf[size:]
	if k := b.v.Type.Kind(); k == types.KindString || k == types.KindBytes {
		b.Bytes(buf[:n])
		return buf[n:], nil
	}
	return readKids(b, buf, int(n))
}

func readKids(b *Builder, buf []byte, n int) ([]byte, error) {
	var err error
	for range n {
		for _, k := range b.kids {
			if buf, err = ReadValue(k, buf); err != nil {
				return nil, err
			}
		}
	}
	b.Close()
	return buf, nil
}
