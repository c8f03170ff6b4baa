// This file checks what an action asks of a cluster at its moment, and applies
// it to the model.

package model

import (
	"fmt"
	"slices"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// actErr reports the first mistake of an action. An action that fires again
// would mostly repeat it.
func (c *checker) actErr(a *plan.Action, hint, format string, args ...any) {
	if c.badAction[a] {
		return
	}
	c.badAction[a] = true
	c.errorf(a.Pos, hint, "%s: %s", a.Verb, fmt.Sprintf(format, args...))
}

func (c *checker) actWarn(a *plan.Action, hint, format string, args ...any) {
	if !c.badAction[a] && !c.toldOf[a] {
		c.toldOf[a] = true
		c.warnf(a.Pos, hint, "%s: %s", a.Verb, fmt.Sprintf(format, args...))
	}
}

// apply checks an action at a time that is known and changes the model.
func (c *checker) apply(e *effect, now plan.Duration) {
	a := e.a
	switch a.Verb {
	case plan.Kill, plan.Stop, plan.Restart, plan.PowerOff, plan.Pause, plan.StartNode, plan.Resume:
		for _, r := range a.Targets {
			if r.Kind == plan.RefHit {
				c.undoByHandle(a, r, now)
				continue
			}
			c.nodeVerb(e, r, now)
		}
		c.checkLiving(a, now)
	case plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle:
		c.checkPaths(a)
		c.paths = append(c.paths, e)
	case plan.Heal:
		for _, r := range a.Targets {
			c.undoByHandle(a, r, now)
		}
	case plan.HealAll:
		if len(c.paths) == 0 && !c.pathsMay {
			c.actErr(a, "", "every path is whole at %s", now)
		}
		for _, p := range slices.Clone(c.paths) {
			c.undo(p, now)
		}
	case plan.Resize:
		c.resize(a, now)
	case plan.Scale:
		c.scale(a, now)
	case plan.SetRate:
		c.setRate(a, now)
	case plan.Crash:
		c.crash(e, now)
	case plan.Configure:
		c.configure(a)
	case plan.Elect:
		c.elect(a, now)
	case plan.Move:
		c.move(a)
	case plan.Send:
		c.target(a)
	case plan.FailOver:
		c.failOver(a, now)
	case plan.FailBack:
		c.failBack(a, now)
	case plan.Reroute:
		c.reroute(e, now)
	case plan.Replay:
		c.replay(a, now)
	case plan.ResetOffsets:
		c.resetOffsets(a, now)
	case plan.DeleteRecords:
		if t := c.target(a); t != nil {
			c.offsetsExist(a, t)
		}
	case plan.Delete:
		c.deleteTopic(a, now)
	case plan.Allow, plan.Deny, plan.Revoke:
		c.right(a, now)
	case plan.Tool:
		c.checkTool(a)
	}
}

// target finds the topic that an action is about.
func (c *checker) target(a *plan.Action) *topicState {
	if len(a.Targets) == 0 {
		return nil
	}
	t := c.topics[a.Targets[0].Name]
	if t == nil && !c.badAction[a] {
		c.badAction[a] = true
		unknown(c, a.Pos, string(a.Verb), "topic", a.Targets[0].Name, c.topics)
	}
	if t != nil && t.deleted && !t.may {
		c.actErr(a, "", "%s was deleted at %s", t.t.Name, t.deletedAt)
		return nil
	}
	return t
}

// resize only grows a topic: Kafka's CreatePartitions refuses fewer and as many
// (INVALID_PARTITIONS), because the records of a partition would have nowhere
// to go.
func (c *checker) resize(a *plan.Action, now plan.Duration) {
	t := c.target(a)
	if t == nil {
		return
	}
	if have := t.now(); a.Partitions <= have && !t.may {
		why := "Kafka cannot take partitions away"
		if a.Partitions == have {
			why = "it has as many already"
		}
		c.actErr(a, "", "for parameter partitions: got %d, want more than %d at %s: %s", a.Partitions, have, now, why)
		t.may = true // how many were meant is not known: claims are left alone
		return
	}
	t.parts = append(t.parts, change{now, float64(a.Partitions)})
	t.most = max(t.most, a.Partitions)
}

func (c *checker) scale(a *plan.Action, now plan.Duration) {
	for _, r := range a.Targets {
		s := c.client(r.Name)
		if s == nil {
			continue
		}
		s.disturbed = true
		if s.now() == a.Members && !s.may {
			c.actWarn(a, "", "%s has %s already at %s", s.name, plural(a.Members, "member"), now)
		}
		if n := s.partitions(); s.producer != nil && s.producer.Owns && a.Members > n && !s.topicsMay() {
			c.actErr(a, "", "%s owns partitions, and of %s for %s at %s some would have none", s.name, plural(a.Members, "member"), plural(n, "partition"), now)
			continue
		}
		if n := s.partitions(); s.consumer != nil && a.Members > n && !s.topicsMay() && !s.abroadMay {
			c.actWarn(a, "", "got %s for %s at %s: %s will be idle",
				plural(a.Members, "member"), plural(n, "partition"), now, plural(a.Members-n, "member"))
		}
		s.members = append(s.members, change{now, float64(a.Members)})
		s.most = max(s.most, a.Members)
		for i := range s.crashed {
			if i > a.Members {
				delete(s.crashed, i)
			}
		}
	}
}

func (s *clientState) topicsMay() bool {
	return slices.ContainsFunc(s.topics, func(t *topicState) bool { return t.may })
}

func (c *checker) setRate(a *plan.Action, now plan.Duration) {
	for _, r := range a.Targets {
		s := c.producers[r.Name]
		if s == nil {
			continue
		}
		if last(s.rates) == a.Rate && !s.rateMay && (!s.producer.MaxRate || len(s.rates) > 1) {
			c.actWarn(a, "", "%s has a rate of %s already at %s", s.name, number(a.Rate), now)
		}
		s.rates = append(s.rates, change{now, a.Rate})
	}
}

func (c *checker) crash(e *effect, now plan.Duration) {
	for _, r := range e.a.Targets {
		s := c.client(r.Name)
		if s == nil {
			continue
		}
		s.disturbed = true
		e.client, e.since = s, now
		first, end := r.Index, r.Index
		if r.Kind != plan.RefMember {
			first, end = 1, s.now()
		}
		if r.Kind == plan.RefMember && !c.hasMember(e.a, s, r.Index, c.membersNow(s), "at "+now.String()) {
			continue
		}
		hit := 0
		for i := first; i <= end; i++ {
			if s.crashed[i] == nil {
				s.crashed[i] = e
				e.crashed = append(e.crashed, i)
				hit++
			}
		}
		if hit == 0 && !s.may {
			if r.Kind == plan.RefMember {
				c.actErr(e.a, "", "%s is down already at %s", memberName(s, r.Index), now)
			} else {
				c.actErr(e.a, "", "%s has no member left at %s", s.name, now)
			}
		}
	}
}

func memberName(s *clientState, i int) string { return fmt.Sprintf("member %d of %s", i, s.name) }

// hasMember reports whether a client has a member when it has so many.
func (c *checker) hasMember(a *plan.Action, s *clientState, i, have int, when string) bool {
	if i >= 1 && i <= have {
		return true
	}
	switch have {
	case 0:
		c.actErr(a, "", "%s has no members %s", s.name, when)
	case 1:
		c.actErr(a, "", "got member %d of %s, want 1, its only member %s", i, s.name, when)
	default:
		c.actErr(a, "", "got member %d of %s, want 1 to %d %s", i, s.name, have, when)
	}
	return false
}

// partition reports whether a topic has a partition at the present moment.
func (c *checker) partition(a *plan.Action, t *topicState, p int) bool {
	n := t.limit()
	if p >= 0 && p < n {
		return true
	}
	hint := ""
	if p < t.mostEver(c) {
		hint = "it is resized later: move this behind the resize"
	}
	if n == 1 {
		c.actErr(a, hint, "got partition %d of %s, want 0, its only partition at this time", p, t.t.Name)
	} else {
		c.actErr(a, hint, "got partition %d of %s, want 0 to %d at this time", p, t.t.Name, n-1)
	}
	return false
}

// mostEver is the greatest number of partitions that the plan gives a topic.
func (t *topicState) mostEver(c *checker) int {
	n := t.most
	for _, s := range c.order {
		for i := range s.e.Actions {
			a := &s.e.Actions[i]
			if a.Verb == plan.Resize && len(a.Targets) > 0 && a.Targets[0].Name == t.t.Name {
				n = max(n, a.Partitions)
			}
		}
	}
	return n
}

// elect: Kafka answers ELECTION_NOT_NEEDED to an unclean election of partitions
// that have a leader.
func (c *checker) elect(a *plan.Action, now plan.Duration) {
	t := c.target(a)
	if t == nil || a.Partition != -1 && !c.partition(a, t, a.Partition) {
		return
	}
	if a.Elect == "unclean" && t.cluster != nil && !c.pathsMay && len(c.paths) == 0 && len(t.cluster.hidden) == 0 &&
		!slices.ContainsFunc(t.cluster.nodes, func(n *node) bool { return n.state != running || n.may }) {
		c.actWarn(a, `kind = "preferred" gives leadership back to the first replica`,
			"every partition of %s has a leader at %s, so no unclean election is needed", t.t.Name, now)
	}
}

func (c *checker) move(a *plan.Action) {
	t := c.target(a)
	if t == nil || t.cluster == nil || c.badAction[a] {
		return
	}
	for _, p := range sortedKeys(a.Placement) {
		if !c.partition(a, t, p) {
			return
		}
		ids := a.Placement[p]
		if !c.checkReplicaList(a.Pos, "move", p, ids, t.cluster) {
			c.badAction[a] = true
			return
		}
		for _, id := range ids {
			if n := t.cluster.byID[id]; n.state != running && !n.unsure() {
				c.actWarn(a, "", "%s is down then, so this move cannot be completed", n.label())
			}
		}
		t.replicas = max(t.replicas, len(ids))
	}
	if a.Off == nil {
		// While a reassignment goes on, old and new replicas may lead.
		for p := range a.Placement {
			delete(t.placement, p)
		}
		return
	}
	clear(t.placement)
	nodes, count, ok := c.resolve(a, *a.Off)
	if !ok {
		return
	}
	left := len(t.cluster.brokers) - max(1, count)
	if len(nodes) > 0 && nodes[0].cluster != t.cluster {
		c.actErr(a, "", "%s is not in %s, the cluster of %s", nodes[0].label(), t.cluster.c.Name, t.t.Name)
		return
	}
	if left < t.t.Replicas {
		c.actErr(a, "", "%s has %s and %s would be left for them", t.t.Name, plural(t.t.Replicas, "replica"), plural(left, "broker"))
	}
}

// undoByHandle is start, resume or heal of whatever an event hit.
func (c *checker) undoByHandle(a *plan.Action, r plan.Ref, now plan.Duration) {
	of := c.events[r.Name]
	if of == nil {
		unknown(c, a.Pos, string(a.Verb), "event", r.Name, c.events)
		return
	}
	if of.bad || !c.undoes(a, of) {
		return
	}
	if of.uncertain {
		return
	}
	if of.fired == 0 {
		switch {
		case of.scheduled:
			c.actErr(a, "", "%s has not happened yet at %s: it is at %s", of.name(), now, of.start)
		default:
			c.actErr(a, "", "%s has not happened yet at %s", of.name(), now)
		}
		return
	}
	did := false
	for _, e := range slices.Clone(of.effects) {
		if undoneBy(e.a.Verb) != a.Verb {
			continue
		}
		if !e.undone {
			did = true
			c.undo(e, now)
		}
	}
	if !did && !c.anyMay(of) {
		done := map[plan.Verb]string{plan.StartNode: "is running", plan.Resume: "goes on", plan.Heal: "is whole"}[a.Verb]
		var since plan.Duration
		for _, e := range of.acts {
			if undoneBy(e.a.Verb) == a.Verb {
				since = max(since, e.undoneAt)
			}
		}
		c.actErr(a, "", "what %s hit %s already at %s, since %s", of.name(), done, now, since)
	}
}

// anyMay reports whether an event of unknown time touches what of hit.
func (c *checker) anyMay(of *eventState) bool {
	if of.mayEnd || c.pathsMay {
		return true
	}
	for _, e := range of.acts {
		if slices.ContainsFunc(e.nodes, (*node).unsure) {
			return true
		}
	}
	return false
}

// undoes reports whether an event did something that a verb takes back.
func (c *checker) undoes(a *plan.Action, of *eventState) bool {
	var verbs, better []string
	for i := range of.e.Actions {
		v := of.e.Actions[i].Verb
		u := undoneBy(v)
		if u == a.Verb {
			return true
		}
		verbs = append(verbs, string(v))
		if u != "" && !slices.Contains(better, string(u)) {
			better = append(better, string(u))
		}
	}
	hint := ""
	if len(better) > 0 {
		hint = "use " + spell.List(better)
	}
	want := map[plan.Verb]string{
		plan.StartNode: "an event that took nodes down",
		plan.Resume:    "an event that paused nodes",
		plan.Heal:      "an event that worsened a path",
	}[a.Verb]
	c.actErr(a, hint, "%s did %s, want %s", of.name(), andList(verbs), want)
	return false
}

func andList(s []string) string {
	switch len(s) {
	case 0:
		return "nothing"
	case 1:
		return s[0]
	}
	return fmt.Sprintf("%s and %s", s[0], andList(s[1:]))
}
