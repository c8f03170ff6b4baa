package docker

// This file defines how the state of the network is proved: by dials from
// inside, from every end of a path to every node and relay.
//
//	path                  a dial over it, or over its way back
//	cut                   is silent
//	slow                  is answered, and not sooner than both ways take at least
//	whole, or changed     is answered: connected or refused
//	loses half or more    may be anything: what is in force has to do
//	of a host that is off is silent anyway: what is in force has to do
//	from a relayed client to a node: goes another way, what is in force has to do
//
// A dial crosses both directions, so that a path which is cut one way only makes
// the dials of both ends silent. What is as it was before is not probed again,
// except that cuts always are. Nobody listens at clients and mirrors, they are not
// dialled.

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// route is a directed path between two spots, by address.
type route struct{ from, to netip.Addr }

// conditions are those of the routes that are not whole.
type conditions map[route]plan.Condition

// cut tells whether nothing passes.
func (c conditions) cut(r route) bool { return c[r].Cut || c[r].Loss >= 1 }

// trip is how long a dial and its answer may be under way by what was asked for.
func (c conditions) trip(r route) time.Duration {
	one := func(x plan.Condition) time.Duration { return (x.Latency + x.Jitter).Std() }
	return one(c[r]) + one(c[route{r.to, r.from}])
}

// least is how long a dial and its answer are under way at least.
func (c conditions) least(r route) time.Duration {
	one := func(x plan.Condition) time.Duration { return max(x.Latency-x.Jitter, 0).Std() }
	return one(c[r]) + one(c[route{r.to, r.from}])
}

// loss is the larger share that either way loses.
func (c conditions) loss(r route) float64 { return max(c[r].Loss, c[route{r.to, r.from}].Loss) }

// probing is a probe with what it is to prove.
type probing struct {
	probe    network.Probe
	from, to spot
	cut      bool          // it must be silent
	least    time.Duration // else it must take so long
}

// wrong says what is not as it must be, "" when nothing is.
func (p probing) wrong(got network.Outcome) string {
	switch silent := got.Answer == network.Silent; {
	case p.cut && !silent:
		return fmt.Sprintf("%s to %s: want silence, but a dial is %s", p.from.label, p.to.label, got.Answer)
	case !p.cut && silent:
		return fmt.Sprintf("%s to %s: want an answer, but a dial is silent for %v", p.from.label, p.to.label, p.probe.Wait)
	case !p.cut && got.Took < p.least:
		return fmt.Sprintf("%s to %s: want an answer after %v, but it came after %v", p.from.label, p.to.label, p.least, got.Took)
	}
	return ""
}

// manyLost is the share of lost packets from which on silence proves nothing.
const manyLost = 0.5

// resent is how much longer an answer may take when the first packet, or the
// first answer, is lost: TCP sends them again after one and three seconds.
const resent = 3 * time.Second

// probes lists what is to be dialled, and how many dials would prove nothing.
func probes(ends []spot, conds, were conditions) (list []probing, skipped int) {
	for _, a := range ends {
		for _, b := range ends {
			if a.addr == b.addr || !b.listens.IsValid() {
				continue
			}
			to, back := route{a.addr, b.addr}, route{b.addr, a.addr}
			p := probing{from: a, to: b, cut: conds.cut(to) || conds.cut(back)}
			if !p.cut && conds[to] == were[to] && conds[back] == were[back] {
				continue
			}
			dark := b.server != nil && b.server.dark || a.server != nil && a.server.dark
			if dark || a.led && b.server != nil || !p.cut && conds.loss(to) >= manyLost {
				skipped++
				continue
			}
			p.probe = network.Probe{Local: a.addr, Peer: b.listens, Wait: silence + conds.trip(to)}
			if !p.cut {
				p.least = conds.least(to)
				p.probe.Wait = answerIn + conds.trip(to)
				if conds.loss(to) > 0 {
					p.probe.Wait += resent
				}
			}
			list = append(list, p)
		}
	}
	return list, skipped
}

// prove dials from all boxes side by side.
func (w *world) prove(ctx context.Context, at time.Time, reports map[*box]network.Report, conds, were conditions) (runtime.Proof, error) {
	list, skipped := probes(w.ends(), conds, were)
	byBox := map[*box][]probing{}
	silent, answered, slow := 0, 0, 0
	for _, p := range list {
		byBox[p.from.box] = append(byBox[p.from.box], p)
		switch {
		case p.cut:
			silent++
		case p.least > 0:
			slow++
		default:
			answered++
		}
	}
	boxes := w.boxes()
	wrong := make([]string, len(boxes))
	var asked group
	for i, b := range boxes {
		if len(byBox[b]) == 0 {
			continue
		}
		asked.Go(ctx, func(ctx context.Context) (err error) {
			wrong[i], err = ask(ctx, b, byBox[b])
			return err
		})
	}
	if err := asked.Wait(); err != nil {
		return runtime.Proof{Text: "the rules are in force, but probes failed: " + err.Error()}, nil
	}
	if bad := slices.DeleteFunc(wrong, func(s string) bool { return s == "" }); len(bad) > 0 {
		return runtime.Proof{Text: strings.Join(bad, "; ")}, nil
	}
	return runtime.Proof{OK: true, At: at, Text: proofText(silent, answered, slow, skipped, reports)}, nil
}

// proofText says what was proved, and how.
func proofText(silent, answered, slow, skipped int, reports map[*box]network.Report) string {
	var dials []string
	for _, x := range []struct {
		n    int
		what string
	}{{silent, "silent"}, {answered, "answered"}, {slow, "answered as late as asked"}} {
		if x.n > 0 {
			dials = append(dials, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	text := "nothing to dial"
	if len(dials) > 0 {
		text = "dials: " + strings.Join(dials, ", ")
	}
	var lossy, delayed int
	by := ""
	for _, r := range reports {
		lossy, delayed = lossy+r.Lossy, delayed+r.Slow
		if r.Delay != "" {
			by = r.Delay
		}
	}
	if lossy > 0 {
		text += fmt.Sprintf("; %d rules of loss in force", lossy)
	}
	if delayed > 0 {
		text += fmt.Sprintf("; %d rules of delay or bandwidth in force, by %s", delayed, by)
	}
	if skipped > 0 {
		text += fmt.Sprintf("; %d dials left out: they would prove nothing", skipped)
	}
	return text
}

// ask probes from one box and says what is not as it must be. A path that is to
// answer gets three chances: a packet may have been on its way when the rules
// changed.
func ask(ctx context.Context, b *box, list []probing) (string, error) {
	for try := 1; ; try++ {
		dials := make([]network.Probe, len(list))
		for i, p := range list {
			dials[i] = p.probe
		}
		out, err := b.agent.Reach(ctx, dials)
		if err != nil {
			return "", err
		}
		var bad []string
		var again []probing
		for i, p := range list {
			if out[i].Answer == network.Failed {
				return "", fmt.Errorf("%s to %s: %s", p.from.label, p.to.label, out[i].Error)
			}
			if wrong := p.wrong(out[i]); wrong != "" {
				bad = append(bad, wrong)
				if !p.cut {
					again = append(again, p)
				}
			}
		}
		if len(bad) == 0 || len(again) < len(bad) || try == 3 {
			return strings.Join(bad, "; "), nil
		}
		list = again
	}
}
