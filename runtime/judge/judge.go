// Package judge gives a recorded run its verdict. It is a pure function of a
// plan's claims and a recording; the cluster is long gone.
//
// This file defines Judge.
package judge

import (
	"fmt"
	"math/bits"
	"sort"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// maxLate is the share of records that the machine may offer late before a run
// says nothing (judging.md).
const maxLate = 0.01

// maxEventLate is how much wall time after its plan an event may fire: as with
// records, what comes later is the machine's doing, and a timeline in another
// order than the plan's is another experiment.
const maxEventLate = 100 * time.Millisecond

// Judge judges the claims of p over a recording. The recording's own plan is
// the usual p; another plan's claims are judged over the same things. It fails
// when the evidence cannot be read; whatever is wrong with the run itself is in
// the verdict.
func Judge(p *plan.Plan, rec *record.Recording) (*Verdict, error) {
	var all []*plan.Term
	for i := range p.Claims {
		terms(&p.Claims[i].Expr, func(t *plan.Term) { all = append(all, t) })
	}
	// The evidence speaks of the things of the recorded plan; only claims are
	// taken from p.
	c := newCollector(rec.Plan, rec.Info, all)
	c.reason = rec.Reason
	j := &judging{collector: c, events: rec.Events, gaugeOf: map[*plan.Term]*gauge{}, questOf: map[*plan.Term]*question{},
		drained: map[string]bool{}}
	j.frame = frame{
		edges:  edgesOf(rec.Plan, rec.Events),
		warmup: rec.Plan.Scenario.Warmup.Std(),
		runFor: rec.Plan.Scenario.RunFor.Std(),
	}
	loaded := false
	healed := time.Duration(-1)
	for _, e := range rec.Events {
		switch {
		case e.Kind == record.KindPhase && e.Phase == record.PhaseRun:
			loaded = true
		case e.Kind == record.KindPhase && e.Phase == record.PhaseHeal:
			healed = max(e.At, 0)
		case e.Kind == record.KindDrainLimit && e.Arriving:
			j.drained[e.Name] = true
		}
	}
	for _, t := range all {
		m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
		switch {
		case ok && m.Family == plan.FamilyGauge:
			j.gaugeOf[t] = c.watch(t)
		case ok && m.Family == plan.FamilyFate:
			q := c.ask(t, j.frame)
			j.questOf[t] = q
			c.questions = append(c.questions, q)
			if q.delivered != nil {
				c.moments = append(c.moments, q)
			}
		}
	}
	c.elections(rec.Events)
	c.switches(rec.Events)
	c.deletions(rec.Events)
	c.mutes(rec.Events)
	cut, err := rec.Scan(c.add)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	j.frame.end = j.frame.runFor
	if healed >= 0 {
		j.frame.end = min(healed, j.frame.runFor)
	}
	if !rec.Whole || cut != "" {
		over := healed >= 0 && c.until >= j.frame.end
		j.frame.end = max(min(c.until, j.frame.end), 0)
		j.cut = brokenOff{is: true, over: over, told: rec.Told, until: j.frame.end}
	}
	if !loaded {
		j.frame.end = 0
	}
	c.finish(j.frame.end)
	for _, q := range c.questions {
		c.answerByBits(q)
	}
	c.addForeign(rec.Events)
	if err := c.attribute(rec, c.suspects()); err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}

	v := &Verdict{Title: rec.Plan.Title, Name: rec.Plan.Name, Engine: rec.Info.Engine, Kafka: rec.Info.Kafka, Seed: rec.Info.Seed,
		Speed: rec.Info.Speed, RunFor: Seconds(j.frame.runFor), LoadEnded: Seconds(j.frame.end)}
	j.claims(p, v)
	j.conditions(rec, v, loaded, cut)
	sort.SliceStable(v.Reasons, func(a, b int) bool { return v.Reasons[a].cause < v.Reasons[b].cause })
	v.Result = decide(v.Reasons)
	v.Exit = v.Result.Exit()
	if v.Interrupted && v.Result != EngineError {
		v.Exit = ExitInterrupted
	}
	v.Phases = j.phases()
	v.Timeline = timeline(rec.Plan, rec.Events)
	v.Producers, v.Consumers = j.totals()
	// Programs read arrays, also empty ones.
	if v.Claims == nil {
		v.Claims = []Claim{}
	}
	if v.Phases == nil {
		v.Phases = []Phase{}
	}
	if v.Timeline == nil {
		v.Timeline = []Row{}
	}
	return v, nil
}

