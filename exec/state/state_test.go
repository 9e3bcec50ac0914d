package state

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var layout = Layout{FixedBytes: 24, Blobs: []int{8}}

func content(s *Store) map[string]string {
	m := map[string]string{}
	s.Each(func(t *Table, slot int32) bool {
		c := t.Cells(0)
		m[string(t.Key(slot))] = fmt.Sprint(*c.Int64(slot, 0), " ", string(c.Blob(slot, 8)))
		return true
	})
	return m
}

// commit logs a store's changes in a cut and merges them.
func commit(t testing.TB, s *Store, c *Cut) {
	t.Helper()
	if err := s.Changes(func(key, value []byte) error { c.Add(key, value); return nil }); err != nil {
		t.Fatal(err)
	}
	s.Merge()
}

// load returns a store with what the database has of partition 0.
func load(t testing.TB, db *DB) *Store {
	t.Helper()
	s := NewStore("agg", layout)
	if err := db.Scan("q", 0, s.Restore); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStoreAgainstMap drives a store with random operations beside two Go
// maps: what is committed, and what would be. Keys come and go, so that slots are
// used again.
func TestStoreAgainstMap(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewMem()
		db, err := OpenDB(fs, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore("agg", layout)
		committed, current, cut := map[string]string{}, map[string]string{}, map[string]string{}
		changes := &Cut{Query: "q"}
		for step := range 600 {
			key := fmt.Sprint("k", rng.IntN(60))
			switch op := rng.IntN(20); {
			case op < 12:
				slot := s.ProbeOne([]byte(key))
				c := s.Cells(0)
				*c.Int64(slot, 0) += int64(step)
				c.SetBlob(slot, 8, append(append([]byte{}, c.Blob(slot, 8)...), 'x'))
				var n int64
				var text string
				fmt.Sscan(current[key], &n, &text)
				current[key] = fmt.Sprint(n+int64(step), " ", text+"x")
			case op < 15:
				s.Delete([]byte(key))
				delete(current, key)
			case op < 17:
				commit(t, s, changes)
				committed = clone(current)
			case op < 18:
				s.Abort()
				current = clone(committed)
			case op < 19:
				changes.At.Next = int64(step)
				db.Submit(changes)
				changes = &Cut{Query: "q"}
				cut = clone(committed)
			}
			if got := content(s); fmt.Sprint(got) != fmt.Sprint(current) {
				t.Fatalf("seed %d step %d: %v, want %v", seed, step, got, current)
			}
		}
		if n := s.committed.Slots(); n > 60 {
			t.Fatalf("seed %d: %d slots for 60 keys", seed, n)
		}
		if err := db.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := content(load(t, db)); fmt.Sprint(got) != fmt.Sprint(cut) {
			t.Fatalf("seed %d: loaded %v, want %v", seed, got, cut)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMetaFollowsTheOverlay holds values beside the keys to being dropped and
// committed as keys are.
func TestMetaFollowsTheOverlay(t *testing.T) {
	s := NewStore("agg", layout)
	s.SetMeta("time", AppendInt64(1))
	s.Merge()
	s.SetMeta("time", AppendInt64(99))
	if got := Int64(s.Meta("time"), 0); got != 99 {
		t.Errorf("before the abort: %d", got)
	}
	s.Abort()
	if got := Int64(s.Meta("time"), 0); got != 1 {
		t.Errorf("after the abort: %d, want 1", got)
	}
}

func clone(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// TestCutIsAtomic crashes after several cuts and checks that what is found is
// exactly what one of the stamps says.
func TestCutIsAtomic(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs := vfs.NewCrashableMem()
		db, err := OpenDB(fs, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore("agg", layout)
		cuts := []map[string]string{{}}
		for n := range 20 {
			for range 50 {
				slot := s.ProbeOne([]byte(fmt.Sprint(rng.IntN(100))))
				c := s.Cells(0)
				*c.Int64(slot, 0)++
			}
			c := &Cut{Query: "q", At: Position{Next: int64(n + 1)}}
			commit(t, s, c)
			db.Submit(c)
			cuts = append(cuts, content(s))
			if n == 10 {
				if err := db.Sync(); err != nil {
					t.Fatal(err)
				}
				if err := db.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		after, err := OpenDB(clone, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		stamp, _, err := after.Stamp("q", 0)
		if err != nil {
			t.Fatal(err)
		}
		n := stamp.Next
		if n < 11 || fmt.Sprint(content(load(t, after))) != fmt.Sprint(cuts[n]) {
			t.Fatalf("stamp %d does not match the content", n)
		}
		_ = db.Close()
	}
}

func BenchmarkProbeSum(b *testing.B) {
	s := NewStore("x", Layout{FixedBytes: 8})
	var keys Keys
	keys.Reset()
	for i := range 4096 {
		keys.Buf = append(keys.Buf, fmt.Sprintf("key-%d", i*7%10000)...)
		keys.Close()
	}
	slots := make([]int32, 4096)
	b.ReportAllocs()
	for b.Loop() {
		s.Probe(&keys, slots)
		c := s.Cells(0)
		for _, g := range slots {
			*c.Int64(g, 0)++
		}
	}
	b.ReportMetric(float64(b.N)*4096/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

// FuzzReadSlot reads any bytes as a slot: they are refused, or say what they
// say when written again.
func FuzzReadSlot(f *testing.F) {
	s := NewStore("agg", layout)
	slot := s.ProbeOne([]byte("k"))
	c := s.Cells(0)
	c.SetBlob(slot, 8, []byte("text"))
	f.Add(s.overlay.appendSlot(nil, slot))
	f.Add([]byte{layoutVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewStore("agg", layout)
		if err := s.Restore(append([]byte("kagg\x00"), 'k'), data); err != nil || data == nil {
			return
		}
		table, slot := s.LookupCommitted([]byte("k"))
		again := table.appendSlot(nil, slot)
		s2 := NewStore("agg", layout)
		if err := s2.Restore([]byte("kagg\x00k"), again); err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprint(content(s)), fmt.Sprint(content(s2)); a != b {
			t.Fatalf("%s, then %s", a, b)
		}
	})
}
