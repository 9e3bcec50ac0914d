package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"karst/exec/exectest"
)

// BenchmarkPullByKey answers 'committed' pull queries by key over HTTP, on one
// connection.
func BenchmarkPullByKey(b *testing.B) {
	e := exectest.Open(b, exectest.Options{})
	b.Cleanup(e.Close)
	e.Run("CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, FORMAT='JSON'); CREATE TABLE t AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY k;")
	var records []exectest.Record
	for i := range 10_000 {
		records = append(records, exectest.Record{Key: fmt.Sprint(i), Value: fmt.Sprintf(`{"V":%d}`, i)})
	}
	e.Produce("s", records...)
	e.Settle()
	srv := httptest.NewServer(New(e.Engine, slog.New(slog.DiscardHandler), time.Now))
	b.Cleanup(srv.Close)
	n := 0
	for b.Loop() {
		n++
		body := fmt.Sprintf(`{"ksql":"SELECT * FROM t WHERE k = %d;","streamsProperties":{"ksql.query.pull.consistency":"committed"}}`, n%10_000)
		resp, err := http.Post(srv.URL+"/query", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Contains(text, []byte(`"row"`)) {
			b.Fatalf("%v: %s", err, text)
		}
	}
}

// BenchmarkPushRow sends a record and waits for the row that a push query on
// the stream gives over HTTP.
func BenchmarkPushRow(b *testing.B) {
	e := exectest.Open(b, exectest.Options{})
	b.Cleanup(e.Close)
	e.Run("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
	srv := httptest.NewServer(New(e.Engine, slog.New(slog.DiscardHandler), time.Now))
	b.Cleanup(srv.Close)
	resp, err := http.Post(srv.URL+"/query-stream", "application/json", strings.NewReader(`{"sql":"SELECT v FROM s EMIT CHANGES;"}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // the header
	var worst time.Duration
	for b.Loop() {
		start := time.Now()
		e.Produce("s", exectest.Record{Value: `{"V":1}`})
		if !lines.Scan() || lines.Text() != "[1]" {
			b.Fatalf("got %q", lines.Text())
		}
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}
