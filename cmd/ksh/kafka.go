package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"karst/log/segment"
	"karst/server/wire"

	"github.com/spf13/pflag"
)

// kafkaFlags are the flags of the Kafka door.
type kafkaFlags struct {
	addr, advertised        string
	users, mechanisms       string
	cert, key, clientCA     string
	autoCreate, allowRemote bool
	partitions              int32
}

func (k *kafkaFlags) register(f *pflag.FlagSet) {
	f.StringVar(&k.addr, "kafka", "127.0.0.1:9092", "address of the Kafka door, 'off' to close it")
	f.StringVar(&k.advertised, "kafka-advertised", "", "HOST:PORT that Kafka clients are told to connect to; the address of --kafka if not given")
	f.BoolVar(&k.autoCreate, "kafka-auto-create", true, "make a topic when a Kafka client asks for one that is not there")
	f.Int32Var(&k.partitions, "kafka-partitions", 1, "partitions of topics made for Kafka clients that don't say how many")
	f.StringVar(&k.users, "kafka-users", "", "file of NAME:PASSWORD lines: Kafka clients must authenticate")
	f.StringVar(&k.mechanisms, "kafka-sasl", "", "SASL mechanisms for --kafka-users; PLAIN,SCRAM-SHA-256,SCRAM-SHA-512 if not given, without PLAIN if there is no TLS")
	f.StringVar(&k.cert, "kafka-tls-cert", "", "certificate chain, PEM: the Kafka door speaks TLS")
	f.StringVar(&k.key, "kafka-tls-key", "", "key of --kafka-tls-cert, PEM")
	f.StringVar(&k.clientCA, "kafka-tls-client-ca", "", "certificates, PEM, one of which must have signed that of each Kafka client")
	f.BoolVar(&k.allowRemote, "insecure-allow-remote", false, "let everybody in who can reach an address that is not this machine's own")
}

// kafkaHelp says what the Kafka door is.
const kafkaHelp = `The Kafka door serves the topics of the embedded log to Kafka clients. Everybody who can reach it may do everything,
which is why it opens on 127.0.0.1: to open it to others give --kafka-users, with TLS, or --kafka-tls-client-ca.`

// A kafkaSecurity is how clients prove who they are.
type kafkaSecurity struct {
	tls  *tls.Config
	auth wire.Authenticator
}

// security reads the users and keys. A setting that lacks another one is an
// error: nothing is left open by mistake.
func (k *kafkaFlags) security() (kafkaSecurity, error) {
	var s kafkaSecurity
	if k.addr == "off" {
		return s, nil
	}
	switch {
	case k.mechanisms != "" && k.users == "":
		return s, &usageError{errors.New("--kafka-sasl needs --kafka-users")}
	case (k.cert == "") != (k.key == ""):
		return s, &usageError{errors.New("--kafka-tls-cert and --kafka-tls-key need each other")}
	case k.clientCA != "" && k.cert == "":
		return s, &usageError{errors.New("--kafka-tls-client-ca needs --kafka-tls-cert and --kafka-tls-key")}
	}
	var err error
	if k.cert != "" {
		if s.tls, err = k.tlsConfig(); err != nil {
			return s, err
		}
	}
	if k.users != "" {
		if s.auth, err = k.readUsers(); err != nil {
			return s, err
		}
	}
	return s, k.checkRemote(&s)
}

func (k *kafkaFlags) tlsConfig() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return nil, fmt.Errorf("--kafka-tls-cert: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if k.clientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(k.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--kafka-tls-client-ca: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--kafka-tls-client-ca: %s holds no certificate", k.clientCA)
	}
	return c, nil
}

