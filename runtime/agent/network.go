package agent

// This file defines the host's calls on the network inside; package network
// says what they mean.

import (
	"context"
	"net/netip"

	"starfall/runtime/agent/network"
)

// Shape replaces the whole state of the network at once.
func (a *Agent) Shape(ctx context.Context, s network.State) (network.Report, error) {
	var r network.Report
	err := a.call(ctx, "shape", s, &r)
	return r, err
}

// Counters tells what each rule in force has done, for proofs.
func (a *Agent) Counters(ctx context.Context) ([]network.Counter, error) {
	var out []network.Counter
	err := a.call(ctx, "counters", nil, &out)
	return out, err
}

// Redirect replaces all redirects at once, and resets the connections that stand
// where something changes.
func (a *Agent) Redirect(ctx context.Context, list []network.Redirect) (network.Redirected, error) {
	var r network.Redirected
	err := a.call(ctx, "redirect", list, &r)
	return r, err
}

// Address adds an address to the interface that leads to the peers.
func (a *Agent) Address(ctx context.Context, p netip.Prefix) error {
	return a.call(ctx, "address", p, nil)
}

// Reach probes peers from inside, side by side; the outcomes are in the order
// of the probes.
func (a *Agent) Reach(ctx context.Context, probes []network.Probe) ([]network.Outcome, error) {
	var out []network.Outcome
	err := a.call(ctx, "reach", probes, &out)
	return out, err
}

// Support tells what the kernel under the container can do.
func (a *Agent) Support(ctx context.Context) (network.Support, error) {
	var s network.Support
	err := a.call(ctx, "support", nil, &s)
	return s, err
}
