// This file checks mirrors as they are declared, and where clients are that fail
// over to them, come back, or go through a relay.

package model

import (
	"fmt"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// mirrorState is a mirror with the clusters that it connects.
type mirrorState struct {
	m        *plan.Mirror
	topics   []*topicState
	from, to *clusterState
}

func (c *checker) newMirrorState(m *plan.Mirror) *mirrorState {
	s := &mirrorState{m: m, topics: c.topicStates(m.Topics), to: c.clusters[m.To]}
	if len(s.topics) > 0 {
		s.from = s.topics[0].cluster
	}
	return s
}

// holds reports whether the mirror copies a topic.
func (s *mirrorState) holds(topic string) bool { return slices.Contains(s.m.Topics, topic) }

// maxTopicName is the longest name that Kafka gives a topic.
const maxTopicName = 249

// checkMirrors checks each mirror, and that what they make has names of its own.
func (c *checker) checkMirrors() {
	type key struct{ cluster, name string }
	taken := make(map[key]string)
	for i := range c.p.Topics {
		t := &c.p.Topics[i]
		taken[key{t.Cluster, t.KafkaName()}] = "the topic at " + t.Pos.Short()
	}
	for i := range c.p.Mirrors {
		m := &c.p.Mirrors[i]
		s := c.mirrors[m.Name]
		if s.to == nil {
			unknown(c, m.Pos, "mirror", "cluster", m.To, c.clusters)
			continue
		}
		if !c.checkSources(m, s) {
			continue
		}
		for _, t := range s.topics {
			name := strings.NewReplacer("{cluster}", t.t.Cluster, "{topic}", t.t.KafkaName()).Replace(m.Rename)
			if len(name) > maxTopicName {
				c.errorf(m.Pos, `rename = "{topic}"`, "mirror: the copy of %s would have a name of %d characters, and a topic has at most %d", t.t.Name, len(name), maxTopicName)
				continue
			}
			if by := taken[key{m.To, name}]; by != "" {
				c.errorf(m.Pos, "", "mirror: the copy of %s would be called %s on %s, as %s is", t.t.Name, name, m.To, by)
				continue
			}
			taken[key{m.To, name}] = fmt.Sprintf("the copy that the mirror at %s makes", m.Pos.Short())
			if own := t.t.KafkaName(); m.Rename != plan.RenameIdentity && c.failsOver(m.Name) {
				if by := taken[key{m.To, own}]; by != "" {
					c.errorf(m.Pos, "", "mirror: clients that fail over write %s on %s, a name that %s has", own, m.To, by)
					continue
				}
				taken[key{m.To, own}] = fmt.Sprintf("the topic that clients fail over to by the mirror at %s", m.Pos.Short())
			}
		}
	}
}

// checkSources reports whether a mirror's topics can be copied to its target.
func (c *checker) checkSources(m *plan.Mirror, s *mirrorState) bool {
	for i, name := range m.Topics {
		t := c.topics[name]
		switch {
		case t == nil:
			unknown(c, m.Pos, "mirror", "topic", name, c.topics)
		case t.cluster == s.to:
			c.errorf(m.Pos, c.otherCluster(m.To), "mirror: for parameter to: got %s, the cluster of %s itself, want another one", m.To, name)
		case t.cluster != s.from:
			c.errorf(m.Pos, "declare one mirror for each cluster", "mirror: %s is on cluster %s and %s on %s, want topics of one cluster", m.Topics[0], s.topics[0].t.Cluster, name, t.t.Cluster)
		case slices.Contains(m.Topics[:i], name):
			c.errorf(m.Pos, "", "mirror: got topic %s twice", name)
		default:
			continue
		}
		return false
	}
	return len(s.topics) > 0
}

// otherCluster suggests a target, when there is but one other cluster.
func (c *checker) otherCluster(not string) string {
	hint := ""
	for i := range c.p.Clusters {
		if name := c.p.Clusters[i].Name; name != not {
			if hint != "" {
				return ""
			}
			hint = "to = " + name
		}
	}
	if hint == "" {
		return "declare a second cluster: west = cluster()"
	}
	return hint
}

// failsOver reports whether some event sends clients to a mirror.
func (c *checker) failsOver(mirror string) bool {
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			if a := &ev.e.Actions[i]; a.Verb == plan.FailOver && a.To != nil && a.To.Name == mirror {
				return true
			}
		}
	}
	return false
}