// claims judges all claims into v.
func (j *judging) claims(p *plan.Plan, v *Verdict) {
	for i := range p.Claims {
		cl := &p.Claims[i]
		r := j.combine(&cl.Expr)
		row := Claim{Kind: cl.Kind, ID: cl.ID, Text: cl.Text, Pos: cl.Pos, Outcome: r.outcome, Wanted: r.wanted, Measured: r.measured,
			Value: r.value, Unit: r.unit, Values: r.values, Where: r.where, Points: cl.Points, Hint: cl.Hint, Why: cl.Why}
		if r.outcome == Broken || r.outcome == NoData || cl.Kind == plan.Report {
			row.Witnesses = r.witnesses
		}
		if r.outcome == Broken && r.term != nil {
			row.Advice, row.Topic = j.advice(r)
		}
		v.Claims = append(v.Claims, row)
		pos := cl.Pos
		reason := Reason{Pos: &pos}
		if r.where != nil {
			reason.At = r.where.At
		}
		switch {
		case cl.Kind == plan.Expect:
			v.Expected++
			if r.outcome == Held {
				v.Held++
			}
			if r.outcome == Broken {
				reason.Result, reason.cause, reason.Text = Fail, causeClaim, cl.Text+": "+r.measured
				v.Reasons = append(v.Reasons, reason)
			}
			if r.outcome == NoData {
				reason.Result, reason.cause, reason.Text = Inconclusive, causeNoData, cl.Text+": no data: "+r.measured
				v.Reasons = append(v.Reasons, reason)
			}
		case cl.Kind == plan.Assume && r.outcome != Held:
			reason.Result, reason.cause, reason.Text = Inconclusive, causeNotTaken, "assumption broken: "+cl.Text+": "+r.measured
			if r.outcome == NoData {
				reason.Text = "assumption without data: " + cl.Text + ": " + r.measured
			}
			v.Reasons = append(v.Reasons, reason)
		case cl.Kind == plan.Rule && r.outcome == Broken:
			reason.Result, reason.cause, reason.Text = Void, causeRule, "rule broken: "+cl.Text+": "+r.measured
			v.Reasons = append(v.Reasons, reason)
		case cl.Kind == plan.Rule && r.outcome == NoData:
			reason.Result, reason.cause, reason.Text = Inconclusive, causeNoData, "rule without data: "+cl.Text+": "+r.measured
			v.Reasons = append(v.Reasons, reason)
		}
	}
	if v.Expected == 0 {
		v.Reasons = append(v.Reasons, Reason{Result: Inconclusive, Text: "the scenario expects nothing", cause: causeNoData,
			Advice: "say what must hold with expect(...)"})
	}
}

