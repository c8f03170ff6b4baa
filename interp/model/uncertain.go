// This file treats events whose time depends on what a run measures: what they
// touch is uncertain all along, and of themselves only that is checked which is
// wrong at any time.

package model

import "starfall/interp/plan"

// touch marks everything that an event of unknown time may change.
func (c *checker) touch(s *eventState) {
	for i := range s.e.Actions {
		a := &s.e.Actions[i]
		if cutsPaths(a.Verb) || a.Verb == plan.Heal || a.Verb == plan.HealAll {
			c.pathsMay = true
		}
		for _, r := range a.Targets {
			switch a.Verb {
			case plan.Resize:
				if t := c.topics[r.Name]; t != nil {
					t.may, t.most = true, max(t.most, a.Partitions)
				}
			case plan.Move, plan.Configure:
				if t := c.topics[r.Name]; t != nil && r.Kind == plan.RefTopic {
					t.may = true
					if a.Verb == plan.Move {
						clear(t.placement)
						for _, ids := range a.Placement {
							t.replicas = max(t.replicas, len(ids))
						}
					}
				}
			case plan.Scale, plan.Crash:
				if x := c.client(r.Name); x != nil {
					x.may, x.disturbed = true, true
					x.most = max(x.most, a.Members)
				}
			case plan.FailOver, plan.FailBack:
				if x := c.client(r.Name); x != nil {
					x.abroadMay, x.disturbed = true, true
				}
			case plan.Reroute:
				if x := c.client(r.Name); x != nil {
					x.viaMay = true
				}
			case plan.Delete:
				if t := c.topics[r.Name]; t != nil {
					t.may = true
				}
			case plan.Allow, plan.Deny, plan.Revoke:
				if u := c.users[r.Name]; u != nil {
					u.may = true
				}
			case plan.Tool, plan.Send, plan.Replay, plan.ResetOffsets, plan.DeleteRecords, plan.Elect:
				// They bring no node down and leave nothing that is asked for.
			case plan.SetRate:
				if x := c.producers[r.Name]; x != nil {
					x.rateMay = true
				}
			default:
				c.touchNodes(a, r)
			}
		}
	}
}

func (c *checker) touchNodes(a *plan.Action, r plan.Ref) {
	switch r.Kind {
	case plan.RefHit:
		of := c.events[r.Name]
		if of == nil {
			return
		}
		for i := range of.e.Actions {
			for _, t := range of.e.Actions[i].Targets {
				if t.Kind != plan.RefHit && takesNodes(of.e.Actions[i].Verb) {
					c.touchNodes(&of.e.Actions[i], t)
				}
			}
		}
	case plan.RefLeader, plan.RefFollower, plan.RefReplicas:
		if t := c.topics[r.Name]; t != nil && t.cluster != nil {
			for _, n := range t.cluster.brokers {
				n.may = true
			}
		}
	default:
		// Mistakes of the target are reported by checkUncertain.
		problems, bad := len(c.problems), c.badAction[a]
		from, _, _ := c.resolve(a, r)
		c.problems, c.badAction[a] = c.problems[:problems], bad
		for _, n := range from {
			n.may = true
		}
	}
}

// checkUncertain checks an event of unknown time. It runs after the walk, when
// everything that ever comes to be is known.
func (c *checker) checkUncertain(s *eventState) {
	t := s.e.Trigger
	if t.Kind == plan.TriggerWhen && t.Within > c.run {
		c.warnf(s.e.Pos, "", "when: for parameter within: got %s, but the run ends at %s", t.Within, c.run)
	}
	if of := c.events[t.At.Event]; t.Kind != plan.TriggerWhen && of != nil && t.At.Offset < 0 {
		l, ok := of.length()
		if t.At.Edge == plan.Start || !ok || t.At.Offset < -l {
			c.errorf(s.e.Pos, "", "%s: nobody knows beforehand when %s comes, so nothing can be %s before it", t.Kind, of.name(), -t.At.Offset)
		}
	}
	if of := c.events[t.At.Event]; t.Kind != plan.TriggerWhen && of != nil && t.At.Edge == plan.End && !of.mayEnd {
		if _, ok := of.length(); !ok && !c.undoneByOther(of, s) {
			c.reportEndless(s, of)
		}
	}
	for i := range s.e.Actions {
		c.checkTimeless(&s.e.Actions[i])
	}
}

// undoneByOther reports whether an event other than s may undo what of did.
func (c *checker) undoneByOther(of, s *eventState) bool {
	for _, x := range c.order {
		if x == of || x == s {
			continue
		}
		for i := range of.e.Actions {
			v := undoneBy(of.e.Actions[i].Verb)
			for j := range x.e.Actions {
				if u := x.e.Actions[j].Verb; v != "" && (u == v || u == plan.HealAll && v == plan.Heal) {
					return true
				}
			}
		}
	}
	return false
}

// checkTimeless checks of an action what does not depend on when it happens.
func (c *checker) checkTimeless(a *plan.Action) {
	switch {
	case cutsPaths(a.Verb):
		c.checkPaths(a)
		return
	case a.Verb == plan.Configure:
		c.configure(a)
		return
	case a.Verb == plan.FailOver:
		c.failOverTo(a)
		return
	case a.Verb == plan.FailBack:
		c.checkFailedOver(a)
		return
	case a.Verb == plan.Reroute:
		c.checkVia(a)
		return
	case a.Verb == plan.Replay:
		c.checkReplay(a)
		return
	case a.Verb == plan.ResetOffsets:
		c.checkStopped(a)
		return
	case a.Verb == plan.DeleteRecords:
		if t := c.topics[a.Targets[0].Name]; t != nil {
			c.offsetsExist(a, t)
		}
		return
	case a.Verb == plan.Allow || a.Verb == plan.Deny || a.Verb == plan.Revoke:
		c.checkRight(a)
		return
	case a.Verb == plan.Tool:
		c.checkTool(a)
		return
	case a.Verb == plan.Move:
		c.move(a)
		return
	case a.Verb == plan.Elect:
		if t := c.target(a); t != nil && a.Partition != -1 {
			c.partition(a, t, a.Partition)
		}
		return
	case a.Verb == plan.Resize:
		if t := c.target(a); t != nil && a.Partitions <= t.t.Partitions {
			c.actErr(a, "", "for parameter partitions: got %d, want more than %d: Kafka cannot take partitions away", a.Partitions, t.t.Partitions)
		}
		return
	case a.Verb == plan.Crash:
		for _, r := range a.Targets {
			if x := c.client(r.Name); x != nil && r.Kind == plan.RefMember {
				_, most := spanOf(x.members, 0, c.run)
				c.hasMember(a, x, r.Index, max(x.most, int(most)), "at any time")
			}
		}
		return
	case !takesNodes(a.Verb) && !undoesByHand(a.Verb):
		return
	}
	for _, r := range a.Targets {
		if r.Kind != plan.RefHit {
			c.resolve(a, r)
			continue
		}
		if of := c.events[r.Name]; of == nil {
			unknown(c, a.Pos, string(a.Verb), "event", r.Name, c.events)
		} else if !of.bad {
			c.undoes(a, of)
		}
	}
}

func undoesByHand(v plan.Verb) bool {
	return v == plan.StartNode || v == plan.Resume || v == plan.Heal
}
