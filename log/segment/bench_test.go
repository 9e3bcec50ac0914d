package segment

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkDurableAppend compares appends from many producers, acknowledged when
// they are durable, with writing the same bytes to one file in the same chunks
// and syncing it after each; the goal is a ratio of 0.9 or more. The log is in its
// steady state: its journals have been written over. A burst and a flood are what
// a journal takes before a checkpoint; what is sustained goes on through several,
// and their work counts for as long as it does. The worst is if no checkpoint waits
// for a flood's end and all that they write counts, after the load, too: twice the
// bytes, which a disk must have the bandwidth for.
//
// A disk that gives out its bandwidth by credits makes single runs say little:
//
//	go test ./log/segment -run '^$' -bench DurableAppend/sustained -benchtime 4x
func BenchmarkDurableAppend(b *testing.B) {
	for _, producers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("burst/producers=%d", producers), func(b *testing.B) { durableAppend(b, producers, 32<<20, false) })
		b.Run(fmt.Sprintf("flood/producers=%d", producers), func(b *testing.B) { durableAppend(b, producers, 256<<20, false) })
		b.Run(fmt.Sprintf("sustained/producers=%d", producers), func(b *testing.B) { durableAppend(b, producers, min(producers<<28, 3<<30), false) })
		b.Run(fmt.Sprintf("worst/producers=%d", producers), func(b *testing.B) { durableAppend(b, producers, 512<<20, true) })
	}
}

// durableAppend has so many bytes come in each round; worst says that checkpoints do
// not wait and all that they write of them counts. Who goes first changes with
// each round.
func durableAppend(b *testing.B, producers, bytes int, worst bool) {
	const batchBytes = 16 << 10
	value := make([]byte, 100)
	var bl log.Builder
	for bl.Bytes() < batchBytes-120 {
		bl.Add(0, nil, value, nil)
	}
	proto := bl.Finish()
	rounds := bytes / producers / batchBytes
	l := openTest(b, vfs.Default, func(o *Options) {
		o.Inline, o.Dir, o.Clock, o.FloodBytes = false, b.TempDir(), wallClock{}, 0
		if worst {
			o.FloodBytes = 1
		}
	})
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 8, nil); err != nil {
		b.Fatal(err)
	}
	for range 3 {
		durableAppends(b, l, proto, 32, min(bytes, 512<<20)/32/batchBytes)
		finishCheckpoint(b, l)
	}
	var plain, ours time.Duration
	for i := 0; b.Loop(); i++ {
		for turn := range 2 {
			if i%2 == turn {
				plain += plainWrites(b, len(proto)*producers, rounds)
				continue
			}
			ours += durableAppends(b, l, proto, producers, rounds)
			began := time.Now()
			finishCheckpoint(b, l)
			if worst {
				ours += time.Since(began)
			}
		}
	}
	b.ReportMetric(plain.Seconds()/ours.Seconds(), "of-plain")
}

// finishCheckpoint makes a checkpoint and waits for its end.
func finishCheckpoint(b testing.TB, l *Log) {
	var ended chan struct{}
	if err := l.submit(ctx, &request{check: func(*request) error {
		<-l.checkpoint // one may be under way
		l.startCheckpoint()
		ended = l.checkpoint
		return nil
	}}); err != nil {
		b.Fatal(err)
	}
	<-ended
}

func plainWrites(b *testing.B, chunk, rounds int) time.Duration {
	f, err := vfs.Default.Create(b.TempDir()+"/plain", vfs.WriteCategoryUnspecified)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, chunk)
	began := time.Now()
	for range rounds {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// durableAppends has each of the producers send a batch, wait until it is
// durable, and so on.
func durableAppends(b *testing.B, l *Log, proto []byte, producers, rounds int) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			batch := append([]byte(nil), proto...)
			for range rounds {
				if err := l.Produce(context.Background(), []log.Append{{Partition: log.Partition{Topic: "t", Index: int32(i % 8)}, Batch: batch}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// BenchmarkFirstProduce opens an empty directory, makes a topic and waits for
// the first record to be durable: what a start costs. The goal is 100 ms.
func BenchmarkFirstProduce(b *testing.B) {
	for b.Loop() {
		l := openTest(b, vfs.Default, func(o *Options) { o.Inline, o.Dir = false, b.TempDir() })
		if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
			b.Fatal(err)
		}
		if err := l.Produce(ctx, []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: encode("v")}}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkIdle reports what an open log with 1,000 partitions keeps in memory.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		l := openTest(b, vfs.NewMem(), func(o *Options) { o.Inline = false })
		if _, err := l.CreateTopic(ctx, "t", 1000, nil); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1024, "KiB")
		_ = l.Close()
	}
}

// BenchmarkProduceRaw is the path of a Kafka client's batch, without fsync.
func BenchmarkProduceRaw(b *testing.B) {
	l := openTest(b, vfs.Default, func(o *Options) { o.Dir, o.NoSync, o.SegmentBytes = b.TempDir(), true, 16<<20 })
	defer l.Close()
	if _, err := l.CreateTopic(ctx, "t", 1, map[string]string{"retention.ms": "-1"}); err != nil {
		b.Fatal(err)
	}
	var bl log.Builder
	for bl.Bytes() < 16<<10-200 {
		bl.Add(0, nil, make([]byte, 100), nil)
	}
	n, batch := bl.Len(), bl.Finish()
	p, _ := l.InitProducer(ctx, "", 0, log.NoProducer)
	seq := int32(0)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		log.SetProducer(batch, p, seq, false)
		seq = addSequence(seq, n)
		l.ProduceRaw(log.RawProduce{Batches: []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: batch}}}, func(r []log.RawResult) {
			if r[0].Err != nil {
				b.Fatal(r[0].Err)
			}
		})
		if i%1000 == 999 { // keep memory bounded
			_ = l.Trim(ctx, log.Partition{Topic: "t"}, r0(l))
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func r0(l *Log) int64 {
	b, _ := l.Bounds(ctx, log.Partition{Topic: "t"})
	return b.HighWatermark
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
