// This file tests instants relative to other events, and alarms.

package runtime

import (
	"testing"
	"time"

	"starfall/interp/plan"
)

func TestPlannedInstants(t *testing.T) {
	kill := func(undo *plan.Duration) plan.Action { return plan.Action{Verb: plan.Kill, UndoAfter: undo} }
	rel := func(name string, edge plan.Edge, offset float64) plan.Trigger {
		return plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Event: name, Edge: edge, Offset: seconds(offset)}}
	}
	p := &plan.Plan{Events: []plan.Event{
		event("a", at(10), kill(after(5)), kill(after(7))),
		event("b", rel("a", plan.End, 2), kill(nil)),
		event("c", plan.Trigger{Kind: plan.TriggerWhen}, kill(after(1))),
		event("d", plan.Trigger{Kind: plan.TriggerEvery, At: plan.Instant{Offset: seconds(3)}, Interval: seconds(4), Until: seconds(15)}, kill(after(1))),
		event("e", at(6), plan.Action{Verb: plan.Restart, DownFor: seconds(2)}),
		event("f", at(6), plan.Action{Verb: plan.Note}),
		event("x", rel("y", plan.Start, 1), kill(nil)),
		event("y", rel("x", plan.Start, 1), kill(nil)),
	}}
	for _, tt := range []struct {
		event  string
		edge   plan.Edge
		offset float64
		want   float64 // seconds; -1: not known
	}{
		{"", "", 4, 4},
		{"a", plan.Start, 0, 10},
		{"a", plan.Start, -3, 7},
		{"a", plan.End, -3, 14}, // the later of 15 and 17
		{"b", plan.Start, 0, 19},
		{"b", plan.End, 0, -1}, // nothing in it ends it
		{"c", plan.Start, 0, -1},
		{"c", plan.End, 0, -1},
		{"d", plan.Start, 0, 3},
		{"d", plan.End, 0, 12}, // fires at 3, 7, 11
		{"e", plan.End, 0, 8},
		{"f", plan.End, 0, 6},
		{"x", plan.Start, 0, -1}, // a cycle
		{"nobody", plan.Start, 0, -1},
	} {
		got, ok := newEdges(p).planned(plan.Instant{Event: tt.event, Edge: tt.edge, Offset: seconds(tt.offset)}, len(p.Events))
		if ok != (tt.want >= 0) || ok && got != seconds(tt.want).Std() {
			t.Errorf("%s.%s %+g: got %s %v, want %gs", tt.event, tt.edge, tt.offset, got, ok, tt.want)
		}
	}
}

func TestEdgesAreReachedOnce(t *testing.T) {
	e := newEdges(&plan.Plan{Events: []plan.Event{{Name: "a"}}})
	if _, ok := e.now("a", plan.Start); ok {
		t.Error("got a start before it was reached")
	}
	e.reach("a", plan.Start, 3)
	e.reach("a", plan.Start, 4)
	e.reach("nobody", plan.Start, 4)
	if got, ok := e.now("a", plan.Start); !ok || got != 3 {
		t.Errorf("got %d %v, want the first, 3", got, ok)
	}
	if got, ok := e.wait(t.Context(), plan.Instant{Event: "a", Edge: plan.Start, Offset: 5}); !ok || got != 8 {
		t.Errorf("got %d %v, want 8", got, ok)
	}
}

func TestAlarmWatch(t *testing.T) {
	const ms = time.Millisecond
	type look struct {
		at    time.Duration
		holds bool
		want  alarmChange
		since time.Duration
	}
	for _, tt := range []struct {
		name    string
		lasting time.Duration
		looks   []look
	}{
		{"holds", 200 * ms, []look{{0, true, alarmSame, 0}, {100 * ms, true, alarmSame, 0}}},
		{"broken too briefly", 200 * ms, []look{
			{0, false, alarmSame, 0}, {100 * ms, false, alarmSame, 0}, {200 * ms, true, alarmSame, 0}, {300 * ms, false, alarmSame, 300 * ms},
		}},
		{"raised, then cleared, then raised again", 200 * ms, []look{
			{0, false, alarmSame, 0}, {200 * ms, false, alarmRaised, 0}, {300 * ms, false, alarmSame, 0},
			{400 * ms, true, alarmSame, 400 * ms}, {500 * ms, false, alarmSame, 0},
			{600 * ms, true, alarmSame, 600 * ms}, {800 * ms, true, alarmCleared, 600 * ms},
			{900 * ms, false, alarmSame, 900 * ms}, {1100 * ms, false, alarmRaised, 900 * ms},
		}},
		{"at once", 0, []look{{0, false, alarmRaised, 0}, {100 * ms, true, alarmCleared, 100 * ms}}},
	} {
		w := alarmWatch{lasting: tt.lasting}
		for _, l := range tt.looks {
			since, got := w.see(l.at, l.holds)
			if got != l.want || l.want != alarmSame && since != l.since {
				t.Errorf("%s: at %s: got %d since %s, want %d since %s", tt.name, l.at, got, since, l.want, l.since)
			}
		}
	}
}

func TestPhasesOfProducersAreSpread(t *testing.T) {
	for _, tt := range []struct {
		i, n, k, all int
		share        float64
		want         time.Duration
	}{
		{0, 1, 0, 1, 10, 0},
		{1, 2, 0, 1, 10, 50 * time.Millisecond},
		{0, 1, 1, 2, 10, 50 * time.Millisecond},
		{1, 2, 1, 2, 10, 75 * time.Millisecond},
		{1, 2, 0, 1, 0, 0}, // as fast as possible
		{0, 0, 0, 0, 10, 0},
	} {
		if got := phase(tt.i, tt.n, tt.k, tt.all, tt.share); got != tt.want {
			t.Errorf("member %d of %d, producer %d of %d, share %g: got %s, want %s", tt.i, tt.n, tt.k, tt.all, tt.share, got, tt.want)
		}
	}
}
