package segment

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

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

// TestAbortedInCheckpoint reads lists as they were written, whatever is in them, and
// those of earlier programs. One that is cut off is an error.
func TestAbortedInCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	number := func() int64 {
		return []int64{rng.Int64N(100), rng.Int64N(1e9), math.MaxInt64 - rng.Int64N(3), -1}[rng.IntN(4)]
	}
	for n := range 200 {
		list := make(abortedTxns, n)
		for i := range list {
			list[i] = abortedTxn{ID: number(), First: number(), Last: number(), Stable: number()}
		}
		for _, value := range []any{list, []abortedTxn(list)} {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			var got abortedTxns
			if err := json.Unmarshal(text, &got); err != nil || !slices.Equal(got, list) {
				t.Fatalf("%s is %v, %v; want %v", text, got, err, list)
			}
		}
	}
	for _, text := range []string{`"AA=="`, `"gA=="`, `"AAAAAAA="`, `"%"`, `7`} {
		if err := json.Unmarshal([]byte(text), new(abortedTxns)); err == nil {
			t.Errorf("%s is a list", text)
		}
	}
}

// TestCheckpointOfManyAborted holds what one of them takes in a checkpoint: each has
// all that are kept.
func TestCheckpointOfManyAborted(t *testing.T) {
	const txns = 10_000
	var list abortedTxns
	for i := range int64(txns) {
		list = append(list, abortedTxn{ID: 40 + i%3, First: i * 100, Last: i*100 + 99, Stable: i * 100})
	}
	text, err := json.Marshal(checkpointPartition{Aborted: list})
	if err != nil {
		t.Fatal(err)
	}
	if per := len(text) / txns; per > 12 {
		t.Errorf("%d bytes for each", per)
	}
}

// TestAbortedNeedsItsVersion has a program that does not know the bytes told so, and
// no program that needs none of them.
func TestAbortedNeedsItsVersion(t *testing.T) {
	for _, commit := range []bool{true, false} {
		fs := vfs.NewMem()
		l := openTest(t, fs, nil)
		if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
			t.Fatal(err)
		}
		p, err := l.InitProducer(ctx, "w", time.Minute, log.NoProducer)
		if err != nil {
			t.Fatal(err)
		}
		batch := encode("v")
		log.SetProducer(batch, p, 0, true)
		l.ProduceRaw(log.RawProduce{JoinTxn: true, Batches: []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: batch}}}, func(r []log.RawResult) {
			if r[0].Err != nil {
				t.Fatal(r[0].Err)
			}
		})
		if _, err := l.EndTxn(ctx, log.TxnProducer{TransactionalID: "w", Producer: p}, commit, false); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := readCheckpoint(fs, "data")
		want := packedVersion
		if commit {
			want = oldestVersion
		}
		if err != nil || c.Version != want {
			t.Errorf("committed %v: version %d, %v; want %d", commit, c.Version, err, want)
		}
	}
}
