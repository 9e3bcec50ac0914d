package vector

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestBlobCellsAgainstModel sets, resizes, frees and resets variable cells
// beside a slice of byte strings.
func TestBlobCellsAgainstModel(t *testing.T) {
	const groups = 8
	rapid.Check(t, func(r *rapid.T) {
		words := NewArena().Bytes(groups * BlobCellBytes)
		c := Cells{Segments: [][]byte{words}, Shift: 3, Stride: BlobCellBytes, Blobs: NewBlobs()}
		want := make([][]byte, groups)
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5_000), rapid.IntRange(blobSegmentBytes-2, blobSegmentBytes+2))
		for step := range rapid.IntRange(1, 60).Draw(r, "steps") {
			g := rapid.Int32Range(0, groups-1).Draw(r, "group")
			switch op := rapid.IntRange(0, 9).Draw(r, "op"); {
			case op < 4:
				b := bytes.Repeat([]byte{byte(step + 1)}, size.Draw(r, "size"))
				c.SetBlob(g, 0, b)
				want[g] = b
			case op < 7:
				n := size.Draw(r, "size")
				b := c.ResizeBlob(g, 0, n)
				kept := want[g][:min(n, len(want[g]))]
				if len(b) != n || !bytes.Equal(b[:len(kept)], kept) {
					r.Fatalf("resizing %d bytes to %d does not keep them", len(want[g]), n)
				}
				for i := len(kept); i < n; i++ {
					b[i] = byte(step + 1)
				}
				want[g] = bytes.Clone(b)
			case op < 8:
				// The new content may be part of the old.
				if old := c.Blob(g, 0); len(old) > 1 {
					want[g] = bytes.Clone(old[1:])
					c.SetBlob(g, 0, old[1:])
				}
			case op < 9:
				c.Free(g, 0)
				want[g] = nil
			default:
				c.Blobs.Reset()
				clear(words)
				clear(want)
			}
			for g := range int32(groups) {
				if got := c.Blob(g, 0); !bytes.Equal(got, want[g]) {
					r.Fatalf("step %d: cell %d has %d bytes, want %d", step, g, len(got), len(want[g]))
				}
			}
		}
	})
}

// TestBlobsReuseMemory: a heap that is filled and reset in turn takes memory
// in the first turns only, and a small one takes little.
func TestBlobsReuseMemory(t *testing.T) {
	h := NewBlobs()
	var cell blobRef
	h.set(&cell, []byte("x"))
	if h.Bytes() > blobSegmentMin {
		t.Errorf("one byte takes %d bytes", h.Bytes())
	}
	fill := func() {
		h.Reset()
		for range 3000 {
			var r blobRef
			h.set(&r, make([]byte, 1000))
		}
	}
	fill()
	fill()
	before := h.Bytes()
	for range 10 {
		fill()
	}
	if h.Bytes() != before {
		t.Errorf("memory went from %d to %d bytes", before, h.Bytes())
	}
}
