// This file defines the checks of a finished plan.

package interp

import (
	"slices"

	"starfall/interp/model"
	"starfall/interp/plan"
)

// check adds what a model of the cluster over time finds.
func (l *loader) check(p *plan.Plan) {
	l.found(model.Check(p))
}

// found takes problems over, with positions that the user can open.
func (l *loader) found(problems []Problem) {
	for _, x := range problems {
		x.Pos = l.tree.shown(x.Pos)
		l.out = append(l.out, x)
	}
}

// checkThings adds what is wrong with the things that a scenario with mistakes
// has declared soundly. What happens to them and what is claimed of them cannot
// be checked: a part of it may be missing.
func (l *loader) checkThings(p *plan.Plan) {
	type line struct {
		file string
		line int
	}
	wrong := map[line]bool{}
	for _, x := range l.out {
		wrong[line{x.Pos.File, x.Pos.Line}] = true
	}
	soundThings(p, func(name string, pos plan.Pos) bool {
		pos = l.tree.shown(pos)
		return name != "" && !wrong[line{pos.File, pos.Line}]
	})
	l.found(model.CheckThings(p))
}

// soundThings leaves out what is not sound and what belongs to that: what is
// wrong there may follow from a mistake that is told where it was made.
func soundThings(p *plan.Plan, sound func(name string, pos plan.Pos) bool) {
	p.Clusters = slices.DeleteFunc(p.Clusters, func(c plan.Cluster) bool { return !sound(c.Name, c.Pos) })
	p.Topics = slices.DeleteFunc(p.Topics, func(t plan.Topic) bool {
		return !sound(t.Name, t.Pos) || p.Cluster(t.Cluster) == nil
	})
	p.Producers = slices.DeleteFunc(p.Producers, func(x plan.Producer) bool {
		return !sound(x.Name, x.Pos) || p.Topic(x.Topic) == nil
	})
	p.Consumers = slices.DeleteFunc(p.Consumers, func(x plan.Consumer) bool {
		return !sound(x.Name, x.Pos) || slices.ContainsFunc(x.Topics, func(t string) bool { return p.Topic(t) == nil })
	})
	p.Mirrors = slices.DeleteFunc(p.Mirrors, func(m plan.Mirror) bool {
		return !sound(m.Name, m.Pos) || p.Cluster(m.To) == nil || slices.ContainsFunc(m.Topics, func(t string) bool { return p.Topic(t) == nil })
	})
	users := len(p.Users)
	p.Users = slices.DeleteFunc(p.Users, func(u plan.User) bool { return !sound(u.Name, u.Pos) || p.Cluster(u.Cluster) == nil })
	if len(p.Users) < users { // who is missing may be anybody's user
		p.Users = nil
		for i := range p.Clusters {
			p.Clusters[i].Auth = ""
		}
		for i := range p.Producers {
			p.Producers[i].User = ""
		}
		for i := range p.Consumers {
			p.Consumers[i].User = ""
		}
	}
}