// failOver sends clients to a mirror's cluster.
//
//	client is     fail_over to m       fail_over to another   fail_back
//	at home       at m                 at it                  cannot, is at home
//	at m          cannot, is there     at it                  at home
func (c *checker) failOver(a *plan.Action, now plan.Duration) {
	m := c.failOverTo(a)
	if m == nil {
		return
	}
	for _, r := range a.Targets {
		s := c.client(r.Name)
		if s == nil || c.badAction[a] {
			continue
		}
		if s.abroad == m && !s.abroadMay {
			c.actErr(a, "", "%s is at %s already at %s, since %s", s.name, m.m.To, now, s.abroadSince)
			return
		}
		if !c.reachable(a, s, m.to, now) {
			return
		}
		s.disturbed = true
		s.abroad, s.abroadSince = m, now
	}
}

// reachable reports whether a cluster that clients are sent to has a broker.
func (c *checker) reachable(a *plan.Action, s *clientState, to *clusterState, now plan.Duration) bool {
	if up(to.brokers) > 0 {
		return true
	}
	c.actErr(a, "", "every broker of %s is down at %s, so %s cannot go there", to.c.Name, now, s.name)
	return false
}

func (c *checker) failBack(a *plan.Action, now plan.Duration) {
	for _, r := range a.Targets {
		s := c.client(r.Name)
		if s == nil {
			continue
		}
		if s.abroad == nil && !s.abroadMay {
			c.actErr(a, "fail_over comes before it", "%s is at its own cluster, %s, at %s", s.name, s.home(), now)
			return
		}
		if len(s.topics) > 0 && s.topics[0].cluster != nil && !c.reachable(a, s, s.topics[0].cluster, now) {
			return
		}
		s.disturbed = true
		s.abroad, s.abroadSince = nil, now
	}
}

// checkFailedOver reports a fail_back of unknown time for a client that nothing
// ever sends away.
func (c *checker) checkFailedOver(a *plan.Action) {
	for _, r := range a.Targets {
		if s := c.client(r.Name); s != nil && !c.everAbroad(s) {
			c.actErr(a, "fail_over comes before it", "%s never leaves its own cluster, %s", s.name, s.home())
			return
		}
	}
}

func (c *checker) everAbroad(s *clientState) bool {
	return c.ever(s, func(a *plan.Action) bool { return a.Verb == plan.FailOver })
}

// ever reports whether some event does something of a kind to a client.
func (c *checker) ever(s *clientState, kind func(*plan.Action) bool) bool {
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			a := &ev.e.Actions[i]
			if kind(a) && slices.ContainsFunc(a.Targets, func(r plan.Ref) bool { return r.Name == s.name }) {
				return true
			}
		}
	}
	return false
}

// home names the cluster of a client's topics.
func (s *clientState) home() string {
	if len(s.topics) == 0 {
		return ""
	}
	return s.topics[0].t.Cluster
}

