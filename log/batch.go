package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Positions of the fields of a batch header.
const (
	posLength       = 8
	posLeaderEpoch  = 12
	posMagic        = 16
	posCRC          = 17
	posAttributes   = 21
	posLastDelta    = 23
	posBaseTime     = 27
	posMaxTime      = 35
	posProducerID   = 43
	posProducerEpch = 51
	posBaseSequence = 53
	posCount        = 57
	headerBytes     = 61
	prefixBytes     = 12 // base offset and batch length
)

// Bits of a batch's attributes.
const (
	attrCodec         = 0x07
	attrAppendTime    = 0x08 // all records have the batch's maximal timestamp
	attrTransactional = 0x10
	attrControl       = 0x20
	attrHorizon       = 0x40 // the base timestamp is the delete horizon
)

// HeaderBytes is how much of a batch ReadHeader needs.
const HeaderBytes = headerBytes

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A BatchInfo is what a batch's header says.
type BatchInfo struct {
	BaseOffset   int64
	LastOffset   int64
	Bytes        int // of the whole batch
	LeaderEpoch  int32
	Attributes   int16
	BaseTime     int64
	MaxTime      int64
	Producer           // who sent it; ID -1 for a producer without id
	BaseSequence int32 // of the first record, -1 without
	Count        int   // of records
}

// Control reports whether the batch holds a transaction marker.
func (b BatchInfo) Control() bool { return b.Attributes&attrControl != 0 }

// Transactional reports whether the batch is part of a transaction, whose end
// a marker further on tells.
func (b BatchInfo) Transactional() bool { return b.Attributes&attrTransactional != 0 }

// AppendTime reports whether all records have the time of their arrival,
// MaxTime.
func (b BatchInfo) AppendTime() bool { return b.Attributes&attrAppendTime != 0 }

// Horizon returns the time, ms, from which on compaction drops the batch's
// tombstones or marker, -1 if it has not seen them yet (KIP-534).
func (b BatchInfo) Horizon() int64 {
	if b.Attributes&attrHorizon == 0 {
		return -1
	}
	return b.BaseTime
}

// Codec returns how the records are compressed.
func (b BatchInfo) Codec() Codec { return Codec(b.Attributes & attrCodec) }

// ReadHeader reads the header of the batch that buf starts with; buf may end
// within the batch, but must hold HeaderBytes.
func ReadHeader(buf []byte) (BatchInfo, error) {
	if len(buf) < headerBytes {
		return BatchInfo{}, fmt.Errorf("%w: batch header cut off", ErrCorrupt)
	}
	length := int32(binary.BigEndian.Uint32(buf[posLength:]))
	base := int64(binary.BigEndian.Uint64(buf))
	last := int32(binary.BigEndian.Uint32(buf[posLastDelta:]))
	b := BatchInfo{
		BaseOffset:  base,
		LastOffset:  base + int64(last),
		Bytes:       int(length) + prefixBytes,
		LeaderEpoch: int32(binary.BigEndian.Uint32(buf[posLeaderEpoch:])),
		Attributes:  int16(binary.BigEndian.Uint16(buf[posAttributes:])),
		BaseTime:    int64(binary.BigEndian.Uint64(buf[posBaseTime:])),
		MaxTime:     int64(binary.BigEndian.Uint64(buf[posMaxTime:])),
		Producer: Producer{
			ID:    int64(binary.BigEndian.Uint64(buf[posProducerID:])),
			Epoch: int16(binary.BigEndian.Uint16(buf[posProducerEpch:])),
		},
		BaseSequence: int32(binary.BigEndian.Uint32(buf[posBaseSequence:])),
		Count:        int(int32(binary.BigEndian.Uint32(buf[posCount:]))),
	}
	if buf[posMagic] != 2 {
		return b, fmt.Errorf("%w: batch magic %d", ErrCorrupt, buf[posMagic])
	}
	if b.Bytes < headerBytes || base < 0 || last < 0 || b.LastOffset < base || b.Count < 0 || b.Count > int(last)+1 {
		return b, fmt.Errorf("%w: batch of %d bytes and %d records at offset %d", ErrCorrupt, b.Bytes, b.Count, base)
	}
	return b, nil
}

