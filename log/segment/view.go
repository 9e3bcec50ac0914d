package segment

import (
	"cmp"
	"fmt"
	"slices"

	"karst/log"
)

// A view is a segment as of now, held open for a reader.
type view struct {
	seg     *segmentFile
	size    int64 // of what may be read
	next    int64 // where the next segment begins, or the partition ends
	stable  int64 // the partition's last stable offset
	aborted []abortedTxn
	epochs  []epochStart
}

// maxRecords bounds the records of one fetch.
const maxRecords = 1 << 16

// decode reads committed records from offset on, which is below the last
// stable offset, into the empty r. It returns where to go on, behind offset
// unless nothing at or behind it is in the segment.
func (v view) decode(offset int64, maxBytes int, r *log.Records) (int64, error) {
	at, err := v.seg.find(offset, v.size)
	if err != nil {
		return offset, err
	}
	for want := int64(max(maxBytes, log.HeaderBytes)); at.pos < v.size; {
		n := min(want, v.size-at.pos)
		if int64(cap(r.Buf)) < n {
			r.Buf = make([]byte, n)
		}
		r.Buf = r.Buf[:n]
		if err := v.seg.readAt(r.Buf, at.pos); err != nil {
			return offset, err
		}
		first, whole, end, err := v.whole(r.Buf, at)
		if err != nil {
			return offset, err
		}
		if first.BaseOffset >= v.stable {
			return v.stable, nil // compacted up to there
		}
		if whole == 0 {
			want = int64(first.Bytes)
			continue
		}
		aborted := abortedIn(v.aborted, offset, min(end, v.stable))
		next, consumed, err := r.Decode(log.Span{End: whole, From: offset, MaxRecords: maxRecords, Before: v.stable, Aborted: aborted})
		switch {
		case next > offset: // an error further on is the next fetch's
			v.seg.remember(next, at.pos+int64(consumed))
			return next, nil
		case err != nil:
			return offset, fmt.Errorf("segment %s at byte %d: %w", v.seg.name(), at.pos+int64(consumed), err)
		}
		at = v.after(r.Buf[:consumed], at) // batches before offset
	}
	return v.next, v.ended(offset)
}

// ended is what it means that no batch at or behind offset was found: in a
// compacted segment they are gone.
func (v view) ended(offset int64) error {
	if v.seg.sparse() {
		return nil
	}
	return fmt.Errorf("%w: segment %s ends before offset %d", log.ErrCorrupt, v.seg.name(), offset)
}

// whole walks the batches in chunk, which stands at at, and checks what their
// CRCs do not cover. It returns the first, the bytes of those that are whole, and
// the offset behind them; an error further on is left to who comes there.
func (v view) whole(chunk []byte, at position) (first log.BatchInfo, bytes int, end int64, err error) {
	for n := 0; len(chunk)-bytes >= log.HeaderBytes || n == 0; n++ {
		b, err := v.seg.next(chunk[bytes:], at, v.size-at.pos)
		// What is below the partition's start may be of an epoch that is forgotten.
		if want := epochOf(v.epochs, b.BaseOffset); err == nil && want >= 0 && want != b.LeaderEpoch {
			err = fmt.Errorf("%w: segment %s at byte %d: leader epoch %d, expected %d", log.ErrCorrupt, v.seg.name(), at.pos, b.LeaderEpoch, want)
		}
		if n == 0 {
			if first = b; err != nil {
				return first, 0, 0, err
			}
		}
		if err != nil || b.Bytes > len(chunk)-bytes {
			break
		}
		bytes += b.Bytes
		at = position{b.LastOffset + 1, at.pos + int64(b.Bytes)}
	}
	return first, bytes, at.offset, nil
}

// epochOf returns the leader epoch of the record at offset.
func epochOf(epochs []epochStart, offset int64) int32 {
	i, found := slices.BinarySearchFunc(epochs, offset, func(e epochStart, o int64) int { return cmp.Compare(e.Start, o) })
	if !found {
		i--
	}
	if i < 0 {
		return -1
	}
	return epochs[i].Epoch
}

// after returns the position behind the whole batches in chunk, which stands
// at at.
func (v view) after(chunk []byte, at position) position {
	for len(chunk) > 0 {
		b, err := log.ReadHeader(chunk)
		if err != nil {
			panic(err) // they were decoded
		}
		at = position{b.LastOffset + 1, at.pos + int64(b.Bytes)}
		chunk = chunk[b.Bytes:]
	}
	return at
}

// raw appends whole batches to dst, from the one that holds r.Offset on. It
// returns where to go on, r.Offset if nothing was found or fitted.
func (v view) raw(r log.RawFetch, end int64, dst []byte) (out []byte, next int64, err error) {
	at, err := v.seg.find(r.Offset, v.size)
	if err != nil {
		return dst, r.Offset, err
	}
	start, next := len(dst), r.Offset
	for want := int64(max(r.MaxBytes, log.HeaderBytes)); at.pos < v.size; {
		n := int(min(want, v.size-at.pos))
		dst = slices.Grow(dst[:start], n)[:start+n]
		if err := v.seg.readAt(dst[start:], at.pos); err != nil {
			return dst[:start], next, err
		}
		first, whole, _, err := v.whole(dst[start:], at)
		if err != nil {
			return dst[:start], next, err
		}
		if whole == 0 {
			if first.BaseOffset >= end || first.LastOffset >= r.Offset && !r.AtLeastOne {
				return dst[:start], next, nil
			}
			want = int64(first.Bytes)
			continue
		}
		from, to, after, err := v.wanted(dst[start:start+whole], r, end)
		if err != nil {
			return dst[:start], next, err
		}
		if from > 0 && at.pos+int64(n) < v.size {
			// What stands before r.Offset has taken some of r.MaxBytes.
			at = v.after(dst[start:start+from], at)
			continue
		}
		if to > from || after > next {
			v.seg.remember(after, at.pos+int64(to))
			copy(dst[start:], dst[start+from:start+to])
			return dst[:start+to-from], after, nil
		}
		at = v.after(dst[start:start+from], at)
		if from < whole {
			return dst[:start], next, nil // beyond the end, or too large
		}
	}
	return dst[:start], v.next, v.ended(r.Offset)
}

// wanted finds, in whole batches, those that have r.Offset or later ones and
// begin before end. after is the offset behind them.
func (v view) wanted(batches []byte, r log.RawFetch, end int64) (from, to int, after int64, err error) {
	after = r.Offset
	for to < len(batches) {
		b, err := log.ReadHeader(batches[to:])
		if err != nil {
			return from, to, after, err
		}
		if b.BaseOffset >= end || to > from && to+b.Bytes-from > r.MaxBytes || to == from && b.LastOffset >= r.Offset && b.Bytes > r.MaxBytes && !r.AtLeastOne {
			break
		}
		if _, err := log.CheckBatch(batches[to : to+b.Bytes]); err != nil {
			if to > from {
				break // the next fetch's
			}
			return from, to, after, fmt.Errorf("segment %s: %w", v.seg.name(), err)
		}
		to += b.Bytes
		if b.LastOffset < r.Offset {
			from = to
			continue
		}
		after = b.LastOffset + 1
	}
	return from, to, after, nil
}
