package segment

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"karst/log"
)

// keptBatches is how many batches of a producer are remembered, so that one
// sent again is recognised; a client has at most as many under way.
const keptBatches = 5

// A producerState is what a partition knows of a producer. It belongs to the
// committer and describes the batches that have got their place, which may not
// be durable yet.
type producerState struct {
	Epoch    int16
	Batches  []producedBatch `json:",omitempty"` // of Epoch, oldest first
	Last     int64           // offset of its last batch
	TxnStart int64           // first offset of its open transaction, -1 if none
	Seen     int64           // ms, when the last batch came
	Marked   bool            `json:",omitempty"` // a transaction of its has ended here
}

type producedBatch struct {
	First, Last int32 // sequence numbers
	Base        int64 // offset
	MaxTime     int64
}

// lastSequence returns the sequence number of the last record, -1 if none is
// known.
func (s *producerState) lastSequence() int32 {
	if len(s.Batches) == 0 {
		return -1
	}
	return s.Batches[len(s.Batches)-1].Last
}

// addSequence returns the sequence number n records further on; they go around
// after the greatest int32.
func addSequence(seq int32, n int) int32 { return int32((int64(seq) + int64(n)) & math.MaxInt32) }

// admit checks a batch's sequence against what its producer sent before. It
// returns the batch it is a repetition of, if it is one. The rules are those of
// Kafka's ProducerAppendInfo.
func (s *producerState) admit(b log.BatchInfo) (*producedBatch, error) {
	if s == nil {
		return nil, nil // forgotten or new: any sequence is as good as another
	}
	p := b.Producer
	if p.Epoch < s.Epoch {
		return nil, fmt.Errorf("%w: %d of producer %d, which has %d", log.ErrProducerEpoch, p.Epoch, p.ID, s.Epoch)
	}
	if p.Epoch > s.Epoch {
		if b.BaseSequence != 0 {
			return nil, fmt.Errorf("%w: producer %d begins epoch %d with %d", log.ErrOutOfOrder, p.ID, p.Epoch, b.BaseSequence)
		}
		return nil, nil
	}
	last := addSequence(b.BaseSequence, b.Count-1)
	for i := range s.Batches {
		if d := &s.Batches[i]; d.First == b.BaseSequence && d.Last == last && !seeded("no-deduplication") {
			return d, nil
		}
	}
	if !b.Transactional() && s.TxnStart >= 0 {
		return nil, fmt.Errorf("%w: producer %d has an open transaction in the partition", log.ErrTxnState, p.ID)
	}
	want := int32(0)
	if n := len(s.Batches); n > 0 {
		want = addSequence(s.Batches[n-1].Last, 1)
	}
	if b.BaseSequence != want && !seeded("no-sequence-check") {
		return nil, fmt.Errorf("%w: producer %d sent %d, expected %d", log.ErrOutOfOrder, p.ID, b.BaseSequence, want)
	}
	return nil, nil
}

// track notes a batch that has got its place, and reports whether its producer
// was not known here. The batch stays the caller's.
func (p *partition) track(b log.BatchInfo, now int64) (added bool) {
	if b.Producer.ID < 0 {
		return false
	}
	s := p.producers[b.Producer.ID]
	if s == nil {
		added = true
		s = &producerState{TxnStart: -1}
		if p.producers == nil {
			p.producers = map[int64]*producerState{}
		}
		p.producers[b.Producer.ID] = s
	}
	if b.Producer.Epoch != s.Epoch {
		s.Epoch, s.Batches = b.Producer.Epoch, nil
	}
	s.Last, s.Seen = b.LastOffset, now
	if b.Control() {
		s.TxnStart, s.Marked = -1, true
		return added
	}
	if b.Transactional() && s.TxnStart < 0 {
		s.TxnStart = b.BaseOffset
	}
	if len(s.Batches) == keptBatches {
		s.Batches = slices.Delete(s.Batches, 0, 1)
	}
	s.Batches = append(s.Batches, producedBatch{
		First: b.BaseSequence, Last: addSequence(b.BaseSequence, b.Count-1), Base: b.BaseOffset, MaxTime: b.MaxTime,
	})
	return added
}

