package remote

import (
	"testing"
	"time"
)

func TestSlew(t *testing.T) {
	const ms = time.Millisecond
	c := newClock(1)
	if got := c.scenario(700 * ms); got != 0 {
		t.Errorf("before it is set: got %v, want 0", got)
	}
	c.start(500 * ms)
	c.start(800 * ms) // it has started
	if got := c.scenario(700 * ms); got != 200*ms {
		t.Errorf("after start: got %v, want 200ms", got)
	}
	for _, tt := range []struct {
		name string
		zero time.Duration
		want time.Duration // once corrected, 1 s later
	}{
		{"earlier zero", 498 * ms, 1202 * ms},
		{"later zero", 503 * ms, 1197 * ms},
	} {
		c := newClock(1)
		c.start(500 * ms)
		c.setAt(tt.zero, 700*ms)
		last := 200 * ms
		for at := 700 * ms; at <= 1700*ms; at += ms / 2 {
			now := c.scenario(at)
			if now < last || now-last > ms {
				t.Fatalf("%s: at %v: got %v after %v, want it to go on and not to jump", tt.name, at, now, last)
			}
			last = now
		}
		if last != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, last, tt.want)
		}
	}
}

func TestNextCut(t *testing.T) {
	const ms = time.Millisecond
	c := newClock(2)
	c.base = time.Now()
	if at, wait := c.next(100 * ms); at != 0 || wait != 50*ms {
		t.Errorf("standing: got %v in %v, want 0 in 50ms", at, wait)
	}
	for _, tt := range []struct{ zero, want time.Duration }{
		{-10 * time.Second, 20*time.Second + 100*ms}, // now is 20 s and a little
		{10 * time.Second, -20*time.Second + 100*ms},
	} {
		c := newClock(2)
		c.start(tt.zero)
		at, wait := c.next(100 * ms)
		// However long this took: a whole multiple ahead, no more than a step.
		if at%(100*ms) != 0 || at < tt.want || wait <= 0 || wait > 50*ms {
			t.Errorf("zero at %v: got %v in %v, want %v or a later multiple within 50ms", tt.zero, at, wait, tt.want)
		}
	}
}

func TestEstimate(t *testing.T) {
	const us = time.Microsecond
	var e estimate
	for i, tt := range []struct {
		asked, answered, inside time.Duration
		best                    bool
		ahead, slack            time.Duration
	}{
		{0, 400 * us, 1200 * us, true, 1000 * us, 200 * us},
		{1000 * us, 2000 * us, 3000 * us, false, 1000 * us, 200 * us}, // a longer one says less
		{3000 * us, 3100 * us, 4055 * us, true, 1005 * us, 50 * us},
		// After a minute clocks may have parted by 600 µs: a longer one may say more.
		{60e6 * us, 60e6*us + 1000*us, 60e6*us + 1600*us, true, 1100 * us, 500 * us},
	} {
		if best := e.add(tt.asked, tt.answered, tt.inside); best != tt.best || e.ahead != tt.ahead || e.slack != tt.slack {
			t.Errorf("round trip %d: got %v, %+v, want %v, %v ahead by at most %v", i, best, e, tt.best, tt.ahead, tt.slack)
		}
	}
}
