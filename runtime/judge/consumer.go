// This file defines what is collected of consumers and of the audit: what was
// delivered or stands in the log, how often, in which order, and when not.

package judge

import (
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// reading is where a group stands in a partition.
type reading struct {
	pos   int64 // next offset; -1: not known
	end   int64 // of the log, as far as acknowledgements show it
	since time.Duration
	marks int // read of the block's
}

// undelivered tells whether the log holds something for the group.
func (r *reading) undelivered() bool { return r.pos >= 0 && r.end > r.pos }

// consumer is what is collected of a consumer.
type consumer struct {
	plan      *plan.Consumer
	index     int
	cluster   int
	want      demand
	delivered sources
	rate      ticks
	byMember  []ticks
	byPart    map[spot]*ticks
	delay     latencies
	delayBy   map[spot]*latencies
	order     ordering
	reads     [][]reading // by topic, partition
	waiting   int         // partitions with something undelivered
	allSince  time.Duration
	gaps      []gap
	allGaps   []gap
	changes   []record.GroupChange
	foreignAt []foreignRecord
	lagAt     []*record.Sample
	lagged    []*gauge
}

// foreignRecord is a delivered record that is not of this run.
type foreignRecord struct {
	topic, partition int32
	offset           int64
	at               time.Duration
}

// maxForeign bounds what is kept of foreign records one by one.
const maxForeign = 1 << 16

func newConsumer(c *collector, index int, want demand) *consumer {
	x := &consumer{plan: &c.plan.Consumers[index], index: index, want: want, reads: make([][]reading, len(c.topics)),
		byPart: map[spot]*ticks{}, delayBy: map[spot]*latencies{}}
	for _, name := range x.plan.Topics {
		t, ok := c.byName[name]
		if !ok {
			continue
		}
		x.cluster = c.topics[t].cluster
		x.reads[t] = nil
		x.at(int32(t), int32(c.topics[t].plan.Partitions-1))
	}
	return x
}

func (x *consumer) at(topic, partition int32) *reading {
	list := &x.reads[topic]
	for int(partition) >= len(*list) {
		r := reading{pos: -1}
		if x.plan.Start != "latest" {
			r.pos = 0
		}
		*list = append(*list, r)
	}
	return &(*list)[partition]
}

// made gives the value of a key, and makes it at its first use.
func made[K comparable, V any](m map[K]*V, k K) *V {
	if m[k] == nil {
		m[k] = new(V)
	}
	return m[k]
}

// pull reads the marks of a partition up to t.
func (c *collector) pull(x *consumer, topic, partition int32, t time.Duration) {
	marks := c.topics[topic].acked
	if int(partition) >= len(marks) {
		return
	}
	r := x.at(topic, partition)
	list := marks[partition]
	for ; r.marks < len(list) && list[r.marks].at <= t; r.marks++ {
		m := list[r.marks]
		if m.end <= r.end {
			continue
		}
		was := r.undelivered()
		r.end = m.end
		if !was && r.undelivered() {
			r.since = max(m.at, r.since)
			x.opens(m.at)
		}
	}
}

// opens notes that one more partition has something undelivered since t.
func (x *consumer) opens(t time.Duration) {
	if x.waiting == 0 {
		x.allSince = max(t, x.allSince)
	}
	x.waiting++
}

// moves puts a group's position; came tells whether a delivery did it.
func (c *collector) moves(x *consumer, topic, partition int32, pos int64, t time.Duration, came bool) {
	c.pull(x, topic, partition, t)
	r := x.at(topic, partition)
	was := r.undelivered()
	if came {
		if was && t-r.since > c.short {
			if least := c.least(c.topicRate(topic), len(x.reads[topic])); t-r.since > least {
				x.gaps = append(x.gaps, gap{r.since, t, spotOf(topic, partition), least})
			}
		}
		if x.waiting > 0 && t-x.allSince > c.short {
			if least := c.least(c.topicRate(topic), 1); t-x.allSince > least {
				x.allGaps = append(x.allGaps, gap{x.allSince, t, noSpot, least})
			}
		}
		r.since = t
		x.allSince = t
	}
	r.pos = pos
	is := r.undelivered()
	switch {
	case is && !was:
		r.since = max(t, r.since)
		x.opens(t)
	case was && !is:
		x.waiting--
	}
}

// topicRate is what the producers of a topic are to send at present.
func (c *collector) topicRate(topic int32) (rate float64) {
	for _, p := range c.producers {
		if p.topic == int(topic) {
			rate += p.rate
		}
	}
	return rate
}

// consumed takes a span of a consumer.
func (c *collector) consumed(x *consumer, s *record.Span) {
	c.until = max(c.until, s.At)
	if int(s.Topic) >= len(x.reads) || s.Partition >= 1<<20 {
		return
	}
	for len(x.lagAt) > 0 && s.At > x.lagAt[0].At {
		c.lag(x)
	}
	switch s.Op {
	case record.OpPosition:
		c.moves(x, s.Topic, s.Partition, s.Offset, s.At, false)
		c.snapshot(x, s, s.Offset)
	case record.OpForeign:
		for i := range int64(s.N) {
			if len(x.foreignAt) < maxForeign {
				x.foreignAt = append(x.foreignAt, foreignRecord{s.Topic, s.Partition, s.Offset + i, s.At})
			}
		}
		c.moves(x, s.Topic, s.Partition, s.Offset+int64(s.N), s.At, true)
		c.snapshot(x, s, s.Offset+int64(s.N))
	case record.OpDelivered:
		c.delivered(x, s)
	}
}

func (c *collector) delivered(x *consumer, s *record.Span) {
	p := c.producers[s.Producer]
	m := p.member(s.Source, c.plan)
	x.rate.add(s.At, s.N)
	if x.want.rateByMember {
		addTo(&x.byMember, int(s.Member), s.At, s.N)
	}
	if x.want.rateByPartition {
		made(x.byPart, spotOf(s.Topic, s.Partition)).add(s.At, s.N)
	}
	c.latency(m, s, x.delay.second(s.At))
	if x.want.latByPartition {
		c.latency(m, s, made(x.delayBy, spotOf(s.Topic, s.Partition)).second(s.At))
	}
	again := x.delivered.of(s.Producer, s.Source).setNew(s.First, s.Stride, s.N, c.scratch[:0])
	c.scratch = again
	if len(again) > 0 {
		for _, q := range c.questions {
			if q.about(plan.RefConsumer, x.index, "duplicates") {
				for _, seq := range again {
					q.take(c, m, s, seq)
				}
			}
		}
	}
	x.order.take(c, plan.RefConsumer, x.index, x.want.keyOrder, m, s, again)
	for _, q := range c.moments {
		if q.index == x.index && s.At <= q.win.at {
			q.delivered.of(s.Producer, s.Source).set(s.First, s.Stride, s.N)
		}
	}
	c.moves(x, s.Topic, s.Partition, s.Offset+int64(s.N), s.At, true)
	c.snapshot(x, s, s.Offset+int64(s.N))
}

// snapshot keeps a group's position for questions about a moment.
func (c *collector) snapshot(x *consumer, s *record.Span, pos int64) {
	for _, q := range c.moments {
		if q.index == x.index && s.At <= q.win.at {
			q.positions[[2]int32{s.Topic, s.Partition}] = pos
		}
	}
}

// blockEnds does what waits for the end of a block.
func (c *collector) blockEnds(x *consumer) {
	for len(x.lagAt) > 0 {
		c.lag(x)
	}
	for topic := range x.reads {
		for partition := range x.reads[topic] {
			c.pull(x, int32(topic), int32(partition), forever)
			x.reads[topic][partition].marks = 0
		}
	}
}

func (x *consumer) finish(c *collector, end time.Duration) {
	for topic := range x.reads {
		rate := c.topicRate(int32(topic))
		for i := range x.reads[topic] {
			r := &x.reads[topic][i]
			if least := c.least(rate, len(x.reads[topic])); r.undelivered() && end-r.since > least {
				x.gaps = append(x.gaps, gap{r.since, end, spotOf(int32(topic), int32(i)), least})
			}
		}
	}
	if least := c.least(0, 1); x.waiting > 0 && end-x.allSince > least {
		x.allGaps = append(x.allGaps, gap{x.allSince, end, noSpot, least})
	}
}

// audited takes a span of the audit, in the order of the log.
func (c *collector) audited(s *record.Span) {
	if s.Op != record.OpAudited && s.Op != record.OpAborted || int(s.Topic) >= len(c.topics) || s.Source < 1 {
		return
	}
	t := c.topics[s.Topic]
	m := c.producers[s.Producer].member(s.Source, c.plan)
	if s.Op == record.OpAborted {
		t.aborted.of(s.Producer, s.Source).set(s.First, s.Stride, s.N)
		return
	}
	again := t.audited.of(s.Producer, s.Source).setNew(s.First, s.Stride, s.N, c.scratch[:0])
	c.scratch = again
	if len(again) > 0 {
		for _, q := range c.questions {
			if q.about(plan.RefTopic, int(s.Topic), "duplicates") {
				for _, seq := range again {
					q.take(c, m, s, seq)
				}
			}
		}
	}
	t.order.take(c, plan.RefTopic, int(s.Topic), t.want.keyOrder, m, s, again)
}

// ordering finds records that come behind a later one of the same producer
// member and partition, or key. Only the first time a record comes counts.
type ordering struct {
	last [][]uint64 // by source, partition: highest sequence number + 1
	keys map[[3]uint64]latest
}

// latest is the highest record of a key so far.
type latest struct {
	seq       uint64
	at        time.Duration
	partition int32
}

func (o *ordering) at(source, partition int) *uint64 {
	for source >= len(o.last) {
		o.last = append(o.last, nil)
	}
	for partition >= len(o.last[source]) {
		o.last[source] = append(o.last[source], 0)
	}
	return &o.last[source][partition]
}

// take looks at a span; again holds those of its records that are not new.
// Several topics of one consumer are kept apart.
func (o *ordering) take(c *collector, kind plan.RefKind, index int, keyed bool, m *member, s *record.Span, again []uint64) {
	source := int(s.Source)*len(c.producers) + int(s.Producer)
	last := o.at(source, int(s.Partition)*len(c.topics)+int(s.Topic))
	if len(again) == 0 && s.First >= *last {
		*last = s.Last() + 1
	} else {
		o.slow(c, kind, index, last, m, s, again)
	}
	if keyed {
		o.keyed(c, kind, index, m, s, again)
	}
}

func (o *ordering) slow(c *collector, kind plan.RefKind, index int, last *uint64, m *member, s *record.Span, again []uint64) {
	for i := range uint64(s.N) {
		seq := s.First + i*s.Stride
		if len(again) > 0 && again[0] == seq {
			again = again[1:]
			continue
		}
		if seq >= *last {
			*last = seq + 1
			continue
		}
		for _, q := range c.questions {
			if q.about(kind, index, "out_of_order") && q.term.By != "key" {
				q.take(c, m, s, seq)
			}
		}
	}
}

// keyed compares records of the same key. Between partitions of a consumer
// only a record that came in an earlier cell counts as before; between
// partitions of a log there is no order.
func (o *ordering) keyed(c *collector, kind plan.RefKind, index int, m *member, s *record.Span, again []uint64) {
	p := c.producers[s.Producer].plan
	if o.keys == nil {
		o.keys = map[[3]uint64]latest{}
	}
	source := uint64(s.Source)<<32 | uint64(s.Producer)
	apart := uint64(0)
	if kind == plan.RefTopic {
		apart = uint64(s.Partition)
	}
	for i := range uint64(s.N) {
		seq := s.First + i*s.Stride
		if len(again) > 0 && again[0] == seq {
			again = again[1:]
			continue
		}
		k := [3]uint64{source, apart, uint64(record.KeyOf(c.plan.Scenario.Seed, int(s.Producer), int(s.Source), seq, p.Keys))}
		was, ok := o.keys[k]
		if !ok || seq > was.seq {
			o.keys[k] = latest{seq, s.At, s.Partition}
			continue
		}
		if was.partition != s.Partition && was.at >= s.At {
			continue
		}
		for _, q := range c.questions {
			if q.about(kind, index, "out_of_order") && q.term.By == "key" {
				q.take(c, m, s, seq)
			}
		}
	}
}
