package types

import "strings"

// Names in SQL are folded to upper case unless quoted; from the parser on a
// name is a plain string that compares exactly.

// QuoteAlways returns name between back quotes, inner back quotes doubled.
func QuoteAlways(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// QuoteString returns text as a SQL string literal.
func QuoteString(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// The pseudo columns every source has, and the window bounds of windowed ones.
const (
	RowTime      = "ROWTIME"      // BIGINT, the record's timestamp, ms since the epoch
	RowPartition = "ROWPARTITION" // INTEGER, the source partition
	RowOffset    = "ROWOFFSET"    // BIGINT, the record's offset
	WindowStart  = "WINDOWSTART"  // BIGINT, inclusive, ms since the epoch
	WindowEnd    = "WINDOWEND"    // BIGINT, exclusive for time windows, inclusive for session windows
)
