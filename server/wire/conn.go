package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Time limits of a connection.
const (
	idleTimeout  = 10 * time.Minute // between requests
	frameTimeout = time.Minute      // from a frame's first byte to its last
	writeTimeout = time.Minute      // for what is written at once, and
	writePace    = 10 * time.Second // for each MiB of it
	authTimeout  = 10 * time.Second // from the connection to its authentication
)

// Bounds of what a connection may have under way.
const (
	maxPending      = 64
	maxPendingBytes = 64 << 20 // of requests and answers, as they are held
)

// maxClientIDBytes of a client's name are kept.
const maxClientIDBytes = 1 << 10

// A conn is one client's connection. serve's goroutine reads and handles, and
// owns a second one, write, that answers.
type conn struct {
	srv    *Server
	nc     net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	host   string // the client's

	pending chan pending
	credit  credit
	held    atomic.Int64 // of the server's memory
	reading since        // a frame, as far as it is the client that is waited for
	wanting since        // memory
	writing since        // or waiting for what another client does, with others behind it
	out     []byte       // the writer's
	sasl    saslState    // the reader's
	once    sync.Once    // known
}

// A pending is a request whose answer may not be there yet.
type pending struct {
	frame  frame
	answer answer
	held   int       // memory
	began  time.Time // when it had been read
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, pending: make(chan pending, maxPending)}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	c.credit.left, c.credit.cond.L = maxPendingBytes, &c.credit.mu
	if c.host, _, _ = net.SplitHostPort(nc.RemoteAddr().String()); c.host == "" {
		c.host = nc.RemoteAddr().String()
	}
	return c
}

// close ends the connection; the first cause is the one that is told.
func (c *conn) close(cause error) {
	c.cancel(cause)
	c.credit.close()
	_ = c.nc.Close()
}

func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(func() { c.guard(c.write) })
	c.guard(c.read)
	close(c.pending)
	writer.Wait()
	defer c.close(nil)
	cause := context.Cause(c.ctx)
	if c.sasl.failed || cause == nil || errors.Is(cause, io.EOF) || errors.Is(cause, errServerClosed) || errors.Is(cause, net.ErrClosed) {
		return
	}
	c.srv.opts.Logger.Info("Kafka connection closed", "client", c.nc.RemoteAddr().String(), "reason", cause)
}

// guard runs one half of the connection and closes it at its end, a panic's
// too: other connections go on.
func (c *conn) guard(half func() error) {
	defer func() {
		if r := recover(); r != nil {
			c.srv.opts.Logger.Error("panic while serving a Kafka connection", "panic", r, "stack", string(debug.Stack()))
			c.close(fmt.Errorf("panic: %v", r))
		}
	}()
	if err := half(); err != nil {
		c.close(err)
	}
}

func (c *conn) read() error {
	r := bufio.NewReaderSize(c.nc, smallFrameBytes) // larger ones are read past it
	opened := c.srv.opts.Now()
	if err := c.shakeHands(opened); err != nil {
		return err
	}
	for {
		deadline := c.srv.opts.Now().Add(idleTimeout)
		limit := maxFrameBytes
		if !c.authenticated() {
			deadline, limit = opened.Add(authTimeout), maxAnonFrameBytes
		}
		if err := c.nc.SetReadDeadline(deadline); err != nil {
			return err
		}
		if _, err := r.Peek(1); err != nil {
			return err
		}
		if c.authenticated() {
			if err := c.nc.SetReadDeadline(c.srv.opts.Now().Add(frameTimeout)); err != nil {
				return err
			}
		}
		p, err := c.request(r, limit)
		if err != nil {
			return err
		}
		select {
		case c.pending <- p:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
		if c.sasl.failed {
			return nil // the answer goes out, then the connection ends
		}
	}
}

// shakeHands has a TLS connection established within the time that there is for
// authentication. Where a certificate is all that is asked for, that was it.
func (c *conn) shakeHands(opened time.Time) error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := c.nc.SetDeadline(opened.Add(authTimeout)); err != nil {
		return err
	}
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	if c.authenticated() {
		c.known()
	}
	return c.nc.SetDeadline(time.Time{})
}

