package exec

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
)

// nexmarkDir holds the benchmark's fixed data and the results that PostgreSQL
// computed over it.
func nexmarkDir(t *testing.T) string {
	dir := os.Getenv("KARST_NEXMARK")
	if dir == "" {
		dir = "../../shared/nexmark"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: no Nexmark data")
	}
	return dir
}

// TestNexmark runs the benchmark's queries, as far as the language has them, all
// at once over one topic, and compares their final results with PostgreSQL's.
// Missing are those of ranks, of the last row with ties broken by a column
// (q18), and of subqueries.
func TestNexmark(t *testing.T) {
	dir := nexmarkDir(t)
	for _, batch := range []int{1, 7, 4096} {
		t.Run(fmt.Sprint("batch ", batch), func(t *testing.T) {
			in := open(t, vfs.NewMem(), batch)
			defer in.close()
			in.run(read(t, "../testdata/nexmark/source.sql"))
			files, err := filepath.Glob("../testdata/nexmark/*.sql")
			if err != nil {
				t.Fatal(err)
			}
			selects := map[string]string{}
			for _, f := range files {
				name := strings.TrimSuffix(filepath.Base(f), ".sql")
				text := read(t, f)
				if at := strings.LastIndex(text, "\nSELECT"); at >= 0 && name != "source" {
					in.run(text[:at])
					selects[name] = text[at:]
				}
			}
			in.nexmarkEvents(filepath.Join(dir, "data", "events_in_time_order.jsonl"))
			for name, text := range selects {
				got, want := in.canonical(text), expectedRows(t, filepath.Join(dir, "expected", name+".jsonl"))
				if !slices.Equal(got, want) {
					t.Errorf("%s gives %d rows, want %d\n%s", name, len(got), len(want), cmp.Diff(want, got))
				}
			}
		})
	}
}

func read(t testing.TB, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// nexmarkEvents produces the events to one partition, so that they stay in
// order, a few at a time.
func (in *instance) nexmarkEvents(path string) {
	var recs []Record
	lines := bufio.NewScanner(strings.NewReader(read(in.t, path)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		recs = append(recs, Record{Value: bytes.Clone(lines.Bytes()), Placed: true})
	}
	for chunk := range slices.Chunk(recs, 16) {
		if err := in.e.Produce(in.t.Context(), "events", chunk); err != nil {
			in.t.Fatal(err)
		}
	}
}

// cells keeps a query's answer column by column.
type cells struct {
	schema types.Schema
	rows   [][][]byte
}

func (c *cells) Header(h Header) error {
	c.schema = h.Schema
	return nil
}

// Flush implements Rows.
func (c *cells) Flush() bool { return true }

func (c *cells) Row(cols [][]byte, _ bool) bool {
	row := make([][]byte, len(cols))
	for i := range cols {
		row[i] = bytes.Clone(cols[i])
	}
	c.rows = append(c.rows, row)
	return true
}

// canonical runs a query and returns its rows in a form to compare, sorted.
func (in *instance) canonical(text string) []string {
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	rows := &cells{}
	if _, err := in.e.Query(in.t.Context(), stmts[0].(*sql.SelectStmt), &Session{}, rows); err != nil {
		in.t.Fatalf("%v\n%s", err, text)
	}
	var out []string
	for _, r := range rows.rows {
		m := map[string]any{}
		for i, c := range rows.schema.Columns {
			m[strings.ToLower(c.Name)] = decodeNumber(in.t, r[i])
		}
		out = append(out, canonicalRow(m))
	}
	slices.Sort(out)
	return out
}

func decodeNumber(t testing.TB, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func expectedRows(t testing.TB, path string) []string {
	var out []string
	for line := range strings.Lines(read(t, path)) {
		out = append(out, canonicalRow(decodeNumber(t, []byte(line)).(map[string]any)))
	}
	slices.Sort(out)
	return out
}

// canonicalRow writes a row with its columns by name; numbers, also those that
// are text, to six places; moments as milliseconds.
func canonicalRow(m map[string]any) string {
	var out []string
	for name, v := range m {
		text := fmt.Sprint(v)
		if at, err := time.Parse("2006-01-02 15:04:05.000", text); err == nil {
			text = fmt.Sprint(at.UnixMilli())
		}
		if r, ok := new(big.Rat).SetString(text); ok {
			text = r.FloatString(6)
		}
		out = append(out, name+"="+text)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
