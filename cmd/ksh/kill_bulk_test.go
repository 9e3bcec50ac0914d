package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	bulkProducers = 12
	bulkBytes     = 16 << 10 // of a record
	bulkPause     = 1500     // records acknowledged between two kills
)

// bulkRecord is the n-th record of a producer.
func bulkRecord(producer, n int) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, bulkBytes), uint64(n))
	for rng := rand.New(rand.NewPCG(uint64(producer), uint64(n))); len(b) < bulkBytes; {
		b = binary.BigEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// TestKillInBulk kills the server while producers send so much at once that a
// commit takes megabytes, which it writes in pieces. Each record is there once, in order.
func TestKillInBulk(t *testing.T) {
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*kills)*20*time.Second+hanging)
	defer cancel()
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.Kafka), kgo.MetadataMinAge(50*time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	reader := client(kgo.ConsumeTopics("bulk"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := createTopic(ctx, reader, "bulk", bulkProducers); err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	more := make(chan struct{}, 1)
	var sent [bulkProducers]int
	var producers sync.WaitGroup
	writing, stop := context.WithCancel(ctx)
	for i := range bulkProducers {
		cl := client(kgo.DefaultProduceTopic("bulk"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.ProducerBatchMaxBytes(128<<10), kgo.MaxBufferedRecords(100))
		producers.Go(func() {
			for ; writing.Err() == nil; sent[i]++ {
				cl.Produce(ctx, &kgo.Record{Partition: int32(i), Value: bulkRecord(i, sent[i])}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("producer %d: %v", i, err)
						cancel()
					}
					acked.Add(1)
					select {
					case more <- struct{}{}:
					default:
					}
				})
			}
			if err := cl.Flush(ctx); err != nil {
				t.Errorf("producer %d: %v", i, err)
			}
		})
	}
	for range *kills {
		for until := acked.Load() + bulkPause; acked.Load() < until; {
			select {
			case <-more:
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
		s.kill()
		s.start()
	}
	stop()
	producers.Wait()
	var read [bulkProducers]int
	for read != sent {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v; read %v of %v", err, read, sent)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			i := r.Partition
			if n := read[i]; !bytes.Equal(r.Value, bulkRecord(int(i), n)) || r.Offset != int64(n) {
				t.Fatalf("partition %d has at offset %d record %d, want %d", i, r.Offset, binary.BigEndian.Uint64(r.Value), n)
			}
			read[i]++
		})
	}
	t.Logf("%d records of %d bytes, over %d kills", acked.Load(), bulkBytes, *kills)
}
