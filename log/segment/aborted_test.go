package segment

import (
	"runtime"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestManyAborted reads at the beginning of a partition that has many aborted
// transactions further on: what a fetch takes does not depend on those.
func TestManyAborted(t *testing.T) {
	const txns = 3000
	l := openTest(t, vfs.NewMem(), nil)
	defer l.Close()
	p := log.Partition{Topic: "t"}
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	for range txns + 200 {
		produceTest(t, l, p, "v")
	}
	part := l.topics["t"].partitions[0]
	for i := range int64(txns) { // as if they had been
		part.aborted = append(part.aborted, abortedTxn{ID: i, First: 100 + i, Last: 101 + i, Stable: 100 + i})
	}
	var r log.Records
	var dst []byte
	fetch := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if next, err := l.Fetch(ctx, p, 0, 1000, &r); err != nil || next > 20 {
			t.Fatal(next, err)
		}
		out, err := l.FetchRaw(ctx, log.RawFetch{Partition: p, MaxBytes: 1000, Committed: true}, dst[:0])
		if err != nil || len(out.Batches) == 0 || len(out.Aborted) != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		dst = out.Batches
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	fetch() // buffers grow
	least := fetch()
	for range 10 {
		least = min(least, fetch())
	}
	if least > 16*txns/4 {
		t.Errorf("a fetch allocates %d bytes", least)
	}
}
