// This file defines how the timeline fires: each event in its own goroutine,
// at absolute times of the scenario's clock.

package runtime

import (
	"cmp"
	"fmt"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// startTimeline starts a goroutine for each event. They end when soft ends.
//
//	trigger   fires
//	at        at its instant, once that is known; not at or after run_for
//	every     at its first time, then each interval while before until
//	when      once, at the first check that finds its claim true, from the end
//	          of the warm-up for as long as within says
func (r *run) startTimeline() {
	for i := range r.p.Events {
		ev := &r.p.Events[i]
		r.timeline.Go(func() {
			defer r.recoverAs("event " + ev.Name)
			// Firings go on by themselves; this says only that no more come.
			defer r.effects.noMore(ev.Name)
			switch ev.Trigger.Kind {
			case plan.TriggerEvery:
				r.every(ev)
			case plan.TriggerWhen:
				r.when(ev)
			default:
				r.once(ev)
			}
		})
	}
}

func (r *run) once(ev *plan.Event) {
	at, ok := r.edges.wait(r.soft, ev.Trigger.At)
	if !ok {
		r.notFired(ev, fmt.Sprintf("the %s of %s never came", ev.Trigger.At.Edge, ev.Trigger.At.Event))
		return
	}
	if at >= r.runFor() {
		r.notFired(ev, fmt.Sprintf("it would have been due at %s, when the run is over", at.Round(time.Millisecond)))
		return
	}
	r.upcoming(ev.Name, at)
	if r.clock.until(r.soft, at) {
		r.fire(ev, 0, &at)
	}
}

func (r *run) every(ev *plan.Event) {
	t := ev.Trigger
	first, ok := r.edges.wait(r.soft, t.At)
	if !ok {
		r.notFired(ev, fmt.Sprintf("the %s of %s never came", t.At.Edge, t.At.Event))
		return
	}
	until := r.runFor()
	if t.Until > 0 {
		until = min(until, t.Until.Std())
	}
	for i := 0; ; i++ {
		at := first + time.Duration(i)*t.Interval.Std()
		if at >= until || i > 0 && t.Interval <= 0 {
			return
		}
		r.upcoming(ev.Name, at)
		if !r.clock.until(r.soft, at) {
			return
		}
		r.fire(ev, i, &at)
	}
}

// when checks its claim after each sample until it holds.
func (r *run) when(ev *plan.Event) {
	if r.claims == nil {
		r.notFired(ev, "nothing is recorded that could make its claim true")
		return
	}
	armed := r.p.Scenario.Warmup.Std()
	if !r.clock.until(r.soft, armed) {
		r.notFired(ev, "the run ended before it was armed")
		return
	}
	last := r.runFor()
	if ev.Trigger.Within > 0 {
		last = min(last, armed+ev.Trigger.Within.Std())
	}
	for r.clock.Now() < last {
		if holds, known := r.claims.Holds(*ev.Trigger.Claim, r.clock.Now()); known && holds {
			r.fire(ev, 0, nil)
			return
		}
		if !sleep(r.soft, r.checkPause()) {
			break
		}
	}
	r.notFired(ev, "its claim did not come true in time")
}

// notFired journals an event that did not happen. After an interrupt that says
// nothing, since the run says itself that it was broken off.
func (r *run) notFired(ev *plan.Event, why string) {
	if r.wasInterrupted() || r.failure() != nil {
		return
	}
	r.journal.add(time.Now(), record.Event{Kind: record.KindNotFired, Name: ev.Name, What: why})
}

// fired counts a firing and how late it was.
func (r *run) fired(now time.Time, planned *time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events++
	if planned != nil {
		r.late = append(r.late, now.Sub(r.clock.moment(*planned)))
	}
}

// upcoming notes when an event fires next, for the live screen.
func (r *run) upcoming(event string, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next[event] = at
}

// watchAlarms checks every alarm on the last whole bucket or sample from the
// end of the warm-up on.
func (r *run) watchAlarms() {
	for i := range r.p.Alarms {
		a := &r.p.Alarms[i]
		r.timeline.Go(func() {
			defer r.recoverAs("alarm " + a.Name)
			if !r.clock.until(r.soft, r.p.Scenario.Warmup.Std()) {
				return
			}
			w := alarmWatch{lasting: a.Lasting.Std()}
			for {
				now := r.clock.Now()
				holds, known := r.claims.Holds(a.Claim, now)
				if known {
					since, change := w.see(now, holds)
					if change != alarmSame {
						r.turned(i, w.raised)
					}
					switch change {
					case alarmRaised:
						r.journal.add(r.clock.moment(now), record.Event{
							Kind: record.KindAlarmRaised, Name: a.Name,
							What: cmp.Or(a.Log, a.Text) + fmt.Sprintf(" (since %s)", since.Round(time.Millisecond)),
						})
					case alarmCleared:
						r.journal.add(r.clock.moment(now), record.Event{
							Kind: record.KindAlarmCleared, Name: a.Name, What: a.Text,
						})
					}
				}
				if !sleep(r.soft, r.checkPause()) {
					return
				}
			}
		})
	}
}

// turned notes the state of an alarm, for who watches.
func (r *run) turned(alarm int, raised bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarms[alarm] = raised
}

// alarmWatch is the state of one alarm.
//
//	state   claim   for lasting   becomes
//	quiet   broken  yes           raised
//	raised  holds   yes           quiet
//	any     as the state expects  the clock of the other starts anew
type alarmWatch struct {
	lasting time.Duration
	raised  bool
	turned  bool          // the claim is not as the state expects
	since   time.Duration // since when turned
}

type alarmChange int

const (
	alarmSame alarmChange = iota
	alarmRaised
	alarmCleared
)

// see takes one check of the claim. Since is when the claim turned.
func (w *alarmWatch) see(now time.Duration, holds bool) (since time.Duration, change alarmChange) {
	if holds == !w.raised {
		w.turned = false
		return 0, alarmSame
	}
	if !w.turned {
		w.turned, w.since = true, now
	}
	if now-w.since < w.lasting {
		return w.since, alarmSame
	}
	w.raised, w.turned = !w.raised, false
	if w.raised {
		return w.since, alarmRaised
	}
	return w.since, alarmCleared
}
