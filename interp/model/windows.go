// This file resolves the windows of a term to times and finds those in which
// there is nothing to judge.

package model

import (
	"fmt"

	"starfall/interp/plan"
)

// span is a part of the run. One of length zero is a moment, as at and at_end
// make it.
type span struct{ lo, hi plan.Duration }

// reach is the part of the run that a term is judged over.
type reach struct {
	spans  []span
	moment bool // it is judged at the end of its only span
	whole  bool // no window limits it
	known  bool // all times in it are known before the run
	fixed  bool // none of its times is an event's, which is proved a moment later than planned
}

// instant gives the planned time of an instant. endless is true for the end of
// an event that is never undone, which is the end of the run.
func (c *checker) instant(i *plan.Instant) (at plan.Duration, known, endless bool) {
	if i.Event == "" {
		return i.Offset, true, false
	}
	ev := c.events[i.Event]
	if ev == nil || ev.bad || ev.uncertain || !ev.scheduled {
		return 0, false, false
	}
	if i.Edge != plan.End {
		return add(ev.start, i.Offset), true, false
	}
	if ev.ended {
		return add(ev.end, i.Offset), true, false
	}
	return add(c.run, i.Offset), !ev.mayEnd, true
}

// cutToWarmup reports whether windows leave the warm-up out (language.md):
// rates, gauges, latencies and stalls do; an alarm is armed only after it.
func cutToWarmup(m plan.Measure) bool {
	switch m.Family {
	case plan.FamilyRate, plan.FamilyGauge, plan.FamilyLatency, plan.FamilyStall:
		return true
	}
	return m.Subject == plan.RefAlarm
}

// resolveWindows gives what a term is judged over; false when it is nothing,
// which is reported.
func (c *checker) resolveWindows(t *plan.Term, m plan.Measure) (reach, bool) {
	all := span{0, c.run}
	if cutToWarmup(m) {
		all = span{c.warmup, c.run / second * second}
		for _, w := range t.Windows {
			if w.Explicit || w.Kind == plan.At {
				all.lo = 0
			}
		}
	}
	r := reach{spans: []span{all}, known: true, fixed: true, whole: len(t.Windows) == 0}
	for i := range t.Windows {
		w := &t.Windows[i]
		if w.Event != "" || w.A != nil && w.A.Event != "" || w.B != nil && w.B.Event != "" {
			r.fixed = false
		}
		spans, known, ok := c.window(t, w, all)
		if !ok {
			return r, false
		}
		if !known {
			r.known = false
			continue
		}
		if w.Kind == plan.At || w.Kind == plan.AtEnd {
			r.moment = true
		}
		r.spans = intersect(r.spans, spans)
	}
	if !r.known {
		return r, true
	}
	if len(r.spans) == 0 {
		c.windowErr(t, "", "its windows have nothing in common")
		return r, false
	}
	return r, c.checkBuckets(t, m, r)
}

func (c *checker) windowErr(t *plan.Term, hint, format string, args ...any) {
	c.errorf(t.Pos, hint, "%s: %s", t.Measure, fmt.Sprintf(format, args...))
}

// window gives the parts of the run that one window leaves.
func (c *checker) window(t *plan.Term, w *plan.Window, all span) (spans []span, known, ok bool) {
	var at, to plan.Duration
	known = true
	endless := false
	switch {
	case w.Event != "":
		ev := c.events[w.Event]
		if ev == nil {
			unknown(c, t.Pos, t.Measure, "event", w.Event, c.events)
			return nil, false, false
		}
		var k1, k2 bool
		at, k1, _ = c.instant(&plan.Instant{Event: w.Event, Edge: plan.Start})
		to, k2, endless = c.instant(&plan.Instant{Event: w.Event, Edge: plan.End})
		known = k1 && k2
	case w.A != nil:
		at, known, endless = c.instant(w.A)
		if w.B != nil {
			var k bool
			to, k, _ = c.instant(w.B)
			known = known && k
		}
	}
	if !known {
		return nil, false, true
	}
	switch w.Kind {
	case plan.Before:
		to = at // of a handle: its start
		switch {
		case to <= 0:
			c.windowErr(t, "", "for window before: it ends at %s, want a time after the start of load", to)
			return nil, true, false
		case to <= all.lo:
			c.windowErr(t, "", "for window before: it ends at %s, want more than the warm-up of %s", to, c.warmup)
			return nil, true, false
		}
		return []span{{0, to}}, true, true
	case plan.After:
		from := at
		if w.Event != "" {
			from = to
		}
		if from >= all.hi {
			if endless {
				c.windowErr(t, "", "for window after: %s is never undone, so nothing comes after it", c.windowEvent(w))
			} else {
				c.windowErr(t, "", "for window after: it begins at %s, but the run ends at %s", from, c.run)
			}
			return nil, true, false
		}
		return []span{{from, all.hi}}, true, true
	case plan.During:
		return c.during(t, w, at, to, all)
	case plan.Outside:
		return []span{{0, at}, {to, all.hi}}, true, true
	case plan.At:
		if at < 0 || at > c.run {
			c.windowErr(t, "", "for window at: got %s, want 0s to %s, the end of the run", at, c.run)
			return nil, true, false
		}
		return []span{{at, at}}, true, true
	case plan.AtEnd:
		return []span{{all.hi, all.hi}}, true, true
	}
	return []span{all}, true, true
}

