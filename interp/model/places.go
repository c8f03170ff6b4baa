// This file checks the scenario, its places and its topics: what does not
// depend on time.

package model

import (
	"fmt"
	"slices"
	"strings"

	"starfall/interp/plan"
)

const second = plan.Duration(1e9)

// checkScenario reports whether the lengths of the run make sense, without
// which nothing can be said about time.
func (c *checker) checkScenario() bool {
	s := c.p.Scenario
	pos := c.scenarioPos()
	if s == (plan.Scenario{}) {
		c.errorf(pos, `scenario(run_for = "60s")`, "scenario: the file does not say how long to run")
		return false
	}
	if len(c.p.Clusters) == 0 {
		c.errorf(pos, "kafka = cluster(brokers = 3)", "scenario: there is no cluster")
	}
	switch first := wholeSecond(s.Warmup); {
	case s.RunFor <= 0 || s.Warmup < 0 || s.Drain < 0:
		c.errorf(pos, "", "scenario: got run_for %s, warmup %s and drain %s, want lengths of time", s.RunFor, s.Warmup, s.Drain)
		return false
	case s.RunFor <= s.Warmup:
		c.errorf(pos, `a short run says warmup = "1s"`, "scenario: for parameter run_for: got %s, want more than the warm-up of %s", s.RunFor, s.Warmup)
		return false
	case add(first, second) > s.RunFor:
		c.errorf(pos, "", "scenario: for parameter run_for: got %s, want at least one whole second after the warm-up of %s", s.RunFor, s.Warmup)
		return false
	}
	return true
}

func (c *checker) scenarioPos() plan.Pos {
	if pos := c.p.Scenario.Pos; pos.Line > 0 {
		return pos
	}
	if len(c.p.Files) > 0 {
		return plan.Pos{File: c.p.Files[0].Path, Line: 1, Col: 1}
	}
	return plan.Pos{File: c.p.Name + ".star", Line: 1, Col: 1}
}

// wholeSecond gives the first whole second at or after d.
func wholeSecond(d plan.Duration) plan.Duration {
	return add(d, second-1) / second * second
}

func (c *checker) checkPlaces() {
	taken := make(map[string]bool)
	stand := func(pos plan.Pos, word, site string) {
		taken[site] = true
		if !c.sites[site] {
			unknown(c, pos, word, "site", site, c.sites)
		}
	}
	for i := range c.p.Clusters {
		cl := &c.p.Clusters[i]
		for _, n := range cl.Nodes {
			stand(cl.Pos, "cluster", n.Site)
		}
		c.checkCluster(c.clusters[cl.Name])
	}
	for i := range c.p.Producers {
		stand(c.p.Producers[i].Pos, "producer", c.p.Producers[i].Site)
	}
	for i := range c.p.Consumers {
		stand(c.p.Consumers[i].Pos, "consumer", c.p.Consumers[i].Site)
	}
	for i := range c.p.Mirrors {
		stand(c.p.Mirrors[i].Pos, "mirror", c.p.Mirrors[i].Site)
	}
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			if a := &ev.e.Actions[i]; a.Verb == plan.Reroute {
				taken[a.Via] = true
			}
		}
	}
	// A parameter with choices may put somebody there in another run.
	chosen := slices.ContainsFunc(c.p.Params, func(p plan.Param) bool { return len(p.Choices) > 0 })
	for _, s := range c.p.Sites {
		if !taken[s.Name] && !s.Implied && !chosen {
			c.warnf(s.Pos, "", "site: nobody stands in %s", s.Name)
		}
	}

	type pair struct{ a, b string }
	first := make(map[pair]plan.Pos)
	for _, l := range c.p.Links {
		for _, s := range []string{l.A, l.B} {
			if !c.sites[s] {
				unknown(c, l.Pos, "link", "site", s, c.sites)
			}
		}
		if l.A == l.B {
			c.errorf(l.Pos, "", "link: got %s twice, want two sites", l.A)
			continue
		}
		k := pair{min(l.A, l.B), max(l.A, l.B)}
		if at, ok := first[k]; ok {
			c.errorf(l.Pos, "", "link: %s and %s are linked already, at %s", l.A, l.B, at.Short())
			continue
		}
		first[k] = l.Pos
	}
}

