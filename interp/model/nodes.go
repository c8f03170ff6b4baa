// This file resolves the targets of actions to nodes and applies verbs to them.

package model

import (
	"fmt"
	"slices"

	"starfall/interp/plan"
)

// resolve gives the nodes that a target means. When a selector leaves open
// which, from has more than it hits; count says how many those are. It is false
// when a mistake was reported or the plan lacks what is named.
func (c *checker) resolve(a *plan.Action, r plan.Ref) (from []*node, count int, ok bool) {
	switch r.Kind {
	case plan.RefBroker, plan.RefCtlNode, plan.RefZooKeeper, plan.RefBrokers, plan.RefCluster, plan.RefControl, plan.RefAnyBroker:
		return c.resolveInCluster(a, r)
	case plan.RefSite:
		var in []*node
		for i := range c.p.Clusters {
			for _, n := range c.clusters[c.p.Clusters[i].Name].nodes {
				if n.Site == r.Name {
					in = append(in, n)
				}
			}
		}
		if len(in) == 0 {
			c.actErr(a, "", "no broker stands in %s", r.Name)
		}
		return in, len(in), len(in) > 0
	case plan.RefLeader, plan.RefFollower, plan.RefReplicas:
		return c.resolveReplica(a, r)
	case plan.RefCoord:
		s := c.consumers[r.Name]
		if s == nil || s.cluster() == nil || s.abroadMay {
			return nil, 0, false
		}
		return s.cluster().brokers, min(1, len(s.cluster().brokers)), true
	}
	return nil, 0, false
}

func (c *checker) resolveInCluster(a *plan.Action, r plan.Ref) (from []*node, count int, ok bool) {
	s := c.clusters[r.Name]
	if s == nil {
		unknown(c, a.Pos, string(a.Verb), "cluster", r.Name, c.clusters)
		return nil, 0, false
	}
	one := func(id int32, role string, total int) ([]*node, int, bool) {
		if n := s.byID[id]; n != nil && r.Index >= 1 {
			return []*node{n}, 1, true
		}
		if total == 0 {
			c.actErr(a, "", "%s has no %s", s.c.Name, role)
		} else {
			c.actErr(a, "", "got %s %d of %s, want 1 to %d", role, r.Index, s.c.Name, total)
		}
		return nil, 0, false
	}
	separate := func(role plan.Role) int {
		n := 0
		for _, x := range s.nodes {
			if x.Role == role {
				n++
			}
		}
		return n
	}
	switch r.Kind {
	case plan.RefBroker:
		if n := s.byID[int32(r.Index)]; n != nil && slices.Contains(s.brokers, n) {
			return []*node{n}, 1, true
		}
		c.actErr(a, "", "got broker %d, want %s", r.Index, s.brokerRange())
		return nil, 0, false
	case plan.RefCtlNode:
		return one(int32(plan.FirstControllerID+r.Index-1), "separate controller", separate(plan.RoleController))
	case plan.RefZooKeeper:
		return one(int32(plan.FirstZooKeeperID+r.Index-1), "ZooKeeper node", separate(plan.RoleZooKeeper))
	case plan.RefBrokers:
		return s.brokers, len(s.brokers), len(s.brokers) > 0
	case plan.RefCluster:
		return s.nodes, len(s.nodes), len(s.nodes) > 0
	case plan.RefControl:
		from := s.controllers()
		return from, min(1, len(from)), len(from) > 0
	}
	return s.brokers, min(1, len(s.brokers)), len(s.brokers) > 0
}

func (c *checker) resolveReplica(a *plan.Action, r plan.Ref) (from []*node, count int, ok bool) {
	t := c.topics[r.Name]
	if t == nil {
		unknown(c, a.Pos, string(a.Verb), "topic", r.Name, c.topics)
		return nil, 0, false
	}
	if t.deleted && !t.may {
		c.actErr(a, "", "%s was deleted at %s", t.t.Name, t.deletedAt)
		return nil, 0, false
	}
	if !c.partition(a, t, r.Index) || t.cluster == nil {
		return nil, 0, false
	}
	from = t.hosts(r.Index)
	if len(from) == 0 {
		return nil, 0, false
	}
	switch r.Kind {
	case plan.RefReplicas:
		return from, min(len(from), t.t.Replicas), true
	case plan.RefFollower:
		if t.replicas < 2 {
			c.actErr(a, "", "%s has 1 replica a partition, so no followers", t.t.Name)
			return nil, 0, false
		}
	}
	return from, 1, true
}

