// This file defines how network faults add up: the faults that are active,
// over the links of the plan, give the condition of every directed path
// between nodes and client members. It is pure; shape.go applies the outcome.

package runtime

import (
	"cmp"
	"slices"

	"starfall/interp/plan"
)

// end is an endpoint with the site it stands in.
type end struct {
	Endpoint
	site  string
	relay bool
}

// client tells whether the endpoint is a client member, a mirror, a relay or a
// stranger.
func (e end) client() bool { return e.Node.ID == 0 }

// carries tells whether anything goes from one endpoint to another: between two
// clients only to and from a relay.
func carries(from, to end) bool {
	return from.Endpoint != to.Endpoint && (!from.client() || !to.client() || from.relay != to.relay)
}

// pathFault is one active netsplit, slow, lose or throttle. Its groups hold
// places: sites, brokers and other nodes, clients and members; selectors have
// been resolved. One group alone stands against everything else.
type pathFault struct {
	groups  [][]spot
	oneWay  bool // only packets from the first group are hit
	between plan.Condition
}

// spot is a place that holds endpoints, those of later members included.
// Exactly one of its fields is set, except that a member has Client and Member.
type spot struct {
	Site   string
	Node   NodeKey
	Client string
	Member int // 0: all members of Client
}

// holds tells how closely a spot names an endpoint: 0 not at all, 1 by its
// site, 2 by its client, 3 itself.
func (s spot) holds(e end) int {
	switch {
	case s.Site != "" && s.Site == e.site:
		return 1
	case s.Node.ID != 0 && s.Node == e.Node:
		return 3
	case s.Client != "" && s.Client == e.Place.Client && s.Member == 0:
		return 2
	case s.Client != "" && s.Client == e.Place.Client && s.Member == e.Place.Member:
		return 3
	}
	return 0
}

// group gives the index of the group that an endpoint is in, or -1. When
// several name it, the closest does: netsplit(dc1, kafka.broker(2)) with
// broker 2 in dc1 cuts that broker off from the rest of its site. With one
// group, everything else is group 1.
func (f pathFault) group(e end) int {
	best, at := 0, -1
	for i, g := range f.groups {
		for _, s := range g {
			if n := s.holds(e); n > best {
				best, at = n, i
			}
		}
	}
	if at < 0 && len(f.groups) == 1 {
		return 1
	}
	return at
}

// hits tells whether the fault worsens the path from one endpoint to another.
func (f pathFault) hits(from, to end) bool {
	a, b := f.group(from), f.group(to)
	if a < 0 || b < 0 || a == b {
		return false
	}
	return !f.oneWay || a == 0
}

// compose gives the condition of a path under two conditions at once:
//
//	cut        either cuts
//	latency    adds
//	jitter     adds
//	loss       a packet must survive both
//	bandwidth  the narrower one
func compose(a, b plan.Condition) plan.Condition {
	out := plan.Condition{
		Cut:       a.Cut || b.Cut,
		Latency:   a.Latency + b.Latency,
		Jitter:    a.Jitter + b.Jitter,
		Loss:      a.Loss + b.Loss - a.Loss*b.Loss,
		Bandwidth: a.Bandwidth,
	}
	if b.Bandwidth > 0 && (a.Bandwidth == 0 || b.Bandwidth < a.Bandwidth) {
		out.Bandwidth = b.Bandwidth
	}
	return out
}

// matrix gives every directed path that is not whole, sorted, so that equal
// states compare equal. Paths that carry nothing are left out. Routes holds the
// site of the relay of each client that goes through one which is no endpoint:
// its packets take the conditions of both ways.
func matrix(links []plan.Link, faults []pathFault, ends []end, routes map[string]string) []Path {
	base := make(map[[2]string]plan.Condition, 2*len(links))
	for _, l := range links {
		base[[2]string{l.A, l.B}] = compose(base[[2]string{l.A, l.B}], l.Condition)
		if l.A != l.B {
			base[[2]string{l.B, l.A}] = compose(base[[2]string{l.B, l.A}], l.Condition)
		}
	}
	direct := func(from, to end) plan.Condition {
		c := base[[2]string{from.site, to.site}]
		for _, f := range faults {
			if f.hits(from, to) {
				c = compose(c, f.between)
			}
		}
		return c
	}
	var out []Path
	for _, from := range ends {
		for _, to := range ends {
			if !carries(from, to) {
				continue
			}
			c := direct(from, to)
			via := routes[from.Place.Client]
			if to.client() {
				via = routes[to.Place.Client]
			}
			if via != "" {
				c = compose(direct(from, relayOf(via)), direct(relayOf(via), to))
			}
			if c != (plan.Condition{}) {
				out = append(out, Path{From: from.Endpoint, To: to.Endpoint, Condition: c})
			}
		}
	}
	slices.SortFunc(out, func(a, b Path) int {
		return cmp.Or(compareEnds(a.From, b.From), compareEnds(a.To, b.To))
	})
	return out
}

func compareEnds(a, b Endpoint) int {
	return cmp.Or(
		cmp.Compare(a.Node.Cluster, b.Node.Cluster),
		cmp.Compare(a.Node.ID, b.Node.ID),
		cmp.Compare(a.Place.Client, b.Place.Client),
		cmp.Compare(a.Place.Member, b.Place.Member),
		cmp.Compare(a.Place.Site, b.Place.Site),
	)
}
