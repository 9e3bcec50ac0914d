package state

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A storeScript is one store with a database below it.
type storeScript struct {
	t     *testing.T
	fs    *vfs.MemFS
	db    *DB
	store *Store
	cut   *Cut
}

func (s *storeScript) open() {
	var err error
	if s.db, err = OpenDB(s.fs, "state", slog.New(slog.DiscardHandler)); err != nil {
		s.t.Fatal(err)
	}
}

// TestScripts runs scripts of testdata. A slot is a number and a text:
//
//	do       lines: put KEY NUMBER TEXT, add KEY NUMBER, del KEY, meta NAME NUMBER
//	show     what a step sees: overlay over committed; and what a reader sees
//	commit   prints the changes and merges
//	abort
//	submit   next=N hands what was committed to the database
//	load     makes the store anew from the database; prints the stamp
//	crash    drops what the database has not flushed
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &storeScript{t: t, fs: vfs.NewCrashableMem(), store: NewStore("agg", layout), cut: &Cut{Query: "q"}}
		s.open()
		defer func() { _ = s.db.Close() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.command(d)
		})
	})
}

func (s *storeScript) command(d *datadriven.TestData) string {
	switch d.Cmd {
	case "do":
		for _, line := range strings.Split(d.Input, "\n") {
			s.do(strings.Fields(line))
		}
	case "show":
		return s.show()
	case "commit":
		var out []string
		err := s.store.Changes(func(key, value []byte) error {
			s.cut.Add(key, value)
			out = append(out, fmt.Sprintf("%q %q\n", key, value))
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.store.Merge()
		return strings.Join(out, "")
	case "abort":
		s.store.Abort()
	case "submit":
		d.ScanArgs(s.t, "next", &s.cut.At.Next)
		s.db.Submit(s.cut)
		s.cut = &Cut{Query: "q"}
		if err := s.db.Sync(); err != nil {
			s.t.Fatal(err)
		}
	case "load":
		s.store = load(s.t, s.db)
		at, known, err := s.db.Stamp("q", 0)
		if err != nil {
			s.t.Fatal(err)
		}
		return fmt.Sprintf("known: %v, next: %d\n", known, at.Next)
	case "crash":
		fs := s.fs.CrashClone(vfs.CrashCloneCfg{})
		_ = s.db.Close()
		s.fs = fs
		s.open()
	case "flush":
		if err := s.db.db.Flush(); err != nil {
			s.t.Fatal(err)
		}
	}
	return ""
}

func (s *storeScript) do(f []string) {
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	switch f[0] {
	case "put":
		slot := s.store.ProbeOne([]byte(f[1]))
		c := s.store.Cells(0)
		*c.Int64(slot, 0) = number(f[2])
		c.SetBlob(slot, 8, []byte(f[3]))
	case "add":
		slot := s.store.ProbeOne([]byte(f[1]))
		c := s.store.Cells(0)
		*c.Int64(slot, 0) += number(f[2])
	case "del":
		s.store.Delete([]byte(f[1]))
	case "meta":
		s.store.SetMeta(f[1], AppendInt64(number(f[2])))
	default:
		s.t.Fatalf("unknown operation %q", f)
	}
}

func (s *storeScript) show() string {
	var out strings.Builder
	table := func(name string, each func(f func(t *Table, slot int32) bool)) {
		var rows []string
		each(func(t *Table, slot int32) bool {
			c := t.Cells(0)
			rows = append(rows, fmt.Sprintf("%s=%d %q", t.Key(slot), *c.Int64(slot, 0), c.Blob(slot, 8)))
			return true
		})
		slices.Sort(rows)
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(rows, ", "))
	}
	table("step", s.store.Each)
	s.store.View(func(t *Table, meta func(string) []byte) {
		table("reader", func(f func(t *Table, slot int32) bool) {
			for slot := range int32(t.Slots()) {
				if !t.Dead(slot) {
					f(t, slot)
				}
			}
		})
		fmt.Fprintf(&out, "time: step %d, reader %d; %d slots\n", Int64(s.store.Meta("time"), -1), Int64(meta("time"), -1), t.Slots())
	})
	return out.String()
}
