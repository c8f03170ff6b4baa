// This file defines the clock inside, and how the outside learns how far apart
// the two clocks are.

package remote

import (
	"sync/atomic"
	"time"

	"starfall/runtime"
)

// clock is the run's clock, inside. It stands still at zero until it is set.
type clock struct {
	base  time.Time
	speed float64
	zero  atomic.Pointer[slew]
}

var _ runtime.Clock = (*clock)(nil)

// slewing is how much of the time that passes the clock moves by when its zero
// is corrected: so it never goes back.
const slewing = 0.01

// slew is a zero that moves from one moment to another.
type slew struct {
	from, to time.Duration // since base
	since    time.Duration // since base: when it began
}

// at is the zero as it counts at a moment.
func (s *slew) at(now time.Duration) time.Duration {
	way := time.Duration(float64(now-s.since) * slewing)
	switch d := s.to - s.from; {
	case way <= 0:
		return s.from
	case d >= 0:
		return s.from + min(way, d)
	default:
		return s.from + max(-way, d)
	}
}

func newClock(speed float64) *clock {
	if speed <= 0 {
		speed = 1
	}
	return &clock{base: time.Now(), speed: speed}
}

// wall is the real time since the session began.
func (c *clock) wall() time.Duration { return time.Since(c.base) }

// set fixes the moment of scenario time zero, in real time since the session
// began, or corrects it.
func (c *clock) set(zero time.Duration) { c.setAt(zero, c.wall()) }

func (c *clock) setAt(zero, now time.Duration) {
	for {
		was := c.zero.Load()
		if was != nil && was.to == zero {
			return
		}
		next := &slew{from: zero, to: zero, since: now}
		if was != nil {
			next.from = was.at(now)
		}
		if c.zero.CompareAndSwap(was, next) {
			return
		}
	}
}

// start fixes the moment of scenario time zero unless that was done before.
func (c *clock) start(zero time.Duration) {
	c.zero.CompareAndSwap(nil, &slew{from: zero, to: zero, since: c.wall()})
}

// Now is the scenario time.
func (c *clock) Now() time.Duration { return c.scenario(c.wall()) }

func (c *clock) scenario(now time.Duration) time.Duration {
	z := c.zero.Load()
	if z == nil {
		return 0
	}
	return time.Duration(float64(now-z.at(now)) * c.speed)
}

// next is the next whole multiple of a step of scenario time, and how long it
// is until then. While the clock stands still that is zero, a step away.
func (c *clock) next(step time.Duration) (at, wait time.Duration) {
	now := c.wall()
	real := time.Duration(float64(step) / c.speed)
	z := c.zero.Load()
	if z == nil {
		return 0, real
	}
	t := c.scenario(now)
	at = (t/step + 1) * step
	if t < 0 {
		at = t / step * step
		if at <= t {
			at += step
		}
	}
	return at, time.Duration(float64(at-t) / c.speed)
}

// drift is how far two clocks may part in the time that passes. On one machine
// they do not: all its processes have the same clock.
const drift = 10e-6

// estimate is how far the clock inside is ahead of the one outside: both count
// from the moment each session began.
type estimate struct {
	ahead time.Duration
	slack time.Duration // it is right by this
	at    time.Duration // outside
	known bool
}

// add takes a round trip: asked and answered outside, with the time inside
// between. It tells whether that is the best estimate now.
func (e *estimate) add(asked, answered, inside time.Duration) bool {
	n := estimate{ahead: inside - (asked+answered)/2, slack: (answered - asked) / 2, at: answered, known: true}
	if e.known && n.slack > e.slackAt(answered) {
		return false
	}
	*e = n
	return true
}

// slackAt is how far off the estimate may be at a moment.
func (e *estimate) slackAt(now time.Duration) time.Duration {
	return e.slack + time.Duration(float64(now-e.at)*drift)
}
