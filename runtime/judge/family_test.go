package judge

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// TestIdentityNaming lets the copy have the source's name: producers go on in
// the copy itself.
func TestIdentityNaming(t *testing.T) {
	x := newTwin()
	x.plan.Mirrors[0].Rename = plan.RenameIdentity
	x.plan.Topics = append(x.plan.Topics[:3:3], plan.Topic{Name: beyond, Cluster: "west", Partitions: 2})
	x.plan.Topics[2].Kafka = source
	x.change = func(r *fate) {
		if r.topic == beyond {
			r.topic = copied
		}
		for i := range r.delivered {
			if r.delivered[i].topic == beyond {
				r.delivered[i].topic = copied
			}
		}
	}
	v := x.judge(t, orders("lost").none().expect(), billing("missing").none().expect(), billing("duplicates").none().expect(),
		billing("out_of_order").none().expect(), billing("lag").during(12*sec, 19*sec).atMost(2).expect(),
		mirror("missing").none().expect(), mirror("delay").neverAbove(0.03).expect())
	for _, c := range v.Claims {
		if c.Outcome != Held {
			t.Errorf("%s: got %s (%s), want held", c.Text, c.Outcome, c.Measured)
		}
	}
	if got, want := v.Claims[5].Measured, "0 of 1 000"; got != want {
		t.Errorf("mirror.missing: got %q, want %q: what was written at the target is not the source's", got, want)
	}
}

// TestObserversAreNoClients keeps them out of what people see of clients.
func TestObserversAreNoClients(t *testing.T) {
	v := newTwin().judge(t, orders("lost").none().expect())
	var names []string
	for _, c := range v.Consumers {
		names = append(names, c.Name)
	}
	if want := []string{"billing", "reader"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got consumers %v, want %v", names, want)
	}
	for _, p := range v.Phases {
		if p.Producer == "copy" {
			t.Errorf("got a phase of the observer: %+v", p)
		}
	}
	if n := len(v.Phases); n != 2 {
		t.Errorf("got %d phases, want 2: before and after the fail-over", n)
	}
}

// TestWitnessesOfFamilies says where a missing record is, whichever topic it
// was written to.
func TestWitnessesOfFamilies(t *testing.T) {
	never := func(r *fate) { r.delivered = nil }
	for _, tt := range []struct {
		name   string
		change func(*twin)
		want   string
	}{
		{"skipped at the target", just(never, 1500), "shop-1 #1500, west/orders/0 offset 250, in the log, skipped by the group"},
		{"in the copy, read past", just(never, 700), "shop-1 #700, orders/0 offset 350, in the log, skipped by the group"},
		{"in the copy, not reached", just(never, 999), "shop-1 #999, orders/1 offset 499, in the log, past the group's position"},
		{"not copied, and gone", just(func(r *fate) { r.delivered, r.copied, r.lost = nil, -1, true }, 700), "shop-1 #700, orders/0 offset 350, not in the log"},
		{"dropped", just(func(r *fate) { r.delivered[0].dropped = true }, 1500), "shop-1 #1500, west/orders/0 offset 250, in the log, dropped by dedup"},
		{"the group stays", func(x *twin) {
			x.plan.Events[0].Actions[0].Targets = x.plan.Events[0].Actions[0].Targets[:1]
			just(never, 1500)(x)
			x.change = func(r *fate) {
				if r.topic == beyond {
					r.delivered = nil
				} else {
					r.delivered = []arrival{{topic: source, at: r.ack + 2*ms}}
				}
			}
		}, "shop-1 #1000, west/orders/0 offset 0, in no log that the group reads"},
	} {
		x := newTwin()
		tt.change(x)
		c := x.judge(t, billing("missing").none().expect()).Claims[0]
		if len(c.Witnesses) == 0 || c.Witnesses[0].String() != tt.want {
			t.Errorf("%s: got %v (%s), want %s", tt.name, c.Witnesses, c.Measured, tt.want)
		}
	}
}

