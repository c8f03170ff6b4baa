// This file defines gauges: what samples of a cluster say at their moments,
// and what changes from sample to sample.

package judge

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// point is a value at a moment, or over a bucket from … to.
type point struct {
	from, to time.Duration
	v        float64
}

// series is the points of one partition, member, or of the whole.
type series struct {
	label  string
	spot   spot // noSpot: none
	points []point
}

// gauge is a term about samples while its points are collected.
type gauge struct {
	term    *plan.Term
	cluster int
	of      *consumer       // whose cluster it is that tells, wherever the group is; nil: cluster
	times   []time.Duration // of the samples that count, where of is set
	series  []*series
	index   map[string]*series
	limit   int // keep only that many points; 0: all
}

func (g *gauge) put(label string, at spot, t time.Duration, v float64) {
	s := g.index[label]
	if s == nil {
		s = &series{label: label, spot: at}
		g.index[label] = s
		g.series = append(g.series, s)
	}
	if g.limit > 0 && len(s.points) >= g.limit {
		s.points = append(s.points[:0], s.points[1:]...)
	}
	s.points = append(s.points, point{t, t, v})
}

type clusterState struct {
	plan       *plan.Cluster
	controller int32
	changes    []happening
	samples    []time.Duration // when it was looked at
}

// watch starts a gauge for a term; nil when its subject is not in the plan.
func (c *collector) watch(t *plan.Term) *gauge {
	g := &gauge{term: t, cluster: -1, index: map[string]*series{}}
	switch t.Subject.Kind {
	case plan.RefCluster:
		for i := range c.plan.Clusters {
			if c.plan.Clusters[i].Name == t.Subject.Name {
				g.cluster = i
			}
		}
	case plan.RefTopic:
		if i, ok := c.byName[t.Subject.Name]; ok {
			g.cluster = c.topics[i].cluster
		}
	case plan.RefConsumer:
		if x := c.consumer(t.Subject.Name); x != nil {
			g.cluster, g.of = x.start.cluster, x
			if t.Measure == "lag" {
				x.lagged = append(x.lagged, g)
			}
		}
	}
	if g.cluster < 0 {
		return nil
	}
	c.gauges = append(c.gauges, g)
	return g
}

func (c *collector) consumer(name string) *consumer {
	for _, x := range c.consumers {
		if x.plan.Name == name {
			return x
		}
	}
	return nil
}

func (c *collector) producer(name string) *producer {
	for _, p := range c.producers {
		if p.plan.Name == name {
			return p
		}
	}
	return nil
}

// sample takes one look at a cluster.
func (c *collector) sample(s *record.Sample) {
	cluster := -1
	for i, x := range c.clusters {
		if x.plan.Name == s.Cluster {
			cluster = i
		}
	}
	if cluster < 0 {
		return
	}
	cl := c.clusters[cluster]
	cl.samples = append(cl.samples, s.At)
	if s.Controller >= 0 {
		if cl.controller >= 0 && cl.controller != s.Controller {
			cl.changes = append(cl.changes, happening{s.At, "controller " + strconv.Itoa(int(s.Controller))})
		}
		cl.controller = s.Controller
	}
	for i := range s.Partitions {
		c.leader(s.At, &s.Partitions[i])
	}
	for _, g := range c.gauges {
		at := g.cluster
		if g.of != nil {
			at = g.of.clusterAt(s.At)
		}
		if at != cluster {
			continue
		}
		if g.of != nil && g.limit == 0 {
			g.times = append(g.times, s.At)
		}
		c.measure(g, s)
	}
	for _, x := range c.consumers {
		if len(x.lagged) > 0 && x.clusterAt(s.At) == cluster {
			x.lagAt = append(x.lagAt, s)
		}
	}
}

// leader follows a partition's leader from sample to sample.
func (c *collector) leader(at time.Duration, p *record.PartitionState) {
	i, ok := c.byName[p.Topic]
	if !ok {
		return
	}
	t := c.topics[i]
	if p.HighWater >= 0 {
		t.ends[p.Partition] = p.HighWater
	} else if p.LogEnd >= 0 {
		t.ends[p.Partition] = p.LogEnd
	}
	if t.filled && c.stalls && p.HighWater >= 0 {
		t.mark(p.Partition, mark{at, p.HighWater})
	}
	was, known := t.leaders[p.Partition]
	if known && !c.info.Elections && p.Leader >= 0 && was.id != p.Leader {
		c.elected(t, at, p.Partition, p.Leader, !slices.Contains(was.isr, p.Leader))
	}
	if p.Leader >= 0 {
		t.leaders[p.Partition] = leader{p.Leader, slices.Clone(p.ISR)}
	} else if known && len(p.ISR) > 0 {
		// While nobody leads, the in-sync set still tells who may.
		was.isr = slices.Clone(p.ISR)
		t.leaders[p.Partition] = was
	}
}

