package docker

// This file defines how the wanted state of all paths becomes rules in each
// container, and how they are proved.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// shape is the network as it was last told to the agents.
type shape struct {
	rules map[*box][]network.Rule
	paths conditions
}

// spot is an endpoint in its container.
type spot struct {
	box    *box
	addr   netip.Addr // an address of the box
	server *server    // nil for a client or a stranger
	label  string
	// listens is where it can be dialled; zero: nowhere.
	listens netip.AddrPort
	// led: what it dials goes by way of a relay, and proves nothing of its own path.
	led bool
}

// spot is a server as an end of paths.
func (s *server) spot() spot {
	return spot{box: s.box, addr: s.box.addr, server: s, label: s.label, listens: addrPort(s)}
}

// spotOf finds where an endpoint is. A member that is new gets its address.
func (w *world) spotOf(e runtime.Endpoint) (spot, error) {
	switch {
	case e.Node.ID != 0:
		s, err := w.server(e.Node)
		if err != nil {
			return spot{}, err
		}
		return s.spot(), nil
	case e.Place.Client != "" && w.standing(e.Place) != nil:
		w.mu.Lock()
		defer w.mu.Unlock()
		return standSpot(e.Place.Client, w.stands[e.Place.Client], w.relays[e.Place.Client] != nil), nil
	case e.Place.Client != "":
		addr, err := w.member(e.Place)
		if err != nil {
			return spot{}, err
		}
		site, _ := siteOf(w.p, e.Place.Client)
		w.mu.Lock()
		defer w.mu.Unlock()
		return spot{box: w.sites[site], addr: addr, label: fmt.Sprintf("%s-%d", e.Place.Client, e.Place.Member)}, nil
	case e.Place.Site != "":
		w.mu.Lock()
		defer w.mu.Unlock()
		b := w.sites[e.Place.Site]
		if b == nil {
			return spot{}, fmt.Errorf("site %s: nothing stands there", e.Place.Site)
		}
		return spot{box: b, addr: b.addr, label: e.Place.Site}, nil
	}
	return spot{}, errors.New("path: the control side has none")
}

// Shape replaces the state of all paths: every container gets the rules of its
// own addresses, all at once in each and side by side over all. Then it is
// proved, by what the kernels report to be in force and by probes (prove.go).
func (w *world) Shape(ctx context.Context, paths []runtime.Path) (runtime.Proof, error) {
	if err := w.failed(); err != nil {
		return runtime.Proof{}, err
	}
	rules := map[*box][]network.Rule{}
	conds := conditions{}
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
		conds[route{from.addr, to.addr}] = p.Condition
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
	return w.prove(ctx, at, reports, conds, was.paths)
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

// ends are all spots that packets start from: nodes, mirrors, relays, members,
// and, for programs outside, sites.
func (w *world) ends() []spot {
	var out []spot
	for _, key := range w.order {
		out = append(out, w.servers[key].spot())
	}
	out = append(out, w.standSpots()...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, addr := range w.members {
		site, err := siteOf(w.p, p.Client)
		if err != nil {
			continue
		}
		out = append(out, spot{box: w.sites[site], addr: addr, label: fmt.Sprintf("%s-%d", p.Client, p.Member), led: w.via[p.Client] != ""})
	}
	if w.e.Outside {
		for site, b := range w.sites {
			out = append(out, spot{box: b, addr: b.addr, label: site})
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
