package planner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// A corpusCase is what planning needs of one case of ../shared/ksqldb/qtt; see
// format.md there.
type corpusCase struct {
	Name       string         `json:"name"`
	Enabled    *bool          `json:"enabled"`
	Format     []string       `json:"format"`
	Config     []string       `json:"config"`
	Properties map[string]any `json:"properties"`
	Statements []string       `json:"statements"`
	Topics     []struct {
		Name       string `json:"name"`
		Partitions int    `json:"partitions"`
	} `json:"topics"`
	Inputs   []struct{ Topic string } `json:"inputs"`
	Outputs  []struct{ Topic string } `json:"outputs"`
	Expected *struct {
		Message string `json:"message"`
	} `json:"expectedException"`
	Post struct {
		Sources []corpusSource `json:"sources"`
	} `json:"post"`
}

type corpusSource struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Schema    string `json:"schema"`
	KeyFormat *struct {
		Format     string `json:"format"`
		WindowType string `json:"windowType"`
		WindowSize int64  `json:"windowSize"`
	} `json:"keyFormat"`
}

// corpusRoot is where ksqlDB's cases are, "" if they are not here.
func corpusRoot() string {
	root := os.Getenv("KARST_CASES")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "ksqldb")
	}
	if _, err := os.Stat(root); err != nil {
		return ""
	}
	return root
}

// withoutComments drops // and /* */ outside of strings.
func withoutComments(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			start := i
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			out = append(out, b[start:i+1]...)
		case b[i] == '/' && b[i+1] == '/':
			for b[i] != '\n' {
				i++
			}
		case b[i] == '/' && b[i+1] == '*':
			for i += 2; b[i] != '*' || b[i+1] != '/'; i++ {
			}
			i++
		default:
			out = append(out, b[i])
		}
	}
	return out
}

// readCorpus returns the cases of each file, one for each format and config.
func readCorpus(t *testing.T, root string) map[string][]corpusCase {
	files, err := filepath.Glob(filepath.Join(root, "qtt", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", root, err)
	}
	out := map[string][]corpusCase{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Tests []corpusCase }
		if err := json.Unmarshal(withoutComments(b), &file); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, c := range file.Tests {
			if c.Enabled != nil && !*c.Enabled {
				continue
			}
			if len(c.Format) == 0 {
				c.Format = []string{""}
			}
			for _, format := range c.Format {
				one := c
				one.Statements = []string{strings.ReplaceAll(strings.Join(c.Statements, "\n"), "{FORMAT}", format)}
				if format != "" {
					one.Name += " - " + format
				}
				name := strings.TrimSuffix(filepath.Base(f), ".json")
				out[name] = append(out[name], one)
			}
		}
	}
	return out
}

// A session plans statements one after another, as an engine would.
type session struct {
	cat      *catalog.Catalog
	topics   map[string]int
	settings map[string]string
	offset   int64
}

func newSession() *session {
	return &session{cat: catalog.New(), topics: map[string]int{}, settings: map[string]string{}}
}

func (s *session) input(stmt sql.Statement) planner.Input {
	return planner.Input{Catalog: s.cat, Facts: planner.Facts{Topics: s.topics}, Settings: s.settings, Offset: s.offset, Text: stmt.Text()}
}

// run plans a statement and applies what it does.
func (s *session) run(stmt sql.Statement) (*planner.Result, error) {
	r, err := planner.Plan(stmt, s.input(stmt))
	if err != nil {
		return nil, err
	}
	if r.Change != nil {
		next, err := s.cat.Apply(r.Change)
		if err != nil {
			return nil, fmt.Errorf("a planned change does not apply: %w", err)
		}
		s.cat = next
		if r.Change.Start != nil {
			s.offset++
		}
	}
	if r.CreateTopic != nil {
		s.topics[r.CreateTopic.Name] = r.CreateTopic.Partitions
	}
	return r, nil
}

// runCase plans all statements of a case.
func runCase(c corpusCase) (*session, error) {
	s := newSession()
	for k, v := range c.Properties {
		s.settings[k] = fmt.Sprint(v)
	}
	stmts, err := sql.Parse(c.Statements[0], sql.Options{})
	if err != nil {
		return s, err
	}
	for _, in := range c.Inputs {
		s.topics[in.Topic] = 4
	}
	for _, stmt := range stmts {
		if create, ok := stmt.(*sql.CreateSource); ok && create.As == nil {
			topic, n := create.Name, 4
			for _, p := range create.With {
				switch p.Name {
				case "KAFKA_TOPIC":
					topic = p.Value.Text
				case "PARTITIONS":
					n, _ = strconv.Atoi(p.Value.Text)
				}
			}
			s.topics[topic] = n
		}
	}
	for _, topic := range c.Topics {
		s.topics[topic.Name] = max(topic.Partitions, 1)
	}
	for _, stmt := range stmts {
		switch stmt := stmt.(type) {
		case *sql.InsertValues:
			if _, err := planner.InsertTarget(stmt, s.cat); err != nil {
				return s, err
			}
			continue
		case *sql.SetProperty, *sql.AssertValues, *sql.AssertSource:
			continue
		}
		if _, err := s.run(stmt); err != nil {
			return s, err
		}
	}
	return s, nil
}

