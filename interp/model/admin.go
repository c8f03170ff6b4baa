// This file checks what an operator asks of a cluster beside its topics' shape:
// positions of groups, replays, deletions and Kafka's own tools.

package model

import (
	"errors"
	"slices"
	"strings"

	"starfall/internal/kafkatools"
	"starfall/interp/plan"
)

// resetOffsets moves a group, which must have no member: the coordinator answers
// UNKNOWN_MEMBER_ID or NON_EMPTY_GROUP otherwise. A member that crashed is one
// until its session times out.
func (c *checker) resetOffsets(a *plan.Action, now plan.Duration) {
	if !c.checkReset(a) {
		return
	}
	for _, r := range a.Targets {
		of := c.consumers[r.Name]
		if of == nil {
			continue
		}
		for i := range c.p.Consumers {
			x := &c.p.Consumers[i]
			s := c.consumers[x.Name]
			if x.Group != of.consumer.Group || s.cluster() != of.cluster() || s.may || s.abroadMay {
				continue
			}
			running := s.now() - len(s.crashed)
			hint := "stop it before: scale(" + s.name + ", members = 0)"
			switch last := s.members[len(s.members)-1]; {
			case running > 0:
				c.actErr(a, hint, "the group of %s still runs at %s: it has %s, and Kafka moves only a group without any", s.name, now, plural(running, "member"))
				return
			case s.now() == 0 && last.at == now && len(s.members) > 1 && s.members[len(s.members)-2].value > 0:
				c.actErr(a, "a few seconds later they have left", "%s is stopped at the same moment, %s, so its members may still be in the group", s.name, now)
				return
			}
			for _, e := range s.crashed {
				if gone := add(e.since, x.SessionTimeout); now < gone {
					c.actErr(a, hint, "%s crashed at %s: until its session times out at %s the group has members", s.name, e.since, gone)
					return
				}
			}
		}
	}
}

// checkStopped reports a reset of unknown time of a group that nothing ever stops.
func (c *checker) checkStopped(a *plan.Action) {
	if !c.checkReset(a) {
		return
	}
	for _, r := range a.Targets {
		s := c.consumers[r.Name]
		stops := func(a *plan.Action) bool { return a.Verb == plan.Crash || a.Verb == plan.Scale && a.Members == 0 }
		if !c.ever(s, stops) {
			c.actErr(a, "stop it before: scale("+s.name+", members = 0)", "nothing ever stops %s, and Kafka moves only a group without members", s.name)
			return
		}
	}
}

// checkReset reports whether positions of partitions can be meant.
func (c *checker) checkReset(a *plan.Action) bool {
	for _, r := range a.Targets {
		s := c.consumers[r.Name]
		if s == nil {
			if !c.badAction[a] {
				c.badAction[a] = true
				unknown(c, a.Pos, string(a.Verb), "consumer", r.Name, c.consumers)
			}
			return false
		}
		if a.Offsets == nil || len(a.Offsets.ByPartition) == 0 {
			continue
		}
		if len(s.topics) > 1 {
			c.actErr(a, "", "got positions of partitions, but %s reads %d topics, and which is meant cannot be said", s.name, len(s.topics))
			return false
		}
		for _, t := range s.topics {
			if !c.offsetsExist(a, t) {
				return false
			}
		}
	}
	return true
}

// offsetsExist reports whether a topic has each partition that positions name.
func (c *checker) offsetsExist(a *plan.Action, t *topicState) bool {
	if a.Offsets == nil {
		return true
	}
	for _, p := range sortedKeys(a.Offsets.ByPartition) {
		if !c.partition(a, t, p) {
			return false
		}
	}
	return true
}

// replay reads what there is and sends it again.
func (c *checker) replay(a *plan.Action, now plan.Duration) {
	if c.target(a) == nil || !c.checkReplay(a) {
		return
	}
	if to := c.topics[a.To.Name]; to.deleted && !to.may {
		c.actErr(a, "", "%s was deleted at %s", to.t.Name, to.deletedAt)
		return
	}
	if a.Since >= now {
		c.actErr(a, "", "for parameter since: got %s, but at %s there is no record of that time yet", a.Since, now)
	}
}

// checkReplay reports whether a replay has somewhere to go.
func (c *checker) checkReplay(a *plan.Action) bool {
	if a.To == nil {
		return false
	}
	if c.topics[a.To.Name] == nil {
		if !c.badAction[a] {
			c.badAction[a] = true
			unknown(c, a.Pos, string(a.Verb), "topic", a.To.Name, c.topics)
		}
		return false
	}
	if len(a.Targets) > 0 && a.To.Name == a.Targets[0].Name {
		c.actWarn(a, "", "%s gets each of its own records a second time", a.To.Name)
	}
	return true
}

// deleteTopic takes a topic away; nothing brings it back.
func (c *checker) deleteTopic(a *plan.Action, now plan.Duration) {
	t := c.target(a)
	if t == nil {
		return
	}
	t.deleted, t.deletedAt = true, now
	for i := range c.p.Producers {
		s := c.producers[c.p.Producers[i].Name]
		if slices.Contains(s.topics, t) && s.now() > 0 && !s.may && s.abroad == nil && !s.abroadMay {
			c.actWarn(a, "scale("+s.name+", members = 0) before", "%s still writes to %s at %s", s.name, t.t.Name, now)
		}
	}
}

// checkTool holds a tool against the release of its cluster.
func (c *checker) checkTool(a *plan.Action) {
	for _, r := range a.Targets {
		s := c.clusters[r.Name]
		if s == nil {
			if !c.badAction[a] {
				c.badAction[a] = true
				unknown(c, a.Pos, string(a.Verb), "cluster", r.Name, c.clusters)
			}
			return
		}
		var no *kafkatools.Unknown
		if errors.As(kafkatools.Check(a.Tool, s.c.Version), &no) {
			c.actErr(a, no.Hint, "%s", no.Message)
			return
		}
		t, _ := kafkatools.Lookup(a.Tool)
		limited := slices.ContainsFunc(a.Args, func(arg string) bool {
			name, _, _ := strings.Cut(arg, "=")
			return slices.Contains([]string{"--max-messages", "--timeout-ms", "--one-time", "--help", "--version"}, name)
		})
		if t.Endless && !limited {
			hint := ""
			if strings.HasPrefix(a.Tool, "kafka-console-") || strings.HasPrefix(a.Tool, "kafka-verifiable-") {
				hint = `say how much: "--max-messages", 10`
			}
			c.actWarn(a, hint, "%s goes on until it is ended, which the engine does after a while", a.Tool)
		}
	}
}
