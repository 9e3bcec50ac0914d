package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"karst/exec"
	"karst/log"
	"karst/log/registry"
	"karst/server"
	"karst/server/api"
	"karst/sql"
)

// A restCase is one test of ksqlDB's HTTP format: what a query case has, and
// the answers of the HTTP API.
type restCase struct {
	queryCase
	Responses       []map[string]json.RawMessage
	ExpectedError   *restError
	InputConditions struct{ WaitForActivePushQuery bool }
	// OutputConditions may hold rows to their order.
	OutputConditions        struct{ VerifyOrder bool }
	TestPullWithProtoFormat bool
}

// A restError is the answer expected of the statement that fails.
type restError struct {
	Type    string // the Java class: …KsqlStatementErrorMessage or …KsqlErrorMessage
	Message string
	Status  int
}

// isRestFile reports whether a file of cases is of the HTTP kind, which alone
// has the members that tell what is answered.
func isRestFile(tests []json.RawMessage) bool {
	for _, t := range tests {
		var c struct{ Responses, ExpectedError, InputConditions json.RawMessage }
		if json.Unmarshal(t, &c) == nil && (c.Responses != nil || c.ExpectedError != nil || c.InputConditions != nil) {
			return true
		}
	}
	return false
}

// A restRun is one HTTP case being run against a server in memory.
type restRun struct {
	*caseRun
	*caseEngine
	rest   *restCase
	client *api.Client
	got    []restAnswer
	ended  bool // the expected error has come
}

// A restAnswer is what came back for one statement: an entity of /ksql, or
// the rows of a query, in JSON or as protobuf.
type restAnswer struct {
	kind  string // admin, query, queryProto
	value any
}

// runHTTP returns what is wrong, nil if nothing is.
func (c *restCase) runHTTP(ctx context.Context) *caseFault {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	stmts, _ := sql.Parse(strings.Join(c.Statements, "\n"), sql.Options{}) // the server says what is wrong
	settings := caseSettings()
	settings["ksql.query.push.v2.enabled"] = "true"
	r := &restRun{caseRun: &caseRun{ctx: ctx, c: &c.queryCase, settings: settings, registry: registry.New(), stmts: stmts, topics: c.topicsBefore(stmts, defaultPartitions)}, rest: c}
	err := r.registerSchemas()
	if err != nil {
		return faultf("%v", err)
	}
	if r.caseEngine, err = r.open(); err != nil {
		return faultf("%v", err)
	}
	defer r.close()
	var stop func()
	r.client, stop = server.New(r.engine, slog.New(slog.DiscardHandler), caseClock).InMemory()
	defer stop()
	if err := r.run(); err != nil {
		return faultf("%v", err)
	}
	return nil
}

// run goes through the steps of an HTTP case, in their order.
func (r *restRun) run() error {
	admin, queries := r.split()
	if err := r.admin(admin); err != nil || r.ended {
		return err
	}
	wait := r.rest.InputConditions.WaitForActivePushQuery
	if !wait {
		if err := r.inputs(); err != nil {
			return err
		}
		if len(queries) > 0 && r.rest.ExpectedError == nil {
			if err := r.engine.Quiesce(r.ctx); err != nil {
				return err
			}
		}
	}
	for _, q := range queries {
		if err := r.query(q, wait); err != nil {
			return err
		}
	}
	if r.rest.ExpectedError != nil && !r.ended {
		return errors.New("expected an error, there was none: " + r.rest.ExpectedError.Message)
	}
	if r.rest.TestPullWithProtoFormat {
		for _, q := range queries {
			if err := r.queryProto(q); err != nil {
				return err
			}
		}
	}
	if err := r.outputs(); err != nil {
		return err
	}
	return r.compareAnswers()
}

// split divides the statements at the first that is a query.
func (r *restRun) split() (admin, queries []string) {
	for _, s := range r.c.Statements {
		if queries != nil || strings.HasPrefix(s, "SELECT ") {
			queries = append(queries, s)
		} else {
			admin = append(admin, s)
		}
	}
	return admin, queries
}

