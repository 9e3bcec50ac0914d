package window

// Assigned lists pairs of row and window, in the order of rows and within a
// row by start. Its slices are reused by every Assign.
type Assigned struct {
	Rows   []int32 // positions in the batch
	Starts []int64 // start of the window, parallel to Rows
	Late   []int32 // rows of which at least one window was closed
	Bad    []int32 // rows with a negative time, which belong to no window
}

// Assign finds the open time windows of the selected rows of a batch and
// returns the stream time after the last of them. Stream time advances with
// each row before the row is judged, so that the result is the same however
// rows are cut into batches.
func (s *Spec) Assign(times []int64, sel []int32, streamTime int64, out *Assigned) int64 {
	out.Rows, out.Starts = out.Rows[:0], out.Starts[:0]
	out.Late, out.Bad = out.Late[:0], out.Bad[:0]
	for _, row := range sel {
		t := times[row]
		if t < 0 {
			out.Bad = append(out.Bad, row)
			continue
		}
		streamTime = max(streamTime, t)
		start := s.FirstStart(t)
		if open := s.ClosedBefore(streamTime); start < open {
			out.Late = append(out.Late, row)
			start = plus(start, ((open-start-1)/s.Advance+1)*s.Advance)
		}
		for ; start <= t && start >= 0; start += s.Advance { // negative: the sum has overflown
			out.Rows = append(out.Rows, row)
			out.Starts = append(out.Starts, start)
		}
	}
	return streamTime
}
