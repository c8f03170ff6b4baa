package agent

// This file defines what the agent does with its network.

import (
	"context"
	"net/netip"
	"sync"

	"starfall/runtime/agent/network"
)

// shaper is the network of the agent's namespace, opened by the first call
// that changes it: an agent that shapes nothing needs no power over it.
type shaper struct {
	mu  sync.Mutex
	net *network.Net
}

// opened gives the network.
func (s *shaper) opened() (*network.Net, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.net == nil {
		n, err := network.Open(network.Options{})
		if err != nil {
			return nil, err
		}
		s.net = n
	}
	return s.net, nil
}

// close leaves the network as it was found.
func (s *shaper) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.net == nil {
		return nil
	}
	n := s.net
	s.net = nil
	return n.Close()
}

func (s *server) shape(ctx context.Context, state network.State) (network.Report, error) {
	n, err := s.shaper.opened()
	if err != nil {
		return network.Report{}, err
	}
	return n.Apply(ctx, state)
}

func (s *server) counters(ctx context.Context, _ nothing) ([]network.Counter, error) {
	n, err := s.shaper.opened()
	if err != nil {
		return nil, err
	}
	return n.Counters(ctx)
}

func (s *server) address(_ context.Context, p netip.Prefix) (nothing, error) {
	n, err := s.shaper.opened()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, n.AddAddress(p)
}

func (s *server) redirect(ctx context.Context, list []network.Redirect) (network.Redirected, error) {
	n, err := s.shaper.opened()
	if err != nil {
		return network.Redirected{}, err
	}
	return n.Redirect(ctx, list)
}

func (s *server) reach(ctx context.Context, probes []network.Probe) ([]network.Outcome, error) {
	return network.Reach(ctx, probes), nil
}

func (s *server) support(context.Context, nothing) (network.Support, error) {
	return network.Supported(), nil
}
