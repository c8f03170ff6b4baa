// This file defines Run: what a run consists of, how it fails, and how
// everything is taken down.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// run is one run of a plan.
//
//	context  ends at                                          under it
//	hard     the second interrupt, the end of the caller's    heal, drain, audit
//	calm     hard, the first interrupt, a failure             prepare, load
//	soft     calm, run_for                                    the timeline
type run struct {
	p     *plan.Plan
	o     Options
	env   Env
	clock *clock

	hard, calm, soft             context.Context
	stopHard, stopCalm, stopSoft context.CancelCauseFunc

	world    World
	clients  Clients
	journal  *journal
	edges    *edges
	effects  *effects
	nodes    *nodes
	shaper   *shaper
	load     *load
	resolver *resolver
	sampler  *sampler
	watch    *watcher // nil in Up
	claims   claims   // nil in Up, and when no alarm or event needs it
	mirrors  mirrors
	routes   routes
	denials  denials
	rec      *record.Writer
	stable   map[string]map[int32]int64 // topic, partition: last stable offset at the end
	logs     *logFile

	timeline   sync.WaitGroup // events that may still fire, alarms
	acts       sync.WaitGroup // actions under way
	background sync.WaitGroup // sampler, progress, watching for interrupts

	mu          sync.Mutex
	down        []takeDown // in order of bringing up
	closed      bool       // what is brought up now is taken down at once
	phase       Phase
	interrupted bool
	failed      error
	events      int
	late        []time.Duration
	tools       int             // how many have run
	deleted     map[string]bool // topics that the scenario has deleted
	next        map[string]time.Duration
	alarms      []bool        // which are raised, in order of the plan
	telling     chan struct{} // holds a token during a call of Progress
}

// takeDown is one thing that was brought up.
type takeDown struct {
	what string
	f    func(context.Context) error
}

// Run carries out a plan and records it in Options.Folder. On every path it
// returns once everything is taken down. The verdict is to be computed from
// the folder.
//
// The error is a *RefusedError when nothing was started because the engine
// cannot do what the plan asks; other mistakes in p or o are plain errors and
// start nothing either; everything later is a *PhaseError. That wraps
// ErrInterrupted when the run was cut short, by an interrupt before load had
// started, a second one, or the end of ctx; what could not be taken down is
// joined to it. A run that was interrupted once under load, and then healed,
// drained and audited, has no error: Result.Interrupted tells.
func Run(ctx context.Context, p *plan.Plan, o Options) (Result, error) {
	return carryOut(ctx, p, o, newClaims)
}

func carryOut(ctx context.Context, p *plan.Plan, o Options, j judging) (res Result, err error) {
	if err := o.validate(p, true); err != nil {
		return Result{}, err
	}
	r := newRun(ctx, p, o)
	defer func() {
		err = r.close(ctx, recover(), err)
		res = r.result()
	}()
	r.enter(PhasePrepare)
	if err := r.record(); err != nil {
		return res, r.because(err)
	}
	if len(liveExprs(p)) > 0 {
		if r.claims, err = j(r.p, r.rec); err != nil {
			return res, r.because(err)
		}
	}
	return res, r.carry(r.phases)
}

// grace is how long whatever is under way may go on after the run was cut
// short, in real time. Then the run is taken down over its head.
const grace = 5 * time.Second

// carry goes through phases, and leaves them behind when they do not end soon
// after hard has.
func (r *run) carry(phases func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- r.because(panicError(p))
			}
		}()
		done <- phases()
	}()
	select {
	case err := <-done:
		return err
	case <-r.hard.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return r.because(context.Cause(r.hard))
	}
}

func newRun(ctx context.Context, p *plan.Plan, o Options) *run {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Seed != 0 && o.Seed != p.Scenario.Seed {
		// Engine, clients and judge take the seed from the plan.
		seeded := *p
		seeded.Scenario.Seed = o.Seed
		p = &seeded
	}
	o.Seed = p.Scenario.Seed
	if o.TakeDown == 0 {
		o.TakeDown = takeDownLimit
	}
	r := &run{
		p: p, o: o, clock: newClock(o.Speed),
		next: make(map[string]time.Duration), alarms: make([]bool, len(p.Alarms)), telling: make(chan struct{}, 1), deleted: make(map[string]bool),
	}
	r.hard, r.stopHard = context.WithCancelCause(ctx)
	r.calm, r.stopCalm = context.WithCancelCause(r.hard)
	r.soft, r.stopSoft = context.WithCancelCause(r.calm)
	r.journal = newJournal(p, r.clock, nil, r.say)
	r.edges = newEdges(p)
	r.effects = newEffects(p, r.edges)
	r.logs = newLogFile()
	r.env = Env{
		Run: runName(o.Folder, p), RunID: runID(o), Seed: o.Seed, Speed: o.Speed,
		Clock: r.clock, Log: r.logs.line, Denied: r.denied, Tell: func(e record.Event) { r.journal.add(time.Now(), e) },
	}
	r.env.Operators = operators(p, r.env.RunID)
	r.watchInterrupts()
	return r
}

