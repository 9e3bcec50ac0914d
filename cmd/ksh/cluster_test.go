package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"karst/log"
	"karst/log/kafka"
	"karst/shell"
	realkafka "karst/testdata/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A clusterServer is a node over a cluster, with its API in memory.
type clusterServer struct {
	t   *testing.T
	n   *node
	out bytes.Buffer
	run *shell.Runner
	end func()
}

func startOn(t *testing.T, dir, broker string) *clusterServer {
	t.Helper()
	opts, err := parseCluster("kafka://"+broker, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s := &clusterServer{t: t}
	s.n, err = openClusterNode(t.Context(), dir, nodeOptions{cluster: opts}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	client, end := s.n.server.InMemory()
	s.end, s.run = end, shell.NewRunner(client, &s.out, &s.out, shell.CSV)
	return s
}

func (s *clusterServer) stop() {
	s.t.Helper()
	s.end()
	if err := s.n.close(); err != nil {
		s.t.Error(err)
	}
}

// query returns the rows of a query as CSV, without the header.
func (s *clusterServer) query(text string) string {
	s.t.Helper()
	s.out.Reset()
	if err := s.run.Run(s.t.Context(), text); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	_, rows, _ := strings.Cut(s.out.String(), "\n")
	return strings.TrimSpace(rows)
}

func (s *clusterServer) metrics() map[string]string {
	w := httptest.NewRecorder()
	s.n.server.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://localhost/metrics", nil))
	return metricsIn(w.Body.String())
}

// TestDemoOnKafka gives the tour on a real broker, stops and starts in between,
// with the state that is there and with none, and looks at the results by
// queries and in the cluster's topics.
func TestDemoOnKafka(t *testing.T) {
	broker := realkafka.Start(t)
	dir := t.TempDir()
	s := startOn(t, dir, broker.Addr)
	client, end := s.n.server.InMemory()
	err := (&tour{client: client, out: io.Discard, shell: shell.NewRunner(client, io.Discard, io.Discard, shell.Table)}).run(t.Context())
	end()
	if err != nil {
		t.Fatal(err)
	}
	check := func(s *clusterServer) {
		t.Helper()
		got := s.query("SELECT flights, total_delay, worst_delay, shortest FROM delays_by_origin WHERE origin = 'DFW';")
		if got != "1103,10462,298,89" {
			t.Errorf("DFW is %s", got)
		}
		got = s.query("SELECT flights, total_delay FROM late_by_state WHERE state = 'CA';")
		if got != "137,14238" {
			t.Errorf("CA is %s", got)
		}
		if err := s.n.engine.Quiesce(t.Context()); err != nil {
			t.Fatal(err)
		}
		lags := 0
		for name, lag := range s.metrics() {
			if strings.HasPrefix(name, "karst_query_lag_records{") {
				if lags++; lag != "0" {
					t.Errorf("%s is %s", name, lag)
				}
			}
		}
		if lags < 2 {
			t.Errorf("%d queries have a lag", lags)
		}
		sink := readTable(t, broker.Addr, "DELAYS_BY_ORIGIN")
		if len(sink) != 220 {
			t.Errorf("the sink topic has %d origins, want 220", len(sink))
		}
		if got := sink["DFW"]; fmt.Sprint(got) != "[1103 10462 298 89]" {
			t.Errorf("DFW in the sink topic is %v", got)
		}
	}
	check(s)
	s.stop()
	s = startOn(t, dir, broker.Addr)
	check(s)
	s.query(`INSERT INTO airports (rowtime, iata, name, state) VALUES (0, 'XXX', 'Nowhere', 'XX');`)
	s.query(`INSERT INTO flights (origin, date, delay, distance) VALUES ('XXX', '2001/01/01 00:00', 100, 1);`)
	if got := s.query("SELECT flights FROM late_by_state WHERE state = 'XX';"); got != "1" {
		t.Errorf("XX is %s", got)
	}
	s.query(`INSERT INTO flights (origin, date, delay, distance) VALUES ('XXX', '2001/01/01 00:00', 1, 1);`)
	s.stop()
	// Somewhere else: state comes from the cluster.
	s = startOn(t, t.TempDir(), broker.Addr)
	if got := s.query("SELECT flights, total_delay FROM delays_by_origin WHERE origin = 'XXX';"); got != "2,101" {
		t.Errorf("XXX is %s", got)
	}
	s.stop()
}

// A failureLog counts the warnings of queries that went back.
type failureLog struct {
	slog.Handler
	failures chan struct{}
}

func (l failureLog) Enabled(context.Context, slog.Level) bool { return true }

func (l failureLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "query goes back") {
		l.failures <- struct{}{}
	}
	return nil
}

// TestQueriesOutliveBroker: while no broker is there queries fail again and
// again; they go on where they were once there is one.
func TestQueriesOutliveBroker(t *testing.T) {
	broker := realkafka.Start(t, realkafka.QuickReturn)
	opts, err := parseCluster("kafka://"+broker.Addr+"?patience=1s", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	failures := make(chan struct{}, 10_000)
	s := &clusterServer{t: t}
	if s.n, err = openClusterNode(t.Context(), t.TempDir(), nodeOptions{cluster: opts}, slog.New(failureLog{slog.DiscardHandler, failures})); err != nil {
		t.Fatal(err)
	}
	client, end := s.n.server.InMemory()
	s.end, s.run = end, shell.NewRunner(client, &s.out, io.Discard, shell.CSV)
	s.query(`CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2, VALUE_FORMAT = 'JSON');`)
	s.query(`CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;`)
	s.query(`INSERT INTO s VALUES ('a', 1);`)
	if got := s.query("SELECT n FROM t WHERE k = 'a';"); got != "1" {
		t.Fatalf("n is %s", got)
	}
	broker.Kill()
	if err := s.run.Run(t.Context(), `INSERT INTO s VALUES ('b', 1);`); err == nil {
		t.Error("an INSERT goes well without a broker")
	}
	for range 4 { // more than a query may fail at one place for its own fault
		<-failures
	}
	broker.Run(t)
	s.query(`INSERT INTO s VALUES ('a', 1);`)
	if got := s.query("SELECT n FROM t WHERE k = 'a';"); got != "2" {
		t.Errorf("n is %s after the outage", got)
	}
	s.stop()
}

// readTable reads a sink topic to its end with franz-go, and returns the last
// value of each key as numbers.
func readTable(t *testing.T, broker, topic string) map[string][]float64 {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := kafka.Open(t.Context(), kafka.Options{Brokers: []string{broker}, Clock: wallClock{}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ends := endsOf(t, l, topic)
	out := map[string][]float64{}
	ctx, cancel := context.WithTimeout(t.Context(), hanging)
	defer cancel()
	seen := map[int32]int64{}
	for done := false; !done; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var v map[string]float64
			if err := json.Unmarshal(r.Value, &v); err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			out[string(r.Key)] = []float64{v["FLIGHTS"], v["TOTAL_DELAY"], v["WORST_DELAY"], v["SHORTEST"]}
			seen[r.Partition] = r.Offset + 1
		})
		done = true
		for p, end := range ends {
			done = done && seen[p] >= end-1 // a marker is last
		}
	}
	return out
}

// endsOf returns the last stable offset of each partition.
func endsOf(t *testing.T, l log.Log, topic string) map[int32]int64 {
	t.Helper()
	d, err := l.Topic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int32]int64{}
	for i := range d.Partitions {
		b, err := l.Bounds(t.Context(), log.Partition{Topic: topic, Index: i})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = b.LastStable
	}
	return out
}
