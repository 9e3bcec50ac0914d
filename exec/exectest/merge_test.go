package exectest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"karst/exec/exectest"
	"karst/log"
)

// A slicedLog hands out fetched records in slices of any size.
type slicedLog struct {
	log.Log
	rng *rand.Rand
	off chan struct{} // held by who uses rng
}

func slice(seed uint64) func(log.Log) log.Log {
	return func(l log.Log) log.Log {
		return &slicedLog{l, rand.New(rand.NewPCG(seed, 3)), make(chan struct{}, 1)}
	}
}

// Fetch implements log.Log.
func (l *slicedLog) Fetch(ctx context.Context, p log.Partition, offset int64, maxBytes int, r *log.Records) (int64, error) {
	next, err := l.Log.Fetch(ctx, p, offset, maxBytes, r)
	l.off <- struct{}{}
	defer func() { <-l.off }()
	if n := r.Len(); err == nil && n > 1 {
		if k := 1 + l.rng.IntN(n); k < n {
			next = r.Offsets[k]
			r.KeyOff, r.KeyLen, r.ValueOff, r.ValueLen = r.KeyOff[:k], r.KeyLen[:k], r.ValueOff[:k], r.ValueLen[:k]
			r.Timestamps, r.Offsets, r.HeaderOff, r.HeaderCount = r.Timestamps[:k], r.Offsets[:k], r.HeaderOff[:k], r.HeaderCount[:k]
		}
	}
	return next, err
}

// A joinInput is a side's records in order; the topics are l and r.
type joinInput struct{ l, r []exectest.Record }

// anyJoinInput makes records of few keys and times with many ties. In time
// order the answer does not depend on the partitions; else records are up to
// 20 ms out of order.
func anyJoinInput(rng *rand.Rand, kind string, ordered bool) joinInput {
	side := func(rekeyed bool) []exectest.Record {
		var out []exectest.Record
		time := int64(100)
		for n := range 40 + rng.IntN(60) {
			time += int64(rng.IntN(4))
			r := exectest.Record{Key: fmt.Sprint("k", rng.IntN(5)), Value: fmt.Sprintf(`{"V":%d}`, n), Time: time}
			if !ordered {
				r.Time -= int64(rng.IntN(20))
			}
			switch {
			case rekeyed: // the key is in the value
				r.Value = fmt.Sprintf(`{"V":%d,"J":%q}`, n, r.Key)
				r.Key = fmt.Sprint("id", n)
			case rng.IntN(8) == 0:
				r.Value = ""
			}
			out = append(out, r)
		}
		return out
	}
	return joinInput{side(kind == "rekeyed"), side(false)}
}

// A joinOracle does a join record by record, in merge order, with maps.
type joinOracle struct {
	kind   string
	tables [2]map[string]string
	kept   [2][]exectest.Record
	out    []string
}

func valueOf(r exectest.Record) string {
	if r.Value == "" {
		return "null"
	}
	var v struct{ V int }
	if err := json.Unmarshal([]byte(r.Value), &v); err != nil {
		panic(err)
	}
	return fmt.Sprint(v.V)
}

func (o *joinOracle) emit(key, l, r string, time int64) {
	o.out = append(o.out, fmt.Sprintf("%s %s %s @%d", key, l, r, time))
}

func (o *joinOracle) process(side int, r exectest.Record, times [2]map[string]int64) {
	v := valueOf(r)
	if o.kind == "rekeyed" && side == 0 {
		var j struct{ J string }
		if err := json.Unmarshal([]byte(r.Value), &j); err != nil {
			panic(err)
		}
		r.Key = j.J
	}
	switch o.kind {
	case "stream-table", "rekeyed":
		if side == 1 {
			o.tables[1][r.Key] = v
		} else if v != "null" {
			t, ok := o.tables[1][r.Key]
			if !ok {
				t = "null"
			}
			o.emit(r.Key, v, t, r.Time)
		}
	case "stream-stream":
		if v == "null" {
			return
		}
		for _, x := range o.kept[1-side] {
			if x.Key == r.Key && r.Time-x.Time <= 5 && x.Time-r.Time <= 5 {
				both := [2]string{valueOf(x), v}
				if side == 0 {
					both = [2]string{v, valueOf(x)}
				}
				o.emit(r.Key, both[0], both[1], max(r.Time, x.Time))
			}
		}
		o.kept[side] = append(o.kept[side], r)
		slices.SortStableFunc(o.kept[side], func(a, b exectest.Record) int { return int(a.Time - b.Time) })
	case "table-table":
		o.tables[side][r.Key], times[side][r.Key] = v, r.Time
		if v == "null" {
			delete(o.tables[side], r.Key)
			delete(times[side], r.Key)
		}
		l, x := o.tables[0][r.Key], o.tables[1][r.Key]
		if l != "" && x != "" {
			o.emit(r.Key, l, x, max(times[0][r.Key], times[1][r.Key], r.Time))
		} else if v == "null" && o.tables[1-side][r.Key] != "" { // told on, whether there was a row or not
			o.emit(r.Key, "-", "-", max(r.Time, times[1-side][r.Key]))
		}
	}
}

