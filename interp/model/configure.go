// This file checks configure: what a running cluster can be told.

package model

import (
	"slices"
	"strconv"
	"strings"

	"starfall/internal/kafkaconf"
	"starfall/internal/spell"
	"starfall/interp/plan"
)

// configure checks names against their update mode (KIP-226). Names of topics
// are all dynamic; of brokers some are read at start only, and some belong to
// one broker and cannot be set for all at once.
func (c *checker) configure(a *plan.Action) {
	for _, r := range a.Targets {
		scope := kafkaconf.Broker
		if r.Kind == plan.RefTopic {
			scope = kafkaconf.Topic
		} else if r.Kind != plan.RefCluster {
			if _, _, ok := c.resolve(a, r); !ok {
				return
			}
		}
		for _, name := range sortedNames(a.Config) {
			c.configureOne(a, r, scope, name)
		}
	}
}

// ownMinInsync is why a broker's min.insync.replicas changes less than it seems
// to: every topic of a scenario is made with a value of its own.
const ownMinInsync = "a topic has its own, min_insync, so this holds only for Kafka's internal topics"

func (c *checker) configureOne(a *plan.Action, r plan.Ref, scope kafkaconf.Scope, name string) {
	e, ok := kafkaconf.Lookup(scope, name)
	switch {
	case !ok:
		hint := ""
		if n, ok := spell.Nearest(name, kafkaconf.Names(scope)); ok {
			hint = "did you mean " + n + "?"
		}
		c.actErr(a, hint, "for config %s: a %s has no such config", name, scope)
		return
	case !e.Dynamic():
		c.actErr(a, "set it in cluster(config = {…})", "for config %s: a broker reads it only when it starts", name)
		return
	case e.Update == kafkaconf.PerBroker && r.Kind == plan.RefCluster:
		c.actErr(a, "configure("+r.Name+".broker(1), …)", "for config %s: it is set for one broker at a time, not for a cluster", name)
		return
	}
	if scope == kafkaconf.Broker && name == "min.insync.replicas" {
		c.actWarn(a, "configure(orders, {\"min.insync.replicas\": 1}) changes a topic", "for config min.insync.replicas: %s", ownMinInsync)
	}
	t := c.topics[r.Name]
	if r.Kind != plan.RefTopic || t == nil {
		return
	}
	value := strings.TrimSpace(a.Config[name])
	if old, ok := t.config[name]; ok && strings.EqualFold(old, value) && !t.may {
		c.actWarn(a, "", "for config %s: %s has %s already", name, t.t.Name, value)
	}
	if n, err := strconv.Atoi(value); err == nil && name == "min.insync.replicas" && n > t.replicas {
		c.actWarn(a, "", "for config %s: got %d, but %s has %s: no record will be acknowledged with acks=all", name, n, t.t.Name, plural(t.replicas, "replica"))
	}
	if a.UndoAfter == nil {
		t.config[name] = value
	} else {
		// Whether it is this value or the old one depends on the time from
		// here on, so nothing is compared with it.
		delete(t.config, name)
	}
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
