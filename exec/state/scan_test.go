package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func committed(s *Store) map[string]string {
	m := map[string]string{}
	s.View(func(t *Table, _ func(string) []byte) {
		for slot := range int32(t.Slots()) {
			if !t.Dead(slot) {
				c := t.Cells(0)
				m[string(t.Key(slot))] = fmt.Sprint(*c.Int64(slot, 0), " ", string(c.Blob(slot, 8)))
			}
		}
	})
	return m
}

// change changes some keys and commits.
func change(s *Store, rng *rand.Rand, keys int) {
	for range 1 + rng.IntN(40) {
		key := []byte(fmt.Sprintf("k%03d", rng.IntN(keys)))
		if rng.IntN(3) == 0 {
			s.Delete(key)
			continue
		}
		slot := s.ProbeOne(key)
		c := s.Cells(0)
		*c.Int64(slot, 0) = rng.Int64N(1000)
		c.SetBlob(slot, 8, bytes.Repeat([]byte{'x'}, rng.IntN(20)))
	}
	s.SetMeta("time", AppendInt64(rng.Int64N(1000)))
	s.Merge()
}

// TestScanSeesItsBeginning commits changes between the steps of scans, each of
// which must give what was there when it began.
func TestScanSeesItsBeginning(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := NewStore("agg", layout)
		for range 5 {
			change(s, rng, 200)
		}
		want, meta := committed(s), s.Meta("time")
		scan := s.Scan()
		got := map[string]string{}
		for looked := 1; looked > 0; {
			var err error
			looked, err = scan.Next(make([]int32, 1+rng.IntN(30)), func(key []byte) bool { return key[3] != '7' }, func(tab *Table, m func(string) []byte, slots []int32) {
				if !bytes.Equal(m("time"), meta) {
					t.Errorf("seed %d: the values beside the keys have changed", seed)
				}
				for _, slot := range slots {
					key := string(tab.Key(slot))
					if _, twice := got[key]; twice {
						t.Errorf("seed %d: %s comes twice", seed, key)
					}
					c := tab.Cells(0)
					got[key] = fmt.Sprint(*c.Int64(slot, 0), " ", string(c.Blob(slot, 8)))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if rng.IntN(2) == 0 {
				change(s, rng, 200)
			}
		}
		scan.Close()
		for key := range want {
			if key[3] == '7' {
				delete(want, key)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

// TestScanOfAWipedStore ends with an error.
func TestScanOfAWipedStore(t *testing.T) {
	s := NewStore("agg", layout)
	change(s, rand.New(rand.NewPCG(1, 1)), 50)
	scan := s.Scan()
	defer scan.Close()
	s.Wipe()
	if _, err := scan.Next(make([]int32, 10), func([]byte) bool { return true }, nil); !errors.Is(err, ErrScanTooOld) {
		t.Errorf("got %v", err)
	}
}

// TestPrefixed finds the keys with a prefix as a look at all keys does, while
// they come and go.
func TestPrefixed(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	s := NewStore("agg", layout)
	for range 200 {
		change(s, rng, 300)
		prefix := fmt.Sprintf("k%02d", rng.IntN(30))
		want := map[string]bool{}
		for key := range committed(s) {
			if key[:3] == prefix {
				want[key] = true
			}
		}
		got := map[string]bool{}
		looked := s.Prefixed([]byte(prefix), 1, func(tab *Table, _ func(string) []byte, slots []int32) {
			for _, slot := range slots {
				got[string(tab.Key(slot))] = true
			}
		})
		if fmt.Sprint(got) != fmt.Sprint(want) || looked > len(want) {
			t.Fatalf("%s: %v, looked at %d, want %v", prefix, got, looked, want)
		}
	}
}
