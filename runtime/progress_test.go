// This file tests what the four updates a second tell.

package runtime

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// updates carries out a plan and gives its updates without lines.
func updates(t *testing.T, f *fake, p *plan.Plan) []Progress {
	t.Helper()
	var out []Progress
	res := play(t, f, p, func(o *Options) {
		o.Progress = func(p Progress) {
			if p.Line == "" {
				out = append(out, p)
			}
		}
	})
	if res.err != nil {
		t.Fatal(res.err)
	}
	return out
}

// from gives the first update at or after a scenario time.
func from(t *testing.T, all []Progress, at time.Duration) Progress {
	t.Helper()
	i := slices.IndexFunc(all, func(p Progress) bool { return p.At >= at })
	if i < 0 {
		t.Fatalf("no update at or after %s", at)
	}
	return all[i]
}

// TestProgressOfAHistory breaks one thing after the other and looks at what is
// told of it meanwhile and after.
//
//	4 to 8     broker 2 is killed
//	10 to 13   billing-1, who alone reads, has crashed
//	14 to 17   both members of shop have crashed: the alarm
func TestProgressOfAHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, reader := ref(plan.RefProducer, "shop"), plan.Ref{Kind: plan.RefMember, Name: "billing", Index: 1}
		p := small(
			plan.Event{Trigger: at(4), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(4)}}},
			plan.Event{Trigger: at(10), Actions: []plan.Action{{Verb: plan.Crash, Targets: []plan.Ref{reader}, UndoAfter: after(3)}}},
			plan.Event{Trigger: at(14), Actions: []plan.Action{{Verb: plan.Crash, Targets: []plan.Ref{shop}, UndoAfter: after(3)}}},
		)
		rate := plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Subject: shop, Measure: "rate", Bound: &plan.Bound{Op: plan.NeverBelow, Value: 15}}}
		p.Alarms = []plan.Alarm{{Name: "page", Claim: rate}, {Name: "other", Claim: rate, Lasting: seconds(60)}}
		f := newFake()
		f.delay[SignalStart] = time.Second
		all := updates(t, f, p)

		calm := from(t, all, 3*time.Second)
		if len(calm.Faults) != 0 {
			t.Errorf("at 3 s: got faults %v, want none", calm.Faults)
		}
		for i, x := range calm.Partitions {
			want := PartitionProgress{Topic: "orders", Partition: int32(i), Leader: fmt.Sprintf("kafka-%d", i+1), ISR: 3, Replicas: 3}
			if x != want {
				t.Errorf("at 3 s: got partition %+v, want %+v", x, want)
			}
		}
		if len(calm.Partitions) != 3 {
			t.Errorf("at 3 s: got %d partitions, want 3", len(calm.Partitions))
		}
		c := calm.Consumers[0]
		if len(calm.Consumers) != 1 || c.Name != "billing" || c.State != "Stable" || c.Members != 1 || c.Lag < 0 || c.Lag > 4 || c.Delivered < 50 {
			t.Errorf("at 3 s: got consumers %+v, want billing, stable, one member, hardly behind, with 60 records", calm.Consumers)
		}
		if want := []AlarmProgress{{"page", false}, {"other", false}}; !slices.Equal(calm.Alarms, want) {
			t.Errorf("at 3 s: got alarms %v, want %v", calm.Alarms, want)
		}

		down := from(t, all, 6*time.Second)
		if want := []FaultProgress{{"kill() → kafka-2", 4 * time.Second}}; !slices.Equal(down.Faults, want) {
			t.Errorf("at 6 s: got faults %v, want %v", down.Faults, want)
		}
		if x := down.Partitions[1]; x.Leader != "kafka-3" || x.ISR != 2 || x.Replicas != 3 {
			t.Errorf("at 6 s: got partition %+v, want it led by kafka-3 with 2 of 3 in sync", x)
		}
		// Its undo takes a second, during which it is still broken.
		if got := from(t, all, 8500*time.Millisecond).Faults; len(got) != 1 {
			t.Errorf("at 8.5 s: got faults %v, want the one that is being undone", got)
		}
		if got := from(t, all, 9500*time.Millisecond); len(got.Faults) != 0 || got.Partitions[1].ISR != 3 {
			t.Errorf("at 9.5 s: got faults %v and partition %+v, want none and 3 in sync", got.Faults, got.Partitions[1])
		}

		behind := from(t, all, 12900*time.Millisecond)
		if n := behind.Consumers[0].Lag; n < 45 || n > 65 {
			t.Errorf("at 12.9 s: got a lag of %d, want about 58", n)
		}
		if got := from(t, all, 13700*time.Millisecond).Consumers[0]; got.Lag > 4 || got.Delivered <= behind.Consumers[0].Delivered+60 {
			t.Errorf("at 13.7 s: got %+v, want it caught up, and what was delivered again counted again", got)
		}

		silent := from(t, all, 16500*time.Millisecond)
		if want := []AlarmProgress{{"page", true}, {"other", false}}; !slices.Equal(silent.Alarms, want) {
			t.Errorf("at 16.5 s: got alarms %v, want %v", silent.Alarms, want)
		}
		if want := []FaultProgress{{"crash() → shop-1, shop-2", 14 * time.Second}}; !slices.Equal(silent.Faults, want) {
			t.Errorf("at 16.5 s: got faults %v, want %v", silent.Faults, want)
		}
		if got := from(t, all, 19500*time.Millisecond).Alarms[0]; got.On {
			t.Error("at 19.5 s: got the alarm still raised, want it cleared")
		}

		// The last update has everything.
		last := all[len(all)-1]
		if x := last.Producers[0]; last.Phase != PhaseTakeDown || x.Name != "shop" || x.Acked != uint64(f.logs["orders"]) || x.Accepted != x.Acked || x.Failed != 0 {
			t.Errorf("got producer %+v in the last update, in %s, want all %d records acknowledged, in take_down", x, last.Phase, f.logs["orders"])
		}
		neverFall(t, all)
	})
}

