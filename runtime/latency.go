// This file defines how latencies are counted while the run goes on: in a few
// fixed buckets, span by span. The verdict's histograms are finer
// (runtime/judge).

package runtime

import (
	"slices"
	"sort"
	"time"

	"starfall/runtime/record"
)

// latencyBounds are from what a healthy acknowledgement takes to beyond what
// any election was measured to take (kafka-facts.md), two or three a decade.
var latencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// LatencyBounds are the upper bounds, themselves included, of the buckets of
// ProducerProgress.Latency, in scenario time and in rising order.
func LatencyBounds() []time.Duration { return slices.Clone(latencyBounds[:]) }

// latencies counts how long records took from due to acknowledged.
type latencies struct {
	// within[i] is how many took longer than bound i-1 and not longer than
	// bound i; the last one has what took longer than all.
	within  [len(latencyBounds) + 1]uint64
	sum     time.Duration
	members []schedule // by member, from 1
}

// schedule is what is known of when a member's records are due.
type schedule struct {
	segments []segment
	last     int // found last
}

// segment is a record.Segment with the interval between its records in ns,
// 0 when all are due at once.
type segment struct {
	record.Segment
	interval float64
}

func (s *segment) due(seq uint64) time.Duration {
	return s.At + time.Duration(float64(int64(seq-s.First))*s.interval)
}

// maxSegments bounds a schedule: a member that goes as fast as it can has a
// segment for each batch. What is forgotten was due before the oldest that is
// kept, so that a record of it would count as quicker than it was; with so many
// batches behind it, it is no longer in flight.
const maxSegments = 1 << 14

// segment takes a part of a member's schedule.
func (l *latencies) segment(n record.SegmentNote) {
	if n.Member < 1 || n.Member >= 1<<20 || n.End {
		return
	}
	for n.Member >= len(l.members) {
		l.members = append(l.members, schedule{})
	}
	m := &l.members[n.Member]
	if len(m.segments) >= maxSegments {
		m.segments = slices.Delete(m.segments, 0, maxSegments/2)
		m.last = 0
	}
	s := segment{Segment: n.Segment}
	if n.Segment.Rate > 0 {
		s.interval = 1e9 / n.Segment.Rate
	}
	m.segments = append(m.segments, s)
}

// find gives the segment of a record, the first one for what lies before it,
// and the first record beyond the segment; nil when nothing was ever due.
func (m *schedule) find(seq uint64) (*segment, uint64) {
	i := m.last
	if i >= len(m.segments) || seq < m.segments[i].First || i+1 < len(m.segments) && seq >= m.segments[i+1].First {
		i = max(sort.Search(len(m.segments), func(i int) bool { return m.segments[i].First > seq })-1, 0)
		if i >= len(m.segments) {
			return nil, 0
		}
		m.last = i
	}
	if i+1 < len(m.segments) {
		return &m.segments[i], m.segments[i+1].First
	}
	return &m.segments[i], 1<<63 - 1
}

// acked counts the records of a span. They are acknowledged at one moment and
// due one after the other, so the first took longest and each next one a step
// less.
func (l *latencies) acked(x *record.Span) {
	if int(x.Source) >= len(l.members) {
		return
	}
	m := &l.members[x.Source]
	s, beyond := m.find(x.First)
	if s == nil {
		return
	}
	if x.Last() >= beyond || x.First < s.First {
		one := *x
		one.N = 1
		for i := range uint64(x.N) {
			one.First = x.First + i*x.Stride
			s, _ := m.find(one.First)
			due := s.At // of the oldest that is known
			if one.First > s.First {
				due = s.due(one.First)
			}
			l.series(one.At-due, 0, 1)
		}
		return
	}
	l.series(x.At-s.due(x.First), s.interval*float64(int64(x.Stride)), uint64(x.N))
}

// series counts n latencies, the first longest and each next one a step
// shorter; what would be negative, by the rounding of times, counts as nothing.
func (l *latencies) series(longest time.Duration, step float64, n uint64) {
	longest = max(longest, 0)
	b := 0
	for b < len(latencyBounds) && longest > latencyBounds[b] {
		b++
	}
	span := time.Duration(step * float64(int64(n-1)))
	if shortest := longest - span; shortest >= 0 && (b == 0 || shortest > latencyBounds[b-1]) {
		l.within[b] += n
		l.sum += time.Duration(n) * (longest + shortest) / 2
		return
	}
	// Those that take any time at all, of which the sum is that of a series.
	k := n
	if step > 0 && float64(longest) < step*float64(n-1) {
		k = uint64(float64(longest)/step) + 1
	}
	l.sum += time.Duration(k)*longest - time.Duration(step*float64(k)*float64(k-1)/2)
	for done := uint64(0); ; b-- {
		upTo := n
		if b > 0 && step > 0 {
			// As many as steps fit in before the bound below is reached.
			over := float64(longest-latencyBounds[b-1]) / step
			if upTo = uint64(over); float64(upTo) < over {
				upTo++
			}
			upTo = min(upTo, n)
		}
		l.within[b] += upTo - done
		if done = upTo; done == n {
			return
		}
	}
}

// cumulative gives, for each bound, how many took no longer.
func (l *latencies) cumulative() []uint64 {
	out := make([]uint64, len(latencyBounds))
	var n uint64
	for i := range out {
		n += l.within[i]
		out[i] = n
	}
	return out
}
