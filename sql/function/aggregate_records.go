package function

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// Records are a list of byte strings in one variable cell: a count of four
// bytes, then each one with its length in front. Adding one writes only it.

const recordsHead = 4

func recordCount(blob []byte) int {
	if len(blob) < recordsHead {
		return 0
	}
	return int(binary.LittleEndian.Uint32(blob))
}

func addRecord(c *AggregateCall, g int32, rec []byte) {
	old := c.Cells.Blob(g, 0)
	count, n := recordCount(old), max(len(old), recordsHead)
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(len(rec)))
	blob := c.Cells.ResizeBlob(g, 0, n+k+len(rec))
	binary.LittleEndian.PutUint32(blob, uint32(count+1))
	copy(blob[n:], size[:k])
	copy(blob[n+k:], rec)
}

// nextRecord returns where the record that begins at blob[at] has its content.
func nextRecord(blob []byte, at int) (from, to int) {
	n, k := binary.Uvarint(blob[at:])
	if k <= 0 || n > uint64(len(blob)-at-k) {
		panic("function: state of an aggregate: " + vector.ErrValue.Error())
	}
	return at + k, at + k + int(n)
}

// findRecord returns the bounds of the last record that equals rec, from its
// length on; -1 if there is none. tail bytes at a record's end don't count.
func findRecord(blob, rec []byte, tail int) (start, end int) {
	start, end = -1, -1
	for at := recordsHead; at < len(blob); {
		from, to := nextRecord(blob, at)
		if bytes.Equal(blob[from:to-tail], rec) {
			start, end = at, to
		}
		at = to
	}
	return start, end
}

func removeRecord(c *AggregateCall, g int32, start, end int) {
	blob := bytes.Clone(c.Cells.Blob(g, 0))
	binary.LittleEndian.PutUint32(blob, uint32(recordCount(blob)-1))
	c.Cells.SetBlob(g, 0, append(blob[:start], blob[end:]...))
}

func readRecord(b *vector.Builder, rec []byte) {
	if _, err := vector.ReadValue(b, rec); err != nil {
		panic("function: state of an aggregate: " + err.Error())
	}
}

// recordsValue gives all records as an ARRAY.
func recordsValue(c *AggregateCall, b *vector.Builder, g int32) {
	blob := c.Cells.Blob(g, 0)
	for at := recordsHead; at < len(blob); {
		from, to := nextRecord(blob, at)
		readRecord(b.Kid(0), blob[from:to])
		at = to
	}
	b.Close()
}

// mergeRecords adds from's records to into's one by one.
func mergeRecords(c *AggregateCall, into, from int32, add func(c *AggregateCall, g int32, rec []byte)) {
	blob := bytes.Clone(c.Cells.Blob(from, 0))
	for at := recordsHead; at < len(blob); {
		start, end := nextRecord(blob, at)
		add(c, into, blob[start:end])
		at = end
	}
}

// defaultCollectLimit bounds COLLECT_LIST and COLLECT_SET.
const defaultCollectLimit = 1000

// collectDef is a function that collects values up to a limit, which a setting
// changes; a negative one is none.
func collectDef(name, description string, e GroupExample, make func(args []Arg, limit int) AggregateKernel) Def {
	setting := Setting{Name: SettingPrefix + strings.ToLower(name) + ".limit", Default: strconv.Itoa(defaultCollectLimit), Description: "How many values are kept of each group; a negative number is no limit."}
	limited := func(limit int) Signature {
		return aggregate("value T", func(args []Arg) AggregateKernel { return make(args, limit) })
	}
	s := limited(defaultCollectLimit)
	s.Configure = func(settings map[string]string) (*Signature, error) {
		text, ok := settings[setting.Name]
		if !ok {
			text = setting.Default
		}
		limit, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("the setting %s must be a whole number, found %q", setting.Name, text)
		}
		if limit < 0 {
			limit = math.MaxInt
		}
		u := limited(limit)
		return &u, nil
	}
	return Def{Name: name, Kind: Aggregate, Category: CategoryAggregate, Description: description, Signatures: []Signature{s}, Groups: []GroupExample{e}, Settings: []Setting{setting}}
}

// newCollectList keeps the values, nulls too, in the order of arrival; those
// beyond the limit are left out.
func newCollectList(args []Arg, limit int) AggregateKernel {
	var scratch []byte
	add := func(c *AggregateCall, g int32, rec []byte) {
		if recordCount(c.Cells.Blob(g, 0)) < limit {
			addRecord(c, g, rec)
		}
	}
	return &undoFold{fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: types.Array(args[0].Type), value: recordsValue,
		step: func(c *AggregateCall, row int, g int32) {
			scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
			add(c, g, scratch)
		},
		undo: func(c *AggregateCall, row int, g int32) {
			scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
			if start, end := findRecord(c.Cells.Blob(g, 0), scratch, 0); start >= 0 {
				removeRecord(c, g, start, end)
			}
		},
		merge: func(c *AggregateCall, into, from int32) { mergeRecords(c, into, from, add) },
	}}
}

// newCollectSet keeps the different values in the order of first arrival.
func newCollectSet(args []Arg, limit int) AggregateKernel {
	var scratch []byte
	add := func(c *AggregateCall, g int32, rec []byte) {
		blob := c.Cells.Blob(g, 0)
		if recordCount(blob) >= limit {
			return
		}
		if start, _ := findRecord(blob, rec, 0); start < 0 {
			addRecord(c, g, rec)
		}
	}
	return &fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: types.Array(args[0].Type), value: recordsValue,
		step: func(c *AggregateCall, row int, g int32) {
			scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
			add(c, g, scratch)
		},
		merge: func(c *AggregateCall, into, from int32) { mergeRecords(c, into, from, add) },
	}
}

