package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	engine "karst/exec"
	"karst/log/registry"
	"karst/sql"

	"github.com/twmb/franz-go/pkg/sr"
)

// serveNode serves a node in memory on a port of its own.
func serveNode(t *testing.T) string {
	t.Helper()
	n, err := openNode("", nodeOptions{}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := n.server.HTTP()
	ended := make(chan struct{})
	go func() { // ends by Close, which the clean-up waits for
		defer close(ended)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// TestPythonSerializers runs flights through confluent-kafka's serializers and
// deserializers. KARST_PYTHON names a Python that has
// confluent-kafka[avro,json,protobuf].
func TestPythonSerializers(t *testing.T) {
	python := os.Getenv("KARST_PYTHON")
	if python == "" {
		python = "python3"
	}
	try := exec.Command(python, "-c", "import confluent_kafka.schema_registry.avro, confluent_kafka.schema_registry.json_schema, confluent_kafka.schema_registry.protobuf")
	if err := try.Run(); err != nil {
		t.Skip("no Python with confluent-kafka[avro,json,protobuf]; KARST_PYTHON may name one")
	}
	url := serveNode(t)
	for _, format := range []string{"AVRO", "JSON_SR", "PROTOBUF"} {
		t.Run(format, func(t *testing.T) {
			runClient(t, python, filepath.Join("..", "..", "testdata", "clients", "registry", "flights.py"), url, format, filepath.Join("..", "..", "testdata", "demo", "flights.ndjson"))
		})
	}
}

// TestNodeSerializers does the same with @confluentinc/schemaregistry, which is
// where KARST_NODE_MODULES says.
func TestNodeSerializers(t *testing.T) {
	modules := os.Getenv("KARST_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "@confluentinc", "schemaregistry")); modules == "" || err != nil {
		t.Skip("no @confluentinc/schemaregistry; KARST_NODE_MODULES may name a node_modules that has it")
	}
	url := serveNode(t)
	for _, format := range []string{"AVRO", "JSON_SR", "PROTOBUF"} {
		t.Run(format, func(t *testing.T) {
			runClient(t, "node", filepath.Join("..", "..", "testdata", "clients", "registry", "flights.mjs"), url, format, filepath.Join("..", "..", "testdata", "demo", "flights.ndjson"))
		})
	}
}

func runClient(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	t.Log(strings.TrimSpace(string(out)))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestFranzGoClient: franz-go's registry client finds its way about.
func TestFranzGoClient(t *testing.T) {
	cl, err := sr.NewClient(sr.URLs(serveNode(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	event, err := cl.CreateSchema(ctx, "event", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message Event { int64 at = 1; }`})
	if err != nil || event.ID == 0 || event.Version != 1 {
		t.Fatalf("created %+v, %v", event, err)
	}
	refs := []sr.SchemaReference{{Name: "event.proto", Subject: "event", Version: 1}}
	a, err := cl.CreateSchema(ctx, "a-value", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; import "event.proto"; message A { Event e = 1; }`, References: refs})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := cl.SchemaByID(ctx, a.ID); err != nil || s.Type != sr.TypeProtobuf || len(s.References) != 1 {
		t.Errorf("by id: %+v, %v", s, err)
	}
	if list, err := cl.SchemaReferences(ctx, "event", 1); err != nil || len(list) != 1 || list[0].Subject != "a-value" {
		t.Errorf("references: %+v, %v", list, err)
	}
	if got := cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, "a-value"); got[0].Err != nil {
		t.Error(got[0].Err)
	}
	if got := cl.Compatibility(ctx, "a-value"); got[0].Err != nil || got[0].Level != sr.CompatFullTransitive {
		t.Errorf("level %+v", got)
	}
	worse := sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message A { string e = 1; }`}
	if got, err := cl.CheckCompatibility(ctx, "a-value", -1, worse); err != nil || got.Is {
		t.Errorf("compatible: %+v, %v", got, err)
	}
	var fault *sr.ResponseError
	if _, err := cl.CreateSchema(ctx, "a-value", worse); !errors.As(err, &fault) || fault.ErrorCode != 409 {
		t.Errorf("an incompatible schema: %v", err)
	}
	if _, err := cl.SchemaByVersion(ctx, "none", -1); !errors.As(err, &fault) || fault.ErrorCode != 40401 {
		t.Errorf("an unknown subject: %v", err)
	}
	if _, err := cl.DeleteSubject(ctx, "event", sr.SoftDelete); !errors.As(err, &fault) || fault.ErrorCode != 42206 {
		t.Errorf("deleting what is referred to: %v", err)
	}
	for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
		if _, err := cl.DeleteSubject(ctx, "a-value", how); err != nil {
			t.Error(err)
		}
	}
	if list, err := cl.Subjects(ctx); err != nil || len(list) != 1 {
		t.Errorf("subjects %v, %v", list, err)
	}
}

// TestRemoteRegistry: a node whose schemas are in another node's registry.
func TestRemoteRegistry(t *testing.T) {
	url := serveNode(t)
	client, err := registry.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNode("", nodeOptions{registry: client}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	session := &engine.Session{Properties: map[string]string{"auto.offset.reset": "earliest"}}
	for _, text := range []string{
		"CREATE STREAM s (k STRING KEY, v INT, t STRUCT<a STRING, b DECIMAL(4, 2)>) WITH (KAFKA_TOPIC='s', PARTITIONS=1, FORMAT='AVRO');",
		"CREATE TABLE c WITH (FORMAT='PROTOBUF') AS SELECT k, COUNT(*) AS n, MAX(v) AS m FROM s GROUP BY k;",
		"INSERT INTO s VALUES ('a', 3, STRUCT(a := 'x', b := 1.25));",
		"INSERT INTO s VALUES ('a', 5, NULL);",
	} {
		if _, err := n.engine.Execute(t.Context(), text, session); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := n.engine.Quiesce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, n.engine, "SELECT * FROM c WHERE k = 'a';"); got != `["a",2,5]` {
		t.Errorf("the table has %s", got)
	}
	cl, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	if list, err := cl.Subjects(t.Context()); err != nil || strings.Join(list, " ") != "C-key C-value s-key s-value" {
		t.Errorf("subjects %v, %v", list, err)
	}
	for text, ok := range map[string]bool{"ASSERT SCHEMA SUBJECT 's-value';": true, "ASSERT SCHEMA SUBJECT 's-value' ID 99;": false, "ASSERT NOT EXISTS SCHEMA ID 99;": true, "ASSERT NOT EXISTS SCHEMA SUBJECT 's-key';": false} {
		if _, err := n.engine.Execute(t.Context(), text, session); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := n.engine.Execute(t.Context(), "DROP TABLE c DELETE TOPIC;", session); err != nil {
		t.Error(err)
	}
	if list, err := cl.Subjects(t.Context()); err != nil || strings.Join(list, " ") != "s-key s-value" {
		t.Errorf("subjects after DELETE TOPIC: %v, %v", list, err)
	}
	_, err = n.engine.Execute(t.Context(), "CREATE STREAM x WITH (KAFKA_TOPIC='s', FORMAT='AVRO', VALUE_SCHEMA_ID=77);", session)
	if err == nil || !strings.Contains(err.Error(), "77") {
		t.Errorf("an unknown schema: %v", err)
	}
}

// query returns the rows of a pull query, one a line.
func query(t *testing.T, e *engine.Engine, text string) string {
	t.Helper()
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rows textRows
	if _, err := e.Query(t.Context(), stmts[0].(*sql.SelectStmt), &engine.Session{}, &rows); err != nil {
		t.Fatal(err)
	}
	return strings.Join(rows, "\n")
}

type textRows []string

func (*textRows) Flush() bool { return true }

func (*textRows) Header(engine.Header) error { return nil }

func (r *textRows) Row(columns [][]byte, _ bool) bool {
	*r = append(*r, "["+string(bytes.Join(columns, []byte(",")))+"]")
	return true
}

// A messageHandler tells of each message that is logged.
type messageHandler struct {
	slog.Handler
	heard func(message string)
}

// Enabled implements slog.Handler.
func (h messageHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h messageHandler) Handle(ctx context.Context, r slog.Record) error {
	h.heard(r.Message)
	return h.Handler.Handle(ctx, r)
}

// TestRegistryAway: while the registry does not answer a query waits for it, and
// goes on when it is back.
func TestRegistryAway(t *testing.T) {
	home, err := openNode("", nodeOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer home.close()
	var away atomic.Bool // it keeps its port meanwhile, which another one might get
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		home.server.ServeHTTP(w, r)
	}))
	defer srv.Close()
	client, err := registry.NewClient(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{}, 1)
	logger := slog.New(messageHandler{slog.DiscardHandler, func(message string) {
		if strings.Contains(message, "query waits") {
			select {
			case waits <- struct{}{}:
			default:
			}
		}
	}})
	n, err := openNode("", nodeOptions{registry: client}, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	session := &engine.Session{Properties: map[string]string{"auto.offset.reset": "earliest"}}
	if _, err := n.engine.Execute(t.Context(), "CREATE STREAM s (v INT, w INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='AVRO'); CREATE STREAM t AS SELECT v + w AS x, w FROM s;", session); err != nil {
		t.Fatal(err)
	}
	cl, err := sr.NewClient(sr.URLs(srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	other, err := cl.CreateSchema(t.Context(), "other", sr.Schema{Schema: `{"type":"record","name":"R","fields":[{"name":"w","type":"long"},{"name":"v","type":"int"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), hanging)
	defer cancel()
	if err := n.engine.Produce(ctx, "s", []engine.Record{{Value: []byte{0, 0, 0, 0, byte(other.ID), 6, 8}}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waits:
	case <-ctx.Done():
		t.Fatal("the query does not wait")
	}
	away.Store(false)
	if err := n.engine.Quiesce(ctx); err != nil {
		t.Fatal(err)
	}
	if got := query(t, n.engine, "SELECT * FROM t;"); got != "[7,3]" {
		t.Errorf("the stream has %s", got)
	}
}
