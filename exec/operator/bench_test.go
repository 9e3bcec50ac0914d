package operator_test

import (
	"fmt"
	"testing"
)

// rowsOf returns n records over keys keys.
func rowsOf(n, keys int) []record {
	recs := make([]record, n)
	for i := range recs {
		recs[i] = record{topic: "s", key: fmt.Append(nil, i%keys), value: fmt.Appendf(nil, `{"V":%d}`, i), time: int64(i)}
	}
	return recs
}

// allocsPerRow runs a script on batches of 4096 rows.
func allocsPerRow(t testing.TB, script string, every bool) float64 {
	const n = 4096
	r := newRunner(t, script, every)
	r.discard = true
	recs := rowsOf(n, 100)
	raw := r.records("s", recs)
	r.raw = raw
	r.round(recs)
	return testing.AllocsPerRun(5, func() { r.round(recs) }) / n
}

// TestNoAllocationPerRow holds the hot path to a few allocations a batch.
func TestNoAllocationPerRow(t *testing.T) {
	const source = "CREATE STREAM s (id INT KEY, v INT) WITH (kafka_topic='s', format='JSON', partitions=1);"
	for name, c := range map[string]struct {
		query string
		every bool
	}{
		"project":   {"CREATE STREAM o AS SELECT id, v + 1 AS w FROM s;", true},
		"filter":    {"CREATE STREAM o AS SELECT * FROM s WHERE v % 2 = 0;", true},
		"aggregate": {"CREATE TABLE o AS SELECT id, COUNT(*) AS n, SUM(v) AS t FROM s GROUP BY id;", false},
		"each":      {"CREATE TABLE o AS SELECT id, COUNT(*) AS n, SUM(v) AS t FROM s GROUP BY id;", true},
		"tumbling":  {"CREATE TABLE o AS SELECT id, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY id;", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := allocsPerRow(t, source+c.query, c.every); got > 0.1 {
				t.Errorf("%.2f allocations a row", got)
			}
		})
	}
}