func (r *restRun) inputs() error {
	for i := range r.c.Inputs {
		in := &r.c.Inputs[i]
		src := sourceOf(r.engine.Catalog(), in.Topic)
		if src == nil {
			continue // nobody reads it
		}
		rec, err := in.encode(src, r.registry)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if err := r.engine.Produce(r.ctx, in.Topic, []exec.Record{{Time: rec.time, Key: rec.key, Value: rec.value, Headers: rec.headers}}); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	return nil
}

// post sends a request whose statement stands under the given member.
func (r *restRun) post(path, member, text, accept string) (*http.Response, error) {
	properties := "streamsProperties"
	if member == "sql" {
		properties = "properties"
	}
	body, err := json.Marshal(map[string]any{member: text, properties: r.c.Properties})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.client.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/vnd.ksql.v1+json")
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	return r.client.HTTP.Do(req)
}

func (r *restRun) admin(statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	resp, err := r.post("/ksql", "ksql", strings.Join(statements, "\n"), "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r.failed(resp)
	}
	var entities []any
	if err := decodeExact(resp.Body, &entities); err != nil {
		return fmt.Errorf("the answer of /ksql: %w", err)
	}
	for _, e := range entities {
		r.got = append(r.got, restAnswer{"admin", e})
	}
	return nil
}

// decodeExact decodes JSON, keeping numbers as they are written.
func decodeExact(in io.Reader, into any) error {
	d := json.NewDecoder(in)
	d.UseNumber()
	return d.Decode(into)
}

// failed holds an answer that is an error to the expected one.
func (r *restRun) failed(resp *http.Response) error {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var e struct {
		Type      string `json:"@type"`
		Code      int    `json:"error_code"`
		Message   string
		Statement string `json:"statementText"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("status %d with a body that is no error: %s", resp.StatusCode, text)
	}
	want := r.rest.ExpectedError
	if want == nil {
		return fmt.Errorf("unexpected error (%d, %s, %d): %s", resp.StatusCode, e.Type, e.Code, e.Message)
	}
	r.ended = true
	last := r.c.Statements[len(r.c.Statements)-1]
	switch statement := strings.HasSuffix(want.Type, ".KsqlStatementErrorMessage"); {
	case want.Status != 0 && want.Status != resp.StatusCode:
		return fmt.Errorf("status %d, expected %d: %s", resp.StatusCode, want.Status, e.Message)
	case want.Status != 0 && e.Code/100 != want.Status:
		return fmt.Errorf("error code %d does not belong to status %d", e.Code, want.Status)
	case statement && e.Type != "statement_error":
		return fmt.Errorf("the error's type is %s, expected statement_error: %s", e.Type, e.Message)
	case statement && !strings.Contains(e.Statement, last):
		return fmt.Errorf("the error's statement is %q, expected %q", e.Statement, last)
	}
	if missing := r.c.missingName(last, want.Message, e.Message); missing != "" {
		return fmt.Errorf("the error does not name %s: %s\nexpected: %s", missing, e.Message, want.Message)
	}
	return nil
}

// query sends a query to /query; with produce, the inputs follow once the
// query has begun.
func (r *restRun) query(text string, produce bool) error {
	resp, err := r.post("/query", "ksql", text, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r.failed(resp)
	}
	if r.rest.ExpectedError != nil {
		return errors.New("expected an error, the query succeeded: " + text)
	}
	rows, err := r.readRows(resp.Body, produce)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	r.got = append(r.got, restAnswer{"query", rows})
	return nil
}

// readRows reads an array of rows; with produce, the inputs are sent after the
// first element, the header.
func (r *restRun) readRows(body io.Reader, produce bool) ([]any, error) {
	d := json.NewDecoder(body)
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("the answer is no array: %v %w", t, err)
	}
	rows := []any{}
	for d.More() {
		var row any
		if err := d.Decode(&row); err != nil {
			return nil, err
		}
		if rows = append(rows, row); len(rows) == 1 && produce {
			if err := r.inputs(); err != nil {
				return nil, err
			}
		}
	}
	_, err := d.Token()
	return rows, err
}

// outputs holds topics to the records expected in them, as many as there are.
func (r *restRun) outputs() error {
	want := map[string][]caseRecord{}
	for _, o := range r.c.Outputs {
		want[o.Topic] = append(want[o.Topic], o)
	}
	for topic, list := range want {
		src := sourceOf(r.engine.Catalog(), topic)
		if src == nil {
			return errors.New("no source has the topic " + topic)
		}
		got, err := r.read(r.ctx, topic, map[log.Partition]int64{})
		if err != nil {
			return err
		}
		if len(got) < len(list) {
			return fmt.Errorf("%s has %d records, expected %d", topic, len(got), len(list))
		}
		for i := range list {
			if fault := r.compareRecord(src, &list[i], &got[i]); fault != "" {
				return fmt.Errorf("%s record %d: %s", topic, i, fault)
			}
		}
	}
	return nil
}