// nodeVerb applies a verb to a target. A target that means several nodes is
// wrong only when the verb can be applied to none of them.
func (c *checker) nodeVerb(e *effect, r plan.Ref, now plan.Duration) {
	a := e.a
	from, count, ok := c.resolve(a, r)
	if !ok {
		return
	}
	if count < len(from) {
		c.selectorVerb(e, r, from, count, now)
		return
	}
	var why, hint string
	var who *node
	did := false
	for _, n := range from {
		next, w, h := transition(a.Verb, n.state)
		unsure := n.unsure()
		if w != "" && !unsure {
			if who == nil {
				who, why, hint = n, w, h
			}
			continue
		}
		did = true
		if w == "" {
			c.enter(n, next, e, now, !unsure)
		}
		if unsure && (a.Verb == plan.StartNode || a.Verb == plan.Resume) {
			for _, h := range n.cluster.hidden {
				h.may = h.may || slices.Contains(h.from, n)
			}
		}
	}
	if !did && who != nil {
		since := ""
		if who.by != nil {
			since = ", since " + who.by.ev.name() + " at " + who.since.String()
		} else if who.since > 0 {
			since = ", since " + who.since.String()
		}
		c.actErr(a, hint, "%s %s at %s%s", who.label(), why, now, since)
	}
}

// enter brings a node into a state. What it leaves behind is undone, with the
// event that had brought it there once all of its nodes are back.
func (c *checker) enter(n *node, next state, e *effect, now plan.Duration, sure bool) {
	before := n.by
	n.state, n.since, n.sure, n.by = next, now, sure, e
	if next != running {
		e.nodes = append(e.nodes, n)
	} else {
		n.by = nil
	}
	if before != nil && before != e {
		// Taken further down (a paused node is killed), the earlier event can
		// no longer be undone for this node; started, it is.
		before.nodes = slices.DeleteFunc(before.nodes, func(x *node) bool { return x == n })
		if len(before.nodes) == 0 && before.hidden == nil {
			c.undo(before, now)
		}
	}
	n.cluster.recount()
}

// selectorVerb applies a verb to count nodes out of several.
func (c *checker) selectorVerb(e *effect, r plan.Ref, from []*node, count int, now plan.Duration) {
	a := e.a
	cl := from[0].cluster
	switch a.Verb {
	case plan.StartNode:
		if r.Kind != plan.RefReplicas {
			c.actErr(a, "name the broker, or the handle of the event that took it down", "%s finds a node that is running", selectorName(r))
			return
		}
		for _, h := range cl.hidden {
			h.may = true
		}
		for _, n := range from {
			n.may = true
		}
		return
	case plan.Resume:
		if !slices.ContainsFunc(from, func(n *node) bool { return n.state == paused || n.unsure() }) {
			c.actErr(a, "", "%s finds no paused node at %s", selectorName(r), now)
			return
		}
		for _, n := range from {
			n.may = true
		}
		return
	}
	if up(from) <= 0 {
		c.actErr(a, "", "%s finds no node at %s: all are down", selectorName(r), now)
		return
	}
	if living := slices.DeleteFunc(slices.Clone(from), func(n *node) bool { return (n.state == dead || n.state == off) && !n.unsure() }); len(living) == 1 && count == 1 && !living[0].unsure() {
		// Only one is left, so it is known who is hit.
		if next, why, _ := transition(a.Verb, living[0].state); why == "" {
			c.enter(living[0], next, e, now, true)
		}
		return
	}
	st, _, _ := transition(a.Verb, running)
	h := &hidden{from: from, count: count, state: st}
	if e.hidden == nil {
		e.hidden = h
		cl.hidden = append(cl.hidden, h)
		return
	}
	// A second selector of the same action: one hidden set holds both.
	if e.hidden.from[0].cluster == cl {
		e.hidden.count += count
		for _, n := range from {
			if !slices.Contains(e.hidden.from, n) {
				e.hidden.from = append(slices.Clone(e.hidden.from), n)
			}
		}
	}
}

func selectorName(r plan.Ref) string {
	switch r.Kind {
	case plan.RefAnyBroker:
		return r.Name + ".any_broker()"
	case plan.RefCoord:
		return r.Name + ".coordinator()"
	case plan.RefControl:
		return r.Name + ".controller()"
	}
	return fmt.Sprintf("%s.%s(partition = %d)", r.Name, r.Kind, r.Index)
}

// recount forgets that too much of a cluster was down, once it is up again.
func (s *clusterState) recount() {
	if s.quorumLost && down(s.voters)*2 < len(s.voters) {
		s.quorumLost = false
	}
	if s.dark && down(s.brokers) < len(s.brokers) {
		s.dark = false
	}
}

// checkLiving warns when a cluster loses more than it can. One node on its own
// is not worth a word: that it is gone is what the scenario is about.
func (c *checker) checkLiving(a *plan.Action, now plan.Duration) {
	for i := range c.p.Clusters {
		s := c.clusters[c.p.Clusters[i].Name]
		if n := len(s.voters); n > 1 && !s.quorumLost {
			if d := down(s.voters); d*2 >= n {
				s.quorumLost = true
				c.actWarn(a, "cluster(controllers = 3) keeps the quorum apart from the brokers",
					"%d of %d voters of %s are down at %s, and the %s goes with them: nothing is elected, fenced or taken out of the in-sync set", d, n, s.c.Name, now, s.quorum)
			}
		}
		if len(s.brokers) > 1 && !s.dark && down(s.brokers) >= len(s.brokers) {
			s.dark = true
			c.actWarn(a, "", "every broker of %s is down at %s", s.c.Name, now)
		}
	}
}