// SetBase sets the offset of the batch's first record and the leader epoch, in
// place; neither is covered by the CRC.
func SetBase(batch []byte, baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(batch, uint64(baseOffset))
	binary.BigEndian.PutUint32(batch[posLeaderEpoch:], uint32(leaderEpoch))
}

// SetAppendTime gives all records of a batch the timestamp ms, in place.
func SetAppendTime(batch []byte, ms int64) {
	batch[posAttributes+1] |= attrAppendTime
	binary.BigEndian.PutUint64(batch[posMaxTime:], uint64(ms))
	setCRC(batch)
}

// SetProducer names the producer of a batch and the sequence number of its
// first record, in place.
func SetProducer(batch []byte, p Producer, sequence int32, transactional bool) {
	binary.BigEndian.PutUint64(batch[posProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(batch[posProducerEpch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(batch[posBaseSequence:], uint32(sequence))
	if transactional {
		batch[posAttributes+1] |= attrTransactional
	}
	setCRC(batch)
}

func setCRC(batch []byte) {
	binary.BigEndian.PutUint32(batch[posCRC:], crc32.Checksum(batch[posAttributes:], castagnoli))
}

// Marker encodes the control batch that ends a producer's transaction: its one
// record has a version and 0 for abort, 1 for commit, as key, a version and the
// coordinator's epoch, here always 0, as value.
func Marker(p Producer, commit bool, ms int64) []byte {
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	}
	var b Builder
	b.Add(ms, key, make([]byte, 6), nil)
	batch := b.Finish()
	batch[posAttributes+1] |= attrControl
	SetProducer(batch, p, -1, true)
	return batch
}

// CheckBatch verifies that b is exactly one whole batch with a right CRC. It
// does not look into the records.
func CheckBatch(b []byte) (BatchInfo, error) {
	info, err := ReadHeader(b)
	if err != nil {
		return info, err
	}
	if info.Bytes != len(b) {
		return info, fmt.Errorf("%w: batch says %d bytes, has %d", ErrCorrupt, info.Bytes, len(b))
	}
	if got, want := crc32.Checksum(b[posAttributes:], castagnoli), binary.BigEndian.Uint32(b[posCRC:]); got != want {
		return info, fmt.Errorf("%w: CRC %08x of batch at offset %d, expected %08x", ErrCorrupt, got, info.BaseOffset, want)
	}
	return info, nil
}

// An abortFilter tells which batches a reader of committed records skips:
// markers, and batches of transactions that were aborted.
type abortFilter struct {
	pending []AbortedTxn // that begin further on
	open    map[int64]struct{}
}

// skips is asked for one batch after the other.
func (f *abortFilter) skips(info BatchInfo, batch []byte) bool {
	for len(f.pending) > 0 && f.pending[0].FirstOffset <= info.LastOffset {
		if f.open == nil {
			f.open = map[int64]struct{}{}
		}
		f.open[f.pending[0].ProducerID] = struct{}{}
		f.pending = f.pending[1:]
	}
	if info.Control() {
		if f.open != nil && AbortMarker(batch) {
			delete(f.open, info.Producer.ID)
		}
		return true
	}
	if !info.Transactional() || f.open == nil {
		return false
	}
	_, aborted := f.open[info.Producer.ID]
	return aborted
}

// AbortMarker reports whether a control batch ends a transaction by aborting
// it: its record's key is a version and the type 0, both int16.
func AbortMarker(batch []byte) bool {
	c := cursor{buf: batch, pos: headerBytes}
	c.varint() // length
	c.pos++    // attributes
	c.varint() // timestamp
	c.varint() // offset
	off, n := c.bytes()
	return !c.bad && n >= 4 && binary.BigEndian.Uint16(batch[off+2:]) == 0
}
