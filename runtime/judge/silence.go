// This file defines silence: how the gaps behind stalls are found while the
// evidence is read once, in order of time.

package judge

import "time"

// gap is a time in which something waited and nothing came.
type gap struct {
	from, to time.Duration
	spot     spot          // noSpot: all at once
	least    time.Duration // shorter gaps are no stall
}

// silence watches one partition.
//
//	event              waiting before   effect
//	something is due   none             the gap opens at that moment
//	something is due   some             –
//	something comes    some             the gap is noted; it opens again if some still waits
//	given up           the last one     the gap is noted
type silence struct {
	waiting int64
	since   time.Duration
}

// due notes n records, of which the k-th (from 0) is due at at(k).
func (s *silence) due(n int64, at func(k int64) time.Duration) {
	if s.waiting <= 0 && s.waiting+n > 0 {
		s.since = at(-s.waiting)
	}
	s.waiting += n
}

// over notes that nobody waits any more for n records at t, because they came
// or because they were given up. It gives the gap that ends.
func (s *silence) over(n int64, t time.Duration, came bool) (from time.Duration, ok bool) {
	before, from := s.waiting, s.since
	s.waiting -= n
	ok = before > 0 && t > from && (came || s.waiting <= 0)
	if came && before > 0 {
		s.since = max(t, from)
	}
	return from, ok
}

// longest is the longest gap when all are cut to the parts. Gaps that are no
// longer than their least, once cut, count as none. The answer is the longest
// of each partition.
func longest(gaps []gap, parts pieces) map[spot]gap {
	out := map[spot]gap{}
	for _, g := range gaps {
		for _, p := range parts {
			c := gap{max(g.from, p.from), min(g.to, p.to), g.spot, g.least}
			if c.to-c.from <= g.least {
				continue
			}
			if was, ok := out[g.spot]; !ok || c.to-c.from > was.to-was.from {
				out[g.spot] = c
			}
		}
	}
	return out
}