func (c *checker) during(t *plan.Term, w *plan.Window, at, to plan.Duration, all span) ([]span, bool, bool) {
	switch {
	case w.Event != "" && to <= at:
		c.windowErr(t, "a window in times: during(\""+at.String()+"\", \""+add(at, 10*second).String()+"\")",
			"for window during: %s is over at once, at %s", c.windowEvent(w), at)
	case w.Event == "" && to <= at:
		c.windowErr(t, "", "for window during: got %s to %s, want the first before the second", at, to)
	case at >= all.hi:
		c.windowErr(t, "", "for window during: it begins at %s, but the run ends at %s", at, c.run)
	case to <= 0:
		c.windowErr(t, "", "for window during: it ends at %s, before load starts", to)
	case to <= all.lo:
		c.windowErr(t, "during(a, b) with times may reach into the warm-up",
			"for window during: it ends at %s, inside the warm-up of %s", to, c.warmup)
	default:
		return []span{{at, to}}, true, true
	}
	return nil, true, false
}

func (c *checker) windowEvent(w *plan.Window) string {
	name := w.Event
	if w.A != nil && name == "" {
		name = w.A.Event
	}
	if ev := c.events[name]; ev != nil {
		return ev.name()
	}
	return name
}

// intersect gives what two lists of spans share. A moment is kept when it is in
// or at the edge of a span; other spans must have a length.
func intersect(a, b []span) []span {
	var out []span
	for _, x := range a {
		for _, y := range b {
			s := span{max(x.lo, y.lo), min(x.hi, y.hi)}
			point := x.lo == x.hi || y.lo == y.hi
			if s.lo < s.hi || point && s.lo == s.hi {
				out = append(out, s)
			}
		}
	}
	return out
}

// samplePeriod is the time between two samples of a gauge.
const samplePeriod = second / 5

// checkBuckets reports whether a window holds a whole bucket or sample. Buckets
// of every length count from the start of load: those of 10s begin at 0s, 10s,
// 20s. Where an event's edges really lie is known only in the run, so of such a
// window only that is certain which is shorter than a bucket.
func (c *checker) checkBuckets(t *plan.Term, m plan.Measure, r reach) bool {
	bucketed := m.Family == plan.FamilyRate
	if m.Family == plan.FamilyLatency && t.Bound != nil && (t.Bound.Op == plan.NeverAbove || t.Bound.Op == plan.NeverBelow) {
		bucketed = true
	}
	per := t.Per
	if per <= 0 {
		per = second
	}
	if r.moment {
		if at := r.spans[0].hi; bucketed && at < per {
			c.windowErr(t, "", "for window at: got %s, want at least %s, the end of the first whole bucket", at, per)
			return false
		}
		return true
	}
	if m.Family == plan.FamilyGauge && t.Per <= 0 {
		for _, s := range r.spans {
			if s.hi-s.lo >= samplePeriod {
				return true
			}
		}
		c.windowErr(t, "", "its window of %s holds no sample: gauges are sampled every %s", longest(r.spans), samplePeriod)
		return false
	}
	if !bucketed && t.Per <= 0 {
		return true
	}
	for _, s := range r.spans {
		if (r.fixed || per == second) && add(firstBucket(s.lo, per), per) <= s.hi || !r.fixed && per != second && s.hi-s.lo >= per {
			c.checkProved(t, r, per)
			return true
		}
	}
	switch most := longest(r.spans); {
	case t.Per > 0 && most >= per && len(r.spans) == 1:
		c.windowErr(t, "", "for parameter per: got %s, but buckets of it begin at 0s, %s and so on, and none lies wholly in %s to %s", per, per, r.spans[0].lo, r.spans[0].hi)
	case t.Per > 0:
		c.windowErr(t, "", "for parameter per: got %s, but the window is %s long and holds no whole bucket", per, most)
	default:
		c.windowErr(t, "", "its window of %s holds no whole second", most)
	}
	return false
}

// checkProved warns of a window that holds a whole bucket only if an event
// begins in the very moment that is planned: it begins when its effect is
// proved, which is later. Of whole seconds nothing is said: most undos are proved
// seconds late as well, which makes up for it.
func (c *checker) checkProved(t *plan.Term, r reach, per plan.Duration) {
	if r.fixed || per == second {
		return
	}
	for _, s := range r.spans {
		if s.lo > c.warmup {
			s.lo++
		}
		if add(firstBucket(s.lo, per), per) <= s.hi {
			return
		}
	}
	c.warnf(t.Pos, "a shorter per, or a longer window", "%s: its window may hold no whole bucket of %s: those begin at multiples of it, and an event a moment after the time that is planned", t.Measure, per)
}

// firstBucket is where the first bucket begins that does not begin before at.
func firstBucket(at, per plan.Duration) plan.Duration { return add(at, per-1) / per * per }

func longest(spans []span) plan.Duration {
	var most plan.Duration
	for _, s := range spans {
		most = max(most, s.hi-s.lo)
	}
	return most
}
