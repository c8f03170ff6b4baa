// This file defines how claims are judged while the run goes on, for alarms
// and for events that wait for a claim.

package runtime

import (
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// How often alarms and when look: in scenario time, and not more often than
// checkFloor of real time, since each look reads along with the recording.
const (
	checkEvery = 100 * time.Millisecond
	checkFloor = 20 * time.Millisecond
)

// claims judges claims on the last whole bucket or sample of the recording, by
// the same rules as the verdict. *judge.Live does.
type claims interface {
	// Holds tells whether a claim holds now; known is false while there is
	// nothing to judge it by. It reads along with the recording, and what
	// nobody reads is kept in memory: it is to be called about once a second.
	Holds(e plan.Expr, now time.Duration) (holds, known bool)
}

var _ claims = (*judge.Live)(nil)

// judging makes what judges the claims of alarms and when over a recording. It
// refuses claims that only the end of a run can answer.
type judging func(*plan.Plan, *record.Writer) (claims, error)

func newClaims(p *plan.Plan, w *record.Writer) (claims, error) {
	live, err := judge.NewLive(p, w)
	if err != nil {
		return nil, err
	}
	return live, nil
}

// liveExprs gives the claims of alarms and when.
func liveExprs(p *plan.Plan) []plan.Expr {
	var out []plan.Expr
	for _, a := range p.Alarms {
		out = append(out, a.Claim)
	}
	for _, e := range p.Events {
		if e.Trigger.Claim != nil {
			out = append(out, *e.Trigger.Claim)
		}
	}
	return out
}

// checkPause is the real time between two looks.
func (r *run) checkPause() time.Duration { return max(r.clock.wall(checkEvery), checkFloor) }
