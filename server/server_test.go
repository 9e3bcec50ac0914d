package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/exec/exectest"
	"karst/log"
	"karst/server/api"
)

// A site is a server over an engine in memory, on a loopback port.
type site struct {
	t      *testing.T
	engine *exectest.Engine
	url    string
}

func serve(t *testing.T) *site {
	t.Helper()
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = New(e.Engine, slog.New(slog.DiscardHandler), time.Now).HTTP()
	base, cancel := context.WithCancel(context.Background())
	srv.Config.BaseContext = func(net.Listener) context.Context { return base }
	srv.Start()
	t.Cleanup(func() { cancel(); srv.Close() })
	return &site{t, e, srv.URL}
}

// send posts a body and returns status and answer.
func (s *site) send(path, body string, header ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (s *site) ksql(text string) []map[string]any {
	s.t.Helper()
	status, body := s.send("/ksql", statement(text))
	var out []map[string]any
	if status != http.StatusOK || json.Unmarshal([]byte(body), &out) != nil {
		s.t.Fatalf("%s: %d %s", text, status, body)
	}
	return out
}

func statement(text string) string {
	b, _ := json.Marshal(map[string]any{"ksql": text, "streamsProperties": map[string]any{"auto.offset.reset": "earliest"}})
	return string(b)
}

const setUp = `CREATE TYPE address AS STRUCT<street STRING, no INT>;
CREATE STREAM s (k STRING KEY, v INT, d DECIMAL(4, 2), at ARRAY<address>, m MAP<STRING, BIGINT>) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='JSON', KEY_FORMAT='JSON');
CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY k;
CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
INSERT INTO s (ROWTIME, k, v) VALUES (5, 'a', 1);
INSERT INTO s (ROWTIME, k, v) VALUES (6, 'b', 2);`

// at follows a path of members and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// TestEntities holds the answers to the fields and types that ksqlDB's clients
// read.
func TestEntities(t *testing.T) {
	s := serve(t)
	first := s.ksql(setUp)
	if len(first) != 4 {
		t.Fatalf("%d entities, want one for each but the INSERTs: %v", len(first), first)
	}
	for _, c := range []struct {
		statement string
		path      []any
		want      any
	}{
		{"", []any{1, "@type"}, "currentStatus"},
		{"", []any{1, "commandId"}, "stream/`S`/create"},
		{"", []any{1, "commandStatus", "status"}, "SUCCESS"},
		{"", []any{1, "commandSequenceNumber"}, 1.0},
		{"", []any{1, "commandStatus", "queryId"}, nil},
		{"", []any{2, "commandStatus", "queryId"}, "CTAS_T_2"},
		{"", []any{2, "warnings"}, []any{}},
		{"LIST STREAMS;", []any{0, "@type"}, "streams"},
		{"LIST STREAMS;", []any{0, "statementText"}, "LIST STREAMS;"},
		{"LIST STREAMS;", []any{0, "streams", 0}, map[string]any{"type": "STREAM", "name": "S", "topic": "s", "keyFormat": "JSON", "valueFormat": "JSON", "isWindowed": false}},
		{"LIST TABLES;", []any{0, "tables", 1, "isWindowed"}, true},
		{"LIST TOPICS;", []any{0, "@type"}, "kafka_topics"},
		{"LIST TOPICS;", []any{0, "topics", 2, "name"}, "s"},
		{"LIST TOPICS;", []any{0, "topics", 2, "replicaInfo"}, []any{1.0, 1.0}},
		{"SHOW TOPICS EXTENDED;", []any{0, "@type"}, "kafka_topics_extended"},
		{"SHOW TOPICS EXTENDED;", []any{0, "topics", 2, "consumerCount"}, 2.0},
		{"SHOW QUERIES;", []any{0, "queries", 1, "id"}, "CTAS_T_2"},
		{"SHOW QUERIES;", []any{0, "queries", 1, "sinks"}, []any{"T"}},
		{"SHOW QUERIES;", []any{0, "queries", 1, "sinkKafkaTopics"}, []any{"T"}},
		{"SHOW QUERIES;", []any{0, "queries", 1, "statusCount"}, map[string]any{"RUNNING": 1.0}},
		{"SHOW QUERIES;", []any{0, "queries", 1, "queryType"}, "PERSISTENT"},
		{"SHOW QUERIES EXTENDED;", []any{0, "@type"}, "query_descriptions"},
		{"SHOW QUERIES EXTENDED;", []any{0, "queryDescriptions", 0, "statistics", "recordsRead"}, 2.0},
		{"SHOW TYPES;", []any{0, "types", "ADDRESS", "fields", 1}, map[string]any{"name": "NO", "schema": map[string]any{"type": "INTEGER", "fields": nil, "memberSchema": nil}}},
		{"DESCRIBE s;", []any{0, "@type"}, "sourceDescription"},
		{"DESCRIBE s;", []any{0, "sourceDescription", "fields", 0, "type"}, "KEY"},
		{"DESCRIBE s;", []any{0, "sourceDescription", "fields", 2, "schema", "parameters", "precision"}, 4.0},
		{"DESCRIBE s;", []any{0, "sourceDescription", "fields", 3, "schema", "memberSchema", "type"}, "STRUCT"},
		{"DESCRIBE s;", []any{0, "sourceDescription", "fields", 4, "schema", "memberSchema", "type"}, "BIGINT"},
		{"DESCRIBE s;", []any{0, "sourceDescription", "partitions"}, 0.0},
		{"DESCRIBE s;", []any{0, "sourceDescription", "readQueries", 1, "id"}, "CTAS_T_2"},
		{"DESCRIBE s EXTENDED;", []any{0, "sourceDescription", "partitions"}, 2.0},
		{"DESCRIBE s EXTENDED;", []any{0, "sourceDescription", "extended"}, true},
		{"DESCRIBE t EXTENDED;", []any{0, "sourceDescription", "windowType"}, "TUMBLING"},
		{"DESCRIBE STREAMS EXTENDED;", []any{0, "sourceDescriptions", 0, "name"}, "S"},
		{"SHOW TABLES EXTENDED;", []any{0, "sourceDescriptions", 1, "name"}, "T"},
		{"EXPLAIN CTAS_T_2;", []any{0, "queryDescription", "sources"}, []any{"S"}},
		{"EXPLAIN SELECT v FROM s EMIT CHANGES;", []any{0, "queryDescription", "queryType"}, "PUSH"},
		{"SHOW FUNCTIONS;", []any{0, "functions", 0, "name"}, "ABS"},
		{"DESCRIBE FUNCTION abs;", []any{0, "@type"}, "describe_function"},
		{"DESCRIBE FUNCTION abs;", []any{0, "type"}, "SCALAR"},
		{"DESCRIBE FUNCTION concat;", []any{0, "functions", 0, "arguments", 0, "isVariadic"}, true},
		{"SHOW PROPERTIES;", []any{0, "properties", 0, "name"}, "auto.offset.reset"},
		{"SHOW PROPERTIES;", []any{0, "properties", 0, "value"}, "earliest"},
		{"SHOW PROPERTIES;", []any{0, "overwrittenProperties"}, []any{"auto.offset.reset"}},
		{"DEFINE x = 'y'; SHOW VARIABLES;", []any{0, "variables", 0}, map[string]any{"name": "X", "value": "y"}},
		{"DESCRIBE FUNCTION concat;", []any{0, "functions", 0, "returnType"}, "STRING"},
		{"ASSERT TOPIC s WITH (PARTITIONS=2);", []any{0, "exists"}, true},
		{"ASSERT NOT EXISTS TOPIC nope;", []any{0, "topicName"}, "nope"},
	} {
		list := first
		if c.statement != "" {
			if strings.Contains(c.statement, "EXTENDED") {
				s.engine.Settle()
			}
			list = s.ksql(c.statement)
		}
		var all []any
		for _, e := range list {
			all = append(all, e)
		}
		if got := at(all, c.path...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %v: got %v, want %v", c.statement, c.path, got, c.want)
		}
	}
}

// TestErrors holds errors to their status, type, code and the statement that
// failed, and what came before it to be told.
func TestErrors(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		path, body        string
		status, code      int
		kind, text, about string
	}{
		{"/ksql", statement("CREATE STREAM a (v INT) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON'); CREATE STREAM b AS SELECT nope FROM a;"), 400, 40001, "statement_error", "CREATE STREAM b AS SELECT nope FROM a;", "NOPE"},
		{"/ksql", statement("CREATE STREM x;"), 400, 40001, "statement_error", "CREATE STREM x;", "STREM"},
		{"/ksql", statement("SELECT * FROM a;"), 400, 40001, "statement_error", "SELECT * FROM a;", "query endpoint"},
		{"/ksql", "{nonsense", 400, 40000, "generic_error", "", "JSON"},
		{"/ksql", `{"ksql":"` + strings.Repeat(" ", maxBodyBytes) + `"}`, 413, 41300, "generic_error", "", "larger"},
		{"/ksql", `{"ksql":"SHOW STREAMS;","streamsProperties":{"auto.ofset.reset":"earliest"}}`, 400, 40001, "statement_error", "SHOW STREAMS;", "auto.offset.reset"},
		{"/ksql", `{"ksql":"SHOW STREAMS;","streamsProperties":{"auto.offset.reset":"sideways"}}`, 400, 40001, "statement_error", "SHOW STREAMS;", "earliest or latest"},
		{"/ksql", `{"ksql":"SHOW STREAMS;","streamsProperties":{"auto.offset.reset":["x"]}}`, 400, 40001, "statement_error", "SHOW STREAMS;", "must be a string"},
		{"/ksql", statement("ASSERT TOPIC nope TIMEOUT 1 MILLISECONDS;"), 400, 40001, "statement_error", "ASSERT TOPIC nope TIMEOUT 1 MILLISECONDS;", "does not exist"},
		{"/ksql", statement("CREATE SOURCE CONNECTOR c WITH ('a'='b');"), 400, 40001, "statement_error", "CREATE SOURCE CONNECTOR c WITH ('a'='b');", "connectors"},
		{"/ksql", statement(strings.Repeat("SHOW STREAMS;", 1001)), 400, 40001, "statement_error", "", "more than 1000 statements"},
		{"/ksql", statement("INSERT INTO a (v) VALUES ('x');"), 400, 40001, "statement_error", "INSERT INTO a (v) VALUES ('x');", "`V`"},
		{"/query", statement("SHOW STREAMS;"), 400, 40001, "statement_error", "SHOW STREAMS;", "/ksql"},
		{"/query", statement("SELECT * FROM nope;"), 400, 40001, "statement_error", "SELECT * FROM nope;", "NOPE"},
		{"/query", statement("PRINT nope;"), 400, 40001, "statement_error", "PRINT nope", "nope"},
		{"/query-stream", `{"sql":"SELECT 1 + FROM x;"}`, 400, 40001, "statement_error", "SELECT 1 + FROM x;", "line 1"},
		{"/close-query", `{"queryId":"nope"}`, 400, 40000, "generic_error", "", "nope"},
		{"/topics/nope/records", "{}", 404, 40400, "generic_error", "", "unknown topic"},
		{"/inserts-stream", `{"target":"nope"}`, 400, 40001, "statement_error", "", "NOPE"},
	} {
		status, body := s.send(c.path, c.body)
		var e api.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Errorf("%s %.80s: %s", c.path, c.body, body)
			continue
		}
		if status != c.status || e.Code != c.code || e.Type != c.kind || !strings.HasPrefix(e.Statement, c.text) || !strings.Contains(e.Message, c.about) {
			t.Errorf("%s %.80s: %d %+v", c.path, c.body, status, e)
		}
	}
	_, body := s.send("/ksql", statement("CREATE STREAM e (v INT) WITH (KAFKA_TOPIC='e', PARTITIONS=1, VALUE_FORMAT='JSON'); DROP STREAM nope;"))
	var e api.Error
	if err := json.Unmarshal([]byte(body), &e); err != nil || len(e.Entities) != 1 || e.Entities[0].Type != "currentStatus" {
		t.Errorf("what was done before the failure is not told: %s", body)
	}
}