// TestCopiesOfWhatWasSent lets a record of send() come to readers of the copy,
// once for each that was sent.
func TestCopiesOfWhatWasSent(t *testing.T) {
	for _, tt := range []struct {
		sent, foreign int
		want          float64
	}{{0, 1, 1}, {1, 1, 0}, {1, 2, 1}, {2, 2, 0}} {
		x := newTwin()
		for i := range tt.sent {
			x.events = append(x.events, record.Event{At: 5 * sec, Kind: record.KindSent, Topic: source, Offset: int64(9000 + i)})
		}
		x.more = func(w *record.Writer) {
			for i := range tt.foreign {
				w.Consumer("billing", 1).Foreign(copied, 0, int64(5000+i), 15*sec)
			}
		}
		c := x.judge(t, billing("phantoms").none().expect()).Claims[0]
		if c.Value == nil || *c.Value != tt.want {
			t.Errorf("%d sent, %d read in the copy: got %s phantoms, want %v", tt.sent, tt.foreign, c.Measured, tt.want)
		}
	}
}

// TestBackAgain lets the group go back: what is undelivered at the target is
// nobody's concern then, and the lag is the source's again.
func TestBackAgain(t *testing.T) {
	x := newTwin()
	x.plan.Events = append(x.plan.Events, plan.Event{Name: "home", Actions: []plan.Action{{Verb: plan.FailBack,
		Targets: []plan.Ref{{Kind: plan.RefConsumer, Name: "billing"}}}}})
	x.events = []record.Event{{At: 15 * sec, Kind: record.KindFired, Name: "home"}, {At: 15100 * ms, Kind: record.KindEffect, Name: "home"}}
	x.change = func(r *fate) {
		if r.due > 14900*ms {
			r.delivered = nil // the producer stays at the target
		}
	}
	x.then = []moment{{15 * sec, func(w *record.Writer) {
		b := w.Consumer("billing", 1)
		b.Assigned(8, []record.TopicPartition{{Topic: source}, {Topic: source, Partition: 1}}, 15*sec)
		b.Position(source, 0, 500, 15*sec)
		b.Position(source, 1, 500, 15*sec)
	}}}
	v := x.judge(t, billing("stall").during(16*sec, 20*sec).none().expect(), billing("lag").during(16*sec, 20*sec).none().expect(),
		billing("assignment").during(16*sec, 20*sec).equals(2).expect(), billing("rebalances").equals(1).expect())
	for _, c := range v.Claims {
		if c.Outcome != Held {
			t.Errorf("%s: got %s (%s), want held", c.Text, c.Outcome, c.Measured)
		}
	}
}

// TestAvailable has no silence of single partitions: a record that has a choice
// is due for none of them.
func TestAvailable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claim  say
		change func(*world)
		want   Outcome
		says   string
	}{
		{"steered away", shop("stall").none(), func(x *world) {
			x.ack = func(seq uint64, _ int32, due time.Duration) time.Duration { return due + 5*ms }
		}, Held, "0 ms"},
		{"all stand still", shop("stall").atMost(1), down(-1, 8*sec, 10*sec), Broken, "2 s, from 0:08"},
		{"failed, where it went", shop("failed").by("partition").none(), func(x *world) { x.fail = reasonFor("x", 701) }, Broken, "1 on orders/3"},
	} {
		x := newWorld()
		x.plan.Producers[0].Partitioner = available
		x.parts = func(seq uint64) int32 { // partition 1 gets nothing from 8 s to 12 s
			if k := int32(seq % 4); k != 1 || !between(time.Duration(seq)*10*ms, 7*sec, 12*sec) {
				return k
			}
			return 3
		}
		tt.change(x)
		v := x.judge(t, tt.claim.expect())
		if c := v.Claims[0]; c.Outcome != tt.want || !strings.HasPrefix(c.Measured, tt.says) {
			t.Errorf("%s: got %s (%s), want %s (%s)", tt.name, c.Outcome, c.Measured, tt.want, tt.says)
		}
		if tt.name == "all stand still" && (v.Phases[1].Stall == 0 || v.Phases[1].StallOn != "") {
			t.Errorf("%s: got stall %v on %q in the phase, want one of no partition", tt.name, v.Phases[1].Stall.Std(), v.Phases[1].StallOn)
		}
	}
}

