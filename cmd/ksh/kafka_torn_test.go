package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What the transactions of TestKafkaTornTransactions are made of.
const (
	tornProducers  = 3
	tornPartitions = 4
	tornRecords    = 64 // of a transaction
	tornPause      = 30 // transactions between two kills
)

// TestKafkaTornTransactions kills the server again and again while producers
// write transactions over several partitions. A reader of committed records,
// there all the time, and one that comes in the end must see of each transaction
// all records or none, of each acknowledged one all, of an aborted one none, each
// record once and in order.
func TestKafkaTornTransactions(t *testing.T) {
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*kills)*20*time.Second+hanging)
	defer cancel()
	w := &tornWorld{addr: s.Kafka, ended: make(chan struct{}, 1)}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := createTopic(ctx, cl, "torn", tornPartitions); err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(ctx)
	var producers sync.WaitGroup
	for i := range tornProducers {
		producers.Go(func() { w.produce(writing, i) })
	}
	early, err := newTornReader(s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer early.close()
	for range *kills {
		early.read(ctx, t, func() bool { return w.waited() >= tornPause })
		w.reset()
		s.kill()
		s.start()
	}
	early.read(ctx, t, func() bool { return w.waited() >= tornPause })
	stop()
	producers.Wait()
	// What is open is ended by the next producer with the id.
	last := w.finish(ctx, t)
	early.read(ctx, t, func() bool { return early.sawAll(last) })
	late, err := newTornReader(s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer late.close()
	late.read(ctx, t, func() bool { return late.sawAll(last) })
	for name, r := range map[string]*tornReader{"early": early, "late": late} {
		w.check(t, name, r)
	}
	t.Logf("%d transactions committed, %d aborted, %d in doubt, over %d kills", len(w.committed), len(w.aborted), len(w.doubt), *kills)
}

// A tornWorld is what the producers know.
type tornWorld struct {
	addr  string
	ended chan struct{} // a transaction has

	mu        sync.Mutex
	since     int // transactions ended since reset
	committed map[string]bool
	aborted   map[string]bool
	doubt     map[string]bool
}

func (w *tornWorld) note(id string, set *map[string]bool) {
	w.mu.Lock()
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[id] = true
	w.since++
	w.mu.Unlock()
	select {
	case w.ended <- struct{}{}:
	default:
	}
}

func (w *tornWorld) waited() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}

func (w *tornWorld) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = 0
}

// tornClient returns the client of a producer that waits so long for an answer.
func tornClient(addr string, producer int, wait time.Duration) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(fmt.Sprint("torn-", producer)), kgo.DefaultProduceTopic("torn"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(time.Minute), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RecordDeliveryTimeout(wait), kgo.RetryTimeout(wait))
}

// produce writes transactions until the context ends. After an error it is not
// known what became of the last one; a new client goes on.
func (w *tornWorld) produce(ctx context.Context, producer int) {
	var cl *kgo.Client
	for i := 0; ctx.Err() == nil; i++ {
		if cl == nil {
			var err error
			if cl, err = tornClient(w.addr, producer, 5*time.Second); err != nil {
				panic(err) // wrong options
			}
		}
		id, commit := fmt.Sprintf("%d/%d", producer, i), i%4 != 3
		switch err := writeTorn(ctx, cl, id, commit); {
		case err != nil && !commit:
			w.note(id, &w.aborted) // whatever happened, it can't be committed
		case err != nil:
			w.note(id, &w.doubt)
		case commit:
			w.note(id, &w.committed)
		default:
			w.note(id, &w.aborted)
		}
		if ctx.Err() != nil || w.inDoubt(id) {
			cl.Close()
			cl = nil
		}
	}
	if cl != nil {
		cl.Close()
	}
}

func (w *tornWorld) inDoubt(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doubt[id] || w.aborted[id]
}

func writeTorn(ctx context.Context, cl *kgo.Client, id string, commit bool) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	records := make([]*kgo.Record, tornRecords)
	for j := range records {
		records[j] = &kgo.Record{Partition: int32(j % tornPartitions), Value: fmt.Appendf(nil, "%s/%d", id, j)}
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

// finish ends whatever is open and writes one more transaction for each
// producer, after which a reader need not read.
func (w *tornWorld) finish(ctx context.Context, t *testing.T) []string {
	t.Helper()
	var last []string
	for i := range tornProducers {
		cl, err := tornClient(w.addr, i, hanging)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("%d/last", i)
		if err := writeTorn(ctx, cl, id, true); err != nil {
			t.Fatal(err)
		}
		cl.Close()
		w.note(id, &w.committed)
		last = append(last, id)
	}
	return last
}

// A tornReader reads committed records.
type tornReader struct {
	cl    *kgo.Client
	times map[string][]int // of each record of a transaction, how often
	next  [tornPartitions]map[string]int
	wrong []string
}

func newTornReader(addr string) (*tornReader, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("torn"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	return &tornReader{cl: cl, times: map[string][]int{}}, err
}

func (r *tornReader) close() { r.cl.Close() }

// read reads until done says so; it is asked at least ten times a second.
func (r *tornReader) read(ctx context.Context, t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		r.cl.PollFetches(poll).EachRecord(r.see)
		cancel()
		if ctx.Err() != nil {
			t.Fatal("it takes too long")
		}
	}
}

func (r *tornReader) see(rec *kgo.Record) {
	at := strings.LastIndex(string(rec.Value), "/")
	id := string(rec.Value[:at])
	j, err := strconv.Atoi(string(rec.Value[at+1:]))
	if err != nil || j >= tornRecords || j%tornPartitions != int(rec.Partition) {
		r.wrong = append(r.wrong, fmt.Sprintf("partition %d has %s", rec.Partition, rec.Value))
		return
	}
	if r.times[id] == nil {
		r.times[id] = make([]int, tornRecords)
	}
	r.times[id][j]++
	if r.next[rec.Partition] == nil {
		r.next[rec.Partition] = map[string]int{}
	}
	if j < r.next[rec.Partition][id] {
		r.wrong = append(r.wrong, fmt.Sprintf("partition %d has %s out of order", rec.Partition, rec.Value))
	}
	r.next[rec.Partition][id] = j
}

func (r *tornReader) sawAll(ids []string) bool {
	for _, id := range ids {
		n := 0
		for _, k := range r.times[id] {
			n += min(k, 1)
		}
		if n < tornRecords {
			return false
		}
	}
	return true
}

func (w *tornWorld) check(t *testing.T, name string, r *tornReader) {
	t.Helper()
	for _, x := range r.wrong {
		t.Errorf("%s reader: %s", name, x)
	}
	for id, times := range r.times {
		seen := 0
		for j, n := range times {
			if seen += min(n, 1); n > 1 {
				t.Errorf("%s reader: record %d of %s %d times", name, j, id, n)
			}
		}
		if seen != tornRecords {
			t.Errorf("%s reader: TORN: %d of %d records of %s", name, seen, tornRecords, id)
		}
		if w.aborted[id] {
			t.Errorf("%s reader: aborted transaction %s", name, id)
		}
	}
	for id := range w.committed {
		if r.times[id] == nil {
			t.Errorf("%s reader: LOST: acknowledged transaction %s", name, id)
		}
	}
}