// A lateLog tells of topics only when the time that there is for the answer is over.
type lateLog struct{ log.Log }

// Topic implements log.Log.
func (l lateLog) Topic(ctx context.Context, name string) (log.Topic, error) {
	if _, ends := ctx.Deadline(); ends {
		<-ctx.Done()
		return log.Topic{}, ctx.Err()
	}
	return l.Log.Topic(ctx, name)
}

// TestAssertIsAnswered: what an ASSERT waits for is looked at, however little time it
// has: the time is for it to come true.
func TestAssertIsAnswered(t *testing.T) {
	e := exectest.Open(t, exectest.Options{WrapLog: func(l log.Log) log.Log { return lateLog{l} }})
	t.Cleanup(e.Close)
	e.Run("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
	s := New(e.Engine, slog.New(slog.DiscardHandler), time.Now)
	for text, want := range map[string]string{"ASSERT TOPIC s TIMEOUT 1 MILLISECONDS;": `"exists":true`, "ASSERT TOPIC nope TIMEOUT 1 MILLISECONDS;": "does not exist"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "http://localhost/ksql", strings.NewReader(statement(text)))
		r.Header.Set("Content-Type", "application/json")
		if s.ServeHTTP(w, r); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", text, w.Code, w.Body)
		}
	}
}

