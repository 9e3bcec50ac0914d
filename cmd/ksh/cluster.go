package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"karst/log"
	"karst/log/kafka"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// clusterHelp says what --log takes.
const clusterHelp = `--log kafka://[USER@]HOST:PORT[,HOST:PORT…][?OPTION=VALUE&…] keeps everything in an Apache Kafka cluster (3.0 or later)
instead of the data directory: topics, results, the command log. --data then holds only a cache of the queries' state.
Options:
  tls=on                     encrypt; ca=FILE trusts these certificates, cert=FILE&key=FILE show one, server-name=NAME expects one
  sasl=MECHANISM             plain, scram-sha-256 or scram-sha-512, for USER; the password is in KSH_KAFKA_PASSWORD or password-file=FILE
  replication=N              of topics that are made; the cluster's default if not given
  compression=CODEC          of what is written: none (default), gzip, snappy, lz4 or zstd
  transaction-timeout=60s    how long the cluster keeps a lost transaction open; at most its transaction.max.timeout.ms
  patience=30s               how long requests are repeated before they fail
  client-id=NAME             as brokers log it; karst`

// passwordVariable is the environment variable of the cluster's password.
const passwordVariable = "KSH_KAFKA_PASSWORD"

// A clusterURL is --log, taken apart.
type clusterURL struct {
	user  string
	hosts []string
	query url.Values
}

// parseCluster reads --log. What is missing or not known is an error: no
// setting of security is left out by mistake.
func parseCluster(text string, getenv func(string) string) (kafka.Options, error) {
	u, err := splitCluster(text)
	if err != nil {
		return kafka.Options{}, err
	}
	o := kafka.Options{Brokers: u.hosts}
	set := map[string]func(string) error{
		"client-id":           func(v string) error { o.ClientID = v; return nil },
		"replication":         func(v string) error { return parseReplication(v, &o.Replication) },
		"compression":         func(v string) error { return parseCodec(v, &o.Compression) },
		"transaction-timeout": func(v string) error { return parsePositive(v, &o.TxnTimeout) },
		"patience":            func(v string) error { return parsePositive(v, &o.Patience) },
	}
	security := []string{"tls", "ca", "cert", "key", "server-name", "sasl", "password-file"}
	for name, values := range u.query {
		switch f := set[name]; {
		case len(values) != 1:
			return o, fmt.Errorf("--log: option %s is given %d times", name, len(values))
		case f != nil:
			if err := f(values[0]); err != nil {
				return o, fmt.Errorf("--log: %s=%s: %w", name, values[0], err)
			}
		case !slices.Contains(security, name):
			known := slices.Sorted(maps.Keys(set))
			return o, fmt.Errorf("--log: there is no option %s; there are %s", name, strings.Join(append(known, security...), ", "))
		}
	}
	if o.TLS, err = u.tls(); err != nil {
		return o, err
	}
	o.SASL, err = u.sasl(o.TLS != nil, getenv)
	return o, err
}

// splitCluster takes the URL apart. net/url wants one host; there may be
// several here.
func splitCluster(text string) (clusterURL, error) {
	if holdsPassword(text) { // first of all: errors show the text
		return clusterURL{}, fmt.Errorf("--log: a password does not belong into the URL, where everybody can see it; put it into %s or a file named by password-file=", passwordVariable)
	}
	bad := func(why string) (clusterURL, error) {
		return clusterURL{}, fmt.Errorf("--log %s: %s; it is kafka://HOST:PORT,HOST:PORT…?OPTION=VALUE", text, why)
	}
	rest, ok := strings.CutPrefix(text, "kafka://")
	if !ok {
		return bad("only kafka:// is known")
	}
	var u clusterURL
	rest, query, _ := strings.Cut(rest, "?")
	var err error
	if u.query, err = url.ParseQuery(query); err != nil {
		return bad(err.Error())
	}
	if user, hosts, ok := strings.Cut(rest, "@"); ok {
		rest = hosts
		if u.user, err = url.PathUnescape(user); err != nil {
			return bad(err.Error())
		}
	}
	for _, h := range strings.Split(strings.TrimSuffix(rest, "/"), ",") {
		host, port, err := net.SplitHostPort(h)
		if err != nil || host == "" || port == "" {
			return bad(fmt.Sprintf("%q is not HOST:PORT", h))
		}
		u.hosts = append(u.hosts, h)
	}
	return u, nil
}

