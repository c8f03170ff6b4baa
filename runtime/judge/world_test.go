package judge

import (
	"slices"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

const (
	sec = time.Second
	ms  = time.Millisecond
)

// world is a run whose every record can be given another fate. The zero hooks
// are a healthy run: 100 records a second over 4 partitions for 20 s, the
// first 2 s warm-up, acknowledged 5 ms after they are due, delivered 2 ms
// later to one of two members, everything in the log in order.
type world struct {
	plan *plan.Plan
	info record.Info

	ack     func(seq uint64, part int32, due time.Duration) time.Duration // < 0: never
	fail    func(seq uint64) string                                       // a reason: failed
	unknown func(seq uint64) string
	deliver func(seq uint64, part int32, ack time.Duration) []time.Duration // the times it is delivered
	inLog   func(seq uint64) int                                            // how often it stands in the log
	aborted func(seq uint64) int                                            // how often it stands there in aborted transactions, before the others
	sample  func(at time.Duration, s *record.Sample)
	group   func(w *record.Writer) // instead of two members from the start
	more    func(w *record.Writer)
	events  []record.Event
	noAudit bool
	skip    func(seq uint64) bool // not even accepted
	late    int
	drain   bool // limit reached while records arrive
	open    bool // not closed
	rate    float64
	parts   func(seq uint64) int32 // where it goes, instead of by turns
}

func testPlan() *plan.Plan {
	undo := plan.Duration(4 * sec)
	return &plan.Plan{
		Format: plan.Format, Name: "test", Title: "A test",
		Scenario: plan.Scenario{RunFor: plan.Duration(20 * sec), Warmup: plan.Duration(2 * sec), Seed: 1},
		Clusters: []plan.Cluster{{Name: "kafka", Nodes: []plan.Node{{ID: 1}, {ID: 2}, {ID: 3}}}},
		Topics:   []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 4, Replicas: 3, MinInsync: 2}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Rate: 100, Members: 1, Acks: "all", Size: 100, Keys: 10,
			Partitioner: "round_robin", Idempotent: true}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 2, Start: "earliest",
			Commit: "after", CommitEvery: plan.Duration(sec)}},
		Alarms: []plan.Alarm{{Name: "slow"}},
		Events: []plan.Event{{Name: "outage", Trigger: plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Offset: plan.Duration(8 * sec)}},
			Actions: []plan.Action{{Verb: plan.Kill, UndoAfter: &undo}}}},
	}
}

func newWorld() *world {
	return &world{plan: testPlan(), info: record.Info{ID: 7, Engine: "embedded", Seed: 1}, rate: 100}
}

// outage is the journal of the plan's event: in effect from 8.003 s to 12.1 s.
func outage() []record.Event {
	planned := 8 * sec
	return []record.Event{
		{At: 8 * sec, Planned: &planned, Kind: record.KindFired, Name: "outage", What: "kill(orders.leader(partition=0))", Targets: []string{"kafka-2"}},
		{At: 8003 * ms, Kind: record.KindEffect, Name: "outage", What: "kill(orders.leader(partition=0))", Targets: []string{"kafka-2"}, Proof: "process gone, port closed"},
		{At: 12 * sec, Kind: record.KindUndoing, Name: "outage", What: "start", Targets: []string{"kafka-2"}},
		{At: 12100 * ms, Kind: record.KindUndone, Name: "outage", What: "start", Targets: []string{"kafka-2"}, Proof: "registered after 100 ms"},
	}
}

