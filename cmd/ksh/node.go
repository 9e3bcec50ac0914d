package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"karst/exec"
	"karst/exec/state"
	"karst/log"
	"karst/log/kafka"
	"karst/log/registry"
	"karst/log/segment"
	"karst/server"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A node is an engine with its log and state: the parts, put together.
type node struct {
	log      *segment.Log // nil over a cluster
	closeLog func() error
	closeDB  func() error
	engine   *exec.Engine
	server   *server.Server
	failed   chan error // told why the log can't write any more
}

func random() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // the system has no randomness
	}
	return binary.LittleEndian.Uint64(b[:])
}

// nodeOptions say how a node is opened.
type nodeOptions struct {
	noSync   bool          // of the embedded log
	registry exec.Registry // nil: an embedded one, over the log
	cluster  kafka.Options // of a node over a Kafka cluster
}

// openNode opens the node in dir, in memory if dir is "".
func openNode(dir string, o nodeOptions, logger *slog.Logger) (*node, error) {
	fs, inMemory := vfs.Default, dir == ""
	if inMemory {
		fs, dir = vfs.NewMem(), "data"
	}
	n := &node{failed: make(chan error, 1)}
	var err error
	lo := segment.Options{
		FS: fs, Dir: filepath.Join(dir, "log"), Rand: random, Clock: wallClock{}, Logger: logger, NoSync: o.noSync, Essential: exec.CommandTopic,
		OnFailure: func(err error) { n.failed <- err }, MaxServerPartitions: maxPartitions(openFiles()),
	}
	if inMemory {
		// A journal takes memory, and a hole in a segment as much as what is yet to
		// fill it.
		lo.JournalBytes, lo.FloodBytes, lo.DeferRunBytes = 4<<20, 1, math.MaxInt
	}
	n.log, err = segment.Open(lo)
	if err != nil {
		return nil, explainOpen(dir, err)
	}
	n.closeLog = n.log.Close
	if err := n.openEngine(engineFiles{fs, dir, inMemory}, n.log, o.registry, logger); err != nil {
		return nil, explainOpen(dir, errors.Join(err, n.log.Close()))
	}
	n.server.Collect(n.log)
	return n, nil
}

// explainOpen says what to do about a data directory that can't be opened.
func explainOpen(dir string, err error) error {
	switch {
	case errors.Is(err, log.ErrLocked):
		return fmt.Errorf("the data directory %s is in use by another ksh; stop it, or use --server to talk to it", dir)
	case errors.Is(err, iofs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; the data directory %s and all in it must be writable for the user that runs ksh", err, dir)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w; give a directory with --data, which is made if it is not there", err)
	case (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && !errors.Is(err, log.ErrNoFiles):
		return fmt.Errorf("%w: %w", log.ErrNoFiles, err)
	}
	return err
}

// engineFiles are where an engine keeps its state.
type engineFiles struct {
	fs  vfs.FS
	dir string
	// none: the log is in memory too, so that nothing would be read again.
	none bool
}

// openEngine opens what runs over a log: a schema registry, unless there is one
// elsewhere, the engine and the server.
func (n *node) openEngine(f engineFiles, l log.Log, remote exec.Registry, logger *slog.Logger) (err error) {
	if err := f.fs.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	n.closeDB = func() error { return nil }
	var db *state.DB
	if !f.none {
		if db, err = state.OpenDB(f.fs, filepath.Join(f.dir, "state"), logger); err != nil {
			return err
		}
		n.closeDB = db.Close
	}
	schemas := remote
	var embedded *registry.Registry
	if remote == nil {
		embedded, err = registry.Open(context.Background(), l, time.Now)
		schemas = embedded
	}
	if err == nil {
		n.engine, err = exec.Open(exec.Options{Log: l, DB: db, MemoryBytes: memoryBudget(logger), Registry: schemas, Logger: logger, Now: time.Now, Rand: random})
	}
	if err != nil {
		return errors.Join(err, n.closeDB())
	}
	n.server = server.New(n.engine, logger, time.Now)
	n.server.LimitConnections(maxConnections(openFiles()))
	if embedded != nil {
		n.server.ServeRegistry(embedded)
	}
	return nil
}

// close stops queries, then writes state and log down.
func (n *node) close() error {
	return errors.Join(n.engine.Close(), n.closeDB(), n.closeLog())
}
