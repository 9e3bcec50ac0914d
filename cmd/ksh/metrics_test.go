package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"karst/server/api"

	"github.com/twmb/franz-go/pkg/kgo"
)

var rewrite = flag.Bool("rewrite", false, "write docs/metrics.md anew")

// TestMetrics does a little of everything and looks at what the metrics say of it;
// docs/metrics.md lists each of them.
func TestMetrics(t *testing.T) {
	ctx := t.Context()
	s := startServer(t)
	for _, text := range []string{
		"CREATE STREAM s (k STRING KEY, v BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=3);",
		"CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;",
	} {
		if _, err := clientOf(s).Execute(ctx, text, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.DefaultProduceTopic("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 100 {
		value := fmt.Sprintf(`{"V":%d}`, i)
		if i == 7 {
			value = "no JSON"
		}
		if err := cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.ProduceSync(ctx, kgo.KeyStringRecord("a", `{"V":1}`))
	pull := func() {
		if err := clientOf(s).Query(ctx, "SELECT n FROM counts WHERE k = 'a';", nil, nil, func(api.Header) {}, func([]json.RawMessage) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	pull() // waits until all is applied
	text := getMetrics(ctx, t, s)
	got := metricsIn(text)
	id := ""
	for name := range got {
		if rest, ok := strings.CutPrefix(name, `karst_query_state{query="`); ok {
			id, _, _ = strings.Cut(rest, `"`)
		}
	}
	for name, want := range map[string]string{
		`karst_query_state{query="` + id + `",state="RUNNING"}`:       "1",
		`karst_query_read_records_total{query="` + id + `"}`:          "101",
		`karst_query_written_records_total{query="` + id + `"}`:       "1",
		`karst_query_faults_total{query="` + id + `"}`:                "1",
		`karst_query_lag_records{query="` + id + `"}`:                 "0",
		`karst_pull_queries_total`:                                    "1",
		`karst_push_queries`:                                          "0",
		`karst_kafka_connections_refused_total`:                       "0",
		`karst_kafka_request_seconds_count{api="Produce"}`:            "101",
		`karst_log_topic_end_offsets{topic="s"}`:                      "101",
		`karst_log_offline_partitions`:                                "0",
		`karst_log_refusing`:                                          "0",
		`karst_log_failed`:                                            "0",
		`karst_http_requests_total{endpoint="POST /ksql"}`:            "2",
		`karst_http_requests_total{endpoint="POST /query-stream"}`:    "1",
		`karst_log_topic_end_offsets{topic="_karst_schemas"}`:         "0",
		`karst_kafka_failed_authentications_total`:                    "0",
		`karst_http_requests_total{endpoint="GET /not-there"}`:        "",
		`karst_kafka_request_seconds_bucket{api="Produce",le="+Inf"}`: "101",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{
		"karst_log_commit_seconds_count", "karst_log_commit_seconds_sum", "karst_log_appended_bytes_total", "karst_log_appended_batches_total", "karst_log_journal_bytes_total",
		"karst_log_partitions", "karst_log_groups", `karst_log_topic_bytes{topic="s"}`, "karst_kafka_connections", "karst_kafka_connections_opened_total",
		"karst_kafka_received_bytes_total", "karst_kafka_sent_bytes_total", "karst_state_bytes", "process_resident_memory_bytes", "go_goroutines",
	} {
		if v := got[name]; v == "" || v == "0" {
			t.Errorf("%s is %q", name, v)
		}
	}
	checkMetricsDoc(t, text)
}

// metricsIn returns the values of metrics by their names and labels.
func metricsIn(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if at := strings.LastIndex(line, " "); !strings.HasPrefix(line, "#") {
			out[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return out
}

func getMetrics(ctx context.Context, t *testing.T, s *kshServer) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, text)
	}
	return string(text)
}

// checkMetricsDoc holds that docs/metrics.md is what the server says.
func checkMetricsDoc(t *testing.T, text string) {
	kinds, labels, help := map[string]string{}, map[string]string{}, map[string]string{}
	for line := range strings.Lines(text) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 4)
		switch {
		case words[0] == "#" && words[1] == "HELP":
			help[words[2]] = words[3]
		case words[0] == "#" && words[1] == "TYPE":
			kinds[words[2]] = words[3]
		}
		name, rest, ok := strings.Cut(words[0], "{")
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if ok {
			var names []string
			for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), `",`) {
				if n, _, ok := strings.Cut(pair, "="); ok && n != "le" {
					names = append(names, n)
				}
			}
			labels[name] = strings.Join(names, ", ")
		}
	}
	var table strings.Builder
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range kinds {
			if strings.HasPrefix(name, "karst_") && !yield(name) {
				return
			}
		}
	}) {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, kinds[name], labels[name], help[name])
	}
	path := filepath.Join("..", "..", "docs", "metrics.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(doc), "|---|---|---|---|\n")
	want := head + "|---|---|---|---|\n" + table.String()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(doc) != want {
		t.Errorf("docs/metrics.md is not what the server says; write it anew with go test ./cmd/ksh -run TestMetrics -rewrite")
	}
}
