package segment

import (
	"errors"
	"math"

	"karst/log"
)

// nowhere is what a search finds that finds nothing.
var nowhere = log.TimedOffset{Offset: -1, Timestamp: -1, LeaderEpoch: -1}

// findTime returns the first record in [start, end), committed or not, with a
// timestamp of at least ms.
func (p *partition) findTime(ms, start, end int64) (log.TimedOffset, error) {
	found := nowhere
	err := p.eachBatch(start, end, func(b log.BatchInfo, batch []byte) (bool, error) {
		if b.MaxTime < ms {
			return true, nil
		}
		var r log.Records
		if _, err := r.DecodeBatch(batch); err != nil {
			return false, err
		}
		for i, t := range r.Timestamps {
			if t >= ms && r.Offsets[i] >= start {
				found.Offset, found.Timestamp = r.Offsets[i], t
				return false, nil
			}
		}
		return true, nil
	}, func(offset int64) (int64, error) { return p.skipOlder(offset, ms) })
	return found, err
}

// trimmedTo returns where a partition starts, if err says that this has moved beyond
// offset meanwhile.
func trimmedTo(offset int64, err error) (start int64, trimmed bool) {
	if r := (*log.OffsetRangeError)(nil); errors.As(err, &r) && offset < r.Start {
		return r.Start, true
	}
	return 0, false
}

// findGreatest returns the first record in [start, end) of those with the
// greatest timestamp.
func (p *partition) findGreatest(start, end int64) (log.TimedOffset, error) {
	if found, err := p.findTime(p.greatestTime(), start, end); err != nil || found.Offset >= 0 {
		return found, err
	}
	// It is of a record that is trimmed, or not to be seen.
	greatest := int64(math.MinInt64)
	err := p.eachBatch(start, end, func(b log.BatchInfo, _ []byte) (bool, error) {
		if b.BaseOffset >= start {
			greatest = max(greatest, b.MaxTime)
		}
		return true, nil
	}, func(offset int64) (int64, error) { return p.skipOlder(offset, greatest) })
	if err != nil || greatest < 0 {
		return nowhere, err
	}
	return p.findTime(greatest, start, end)
}

// greatestTime returns the greatest timestamp in the segments.
func (p *partition) greatestTime() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	greatest := int64(math.MinInt64)
	for _, s := range p.segments {
		greatest = max(greatest, s.maxTime)
	}
	return greatest
}

// eachBatch calls visit for the batches that begin before end, from the one
// that holds start on, until it returns false. skip says from which offset on a
// further one may matter.
func (p *partition) eachBatch(start, end int64, visit func(log.BatchInfo, []byte) (bool, error), skip func(int64) (int64, error)) error {
	var buf []byte
	for offset := start; offset < end; {
		at, err := skip(offset)
		if err != nil || at >= end {
			return err
		}
		f, err := p.fetchRaw(log.RawFetch{Partition: p.name, Offset: at, MaxBytes: 1 << 20, AtLeastOne: true}, buf[:0])
		if start, trimmed := trimmedTo(at, err); trimmed {
			offset = start
			continue
		}
		if err != nil || len(f.Batches) == 0 {
			return err
		}
		buf = f.Batches
		for rest := buf; len(rest) > 0; {
			b, err := log.ReadHeader(rest)
			if err != nil || b.BaseOffset >= end {
				return err
			}
			if more, err := visit(b, rest[:b.Bytes]); err != nil || !more {
				return err
			}
			offset = b.LastOffset + 1
			rest = rest[b.Bytes:]
		}
	}
	return nil
}
