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
	delay                         bool // of a consumer
	stall                         bool // of a consumer
	order, keyOrder               bool
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
	refusals   map[uint32]bool // by reason: for want of rights
	seen       time.Duration   // until when due records have been counted
}

func (p *producer) member(i int32, pl *plan.Plan) *member {
	if int(i) >= len(p.members) || p.members[i] == nil {
		p.join(i, pl)
	}
	return p.members[i]
}

// join makes a member at its first use.
func (p *producer) join(i int32, pl *plan.Plan) {
	for int(i) >= len(p.members) {
		p.members = append(p.members, nil)
	}
	p.members[i] = newMember(pl, p.index, int(i))
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

// mark is the end of a partition's log at a time: as acknowledgements show it,
// of a copy as its observer does, of a topic that replay fills as samples do.
type mark struct {
	at  time.Duration
	end int64
}

// mark notes an end. Marks come in order of time, but for those of samples,
// which stand before the others of their block.
func (t *topicState) mark(partition int32, m mark) {
	for int(partition) >= len(t.acked) {
		t.acked = append(t.acked, nil)
	}
	list := append(t.acked[partition], m)
	for i := len(list) - 1; i > 0 && list[i-1].at > list[i].at; i-- {
		list[i-1], list[i] = list[i], list[i-1]
	}
	t.acked[partition] = list
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
	acked   [][]mark // by partition: its ends as this block shows them, in order of time
	filled  bool     // by replay, which acknowledges nothing: samples show its ends
	deleted *deletion
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
	root      []int          // by topic: of its family
	kin       [][]int        // by topic: the logs in which its records may stand
	questions []*question
	moments   []*question // those about a moment
	stalls    bool        // of some consumer are wanted
	muted     bool        // some consumer never said what it got
	gauges    []*gauge
	short     time.Duration // gaps up to it are never stalls
	reason    func(record.Stream, uint32) string
	until     time.Duration // latest moment seen
	scratch   []uint64
	owing     bool // what groups do not have yet is counted, for a picture
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
	c.root = roots(p, c.byName)
	c.kin = c.families()
	for i := range p.Events {
		for _, a := range p.Events[i].Actions {
			if a.Verb == plan.Replay && a.To != nil {
				if t, ok := c.byName[a.To.Name]; ok {
					c.topics[t].filled = true
				}
			}
		}
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
		subject := thing{plan.RefConsumer, p.Consumers[i].Name}
		if m := p.Consumers[i].Observes; m != "" {
			subject = thing{plan.RefMirror, m}
		}
		x := newConsumer(c, i, want[subject])
		c.consumers = append(c.consumers, x)
		c.stalls = c.stalls || x.want.stall
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
			d.delay = true
		case t.Measure == "stall":
			d.stall = true
		case t.Measure == "out_of_order":
			d.order = true
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
	for _, n := range b.States {
		c.until = max(c.until, n.At)
		if n.Consumer < len(c.consumers) && n.Member > 0 && n.Member < 1<<20 {
			x := c.consumers[n.Consumer]
			for n.Member >= len(x.states) {
				x.states = append(x.states, nil)
			}
			x.states[n.Member] = append(x.states[n.Member], n)
		}
	}
	for _, t := range c.topics {
		for i := range t.acked {
			t.acked[i] = t.acked[i][:0]
		}
	}
	for i := range b.Samples {
		c.until = max(c.until, b.Samples[i].At)
		c.sample(&b.Samples[i])
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

// stalls are a producer's gaps, by partition or of all at once. A producer that
// chooses what is available has only the latter (available).
func (p *producer) stalls(by string) []gap {
	if by == "all" || p.plan.Partitioner == available {
		return p.allGaps
	}
	return p.gaps
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
