//go:build race

package segment

import "bytes"

// written returns what to give to a file's Write. In builds with the race
// detector Pebble's filesystem in memory changes the bytes that it is given, to find
// writers who look at them later; we may, since batches tell their offsets.
func written(batch []byte) []byte { return bytes.Clone(batch) }
