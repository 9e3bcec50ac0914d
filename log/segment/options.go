package segment

import (
	"log/slog"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a log. The zero value of each field but FS, Dir and Rand is a
// sensible default.
type Options struct {
	FS  vfs.FS
	Dir string
	// Rand is the source of topic ids.
	Rand func() uint64
	// Clock gives the time and runs the housekeeping every HousekeepingEvery. Without one
	// time stands still and Housekeep must be called.
	Clock  log.Clock
	Logger *slog.Logger
	// OnFailure, if set, is told once when the log has failed (log.ErrFailed): it
	// must be opened again to take writes, best by a new process. It must not
	// block.
	OnFailure func(error)
	// Essential names a topic whose records are taken on a full disk too, as far
	// as the reserve goes: few ones, without which no space can be freed.
	Essential string
	// NoSync acknowledges what the operating system has and the disk may not:
	// a power cut may lose the last acknowledged records.
	NoSync bool
	// Inline commits in the goroutine that asks, for deterministic tests.
	Inline bool
	// late has the rest of a checkpoint wait until finishLate is called, or waited
	// for: with it tests put commits in between.
	late bool
	// coldAfter so many runs of the housekeeping a segment that nobody reads is
	// cold; a minute's.
	coldAfter int32
	// pieceBytes is how much of a long journal entry is written at once, see
	// journal.writePieces; 512 KiB.
	pieceBytes int

	SegmentBytes  int64 // a segment is closed when it would exceed this; 256 MiB
	JournalBytes  int64 // a checkpoint is made when the journal exceeds this; 128 MiB
	FloodBytes    int64 // in a flood, when it exceeds this, or a sixteenth of the free space; 1 GiB
	LargeRunBytes int   // batches of a segment that come to this together bypass the journal; 1 MiB
	DeferRunBytes int   // those that come to this are in the journal alone until a checkpoint; 4 KiB
	MaxBatchBytes int   // 64 MiB
	MaxTxnBytes   int   // of a transaction's small batches and offsets; 256 MiB
	MaxPartitions int32 // of a topic; 1,000

	// What clients can have the log remember; see limits.go. Directories that
	// hold more are opened nonetheless.
	MaxTopics           int   // 10,000
	MaxServerPartitions int   // of all topics; 10,000
	MaxTxnIDs           int   // transactional ids; 100,000
	MaxTxnParts         int   // partitions and groups of all open transactions; 100,000
	MaxProducers        int   // that partitions know, each counted in each; 100,000
	MaxGroupBytes       int64 // offsets and states of all groups; 256 MiB

	HousekeepingEvery time.Duration // 5 s
	MaxTxnTimeout     time.Duration // greatest that a producer may ask for; 15 min
	TxnIDExpiry       time.Duration // an unused transactional id is forgotten after it; 7 days
	ProducerExpiry    time.Duration // an idle producer's sequence is forgotten after it; 1 day
	ReserveBytes      int64         // disk space kept for when the disk is full; 64 MiB, below 0 none
	CompactionKeys    int           // distinct keys that one pass of compaction takes in; 1,000,000
}

// now is the time in ms; see Clock.
func (o *Options) now() int64 { return o.time().UnixMilli() }

func (o *Options) time() time.Time {
	if o.Clock == nil {
		return time.UnixMilli(0)
	}
	return o.Clock.Now()
}

func setDefault[T int | int32 | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.SegmentBytes, 256<<20)
	setDefault(&o.JournalBytes, 128<<20)
	setDefault(&o.FloodBytes, 1<<30)
	setDefault(&o.LargeRunBytes, 1<<20)
	setDefault(&o.pieceBytes, 512<<10)
	setDefault(&o.DeferRunBytes, 4<<10)
	setDefault(&o.MaxBatchBytes, 64<<20)
	setDefault(&o.MaxTxnBytes, 256<<20)
	o.MaxTxnBytes = min(o.MaxTxnBytes, maxEntryBytes/2)
	setDefault(&o.MaxPartitions, 1000)
	setDefault(&o.MaxTopics, 10_000)
	setDefault(&o.MaxServerPartitions, 10_000)
	setDefault(&o.MaxTxnIDs, 100_000)
	setDefault(&o.MaxTxnParts, 100_000)
	setDefault(&o.MaxProducers, 100_000)
	setDefault(&o.MaxGroupBytes, 256<<20)
	setDefault(&o.HousekeepingEvery, 5*time.Second)
	setDefault(&o.coldAfter, max(int32(time.Minute/o.HousekeepingEvery), 1))
	setDefault(&o.MaxTxnTimeout, 15*time.Minute)
	setDefault(&o.TxnIDExpiry, 7*24*time.Hour)
	setDefault(&o.ProducerExpiry, 24*time.Hour)
	setDefault(&o.ReserveBytes, 64<<20)
	setDefault(&o.CompactionKeys, 1_000_000)
}
