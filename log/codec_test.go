package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// A testRecord is what a record should decode to.
type testRecord struct {
	ts         int64
	key, value []byte
	headers    []Header
}

func drawRecords(t *rapid.T) []testRecord {
	blob := func(label string) []byte {
		if rapid.IntRange(0, 4).Draw(t, label+" null") == 0 {
			return nil
		}
		b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, label)
		if b == nil {
			b = []byte{}
		}
		return b
	}
	recs := make([]testRecord, rapid.IntRange(1, 30).Draw(t, "count"))
	base := rapid.Int64Range(0, 1<<42).Draw(t, "base time")
	for i := range recs {
		recs[i] = testRecord{ts: base + rapid.Int64Range(-1<<40, 1<<40).Draw(t, "ts"), key: blob("key"), value: blob("value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			recs[i].headers = append(recs[i].headers, Header{Key: rapid.StringN(0, 5, -1).Draw(t, "hk"), Value: blob("hv")})
		}
	}
	return recs
}

func build(recs []testRecord) []byte {
	var b Builder
	for _, r := range recs {
		b.Add(r.ts, r.key, r.value, r.headers)
	}
	return b.Finish()
}

// reference encodes records with franz-go's message types.
func reference(recs []testRecord, change func(*kmsg.RecordBatch)) []byte {
	b := kmsg.RecordBatch{Magic: 2, FirstTimestamp: recs[0].ts, MaxTimestamp: recs[0].ts, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
	for i, r := range recs {
		b.MaxTimestamp = max(b.MaxTimestamp, r.ts)
		b.Records = append(b.Records, referenceRecord(r, i, recs[0].ts)...)
	}
	b.NumRecords, b.LastOffsetDelta = int32(len(recs)), int32(len(recs)-1)
	if change != nil {
		change(&b)
	}
	b.Length = int32(headerBytes - prefixBytes + len(b.Records))
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[posCRC:], crc32.Checksum(out[posAttributes:], castagnoli))
	return out
}

func referenceRecord(r testRecord, i int, base int64) []byte {
	k := kmsg.Record{TimestampDelta64: r.ts - base, OffsetDelta: int32(i), Key: r.key, Value: r.value}
	for _, h := range r.headers {
		k.Headers = append(k.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	body := k.AppendTo(nil)[1:] // without its length, 0, in one byte
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// TestBuilderAgainstReference compares every byte.
func TestBuilderAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := drawRecords(t)
		if got, want := build(recs), reference(recs, nil); !bytes.Equal(got, want) {
			t.Fatalf("built\n%x\nreference\n%x", got, want)
		}
	})
}

func TestBuilderReuse(t *testing.T) {
	recs := []testRecord{{ts: 5, key: []byte("k"), value: []byte("value")}}
	var b Builder
	for range 3 {
		b.Add(5, []byte("k"), []byte("value"), nil)
		got := b.Finish()
		if !bytes.Equal(got, reference(recs, nil)) {
			t.Fatalf("batch is %x", got)
		}
		SetBase(got, 77, 3)
		b.Reuse(got)
	}
	if b.Finish() != nil {
		t.Error("an empty builder made a batch")
	}
	got := testing.AllocsPerRun(100, func() {
		b.Add(5, []byte("k"), []byte("value"), nil)
		b.Reuse(b.Finish())
	})
	if got != 0 {
		t.Errorf("%v allocations a batch", got)
	}
}

func checkRecords(t *rapid.T, r *Records, want []testRecord, base int64, from int) {
	if r.Len() != len(want)-from {
		t.Fatalf("decoded %d records from %d on, want %d", r.Len(), from, len(want)-from)
	}
	total := 0
	for i := range r.Len() {
		w := want[from+i]
		same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
		if !same(r.Key(i), w.key) || !same(r.Value(i), w.value) || r.Timestamps[i] != w.ts || r.Offsets[i] != base+int64(from+i) {
			t.Fatalf("record %d is %q=%q at %d, offset %d; want %+v", i, r.Key(i), r.Value(i), r.Timestamps[i], r.Offsets[i], w)
		}
		h := r.Headers(i)
		if len(h) != len(w.headers) {
			t.Fatalf("record %d has headers %v, want %v", i, h, w.headers)
		}
		for j := range h {
			if h[j].Key != w.headers[j].Key || !same(h[j].Value, w.headers[j].Value) {
				t.Fatalf("record %d has headers %v, want %v", i, h, w.headers)
			}
		}
		total += len(h)
	}
	if r.HeaderTotal != total {
		t.Fatalf("counted %d headers, there are %d", r.HeaderTotal, total)
	}
}

