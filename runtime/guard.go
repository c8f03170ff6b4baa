// This file defines how the goroutines of a run are bounded in time, and what
// becomes of their panics.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
)

// recoverAs turns a panic of a goroutine of the run into the run's failure, so
// that everything is still healed and taken down.
func (r *run) recoverAs(what string) {
	if p := recover(); p != nil {
		r.fail(fmt.Errorf("%s: %w", what, panicError(p)))
	}
}

// panicError makes an error of a panic, with the stack of where it was first
// caught.
func panicError(p any) error {
	var caught *caughtPanic
	if err, ok := p.(error); ok && errors.As(err, &caught) {
		return err
	}
	return &caughtPanic{p, strings.TrimSpace(string(debug.Stack()))}
}

type caughtPanic struct {
	value any
	stack string
}

func (c *caughtPanic) Error() string { return fmt.Sprintf("panic: %v\n%s", c.value, c.stack) }

// limit bounds how long something may take to be proved: proofLimit of
// scenario time, and at least proofFloor of real time.
func (r *run) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(r.clock.wall(proofLimit), proofFloor))
}

// together does several things at once and waits for all. The first error ends
// the others' context; all errors are given. A panic of one goes on in the
// caller once all have ended.
func together(ctx context.Context, fs []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(fs))
	panics := make([]error, len(fs))
	done := make(chan int)
	for i, f := range fs {
		go func() {
			defer func() {
				if p := recover(); p != nil {
					panics[i] = panicError(p)
				}
				done <- i
			}()
			errs[i] = f(ctx)
		}()
	}
	for range fs {
		if i := <-done; errs[i] != nil || panics[i] != nil {
			cancel()
		}
	}
	if err := errors.Join(panics...); err != nil {
		panic(err)
	}
	return errors.Join(errs...)
}

// waitFor waits for goroutines, but not longer than ctx.
func waitFor(ctx context.Context, g *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("something under way did not end in time")
	}
}
