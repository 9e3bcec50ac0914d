package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"karst/exec"
	"karst/exec/state"
	"karst/log"
	"karst/log/registry"
	"karst/log/segment"
	"karst/server"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A node is an engine with its log and state: the parts, put together.
type node struct {
	log      *segment.Log // nil over a cluster
	closeLog func() error
	db       *state.DB
	engine   *exec.Engine
	server   *server.Server
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
	n.log, err = segment.Open(segment.Options{FS: fs, Dir: filepath.Join(dir, "log"), Rand: random, Clock: wallClock{}, Logger: logger, NoSync: noSync})
	if errors.Is(err, log.ErrLocked) {
		return nil, inUse(dir)
	}
	if err != nil {
		return nil, err
	}
	n.closeLog = n.log.Close
	if err := n.openEngine(fs, dir, n.log, logger); err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	return n, nil
}

func inUse(dir string) error {
	return fmt.Errorf("the data directory %s is in use by another ksh; stop it, or use --server to talk to it", dir)
}

// openEngine opens what runs over a log, with its state in dir.
func (n *node) openEngine(fs vfs.FS, dir string, l log.Log, logger *slog.Logger) (err error) {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	if n.db, err = state.OpenDB(fs, filepath.Join(dir, "state"), logger); err != nil {
		return err
	}
	reg, err := registry.Open(context.Background(), l, time.Now)
	if err == nil {
		n.engine, err = exec.Open(exec.Options{Log: l, DB: n.db, Registry: reg, Logger: logger, Now: time.Now, Rand: random})
	}
	if err != nil {
		return errors.Join(err, n.db.Close())
	}
	n.server = server.New(n.engine, logger, time.Now)
	return nil
}

// close stops queries, then writes state and log down.
func (n *node) close() error {
	return errors.Join(n.engine.Close(), n.db.Close(), n.closeLog())
}
