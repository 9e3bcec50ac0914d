package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"karst/server/wire"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A kafkaClient is a program over a Kafka client; see
// testdata/clients/kafka/README.md for what it is told and what it prints.
type kafkaClient struct {
	name    string
	command []string // program and first arguments; nil is franz-go, in this process
	env     []string
	needs   string   // pattern of a file of the installation
	saslEnv []string // to authenticate
	// plain: its records have one header for all and the time of their writing.
	plain bool
	// numbers: the records of its transactions have no key, and their number as value.
	numbers bool
}

// exitCannot is the exit code for what a client can't do.
const exitCannot = 77

var errCannot = errors.New("the client can't do it")

// baseTime is the timestamp of the first record, ms: not so old that it would
// be deleted.
var baseTime = int(time.Now().Add(-time.Hour).UnixMilli())

// clientPeriod is how long one command may take before it is taken for one that
// never ends.
const clientPeriod = 15 * time.Minute

func kafkaClients(installed string) []kafkaClient {
	scripts, err := filepath.Abs("../../testdata/clients/kafka")
	if err != nil {
		panic(err)
	}
	in := func(parts ...string) string { return filepath.Join(append([]string{installed}, parts...)...) }
	script := func(parts ...string) string { return filepath.Join(append([]string{scripts}, parts...)...) }
	java := []string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}
	return []kafkaClient{
		{name: "franz-go"},
		{name: "kcat", command: []string{script("kcat.sh")}, plain: true},
		{name: "confluent-kafka", command: []string{in("python", "bin", "python"), script("confluent.py")}, needs: in("python", "lib", "*", "site-packages", "confluent_kafka")},
		{name: "kafka-clients", command: append(java, "-cp", in("java", "*"), script("java", "Client.java")), needs: in("java")},
		{name: "kafkajs", command: []string{"node", script("kafkajs.js")}, needs: in("node", "node_modules", "kafkajs"), env: []string{"NODE_PATH=" + in("node", "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING=1"}},
		{name: "aiokafka", command: []string{in("python", "bin", "python"), script("aio.py")}, needs: in("python", "lib", "*", "site-packages", "aiokafka")},
		{name: "Sarama", command: []string{in("go", "sarama")}, needs: in("go", "sarama")},
		{name: "kafka-go", command: []string{in("go", "segmentio")}, needs: in("go", "segmentio")},
		{name: "kafka-tools", command: []string{script("tools.sh")}, needs: in("java"), env: []string{"JARS=" + in("java")}, plain: true, numbers: true},
	}
}

