// This file defines families: a topic with its copies and the topics that take
// its place once clients have failed over, and which of them a group reads
// when.

package judge

import (
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// A topic's family has the topic that the scenario declares as its root. What
// is said of a partition is said of the family's:
//
//	measure                         over
//	lost                            the logs of the topic and, where a client of it fails over
//	                                to a mirror, of that mirror's copy and fail-over topic
//	missing undelivered pending     the logs of the topics that the group reads, at whatever time
//	duplicates (group) out_of_order deliveries from whichever topic of the family
//	stall rate (producer)           partition p of the fail-over topic continues p of the topic
//	stall lag (group)               the topics that the group reads at the moment
//	duplicates out_of_order (topic) that topic's own log
//
// A record that replay wrote into a topic of another family is no duplicate of
// the original, and no phantom.

// roots gives each topic of a plan the root of its family.
func roots(p *plan.Plan, byName map[string]int) []int {
	out := make([]int, len(p.Topics))
	for i := range p.Topics {
		out[i] = i
		// A mirror of a mirror has a mirror's copy as its source.
		for range len(p.Topics) {
			t := &p.Topics[out[i]]
			of, ok := byName[t.Of]
			if t.Origin == plan.Declared || !ok {
				break
			}
			out[i] = of
		}
	}
	return out
}

// away gives the topics in which a client of topic goes on at a mirror's
// cluster: the fail-over topic and the copy, which are one under identity
// naming.
func (c *collector) away(mirror string, topic int) []int {
	var out []int
	name := c.plan.Topics[topic].Name
	for _, t := range []*plan.Topic{c.plan.FailOverTopic(mirror, name), c.plan.Copy(mirror, name)} {
		if t == nil {
			continue
		}
		if i := c.byName[t.Name]; !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// failOvers calls f with each fail_over of the plan: the client, by its kind
// and name, and the mirror.
func failOvers(p *plan.Plan, f func(client plan.Ref, mirror string)) {
	for i := range p.Events {
		for _, a := range p.Events[i].Actions {
			if a.Verb != plan.FailOver || a.To == nil {
				continue
			}
			for _, r := range a.Targets {
				f(r, a.To.Name)
			}
		}
	}
}

// families says for each topic in which logs an acknowledged record of it may
// stand.
func (c *collector) families() [][]int {
	out := make([][]int, len(c.topics))
	for i := range out {
		out[i] = []int{i}
	}
	add := func(mirror string, names ...string) {
		for _, name := range names {
			i, ok := c.byName[name]
			if !ok {
				continue
			}
			for _, k := range c.away(mirror, i) {
				if !slices.Contains(out[i], k) {
					out[i] = append(out[i], k)
				}
			}
		}
	}
	failOvers(c.plan, func(client plan.Ref, mirror string) {
		if p := c.plan.Producer(client.Name); p != nil {
			add(mirror, p.Topic)
		}
		if x := c.plan.Consumer(client.Name); x != nil {
			add(mirror, x.Topics...)
		}
	})
	return out
}

// switchover is a group going on in other topics.
type switchover struct {
	fired, at time.Duration // at: proved
	cluster   int
	topics    []int
}

// home is the topics that the scenario gives the consumer.
func (x *consumer) home(c *collector) switchover {
	s := switchover{cluster: -1}
	for _, name := range x.plan.Topics {
		if i, ok := c.byName[name]; ok {
			s.topics = append(s.topics, i)
			s.cluster = c.topics[i].cluster
		}
	}
	return s
}

// switches finds in the journal when groups went on elsewhere: when all members
// were proved to be there. It may be called again with a longer journal.
func (c *collector) switches(events []record.Event) {
	moving := false
	for _, x := range c.consumers {
		moving = moving || x.moves
	}
	if !moving {
		return
	}
	found := make([][]switchover, len(c.consumers))
	type key struct {
		name               string
		occurrence, action int
	}
	fired := map[key]time.Duration{}
	for _, e := range events {
		k := key{e.Name, e.Occurrence, e.Action}
		if e.Kind == record.KindFired {
			fired[k] = e.At
		}
		ev := c.plan.Event(e.Name)
		if e.Kind != record.KindEffect || ev == nil || e.Action >= len(ev.Actions) {
			continue
		}
		a := &ev.Actions[e.Action]
		if a.Verb != plan.FailOver && a.Verb != plan.FailBack {
			continue
		}
		for _, r := range a.Targets {
			x := c.consumer(r.Name)
			if x == nil {
				continue
			}
			to := x.home(c)
			if a.Verb == plan.FailOver {
				own := to.topics
				to.topics = nil
				for _, i := range own {
					for _, k := range c.away(a.To.Name, i) {
						to.topics = append(to.topics, k)
						to.cluster = c.topics[k].cluster
					}
				}
			}
			to.at, to.fired = e.At, e.At
			if at, ok := fired[k]; ok {
				to.fired = at
			}
			found[x.index] = append(found[x.index], to)
		}
	}
	for i, x := range c.consumers {
		x.switches = found[i]
	}
}

// placeAt is where a group reads at a moment, and since when it was on its way
// there.
func (x *consumer) placeAt(t time.Duration) switchover {
	for i := len(x.switches) - 1; i >= 0; i-- {
		if x.switches[i].at <= t {
			return x.switches[i]
		}
	}
	return x.start
}

// clusterAt is the cluster at which a group is at a moment.
func (x *consumer) clusterAt(t time.Duration) int {
	if len(x.switches) == 0 {
		return x.start.cluster
	}
	return x.placeAt(t).cluster
}

// lane is one partition of a family, as a group sees it. It is open while a
// topic that the group reads holds something undelivered there.
//
//	event                                before   effect
//	something undelivered                shut     opens; since that moment
//	a delivery                           open     the gap is noted; since the delivery
//	all read                             open     shuts
//	the group goes on in other topics,   open     the gap is noted; shuts
//	where nothing is undelivered
type lane struct {
	since time.Duration
	open  int // topics with something undelivered
}

// laneOf gives the lane of a topic's partition.
func (x *consumer) laneOf(root, partition int32) *lane {
	list := &x.lanes[root]
	for int(partition) >= len(*list) {
		*list = append(*list, lane{})
	}
	return &(*list)[partition]
}

// settle puts whether a partition counts as undelivered, from t on.
func (c *collector) settle(x *consumer, topic, partition int32, r *reading, t time.Duration) {
	is := r.undelivered() && x.active[topic]
	if is == r.open {
		return
	}
	r.open = is
	l := x.laneOf(int32(c.root[topic]), partition)
	if !is {
		if l.open--; l.open == 0 {
			x.waiting--
		}
		return
	}
	if l.open++; l.open > 1 {
		return
	}
	l.since = max(t, l.since)
	if x.waiting == 0 {
		x.allSince = max(t, x.allSince)
	}
	x.waiting++
}

// turnBy lets a group make the switches that it has made by t.
func (c *collector) turnBy(x *consumer, t time.Duration) {
	for x.want.stall && x.turned < len(x.switches) && x.switches[x.turned].at <= t {
		c.turn(x)
	}
}

// turn lets a group go on in other topics at the moment of its next switch.
func (c *collector) turn(x *consumer) {
	s := x.switches[x.turned]
	x.turned++
	for topic := range x.reads {
		for partition := range x.reads[topic] {
			c.pull(x, int32(topic), int32(partition), s.at)
		}
	}
	type was struct {
		root, partition int32
	}
	var open []was
	for root, list := range x.lanes {
		for i := range list {
			if list[i].open > 0 {
				open = append(open, was{int32(root), int32(i)})
			}
		}
	}
	all := x.waiting > 0
	clear(x.active)
	for _, topic := range s.topics {
		x.active[topic] = true
	}
	// What is opened first is not shut in between, so that a gap goes on.
	for _, opening := range []bool{true, false} {
		for topic := range x.reads {
			for i := range x.reads[topic] {
				if r := &x.reads[topic][i]; x.active[topic] == opening {
					c.settle(x, int32(topic), int32(i), r, s.at)
				}
			}
		}
	}
	for _, w := range open {
		if x.laneOf(w.root, w.partition).open == 0 {
			c.laneGap(x, w.root, w.partition, s.at)
		}
	}
	if all && x.waiting == 0 {
		c.allGap(x, s.at)
	}
}

// laneGap notes the gap of a lane that ends at t, when it is long enough to be
// a stall.
func (c *collector) laneGap(x *consumer, root, partition int32, t time.Duration) {
	l := x.laneOf(root, partition)
	if t-l.since <= c.short {
		return
	}
	if least := c.least(c.topicRate(root), len(x.lanes[root])); t-l.since > least {
		x.gaps = append(x.gaps, gap{l.since, t, spotOf(root, partition), least})
	}
}

// allGap is laneGap for all partitions together.
func (c *collector) allGap(x *consumer, t time.Duration) {
	if t-x.allSince <= c.short {
		return
	}
	if least := c.least(c.groupRate(x), 1); t-x.allSince > least {
		x.allGaps = append(x.allGaps, gap{x.allSince, t, noSpot, least})
	}
}

// groupRate is what the producers of a group's topics are to send at present.
func (c *collector) groupRate(x *consumer) (rate float64) {
	for _, p := range c.producers {
		if slices.Contains(x.start.topics, p.topic) {
			rate += p.rate
		}
	}
	return rate
}

// deletion is what the scenario deleted of a topic.
type deletion struct {
	at     time.Duration   // of the topic with all that was in it by then
	whole  bool            // the topic
	before map[int32]int64 // by partition: records before the offset
}

// gone tells whether the scenario deleted an acknowledged record.
func (d *deletion) gone(partition int32, offset int64, acked time.Duration) bool {
	if d == nil {
		return false
	}
	before, ok := d.before[partition]
	return d.whole && acked <= d.at || ok && offset < before
}

// deletions takes what was deleted from the journal.
func (c *collector) deletions(events []record.Event) {
	for _, e := range events {
		i, ok := c.byName[e.Topic]
		if e.Kind != record.KindDeleted || !ok {
			continue
		}
		t := c.topics[i]
		if t.deleted == nil {
			t.deleted = &deletion{before: map[int32]int64{}}
		}
		if e.Partition < 0 {
			t.deleted.whole, t.deleted.at = true, max(t.deleted.at, e.At)
			continue
		}
		t.deleted.before[e.Partition] = max(t.deleted.before[e.Partition], e.Offset)
	}
}