// conditions adds what else speaks against a PASS.
func (j *judging) conditions(rec *record.Recording, v *Verdict, loaded bool, cut string) {
	add := func(c cause, r Result, at *time.Duration, pos *plan.Pos, text, advice string) {
		reason := Reason{Result: r, Text: text, Advice: advice, Pos: pos, cause: c}
		if at != nil {
			reason.At = seconds(*at)
		}
		v.Reasons = append(v.Reasons, reason)
	}
	posOf := func(name string) *plan.Pos {
		if e := rec.Plan.Event(name); e != nil {
			return &e.Pos
		}
		return nil
	}
	speed := rec.Info.Speed
	if speed <= 0 {
		speed = 1
	}
	fired := map[string]bool{}
	unfired := map[string]bool{}
	for _, e := range rec.Events {
		switch e.Kind {
		case record.KindEngineError:
			add(causeEngine, EngineError, &e.At, nil, e.Error, "")
		case record.KindInterrupted:
			v.Interrupted = true
			add(causeNotTaken, Inconclusive, &e.At, nil, "interrupted at "+Clock(e.At), "")
		case record.KindFired, record.KindUndoing:
			if e.Kind == record.KindFired {
				fired[e.Name] = true
			}
			if e.Planned == nil {
				continue
			}
			if late := e.At - *e.Planned; late > time.Duration(float64(maxEventLate)*speed) {
				add(causeNotTaken, Inconclusive, &e.At, posOf(e.Name),
					fmt.Sprintf("%s came %s late: the machine was busy with something else", eventText(e), Length(late)), "lower --speed")
				v.Reasons[len(v.Reasons)-1].Busy = true
			}
		case record.KindLie:
			add(causeRule, Void, &e.At, nil, e.What, "")
		case record.KindUnproved:
			what := "effect"
			if e.Undo {
				what = "undo"
			}
			add(causeNotTaken, Inconclusive, &e.At, posOf(e.Name), fmt.Sprintf("%s: its %s is not proved: %s", eventText(e), what, e.Error), "")
		case record.KindNotFired:
			unfired[e.Name] = true
			add(causeNotTaken, Inconclusive, &e.At, posOf(e.Name), e.Name+" never fired: "+e.What, "")
		case record.KindDrainLimit:
			if e.Arriving {
				add(causeNoData, Inconclusive, &e.At, nil, e.Name+": the drain ended while records still came in", "give scenario(drain = …) more time")
			}
		}
	}
	if !loaded && len(rec.Events) > 0 && !v.Interrupted && rec.Told {
		add(causeNotTaken, Inconclusive, nil, nil, "the load never started", "")
	}
	if !rec.Whole {
		add(causeNotTaken, Inconclusive, nil, nil, "the recording is not whole: "+rec.Cut, "")
	} else if cut != "" {
		add(causeNotTaken, Inconclusive, nil, nil, "the recording is not whole: "+cut, "")
	}
	if loaded && !v.Interrupted && rec.Whole {
		for i := range rec.Plan.Events {
			e := &rec.Plan.Events[i]
			if !fired[e.Name] && !unfired[e.Name] {
				add(causeNotTaken, Inconclusive, nil, &e.Pos, e.Name+" never fired", "")
			}
		}
	}
	for _, p := range j.producers {
		if p.sentN > 0 && float64(p.lateN) > maxLate*float64(p.sentN) {
			add(causeNotTaken, Inconclusive, nil, &p.plan.Pos,
				fmt.Sprintf("%s: the machine offered %s of the records late", p.plan.Name, Quantity(float64(p.lateN)/float64(p.sentN), plan.UnitShare)),
				"lower the rate, or --speed")
			v.Reasons[len(v.Reasons)-1].Busy = true
		}
	}
}

// totals counts what became of the records.
func (j *judging) totals() ([]Producer, []Consumer) {
	var producers []Producer
	for _, p := range j.producers {
		out := Producer{Name: p.plan.Name}
		p.each(func(m *member) {
			combine(func(w []uint64) uint64 {
				sent := w[0] | w[1] | w[2] | w[3]
				out.Sent += uint64(bits.OnesCount64(sent))
				out.Acked += uint64(bits.OnesCount64(w[1]))
				failed := w[2] &^ w[1] &^ w[3]
				out.Failed += uint64(bits.OnesCount64(failed))
				out.Unknown += uint64(bits.OnesCount64(sent &^ w[1] &^ failed))
				return 0
			}, func(uint64, uint64) {}, &m.accepted, &m.acked, &m.failed, &m.unsure)
		})
		if p.sentN > 0 {
			out.Late = float64(p.lateN) / float64(p.sentN)
		}
		producers = append(producers, out)
	}
	var consumers []Consumer
	for _, x := range j.consumers {
		if x.plan.Observes != "" {
			continue // nobody's client
		}
		out := Consumer{Name: x.plan.Name}
		for _, n := range x.rate {
			out.Deliveries += uint64(n)
		}
		sets := []*sources{&x.delivered}
		for _, s := range x.replayed {
			sets = append(sets, s)
		}
		for _, s := range sets {
			for _, list := range *s {
				for _, b := range list {
					if b != nil {
						out.Distinct += b.count()
					}
				}
			}
		}
		consumers = append(consumers, out)
	}
	return producers, consumers
}
