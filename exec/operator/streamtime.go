package operator

import (
	"encoding/binary"

	"karst/sql/vector"
)

// metaTime is the name of an operator's stream time beside its keys.
const metaTime = "stream-time"

// noStreamTime is the stream time before the first row.
const noStreamTime = -1

// A streamTime is the stream time of each lane: of each partition that rows
// are sent from. Lateness and expiry go by the lane of a row and not by the
// greatest time of all, for partitions advance on their own: where one is read
// ahead of the others, or was written before them, their rows are not late.
// Without an exchange there is one lane.
type streamTime []int64

// of returns a lane's stream time.
func (s streamTime) of(lane int32) int64 {
	if int(lane) < len(s) {
		return s[lane]
	}
	return noStreamTime
}

// advance takes a lane to t, if it is not there yet.
func (s *streamTime) advance(lane int32, t int64) {
	for int(lane) >= len(*s) {
		*s = append(*s, noStreamTime)
	}
	(*s)[lane] = max((*s)[lane], t)
}

// follow advances s by the selected rows of b and returns the stream time of
// each physical row, itself included, that is selected and has a time.
func (s *streamTime) follow(a *vector.Arena, b *vector.Batch, sel []int32) []int64 {
	if b.StreamTime != nil {
		for _, i := range sel {
			s.advance(b.Lane[i], b.StreamTime[i])
		}
		return b.StreamTime
	}
	now := a.Int64s(b.N)
	t := s.of(0)
	for _, i := range sel {
		t = max(t, b.Time[i])
		now[i] = t
	}
	s.advance(0, t)
	return now
}

// A Timer is an operator that keeps stream time by lane.
type Timer interface {
	// StreamTime returns the stream time of an input's lane as of the last
	// Reset.
	StreamTime(input, lane int) int64
}

// laneOf returns the lane of physical row i of b.
func laneOf(b *vector.Batch, i int32) int32 {
	if b.Lane == nil {
		return 0
	}
	return b.Lane[i]
}

// bytes is the form kept beside the keys.
func (s streamTime) bytes() []byte {
	buf := make([]byte, 0, 8*len(s))
	for _, t := range s {
		buf = binary.BigEndian.AppendUint64(buf, uint64(t))
	}
	return buf
}

// readStreamTime reads what bytes wrote.
func readStreamTime(buf []byte) streamTime {
	var s streamTime
	for ; len(buf) >= 8; buf = buf[8:] {
		s = append(s, int64(binary.BigEndian.Uint64(buf)))
	}
	return s
}
