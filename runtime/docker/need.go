package docker

// This file defines what a plan needs of the kernel under the containers.

import (
	"cmp"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// need is a power over the network that a plan asks for, and where.
type need struct {
	pos  plan.Pos
	what string // as the plan has it: slow, loss …
	cond plan.Condition
}

// networkNeeds lists what links and events ask of the network.
func networkNeeds(p *plan.Plan) []need {
	var out []need
	for _, l := range p.Links {
		if l.Condition != (plan.Condition{}) {
			out = append(out, need{l.Pos, "link", l.Condition})
		}
	}
	for _, e := range p.Events {
		for _, a := range e.Actions {
			switch a.Verb {
			case plan.Netsplit:
				out = append(out, need{a.Pos, string(a.Verb), plan.Condition{Cut: true}})
			case plan.Slow, plan.Lose, plan.Throttle:
				out = append(out, need{a.Pos, string(a.Verb), a.Condition})
			case plan.PowerOff:
				out = append(out, need{a.Pos, string(a.Verb), plan.Condition{Cut: true}})
			}
		}
	}
	return out
}

// unsupported gives the needs that a kernel cannot fulfil.
func unsupported(needs []need, can network.Support) []runtime.Refusal {
	var out []runtime.Refusal
	for _, n := range needs {
		for _, x := range []struct {
			asked bool
			why   string
			what  string
		}{
			{n.cond.Cut || n.cond.Loss >= 1, can.Cut, "cutting a path"},
			{n.cond.Loss > 0 && n.cond.Loss < 1, can.Loss, "losing packets"},
			{n.cond.Latency > 0 || n.cond.Jitter > 0, can.Delay, "latency"},
			{n.cond.Bandwidth > 0, can.Delay, "bandwidth"},
		} {
			if x.asked && x.why != "" {
				out = append(out, runtime.Refusal{Pos: n.pos, Message: n.what + ": " + x.what + " is not possible with the kernel under Docker: " + x.why, Engine: "embedded"})
			}
		}
	}
	return out
}

func comparePos(a, b plan.Pos) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
}