// holdsPassword reports whether there may be one before the hosts.
func holdsPassword(text string) bool {
	text, _, _ = strings.Cut(text, "?")
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	at := strings.LastIndex(text, "@")
	return at >= 0 && strings.Contains(text[:at], ":")
}

func parseReplication(v string, out *int16) error {
	n, err := strconv.ParseInt(v, 10, 16)
	if err != nil || n < 1 && n != -1 {
		return errors.New("not a number of replicas")
	}
	*out = int16(n)
	return nil
}

func parseCodec(v string, out *log.Codec) error {
	codecs := map[string]log.Codec{"none": log.None, "gzip": log.Gzip, "snappy": log.Snappy, "lz4": log.LZ4, "zstd": log.Zstd}
	c, ok := codecs[v]
	if !ok {
		return errors.New("not none, gzip, snappy, lz4 or zstd")
	}
	*out = c
	return nil
}

func parsePositive(v string, out *time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return errors.New("not a time like 30s")
	}
	*out = d
	return nil
}

// tls returns nil if the connection is not to be encrypted.
func (u clusterURL) tls() (*tls.Config, error) {
	q := u.query
	switch v := q.Get("tls"); {
	case v != "" && v != "on" && v != "off":
		return nil, fmt.Errorf("--log: tls=%s: on or off", v)
	case v != "on":
		for _, name := range []string{"ca", "cert", "key", "server-name"} {
			if q.Has(name) {
				return nil, fmt.Errorf("--log: %s= needs tls=on", name)
			}
		}
		return nil, nil
	case (q.Get("cert") == "") != (q.Get("key") == ""):
		return nil, errors.New("--log: cert= and key= need each other")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: q.Get("server-name")}
	if file := q.Get("ca"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--log: ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--log: ca: %s holds no certificate", file)
		}
	}
	if file := q.Get("cert"); file != "" {
		pair, err := tls.LoadX509KeyPair(file, q.Get("key"))
		if err != nil {
			return nil, fmt.Errorf("--log: cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// sasl returns nil if nobody has to say who we are.
func (u clusterURL) sasl(encrypted bool, getenv func(string) string) (sasl.Mechanism, error) {
	mechanism := u.query.Get("sasl")
	switch {
	case mechanism == "" && (u.user != "" || u.query.Has("password-file")):
		return nil, errors.New("--log: a user or password needs sasl=plain, scram-sha-256 or scram-sha-512")
	case mechanism == "":
		return nil, nil
	case u.user == "":
		return nil, errors.New("--log: sasl= needs a user: kafka://USER@HOST:PORT")
	}
	password, err := u.password(getenv)
	if err != nil {
		return nil, err
	}
	switch mechanism {
	case "plain":
		if !encrypted && !slices.ContainsFunc(u.hosts, func(h string) bool { return !loopback(h) }) {
			encrypted = true // nobody else listens there
		}
		if !encrypted {
			return nil, errors.New("--log: sasl=plain without tls=on shows the password to the network; use TLS or scram-sha-512")
		}
		return plain.Auth{User: u.user, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: u.user, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: u.user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("--log: sasl=%s: plain, scram-sha-256 or scram-sha-512", mechanism)
}

func (u clusterURL) password(getenv func(string) string) (string, error) {
	password := getenv(passwordVariable)
	if file := u.query.Get("password-file"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--log: password-file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if password == "" {
		return "", fmt.Errorf("--log: the password of %s is missing; put it into %s or a file named by password-file=", u.user, passwordVariable)
	}
	return password, nil
}

func loopback(hostPort string) bool {
	host, _, _ := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// openClusterNode opens a node over a Kafka cluster. The directory keeps a
// cache of state for each cluster it was used with.
func openClusterNode(ctx context.Context, dir string, o nodeOptions, logger *slog.Logger) (*node, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainOpen(dir, fmt.Errorf("making data directory: %w", err))
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, "CLUSTER-LOCK"))
	if err != nil && !errors.As(err, new(*os.PathError)) { // it could be opened
		err = log.ErrLocked
	}
	if err != nil {
		return nil, explainOpen(dir, err)
	}
	opts := o.cluster
	opts.Logger, opts.Clock = logger, wallClock{}
	l, err := kafka.Open(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	n := &node{closeLog: func() error { return errors.Join(l.Close(), lock.Close()) }}
	if err := n.openEngine(engineFiles{fs: vfs.Default, dir: filepath.Join(dir, "cluster", l.ClusterID())}, l, o.registry, logger); err != nil {
		return nil, errors.Join(err, n.closeLog())
	}
	return n, nil
}
