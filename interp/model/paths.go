// This file checks faults of the network: who stands on which side, and whether
// anything passes between them.

package model

import (
	"slices"

	"starfall/interp/plan"
)

// place is one end of a path: a node, a member of a client, the relay that a
// client goes through, or a mirror.
type place struct {
	node   *node
	client *clientState
	member int  // 0: all members
	relay  bool // the client's relay, not the client
	mirror *mirrorState
}

func (p place) name() string {
	switch {
	case p.node != nil:
		return p.node.label()
	case p.mirror != nil:
		return p.mirror.m.Name
	case p.relay:
		return "the relay of " + p.client.name
	case p.member > 0:
		return memberName(p.client, p.member)
	}
	return p.client.name
}

func (p place) cluster() *clusterState {
	switch {
	case p.node != nil:
		return p.node.cluster
	case p.client != nil:
		return p.client.cluster()
	}
	return nil
}

// same reports whether two places have something in common.
func (p place) same(o place) bool {
	if p.node != nil || o.node != nil {
		return p.node == o.node
	}
	if p.mirror != nil || o.mirror != nil {
		return p.mirror == o.mirror
	}
	return p.client == o.client && p.relay == o.relay && (p.member == o.member || p.member == 0 || o.member == 0)
}

// talks reports whether anything passes between two places when all is well:
// nodes of one cluster talk to each other, clients and their relays to the nodes
// of theirs and to one another, mirrors to the nodes of both of theirs. Where a
// client may be at some other cluster, it may talk to that.
func (p place) talks(o place) bool {
	switch {
	case p.mirror != nil:
		return o.node != nil && (o.node.cluster == p.mirror.from || o.node.cluster == p.mirror.to)
	case o.mirror != nil:
		return o.talks(p)
	case p.client != nil && o.client != nil:
		return p.client == o.client && p.relay != o.relay
	case p.client != nil && p.client.abroadMay, o.client != nil && o.client.abroadMay:
		return true
	}
	return p.cluster() != nil && p.cluster() == o.cluster() && (p.node != nil || o.node != nil)
}

// group gives the places of a group; sure is false when a selector is among
// them, whose place is known only when the event fires.
func (c *checker) group(a *plan.Action, refs []plan.Ref) (places []place, sure, ok bool) {
	sure = true
	for _, r := range refs {
		switch r.Kind {
		case plan.RefSite:
			if !c.sites[r.Name] {
				if !c.badAction[a] {
					unknown(c, a.Pos, string(a.Verb), "site", r.Name, c.sites)
					c.badAction[a] = true
				}
				return nil, false, false
			}
			here := c.standing(r.Name)
			if len(here) == 0 {
				c.actErr(a, "", "nobody stands in %s", r.Name)
				return nil, false, false
			}
			places = append(places, here...)
		case plan.RefProducer, plan.RefConsumer:
			if s := c.client(r.Name); s != nil {
				places = append(places, place{client: s})
			}
		case plan.RefMember:
			s := c.client(r.Name)
			if s == nil {
				continue
			}
			if !c.hasMember(a, s, r.Index, c.membersNow(s), "at this time") {
				return nil, false, false
			}
			places = append(places, place{client: s, member: r.Index})
		default:
			from, count, ok := c.resolve(a, r)
			if !ok {
				return nil, false, false
			}
			if count < len(from) {
				sure = false
				continue
			}
			for _, n := range from {
				places = append(places, place{node: n})
			}
		}
	}
	return places, sure, true
}

// standing gives everything in a site; "" is everything there is.
func (c *checker) standing(site string) []place {
	var out []place
	for i := range c.p.Clusters {
		for _, n := range c.clusters[c.p.Clusters[i].Name].nodes {
			if site == "" || n.Site == site {
				out = append(out, place{node: n})
			}
		}
	}
	for i := range c.p.Producers {
		if s := c.producers[c.p.Producers[i].Name]; site == "" || s.site == site {
			out = append(out, place{client: s})
		}
	}
	for i := range c.p.Consumers {
		if s := c.consumers[c.p.Consumers[i].Name]; site == "" || s.site == site {
			out = append(out, place{client: s})
		}
	}
	for i := range c.p.Mirrors {
		if m := &c.p.Mirrors[i]; site == "" || m.Site == site {
			out = append(out, place{mirror: c.mirrors[m.Name]})
		}
	}
	for _, s := range c.clients() {
		if via := c.relaySites(s); len(via) > 0 && (site == "" || slices.Contains(via, site)) {
			out = append(out, place{client: s, relay: true})
		}
	}
	return out
}

