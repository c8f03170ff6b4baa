// This file defines what happenings and verbs do: they make events and actions.

package builtins

import (
	"fmt"

	"go.starlark.net/starlark"

	"starfall/interp/plan"
)

// action is what a verb gives: something to be done when an event fires.
type action struct {
	handle
	plan plan.Action
	use  *use
}

var _ starlark.HasAttrs = (*action)(nil)

// Attr records an error: only an event has a start and an end.
func (a *action) Attr(name string) (starlark.Value, error) {
	if a.env.probing() {
		return nil, nil
	}
	a.use.used = true
	hint := "an action is done in at, every or when"
	if a.env.words["event"][name] != nil {
		hint = hintHandle
	}
	a.env.Report(a.env.herePos(), "action has no attribute "+name, hint)
	return standIn{}, nil
}

// AttrNames is empty.
func (a *action) AttrNames() []string { return nil }

// newAction starts an action of the call's verb.
func (c *call) newAction(verb plan.Verb) *action {
	c.env.limit(c.at.pos)
	return &action{
		handle: handle{c.env, "action"},
		plan:   plan.Action{Pos: c.at.pos, Verb: verb, Source: c.at.text()},
		use:    c.env.newUse(c.at, "action", c.word.Name),
	}
}

func (c *call) toAction(p *Param, a argument) (any, bool) {
	switch v := a.value.(type) {
	case *action:
		v.use.used = true
		return v, true
	case *claim:
		v.use.used = true
		c.wrong(p, a, "got claim, want action", "a claim is judged by expect(…)")
		return nil, false
	case *starlark.List:
		markUsed(v)
		c.wrong(p, a, "got list, want action", "say "+c.word.Name+"(…, a, b) or *list")
		return nil, false
	}
	return c.mismatch(p, a)
}

// newEvent declares an event with the call's actions.
func (c *call) newEvent(tr plan.Trigger) starlark.Value {
	t := c.newThing(plan.RefEvent)
	e := plan.Event{Pos: c.at.pos, Name: t.id, Text: c.at.text(), Trigger: tr}
	list, _ := c.arg("actions").([]any)
	for _, a := range list {
		e.Actions = append(e.Actions, a.(*action).plan)
	}
	c.env.plan.Events = append(c.env.plan.Events, e)
	return t
}

func runAt(c *call) starlark.Value {
	return c.newEvent(plan.Trigger{Kind: plan.TriggerAt, At: c.instant("when")})
}

func runEvery(c *call) starlark.Value {
	tr := plan.Trigger{Kind: plan.TriggerEvery, Interval: c.dur("interval"), At: c.instant("first"), Until: c.dur("until")}
	if c.has("interval") && tr.Interval == 0 {
		c.wrong(c.param("interval"), c.raw("interval"), "got 0s, want a longer duration", "")
	}
	if !c.has("first") {
		tr.At = plan.Instant{Offset: tr.Interval}
	}
	return c.newEvent(tr)
}

func runWhen(c *call) starlark.Value {
	tr := plan.Trigger{Kind: plan.TriggerWhen, Within: c.dur("within")}
	if x, ok := c.arg("claim").(*claim); ok {
		tr.Claim = &x.expr
	}
	return c.newEvent(tr)
}

func onNodes(verb plan.Verb, undo string) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		a := c.newAction(verb)
		a.plan.Targets, a.plan.UndoAfter = c.refs("node"), c.durPtr(undo)
		return a
	}
}

func runRestart(c *call) starlark.Value {
	a := c.newAction(plan.Restart)
	a.plan.Targets, a.plan.DownFor = c.refs("node"), c.dur("down_for")
	return a
}

// hits turns events among refs into whatever those events hit.
func hits(refs []plan.Ref) []plan.Ref {
	for i := range refs {
		if refs[i].Kind == plan.RefEvent {
			refs[i].Kind = plan.RefHit
		}
	}
	return refs
}

func onHit(verb plan.Verb) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		a := c.newAction(verb)
		a.plan.Targets = hits(c.refs("node"))
		return a
	}
}

