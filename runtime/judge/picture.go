// This file defines Picture: what a run looked like from second to second, by
// the same measures as the verdict. It is what reports draw.

package judge

import (
	"fmt"
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Picture is a run over its time. Everything in it is in scenario time since
// the start of load; what happened before is left out. Slices that count by the
// second have a row for every second from 0 on, and end with what is known.
type Picture struct {
	End        time.Duration // where the picture ends: when the audit began, or with the last thing known
	LoadEnded  time.Duration // run_for, or when the load was broken off
	Cut        string        // where the evidence is cut off; "": it is whole
	Producers  []ProducerSeries
	All        ProducerSeries // the producers together, as if they were one
	Groups     []GroupSeries
	Partitions []PartitionLane
	Brokers    []BrokerLane
	Windows    []FaultWindow // in order of their beginning
	Alarms     []AlarmLane
}

// ProducerSeries is a producer second by second.
type ProducerSeries struct {
	Name  string
	Topic string
	Sent  []uint64    // records that the client accepted
	Acked []uint64    // records acknowledged
	Times []Quantiles // of the latencies of those
}

// Quantiles are those of the latencies of N records; without records there are
// none.
type Quantiles struct {
	N        uint64
	P50, P99 time.Duration
	Max      time.Duration
}

// GroupSeries is a consumer group over time.
type GroupSeries struct {
	Name      string
	Delivered []uint64 // records, by second
	Lag       []Level  // at each sample of its cluster
	// Undelivered is how many acknowledged records the group had not got by the
	// end of each second. Its last value is the group's missing records, before
	// those that retention and deletion excuse. Nil for a group that reads only
	// what mirrors or replay bring.
	Undelivered []int64
}

// Level is a value at a moment.
type Level struct {
	At    time.Duration
	Value float64
}

// PartitionLane is who led a partition, and how many replicas were in sync.
type PartitionLane struct {
	Cluster   string
	Topic     string
	Partition int32
	Replicas  int
	MinInsync int
	Spans     []LeaderSpan // in order; a gap between them is not known
}

// LeaderSpan is a time in which nothing changed for a partition. Leader is -1
// while nobody leads.
type LeaderSpan struct {
	From, To time.Duration
	Leader   int32
	InSync   int
}

// BrokerLane is whether a broker was registered and not fenced.
type BrokerLane struct {
	Cluster string
	Label   string // kafka-2
	ID      int32
	Spans   []AliveSpan // in order; a gap between them is not known
}

// AliveSpan is a time in which nothing changed for a broker.
type AliveSpan struct {
	From, To time.Duration
	Alive    bool
}

// FaultWindow is one action of an event while it was in effect. With To = From
// it is a moment.
type FaultWindow struct {
	Event    string // the plan's name of it
	Verb     plan.Verb
	What     string // the call as written
	Targets  []string
	From, To time.Duration
	Proved   bool // From is when its effect was proved, else when it fired
}

// AlarmLane is when an alarm was raised.
type AlarmLane struct {
	Name   string
	Text   string // the claim as written
	Raised []AlarmSpan
}

// AlarmSpan is one time that an alarm was raised.
type AlarmSpan struct{ From, To time.Duration }

// owed counts acknowledged records that a group does not have, as they come
// and go.
//
//	a record is          and the group          it counts
//	acknowledged         has it not             one more
//	acknowledged         has it already         –
//	delivered first      and is acknowledged    one less
//	delivered first      and is not (yet)       –
type owed []int64

func (o *owed) add(at time.Duration, n int64) {
	if n == 0 || at >= maxTicks*tick {
		return
	}
	i := int(max(at, 0) / time.Second)
	for i >= len(*o) {
		*o = append(*o, make(owed, i+1-len(*o)+64)...)
	}
	(*o)[i] += n
}

// upTo gives what is owed at the end of each second.
func (o owed) upTo(end time.Duration) (out []int64) {
	sum := int64(0)
	for i := range secondsUpTo(end) {
		if i < len(o) {
			sum += o[i]
		}
		out = append(out, max(sum, 0))
	}
	return out
}

// owe notes records that were acknowledged for the first time.
func (c *collector) owe(p *producer, m *member, s *record.Span) {
	for _, x := range c.consumers {
		if x.owes(p) {
			had := x.delivered.get(p.index, m.index)
			x.owed.add(s.At, int64(s.N)-had.among(s.First, s.Stride, s.N))
		}
	}
}

// owes tells whether what a producer sends is for the group: as for missing.
func (x *consumer) owes(p *producer) bool {
	return x.plan.Observes == "" && x.readsTopic(p.topic)
}

// settleOwed notes records that a group got, of which it had those of again
// before.
func (x *consumer) settleOwed(m *member, s *record.Span, again []uint64) {
	n := m.acked.among(s.First, s.Stride, s.N)
	for _, seq := range again {
		if m.acked.has(seq) {
			n--
		}
	}
	x.owed.add(s.At, -n)
}

// among counts the bits that are set of n from first on, stride apart.
func (b *bitset) among(first, stride uint64, n uint32) (set int64) {
	if b == nil {
		return 0
	}
	for i := range uint64(n) {
		if b.has(first + i*stride) {
			set++
		}
	}
	return set
}

// Depict gives the picture of a recording. A recording that was cut off is
// shown up to there. It fails when the evidence cannot be read.
func Depict(rec *record.Recording) (*Picture, error) {
	p := rec.Plan
	var lags []*plan.Term
	for i := range p.Consumers {
		if x := &p.Consumers[i]; x.Observes == "" {
			lags = append(lags, &plan.Term{Subject: plan.Ref{Kind: plan.RefConsumer, Name: x.Name}, Measure: "lag"})
		}
	}
	c := newCollector(p, rec.Info, lags)
	c.owing = true
	gauges := map[string]*gauge{}
	for _, t := range lags {
		gauges[t.Subject.Name] = c.watch(t)
	}
	c.switches(rec.Events)
	lanes := newLanes(c, rec)
	cut, err := rec.Scan(func(b *record.Block) error {
		for i := range b.Samples {
			lanes.sample(&b.Samples[i])
		}
		return c.add(b)
	})
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	out := &Picture{Cut: cut}
	out.LoadEnded, out.End = spanOf(rec, c.until)
	for _, x := range c.producers {
		out.Producers = append(out.Producers, c.producerSeries(out, x))
	}
	out.All = c.together(out)
	for _, x := range c.consumers {
		if x.plan.Observes != "" {
			continue
		}
		g := GroupSeries{Name: x.plan.Name, Delivered: bySecond(x.rate, out.End)}
		if slices.ContainsFunc(c.producers, x.owes) {
			g.Undelivered = x.owed.upTo(out.End)
		}
		if q := gauges[x.plan.Name]; q != nil {
			for _, s := range q.series {
				for _, pt := range s.points {
					if pt.from >= 0 && pt.from <= out.End {
						g.Lag = append(g.Lag, Level{pt.from, pt.v})
					}
				}
			}
		}
		out.Groups = append(out.Groups, g)
	}
	out.Partitions, out.Brokers = lanes.finish(out.End)
	out.Windows = windowsOf(rec, out.LoadEnded)
	out.Alarms = alarmsOf(rec, out.End)
	return out, nil
}

// spanOf is when the load ended, and where the picture ends.
func spanOf(rec *record.Recording, until time.Duration) (loaded, end time.Duration) {
	runFor := rec.Plan.Scenario.RunFor.Std()
	began := false
	loaded, end = -1, -1
	for _, e := range rec.Events {
		if e.Kind != record.KindPhase {
			continue
		}
		switch e.Phase {
		case record.PhaseRun:
			began = true
		case record.PhaseHeal:
			loaded = min(max(e.At, 0), runFor)
		case record.PhaseAudit, record.PhaseTakeDown:
			if end < 0 {
				end = max(e.At, 0)
			}
		}
	}
	if !began {
		return 0, 0
	}
	if loaded < 0 {
		loaded = max(min(until, runFor), 0)
	}
	if end < 0 {
		end = max(until, 0)
	}
	return loaded, max(end, loaded)
}

// secondsUpTo is how many seconds there are up to end, the begun one included.
func secondsUpTo(end time.Duration) int { return int((end + time.Second - 1) / time.Second) }

func bySecond(t ticks, end time.Duration) []uint64 {
	out := make([]uint64, secondsUpTo(end))
	for i := range out {
		out[i] = t.sum(time.Duration(i)*time.Second, time.Duration(i+1)*time.Second)
	}
	return out
}

func (c *collector) producerSeries(out *Picture, p *producer) ProducerSeries {
	s := ProducerSeries{Name: p.plan.Name, Topic: p.plan.Topic, Sent: bySecond(p.sent, out.End), Acked: bySecond(p.acked, out.End)}
	for i := range s.Sent {
		var q Quantiles
		if i < len(p.lat) && p.lat[i] != nil {
			q = c.quantiles(p.lat[i])
		}
		s.Times = append(s.Times, q)
	}
	return s
}

func (c *collector) quantiles(h *histogram) Quantiles {
	return Quantiles{h.n, h.quantile(0.5, c.cell), h.quantile(0.99, c.cell), h.max}
}

// together adds the producers up.
func (c *collector) together(out *Picture) ProducerSeries {
	if len(out.Producers) == 1 {
		return out.Producers[0]
	}
	n := secondsUpTo(out.End)
	s := ProducerSeries{Sent: make([]uint64, n), Acked: make([]uint64, n), Times: make([]Quantiles, n)}
	for i := range n {
		var h histogram
		for k, p := range c.producers {
			s.Sent[i] += out.Producers[k].Sent[i]
			s.Acked[i] += out.Producers[k].Acked[i]
			if i < len(p.lat) {
				h.merge(p.lat[i])
			}
		}
		s.Times[i] = c.quantiles(&h)
	}
	return s
}

// windowsOf finds in the journal when each action was in effect, by the rules
// of edgesOf, each occurrence for itself.
func windowsOf(rec *record.Recording, loadEnded time.Duration) []FaultWindow {
	type key struct {
		name               string
		occurrence, action int
	}
	type place struct {
		index int
		over  bool
	}
	var out []FaultWindow
	open := map[key]*place{}
	for _, e := range rec.Events {
		ev := rec.Plan.Event(e.Name)
		if ev == nil || e.Action >= len(ev.Actions) {
			continue
		}
		k := key{e.Name, e.Occurrence, e.Action}
		at := open[k]
		switch e.Kind {
		case record.KindFired:
			open[k] = &place{index: len(out)}
			out = append(out, FaultWindow{Event: e.Name, Verb: ev.Actions[e.Action].Verb, What: ev.Actions[e.Action].Source,
				Targets: e.Targets, From: e.At, To: e.At})
		case record.KindEffect:
			if at == nil {
				continue
			}
			w := &out[at.index]
			if len(e.Targets) > 0 {
				w.Targets = e.Targets
			}
			if !w.Proved {
				w.From, w.To, w.Proved = e.At, max(w.To, e.At), true
			}
		case record.KindComplete, record.KindUndone:
			if at != nil {
				out[at.index].To, at.over = max(e.At, out[at.index].From), true
			}
		}
	}
	for k, at := range open {
		if ev := rec.Plan.Event(k.name); !at.over && undoable(ev.Actions[k.action]) {
			w := &out[at.index]
			w.To = max(loadEnded, w.From)
		}
	}
	slices.SortStableFunc(out, func(a, b FaultWindow) int { return int(a.From - b.From) })
	return out
}

func alarmsOf(rec *record.Recording, end time.Duration) []AlarmLane {
	var out []AlarmLane
	for _, a := range rec.Plan.Alarms {
		lane := AlarmLane{Name: a.Name, Text: a.Text}
		since := time.Duration(-1)
		for _, e := range rec.Events {
			switch {
			case e.Name != a.Name:
			case e.Kind == record.KindAlarmRaised && since < 0:
				since = max(e.At, 0)
			case e.Kind == record.KindAlarmCleared && since >= 0:
				lane.Raised = append(lane.Raised, AlarmSpan{since, e.At})
				since = -1
			}
		}
		if since >= 0 {
			lane.Raised = append(lane.Raised, AlarmSpan{since, max(end, since)})
		}
		out = append(out, lane)
	}
	return out
}
