package exectest_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"karst/exec/exectest"
)

// A lockedBuffer is written to by a log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestRoundsWithinTheBudget joins many rows of one key with little memory: it is done in
// parts, and neither a failure nor wrong.
func TestRoundsWithinTheBudget(t *testing.T) {
	var text lockedBuffer
	e := exectest.Open(t, exectest.Options{MemoryBytes: 16 << 20, Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	defer e.Close()
	e.Run(`CREATE STREAM a (k STRING KEY, v STRING) WITH (KAFKA_TOPIC = 'a', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE STREAM b (k STRING KEY, v STRING) WITH (KAFKA_TOPIC = 'b', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE STREAM j AS SELECT a.k AS k, a.v AS va, b.v AS vb FROM a JOIN b WITHIN 1 DAYS ON a.k = b.k;`)
	const rows = 500
	var records []exectest.Record
	for range rows {
		records = append(records, exectest.Record{Key: "k", Value: "v"})
	}
	e.Produce("a", records...)
	e.Settle()
	e.Produce("b", records...)
	e.Settle()
	if n := len(e.Read("J")); n != rows*rows {
		t.Errorf("%d rows, want %d", n, rows*rows)
	}
	log := text.String()
	if !strings.Contains(log, "a round is broken off") || strings.Contains(log, "goes back") {
		t.Errorf("the log has\n%s", log)
	}
}
