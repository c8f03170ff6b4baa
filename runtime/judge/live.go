// This file defines Live: claims judged while the run goes on, for alarms and
// for events that wait for a claim.

package judge

import (
	"fmt"
	"math/bits"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Live judges expressions on the last whole bucket or sample. It reads along
// with the writer and is cheap enough for ten checks a second. Its methods are
// safe for use by many goroutines.
type Live struct {
	w        *record.Writer
	follower *record.Follower

	mu  sync.Mutex
	j   *judging
	err error
}

// NewLive prepares to judge the claims of a plan's alarms and of its events
// that wait for a claim; it is to be called before the load starts. Terms that
// only the end of a run can answer are an error.
func NewLive(p *plan.Plan, w *record.Writer) (*Live, error) {
	var all []*plan.Term
	keep := func(t *plan.Term) { all = append(all, t) }
	for i := range p.Alarms {
		terms(&p.Alarms[i].Claim, keep)
	}
	for i := range p.Events {
		if e := p.Events[i].Trigger.Claim; e != nil {
			terms(e, keep)
		}
	}
	c := newCollector(p, w.Info(), all)
	j := &judging{collector: c, gaugeOf: map[*plan.Term]*gauge{}, questOf: map[*plan.Term]*question{}, live: true,
		frame: frame{warmup: 0, runFor: p.Scenario.RunFor.Std()}}
	for _, t := range all {
		m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
		if !ok {
			return nil, fmt.Errorf("judge: %s.%s: no such measure", t.Subject.Name, t.Measure)
		}
		switch {
		case m.Family == plan.FamilyGauge:
			g := c.watch(t)
			if g != nil {
				g.limit = 1
			}
			j.gaugeOf[t] = g
		case m.Family == plan.FamilyFate:
			switch t.Measure {
			case "missing", "undelivered", "pending", "lost", "phantoms":
				return nil, fmt.Errorf("judge: %s.%s: known only when the run has ended", t.Subject.Name, t.Measure)
			}
			if t.Subject.Kind == plan.RefTopic || t.Subject.Kind == plan.RefMirror {
				return nil, fmt.Errorf("judge: %s.%s: known only after the audit", t.Subject.Name, t.Measure)
			}
			bare := *t
			bare.Windows = nil
			q := c.ask(&bare, j.frame)
			j.questOf[t] = q
			c.questions = append(c.questions, q)
		case m.Name == "recovered" || m.Name == "took" || m.Name == "identical":
			return nil, fmt.Errorf("judge: %s.%s: known only when the run has ended", t.Subject.Name, t.Measure)
		}
	}
	l := &Live{w: w, follower: w.Follow(), j: j}
	c.reason = l.follower.Reason
	return l, nil
}

// Holds tells whether a claim holds at now; known is false while there is
// nothing to judge it by.
func (l *Live) Holds(e plan.Expr, now time.Duration) (holds, known bool) {
	outcome, _ := l.Judge(&e, now)
	return outcome == Held, outcome == Held || outcome == Broken
}

// Judge judges one of the plan's live claims at now: Held, Broken, or NoData,
// with what was measured. It reads what was recorded since the last call.
func (l *Live) Judge(e *plan.Expr, now time.Duration) (Outcome, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Of what clients in other processes did just now nothing is known yet.
	now = l.w.Through(now)
	j := l.j
	// Where groups have gone is known before what they read there.
	j.switches(l.w.Events())
	if l.err == nil {
		l.err = l.follower.Next(j.add)
	}
	if l.err != nil {
		return NoData, l.err.Error()
	}
	j.events = l.w.Events()
	j.frame.edges = edgesOf(j.plan, j.events)
	j.frame.end = now
	for _, p := range j.producers {
		j.dueBy(p, now)
	}
	for _, x := range j.consumers {
		j.turnBy(x, now)
	}
	r := j.combine(e)
	return r.outcome, r.measured
}

// openGap is the longest silence that goes on at now.
func (j *judging) openGap(t *plan.Term, now time.Duration) number {
	best := number{spot: noSpot}
	see := func(since, least time.Duration, at spot) {
		if g := now - since; g > least && g.Seconds() > best.v {
			from := since
			best = number{spot: at, label: j.label(at), v: g.Seconds(), at: &from}
		}
	}
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(t.Subject.Name)
		if t.By == "all" {
			if x.waiting > 0 {
				see(x.allSince, j.least(j.groupRate(x), 1), noSpot)
			}
			return best
		}
		for root := range x.lanes {
			for i := range x.lanes[root] {
				if l := &x.lanes[root][i]; l.open > 0 {
					see(l.since, j.least(j.topicRate(int32(root)), len(x.lanes[root])), spotOf(int32(root), int32(i)))
				}
			}
		}
		return best
	}
	p := j.producer(t.Subject.Name)
	if t.By == "all" || p.plan.Partitioner == available {
		if p.allSilent.waiting > 0 {
			see(p.allSilent.since, j.least(p.rate, 1), noSpot)
		}
		return best
	}
	for i := range p.silent {
		if s := &p.silent[i]; s.waiting > 0 {
			see(s.since, j.least(p.rate, p.partitions), spotOf(int32(p.topic), int32(i)))
		}
	}
	return best
}

// soFar counts failed, denied and unknown records up to now.
func (j *judging) soFar(q *question) {
	if q.kind != plan.RefProducer {
		return
	}
	q.total = 0
	clear(q.by)
	j.producers[q.index].each(func(m *member) {
		combine(func(w []uint64) uint64 {
			switch q.term.Measure {
			case "failed":
				return w[1] &^ w[0] &^ w[2]
			case "denied":
				return w[1] &^ w[0] &^ w[2] & w[3]
			}
			return w[2] &^ w[0]
		}, func(first, word uint64) {
			q.total += uint64(bits.OnesCount64(word))
			if q.term.By == "partition" {
				each(first, word, func(seq uint64) { q.by[spotOf(int32(j.producers[q.index].topic), m.partition(seq))]++ })
			}
		}, &m.acked, &m.failed, &m.unsure, &m.denied)
	})
}
