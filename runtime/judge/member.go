// This file defines member: what is known of one member of a producer, and how
// the records of its schedule come due.

package judge

import (
	"sort"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// segment is a record.Segment prepared for arithmetic. end: nothing is due.
type segment struct {
	record.Segment
	interval float64 // ns between records, 0: all at once
	end      bool
}

func (s *segment) due(seq uint64) time.Duration {
	return s.At + time.Duration(float64(seq-s.First)*s.interval)
}

// member is a member of a producer. A record that was sent has one fate:
//
//	acked   unsure   failed   fate
//	yes     any      any      acked
//	no      yes      any      unknown
//	no      no       yes      failed
//	no      no       no       unknown: in flight at the end
//
// A record that is accepted once more is no longer failed; when its first
// attempt had no end, it stays unsure whatever the second brings.
type member struct {
	index                           int // from 1
	sched                           []segment
	last                            int // segment found last
	accepted, acked, failed, unsure bitset
	away                            bitset   // acknowledged in another topic than the producer's
	failedOver                      bool     // some are
	denied                          bitset   // of failed: for want of rights
	places                          []bitset // by partition: where records failed that had a choice
	part                            *record.Partitioner
	sentEnd                         uint64 // beyond the last accepted record

	// The records that have come due so far, in the order of the schedule.
	at      int    // segment
	next    uint64 // record
	floor   uint64 // records before it are no longer waited for
	waiting []int64
}

func newMember(p *plan.Plan, producer, index int) *member {
	x := &p.Producers[producer]
	part := record.NewPartitioner(x.Partitioner, p.Scenario.Seed, producer, index, x.Members, x.Keys)
	part.Owns = x.Owns
	return &member{index: index, part: part}
}

// available is the partitioner that chooses when a record is handed over. Which
// partition a record is due for nobody knows before its end: it is due for
// whichever acknowledges, and there is one silence, that of all partitions.
const available = "available"

// placed notes where records ended that had a choice.
func (m *member) placed(s *record.Span) {
	for int(s.Partition) >= len(m.places) {
		m.places = append(m.places, bitset{})
	}
	m.places[s.Partition].set(s.First, s.Stride, s.N)
}

// over notes that nobody waits any more for a span's records.
func (m *member) over(p *producer, s *record.Span) {
	k := int(s.Partition)
	if p.plan.Partitioner == available {
		k = 0
	}
	if k < len(m.waiting) {
		m.waiting[k] -= int64(s.N)
	}
}

func (m *member) addSegment(n record.SegmentNote) {
	s := segment{Segment: n.Segment, end: n.End}
	if n.Segment.Rate > 0 {
		s.interval = 1e9 / n.Segment.Rate
	}
	m.sched = append(m.sched, s)
	if len(m.sched) == 1 {
		m.next = s.First
	}
}

// find gives the segment of a record, nil before the first; and the first
// record beyond the segment.
func (m *member) find(seq uint64) (*segment, uint64) {
	i := m.last
	if i >= len(m.sched) || seq < m.sched[i].First || (i+1 < len(m.sched) && seq >= m.sched[i+1].First) {
		i = sort.Search(len(m.sched), func(i int) bool { return m.sched[i].First > seq }) - 1
		if i < 0 {
			return nil, 0
		}
		m.last = i
	}
	limit := uint64(1<<63 - 1)
	if i+1 < len(m.sched) {
		limit = m.sched[i+1].First
	}
	return &m.sched[i], limit
}

// due is the moment a record was due.
func (m *member) due(seq uint64) (time.Duration, bool) {
	s, _ := m.find(seq)
	if s == nil {
		return 0, false
	}
	return s.due(seq), true
}

// partition is where a record was to go.
func (m *member) partition(seq uint64) int32 {
	for i := range m.places {
		if m.places[i].has(seq) {
			return int32(i)
		}
	}
	s, _ := m.find(seq)
	if s == nil {
		return 0
	}
	return m.part.Partition(seq, s.Partitions)
}

// rate is what the member's schedule asks for at present.
func (m *member) rate() float64 {
	if m.at < len(m.sched) && !m.sched[m.at].end {
		return m.sched[m.at].Rate
	}
	return 0
}

// advance lets all records of a member that are due by t come due. Of a
// segment that is as fast as possible, what was accepted was due.
func (c *collector) advance(p *producer, m *member, t time.Duration) {
	for m.at < len(m.sched) {
		s := &m.sched[m.at]
		limit := uint64(1<<63 - 1)
		over := m.at+1 < len(m.sched) && m.sched[m.at+1].At <= t
		if m.at+1 < len(m.sched) {
			limit = m.sched[m.at+1].First
		}
		switch {
		case s.end:
		case s.interval == 0:
			p.comeDue(m, s, min(limit, m.sentEnd))
		case over:
			// What is left of the segment was due before the next began, give
			// or take the rounding of clocks.
			p.comeDue(m, s, min(limit, m.next+1e6))
		default:
			p.comeDue(m, s, min(limit, s.NextAfter(t)))
		}
		if !over {
			return
		}
		m.at++
		n := &m.sched[m.at]
		m.next = n.First
		if n.end {
			for i, k := range m.waiting {
				if k > 0 {
					c.endGap(p, int32(i), k, n.At, false)
				}
			}
			m.floor = max(m.floor, n.First)
			clear(m.waiting)
		}
		p.sumRate()
	}
}

// comeDue lets the records of a segment up to end (exclusive) come due.
func (p *producer) comeDue(m *member, s *segment, end uint64) {
	if end <= m.next {
		return
	}
	parts := max(s.Partitions, 1)
	if len(m.waiting) < parts {
		m.waiting = append(m.waiting, make([]int64, parts-len(m.waiting))...)
	}
	n := end - m.next
	p.allSilent.due(int64(n), func(k int64) time.Duration { return s.due(m.next + uint64(k)) })
	switch p.plan.Partitioner {
	case available:
		m.waiting[0] += int64(n)
		m.next = end
		return
	case "round_robin":
		// Partitions come by turns, so each gets its share at once.
		_, _, choices := m.part.Choices(parts)
		turns := uint64(choices)
		for i := range min(n, turns) {
			k := m.part.Partition(m.next+i, parts)
			share := int64((n - i + turns - 1) / turns)
			m.waiting[k] += share
			p.silent[k].due(share, func(k int64) time.Duration { return s.due(m.next + i + uint64(k)*turns) })
		}
		m.next = end
		return
	}
	for ; m.next < end; m.next++ {
		k := m.part.Partition(m.next, parts)
		m.waiting[k]++
		p.silent[k].due(1, func(int64) time.Duration { return s.due(m.next) })
	}
}
