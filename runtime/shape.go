// This file defines how the wanted state of the network reaches the engine:
// whole, at each change, one change after the other.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"starfall/interp/plan"
)

// shaper keeps the active path faults and applies them over the links.
type shaper struct {
	net   Network // nil: the engine has no such power
	links []plan.Link
	ends  func() []end // every endpoint there is now
	// relays may come to stand between endpoints; routes gives the site through
	// which a client goes whose relay is no endpoint.
	relays []end
	routes func() map[string]string

	busy   chan struct{} // holds a token while the state changes
	faults map[int]pathFault
	last   int
	shaped []Path // what the engine was last told
	stale  bool   // the last telling was not proved
}

func newShaper(net Network, links []plan.Link, ends func() []end) *shaper {
	return &shaper{
		net: net, links: links, ends: ends, routes: func() map[string]string { return nil },
		busy: make(chan struct{}, 1), faults: make(map[int]pathFault),
	}
}

// add makes a fault active. The id is for remove, also when the proof failed.
func (s *shaper) add(ctx context.Context, f pathFault) (int, Proof, error) {
	if err := s.lock(ctx); err != nil {
		return 0, Proof{}, err
	}
	defer s.unlock()
	s.last++
	s.faults[s.last] = f
	if !slices.ContainsFunc(pairs(append(s.ends(), s.relays...)), func(p [2]end) bool { return f.hits(p[0], p[1]) }) {
		return s.last, Proof{}, errors.New("no path lies between these places")
	}
	proof, err := s.apply(ctx)
	return s.last, proof, err
}

// remove ends faults, all in one change.
func (s *shaper) remove(ctx context.Context, ids ...int) (Proof, error) {
	if err := s.lock(ctx); err != nil {
		return Proof{}, err
	}
	defer s.unlock()
	for _, id := range ids {
		delete(s.faults, id)
	}
	return s.apply(ctx)
}

// clear ends every fault that is left. It tells the engine only when there is
// one.
func (s *shaper) clear(ctx context.Context) (Proof, error) {
	if err := s.lock(ctx); err != nil {
		return Proof{}, err
	}
	defer s.unlock()
	if len(s.faults) == 0 && !s.stale {
		return Proof{OK: true, At: time.Now()}, nil
	}
	clear(s.faults)
	return s.apply(ctx)
}

// refresh applies the state to endpoints that are new. Without any difference
// it tells the engine nothing.
func (s *shaper) refresh(ctx context.Context) (Proof, error) {
	if err := s.lock(ctx); err != nil {
		return Proof{}, err
	}
	defer s.unlock()
	if !s.stale && slices.Equal(s.matrix(), s.shaped) {
		return Proof{OK: true, At: time.Now(), Text: "no path changed"}, nil
	}
	return s.apply(ctx)
}

func (s *shaper) matrix() []Path {
	faults := make([]pathFault, 0, len(s.faults))
	for _, id := range slices.Sorted(maps.Keys(s.faults)) {
		faults = append(faults, s.faults[id])
	}
	return matrix(s.links, faults, s.ends(), s.routes())
}

func (s *shaper) apply(ctx context.Context) (Proof, error) {
	if s.net == nil {
		return Proof{}, errors.New("this engine has no power over the network")
	}
	s.shaped = s.matrix()
	proof, err := s.net.Shape(ctx, s.shaped)
	s.stale = err != nil || !proof.OK
	return proof, err
}

func (s *shaper) lock(ctx context.Context) error {
	select {
	case s.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another change of the network was still under way: %w", context.Cause(ctx))
	}
}

func (s *shaper) unlock() { <-s.busy }

// pairs gives every directed path that can carry traffic.
func pairs(ends []end) [][2]end {
	var out [][2]end
	for _, a := range ends {
		for _, b := range ends {
			if carries(a, b) {
				out = append(out, [2]end{a, b})
			}
		}
	}
	return out
}