// TestOwned judges the stall of each member's own partitions.
func TestOwned(t *testing.T) {
	p := testPlan()
	p.Events, p.Alarms, p.Producers[0].Owns, p.Producers[0].Members = nil, nil, true, 2
	p.Claims = []plan.Claim{shop("stall").none().expect(), shop("stall").by("partition").atMost(1).expect()}
	for _, broken := range []bool{false, true} {
		w := record.NewMemory(p, record.Info{ID: 7})
		w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
		var parts [3]*record.Partitioner
		for m := 1; m <= 2; m++ {
			parts[m] = record.NewPartitioner("round_robin", 1, 0, m, 2, 0)
			parts[m].Owns = true
			w.Producer("shop", m).Due(0, 0, 50, 4)
		}
		for seq := range uint64(1000) {
			for m := 1; m <= 2; m++ {
				due := time.Duration(seq) * 20 * ms
				k := parts[m].Partition(seq, 4)
				w.Producer("shop", m).Accepted(seq, 1, due)
				if !broken || k != 3 || !between(due, 8*sec, 10*sec) {
					w.Producer("shop", m).Acked(seq, k, int64(seq), due+5*ms)
				}
			}
		}
		w.Event(record.Event{At: 20 * sec, Kind: record.KindPhase, Phase: record.PhaseHeal})
		w.Event(record.Event{At: 21 * sec, Kind: record.KindClosed})
		v, err := Judge(p, w.Recording())
		if err != nil {
			t.Fatal(err)
		}
		want := "0 ms"
		if broken {
			want = "2.00 s on orders/3, from 0:08.02"
		}
		if c := v.Claims[0]; c.Measured != want {
			t.Errorf("got %s (%s), want %s", c.Outcome, c.Measured, want)
		}
	}
}

