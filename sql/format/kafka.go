package format

import (
	"encoding/binary"
	"fmt"
	"math"

	"karst/sql/types"
	"karst/sql/vector"
)

// The KAFKA format is that of Kafka's own primitive serializers: big-endian
// INT, BIGINT and DOUBLE, UTF-8 STRING, BYTES as they are; one column.

func checkKafka(o Options, cols []types.Column) error {
	if len(cols) > 1 {
		return types.Errorf(types.ErrStatement, types.Pos{}, "The 'KAFKA' format only supports a single field. Got: [%s]", columnList(cols))
	}
	for _, c := range cols {
		switch c.Type.Kind() {
		case types.KindInt, types.KindBigint, types.KindDouble, types.KindString, types.KindBytes:
		default:
			what := "Value"
			if o.Key {
				what = "Key"
			}
			return types.Errorf(types.ErrStatement, types.Pos{}, "%s format does not support schema. format: KAFKA column: %s reason: The 'KAFKA' format does not support type '%s'", what, columnList([]types.Column{c}), c.Type.Kind())
		}
	}
	return nil
}

type kafkaDecoder struct {
	cols   []types.Column
	needed []bool
}

// Decode implements Decoder.
func (d *kafkaDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	out := make([]*vector.Vector, len(d.cols))
	if len(d.cols) == 0 || !d.needed[0] {
		return out
	}
	b := vector.NewBuilder(a, d.cols[0].Type, n)
	for row := range n {
		cell := in.At(row)
		if cell == nil {
			b.Null()
		} else if !appendKafka(b, cell) {
			b.Null()
			fail(row, ReasonWrongType, fmt.Sprintf("%s: expected %s, found %d bytes", d.cols[0].Name, d.cols[0].Type, len(cell)))
		}
	}
	out[0] = b.Finish()
	return out
}

func appendKafka(b *vector.Builder, cell []byte) bool {
	switch b.Type().Kind() {
	case types.KindInt:
		if len(cell) != 4 {
			return false
		}
		b.Int32(int32(binary.BigEndian.Uint32(cell)))
	case types.KindBigint:
		if len(cell) != 8 {
			return false
		}
		b.Int64(int64(binary.BigEndian.Uint64(cell)))
	case types.KindDouble:
		if len(cell) != 8 {
			return false
		}
		b.Float64(math.Float64frombits(binary.BigEndian.Uint64(cell)))
	default:
		b.Bytes(cell)
	}
	return true
}

type kafkaEncoder struct{ cols []types.Column }

// Encode implements Encoder.
func (e *kafkaEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	for _, row := range rows {
		if len(cols) == 0 || cols[0].IsNull(int(row)) {
			out.Null()
			continue
		}
		start := len(out.Buf)
		switch v := cols[0]; v.Type.Kind() {
		case types.KindInt:
			out.Buf = binary.BigEndian.AppendUint32(out.Buf, uint32(v.I32[row]))
		case types.KindBigint:
			out.Buf = binary.BigEndian.AppendUint64(out.Buf, uint64(v.I64[row]))
		case types.KindDouble:
			out.Buf = binary.BigEndian.AppendUint64(out.Buf, math.Float64bits(v.F64[row]))
		default:
			out.Buf = append(out.Buf, v.Str(int(row))...)
		}
		out.close(start)
	}
	return nil
}
