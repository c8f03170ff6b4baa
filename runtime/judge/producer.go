// This file defines what is collected of producers: what became of their
// records, how fast, and when nothing came.

package judge

import (
	"time"

	"starfall/runtime/record"
)

// produced takes a span of a producer.
func (c *collector) produced(p *producer, stream record.Stream, s *record.Span) {
	c.until = max(c.until, s.At)
	if s.Source < 1 {
		return
	}
	m := p.member(s.Source, c.plan)
	switch s.Op {
	case record.OpAccepted:
		p.sent.add(s.At, s.N)
		p.sentN += uint64(s.N)
		if p.want.rateByMember {
			addTo(&p.sentBy, int(s.Source), s.At, s.N)
		}
		m.sentEnd = max(m.sentEnd, s.Last()+1)
		again := m.accepted.setNew(s.First, s.Stride, s.N, c.scratch[:0])
		for _, seq := range again {
			if m.failed.has(seq) {
				m.failed.clear(seq)
			} else {
				m.unsure.set(seq, 1, 1)
			}
		}
		c.scratch = again
	case record.OpAcked:
		c.dueBy(p, s.At)
		if int(s.Topic) >= len(c.topics) {
			return
		}
		again := m.acked.setNew(s.First, s.Stride, s.N, c.scratch[:0])
		if s.Topic != int32(p.topic) {
			m.failedOver = true
			m.away.set(s.First, s.Stride, s.N)
		}
		if len(again) == 0 {
			c.acknowledged(p, m, s)
		} else {
			// Acknowledged before, by the cluster that the producer has left.
			c.scratch = again
			one := *s
			one.N = 1
			for i := range uint64(s.N) {
				one.First = s.First + i*s.Stride
				if len(again) > 0 && again[0] == one.First {
					again = again[1:]
				} else {
					c.acknowledged(p, m, &one)
				}
			}
		}
		if c.stalls {
			c.topics[s.Topic].mark(s.Partition, mark{s.At, s.Offset + int64(s.N)})
		}
	case record.OpFailed, record.OpUnknown:
		c.dueBy(p, s.At)
		if s.First >= m.floor {
			c.gaveUp(p, m, s)
		}
		set := &m.failed
		if s.Op == record.OpUnknown {
			set = &m.unsure
		}
		set.set(s.First, s.Stride, s.N)
		if p.refusal(c, stream, s.Reason) && s.Op == record.OpFailed {
			m.denied.set(s.First, s.Stride, s.N)
		}
		if p.plan.Partitioner == available {
			m.placed(s)
		}
		if len(p.notes) < 64 {
			p.notes = append(p.notes, note{s.First, m.index, c.reason(stream, s.Reason)})
		}
	case record.OpLate:
		p.late.add(s.At, s.N)
		p.lateN += uint64(s.N)
	}
}

// acknowledged takes records that are acknowledged for the first time.
func (c *collector) acknowledged(p *producer, m *member, s *record.Span) {
	if s.First < m.floor {
		// Nobody waits for these any more, so they end no gap's count.
	} else {
		c.came(p, m, s)
	}
	p.acked.add(s.At, s.N)
	if c.owing {
		c.owe(p, m, s)
	}
	if p.want.rateByMember {
		addTo(&p.byMember, int(s.Source), s.At, s.N)
	}
	if p.want.rateByPartition {
		addTo(&p.byPart, int(s.Partition), s.At, s.N)
	}
	c.latency(m, s, p.lat.second(s.At))
	if p.want.latByPartition {
		for int(s.Partition) >= len(p.latBy) {
			p.latBy = append(p.latBy, nil)
		}
		c.latency(m, s, p.latBy[s.Partition].second(s.At))
	}
}

// refusal tells whether a reason is one for want of rights.
func (p *producer) refusal(c *collector, stream record.Stream, reason uint32) bool {
	if reason == 0 {
		return false
	}
	is, known := p.refusals[reason]
	if !known {
		if p.refusals == nil {
			p.refusals = map[uint32]bool{}
		}
		is = record.Denied(c.reason(stream, reason))
		p.refusals[reason] = is
	}
	return is
}

func addTo(list *[]ticks, i int, at time.Duration, n uint32) {
	for i >= len(*list) {
		*list = append(*list, nil)
	}
	(*list)[i].add(at, n)
}

// dueBy lets the records of all members come due up to t.
func (c *collector) dueBy(p *producer, t time.Duration) {
	if t <= p.seen {
		return
	}
	p.seen = t
	for _, m := range p.members {
		if m != nil {
			c.advance(p, m, t)
		}
	}
	if p.rate == 0 {
		p.sumRate()
	}
}

// sumRate puts what the members' schedules ask for at present.
func (p *producer) sumRate() {
	p.rate = 0
	p.each(func(m *member) { p.rate += m.rate() })
}

// endGap tells a partition's silence, and that of all, of n records.
func (c *collector) endGap(p *producer, partition int32, n int64, t time.Duration, came bool) {
	if p.plan.Partitioner != available {
		if int(partition) >= len(p.silent) {
			return
		}
		if from, ok := p.silent[partition].over(n, t, came); ok && t-from > c.short {
			if least := c.least(p.rate, p.partitions); t-from > least {
				p.gaps = append(p.gaps, gap{from, t, spotOf(int32(p.topic), partition), least})
			}
		}
	}
	if from, ok := p.allSilent.over(n, t, came); ok && t-from > c.short {
		if least := c.least(p.rate, 1); t-from > least {
			p.allGaps = append(p.allGaps, gap{from, t, noSpot, least})
		}
	}
}

func (c *collector) came(p *producer, m *member, s *record.Span) {
	m.over(p, s)
	c.endGap(p, s.Partition, int64(s.N), s.At, true)
}

func (c *collector) gaveUp(p *producer, m *member, s *record.Span) {
	m.over(p, s)
	c.endGap(p, s.Partition, int64(s.N), s.At, false)
}

// latency adds the times from due to s.At of a span's records.
func (c *collector) latency(m *member, s *record.Span, h *histogram) {
	seg, limit := m.find(s.First)
	if seg == nil {
		return
	}
	longest := s.At - seg.due(s.First)
	if h.n == 0 || longest > h.max {
		h.max, h.maxAt, h.member, h.seq, h.part = max(longest, 0), s.At, s.Source, s.First, spotOf(s.Topic, s.Partition)
	}
	v := 0.0
	if longest > 0 {
		v = float64(longest) * c.perCell
	}
	if s.N == 1 {
		h.add(uint64(v), 1)
		return
	}
	if s.Last() >= limit {
		for i := range uint64(s.N) {
			if due, ok := m.due(s.First + i*s.Stride); ok {
				h.add(uint64(float64(max(s.At-due, 0))*c.perCell), 1)
			}
		}
		return
	}
	h.addSeries(v, seg.interval*float64(s.Stride)*c.perCell, int64(s.N))
}
