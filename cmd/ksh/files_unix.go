//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles returns how many files and connections the process may have open.
// Go has raised that to as many as the system lets it.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