var codecs = map[string][]kgo.CompressionCodec{
	"none": nil, "gzip": {kgo.GzipCompression()}, "snappy": {kgo.SnappyCompression()}, "lz4": {kgo.Lz4Compression()}, "zstd": {kgo.ZstdCompression()},
}

func compressBatch(t testing.TB, name string, b *kmsg.RecordBatch) {
	if codecs[name] == nil {
		return
	}
	c, err := kgo.DefaultCompressor(codecs[name]...)
	if err != nil {
		t.Fatal(err)
	}
	out, codec := c.Compress(new(bytes.Buffer), b.Records)
	b.Records = append([]byte(nil), out...)
	b.Attributes |= int16(codec)
}

func TestDecode(t *testing.T) {
	for name := range codecs {
		t.Run(name, func(t *testing.T) {
			var r Records
			rapid.Check(t, func(rt *rapid.T) {
				recs := drawRecords(rt)
				batch := reference(recs, func(b *kmsg.RecordBatch) { compressBatch(t, name, b) })
				base := rapid.Int64Range(0, 1<<50).Draw(rt, "base")
				SetBase(batch, base, 7)
				from := rapid.IntRange(0, len(recs)-1).Draw(rt, "from")
				r.Reset()
				r.Buf = append(r.Buf, batch...)
				next, n, err := r.Decode(Span{End: len(batch), From: base + int64(from), MaxRecords: 1})
				if err != nil || next != base+int64(len(recs)) || n != len(batch) {
					rt.Fatalf("next %d, consumed %d, %v", next, n, err)
				}
				checkRecords(rt, &r, recs, base, from)
			})
		})
	}
}

func TestDecodeXerialSnappy(t *testing.T) {
	recs := []testRecord{{ts: 1, key: []byte("a"), value: bytes.Repeat([]byte("x"), 5000)}, {ts: 2, value: []byte("y")}}
	batch := reference(recs, func(b *kmsg.RecordBatch) {
		var plain []byte
		plain, b.Records = b.Records, append([]byte("\x82SNAPPY\x00"), 0, 0, 0, 1, 0, 0, 0, 1)
		for len(plain) > 0 {
			n := min(len(plain), 1000)
			c, err := kgo.DefaultCompressor(kgo.SnappyCompression())
			if err != nil {
				t.Fatal(err)
			}
			block, _ := c.Compress(new(bytes.Buffer), plain[:n])
			b.Records = binary.BigEndian.AppendUint32(b.Records, uint32(len(block)))
			b.Records = append(b.Records, block...)
			plain = plain[n:]
		}
		b.Attributes = int16(Snappy)
	})
	r := Records{Buf: batch}
	if _, _, err := r.Decode(Span{End: len(batch), MaxRecords: 10}); err != nil {
		t.Fatal(err)
	}
	if r.Len() != 2 || len(r.Value(0)) != 5000 || string(r.Value(1)) != "y" {
		t.Fatalf("decoded %d records", r.Len())
	}
}

// TestAbortedAgainstClient draws transactions of several producers and compares
// what remains with what franz-go's consumer makes of the same bytes.
func TestAbortedAgainstClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches [][]byte
		var all []AbortedTxn
		var ends []int64          // of all
		open := map[int64]int64{} // producer to first offset
		next := int64(0)
		add := func(batch []byte) {
			SetBase(batch, next, 0)
			info, _ := ReadHeader(batch)
			next = info.LastOffset + 1
			batches = append(batches, batch)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			pid := rapid.Int64Range(1, 3).Draw(t, "producer")
			switch first, inTxn := open[pid]; {
			case rapid.IntRange(0, 3).Draw(t, "plain") == 0:
				add(build([]testRecord{{value: fmt.Append(nil, next)}}))
			case inTxn && rapid.Bool().Draw(t, "end"):
				abort := rapid.Bool().Draw(t, "abort")
				add(marker(pid, !abort))
				if abort {
					all, ends = append(all, AbortedTxn{ProducerID: pid, FirstOffset: first}), append(ends, next)
				}
				delete(open, pid)
			default:
				if !inTxn {
					open[pid] = next
				}
				recs := []testRecord{{value: fmt.Append(nil, next)}, {value: []byte("second")}}
				add(reference(recs, func(b *kmsg.RecordBatch) { b.Attributes, b.ProducerID = attrTransactional, pid }))
			}
		}
		for len(open) > 0 { // a reader is given nothing of open transactions
			for pid := range open {
				add(marker(pid, true))
				delete(open, pid)
			}
		}
		from := rapid.Int64Range(0, next-1).Draw(t, "from")
		// A broker answers with the batch that holds the offset and those
		// after it, and the aborted transactions that reach there.
		var buf []byte
		for _, b := range batches {
			if info, _ := ReadHeader(b); info.LastOffset >= from {
				buf = append(buf, b...)
			}
		}
		var aborted []AbortedTxn
		for i, a := range all {
			if ends[i] > from {
				aborted = append(aborted, a)
			}
		}
		sortAborted(aborted)

		part := kmsg.NewFetchResponseTopicPartition()
		part.RecordBatches, part.LastStableOffset = buf, next
		for _, a := range aborted {
			part.AbortedTransactions = append(part.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
		}
		want, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted()}, &part, kgo.DefaultDecompressor(), nil)
		if want.Err != nil {
			t.Fatal(want.Err)
		}
		r := Records{Buf: bytes.Clone(buf)}
		end, _, err := r.Decode(Span{End: len(buf), From: from, MaxRecords: 1 << 20, Aborted: aborted})
		if err != nil || end != next {
			t.Fatalf("next %d, %v; want %d", end, err, next)
		}
		if r.Len() != len(want.Records) {
			var w []int64
			for _, x := range want.Records {
				w = append(w, x.Offset)
			}
			t.Fatalf("records %v, the client sees %v; aborted %v; from %d", r.Offsets, w, aborted, from)
		}
		for i, w := range want.Records {
			if r.Offsets[i] != w.Offset || !bytes.Equal(r.Value(i), w.Value) {
				t.Fatalf("record %d is %d %q, the client sees %d %q", i, r.Offsets[i], r.Value(i), w.Offset, w.Value)
			}
		}
	})
}