// write plays the world into a writer.
func (x *world) write(w *record.Writer) {
	w.Event(record.Event{At: -sec, Kind: record.KindPhase, Phase: record.PhasePrepare})
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	events := x.events
	if events == nil {
		events = outage()
	}
	for _, e := range events {
		w.Event(e)
	}
	p := w.Producer("shop", 1)
	members := []*record.ConsumerLog{w.Consumer("billing", 1), w.Consumer("billing", 2)}
	if x.group != nil {
		x.group(w)
	} else {
		for i, m := range members {
			m.Assigned(1, []record.TopicPartition{{Topic: "orders", Partition: int32(2 * i)}, {Topic: "orders", Partition: int32(2*i + 1)}}, -500*ms)
		}
	}
	p.Due(0, 0, x.rate, 4)
	part := record.NewPartitioner("round_robin", 1, 0, 1, 1, 10)
	end := x.plan.Scenario.RunFor.Std()
	type delivery struct {
		at     time.Duration
		seq    uint64
		part   int32
		offset int64
	}
	type acked struct {
		at     time.Duration
		seq    uint64
		part   int32
		offset int64
		reason string
		op     record.Op
	}
	var deliveries []delivery
	var acks []acked
	var offsets [4]int64
	type standing struct {
		seq     uint64
		aborted bool
	}
	var audit [4][]standing
	schedule := record.Segment{Rate: x.rate}
	total := schedule.NextAfter(end - 1)
	for seq := range total {
		due := schedule.Due(seq)
		k := part.Partition(seq, 4)
		if x.parts != nil {
			k = x.parts(seq)
		}
		if x.skip != nil && x.skip(seq) {
			continue
		}
		p.Accepted(seq, 1, due)
		copies := 1
		if x.inLog != nil {
			copies = x.inLog(seq)
		}
		ack := due + 5*ms
		if x.ack != nil {
			ack = x.ack(seq, k, due)
		}
		offset := offsets[k]
		offsets[k]++
		switch {
		case x.fail != nil && x.fail(seq) != "":
			acks = append(acks, acked{ack, seq, k, offset, x.fail(seq), record.OpFailed})
			copies--
		case x.unknown != nil && x.unknown(seq) != "":
			acks = append(acks, acked{ack, seq, k, offset, x.unknown(seq), record.OpUnknown})
		case ack >= 0:
			acks = append(acks, acked{ack, seq, k, offset, "", record.OpAcked})
		}
		if x.aborted != nil {
			for range x.aborted(seq) {
				audit[k] = append(audit[k], standing{seq, true})
			}
		}
		for range copies {
			audit[k] = append(audit[k], standing{seq, false})
		}
		times := []time.Duration{ack + 2*ms}
		if x.deliver != nil {
			times = x.deliver(seq, k, ack)
		} else if ack < 0 || copies < 1 {
			times = nil
		}
		for _, at := range times {
			deliveries = append(deliveries, delivery{at, seq, k, offset})
		}
	}
	slices.SortStableFunc(acks, func(a, b acked) int { return int(a.at - b.at) })
	for _, a := range acks {
		switch a.op {
		case record.OpAcked:
			p.Acked(a.seq, a.part, a.offset, a.at)
		case record.OpFailed:
			p.Failed(a.seq, a.part, a.at, a.reason)
		case record.OpUnknown:
			p.Unknown(a.seq, a.part, a.at, a.reason)
		}
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int { return int(a.at - b.at) })
	for _, d := range deliveries {
		members[d.part/2].Delivered("orders", d.part, d.offset, record.Identity{Run: 7, Member: 1, Seq: d.seq}, d.at)
	}
	if x.late > 0 {
		p.Late(x.late, 5*sec)
	}
	p.End(total, end)
	for at := 200 * ms; at <= end+sec; at += 200 * ms {
		s := healthySample(at)
		if x.sample != nil {
			x.sample(at, &s)
		}
		if s.Cluster != "" {
			w.Sample(s)
		}
	}
	if x.more != nil {
		x.more(w)
	}
	if !x.noAudit {
		for k := range audit {
			a := w.Audit("orders", int32(k), 0, int64(len(audit[k])))
			for i, s := range audit[k] {
				id := record.Identity{Run: 7, Member: 1, Seq: s.seq}
				if s.aborted {
					a.Aborted(int64(i), id)
				} else {
					a.Record(int64(i), id)
				}
			}
			a.Close(nil)
		}
	}
	w.Event(record.Event{At: end, Kind: record.KindPhase, Phase: record.PhaseHeal})
	if x.drain {
		w.Event(record.Event{At: end + 60*sec, Kind: record.KindDrainLimit, Name: "billing", Arriving: true})
	}
	if !x.open {
		w.Event(record.Event{At: end + sec, Kind: record.KindClosed})
	}
}

