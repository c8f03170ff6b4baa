// This file defines the sampler: what clusters and groups look like, five
// times a second of scenario time.

package runtime

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// How often the sampler looks, in scenario time.
const (
	sampleEvery = 200 * time.Millisecond
	groupEvery  = time.Second
	groupStale  = 3 * time.Second
	// A look at a group is a handful of requests on connections of its own, so
	// it is not taken more often than this, in real time; who coordinates the
	// group is asked every coordinatorEvery-th time.
	groupFloor       = 200 * time.Millisecond
	coordinatorEvery = 5
)

// sampleShare is how much of the real time a sampler may spend looking: where
// looking takes longer than a quarter of the interval, it looks less often.
const sampleShare = 4

// sampler watches one run. Each cluster and each group has its own goroutine,
// so that one that does not answer holds up no other.
type sampler struct {
	p     *plan.Plan
	clock *clock
	write func(record.Sample)
	tell  func(record.Event) // what samples show that nothing else reports
	// inspect, describe and coordinator ask the engine and the clients.
	inspect     func(ctx context.Context, cluster string) (State, error)
	describe    func(ctx context.Context, cluster, group string) (Group, error)
	coordinator func(ctx context.Context, cluster, group string) (int32, error)

	mu        sync.Mutex
	states    map[string]State // the last of each cluster
	samples   map[string]record.Sample
	short     map[string]bool   // clusters with partitions that miss replicas
	usage     map[NodeKey]usage // for processor shares
	groups    map[groupKey]groupSeen
	minInsync map[string]int // by topic, as configure left it
	byCluster map[string]int // where brokers were configured; a topic's own goes before it
}

type usage struct {
	at  time.Time
	cpu float64
}

type groupKey struct{ cluster, group string }

type groupSeen struct {
	at    time.Duration
	state record.GroupState
}

const minInsyncConfig = "min.insync.replicas"

func newSampler(p *plan.Plan, c *clock, write func(record.Sample)) *sampler {
	s := &sampler{
		p: p, clock: c, write: write,
		tell: func(record.Event) {}, states: make(map[string]State), samples: make(map[string]record.Sample), short: make(map[string]bool), usage: make(map[NodeKey]usage),
		groups: make(map[groupKey]groupSeen), minInsync: make(map[string]int),
		byCluster: make(map[string]int),
	}
	for _, t := range p.Topics {
		s.minInsync[t.Name] = max(t.MinInsync, 1)
	}
	return s
}

// cluster samples one cluster until ctx ends.
func (s *sampler) cluster(ctx context.Context, cluster string) {
	every := s.clock.wall(sampleEvery)
	for {
		began := time.Now()
		s.look(ctx, cluster)
		cost := time.Since(began)
		next := every - cost
		if cost*sampleShare > every {
			next = cost * (sampleShare - 1)
		}
		if !sleep(ctx, max(next, time.Millisecond)) {
			return
		}
	}
}

// look takes one sample. A cluster that cannot be looked at gives none: gaps
// are not filled in.
func (s *sampler) look(ctx context.Context, cluster string) {
	state, err := s.inspect(ctx, cluster)
	if err != nil {
		return
	}
	at := time.Now()
	s.mu.Lock()
	s.states[cluster] = state
	sample := s.sample(cluster, state, at)
	s.samples[cluster] = sample
	was := s.short[cluster]
	s.short[cluster] = slices.ContainsFunc(sample.Partitions, func(p record.PartitionState) bool {
		return len(p.ISR) < len(p.Replicas)
	})
	whole := was && !s.short[cluster]
	s.mu.Unlock()
	s.write(sample)
	if whole {
		s.tell(record.Event{Kind: record.KindCluster, Cluster: cluster, What: "all partitions fully replicated"})
	}
}

