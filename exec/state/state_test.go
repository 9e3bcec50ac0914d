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

// TestStoreAgainstMap drives a store with random operations beside two Go
// maps: what is committed, and what would be.
func TestStoreAgainstMap(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewMem()
		db, err := OpenDB(fs, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore("agg.0", layout)
		committed, current, cut := map[string]string{}, map[string]string{}, map[string]string{}
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
				s.Merge()
				committed = clone(current)
			case op < 18:
				s.Abort()
				current = clone(committed)
			case op < 19 && s.Changed() == 0:
				if err := db.WriteCut("q", []*Store{s}, []byte(fmt.Sprint(step))); err != nil {
					t.Fatal(err)
				}
				cut = clone(committed)
			}
			if got := content(s); fmt.Sprint(got) != fmt.Sprint(current) {
				t.Fatalf("seed %d step %d: %v, want %v", seed, step, got, current)
			}
		}
		loaded := NewStore("agg.0", layout)
		if _, err := db.Load("q", loaded); err != nil {
			t.Fatal(err)
		}
		if got := content(loaded); fmt.Sprint(got) != fmt.Sprint(cut) {
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
	s := NewStore("agg.0", layout)
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
		s := NewStore("agg.0", layout)
		cuts := []map[string]string{{}}
		for n := range 20 {
			for range 50 {
				slot := s.ProbeOne([]byte(fmt.Sprint(rng.IntN(100))))
				c := s.Cells(0)
				*c.Int64(slot, 0)++
			}
			s.Merge()
			if err := db.WriteCut("q", []*Store{s}, AppendInt64(int64(n+1))); err != nil {
				t.Fatal(err)
			}
			cuts = append(cuts, content(s))
			if n == 10 {
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
		stamp, err := after.Stamp("q")
		if err != nil {
			t.Fatal(err)
		}
		loaded := NewStore("agg.0", layout)
		if _, err := after.Load("q", loaded); err != nil {
			t.Fatal(err)
		}
		n := Int64(stamp, 0)
		if n < 11 || fmt.Sprint(content(loaded)) != fmt.Sprint(cuts[n]) {
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
