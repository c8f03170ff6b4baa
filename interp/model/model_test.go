package model_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"starfall/interp/model"
	"starfall/interp/plan"
)

func TestSoundPlan(t *testing.T) {
	if got := said(model.Check(newBuilder().p)); len(got) > 0 {
		t.Errorf("got %q, want no problem", got)
	}
}

func TestProblemString(t *testing.T) {
	p := model.Problem{Pos: plan.Pos{File: "a.star", Line: 3, Col: 5}, Severity: model.Error, Message: "kill: no"}
	if got, want := p.String(), "a.star:3:5: kill: no"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.Severity = model.Warning
	if got, want := p.String(), "a.star:3:5: warning: kill: no"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProblemsAreSortedByPosition(t *testing.T) {
	b := newBuilder()
	for i, line := range []int{30, 4, 12} {
		b.at(fmt.Sprintf("e%d", i), "95s", act(plan.Note))
		b.p.Events[i].Pos = plan.Pos{File: "a.star", Line: line, Col: 1}
	}
	var lines []int
	for _, p := range model.Check(b.p) {
		lines = append(lines, p.Pos.Line)
	}
	if want := []int{4, 12, 30}; !slices.Equal(lines, want) {
		t.Errorf("got lines %v, want %v", lines, want)
	}
}

func TestSuggestions(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*builder)
		want string
	}{
		{"replicas", func(b *builder) { b.topic().Replicas = 4 }, "cluster(brokers = 4), or replicas = 3"},
		{"idempotent", func(b *builder) { b.producer().Idempotent, b.producer().Acks = true, "1" }, `acks = "all"`},
		{"unknown site", func(b *builder) { b.producer().Site = "defualt" }, "did you mean default?"},
		{"unknown config", func(b *builder) {
			b.at("a", "20s", configure(ref(plan.RefTopic, "orders"), "min.insync.replica", "2"))
		}, "did you mean min.insync.replicas?"},
		{"heal of a kill", func(b *builder) {
			b.at("a", "20s", act(plan.Kill, broker(1)))
			b.at("b", "30s", act(plan.Heal, hit("a")))
		}, "use start"},
		{"start of the frozen", func(b *builder) {
			b.at("a", "20s", act(plan.Pause, broker(1)))
			b.at("b", "30s", act(plan.StartNode, broker(1)))
		}, "use resume"},
		{"endless cut", func(b *builder) {
			b.at("a", "20s", split(refs(broker(1))))
			b.atEdge("b", "a", plan.End, "1s", act(plan.Note))
		}, "give it heal_after, or an event of its own with heal"},
		{"endless crash", func(b *builder) {
			b.at("a", "20s", act(plan.Crash, member(1)))
			b.atEdge("b", "a", plan.End, "1s", act(plan.Note))
		}, "give it restart_after"},
		{"endless pause", func(b *builder) {
			b.at("a", "20s", act(plan.Pause, broker(1)))
			b.atEdge("b", "a", plan.End, "1s", act(plan.Note))
		}, "give it resume_after, or an event of its own with resume"},
		{"partition to come", func(b *builder) {
			b.at("a", "20s", act(plan.Kill, leader(6)))
			b.at("b", "30s", resize(8))
		}, "it is resized later: move this behind the resize"},
		{"acks 0", func(b *builder) {
			b.producer().Acks, b.p.Claims = "0", nil
			b.expect(rate, bound(plan.AtLeast, 1))
		}, "use shop.sending"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder()
			tt.edit(b)
			ps := model.Check(b.p)
			if len(ps) != 1 || ps[0].Suggestion != tt.want {
				t.Errorf("got %+v, want one problem with suggestion %q", ps, tt.want)
			}
		})
	}
}

