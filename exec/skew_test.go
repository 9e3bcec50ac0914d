package exec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A flight is what the windows below count.
type flight struct {
	record Record
	origin string
	time   time.Time
}

// flightsByPartition reads the demo's flights, placed by the CRC of the key as
// librdkafka's clients do it: not where the key's state is.
func flightsByPartition(t testing.TB, partitions uint32) [][]flight {
	out := make([][]flight, partitions)
	for line := range strings.Lines(read(t, demo+"flights.ndjson")) {
		var f struct{ Date, Origin string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006/01/02 15:04", f.Date)
		if err != nil {
			t.Fatal(err)
		}
		p := crc32.ChecksumIEEE([]byte(f.Origin)) % partitions
		out[p] = append(out[p], flight{Record{Key: []byte(f.Origin), Value: bytes.TrimSpace([]byte(line)), Partition: int32(p), Placed: true}, f.Origin, at})
	}
	return out
}

// TestPartitionsAtTheirOwnPace loads one partition after the other, months
// apart: each is in order, so nothing in it is late, whatever the others hold.
func TestPartitionsAtTheirOwnPace(t *testing.T) {
	fs := vfs.NewMem()
	in := open(t, fs, 0)
	in.run(demoStatements(t))
	in.run(`
CREATE TABLE closed_days AS SELECT origin, COUNT(*) AS flights FROM flights WINDOW TUMBLING (SIZE 1 DAY, RETENTION 30 DAYS, GRACE PERIOD 0 SECONDS) GROUP BY origin EMIT FINAL;
CREATE TABLE kept_days AS SELECT origin, COUNT(*) AS flights FROM flights WINDOW TUMBLING (SIZE 1 DAY, RETENTION 7 DAYS, GRACE PERIOD 0 SECONDS) GROUP BY origin;
CREATE TABLE spells AS SELECT origin, COUNT(*) AS flights FROM flights WINDOW SESSION (2 HOURS, GRACE PERIOD 0 SECONDS) GROUP BY origin;`)
	byPartition := flightsByPartition(t, 4)
	days, closed, kept := map[string]int{}, map[string]int{}, map[string]int{}
	sessions := map[string]int{}
	for p, list := range slices.Backward(byPartition) {
		var recs []Record
		last := list[len(list)-1].time.Truncate(24 * time.Hour)
		seen := map[string]time.Time{}
		for _, f := range list {
			recs = append(recs, f.record)
			day := f.time.Truncate(24 * time.Hour)
			key := fmt.Sprintf("%q %d", f.origin, day.UnixMilli())
			days[key]++
			if day.Before(last) {
				closed[key]++
			}
			if !day.Before(last.AddDate(0, 0, -7)) {
				kept[key]++
			}
			if f.time.Sub(seen[f.origin]) > 2*time.Hour {
				sessions[f.origin]++
			}
			seen[f.origin] = f.time
		}
		if err := in.e.Produce(t.Context(), "flights", recs); err != nil {
			t.Fatal(err)
		}
		if err := in.e.Quiesce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p == 2 { // the partitions' times outlive a restart
			in.close()
			in = open(t, fs, 0)
		}
	}
	defer in.close()
	in.want("SELECT origin, windowstart, flights FROM flights_by_day;", counted(days)...)
	in.want("SELECT origin, windowstart, flights FROM kept_days;", counted(kept)...)
	if got := in.changes("CLOSED_DAYS"); got != len(closed) {
		t.Errorf("%d windows have been emitted as closed, want %d", got, len(closed))
	}
	total := 0
	for _, n := range sessions {
		total += n
	}
	if got := len(in.query("SELECT * FROM spells;")); got != total {
		t.Errorf("%d sessions, want %d", got, total)
	}
}

func counted(m map[string]int) []string {
	var out []string
	for k, n := range m {
		out = append(out, fmt.Sprint(k, " ", n))
	}
	slices.Sort(out)
	return out
}

// changes counts the records of a topic.
func (in *instance) changes(topic string) int {
	in.t.Helper()
	ends, err := in.e.ends(in.t.Context(), map[string]bool{topic: true})
	if err != nil {
		in.t.Fatal(err)
	}
	n := 0
	for _, end := range ends {
		n += int(end)
	}
	return n
}

// TestJoinedPartitionsAtTheirOwnPace is the same for a join of two streams.
func TestJoinedPartitionsAtTheirOwnPace(t *testing.T) {
	in := open(t, vfs.NewMem(), 0)
	defer in.close()
	in.run(demoStatements(t))
	in.run(`
CREATE STREAM others (origin STRING KEY, date STRING, delay INT) WITH (KAFKA_TOPIC = 'others', PARTITIONS = 4, VALUE_FORMAT = 'JSON', TIMESTAMP = 'date', TIMESTAMP_FORMAT = 'yyyy/MM/dd HH:mm');
CREATE STREAM pairs AS SELECT f.origin, f.delay AS delay, o.delay AS other FROM flights f LEFT JOIN others o WITHIN 10 MINUTES GRACE PERIOD 0 SECONDS ON f.origin = o.origin;`)
	want := 0
	for _, list := range slices.Backward(flightsByPartition(t, 4)) {
		var flights, others []Record
		// What the partition of a key's state has seen of this partition.
		last := map[int]time.Time{}
		times := map[string][]time.Time{} // of the others
		for n, f := range list {
			flights = append(flights, f.record)
			last[log.PartitionForKey(f.record.Key, 4)] = f.time
			if n%3 == 0 {
				others = append(others, f.record)
				times[f.origin] = append(times[f.origin], f.time)
			}
		}
		for _, f := range list {
			n := 0
			for _, o := range times[f.origin] {
				if f.time.Sub(o).Abs() <= 10*time.Minute {
					n++
				}
			}
			if n == 0 && f.time.Add(10*time.Minute).Before(last[log.PartitionForKey(f.record.Key, 4)]) {
				n = 1 // without a partner
			}
			want += n
		}
		in.run("PAUSE ALL;") // so that the two sides of a partition are read together
		if err := in.e.Produce(t.Context(), "others", others); err != nil {
			t.Fatal(err)
		}
		if err := in.e.Produce(t.Context(), "flights", flights); err != nil {
			t.Fatal(err)
		}
		in.run("RESUME ALL;")
		if err := in.e.Quiesce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := in.changes("PAIRS"); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}