// TestGuards holds requests of other sites' pages to being refused.
func TestGuards(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		header []string
		status int
	}{
		{nil, 200},
		{[]string{"Origin", "http://evil.example"}, 403},
		{[]string{"Origin", s.url}, 200},
		{[]string{"Host", "evil.example"}, 403},
		{[]string{"Host", "localhost:8088"}, 200},
		{[]string{"Content-Type", "text/plain"}, 403},
		{[]string{"Content-Type", "multipart/form-data; boundary=x"}, 403},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, 200},
		{[]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Content-Type", "application/vnd.ksql.v1+json; charset=utf-8"}, 200},
	} {
		if status, body := s.send("/ksql", statement("SHOW STREAMS;"), c.header...); status != c.status {
			t.Errorf("%v: %d, want %d: %s", c.header, status, c.status, body)
		}
	}
}

// TestQueryForms holds the rows of /query and /query-stream to their forms.
func TestQueryForms(t *testing.T) {
	s := serve(t)
	s.ksql(setUp)
	stream := func(q string) string { return `{"sql":"` + q + `","properties":{"auto.offset.reset":"earliest"}}` }
	const push = "SELECT k, v FROM s EMIT CHANGES LIMIT 2;"
	for _, c := range []struct{ path, body, accept, want string }{
		{"/query", statement("SELECT * FROM c WHERE k = 'a';"), "", "[{\"header\":{\"queryId\":\"?\",\"schema\":\"`K` STRING KEY, `N` BIGINT\"}},\n{\"row\":{\"columns\":[\"a\",1]}}]\n"},
		{"/query", statement("SELECT k FROM c WHERE k = 'none';"), "", "[{\"header\":{\"queryId\":\"?\",\"schema\":\"`K` STRING KEY\"}}]\n"},
		{"/query", statement("SELECT v FROM s WHERE v = 2;"), "", "[{\"header\":{\"queryId\":\"?\",\"schema\":\"`V` INTEGER\"}},\n{\"row\":{\"columns\":[2]}},\n{\"finalMessage\":\"Query Completed\"}]\n"},
		{"/query-stream", stream("SELECT * FROM c WHERE k = 'a';"), "", "{\"queryId\":null,\"columnNames\":[\"K\",\"N\"],\"columnTypes\":[\"STRING\",\"BIGINT\"]}\n[\"a\",1]\n"},
		{"/query-stream", stream("SELECT * FROM c WHERE k = 'a';"), "application/json", "[{\"queryId\":null,\"columnNames\":[\"K\",\"N\"],\"columnTypes\":[\"STRING\",\"BIGINT\"]},\n[\"a\",1]]\n"},
		{"/query-stream", stream("SELECT * FROM c WHERE k = 'a';"), "application/vnd.ksql.v1+json", "[{\"header\":{\"queryId\":\"?\",\"schema\":\"`K` STRING KEY, `N` BIGINT\"}},\n{\"row\":{\"columns\":[\"a\",1]}}]\n"},
	} {
		status, body := s.send(c.path, c.body, "Accept", c.accept)
		if got := withoutID(body); status != 200 || got != c.want {
			t.Errorf("%s %s %s: %d\n%s\nwant\n%s", c.path, c.accept, c.body, status, got, c.want)
		}
	}
	_, body := s.send("/query", statement(push))
	if lines := strings.Split(withoutID(body), "\n"); len(lines) != 5 || lines[3] != `{"finalMessage":"Limit Reached"}]` {
		t.Errorf("a push query with a limit gives\n%s", body)
	}
	_, body = s.send("/query", statement("PRINT 's' FROM BEGINNING LIMIT 2;"))
	lines := strings.Split(body, "\n")
	slices.Sort(lines[2:4])
	if len(lines) != 5 || lines[0] != "Key format: JSON" || !strings.Contains(lines[2], `rowtime: 1970/01/01 00:00:00.005 Z, key: "a", value: {"V":1`) {
		t.Errorf("PRINT gives\n%s", body)
	}
}

