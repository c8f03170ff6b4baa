// This file defines how the traffic of clients goes through relays in other
// sites.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"starfall/interp/plan"
)

// routes are the reroutes in force. Of several of one client the last counts,
// and when it ends, the one before.
type routes struct {
	mu     sync.Mutex
	last   int
	active []route
}

type route struct {
	id          int
	client, via string
}

func (x *routes) add(client, via string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last++
	x.active = append(x.active, route{x.last, client, via})
	return x.last
}

func (x *routes) remove(ids []int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active = slices.DeleteFunc(x.active, func(r route) bool { return slices.Contains(ids, r.id) })
}

// all gives the site through which each rerouted client goes.
func (x *routes) all() map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make(map[string]string)
	for _, r := range x.active {
		out[r.client] = r.via
	}
	return out
}

// relays gives the relays that a plan's reroutes need, one a site.
func relays(p *plan.Plan) []end {
	var out []end
	for _, e := range p.Events {
		for _, a := range e.Actions {
			if a.Verb != plan.Reroute {
				continue
			}
			x := relayOf(a.Via)
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

func relayOf(site string) end {
	return end{Endpoint: Endpoint{Place: RelayPlace(site)}, site: site, relay: true}
}

// reroute sends the targets' traffic through a site until the effect is undone.
func (r *run) reroute(ctx context.Context, e *effect) (Proof, error) {
	for _, t := range e.act.Targets {
		if r.load.find(t.Name) == nil {
			return Proof{}, fmt.Errorf("%s: there is no such client", t.Name)
		}
		if r.load.starter == nil {
			return Proof{}, fmt.Errorf("%s: the clients of the plan do not run here", t.Name)
		}
	}
	var ids []int
	for _, t := range e.act.Targets {
		ids = append(ids, r.routes.add(t.Name, e.act.Via))
	}
	e.revert = func(ctx context.Context) (Proof, error) {
		r.routes.remove(ids)
		return r.applyRoutes(ctx, e.act.Targets)
	}
	return r.applyRoutes(ctx, e.act.Targets)
}

// applyRoutes puts the routes of clients in force: by relays, where the world
// has them; else their packets take the conditions of both ways, and what is
// connected connects anew.
func (r *run) applyRoutes(ctx context.Context, clients []plan.Ref) (Proof, error) {
	if x, ok := r.world.(Relayer); ok {
		return eachTarget(clients, func(t plan.Ref) (Proof, error) { return x.Relay(ctx, t.Name, r.routes.all()[t.Name]) })
	}
	x, ok := r.world.(Disconnecter)
	if !ok {
		return Proof{}, errors.New("this engine has no power over connections")
	}
	proof, err := r.shaper.refresh(ctx)
	if err != nil || !proof.OK {
		return proof, err
	}
	for _, t := range clients {
		for _, p := range r.load.placesOf(t.Name) {
			x.Disconnect(p)
		}
	}
	proof.Text = joinTexts([]string{proof.Text, "connections reset"})
	return proof, nil
}
