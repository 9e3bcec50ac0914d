// Package pull answers pull queries on tables: one reading of the committed
// rows that the query which fills the table keeps.
//
//	plan.Lookup ─keys known─> the keys' bytes ─Table.Get, batched─> slots
//	            ├─keys of windows─> Store.Prefixed: the windows of each key
//	            └──────else─> Store.Scan, less what the key bytes rule out
//	slots ─operator.Reader─> rows of the step that keeps state
//	      ─its query's steps above─> the table's rows
//	      ─the pull query's Filter and Project─> answer
//
// A lookup only spares reading: WHERE filters what was read all the same, so
// that an answer by key equals one filtered from all rows.
//
// Rows are copied out some thousand slots at a time, each time under the
// store's read lock, so that a long scan holds up no commit; what commits
// replace meanwhile is kept aside for it, so that it sees one partition as it
// was when it began there.
//
// With a LIMIT the rows are the first in the order of the key, and come in
// it; without, they come in the order in which their keys first arrived.
package pull