func (c *collector) elected(t *topicState, at time.Duration, partition, to int32, unclean bool) {
	what := partitionLabel(t.plan.Name, partition) + " to leader " + strconv.Itoa(int(to))
	t.changes = append(t.changes, happening{at, what})
	if unclean {
		t.unclean = append(t.unclean, happening{at, what})
	}
}

// elections takes the elections of the journal, where the engine reports them.
func (c *collector) elections(events []record.Event) {
	if !c.info.Elections {
		return
	}
	last := map[record.TopicPartition]int32{}
	for _, e := range events {
		i, ok := c.byName[e.Topic]
		if e.Kind != record.KindElection || !ok {
			continue
		}
		k := record.TopicPartition{Topic: e.Topic, Partition: e.Partition}
		from, known := last[k]
		if !known {
			from = e.From
		}
		if e.To < 0 {
			last[k] = from
			continue
		}
		if from > 0 && from != e.To || e.Unclean {
			c.elected(c.topics[i], e.At, e.Partition, e.To, e.Unclean)
		}
		last[k] = e.To
	}
}

// measure puts a sample's values into a gauge.
func (c *collector) measure(g *gauge, s *record.Sample) {
	switch g.term.Subject.Kind {
	case plan.RefCluster:
		c.measureCluster(g, s)
	case plan.RefTopic:
		c.measureTopic(g, s)
	case plan.RefConsumer:
		c.measureGroup(g, s)
	}
}

func (c *collector) measureCluster(g *gauge, s *record.Sample) {
	var n float64
	switch g.term.Measure {
	case "active_controllers":
		n = float64(s.ActiveControllers)
	case "alive":
		for _, b := range s.Brokers {
			if b.Alive {
				n++
			}
		}
	case "offline", "under_min_insync", "under_replicated":
		for i := range s.Partitions {
			p := &s.Partitions[i]
			if g.term.Measure == "offline" && p.Leader < 0 ||
				g.term.Measure == "under_min_insync" && len(p.ISR) < p.MinInsync ||
				g.term.Measure == "under_replicated" && len(p.ISR) < len(p.Replicas) {
				n++
			}
		}
	case "cpu", "memory":
		known := false
		for _, b := range s.Brokers {
			if !b.Usage {
				continue
			}
			known = true
			v := b.CPU
			if g.term.Measure == "memory" {
				v = float64(b.Memory)
			}
			n += v
			if g.term.By == "member" {
				g.put(g.term.Subject.Name+"-"+strconv.Itoa(int(b.ID)), noSpot, s.At, v)
			}
		}
		if !known || g.term.By == "member" {
			return
		}
	default:
		return
	}
	g.put("", noSpot, s.At, n)
}

func (c *collector) measureTopic(g *gauge, s *record.Sample) {
	name := g.term.Subject.Name
	var n float64
	seen := false
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if p.Topic != name {
			continue
		}
		var v float64
		switch g.term.Measure {
		case "partitions":
			n++
		case "offline":
			if p.Leader < 0 {
				n++
			}
		case "in_sync":
			v = float64(len(p.ISR))
			if !seen || v < n {
				n = v
			}
		case "size":
			v = max(float64(p.Size), 0)
			n += v
		default:
			return
		}
		seen = true
		if g.term.By == "partition" {
			g.put(partitionLabel(name, p.Partition), spotOf(int32(c.byName[name]), p.Partition), s.At, v)
		}
	}
	if seen && g.term.By != "partition" {
		g.put("", noSpot, s.At, n)
	}
}

func partitionLabel(topic string, partition int32) string {
	return topic + "/" + strconv.Itoa(int(partition))
}

// group is what a consumer's members said of their group up to a moment.
//
// A member belongs to the present generation when its last assignment is of
// the latest generation that any member has seen and it has not left since.
type group struct {
	generation int32
	owned      map[int]int // partitions by member
}

// A group that has failed over is another group at another cluster, which
// counts its generations anew: only assignments there count, from the moment
// that it was told to go.
func (c *collector) group(x *consumer, at time.Duration) group {
	g := group{generation: -1, owned: map[int]int{}}
	place := x.placeAt(at)
	last := map[int]record.GroupChange{}
	for _, ch := range x.changes {
		if ch.At > at {
			continue
		}
		if x.moves {
			if k := c.clusterOf(ch); k >= 0 && k != place.cluster || ch.At < place.fired && x.turnedBy(at) {
				continue
			}
		}
		last[ch.Member] = ch
		if !ch.Left {
			g.generation = max(g.generation, ch.Generation)
		}
	}
	for member, ch := range last {
		if !ch.Left && ch.Generation == g.generation {
			g.owned[member] = len(ch.Assigned)
		}
	}
	return g
}

