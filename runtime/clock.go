// This file defines the clock of a run: scenario time on the monotonic clock,
// zero at load start, divided by the speed.

package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// clock implements Clock. It stands still at zero until set is called.
type clock struct {
	speed float64
	zero  atomic.Pointer[time.Time]
	once  sync.Once
	fixed chan struct{} // closed once zero is set
}

var (
	_ Clock  = (*clock)(nil)
	_ Zeroed = (*clock)(nil)
)

func newClock(speed float64) *clock {
	if speed <= 0 {
		speed = 1
	}
	return &clock{speed: speed, fixed: make(chan struct{})}
}

// set fixes the moment of zero, which may lie ahead: Now is negative till then.
func (c *clock) set(zero time.Time) {
	c.zero.Store(&zero)
	c.once.Do(func() { close(c.fixed) })
}

// Zero waits for the moment of zero.
func (c *clock) Zero(ctx context.Context) (time.Time, error) {
	select {
	case <-c.fixed:
		return *c.zero.Load(), nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// Now is the scenario time since load started.
func (c *clock) Now() time.Duration { return c.scenario(time.Now()) }

// scenario gives the scenario time of a moment; 0 while the clock stands still.
func (c *clock) scenario(t time.Time) time.Duration {
	zero := c.zero.Load()
	if zero == nil {
		return 0
	}
	return time.Duration(float64(t.Sub(*zero)) * c.speed)
}

// wall gives how much real time a length of scenario time takes.
func (c *clock) wall(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.speed)
}

// moment gives the real moment of a scenario time, once zero is set.
func (c *clock) moment(at time.Duration) time.Time {
	zero := c.zero.Load()
	if zero == nil {
		return time.Now()
	}
	return zero.Add(c.wall(at))
}

// until waits for a scenario time. It returns false when ctx ended first.
func (c *clock) until(ctx context.Context, at time.Duration) bool {
	return sleep(ctx, time.Until(c.moment(at)))
}

// sleep waits for a length of real time. It returns false when ctx ended
// first, or had ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