// forgetProducers drops producers that were idle since before ms.
func (p *partition) forgetProducers(ms int64) {
	for id, s := range p.producers {
		if s.TxnStart < 0 && s.Seen < ms {
			delete(p.producers, id)
		}
	}
}

// describe lists the producers, by id.
func (p *partition) describeProducers() []log.ProducerInfo {
	out := make([]log.ProducerInfo, 0, len(p.producers))
	for id, s := range p.producers {
		info := log.ProducerInfo{Producer: log.Producer{ID: id, Epoch: s.Epoch}, LastSequence: s.lastSequence(), LastTimestamp: s.Seen, TxnStart: s.TxnStart, Marked: s.Marked}
		if n := len(s.Batches); n > 0 {
			info.LastTimestamp = s.Batches[n-1].MaxTime
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b log.ProducerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// An openTxn is a transaction that has records in a partition and no end yet.
type openTxn struct{ ID, First int64 }

// An abortedTxn is one that has ended badly.
type abortedTxn struct {
	ID    int64
	First int64 // offset of its first batch
	Last  int64 // of its marker
	// Stable is the last stable offset just before the marker became readable:
	// transactions whose markers follow begin at or after it.
	Stable int64
}

// abortedTxns are those of a partition, by last offset. In a checkpoint, which has
// all that are kept, they are bytes: four varints each, of what differs from the
// one before.
type abortedTxns []abortedTxn

func (list abortedTxns) MarshalJSON() ([]byte, error) {
	var buf []byte
	var last abortedTxn
	for _, t := range list {
		buf = binary.AppendVarint(buf, t.ID-last.ID)
		buf = binary.AppendVarint(buf, t.Last-last.Last)
		buf = binary.AppendVarint(buf, t.Last-t.First)
		buf = binary.AppendVarint(buf, t.Last-t.Stable)
		last = t
	}
	return json.Marshal(buf)
}

// UnmarshalJSON reads what MarshalJSON has made, or the array of objects that was
// before it.
func (list *abortedTxns) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*[]abortedTxn)(list))
	}
	var buf []byte
	if err := json.Unmarshal(text, &buf); err != nil {
		return err
	}
	var last abortedTxn
	for *list = nil; len(buf) > 0; *list = append(*list, last) {
		var d [4]int64
		for i := range d {
			n := 0
			if d[i], n = binary.Varint(buf); n <= 0 {
				return fmt.Errorf("list of aborted transactions that is cut off after %d", len(*list))
			}
			buf = buf[n:]
		}
		last.ID += d[0]
		last.Last += d[1]
		last.First, last.Stable = last.Last-d[2], last.Last-d[3]
	}
	return nil
}

// publishTxn follows the transactions of a batch that becomes readable. The
// caller holds the partition's lock.
func (p *partition) publishTxn(b log.BatchInfo, abort bool) {
	i := slices.IndexFunc(p.open, func(t openTxn) bool { return t.ID == b.Producer.ID })
	if !b.Control() {
		if i < 0 {
			p.open = append(p.open, openTxn{ID: b.Producer.ID, First: b.BaseOffset})
		}
		return
	}
	if i < 0 {
		return // nothing of the transaction is here
	}
	if abort && !seeded("no-aborted-index") {
		p.aborted = append(p.aborted, abortedTxn{ID: b.Producer.ID, First: p.open[i].First, Last: b.BaseOffset, Stable: p.stable()})
	}
	p.open = slices.Delete(p.open, i, i+1)
}

// stable is the last stable offset: the first of an open transaction, or the
// high watermark. The caller holds the partition's lock.
func (p *partition) stable() int64 {
	if len(p.open) == 0 || seeded("stable-is-high-watermark") {
		return p.next
	}
	return max(p.open[0].First, p.start)
}

// abortedIn returns those of the aborted transactions that have records in [from,
// to), by first offset.
func abortedIn(list []abortedTxn, from, to int64) []log.AbortedTxn {
	var out []log.AbortedTxn
	i, _ := slices.BinarySearchFunc(list, from, func(t abortedTxn, from int64) int { return cmp.Compare(t.Last, from) })
	for _, t := range list[i:] {
		if t.First < to {
			out = append(out, log.AbortedTxn{ProducerID: t.ID, FirstOffset: t.First})
		}
		if t.Stable >= to {
			break
		}
	}
	slices.SortFunc(out, func(a, b log.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return out
}
