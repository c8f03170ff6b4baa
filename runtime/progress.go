// This file defines what people see of a run while it goes on.

package runtime

import (
	"context"
	"time"
)

// progressEvery is how often a live screen is fed, in real time.
const progressEvery = 250 * time.Millisecond

// say gives a line to whoever watches.
func (r *run) say(line string, at time.Duration) {
	if r.o.Progress == nil {
		return
	}
	p := r.progress(at)
	p.Line = line
	r.tell(p)
}

// tell calls Progress, one call at a time.
func (r *run) tell(p Progress) {
	r.telling <- struct{}{}
	defer func() { <-r.telling }()
	r.o.Progress(p)
}

// progress gives the phase, the time and the next event.
func (r *run) progress(at time.Duration) Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{Phase: r.phase, At: at}
	if r.phase == PhaseRun {
		p.Left = max(r.runFor()-at, 0)
		for _, name := range sorted(r.next) {
			if t := r.next[name]; t > at && (p.Next == "" || t < p.NextAt) {
				p.Next, p.NextAt = name, t
			}
		}
	}
	return p
}

// watchProgress follows the recording and feeds a live screen until ctx ends.
func (r *run) watchProgress(ctx context.Context) {
	for sleep(ctx, progressEvery) {
		sent, acked, delivered := r.watch.rates()
		if err := r.watch.failure(); err != nil {
			r.fail(err)
			return
		}
		if r.claims != nil {
			// So that it reads along, though every when has fired.
			r.claims.Holds(liveExprs(r.p)[0], r.clock.Now())
		}
		if r.o.Progress == nil {
			continue
		}
		p := r.progress(r.clock.Now())
		p.Sent, p.Acked, p.Delivered = sent, acked, delivered
		p.Nodes = r.sampler.nodes()
		r.tell(p)
	}
}
