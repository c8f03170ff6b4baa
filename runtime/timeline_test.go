// This file tests what makes events fire: at, every, when, and alarms.

package runtime

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func rel(name string, edge plan.Edge, offset float64) plan.Trigger {
	return plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Event: name, Edge: edge, Offset: seconds(offset)}}
}

func note() plan.Action { return plan.Action{Verb: plan.Note, Text: "now"} }

// scripted holds a claim from one scenario time to another; before unknown it
// knows nothing.
type scripted struct{ unknown, from, to time.Duration }

func (s scripted) Holds(e plan.Expr, now time.Duration) (holds, known bool) {
	return now >= s.from && now < s.to, now >= s.unknown
}

func TestTriggers(t *testing.T) {
	kill := func(undo *plan.Duration) plan.Action {
		return plan.Action{Verb: plan.Kill, Targets: refs(broker(2)), UndoAfter: undo}
	}
	when := func(within float64) plan.Trigger {
		return plan.Trigger{Kind: plan.TriggerWhen, Claim: &plan.Expr{Op: plan.OpTerm}, Within: seconds(within)}
	}
	for _, tt := range []struct {
		name   string
		set    func(*fake)
		claims scripted
		events []plan.Event
		want   []string // fired and not fired
	}{
		{
			name: "relative to a proved start and end",
			set:  func(f *fake) { f.delay[SignalKill], f.delay[SignalStart] = 500*time.Millisecond, 1500*time.Millisecond },
			events: []plan.Event{
				event("a", at(3), kill(after(4))),
				event("b", rel("a", plan.Start, 1), note()),
				event("c", rel("a", plan.End, 1), note()),
				event("d", rel("c", plan.End, 0), note()),
			},
			want: []string{"3s fired a → kafka-2", "4.5s fired b", "9.5s fired c", "9.5s fired d"},
		},
		{
			name: "before an edge: by the plan",
			events: []plan.Event{
				event("a", at(5), kill(after(4))),
				event("b", rel("a", plan.Start, -1), note()),
				event("c", rel("a", plan.End, -1), note()),
			},
			want: []string{"4s fired b", "5s fired a → kafka-2", "8s fired c"},
		},
		{
			name: "the end comes with a later event's undo",
			events: []plan.Event{
				event("a", at(5), kill(nil)),
				event("b", at(8), plan.Action{Verb: plan.StartNode, Targets: refs(ref(plan.RefHit, "a"))}),
				event("c", rel("a", plan.End, 2), note()),
			},
			want: []string{"5s fired a → kafka-2", "8s fired b → kafka-2", "10s fired c"},
		},
		{
			name: "an end that never comes",
			events: []plan.Event{
				event("a", at(5), kill(nil)),
				event("b", rel("a", plan.End, 2), note()),
			},
			want: []string{"5s fired a → kafka-2", "20s not_fired b"},
		},
		{
			name: "not at or after run_for",
			events: []plan.Event{
				event("a", at(19.5), note()),
				event("b", rel("a", plan.End, 1), note()),
			},
			want: []string{"19.5s fired a", "19.5s not_fired b"},
		},
		{
			name: "several actions: earliest start, latest end",
			set:  func(f *fake) { f.delay[SignalKill] = time.Second },
			events: []plan.Event{
				event("a", at(3), kill(after(5)), plan.Action{Verb: plan.Pause, Targets: refs(broker(3)), UndoAfter: after(2)}),
				event("b", rel("a", plan.Start, 1), note()),
				event("c", rel("a", plan.End, 1), note()),
			},
			want: []string{"3s fired a → kafka-2", "3s fired a → kafka-3", "4s fired b", "9s fired c"},
		},
		{
			name: "every, with undos that overlap its next firing, ends with the last",
			set:  func(f *fake) { f.delay[SignalStart] = time.Second },
			events: []plan.Event{
				event("a", plan.Trigger{Kind: plan.TriggerEvery, At: plan.Instant{Offset: seconds(3)}, Interval: seconds(4), Until: seconds(15)}, kill(after(2))),
				event("b", rel("a", plan.End, 1), note()),
			},
			want: []string{"3s fired a → kafka-2", "7s fired a → kafka-2", "11s fired a → kafka-2", "15s fired b"},
		},
		{
			name:   "every, until run_for",
			events: []plan.Event{event("a", plan.Trigger{Kind: plan.TriggerEvery, At: plan.Instant{Offset: seconds(8)}, Interval: seconds(4)}, note())},
			want:   []string{"8s fired a", "12s fired a", "16s fired a"},
		},
		{
			name:   "when: the first time its claim holds",
			claims: scripted{from: 6 * time.Second, to: 7 * time.Second},
			events: []plan.Event{event("a", when(10), note())},
			want:   []string{"6s fired a"},
		},
		{
			name:   "when: not before the warm-up is over",
			claims: scripted{from: 0, to: time.Hour},
			events: []plan.Event{event("a", when(10), note())},
			want:   []string{"2s fired a"},
		},
		{
			name:   "when: what is not known does not hold",
			claims: scripted{unknown: 5 * time.Second, from: 0, to: time.Hour},
			events: []plan.Event{event("a", when(10), note())},
			want:   []string{"5s fired a"},
		},
		{
			name:   "when: not in time",
			claims: scripted{from: 9 * time.Second, to: time.Hour},
			events: []plan.Event{event("a", when(4), note()), event("b", rel("a", plan.Start, 1), note())},
			want:   []string{"6s not_fired a", "20s not_fired b"},
		},
		{
			name:   "relative to a when",
			claims: scripted{from: 6 * time.Second, to: 7 * time.Second},
			events: []plan.Event{event("a", when(10), kill(after(2))), event("b", rel("a", plan.End, -1), note())},
			want:   []string{"6s fired a → kafka-2", "7s fired b"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				if tt.set != nil {
					tt.set(f)
				}
				out := open(t, func() (Result, error) {
					return carryOut(t.Context(), small(tt.events...), f.options(t), func(*plan.Plan, *record.Writer) (claims, error) {
						return tt.claims, nil
					})
				})
				if out.err != nil {
					t.Fatal(out.err)
				}
				got := out.journal(record.KindFired, record.KindNotFired)
				slices.Sort(got)
				want := slices.Clone(tt.want)
				slices.Sort(want)
				wantLines(t, "timeline", got, want)
				if len(out.journal(record.KindUnproved)) > 0 {
					t.Errorf("got %v, want everything proved", out.journal(record.KindUnproved))
				}
			})
		})
	}
}

func TestAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := small()
		p.Alarms = []plan.Alarm{{Name: "page", Text: "rate", Log: "sending fell", Lasting: seconds(1), Claim: plan.Expr{Op: plan.OpTerm}}}
		var lines []string
		o := newFake().options(t)
		o.Progress = func(p Progress) {
			if p.Line != "" {
				lines = append(lines, fmt.Sprintf("%s %s", p.At.Round(time.Millisecond), p.Line))
			}
		}
		out := open(t, func() (Result, error) {
			return carryOut(t.Context(), p, o, func(*plan.Plan, *record.Writer) (claims, error) {
				return scripted{from: 6 * time.Second, to: 9 * time.Second}, nil
			})
		})
		if out.err != nil {
			t.Fatal(out.err)
		}
		// Broken from the end of the warm-up to 6 s, and again from 9 s on.
		wantLines(t, "alarms", out.journal(record.KindAlarmRaised, record.KindAlarmCleared), []string{
			"3s alarm_raised page", "7s alarm_cleared page", "10s alarm_raised page",
		})
		if want := "3s alarm page raised: sending fell (since 2s)"; !slices.Contains(lines, want) {
			t.Errorf("got lines %q, want %q among them", lines, want)
		}
	})
}

func TestClaimsThatCannotBeJudgedEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		out := open(t, func() (Result, error) {
			p := small()
			p.Alarms = []plan.Alarm{{Name: "page"}}
			return carryOut(t.Context(), p, f.options(t), func(*plan.Plan, *record.Writer) (claims, error) {
				return nil, fmt.Errorf("alarm: no such measure")
			})
		})
		if out.err == nil || out.err.Error() != "prepare: alarm: no such measure" || len(f.calls) != 0 {
			t.Errorf("got error %v and calls %v, want the reason and nothing started", out.err, f.calls)
		}
	})
}

// TestAlarmOnTheRecording raises an alarm by the rules of the verdict: the rate
// falls when both members of the producer are crashed.
func TestAlarmOnTheRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := ref(plan.RefProducer, "shop")
		term := func(op plan.BoundOp, v float64) *plan.Term {
			return &plan.Term{Subject: shop, Measure: "rate", Bound: &plan.Bound{Op: op, Value: v}}
		}
		p := small(
			event("a", at(5), plan.Action{Verb: plan.Crash, Targets: refs(shop), UndoAfter: after(6)}),
			event("b", plan.Trigger{
				Kind: plan.TriggerWhen, Within: seconds(15),
				Claim: &plan.Expr{Op: plan.OpTerm, Term: term(plan.AtMost, 5)},
			}, note()),
		)
		p.Alarms = []plan.Alarm{{Name: "page", Lasting: seconds(1), Claim: plan.Expr{Op: plan.OpTerm, Term: term(plan.NeverBelow, 15)}}}
		out := play(t, newFake(), p)
		if out.err != nil {
			t.Fatal(out.err)
		}
		// The first second without records ends at 6 s, the first whole one
		// with them at 12 s.
		got := out.journal(record.KindAlarmRaised, record.KindAlarmCleared, record.KindFired)
		wantLines(t, "alarm and when", got, []string{
			"5s fired a → shop-1,shop-2", "6s fired b", "7s alarm_raised page", "13s alarm_cleared page",
		})
	})
}

// TestEventTiming fires 400 events in real time and prints how late they were:
// 99 % within 20 ms of plan at speed 1 is what is promised.
func TestEventTiming(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two seconds of real time")
	}
	p := small()
	p.Scenario.RunFor, p.Scenario.Warmup, p.Scenario.Drain = seconds(2), seconds(0.1), seconds(1)
	for i := range 400 {
		p.Events = append(p.Events, event(fmt.Sprintf("e%d", i), at(0.05+float64(i)*0.0045), note()))
	}
	out := play(t, newFake(), p)
	if out.err != nil {
		t.Fatal(out.err)
	}
	late := slices.Sorted(slices.Values(out.res.Late))
	if len(late) != 400 {
		t.Fatalf("got %d firings, want 400", len(late))
	}
	at := func(q float64) time.Duration { return late[min(int(math.Ceil(q*400))-1, 399)] }
	t.Logf("late: p50 %s, p90 %s, p99 %s, max %s", at(0.5), at(0.9), at(0.99), at(1))
	if late[0] < 0 {
		t.Errorf("got an event %s before its time", -late[0])
	}
}
