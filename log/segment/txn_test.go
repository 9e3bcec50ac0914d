package segment

import (
	"errors"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestEpochsUsedUp gives a producer a new id when its epochs are used up, within
// a transaction's end and in an initialisation.
func TestEpochsUsedUp(t *testing.T) {
	fs := vfs.NewMem()
	l := openTest(t, fs, nil)
	if _, err := l.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := log.Producer{}
	raise := func() {
		t.Helper()
		for p.Epoch < lastEpoch {
			var err error
			if p, err = l.InitProducer(ctx, "w", time.Minute, log.NoProducer); err != nil {
				t.Fatal(err)
			}
		}
	}
	raise()
	old := p
	batch := encode("v")
	log.SetProducer(batch, p, 0, true)
	l.ProduceRaw(log.RawProduce{JoinTxn: true, Batches: []log.Append{{Partition: log.Partition{Topic: "t"}, Batch: batch}}}, func(r []log.RawResult) {
		if r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	})
	next, err := l.EndTxn(ctx, log.TxnProducer{TransactionalID: "w", Producer: p}, true, true)
	if err != nil || next.ID == old.ID || next.Epoch != 0 {
		t.Fatalf("after the last epoch: %+v, %v", next, err)
	}
	for range 2 { // also when it is sent again, and after a restart
		again, err := l.EndTxn(ctx, log.TxnProducer{TransactionalID: "w", Producer: old}, true, true)
		if err != nil || again != next {
			t.Fatalf("sent again: %+v, %v; was %+v", again, err, next)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, fs, nil)
	}
	if err := l.JoinTxn(ctx, log.TxnProducer{TransactionalID: "w", Producer: old}, []log.Partition{{Topic: "t"}}); !errors.Is(err, log.ErrFenced) {
		t.Fatalf("the old id is taken: %v", err)
	}
	list, err := l.Producers(ctx, log.Partition{Topic: "t"})
	if err != nil || len(list) != 1 || list[0].Epoch != lastEpoch+1 {
		t.Fatalf("producers %+v, %v", list, err)
	}
	if got := readAll(t, l, log.Partition{Topic: "t"}); len(got) != 1 {
		t.Fatalf("read %q", got)
	}
	p = next
	raise()
	if p, err = l.InitProducer(ctx, "w", time.Minute, p); err != nil || p.ID == next.ID || p.Epoch != 0 {
		t.Fatalf("initialised after the last epoch: %+v, %v", p, err)
	}
	_ = l.Close()
}
