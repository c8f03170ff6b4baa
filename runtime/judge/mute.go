// This file defines what can be judged of a consumer that never says what it
// gets: what its group has committed, against the log.

package judge

import (
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// mute is a consumer without deliveries, though it may have got records.
//
//	measure                          is answered by
//	missing pending                  the log and the committed offsets: a record that stands
//	                                 before the offset of its partition counts as delivered
//	lost                             the log, as for any other
//	members denied                   samples and the journal, as for any other
//	missing pending about a moment,  nothing: it is said that there is no data
//	or of a group that failed over,
//	and all other
//
// So a record that such a group skipped, by a commit before the work or by a
// start at the end of the log, does not show.
type mute struct {
	committed map[string][]int64 // next offset by topic, partition; -1: none
	unknown   string             // why they are not known
}

// next is the committed offset of a partition; what nobody has committed for
// begins at 0.
func (m *mute) next(topic string, partition int32) int64 {
	if list := m.committed[topic]; int(partition) < len(list) {
		return max(list[partition], 0)
	}
	return 0
}

// mutes notes which consumers never said what they got. Moments are about
// deliveries, which these have none of.
func (c *collector) mutes(events []record.Event) {
	for _, e := range events {
		if e.Kind != record.KindCommitted {
			continue
		}
		if x := c.consumer(e.Name); x != nil {
			x.mute = &mute{committed: e.Committed, unknown: e.Error}
			c.muted = true
		}
	}
}

// unsaid tells why a term cannot be answered because its consumer never said
// what it got, "" when it can.
func (c *collector) unsaid(t *plan.Term) string {
	if t.Subject.Kind != plan.RefConsumer {
		return ""
	}
	x := c.consumer(t.Subject.Name)
	if x == nil || x.mute == nil {
		return ""
	}
	said := t.Subject.Name + " never said what it got"
	switch t.Measure {
	case "lost", "members", "denied":
		return ""
	case "missing", "pending":
	default:
		return said
	}
	for _, w := range t.Windows {
		if w.Kind == plan.At {
			return said
		}
	}
	switch {
	case len(x.switches) > 0:
		return said + ", and it went to another cluster"
	case x.mute.unknown != "":
		return said + ", and the offsets that its group has committed are not known: " + x.mute.unknown
	}
	return ""
}

// byCommit tells whether a question is answered by committed offsets.
func (c *collector) byCommit(q *question) bool {
	return q.kind == plan.RefConsumer && c.consumers[q.index].mute != nil
}
