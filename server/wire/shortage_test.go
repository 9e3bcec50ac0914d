package wire

import (
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"karst/log"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A shortFS opens no files while short says that there is no room for another one.
type shortFS struct {
	vfs.FS
	short atomic.Bool
}

func (fs *shortFS) err(name string) error {
	if fs.short.Load() {
		return &os.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	return nil
}

func (fs *shortFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.err(name); err != nil {
		return nil, err
	}
	return fs.FS.Create(name, c)
}

func (fs *shortFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := fs.err(name); err != nil {
		return nil, err
	}
	return fs.FS.Open(name, o...)
}

// TestNoFiles has clients try again what needs a file while none can be opened, and
// go on with all else.
func TestNoFiles(t *testing.T) {
	ctx := context.Background()
	fs, n := &shortFS{FS: vfs.NewMem()}, uint64(100)
	l, err := segment.Open(segment.Options{FS: fs, Dir: "log", Rand: func() uint64 { n++; return n }, Clock: testClock{}, SegmentBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.CreateTopic(ctx, "t", 2, nil)
	for range 3 {
		if err == nil {
			err = l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: batch(nil, 0, false, "before")}})
		}
	}
	if err == nil {
		err = l.Close() // which leaves only the last segment open at the next start
	}
	if err != nil {
		t.Fatal(err)
	}
	b := newBenchOver(t, func(o *segment.Options) { o.FS = fs }, nil)
	c := b.dial()
	p := initTxn(c, "x")
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = "x", p.ID, p.Epoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{1}}}
	if code := ask[*kmsg.AddPartitionsToTxnResponse](c, 3, add).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("adding: code %d", code)
	}
	const storage = 56
	for _, short := range []bool{true, false} {
		fs.short.Store(short)
		m := kmsg.NewPtrMetadataRequest()
		m.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
		for _, p := range ask[*kmsg.MetadataResponse](c, 12, m).Topics[0].Partitions {
			if p.ErrorCode != 0 || p.Leader != nodeID || len(p.OfflineReplicas) > 0 {
				t.Errorf("metadata: %+v", p)
			}
		}
		end := kmsg.NewPtrEndTxnRequest()
		end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", p.ID, p.Epoch, true
		for _, x := range []struct {
			what string
			code int16
			want int16 // while no file can be opened
		}{
			{"fetching from a segment that is closed", ask[*kmsg.FetchResponse](c, 12, fetchRequestOf("t", 0)).Topics[0].Partitions[0].ErrorCode, storage},
			{"fetching from one that is open", ask[*kmsg.FetchResponse](c, 12, fetchRequestOf("t", 2)).Topics[0].Partitions[0].ErrorCode, 0},
			{"ending a transaction", ask[*kmsg.EndTxnResponse](c, 3, end).ErrorCode, codeLoading},
			{"producing to a new partition", c.produce(9, "t", 1, batch(nil, 0, false, "x")).ErrorCode, storage},
			{"producing to one with a segment", c.produce(9, "t", 0, batch(nil, 0, false, "x")).ErrorCode, 0},
		} {
			if !short {
				x.want = 0
			}
			if x.code != x.want {
				t.Errorf("%s, no files %v: code %d, want %d", x.what, short, x.code, x.want)
			}
		}
	}
}

// TestCoordinatorWaits has clients wait for a coordinator that is short of
// something, who would give up at a storage error.
func TestCoordinatorWaits(t *testing.T) {
	for err, want := range map[error]int16{log.ErrDiskFull: codeLoading, log.ErrNoFiles: codeLoading, log.ErrFailed: 56, log.ErrIllegalGen: 22, nil: 0} {
		c := &call{}
		if got := fencedCode(err, 5, 2); got != want {
			t.Errorf("of transactions: %v has code %d, want %d", err, got, want)
		}
		if got := c.commitCode(&kmsg.OffsetCommitRequest{Version: 8}, err); got != want {
			t.Errorf("of groups: %v has code %d, want %d", err, got, want)
		}
	}
}
