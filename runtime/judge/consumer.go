// This file defines what is collected of consumers and of the audit: what was
// delivered or stands in the log, how often, in which order, and when not.

package judge

import (
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// reading is where a group stands in a partition of a topic.
type reading struct {
	pos   int64 // next offset; -1: not known
	end   int64 // of the log, as far as its marks show it
	open  bool  // it counts in its lane as undelivered
	marks int   // read of the block's
}

// undelivered tells whether the log holds something for the group.
func (r *reading) undelivered() bool { return r.pos >= 0 && r.end > r.pos }

// consumer is what is collected of a consumer.
type consumer struct {
	plan      *plan.Consumer
	index     int
	want      demand
	start     switchover // where it reads until it fails over
	switches  []switchover
	turned    int    // switches that took effect
	moves     bool   // some event lets it fail over
	reading   []int  // topics that it reads at some time
	active    []bool // by topic: that it reads at present
	delivered sources
	replayed  map[int32]*sources // deliveries of records that replay wrote outside of the record's own family, by root
	dropped   sources
	dropping  bool
	states    [][]record.StateNote // by member
	rate      ticks
	byMember  []ticks
	byPart    map[spot]*ticks
	delay     latencies
	delayBy   map[spot]*latencies
	order     ordering
	reads     [][]reading // by topic, partition
	lanes     [][]lane    // by root, partition
	waiting   int         // lanes that are open
	allSince  time.Duration
	gaps      []gap
	allGaps   []gap
	changes   []record.GroupChange
	foreignAt []foreignRecord
	lagAt     []*record.Sample
	lagged    []*gauge
	owed      owed
	mute      *mute // it never said what it got
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
	n := len(c.topics)
	x := &consumer{plan: &c.plan.Consumers[index], index: index, want: want, reads: make([][]reading, n), lanes: make([][]lane, n), active: make([]bool, n),
		byPart: map[spot]*ticks{}, delayBy: map[spot]*latencies{}, replayed: map[int32]*sources{}}
	x.start = x.home(c)
	x.reading = slices.Clone(x.start.topics)
	failOvers(c.plan, func(client plan.Ref, mirror string) {
		if client.Name != x.plan.Name {
			return
		}
		x.moves, x.order.family = true, map[[3]uint64]latest{}
		for _, t := range x.start.topics {
			for _, k := range c.away(mirror, t) {
				if !slices.Contains(x.reading, k) {
					x.reading = append(x.reading, k)
				}
			}
		}
	})
	for _, t := range x.reading {
		x.at(int32(t), int32(c.topics[t].plan.Partitions-1))
		x.laneOf(int32(c.root[t]), int32(c.topics[t].plan.Partitions-1))
	}
	for _, t := range x.start.topics {
		x.active[t] = true
	}
	return x
}

// readsTopic tells whether a consumer reads a topic at some time.
func (x *consumer) readsTopic(topic int) bool { return slices.Contains(x.reading, topic) }

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
		r.end = m.end
		if !r.open {
			c.settle(x, topic, partition, r, m.at)
		}
	}
}

// moves puts a group's position; came tells whether a delivery did it. What
// is undelivered, and since when, only stalls are about.
func (c *collector) moves(x *consumer, topic, partition int32, pos int64, t time.Duration, came bool) {
	if !x.want.stall {
		x.at(topic, partition).pos = pos
		return
	}
	c.turnBy(x, t)
	root := int32(c.root[topic])
	if x.moves {
		// The lane has other topics too, in which something may wait.
		for _, k := range x.reading {
			if c.root[k] == int(root) && k != int(topic) {
				c.pull(x, int32(k), partition, t)
			}
		}
	}
	c.pull(x, topic, partition, t)
	r := x.at(topic, partition)
	if came {
		l := x.laneOf(root, partition)
		if l.open > 0 {
			c.laneGap(x, root, partition, t)
		}
		if x.waiting > 0 {
			c.allGap(x, t)
		}
		l.since = t
		x.allSince = t
	}
	r.pos = pos
	c.settle(x, topic, partition, r, t)
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
	case record.OpDropped:
		c.dropped(x, s)
	}
	if c.stalls && x.plan.Observes != "" && s.Op != record.OpPosition {
		// What the copy holds shows in what the observer read of it.
		c.topics[s.Topic].mark(s.Partition, mark{s.At, s.Offset + int64(s.N)})
	}
}

