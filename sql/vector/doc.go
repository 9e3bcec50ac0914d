// Package vector holds the columnar batch, the only form of data in flight.
//
//	log records ─decode─> Batch ─operators─> Batch ─encode─> log records
//
// A Batch is a set of equally long Vectors plus a selection: the positions
// that are still alive. Vectors have Arrow's memory layout (validity bitmaps
// LSB first, int32 offsets, nested children), so Batch.Record hands them to
// Arrow without a copy; kernels read the raw slices of a Vector and never a
// value at a time through an interface.
//
// # Lifetimes
//
// The slices of a Vector come from the Arena of the task that made it and die
// when that arena is reset at the end of the round. Whatever outlives the
// round (state, an exchange, a push channel) copies. Under an arena made by
// NewPoisonedArena freed memory is overwritten, so that tests see every reader
// that comes too late.
//
// # Selections
//
// A nil selection means all rows. A selection is a strictly ascending list of
// row positions. Kernels write results at the positions of the selection and
// leave the others undefined but well formed: offsets stay monotone and inside
// the data, validity bits may be anything.
package vector