func sortAborted(list []AbortedTxn) {
	for i := range list {
		for j := i; j > 0 && list[j].FirstOffset < list[j-1].FirstOffset; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func marker(pid int64, commit bool) []byte {
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	}
	return reference([]testRecord{{key: key, value: make([]byte, 6)}}, func(b *kmsg.RecordBatch) {
		b.Attributes, b.ProducerID = attrTransactional|attrControl, pid
	})
}

// TestDecodeStopsAtError keeps what stood before a broken batch.
func TestDecodeStopsAtError(t *testing.T) {
	good := build([]testRecord{{value: []byte("a")}, {value: []byte("b")}})
	bad := build([]testRecord{{value: []byte("c")}})
	SetBase(bad, 2, 0)
	bad[len(bad)-2] ^= 1
	r := Records{Buf: append(bytes.Clone(good), bad...)}
	next, n, err := r.Decode(Span{End: len(r.Buf), MaxRecords: 100})
	if !errors.Is(err, ErrCorrupt) || next != 2 || n != len(good) || r.Len() != 2 {
		t.Fatalf("next %d, consumed %d, %d records, %v", next, n, r.Len(), err)
	}
}

// TestDecodeRefuses gives batches with a right CRC and wrong content.
func TestDecodeRefuses(t *testing.T) {
	recs := []testRecord{{value: []byte("a")}, {value: []byte("b")}}
	for name, change := range map[string]func(*kmsg.RecordBatch){
		"more records than bytes":     func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1<<30, 1<<30 },
		"more records than there are": func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 3, 2 },
		"fewer records":               func(b *kmsg.RecordBatch) { b.NumRecords = 1 },
		"offset beyond the last":      func(b *kmsg.RecordBatch) { b.Records = referenceRecord(recs[0], 5, 0); b.NumRecords = 1 },
		"offsets going back": func(b *kmsg.RecordBatch) {
			b.Records = append(referenceRecord(recs[0], 1, 0), referenceRecord(recs[0], 0, 0)...)
		},
		"cut off":       func(b *kmsg.RecordBatch) { b.Records = b.Records[:len(b.Records)-1] },
		"unknown codec": func(b *kmsg.RecordBatch) { b.Attributes = 5 },
		"not gzip":      func(b *kmsg.RecordBatch) { b.Attributes = int16(Gzip) },
		"not snappy":    func(b *kmsg.RecordBatch) { b.Attributes = int16(Snappy) },
		"not lz4":       func(b *kmsg.RecordBatch) { b.Attributes = int16(LZ4) },
		"not zstd":      func(b *kmsg.RecordBatch) { b.Attributes = int16(Zstd) },
	} {
		batch := reference(recs, change)
		r := Records{Buf: batch}
		if _, _, err := r.Decode(Span{End: len(batch), MaxRecords: 10}); !errors.Is(err, ErrCorrupt) || r.Len() != 0 {
			t.Errorf("%s: %v, %d records", name, err, r.Len())
		}
	}
}

