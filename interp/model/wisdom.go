// This file warns of plans that are possible but unwise: a claim of no loss over
// settings that allow loss, and the like.

package model

import (
	"fmt"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// risks is what a plan does that can bring loss about.
type risks struct {
	faults   bool // nodes go down or paths get worse
	powerOff bool // what was not flushed is gone
}

func (c *checker) risks() risks {
	var r risks
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			v := ev.e.Actions[i].Verb
			r.faults = r.faults || takesNodes(v) || cutsPaths(v)
			r.powerOff = r.powerOff || v == plan.PowerOff
		}
	}
	return r
}

// checkWisdom looks at each claim that must hold and demands zero.
func (c *checker) checkWisdom() {
	r := c.risks()
	told := make(map[string]bool)
	once := func(key string) bool {
		first := !told[key]
		told[key] = true
		return first
	}
	for i := range c.p.Claims {
		cl := &c.p.Claims[i]
		if cl.Kind == plan.Report {
			continue
		}
		terms(&cl.Expr, holds, func(t *plan.Term, s sense) {
			if s != holds || t.Bound == nil || !demandsZero(t.Bound) || !c.has(t) {
				return
			}
			said := fmt.Sprintf("%s (%s)", t.Measure, cl.Pos.Short())
			switch t.Subject.Kind {
			case plan.RefTopic:
				if t.Measure == "lost" {
					c.warnLoss(c.topics[t.Subject.Name], said, r, once)
				}
				c.warnUnwritten(t, []*topicState{c.topics[t.Subject.Name]})
			case plan.RefConsumer:
				c.warnConsumer(t, c.consumers[t.Subject.Name], said, r, once)
			}
		})
	}
}

// has reports whether the plan has the subject; that it has not is reported
// with the claim.
func (c *checker) has(t *plan.Term) bool {
	switch t.Subject.Kind {
	case plan.RefTopic:
		return c.topics[t.Subject.Name] != nil
	case plan.RefConsumer:
		return c.consumers[t.Subject.Name] != nil
	}
	return false
}

func (c *checker) warnConsumer(t *plan.Term, s *clientState, said string, r risks, once func(string) bool) {
	x := s.consumer
	switch t.Measure {
	case "lost", "missing":
		for _, ts := range s.topics {
			c.warnLoss(ts, said, r, once)
		}
	}
	switch t.Measure {
	case "missing", "undelivered":
		if x.Start == "latest" && once("latest "+x.Name) {
			c.warnf(x.Pos, `start = "earliest"`, "consumer: start is latest, so what comes before its first fetch, or to a new partition, is skipped: under %s", said)
		}
		if x.Commit == "before" && s.disturbed && once("before "+x.Name) {
			c.warnf(x.Pos, `commit = "after"`, "consumer: commit is before the work, so a member that goes takes what it had not done: under %s", said)
		}
	case "duplicates":
		for i := range c.p.Producers {
			p := &c.p.Producers[i]
			if p.Transaction > 0 && x.Isolation == "" && slices.Contains(x.Topics, p.Topic) && once("isolation "+x.Name) {
				c.warnf(x.Pos, `isolation = "read_committed"`, "consumer: isolation is read_uncommitted, so what %s aborts and sends again is read twice: under %s", p.Name, said)
			}
		}
		if x.Commit == "none" && s.disturbed && once("none "+x.Name) {
			c.warnf(x.Pos, `commit = "after"`, "consumer: commit is none, so whoever takes a partition over begins anew: under %s", said)
		}
	}
	c.warnUnwritten(t, s.topics)
}

// warnUnwritten: a fate of records of which there are none is always zero.
func (c *checker) warnUnwritten(t *plan.Term, topics []*topicState) {
	m, _ := plan.MeasureOf(t.Subject.Kind, t.Measure)
	if m.Family != plan.FamilyFate || len(topics) == 0 {
		return
	}
	needsAck := t.Measure == "lost" || t.Measure == "missing" || t.Measure == "undelivered" || t.Measure == "pending"
	unacked := false
	for i := range c.p.Producers {
		for _, ts := range topics {
			if ts == nil || c.p.Producers[i].Topic != ts.t.Name {
				continue
			}
			if !needsAck || c.p.Producers[i].Acks != "0" {
				return
			}
			unacked = true
		}
	}
	switch {
	case unacked:
		c.warnf(t.Pos, "", "%s: this can never fail: with acks 0 no record is ever acknowledged", t.Measure)
	case t.Subject.Kind == plan.RefTopic: // of a consumer it is said where it is declared
		c.warnf(t.Pos, "", "%s: this can never fail: no producer writes to %s", t.Measure, t.Subject.Name)
	}
}

// warnLoss warns of what allows the loss of acknowledged records of a topic.
func (c *checker) warnLoss(t *topicState, said string, r risks, once func(string) bool) {
	if t == nil {
		return
	}
	for i := range c.p.Producers {
		x := &c.p.Producers[i]
		if x.Topic == t.t.Name && x.Acks == "1" && once("acks "+x.Name) {
			c.warnf(x.Pos, `acks = "all"`, "producer: with acks 1 a record is acknowledged that only the leader has: under %s", said)
		}
	}
	least := int64(t.t.MinInsync)
	if v, ok := intValue(t.t.Config, "min.insync.replicas"); ok {
		least = v
	}
	switch {
	case t.t.Replicas > 1 && least <= 1 && r.faults && once("insync "+t.t.Name):
		c.warnf(t.t.Pos, "min_insync = 2", "topic: with min_insync 1 a record is acknowledged that one replica has, if the others are out of sync: under %s", said)
	case t.t.Replicas == 1 && r.powerOff && once("replica "+t.t.Name):
		c.warnf(t.t.Pos, "replicas = 3", "topic: with 1 replica a host that loses power takes records with it: under %s", said)
	}
	if c.unclean(t) && once("unclean "+t.t.Name) {
		c.warnf(t.t.Pos, "", "topic: an unclean election gives up what the new leader has not: under %s", said)
	}
}

// unclean reports whether a leader from outside the in-sync set may be elected.
func (c *checker) unclean(t *topicState) bool {
	const name = "unclean.leader.election.enable"
	on := func(config map[string]string) bool { return strings.EqualFold(strings.TrimSpace(config[name]), "true") }
	if _, own := t.t.Config[name]; own {
		if on(t.t.Config) {
			return true
		}
	} else if t.cluster != nil && on(t.cluster.c.Config) {
		return true
	}
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			a := &ev.e.Actions[i]
			if len(a.Targets) == 0 || a.Targets[0].Name != t.t.Name {
				continue
			}
			if a.Verb == plan.Elect && a.Elect == "unclean" || a.Verb == plan.Configure && on(a.Config) {
				return true
			}
		}
	}
	return false
}
