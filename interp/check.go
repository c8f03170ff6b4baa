// This file defines the checks of a finished plan.

package interp

import (
	"slices"

	"starfall/interp/model"
	"starfall/interp/plan"
)

// check adds what a model of the cluster over time finds.
func (l *loader) check(p *plan.Plan) {
	for _, x := range model.Check(p) {
		severity := Error
		if x.Severity == model.Warning {
			severity = Warning
		}
		l.out = append(l.out, Problem{l.tree.shown(x.Pos), severity, x.Message, x.Suggestion})
	}
}

// checkThings adds what is wrong with the things that a scenario with mistakes
// has declared soundly. What happens to them and what is claimed of them cannot
// be checked: a part of it may be missing.
func (l *loader) checkThings(p *plan.Plan) {
	type place struct {
		file string
		line int
	}
	known := map[place]bool{}
	for _, x := range l.out {
		known[place{x.Pos.File, x.Pos.Line}] = true
	}
	soundThings(p)
	for _, x := range model.CheckThings(p) {
		pos := l.tree.shown(x.Pos)
		if !known[place{pos.File, pos.Line}] { // else it may follow from what is known
			l.out = append(l.out, Problem{pos, Error, x.Message, x.Suggestion})
		}
	}
}

// soundThings leaves out what has no name or belongs to something that is left
// out: the mistake is told where it was made.
func soundThings(p *plan.Plan) {
	p.Clusters = slices.DeleteFunc(p.Clusters, func(c plan.Cluster) bool { return c.Name == "" })
	p.Topics = slices.DeleteFunc(p.Topics, func(t plan.Topic) bool { return t.Name == "" || p.Cluster(t.Cluster) == nil })
	p.Producers = slices.DeleteFunc(p.Producers, func(x plan.Producer) bool { return x.Name == "" || p.Topic(x.Topic) == nil })
	p.Consumers = slices.DeleteFunc(p.Consumers, func(x plan.Consumer) bool {
		return x.Name == "" || slices.ContainsFunc(x.Topics, func(t string) bool { return p.Topic(t) == nil })
	})
}