// failOverTo checks of a fail_over what does not depend on time, and gives its
// mirror, or nil when something is wrong.
func (c *checker) failOverTo(a *plan.Action) *mirrorState {
	if a.To == nil || c.badAction[a] {
		return nil
	}
	m := c.mirrors[a.To.Name]
	if m == nil {
		c.badAction[a] = true
		unknown(c, a.Pos, string(a.Verb), "mirror", a.To.Name, c.mirrors)
		return nil
	}
	if m.to == nil {
		return nil
	}
	for _, r := range a.Targets {
		s := c.client(r.Name)
		if s == nil {
			continue
		}
		does := "reads"
		if s.producer != nil {
			does = "writes"
		}
		for _, t := range s.topics {
			if !m.holds(t.t.Name) {
				c.actErr(a, c.mirrorOf(s), "mirror %s does not hold %s, which %s %s", m.m.Name, t.t.Name, s.name, does)
				return nil
			}
		}
		if s.producer != nil && s.producer.Transaction > 0 {
			c.actErr(a, "leave transaction out", "%s sends transactions, which cannot go on at another cluster: its coordinator there knows nothing of them", s.name)
			return nil
		}
		if m.to.c.Auth != "" {
			c.actErr(a, "", "%s has users, and %s is none of them", m.m.To, s.name)
			return nil
		}
		c.warnFailOver(a, m, s)
	}
	return m
}

// mirrorOf suggests a mirror that holds what a client works with.
func (c *checker) mirrorOf(s *clientState) string {
	for i := range c.p.Mirrors {
		m := &c.p.Mirrors[i]
		if !slices.ContainsFunc(s.topics, func(t *topicState) bool { return !slices.Contains(m.Topics, t.t.Name) }) {
			return "to = " + m.Name
		}
	}
	names := make([]string, len(s.topics))
	for i, t := range s.topics {
		names[i] = t.t.Name
	}
	if len(names) == 1 {
		return "mirror(" + names[0] + ", …)"
	}
	return "mirror([" + strings.Join(names, ", ") + "], …)"
}

// warnFailOver warns of a group that does not go on where it was.
func (c *checker) warnFailOver(a *plan.Action, m *mirrorState, s *clientState) {
	switch x := s.consumer; {
	case x == nil || x.Commit == "none":
	case m.m.SyncOffsetsEvery == 0 && x.Start == "latest":
		c.actWarn(a, `mirror(…, sync_offsets_every = "5s")`, "mirror %s syncs no positions and %s starts at the latest record: what comes before it gets there is skipped", m.m.Name, s.name)
	case m.m.SyncOffsetsEvery == 0:
		c.actWarn(a, `mirror(…, sync_offsets_every = "5s")`, "mirror %s syncs no positions, so %s reads everything again", m.m.Name, s.name)
	case x.Start == "latest":
		c.actWarn(a, `start = "earliest"`, "%s starts at the latest record: of a topic for which its group has no synced position, what comes before it gets there is skipped", s.name)
	}
}

// reroute sends clients through a relay until it is undone.
func (c *checker) reroute(e *effect, now plan.Duration) {
	a := e.a
	if !c.checkVia(a) {
		return
	}
	for _, r := range a.Targets {
		s := c.client(r.Name)
		if s == nil {
			continue
		}
		if s.via() == a.Via && !s.viaMay {
			c.actErr(a, "", "%s goes through %s already at %s", s.name, a.Via, now)
			return
		}
		s.routes = append(s.routes, e)
		e.rerouted = append(e.rerouted, s)
	}
}

// checkVia reports whether there is a site to go through.
func (c *checker) checkVia(a *plan.Action) bool {
	if !c.sites[a.Via] {
		if !c.badAction[a] {
			c.badAction[a] = true
			unknown(c, a.Pos, string(a.Verb), "site", a.Via, c.sites)
		}
		return false
	}
	for _, r := range a.Targets {
		if s := c.client(r.Name); s != nil && s.site == a.Via {
			c.actWarn(a, "", "%s stands in %s itself, so nothing changes but that it connects anew", s.name, a.Via)
		}
	}
	return true
}

// via is the site through which a client goes, "" when it goes straight. Of
// several routes the last counts.
func (s *clientState) via() string {
	if len(s.routes) == 0 {
		return ""
	}
	return s.routes[len(s.routes)-1].a.Via
}
