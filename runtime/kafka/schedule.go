// This file defines the schedule of a producer member: pure code that says
// which records are due at a moment, to which partition each goes, and how many
// of those offered were late. It knows no clock.

package kafka

import (
	"time"

	"starfall/runtime/record"
)

// lateAfter is how long after it was due a record may be offered before the
// machine is to blame, in wall time (language.md, measure late).
const lateAfter = 100 * time.Millisecond

// schedule is what a member is to send. Sequence numbers below offered have
// been offered to the client; segs are those that records from offered on can
// belong to, oldest first.
//
//	state     segs         left by
//	idle      none         begin
//	running   one or more  setRate(0), end → idle; setRate(r) → running
type schedule struct {
	segs    record.Schedule
	running bool
	offered uint64
	parts   int
}

// begin starts it at a moment with a rate above 0 and gives the new segment.
func (s *schedule) begin(at time.Duration, rate float64) record.Segment {
	return s.push(record.Segment{First: s.offered, At: at, Rate: rate, Partitions: s.parts})
}

// push makes a segment the last one. One that starts at the same record
// replaces its predecessor, which then has none.
func (s *schedule) push(g record.Segment) record.Segment {
	for len(s.segs) > 0 && s.segs[len(s.segs)-1].First >= g.First {
		s.segs = s.segs[:len(s.segs)-1]
	}
	s.segs = append(s.segs, g)
	s.running = true
	return g
}

// due is the first sequence number that is not due at a moment.
func (s *schedule) due(now time.Duration) uint64 {
	if !s.running {
		return s.limit()
	}
	g := s.segs[len(s.segs)-1]
	return max(g.NextAfter(now), s.offered)
}

// limit is the end of a schedule that does not run: all that was due before it
// ended. It is kept as the First of nothing: see end.
func (s *schedule) limit() uint64 {
	if len(s.segs) == 0 {
		return s.offered
	}
	return s.segs[len(s.segs)-1].First
}

// end stops it at a moment: what was due by then stays due. It gives the first
// sequence number that will not be sent.
func (s *schedule) end(now time.Duration) uint64 {
	if !s.running {
		return s.limit()
	}
	first := s.due(now)
	s.push(record.Segment{First: first, At: now, Partitions: s.parts})
	s.running = false
	return first
}

// setRate changes the rate of a running schedule from a moment on, or resumes
// one that was stopped by a rate of 0. What remained of the interval to the next
// record remains in proportion, so that a change neither bunches records nor
// leaves one out. It gives the new segment.
func (s *schedule) setRate(now time.Duration, rate float64) record.Segment {
	if !s.running {
		return s.push(record.Segment{First: s.limit(), At: now, Rate: rate, Partitions: s.parts})
	}
	old := s.segs[len(s.segs)-1]
	first := s.due(now)
	at := max(now, old.At)
	if left := old.Due(first) - now; now >= old.At && old.Rate > 0 {
		at = now + time.Duration(float64(left)*old.Rate/rate)
	}
	return s.push(record.Segment{First: first, At: at, Rate: rate, Partitions: s.parts})
}

// grow takes note of more partitions: records that are not due yet go to all of
// them. It gives the new segment; false when nothing runs.
func (s *schedule) grow(now time.Duration, parts int) (record.Segment, bool) {
	s.parts = parts
	if !s.running {
		return record.Segment{}, false
	}
	old := s.segs[len(s.segs)-1]
	first := s.due(now)
	return s.push(record.Segment{First: first, At: old.Due(first), Rate: old.Rate, Partitions: parts}), true
}

// next is the moment the first record that is not due yet becomes due; false
// when none ever does.
func (s *schedule) next(now time.Duration) (time.Duration, bool) {
	if !s.running {
		return 0, false
	}
	g := s.segs[len(s.segs)-1]
	return g.Due(s.due(now)), true
}

// head is the segment of the next record to be offered and how many records it
// has before limit.
func (s *schedule) head(limit uint64) (record.Segment, int) {
	for len(s.segs) > 1 && s.segs[1].First <= s.offered {
		s.segs = s.segs[1:]
	}
	if len(s.segs) == 0 || s.offered >= limit {
		return record.Segment{}, 0
	}
	g := s.segs[0]
	if len(s.segs) > 1 {
		limit = min(limit, s.segs[1].First)
	}
	return g, int(min(limit-s.offered, 1<<20))
}

// late counts those of the next n records of segment g that the machine offers
// too late at now: they were due, and the client had room, more than after ago.
// full is the last moment the client had none.
func (s *schedule) late(g record.Segment, n int, now, full, after time.Duration) int {
	since := now - after
	if full >= since || since < g.At || g.Rate <= 0 {
		return 0
	}
	until := min(g.NextAfter(since-1), s.offered+uint64(n)) // due before since
	return int(until - min(until, s.offered))
}