func (c *collector) delivered(x *consumer, s *record.Span) {
	p := c.producers[s.Producer]
	m := p.member(s.Source, c.plan)
	root := c.root[s.Topic]
	at := spotOf(int32(root), s.Partition)
	x.rate.add(s.At, s.N)
	if x.want.rateByMember {
		addTo(&x.byMember, int(s.Member), s.At, s.N)
	}
	if x.want.rateByPartition {
		made(x.byPart, at).add(s.At, s.N)
	}
	had := &x.delivered
	if root != p.topic {
		had = made(x.replayed, int32(root))
	}
	again := had.of(s.Producer, s.Source).setNew(s.First, s.Stride, s.N, c.scratch[:0])
	if c.owing && root == p.topic && x.owes(p) {
		x.settleOwed(m, s, again)
	}
	if x.want.delay {
		if x.plan.Observes != "" {
			c.arrived(x, p, m, s, again)
		} else {
			c.latency(m, s, x.delay.second(s.At))
			if x.want.latByPartition {
				c.latency(m, s, made(x.delayBy, at).second(s.At))
			}
		}
	}
	if len(again) > 0 {
		c.scratch = again
		for _, q := range c.questions {
			if q.about(plan.RefConsumer, x.index, "duplicates") {
				for _, seq := range again {
					q.take(c, m, s, seq)
				}
			}
		}
	}
	if x.want.order {
		x.order.take(c, plan.RefConsumer, x.index, x.want.keyOrder, m, s, again)
	}
	for _, q := range c.moments {
		if q.index == x.index && s.At <= q.win.at && root == p.topic {
			q.delivered.of(s.Producer, s.Source).set(s.First, s.Stride, s.N)
		}
	}
	c.moves(x, s.Topic, s.Partition, s.Offset+int64(s.N), s.At, true)
	c.snapshot(x, s, s.Offset+int64(s.N))
}

// arrived times the records that came into a copy: each the first time, and
// only those that the mirror brought. What was replayed into the source, or
// written to the copy by a producer that has failed over, did not come from
// the source when it was due.
func (c *collector) arrived(x *consumer, p *producer, m *member, s *record.Span, again []uint64) {
	if c.root[s.Topic] != p.topic {
		return
	}
	time := func(s *record.Span) {
		c.latency(m, s, x.delay.second(s.At))
		if x.want.latByPartition {
			c.latency(m, s, made(x.delayBy, spotOf(int32(c.root[s.Topic]), s.Partition)).second(s.At))
		}
	}
	if len(again) == 0 && !m.failedOver {
		time(s)
		return
	}
	one := *s
	one.N = 1
	for i := range uint64(s.N) {
		one.First, one.Offset = s.First+i*s.Stride, s.Offset+int64(i)
		if len(again) > 0 && again[0] == one.First {
			again = again[1:]
		} else if !m.away.has(one.First) {
			time(&one)
		}
	}
}

// dropped takes a span of records that dedup did not let through.
func (c *collector) dropped(x *consumer, s *record.Span) {
	m := c.producers[s.Producer].member(s.Source, c.plan)
	x.dropping = true
	x.dropped.of(s.Producer, s.Source).set(s.First, s.Stride, s.N)
	for _, q := range c.questions {
		if q.about(plan.RefConsumer, x.index, "dropped") {
			for i := range uint64(s.N) {
				q.take(c, m, s, s.First+i*s.Stride)
			}
		}
	}
	c.moves(x, s.Topic, s.Partition, s.Offset+int64(s.N), s.At, false)
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
	if !x.want.stall {
		return
	}
	for topic := range x.reads {
		for partition := range x.reads[topic] {
			c.pull(x, int32(topic), int32(partition), forever)
			x.reads[topic][partition].marks = 0
		}
	}
}

