package script

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A queryCase is one test: statements, input records, expected output records.
type queryCase struct {
	Name       string
	Enabled    *bool
	Format     []string
	Config     []string
	Properties map[string]any
	Statements []string
	Topics     []caseTopic
	Inputs     []caseRecord
	Outputs    []caseRecord
	Error      *caseError `json:"expectedException"`
	Post       casePost
}

// A caseTopic is a topic that is there before the statements run.
type caseTopic struct {
	Name                  string
	Partitions            int
	KeySchema             json.RawMessage
	KeyFormat             string
	KeySchemaID           int
	KeySchemaReferences   []caseReference
	ValueSchema           json.RawMessage
	ValueFormat           string
	ValueSchemaID         int
	ValueSchemaReferences []caseReference
}

// A caseRecord is an input or an expected output.
type caseRecord struct {
	Topic     string          `json:"topic"`
	Key       json.RawMessage `json:"key,omitempty"`
	Value     json.RawMessage `json:"value"`
	Timestamp *int64          `json:"timestamp,omitempty"`
	Window    *caseWindow     `json:"window,omitempty"`
	Headers   []caseHeader    `json:"headers,omitempty"`
}

type caseWindow struct {
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Type  string `json:"type"` // time, session
}

// A caseHeader is a record header; a nil value is null.
type caseHeader struct{ Key, Value *string }

var configMark = regexp.MustCompile(`(?i)^\{CONFIG\}$`)

// commentOrString matches the comments of the cases' JSON, and strings, in
// which there are none.
var commentOrString = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/`)

func withoutComments(text []byte) []byte {
	return commentOrString.ReplaceAllFunc(text, func(m []byte) []byte {
		if m[0] == '"' {
			return m
		}
		return nil
	})
}

// loadCases reads a file of cases: JSON with comments.
func loadCases(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(withoutComments(text)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// expand returns a case once for each of its formats and configurations, with
// both filled in; file is the name before each case's own.
func (c *queryCase) expand(file string) []queryCase {
	formats, configs := c.Format, c.Config
	if len(formats) == 0 {
		formats = []string{""}
	}
	if len(configs) == 0 {
		configs = []string{""}
	}
	var out []queryCase
	for _, f := range formats {
		for _, v := range configs {
			x := *c
			x.Name = file + " - " + c.Name
			x.Statements = nil
			for _, s := range c.Statements {
				x.Statements = append(x.Statements, strings.ReplaceAll(s, "{FORMAT}", f))
			}
			if f != "" {
				x.Name += " - " + f
			}
			x.configure(v)
			out = append(out, x)
		}
	}
	return out
}

// configure gives the one property that stands for a configuration its value.
func (c *queryCase) configure(value string) {
	c.Properties = maps.Clone(c.Properties)
	for name, v := range c.Properties {
		if s, ok := v.(string); ok && configMark.MatchString(s) {
			c.Properties[name] = value
			c.Name += " - " + name + "=" + value
		}
	}
}

// runCases runs the cases of a .json file, of either kind.
func runCases(ctx context.Context, path string, o Options, out io.Writer, sum *Summary) error {
	var file struct{ Tests []json.RawMessage }
	if err := loadCases(path, &file); err != nil {
		return err
	}
	overHTTP := isRestFile(file.Tests)
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	for _, raw := range file.Tests {
		var rc restCase
		if err := decodeExact(bytes.NewReader(raw), &rc); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, c := range rc.expand(name) {
			rc.queryCase = c
			run := func() *caseFault { return c.run(ctx, o.CaseBatch) }
			if overHTTP {
				run = func() *caseFault { return rc.runHTTP(ctx) }
			}
			runOneCase(&c, run, o, out, sum)
		}
	}
	return nil
}

func runOneCase(c *queryCase, run func() *caseFault, o Options, out io.Writer, sum *Summary) {
	if c.Enabled != nil && !*c.Enabled || c.onlyInternalTopics() {
		sum.Skipped++
		return
	}
	o.progress(c.Name, *sum)
	if fault := run(); fault != nil {
		sum.Failed++
		fmt.Fprintln(out, c.describe(fault))
		return
	}
	sum.Passed++
}

// caseTimeout ends a case that hangs, and a statement or query of a golden test: no
// other takes as long, however seldom it gets a processor.
const caseTimeout = 2 * time.Minute

// A caseFault is what is wrong with a case, and the records to show beside
// each other.
type caseFault struct {
	text      string
	want, got []string
}

func faultf(format string, args ...any) *caseFault {
	return &caseFault{text: fmt.Sprintf(format, args...)}
}

// shownRecords bounds the records shown of a failing case.
const shownRecords = 30

// describe tells all there is to know of a failing case: statements, inputs,
// what is wrong, expected and actual records side by side.
func (c *queryCase) describe(f *caseFault) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FAIL %s\n%s\n", c.Name, strings.Join(c.Statements, "\n"))
	for _, name := range slices.Sorted(maps.Keys(c.Properties)) {
		fmt.Fprintf(&b, "  set %s = %v\n", name, c.Properties[name])
	}
	for i, in := range c.Inputs {
		if i == shownRecords {
			fmt.Fprintf(&b, "  … and %d more inputs\n", len(c.Inputs)-i)
			break
		}
		fmt.Fprintf(&b, "  input %s\n", in.String())
	}
	b.WriteString(f.text + "\n")
	b.WriteString(sideBySide(f.want, f.got))
	return b.String()
}

// String shows a record in a line.
func (r *caseRecord) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// sideBySide shows expected and actual records in two columns, those that
// differ marked.
func sideBySide(want, got []string) string {
	if len(want)+len(got) == 0 {
		return ""
	}
	width := len("expected")
	for _, w := range want {
		width = max(width, len([]rune(w)))
	}
	width = min(width, 100)
	var b strings.Builder
	fmt.Fprintf(&b, "    %-*s   actual\n", width, "expected")
	for i := range max(len(want), len(got)) {
		if i == shownRecords {
			fmt.Fprintf(&b, "    … %d and %d records in all\n", len(want), len(got))
			break
		}
		w, g := at(want, i), at(got, i)
		mark := " "
		if w != g {
			mark = "≠"
		}
		fmt.Fprintf(&b, "    %-*s %s %s\n", width, w, mark, g)
	}
	return b.String()
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}
