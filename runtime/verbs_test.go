// This file tests each verb: what it does, how it is journaled, how it ends.

package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func ref(kind plan.RefKind, name string, index ...int) plan.Ref {
	r := plan.Ref{Kind: kind, Name: name}
	if len(index) > 0 {
		r.Index = index[0]
	}
	return r
}

func refs(r ...plan.Ref) []plan.Ref { return r }

func event(name string, when plan.Trigger, actions ...plan.Action) plan.Event {
	return plan.Event{Name: name, Trigger: when, Actions: actions}
}

func TestVerbs(t *testing.T) {
	hit := func(name string) []plan.Ref { return refs(ref(plan.RefHit, name)) }
	one, two, three := broker(1), broker(2), broker(3)
	for _, tt := range []struct {
		name   string
		set    func(*fake)
		events []plan.Event
		want   []string // the timeline
		calls  []string // that must have been made, in this order
	}{
		{
			name:   "kill, restart_after from the planned moment",
			set:    func(f *fake) { f.delay[SignalKill], f.delay[SignalStart] = time.Second, 2*time.Second },
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(4)})},
			want: []string{
				"3s fired a → kafka-2", "4s effect a → kafka-2", "7s undoing a → kafka-2", "9s undone a → kafka-2",
			},
			calls: []string{"kill 2", "start 2"},
		},
		{
			name:   "stop and power_off, healed at run_for",
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Stop, Targets: refs(two)}, plan.Action{Verb: plan.PowerOff, Targets: refs(three)})},
			want: []string{
				"3s fired a → kafka-2", "3s fired a → kafka-3", "3s effect a → kafka-2", "3s effect a → kafka-3",
				"20s undoing a → kafka-2", "20s undoing a → kafka-3", "20s undone a → kafka-2", "20s undone a → kafka-3",
			},
		},
		{
			name:   "pause is undone by resume",
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Pause, Targets: refs(two), UndoAfter: after(1)})},
			want:   []string{"3s fired a → kafka-2", "3s effect a → kafka-2", "4s undoing a → kafka-2", "4s undone a → kafka-2"},
			calls:  []string{"pause 2", "resume 2"},
		},
		{
			name:   "restart waits from the moment the node is down, and is complete by itself",
			set:    func(f *fake) { f.delay[SignalStop] = time.Second },
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Restart, Targets: refs(two), DownFor: seconds(2)})},
			want:   []string{"3s fired a → kafka-2", "4s effect a → kafka-2", "6s undoing a → kafka-2", "6s complete a → kafka-2"},
			calls:  []string{"stop 2", "start 2"},
		},
		{
			name: "start by handle",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(ref(plan.RefLeader, "orders", 1))}),
				event("b", at(5), plan.Action{Verb: plan.StartNode, Targets: hit("a")}),
			},
			want: []string{
				"3s fired a → kafka-2", "3s effect a → kafka-2", "5s fired b → kafka-2",
				"5s undoing a → kafka-2 by b", "5s undone a → kafka-2 by b", "5s effect b → kafka-2", "5s complete b",
			},
		},
		{
			name: "start of the nodes one by one ends the effect with the last",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(two, three), UndoAfter: after(9)}),
				event("b", at(5), plan.Action{Verb: plan.StartNode, Targets: refs(two)}),
				event("c", at(7), plan.Action{Verb: plan.StartNode, Targets: refs(three)}),
			},
			want: []string{
				"3s fired a → kafka-2,kafka-3", "3s effect a → kafka-2,kafka-3",
				"5s fired b → kafka-2", "5s effect b → kafka-2", "5s complete b",
				"7s fired c → kafka-3", "7s undoing a → kafka-2,kafka-3 by c", "7s undone a → kafka-2,kafka-3 by c",
				"7s effect c → kafka-3", "7s complete c",
			},
		},
		{
			name: "start of what was not hit is unproved",
			events: []plan.Event{
				event("a", at(9), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(1)}),
				event("b", at(5), plan.Action{Verb: plan.StartNode, Targets: hit("a")}),
			},
			want: []string{
				"5s fired b", "5s unproved b",
				"9s fired a → kafka-2", "9s effect a → kafka-2", "10s undoing a → kafka-2", "10s undone a → kafka-2",
			},
		},
		{
			name: "start and resume of what runs are unproved",
			events: []plan.Event{
				event("a", at(5), plan.Action{Verb: plan.StartNode, Targets: refs(two)}),
				event("b", at(6), plan.Action{Verb: plan.Resume, Targets: refs(two)}),
			},
			want: []string{"5s fired a → kafka-2", "5s unproved a → kafka-2", "6s fired b → kafka-2", "6s unproved b → kafka-2"},
		},
		{
			name:   "a leader that is not there is unproved",
			set:    func(f *fake) { f.noLeader = true },
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(ref(plan.RefLeader, "orders")), UndoAfter: after(1)})},
			want:   []string{"3s fired a", "3s unproved a"},
		},
		{
			name:   "an unproved kill is undone all the same",
			set:    func(f *fake) { f.unproved[SignalKill] = true; f.state[NodeKey{"kafka", 2}] = processStopped },
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(1)})},
			want:   []string{"3s fired a → kafka-2", "3s unproved a → kafka-2", "4s undoing a → kafka-2", "4s undone a → kafka-2"},
		},
		{
			name:   "an unproved start is unproved as undo, and tried again at the end",
			set:    func(f *fake) { f.unproved[SignalStart] = true },
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(1)})},
			want:   []string{"3s fired a → kafka-2", "3s effect a → kafka-2", "4s undoing a → kafka-2", "4s unproved a → kafka-2"},
			calls:  []string{"kill 2", "start 2", "start 2"},
		},
		{
			name:   "a kill of what is down is unproved and undoes nothing",
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(6)}), event("b", at(4), plan.Action{Verb: plan.Kill, Targets: refs(two), UndoAfter: after(1)})},
			want: []string{
				"3s fired a → kafka-2", "3s effect a → kafka-2", "4s fired b → kafka-2", "4s unproved b → kafka-2",
				"9s undoing a → kafka-2", "9s undone a → kafka-2",
			},
		},
		{
			name: "controller, coordinator, follower, replicas, all brokers",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Pause, Targets: refs(ref(plan.RefControl, "kafka")), UndoAfter: after(1)}),
				event("b", at(5), plan.Action{Verb: plan.Pause, Targets: refs(ref(plan.RefCoord, "billing")), UndoAfter: after(1)}),
				event("c", at(7), plan.Action{Verb: plan.Pause, Targets: refs(ref(plan.RefFollower, "orders", 2)), UndoAfter: after(1)}),
				event("d", at(9), plan.Action{Verb: plan.Pause, Targets: refs(ref(plan.RefReplicas, "orders", 2)), UndoAfter: after(1)}),
				event("e", at(11), plan.Action{Verb: plan.Pause, Targets: refs(ref(plan.RefBrokers, "kafka"), one), UndoAfter: after(1)}),
			},
			want: []string{
				"3s fired a → kafka-1", "3s effect a → kafka-1", "4s undoing a → kafka-1", "4s undone a → kafka-1",
				"5s fired b → kafka-3", "5s effect b → kafka-3", "6s undoing b → kafka-3", "6s undone b → kafka-3",
				"7s fired c → kafka-1", "7s effect c → kafka-1", "8s undoing c → kafka-1", "8s undone c → kafka-1",
				"9s fired d → kafka-3,kafka-1,kafka-2", "9s effect d → kafka-3,kafka-1,kafka-2",
				"10s undoing d → kafka-3,kafka-1,kafka-2", "10s undone d → kafka-3,kafka-1,kafka-2",
				"11s fired e → kafka-1,kafka-2,kafka-3", "11s effect e → kafka-1,kafka-2,kafka-3",
				"12s undoing e → kafka-1,kafka-2,kafka-3", "12s undone e → kafka-1,kafka-2,kafka-3",
			},
		},
		{
			name: "netsplit and heal by handle",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Netsplit, Groups: [][]plan.Ref{{one}, {two, three}}}),
				event("b", at(5), plan.Action{Verb: plan.Heal, Targets: hit("a")}),
			},
			want: []string{
				"3s fired a → kafka-1,kafka-2,kafka-3", "3s effect a → kafka-1,kafka-2,kafka-3",
				"5s fired b", "5s undoing a → kafka-1,kafka-2,kafka-3 by b", "5s undone a → kafka-1,kafka-2,kafka-3 by b",
				"5s effect b → kafka-1,kafka-2,kafka-3", "5s complete b",
			},
			calls: []string{"shape 4", "shape 0"},
		},
		{
			name: "one place against all others, members too; heal_all",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Netsplit, Groups: [][]plan.Ref{{one}}, UndoAfter: after(9)}),
				event("b", at(4), plan.Action{Verb: plan.Slow, Groups: [][]plan.Ref{{two}, {three}}, Condition: plan.Condition{Latency: seconds(0.1)}}),
				event("c", at(5), plan.Action{Verb: plan.HealAll}),
			},
			want: []string{
				"3s fired a → kafka-1", "3s effect a → kafka-1", "4s fired b → kafka-2,kafka-3", "4s effect b → kafka-2,kafka-3",
				"5s fired c", "5s undoing a → kafka-1 by c", "5s undoing b → kafka-2,kafka-3 by c",
				"5s undone a → kafka-1 by c", "5s undone b → kafka-2,kafka-3 by c",
				"5s effect c → kafka-1,kafka-2,kafka-3", "5s complete c",
			},
			calls: []string{"shape 12", "shape 14", "shape 0"},
		},
		{
			name: "heal of what is whole is unproved",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Netsplit, Groups: [][]plan.Ref{{one}}, UndoAfter: after(1)}),
				event("b", at(5), plan.Action{Verb: plan.Heal, Targets: hit("a")}),
			},
			want: []string{
				"3s fired a → kafka-1", "3s effect a → kafka-1", "4s undoing a → kafka-1", "4s undone a → kafka-1",
				"5s fired b", "5s unproved b",
			},
		},
		{
			name: "a shape that fails is unproved and healed at run_for",
			set: func(f *fake) {
				f.shape = func(p []Path) error {
					if len(p) > 0 {
						return errors.New("no such path")
					}
					return nil
				}
			},
			events: []plan.Event{event("a", at(3), plan.Action{Verb: plan.Lose, Groups: [][]plan.Ref{{one}, {two}}, Condition: plan.Condition{Loss: 0.1}})},
			want: []string{
				"3s fired a → kafka-1,kafka-2", "3s unproved a → kafka-1,kafka-2",
				"20s undoing a → kafka-1,kafka-2", "20s undone a → kafka-1,kafka-2",
			},
		},
		{
			name: "admin verbs",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Resize, Targets: refs(ref(plan.RefTopic, "orders")), Partitions: 6}),
				event("b", at(4), plan.Action{Verb: plan.Elect, Targets: refs(ref(plan.RefTopic, "orders")), Elect: "preferred", Partition: -1}),
				event("c", at(5), plan.Action{Verb: plan.Move, Targets: refs(ref(plan.RefTopic, "orders")), Off: &plan.Ref{Kind: plan.RefLeader, Name: "orders", Index: 2}}),
				event("d", at(6), plan.Action{Verb: plan.Send, Targets: refs(ref(plan.RefTopic, "orders")), Text: "hello"}),
				event("e", at(7), plan.Action{Verb: plan.Note, Text: "half time"}),
			},
			want: []string{
				"3s fired a → orders", "3s effect a → orders", "3s complete a",
				"4s fired b → orders", "4s effect b → orders", "4s complete b",
				"5s fired c → orders,off kafka-3", "5s effect c → orders,off kafka-3", "5s complete c",
				"6s fired d → orders", "6s effect d → orders", "6s complete d",
				"7s fired e", "7s effect e", "7s complete e",
			},
			calls: []string{"resize", "elect", "move", "send"},
		},
		{
			name: "configure is reverted",
			events: []plan.Event{event("a", at(3), plan.Action{
				Verb: plan.Configure, Targets: refs(ref(plan.RefTopic, "orders")),
				Config: map[string]string{"min.insync.replicas": "3"}, UndoAfter: after(2),
			})},
			want:  []string{"3s fired a → orders", "3s effect a → orders", "5s undoing a → orders", "5s undone a → orders"},
			calls: []string{"configure", "restore orders"},
		},
		{
			name: "configure without revert stays",
			events: []plan.Event{event("a", at(3), plan.Action{
				Verb: plan.Configure, Targets: refs(ref(plan.RefControl, "kafka")), Config: map[string]string{"log.cleaner.threads": "2"},
			})},
			want:  []string{"3s fired a → kafka-1", "3s effect a → kafka-1", "3s complete a"},
			calls: []string{"configure"},
		},
		{
			name: "crash and restart",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 2)), UndoAfter: after(2)}),
				event("b", at(6), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "billing", 2)), UndoAfter: after(2)}),
			},
			want: []string{
				"3s fired a → shop-2", "3s effect a → shop-2", "5s undoing a → shop-2", "5s undone a → shop-2",
				"6s fired b → billing-2", "6s effect b → billing-2", "8s undoing b → billing-2", "8s undone b → billing-2",
			},
			calls: []string{"crash shop-2", "start shop-2", "crash billing-2", "start billing-2", "stop shop-2"},
		},
		{
			name: "a crashed consumer that was to come back later is back for the drain, a producer is not",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 2)), UndoAfter: after(60)}),
				event("b", at(6), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "billing", 1)), UndoAfter: after(60)}),
			},
			want: []string{
				"3s fired a → shop-2", "3s effect a → shop-2", "6s fired b → billing-1", "6s effect b → billing-1",
				"20s undoing a → shop-2", "20s undoing b → billing-1", "20s undone a → shop-2", "20s undone b → billing-1",
			},
			calls: []string{"crash shop-2", "crash billing-1", "start billing-1", "stop billing-1"},
		},
		{
			name: "a member that is not there is unproved",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 3)), UndoAfter: after(1)}),
			},
			want: []string{"3s fired a → shop-3", "3s unproved a → shop-3"},
		},
		{
			name: "scale up, set_rate, scale down",
			events: []plan.Event{
				event("a", at(3), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefProducer, "shop")), Members: 4}),
				event("b", at(5), plan.Action{Verb: plan.SetRate, Targets: refs(ref(plan.RefProducer, "shop")), Rate: 40}),
				event("c", at(7), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefProducer, "shop")), Members: 1}),
				event("d", at(9), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefConsumer, "billing")), Members: 0}),
				event("e", at(11), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefConsumer, "billing")), Members: 3}),
			},
			want: []string{
				"3s fired a → shop", "3s effect a → shop", "3s complete a", "5s fired b → shop", "5s effect b → shop", "5s complete b",
				"7s fired c → shop", "7s effect c → shop", "7s complete c", "9s fired d → billing", "9s effect d → billing", "9s complete d",
				"11s fired e → billing", "11s effect e → billing", "11s complete e",
			},
			calls: []string{"start shop-4", "stop shop-4", "stop billing-1", "start billing-3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				if tt.set != nil {
					tt.set(f)
				}
				out := play(t, f, small(tt.events...))
				if out.err != nil {
					t.Fatal(out.err)
				}
				got := out.journal(timelineKinds...)
				// What happens at one moment in different goroutines has no order.
				slices.Sort(got)
				want := slices.Clone(tt.want)
				slices.Sort(want)
				wantLines(t, "timeline", got, want)
				calls := f.called()
				i := 0
				for _, c := range calls {
					if i < len(tt.calls) && c == tt.calls[i] {
						i++
					}
				}
				if i < len(tt.calls) {
					t.Errorf("got calls %v, want %v among them", calls, tt.calls)
				}
				for k, s := range f.state {
					if s != processRunning && !f.unproved[SignalStart] {
						t.Errorf("got node %d %s at the end, want it healed", k.ID, s)
					}
				}
				if n := len(f.shapes); n > 0 && len(f.shapes[n-1]) > 0 {
					t.Errorf("got paths %v at the end, want all whole", f.shapes[n-1])
				}
			})
		})
	}
}

func TestSendIsJournaledWithItsOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := play(t, newFake(), small(event("a", at(3), plan.Action{Verb: plan.Send, Targets: refs(ref(plan.RefTopic, "orders")), Text: "x"})))
		for _, e := range out.rec.Events {
			if e.Kind == record.KindSent {
				if e.Topic != "orders" || e.Offset != 7 || e.Name != "a" {
					t.Errorf("got %+v, want orders at offset 7 by a", e)
				}
				return
			}
		}
		t.Error("got no line of the record sent")
	})
}

func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		shop := ref(plan.RefProducer, "shop")
		out := play(t, f, small(
			event("a", at(3), plan.Action{Verb: plan.Scale, Targets: refs(shop), Members: 4}),
			event("b", at(5), plan.Action{Verb: plan.SetRate, Targets: refs(shop), Rate: 40}),
			event("c", at(7), plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 4)), UndoAfter: after(1)}),
			event("d", at(9), plan.Action{Verb: plan.Scale, Targets: refs(shop), Members: 1}),
		))
		if out.err != nil {
			t.Fatal(out.err)
		}
		wantLines(t, "shares", f.shares, []string{
			"shop-1 begins 0s at 10", "shop-2 begins 50ms at 10",
			"shop-1 goes at 5", "shop-2 goes at 5", "shop-3 begins 3s at 5", "shop-4 begins 3s at 5",
			"shop-1 goes at 10", "shop-2 goes at 10", "shop-3 goes at 10", "shop-4 goes at 10",
			"shop-4 begins 8s at 10",
			"shop-1 goes at 40",
			"shop-1 goes at 0", // run_for
		})
	})
}

func TestConfiguredMinInsyncIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := play(t, newFake(), small(event("a", at(3), plan.Action{
			Verb: plan.Configure, Targets: refs(ref(plan.RefTopic, "orders")),
			Config: map[string]string{"min.insync.replicas": "3"},
		})))
		var got []int
		if _, err := out.rec.Scan(func(b *record.Block) error {
			for _, s := range b.Samples {
				if n := s.Partitions[0].MinInsync; len(got) == 0 || got[len(got)-1] != n {
					got = append(got, n)
				}
			}
			return b.Spans(func(record.Stream, []record.Span) error { return nil })
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []int{2, 3}) {
			t.Errorf("got min.insync.replicas %v over time, want 2, then 3", got)
		}
	})
}

func TestLinksApplyBeforeLoadAndToNewMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := small(
			event("a", at(3), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefProducer, "shop")), Members: 3}),
			event("b", at(5), plan.Action{Verb: plan.Netsplit, Groups: [][]plan.Ref{{ref(plan.RefProducer, "shop")}}}),
			event("c", at(7), plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefProducer, "shop")), Members: 4}),
		)
		p.Sites = append(p.Sites, plan.Site{Name: "far"})
		p.Producers[0].Site = "far"
		p.Links = []plan.Link{{A: plan.ImpliedSite, B: "far", Condition: plan.Condition{Latency: seconds(0.05)}}}
		out := play(t, f, p)
		if out.err != nil {
			t.Fatal(out.err)
		}
		var shapes []string
		for _, s := range f.shapes {
			cut := 0
			for _, p := range s {
				if p.Condition.Cut {
					cut++
				}
			}
			shapes = append(shapes, fmt.Sprintf("%d paths, %d cut", len(s), cut))
		}
		// 2 members × 3 nodes × 2 directions, then 3 and 4 members.
		wantLines(t, "shapes", shapes, []string{
			"12 paths, 0 cut", "18 paths, 0 cut", "18 paths, 18 cut", "24 paths, 24 cut", "24 paths, 0 cut",
		})
		calls := f.called()
		if slices.Index(calls, "shape 12") > slices.Index(calls, "start shop-1") {
			t.Errorf("got calls %v, want the links in force before load starts", calls)
		}
	})
}

func TestEngineWithoutPowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.noPower = true
		out := play(t, f, small(
			event("a", at(3), plan.Action{Verb: plan.Kill, Targets: refs(broker(1))}),
			event("b", at(4), plan.Action{Verb: plan.Netsplit, Groups: [][]plan.Ref{{broker(1)}}}),
		))
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []string
		for _, e := range out.rec.Events {
			if e.Kind == record.KindUnproved {
				got = append(got, fmt.Sprintf("%s %v %s", e.Name, e.Undo, e.Error))
			}
		}
		if len(got) == 0 || !strings.Contains(got[0], "no power over processes") {
			t.Errorf("got %q, want unproved for want of power", got)
		}
	})
}