func unsupported(err error) bool {
	var e *types.Error
	return errors.As(err, &e) && e.Kind == types.ErrUnsupported
}

// functionMissing reports whether err says that a function is not there yet.
func functionMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Can't find any functions")
}

// registryNeeded reports whether a case needs a format that only a schema
// registry makes work.
func registryNeeded(c corpusCase) bool {
	up := strings.ToUpper(c.Statements[0])
	for _, f := range []string{"AVRO", "PROTOBUF", "JSON_SR", "SCHEMA_ID"} {
		if strings.Contains(up, f) {
			return true
		}
	}
	return false
}

// checkSources compares what a case made with what it promises.
func checkSources(c corpusCase, s *session) error {
	for _, want := range c.Post.Sources {
		src, ok := s.cat.Source(want.Name)
		if !ok {
			return fmt.Errorf("there is no %s", want.Name)
		}
		if !strings.EqualFold(src.Kind.Lower(), want.Type) {
			return fmt.Errorf("%s is a %s", want.Name, src.Kind.Lower())
		}
		if want.Schema != "" {
			if got, exp := canonicalSchema(src.Schema), wantedSchema(want.Schema); got != exp {
				return fmt.Errorf("%s is\n      %s, not\n      %s", want.Name, got, exp)
			}
		}
		if k := want.KeyFormat; k != nil {
			if src.KeyFormat.Name != k.Format {
				return fmt.Errorf("the key format of %s is %s, not %s", want.Name, src.KeyFormat.Name, k.Format)
			}
			win, size := "", int64(0)
			if src.Window != nil {
				win, size = string(src.Window.Kind), src.Window.SizeMS
			}
			if win != k.WindowType || size != k.WindowSize {
				return fmt.Errorf("the window of %s is %s %d, not %s %d", want.Name, win, size, k.WindowType, k.WindowSize)
			}
		}
	}
	return nil
}

func canonicalSchema(s types.Schema) string { return s.String() }

// wantedSchema reads columns as in CREATE STREAM.
func wantedSchema(text string) string {
	stmts, err := sql.Parse("CREATE STREAM X ("+text+") WITH (KAFKA_TOPIC='x', FORMAT='JSON');", sql.Options{})
	if err != nil {
		return err.Error()
	}
	var s types.Schema
	for _, c := range stmts[0].(*sql.CreateSource).Columns {
		t, err := sql.ResolveType(c.Type, func(string) (*types.Type, bool) { return nil, false })
		if err != nil {
			return err.Error()
		}
		col := types.Column{Name: c.Name, Type: t}
		if c.Key || c.PrimaryKey {
			col.Namespace = types.NamespaceKey
		}
		s.Columns = append(s.Columns, col)
	}
	return s.String()
}

// TestCorpus plans all of ksqlDB's cases and counts: positive ones that plan
// with the schemas they promise, negative ones that are rejected.
func TestCorpus(t *testing.T) {
	root := corpusRoot()
	if root == "" {
		t.Skip("SKIPPED: no cases")
	}
	files := readCorpus(t, root)
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	only := os.Getenv("KARST_CORPUS_FILE")
	var planned, positive, rejected, negative, later int
	for _, name := range names {
		if only != "" && !slices.Contains(strings.Split(only, ","), name) {
			continue
		}
		for _, c := range files[name] {
			s, err := runCase(c)
			if registryNeeded(c) || c.Expected == nil && (unsupported(err) || functionMissing(err)) {
				later++
				continue
			}
			if c.Expected != nil {
				if len(c.Inputs) > 0 {
					continue // fails while it runs
				}
				negative++
				if err != nil {
					rejected++
					t.Logf("rejected: %s - %s: %v\n      theirs: %s", name, c.Name, err, firstLine(c.Expected.Message))
				} else {
					t.Logf("NOT REJECTED: %s - %s: %s", name, c.Name, firstLine(c.Expected.Message))
				}
				continue
			}
			positive++
			if err == nil {
				err = checkSources(c, s)
			}
			if err == nil {
				err = checkPlans(s.cat)
			}
			if err != nil {
				t.Logf("FAILED: %s - %s: %v", name, c.Name, err)
				continue
			}
			planned++
		}
	}
	t.Logf("planned %d of %d, rejected %d of %d; %d need what is not here yet", planned, positive, rejected, negative, later)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// checkPlans holds all plans to what every plan must be.
func checkPlans(c *catalog.Catalog) error {
	for _, id := range c.QueryIDs() {
		q, _ := c.Query(id)
		if err := errors.Join(checkRoundTrip(q.Plan), checkSteps(q.Plan)); err != nil {
			return err
		}
	}
	return nil
}

// checkRoundTrip takes a plan through its JSON form.
func checkRoundTrip(p *plan.Plan) error {
	a, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var back plan.Plan
	if err := json.Unmarshal(a, &back); err != nil {
		return err
	}
	b, err := json.Marshal(&back)
	if err != nil {
		return err
	}
	if string(a) != string(b) || planner.Explain(p) != planner.Explain(&back) {
		return fmt.Errorf("a plan changes on its way through JSON: %s became %s", a, b)
	}
	return nil
}
