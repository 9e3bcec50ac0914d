package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/exec/exectest"
	"karst/server"

	prompt "github.com/c-bata/go-prompt"
)

// shellOn returns a runner on an engine in memory; out takes all it prints.
func shellOn(t *testing.T, f Format) (r *Runner, out, errOut *bytes.Buffer) {
	t.Helper()
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	c, stop := server.New(e.Engine, slog.New(slog.DiscardHandler), time.Now).InMemory()
	t.Cleanup(stop)
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return NewRunner(c, out, errOut, f), out, errOut
}

const setUp = "CREATE STREAM s (k INT KEY, v STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');\nINSERT INTO s VALUES (1, 'a,b');\nINSERT INTO s (k) VALUES (2);\n"

// TestFormats holds each format of rows to its form.
func TestFormats(t *testing.T) {
	for f, want := range map[Format]string{
		Table:    "Stream created\n+---+------+\n| K | V    |\n+---+------+\n| 1 | a,b  |\n| 2 | null |\n+---+------+\n2 rows\n",
		JSON:     "{\"K\":1,\"V\":\"a,b\"}\n{\"K\":2,\"V\":null}\n",
		CSV:      "K,V\n1,\"a,b\"\n2,\n",
		Vertical: "Stream created\nK: 1\nV: a,b\n\nK: 2\nV: null\n\n",
	} {
		r, out, _ := shellOn(t, f)
		if err := r.Run(context.Background(), setUp+"SELECT * FROM s"); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if f == JSON {
			line, rest, _ := strings.Cut(got, "\n")
			if got = rest; !json.Valid([]byte(line)) || !strings.Contains(line, "<") && strings.Contains(line, `\u003c`) {
				t.Errorf("the answer of CREATE: %s", line)
			}
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", f, got, want)
		}
	}
}

// TestStatements holds what is printed of each kind of answer to its parts.
func TestStatements(t *testing.T) {
	r, out, _ := shellOn(t, Table)
	if err := r.Run(context.Background(), setUp+"CREATE TYPE a AS STRUCT<x DECIMAL(4,2), y ARRAY<INT>>; CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY k; SELECT * FROM t;"); err != nil {
		t.Fatal(err)
	}
	for statement, parts := range map[string][]string{
		"SHOW STREAMS":                   {"Stream Name", "| S           | s ", "1 row\n"},
		"SHOW TABLES":                    {"| T ", "true"},
		"SHOW TOPICS":                    {"| s ", "Records"},
		"SHOW TOPICS EXTENDED":           {"Queries"},
		"SHOW QUERIES":                   {"CTAS_T_2", "PERSISTENT", "RUNNING"},
		"SHOW QUERIES EXTENDED":          {"Sources              : S", "2 read"},
		"SHOW TYPES":                     {"STRUCT<X DECIMAL(4, 2), Y ARRAY<INTEGER>>"},
		"SHOW PROPERTIES":                {"auto.offset.reset", "latest"},
		"SHOW FUNCTIONS":                 {"ABS", "SCALAR"},
		"DESCRIBE FUNCTION concat":       {"Name        : CONCAT", "..."},
		"DESCRIBE s":                     {"K     | INTEGER (key)", "DESCRIBE S EXTENDED"},
		"DESCRIBE t EXTENDED":            {"(primary key) (Window type: TUMBLING)", "Queries that write into this TABLE:\n  CTAS_T_2", "written by CTAS_T_2"},
		"DESCRIBE s EXTENDED":            {"Queries that read from this STREAM:\n  CTAS_T_2", "0 behind"},
		"EXPLAIN CTAS_T_2":               {"AGGREGATE", "state:"},
		"DEFINE x = '1'; SHOW VARIABLES": {"| X "},
		"ASSERT TOPIC s":                 {"Topic s exists."},
		"PRINT s FROM BEGINNING LIMIT 1": {"Key format: KAFKA", `key: 1, value: {"V":"a,b"}, partition: 0, offset: 0`},
	} {
		out.Reset()
		if err := r.Run(context.Background(), statement+";"); err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		for _, p := range parts {
			if !strings.Contains(out.String(), p) {
				t.Errorf("%s: no %q in\n%s", statement, p, out)
			}
		}
	}
}

