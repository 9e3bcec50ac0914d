package main

import "log/slog"

// The open files of the process are shared out: a log that can open none has
// failed, so neither connections nor topics may take them all. The rest, a
// quarter, is for older segments, journals and the state of queries.

// maxConnections returns how many connections the HTTP API and the Kafka door
// may have at a time, each.
func maxConnections(files int) int { return min(10_000, max(files/8, 1)) }

// maxPartitions returns how many partitions the embedded log may have; each has
// its last segment open.
func maxPartitions(files int) int { return min(10_000, max(files/2, 1)) }

// checkFiles says in the log that few files may be open.
func checkFiles(files int, logger *slog.Logger) {
	if maxPartitions(files) < 10_000 {
		logger.Warn("the process may open few files (ulimit -n); topics and connections are bounded by that",
			"files", files, "partitions", maxPartitions(files), "connections", maxConnections(files))
	}
}
