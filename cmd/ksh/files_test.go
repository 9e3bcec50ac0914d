package main

import "testing"

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
