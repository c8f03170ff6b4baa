// This file defines what is noted of consumers that never say what they get.

package runtime

import (
	"context"
	"time"

	"starfall/runtime/record"
)

// groupLimit is how long the committed offsets of a group are asked for at the
// end, real time.
const groupLimit = 15 * time.Second

// noteSilent journals how far the groups of silent consumers have committed.
// It comes when their members have left, which is when they commit last.
func (r *run) noteSilent() {
	load, ok := r.clients.Load.(Mute)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.hard, groupLimit)
	defer cancel()
	for _, c := range r.p.Consumers {
		if c.Observes != "" || !load.Silent(c.Name) {
			continue
		}
		e := record.Event{Kind: record.KindCommitted, Name: c.Name,
			What: c.Name + " never said what it got: what is missing is told by the offsets that its group has committed"}
		at := r.load.at(c.Name)
		g, err := r.clients.Audit.Group(ctx, at.cluster, c.Group)
		if err != nil {
			e.What, e.Error = c.Name+" never said what it got, and what its group has committed is not known", err.Error()
		} else {
			e.Committed = map[string][]int64{}
			for _, t := range at.names() {
				list := []int64{}
				for part, offset := range g.Committed[t] {
					for len(list) <= int(part) {
						list = append(list, -1)
					}
					list[part] = offset
				}
				e.Committed[t] = list
			}
		}
		r.journal.add(time.Now(), e)
	}
}
