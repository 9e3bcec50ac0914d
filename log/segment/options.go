package segment

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a log. The zero value of each field but FS, Dir and Rand is a
// sensible default.
type Options struct {
	FS  vfs.FS
	Dir string
	// Rand is the source of topic ids.
	Rand   func() uint64
	Logger *slog.Logger
	// NoSync acknowledges what the operating system has and the disk may not:
	// a power cut may lose the last acknowledged records.
	NoSync bool
	// Inline commits in the goroutine that asks, for deterministic tests.
	Inline bool

	SegmentBytes    int64 // a segment is closed when it would exceed this; 256 MiB
	JournalBytes    int64 // a checkpoint is made when the journal exceeds this; 64 MiB
	LargeBatchBytes int   // batches from this size on bypass the journal; 1 MiB
	MaxBatchBytes   int   // 64 MiB
	MaxTxnBytes     int   // of a transaction's small batches and offsets; 256 MiB
	MaxPartitions   int32 // of a topic; 1,000
}

func setDefault[T int | int32 | int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.SegmentBytes, 256<<20)
	setDefault(&o.JournalBytes, 64<<20)
	setDefault(&o.LargeBatchBytes, 1<<20)
	setDefault(&o.MaxBatchBytes, 64<<20)
	setDefault(&o.MaxTxnBytes, 256<<20)
	o.MaxTxnBytes = min(o.MaxTxnBytes, maxEntryBytes/2)
	setDefault(&o.MaxPartitions, 1000)
}
