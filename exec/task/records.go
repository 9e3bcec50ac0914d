package task

import (
	"karst/exec/operator"
	"karst/log"
	"karst/sql/types"
	"karst/sql/vector"
)

// records hands the records from one to another to a source; the bytes stay
// the log's.
func records(a *vector.Arena, r *log.Records, from, to int) *operator.Records {
	in := &operator.Records{N: to - from, Timestamps: r.Timestamps[from:to], Offsets: r.Offsets[from:to]}
	in.Keys.Buf, in.Keys.Off, in.Keys.Len = r.Buf, r.KeyOff[from:to], r.KeyLen[from:to]
	in.Values.Buf, in.Values.Off, in.Values.Len = r.Buf, r.ValueOff[from:to], r.ValueLen[from:to]
	if r.HeaderTotal > 0 {
		in.Headers = headerVector(a, r, from, to)
	}
	return in
}

var headerType = types.Array(types.Struct(types.Field{Name: "KEY", Type: types.String}, types.Field{Name: "VALUE", Type: types.Bytes}))

func headerVector(a *vector.Arena, r *log.Records, from, to int) *vector.Vector {
	b := vector.NewBuilder(a, headerType, to-from)
	for i := from; i < to; i++ {
		for _, h := range r.Headers(i) {
			e := b.Kid(0)
			e.Kid(0).String(h.Key)
			if h.Value == nil {
				e.Kid(1).Null()
			} else {
				e.Kid(1).Bytes(h.Value)
			}
			e.Close()
		}
		b.Close()
	}
	return b.Finish()
}

// headersOf returns the headers of a row.
func headersOf(v *vector.Vector, row int32) []log.Header {
	if v == nil {
		return nil
	}
	var out []log.Header
	list := v.Kids[0]
	for j := v.Offsets[row]; j < v.Offsets[row+1]; j++ {
		h := log.Header{Key: string(list.Kids[0].Str(int(j)))}
		if !list.Kids[1].IsNull(int(j)) {
			h.Value = append([]byte{}, list.Kids[1].Str(int(j))...)
		}
		out = append(out, h)
	}
	return out
}
