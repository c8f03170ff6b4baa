// This file defines where acknowledged records are that somebody does not have:
// not in a log, not delivered to a group, not in a mirror's copy.

package judge

import (
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// whereabouts is where a missing record is, as a group sees it.
type whereabouts struct {
	inLog   bool // of a topic that the group reads
	audited bool // the log in which it was acknowledged was read
	past    bool // it lies past the group's position
	gone    bool // deleted, by retention or as the scenario asked
	dropped bool // dedup did not let it through
}

// locate finds a record that was acknowledged at an offset and that a group
// does not have:
//
//	the group reads, at the end,                its position decides by
//	the topic where it was acknowledged         the record's offset there
//	a copy of it that stands in the log         the record's offset in the copy
//	neither                                     the record's offset where it was
//	                                            acknowledged, and where the group left
func (c *collector) locate(q *question, x *consumer, p *producer, m *member, s *record.Span, seq uint64, offset int64) whereabouts {
	var w whereabouts
	own := c.topics[s.Topic]
	mark, audited := own.audit(s.Partition)
	w.audited = audited
	w.dropped = x.dropping && x.dropped.get(p.index, m.index).has(seq)
	place := x.placeAt(forever)
	if q.win.isAt {
		place = x.placeAt(q.win.at)
	}
	inCopy := false
	for _, k := range x.reading {
		if c.root[k] != p.topic || !c.topics[k].audited.get(p.index, m.index).has(seq) {
			continue
		}
		w.inLog = true
		if k != int(s.Topic) && place.reads(k) {
			inCopy = true
		}
	}
	reads := x.readsTopic(int(s.Topic))
	switch {
	case inCopy && !(reads && place.reads(int(s.Topic))):
		w.past = !q.before.get(p.index, m.index).has(seq)
	case reads:
		w.past = offset >= c.position(q, x, s.Topic, s.Partition)
	}
	if c.byCommit(q) {
		w.past = w.inLog // what stands before the commit is not looked for
	}
	w.gone = !w.inLog && (audited && offset >= 0 && offset < mark.LogStart || own.deleted.gone(s.Partition, offset, s.At))
	return w
}

// position is where a group stands in a partition, at the end or at the moment
// that the question is about.
func (c *collector) position(q *question, x *consumer, topic, partition int32) int64 {
	if x.mute != nil {
		return x.mute.next(c.topics[topic].plan.Name, partition)
	}
	if q.delivered != nil {
		return q.positions[[2]int32{topic, partition}]
	}
	return x.at(topic, partition).pos
}

// reads tells whether the topic is among those of the place.
func (s switchover) reads(topic int) bool {
	for _, t := range s.topics {
		if t == topic {
			return true
		}
	}
	return false
}

// standsBefore notes which records of a log stand before the positions of the
// groups that went there, or before what mute ones have committed. The audit
// comes when these are final.
func (c *collector) standsBefore(s *record.Span) {
	if c.root[s.Topic] != c.producers[s.Producer].topic {
		return
	}
	for _, q := range c.questions {
		if q.kind != plan.RefConsumer || q.noData != "" {
			continue
		}
		switch q.term.Measure {
		case "missing", "undelivered", "pending":
		default:
			continue
		}
		x := c.consumers[q.index]
		if !x.readsTopic(int(s.Topic)) || x.mute == nil && c.topics[s.Topic].plan.Origin == plan.Declared {
			continue
		}
		if n := min(c.position(q, x, s.Topic, s.Partition)-s.Offset, int64(s.N)); n > 0 {
			q.before.of(s.Producer, s.Source).set(s.First, s.Stride, uint32(n))
		}
	}
}

// ackedSuspect counts an acknowledged record for the questions that it speaks
// to.
func (c *collector) ackedSuspect(s *record.Span, seq uint64, offset int64) {
	if int(s.Topic) >= len(c.topics) {
		return
	}
	p := c.producers[s.Producer]
	m := p.member(s.Source, c.plan)
	for _, q := range c.questions {
		if q.noData != "" || q.kind == plan.RefMirror || q.kind == plan.RefProducer {
			continue
		}
		switch q.term.Measure {
		case "lost":
			c.lost(q, p, m, s, seq, offset)
		case "missing", "undelivered", "pending":
			c.missing(q, p, m, s, seq, offset)
		}
	}
}

func (c *collector) lost(q *question, p *producer, m *member, s *record.Span, seq uint64, offset int64) {
	if !c.reads(q, p.topic) {
		return
	}
	for _, log := range c.kin[p.topic] {
		if c.topics[log].audited.get(p.index, m.index).has(seq) {
			return
		}
	}
	t := c.topics[s.Topic]
	mark, audited := t.audit(s.Partition)
	gone := t.deleted.gone(s.Partition, offset, s.At)
	if !audited && !gone {
		return
	}
	if q.win.isAt { // due by the moment
		if due, ok := m.due(seq); !ok || due > q.win.at {
			return
		}
	} else if !q.covers(m, seq, s.At) {
		return
	}
	if gone || offset >= 0 && offset < mark.LogStart {
		q.excluded++ // retention, or deleted as the scenario asked
		return
	}
	q.count(c, m, s, seq)
}

func (c *collector) missing(q *question, p *producer, m *member, s *record.Span, seq uint64, offset int64) {
	if !c.reads(q, p.topic) || !q.covers(m, seq, s.At) {
		return
	}
	x := c.consumers[q.index]
	if c.had(q).get(p.index, m.index).has(seq) {
		return
	}
	w := c.locate(q, x, p, m, s, seq, offset)
	if w.gone {
		q.excluded++
		return
	}
	switch q.term.Measure {
	case "undelivered":
		if !w.inLog || w.past {
			return
		}
	case "pending":
		if !w.inLog || !w.past {
			return
		}
	}
	q.count(c, m, s, seq)
	if w.past && w.inLog {
		q.pending++
	}
	if n := len(q.witnesses); n > 0 && q.witnesses[n-1].Seq == seq && q.witnesses[n-1].Note == "" {
		q.witnesses[n-1].Note = w.note(x.readsTopic(int(s.Topic)))
	}
}

// had are the records that count as delivered to a question's group.
func (c *collector) had(q *question) sources {
	switch {
	case c.byCommit(q):
		return q.before
	case q.delivered != nil:
		return *q.delivered
	}
	return c.consumers[q.index].delivered
}

// note says it in a few words; reads: the group reads the topic in which the
// record was acknowledged.
func (w whereabouts) note(reads bool) string {
	switch {
	case !w.audited:
		return ""
	case !w.inLog && !reads:
		return "in no log that the group reads"
	case !w.inLog:
		return "not in the log"
	case w.past:
		return "in the log, past the group's position"
	case w.dropped:
		return "in the log, dropped by dedup"
	}
	return "in the log, skipped by the group"
}

// uncopied counts a record of a source that is not in the copy.
func (c *collector) uncopied(mirror int, s *record.Span, seq uint64, offset int64) {
	p := c.producers[s.Producer]
	m := p.member(s.Source, c.plan)
	source := c.topics[s.Topic]
	copied := c.topics[c.copyOf(mirror, int(s.Topic))]
	mark, audited := source.audit(s.Partition)
	for _, q := range c.questions {
		if !q.about(plan.RefMirror, mirror, "missing") || !q.covers(m, seq, s.At) {
			continue
		}
		// What was deleted at the source may never have come to the mirror; of
		// what was deleted in the copy, its observer has seen that it was there.
		seen := false
		if x := c.observer(mirror); x != nil {
			at, ok := copied.audit(s.Partition)
			seen = x.delivered.get(p.index, m.index).has(seq) &&
				(ok && at.LogStart > 0 || copied.deleted != nil && (copied.deleted.whole || copied.deleted.before[s.Partition] > 0))
		}
		if seen || source.deleted.gone(s.Partition, offset, s.At) || audited && offset >= 0 && offset < mark.LogStart {
			q.excluded++
			continue
		}
		q.count(c, m, s, seq)
		if n := len(q.witnesses); n > 0 && q.witnesses[n-1].Seq == seq && q.witnesses[n-1].Note == "" {
			q.witnesses[n-1].Note = "not in " + copied.plan.Name
		}
	}
}

// observer is the consumer that reads a mirror's copies, nil without one.
func (c *collector) observer(mirror int) *consumer {
	for _, x := range c.consumers {
		if x.plan.Observes == c.plan.Mirrors[mirror].Name {
			return x
		}
	}
	return nil
}