// neverFall holds updates to what they promise of counts.
func neverFall(t *testing.T, all []Progress) {
	t.Helper()
	for i, p := range all {
		for k, x := range p.Producers {
			if len(x.Latency) != len(LatencyBounds()) || !slices.IsSorted(x.Latency) || x.Latency[len(x.Latency)-1] > x.Acked {
				t.Fatalf("at %s: got latencies %v of %d records", p.At, x.Latency, x.Acked)
			}
			if i == 0 {
				continue
			}
			was := all[i-1].Producers[k]
			if x.Accepted < was.Accepted || x.Acked < was.Acked || x.Failed < was.Failed || x.Unknown < was.Unknown || x.LatencySum < was.LatencySum {
				t.Fatalf("at %s: got %+v after %+v, want no count to fall", p.At, x, was)
			}
		}
		for k, x := range p.Consumers {
			if i > 0 && x.Delivered < all[i-1].Consumers[k].Delivered {
				t.Fatalf("at %s: got %+v after %+v, want no count to fall", p.At, x, all[i-1].Consumers[k])
			}
		}
	}
}

// TestProgressLeavesObserversOut: a mirror's observer is no consumer, its
// copies are topics, and a consumer that failed over is behind over there.
func TestProgressLeavesObserversOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := twin(plan.Event{Trigger: at(8), Actions: []plan.Action{failOver("shop", "billing")}})
		all := updates(t, newFake(), p)
		x := from(t, all, 6*time.Second)
		if len(x.Consumers) != 1 || x.Consumers[0].Name != "billing" {
			t.Errorf("got consumers %+v, want billing alone", x.Consumers)
		}
		var topics []string
		for _, p := range x.Partitions {
			topics = append(topics, fmt.Sprintf("%s/%d %s", p.Topic, p.Partition, p.Leader))
		}
		want := []string{
			"orders/0 kafka-1", "orders/1 kafka-2", "orders/2 kafka-3",
			"west/kafka.orders/0 west-1", "west/kafka.orders/1 west-1", "west/kafka.orders/2 west-1",
			"west/orders/0 west-1", "west/orders/1 west-1", "west/orders/2 west-1",
		}
		wantLines(t, "partitions", topics, want)
		if got := from(t, all, 15*time.Second).Consumers[0]; got.Lag < 0 || got.Lag > 5 || got.State != "Stable" {
			t.Errorf("got %+v where the group went, want it known and hardly behind", got)
		}
	})
}