func runNetsplit(c *call) starlark.Value {
	a := c.newAction(plan.Netsplit)
	groups, _ := c.arg("groups").([]any)
	for _, g := range groups {
		a.plan.Groups = append(a.plan.Groups, g.([]plan.Ref))
	}
	a.plan.OneWay, a.plan.UndoAfter = c.bool("one_way"), c.durPtr("heal_after")
	return a
}

func onPathTo(verb plan.Verb) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		a := c.newAction(verb)
		a.plan.Groups = [][]plan.Ref{c.refs("a"), c.refs("b")}
		a.plan.UndoAfter = c.durPtr("heal_after")
		a.plan.Condition = plan.Condition{
			Latency: c.dur("latency"), Jitter: c.dur("jitter"), Loss: c.num("loss"), Bandwidth: c.num("bandwidth"),
		}
		return a
	}
}

func runHeal(c *call) starlark.Value {
	a := c.newAction(plan.Heal)
	a.plan.Targets = []plan.Ref{{Kind: plan.RefHit, Name: c.thing("handle").id}}
	return a
}

func runHealAll(c *call) starlark.Value { return c.newAction(plan.HealAll) }

func runResize(c *call) starlark.Value {
	a := c.newAction(plan.Resize)
	a.plan.Targets, a.plan.Partitions = []plan.Ref{c.thing("topic").subjectRef()}, c.int("partitions")
	return a
}

func runScale(c *call) starlark.Value {
	a := c.newAction(plan.Scale)
	a.plan.Targets, a.plan.Members = []plan.Ref{c.thing("client").subjectRef()}, c.int("members")
	return a
}

func runSetRate(c *call) starlark.Value {
	a := c.newAction(plan.SetRate)
	a.plan.Targets, a.plan.Rate = []plan.Ref{c.thing("producer").subjectRef()}, c.num("rate")
	return a
}

func runCrash(c *call) starlark.Value {
	a := c.newAction(plan.Crash)
	a.plan.Targets, a.plan.UndoAfter = c.refs("member"), c.durPtr("restart_after")
	return a
}

func runConfigure(c *call) starlark.Value {
	a := c.newAction(plan.Configure)
	a.plan.Targets, a.plan.UndoAfter = c.refs("target"), c.durPtr("revert_after")
	topics := 0
	for _, r := range a.plan.Targets {
		if r.Kind == plan.RefTopic {
			topics++
		}
	}
	scope := brokerScope
	if topics > 0 {
		scope = topicScope
	}
	if topics > 0 && topics < len(a.plan.Targets) {
		c.errorAt(c.raw("target").pos, "for parameter target: got topics and brokers, want one kind", "their configs have different names: configure each by itself")
		return a
	}
	a.plan.Config = c.settings("config", scope, false)
	if d, ok := c.arg("config").(*starlark.Dict); ok && d.Len() == 0 {
		c.wrong(c.param("config"), c.raw("config"), "got an empty dict, want at least one name", "")
	}
	return a
}

func runElect(c *call) starlark.Value {
	a := c.newAction(plan.Elect)
	a.plan.Targets = []plan.Ref{c.thing("topic").subjectRef()}
	a.plan.Elect, a.plan.Partition = c.str("kind"), -1
	if c.has("partition") {
		a.plan.Partition = c.int("partition")
	}
	return a
}

func runMove(c *call) starlark.Value {
	a := c.newAction(plan.Move)
	a.plan.Targets, a.plan.Bandwidth = []plan.Ref{c.thing("topic").subjectRef()}, c.num("throttle")
	a.plan.Placement, _ = c.arg("placement").(map[int][]int32)
	if off := c.refs("off"); len(off) > 0 {
		a.plan.Off = &off[0]
	}
	if c.has("placement") == c.has("off") {
		got := "neither"
		if c.has("off") {
			got = "both"
		}
		c.errorAt(c.at.pos, fmt.Sprintf("got %s of placement and off, want one of them", got), "move(orders, off = kafka.broker(1)) empties a broker")
	}
	return a
}

func runNote(c *call) starlark.Value {
	a := c.newAction(plan.Note)
	a.plan.Text = c.str("text")
	return a
}

func runSend(c *call) starlark.Value {
	a := c.newAction(plan.Send)
	a.plan.Targets = []plan.Ref{c.thing("topic").subjectRef()}
	a.plan.Text, a.plan.Key = c.str("text"), c.str("key")
	return a
}
