// This file defines what a claim is worth when its recording was cut off: only
// what nothing behind the cut could change is decided.

package judge

import (
	"fmt"
	"math"
	"slices"
	"time"

	"starfall/interp/plan"
)

// brokenOff is what is known of a recording that is not whole.
type brokenOff struct {
	is    bool
	over  bool          // the load had ended before the cut
	told  bool          // the journal is whole: what happened is known to the end
	until time.Duration // up to here the evidence is there
}

// decided takes back what the part of a recording behind its cut might change.
//
//	family                held                         broken
//	rate, gauge, stall    its windows lie before       its windows lie before the cut, or the
//	                      the cut                      bound is on each point or the longest
//	latency               never: who was due may be    the bound is on the longest; its windows
//	                      acknowledged later           lie before the cut
//	fate                  never                        it only grows, and has passed an upper bound:
//	                                                   duplicates, out_of_order, dropped
//	number                its windows lie before the   it only grows, and has passed an upper bound
//	                      cut and the journal is whole
func (j *judging) decided(r *ruling, m plan.Measure) {
	if !j.cut.is || r.outcome != Held && r.outcome != Broken {
		return
	}
	t := r.term
	upper := !lower(t.Bound) && t.Bound.Op != plan.Equals && t.Bound.Op != plan.Balanced
	each := t.Bound.Op == plan.NeverBelow || upper && (t.Stat == "" || t.Stat == "max")
	keep := false
	switch m.Family {
	case plan.FamilyRate:
		keep = j.before(t) || r.outcome == Broken && (t.Bound.Op == plan.NeverBelow || t.Bound.Op == plan.NeverAbove)
	case plan.FamilyGauge:
		keep = j.before(t) || r.outcome == Broken && each && !slices.ContainsFunc(t.Windows, ofMoment)
	case plan.FamilyStall:
		keep = j.before(t) || r.outcome == Broken && each
	case plan.FamilyLatency:
		keep = r.outcome == Broken && (each || j.before(t))
	case plan.FamilyFate:
		grows := m.Name == "duplicates" || m.Name == "out_of_order" || m.Name == "dropped"
		keep = r.outcome == Broken && upper && grows
	case plan.FamilyNumber:
		if r.outcome == Held {
			keep = j.cut.told && j.before(t)
		} else {
			keep = upper && m.Unit != plan.UnitShare && r.value != nil && !math.IsInf(*r.value, 0)
		}
	}
	if keep {
		return
	}
	r.outcome, r.where, r.witnesses = NoData, nil, nil
	r.measured = fmt.Sprintf("not decided: the recording ends at %s; up to there %s", Clock(j.cut.until), r.measured)
}

func ofMoment(w plan.Window) bool { return w.Kind == plan.At || w.Kind == plan.AtEnd }

// before tells whether all of a term's windows lie before the cut. Where an
// event ends is known only from a whole journal, or once the load has ended.
func (j *judging) before(t *plan.Term) bool {
	if j.cut.over {
		return true
	}
	for _, w := range t.Windows {
		ends := w.Event != "" || w.A != nil && w.A.Edge == plan.End || w.B != nil && w.B.Edge == plan.End
		if ends && !j.cut.told {
			return false
		}
	}
	w, err := j.frame.resolve(t.Windows)
	if err != nil || w.atEnd {
		return false
	}
	if w.isAt && w.at > j.cut.until {
		return false
	}
	if w.isAt && w.parts.all() {
		return true
	}
	for _, p := range w.parts {
		if p.to > j.cut.until {
			return false
		}
	}
	return true
}