// TestUpdatesOfUp: of clusters that are held, nodes, partitions and faults are
// told where somebody asks for it, and no lines but those of the timeline.
func TestUpdatesOfUp(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			o := f.options(t)
			o.Folder, o.Interrupt = "", interrupts(30*time.Second)
			var all []Progress
			var lines []string
			o.Progress = func(p Progress) {
				if p.Line != "" {
					lines = append(lines, p.Line)
				} else {
					all = append(all, p)
				}
			}
			p := small(plan.Event{Trigger: at(4), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(4)}}})
			if err := Up(t.Context(), p, o, Hold{Timeline: true, Updates: wanted}); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(lines, "all partitions fully replicated") {
				t.Errorf("got lines %q, want none of what was only looked at", lines)
			}
			if !wanted {
				if len(all) != 0 {
					t.Errorf("got %d updates, want none", len(all))
				}
				return
			}
			x := from(t, all, 6*time.Second)
			if want := []FaultProgress{{"kill() → kafka-2", 4 * time.Second}}; !slices.Equal(x.Faults, want) || len(x.Partitions) != 3 || x.Partitions[1].ISR != 2 {
				t.Errorf("at 6 s: got faults %v and partitions %+v, want %v and 2 in sync", x.Faults, x.Partitions, want)
			}
			if want := (NodeProgress{"kafka-2", processStopped}); !slices.Contains(x.Nodes, want) {
				t.Errorf("at 6 s: got nodes %v, want %v", x.Nodes, want)
			}
			if x := from(t, all, 10*time.Second); len(x.Faults) != 0 || len(x.Producers)+len(x.Consumers) != 0 {
				t.Errorf("at 10 s: got %+v, want no faults, and no clients", x)
			}
		})
	}
}

// TestLag is the measure lag, from what samples and deliveries say.
func TestLag(t *testing.T) {
	part := func(n int32, start, end, high int64) record.PartitionState {
		return record.PartitionState{Topic: "orders", Partition: n, LogStart: start, LogEnd: end, HighWater: high}
	}
	for _, tt := range []struct {
		name  string
		start string
		parts []record.PartitionState
		read  map[int32]int64
		want  int64
	}{
		{"nothing seen", "", nil, nil, -1},
		{"nothing read", "", []record.PartitionState{part(0, 0, 9, 7), part(1, 0, 5, 5)}, nil, 12},
		{"some read", "", []record.PartitionState{part(0, 0, 9, 7), part(1, 0, 5, 5)}, map[int32]int64{0: 4, 1: 5}, 3},
		{"further than the sample", "", []record.PartitionState{part(0, 0, 9, 7)}, map[int32]int64{0: 9}, 0},
		{"retention was quicker", "", []record.PartitionState{part(0, 6, 9, 9)}, map[int32]int64{0: 2}, 3},
		{"no leader", "", []record.PartitionState{part(0, 0, -1, -1)}, map[int32]int64{0: 4}, 16},
		{"high-water mark not known", "", []record.PartitionState{part(0, 0, 9, -1)}, map[int32]int64{0: 4}, 5},
		{"from the latest, nothing read", "latest", []record.PartitionState{part(0, 0, 9, 9), part(1, 0, 5, 5)}, map[int32]int64{1: 4}, 1},
	} {
		p := small()
		p.Consumers[0].Start = tt.start
		r := &run{p: p, watch: newWatcher(p, newClock(1), broken{}, true)}
		for n, next := range tt.read {
			r.watch.span(record.Stream{Actor: record.ActorConsumer}, &record.Span{Op: record.OpPosition, Partition: n, Offset: next})
		}
		ends := map[position]int64{{0, 0, 0}: 20}
		if _, got := r.behind(0, []string{"orders"}, map[string][]record.PartitionState{"orders": tt.parts}, ends); got != tt.want {
			t.Errorf("%s: got a lag of %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestLiveLatency: the fake acknowledges at once, and so within every bound.
func TestLiveLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := updates(t, newFake(), small())
		x := from(t, all, 10*time.Second).Producers[0]
		if x.Acked < 190 || x.Latency[0] != x.Acked || x.LatencySum > time.Duration(x.Acked)*time.Millisecond {
			t.Errorf("got %+v, want every record within the first bound", x)
		}
	})
}
