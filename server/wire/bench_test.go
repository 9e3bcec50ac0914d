package wire

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
)

// benchBroker is a server on a real port over a log on a real disk, with a topic
// t of 8 partitions.
func benchBroker(b *testing.B, noSync bool) string {
	b.Helper()
	var seed atomic.Uint64
	random := func() uint64 { return seed.Add(0x9e3779b97f4a7c15) }
	l, err := segment.Open(segment.Options{FS: vfs.Default, Dir: b.TempDir(), Rand: random, Clock: testClock{}, NoSync: noSync})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.CreateTopic(b.Context(), "t", 8, nil); err != nil {
		b.Fatal(err)
	}
	groups, err := segment.NewGroups(segment.GroupOptions{Store: l, Clock: testClock{}, Rand: random})
	if err != nil {
		b.Fatal(err)
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{Log: l, Groups: groups, Now: time.Now, Rand: random, Advertised: nl.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(nl) }()
	b.Cleanup(func() {
		s.Close()
		groups.Close()
		if err := <-served; err != nil {
			b.Error(err)
		}
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return nl.Addr().String()
}

func benchProduce(b *testing.B, addr string, n int) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	value := make([]byte, 100)
	for range n {
		cl.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkProduce is franz-go and the broker in one process: records of 100
// bytes, 8 partitions, acks=all.
func BenchmarkProduce(b *testing.B) {
	for name, noSync := range map[string]bool{"fsync": false, "os": true} {
		b.Run(name, func(b *testing.B) {
			addr := benchBroker(b, noSync)
			b.SetBytes(100)
			b.ReportAllocs()
			b.ResetTimer()
			benchProduce(b, addr, b.N)
		})
	}
}

// BenchmarkFetch reads them back.
func BenchmarkFetch(b *testing.B) {
	addr := benchBroker(b, true)
	benchProduce(b, addr, b.N)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("t"))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	b.SetBytes(100)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += cl.PollFetches(b.Context()).NumRecords()
	}
}

// BenchmarkProduceOne is the time from one record to its acknowledgement.
func BenchmarkProduceOne(b *testing.B) {
	addr := benchBroker(b, false)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"), kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	for b.Loop() {
		if err := cl.ProduceSync(b.Context(), &kgo.Record{Value: []byte("v")}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}