// run merges the partitions of both sides: the earliest head first, of equal
// ones tables, then the left, then the partition. What a table holds at
// start comes before everything.
func (o *joinOracle) run(in joinInput, parts int, tableFirst bool) []string {
	o.tables = [2]map[string]string{{}, {}}
	times := [2]map[string]int64{{}, {}}
	queues := make([][]exectest.Record, 2*parts)
	for side, recs := range [2][]exectest.Record{in.l, in.r} {
		for _, r := range recs {
			if side == 1 && tableFirst && o.streamTable() {
				o.process(1, r, times)
				continue
			}
			p := log.PartitionForKey([]byte(r.Key), parts)
			queues[side*parts+p] = append(queues[side*parts+p], r)
		}
	}
	for {
		best := -1
		for q := range queues {
			if len(queues[q]) == 0 {
				continue
			}
			if best < 0 || queues[q][0].Time < queues[best][0].Time ||
				queues[q][0].Time == queues[best][0].Time && o.streamTable() && q >= parts && best < parts {
				best = q
			}
		}
		if best < 0 {
			break
		}
		o.process(best/parts, queues[best][0], times)
		queues[best] = queues[best][1:]
	}
	slices.SortStableFunc(o.out, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
	return o.out
}

func (o *joinOracle) streamTable() bool { return o.kind == "stream-table" || o.kind == "rekeyed" }

var joinStatements = map[string]string{
	"stream-table": `CREATE STREAM l (k STRING KEY, v INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE TABLE r (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE STREAM o AS SELECT l.k, l.v AS a, r.v AS b FROM l LEFT JOIN r ON l.k = r.k;`,
	"rekeyed": `CREATE STREAM l (id STRING KEY, j STRING, v INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE TABLE r (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE STREAM o AS SELECT l.j, l.v AS a, r.v AS b FROM l LEFT JOIN r ON l.j = r.k;`,
	"stream-stream": `CREATE STREAM l (k STRING KEY, v INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE STREAM r (k STRING KEY, v INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE STREAM o AS SELECT l.k, l.v AS a, r.v AS b FROM l JOIN r WITHIN 5 MILLISECONDS GRACE PERIOD 1 HOUR ON l.k = r.k;`,
	"table-table": `CREATE TABLE l (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE TABLE r (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=%[1]d);
		CREATE TABLE o AS SELECT l.k, l.v AS a, r.v AS b FROM l JOIN r ON l.k = r.k;`,
}

// joined returns what a join wrote, key by key.
func joined(e *exectest.Engine) []string {
	var out []string
	for _, r := range e.Read("O") {
		line := fmt.Sprintf("%s - - @%d", r.Key, r.Time)
		if r.Value != "" {
			var v struct{ A, B *int }
			if err := json.Unmarshal([]byte(r.Value), &v); err != nil {
				panic(err)
			}
			line = fmt.Sprintf("%s %s %s @%d", r.Key, orNull(v.A), orNull(v.B), r.Time)
		}
		out = append(out, line)
	}
	slices.SortStableFunc(out, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
	return out
}

func orNull(p *int) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprint(*p)
}

// TestMergeAcrossRounds holds joins to the oracle's answer, whatever the size of
// batches, the number of partitions and the slices in which the log gives its
// records, and however much of the input there is when the query starts.
func TestMergeAcrossRounds(t *testing.T) {
	for kind, statements := range joinStatements {
		t.Run(kind, func(t *testing.T) {
			for seed := range uint64(12) {
				rng := rand.New(rand.NewPCG(seed, 1))
				parts, batch := 1+rng.IntN(4), []int{1, 7, 4096}[seed%3]
				in := anyJoinInput(rng, kind, seed%2 == 0)
				early := rng.IntN(2) == 0 // the input is there before the query
				o := joinOracle{kind: kind}
				want := o.run(in, parts, early)
				if seed%2 == 0 && kind != "rekeyed" { // in time order the partitions don't matter, but for rows of equal time
					o := joinOracle{kind: kind}
					if one := o.run(in, 1, early); !slices.Equal(one, want) {
						t.Fatal("the oracle depends on the partitions")
					}
				}
				e := exectest.Open(t, exectest.Options{BatchRows: batch, EveryChange: true, WrapLog: slice(seed)})
				list := strings.SplitAfter(fmt.Sprintf(statements, parts), ";")
				e.Run(list[0] + list[1])
				if early {
					e.Produce("l", in.l...)
					e.Produce("r", in.r...)
					e.Run(list[2])
				} else {
					e.Run(list[2])
					produceTogether(t, e, in)
				}
				e.Settle()
				if got := joined(e); !slices.Equal(got, want) {
					t.Errorf("seed %d, %d partitions, batches of %d, early %v:\n got %q\nwant %q", seed, parts, batch, early, got, want)
				}
				e.Close()
			}
		})
	}
}

// produceTogether appends both sides at once, so that a running query sees all
// or nothing.
func produceTogether(t *testing.T, e *exectest.Engine, in joinInput) {
	var batches []log.Append
	for topic, recs := range map[string][]exectest.Record{"l": in.l, "r": in.r} {
		info, err := e.Log.Topic(context.Background(), topic)
		if err != nil {
			t.Fatal(err)
		}
		builders := make([]log.Builder, info.Partitions)
		for _, r := range recs {
			var value []byte
			if r.Value != "" {
				value = []byte(r.Value)
			}
			builders[log.PartitionForKey([]byte(r.Key), int(info.Partitions))].Add(r.Time, []byte(r.Key), value, nil)
		}
		for p := range builders {
			if b := builders[p].Finish(); b != nil {
				batches = append(batches, log.Append{Partition: log.Partition{Topic: topic, Index: int32(p)}, Batch: b})
			}
		}
	}
	if err := e.Log.Produce(context.Background(), batches); err != nil {
		t.Fatal(err)
	}
}
