// This file defines collector: one pass over the evidence that keeps what the
// terms ask for. Memory is bounded by the length of the run and the number of
// records in bits, not by the size of the evidence.

package judge

import (
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// tick is what rates are counted in.
const tick = 100 * time.Millisecond

// maxTicks bounds a series: 1,000 hours.
const maxTicks = 36_000_000

// ticks counts records by 100 ms from the start of load.
type ticks []uint32

func (t *ticks) add(at time.Duration, n uint32) {
	if at < 0 || at >= maxTicks*tick {
		return
	}
	i := int(at / tick)
	for i >= len(*t) {
		*t = append(*t, make(ticks, i+1-len(*t)+256)...)
	}
	(*t)[i] += n
}

// sum counts the records from … to, both multiples of 100 ms.
func (t ticks) sum(from, to time.Duration) (n uint64) {
	a, b := max(int(from/tick), 0), min(int(to/tick), len(t))
	for ; a < b; a++ {
		n += uint64(t[a])
	}
	return n
}

// latencies holds a histogram for each second.
type latencies []*histogram

func (l *latencies) second(at time.Duration) *histogram {
	if at < 0 || at >= maxTicks*tick {
		at = 0
	}
	i := int(at / time.Second)
	for i >= len(*l) {
		*l = append(*l, nil)
	}
	if (*l)[i] == nil {
		(*l)[i] = new(histogram)
	}
	return (*l)[i]
}

// demand says what the terms of a plan need beyond what is always collected.
type demand struct {
	rateByMember, rateByPartition bool
	latByPartition                bool
	keyOrder                      bool
	lag                           bool
}

type thing struct {
	kind plan.RefKind
	name string
}

// note is a reason that a record failed or is unknown for.
type note struct {
	seq    uint64
	member int
	reason string
}

// producer is what is collected of a producer.
type producer struct {
	plan       *plan.Producer
	index      int
	topic      int
	want       demand
	members    []*member // by number from 1; [0] is nil
	acked      ticks
	sent       ticks
	late       ticks
	lateN      uint64
	sentN      uint64
	byMember   []ticks
	sentBy     []ticks
	byPart     []ticks
	lat        latencies
	latBy      []latencies
	silent     []silence // by partition
	allSilent  silence
	gaps       []gap
	allGaps    []gap
	rate       float64
	partitions int
	notes      []note
	seen       time.Duration // until when due records have been counted
}

func (p *producer) member(i int32, pl *plan.Plan) *member {
	for int(i) >= len(p.members) {
		p.members = append(p.members, nil)
	}
	if p.members[i] == nil {
		p.members[i] = newMember(pl, p.index, int(i))
	}
	return p.members[i]
}

// each calls f with the members that exist.
func (p *producer) each(f func(m *member)) {
	for _, m := range p.members {
		if m != nil {
			f(m)
		}
	}
}

// least is the length up to which a gap is no stall: three expected intervals
// and 50 ms of wall time.
func (c *collector) least(rate float64, partitions int) time.Duration {
	least := c.short
	if rate > 0 {
		least = max(least, time.Duration(3e9*float64(max(partitions, 1))/rate))
	}
	return least
}

// mark is the end of a partition's log at a time, as acknowledgements show it.
type mark struct {
	at  time.Duration
	end int64
}

// topicState is what is collected of a topic.
type topicState struct {
	plan    *plan.Topic
	cluster int
	audited sources // what stands in the log, committed
	aborted sources // what stands there in transactions that did not commit
	marks   map[int32]record.AuditMark
	order   ordering
	want    demand
	acked   [][]mark // by partition: what was acknowledged in this block
	leaders map[int32]leader
	changes []happening // leader changes
	unclean []happening
	ends    map[int32]int64 // last known high-water mark
}

type leader struct {
	id  int32
	isr []int32
}

// happening is something countable at a moment.
type happening struct {
	at   time.Duration
	what string
}

// sources holds a bitset for each member of each producer.
type sources [][]*bitset

func (s *sources) of(producer, member int32) *bitset {
	for int(producer) >= len(*s) {
		*s = append(*s, nil)
	}
	m := &(*s)[producer]
	for int(member) >= len(*m) {
		*m = append(*m, nil)
	}
	if (*m)[member] == nil {
		(*m)[member] = new(bitset)
	}
	return (*m)[member]
}

// get is of, without making anything: nil when there is none.
func (s sources) get(producer, member int) *bitset {
	if producer < len(s) && member < len(s[producer]) && s[producer][member] != nil {
		return s[producer][member]
	}
	return nil
}

// spot names a partition of a topic of the plan in one number; -1 is none.
type spot int32

const noSpot spot = -1

func spotOf(topic, partition int32) spot { return spot(topic<<20 | partition&(1<<20-1)) }

func (s spot) topic() int32     { return int32(s) >> 20 }
func (s spot) partition() int32 { return int32(s) & (1<<20 - 1) }

// pointer gives the partition for JSON, nil for none.
func (s spot) pointer() *int32 {
	if s < 0 {
		return nil
	}
	p := s.partition()
	return &p
}

// label is how people read it: orders/3.
func (c *collector) label(s spot) string {
	if s < 0 || int(s.topic()) >= len(c.plan.Topics) {
		return ""
	}
	return partitionLabel(c.plan.Topics[s.topic()].Name, s.partition())
}

type collector struct {
	plan      *plan.Plan
	info      record.Info
	cell      time.Duration
	perCell   float64 // cells in a nanosecond
	topics    []*topicState
	producers []*producer
	consumers []*consumer
	clusters  []*clusterState
	byName    map[string]int // topics
	questions []*question
	moments   []*question // those about a moment
	gauges    []*gauge
	short     time.Duration // gaps up to it are never stalls
	reason    func(record.Stream, uint32) string
	until     time.Duration // latest moment seen
	scratch   []uint64
}

func newCollector(p *plan.Plan, info record.Info, terms []*plan.Term) *collector {
	c := &collector{plan: p, info: info, cell: info.Cell(), perCell: 1 / float64(info.Cell()), short: info.Wall(50 * time.Millisecond), byName: map[string]int{},
		reason: func(record.Stream, uint32) string { return "" }}
	want := demands(terms)
	clusters := map[string]int{}
	for i := range p.Clusters {
		clusters[p.Clusters[i].Name] = i
		c.clusters = append(c.clusters, &clusterState{plan: &p.Clusters[i], controller: -1})
	}
	for i := range p.Topics {
		t := &p.Topics[i]
		c.byName[t.Name] = i
		c.topics = append(c.topics, &topicState{plan: t, cluster: clusters[t.Cluster], marks: map[int32]record.AuditMark{},
			want: want[thing{plan.RefTopic, t.Name}], leaders: map[int32]leader{}, ends: map[int32]int64{}})
	}
	for i := range p.Producers {
		x := &p.Producers[i]
		topic := c.byName[x.Topic]
		n := 1
		if topic < len(p.Topics) {
			n = p.Topics[topic].Partitions
		}
		c.producers = append(c.producers, &producer{plan: x, index: i, topic: topic, partitions: n,
			want: want[thing{plan.RefProducer, x.Name}], silent: make([]silence, n)})
	}
	for i := range p.Consumers {
		c.consumers = append(c.consumers, newConsumer(c, i, want[thing{plan.RefConsumer, p.Consumers[i].Name}]))
	}
	return c
}

func demands(terms []*plan.Term) map[thing]demand {
	out := map[thing]demand{}
	for _, t := range terms {
		k := thing{t.Subject.Kind, t.Subject.Name}
		d := out[k]
		switch {
		case t.Measure == "rate" || t.Measure == "sending":
			d.rateByMember = d.rateByMember || t.By == "member"
			d.rateByPartition = d.rateByPartition || t.By == "partition"
		case t.Measure == "latency" || t.Measure == "delay":
			d.latByPartition = d.latByPartition || t.By == "partition"
		case t.Measure == "out_of_order":
			d.keyOrder = d.keyOrder || t.By == "key"
		case t.Measure == "lag":
			d.lag = true
		}
		out[k] = d
	}
	return out
}

// add takes the next block.
func (c *collector) add(b *record.Block) error {
	for _, n := range b.Segments {
		if n.Producer < len(c.producers) && n.Member > 0 && n.Member < 1<<20 {
			p := c.producers[n.Producer]
			p.member(int32(n.Member), c.plan).addSegment(n)
			if !n.End && n.Segment.Partitions > p.partitions && n.Segment.Partitions < 1<<20 {
				p.partitions = n.Segment.Partitions
				p.silent = append(p.silent, make([]silence, p.partitions-len(p.silent))...)
			}
		}
	}
	for _, m := range b.Audits {
		if m.Topic < len(c.topics) {
			c.topics[m.Topic].marks[m.Partition] = m
		}
	}
	for _, g := range b.Changes {
		c.until = max(c.until, g.At)
		if g.Consumer < len(c.consumers) {
			c.consumers[g.Consumer].changes = append(c.consumers[g.Consumer].changes, g)
		}
	}
	for i := range b.Samples {
		c.until = max(c.until, b.Samples[i].At)
		c.sample(&b.Samples[i])
	}
	for _, t := range c.topics {
		for i := range t.acked {
			t.acked[i] = t.acked[i][:0]
		}
	}
	err := b.Spans(func(s record.Stream, spans []record.Span) error {
		switch s.Actor {
		case record.ActorProducer:
			p := c.producers[s.Index]
			for i := range spans {
				c.produced(p, s, &spans[i])
			}
		case record.ActorConsumer:
			x := c.consumers[s.Index]
			for i := range spans {
				c.consumed(x, &spans[i])
			}
		case record.ActorAudit:
			for i := range spans {
				c.audited(&spans[i])
			}
		}
		return nil
	})
	for _, x := range c.consumers {
		c.blockEnds(x)
	}
	return err
}

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
		if s.First < m.floor {
			// Nobody waits for these any more, so they end no gap's count.
		} else {
			c.came(p, m, s)
		}
		m.acked.set(s.First, s.Stride, s.N)
		p.acked.add(s.At, s.N)
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
		if int(s.Topic) < len(c.topics) {
			t := c.topics[s.Topic]
			for int(s.Partition) >= len(t.acked) {
				t.acked = append(t.acked, nil)
			}
			t.acked[s.Partition] = append(t.acked[s.Partition], mark{s.At, s.Offset + int64(s.N)})
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
		if len(p.notes) < 64 {
			p.notes = append(p.notes, note{s.First, m.index, c.reason(stream, s.Reason)})
		}
	case record.OpLate:
		p.late.add(s.At, s.N)
		p.lateN += uint64(s.N)
	}
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
	if int(partition) >= len(p.silent) {
		return
	}
	if from, ok := p.silent[partition].over(n, t, came); ok && t-from > c.short {
		if least := c.least(p.rate, p.partitions); t-from > least {
			p.gaps = append(p.gaps, gap{from, t, spotOf(int32(p.topic), partition), least})
		}
	}
	if from, ok := p.allSilent.over(n, t, came); ok && t-from > c.short {
		if least := c.least(p.rate, 1); t-from > least {
			p.allGaps = append(p.allGaps, gap{from, t, noSpot, least})
		}
	}
}

func (c *collector) came(p *producer, m *member, s *record.Span) {
	if int(s.Partition) < len(m.waiting) {
		m.waiting[s.Partition] -= int64(s.N)
	}
	c.endGap(p, s.Partition, int64(s.N), s.At, true)
}

func (c *collector) gaveUp(p *producer, m *member, s *record.Span) {
	if int(s.Partition) < len(m.waiting) {
		m.waiting[s.Partition] -= int64(s.N)
	}
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

// finish closes what is open at the end of load.
func (c *collector) finish(end time.Duration) {
	for _, p := range c.producers {
		c.dueBy(p, end)
		for i := range p.silent {
			s := &p.silent[i]
			if least := c.least(p.rate, p.partitions); s.waiting > 0 && end-s.since > least {
				p.gaps = append(p.gaps, gap{s.since, end, spotOf(int32(p.topic), int32(i)), least})
			}
		}
		if least := c.least(p.rate, 1); p.allSilent.waiting > 0 && end-p.allSilent.since > least {
			p.allGaps = append(p.allGaps, gap{p.allSilent.since, end, noSpot, least})
		}
	}
	for _, x := range c.consumers {
		x.finish(c, end)
	}
}