// record starts the recording.
func (r *run) record() error {
	w, err := record.Create(r.o.Folder, r.p, r.info())
	if err != nil {
		return err
	}
	r.rec = w
	r.journal.to = w
	r.logs.open(r.o.Folder)
	r.push("recording", func(context.Context) error {
		return errors.Join(w.Close(r.clock.Now()), r.logs.close())
	})
	r.background.Go(func() {
		select {
		case <-w.Failed():
			r.fail(w.Err())
		case <-r.hard.Done():
		}
	})
	return nil
}

// watchInterrupts turns the first interrupt into the end of calm and the
// second into the end of hard.
func (r *run) watchInterrupts() {
	if r.o.Interrupt == nil {
		return
	}
	r.background.Go(func() {
		for n := 1; n <= 2; n++ {
			select {
			case <-r.o.Interrupt:
			case <-r.hard.Done():
				return
			}
			if n == 1 {
				r.mu.Lock()
				r.interrupted = true
				r.mu.Unlock()
				r.journal.add(time.Now(), record.Event{Kind: record.KindInterrupted})
				r.stopCalm(ErrInterrupted)
				continue
			}
			r.stopHard(ErrInterrupted)
		}
	})
}

// push adds what is to be taken down, before everything that was pushed
// earlier. When the run has been taken down already, it is taken down at once.
func (r *run) push(what string, f func(context.Context) error) {
	r.mu.Lock()
	late := r.closed
	if !late {
		r.down = append(r.down, takeDown{what, f})
	}
	r.mu.Unlock()
	if late {
		takeDown{what, f}.do(context.Background(), r.o.TakeDown)
	}
}

// enter begins a phase.
func (r *run) enter(p Phase) {
	r.mu.Lock()
	r.phase = p
	r.mu.Unlock()
	r.journal.add(time.Now(), record.Event{Kind: record.KindPhase, Phase: string(p), What: hostLoad()})
}

// fail ends the timeline because of an error; the first one counts.
func (r *run) fail(err error) {
	r.mu.Lock()
	first := r.failed == nil
	if first {
		r.failed = &PhaseError{Phase: r.phase, Err: err}
	}
	r.mu.Unlock()
	if first {
		r.stopCalm(err)
	}
}

// failure is what fail was first called with.
func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *run) wasInterrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interrupted
}

// because gives an error its phase. When the run was broken off meanwhile,
// that is the reason.
func (r *run) because(err error) error {
	if failed := r.failure(); failed != nil {
		return failed
	}
	var already *PhaseError
	if errors.As(err, &already) {
		return err
	}
	r.mu.Lock()
	phase := r.phase
	r.mu.Unlock()
	if r.calm.Err() != nil {
		cause := context.Cause(r.calm)
		if !errors.Is(cause, ErrInterrupted) {
			cause = fmt.Errorf("%w: %w", ErrInterrupted, cause)
		}
		return &PhaseError{Phase: phase, Err: cause}
	}
	return &PhaseError{Phase: phase, Err: err}
}

// close takes everything down, last things first, whatever happened. A panic
// of the run itself becomes its error.
func (r *run) close(ctx context.Context, panicked any, err error) error {
	if panicked != nil {
		err = r.because(panicError(panicked))
	}
	if err != nil && !errors.Is(err, ErrInterrupted) {
		r.journal.add(time.Now(), record.Event{Kind: record.KindEngineError, Error: err.Error()})
	}
	if errors.Is(err, ErrInterrupted) {
		r.mu.Lock()
		told := r.interrupted
		r.interrupted = true
		r.mu.Unlock()
		if !told {
			r.journal.add(time.Now(), record.Event{Kind: record.KindInterrupted})
		}
	}
	r.stopSoft(nil)
	r.mu.Lock()
	last := r.phase
	r.mu.Unlock()
	r.enter(PhaseTakeDown)
	if r.clock.zero.Load() == nil {
		r.clock.set(time.Now()) // load never started: the end is the zero
	}
	r.journal.flow()
	r.journal.end()
	ctx = context.WithoutCancel(ctx)
	// Nothing that uses the clusters may outlive them.
	r.stopHard(nil)
	r.mu.Lock()
	down := append(r.down, takeDown{"what was under way", func(ctx context.Context) error {
		return errors.Join(waitFor(ctx, &r.timeline), waitFor(ctx, &r.acts), waitFor(ctx, &r.background))
	}})
	r.closed = true
	r.mu.Unlock()
	var errs []error
	for i := len(down) - 1; i >= 0; i-- {
		if derr := down[i].do(ctx, r.o.TakeDown); derr != nil {
			errs = append(errs, &PhaseError{Phase: PhaseTakeDown, Err: fmt.Errorf("%s: %w", down[i].what, derr)})
		}
	}
	if err != nil || len(errs) == 0 {
		r.mu.Lock()
		r.phase = last // the one that ended the run is of interest
		r.mu.Unlock()
	}
	return errors.Join(append([]error{err}, errs...)...)
}

// do takes one thing down, in real time limit.
func (d takeDown) do(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- panicError(p)
			}
		}()
		done <- d.f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // it heeded its context
		return err
	case <-time.After(grace):
		return fmt.Errorf("not done after %s", limit+grace)
	}
}

func (r *run) result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Result{
		Interrupted: r.interrupted, Phase: r.phase,
		Events: r.events, Late: r.late,
	}
	if r.rec != nil {
		out.Folder = r.o.Folder
	}
	return out
}
