// This file defines the answers that are one number: late, counts of
// happenings, alarms, and how an action went.

package judge

import (
	"fmt"
	"math"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// single answers measures of which there is one number.
func (j *judging) single(t *plan.Term) answer {
	w, err := j.frame.resolve(t.Windows)
	if err != nil {
		return none("%v", err)
	}
	if w.isAt {
		w.parts = w.parts.and(pieces{{-forever, w.at}})
	}
	switch t.Subject.Kind {
	case plan.RefProducer:
		return j.late(t, w)
	case plan.RefConsumer:
		x := j.consumer(t.Subject.Name)
		if x == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		if t.Measure == "denied" {
			return j.refused(t.Subject.Name, w)
		}
		if len(x.changes) == 0 {
			return none("the group never had an assignment")
		}
		return count(j.rebalances(x), w)
	case plan.RefTopic:
		i, ok := j.byName[t.Subject.Name]
		if !ok || len(j.topics[i].leaders) == 0 && !j.info.Elections {
			return none("%s: no sample", t.Subject.Name)
		}
		if t.Measure == "unclean_elections" {
			return count(j.topics[i].unclean, w)
		}
		return count(j.topics[i].changes, w)
	case plan.RefCluster:
		for _, c := range j.clusters {
			if c.plan.Name == t.Subject.Name && len(c.samples) > 0 {
				return count(c.changes, w)
			}
		}
		return none("%s: no sample", t.Subject.Name)
	case plan.RefAlarm:
		return j.alarm(t, w)
	case plan.RefMirror:
		return j.identical(t)
	case plan.RefEvent:
		if t.Measure == "exit_code" {
			return j.exitCode(t)
		}
		return j.ofEvent(t)
	}
	return none("%s: nothing recorded", t.Subject.Name)
}

// refused counts the answers with which brokers refused a consumer for want of
// rights, those that differ: an answer of Kafka's counts once at each cluster,
// however often it is repeated and however many members get it.
func (j *judging) refused(name string, w window) answer {
	var list []happening
	for _, e := range j.events {
		if e.Kind == record.KindDenied && e.Name == name {
			list = append(list, happening{e.At, e.Error})
		}
	}
	return count(list, w)
}

// identical answers from the last comparison of a mirror with its source in one
// respect: 1 when nothing differs. A comparison that did not come about, or had
// nothing to compare, is no data.
func (j *judging) identical(t *plan.Term) answer {
	var last *record.Event
	for i := range j.events {
		if e := &j.events[i]; e.Kind == record.KindCompared && e.Name == t.Subject.Name && e.Aspect == t.Aspect {
			last = e
		}
	}
	switch {
	case last == nil:
		return none("%s was not compared with its source", t.Subject.Name)
	case last.Different == 0 && last.Error != "":
		return none("not compared: %s", last.Error)
	case last.Different == 0 && last.Compared == 0:
		return none("there was nothing to compare")
	}
	n := number{spot: noSpot, v: 1}
	n.note = "identical, " + Number(float64(last.Compared)) + " compared"
	if last.Different > 0 {
		n.v = 0
		n.note = fmt.Sprintf("differs in %s of %s", Number(float64(last.Different)), Number(float64(last.Compared)))
		if last.Error != "" {
			n.note = fmt.Sprintf("differs: %s (%s of %s)", last.Error, Number(float64(last.Different)), Number(float64(last.Compared)))
		}
	}
	return answer{numbers: []number{n}}
}

// exitCode answers with the highest exit code of an event's tools.
func (j *judging) exitCode(t *plan.Term) answer {
	var out *number
	for _, e := range j.events {
		if e.Kind != record.KindTool || e.Error != "" || e.Name != t.Subject.Name || out != nil && float64(e.Exit) <= out.v {
			continue
		}
		at := e.At
		out = &number{spot: noSpot, v: float64(e.Exit), at: &at, note: firstLine(e.Output)}
	}
	if out == nil {
		return none("%s: its tool did not run to an end", t.Subject.Name)
	}
	return answer{numbers: []number{*out}}
}

// count counts what happened in a window, and says when first.
func count(list []happening, w window) answer {
	n := number{spot: noSpot}
	for _, h := range list {
		if w.parts.has(h.at) {
			if n.at == nil {
				at := h.at
				n.at = &at
				n.note = "first: " + h.what + " at " + Clock(h.at)
			}
			n.v++
		}
	}
	return answer{numbers: []number{n}}
}

func (j *judging) late(t *plan.Term, w window) answer {
	p := j.producer(t.Subject.Name)
	if p == nil {
		return none("%s: nothing recorded", t.Subject.Name)
	}
	late, sent := float64(p.lateN), float64(p.sentN)
	if !w.parts.all() {
		late, sent = 0, 0
		for _, x := range w.parts.and(pieces{{0, j.frame.end}}) {
			late += float64(p.late.sum(x.from, x.to))
			sent += float64(p.sent.sum(x.from, x.to))
		}
	}
	if sent == 0 {
		return none("%s: no record was sent in the window", t.Subject.Name)
	}
	return answer{numbers: []number{{spot: noSpot, v: late / sent}}}
}

// alarm answers raised, lasted and raised_at.
func (j *judging) alarm(t *plan.Term, w window) answer {
	var raised []happening
	var lasted time.Duration
	var since time.Duration
	up := false
	down := func(at time.Duration) {
		for _, p := range w.parts {
			if from, to := max(since, p.from), min(at, p.to); from < to {
				lasted += to - from
			}
		}
		up = false
	}
	for _, e := range j.events {
		if e.Name != t.Subject.Name {
			continue
		}
		switch {
		case e.Kind == record.KindAlarmRaised && !up:
			up, since = true, e.At
			if w.parts.has(e.At) {
				raised = append(raised, happening{e.At, ""})
			}
		case e.Kind == record.KindAlarmCleared && up:
			down(e.At)
		}
	}
	if up {
		down(j.frame.end)
	}
	switch t.Measure {
	case "lasted":
		n := number{spot: noSpot, v: lasted.Seconds()}
		if len(raised) > 0 {
			n.at = &raised[0].at
		}
		return answer{numbers: []number{n}}
	case "raised_at":
		if len(raised) == 0 {
			return answer{numbers: []number{{spot: noSpot, v: math.Inf(1)}}}
		}
		return answer{numbers: []number{{spot: noSpot, v: raised[0].at.Seconds(), at: &raised[0].at}}}
	}
	n := number{spot: noSpot, v: float64(len(raised))}
	if len(raised) > 0 {
		n.at = &raised[0].at
	}
	return answer{numbers: []number{n}}
}

// recoverFor is how long the rate has to be back.
const recoverFor = 5 * time.Second

// ofEvent answers took and recovered.
func (j *judging) ofEvent(t *plan.Term) answer {
	e, ok := j.frame.edges[t.Subject.Name]
	if !ok || !e.proved {
		return none("%s never took effect", t.Subject.Name)
	}
	if t.Measure == "took" {
		type key struct{ occurrence, action int }
		fired := map[key]time.Duration{}
		n := number{spot: noSpot}
		for _, x := range j.events {
			if x.Name != t.Subject.Name {
				continue
			}
			k := key{x.Occurrence, x.Action}
			switch x.Kind {
			case record.KindFired:
				fired[k] = x.At
			case record.KindEffect:
				if from, ok := fired[k]; ok && (x.At-from).Seconds() >= n.v {
					at := from
					n.v, n.at = (x.At - from).Seconds(), &at
				}
			}
		}
		return answer{numbers: []number{n}}
	}
	var total ticks
	for _, p := range j.producers {
		for i, n := range p.acked {
			total.add(time.Duration(i)*tick, n)
		}
	}
	from := (j.frame.warmup + time.Second - 1).Truncate(time.Second)
	to := e.start.Truncate(time.Second)
	if to <= from {
		return none("no whole second between the warm-up and %s", t.Subject.Name)
	}
	before := float64(total.sum(from, to)) / (to - from).Seconds()
	if before == 0 {
		return none("nothing was acknowledged before %s", t.Subject.Name)
	}
	good := time.Duration(0)
	start := (e.start + time.Second - 1).Truncate(time.Second)
	for s := start; s+time.Second <= j.frame.last(); s += time.Second {
		if float64(total.sum(s, s+time.Second)) < 0.9*before {
			good = 0
			continue
		}
		if good += time.Second; good >= recoverFor {
			back := s + time.Second - recoverFor
			v := max((back - e.start).Seconds(), 0)
			if back == start {
				v = 0 // the rate never fell
			}
			return answer{numbers: []number{{spot: noSpot, v: v, at: &back}}}
		}
	}
	return answer{numbers: []number{{spot: noSpot, v: math.Inf(1), note: "not by the end of the run"}}}
}