func (c *checker) checkCluster(s *clusterState) {
	if len(s.brokers) == 0 {
		c.errorf(s.c.Pos, "", "cluster: for parameter brokers: got 0, want at least 1")
		return
	}
	if n := len(s.voters); n > 1 && n%2 == 0 && s.voters[0].Role != plan.RoleCombined {
		c.warnf(s.c.Pos, "", "cluster: a %s of %d survives no more failures than one of %d", s.quorum, n, n-1)
	}
	if _, ok := s.c.Config["min.insync.replicas"]; ok {
		c.warnf(s.c.Pos, "topic(kafka, min_insync = 2)", "cluster: for config min.insync.replicas: %s", ownMinInsync)
	}
	for _, name := range []string{"offsets.topic.replication.factor", "default.replication.factor", "transaction.state.log.replication.factor"} {
		if v, ok := intValue(s.c.Config, name); ok && v > int64(len(s.brokers)) {
			c.errorf(s.c.Pos, "", "cluster: for config %s: got %d, want at most %d, the number of brokers", name, v, len(s.brokers))
		}
	}
	beat, ok1 := intValue(s.c.Config, "broker.heartbeat.interval.ms")
	session, ok2 := intValue(s.c.Config, "broker.session.timeout.ms")
	if !ok1 {
		beat = 2000
	}
	if !ok2 {
		session = 9000
	}
	if (ok1 || ok2) && beat >= session {
		c.warnf(s.c.Pos, "", "cluster: brokers send a heartbeat every %d ms and are fenced after %d ms without one", beat, session)
	}
}

func (c *checker) checkTopics() {
	for i := range c.p.Topics {
		t := &c.p.Topics[i]
		s := c.topics[t.Name]
		if s.cluster == nil {
			unknown(c, t.Pos, "topic", "cluster", t.Cluster, c.clusters)
			continue
		}
		if brokers := len(s.cluster.brokers); t.Replicas > brokers && brokers > 0 {
			c.errorf(t.Pos, fmt.Sprintf("cluster(brokers = %d), or replicas = %d", t.Replicas, brokers),
				"topic: for parameter replicas: got %d, want at most %d, the number of brokers of %s", t.Replicas, brokers, t.Cluster)
		}
		least := int64(t.MinInsync)
		if v, ok := intValue(t.Config, "min.insync.replicas"); ok {
			if t.MinInsync > 1 && v != least {
				c.errorf(t.Pos, "", "topic: min_insync is %d, but config min.insync.replicas is %d", least, v)
			}
			least = v
		}
		if least > int64(t.Replicas) {
			c.errorf(t.Pos, "", "topic: for parameter min_insync: got %d, want at most %d, the number of replicas: no record could be acknowledged with acks=all", least, t.Replicas)
		}
		if len(t.Placement) > 0 {
			c.checkPlacement(t, s)
		}
	}
}

// checkPlacement holds a topic's placement against its numbers, as Kafka does
// with a manual assignment when it makes a topic: every partition, each with
// the same number of different brokers.
func (c *checker) checkPlacement(t *plan.Topic, s *topicState) {
	var beyond []string
	for _, p := range sortedKeys(t.Placement) {
		ids := t.Placement[p]
		if p < 0 || p >= t.Partitions {
			beyond = append(beyond, fmt.Sprint(p))
			continue
		}
		if !c.checkReplicaList(t.Pos, "topic", p, ids, s.cluster) {
			continue
		}
		if len(ids) != t.Replicas {
			c.errorf(t.Pos, fmt.Sprintf("replicas = %d", len(ids)), "topic: for parameter placement: got %s for partition %d, want %d as replicas says", plural(len(ids), "broker"), p, t.Replicas)
		}
	}
	if len(beyond) > 0 {
		c.errorf(t.Pos, "", "topic: for parameter placement: got partition %s, want 0 to %d", strings.Join(beyond, ", "), t.Partitions-1)
	}
	for p := 0; p < t.Partitions; p++ {
		if _, ok := t.Placement[p]; !ok {
			c.errorf(t.Pos, "Kafka takes a placement of all partitions or of none", "topic: for parameter placement: got nothing for partition %d, want brokers for each of %s", p, plural(t.Partitions, "partition"))
			return
		}
	}
}

// checkReplicaList reports whether the ids are different brokers of a cluster.
func (c *checker) checkReplicaList(pos plan.Pos, word string, partition int, ids []int32, s *clusterState) bool {
	if len(ids) == 0 {
		c.errorf(pos, "", "%s: for parameter placement: got no broker for partition %d, want at least 1", word, partition)
		return false
	}
	for i, id := range ids {
		if n := s.byID[id]; n == nil || !slices.Contains(s.brokers, n) {
			c.errorf(pos, "", "%s: for parameter placement: got broker %d for partition %d, want %s", word, id, partition, s.brokerRange())
			return false
		}
		if slices.Contains(ids[:i], id) {
			c.errorf(pos, "", "%s: for parameter placement: got broker %d twice for partition %d, want different brokers", word, id, partition)
			return false
		}
	}
	return true
}

// brokerRange says which broker ids there are.
func (s *clusterState) brokerRange() string {
	if len(s.brokers) == 1 {
		return fmt.Sprintf("%d, the only broker of %s", s.brokers[0].ID, s.c.Name)
	}
	if len(s.brokers) == 0 {
		return "a broker, and " + s.c.Name + " has none"
	}
	return fmt.Sprintf("%d to %d, the brokers of %s", s.brokers[0].ID, s.brokers[len(s.brokers)-1].ID, s.c.Name)
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
