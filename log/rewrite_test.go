package log

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestRewrite keeps some records of a batch, in each codec, and compares with
// what was kept.
func TestRewrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := drawRecords(t)
		kept := make([]bool, len(recs))
		for i := range kept {
			kept[i] = rapid.Bool().Draw(t, "keep")
		}
		horizon := rapid.Int64Range(-1, 1<<41).Draw(t, "horizon")
		batch, err := Recompress(build(recs), Codec(rapid.IntRange(0, 4).Draw(t, "codec")))
		if err != nil {
			t.Fatal(err)
		}
		SetProducer(batch, Producer{ID: 5, Epoch: 2}, 7, true)
		SetBase(batch, 1000, 3)
		var r, got Records
		info, err := r.DecodeBatch(batch)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.Rewrite(info, horizon, func(i int) bool { return kept[i] })
		if err != nil {
			t.Fatal(err)
		}
		after, err := got.DecodeBatch(out)
		if err != nil {
			t.Fatal(err)
		}
		if after.BaseOffset != info.BaseOffset || after.LastOffset != info.LastOffset || after.Producer != info.Producer ||
			after.BaseSequence != 7 || after.LeaderEpoch != 3 || !after.Transactional() || after.Horizon() != horizon {
			t.Fatalf("header %+v became %+v", info, after)
		}
		n := 0
		for i, k := range kept {
			if !k {
				continue
			}
			if got.Offsets[n] != 1000+int64(i) || got.Timestamps[n] != recs[i].ts || !bytes.Equal(got.Key(n), recs[i].key) ||
				(got.Key(n) == nil) != (recs[i].key == nil) || !bytes.Equal(got.Value(n), recs[i].value) || (got.Value(n) == nil) != (recs[i].value == nil) ||
				len(got.Headers(n)) != len(recs[i].headers) {
				t.Fatalf("record %d is not what it was", i)
			}
			n++
		}
		if n != got.Len() || after.Count != n {
			t.Fatalf("%d records kept, %d found", n, got.Len())
		}
	})
}

// TestRecompress takes a batch through all codecs.
func TestRecompress(t *testing.T) {
	recs := []testRecord{{ts: 5, key: []byte("k"), value: bytes.Repeat([]byte("value"), 1000)}, {ts: 7}}
	want := build(recs)
	for from := None; from <= Zstd; from++ {
		for to := None; to <= Zstd; to++ {
			a, err := Recompress(want, from)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Recompress(a, to)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := CheckBatch(b); err != nil || info.Codec() != to {
				t.Fatalf("from %d to %d: codec %d, %v", from, to, info.Codec(), err)
			}
			back, err := Recompress(b, None)
			if err != nil || !bytes.Equal(back, want) {
				t.Fatalf("from %d to %d and back: %v", from, to, err)
			}
		}
	}
}

func TestValidator(t *testing.T) {
	recs := []testRecord{{ts: 5, key: []byte("k"), value: []byte("v")}, {ts: 6, value: []byte("w")}}
	good := build(recs)
	var v Validator
	for name, c := range map[string]struct {
		batch []byte
		want  error
	}{
		"good":             {good, nil},
		"lz4":              {reference(recs, func(b *kmsg.RecordBatch) { compressBatch(t, "lz4", b) }), nil},
		"two batches":      {append(bytes.Clone(good), good...), ErrInvalidRecord},
		"cut off":          {good[:len(good)-1], ErrCorrupt},
		"control":          {Marker(Producer{1, 1}, true, 5), ErrInvalidRecord},
		"gap":              {reference(recs, func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 }), ErrInvalidRecord},
		"garbage":          {reference(recs, func(b *kmsg.RecordBatch) { b.Records = bytes.Repeat([]byte{7}, 40) }), ErrInvalidRecord},
		"codec":            {reference(recs, func(b *kmsg.RecordBatch) { b.Attributes = 6 }), ErrCompression},
		"no id":            {reference(recs, func(b *kmsg.RecordBatch) { b.Attributes = attrTransactional }), ErrInvalidRecord},
		"id, no sequence":  {reference(recs, func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch = 4, 0 }), ErrInvalidRecord},
		"flipped":          {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), ErrCorrupt},
		"append time, ok":  {func() []byte { b := bytes.Clone(good); SetAppendTime(b, 99); return b }(), nil},
		"with producer":    {func() []byte { b := bytes.Clone(good); SetProducer(b, Producer{4, 0}, 0, true); return b }(), nil},
		"header cut off":   {good[:20], ErrCorrupt},
		"of another magic": {func() []byte { b := bytes.Clone(good); b[posMagic] = 1; return b }(), ErrCorrupt},
	} {
		_, r, err := v.Check(c.batch)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && (r.Len() != 2 || string(r.Value(1)) != "w") {
			t.Errorf("%s: %d records", name, r.Len())
		}
	}
}

// FuzzValidate takes what a client may send; what is found right can be
// rewritten and compressed, and stays the same.
func FuzzValidate(f *testing.F) {
	recs := []testRecord{{ts: 9, key: []byte("k"), value: []byte("v"), headers: []Header{{Key: "h", Value: []byte("x")}}}, {ts: 3}}
	for name := range codecs {
		f.Add(reference(recs, func(b *kmsg.RecordBatch) { compressBatch(f, name, b) }))
	}
	f.Add(build(recs))
	var v Validator
	f.Fuzz(func(t *testing.T, data []byte) {
		if info, err := ReadHeader(data); err == nil && info.Bytes == len(data) {
			setCRC(data)
		}
		info, r, err := v.Check(data)
		if err != nil {
			if Code(err) <= 0 {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		n := r.Len()
		var whole Records
		if _, err := whole.DecodeBatch(data); err != nil || whole.Len() != n {
			t.Fatalf("decoded %d records, %v; checked %d", whole.Len(), err, n)
		}
		out, err := whole.Rewrite(info, -1, func(int) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if out, err = Recompress(out, None); err != nil {
			t.Fatal(err)
		}
		var again Records
		if _, err := again.DecodeBatch(out); err != nil || again.Len() != n {
			t.Fatalf("rewritten: %d records, %v; had %d", again.Len(), err, n)
		}
		for i := range n {
			if !bytes.Equal(again.Key(i), whole.Key(i)) || !bytes.Equal(again.Value(i), whole.Value(i)) || again.Timestamps[i] != whole.Timestamps[i] || again.Offsets[i] != whole.Offsets[i] {
				t.Fatalf("record %d was changed", i)
			}
		}
	})
}
