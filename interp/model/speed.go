// This file checks what a claim can mean at the speed of a run.

package model

import (
	"time"

	"starfall/interp/plan"
)

// Wall time below which a run cannot tell Kafka from the machine: an
// acknowledgement alone was measured to take up to 11 ms at the 99th percentile
// on a healthy cluster (kafka-facts.md), and the judge counts no stall below
// 50 ms (judging.md).
const noise = 50 * time.Millisecond

// CheckSpeed returns what a run at this speed makes of a plan's claims: speed
// divides every duration, so a length of scenario time that is short becomes
// one that the machine cannot keep. The problems are warnings, sorted by
// position. At speed 1 or below there are none.
func CheckSpeed(p *plan.Plan, speed float64) []Problem {
	if speed <= 1 {
		return nil
	}
	c := &checker{p: p}
	least := plan.Duration(float64(noise) * speed)
	check := func(t *plan.Term, _ sense) {
		m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
		if !ok || t.Bound == nil {
			return
		}
		switch m.Family {
		case plan.FamilyLatency, plan.FamilyStall:
			if t.Bound.Value > 0 && t.Bound.Value < least.Seconds() {
				c.warnf(t.Pos, "run it with --speed 1", "%s: at speed %s nothing below %s can be measured, got %s", t.Measure, number(speed), least, boundText(t.Bound))
			}
		case plan.FamilyRate:
			c.checkTightRate(t, speed)
		}
	}
	for i := range p.Claims {
		terms(&p.Claims[i].Expr, holds, check)
	}
	for i := range p.Alarms {
		terms(&p.Alarms[i].Claim, holds, check)
	}
	for i := range p.Events {
		if e := p.Events[i].Trigger.Claim; e != nil {
			terms(e, holds, check)
		}
	}
	return sortProblems(c.problems)
}

// checkTightRate: at speed 10 a second of 1,000 acknowledgements was measured
// to hold 945 to 1,058, and one of 100 to hold 77 to 122 (kafka-facts.md).
func (c *checker) checkTightRate(t *plan.Term, speed float64) {
	x := c.p.Producer(t.Subject.Name)
	if t.Subject.Kind != plan.RefProducer || x == nil || x.MaxRate || t.Bound.Op != plan.NeverBelow {
		return
	}
	per := t.Per
	if per <= 0 {
		per = second
	}
	wall := per.Seconds() / speed
	if wall < 0.5 && t.Bound.Value > 0.9*x.Rate && t.Bound.Value <= x.Rate {
		c.warnf(t.Pos, `.per("5s"), or --speed 1`, "%s: at speed %s a bucket of %s holds some percent more or less than is due; %s of %s leaves no room",
			t.Measure, number(speed), per, number(t.Bound.Value), number(x.Rate))
	}
}
