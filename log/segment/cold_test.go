package segment

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestColdSegments has segments that nobody reads take no open file and no index,
// at a start and after a while, and gives what is in them to who asks.
func TestColdSegments(t *testing.T) {
	mem := vfs.NewMem()
	short := false // of open files
	fs := &countFS{open: map[string]int{}, FS: &faultFS{FS: mem, reads: true, hook: func(op fsOp) error {
		if short && strings.HasSuffix(op.path, ".log") {
			return syscall.EMFILE
		}
		return nil
	}}}
	opts := func(o *Options) { o.SegmentBytes, o.JournalBytes, o.coldAfter = 500, 2000, 2 }
	l := openTest(t, fs, opts)
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	const records = 100
	for i := range records {
		produceTest(t, l, p, strings.Repeat("v", i))
	}
	segments := func() (open, indexed int) {
		for name := range fs.open {
			if strings.HasSuffix(name, ".log") {
				open++
			}
		}
		for _, s := range l.topics["t"].partitions[0].segments {
			if s.index != nil {
				indexed++
			}
		}
		return open, indexed
	}
	isCold := func(when string) {
		t.Helper()
		if open, indexed := segments(); open != 1 || indexed > 1 {
			t.Errorf("%s: %d segments are open, %d have an index", when, open, indexed)
		}
	}
	read := func() {
		t.Helper()
		if got := readAll(t, l, p); len(got) != records || len(got[records-1]) != records-1 {
			t.Fatalf("%d records", len(got))
		}
		for _, offset := range []int64{0, 1, 50, 98} {
			var r log.Records
			if next, err := l.Fetch(ctx, p, offset, 1, &r); err != nil || next != offset+1 || len(r.Value(0)) != int(offset) {
				t.Errorf("offset %d: %v, %d", offset, err, next)
			}
		}
		if found, err := l.FindOffset(ctx, log.OffsetQuery{Partition: p, Time: 1000}); err != nil || found.Offset != 0 {
			t.Errorf("by time: %+v, %v", found, err)
		}
	}
	finishCheckpoint(t, l) // what is not synced stays open
	read()
	if open, _ := segments(); open < 10 {
		t.Fatalf("only %d segments are open", open)
	}
	l.Housekeep()
	if open, _ := segments(); open < 10 {
		t.Errorf("after one run only %d segments are open", open)
	}
	v, err := l.topics["t"].partitions[0].view(0)
	if err != nil {
		t.Fatal(err)
	}
	l.Housekeep()
	if open, _ := segments(); open != 2 {
		t.Errorf("%d segments are open, want the last and the one that is read", open)
	}
	v.release()
	l.Housekeep()
	l.Housekeep()
	isCold("after a while")
	read()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = openTest(t, fs, opts)
	isCold("after a start")
	short = true
	if _, err := l.Fetch(ctx, p, 0, 1, new(log.Records)); !errors.Is(err, log.ErrNoFiles) {
		t.Errorf("read without a file: %v", err)
	}
	short = false
	for offset := range int64(records) { // opens them all
		if _, err := l.Fetch(ctx, p, offset, 1, new(log.Records)); err != nil {
			t.Fatal(err)
		}
	}
	l.Housekeep()
	isCold("once files were short")
	produceTest(t, l, p, "the log goes on")
	if err := l.Trim(ctx, p, 50); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, l, p); len(got) != records+1-50 {
		t.Errorf("%d records after trimming", len(got))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(fs.open) > 0 || fs.err != nil {
		t.Errorf("open at the end: %v; %v", fs.open, fs.err)
	}
}