// clients gives producers and consumers in the order of the plan.
func (c *checker) clients() []*clientState {
	var out []*clientState
	for i := range c.p.Producers {
		out = append(out, c.producers[c.p.Producers[i].Name])
	}
	for i := range c.p.Consumers {
		out = append(out, c.consumers[c.p.Consumers[i].Name])
	}
	return out
}

// relaySites gives the sites through which a client may go at present.
func (c *checker) relaySites(s *clientState) []string {
	var out []string
	if via := s.via(); via != "" {
		out = append(out, via)
	}
	if !s.viaMay {
		return out
	}
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			a := &ev.e.Actions[i]
			if a.Verb == plan.Reroute && slices.ContainsFunc(a.Targets, func(r plan.Ref) bool { return r.Name == s.name }) {
				out = append(out, a.Via)
			}
		}
	}
	return out
}

// checkPaths checks netsplit, slow, lose and throttle.
func (c *checker) checkPaths(a *plan.Action) {
	if a.Verb != plan.Netsplit && a.Condition == (plan.Condition{}) {
		c.actErr(a, "", "nothing gets worse: latency, jitter, loss and bandwidth are all zero")
		return
	}
	sides := make([][]place, 0, len(a.Groups)+1)
	sure := true
	for _, g := range a.Groups {
		places, known, ok := c.group(a, g)
		if !ok {
			return
		}
		sure = sure && known
		sides = append(sides, places)
	}
	if len(sides) == 0 {
		return
	}
	if len(sides) == 1 {
		if !sure {
			return
		}
		rest := slices.DeleteFunc(c.standing(""), func(p place) bool {
			return slices.ContainsFunc(sides[0], func(o place) bool { return o.same(p) && (o.member == 0 || o == p) })
		})
		if len(rest) == 0 {
			c.actErr(a, "name two groups of places, or give the brokers sites of their own", "this cuts nothing: everything is on one side")
			return
		}
		sides = append(sides, rest)
	} else if c.overlap(a, sides) {
		return
	}
	if sure && !anyTalks(sides) {
		c.actWarn(a, "", "nothing passes between these places anyway: a client talks only to the brokers of its cluster, a mirror to those of two")
	}
}

// overlap reports places that are on two sides. Sites are looked up in a set;
// only members of clients need a comparison in pairs.
func (c *checker) overlap(a *plan.Action, sides [][]place) bool {
	nodes := make(map[*node]int)
	clients := make(map[*clientState][]place)
	mirrors := make(map[*mirrorState]int)
	side := make(map[place]int)
	for i, places := range sides {
		for _, p := range places {
			if p.node != nil {
				if at, ok := nodes[p.node]; ok && at != i {
					c.actErr(a, "", "%s is on both sides", p.name())
					return true
				}
				nodes[p.node] = i
				continue
			}
			if p.mirror != nil {
				if at, ok := mirrors[p.mirror]; ok && at != i {
					c.actErr(a, "", "%s is on both sides", p.name())
					return true
				}
				mirrors[p.mirror] = i
				continue
			}
			for _, o := range clients[p.client] {
				if side[o] != i && o.same(p) {
					c.actErr(a, "", "%s is on both sides", p.name())
					return true
				}
			}
			clients[p.client] = append(clients[p.client], p)
			side[p] = i
		}
	}
	return false
}

// anyTalks reports whether anything passes between different sides.
func anyTalks(sides [][]place) bool {
	for i, a := range sides {
		for _, b := range sides[i+1:] {
			for _, p := range a {
				if slices.ContainsFunc(b, p.talks) {
					return true
				}
			}
		}
	}
	return false
}

// membersNow is the number of members that a client may have at present.
func (c *checker) membersNow(s *clientState) int {
	if s.may {
		return s.most
	}
	return s.now()
}
