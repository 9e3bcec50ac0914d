package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"karst/log"
)

func TestParseCluster(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{passwordVariable: "from env"}[name] }
	o, err := parseCluster("kafka://me%40here@a:1,b:2/?sasl=scram-sha-512&tls=on&server-name=x&replication=3&compression=zstd&transaction-timeout=5m&patience=1s&client-id=c", env)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.Brokers, " ") != "a:1 b:2" || o.SASL.Name() != "SCRAM-SHA-512" || o.TLS.ServerName != "x" || o.Replication != 3 ||
		o.Compression != log.Zstd || o.TxnTimeout != 5*time.Minute || o.Patience != time.Second || o.ClientID != "c" {
		t.Errorf("options are %+v", o)
	}
	if o, err := parseCluster("kafka://[::1]:9092", env); err != nil || o.TLS != nil || o.SASL != nil || o.Brokers[0] != "[::1]:9092" {
		t.Errorf("options are %+v, %v", o, err)
	}
	if o, err := parseCluster("kafka://me@127.0.0.1:9092?sasl=plain&password-file="+secret, env); err != nil || o.SASL.Name() != "PLAIN" {
		t.Errorf("options are %+v, %v", o, err)
	}
}

// TestParseClusterRefuses gives what is wrong or lacks something, with a word
// of the answer.
func TestParseClusterRefuses(t *testing.T) {
	none := func(string) string { return "" }
	for text, want := range map[string]string{
		"localhost:9092":                                    "only kafka://",
		"http://localhost:9092":                             "only kafka://",
		"kafka://":                                          "HOST:PORT",
		"kafka://localhost":                                 "HOST:PORT",
		"kafka://a:1,,b:2":                                  "HOST:PORT",
		"kafka://a:1?x=1":                                   "no option x",
		"kafka://a:1?replication=0":                         "replicas",
		"kafka://a:1?replication=1&replication=2":           "2 times",
		"kafka://a:1?compression=zip":                       "zstd",
		"kafka://a:1?patience=-1s":                          "time",
		"kafka://a:1?transaction-timeout=soon":              "time",
		"kafka://a:1?tls=yes":                               "on or off",
		"kafka://a:1?ca=x.pem":                              "needs tls=on",
		"kafka://a:1?tls=on&cert=x.pem":                     "need each other",
		"kafka://a:1?tls=on&ca=/nowhere/x.pem":              "no such file",
		"kafka://u:p@a:1?sasl=plain":                        passwordVariable,
		"kafka://u@a:1":                                     "needs sasl=",
		"kafka://a:1?password-file=x":                       "needs sasl=",
		"kafka://a:1?sasl=plain":                            "needs a user",
		"kafka://u@a:1?sasl=scram-sha-256":                  "password of u is missing",
		"kafka://u@a:1?sasl=gssapi&password-file=/dev/null": "password of u is missing",
	} {
		if _, err := parseCluster(text, none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something of %q", text, err, want)
		}
	}
	for _, text := range []string{"kafka://u:secret@a:1?%zz", "kafka://u:secret@a", "u:secret@a:1", "http://u:secret@a:1", "kafka://u:sec@secret@a:1?x=1"} {
		if _, err := parseCluster(text, none); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), passwordVariable) {
			t.Errorf("%s: %v", text, err)
		}
	}
	env := func(string) string { return "secret" }
	for text, want := range map[string]string{
		"kafka://u@a:1?sasl=gssapi": "scram-sha-512",
		"kafka://u@a:1?sasl=plain":  "shows the password",
	} {
		_, err := parseCluster(text, env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something of %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", text, err)
		}
	}
}
