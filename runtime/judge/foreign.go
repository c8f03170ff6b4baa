// This file defines what foreign records are: those that no producer of the run
// wrote.

package judge

import (
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// standing is where a record stands.
type standing struct {
	topic     string
	partition int32
	offset    int64
}

// addForeign counts foreign records as phantoms, except what the scenario sent
// by hand, and what mirrors and replay made of that.
func (c *collector) addForeign(events []record.Event) {
	sent := map[standing]bool{}
	into := map[string]int{} // by topic: how many were sent there
	for _, e := range events {
		if e.Kind == record.KindSent {
			sent[standing{e.Topic, e.Partition, e.Offset}] = true
			into[e.Topic]++
		}
	}
	for _, q := range c.questions {
		if q.noData != "" || q.kind != plan.RefConsumer || q.term.Measure != "phantoms" {
			continue
		}
		copies := c.copiesOfSent(into)
		for _, f := range c.consumers[q.index].foreignAt {
			name := c.plan.Topics[f.topic].Name
			at := standing{name, f.partition, f.offset}
			if sent[at] || copies.has(at) || !q.whole && !q.win.parts.has(f.at) || q.win.isAt && f.at > q.win.at {
				continue
			}
			q.total++
			q.by[q.spot(c, &record.Span{Topic: f.topic, Partition: f.partition})]++
			if len(q.witnesses) < maxWitnesses {
				offset := f.offset
				q.witnesses = append(q.witnesses, Witness{Topic: name, Partition: f.partition, Offset: &offset, At: seconds(f.at),
					Foreign: true, Note: "not a record of this run"})
			}
		}
	}
}

// allowance is how many foreign records each topic may hold as copies of what
// was sent by hand, at offsets of their own, and which were seen.
type allowance struct {
	left map[string]int
	seen map[standing]bool
}

// copiesOfSent follows what was sent into topics to where mirrors and replays
// bring it.
func (c *collector) copiesOfSent(into map[string]int) allowance {
	out := allowance{map[string]int{}, map[standing]bool{}}
	if len(into) == 0 {
		return out
	}
	for i := range c.plan.Topics {
		if t := &c.plan.Topics[i]; t.Origin == plan.Mirrored {
			out.left[t.Name] += into[t.Of]
		}
	}
	for i := range c.plan.Events {
		for _, a := range c.plan.Events[i].Actions {
			if a.Verb == plan.Replay && a.To != nil && len(a.Targets) > 0 {
				out.left[a.To.Name] += into[a.Targets[0].Name]
			}
		}
	}
	return out
}

// has tells whether a foreign record may be such a copy.
func (a allowance) has(at standing) bool {
	if a.seen[at] {
		return true
	}
	if a.left[at.topic] <= 0 {
		return false
	}
	a.left[at.topic]--
	a.seen[at] = true
	return true
}
