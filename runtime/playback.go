// This file defines Playback: a recording told again as the run told of itself
// while it went on.

package runtime

import (
	"cmp"
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// playStep is the resolution of a playback's counts, in scenario time.
const playStep = progressEvery

// Playback gives what the updates of a run (Options.Progress) told, at any
// moment of its recording. Counts are exact to a quarter of a second; states of
// brokers and groups are those of the samples. Two things are not recorded as
// they were told: a broker that was killed or paused is known by the journal,
// and lag after a consumer was moved is still that of the plan's topics.
type Playback struct {
	// From and To are the scenario times of the first and the last thing that
	// is known; From is the start of load, if it came to that.
	From, To time.Duration
	// Cut says where the recording was cut off, "" when it is whole.
	Cut string

	plan    *plan.Plan
	events  []record.Event
	samples []record.Sample
	steps   []*watcher // what came in each step from 0 on; nil: nothing
	faults  []playFault
	planned []record.Event // firings at planned times, by that time

	// Where the last frame was, and the sums up to it.
	at     int // steps that are in sum
	sum    *watcher
	latest map[string]record.Sample // by cluster
	seen   int                      // samples that are in latest
	ends   map[position]int64
}

// playFault is a fault with its end; open when none is known.
type playFault struct {
	FaultProgress
	until time.Duration
	open  bool
	verb  plan.Verb
	nodes []string
}

// NewPlayback reads a recording.
func NewPlayback(rec *record.Recording) (*Playback, error) {
	b := &Playback{plan: rec.Plan, events: rec.Events, Cut: rec.Cut}
	cut, err := rec.Scan(func(block *record.Block) error {
		b.samples = append(b.samples, block.Samples...)
		return block.Spans(func(s record.Stream, spans []record.Span) error {
			if s.Actor == record.ActorAudit {
				return nil // has no times
			}
			for i := range spans {
				b.step(spans[i].At).span(s, &spans[i])
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if !rec.Whole {
		b.Cut = cmp.Or(cut, b.Cut)
	}
	slices.SortStableFunc(b.samples, func(x, y record.Sample) int { return cmp.Compare(x.At, y.At) })
	b.To = time.Duration(max(len(b.steps)-1, 0)) * playStep
	if len(b.events) > 0 {
		b.From = min(b.events[0].At, 0)
	}
	for _, e := range b.events {
		if e.Kind == record.KindPhase && e.Phase == record.PhaseRun {
			b.From = 0
		}
		b.To = max(b.To, e.At)
		if e.Kind == record.KindFired && e.Planned != nil {
			b.planned = append(b.planned, e)
		}
	}
	slices.SortStableFunc(b.planned, func(x, y record.Event) int { return cmp.Compare(*x.Planned, *y.Planned) })
	b.findFaults()
	b.rewind()
	return b, nil
}

// step is what came in the step that ends at or after a time.
func (b *Playback) step(at time.Duration) *watcher {
	i := int((max(at, 0) + playStep - 1) / playStep)
	for i >= len(b.steps) {
		b.steps = append(b.steps, nil)
	}
	if b.steps[i] == nil {
		b.steps[i] = newWatcher(b.plan, nil, nil, false)
	}
	return b.steps[i]
}

func (b *Playback) rewind() {
	b.at, b.seen = 0, 0
	b.sum = newWatcher(b.plan, nil, nil, false)
	b.latest, b.ends = map[string]record.Sample{}, map[position]int64{}
}

// add takes in what another watcher saw later.
func (w *watcher) add(later *watcher) {
	w.counts.sent += later.counts.sent
	w.counts.acked += later.counts.acked
	w.counts.delivered += later.counts.delivered
	for i, x := range later.producers {
		p := &w.producers[i]
		p.accepted, p.acked, p.failed, p.unknown = p.accepted+x.accepted, p.acked+x.acked, p.failed+x.failed, p.unknown+x.unknown
	}
	for i, x := range later.consumers {
		w.consumers[i].n += x.n
	}
	for p, r := range later.positions {
		w.read(p, r.at, r.next)
	}
}

// findFaults pairs effects with their ends.
//
//	journal                          is a fault
//	effect, then undone              between the two, proved or not
//	effect of restart, then complete between the two
//	effect, then complete            no: it broke nothing
//	effect, then the end             only when the recording was cut off
func (b *Playback) findFaults() {
	type id struct {
		name               string
		occurrence, action int
	}
	at := map[id]int{}
	for _, e := range b.events {
		k := id{e.Name, e.Occurrence, e.Action}
		switch {
		case e.Kind == record.KindEffect || e.Kind == record.KindUnproved && !e.Undo:
			at[k] = len(b.faults)
			b.faults = append(b.faults, playFault{
				FaultProgress: FaultProgress{Text: e.What + arrow(e.Targets), Since: e.At},
				open:          true, verb: b.verb(e), nodes: e.Targets,
			})
		case e.Kind == record.KindUndone || e.Kind == record.KindComplete || e.Kind == record.KindUnproved:
			i, ok := at[k]
			if !ok || !b.faults[i].open {
				continue
			}
			f := &b.faults[i]
			f.until, f.open = e.At, false
			if e.Kind == record.KindComplete && f.verb != plan.Restart {
				f.until = f.Since // never a fault
			}
		}
	}
	// What nothing ended: a run that was cut off; else it held nothing.
	b.faults = slices.DeleteFunc(b.faults, func(f playFault) bool { return f.open && b.Cut == "" })
}

func (b *Playback) verb(e record.Event) plan.Verb {
	for _, x := range b.plan.Events {
		if x.Name == e.Name && e.Action < len(x.Actions) {
			return x.Actions[e.Action].Verb
		}
	}
	return ""
}

// Lines gives the lines that were told after one moment and up to another, in
// order.
func (b *Playback) Lines(after, upTo time.Duration) []Progress {
	var out []Progress
	phase := Phase("")
	for _, e := range b.events {
		if e.At > upTo {
			break
		}
		if e.Kind == record.KindPhase {
			phase = Phase(e.Phase)
		}
		if l := line(e); l != "" && e.At > after {
			out = append(out, Progress{Phase: phase, At: e.At, Left: b.left(phase, e.At), Line: l})
		}
	}
	return out
}

func (b *Playback) left(phase Phase, at time.Duration) time.Duration {
	if phase != PhaseRun {
		return 0
	}
	return max(b.plan.Scenario.RunFor.Std()-at, 0)
}

// At gives the update of a moment. Moments in rising order are cheapest.
func (b *Playback) At(t time.Duration) Progress {
	upTo := int(max(t, 0) / playStep)
	if upTo+1 < b.at || b.seen > 0 && b.samples[b.seen-1].At > t {
		b.rewind()
	}
	for ; b.at <= upTo && b.at < len(b.steps); b.at++ {
		if s := b.steps[b.at]; s != nil {
			b.sum.add(s)
		}
	}
	for ; b.seen < len(b.samples) && b.samples[b.seen].At <= t; b.seen++ {
		b.latest[b.samples[b.seen].Cluster] = b.samples[b.seen]
	}
	p := Progress{At: t}
	raised := map[string]bool{}
	for _, e := range b.events {
		if e.At > t {
			break
		}
		switch e.Kind {
		case record.KindPhase:
			p.Phase = Phase(e.Phase)
		case record.KindAlarmRaised:
			raised[e.Name] = true
		case record.KindAlarmCleared:
			delete(raised, e.Name)
		}
	}
	p.Left = b.left(p.Phase, t)
	p.Sent, p.Acked, p.Delivered = b.rates(upTo)
	p.Producers = b.sum.progress(b.plan)
	for _, a := range b.plan.Alarms {
		p.Alarms = append(p.Alarms, AlarmProgress{ID: a.Name, On: raised[a.Name]})
	}
	down := map[string]string{}
	for _, f := range b.faults {
		if f.Since > t || !f.open && f.until <= t {
			continue
		}
		p.Faults = append(p.Faults, f.FaultProgress)
		for _, n := range f.nodes {
			switch f.verb {
			case plan.Kill, plan.Stop, plan.PowerOff, plan.Restart:
				down[n] = processStopped
			case plan.Pause:
				down[n] = processPaused
			}
		}
	}
	if p.Phase == PhaseRun {
		i, _ := slices.BinarySearchFunc(b.planned, t+1, func(e record.Event, t time.Duration) int { return cmp.Compare(*e.Planned, t) })
		if i < len(b.planned) {
			p.Next, p.NextAt = b.planned[i].Name, *b.planned[i].Planned
		}
	}
	b.states(&p, down)
	return p
}

// rates are those of the second that ends with a step.
func (b *Playback) rates(step int) (sent, acked, delivered float64) {
	n := min(int(time.Second/playStep), step)
	if n == 0 {
		return 0, 0, 0
	}
	var c counts
	for i := step - n + 1; i <= step && i < len(b.steps); i++ {
		if s := b.steps[i]; s != nil {
			c.sent, c.acked, c.delivered = c.sent+s.counts.sent, c.acked+s.counts.acked, c.delivered+s.counts.delivered
		}
	}
	per := func(x uint64) float64 { return float64(x) / (time.Duration(n) * playStep).Seconds() }
	return per(c.sent), per(c.acked), per(c.delivered)
}

// states puts what the last samples showed.
func (b *Playback) states(p *Progress, down map[string]string) {
	r := &run{p: b.plan, watch: b.sum}
	parts := map[string][]record.PartitionState{}
	for i := range b.plan.Clusters {
		c := &b.plan.Clusters[i]
		s, ok := b.latest[c.Name]
		if !ok {
			continue
		}
		for _, x := range s.Partitions {
			parts[x.Topic] = append(parts[x.Topic], x)
		}
		for _, n := range c.Nodes {
			label := c.Label(n.ID)
			k := slices.IndexFunc(s.Brokers, func(x record.BrokerState) bool { return x.ID == n.ID })
			state := processRunning
			if k >= 0 && !s.Brokers[k].Alive {
				state = "fenced"
			}
			p.Nodes = append(p.Nodes, NodeProgress{Label: label, State: cmp.Or(down[label], state)})
		}
	}
	for _, list := range parts {
		slices.SortFunc(list, func(x, y record.PartitionState) int { return cmp.Compare(x.Partition, y.Partition) })
	}
	p.Partitions = r.partitions(parts)
	for i, c := range b.plan.Consumers {
		if c.Observes != "" {
			continue
		}
		x := ConsumerProgress{Name: c.Name}
		x.Delivered, x.Lag = r.behind(int32(i), c.Topics, parts, b.ends)
		for _, cl := range b.plan.Clusters {
			s := b.latest[cl.Name]
			k := slices.IndexFunc(s.Groups, func(g record.GroupState) bool { return g.Group == c.Group })
			if k >= 0 && p.At-s.At <= groupStale && x.State == "" {
				x.State, x.Members = s.Groups[k].State, s.Groups[k].Members
			}
		}
		p.Consumers = append(p.Consumers, x)
	}
}