func (x *consumer) finish(c *collector, end time.Duration) {
	if !x.want.stall {
		return
	}
	c.turnBy(x, end)
	for root := range x.lanes {
		for i := range x.lanes[root] {
			if x.lanes[root][i].open > 0 {
				c.laneGap(x, int32(root), int32(i), end)
			}
		}
	}
	if x.waiting > 0 {
		c.allGap(x, end)
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
	if t.plan.Origin != plan.Declared || c.muted {
		c.standsBefore(s)
	}
	again := t.audited.of(s.Producer, s.Source).setNew(s.First, s.Stride, s.N, c.scratch[:0])
	if len(again) > 0 {
		c.scratch = again
		for _, q := range c.questions {
			if q.about(plan.RefTopic, int(s.Topic), "duplicates") {
				for _, seq := range again {
					q.take(c, m, s, seq)
				}
			}
		}
	}
	if t.want.order {
		t.order.take(c, plan.RefTopic, int(s.Topic), t.want.keyOrder, m, s, again)
	}
}

// ordering finds records that come behind a later one of the same producer
// member and partition, or key. Only the first time a record comes counts.
type ordering struct {
	last   [][]uint64 // by source, partition: highest sequence number + 1
	keys   map[[3]uint64]latest
	family map[[3]uint64]latest // by source, root, partition; nil for who stays
}

// latest is the highest record of a key, or of a partition of a family, so far,
// and the partition, or topic, that it came from.
type latest struct {
	seq   uint64
	at    time.Duration
	place int32
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
// Several topics of one consumer are kept apart, unless they are of a family.
func (o *ordering) take(c *collector, kind plan.RefKind, index int, keyed bool, m *member, s *record.Span, again []uint64) {
	source := int(s.Source)*len(c.producers) + int(s.Producer)
	last := o.at(source, int(s.Partition)*len(c.topics)+int(s.Topic))
	switch {
	case o.family != nil:
		o.acrossFamily(c, index, m, s, again)
	case len(again) == 0 && s.First >= *last:
		*last = s.Last() + 1
	default:
		o.slow(c, kind, index, last, m, s, again)
	}
	if keyed {
		o.keyed(c, kind, index, m, s, again)
	}
}

// acrossFamily compares the records of a partition of a family, whichever of
// its topics they are delivered from. Between two topics only a record that
// came in an earlier cell counts as before.
func (o *ordering) acrossFamily(c *collector, index int, m *member, s *record.Span, again []uint64) {
	k := [3]uint64{uint64(s.Source)<<32 | uint64(s.Producer), uint64(c.root[s.Topic]), uint64(s.Partition)}
	was, known := o.family[k]
	for i := range uint64(s.N) {
		seq := s.First + i*s.Stride
		if len(again) > 0 && again[0] == seq {
			again = again[1:]
			continue
		}
		if !known || seq > was.seq {
			was, known = latest{seq, s.At, s.Topic}, true
			continue
		}
		if was.place != s.Topic && was.at >= s.At {
			continue
		}
		for _, q := range c.questions {
			if q.about(plan.RefConsumer, index, "out_of_order") && q.term.By != "key" {
				q.take(c, m, s, seq)
			}
		}
	}
	if known {
		o.family[k] = was
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
	apart := uint64(c.root[s.Topic]) // what was replayed elsewhere has an order of its own
	place := s.Partition*int32(len(c.topics)) + s.Topic
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
			o.keys[k] = latest{seq, s.At, place}
			continue
		}
		if was.place != place && was.at >= s.At {
			continue
		}
		for _, q := range c.questions {
			if q.about(kind, index, "out_of_order") && q.term.By == "key" {
				q.take(c, m, s, seq)
			}
		}
	}
}
