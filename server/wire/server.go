package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"karst/log"
)

// Options of a Server.
type Options struct {
	Log    log.Broker
	Groups log.GroupCoordinator
	Logger *slog.Logger
	Now    func() time.Time
	// Rand is the source of member ids and SCRAM nonces; it must not be
	// foreseeable.
	Rand func() uint64

	// Advertised is the host:port that clients are told to connect to.
	Advertised string
	// TLS is nil for plain text.
	TLS *tls.Config
	// Auth is nil if clients need not say who they are.
	Auth Authenticator
	// AutoCreate makes topics that a client asks for by Metadata and allows to
	// be made, with DefaultPartitions partitions.
	AutoCreate        bool
	DefaultPartitions int32 // 1 if 0
	// Own tells the topics, groups and transactional ids, by their names, that
	// Karst keeps for itself: clients may look at them, not change them.
	Own func(name string) bool
	// MaxConnections at a time; 10,000 if 0.
	MaxConnections int
	// MaxAnonymous connections of one host that have not authenticated yet, where
	// they have to; 100 if 0.
	MaxAnonymous int
	// MaxMemory bounds the bytes of requests and answers of all connections, about;
	// 512 MiB if 0.
	MaxMemory int
	// FailureDelay is how long a failed authentication waits for its answer; 500
	// ms if 0.
	FailureDelay time.Duration
}

// A Server answers the Kafka protocol from a log.
type Server struct {
	opts    Options
	host    string
	port    int32
	waiters waiters

	metrics  metrics
	memory   memory
	patience time.Duration
	wide     chan struct{} // filled by what is under way; see maxWide

	ctx    context.Context // ends with the server
	cancel context.CancelFunc

	mu        sync.Mutex
	conns     map[*conn]struct{}
	anonymous map[string]int // connections not authenticated, by host
	listeners map[net.Listener]struct{}
	closed    bool
	work      sync.WaitGroup // connections and the ticker
	unwatch   func()
}

// New returns a server; Close ends it.
func New(o Options) (*Server, error) {
	host, portText, err := net.SplitHostPort(o.Advertised)
	if err != nil {
		return nil, fmt.Errorf("advertised address %q is not host:port: %w", o.Advertised, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || host == "" {
		return nil, fmt.Errorf("advertised address %q is not a host and a port that clients can connect to", o.Advertised)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.DefaultPartitions = cmp.Or(o.DefaultPartitions, 1)
	o.MaxConnections = cmp.Or(o.MaxConnections, 10_000)
	o.MaxAnonymous = cmp.Or(o.MaxAnonymous, 100)
	o.MaxMemory = cmp.Or(o.MaxMemory, 512<<20)
	o.FailureDelay = cmp.Or(o.FailureDelay, 500*time.Millisecond)
	if o.TLS != nil && o.TLS.MinVersion < tls.VersionTLS12 {
		o.TLS = o.TLS.Clone()
		o.TLS.MinVersion = tls.VersionTLS12
	}
	if o.Own == nil {
		o.Own = func(string) bool { return false }
	}
	s := &Server{
		opts: o, host: host, port: int32(port), metrics: newMetrics(),
		patience: patience, wide: make(chan struct{}, maxWide),
		conns: map[*conn]struct{}{}, anonymous: map[string]int{}, listeners: map[net.Listener]struct{}{},
	}
	s.memory.left = o.MaxMemory
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.waiters.byTopic = map[string]map[*waiter]struct{}{}
	s.unwatch = o.Log.Watch(s.waiters.wake)
	return s, nil
}

// errServerClosed is why connections end at Close.
var errServerClosed = errors.New("server closed")

// Serve accepts connections until Close, when it returns nil, or until the
// listener fails.
func (s *Server) Serve(l net.Listener) error {
	if s.opts.TLS != nil {
		l = tls.NewListener(l, s.opts.TLS)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	waits := false
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			waits = false
			s.start(nc)
		case s.ctx.Err() != nil:
			return nil
		case !passes(err):
			return fmt.Errorf("accepting Kafka connections: %w", err)
		default:
			if !waits {
				s.opts.Logger.Warn("Kafka connections can't be accepted; trying again until they can", "error", err)
			}
			waits = true
			select {
			case <-s.ctx.Done():
			case <-time.After(acceptAgain):
			}
		}
	}
}

// acceptAgain is how long to wait before another attempt to accept a connection,
// when the machine or the process is short of something.
const acceptAgain = 20 * time.Millisecond

// passes reports whether an error of Accept is about one connection or what the
// machine has no more of right now, not about the listener.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// start serves a connection in goroutines that Close waits for.
func (s *Server) start(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	full := len(s.conns) >= s.opts.MaxConnections || (s.opts.Auth != nil || s.opts.TLS != nil) && s.anonymous[c.host] >= s.opts.MaxAnonymous
	refused := s.closed || full
	if !refused {
		s.conns[c] = struct{}{}
		s.anonymous[c.host]++
		s.work.Add(1)
	}
	s.mu.Unlock()
	if refused {
		if full {
			s.metrics.refused.Inc()
			s.opts.Logger.Warn("Kafka connection refused: too many", "client", c.host, "limit", s.opts.MaxConnections, "unauthenticated", s.opts.MaxAnonymous)
		}
		_ = nc.Close()
		return
	}
	s.metrics.opened.Inc()
	go func() {
		defer s.work.Done()
		c.serve()
		c.known()
		c.release(int(c.held.Load()))
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// known says that the connection is not an anonymous one any more, or is gone.
func (c *conn) known() {
	c.once.Do(func() {
		c.srv.mu.Lock()
		defer c.srv.mu.Unlock()
		if c.srv.anonymous[c.host]--; c.srv.anonymous[c.host] == 0 {
			delete(c.srv.anonymous, c.host)
		}
	})
}

// Close closes listeners and connections and waits for their ends.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		c.close(errServerClosed)
	}
	s.mu.Unlock()
	s.unwatch()
	s.work.Wait()
}
