// This file defines Up: the clusters of a plan for anyone's own programs.

package runtime

import (
	"context"
	"fmt"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Hold says what Up does once the clusters are there.
type Hold struct {
	// Ready is called with the addresses, one row a cluster and site, once
	// topics are made and the plan's links are in force.
	Ready func([]Address)
	// Timeline plays the plan's events, with t = 0 right after Ready. The
	// plan's clients do not run: events that need them say so. At run_for
	// everything is healed and the clusters stay.
	Timeline bool
	// Updates calls Options.Progress four times a second, too, with nodes,
	// partitions and faults. It takes a look at each cluster five times a second.
	Updates bool
}

// Address is how a cluster is reached by a program that stands in a site.
type Address struct {
	Cluster   string
	Site      string
	Bootstrap []string // host:port of each broker
}

// Up brings the clusters of a plan up with their topics and links, and holds
// them until ctx ends or the first interrupt. Then it takes everything down.
// Nothing is recorded; lines of what happens go to Options.Progress. Errors
// are as of Run, except that ending it is none.
func Up(ctx context.Context, p *plan.Plan, o Options, h Hold) (err error) {
	if err := o.validate(p, false); err != nil {
		return err
	}
	r := newRun(ctx, p, o)
	defer func() { err = r.close(ctx, recover(), err) }()
	r.enter(PhasePrepare)
	return r.carry(func() error { return r.hold(h) })
}

// hold are the phases of Up.
func (r *run) hold(h Hold) error {
	if err := r.prepareClusters(false); err != nil {
		return r.because(err)
	}
	addresses, err := r.addresses()
	if err != nil {
		return r.because(err)
	}
	if err := r.placeMirrors(); err != nil {
		return r.because(err)
	}
	if err := r.applyLinks(r.calm); err != nil {
		return r.because(err)
	}
	if err := r.startMirrors(r.calm); err != nil {
		return r.because(err)
	}
	if h.Ready != nil {
		h.Ready(addresses)
	}
	r.clock.set(time.Now())
	r.journal.flow()
	if h.Updates && r.o.Progress != nil {
		r.sampler.tell = func(record.Event) {} // what it may find is no news here
		for _, c := range r.p.Clusters {
			r.background.Go(func() { defer r.recoverAs("sampler"); r.sampler.cluster(r.hard, c.Name) })
		}
		r.background.Go(func() { defer r.recoverAs("progress"); r.watchClusters(r.hard) })
	}
	if h.Timeline {
		r.enter(PhaseRun)
		r.startTimeline()
		select {
		case <-r.after(r.runFor()):
		case <-r.calm.Done():
		}
		r.stopSoft(errRunOver)
		if r.calm.Err() == nil {
			r.enter(PhaseHeal)
			r.timeline.Wait()
			r.healAll()
		}
	}
	<-r.calm.Done()
	return r.failure()
}

// addresses gives the bootstrap addresses of each cluster for each site.
func (r *run) addresses() ([]Address, error) {
	var out []Address
	for _, c := range r.p.Clusters {
		for _, s := range r.p.Sites {
			b, err := r.world.Bootstrap(c.Name, Place{Site: s.Name})
			if err != nil {
				return nil, fmt.Errorf("bootstrap of %s for site %s: %w", c.Name, s.Name, err)
			}
			out = append(out, Address{Cluster: c.Name, Site: s.Name, Bootstrap: b})
		}
	}
	return out, nil
}