func (k *kafkaFlags) readUsers() (*wire.Users, error) {
	known := []string{wire.Plain, wire.ScramSHA256, wire.ScramSHA512}
	mechanisms := known
	if k.cert == "" {
		mechanisms = known[1:]
	}
	if k.mechanisms != "" {
		mechanisms = strings.Split(k.mechanisms, ",")
	}
	for _, m := range mechanisms {
		if !slices.Contains(known, m) {
			return nil, &usageError{fmt.Errorf("--kafka-sasl: %q is none of %s", m, strings.Join(known, ", "))}
		}
	}
	f, err := os.Open(k.users)
	if err != nil {
		return nil, fmt.Errorf("--kafka-users: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("--kafka-users: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("--kafka-users: others may read %s; 'chmod 600 %s'", k.users, k.users)
	}
	users, err := wire.ReadUsers(f, mechanisms, random)
	if err != nil {
		return nil, fmt.Errorf("--kafka-users: %s: %w", k.users, err)
	}
	return users, nil
}

// checkRemote refuses an address that others can reach if they need not say who
// they are, or would say so in clear.
func (k *kafkaFlags) checkRemote(s *kafkaSecurity) error {
	host, _, err := net.SplitHostPort(k.addr)
	if err != nil {
		return &usageError{fmt.Errorf("--kafka: %w", err)}
	}
	if isLoopback(host) || k.allowRemote {
		return nil
	}
	verified := s.tls != nil && s.tls.ClientCAs != nil
	if s.auth == nil && !verified {
		return &usageError{fmt.Errorf("--kafka %s can be reached from other machines and lets everybody in; give --kafka-users or --kafka-tls-client-ca, or --insecure-allow-remote if that is meant", k.addr)}
	}
	if s.auth != nil && s.tls == nil && slices.Contains(s.auth.Mechanisms(), wire.Plain) {
		return &usageError{fmt.Errorf("--kafka %s with PLAIN and without TLS shows passwords to the network; give --kafka-tls-cert, leave PLAIN out of --kafka-sasl, or --insecure-allow-remote if that is meant", k.addr)}
	}
	return nil
}

// checkHTTP refuses an address of the HTTP API that others can reach: it asks
// nobody who they are.
func (k *kafkaFlags) checkHTTP(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return &usageError{fmt.Errorf("--http: %w", err)}
	}
	if isLoopback(host) || k.allowRemote {
		return nil
	}
	return &usageError{fmt.Errorf("--http %s can be reached from other machines and lets everybody in; put a proxy that authenticates in front of a loopback address, or give --insecure-allow-remote if that is meant", addr)}
}

// isLoopback reports whether only this machine can reach the host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// A kafkaDoor is the Kafka door of a running node; the zero one is shut.
type kafkaDoor struct {
	server *wire.Server
	groups *segment.Groups
	failed chan error // told when it can't go on; closed at the end
}

// open opens the door over the node's log, unless it is to stay shut.
func (k *kafkaFlags) open(n *node, s kafkaSecurity, logger *slog.Logger) (*kafkaDoor, error) {
	if k.addr == "off" {
		return &kafkaDoor{}, nil
	}
	l, err := net.Listen("tcp", k.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the Kafka door can't open: %s is in use, perhaps by a Kafka broker; give another address with --kafka, or --kafka off", k.addr)
	}
	if err != nil {
		return nil, fmt.Errorf("the Kafka door can't open: %w", err)
	}
	d := &kafkaDoor{failed: make(chan error, 1)}
	if d.groups, err = segment.NewGroups(segment.GroupOptions{Store: n.log, Clock: wallClock{}, Rand: random}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	d.server, err = wire.New(wire.Options{
		Log: n.log, Groups: d.groups, Logger: logger, Now: time.Now, Rand: random,
		Advertised: k.advertisedAddr(l.Addr()), TLS: s.tls, Auth: s.auth,
		AutoCreate: k.autoCreate, DefaultPartitions: k.partitions, Own: ownName, MaxMemory: doorMemory(), MaxConnections: maxConnections(openFiles()),
	})
	if err != nil {
		d.groups.Close()
		return nil, errors.Join(&usageError{fmt.Errorf("--kafka-advertised: %w", err)}, l.Close())
	}
	if s.auth == nil && !isLoopback(hostOf(k.addr)) {
		logger.Warn("the Kafka door lets everybody in", "kafka", l.Addr().String())
	}
	n.server.Collect(d.server)
	logger.Info("listening", "kafka", l.Addr().String())
	go func() { // ends by close
		defer close(d.failed)
		if err := d.server.Serve(l); err != nil {
			d.failed <- err
		}
	}()
	return d, nil
}

func (d *kafkaDoor) close() error {
	if d.server == nil {
		return nil
	}
	d.server.Close()
	d.groups.Close()
	return <-d.failed
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// advertisedAddr is what clients are told; without a flag the address listened
// on, by the name that was given.
func (k *kafkaFlags) advertisedAddr(listening net.Addr) string {
	if k.advertised != "" {
		return k.advertised
	}
	_, port, _ := net.SplitHostPort(listening.String())
	host := hostOf(k.addr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// ownName tells the topics, groups and transactional ids that the engine keeps
// for itself.
func ownName(name string) bool {
	return strings.HasPrefix(name, "_karst") || strings.HasPrefix(name, "karst-query-")
}
