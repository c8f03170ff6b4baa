// This file defines what people see of a run while it goes on.

package runtime

import (
	"context"
	"slices"
	"time"

	"starfall/runtime/record"
)

// progressEvery is how often a live screen is fed, in real time.
const progressEvery = 250 * time.Millisecond

// say gives a line to whoever watches.
func (r *run) say(line string, at time.Duration) {
	if r.o.Progress == nil {
		return
	}
	p := r.progress(at)
	p.Line = line
	r.tell(p)
}

// tell calls Progress, one call at a time.
func (r *run) tell(p Progress) {
	r.telling <- struct{}{}
	defer func() { <-r.telling }()
	r.o.Progress(p)
}

// progress gives the phase, the time and the next event.
func (r *run) progress(at time.Duration) Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{Phase: r.phase, At: at}
	if r.phase == PhaseRun {
		p.Left = max(r.runFor()-at, 0)
		for _, name := range sorted(r.next) {
			if t := r.next[name]; t > at && (p.Next == "" || t < p.NextAt) {
				p.Next, p.NextAt = name, t
			}
		}
	}
	return p
}

// watchProgress follows the recording and feeds a live screen until ctx ends,
// and once more then: the last update has all that was recorded.
func (r *run) watchProgress(ctx context.Context) {
	ends := make(map[position]int64)
	for sleep(ctx, progressEvery) {
		p := r.update(ends)
		if err := r.watch.failure(); err != nil {
			r.fail(err)
			return
		}
		if r.claims != nil {
			// So that it reads along, though every when has fired.
			r.claims.Holds(liveExprs(r.p)[0], r.clock.Now())
		}
		if r.o.Progress != nil {
			r.tell(p)
		}
	}
	if r.o.Progress == nil {
		return
	}
	if p := r.update(ends); r.watch.failure() == nil {
		r.tell(p)
	}
}

// update reads what was recorded since the last one, and says how the run
// stands when somebody watches. Ends are the last known of each partition.
func (r *run) update(ends map[position]int64) Progress {
	sent, acked, delivered := r.watch.rates()
	if r.o.Progress == nil {
		return Progress{}
	}
	p := r.progress(r.clock.Now())
	p.Sent, p.Acked, p.Delivered = sent, acked, delivered
	parts := r.sampler.partitions()
	p.Producers = r.watch.progress(r.p)
	p.Consumers = r.consumers(p.At, parts, ends)
	p.Alarms = r.alarmStates()
	r.surroundings(&p, parts)
	return p
}

// surroundings says how the clusters are and what is broken.
func (r *run) surroundings(p *Progress, parts map[string][]record.PartitionState) {
	p.Nodes = r.sampler.nodes()
	p.Partitions = r.partitions(parts)
	p.Faults = r.effects.faults()
}

// watchClusters feeds a live screen in Up until ctx ends, where nothing is
// recorded: with what clusters show, and what is broken.
func (r *run) watchClusters(ctx context.Context) {
	for sleep(ctx, progressEvery) {
		p := r.progress(r.clock.Now())
		r.surroundings(&p, r.sampler.partitions())
		r.tell(p)
	}
}

// consumers gives how far each consumer is. Those that only observe what a
// mirror copies are nobody's.
func (r *run) consumers(now time.Duration, parts map[string][]record.PartitionState, ends map[position]int64) []ConsumerProgress {
	var out []ConsumerProgress
	for i, c := range r.p.Consumers {
		if c.Observes != "" {
			continue
		}
		at := r.load.at(c.Name)
		p := ConsumerProgress{Name: c.Name}
		p.Delivered, p.Lag = r.behind(int32(i), at.names(), parts, ends)
		if g, ok := r.sampler.groupOf(at.cluster, c.Group, now); ok {
			p.State, p.Members = g.State, g.Members
		}
		out = append(out, p)
	}
	return out
}

// behind gives how many records a consumer has got, and how many are left
// between its positions and the high-water marks of what it reads, by the rules
// of the measure lag: a partition without a leader ends where it was last seen
// to end, and of one from which a group that starts at the latest record has
// got nothing yet, nothing is left. -1 when no partition was seen.
func (r *run) behind(i int32, topics []string, parts map[string][]record.PartitionState, ends map[position]int64) (delivered uint64, lag int64) {
	var seen []record.PartitionState
	var at []position
	for t, topic := range r.p.Topics {
		if !slices.Contains(topics, topic.Name) {
			continue
		}
		for _, p := range parts[topic.Name] {
			seen = append(seen, p)
			at = append(at, position{i, int32(t), p.Partition})
		}
	}
	delivered, next := r.watch.consumed(i, at)
	if len(seen) == 0 {
		return delivered, -1
	}
	for k, p := range seen {
		if p.HighWater >= 0 {
			ends[at[k]] = p.HighWater
		} else if p.LogEnd >= 0 {
			ends[at[k]] = p.LogEnd
		}
		from := next[k]
		if from < 0 && r.p.Consumers[i].Start == "latest" {
			continue
		}
		lag += max(ends[at[k]]-max(from, p.LogStart, 0), 0)
	}
	return delivered, lag
}

// partitions gives each partition as the brokers last described it.
func (r *run) partitions(parts map[string][]record.PartitionState) []PartitionProgress {
	var out []PartitionProgress
	for _, t := range r.p.Topics {
		c := r.p.Cluster(t.Cluster)
		for _, p := range parts[t.Name] {
			x := PartitionProgress{Topic: t.Name, Partition: p.Partition, ISR: len(p.ISR), Replicas: len(p.Replicas)}
			if p.Leader >= 0 && c != nil {
				x.Leader = c.Label(p.Leader)
			}
			out = append(out, x)
		}
	}
	return out
}

// alarmStates gives every alarm of the plan. They are watched from the end of
// the warm-up to run_for, and stay as they were then.
func (r *run) alarmStates() []AlarmProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []AlarmProgress
	for i, a := range r.p.Alarms {
		out = append(out, AlarmProgress{ID: a.Name, On: r.alarms[i]})
	}
	return out
}
