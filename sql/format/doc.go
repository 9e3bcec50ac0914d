// Package format turns bytes into vectors and back: JSON, DELIMITED, KAFKA and
// NONE, for keys and values.
//
//	Cells ─Decoder─> vectors ─operators─> vectors ─Encoder─> Cells
//
// A Decoder and an Encoder are made once for a list of columns and work on
// whole batches. Only the columns asked for are decoded. A record that can't be
// decoded is reported with its row, a reason from a small set and what was
// found; the others go on.
package format