// sample turns a state into what is recorded; s.mu is held.
func (s *sampler) sample(cluster string, state State, at time.Time) record.Sample {
	out := record.Sample{
		At: s.clock.scenario(at), Cluster: cluster,
		ActiveControllers: len(state.Controllers), Controller: -1,
	}
	if len(state.Controllers) > 0 {
		out.Controller = state.Controllers[0]
	}
	for _, n := range state.Nodes {
		if n.ID >= plan.FirstControllerID {
			continue
		}
		b := record.BrokerState{ID: n.ID, Alive: n.Alive, Memory: n.Memory}
		key := NodeKey{cluster, n.ID}
		last, known := s.usage[key]
		s.usage[key] = usage{at, n.CPU}
		if elapsed := at.Sub(last.at).Seconds(); known && elapsed > 0 && n.CPU >= last.cpu {
			b.CPU = (n.CPU - last.cpu) / elapsed
			b.Usage = n.Memory > 0 || n.CPU > 0
		}
		out.Brokers = append(out.Brokers, b)
	}
	for _, p := range state.Partitions {
		t := s.p.KafkaTopic(cluster, p.Topic)
		if t == nil {
			continue // Kafka's own, __consumer_offsets, or a mirror's
		}
		out.Partitions = append(out.Partitions, record.PartitionState{
			Topic: t.Name, Partition: p.Partition, Leader: p.Leader, Epoch: p.Epoch,
			ISR: p.ISR, Replicas: p.Replicas, MinInsync: s.minInsyncOf(cluster, t.Name),
			LogStart: p.Start, LogEnd: p.End, HighWater: p.HighWater, Size: p.Size,
		})
	}
	for key, g := range s.groups {
		if key.cluster == cluster && out.At-g.at <= groupStale {
			out.Groups = append(out.Groups, g.state)
		}
	}
	return out
}

func (s *sampler) minInsyncOf(cluster, topic string) int {
	if n := s.minInsync[topic]; n > 0 {
		return n
	}
	return max(s.byCluster[cluster], 1)
}

// group describes one group until ctx ends, at the cluster on which its members
// are.
func (s *sampler) group(ctx context.Context, where func() string, group string) {
	coordinator, cluster := int32(-1), ""
	for n := 0; ; n++ {
		if now := where(); now != cluster {
			coordinator, cluster = -1, now
		}
		coordinator = s.lookGroup(ctx, cluster, group, coordinator, n%coordinatorEvery == 0)
		if !sleep(ctx, max(s.clock.wall(groupEvery), groupFloor)) {
			return
		}
	}
}

// lookGroup describes a group once, and gives the coordinator that it knows.
func (s *sampler) lookGroup(ctx context.Context, cluster, group string, coordinator int32, ask bool) int32 {
	ctx, cancel := context.WithTimeout(ctx, max(s.clock.wall(groupStale), 2*time.Second))
	defer cancel()
	g, err := s.describe(ctx, cluster, group)
	if err != nil {
		return -1
	}
	if ask || coordinator < 0 {
		if coordinator, err = s.coordinator(ctx, cluster, group); err != nil {
			coordinator = -1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[groupKey{cluster, group}] = groupSeen{s.clock.Now(), record.GroupState{
		Group: group, State: g.State, Members: g.Members, Coordinator: coordinator,
	}}
	return coordinator
}

// configured follows changes of min.insync.replicas, which a sample carries.
func (s *sampler) configured(cluster string, targets []plan.Ref, config map[string]string) {
	v, ok := config[minInsyncConfig]
	n, err := strconv.Atoi(v)
	if !ok || err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range targets {
		if t.Kind == plan.RefTopic {
			s.minInsync[t.Name] = n
		} else {
			s.byCluster[cluster] = n
		}
	}
}

// restored follows a config that was put back. A topic whose own setting is
// gone has its cluster's.
func (s *sampler) restored(cluster string, t plan.Ref, values map[string]*string) {
	v, ok := values[minInsyncConfig]
	if !ok {
		return
	}
	if v != nil {
		s.configured(cluster, []plan.Ref{t}, map[string]string{minInsyncConfig: *v})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Kind == plan.RefTopic {
		s.minInsync[t.Name] = 0
	} else {
		delete(s.byCluster, cluster)
	}
}

// nodes gives the last seen state of every node, for the live screen.
func (s *sampler) nodes() []NodeProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []NodeProgress
	for _, c := range s.p.Clusters {
		for _, n := range s.states[c.Name].Nodes {
			state := n.Process
			if state == processRunning && !n.Alive && n.ID < plan.FirstControllerID {
				state = "fenced"
			}
			out = append(out, NodeProgress{Label: c.Label(n.ID), State: state})
		}
	}
	return out
}

// partitions gives the last sample of each partition, by topic.
func (s *sampler) partitions() map[string][]record.PartitionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]record.PartitionState)
	for _, c := range s.p.Clusters {
		for _, p := range s.samples[c.Name].Partitions {
			out[p.Topic] = append(out[p.Topic], p)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b record.PartitionState) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	return out
}

// groupOf gives the last look at a group; false when there was none lately.
func (s *sampler) groupOf(cluster, group string, now time.Duration) (record.GroupState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[groupKey{cluster, group}]
	return g.state, ok && now-g.at <= groupStale
}
