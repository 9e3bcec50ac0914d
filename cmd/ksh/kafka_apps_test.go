package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	realkafka "karst/testdata/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// appPeriod is how long an application of Kafka's may take for what is asked of
// it before it is taken to never do it.
const appPeriod = 15 * time.Minute

// A javaApp is a Java program over the jars of KARST_CLIENTS.
type javaApp struct {
	t    *testing.T
	jars string
	args []string
	cmd  *exec.Cmd
	out  *lockedWriter
}

type lockedWriter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *lockedWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// newJavaApp skips the test where the jars are not there.
func newJavaApp(t *testing.T, args ...string) *javaApp {
	t.Helper()
	installed := os.Getenv("KARST_CLIENTS")
	jars := filepath.Join(installed, "java")
	if _, err := os.Stat(jars); installed == "" || err != nil {
		t.Skip("KARST_CLIENTS names no directory with Kafka's jars; see testdata/clients/kafka/README.md")
	}
	return &javaApp{t: t, jars: jars, args: args}
}

func (a *javaApp) start() {
	a.t.Helper()
	args := []string{"-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(a.jars, "*")}
	a.cmd = exec.Command("java", append(args, a.args...)...)
	a.out = &lockedWriter{}
	a.cmd.Stdout, a.cmd.Stderr = a.out, a.out
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(a.kill)
}

// kill ends the program as a crash would.
func (a *javaApp) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

// TestKafkaStreamsWordCount runs an exactly-once word count of Kafka Streams,
// kills and restarts it and the broker in the middle, and holds its counts to be
// exact.
func TestKafkaStreamsWordCount(t *testing.T) {
	source, err := filepath.Abs("../../testdata/clients/kafka/java/WordCount.java")
	if err != nil {
		t.Fatal(err)
	}
	app := newJavaApp(t)
	s := startServer(t)
	app.args = []string{source, s.Kafka, "words", "lines", "counts", t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), appPeriod)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, topic := range []string{"lines", "counts"} {
		if err := createTopic(ctx, cl, topic, 2); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.ConsumeTopics("counts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()

	w := &wordCounts{want: map[string]int{}, got: map[string]int{}}
	const rounds = 6
	lines := clientRecords(t) / rounds
	app.start()
	for round := range rounds {
		if err := cl.ProduceSync(ctx, w.lines(round, lines)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		switch round {
		case 1: // it has begun
			w.readUntil(ctx, t, reader, app, func() bool { return len(w.got) > 0 })
		case 2, 4: // it is at work
			app.kill()
			app.start()
		case 3:
			s.kill()
			s.start()
		}
	}
	w.readUntil(ctx, t, reader, app, func() bool { return maps.Equal(w.got, w.want) })
}

// wordCounts are the counts that must come out, and those that have.
type wordCounts struct{ want, got map[string]int }

func (w *wordCounts) lines(round, n int) []*kgo.Record {
	var out []*kgo.Record
	for i := range n {
		words := []string{"every", fmt.Sprint("w", i%17), fmt.Sprint("r", round)}
		for _, x := range words {
			w.want[x]++
		}
		out = append(out, &kgo.Record{Topic: "lines", Key: []byte(words[1]), Value: []byte(strings.Join(words, " "))})
	}
	return out
}

// readUntil reads counts; a word's may only rise.
func (w *wordCounts) readUntil(ctx context.Context, t *testing.T, reader *kgo.Client, app *javaApp, done func() bool) {
	t.Helper()
	for !done() {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("counts %v\nwant %v\n%s", w.got, w.want, tail(app.out.String()))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := strconv.Atoi(string(r.Value))
			word := string(r.Key)
			if err != nil || n <= w.got[word] || n > w.want[word] {
				t.Errorf("count of %s: %s after %d; there are %d", word, r.Value, w.got[word], w.want[word])
			}
			w.got[word] = n
		})
	}
}

// TestKafkaTransactionalCopy runs what Kafka's own system tests demand of a
// broker: copiers of kafka-tools, members of one group, copy a topic in
// transactions of which every third is aborted, while they and the server are
// killed. A reader at read_committed sees each record once and in order.
func TestKafkaTransactionalCopy(t *testing.T) {
	const partitions, copiers, rounds = 4, 2, 6
	newJavaApp(t) // skips
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), appPeriod)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, topic := range []string{"copy-in", "copy-out"} {
		if err := createTopic(ctx, cl, topic, partitions); err != nil {
			t.Fatal(err)
		}
	}
	n := clientRecords(t)
	var in []*kgo.Record
	for i := range n {
		in = append(in, &kgo.Record{Topic: "copy-in", Partition: int32(i % partitions), Value: []byte(strconv.Itoa(i))})
	}
	if err := cl.ProduceSync(ctx, in...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var apps []*javaApp
	for i := range copiers {
		app := newJavaApp(t, "org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", s.Kafka, "--transactional-id", fmt.Sprint("copier-", i),
			"--consumer-group", "copiers", "--group-mode", "--use-group-metadata", "--input-topic", "copy-in", "--input-partition", "-1", "--output-topic", "copy-out",
			"--transaction-size", strconv.Itoa(n/100), "--transaction-timeout", "600000", "--enable-random-aborts")
		app.start()
		apps = append(apps, app)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.ConsumeTopics("copy-out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var next [partitions]int // of each partition, counted from 0
	read := 0
	readTo := func(end int) {
		for read < end {
			fetches := reader.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("%d records of %d are copied\n%s\n%s", read, n, tail(apps[0].out.String()), tail(apps[1].out.String()))
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if want := next[r.Partition]*partitions + int(r.Partition); string(r.Value) != strconv.Itoa(want) {
					t.Fatalf("partition %d, offset %d: %s where %d is due", r.Partition, r.Offset, r.Value, want)
				}
				next[r.Partition]++
				read++
			})
		}
	}
	for round := 1; round < rounds; round++ {
		readTo(round * n / rounds)
		if round == 2 || round == 4 {
			app := apps[round/2-1]
			app.kill()
			app.start()
			continue
		}
		s.kill()
		s.start()
	}
	readTo(n)
}

