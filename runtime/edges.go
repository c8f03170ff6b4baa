// This file defines when events start and end, as others wait for it: at takes
// instants such as outage.end - 5s, which are known only as the run goes on.

package runtime

import (
	"context"
	"sync"
	"time"

	"starfall/interp/plan"
)

// edges holds the two edges of each event.
//
//	edge    is reached when
//	start   the first effect of its first firing is proved
//	end     each effect is undone, or complete by itself, and no firing is to
//	        come
type edges struct {
	p  *plan.Plan
	mu sync.Mutex
	m  map[string]*eventEdges
}

type eventEdges struct{ start, end edge }

// edge is a moment that comes once.
type edge struct {
	reached chan struct{}
	at      time.Duration // valid once reached is closed
}

func newEdges(p *plan.Plan) *edges {
	e := &edges{p: p, m: make(map[string]*eventEdges, len(p.Events))}
	for _, ev := range p.Events {
		e.m[ev.Name] = &eventEdges{
			start: edge{reached: make(chan struct{})},
			end:   edge{reached: make(chan struct{})},
		}
	}
	return e
}

func (e *edges) of(event string, which plan.Edge) *edge {
	ee := e.m[event]
	if ee == nil {
		return nil
	}
	if which == plan.End {
		return &ee.end
	}
	return &ee.start
}

// reach marks an edge. Only the first call counts.
func (e *edges) reach(event string, which plan.Edge, at time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.of(event, which)
	if x == nil {
		return
	}
	select {
	case <-x.reached:
	default:
		x.at = at
		close(x.reached)
	}
}

// now gives the scenario time of an edge, when it has been reached.
func (e *edges) now(event string, which plan.Edge) (time.Duration, bool) {
	x := e.of(event, which)
	if x == nil {
		return 0, false
	}
	select {
	case <-x.reached:
		return x.at, true
	default:
		return 0, false
	}
}

// wait gives the scenario time of an instant, once it is known. It returns
// false when ctx ended first.
//
// An instant before an edge is past by the time the edge is reached, so for it
// the planned time of the edge counts, where there is one.
func (e *edges) wait(ctx context.Context, in plan.Instant) (time.Duration, bool) {
	if in.Event == "" {
		return in.Offset.Std(), true
	}
	if in.Offset < 0 {
		if at, ok := e.planned(in, len(e.p.Events)); ok {
			return at, true
		}
		// Once the event has started, its end may be known.
		if _, ok := e.reached(ctx, in.Event, plan.Start); !ok {
			return 0, false
		}
		if at, ok := e.planned(in, len(e.p.Events)); ok {
			return at, true
		}
	}
	at, ok := e.reached(ctx, in.Event, in.Edge)
	return at + in.Offset.Std(), ok
}

// reached waits for an edge and gives its time.
func (e *edges) reached(ctx context.Context, event string, which plan.Edge) (time.Duration, bool) {
	x := e.of(event, which)
	if x == nil {
		return 0, false
	}
	select {
	case <-x.reached:
		return x.at, true
	case <-ctx.Done():
		return 0, false
	}
}

// planned gives the time of an instant by the plan alone: not for edges of
// events that wait for a claim, or that nothing in the event itself ends. An
// event that was reached meanwhile counts from then. Depth bounds cycles.
func (e *edges) planned(in plan.Instant, depth int) (time.Duration, bool) {
	if in.Event == "" {
		return in.Offset.Std(), true
	}
	if at, ok := e.now(in.Event, in.Edge); ok {
		return at + in.Offset.Std(), true
	}
	ev := e.p.Event(in.Event)
	if ev == nil || depth == 0 {
		return 0, false
	}
	start, ok := e.now(ev.Name, plan.Start)
	if !ok && ev.Trigger.Kind == plan.TriggerWhen {
		return 0, false
	}
	if !ok {
		start, ok = e.planned(ev.Trigger.At, depth-1)
	}
	if !ok {
		return 0, false
	}
	if in.Edge == plan.Start {
		return start + in.Offset.Std(), true
	}
	if ev.Trigger.Kind == plan.TriggerEvery {
		start = lastFiring(start, ev.Trigger)
	}
	var last time.Duration
	for _, a := range ev.Actions {
		d, ok := lasts(a)
		if !ok {
			return 0, false
		}
		last = max(last, d)
	}
	return start + last + in.Offset.Std(), true
}

// lastFiring gives the last time that an every event fires.
func lastFiring(first time.Duration, t plan.Trigger) time.Duration {
	if t.Interval <= 0 || t.Until.Std() <= first {
		return first
	}
	n := (t.Until.Std() - first - 1) / t.Interval.Std()
	return first + n*t.Interval.Std()
}

// lasts gives how long an action holds by the plan; false when nothing in the
// action itself ends it.
func lasts(a plan.Action) (time.Duration, bool) {
	switch {
	case a.UndoAfter != nil:
		return a.UndoAfter.Std(), true
	case a.Verb == plan.Restart:
		return a.DownFor.Std(), true
	case holds(a.Verb):
		return 0, false
	}
	return 0, true
}

// holds tells whether an effect stays until something undoes it. The other
// verbs end by themselves, once their effect is complete.
func holds(v plan.Verb) bool {
	switch v {
	case plan.Kill, plan.Stop, plan.Pause, plan.PowerOff, plan.Crash,
		plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle, plan.Reroute:
		return true
	}
	return false
}