func (c *kafkaClient) start(addr string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.command[0], append(slices.Concat(c.command[1:], []string{addr}), args...)...)
	cmd.Env = append(os.Environ(), slices.Concat(c.env, c.saslEnv, []string{fmt.Sprint("BASE_MS=", baseTime)})...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// killTree kills a command and what it has started.
func killTree(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// run runs a command to its end and returns the lines it printed.
func (c *kafkaClient) run(ctx context.Context, addr string, args ...string) ([]string, error) {
	if c.command == nil {
		return franzGo(ctx, addr, c.saslEnv, args)
	}
	ctx, cancel := context.WithTimeout(ctx, clientPeriod)
	defer cancel()
	cmd := c.start(addr, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { killTree(cmd) })
	err := cmd.Wait()
	stop()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitCannot {
		return nil, errCannot
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if err != nil {
		return lines, fmt.Errorf("%s %s: %w\n%s%s", c.name, strings.Join(args, " "), err, tail(out.String()), tail(errOut.String()))
	}
	return lines, nil
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// A clientCheck is a row of the table in docs/kafka-clients.md.
type clientCheck struct {
	name string
	run  func(b *clientBench) error
}

var clientChecks = []clientCheck{
	{"produce, consume: keys, headers, times", func(b *clientBench) error { return b.roundTrip("none") }},
	{"gzip", func(b *clientBench) error { return b.roundTrip("gzip") }},
	{"snappy", func(b *clientBench) error { return b.roundTrip("snappy") }},
	{"lz4", func(b *clientBench) error { return b.roundTrip("lz4") }},
	{"zstd", func(b *clientBench) error { return b.roundTrip("zstd") }},
	{"read from an offset", func(b *clientBench) error { return b.readFrom(strconv.Itoa(b.n / 2)) }},
	{"read from a time", func(b *clientBench) error { return b.readFrom("t" + strconv.Itoa(baseTime+b.n/2)) }},
	{"group of three, one killed", (*clientBench).group},
	{"transactions: one aborted, one committed", (*clientBench).transactions},
	{"administration", (*clientBench).admin},
	{"SASL PLAIN", func(b *clientBench) error { return b.authenticate(wire.Plain) }},
	{"SCRAM-SHA-256", func(b *clientBench) error { return b.authenticate(wire.ScramSHA256) }},
	{"SCRAM-SHA-512", func(b *clientBench) error { return b.authenticate(wire.ScramSHA512) }},
}

// A clientBench runs one check with one client.
type clientBench struct {
	ctx    context.Context
	client *kafkaClient
	addr   string
	closed string // address of the server that lets nobody in without a password
	topic  string // of this check
	n      int    // records
}

// TestKafkaClients runs every check with every client that is installed in
// KARST_CLIENTS, and writes docs/kafka-clients.md if KARST_CLIENTS_DOC is set.
func TestKafkaClients(t *testing.T) {
	installed := os.Getenv("KARST_CLIENTS")
	if installed == "" {
		t.Skip("KARST_CLIENTS names no directory with clients; see testdata/clients/kafka/README.md")
	}
	n := clientRecords(t)
	s := startServer(t)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ann:secret word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := startServer(t, "--kafka-users", users, "--kafka-sasl", strings.Join([]string{wire.Plain, wire.ScramSHA256, wire.ScramSHA512}, ","))
	table := map[string]map[string]string{}
	for _, c := range kafkaClients(installed) {
		table[c.name] = map[string]string{}
		t.Run(c.name, func(t *testing.T) {
			if found, _ := filepath.Glob(c.needs); c.needs != "" && len(found) == 0 {
				t.Skipf("%s is not installed", c.name)
			}
			for i, check := range clientChecks {
				t.Run(check.name, func(t *testing.T) {
					b := &clientBench{ctx: t.Context(), client: &c, addr: s.Kafka, closed: closed.Kafka, topic: fmt.Sprintf("%s-%d", c.name, i), n: n}
					begun := time.Now()
					err := check.run(b)
					if errors.Is(err, errCannot) {
						table[c.name][check.name] = "–"
						t.Skip("the client can't do it")
					}
					if err != nil {
						table[c.name][check.name] = "fails"
						t.Fatal(err)
					}
					table[c.name][check.name] = "yes"
					t.Logf("%v", time.Since(begun).Round(time.Millisecond))
				})
			}
		})
	}
	if os.Getenv("KARST_CLIENTS_DOC") != "" {
		writeClientTable(t, installed, n, table)
	}
}

// clientRecords is how many records a check has: KARST_CLIENTS_RECORDS, or
// 10,000.
func clientRecords(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KARST_CLIENTS_RECORDS"), "10000"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// roundTrip lets the client write, franz-go and the client read.
func (b *clientBench) roundTrip(codec string) error {
	if _, err := b.client.run(b.ctx, b.addr, "produce", b.topic, codec, strconv.Itoa(b.n)); err != nil {
		return err
	}
	for _, reader := range []*kafkaClient{{name: "franz-go"}, b.client} {
		lines, err := reader.run(b.ctx, b.addr, "consume", b.topic, "0", strconv.Itoa(b.n))
		if err != nil {
			return fmt.Errorf("read by %s: %w", reader.name, err)
		}
		if err := b.compare(lines, 0, b.client.plain); err != nil {
			return fmt.Errorf("read by %s: %w", reader.name, err)
		}
	}
	return nil
}

// compare holds lines against the records from first on.
func (b *clientBench) compare(lines []string, first int, plain bool) error {
	if len(lines) != b.n-first {
		return fmt.Errorf("%d records, want %d", len(lines), b.n-first)
	}
	for i, line := range lines {
		if err := compareRecord(line, first+i, plain); err != nil {
			return fmt.Errorf("record %d: %w", first+i, err)
		}
	}
	return nil
}

func compareRecord(line string, i int, plain bool) error {
	f := strings.Split(line, "\t")
	if len(f) != 6 {
		return fmt.Errorf("%q has not six fields", line)
	}
	want := []string{"0", strconv.Itoa(i), strconv.Itoa(baseTime + i), fmt.Sprint("k", i), fmt.Sprint("v", i), strconv.Itoa(i)}
	if plain {
		want[2], want[5] = f[2], "all"
	}
	if !slices.Equal(f, want) {
		return fmt.Errorf("%q, want %q", f, want)
	}
	return nil
}

// readFrom lets franz-go write and the client read from the middle.
func (b *clientBench) readFrom(from string) error {
	if _, err := franzGo(b.ctx, b.addr, nil, []string{"produce", b.topic, "none", strconv.Itoa(b.n)}); err != nil {
		return err
	}
	lines, err := b.client.run(b.ctx, b.addr, "consume", b.topic, from, strconv.Itoa(b.n-b.n/2))
	if err != nil {
		return err
	}
	return b.compare(lines, b.n/2, false)
}

// transactions has the client abort one and commit another, and holds that
// readers of committed records see the second and no more.
func (b *clientBench) transactions() error {
	if _, err := b.client.run(b.ctx, b.addr, "txn", b.topic, strconv.Itoa(b.n)); err != nil {
		return err
	}
	for _, reader := range []*kafkaClient{{name: "franz-go"}, b.client} {
		lines, err := reader.run(b.ctx, b.addr, "consume", b.topic, "0", strconv.Itoa(b.n))
		if err != nil {
			return fmt.Errorf("read by %s: %w", reader.name, err)
		}
		if len(lines) != b.n {
			return fmt.Errorf("read by %s: %d records, want %d", reader.name, len(lines), b.n)
		}
		for i, line := range lines {
			key, value := fmt.Sprint("k", i), fmt.Sprint("v", i)
			if b.client.numbers {
				key, value = "", strconv.Itoa(i)
			}
			if f := strings.Split(line, "\t"); len(f) != 6 || f[3] != key || f[4] != value {
				return fmt.Errorf("read by %s: record %d is %q", reader.name, i, line)
			}
		}
	}
	// Nothing committed follows.
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.DefaultProduceTopic(b.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.ProduceSync(b.ctx, &kgo.Record{Value: []byte("last")}).FirstErr(); err != nil {
		return err
	}
	lines, err := franzGo(b.ctx, b.addr, nil, []string{"consume", b.topic, "0", strconv.Itoa(b.n + 1)})
	if err != nil {
		return err
	}
	if last := strings.Split(lines[b.n], "\t"); last[4] != "last" {
		return fmt.Errorf("after the committed records comes %q", lines[b.n])
	}
	return nil
}

// authenticate lets the client write and read with the right password, and not
// with a wrong one.
func (b *clientBench) authenticate(mechanism string) error {
	c := *b.client
	passwords := []string{"secret word"}
	if mechanism == wire.ScramSHA512 {
		passwords = []string{"wrong", "secret word"}
	}
	for _, password := range passwords {
		c.saslEnv = []string{"KAFKA_SASL=" + mechanism, "KAFKA_USER=ann", "KAFKA_PASSWORD=" + password}
		ctx, cancel := context.WithTimeout(b.ctx, clientPeriod)
		n := b.n
		if password == "wrong" { // many clients try again for ever
			ctx, cancel = context.WithTimeout(b.ctx, 4*time.Second)
			n = 1
		}
		_, err := c.run(ctx, b.closed, "produce", b.topic, "none", strconv.Itoa(n))
		cancel()
		if errors.Is(err, errCannot) || err != nil && password != "wrong" {
			return err
		}
	}
	// Had the wrong password been taken, there would be a record more in front.
	lines, err := c.run(b.ctx, b.closed, "consume", b.topic, "0", strconv.Itoa(b.n))
	if err != nil {
		return err
	}
	return b.compare(lines, 0, b.client.plain)
}

func (b *clientBench) admin() error {
	lines, err := b.client.run(b.ctx, b.addr, "admin", b.topic)
	if err == nil && lines[len(lines)-1] != "ok" {
		err = fmt.Errorf("it says %q", lines)
	}
	return err
}

const groupPartitions = 6

// group writes to a topic while three members read it, kills one of them once
// all have got something, and holds that the others read everything.
func (b *clientBench) group() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.DefaultProduceTopic(b.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := createTopic(b.ctx, cl, b.topic, groupPartitions); err != nil {
		return err
	}
	r := &groupReaders{seen: map[string]bool{}, byMember: map[int]int{}}
	defer r.killAll()
	for i := range 3 {
		if err := r.start(b, i); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, clientPeriod)
	defer cancel()
	written := 0
	write := func(n int) error {
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Partition: int32(i % groupPartitions), Value: fmt.Append(nil, "v", i)}
		}
		written += n
		return cl.ProduceSync(ctx, records...).FirstErr()
	}
	readAll := func() error {
		for r.total() < written {
			select {
			case <-r.more:
			case <-ctx.Done():
				return fmt.Errorf("%d of %d records read, by member %v\n%s", r.total(), written, r.counts(), r.errOutput())
			}
		}
		return nil
	}
	for !r.all(3) { // no faster than they read, who may be slow to begin
		if err := write(groupPartitions); err != nil {
			return fmt.Errorf("%w; read %v\n%s", err, r.counts(), r.errOutput())
		}
		if err := readAll(); err != nil {
			return err
		}
	}
	r.kill(0)
	if err := write(b.n); err != nil {
		return err
	}
	return readAll()
}

func createTopic(ctx context.Context, cl *kgo.Client, topic string, partitions int32) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10_000
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if resp.Topics[0].ErrorCode != 0 {
		return fmt.Errorf("creating %s: %s", topic, *resp.Topics[0].ErrorMessage)
	}
	return nil
}

// groupReaders are members of a group: processes, or franz-go clients in this
// one.
type groupReaders struct {
	mu       sync.Mutex
	seen     map[string]bool // partition and offset
	byMember map[int]int
	stops    map[int]func()
	errs     []*bytes.Buffer
	more     chan struct{}
}

func (r *groupReaders) start(b *clientBench, member int) error {
	if r.more == nil {
		r.more, r.stops = make(chan struct{}, 1), map[int]func(){}
	}
	group := "group-" + b.topic
	if b.client.command == nil {
		ctx, cancel := context.WithCancel(b.ctx)
		r.stops[member] = cancel
		go func() { _ = franzGroup(ctx, b.addr, b.topic, group, func(line string) { r.line(member, line) }) }()
		return nil
	}
	cmd := b.client.start(b.addr, "group", b.topic, group)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	errOut := &bytes.Buffer{}
	cmd.Stderr = errOut
	r.errs = append(r.errs, errOut)
	if err := cmd.Start(); err != nil {
		return err
	}
	read := make(chan struct{})
	r.stops[member] = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-read // it may have committed what it has printed: nobody else gets that
		_ = cmd.Wait()
	})
	go func() { // ends with the process
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.line(member, lines.Text())
		}
	}()
	return nil
}

