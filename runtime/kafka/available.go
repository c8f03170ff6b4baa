// This file defines how the partitioner "available" goes round partitions that
// have stopped acknowledging.

package kafka

import (
	"time"

	"starfall/runtime/record"
)

const (
	// quietAfter is how long a partition may owe an acknowledgement before new
	// records go elsewhere, scenario time; quietIntervals is the same in expected
	// intervals between two records of the partition, and the longer one holds.
	quietAfter     = 500 * time.Millisecond
	quietIntervals = 3
	// lookEvery is how often the lanes are looked at, wall time.
	lookEvery = 5 * time.Millisecond
)

// detours is which partitions records go round. Only the pacer uses it.
//
//	partition                        new records           left by
//	nothing waits, or it answers     go to it              waits for longer than quietAfter → quiet
//	quiet                            go by turns to those  an acknowledgement of what it has in flight, or
//	                                 that are not          its delivery timeout when nothing else waits
//	all are quiet                    go where they would
//
// Only where the member may choose is there a way round: one that owns
// partitions stays on its own.
type detours struct {
	looked time.Time
	count  int // lanes when looked
	quiet  []bool
	living []int32 // of the member's choices, those that are not quiet
	turn   int
}

// quiet tells whether a lane has waited for too long.
func (l *lane) quiet(now, after time.Duration) bool {
	since := l.waits.Load()
	return since > 0 && int64(now)-since > int64(after)
}

// detour is the partition for a record that would go to part.
func (p *producer) detour(lanes []outlet, g record.Segment, part int32, now time.Duration) int32 {
	d := &p.detours
	if wall := time.Now(); wall.Sub(d.looked) >= lookEvery || d.count != len(lanes) {
		d.looked, d.count = wall, len(lanes)
		after := quietAfter
		if g.Rate > 0 {
			_, _, own := p.choose.Choices(g.Partitions)
			after = max(after, time.Duration(quietIntervals*float64(own)/g.Rate*float64(time.Second)))
		}
		d.look(lanes, after, now)
		d.living = d.living[:0]
		first, step, own := p.choose.Choices(min(g.Partitions, len(lanes)))
		for i := range own {
			if k := first + i*step; !d.quiet[k] {
				d.living = append(d.living, int32(k))
			}
		}
	}
	if int(part) >= len(d.quiet) || !d.quiet[part] || len(d.living) == 0 {
		return part
	}
	d.turn++
	return d.living[d.turn%len(d.living)]
}

func (d *detours) look(lanes []outlet, after, now time.Duration) {
	d.quiet = d.quiet[:0]
	for _, o := range lanes {
		l, ok := o.(*lane) // a transaction goes to all partitions or to none
		d.quiet = append(d.quiet, ok && l.quiet(now, after))
	}
}
