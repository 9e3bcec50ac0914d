package operator_test

import (
	"fmt"
	"slices"
	"testing"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/planner/plan"
	"karst/sql/vector"
)

// TestExpiredWindowsAreCollected runs windows with a retention over a long
// time: what is kept stays bounded, and neither what is written nor what is
// read differs from a run that keeps everything.
func TestExpiredWindowsAreCollected(t *testing.T) {
	for _, w := range []string{
		"TUMBLING (SIZE 10 MILLISECONDS, RETENTION 100 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS)",
		"HOPPING (SIZE 10 MILLISECONDS, ADVANCE BY 5 MILLISECONDS, RETENTION 100 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS)",
		"SESSION (7 MILLISECONDS, RETENTION 100 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS)",
	} {
		script := `CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
			CREATE TABLE o AS SELECT k, COUNT(*) AS n FROM s WINDOW ` + w + ` GROUP BY k;`
		kept, collected := newRunner(t, script, false), newRunner(t, script, false)
		most := 0
		for n := range 400 {
			rec := record{topic: "s", key: []byte(fmt.Sprint("k", n%3)), value: []byte(`{"V":1}`), time: int64(4*n - n%5)}
			for _, r := range []*runner{kept, collected} {
				r.round([]record{rec})
				if n%7 == 6 {
					r.round(nil)
					if r == collected {
						for _, op := range r.ops {
							if c, ok := op.(operator.Collector); ok {
								c.Collect()
							}
						}
					}
					for _, s := range r.stores {
						s.Merge()
					}
				}
			}
			if a, b := committed(t, kept), committed(t, collected); !slices.Equal(a, b) {
				t.Fatalf("%s: after %d rows\n got %q\nwant %q", w, n, b, a)
			}
			collected.stores[0].View(func(t *state.Table, _ func(string) []byte) { most = max(most, t.Slots()) })
		}
		if !slices.Equal(kept.out, collected.out) {
			t.Errorf("%s: other changes were written", w)
		}
		all := 0
		kept.stores[0].View(func(t *state.Table, _ func(string) []byte) { all = t.Len() })
		if most > all/3 {
			t.Errorf("%s: %d slots for what is 100 ms of %d windows", w, most, all)
		}
	}
}

// committed returns what a pull query sees of the aggregate.
func committed(t *testing.T, r *runner) []string {
	t.Helper()
	var out []string
	plan.Walk(r.root, func(s plan.Step) {
		if _, ok := s.(*plan.Aggregate); !ok {
			return
		}
		reader, err := operator.NewReader(s)
		if err != nil {
			t.Fatal(err)
		}
		r.stores[0].View(func(table *state.Table, meta func(string) []byte) {
			var slots []int32
			for slot := range int32(table.Slots()) {
				if !table.Dead(slot) {
					slots = append(slots, slot)
				}
			}
			a := vector.NewArena()
			b, err := reader.Read(a, table, meta, slots)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; b != nil && n < b.Rows(); n++ {
				i := b.Row(n)
				out = append(out, fmt.Sprintf("%s %d %d: %d", b.Cols[0].Str(i), b.WindowStart[i], b.WindowEnd[i], b.Cols[1].I64[i]))
			}
		})
	})
	slices.Sort(out)
	return out
}
