package docker

// This file defines the containers of what is neither a node nor a load: a
// mirror's, and the relays'. Each stands in its site with the address of its own
// container, so that cuts and slow paths hit it as they hit what else is there.

import (
	"context"
	"net/netip"
	"slices"

	"starfall/interp/plan"
	"starfall/runtime"
)

// stand is such a container, before it is there.
type stand struct {
	client string // of its Place
	name   string // of the container
	site   string
	image  string // the cluster whose image it has
}

// stands lists those that a plan needs: one for each mirror, with the image of
// the cluster that it writes to, and one for each site that reroutes lead through.
func stands(p *plan.Plan) []stand {
	var out []stand
	for _, m := range p.Mirrors {
		out = append(out, stand{client: m.Name, name: "mirror-" + m.Name, site: m.Site, image: m.To})
	}
	for _, site := range relaySites(p) {
		out = append(out, stand{client: runtime.RelayPlace(site).Client, name: "relay-" + site, site: site, image: p.Clusters[0].Name})
	}
	return out
}

// relaySites are the sites that reroutes lead through, each once.
func relaySites(p *plan.Plan) []string {
	var out []string
	for _, e := range p.Events {
		for _, a := range e.Actions {
			if a.Verb == plan.Reroute && !slices.Contains(out, a.Via) {
				out = append(out, a.Via)
			}
		}
	}
	return out
}

// launchStands makes them, side by side with everything else.
func (w *world) launchStands(ctx context.Context, ready *group, images map[string]imageInfo) {
	for _, s := range stands(w.p) {
		ready.Go(ctx, func(ctx context.Context) error {
			b, err := w.launch(ctx, boxSpec{name: s.name, host: s.name, site: s.site, image: images[s.image]})
			if err != nil {
				return err
			}
			w.mu.Lock()
			w.stands[s.client] = b
			w.mu.Unlock()
			if err := b.prime(ctx); err != nil {
				return err
			}
			return w.tellNames(ctx, b)
		})
	}
}

// standing gives the container of a mirror or a relay, nil for another place.
func (w *world) standing(p runtime.Place) *box {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stands[p.Client]
}

// standSpots are the mirrors and relays as ends of paths.
func (w *world) standSpots() []spot {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []spot
	for _, client := range sortedKeys(w.stands) {
		out = append(out, standSpot(client, w.stands[client], w.relays[client] != nil))
	}
	return out
}

// standSpot is one of them. A relay that is at work can be dialled.
func standSpot(client string, b *box, relays bool) spot {
	s := spot{box: b, addr: b.addr, label: client}
	if relays {
		s.listens = netip.AddrPortFrom(b.addr, portRelay)
	}
	return s
}
