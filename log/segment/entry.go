package segment

import (
	"encoding/binary"
	"fmt"
	"slices"

	"karst/log"
)

// The payload of an entry is the length of its operations (4 bytes), those in
// their order, and then the batches of its appends. Batches that follow each
// other in a segment do so here, whatever stands between their operations: they
// are one extent then, or one write to the segment.

// A run is the batches of an entry that follow each other in a segment.
type run struct {
	seg   *segmentFile // nil in some tests
	pos   int64        // in seg
	at    int          // in the entry, behind its operations
	bytes int
	ops   int // how many; then where the next one's place is in order
}

// An entryEncoder makes the payloads of entries; its buffers are used again.
// Batches are copied when they are needed, see fill.
type entryEncoder struct {
	buf    []byte // header and payload
	runs   []run
	first  int   // where the batches begin in buf
	order  []*op // those with batches, by their places
	filled int   // of order, whose batches are in buf
}

// encode makes the entry of ops, which must not change until it is filled.
func (e *entryEncoder) encode(ops []*op) {
	e.layOut(ops)
	e.buf = beginEntry(e.buf)
	e.buf = append(e.buf, 0, 0, 0, 0)
	for _, o := range ops {
		e.buf = o.append(e.buf)
	}
	e.first = len(e.buf)
	binary.BigEndian.PutUint32(e.buf[entryHeaderBytes:], uint32(e.first-entryHeaderBytes-4))
	bytes := 0
	for i := range e.runs {
		bytes += e.runs[i].bytes
	}
	e.buf = grow(e.buf, bytes+len(endMark))[:e.first+bytes] // with room for what the journal adds
	e.filled = 0
}

// fill makes at least the first n bytes of buf, the header's aside, what they are
// to be.
func (e *entryEncoder) fill(n int) {
	for ; e.filled < len(e.order); e.filled++ {
		o := e.order[e.filled]
		if e.first+o.at >= n {
			return
		}
		copy(e.buf[e.first+o.at:], o.batch)
	}
}

// layOut finds the runs of ops and gives the batches their places behind the
// operations. Batches that are placed already take no part.
func (e *entryEncoder) layOut(ops []*op) {
	e.runs = e.runs[:0]
	for _, o := range ops {
		if o.kind != opAppend {
			continue
		}
		if o.seg == nil || o.seg.run == 0 {
			e.runs = append(e.runs, run{seg: o.seg, pos: o.pos})
			if o.run = len(e.runs) - 1; o.seg != nil {
				o.seg.run = len(e.runs)
			}
		} else {
			o.run = o.seg.run - 1
		}
		r := &e.runs[o.run]
		o.at = r.bytes
		r.bytes += len(o.batch)
		r.ops++
	}
	at, n := 0, 0
	for i := range e.runs {
		r := &e.runs[i]
		r.at = at
		at += r.bytes
		r.ops, n = n, n+r.ops
		if r.seg != nil {
			r.seg.run = 0
		}
	}
	e.order = slices.Grow(e.order[:0], n)[:n]
	for _, o := range ops {
		if o.kind == opAppend {
			r := &e.runs[o.run]
			o.at += r.at
			e.order[r.ops] = o
			r.ops++
		}
	}
}

// payload is what the entry holds; it is valid until the next encode.
func (e *entryEncoder) payload() []byte {
	e.fill(len(e.buf))
	return e.buf[entryHeaderBytes:]
}

// batches returns what is to be written for a run.
func (e *entryEncoder) batches(r *run) []byte {
	return e.buf[e.first+r.at:][:r.bytes]
}

// grow makes b longer by n bytes of any value.
func grow(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		b = append(make([]byte, 0, need+need/4), b...)
	}
	return b[:len(b)+n]
}

// decodeOps calls apply for each operation of an entry's payload. Batches are
// slices of payload.
func decodeOps(payload []byte, apply func(*op) error) error {
	if len(payload) < 4 {
		return fmt.Errorf("%w: journal entry of %d bytes", log.ErrCorrupt, len(payload))
	}
	ops := int64(binary.BigEndian.Uint32(payload))
	if payload = payload[4:]; ops > int64(len(payload)) {
		return fmt.Errorf("%w: journal entry with %d bytes of operations has %d", log.ErrCorrupt, ops, len(payload))
	}
	d := opDecoder{buf: payload[:ops], batches: payload[ops:]}
	for len(d.buf) > 0 {
		o, err := d.next()
		if err != nil {
			return err
		}
		if err := apply(o); err != nil {
			return err
		}
	}
	return nil
}