func (r *groupReaders) line(member int, line string) {
	f := strings.Split(line, "\t")
	if len(f) != 6 {
		return // about the assignment
	}
	r.mu.Lock()
	r.seen[f[0]+" "+f[1]] = true
	r.byMember[member]++
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *groupReaders) all(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byMember) == n
}

func (r *groupReaders) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *groupReaders) counts() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.byMember)
}

func (r *groupReaders) errOutput() string {
	r.killAll()
	var s string
	for _, e := range r.errs {
		s += tail(e.String())
	}
	return s
}

func (r *groupReaders) kill(member int) { r.stops[member]() }

func (r *groupReaders) killAll() {
	for _, stop := range r.stops {
		stop()
	}
}

// writeClientTable writes the table of docs/kafka-clients.md.
func writeClientTable(t *testing.T, installed string, n int, table map[string]map[string]string) {
	clients := kafkaClients(installed)
	var b strings.Builder
	b.WriteString(clientDoc)
	fmt.Fprintf(&b, "\nEach check with %d records; generated from a run of `.ci/run clients`.\n\n|", n)
	for _, c := range clients {
		fmt.Fprintf(&b, " | %s", c.name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(clients)) + "|\n")
	for _, check := range clientChecks {
		b.WriteString("| " + check.name)
		for _, c := range clients {
			fmt.Fprintf(&b, " | %s", cmp.Or(table[c.name][check.name], "not run"))
		}
		b.WriteString(" |\n")
	}
	if err := os.WriteFile("../../docs/kafka-clients.md", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

const clientDoc = `# Kafka clients

Unmodified clients against the Kafka door of ` + "`ksh serve`" + `. The programs are in ` + "`testdata/clients/kafka`" + `; "–" says that the
client can't do it, or not by itself. The same tests run a distributed worker of Kafka Connect (file source and file sink, the worker
killed and restarted) and an exactly-once word count of Kafka Streams (application and broker killed and restarted): ` + "`cmd/ksh/kafka_apps_test.go`" + `.

Served are the requests that ` + "`server/wire/keys.go`" + ` lists, with the error codes of a real broker: ` + "`server/wire/difftest`" + ` compares the
two. Not there: consumer groups of the new protocol (` + "`group.protocol=consumer`" + `), share and streams groups, ACLs, quotas, delegation
tokens, settings of brokers that can be changed, several brokers (a replication factor other than 1, and a partition on another broker,
are refused). Topics, groups and transactional ids of Karst's own (` + "`_karst…`, `karst-query-…`" + `)
can be read and described, not changed. What a client may ask for at most is in
[kafka-limits.md](kafka-limits.md).

Tried by hand, with the same records, compression, transactions where the client has them, and administration: kafka-python 3.0.12 and
kafka-python-ng 2.2.3, confluent-kafka 1.4.2, 1.6.1, 1.9.2, 2.0.2 and 2.3.0, kafka-clients 2.8.2, 3.0.2, 3.9.1, 4.0.0 and 4.4.0, Sarama
set to brokers from 0.11 to 3.6, MirrorMaker 4.3.1 (to a real broker and back at once, exactly once, with ACLs and groups synchronized), and
the command line tools of Kafka 4.3.1. Idempotent producers (confluent-kafka, kafka-python, Sarama, kafka-clients) wrote while the server
was killed six times: each record is there once. A Kafka Streams 4.3.1 application (window counts, sums, joins of streams and of tables;
threads, instances and standbys that come and go) over three kills of the server gave exactly the expected results, with both guarantees.

kafka-tools are Kafka's command line tools. Its transactions are those of ` + "`kafka-producer-perf-test`; `kafka-transactions`" + ` ends
the one whose producer was killed. Its administration is that of ` + "`kafka-topics`, `kafka-configs`, `kafka-consumer-groups`, `kafka-get-offsets`," + `
` + "`kafka-delete-records`, `kafka-log-dirs`, `kafka-broker-api-versions`, `kafka-cluster`" + ` and the performance tools. What those and
` + "`kafka-acls`, `kafka-metadata-quorum`, `kafka-delegation-tokens`" + ` ask for and is not there is refused by name; users are those of
` + "`--kafka-users`" + `, not of ` + "`kafka-configs`" + `. kafkajs takes snappy, lz4 and zstd from packages of npm.
`
