// This file defines what a plan has beside what the scenario declares: the
// topics that mirrors bring with them, and the observers that read them.

package builtins

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"starfall/interp/plan"
)

// authenticate gives clusters that have users a way to log in.
func authenticate(p *plan.Plan) {
	for i := range p.Clusters {
		c := &p.Clusters[i]
		if c.Auth == "" && slices.ContainsFunc(p.Users, func(u plan.User) bool { return u.Cluster == c.Name }) {
			c.Auth = "plain"
		}
	}
}

// derive completes a sound plan whose things have their names.
func derive(p *plan.Plan) {
	failsOver := map[string]bool{}
	for _, e := range p.Events {
		for _, a := range e.Actions {
			if a.Verb == plan.FailOver && a.To != nil {
				failsOver[a.To.Name] = true
			}
		}
	}
	declared := slices.Clone(p.Topics)
	for i := range p.Mirrors {
		m := &p.Mirrors[i]
		observer := plan.Consumer{
			Pos: m.Pos, Name: m.Name, Observes: m.Name, Members: 1, Start: "earliest", Commit: "none",
			CommitEvery: plan.Duration(time.Second), Assignor: "range", SessionTimeout: plan.Duration(45 * time.Second), Site: m.Site,
		}
		// A mirror has one replication.factor for all that it makes.
		replicas := 0
		for _, t := range declared {
			if slices.Contains(m.Topics, t.Name) {
				replicas = max(replicas, t.Replicas)
			}
		}
		var second []plan.Topic
		for _, name := range m.Topics {
			j := slices.IndexFunc(declared, func(t plan.Topic) bool { return t.Name == name })
			if j < 0 {
				continue
			}
			t := &declared[j]
			m.From = t.Cluster
			copied := copyOf(m, t, p.Cluster(m.To))
			copied.Replicas = replicasOn(replicas, p.Cluster(m.To))
			observer.Topics = append(observer.Topics, copied.Name)
			p.Topics = append(p.Topics, copied)
			if failsOver[m.Name] && m.Rename != plan.RenameIdentity {
				second = append(second, failOverTopic(m, t, p.Cluster(m.To)))
			}
		}
		p.Topics = append(p.Topics, second...)
		p.Consumers = append(p.Consumers, observer)
	}
}

// copyOf is the topic that a mirror makes for t, as MirrorMaker 2 does: with as
// many partitions and the configs that its DefaultConfigPropertyFilter lets
// through; how many replicas it has is the mirror's. min.insync.replicas is not among these, so the target's own holds.
func copyOf(m *plan.Mirror, t *plan.Topic, to *plan.Cluster) plan.Topic {
	name := strings.NewReplacer("{cluster}", t.Cluster, "{topic}", t.KafkaName()).Replace(m.Rename)
	c := plan.Topic{
		Pos: m.Pos, Name: m.To + "/" + name, Kafka: name, Origin: plan.Mirrored, Of: t.Name, Mirror: m.Name,
		Cluster: m.To, Partitions: t.Partitions, MinInsync: 1,
	}
	if to != nil {
		if n, err := strconv.Atoi(to.Config["min.insync.replicas"]); err == nil && n > 0 {
			c.MinInsync = n
		}
	}
	for k, v := range t.Config {
		if slices.Contains(notMirrored(), k) {
			continue
		}
		if c.Config == nil {
			c.Config = map[string]string{}
		}
		c.Config[k] = v
	}
	return c
}

// notMirrored are the configs of a topic that MirrorMaker 2 does not copy
// (config.properties.exclude, its default).
func notMirrored() []string {
	return []string{
		"follower.replication.throttled.replicas", "leader.replication.throttled.replicas",
		"message.timestamp.difference.max.ms", "message.timestamp.type",
		"unclean.leader.election.enable", "min.insync.replicas",
	}
}

// failOverTopic is where producers of t write that have failed over: made like
// t, as far as the target has brokers for it.
func failOverTopic(m *plan.Mirror, t *plan.Topic, to *plan.Cluster) plan.Topic {
	replicas := replicasOn(t.Replicas, to)
	return plan.Topic{
		Pos: m.Pos, Name: m.To + "/" + t.KafkaName(), Kafka: t.KafkaName(), Origin: plan.FailedTo, Of: t.Name, Mirror: m.Name,
		Cluster: m.To, Partitions: t.Partitions, Replicas: replicas, MinInsync: min(t.MinInsync, replicas), Config: t.Config,
	}
}

// replicasOn is a number of replicas that a cluster has brokers for.
func replicasOn(replicas int, to *plan.Cluster) int {
	if to == nil {
		return replicas
	}
	return min(replicas, len(to.Brokers()))
}
