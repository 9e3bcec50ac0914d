package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/server/wire"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafkaSecurity holds that what is set by half, or would let strangers in,
// is refused.
func TestKafkaSecurity(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	users := file("users", "ann:secret\n", 0o600)
	cert, key := testCertificate(t, dir)
	const local, remote = "127.0.0.1:0", "0.0.0.0:0"
	for _, x := range []struct {
		name string
		k    kafkaFlags
		want string // of the error; "" is none
	}{
		{"local and open", kafkaFlags{addr: local}, ""},
		{"localhost", kafkaFlags{addr: "localhost:0"}, ""},
		{"IPv6", kafkaFlags{addr: "[::1]:0"}, ""},
		{"shut, whatever else", kafkaFlags{addr: "off", mechanisms: "x"}, ""},
		{"no port", kafkaFlags{addr: "127.0.0.1"}, "--kafka"},
		{"remote and open", kafkaFlags{addr: remote}, "lets everybody in"},
		{"all addresses and open", kafkaFlags{addr: ":0"}, "lets everybody in"},
		{"remote and open on purpose", kafkaFlags{addr: remote, allowRemote: true}, ""},
		{"remote with TLS for anybody", kafkaFlags{addr: remote, cert: cert, key: key}, "lets everybody in"},
		{"remote with users", kafkaFlags{addr: remote, users: users}, ""},
		{"remote with clear passwords", kafkaFlags{addr: remote, users: users, mechanisms: wire.Plain}, "shows passwords"},
		{"remote with encrypted passwords", kafkaFlags{addr: remote, users: users, cert: cert, key: key}, ""},
		{"remote with certificates", kafkaFlags{addr: remote, cert: cert, key: key, clientCA: cert}, ""},
		{"mechanisms without users", kafkaFlags{addr: local, mechanisms: wire.Plain}, "needs --kafka-users"},
		{"unknown mechanism", kafkaFlags{addr: local, users: users, mechanisms: "NTLM"}, "NTLM"},
		{"no such users", kafkaFlags{addr: local, users: users + "x"}, "--kafka-users"},
		{"empty users", kafkaFlags{addr: local, users: file("empty", "", 0o600)}, "names nobody"},
		{"users for all to read", kafkaFlags{addr: local, users: file("open", "ann:secret\n", 0o644)}, "chmod 600"},
		{"certificate without key", kafkaFlags{addr: local, cert: cert}, "need each other"},
		{"key without certificate", kafkaFlags{addr: local, key: key}, "need each other"},
		{"authority without certificate", kafkaFlags{addr: local, clientCA: cert}, "needs --kafka-tls-cert"},
		{"key for certificate", kafkaFlags{addr: local, cert: key, key: cert}, "--kafka-tls-cert"},
		{"authority that is none", kafkaFlags{addr: local, cert: cert, key: key, clientCA: users}, "no certificate"},
	} {
		_, err := x.k.security()
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
	for addr, want := range map[string]string{"127.0.0.1:1": "", "localhost:1": "", "[::1]:1": "", "0.0.0.0:1": "lets everybody in", ":1": "lets everybody in", "x": "--http"} {
		err := (&kafkaFlags{}).checkHTTP(addr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("HTTP on %s: %v, want %q", addr, err, want)
		}
	}
	if err := (&kafkaFlags{allowRemote: true}).checkHTTP("0.0.0.0:1"); err != nil {
		t.Errorf("HTTP for all on purpose: %v", err)
	}
	k := kafkaFlags{addr: local, users: users}
	if s, err := k.security(); err != nil || slices.Contains(s.auth.Mechanisms(), wire.Plain) {
		t.Errorf("without TLS and with no mechanisms named: %v, %v", s.auth.Mechanisms(), err)
	}
}

// testCertificate makes a certificate that has signed itself.
func testCertificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestKafkaPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := kshCommand("serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--kafka", l.Addr().String()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use") || !strings.Contains(string(out), "--kafka off") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = kshCommand("serve", "--data", t.TempDir(), "--kafka", "off", "--http", l.Addr().String()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use") || !strings.Contains(string(out), "--http") {
		t.Errorf("HTTP: %v: %s", err, out)
	}
}

// TestKafkaDoorAndSQL holds that the door and the engine share the log: what a
// Kafka client writes wakes a query, whose results a Kafka client reads, across
// a crash too.
func TestKafkaDoorAndSQL(t *testing.T) {
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), hanging)
	defer cancel()
	run := func(sql string) {
		t.Helper()
		if out, err := kshCommand("--server", "http://"+s.HTTP, "-e", sql).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
	}
	run(`CREATE STREAM flights (origin STRING KEY, delay INT) WITH (kafka_topic = 'flights', value_format = 'JSON', partitions = 2);
		CREATE STREAM late WITH (kafka_topic = 'late') AS SELECT origin, delay FROM flights WHERE delay > 60 EMIT CHANGES;`)
	writer, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.DefaultProduceTopic("flights"), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.ConsumeTopics("late"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	check := func(delay int) {
		t.Helper()
		value := func(delay int) []byte {
			text, err := json.Marshal(map[string]int{"DELAY": delay})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		err := writer.ProduceSync(ctx, &kgo.Record{Key: []byte("DFW"), Value: value(1)}, &kgo.Record{Key: []byte("JFK"), Value: value(delay)}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
		for {
			fetches := reader.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatal("the result didn't come")
			}
			for _, r := range fetches.Records() {
				if string(r.Key) != "JFK" || string(r.Value) != string(value(delay)) {
					t.Errorf("result %s: %s, want JFK: %s", r.Key, r.Value, value(delay))
				}
				return
			}
		}
	}
	check(90)
	s.kill()
	s.start()
	check(120)
	// The engine's own topics can be read, not written.
	err = writer.ProduceSync(ctx, &kgo.Record{Topic: "_karst_commands", Value: []byte("x")}).FirstErr()
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("writing to the command log: %v", err)
	}
}

// TestKafkaTLS holds that the door speaks TLS, to those who show a certificate
// if it wants one.
func TestKafkaTLS(t *testing.T) {
	cert, key := testCertificate(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	open := startServer(t, "--kafka-tls-cert", cert, "--kafka-tls-key", key)
	closed := startServer(t, "--kafka-tls-cert", cert, "--kafka-tls-key", key, "--kafka-tls-client-ca", cert)
	ask := func(addr string, config *tls.Config) error {
		opts := []kgo.Opt{kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.RetryTimeout(time.Second)}
		if config != nil {
			opts = append(opts, kgo.DialTLSConfig(config))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.Ping(t.Context())
	}
	plain, anonymous, known := (*tls.Config)(nil), &tls.Config{RootCAs: pool}, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
	for _, x := range []struct {
		name   string
		addr   string
		config *tls.Config
		ok     bool
	}{
		{"TLS", open.Kafka, anonymous, true},
		{"plain text where TLS is spoken", open.Kafka, plain, false},
		{"a client that doesn't trust the server", open.Kafka, &tls.Config{RootCAs: x509.NewCertPool()}, false},
		{"an old version", open.Kafka, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, false},
		{"a client's certificate", closed.Kafka, known, true},
		{"no certificate", closed.Kafka, anonymous, false},
	} {
		if err := ask(x.addr, x.config); (err == nil) != x.ok {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
