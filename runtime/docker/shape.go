package docker

// This file defines how the wanted state of all paths becomes rules in each
// container, and how they are proved.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// shape is the network as it was last told to the agents.
type shape struct {
	rules map[*box][]network.Rule
	paths conditions
}

// conditions are those of the routes that are not whole.
type conditions map[route]plan.Condition

// cut tells whether nothing passes.
func (c conditions) cut(r route) bool { return c[r].Cut || c[r].Loss >= 1 }

// trip is how long a dial and its answer may be under way by what was asked for.
func (c conditions) trip(r route) time.Duration {
	one := func(x plan.Condition) time.Duration { return (x.Latency + x.Jitter).Std() }
	return one(c[r]) + one(c[route{r.to, r.from}])
}

// spot is an endpoint in its container.
type spot struct {
	box    *box
	addr   netip.Addr // an address of the box
	server *server    // nil for a client or a stranger
	label  string
}

// route is a directed path between two spots, by address.
type route struct{ from, to netip.Addr }

// spotOf finds where an endpoint is. A member that is new gets its address.
func (w *world) spotOf(e runtime.Endpoint) (spot, error) {
	switch {
	case e.Node.ID != 0:
		s, err := w.server(e.Node)
		if err != nil {
			return spot{}, err
		}
		return spot{s.box, s.box.addr, s, s.label}, nil
	case e.Place.Client != "":
		addr, err := w.member(e.Place)
		if err != nil {
			return spot{}, err
		}
		site, _ := siteOf(w.p, e.Place.Client)
		w.mu.Lock()
		defer w.mu.Unlock()
		return spot{w.sites[site], addr, nil, fmt.Sprintf("%s-%d", e.Place.Client, e.Place.Member)}, nil
	case e.Place.Site != "":
		w.mu.Lock()
		defer w.mu.Unlock()
		b := w.sites[e.Place.Site]
		if b == nil {
			return spot{}, fmt.Errorf("site %s: nothing stands there", e.Place.Site)
		}
		return spot{b, b.addr, nil, e.Place.Site}, nil
	}
	return spot{}, errors.New("path: the control side has none")
}

// Shape replaces the state of all paths: every container gets the rules of its
// own addresses, all at once in each and side by side over all. Then it is
// proved, by what the kernels report to be in force and by probes:
//
//	path           probe                                          proves it
//	cut            a dial over it, or over its way back           silence
//	became whole   a dial from its end that is a client or node   an answer: connected or refused
//
// A dial crosses both directions, so a path that is cut one way only makes both
// dials silent, and a path is probed as whole only when both of its directions
// are. Nodes are dialled at the port they serve, members are not dialled: nobody
// listens there. A host that is off answers nobody; for its paths the rules in
// force have to do.
func (w *world) Shape(ctx context.Context, paths []runtime.Path) (runtime.Proof, error) {
	if err := w.failed(); err != nil {
		return runtime.Proof{}, err
	}
	rules := map[*box][]network.Rule{}
	conds := conditions{}
	slow := 0
	for _, p := range paths {
		from, err := w.spotOf(p.From)
		if err != nil {
			return runtime.Proof{}, err
		}
		to, err := w.spotOf(p.To)
		if err != nil {
			return runtime.Proof{}, err
		}
		// Members share a box, so that their rules name the local address;
		// elsewhere they need not.
		rules[from.box] = append(rules[from.box], network.Rule{Local: from.local(), Peer: to.addr, Out: true, Condition: p.Condition})
		rules[to.box] = append(rules[to.box], network.Rule{Local: to.local(), Peer: from.addr, Condition: p.Condition})
		r := route{from.addr, to.addr}
		if conds[r] = p.Condition; !conds.cut(r) {
			slow++
		}
	}
	w.shaping.Lock()
	defer w.shaping.Unlock()
	was := w.shaped
	reports, at, err := w.apply(ctx, rules)
	if err != nil {
		w.shaped = shape{rules, nil} // the next one applies everything again
		if ctx.Err() != nil {
			return runtime.Proof{Text: err.Error()}, nil
		}
		return runtime.Proof{}, err
	}
	w.shaped = shape{rules, conds}
	return w.prove(ctx, at, reports, conds, was.paths, slow)
}

// local is the address that a rule names for the spot's own end.
func (s spot) local() netip.Addr {
	if s.server != nil {
		return netip.Addr{}
	}
	return s.addr
}

// apply tells every agent its rules, where they are not what it has, side by
// side, and gives the moment when the last had them in force.
func (w *world) apply(ctx context.Context, rules map[*box][]network.Rule) (map[*box]network.Report, time.Time, error) {
	dark := map[*box]bool{}
	for _, s := range w.servers {
		dark[s.box] = s.dark
	}
	var told group
	reports := make([]network.Report, len(w.boxes()))
	for i, b := range w.boxes() {
		if b == w.control || slices.Equal(rules[b], w.shaped.rules[b]) && w.shaped.paths != nil {
			continue
		}
		told.Go(ctx, func(ctx context.Context) (err error) {
			reports[i], err = b.agent.Shape(ctx, network.State{Rules: rules[b], Dark: dark[b]})
			if err != nil {
				err = fmt.Errorf("network of %s: %w", b.name, err)
			}
			return err
		})
	}
	err := told.Wait()
	out := map[*box]network.Report{}
	for i, b := range w.boxes() {
		out[b] = reports[i]
	}
	return out, time.Now(), err
}

