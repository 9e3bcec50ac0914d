package log

import "fmt"

// A Validator checks batches that come from outside. It keeps memory from one
// batch to the next and is used by one goroutine at a time.
type Validator struct {
	recs Records
	buf  []byte // a compressed batch and its records
}

// maxBatchRecords bounds a batch's records: compressed a million of them may be
// small, and who reads them needs columns of that length. Producers split a batch
// that is refused for it.
const maxBatchRecords = 1_000_000

// keptBytes is the most that a Validator keeps from one batch to the next.
const keptBytes = 4 << 20

// Forget gives up memory that only a large batch needs.
func (v *Validator) Forget() {
	if cap(v.buf) > keptBytes {
		v.buf, v.recs.Buf = nil, nil
	}
	if cap(v.recs.Offsets) > keptBytes/64 {
		v.recs = Records{}
	}
}

// Check verifies that batch is exactly one whole batch of records, not control,
// whose records fit their bounds and have all offsets; it decompresses them if
// need be, and returns them: they are the validator's until the next Check.
func (v *Validator) Check(batch []byte) (BatchInfo, *Records, error) {
	info, err := ReadHeader(batch)
	switch {
	case err != nil:
		return info, nil, err
	case info.Bytes < len(batch):
		return info, nil, fmt.Errorf("%w: exactly one batch is taken per partition", ErrInvalidRecord)
	case info.Control():
		return info, nil, fmt.Errorf("%w: control batches are the log's own", ErrInvalidRecord)
	case info.Count == 0 || int64(info.Count) != info.LastOffset-info.BaseOffset+1:
		return info, nil, fmt.Errorf("%w: batch of %d records with last offset delta %d", ErrInvalidRecord, info.Count, info.LastOffset-info.BaseOffset)
	}
	if info.Count > maxBatchRecords {
		return info, nil, fmt.Errorf("%w: batch of %d records, at most %d are taken", ErrRecordTooLarge, info.Count, maxBatchRecords)
	}
	if _, err := CheckBatch(batch); err != nil {
		return info, nil, err
	}
	if info.Codec() > Zstd {
		return info, nil, fmt.Errorf("%w: codec %d", ErrCompression, info.Codec())
	}
	v.recs.Reset()
	v.recs.Buf = batch[:len(batch):len(batch)]
	if info.Codec() != None {
		v.recs.Buf = append(v.buf[:0], batch...)
	}
	if err := v.recs.inflate(0, info, 0); err != nil {
		return info, nil, fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	if info.Codec() != None {
		v.buf = v.recs.Buf
	}
	return info, &v.recs, checkProducer(info)
}

// checkProducer verifies that producer id, epoch and sequence go together.
func checkProducer(b BatchInfo) error {
	switch {
	case b.Transactional() && b.Producer.ID < 0:
		return fmt.Errorf("%w: transactional batch without producer id", ErrInvalidRecord)
	case b.Producer.ID >= 0 && (b.Producer.Epoch < 0 || b.BaseSequence < 0):
		return fmt.Errorf("%w: producer %d with epoch %d and sequence %d", ErrInvalidRecord, b.Producer.ID, b.Producer.Epoch, b.BaseSequence)
	}
	return nil
}