// withoutID hides query ids.
func withoutID(body string) string {
	before, after, found := strings.Cut(body, `"queryId":"`)
	if !found {
		return body
	}
	_, after, _ = strings.Cut(after, `"`)
	return before + `"queryId":"?"` + after
}

// TestCloseQuery ends a push query by its id, and SHOW QUERIES lists it while
// it runs.
func TestCloseQuery(t *testing.T) {
	s := serve(t)
	s.ksql(setUp)
	resp, err := http.Post(s.url+"/query-stream", "application/json", strings.NewReader(`{"sql":"SELECT * FROM s EMIT CHANGES;"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() {
		t.Fatal("no header")
	}
	var h api.Header
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.QueryID == nil {
		t.Fatalf("%v %s", err, lines.Text())
	}
	if list := fmt.Sprint(s.ksql("SHOW QUERIES;")); !strings.Contains(list, *h.QueryID) || !strings.Contains(list, "PUSH") {
		t.Errorf("the push query is not listed: %s", list)
	}
	s.ksql("INSERT INTO s (k, v) VALUES ('x', 9);")
	if !lines.Scan() || lines.Text() != `["x",9,null,null,null]` {
		t.Errorf("got %q", lines.Text())
	}
	if status, body := s.send("/close-query", `{"queryId":"`+*h.QueryID+`"}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if lines.Scan() {
		t.Errorf("a row came after the end: %s", lines.Text())
	}
}

// TestInsertsStream inserts rows one by one and is told of each.
func TestInsertsStream(t *testing.T) {
	s := serve(t)
	s.ksql(setUp)
	status, body := s.send("/inserts-stream", `{"target":"s","properties":{}}
{"k":"c","v":3,"d":1.25,"at":[{"street":"x","no":1}],"m":{"n":7}}
{"K":"d","V":null}
{"k":"e","nope":1}
{"k":"f","v":1}
`)
	want := "{\"seq\":0,\"status\":\"ok\"}\n{\"seq\":1,\"status\":\"ok\"}\n"
	if status != 200 || !strings.HasPrefix(body, want) || !strings.Contains(body, `"status":"error"`) || !strings.Contains(body, "NOPE") {
		t.Errorf("%d %s", status, body)
	}
	got := s.engine.Query("SELECT * FROM s WHERE k IN ('c', 'd', 'e', 'f');")
	if want := []string{`"c" 3 1.25 [{"STREET":"x","NO":1}] {"n":7}`, `"d" null null null null`}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A stalledClient takes the head of an answer and then nothing: writes fail as
// they do when their time is over.
type stalledClient struct {
	header  http.Header
	begun   chan struct{}
	flushes int
	limit   time.Time
}

func (c *stalledClient) Header() http.Header                 { return c.header }
func (c *stalledClient) WriteHeader(int)                     {}
func (c *stalledClient) SetWriteDeadline(at time.Time) error { c.limit = at; return nil }
func (c *stalledClient) Write(p []byte) (int, error) {
	if c.flushes > 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func (c *stalledClient) FlushError() error {
	if c.flushes++; c.flushes == 1 {
		close(c.begun)
	}
	return nil
}

// TestStalledClient gives up a client that takes nothing, while others are
// served.
func TestStalledClient(t *testing.T) {
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	e.Run("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
	s := New(e.Engine, slog.New(slog.DiscardHandler), time.Now)
	client := &stalledClient{header: http.Header{}, begun: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.ServeHTTP(client, httptest.NewRequest(http.MethodPost, "/query-stream", strings.NewReader(`{"sql":"SELECT * FROM s EMIT CHANGES;"}`)))
	}()
	<-client.begun
	e.Run("INSERT INTO s VALUES (1);")
	if got := e.Query("SELECT * FROM s;"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("another client gets %v", got)
	}
	<-ended
	if client.limit.IsZero() {
		t.Error("writes have no time limit")
	}
	if s.pushes.Load() != 0 {
		t.Error("the query is still counted")
	}
}

// TestPanics answers a request whose handler fails, and the next.
func TestPanics(t *testing.T) {
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	s := New(e.Engine, slog.New(slog.DiscardHandler), time.Now)
	s.mux.HandleFunc("GET /fails", func(http.ResponseWriter, *http.Request) { panic("as planned") })
	for path, status := range map[string]int{"/fails": 500, "/nowhere": 404, "/info": 200} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestRecords writes and reads a topic's records.
func TestRecords(t *testing.T) {
	s := serve(t)
	s.ksql("CREATE STREAM r (k INT KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, VALUE_FORMAT='JSON');")
	_, body := s.send("/topics/r/records", `{"keyText":"7","value":"{\"v\":1}","timestamp":5}
{"valueBase64":"/w==","partition":0}
{"value":"x","partition":9}
`)
	if !strings.Contains(body, "partition 9") {
		t.Errorf("a partition that is not there: %s", body)
	}
	_, body = s.send("/topics/r/records", `{"keyText":"7","value":"{\"v\":1}","timestamp":5}
{"valueBase64":"/w=="}
`)
	if body != "{\"acknowledged\":2}\n" {
		t.Errorf("got %s", body)
	}
	resp, err := http.Get(s.url + "/topics/r/records?from=beginning&exit=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) != 2 || !bytes.Contains(lines[0], []byte(`"timestamp":5`)) || !bytes.Contains(lines[1], []byte(`"valueBase64":"/w=="`)) {
		t.Errorf("got %s", text)
	}
	if got := s.engine.Query("SELECT k, v FROM r;"); !slices.Equal(got, []string{"7 1"}) {
		t.Errorf("got %v", got)
	}
}

// TestRecordsNeedKeys writes to a compacted topic, which would not keep records
// without a key.
func TestRecordsNeedKeys(t *testing.T) {
	s := serve(t)
	if _, err := s.engine.Log.CreateTopic(t.Context(), "c", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	s.ksql("CREATE STREAM c (v INT) WITH (KAFKA_TOPIC='c', VALUE_FORMAT='JSON');")
	if _, body := s.send("/topics/c/records", `{"value":"{}"}`); !strings.Contains(body, `"acknowledged":0`) || !strings.Contains(body, "need a key") {
		t.Errorf("a record: %s", body)
	}
	if status, body := s.send("/ksql", statement("INSERT INTO c (v) VALUES (1);")); status != http.StatusBadRequest || !strings.Contains(body, "need a key") {
		t.Errorf("INSERT: %d %s", status, body)
	}
	if _, body := s.send("/topics/c/records", `{"keyText":"k","value":"{}"}`); body != "{\"acknowledged\":1}\n" {
		t.Errorf("a record with a key: %s", body)
	}
}

// TestGets asks the endpoints without a body.
func TestGets(t *testing.T) {
	s := serve(t)
	s.ksql(setUp)
	for path, want := range map[string]string{
		"/info":                                `"serverStatus":"RUNNING"`,
		"/healthcheck":                         `"isHealthy":true`,
		"/clusterStatus":                       `"hostAlive":true`,
		"/status/stream/%60S%60/create":        `"status":"SUCCESS"`,
		"/status/stream/%60N%60/create":        `"error_code":40400`,
		"/is_valid_property/auto.offset.reset": `true`,
		"/is_valid_property/auto.offset.rest":  `auto.offset.reset`,
	} {
		resp, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}

// TestHTTP2 speaks cleartext HTTP/2.
func TestHTTP2(t *testing.T) {
	s := serve(t)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: p}}
	resp, err := client.Post(s.url+"/ksql", "application/json", strings.NewReader(statement("SHOW STREAMS;")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

// TestShutdown ends running push queries with a last word.
func TestShutdown(t *testing.T) {
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	e.Run("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
	srv := New(e.Engine, slog.New(slog.DiscardHandler), time.Now).HTTP()
	base, cancel := context.WithCancel(context.Background())
	srv.BaseContext = func(net.Listener) context.Context { return base }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	resp, err := http.Post("http://"+l.Addr().String()+"/query", "application/json", strings.NewReader(`{"ksql":"SELECT * FROM s EMIT CHANGES;"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-done
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(text), "{\"finalMessage\":\"Query Completed\"}]\n") {
		t.Errorf("%v: %s", err, text)
	}
}

// A flushed writer keeps what was written between flushes.
type flushed struct {
	header http.Header
	parts  []string
	now    strings.Builder
}

func (f *flushed) Header() http.Header         { return f.header }
func (f *flushed) WriteHeader(int)             {}
func (f *flushed) Write(p []byte) (int, error) { return f.now.Write(p) }
func (f *flushed) Flush() {
	f.parts = append(f.parts, f.now.String())
	f.now.Reset()
}

// TestRowsAreFrames: over HTTP/2 each row of a push query is sent on its own,
// since ksqlDB's JavaScript clients parse data frame by data frame.
func TestRowsAreFrames(t *testing.T) {
	e := exectest.Open(t, exectest.Options{})
	defer e.Close()
	e.Run(setUp)
	e.Settle()
	w := &flushed{header: http.Header{}}
	r := httptest.NewRequest(http.MethodPost, "/query-stream", strings.NewReader(`{"sql":"SELECT v FROM s EMIT CHANGES LIMIT 2;","properties":{"auto.offset.reset":"earliest"}}`))
	r.ProtoMajor = 2
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	New(e.Engine, slog.New(slog.DiscardHandler), time.Now).ServeHTTP(w, r)
	if len(w.parts) < 3 {
		t.Fatalf("sent in %d parts: %q", len(w.parts), w.parts)
	}
	for _, p := range w.parts {
		if strings.Count(p, "\n") > 1 {
			t.Errorf("more than a row in %q", p)
		}
	}
}