// TestDecompressionIsBounded gives batches that inflate beyond the bound.
func TestDecompressionIsBounded(t *testing.T) {
	recs := []testRecord{{value: make([]byte, 4<<20)}}
	for name := range codecs {
		if name == "none" || name == "snappy" { // snappy can't shrink that much
			continue
		}
		batch := reference(recs, func(b *kmsg.RecordBatch) { compressBatch(t, name, b) })
		r := Records{Buf: batch}
		if _, _, err := r.Decode(Span{End: len(batch), MaxRecords: 10}); !errors.Is(err, ErrRecordTooLarge) {
			t.Errorf("%s: %d bytes to %d: %v", name, len(batch), len(r.Buf), err)
		}
	}
}

// TestKeyPlacement compares with franz-go's default partitioner, and with
// values that Apache Kafka's own tests give for its hash.
func TestKeyPlacement(t *testing.T) {
	for key, want := range map[string]uint32{
		"21": uint32(0x100000000 - 973932308), "foobar": uint32(0x100000000 - 790332482), "a-little-bit-long-string": uint32(0x100000000 - 985981536),
		"a-little-bit-longer-string": uint32(0x100000000 - 1486304829), "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": uint32(0x100000000 - 58897971), "abc": 479470107,
	} {
		if got := murmur2([]byte(key)); got != want {
			t.Errorf("murmur2(%q) is %d, want %d", key, int32(got), int32(want))
		}
	}
	p := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		key := make([]byte, rng.IntN(40))
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		n := 1 + rng.IntN(100)
		if got, want := PartitionForKey(key, n), p.Partition(&kgo.Record{Key: key}, n); got != want {
			t.Fatalf("key %x goes to %d of %d, Kafka's to %d", key, got, n, want)
		}
	}
}

// FuzzDecode must not panic, take memory without bound or give cells outside
// of the buffer, whatever the bytes; the CRC is made right so that it does not
// keep the fuzzer out.
func FuzzDecode(f *testing.F) {
	recs := []testRecord{{ts: 9, key: []byte("k"), value: []byte("v"), headers: []Header{{Key: "h", Value: []byte("x")}}}, {ts: 3}}
	for name := range codecs {
		f.Add(reference(recs, func(b *kmsg.RecordBatch) { compressBatch(f, name, b) }))
	}
	f.Add(append(build(recs), marker(1, true)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		for pos := 0; len(data)-pos >= headerBytes; {
			info, err := ReadHeader(data[pos:])
			if err != nil || info.Bytes > len(data)-pos {
				break
			}
			binary.BigEndian.PutUint32(data[pos+posCRC:], crc32.Checksum(data[pos+posAttributes:pos+info.Bytes], castagnoli))
			pos += info.Bytes
		}
		if info, err := CheckBatch(data); err == nil {
			keyless, err := Keyless(data, info)
			var one Records
			if _, bad := one.DecodeBatch(data[:info.Bytes]); bad == nil && (err != nil || keyless != slices.ContainsFunc(one.KeyLen, func(n int32) bool { return n < 0 })) {
				t.Fatalf("keyless: %v, %v, of keys with lengths %v", keyless, err, one.KeyLen)
			}
		}
		r := Records{Buf: data}
		_, _, _ = r.Decode(Span{End: len(data), MaxRecords: 1 << 20, Aborted: []AbortedTxn{{ProducerID: 1, FirstOffset: 0}}})
		if len(r.Buf) > len(data)+maxInflated+64<<20 {
			t.Fatalf("%d bytes became %d", len(data), len(r.Buf))
		}
		for i := range r.Len() {
			_, _, _ = r.Key(i), r.Value(i), r.Headers(i)
			if r.Offsets[i] < 0 {
				t.Fatalf("offset %d", r.Offsets[i])
			}
		}
	})
}

func benchBatch(n int) []byte {
	var b Builder
	value := bytes.Repeat([]byte("v"), 100)
	for i := range n {
		b.Add(int64(i), []byte("some key"), value, nil)
	}
	return b.Finish()
}

func BenchmarkDecode(b *testing.B) {
	batch := benchBatch(1000)
	r := Records{Buf: batch}
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		r.truncate(0)
		if _, _, err := r.Decode(Span{End: len(batch), MaxRecords: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	var bl Builder
	key, value := []byte("some key"), bytes.Repeat([]byte("v"), 100)
	b.ReportAllocs()
	for b.Loop() {
		for i := range 1000 {
			bl.Add(int64(i), key, value, nil)
		}
		batch := bl.Finish()
		b.SetBytes(int64(len(batch)))
		bl.Reuse(batch)
	}
}
