// This file checks claims: their windows, and whether they can hold and fail.

package model

import (
	"math"
	"slices"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// sense is what must be true of a term for its claim to hold.
type sense int

const (
	either sense = iota // one of several, or not judged: nothing follows
	holds               // the term must hold
	breaks              // the term must be broken
)

func (s sense) flip() sense {
	switch s {
	case holds:
		return breaks
	case breaks:
		return holds
	}
	return either
}

// terms calls f for every term of a sentence.
func terms(e *plan.Expr, s sense, f func(*plan.Term, sense)) {
	switch e.Op {
	case plan.OpTerm:
		if e.Term != nil {
			f(e.Term, s)
		}
		return
	case plan.OpNo:
		s = s.flip()
	case plan.OpEither:
		// no(either(a, b)) needs both broken.
		if s == holds {
			s = either
		}
	case plan.OpBoth:
		if s == breaks {
			s = either
		}
	}
	for i := range e.Args {
		terms(&e.Args[i], s, f)
	}
}

func (c *checker) checkClaims() {
	expects := 0
	ids := make(map[string]plan.Pos)
	for i := range c.p.Claims {
		cl := &c.p.Claims[i]
		s := holds
		switch cl.Kind {
		case plan.Expect:
			expects++
		case plan.Report:
			s = either
		}
		if cl.ID != "" {
			if at, ok := ids[cl.ID]; ok {
				c.errorf(cl.Pos, "", "%s: for parameter id: got %q, which the claim at %s has already", cl.Kind, cl.ID, at.Short())
			}
			ids[cl.ID] = cl.Pos
		}
		terms(&cl.Expr, s, c.checkTerm)
	}
	if expects == 0 {
		c.warnf(c.scenarioPos(), "expect(billing.missing.none())", "scenario: nothing is expected, so the verdict will be INCONCLUSIVE")
	}
	for i := range c.p.Alarms {
		terms(&c.p.Alarms[i].Claim, either, func(t *plan.Term, s sense) { c.checkLive(t, "alarm") })
	}
	for _, ev := range c.order {
		if t := ev.e.Trigger; t.Kind == plan.TriggerWhen && t.Claim != nil {
			terms(t.Claim, either, func(t *plan.Term, s sense) { c.checkLive(t, "when") })
		}
	}
}

// subject reports whether the plan has what a term is about.
func (c *checker) subject(t *plan.Term) bool {
	r := t.Subject
	ok := false
	switch r.Kind {
	case plan.RefProducer:
		if ok = c.producers[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "producer", r.Name, c.producers)
		}
	case plan.RefConsumer:
		if ok = c.consumers[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "consumer", r.Name, c.consumers)
		}
	case plan.RefTopic:
		if ok = c.topics[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "topic", r.Name, c.topics)
		}
	case plan.RefCluster:
		if ok = c.clusters[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "cluster", r.Name, c.clusters)
		}
	case plan.RefMirror:
		if ok = c.mirrors[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "mirror", r.Name, c.mirrors)
		}
	case plan.RefAlarm:
		if ok = c.alarms[r.Name]; !ok {
			unknown(c, t.Pos, t.Measure, "alarm", r.Name, c.alarms)
		}
	case plan.RefEvent:
		if ok = c.events[r.Name] != nil; !ok {
			unknown(c, t.Pos, t.Measure, "event", r.Name, c.events)
		}
	}
	return ok
}

func (c *checker) checkTerm(t *plan.Term, s sense) {
	m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
	if !ok || !c.subject(t) || !c.checkAcknowledged(t) {
		return
	}
	c.checkKeys(t)
	if t.Subject.Kind == plan.RefEvent {
		c.checkEventMeasure(t)
	}
	if t.Measure == "identical" && !slices.Contains(plan.Aspects(), t.Aspect) {
		hint := ""
		if near, ok := spell.Nearest(t.Aspect, plan.Aspects()); ok {
			hint = "did you mean " + near + "?"
		}
		c.errorf(t.Pos, hint, "identical: for parameter aspect: got %q, want %s", t.Aspect, spell.List(plan.Aspects()))
		return
	}
	if t.Measure == "identical" && s == holds {
		c.checkIdentical(t)
	}
	r, ok := c.resolveWindows(t, m)
	if !ok || t.Bound == nil {
		return
	}
	c.checkPer(t, m)
	if t.Bound.Op == plan.Eventually && r.known && !r.moment && t.Bound.Within > longest(r.spans) {
		c.warnf(t.Pos, "", "%s: for parameter within: got %s, but the window is %s long", t.Measure, t.Bound.Within, longest(r.spans))
	}
	if s == holds {
		c.checkPossible(t, m, r)
	}
}

