package server

import (
	"context"
	"net"
	"net/http"
	"sync"

	"karst/server/api"
)

// InMemory serves the API over connections in memory, no port is opened. It
// returns a client of it and what ends it.
func (s *Server) InMemory() (c *api.Client, stop func()) {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := s.HTTP()
	ended := make(chan struct{})
	go func() { // owned by stop, which waits for it
		defer close(ended)
		_ = srv.Serve(l) // ends by Close
	}()
	c = api.NewClient("http://memory")
	c.HTTP = &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	return c, func() {
		_ = srv.Close()
		<-ended
		c.HTTP.CloseIdleConnections()
	}
}

// A pipeListener accepts connections made by dial.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
