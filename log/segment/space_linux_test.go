package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRealDiskFull has another program take the space of a real filesystem while
// much is in the journal alone: nothing acknowledged is lost, reads go on, and
// records are taken again without a restart. Mounting one takes root.
func TestRealDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skip("mounting a filesystem:", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	clock := newFakeClock()
	opts := Options{
		FS: vfs.Default, Dir: filepath.Join(disk, "data"), Rand: rand.Uint64, Clock: clock,
		JournalBytes: 8 << 20, ReserveBytes: 1 << 20, SegmentBytes: 4 << 20,
	}
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, acked, trimmed := log.Partition{Topic: "t"}, 0, 0
	send := func() bool {
		err := l.Produce(ctx, []log.Append{{Partition: p, Batch: encode(fmt.Sprint(acked, strings.Repeat("v", 50_000)))}})
		if err == nil {
			acked++
		} else if !errors.Is(err, log.ErrDiskFull) {
			t.Fatal(err)
		}
		return err == nil
	}
	all := func() {
		t.Helper()
		if got := readAll(t, l, p); len(got) != acked-trimmed {
			t.Fatalf("%d records, want %d", len(got), acked-trimmed)
		}
	}
	stored := int64(0)
	offsets := func() { // what is taken on a full disk, as far as it goes
		answer := make(chan error, 1)
		l.StoreOffsets("g", map[log.Partition]log.GroupOffset{p: {Offset: stored + 1, Metadata: strings.Repeat("m", 4000)}}, func(err error) { answer <- err })
		if err := <-answer; err == nil {
			stored++
		} else if !errors.Is(err, log.ErrDiskFull) {
			t.Fatal(err)
		}
		committed, err := l.CommittedOffsets(ctx, "g")
		if err != nil || committed[p] != stored {
			t.Fatalf("the group's offset is %v, %v; want %d", committed, err, stored)
		}
	}
	another := filepath.Join(disk, "another")
	eat := func() {
		f, err := os.OpenFile(another, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 1<<20))
		}
	}
	for round := range 6 {
		for range 100 {
			if !send() {
				t.Fatalf("round %d: there is space", round)
			}
		}
		eat()
		for range 1000 {
			if !send() {
				break
			}
		}
		for range 3 {
			eat() // what the reserve gave free, too
			l.Housekeep()
			_ = send()
			for range 20 {
				offsets()
			}
			all()
		}
		if closes := round%2 == 1; closes {
			if err := l.Close(); err != nil {
				t.Log(err)
			}
		}
		if err := os.Remove(another); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			if l, err = Open(opts); err != nil {
				t.Fatal(err)
			}
		}
		before := stored
		l.Housekeep()
		for deadline := time.Now().Add(2 * time.Minute); !send(); l.Housekeep() {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: nothing is taken after there is space again", round)
			}
		}
		all()
		if offsets(); stored != before+1 {
			t.Fatalf("round %d: no offset is stored after there is space again", round)
		}
		if err := l.Trim(ctx, p, int64(acked-20)); err != nil {
			t.Fatal(err)
		}
		trimmed = acked - 20
		l.Housekeep()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
