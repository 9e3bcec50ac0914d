package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"karst/log"
	"karst/log/registry"
	"karst/sql"
	"karst/sql/types"
)

// A sqlTest is one test of a .sql file in ksqlDB's test dialect:
//
//	--@test: name
//	--@expected.error: Java class
//	--@expected.message: part of its message
//	statements
type sqlTest struct {
	queryCase
	text string
	file string
}

var directive = regexp.MustCompile(`^--@([a-z.]+):\s*(.*)$`)

// parseSQLTests splits a file at its --@test lines.
func parseSQLTests(path, text string) ([]sqlTest, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".sql")
	var tests []sqlTest
	var t *sqlTest
	for n, line := range strings.Split(text, "\n") {
		m := directive.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m != nil && m[1] == "test":
			tests = append(tests, sqlTest{queryCase: queryCase{Name: name + " - " + m[2]}, file: path})
			t = &tests[len(tests)-1]
		case t == nil && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "--"):
			return nil, fmt.Errorf("%s:%d: a statement before the first --@test line", path, n+1)
		case t == nil:
		case m == nil:
			t.text += line + "\n"
		case m[1] == "expected.error":
			t.expected().Type = m[2]
		case m[1] == "expected.message":
			t.expected().Message = m[2]
		default:
			return nil, fmt.Errorf("%s:%d: unknown directive %s", path, n+1, m[1])
		}
	}
	for i := range tests {
		tests[i].text = strings.TrimSpace(tests[i].text)
		tests[i].Statements = []string{tests[i].text}
	}
	return tests, nil
}

func (t *sqlTest) expected() *caseError {
	if t.Error == nil {
		t.Error = &caseError{}
	}
	return t.Error
}

// runSQLTests runs the tests of a .sql file.
func runSQLTests(ctx context.Context, path string, o Options, out io.Writer, sum *Summary) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tests, err := parseSQLTests(path, string(text))
	if err != nil {
		return err
	}
	for i := range tests {
		t := &tests[i]
		runOneCase(&t.queryCase, func() *caseFault { return t.runSQL(ctx) }, o, out, sum)
	}
	return nil
}

// An assertion is an ASSERT statement that does not hold.
type assertion struct{ text string }

// Error implements error.
func (a *assertion) Error() string { return a.text }

// runSQL runs a test's statements one by one in an engine of its own; after
// each everything is brought to rest. It returns what is wrong.
func (t *sqlTest) runSQL(ctx context.Context) *caseFault {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	r := &sqlRun{caseRun: &caseRun{ctx: ctx, c: &t.queryCase, batch: 1, serial: true, settings: caseSettings(), registry: registry.New()}, dir: filepath.Dir(t.file), cursors: map[string]*cursor{}}
	var err error
	if r.caseEngine, err = r.open(); err != nil {
		return faultf("%v", err)
	}
	defer r.close()
	at, err := r.script(t.text)
	switch {
	case err == nil && t.Error != nil:
		return faultf("expected an error, there was none: %s %s", t.Error.Type, t.Error.Message)
	case err == nil:
		return nil
	}
	return t.judgeSQL(err, at)
}

// judgeSQL holds the error of a statement to the expected one.
func (t *sqlTest) judgeSQL(err error, statement string) *caseFault {
	var failed *assertion
	if !errors.As(err, &failed) {
		return t.judge(err, statement, true)
	}
	wanted := t.Error != nil && simpleName(t.Error.Type) == "AssertionError" || strings.HasPrefix(failed.text, "Expected ") && t.Error != nil && isAssertSource(statement)
	switch {
	case !wanted:
		return faultf("%s\nat %s", failed.text, statement)
	case !strings.Contains(failed.text, strings.Trim(t.Error.Message, ". ")):
		return faultf("%s\nexpected: %s", failed.text, t.Error.Message)
	}
	return nil
}

var assertSource = regexp.MustCompile(`(?i)^\s*ASSERT\s+(STREAM|TABLE)\b`)

func isAssertSource(statement string) bool { return assertSource.MatchString(statement) }

// A sqlRun is one test being run.
type sqlRun struct {
	*caseRun
	*caseEngine
	dir     string
	cursors map[string]*cursor // by topic
}

// A cursor is the position of a topic's assertions.
type cursor struct {
	id        log.TopicID
	positions map[log.Partition]int64
	unread    []record
}

// script runs statements; it returns the text of the one that failed.
func (r *sqlRun) script(text string) (string, error) {
	stmts, err := sql.Parse(text, sql.Options{Variables: r.session.Variables})
	if err != nil {
		return text, err
	}
	for _, s := range stmts {
		if err := r.statement(s); err != nil {
			return s.Text(), err
		}
	}
	return "", nil
}

func (r *sqlRun) statement(s sql.Statement) error {
	switch s := s.(type) {
	case *sql.AssertValues:
		return r.assertValues(s)
	case *sql.AssertSource:
		return r.assertSource(s)
	case *sql.RunScript:
		return r.include(s)
	case *sql.CreateSource:
		if err := r.makeTopic(s); err != nil {
			return err
		}
	}
	if _, err := r.engine.ExecuteStatement(r.ctx, s, r.session); err != nil {
		return err
	}
	return r.engine.Quiesce(r.ctx)
}

// makeTopic makes the topic of a CREATE, of one partition unless it says
// otherwise.
func (r *sqlRun) makeTopic(s *sql.CreateSource) error {
	topic, n := createdTopic(s, nil)
	_, err := r.log.CreateTopic(r.ctx, topic, int32(max(n, 1)), nil)
	if errors.Is(err, log.ErrTopicExists) {
		return nil
	}
	return err
}

// includedScripts are those that the suite keeps beside its tests.
var includedScripts = map[string]string{
	"/test-script.sql": "CREATE STREAM foo (id INT KEY, col1 INT) WITH (kafka_topic='foo', value_format='JSON');\nCREATE STREAM bar AS SELECT * FROM foo;",
}

// include runs the statements of a file below the test's folder.
func (r *sqlRun) include(s *sql.RunScript) error {
	text, err := os.ReadFile(filepath.Join(r.dir, filepath.Clean("/"+s.File)))
	if known, ok := includedScripts[s.File]; err != nil && ok {
		text, err = []byte(known), nil
	}
	if err != nil {
		return types.Errorf(types.ErrStatement, s.Pos(), "Failed to read file: %s", s.File)
	}
	_, err = r.script(string(text))
	return err
}

// next returns the next record of a topic that no assertion has read.
func (r *sqlRun) next(topic string) (*record, error) {
	t, err := r.log.Topic(r.ctx, topic)
	if err != nil {
		return nil, err
	}
	c := r.cursors[topic]
	if c == nil || c.id != t.ID { // a topic may have been deleted and made again
		c = &cursor{id: t.ID, positions: map[log.Partition]int64{}}
		r.cursors[topic] = c
	}
	more, err := r.read(r.ctx, topic, c.positions)
	if err != nil {
		return nil, err
	}
	c.unread = append(c.unread, more...)
	if len(c.unread) == 0 {
		return nil, &assertion{"Expected another record, but all records have already been read: " + topic}
	}
	rec := &c.unread[0]
	c.unread = c.unread[1:]
	return rec, nil
}
