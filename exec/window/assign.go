package window

// Assigned lists pairs of row and window, in the order of rows and within a
// row by start. Its slices are reused by every Assign.
type Assigned struct {
	Rows   []int32 // positions in the batch
	Starts []int64 // start of the window, parallel to Rows
	Late   []int32 // rows of which at least one window was closed
	Bad    []int32 // rows with a negative time, which belong to no window
}

// Assign finds the open time windows of the selected rows of a batch. now is
// the stream time of each row of the batch, which includes the row itself, so
// that the result is the same however rows are cut into batches.
func (s *Spec) Assign(times, now []int64, sel []int32, out *Assigned) {
	out.Rows, out.Starts = out.Rows[:0], out.Starts[:0]
	out.Late, out.Bad = out.Late[:0], out.Bad[:0]
	for _, row := range sel {
		t := times[row]
		if t < 0 {
			out.Bad = append(out.Bad, row)
			continue
		}
		start := s.FirstStart(t)
		if open := s.ClosedBefore(now[row]); start < open {
			out.Late = append(out.Late, row)
			start = plus(start, ((open-start-1)/s.Advance+1)*s.Advance)
		}
		for ; start <= t && start >= 0; start += s.Advance { // negative: the sum has overflown
			out.Rows = append(out.Rows, row)
			out.Starts = append(out.Starts, start)
		}
	}
}