func TestCheckSpeed(t *testing.T) {
	at := func(parts ...part) *plan.Plan {
		b := newBuilder()
		b.p.Claims = nil
		b.expect(parts...)
		return b.p
	}
	for _, tt := range []struct {
		name  string
		p     *plan.Plan
		speed float64
		want  []string
	}{
		{"short latency", at(latency, bound(plan.AtMost, 0.4)), 10,
			[]string{"claim-0: warning: latency: at speed 10 nothing below 500ms can be measured, got at_most 0.4"}},
		{"short latency at speed 1", at(latency, bound(plan.AtMost, 0.4)), 1, []string{}},
		{"short latency at speed 5", at(latency, bound(plan.AtMost, 0.4)), 5, []string{}},
		{"long latency", at(latency, bound(plan.AtMost, 0.5)), 10, []string{}},
		{"short stall", at(stall, bound(plan.AtMost, 0.2)), 10,
			[]string{"claim-0: warning: stall: at speed 10 nothing below 500ms can be measured, got at_most 0.2"}},
		{"report", at(latency), 10, []string{}},
		{"tight rate", at(rate, bound(plan.NeverBelow, 950)), 10,
			[]string{"claim-0: warning: rate: at speed 10 a bucket of 1s holds some percent more or less than is due; 950 of 1000 leaves no room"}},
		{"tight rate in long buckets", at(rate, per("5s"), bound(plan.NeverBelow, 950)), 10, []string{}},
		{"rate with room", at(rate, bound(plan.NeverBelow, 900)), 10, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(model.CheckSpeed(tt.p, tt.speed)); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Alarms and when are looked at while the run goes on, so speed matters to them
// too.
func TestCheckSpeedOfAlarmsAndEvents(t *testing.T) {
	b := newBuilder()
	alarm(b, latency, bound(plan.NeverAbove, 0.1))
	b.when("w", term(latency, bound(plan.NeverAbove, 0.2)), act(plan.Note))
	want := []string{
		"low/claim: warning: latency: at speed 10 nothing below 500ms can be measured, got never_above 0.1",
		"w/claim: warning: latency: at speed 10 nothing below 500ms can be measured, got never_above 0.2",
	}
	if got := said(model.CheckSpeed(b.p, 10)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// pick gives one of some values.
func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomPlan makes a plan of few names and many kinds, most of them nonsense.
func randomPlan(r *rand.Rand) *plan.Plan {
	b := newBuilder()
	name := func() string {
		return pick(r, "kafka", "orders", "shop", "billing", "west", "e0", "e1", "e2", "e3", "default", "", "low")
	}
	someDur := func() plan.Duration {
		return pick(r, 0, -1, 1, plan.Duration(r.Int64N(120e9)), plan.Duration(r.Int64N(120))*1e9, 1<<63-1, -1<<63)
	}
	kinds := []plan.RefKind{
		plan.RefSite, plan.RefCluster, plan.RefBroker, plan.RefBrokers, plan.RefZooKeeper, plan.RefCtlNode, plan.RefTopic,
		plan.RefProducer, plan.RefConsumer, plan.RefMember, plan.RefAlarm, plan.RefEvent, plan.RefHit, plan.RefControl,
		plan.RefAnyBroker, plan.RefLeader, plan.RefFollower, plan.RefReplicas, plan.RefCoord, "other",
	}
	someRef := func() plan.Ref {
		k := pick(r, kinds...)
		n := name()
		if r.IntN(3) > 0 { // mostly what fits
			switch k {
			case plan.RefHit, plan.RefEvent:
				n = pick(r, "e0", "e1", "e2", "e3")
			case plan.RefLeader, plan.RefFollower, plan.RefReplicas, plan.RefTopic:
				n = "orders"
			case plan.RefMember, plan.RefProducer, plan.RefConsumer, plan.RefCoord:
				n = pick(r, "shop", "billing")
			case plan.RefSite:
				n = "default"
			default:
				n = "kafka"
			}
		}
		return plan.Ref{Kind: k, Name: n, Index: r.IntN(9) - 1}
	}
	someRefs := func() []plan.Ref {
		out := make([]plan.Ref, r.IntN(3))
		for i := range out {
			out[i] = someRef()
		}
		return out
	}
	instant := func() plan.Instant {
		i := plan.Instant{Offset: someDur()}
		if r.IntN(2) == 0 {
			i.Event, i.Edge = pick(r, "e0", "e1", "e2", "e3", "no"), pick(r, plan.Start, plan.End)
		}
		return i
	}
	all := plan.Measures()
	var someExpr func(depth int) plan.Expr
	someExpr = func(depth int) plan.Expr {
		if depth > 0 && r.IntN(3) == 0 {
			e := plan.Expr{Op: pick(r, plan.OpNo, plan.OpBoth, plan.OpEither)}
			for range r.IntN(3) {
				e.Args = append(e.Args, someExpr(depth-1))
			}
			return e
		}
		m := all[r.IntN(len(all))]
		t := &plan.Term{Subject: plan.Ref{Kind: m.Subject, Name: name()}, Measure: m.Name, By: pick(r, "", "all", "key", "member"), Per: pick(r, 0, 0, someDur())}
		for range r.IntN(3) {
			w := plan.Window{Kind: pick(r, plan.Before, plan.After, plan.During, plan.Outside, plan.At, plan.AtEnd), Explicit: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				w.Event = pick(r, "e0", "e1", "e2", "no")
			} else {
				x, y := instant(), instant()
				w.A, w.B = &x, &y
			}
			t.Windows = append(t.Windows, w)
		}
		if r.IntN(4) > 0 {
			t.Bound = &plan.Bound{
				Op:    pick(r, plan.NeverBelow, plan.NeverAbove, plan.AtLeast, plan.AtMost, plan.Equals, plan.None, plan.Balanced, plan.Eventually),
				Value: pick(r, 0, -1, 0.5, 3, 1e9), Within: someDur(),
			}
		}
		return plan.Expr{Op: plan.OpTerm, Term: t}
	}
	if r.IntN(3) == 0 {
		b.cluster("kafka", r.IntN(5), r.IntN(4))
	}
	if r.IntN(4) == 0 {
		b.p.Scenario.RunFor, b.p.Scenario.Warmup = someDur(), someDur()
	}
	if r.IntN(3) == 0 {
		b.topic().Placement = map[int][]int32{r.IntN(7) - 1: {int32(r.IntN(5)), int32(r.IntN(5))}}
		b.topic().Cluster = name()
	}
	if r.IntN(3) == 0 {
		b.consumer().Topics = []string{name(), name()}
		b.producer().Topic = name()
	}
	alarm(b, rate, bound(plan.NeverBelow, 800))
	b.p.Alarms[0].Claim = someExpr(2)
	verbs := []plan.Verb{
		plan.Kill, plan.Stop, plan.Pause, plan.Resume, plan.Restart, plan.PowerOff, plan.StartNode, plan.Netsplit, plan.Slow,
		plan.Lose, plan.Throttle, plan.Heal, plan.HealAll, plan.Resize, plan.Scale, plan.SetRate, plan.Crash, plan.Configure,
		plan.Elect, plan.Move, plan.Note, plan.Send, "other",
	}
	for i := range r.IntN(6) {
		tr := plan.Trigger{Kind: pick(r, plan.TriggerAt, plan.TriggerAt, plan.TriggerEvery, plan.TriggerWhen), At: instant()}
		switch tr.Kind {
		case plan.TriggerEvery:
			tr.Interval, tr.Until = someDur(), someDur()
		case plan.TriggerWhen:
			e := someExpr(1)
			tr.Claim, tr.Within = &e, someDur()
		}
		var actions []plan.Action
		for range r.IntN(3) {
			a := plan.Action{
				Verb: pick(r, verbs...), Targets: someRefs(), Groups: [][]plan.Ref{someRefs(), someRefs()}[:r.IntN(3)],
				Partitions: r.IntN(12) - 1, Members: r.IntN(9) - 1, Rate: float64(r.IntN(2000)), DownFor: someDur(),
				Condition: plan.Condition{Loss: pick(r, 0, 0.5)}, Partition: r.IntN(8) - 1, Elect: pick(r, "preferred", "unclean"),
				Config: map[string]string{pick(r, "min.insync.replicas", "listeners", "x"): pick(r, "1", "x")},
			}
			if r.IntN(2) == 0 {
				d := someDur()
				a.UndoAfter = &d
			}
			if r.IntN(2) == 0 {
				a.Placement = map[int][]int32{r.IntN(9) - 1: {int32(r.IntN(5)), int32(r.IntN(5))}}
			} else {
				x := someRef()
				a.Off = &x
			}
			actions = append(actions, a)
		}
		b.event(fmt.Sprintf("e%d", i), tr, actions)
	}
	for range r.IntN(4) {
		b.claim(pick(r, plan.Expect, plan.Assume, plan.Rule, plan.Report), someExpr(3))
	}
	return b.p
}

// FuzzCheck: no plan makes the check panic, change the plan or answer
// differently the second time.
func FuzzCheck(f *testing.F) {
	for i := range uint64(200) {
		f.Add(i, i*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		p := randomPlan(rand.New(rand.NewPCG(a, b)))
		before, err := p.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		first := model.Check(p)
		model.CheckSpeed(p, 10)
		if second := model.Check(p); !reflect.DeepEqual(first, second) {
			t.Errorf("got %v, then %v for the same plan", first, second)
		}
		after, err := p.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if string(before) != string(after) {
			t.Error("the plan was changed")
		}
	})
}

// manyDeclarations is what a scenario of some 1,000 lines declares.
func manyDeclarations() *plan.Plan {
	b := newBuilder()
	b.p.Scenario.RunFor = dur("1h")
	for i := range 100 {
		t := *b.topic()
		t.Name = fmt.Sprintf("topic%d", i)
		b.p.Topics = append(b.p.Topics, t)
		x := *b.producer()
		x.Name, x.Topic = fmt.Sprintf("producer%d", i), t.Name
		b.p.Producers = append(b.p.Producers, x)
		g := *b.consumer()
		g.Name, g.Topics, g.Group = fmt.Sprintf("consumer%d", i), []string{t.Name}, fmt.Sprintf("group%d", i)
		b.p.Consumers = append(b.p.Consumers, g)
	}
	for i := range 300 {
		name, when := fmt.Sprintf("cut%d", i), fmt.Sprintf("%ds", 30+10*i)
		switch i % 3 {
		case 0:
			b.at(name, when, undone(act(plan.Kill, leader(i%6)), "5s"))
		case 1:
			b.at(name, when, undone(split(refs(broker(1)), refs(broker(2), broker(3))), "5s"))
		default:
			b.atEdge(name, fmt.Sprintf("cut%d", i-1), plan.End, "2s", undone(act(plan.Pause, broker(1+i%3)), "1s"))
		}
	}
	for i := range 400 {
		who := fmt.Sprintf("producer%d", i%100)
		switch i % 4 {
		case 0:
			b.expect(on(plan.RefProducer, who, "rate"), windowOf(plan.During, fmt.Sprintf("cut%d", i%300)), bound(plan.NeverBelow, 1))
		case 1:
			b.expect(on(plan.RefConsumer, fmt.Sprintf("consumer%d", i%100), "missing"), none)
		case 2:
			b.expect(on(plan.RefTopic, fmt.Sprintf("topic%d", i%100), "lost"), none)
		default:
			b.expect(on(plan.RefProducer, who, "rate"), bound(plan.NeverBelow, 800))
		}
	}
	return b.p
}

func TestManyDeclarationsAreSound(t *testing.T) {
	if got := said(model.Check(manyDeclarations())); len(got) > 0 {
		t.Errorf("got %q, want no problem", got)
	}
}

// BenchmarkCheck measures the check of some 1,000 declarations; it must stay
// below 10 ms.
func BenchmarkCheck(b *testing.B) {
	p := manyDeclarations()
	b.ReportAllocs()
	for b.Loop() {
		model.Check(p)
	}
}
