package exec

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A foreignModel is what a foreign-key join is by definition: for each left
// row the right row that its foreign key names, now.
type foreignModel struct {
	left  map[int]*int // key → foreign key
	right map[int]int  // key → value
}

func (m *foreignModel) joined(outer bool) []string {
	var out []string
	for id, fk := range m.left {
		v, ok := 0, false
		if fk != nil {
			v, ok = m.right[*fk]
		}
		switch {
		case ok:
			out = append(out, fmt.Sprintf("%d %d %d", id, *fk, v))
		case outer && fk != nil:
			out = append(out, fmt.Sprintf("%d %d null", id, *fk))
		case outer:
			out = append(out, fmt.Sprintf("%d null null", id))
		}
	}
	slices.Sort(out)
	return out
}

// change makes a random change of either side and returns the record.
func (m *foreignModel) change(rng *rand.Rand) (topic string, r Record) {
	key := func(n int) []byte { return []byte{0, 0, 0, byte(n)} }
	if rng.IntN(3) == 0 {
		id := rng.IntN(5)
		r.Key = key(id)
		if rng.IntN(4) == 0 {
			delete(m.right, id)
			return "r", r
		}
		m.right[id] = rng.IntN(100)
		r.Value, _ = json.Marshal(map[string]int{"V": m.right[id]})
		return "r", r
	}
	id := rng.IntN(12)
	r.Key = key(id)
	switch rng.IntN(6) {
	case 0:
		delete(m.left, id)
	case 1:
		m.left[id] = nil
		r.Value = []byte(`{"FK":null}`)
	default:
		fk := rng.IntN(7)
		m.left[id] = &fk
		r.Value, _ = json.Marshal(map[string]int{"FK": fk})
	}
	return "l", r
}

// TestForeignKeyJoin holds inner and left joins, and what is counted over one,
// against the definition, for random changes that arrive in bursts, over
// restarts.
func TestForeignKeyJoin(t *testing.T) {
	for _, batch := range []int{1, 3, 4096} {
		for _, parts := range []int{1, 3} {
			t.Run(fmt.Sprintf("batch=%d,partitions=%d", batch, parts), func(t *testing.T) {
				fs := vfs.NewMem()
				in := open(t, fs, batch)
				in.run(fmt.Sprintf(`
					CREATE TABLE l (id INT PRIMARY KEY, fk INT) WITH (KAFKA_TOPIC='l', PARTITIONS=%d, VALUE_FORMAT='JSON');
					CREATE TABLE r (rid INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=2, VALUE_FORMAT='JSON');
					CREATE TABLE ij AS SELECT id, fk, v FROM l JOIN r ON fk = rid;
					CREATE TABLE lj AS SELECT id, fk, v FROM l LEFT JOIN r ON fk = rid;
					CREATE TABLE counted AS SELECT fk, COUNT(*) AS n FROM l JOIN r ON fk = rid GROUP BY fk;`, parts))
				m := &foreignModel{left: map[int]*int{}, right: map[int]int{}}
				rng := rand.New(rand.NewPCG(uint64(batch), uint64(parts)))
				for round := range 30 {
					for range 1 + rng.IntN(12) {
						topic, rec := m.change(rng)
						if err := in.e.Produce(context.Background(), topic, []Record{rec}); err != nil {
							t.Fatal(err)
						}
					}
					in.want("SELECT * FROM ij;", m.joined(false)...)
					in.want("SELECT * FROM lj;", m.joined(true)...)
					counts := map[int]int{}
					for _, fk := range m.left {
						if fk != nil {
							if _, ok := m.right[*fk]; ok {
								counts[*fk]++
							}
						}
					}
					var want []string
					for fk, n := range counts {
						want = append(want, fmt.Sprintf("%d %d", fk, n))
					}
					slices.Sort(want)
					in.want("SELECT * FROM counted WHERE n > 0;", want...)
					if t.Failed() {
						t.Fatalf("round %d", round)
					}
					if round%10 == 9 {
						in.close()
						in = open(t, fs, batch)
					}
				}
				in.close()
			})
		}
	}
}
