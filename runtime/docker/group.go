package docker

// This file defines how things are done side by side.

import (
	"context"
	"errors"
	"sync"
)

// group runs functions side by side. The first error ends the contexts of the
// others; what they then say is left out.
type group struct {
	wait    sync.WaitGroup
	mu      sync.Mutex
	errs    []error
	cancels []context.CancelFunc
}

// Go runs a function.
func (g *group) Go(ctx context.Context, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	g.mu.Lock()
	if len(g.errs) > 0 {
		cancel()
	}
	g.cancels = append(g.cancels, cancel)
	g.mu.Unlock()
	g.wait.Go(func() {
		err := f(ctx)
		g.mu.Lock()
		defer g.mu.Unlock()
		if err == nil || len(g.errs) > 0 && errors.Is(err, context.Canceled) {
			return
		}
		g.errs = append(g.errs, err)
		for _, cancel := range g.cancels {
			cancel()
		}
	})
}

// Wait returns when all have returned.
func (g *group) Wait() error {
	g.wait.Wait()
	for _, cancel := range g.cancels {
		cancel()
	}
	return errors.Join(g.errs...)
}