// changeCount counts rec up or down: it is kept once, its count in the eight
// bytes behind it, and goes when that falls to 0. rec may be appended to.
func changeCount(c *AggregateCall, g int32, rec []byte, by int64) {
	start, end := findRecord(c.Cells.Blob(g, 0), rec, 8)
	if start < 0 {
		if by > 0 {
			addRecord(c, g, binary.LittleEndian.AppendUint64(rec, uint64(by)))
		}
		return
	}
	blob := c.Cells.ResizeBlob(g, 0, len(c.Cells.Blob(g, 0)))
	n := int64(binary.LittleEndian.Uint64(blob[end-8:])) + by
	if n <= 0 {
		removeRecord(c, g, start, end)
		return
	}
	binary.LittleEndian.PutUint64(blob[end-8:], uint64(n))
}

// mergeCounts adds from's counts to into's.
func mergeCounts(c *AggregateCall, into, from int32) {
	mergeRecords(c, into, from, func(c *AggregateCall, g int32, rec []byte) {
		n := len(rec) - 8
		changeCount(c, g, bytes.Clone(rec[:n]), int64(binary.LittleEndian.Uint64(rec[n:])))
	})
}

// newAttr gives the value that all rows share, null if they differ. It counts
// the rows of each value, so that rows can be taken back.
func newAttr(args []Arg) AggregateKernel {
	var scratch []byte
	signed := func(by int64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
			changeCount(c, g, scratch, by)
		}
	}
	return &undoFold{fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: args[0].Type, step: signed(1), undo: signed(-1), merge: mergeCounts,
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			blob := c.Cells.Blob(g, 0)
			if recordCount(blob) != 1 {
				b.Null()
				return
			}
			from, to := nextRecord(blob, recordsHead)
			readRecord(b, blob[from:to-8])
		}}}
}

// newHistogram counts each text, in the order of first arrival.
func newHistogram([]Arg) AggregateKernel {
	var scratch []byte
	signed := func(by int64) func(c *AggregateCall, row int, g int32) {
		return func(c *AggregateCall, row int, g int32) {
			if !c.Args[0].IsNull(row) {
				scratch = append(scratch[:0], c.Args[0].Str(row)...)
				changeCount(c, g, scratch, by)
			}
		}
	}
	return &undoFold{fold{fixed: vector.BlobCellBytes, blobs: []int{0}, result: types.Map(types.String, types.Bigint), step: signed(1), undo: signed(-1), merge: mergeCounts,
		value: func(c *AggregateCall, b *vector.Builder, g int32) {
			blob := c.Cells.Blob(g, 0)
			for at := recordsHead; at < len(blob); {
				from, to := nextRecord(blob, at)
				b.Kid(0).Bytes(blob[from : to-8])
				b.Kid(1).Int64(int64(binary.LittleEndian.Uint64(blob[to-8:])))
				at = to
			}
			b.Close()
		}}}
}

// newCountDistinct keeps a set of 64-bit hashes, open addressing in one blob
// behind the count. Two values of one hash, one chance in 2^64 a pair, count
// once.
func newCountDistinct([]Arg) AggregateKernel {
	var scratch []byte
	const blob = 8
	f := &fold{fixed: 8 + vector.BlobCellBytes, blobs: []int{blob}, result: types.Bigint}
	add := func(c *AggregateCall, g int32, h uint64) {
		count := c.Cells.Int64(g, 0)
		slots := len(c.Cells.Blob(g, blob)) / 8
		if int(*count+1)*4 > slots*3 {
			growHashes(c, g, blob, max(8, 2*slots))
		}
		if putHash(c.Cells.ResizeBlob(g, blob, len(c.Cells.Blob(g, blob))), h) {
			*count++
		}
	}
	f.step = func(c *AggregateCall, row int, g int32) {
		if !c.Args[0].IsNull(row) {
			scratch = vector.AppendValue(scratch[:0], c.Args[0], row)
			add(c, g, hash64(scratch))
		}
	}
	f.value = func(c *AggregateCall, b *vector.Builder, g int32) { b.Int64(*c.Cells.Int64(g, 0)) }
	f.merge = func(c *AggregateCall, into, from int32) {
		other := bytes.Clone(c.Cells.Blob(from, blob))
		for at := 0; at < len(other); at += 8 {
			if h := binary.LittleEndian.Uint64(other[at:]); h != 0 {
				add(c, into, h)
			}
		}
	}
	return f
}

func growHashes(c *AggregateCall, g int32, off, slots int) {
	table := make([]byte, 8*slots)
	old := c.Cells.Blob(g, off)
	for at := 0; at < len(old); at += 8 {
		if h := binary.LittleEndian.Uint64(old[at:]); h != 0 {
			putHash(table, h)
		}
	}
	c.Cells.SetBlob(g, off, table)
}

// putHash reports whether h was new to the table, which has a free slot and a
// power of two of them.
func putHash(table []byte, h uint64) bool {
	mask := uint64(len(table)/8 - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch binary.LittleEndian.Uint64(table[8*i:]) {
		case h:
			return false
		case 0:
			binary.LittleEndian.PutUint64(table[8*i:], h)
			return true
		}
	}
}

// hash64 is FNV-1a with a finisher, never 0. State depends on it: it must not
// change.
func hash64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range b {
		h = (h ^ uint64(x)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	if h ^= h >> 33; h == 0 {
		return 1
	}
	return h
}
