package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"karst/exec"
	"karst/exec/state"
	"karst/log"
	"karst/log/segment"
	"karst/server"
	"karst/server/api"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A node is an engine with its log and state: the parts, put together.
type node struct {
	log    *segment.Log
	db     *state.DB
	engine *exec.Engine
	server *server.Server
}

func random() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // the system has no randomness
	}
	return binary.LittleEndian.Uint64(b[:])
}

// openNode opens the node in dir, in memory if dir is "".
func openNode(dir string, noSync bool, logger *slog.Logger) (*node, error) {
	fs := vfs.Default
	if dir == "" {
		fs, dir = vfs.NewMem(), "data"
	}
	n := &node{}
	var err error
	n.log, err = segment.Open(segment.Options{FS: fs, Dir: filepath.Join(dir, "log"), Rand: random, Logger: logger, NoSync: noSync})
	if errors.Is(err, log.ErrLocked) {
		return nil, fmt.Errorf("the data directory %s is in use by another ksh; stop it, or use --server to talk to it", dir)
	}
	if err != nil {
		return nil, err
	}
	if n.db, err = state.OpenDB(fs, filepath.Join(dir, "state"), logger); err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	n.engine, err = exec.Open(exec.Options{Log: n.log, DB: n.db, Logger: logger, Now: time.Now, Rand: random})
	if err != nil {
		return nil, errors.Join(err, n.db.Close(), n.log.Close())
	}
	n.server = server.New(n.engine, logger, time.Now)
	return n, nil
}

// close stops queries, then writes state and log down.
func (n *node) close() error {
	return errors.Join(n.engine.Close(), n.db.Close(), n.log.Close())
}

// inMemory serves the node's API over in-memory connections and returns a
// client of it.
func (n *node) inMemory() (*api.Client, func()) {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := n.server.HTTP()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // ends by Close
	}()
	c := api.NewClient("http://memory")
	c.HTTP = &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	return c, func() {
		_ = srv.Close()
		<-ended
	}
}

// A pipeListener accepts connections made by dial.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
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
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