// TestKafkaConnect runs a distributed worker of Kafka Connect with a file source
// and a file sink, and kills and restarts it.
func TestKafkaConnect(t *testing.T) {
	app := newJavaApp(t)
	s := startServer(t)
	dir := t.TempDir()
	rest := "127.0.0.1:" + realkafka.FreePort(t) // it has the same when it runs again
	config := filepath.Join(dir, "worker.properties")
	writeFile(t, config, strings.Join([]string{
		"bootstrap.servers=" + s.Kafka, "group.id=connect", "listeners=http://" + rest, "offset.flush.interval.ms=500",
		"key.converter=org.apache.kafka.connect.storage.StringConverter", "value.converter=org.apache.kafka.connect.storage.StringConverter",
		"offset.storage.topic=connect-offsets", "config.storage.topic=connect-configs", "status.storage.topic=connect-status",
		"offset.storage.replication.factor=1", "config.storage.replication.factor=1", "status.storage.replication.factor=1",
		"session.timeout.ms=6000", "heartbeat.interval.ms=1000", "rebalance.timeout.ms=10000", "scheduled.rebalance.max.delay.ms=1000",
		"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000", // of the sink
	}, "\n"))
	app.args = []string{"org.apache.kafka.connect.cli.ConnectDistributed", config}
	app.start()
	ctx, cancel := context.WithTimeout(t.Context(), appPeriod)
	defer cancel()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	lines := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintln(&b, "line", i)
		}
		return b.String()
	}
	n := clientRecords(t)
	writeFile(t, in, lines(0, n/2))
	// When a batch is full the source keeps the lines that it has read beyond it until
	// the file grows: so one takes all.
	for name, settings := range map[string]map[string]string{
		"source": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "file": in, "topic": "connect-lines", "batch.size": strconv.Itoa(n + 1)},
		"sink":   {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1", "file": out, "topics": "connect-lines"},
	} {
		putConnector(ctx, t, app, "http://"+rest+"/connectors/"+name+"/config", settings)
	}
	waitForLines(ctx, t, app, out, n/2)
	app.kill()
	f, err := os.OpenFile(in, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(lines(n/2, n)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	app.start()
	waitForLines(ctx, t, app, out, n)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tick waits a little for a program that tells nobody how far it is.
func tick(ctx context.Context) bool {
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// putConnector makes a connector, as soon as the worker takes it.
func putConnector(ctx context.Context, t *testing.T, app *javaApp, url string, config map[string]string) {
	t.Helper()
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode/100 == 2 {
				return
			}
			last = resp.Status + string(text)
		}
		if !tick(ctx) {
			t.Fatalf("no connector: %s\n%s", last, tail(app.out.String()))
		}
	}
}

// waitForLines waits until the file has each line from 0 to n-1 at least once.
func waitForLines(ctx context.Context, t *testing.T, app *javaApp, name string, n int) {
	t.Helper()
	for {
		text, _ := os.ReadFile(name)
		got := strings.Split(strings.TrimSpace(string(text)), "\n")
		slices.Sort(got)
		if got = slices.Compact(got); len(got) == n {
			return
		}
		if !tick(ctx) {
			t.Fatalf("%d lines of %d\n%s", len(got), n, tail(app.out.String()))
		}
	}
}
