package planner

import (
	"karst/planner/plan"
	"karst/sql"
)

// maxOverlap bounds the windows that a row is in: each costs time and memory.
const maxOverlap = 100_000

// defaultGrace applies where no GRACE PERIOD is given, in ms.
const defaultGrace = 24 * 3_600_000

// planWindow reads a WINDOW clause. A RETENTION without GRACE PERIOD that is
// too short for the default grace shortens it: late rows are taken as long as
// their window is kept.
func planWindow(c *sql.WindowClause) (*plan.Window, error) {
	w := &plan.Window{Kind: plan.WindowKind(c.Kind), SizeMS: c.Size.MS(), AdvanceMS: c.Advance.MS(), GapMS: c.Gap.MS()}
	if c.Grace != nil {
		ms := c.Grace.MS()
		w.GraceMS = &ms
	}
	if c.Retention != nil {
		ms := c.Retention.MS()
		w.RetentionMS = &ms
	}
	length := max(w.SizeMS, w.GapMS)
	switch {
	case length <= 0:
		return nil, fault(c.At, "", "The size of a window must be positive.")
	case w.Kind == plan.Hopping && (w.AdvanceMS <= 0 || w.AdvanceMS > w.SizeMS):
		return nil, fault(c.At, "", "A HOPPING window's ADVANCE BY must be positive and at most its SIZE.")
	case w.Kind == plan.Hopping && w.SizeMS/w.AdvanceMS > maxOverlap:
		return nil, fault(c.At, "Use a longer ADVANCE BY.", "A HOPPING window's SIZE may be at most %d times its ADVANCE BY: every row is in that many windows.", maxOverlap)
	case w.RetentionMS == nil:
		return w, nil
	case *w.RetentionMS < length:
		return nil, fault(c.At, "", "A window's RETENTION must be at least its size.")
	case w.GraceMS != nil && *w.RetentionMS < length+*w.GraceMS:
		return nil, fault(c.At, "", "A window's RETENTION must be at least its size and GRACE PERIOD together.")
	}
	if rest := *w.RetentionMS - length; w.GraceMS == nil && rest < defaultGrace {
		w.GraceMS = &rest
	}
	return w, nil
}

// windowRetention is how long a window's state is kept behind stream time, in
// ms.
func windowRetention(w *plan.Window) int64 {
	grace := int64(defaultGrace)
	if w.GraceMS != nil {
		grace = *w.GraceMS
	}
	keep := max(w.SizeMS, w.GapMS) + grace
	if w.RetentionMS != nil {
		keep = max(keep, *w.RetentionMS)
	}
	return keep
}
