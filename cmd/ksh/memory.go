package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryBudget returns how many bytes the state of queries may take: two thirds of
// what the process may. That is GOMEMLIMIT if it is set; else it is set to
// three quarters of the machine's memory, or of the container's. 0 is no limit:
// nothing is known of the machine.
func memoryBudget(logger *slog.Logger) int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		if limit = machineMemory() / 4 * 3; limit <= 0 {
			return 0
		}
		debug.SetMemoryLimit(limit)
	}
	budget := limit / 3 * 2
	logger.Info("memory", "limitMiB", limit>>20, "stateMiB", budget>>20)
	return budget
}

// doorMemory returns how many bytes the connections of the Kafka door may hold
// together: an eighth of what the process may take, between 64 and 512 MiB.
func doorMemory() int {
	return int(min(max(debug.SetMemoryLimit(-1)/8, 64<<20), 512<<20))
}

// machineMemory returns the memory of the machine or of the container, 0 if
// that can't be told.
func machineMemory() int64 {
	least := int64(0)
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/proc/meminfo"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n := memoryIn(string(text)); n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// memoryIn reads a number of bytes, or the total of /proc/meminfo, which is in
// kB; 0 if there is none.
func memoryIn(text string) int64 {
	unit := int64(1)
	if rest, ok := strings.CutPrefix(text, "MemTotal:"); ok {
		text, _, _ = strings.Cut(rest, "kB")
		unit = 1 << 10
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0
	}
	return n * unit
}