// TestLiveFollowsFailOver asks while the run goes on: the lag and the stall are
// those of the topics that the group reads then.
func TestLiveFollowsFailOver(t *testing.T) {
	p := twinPlan()
	claims := map[string]say{
		"lag":     billing("lag").atMost(50),
		"stall":   billing("stall").atMost(1),
		"delay":   mirror("delay").atMost(1),
		"dropped": billing("dropped").none(),
		"state":   billing("state_size").atMost(1000),
		"denied":  shop("denied").none(),
		"refused": billing("denied").none(),
		"exit":    of(plan.RefEvent, "away", "exit_code").equals(0),
	}
	for name, s := range claims {
		p.Alarms = append(p.Alarms, plan.Alarm{Name: name, Claim: s.expr()})
	}
	w := record.NewMemory(p, record.Info{ID: 7})
	live, err := NewLive(p, w)
	if err != nil {
		t.Fatal(err)
	}
	check := func(now time.Duration, want map[string]Outcome) {
		t.Helper()
		for i := range p.Alarms {
			a := &p.Alarms[i]
			if outcome, ok := want[a.Name]; ok {
				if got, measured := live.Judge(&a.Claim, now); got != outcome {
					t.Errorf("%s at %v: got %s (%s), want %s", a.Name, now, got, measured, outcome)
				}
			}
		}
	}
	shop, group, observer := w.Producer("shop", 1), w.Consumer("billing", 1), w.Consumer("copy", 1)
	shop.Due(0, 0, 100, 2)
	group.Assigned(1, []record.TopicPartition{{Topic: source}, {Topic: source, Partition: 1}}, -sec)
	id := func(seq uint64) record.Identity { return record.Identity{Run: 7, Member: 1, Seq: seq} }
	sample := func(at time.Duration, east, west int64) {
		w.Sample(record.Sample{At: at, Cluster: "east", Partitions: []record.PartitionState{{Topic: source, Leader: 1, LogEnd: east, HighWater: east}}})
		w.Sample(record.Sample{At: at, Cluster: "west", Partitions: []record.PartitionState{{Topic: beyond, Leader: 1, LogEnd: west, HighWater: west}}})
	}
	shop.Acked(0, 0, 0, 1*sec)
	group.Delivered(source, 0, 0, id(0), 1010*ms)
	observer.Delivered(copied, 0, 0, id(0), 1500*ms)
	group.State(400, 1500*ms)
	shop.Acked(2, 0, 199, 2*sec) // which the group never gets
	sample(3500*ms, 200, 0)
	check(3500*ms, map[string]Outcome{"lag": Broken, "stall": Broken, "dropped": Held, "state": Held, "denied": Held, "refused": Held, "exit": NoData})
	check(2*sec, map[string]Outcome{"delay": Broken})

	w.Event(record.Event{At: 4 * sec, Kind: record.KindEffect, Name: "away"})
	group.Position(copied, 0, 1, 4*sec)
	group.Position(beyond, 0, 0, 4*sec)
	sample(5500*ms, 200, 20)
	check(5500*ms, map[string]Outcome{"lag": Held, "stall": Held})

	shop.On(beyond).Acked(4, 0, 99, 5600*ms)
	shop.On(beyond).Failed(6, 0, 5700*ms, "error 29: not authorized")
	group.Dropped(beyond, 0, 0, id(0), 5700*ms)
	group.State(4000, 5800*ms)
	w.Event(record.Event{At: 6 * sec, Kind: record.KindDenied, Name: "billing", Member: 1})
	w.Event(record.Event{At: 6 * sec, Kind: record.KindTool, Name: "away", Exit: 1})
	sample(7*sec, 200, 100)
	check(7*sec, map[string]Outcome{"lag": Broken, "stall": Broken, "dropped": Broken, "state": Broken, "denied": Broken, "refused": Broken, "exit": Broken})

	for _, s := range []say{mirror("missing").none(), mirror("identical").aspect("records").equals(1)} {
		p := twinPlan()
		p.Alarms = []plan.Alarm{{Name: "x", Claim: s.expr()}}
		_, err := NewLive(p, record.NewMemory(p, record.Info{}))
		if want := "judge: copy." + s.Measure + ": known only when the run has ended"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestMirrorStillCopying takes no mirror for lossy that was not given the time.
func TestMirrorStillCopying(t *testing.T) {
	x := newTwin()
	just(func(r *fate) { r.copied = -1 }, 998, 999)(x)
	x.events = []record.Event{{At: 21 * sec, Kind: record.KindDrainLimit, Name: "copy", Arriving: true}}
	v := x.judge(t, mirror("missing").none().expect())
	if c := v.Claims[0]; c.Outcome != NoData || !strings.HasPrefix(c.Measured, "2 not copied when the drain ended") || v.Result != Inconclusive {
		t.Errorf("got %s (%s), %s, want no data", c.Outcome, c.Measured, v.Result)
	}
}

func TestAdviceOfTheChapter(t *testing.T) {
	dropsAll := func(kind, per string, change func(r *fate)) func(*twin) {
		return func(x *twin) {
			x.plan.Consumers[0].Dedup = &plan.Dedup{Kind: kind, Per: per}
			just(change, 1500)(x)
		}
	}
	for _, tt := range []struct {
		claim  say
		change func(*twin)
		topic  string
		says   string
	}{
		{mirror("identical").aspect("offsets").equals(1), func(x *twin) { x.events = []record.Event{compared("offsets", 9, 1, "x")} }, "mirror", "a copy has offsets of its own"},
		{billing("denied").none(), func(x *twin) { x.events = []record.Event{{At: sec, Kind: record.KindDenied, Name: "billing"}} }, "allow", "a cluster with users denies"},
		{billing("missing").none(), dropsAll("high_water", "topic", func(r *fate) { r.delivered[0].dropped = true }), "high_water", "dedup drops what is not beyond its mark: high_water(per = \"topic\")"},
		{billing("duplicates").none(), dropsAll("id_set", "", func(r *fate) { r.delivered = append(r.delivered, r.delivered[0]) }), "duplicates", "dedup remembers in the memory"},
		{billing("duplicates").none(), just(func(r *fate) { r.delivered = append(r.delivered, r.delivered[0]) }, 1500), "fail_over", "the group goes on at the target"},
		{billing("out_of_order").none(), just(func(r *fate) { r.delivered[0].at = 11 * sec }, 999), "fail_over", "after a fail-over the group reads the copy"},
		{orders("lost").none(), just(func(r *fate) { r.lost, r.copied = true, -1 }, 700), "fail_over", "a mirror copies after the acknowledgement"},
	} {
		x := newTwin()
		tt.change(x)
		c := x.judge(t, tt.claim.expect()).Claims[0]
		if c.Outcome != Broken || c.Topic != tt.topic || !strings.HasPrefix(c.Advice, tt.says) {
			t.Errorf("%s: got %s (%s), %q of %q, want %q of %q", tt.claim.Text, c.Outcome, c.Measured, c.Advice, c.Topic, tt.says, tt.topic)
		}
	}
}

// TestTimelineOfTheChapter has a row for each tool, refusal and comparison.
func TestTimelineOfTheChapter(t *testing.T) {
	p := twinPlan()
	p.Events = append(p.Events, plan.Event{Name: "look", Actions: []plan.Action{{Verb: plan.Tool}}})
	events := []record.Event{
		{At: -sec, Kind: record.KindDenied, Name: "shop", Member: 1, Cluster: "east", Error: "Not authorized to access topics: [orders]"},
		{At: 5 * sec, Kind: record.KindFired, Name: "look", What: `tool("kafka-topics", "--describe")`},
		{At: 6 * sec, Kind: record.KindTool, Name: "look", Cluster: "east", Exit: 1, Output: "\n  Error: no such option\nusage\n", File: "logs/tools/01-kafka-topics.txt"},
		{At: 6 * sec, Kind: record.KindEffect, Name: "look", Proof: "exit code 1"},
		{At: 6 * sec, Kind: record.KindComplete, Name: "look", Proof: "exit code 1"},
		{At: 7 * sec, Kind: record.KindFired, Name: "look", Occurrence: 1, What: `tool("kafka-console-consumer")`},
		{At: 9 * sec, Kind: record.KindTool, Name: "look", Occurrence: 1, Cluster: "east", Output: "one\ntwo\n", Error: "it has not ended", File: "logs/tools/02-kafka-console-consumer.txt"},
		{At: 9 * sec, Kind: record.KindUnproved, Name: "look", Occurrence: 1, Error: "it has not ended"},
		{At: 10 * sec, Kind: record.KindFired, Name: "away", What: "fail_over(shop, billing, to = copy)"},
		{At: 10500 * ms, Kind: record.KindEffect, Name: "away", Proof: "shop and billing are at west"},
		{At: 12 * sec, Kind: record.KindDeleted, Topic: source, Partition: -1},
		{At: 21 * sec, Kind: record.KindCompared, Name: "copy", What: "mirror copy, records: 0 of 9000 differ", Aspect: "records", Compared: 9000},
		{At: 21 * sec, Kind: record.KindCompared, Name: "copy", Aspect: "offsets", Compared: 9000, Different: 12, Error: "orders/1 at 7"},
		{At: 21 * sec, Kind: record.KindCompared, Name: "copy", Aspect: "groups"},
	}
	want := []Row{
		{At: Seconds(-sec), Kind: "denied", Text: "shop-1 was denied by east", Proof: "Not authorized to access topics: [orders]"},
		{At: Seconds(5 * sec), Kind: "fired", Text: `tool("kafka-topics", "--describe")`, Proof: "exit code 1: Error: no such option", File: "logs/tools/01-kafka-topics.txt"},
		{At: Seconds(7 * sec), Kind: "fired", Text: `tool("kafka-console-consumer")`, Proof: "no exit code: one", Error: "it has not ended", File: "logs/tools/02-kafka-console-consumer.txt"},
		{At: Seconds(10 * sec), Kind: "fired", Text: "fail_over(shop, billing, to = copy)", Proof: "shop and billing are at west"},
		{At: Seconds(21 * sec), Kind: "compared", Text: "mirror copy against its source",
			Proof: "records identical (9 000); offsets differ: 12 of 9 000, first: orders/1 at 7; groups not compared: there is nothing"},
	}
	if got := timeline(p, events); !reflect.DeepEqual(got, want) {
		t.Errorf("got timeline\n%+v\nwant\n%+v", got, want)
	}
}
