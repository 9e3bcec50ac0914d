package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"karst/exec"
	"karst/log/registry"
	"karst/log/segment"
	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Summary counts blocks: statements and queries, each under each setting.
type Summary struct{ Passed, Failed, Skipped int }

// Options say how to run. The zero Options are ready.
type Options struct {
	// CaseBatch is how many rows a query of a .json case is fed at a time; 0
	// and 1: record by record.
	CaseBatch int
	// Progress, unless nil, is told the name of each case before it runs.
	Progress func(name string, sofar Summary)
}

func (o Options) progress(name string, sofar Summary) {
	if o.Progress != nil {
		o.Progress(name, sofar)
	}
}

// Run runs the .slt, .sql and .json files at the paths, and below those that are folders;
// failures are described on out.
func Run(ctx context.Context, paths []string, o Options, out io.Writer) (Summary, error) {
	var sum Summary
	for _, path := range paths {
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
				return err
			case filepath.Ext(p) == ".slt":
				o.progress(p, sum)
				return runFile(ctx, p, out, &sum)
			case filepath.Ext(p) == ".json":
				return runCases(ctx, p, o, out, &sum)
			case filepath.Ext(p) == ".sql":
				return runSQLTests(ctx, p, o, out, &sum)
			}
			return nil
		})
		if err != nil {
			return sum, err
		}
	}
	if sum.Passed+sum.Failed+sum.Skipped == 0 {
		return sum, errors.New("no .slt, .sql or .json files found")
	}
	return sum, nil
}

// A block is one statement or query of a file.
type block struct {
	line     int
	kind     string // statement, query
	errClass string // expected; "" for ok
	sort     bool
	text     string
	want     []string
}

// parse reads a file's blocks and whether it takes only one partition.
func parse(text string) (blocks []block, single bool, err error) {
	line := 1
	for _, part := range strings.Split(text, "\n\n") {
		b, only, perr := parseBlock(part, line)
		if perr != nil {
			return nil, false, perr
		}
		single = single || only
		if b != nil {
			blocks = append(blocks, *b)
		}
		line += strings.Count(part, "\n") + 2
	}
	return blocks, single, nil
}

func parseBlock(part string, line int) (*block, bool, error) {
	var lines []string
	for _, l := range strings.Split(part, "\n") {
		if strings.HasPrefix(l, "#") || l == "" && lines == nil {
			line++
			continue
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil, false, nil
	}
	words := strings.Fields(lines[0])
	if lines[0] == "partitions 1" {
		return nil, true, nil
	}
	b := &block{line: line, kind: words[0]}
	body := lines[1:]
	switch {
	case len(words) == 2 && words[0] == "statement" && words[1] == "ok":
	case len(words) == 3 && words[0] == "statement" && words[1] == "error":
		b.errClass = words[2]
	case words[0] == "query":
		b.sort = slices.Contains(words, "rowsort")
		at := slices.Index(body, "----")
		if at < 0 {
			return nil, false, fmt.Errorf("line %d: a query needs a line ---- before its rows", line)
		}
		for _, row := range body[at+1:] {
			if row != "" {
				b.want = append(b.want, row)
			}
		}
		body = body[:at]
	default:
		return nil, false, fmt.Errorf("line %d: unknown block %q", line, lines[0])
	}
	b.text = strings.Join(body, "\n")
	return b, false, nil
}

func runFile(ctx context.Context, path string, out io.Writer, sum *Summary) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	blocks, single, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	partitions := []int{1, 4}
	if single {
		partitions = []int{1}
	}
	for _, n := range partitions {
		for _, batch := range []int{1, 7, 4096} {
			setting := fmt.Sprintf("%d partitions, batches of %d", n, batch)
			if err := runBlocks(ctx, path, setting, blocks, n, batch, out, sum); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func runBlocks(ctx context.Context, path, setting string, blocks []block, partitions, batch int, out io.Writer, sum *Summary) (err error) {
	rng := rand.New(rand.NewPCG(1, uint64(batch)))
	l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: rng.Uint64})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	e, err := exec.Open(exec.Options{Log: l, Now: func() time.Time { return time.UnixMilli(0) }, Rand: rand.Uint64, Registry: registry.New(), BatchRows: batch,
		Settings: map[string]string{"ksql.streams.cache.max.bytes.buffering": "0", "auto.offset.reset": "earliest"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	s := &exec.Session{Variables: map[string]string{"partitions": strconv.Itoa(partitions)}}
	for _, b := range blocks {
		if fault := runBlock(ctx, e, s, b); fault != "" {
			sum.Failed++
			fmt.Fprintf(out, "FAIL %s:%d (%s)\n%s\n%s\n\n", path, b.line, setting, b.text, fault)
		} else {
			sum.Passed++
		}
	}
	return nil
}

// runBlock returns what is wrong, "" if nothing is.
func runBlock(ctx context.Context, e *exec.Engine, s *exec.Session, b block) string {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	rows := &rows{}
	var err error
	if b.kind == "query" {
		err = query(ctx, e, s, b.text, rows)
	} else if _, err = e.Execute(ctx, b.text, s); err != nil && strings.Contains(err.Error(), "query endpoint") {
		err = query(ctx, e, s, b.text, rows)
	}
	switch {
	case b.errClass != "" && err == nil:
		return "expected an error of class " + b.errClass + ", there was none"
	case b.errClass != "":
		if got := Class(err); got != b.errClass {
			return "expected an error of class " + b.errClass + ", found " + got + ": " + err.Error()
		}
		return ""
	case err != nil:
		return "unexpected error: " + err.Error()
	}
	got, want := rows.list, b.want
	if b.sort {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	if b.kind == "query" && !slices.Equal(got, want) {
		return "got\n  " + strings.Join(got, "\n  ") + "\nwant\n  " + strings.Join(want, "\n  ")
	}
	return ""
}

func query(ctx context.Context, e *exec.Engine, s *exec.Session, text string, out *rows) error {
	stmts, err := sql.Parse(text, sql.Options{Variables: s.Variables})
	if err != nil {
		return err
	}
	sel, ok := stmts[0].(*sql.SelectStmt)
	if !ok || len(stmts) != 1 {
		return errors.New("a query block holds one SELECT")
	}
	_, err = e.Query(ctx, sel, s, out)
	return err
}

// rows collects an answer.
type rows struct{ list []string }

// Header implements exec.Rows.
func (r *rows) Header(exec.Header) error { return nil }

// Flush implements exec.Rows.
func (r *rows) Flush() bool { return true }

// Row implements exec.Rows.
func (r *rows) Row(cols [][]byte, deleted bool) bool {
	s := string(bytes.Join(cols, []byte(" ")))
	if deleted {
		s += " deleted"
	}
	r.list = append(r.list, s)
	return true
}

var classes = map[types.ErrorKind]string{types.ErrParse: "parse", types.ErrStatement: "statement", types.ErrFunction: "function", types.ErrSerialization: "serialization",
	types.ErrNotFound: "notfound", types.ErrExists: "exists", types.ErrLimit: "limit", types.ErrUnsupported: "unsupported"}

// Class returns the class of a user's error, "internal" for others.
func Class(err error) string {
	var e *types.Error
	if errors.As(err, &e) {
		return classes[e.Kind]
	}
	return "internal"
}
