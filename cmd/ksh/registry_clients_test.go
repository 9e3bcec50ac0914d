package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