// checkPer warns of buckets that a bound does not look at: one that judges a
// single number takes the mean or the longest of all of them.
func (c *checker) checkPer(t *plan.Term, m plan.Measure) {
	if t.Per <= 0 {
		return
	}
	one := "the mean"
	if m.Family == plan.FamilyLatency {
		one = "the whole window"
	}
	switch t.Bound.Op {
	case plan.AtLeast, plan.AtMost, plan.Equals, plan.None:
		hint := "never_below and never_above judge each bucket"
		c.warnf(t.Pos, hint, "%s: for parameter per: %s judges %s, not each bucket of %s", t.Measure, t.Bound.Op, one, t.Per)
	}
}

// checkLive checks a term that is looked at while the run goes on: an alarm's,
// or that of a when. It sees the last whole bucket or sample and nothing else.
func (c *checker) checkLive(t *plan.Term, word string) {
	m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
	if !ok || !c.subject(t) || !c.checkAcknowledged(t) {
		return
	}
	if len(t.Windows) > 0 {
		c.errorf(t.Pos, "leave the window out", "%s: for window %s: it looks at the last whole bucket or sample, so windows do not apply", word, t.Windows[0].Kind)
		return
	}
	late := false
	switch t.Subject.Kind {
	case plan.RefTopic:
		late = m.Family == plan.FamilyFate
	case plan.RefConsumer:
		switch t.Measure {
		case "lost", "missing", "undelivered", "pending":
			late = true
		}
	case plan.RefEvent:
		late = t.Measure == "recovered"
	case plan.RefMirror:
		late = t.Measure != "delay"
	}
	if late {
		c.errorf(t.Pos, "", "%s: %s is known only after the run", word, t.Measure)
	}
}

// checkAcknowledged reports whether a measure has something to measure: with
// acks=0 a broker never answers, so nothing is ever acknowledged.
func (c *checker) checkAcknowledged(t *plan.Term) bool {
	if t.Subject.Kind != plan.RefProducer || c.producers[t.Subject.Name].producer.Acks != "0" {
		return true
	}
	switch t.Measure {
	case "rate":
		c.errorf(t.Pos, "use "+t.Subject.Name+".sending", "rate: %s has acks 0, so nothing is ever acknowledged", t.Subject.Name)
		return false
	case "latency", "stall":
		c.errorf(t.Pos, "use acks = 1 or \"all\"", "%s: %s has acks 0, so nothing is ever acknowledged", t.Measure, t.Subject.Name)
		return false
	case "unknown":
		if t.Bound != nil && demandsZero(t.Bound) {
			c.errorf(t.Pos, "", "unknown: %s has acks 0, so nobody ever knows whether a record was written", t.Subject.Name)
			return false
		}
	}
	return true
}

// checkIdentical warns of positions that are claimed to be alike and that no
// mirror writes.
func (c *checker) checkIdentical(t *plan.Term) {
	m := c.mirrors[t.Subject.Name]
	if t.Aspect != "groups" || t.Bound == nil || t.Bound.Value != 1 || m.m.SyncOffsetsEvery > 0 {
		return
	}
	for i := range c.p.Consumers {
		x := &c.p.Consumers[i]
		if x.Commit != "none" && slices.ContainsFunc(x.Topics, m.holds) {
			c.warnf(t.Pos, `mirror(…, sync_offsets_every = "5s")`, "identical: mirror %s syncs no positions, so those of %s are not at %s", t.Subject.Name, x.Name, m.m.To)
			return
		}
	}
}

// checkKeys: an order by key needs keys.
func (c *checker) checkKeys(t *plan.Term) {
	if t.By != "key" {
		return
	}
	about := []string{t.Subject.Name}
	if s := c.consumers[t.Subject.Name]; t.Subject.Kind == plan.RefConsumer {
		about = s.consumer.Topics
	}
	written := false
	for i := range c.p.Producers {
		x := &c.p.Producers[i]
		if slices.Contains(about, x.Topic) {
			if x.Keys > 0 {
				return
			}
			written = true
		}
	}
	if written {
		c.errorf(t.Pos, "producer(…, keys = 100)", "%s: for parameter by: got key, but no producer of %s writes keys", t.Measure, about[0])
	}
}

// recovery is how long the rate must be back before it counts as recovered.
const recovery = 5 * second

