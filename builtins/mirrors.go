// This file defines what the words for mirrors do, and for the clients that go
// to them and back.

package builtins

import (
	"time"

	"go.starlark.net/starlark"

	"starfall/interp/plan"
)

func runMirror(c *call) starlark.Value {
	t := c.newThing(plan.RefMirror)
	m := plan.Mirror{
		Pos: c.at.pos, Name: t.id, To: c.thing("to").id, Site: c.siteName(),
		Rename: c.str("rename"), SyncOffsetsEvery: c.dur("sync_offsets_every"),
	}
	if c.has("sync_offsets_every") && m.SyncOffsetsEvery == 0 {
		c.wrong(c.param("sync_offsets_every"), c.raw("sync_offsets_every"), "got 0s, want a longer duration", "leave it out, and positions are not synced")
	}
	if m.SyncOffsetsEvery%plan.Duration(time.Second) != 0 {
		c.wrong(c.param("sync_offsets_every"), c.raw("sync_offsets_every"), "got "+m.SyncOffsetsEvery.String()+", want whole seconds, as MirrorMaker has it", "")
	}
	for _, topic := range c.things("topic") {
		m.Topics = append(m.Topics, topic.id)
	}
	c.env.plan.Mirrors = append(c.env.plan.Mirrors, m)
	return t
}

// clients gives the references to the clients of an action.
func (c *call) clients() []plan.Ref {
	var refs []plan.Ref
	list, _ := c.arg("clients").([]any)
	for _, x := range list {
		refs = append(refs, x.(*thing).subjectRef())
	}
	return refs
}

func runFailOver(c *call) starlark.Value {
	a := c.newAction(plan.FailOver)
	to := c.thing("to").subjectRef()
	a.plan.Targets, a.plan.To = c.clients(), &to
	return a
}

func runFailBack(c *call) starlark.Value {
	a := c.newAction(plan.FailBack)
	a.plan.Targets = c.clients()
	return a
}

func runReroute(c *call) starlark.Value {
	a := c.newAction(plan.Reroute)
	a.plan.Targets, a.plan.Via, a.plan.UndoAfter = c.clients(), c.thing("via").id, c.durPtr("restore_after")
	return a
}

// runIdentical makes the measure of one respect in which a copy is like its
// source.
func runIdentical(m plan.Measure) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		x := c.env.newMeasure(c.recv.(subject).subjectRef(), m).(*measure)
		x.term.Aspect = c.str("aspect")
		return x
	}
}

// dedup is what id_set and high_water give.
type dedup struct {
	handle
	how plan.Dedup
}

func runIDSet(c *call) starlark.Value {
	return dedup{handle{c.env, "dedup"}, plan.Dedup{Kind: "id_set"}}
}

func runHighWater(c *call) starlark.Value {
	return dedup{handle{c.env, "dedup"}, plan.Dedup{Kind: "high_water", Per: c.str("per")}}
}