// TestErrorsAreLocated shows where in the script a fault is.
func TestErrorsAreLocated(t *testing.T) {
	r, _, _ := shellOn(t, Table)
	for script, want := range map[string]string{
		setUp + "SELECT k,\n  nope FROM s;":           "line 5:3: Column 'NOPE' cannot be resolved\n    nope FROM s\n    ^\nColumns: K, V.",
		"SHOW STREAMS; SELECT 'é' AS e, nope FROM (;": "\n  SELECT 'é' AS e, nope FROM (\n                              ^",
		"SHOW STREAMS; SHOW STREMS;":                  "\n  SHOW STREMS\n       ^\n",
		"SET 'auto.offset.rest'='latest';":            "Did you mean 'auto.offset.reset'?",
	} {
		err := r.Run(context.Background(), script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
	if r.Properties["auto.offset.rest"] != "" {
		t.Error("a property that is not known was set")
	}
}

// TestSession keeps properties and variables from statement to statement.
func TestSession(t *testing.T) {
	r, out, _ := shellOn(t, CSV)
	dir := t.TempDir()
	script := filepath.Join(dir, "x.sql")
	if err := os.WriteFile(script, []byte("SELECT v FROM s WHERE k = ${key};"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := setUp + "SET 'auto.offset.reset'='earliest'; DEFINE key = '1'; RUN SCRIPT '" + script + "'; SELECT k FROM s EMIT CHANGES LIMIT 2; UNSET 'auto.offset.reset'; SHOW PROPERTIES;"
	if err := r.Run(context.Background(), text); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if !strings.HasPrefix(got, "V\n\"a,b\"\nK\n1\n2\n") || !strings.Contains(got, "auto.offset.reset,KAFKA_STREAMS,SERVER,latest") {
		t.Errorf("got\n%s", got)
	}
	if err := os.WriteFile(script, []byte("RUN SCRIPT '"+script+"';"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background(), "RUN SCRIPT '"+script+"';"); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("a script that runs itself: %v", err)
	}
}

// TestPipe reads statements from a pipe; the last may lack its semicolon.
func TestPipe(t *testing.T) {
	r, out, _ := shellOn(t, CSV)
	err := r.pipe(strings.NewReader(setUp + "SELECT nope FROM s;\nSELECT k\nFROM s"))
	if err == nil || !strings.HasSuffix(out.String(), "K\n1\n2\n") || !strings.Contains(out.String(), "NOPE") {
		t.Errorf("%v\n%s", err, out)
	}
	out.Reset()
	if err := r.pipe(strings.NewReader("exit;\nSELECT k FROM s;\n")); err != nil || out.Len() > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestHistory keeps statements whole, over several times.
func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "history")
	h := openHistory(file)
	h.add([]string{"SELECT a", "FROM b;"})
	h.add([]string{"SELECT a", "FROM b;"})
	h.add([]string{"SELECT 1 -- one", "FROM b;"})
	want := []string{"SELECT a FROM b;", "SELECT 1 -- one", "FROM b;"}
	if got := openHistory(file).list; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range maxHistory + 5 {
		h.add([]string{"x" + strings.Repeat("y", len(h.list)%7)})
	}
	if got := openHistory(file).list; len(got) != maxHistory {
		t.Errorf("%d statements are kept", len(got))
	}
}

// TestKeys divides what the terminal sends into keys, and holds back what is
// typed ahead of a line's end.
func TestKeys(t *testing.T) {
	k := &keyReader{ConsoleParser: &chunks{list: []string{"ab\rcd", "\x1b[", "A\x1b[200~x\ny\x1b[2", "01~", "\x04"}}}
	var got []string
	for range 12 {
		b, err := k.Read()
		if err != nil {
			break
		}
		if string(b) == "\x00" {
			if k.held {
				got, k.held = append(got, "|"), false
			}
			continue
		}
		got = append(got, string(b))
	}
	if want := []string{"ab", "\r", "|", "cd", "\x1b[A", "x y", "\x04"}; !slices.Equal(got, want) || !k.ended {
		t.Errorf("%q, want %q", got, want)
	}
}

// chunks are what reads of a terminal give.
type chunks struct {
	prompt.ConsoleParser
	list []string
}

func (c *chunks) Read() ([]byte, error) {
	if len(c.list) == 0 {
		return nil, os.ErrClosed
	}
	b := []byte(c.list[0])
	c.list = c.list[1:]
	return b, nil
}

// TestCompletion completes keywords and the names of what there is.
func TestCompletion(t *testing.T) {
	r, _, _ := shellOn(t, Table)
	if err := r.Run(context.Background(), "CREATE STREAM sellers (name STRING, `seLf` INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"); err != nil {
		t.Fatal(err)
	}
	n := &names{}
	n.refresh(r)
	for typed, want := range map[string][]string{
		"SEL":             {"SELECT", "SELLERS", "seLf"},
		"select ucase(na": {"name"},
		"sel":             {"select", "sellers", "seLf"},
		"x":               nil,
	} {
		b := prompt.NewBuffer()
		b.InsertText(typed, false, true)
		var got []string
		for _, s := range n.suggest(*b.Document()) {
			got = append(got, s.Text)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