// probing is a probe with what it is to prove.
type probing struct {
	probe network.Probe
	from  spot
	to    spot
	cut   bool
}

// prove probes the paths that are cut and those that became whole.
func (w *world) prove(ctx context.Context, at time.Time, reports map[*box]network.Report, conds, were conditions, slow int) (runtime.Proof, error) {
	ends := w.ends()
	byBox := map[*box][]probing{}
	cut, whole, unproved := 0, 0, 0
	for _, a := range ends {
		for _, b := range ends {
			if a.addr == b.addr || b.server == nil {
				continue
			}
			to, back := route{a.addr, b.addr}, route{b.addr, a.addr}
			isCut := conds.cut(to) || conds.cut(back)
			mended := !isCut && (were.cut(to) || were.cut(back))
			if !isCut && !mended {
				continue
			}
			if b.server.dark || a.server != nil && a.server.dark {
				unproved++
				continue
			}
			wait := silence
			if mended {
				wait = answerIn
			}
			byBox[a.box] = append(byBox[a.box], probing{
				network.Probe{Local: a.addr, Peer: addrPort(b.server), Wait: wait + conds.trip(to)}, a, b, isCut,
			})
		}
	}
	boxes := w.boxes()
	wrong := make([]string, len(boxes))
	var asked group
	for i, b := range boxes {
		list := byBox[b]
		for _, p := range list {
			if p.cut {
				cut++
			} else {
				whole++
			}
		}
		if len(list) == 0 {
			continue
		}
		asked.Go(ctx, func(ctx context.Context) error {
			var err error
			wrong[i], err = ask(ctx, b, list)
			return err
		})
	}
	if err := asked.Wait(); err != nil {
		return runtime.Proof{Text: "the rules are in force, but probes failed: " + err.Error()}, nil
	}
	if bad := strings.Join(slices.DeleteFunc(wrong, func(s string) bool { return s == "" }), "; "); bad != "" {
		return runtime.Proof{Text: bad}, nil
	}
	text := fmt.Sprintf("probed: %d dials silent, %d answered", cut, whole)
	if slow > 0 {
		text += fmt.Sprintf("; rules in force on %d slower paths", slow)
		for _, r := range reports {
			if r.Delay != "" {
				text += " by " + r.Delay
				break
			}
		}
	}
	if unproved > 0 {
		text += fmt.Sprintf("; %d paths of hosts that are off not probed", unproved)
	}
	return runtime.Proof{OK: true, At: at, Text: text}, nil
}

// ask probes from one box and says what is not as it must be. A path that
// became whole gets more than one chance: its first packet may be one that is
// lost by design, or still on its way when the rules changed.
func ask(ctx context.Context, b *box, list []probing) (string, error) {
	for try := 1; ; try++ {
		probes := make([]network.Probe, len(list))
		for i, p := range list {
			probes[i] = p.probe
		}
		out, err := b.agent.Reach(ctx, probes)
		if err != nil {
			return "", err
		}
		var bad []string
		var again []probing
		for i, p := range list {
			answer := out[i].Answer
			if answer == network.Failed {
				return "", fmt.Errorf("%s to %s: %s", p.from.label, p.to.label, out[i].Error)
			}
			if p.cut == (answer == network.Silent) {
				continue
			}
			bad = append(bad, fmt.Sprintf("%s to %s: want cut=%v, but a dial is %s", p.from.label, p.to.label, p.cut, answer))
			if !p.cut {
				again = append(again, p)
			}
		}
		if len(bad) == 0 || len(again) < len(bad) || try == 3 {
			return strings.Join(bad, "; "), nil
		}
		list = again
	}
}

// ends are all spots that packets start from: nodes, members, and, for programs
// outside, sites.
func (w *world) ends() []spot {
	var out []spot
	for _, key := range w.order {
		s := w.servers[key]
		out = append(out, spot{s.box, s.box.addr, s, s.label})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, addr := range w.members {
		site, err := siteOf(w.p, p.Client)
		if err != nil {
			continue
		}
		out = append(out, spot{w.sites[site], addr, nil, fmt.Sprintf("%s-%d", p.Client, p.Member)})
	}
	if w.e.Outside {
		for site, b := range w.sites {
			out = append(out, spot{b, b.addr, nil, site})
		}
	}
	return out
}

// darken makes a node's host vanish from the network, or come back.
func (w *world) darken(ctx context.Context, s *server, dark bool) error {
	w.shaping.Lock()
	defer w.shaping.Unlock()
	if s.dark == dark {
		return nil
	}
	_, err := s.box.agent.Shape(ctx, network.State{Rules: w.shaped.rules[s.box], Dark: dark})
	if err != nil {
		return fmt.Errorf("network of %s: %w", s.label, err)
	}
	s.dark = dark
	return nil
}