func healthySample(at time.Duration) record.Sample {
	s := record.Sample{At: at, Cluster: "kafka", ActiveControllers: 1, Controller: 1}
	for id := int32(1); id <= 3; id++ {
		s.Brokers = append(s.Brokers, record.BrokerState{ID: id, Alive: true, Usage: true, CPU: 0.5, Memory: 100 << 20})
	}
	for k := range int32(4) {
		// What is in the log: 25 records a second and partition, 5 ms late.
		end := int64(max(at-5*ms, 0)/(40*ms)) + 1
		end = min(end, 500)
		s.Partitions = append(s.Partitions, record.PartitionState{Topic: "orders", Partition: k, Leader: k%3 + 1, Epoch: 1,
			ISR: []int32{1, 2, 3}, Replicas: []int32{1, 2, 3}, MinInsync: 2, LogEnd: end, HighWater: end, Size: end * 100})
	}
	return s
}

func (x *world) recording() *record.Recording {
	w := record.NewMemory(x.plan, x.info)
	x.write(w)
	return w.Recording()
}

// expect gives the plan one expectation.
func (x *world) judge(t *testing.T, claims ...plan.Claim) *Verdict {
	t.Helper()
	p := *x.plan
	p.Claims = claims
	v, err := Judge(&p, x.recording())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// say builds a term the way a scenario says it.
type say struct{ plan.Term }

func of(kind plan.RefKind, name, measure string) say {
	return say{plan.Term{Subject: plan.Ref{Kind: kind, Name: name}, Measure: measure, Text: name + "." + measure}}
}

func shop(measure string) say    { return of(plan.RefProducer, "shop", measure) }
func billing(measure string) say { return of(plan.RefConsumer, "billing", measure) }
func orders(measure string) say  { return of(plan.RefTopic, "orders", measure) }
func kafka(measure string) say   { return of(plan.RefCluster, "kafka", measure) }

func (s say) with(w plan.Window) say {
	s.Windows = append(slices.Clone(s.Windows), w)
	return s
}

func instant(d time.Duration) *plan.Instant { return &plan.Instant{Offset: plan.Duration(d)} }

func (s say) during(a, b time.Duration) say {
	return s.with(plan.Window{Kind: plan.During, A: instant(a), B: instant(b), Explicit: true})
}
func (s say) duringEvent(name string) say { return s.with(plan.Window{Kind: plan.During, Event: name}) }
func (s say) outside(name string) say     { return s.with(plan.Window{Kind: plan.Outside, Event: name}) }
func (s say) before(name string) say {
	return s.with(plan.Window{Kind: plan.Before, A: &plan.Instant{Event: name, Edge: plan.Start}})
}
func (s say) after(name string) say {
	return s.with(plan.Window{Kind: plan.After, A: &plan.Instant{Event: name, Edge: plan.End}})
}
func (s say) at(t time.Duration) say {
	return s.with(plan.Window{Kind: plan.At, A: instant(t), Explicit: true})
}
func (s say) atEnd() say        { return s.with(plan.Window{Kind: plan.AtEnd}) }
func (s say) by(x string) say   { s.By = x; return s }
func (s say) stat(x string) say { s.Stat = x; return s }
func (s say) per(d time.Duration) say {
	s.Per = plan.Duration(d)
	return s
}

func (s say) is(op plan.BoundOp, v float64) say {
	s.Bound = &plan.Bound{Op: op, Value: v}
	return s
}
func (s say) neverBelow(v float64) say { return s.is(plan.NeverBelow, v) }
func (s say) neverAbove(v float64) say { return s.is(plan.NeverAbove, v) }
func (s say) atLeast(v float64) say    { return s.is(plan.AtLeast, v) }
func (s say) atMost(v float64) say     { return s.is(plan.AtMost, v) }
func (s say) equals(v float64) say     { return s.is(plan.Equals, v) }
func (s say) none() say                { return s.is(plan.None, 0) }
func (s say) balanced(v float64) say   { return s.is(plan.Balanced, v) }
func (s say) eventually(v float64, within time.Duration) say {
	s.Bound = &plan.Bound{Op: plan.Eventually, Value: v, Within: plan.Duration(within)}
	return s
}

func (s say) expr() plan.Expr {
	t := s.Term
	return plan.Expr{Op: plan.OpTerm, Term: &t}
}

func (s say) claim(kind plan.ClaimKind) plan.Claim {
	return plan.Claim{Kind: kind, Text: s.Text, Expr: s.expr(), Pos: plan.Pos{File: "test.star", Line: 1, Col: 1}}
}
func (s say) expect() plan.Claim { return s.claim(plan.Expect) }
