package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"karst/log"
)

// TestFilesAreShared leaves files for the rest, however few there are.
func TestFilesAreShared(t *testing.T) {
	for _, files := range []int{256, 1024, 4096, 65536, 1 << 20, 1 << 31} {
		used := maxPartitions(files) + 2*maxConnections(files)
		if used > files/4*3 || maxPartitions(files) > 10_000 || maxConnections(files) > 10_000 {
			t.Errorf("%d files: %d partitions, twice %d connections", files, maxPartitions(files), maxConnections(files))
		}
	}
	if maxPartitions(0) < 1 || maxConnections(0) < 1 {
		t.Error("nothing is let in")
	}
}

// TestDirectoryErrors says what is wrong with a data directory, and what to do.
func TestDirectoryErrors(t *testing.T) {
	open := func(err error) error {
		return fmt.Errorf("opening: %w", &os.PathError{Op: "open", Path: "LOCK", Err: err})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: held", log.ErrLocked), "the data directory D is in use by another ksh"},
		{open(syscall.EACCES), "D and all in it must be writable"},
		{open(syscall.EROFS), "D and all in it must be writable"},
		{open(syscall.EMFILE), "ulimit -n"},
		{open(syscall.EIO), "input/output error"},
	} {
		if got := explainOpen("D", c.err); !strings.Contains(got.Error(), c.want) || c.want[0] != 't' && !errors.Is(got, c.err) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		out, err := kshCommand("serve", "--data", dir, "--http", "127.0.0.1:0", "--kafka", "off").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not a directory; give a directory with --data") {
			t.Errorf("%s: %v: %s", dir, err, out)
		}
	}
}
