// This file defines question: a term about fates, with its count and its first
// witnesses.

package judge

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"sort"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// maxWitnesses is how many records a claim shows.
const maxWitnesses = 8

// Witness is one record that speaks for a claim's verdict.
type Witness struct {
	Producer  string   `json:"producer,omitempty"`
	Member    int      `json:"member,omitempty"`
	Seq       uint64   `json:"seq"`
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"partition"`
	Offset    *int64   `json:"offset,omitempty"`
	Due       *Seconds `json:"due,omitempty"`
	At        *Seconds `json:"at,omitempty"` // acknowledged or delivered
	Foreign   bool     `json:"foreign,omitempty"`
	Note      string   `json:"note,omitempty"`
}

// String names the record in a few words.
func (w Witness) String() string {
	s := fmt.Sprintf("%s/%d", w.Topic, w.Partition)
	if w.Offset != nil {
		s += fmt.Sprintf(" offset %d", *w.Offset)
	}
	if !w.Foreign {
		s = fmt.Sprintf("%s-%d #%d, %s", w.Producer, w.Member, w.Seq, s)
	}
	if w.Note != "" {
		s += ", " + w.Note
	}
	return s
}

// question is a term about fates while it is being answered.
type question struct {
	term  *plan.Term
	kind  plan.RefKind
	index int // of the subject in the plan
	win   window
	whole bool // every record counts

	total     uint64
	by        map[spot]uint64
	witnesses []Witness
	excluded  uint64 // acknowledged, not in the log, but below the log's start
	pending   uint64 // of total: past the group's position
	noData    string

	// About a moment (.at): what had been delivered by then, and where the
	// group stood.
	delivered *sources
	positions map[[2]int32]int64

	// Of a group that fails over: what stands in the logs of topics that it
	// went to, before its position there. Of a mute one: what stands before
	// that which it has committed.
	before sources
}

// spot is the partition under which the question counts a span's records: its
// family's, but what a topic's own log is asked is the topic's.
func (q *question) spot(c *collector, s *record.Span) spot {
	if q.kind == plan.RefTopic || int(s.Topic) >= len(c.root) {
		return spotOf(s.Topic, s.Partition)
	}
	return spotOf(int32(c.root[s.Topic]), s.Partition)
}

func (c *collector) ask(t *plan.Term, f frame) *question {
	q := &question{term: t, kind: t.Subject.Kind, index: -1, by: map[spot]uint64{}}
	switch t.Subject.Kind {
	case plan.RefConsumer:
		for i := range c.plan.Consumers {
			if c.plan.Consumers[i].Name == t.Subject.Name {
				q.index = i
			}
		}
	case plan.RefProducer:
		for i := range c.plan.Producers {
			if c.plan.Producers[i].Name == t.Subject.Name {
				q.index = i
			}
		}
	case plan.RefTopic:
		if i, ok := c.byName[t.Subject.Name]; ok {
			q.index = i
		}
	case plan.RefMirror:
		for i := range c.plan.Mirrors {
			if c.plan.Mirrors[i].Name == t.Subject.Name {
				q.index = i
			}
		}
	}
	if q.index < 0 {
		q.noData = fmt.Sprintf("%s %s was not recorded", t.Subject.Kind, t.Subject.Name)
		return q
	}
	var err error
	if q.win, err = f.resolve(t.Windows); err != nil {
		q.noData = err.Error()
		return q
	}
	q.whole = q.win.parts.all() && !q.win.isAt
	if q.win.isAt && q.kind == plan.RefConsumer {
		switch t.Measure {
		case "missing", "undelivered", "pending":
			q.delivered = &sources{}
			q.positions = map[[2]int32]int64{}
		}
	}
	return q
}

func (q *question) about(kind plan.RefKind, index int, measure string) bool {
	return q.kind == kind && q.index == index && q.term.Measure == measure && q.noData == ""
}

// covers tells whether a record counts: due in the window; about a moment, at
// (of the acknowledgement, delivery …) not after it.
func (q *question) covers(m *member, seq uint64, at time.Duration) bool {
	if q.whole {
		return true
	}
	if q.win.isAt && at > q.win.at {
		return false
	}
	if q.win.parts.all() {
		return true
	}
	due, ok := m.due(seq)
	return ok && q.win.parts.has(due)
}

// take counts a record of a span that speaks to the question.
func (q *question) take(c *collector, m *member, s *record.Span, seq uint64) {
	if !q.covers(m, seq, s.At) {
		return
	}
	q.count(c, m, s, seq)
}

func (c *collector) witness(m *member, s *record.Span, seq uint64) Witness {
	w := Witness{Producer: c.plan.Producers[s.Producer].Name, Member: m.index, Seq: seq, Partition: s.Partition}
	if int(s.Topic) < len(c.plan.Topics) {
		w.Topic = c.plan.Topics[s.Topic].Name
	}
	switch s.Op {
	case record.OpAcked, record.OpDelivered, record.OpDropped, record.OpAudited:
		offset := s.Offset
		if s.Stride > 0 {
			offset += int64((seq - s.First) / s.Stride)
		}
		w.Offset = &offset
	}
	if s.Op != record.OpAudited {
		w.At = seconds(s.At)
	}
	if due, ok := m.due(seq); ok {
		w.Due = seconds(due)
	}
	return w
}

// answerByBits answers what the first pass alone can tell: failed, denied and
// unknown. Denied is a failed record whose reason is a refusal for want of
// rights (record.Denied): so it is one of failed, and a record that is denied
// and later acknowledged, or sent again after rights were given, is not.
func (c *collector) answerByBits(q *question) {
	if q.noData != "" || q.kind != plan.RefProducer {
		return
	}
	var op func(w []uint64) uint64
	switch q.term.Measure {
	case "failed":
		op = func(w []uint64) uint64 { return w[2] &^ w[1] &^ w[3] }
	case "denied":
		op = func(w []uint64) uint64 { return w[2] &^ w[1] &^ w[3] & w[4] }
	case "unknown":
		op = func(w []uint64) uint64 { return (w[0] | w[2] | w[3]) &^ w[1] &^ (w[2] &^ w[3]) }
	default:
		return
	}
	p := c.producers[q.index]
	if q.win.isAt {
		// Due by the moment.
		q.win.parts = q.win.parts.and(pieces{{-forever, q.win.at}})
		q.win.isAt, q.whole = false, false
	}
	p.each(func(m *member) {
		combine(op, func(first, word uint64) {
			if q.whole && q.term.By != "partition" && len(q.witnesses) >= maxWitnesses {
				q.total += uint64(bits.OnesCount64(word))
				return
			}
			each(first, word, func(seq uint64) {
				if !q.covers(m, seq, 0) {
					return
				}
				part := m.partition(seq)
				q.total++
				q.by[spotOf(int32(p.topic), part)]++
				if len(q.witnesses) < maxWitnesses {
					s := record.Span{Op: record.OpFailed, Producer: int32(p.index), Topic: int32(p.topic), Partition: part}
					w := c.witness(m, &s, seq)
					w.At = nil
					if q.term.Measure == "unknown" {
						w.Note = "in flight at the end"
					}
					for _, n := range p.notes {
						if n.member == m.index && n.seq == seq {
							w.Note = n.reason
						}
					}
					q.witnesses = append(q.witnesses, w)
				}
			})
		}, &m.accepted, &m.acked, &m.failed, &m.unsure, &m.denied)
	})
}

// readCommitted is the isolation of a consumer that does not see aborted records.
const readCommitted = "read_committed"

// suspects are the records that a second pass has to look at: acknowledged and
// not in some group's deliveries or not in the log; delivered though never
// sent or failed.
type suspects struct {
	acked   sources
	copied  []sources // by mirror: not in the copy
	phantom []sources // by consumer
	any     bool
}

func (c *collector) suspects() suspects {
	out := suspects{phantom: make([]sources, len(c.consumers)), copied: make([]sources, len(c.plan.Mirrors))}
	add := func(to *sources, p *producer, m *member, op func(w []uint64) uint64, sets ...*bitset) {
		combine(op, func(first, word uint64) {
			b := to.of(int32(p.index), int32(m.index))
			b.chunk(first)[first%chunkBits/64] |= word
			out.any = true
		}, sets...)
	}
	butNot := func(w []uint64) uint64 {
		for _, x := range w[1:] {
			w[0] &^= x
		}
		return w[0]
	}
	for _, q := range c.questions {
		if q.noData != "" {
			continue
		}
		for _, p := range c.producers {
			p.each(func(m *member) {
				switch q.term.Measure {
				case "missing", "undelivered", "pending":
					if q.kind == plan.RefMirror {
						if copied := c.copyOf(q.index, p.topic); copied >= 0 {
							add(&out.copied[q.index], p, m, butNot, &m.acked, c.topics[copied].audited.get(p.index, m.index))
						}
						return
					}
					if x := c.consumers[q.index]; x.readsTopic(p.topic) {
						add(&out.acked, p, m, butNot, &m.acked, c.had(q).get(p.index, m.index))
					}
				case "lost":
					if c.reads(q, p.topic) {
						sets := []*bitset{&m.acked}
						for _, log := range c.kin[p.topic] {
							sets = append(sets, c.topics[log].audited.get(p.index, m.index))
						}
						add(&out.acked, p, m, butNot, sets...)
					}
				case "phantoms":
					x := c.consumers[q.index]
					// An aborted record has failed, but a reader of all isolation levels
					// but read_committed rightly sees it in the log.
					var aborted *bitset
					if x.plan.Isolation != readCommitted {
						aborted = c.topics[p.topic].aborted.get(p.index, m.index)
					}
					wrong := func(w []uint64) uint64 {
						sent := w[1] | w[2] | w[3] | w[4]
						return w[0] & (^sent | w[3]&^w[2]&^w[4]&^w[5])
					}
					had := []*sources{&x.delivered}
					for _, root := range slices.Sorted(maps.Keys(x.replayed)) {
						had = append(had, x.replayed[root])
					}
					for _, set := range had {
						add(&out.phantom[q.index], p, m, wrong, set.get(p.index, m.index), &m.accepted, &m.acked, &m.failed, &m.unsure, aborted)
					}
				}
			})
		}
	}
	return out
}

// reads tells whether a question is about records of that topic.
func (c *collector) reads(q *question, topic int) bool {
	switch q.kind {
	case plan.RefTopic:
		return q.index == topic
	case plan.RefMirror:
		return c.copyOf(q.index, topic) >= 0
	}
	return c.consumers[q.index].readsTopic(topic)
}

// copyOf is the topic into which a mirror copies a topic, -1 for none.
func (c *collector) copyOf(mirror, topic int) int {
	if topic >= len(c.plan.Topics) {
		return -1
	}
	if t := c.plan.Copy(c.plan.Mirrors[mirror].Name, c.plan.Topics[topic].Name); t != nil {
		return c.byName[t.Name]
	}
	return -1
}

// logs are the topics whose audits a question needs.
func (c *collector) logs(q *question) []int {
	var out []int
	for i := range c.topics {
		if !c.reads(q, i) {
			continue
		}
		more := []int{i}
		switch {
		case q.kind == plan.RefMirror:
			more = []int{c.copyOf(q.index, i)}
		case q.term.Measure == "lost":
			more = c.kin[i]
		}
		for _, k := range more {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// audit tells what a partition's audit says: whether the log was read, from
// where on, and to where.
func (t *topicState) audit(partition int32) (record.AuditMark, bool) {
	m, ok := t.marks[partition]
	return m, ok && m.Complete
}

// attribute is the second pass: it counts suspects and says where they were.
func (c *collector) attribute(rec *record.Recording, found suspects) error {
	if !found.any {
		return nil
	}
	_, err := rec.Scan(func(b *record.Block) error {
		return b.Spans(func(stream record.Stream, spans []record.Span) error {
			for i := range spans {
				s := &spans[i]
				switch s.Op {
				case record.OpAcked:
					set := found.acked.get(int(s.Producer), int(s.Source))
					for k := range uint64(s.N) {
						if seq := s.First + k*s.Stride; set.has(seq) {
							set.clear(seq)
							c.ackedSuspect(s, seq, s.Offset+int64(k))
						}
					}
					for i := range found.copied {
						// What was acknowledged elsewhere is no record of the source.
						set := found.copied[i].get(int(s.Producer), int(s.Source))
						if set == nil || int(s.Topic) != c.producers[s.Producer].topic {
							continue
						}
						for k := range uint64(s.N) {
							if seq := s.First + k*s.Stride; set.has(seq) {
								set.clear(seq)
								c.uncopied(i, s, seq, s.Offset+int64(k))
							}
						}
					}
				case record.OpDelivered:
					set := found.phantom[stream.Index].get(int(s.Producer), int(s.Source))
					for k := range uint64(s.N) {
						if seq := s.First + k*s.Stride; set.has(seq) {
							c.phantomSuspect(stream.Index, s, seq)
						}
					}
				}
			}
			return nil
		})
	})
	return err
}

// count is take without asking again whether the record counts.
func (q *question) count(c *collector, m *member, s *record.Span, seq uint64) {
	q.total++
	q.by[q.spot(c, s)]++
	if len(q.witnesses) < maxWitnesses {
		q.witnesses = append(q.witnesses, c.witness(m, s, seq))
	}
}

func (c *collector) phantomSuspect(consumer int, s *record.Span, seq uint64) {
	m := c.producers[s.Producer].member(s.Source, c.plan)
	for _, q := range c.questions {
		if !q.about(plan.RefConsumer, consumer, "phantoms") {
			continue
		}
		before := len(q.witnesses)
		q.take(c, m, s, seq)
		if len(q.witnesses) > before {
			q.witnesses[before].Note = "never sent"
			if m.failed.has(seq) {
				q.witnesses[before].Note = "definitely failed"
			}
		}
	}
}

// needsAudit says why a question cannot be answered from what was audited, ""
// when it can.
func (c *collector) needsAudit(q *question) string {
	switch q.term.Measure {
	case "lost", "undelivered", "pending":
	case "missing":
		if q.kind != plan.RefMirror && !c.byCommit(q) {
			return ""
		}
	case "duplicates", "out_of_order":
		if q.kind != plan.RefTopic {
			return ""
		}
	default:
		return ""
	}
	var bad []string
	for _, i := range c.logs(q) {
		t := c.topics[i]
		if t.deleted != nil && t.deleted.whole && len(t.marks) == 0 {
			continue // as the scenario asked
		}
		parts := t.plan.Partitions
		for k := range t.marks {
			parts = max(parts, int(k)+1)
		}
		for k := range parts {
			if m, ok := t.audit(int32(k)); !ok {
				why := "was not audited"
				if m.Error != "" {
					why += ": " + m.Error
				}
				bad = append(bad, fmt.Sprintf("%s/%d %s", t.plan.Name, k, why))
			}
		}
	}
	sort.Strings(bad)
	if len(bad) == 0 {
		return ""
	}
	if len(bad) > 1 {
		return fmt.Sprintf("%s, and %d more", bad[0], len(bad)-1)
	}
	return bad[0]
}

// fate answers a term by its question.
func (j *judging) fate(t *plan.Term) answer {
	q := j.questOf[t]
	switch {
	case q == nil:
		return none("%s: nothing recorded", t.Subject.Name)
	case q.noData != "":
		return none("%s", q.noData)
	}
	if j.live {
		j.soFar(q)
	}
	if why := j.needsAudit(q); why != "" {
		return none("%s", why)
	}
	a := answer{question: q}
	if t.By == "partition" && t.Measure != "out_of_order" {
		for _, at := range j.spots(t.Subject) {
			a.numbers = append(a.numbers, number{label: j.label(at), spot: at, v: float64(q.by[at])})
		}
		return a
	}
	a.numbers = []number{{spot: noSpot, v: float64(q.total)}}
	a.of = j.outOf(q)
	return a
}

// outOf is how many records a whole-run count is out of.
func (j *judging) outOf(q *question) float64 {
	if !q.whole {
		return 0
	}
	var n uint64
	for _, p := range j.producers {
		switch {
		case q.kind == plan.RefProducer && q.index != p.index, q.kind != plan.RefProducer && !j.reads(q, p.topic):
			continue
		}
		p.each(func(m *member) {
			if q.kind == plan.RefProducer {
				n += m.accepted.count()
			} else if q.kind == plan.RefMirror {
				combine(func(w []uint64) uint64 {
					n += uint64(bits.OnesCount64(w[0] &^ w[1]))
					return 0
				}, func(uint64, uint64) {}, &m.acked, &m.away)
			} else {
				n += m.acked.count()
			}
		})
	}
	return float64(n)
}