func (c *checker) checkEventMeasure(t *plan.Term) {
	ev := c.events[t.Subject.Name]
	if t.Measure == "exit_code" && !ev.does(func(v plan.Verb) bool { return v == plan.Tool }) {
		c.errorf(t.Pos, `at("30s", tool("kafka-topics", "--describe"))`, "exit_code: %s runs no tool", ev.name())
		return
	}
	if t.Measure != "recovered" {
		return
	}
	if !slices.ContainsFunc(c.p.Producers, func(x plan.Producer) bool { return x.Acks != "0" }) {
		c.errorf(t.Pos, "", "recovered: no producer's records are acknowledged, so there is no rate to recover")
		return
	}
	if ev.bad || ev.uncertain || !ev.scheduled {
		return
	}
	if ev.start+recovery > c.run/second*second {
		c.errorf(t.Pos, "", "recovered: %s is at %s, and the run ends at %s: the rate must be back for %s", ev.name(), ev.start, c.run, recovery)
	} else if ev.start < add(wholeSecond(c.warmup), second) {
		c.warnf(t.Pos, "", "recovered: %s is at %s, so there is no rate before it but that of the warm-up", ev.name(), ev.start)
	}
}

func demandsZero(b *plan.Bound) bool {
	switch b.Op {
	case plan.None:
		return true
	case plan.Equals, plan.AtMost, plan.NeverAbove:
		return b.Value == 0
	}
	return false
}

// neverNegative is what is known of every measure.
const neverNegative = "it is never below 0"

// limits are the values that a measure can have in a window at all.
//
//	ceiling   no bound from below can be higher
//	floor     no bound from above can be lower
//	why       the fact behind it
//	hint      what to write instead
//
// A value that is known to change within the window has a floor above its
// ceiling: no single number is right at every sample.
type limits struct {
	floor, ceiling float64
	why            string
	hint           string
}

// limitsOf gives the limits that the plan sets to a measure. Every measure is at
// least zero.
func (c *checker) limitsOf(t *plan.Term, m plan.Measure, r reach) limits {
	l := limits{ceiling: math.Inf(1), why: neverNegative}
	switch t.Subject.Kind {
	case plan.RefProducer:
		switch t.Measure {
		case "late":
			l.ceiling, l.why = 1, "it is a share, 0 to 1"
		case "rate", "sending":
			c.rateLimit(&l, t, r, []*clientState{c.producers[t.Subject.Name]})
		case "denied":
			deniedLimit(&l, c.producers[t.Subject.Name])
		}
	case plan.RefConsumer:
		c.consumerLimits(&l, t, r)
	case plan.RefTopic:
		s := c.topics[t.Subject.Name]
		switch t.Measure {
		case "in_sync":
			l.ceiling, l.why = float64(s.replicas), "a partition of "+s.t.Name+" has "+plural(s.replicas, "replica")
		case "partitions":
			c.partitionLimits(&l, s, r)
		}
	case plan.RefCluster:
		s := c.clusters[t.Subject.Name]
		if t.Measure == "alive" {
			l.ceiling, l.why = float64(len(s.brokers)), s.c.Name+" has "+plural(len(s.brokers), "broker")
		}
	}
	return l
}

func (c *checker) partitionLimits(l *limits, s *topicState, r reach) {
	if s.may || !r.known {
		return
	}
	least, most := math.Inf(1), 0.0
	for _, x := range r.spans {
		lo := x.lo
		if r.moment {
			lo--
		}
		a, b := spanOf(s.parts, lo, x.hi)
		least, most = min(least, a), max(most, b)
	}
	l.ceiling, l.floor = least, most
	if least == most {
		l.why = s.t.Name + " has " + plural(int(least), "partition") + " then"
	} else {
		l.why = s.t.Name + " goes from " + number(least) + " to " + number(most) + " partitions in this window"
		l.hint = "add .at_end(), or a window on one side of the resize"
	}
}

func (c *checker) consumerLimits(l *limits, t *plan.Term, r reach) {
	s := c.consumers[t.Subject.Name]
	switch t.Measure {
	case "denied":
		deniedLimit(l, s)
	case "dropped", "state_size":
		if s.consumer.Dedup == nil {
			l.ceiling, l.why, l.hint = 0, s.name+" has no dedup", "consumer(…, dedup = id_set())"
		}
	case "rate":
		var from []*clientState
		for i := range c.p.Producers {
			if slices.Contains(s.consumer.Topics, c.p.Producers[i].Topic) {
				from = append(from, c.producers[c.p.Producers[i].Name])
			}
		}
		if len(from) > 0 {
			c.rateLimit(l, t, r, from)
		}
	case "members":
		if s.may || !r.known {
			return
		}
		most := 0.0
		for _, x := range r.spans {
			_, m := spanOf(s.members, x.lo, x.hi)
			most = max(most, m)
		}
		l.ceiling, l.why = most, s.name+" has "+plural(int(most), "member")+" then"
	case "idle_members":
		// Only the members beyond the partitions are certain to be idle.
		if s.may || s.disturbed || s.topicsMay() || !r.known || r.moment || c.grows(s) {
			return
		}
		if idle := s.now() - s.partitions(); idle > 0 {
			l.floor, l.why = float64(idle), s.name+" has "+plural(s.now(), "member")+" for "+plural(s.partitions(), "partition")
		}
	}
}

