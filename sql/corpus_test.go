package sql

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// casesDir returns the folder of ksqlDB's own cases, or skips.
func casesDir(t testing.TB) string {
	dir := os.Getenv("KARST_CASES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "ksqldb")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: no cases")
	}
	return dir
}

var lineComment = regexp.MustCompile(`(?m)^\s*//.*$`)

type corpusCase struct {
	Name       string
	Statements []string
	Format     []string
	Error      *struct{ Type, Message string } `json:"expectedException"`
	// ErrorREST is what an HTTP case expects.
	ErrorREST *struct{ Message string } `json:"expectedError"`
}

// TestCorpusParses holds that every statement of the cases parses unless the
// case expects a syntax error, and that printing and parsing again gives the
// same tree.
func TestCorpusParses(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(casesDir(t), "*", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Tests []corpusCase }
		if err := json.Unmarshal(lineComment.ReplaceAll(text, nil), &f); err != nil {
			continue // block comments; the case runner reads them
		}
		for _, c := range f.Tests {
			for _, s := range c.Statements {
				n++
				checkCorpus(t, filepath.Base(file)+" - "+c.Name, strings.ReplaceAll(s, "{FORMAT}", "JSON"), c)
			}
		}
	}
	if n < 3000 {
		t.Errorf("only %d statements", n)
	}
	t.Logf("%d statements", n)
}

func checkCorpus(t *testing.T, name, text string, c corpusCase) {
	stmts, err := Parse(text, Options{})
	if err != nil {
		if c.ErrorREST == nil && (c.Error == nil || !regexp.MustCompile(`(?i)syntax error|mismatched|extraneous|parse|no viable|cannot be resolved|is a reserved|failed to prepare`).MatchString(c.Error.Message+c.Error.Type)) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		return
	}
	for _, s := range stmts {
		printed := Print(s)
		again, err := Parse(printed, Options{})
		if err != nil || len(again) != 1 {
			t.Errorf("%s: printed text does not parse: %v\n%s\n%s", name, err, text, printed)
			continue
		}
		if !Equal(s, again[0]) {
			t.Errorf("%s: printed and parsed again is another tree\n%s\n%s\n%s", name, text, printed, Print(again[0]))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT a->b[1], x.y FROM t AS x WHERE NOT a LIKE '%' || 'x' ESCAPE '!' EMIT CHANGES;",
		"CREATE STREAM s (k INT KEY, v STRUCT<a DECIMAL(4,2), b MAP<STRING, ARRAY<INT>>>) WITH (kafka_topic='t');",
		"SELECT TRANSFORM(a, (k, v) => k + v) FROM s WINDOW TUMBLING (SIZE 1 DAY) GROUP BY k HAVING COUNT(*) > 1;",
		"INSERT INTO s (a) VALUES (-1.5e3, DATE '2020-01-01', ARRAY[1], CASE WHEN a IS NULL THEN 1 END);",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stmts, err := Parse(text, Options{})
		if err != nil {
			return
		}
		for _, s := range stmts {
			printed := Print(s)
			again, err := Parse(printed, Options{})
			if err != nil || len(again) != 1 || !Equal(s, again[0]) {
				t.Fatalf("%q prints as %q, which parses to another tree: %v", text, printed, err)
			}
		}
	})
}
