package sql

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"karst/sql/types"
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

var jsonComment = regexp.MustCompile(`(?m)^\s*//.*$|(?s:/\*.*?\*/)`)

type corpusCase struct {
	Name       string
	Statements []string
	Error      *struct{ Type, Message string } `json:"expectedException"`
	ErrorREST  *struct{ Message string }       `json:"expectedError"`
}

// syntaxFault tells the faults that ksqlDB's grammar finds from those that it
// finds while it reads the tree, which the planner finds here.
var syntaxFault = regexp.MustCompile(`(?i)syntax error|overflows|must be integer|integers in the LIMIT clause`)

// wantsFault reports whether the case's last statement must not parse.
func (c corpusCase) wantsFault() bool {
	message := ""
	switch {
	case c.Error != nil:
		message = c.Error.Message
		if strings.HasSuffix(c.Error.Type, "ParseFailedException") && message == "" {
			return true
		}
	case c.ErrorREST != nil:
		message = c.ErrorREST.Message
	}
	return syntaxFault.MatchString(message)
}

// ours matches what ksqlDB or the runner of its cases refuses as a fault of
// syntax and the language here has.
var ours = regexp.MustCompile(`^(ASSERT|RUN SCRIPT) | ORDER BY `)

// TestCorpusParses holds that every statement of the cases parses unless the
// case expects a syntax error, which is found then, and that printing and
// parsing again gives the same tree.
func TestCorpusParses(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(casesDir(t), "*", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	n, faults := 0, 0
	for _, file := range files {
		for _, c := range readCases(t, file) {
			for i, s := range c.Statements {
				n++
				s = strings.ReplaceAll(s, "{FORMAT}", "JSON")
				name := filepath.Base(file) + " - " + c.Name
				if i == len(c.Statements)-1 && c.wantsFault() {
					faults++
					if !ours.MatchString(s) {
						checkFault(t, name, s)
					}
					continue
				}
				checkRoundTrip(t, name, s)
			}
		}
	}
	if n < 3000 || faults < 15 {
		t.Errorf("only %d statements, %d with faults", n, faults)
	}
	t.Logf("%d statements, %d with faults", n, faults)
}

func readCases(t *testing.T, file string) []corpusCase {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Tests []corpusCase }
	if err := json.Unmarshal(jsonComment.ReplaceAll(text, nil), &f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return f.Tests
}

// TestCorpusScripts does the same for the cases that are SQL files.
func TestCorpusScripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(casesDir(t), "sql", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split(string(text), "--@test:") {
			name, _, _ := strings.Cut(c, "\n")
			checkRoundTrip(t, filepath.Base(file)+" -"+name, "--"+c)
		}
	}
}

func checkFault(t *testing.T, name, text string) {
	_, err := Parse(text, Options{})
	var e *types.Error
	if !errors.As(err, &e) || e.Kind != types.ErrParse {
		t.Errorf("%s: should be a syntax error: %v\n%s", name, err, text)
	}
}

// checkRoundTrip holds that text parses, and its statements print and parse
// again to the same trees.
func checkRoundTrip(t testing.TB, name, text string) {
	t.Helper()
	stmts, err := Parse(text, Options{})
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
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
