package embedded

// This file defines the network as the runtime wants it: between nodes in the core,
// between clients and brokers in the shell.

import (
	"context"
	"fmt"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/wire"
)

// Shape replaces the state of all paths. The proof is a probe on every path between
// nodes and between brokers and the places that are known: those that are to be cut
// must lose it, all others must pass it.
func (w *world) Shape(ctx context.Context, paths []runtime.Path) (runtime.Proof, error) {
	type state struct {
		nodes  map[[2]int32]core.Path
		places map[wire.Path]core.Path
	}
	want := map[string]*state{}
	for _, name := range w.order {
		want[name] = &state{map[[2]int32]core.Path{}, map[wire.Path]core.Path{}}
	}
	for _, p := range paths {
		from, to := p.From.Node, p.To.Node
		name := from.Cluster
		if from.ID == 0 {
			name = to.Cluster
		}
		s := want[name]
		switch {
		case from.ID == 0 && to.ID == 0:
			return runtime.Proof{}, fmt.Errorf("path: from %s to %s: want a node at one end", placeKey(p.From.Place), placeKey(p.To.Place))
		case s == nil:
			return runtime.Proof{}, fmt.Errorf("path: cluster %s: there is no such cluster", name)
		case from.ID != 0 && to.ID != 0:
			// Nodes of different clusters have nothing to say to each other.
			if from.Cluster == to.Cluster {
				s.nodes[[2]int32{toCore(from.ID), toCore(to.ID)}] = condition(p.Condition)
			}
		case from.ID == 0:
			s.places[wire.Path{Place: placeKey(p.From.Place), Broker: toCore(to.ID), ToBroker: true}] = condition(p.Condition)
		default:
			s.places[wire.Path{Place: placeKey(p.To.Place), Broker: toCore(from.ID)}] = condition(p.Condition)
		}
	}
	for _, name := range w.order {
		c, s := w.clusters[name], want[name]
		if err := c.server.Do(ctx, func() {
			c.core.SetPaths(func(from, to int32) core.Path { return s.nodes[[2]int32{from, to}] })
			c.server.Shape(s.places)
		}); err != nil {
			return runtime.Proof{}, fmt.Errorf("cluster %s: %w", name, err)
		}
	}
	at := time.Now()
	cut, whole := 0, 0
	for _, name := range w.order {
		c, s := w.clusters[name], want[name]
		var wrong string
		check := func(what string, wantCut, passes bool) {
			switch {
			case wantCut == passes && wrong == "":
				wrong = fmt.Sprintf("%s: cut is %v, want %v", what, !passes, wantCut)
			case wantCut:
				cut++
			default:
				whole++
			}
		}
		if err := c.server.Do(ctx, func() {
			for _, a := range c.plan.Nodes {
				for _, b := range c.plan.Nodes {
					from, to := toCore(a.ID), toCore(b.ID)
					off := c.state(from).Process == core.PoweredOff || c.state(to).Process == core.PoweredOff
					if from != to && !off { // nothing reaches a host that is off
						check(c.label(from)+" to "+c.label(to), s.nodes[[2]int32{from, to}].Cut, c.core.Passes(from, to))
					}
				}
			}
		}); err != nil {
			return runtime.Proof{}, fmt.Errorf("cluster %s: %w", name, err)
		}
		for _, p := range c.server.Paths() {
			check(fmt.Sprintf("%s and %s", p.Place, c.label(p.Broker)), s.places[p].Cut, c.server.Passes(p))
		}
		if wrong != "" {
			return runtime.Proof{Text: "cluster " + name + ": " + wrong}, nil
		}
	}
	return runtime.Proof{OK: true, At: at, Text: fmt.Sprintf("probed: %d paths cut, %d pass", cut, whole)}, nil
}

// condition is a plan's condition as a path of the core: a plan's jitter is to both
// sides of the latency, the core's is added to it. A path that loses everything is
// a cut.
func condition(c plan.Condition) core.Path {
	lowest := max(c.Latency-c.Jitter, 0)
	return core.Path{
		Cut:     c.Cut || c.Loss >= 1,
		Latency: lowest.Std(), Jitter: (c.Latency + c.Jitter - lowest).Std(),
		Loss: min(c.Loss, 1), Bandwidth: c.Bandwidth,
	}
}
