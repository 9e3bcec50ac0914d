package kafka_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	"karst/server/wire/wiretest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestOfflinePartition takes a partition's files away: what is asked of it
// fails in time as unavailable, other partitions work, and with the files back
// it has everything once.
func TestOfflinePartition(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	gone, fine := log.Partition{Topic: "t", Index: 0}, log.Partition{Topic: "t", Index: 1}
	phase := func(name string, share float64, f func(t *testing.T, l *kafka.Log, w log.Writer)) {
		t.Run(name, func(t *testing.T) {
			l := open(t, kafka.Options{Brokers: []string{wiretest.StartOn(t, fs, "")}, Patience: 200 * time.Millisecond, Clock: newClock(share)})
			w, err := l.OpenWriter(t.Context(), "w")
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			f(t, l, w)
		})
	}
	produce := func(t *testing.T, l *kafka.Log, p log.Partition, value string) error {
		return l.Produce(t.Context(), []log.Append{{Partition: p, Batch: batch(value)}})
	}
	want := func(t *testing.T, l *kafka.Log, p log.Partition, want string) {
		t.Helper()
		if got := fmt.Sprint(read(t, l, p)); got != want {
			t.Errorf("partition %d holds %s, want %s", p.Index, got, want)
		}
	}
	var id log.TopicID
	phase("whole", patiently, func(t *testing.T, l *kafka.Log, w log.Writer) {
		topic, err := l.CreateTopic(t.Context(), "t", 2, map[string]string{"retention.ms": "-1"})
		if err = errors.Join(err, produce(t, l, gone, "a"), produce(t, l, fine, "a")); err != nil {
			t.Fatal(err)
		}
		id = topic.ID
	})
	dir := "data/topics/" + id.String() + "/0"
	names, err := fs.List(dir)
	if err != nil || len(names) == 0 {
		t.Fatalf("the partition's files: %v, %v", names, err)
	}
	move := func(from, to string) {
		for _, name := range names {
			if err := fs.Rename(from+name, to+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	move(dir+"/", "aside-")
	phase("offline", 1, func(t *testing.T, l *kafka.Log, w log.Writer) {
		for what, err := range map[string]error{
			"Bounds":         ignore(l.Bounds(t.Context(), gone)),
			"Fetch":          ignore(l.Fetch(t.Context(), gone, 0, 100, &log.Records{})),
			"Produce":        produce(t, l, gone, "never"),
			"OffsetForTime":  ignore(l.OffsetForTime(t.Context(), gone, 0)),
			"a commit there": errors.Join(w.Append(fine, batch("never")), w.Append(gone, batch("never")), committed(w)),
		} {
			if !errors.Is(err, log.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := errors.Join(produce(t, l, fine, "b"), w.Append(fine, batch("c")), committed(w)); err != nil {
			t.Error(err)
		}
		want(t, l, fine, "[a b c]")
	})
	move("aside-", dir+"/")
	phase("back", patiently, func(t *testing.T, l *kafka.Log, w log.Writer) {
		if err := errors.Join(w.Append(gone, batch("d")), w.Append(fine, batch("d")), committed(w)); err != nil {
			t.Error(err)
		}
		want(t, l, gone, "[a d]")
		want(t, l, fine, "[a b c d]")
	})
}
