// This file defines the walk through time: when each event fires, when its
// effect is undone, and what waits for that.

package model

import (
	"container/heap"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// Limits of the walk. A plan beyond them could not be run either: each firing
// is proved and journaled.
const (
	maxFiringsOfEvent = 10_000
	maxFirings        = 100_000
)

// eventState is what the walk knows of an event. Times are as planned: a real
// start is some milliseconds later, a real end as much later as a broker takes
// to register again.
//
//	bad         a mistake was reported: nothing more is said about it
//	uncertain   it fires when a claim says so, or after something that does
//	scheduled   its first firing is known
//	ended       its end is known: everything it did is undone or complete
type eventState struct {
	e          *plan.Event
	bad        bool
	uncertain  bool
	scheduled  bool
	ended      bool
	mayEnd     bool // an event of unknown time may end it
	start, end plan.Duration

	firings, fired int
	until          plan.Duration
	effects        []*effect
	acts           []*effect // of the last firing, one an action
	onStart, onEnd []*eventState
}

// name is how messages call an event: its handle, or where it
// stands.
func (s *eventState) name() string {
	if strings.HasPrefix(s.e.Name, "event-") {
		return "the event at " + s.e.Pos.Short()
	}
	return s.e.Name
}

// does reports whether one of the actions has a verb that the test accepts.
func (s *eventState) does(test func(plan.Verb) bool) bool {
	return slices.ContainsFunc(s.e.Actions, func(a plan.Action) bool { return test(a.Verb) })
}

// length is how long the whole event lasts from a firing on when nobody
// interferes; false when one of its actions lasts until undone by hand.
func (s *eventState) length() (plan.Duration, bool) {
	var most plan.Duration
	for i := range s.e.Actions {
		l, ok := length(&s.e.Actions[i])
		if !ok {
			return 0, false
		}
		most = max(most, l)
	}
	return most, true
}

// happening is one step of the walk. At the same time undoing comes first, so
// that a node which is due back is back, and then the order of the plan.
type happening struct {
	at  plan.Duration
	eff *effect     // undone now, or nil
	ev  *eventState // fires now, or nil
	seq int
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if (a.eff != nil) != (b.eff != nil) {
		return a.eff != nil
	}
	return a.seq < b.seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func (c *checker) push(h happening) {
	c.seq++
	h.seq = c.seq
	heap.Push(&c.queue, h)
}

// walk goes through the timeline and reports what cannot happen then.
func (c *checker) walk() {
	for _, s := range c.order {
		at := s.e.Trigger.At
		if s.e.Trigger.Kind == plan.TriggerWhen || at.Event == "" {
			continue
		}
		of := c.events[at.Event]
		switch {
		case of == nil:
			unknown(c, s.e.Pos, "at", "event", at.Event, c.events)
			s.bad = true
		case at.Edge == plan.End:
			of.onEnd = append(of.onEnd, s)
		default:
			of.onStart = append(of.onStart, s)
		}
	}
	c.findUncertain()
	for _, s := range c.order {
		if s.uncertain {
			c.touch(s)
		}
	}
	for _, s := range c.order {
		if !s.uncertain && !s.bad && s.e.Trigger.At.Event == "" {
			c.schedule(s, s.e.Trigger.At.Offset)
		}
	}
	for len(c.queue) > 0 {
		h := heap.Pop(&c.queue).(happening)
		c.now = max(c.now, h.at)
		if h.eff != nil {
			c.undo(h.eff, h.at)
			continue
		}
		c.fire(h.ev, h.at)
	}
	c.reportWaiting()
	for _, s := range c.order {
		if s.uncertain && !s.bad {
			c.checkUncertain(s)
		}
	}
}

// findUncertain marks events of unknown time: those with when, those that
// follow one, and those that wait for an end that only such an event can bring.
func (c *checker) findUncertain() {
	undoers := false // an event of unknown time undoes something
	var todo []*eventState
	mark := func(s *eventState) {
		if s.uncertain {
			return
		}
		s.uncertain = true
		todo = append(todo, s)
	}
	for _, s := range c.order {
		if s.e.Trigger.Kind == plan.TriggerWhen {
			mark(s)
		}
	}
	undoes := func(v plan.Verb) bool {
		return v == plan.StartNode || v == plan.Resume || v == plan.Heal || v == plan.HealAll
	}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, f := range s.onStart {
			mark(f)
		}
		for _, f := range s.onEnd {
			mark(f)
		}
		if undoers || !s.does(undoes) {
			continue
		}
		undoers = true
		for _, x := range c.order {
			if _, ok := x.length(); !ok {
				x.mayEnd = true
				for _, f := range x.onEnd {
					mark(f)
				}
			}
		}
	}
}

// schedule fixes the first firing of an event, and its end where that does not
// depend on others.
func (c *checker) schedule(s *eventState, at plan.Duration) {
	if s.scheduled || s.bad {
		return
	}
	s.scheduled = true
	t := s.e.Trigger
	word := string(t.Kind)
	switch {
	case at < 0:
		s.bad = true
		c.errorf(s.e.Pos, "", "%s: this would be %s before load starts", word, -at)
	case at < c.now:
		s.bad = true
		c.errorf(s.e.Pos, "", "%s: this would be at %s, but when %s comes is known only at %s", word, at, c.events[t.At.Event].name(), c.now)
	case at >= c.run:
		s.bad = true
		c.errorf(s.e.Pos, "", "%s: this is at %s, but the run ends at %s", word, at, c.run)
	case t.Kind == plan.TriggerEvery && t.Interval <= 0:
		s.bad = true
		c.errorf(s.e.Pos, "", "every: for parameter interval: got %s, want a length of time", t.Interval)
	}
	if s.bad {
		return
	}
	s.start, s.firings = at, 1
	lastFiring := at
	if t.Kind == plan.TriggerEvery {
		s.until = t.Until
		if t.Until <= 0 {
			s.until = c.run
		}
		if s.until > c.run {
			c.warnf(s.e.Pos, "", "every: for parameter until: got %s, but the run ends at %s", t.Until, c.run)
			s.until = c.run
		}
		if at >= s.until {
			s.bad = true
			c.errorf(s.e.Pos, "", "every: the first time is %s, want before until, %s", at, s.until)
			return
		}
		n := (s.until - at - 1) / t.Interval
		if n >= maxFiringsOfEvent {
			s.bad = true
			c.errorf(s.e.Pos, "", "every: this fires %d times, want at most %d", int64(n)+1, maxFiringsOfEvent)
			return
		}
		s.firings = int(n) + 1
		lastFiring = at + n*t.Interval
	}
	if c.firings += s.firings; c.firings > maxFirings {
		s.bad = true
		c.errorf(s.e.Pos, "", "%s: the events up to here fire more than %d times", word, maxFirings)
		return
	}
	c.push(happening{at: at, ev: s})
	for _, f := range s.onStart {
		c.schedule(f, add(at, f.e.Trigger.At.Offset))
	}
	if l, ok := s.length(); ok {
		c.setEnd(s, add(lastFiring, l))
	}
}

// setEnd fixes the end of an event, and the start of what waits for it.
func (c *checker) setEnd(s *eventState, at plan.Duration) {
	first := !s.ended
	s.ended, s.end = true, at
	if !first {
		return
	}
	for _, f := range s.onEnd {
		c.schedule(f, add(at, f.e.Trigger.At.Offset))
	}
}

// fire lets an event happen once.
func (c *checker) fire(s *eventState, now plan.Duration) {
	s.fired++
	s.acts = s.acts[:0]
	if s.fired < s.firings {
		c.push(happening{at: now + s.e.Trigger.Interval, ev: s})
	}
	for i := range s.e.Actions {
		a := &s.e.Actions[i]
		eff := &effect{ev: s, a: a}
		c.apply(eff, now)
		l, ok := length(a)
		switch {
		case ok && l == 0 && !lasts(a.Verb):
			eff.undone, eff.undoneAt = true, now
		case ok:
			end := add(now, l)
			if end > c.run && (lasts(a.Verb) || a.Verb == plan.Configure) && !c.toldOf[a] {
				c.toldOf[a] = true
				c.warnf(a.Pos, "", "%s: %s ends at %s, but everything is healed at %s, the end of the run", a.Verb, undoParameter(a.Verb), end, c.run)
			}
			c.push(happening{at: end, eff: eff})
		}
		s.effects = append(s.effects, eff)
		s.acts = append(s.acts, eff)
	}
	c.maybeEnded(s, now)
}

// maybeEnded notes the end of an event whose effects are all undone.
func (c *checker) maybeEnded(s *eventState, now plan.Duration) {
	if s.fired < s.firings {
		return
	}
	// What is done with need not be looked at again.
	s.effects = slices.DeleteFunc(s.effects, func(e *effect) bool { return e.undone })
	if len(s.effects) == 0 {
		if !s.ended || now < s.end {
			c.setEnd(s, now)
		}
	}
}

// undo takes an effect back, by its own after or by hand.
func (c *checker) undo(e *effect, now plan.Duration) {
	if e.undone {
		return
	}
	e.undone, e.undoneAt = true, now
	for _, n := range e.nodes {
		if n.by == e {
			n.state, n.since, n.by, n.sure = running, now, nil, true
		}
	}
	if e.hidden != nil {
		cl := e.hidden.from[0].cluster
		cl.hidden = slices.DeleteFunc(cl.hidden, func(h *hidden) bool { return h == e.hidden })
	}
	for _, n := range e.nodes {
		n.cluster.recount()
	}
	if e.hidden != nil {
		e.hidden.from[0].cluster.recount()
	}
	for _, i := range e.crashed {
		if e.client.crashed[i] == e {
			delete(e.client.crashed, i)
		}
	}
	for _, s := range e.rerouted {
		s.routes = slices.DeleteFunc(s.routes, func(x *effect) bool { return x == e })
	}
	if cutsPaths(e.a.Verb) {
		c.paths = slices.DeleteFunc(c.paths, func(x *effect) bool { return x == e })
	}
	c.maybeEnded(e.ev, now)
}

// reportWaiting reports events that wait for something that never comes. What
// waits for one of those is not reported again.
func (c *checker) reportWaiting() {
	reported := make(map[*eventState]bool)
	for _, s := range c.order {
		if s.scheduled || s.bad || s.uncertain {
			continue
		}
		of := c.events[s.e.Trigger.At.Event]
		if of == nil || of.bad || of.uncertain {
			s.bad = true
			continue
		}
		if of.scheduled {
			if s.e.Trigger.At.Edge == plan.End && !of.mayEnd {
				c.reportEndless(s, of)
			}
			continue
		}
		// of waits too. Follow the chain: either it comes to an event that is
		// reported by itself, or it comes back.
		chain := []*eventState{s}
		for x := of; x != nil && !x.scheduled && !x.bad && !x.uncertain; x = c.events[x.e.Trigger.At.Event] {
			if i := slices.Index(chain, x); i >= 0 {
				loop := chain[i:]
				if !reported[loop[0]] {
					for _, y := range loop {
						reported[y] = true
					}
					c.errorf(s.e.Pos, "", "%s: the events wait for each other: %s", s.e.Trigger.Kind, names(append(loop, x), " after "))
				}
				break
			}
			chain = append(chain, x)
		}
	}
	for _, s := range c.order {
		if !s.scheduled && !s.uncertain {
			s.bad = true
		}
	}
}

// reportEndless reports that s waits for the end of an event that never ends,
// because nothing undoes it, or because only s or what follows s would.
func (c *checker) reportEndless(s, of *eventState) {
	var what *plan.Action
	for i := range of.e.Actions {
		if c.badAction[&of.e.Actions[i]] {
			return // it did not do what it should have, which is reported
		}
		if _, ok := length(&of.e.Actions[i]); !ok {
			what = &of.e.Actions[i]
		}
	}
	if what == nil { // its start was bad, which is reported
		return
	}
	hint := "give it " + undoParameter(what.Verb)
	if v := undoneBy(what.Verb); v != "" {
		hint += ", or an event of its own with " + string(v)
	}
	for i := range s.e.Actions {
		a := &s.e.Actions[i]
		for _, t := range a.Targets {
			if a.Verb == undoneBy(what.Verb) && (t.Kind != plan.RefHit || t.Name == of.e.Name) {
				c.errorf(s.e.Pos, "say when: at(\"60s\", "+a.Source+")",
					"%s: this waits for the end of %s, which ends only with this %s", s.e.Trigger.Kind, of.name(), a.Verb)
				return
			}
		}
	}
	c.errorf(s.e.Pos, hint, "%s: %s never ends: nothing undoes its %s", s.e.Trigger.Kind, of.name(), what.Verb)
}

func names(events []*eventState, sep string) string {
	out := make([]string, len(events))
	for i, s := range events {
		out[i] = s.name()
	}
	return strings.Join(out, sep)
}