// deniedLimit: where nobody has to say who he is, nobody is denied.
func deniedLimit(l *limits, s *clientState) {
	if at := s.cluster(); at != nil && at.c.Auth == "" {
		l.ceiling, l.why, l.hint = 0, at.c.Name+" has no users", "alice = user("+at.c.Name+")"
	}
}

// firstFault is when something may first hold records back, which then come
// faster than they were due; after the run when nothing does.
func (c *checker) firstFault() plan.Duration {
	first := c.run
	for _, ev := range c.order {
		if !ev.does(func(v plan.Verb) bool { return v != plan.Note && v != plan.SetRate && v != plan.Send && v != plan.Tool }) {
			continue
		}
		if ev.uncertain {
			return 0
		}
		if ev.scheduled {
			first = min(first, ev.start)
		}
	}
	return first
}

// rateLimit: in a bucket no more can come than is due, but for what a fault held
// back; so a window that begins behind a fault sets no limit.
func (c *checker) rateLimit(l *limits, t *plan.Term, r reach, from []*clientState) {
	if t.By != "" && t.By != "all" || !r.known {
		return
	}
	fault := c.firstFault()
	switch t.Bound.Op {
	case plan.NeverBelow:
		if !r.whole && r.spans[0].lo > fault {
			return
		}
	case plan.AtLeast:
		if !r.whole {
			return
		}
	default:
		return
	}
	sum := 0.0
	for _, s := range from {
		if s.producer.MaxRate || s.rateMay {
			return
		}
		least, most := spanOf(s.rates, r.spans[0].lo, r.spans[len(r.spans)-1].hi)
		if fault >= c.run && t.Bound.Op == plan.NeverBelow {
			most = least // nothing is held back that could make up for it
		}
		sum += most
	}
	l.ceiling, l.why = sum, "no more than "+number(sum)+" records a second are due"
}

// checkPossible reports a claim that cannot hold whatever happens, and warns of
// one that cannot fail.
func (c *checker) checkPossible(t *plan.Term, m plan.Measure, r reach) {
	b := t.Bound
	if b.Op == plan.Balanced {
		c.checkBalanced(t)
		return
	}
	l := c.limitsOf(t, m, r)
	never := func() {
		c.errorf(t.Pos, l.hint, "%s: this can never hold: got %s, but %s", t.Measure, boundText(b), l.why)
	}
	always := func(why string) {
		c.warnf(t.Pos, "", "%s: this can never fail: got %s, but %s", t.Measure, boundText(b), why)
	}
	switch b.Op {
	case plan.NeverBelow, plan.AtLeast, plan.Eventually:
		if b.Value > l.ceiling {
			never()
		} else if b.Value <= 0 {
			always(neverNegative)
		}
	case plan.NeverAbove, plan.AtMost:
		if b.Value < l.floor {
			never()
		} else if t.Measure == "late" && b.Value >= 1 {
			always(l.why)
		}
	case plan.Equals:
		if b.Value > l.ceiling || b.Value < l.floor {
			never()
		} else if m.Unit == plan.UnitCount && b.Value != math.Trunc(b.Value) {
			l.why = "it is a whole number"
			never()
		}
	case plan.None:
		if l.floor > 0 {
			never()
		}
	}
}

// boundText gives a bound as it was written.
func boundText(b *plan.Bound) string {
	v := b.Text
	if v == "" {
		v = number(b.Value)
	}
	if b.Op == plan.None {
		return string(b.Op)
	}
	return string(b.Op) + " " + v
}

// checkBalanced holds balanced(each) against what there is to share out at the
// end of the run.
func (c *checker) checkBalanced(t *plan.Term) {
	s := c.consumers[t.Subject.Name]
	if t.Measure != "assignment" || s == nil || t.Bound.Value <= 0 || s.may || s.topicsMay() || s.now() == 0 {
		return
	}
	crashed := len(s.crashed)
	n, members := s.partitions(), s.now()
	if float64(members-crashed)*t.Bound.Value != float64(n) && float64(members)*t.Bound.Value != float64(n) && !s.disturbed {
		c.warnf(t.Pos, "", "assignment: for parameter each: got %s, but %s share %s", number(t.Bound.Value), plural(members, "member"), plural(n, "partition"))
	}
}