// request reads a request and begins to answer it. What it takes is held from
// before it is decoded until it is answered.
func (c *conn) request(r io.Reader, limit int) (pending, error) {
	var p pending
	hold := func(n int) error {
		p.held += n
		_, err := c.hold(n, n)
		return err
	}
	c.reading.begin(c.srv.opts.Now())
	var err error
	p.frame, err = readFrame(r, limit, func(n int) error {
		c.reading.end()
		defer func() { c.reading.begin(c.srv.opts.Now()) }()
		return hold(n)
	})
	c.reading.end()
	if err != nil {
		return p, err
	}
	api := keys[p.frame.key]
	if api == nil {
		return p, fmt.Errorf("%w: API key %d is not served", errFrame, p.frame.key)
	}
	n := len(p.frame.buf)
	p.began = c.srv.opts.Now()
	c.srv.metrics.received.Add(float64(n + 4)) // and the length before it
	if err := c.credit.wait(); err != nil {
		return p, err
	}
	switch rest := n*api.weight - p.held; {
	case rest <= 0:
	case rest <= p.held: // not to wait for others that have all but a little, too
		p.held += rest
		c.release(-rest)
	default:
		if err := hold(rest); err != nil {
			return p, err
		}
	}
	call := &call{conn: c, srv: c.srv, ctx: c.ctx}
	if p.answer, err = c.dispatch(call, api, &p.frame); err != nil {
		return p, err
	}
	if less := p.held - waitingWeight*n; p.answer.ready != nil && less > 0 {
		c.release(less)
		p.held -= less
	}
	if err := context.Cause(c.ctx); err != nil { // perhaps by the handler, see spend
		return p, err
	}
	p.held += call.spent
	c.credit.take(p.held)
	return p, nil
}

// dispatch decodes a request and calls its handler.
func (c *conn) dispatch(call *call, api *api, f *frame) (answer, error) {
	if f.version < api.min || f.version > api.max {
		if f.key == int16(kmsg.ApiVersions) {
			resp := unsupportedApiVersions()
			return answer{response: func() kmsg.Response { return resp }}, nil
		}
		return answer{}, fmt.Errorf("%w: version %d of %s is not served", errFrame, f.version, kmsg.NameForKey(f.key))
	}
	if !c.authenticated() && !api.anonymous {
		return answer{}, fmt.Errorf("%s before authentication", kmsg.NameForKey(f.key))
	}
	flexible := kmsg.RequestForKey(f.key)
	flexible.SetVersion(f.version)
	clientID, body, err := f.skipHeader(flexible.IsFlexible())
	if err != nil {
		return answer{}, err
	}
	if call.clientID = clientID[:min(len(clientID), maxClientIDBytes)]; api.wide {
		select {
		case c.srv.wide <- struct{}{}:
			defer func() { <-c.srv.wide }()
		case <-c.ctx.Done():
			return answer{}, context.Cause(c.ctx)
		}
	}
	return api.handle(call, f.version, body)
}

// write answers the requests in their order. Answers that are ready together are
// written together, but none waits for another that isn't.
func (c *conn) write() error {
	held := 0 // by what is in out
	for p := range c.pending {
		if err := c.await(p.answer); err != nil {
			return err
		}
		resp := p.answer.response()
		if resp != nil {
			if c.out == nil {
				c.out = getBuffer()
			}
			c.out = appendResponse(c.out, p.frame.correlationID, resp)
		}
		c.srv.metrics.answered(p.frame.key, p.began, c.srv.opts.Now())
		p.frame.free()
		held += p.held
		if len(c.pending) == 0 || len(c.out) >= 64<<10 {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if len(c.out) == 0 {
			c.release(held)
			c.credit.give(held)
			held = 0
		}
	}
	return nil
}

// await waits for an answer; what was answered before goes out meanwhile.
func (c *conn) await(a answer) error {
	if a.ready == nil {
		return nil
	}
	select {
	case <-a.ready:
		return nil
	default:
	}
	if err := c.flush(); err != nil {
		return err
	}
	if a.byPeers { // it may be long, and is none of the log's doing
		c.writing.begin(c.srv.opts.Now())
		defer c.writing.end()
	}
	select {
	case <-a.ready:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	now := c.srv.opts.Now()
	if err := c.nc.SetWriteDeadline(now.Add(writeTimeout + writePace*time.Duration(len(c.out)>>20))); err != nil {
		return err
	}
	c.writing.begin(now)
	defer c.writing.end()
	n, err := c.nc.Write(c.out)
	c.srv.metrics.sent.Add(float64(n))
	putBuffer(c.out)
	c.out = nil
	return err
}

// A credit bounds what a connection has under way.
type credit struct {
	mu     sync.Mutex
	cond   sync.Cond
	left   int
	closed bool
}

// wait waits until there is credit; one request may overdraw it.
func (c *credit) wait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left <= 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return net.ErrClosed
	}
	return nil
}

func (c *credit) take(n int) { c.give(-n) }

func (c *credit) give(n int) {
	c.mu.Lock()
	c.left += n
	c.mu.Unlock()
	c.cond.Signal()
}

func (c *credit) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cond.Broadcast()
}
