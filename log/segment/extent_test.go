package segment

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestExtents has a segment filled in every order of deferred and direct writes
// and of settling, and reads of it, against a slice.
func TestExtents(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs := vfs.NewMem()
		file, err := fs.Create("segment", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		seg := newSegmentFile(segmentID{}, file)
		j, err := createJournal(fs, "", "", journal{number: 1, seq: 1, salt: 7})
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		check := func() {
			from := rng.IntN(len(want) + 1)
			got := make([]byte, rng.IntN(len(want)-from+1))
			if err := seg.readAt(got, int64(from)); err != nil || !bytes.Equal(got, want[from:from+len(got)]) {
				t.Fatalf("seed %d: bytes %d to %d: %v\n%x, want\n%x", seed, from, from+len(got), err, got, want[from:from+len(got)])
			}
		}
		for range 40 {
			batches := make([]byte, 1+rng.IntN(30))
			for i := range batches {
				batches[i] = byte(1 + rng.IntN(255))
			}
			pos := int64(len(want))
			want = append(want, batches...)
			switch rng.IntN(4) {
			case 0:
				err = seg.write(batches, pos)
			default:
				at := j.end()
				err = j.write(append(beginEntry(nil), batches...))
				seg.extents.add(extent{pos: pos, bytes: int64(len(batches)), at: at + entryHeaderBytes, source: j.source})
			}
			if err != nil {
				t.Fatal(err)
			}
			check()
			if rng.IntN(8) == 0 {
				old := j
				if j, err = createJournal(fs, "", "", journal{number: old.number + 1, seq: old.seq, salt: 7}); err != nil {
					t.Fatal(err)
				}
				old.close()
				n, err := seg.extents.settle(old.number+rng.IntN(2), file)
				if err != nil {
					t.Fatal(err)
				}
				check()
				seg.extents.drop(n)
				check()
			}
		}
		n, err := seg.extents.settle(j.number+1, file)
		if err != nil {
			t.Fatal(err)
		}
		seg.extents.drop(n)
		if seg.extents.any() {
			t.Fatalf("seed %d: extents after all was settled: %v", seed, seg.extents.list)
		}
		if !j.close() {
			t.Fatalf("seed %d: somebody still holds journal %d", seed, j.number)
		}
		got := make([]byte, len(want)+1)
		if n, err := file.ReadAt(got, 0); n != len(want) || err != io.EOF || !bytes.Equal(got[:n], want) {
			t.Fatalf("seed %d: the file has %d bytes, want %d (%v)", seed, n, len(want), err)
		}
		seg.release()
	}
}

// TestExtentsUnderReaders reads while batches come and are settled.
func TestExtentsUnderReaders(t *testing.T) {
	change := func(o *Options) { o.Inline, o.JournalBytes, o.SegmentBytes, o.DeferRunBytes = false, 3000, 5000, 100 }
	l := openTest(t, vfs.NewMem(), change)
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	value := func(i int) string { return fmt.Sprintf("%d:%s", i, strings.Repeat("v", i%150)) }
	const records = 1500
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var r log.Records
			seen := 0
			for offset := int64(0); offset < records; {
				next, err := l.Fetch(ctx, p, offset, 4000, &r)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range r.Len() {
					if got := string(r.Value(i)); got != value(seen) {
						t.Errorf("offset %d has %q, want %q", seen, got, value(seen))
						return
					}
					seen++
				}
				offset = next
			}
		})
	}
	for i := range records {
		produceTest(t, l, p, value(i))
	}
	wg.Wait()
}

// TestReadsOfDroppedSegment has a reader hold a segment that stands in a journal
// alone while it is dropped, and journals come and go.
func TestReadsOfDroppedSegment(t *testing.T) {
	l := openTest(t, vfs.NewMem(), func(o *Options) { o.JournalBytes, o.SegmentBytes, o.DeferRunBytes = 2000, 300, 1 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Partition{Topic: "t"}
	send := func(n int) {
		for i := range n {
			produceTest(t, l, p, fmt.Sprint("v", i))
		}
	}
	send(8)
	part := l.topics["t"].partitions[0]
	v, err := part.view(0)
	if err != nil {
		t.Fatal(err)
	}
	if !v.seg.extents.any() {
		t.Fatal("the segment is settled already")
	}
	want := make([]byte, v.size)
	if err := v.seg.readAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(ctx, p, 8); err != nil {
		t.Fatal(err)
	}
	send(200)
	got := make([]byte, v.size)
	if err := v.seg.readAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the dropped segment has other bytes than before: %v", err)
	}
	journal := v.seg.extents.list[0].source
	v.release()
	if n := journal.refs.Load(); n != 0 {
		t.Errorf("journal-%d is held %d times, and nobody reads it", journal.journal, n)
	}
}

// TestDeferOnlyWithSpace: what is in the journal alone must find space in its
// segment later.
func TestDeferOnlyWithSpace(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	clock := newFakeClock()
	l := openTest(t, mem, func(o *Options) { o.Clock, o.DeferRunBytes, o.JournalBytes = clock, 1, 64<<20 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	seg := func() *segmentFile {
		produceTest(t, l, log.Partition{Topic: "t"}, strings.Repeat("v", 1<<19))
		return l.topics["t"].partitions[0].segments[0]
	}
	deferred := func() int { return len(seg().extents.list) }
	if n := deferred(); n != 1 {
		t.Fatalf("with all the space there is, %d of 1 batch in the journal alone", n)
	}
	// Enough for the reserve and what is in the journal, no more.
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 64<<20 + 4<<20})
	for range 40 { // it does not look at the disk each time
		deferred()
	}
	before := deferred()
	if n := deferred(); n != before {
		t.Errorf("with too little space a batch stays in the journal alone")
	}
	clock.advance(l.opts.HousekeepingEvery) // sees it, too
	if n := deferred(); n != 0 {
		t.Errorf("%d batches are in the journal alone after the housekeeping saw that space is tight", n)
	}
}
