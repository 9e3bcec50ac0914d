package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProduceStops says how many records were acknowledged before the one that
// is refused.
func TestProduceStops(t *testing.T) {
	dir := t.TempDir()
	lines := filepath.Join(dir, "lines")
	text := strings.Repeat("one\n", 1500) + strings.Repeat("x", 3<<20) + "\n"
	if err := os.WriteFile(lines, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	create := "CREATE STREAM s (v STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='KAFKA', PARTITIONS=1);"
	if out, err := kshCommand("--data", data, "-e", create).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var stdout, stderr bytes.Buffer
	cmd := kshCommand("--data", data, "produce", "s", lines)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d, want 1", cmd.ProcessState.ExitCode())
	}
	if stdout.String() != "1000 records acknowledged\n" || !strings.Contains(stderr.String(), "too large") && !strings.Contains(stderr.String(), "token too long") {
		t.Errorf("got %q, and %q", stdout.String(), stderr.String())
	}
	out, err := kshCommand("--data", data, "consume", "s", "--from-beginning", "--exit").Output()
	if n := bytes.Count(out, []byte("\n")); err != nil || n != 1000 {
		t.Errorf("%d records, %v; want 1000", n, err)
	}
}