// turnedBy tells whether a group had gone on elsewhere at a moment.
func (x *consumer) turnedBy(at time.Duration) bool {
	return len(x.switches) > 0 && x.switches[0].at <= at
}

// clusterOf is the cluster that an assignment is of, -1 when it names nothing.
func (c *collector) clusterOf(ch record.GroupChange) int {
	for _, tp := range ch.Assigned {
		if i, ok := c.byName[tp.Topic]; ok {
			return c.topics[i].cluster
		}
	}
	return -1
}

func (c *collector) measureGroup(g *gauge, s *record.Sample) {
	x := c.consumer(g.term.Subject.Name)
	now := c.group(x, s.At)
	switch g.term.Measure {
	case "assignment":
		for _, member := range slices.Sorted(maps.Keys(now.owned)) {
			g.put(x.plan.Name+"-"+strconv.Itoa(member), noSpot, s.At, float64(now.owned[member]))
		}
	case "idle_members":
		n := 0
		for _, owned := range now.owned {
			if owned == 0 {
				n++
			}
		}
		g.put("", noSpot, s.At, float64(n))
	case "members":
		n := len(now.owned)
		for _, described := range s.Groups {
			if described.Group == x.plan.Group {
				n = described.Members
			}
		}
		g.put("", noSpot, s.At, float64(n))
	case "state_size":
		c.stateSize(g, x, s.At)
	}
}

// stateSize puts what the members' dedup holds at a moment, as they told last.
func (c *collector) stateSize(g *gauge, x *consumer, at time.Duration) {
	var total float64
	known := false
	for member, notes := range x.states {
		n := sort.Search(len(notes), func(i int) bool { return notes[i].At > at })
		if n == 0 {
			continue
		}
		known = true
		v := float64(notes[n-1].Bytes)
		total += v
		if g.term.By == "member" {
			g.put(x.plan.Name+"-"+strconv.Itoa(member), noSpot, at, v)
		}
	}
	if known && g.term.By != "member" {
		g.put("", noSpot, at, total)
	}
}

// lag answers the oldest waiting sample: how far each group is behind.
func (c *collector) lag(x *consumer) {
	s := x.lagAt[0]
	x.lagAt = x.lagAt[1:]
	place := x.placeAt(s.At)
	var total float64
	var order []spot
	by := map[spot]float64{}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		t, ok := c.byName[p.Topic]
		if !ok || !place.reads(t) {
			continue
		}
		end := p.HighWater
		if end < 0 {
			end = p.LogEnd
		}
		if end < 0 {
			end = c.topics[t].ends[p.Partition]
		}
		pos := x.at(int32(t), p.Partition).pos
		if pos >= 0 && pos < p.LogStart {
			pos = p.LogStart
		}
		var v float64
		if pos >= 0 {
			v = float64(max(end-pos, 0))
		}
		total += v
		at := spotOf(int32(c.root[t]), p.Partition)
		if _, known := by[at]; !known {
			order = append(order, at)
		}
		by[at] += v
	}
	for _, g := range x.lagged {
		if g.term.By != "partition" {
			g.put("", noSpot, s.At, total)
			continue
		}
		for _, at := range order {
			g.put(c.label(at), at, s.At, by[at])
		}
	}
}

// rebalances is when the group began each generation after its first, at each
// cluster where it was.
func (c *collector) rebalances(x *consumer) []happening {
	var out []happening
	last := map[int]int32{} // by cluster
	place := map[int]int{}  // by member: the cluster of its last assignment
	for _, ch := range x.changes {
		if ch.Left {
			continue
		}
		k := c.clusterOf(ch)
		if was, ok := place[ch.Member]; k < 0 && ok {
			k = was // nothing is assigned: it is where it was
		} else if k < 0 {
			k = x.placeAt(ch.At).cluster
		}
		place[ch.Member] = k
		was, known := last[k]
		if known && ch.Generation == was {
			continue
		}
		if known {
			n := ch.Generation - was
			if n < 0 {
				if ch.Generation > 1 {
					continue // an older generation, told late
				}
				n = 1 // the group was empty and began anew
			}
			for range min(n, 1000) {
				out = append(out, happening{ch.At, "generation " + strconv.Itoa(int(ch.Generation))})
			}
		}
		last[k] = ch.Generation
	}
	return out
}
