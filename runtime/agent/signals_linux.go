package agent

// This file defines signals with their proof, the waits, and the end of all.

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"starfall/runtime"
)

// A signal is a step that is repeated until /proc shows its effect:
//
//	signal   sent                       again to            proved
//	kill     SIGKILL to all             those that live     none is left
//	stop     SIGTERM to all             nobody              none is left
//	pause    SIGSTOP to all             those that run      every thread is stopped
//	resume   SIGCONT to all             those that do not   no thread is stopped
//
// Twice in a row: a child that was born while /proc was read is only in the
// second reading.
const proofs = 2

// step does what a signal needs next and says whether its effect is there.
type step func(p *process, members []procStat, first bool) (bool, error)

// stepOf gives the step of a signal, nil for what an agent does not send.
func stepOf(s runtime.Signal) step {
	switch s {
	case runtime.SignalKill:
		return killStep
	case runtime.SignalStop:
		return stopStep
	case runtime.SignalPause:
		return pauseStep
	case runtime.SignalResume:
		return resumeStep
	}
	return nil
}

// signal sends a signal and waits for its proof.
func (ps *processes) signal(ctx context.Context, name string, sig runtime.Signal) (Status, error) {
	next := stepOf(sig)
	if next == nil {
		return Status{}, invalid(fmt.Sprintf("signal: got %q, want kill, stop, pause or resume", sig))
	}
	seen := 0
	for first := true; ; first = false {
		proved, left, status, err := ps.step(name, next, first)
		switch {
		case err != nil:
			return Status{}, fmt.Errorf("%s %s: %w", sig, name, err)
		case proved:
			if seen++; seen == proofs {
				return status, nil
			}
			continue
		}
		seen = 0
		select {
		case <-ctx.Done():
			return status, fmt.Errorf("%s %s: sent, but not proved: %s: %w", sig, name, describe(left), context.Cause(ctx))
		case <-time.After(tick):
		}
	}
}

// step takes one step of a signal on what belongs to a process now.
func (ps *processes) step(name string, next step, first bool) (bool, []procStat, Status, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, err := ps.find(name)
	if err != nil {
		return false, nil, Status{}, err
	}
	all, err := allProcesses()
	if err != nil {
		return false, nil, Status{}, err
	}
	members := p.members(all, ps.self)
	proved, err := next(p, members, first)
	if err != nil {
		return false, members, Status{}, err
	}
	return proved, members, ps.describe(p, members), nil
}

// send sends a signal to members. The group of the process gets it at one
// moment, what has left the group after it.
func send(p *process, members []procStat, s syscall.Signal) {
	grouped := false
	for _, m := range members {
		grouped = grouped || m.group == p.pid && !m.dead()
	}
	if grouped {
		syscall.Kill(-p.pid, s)
	}
	for _, m := range members {
		if m.group != p.pid && !m.dead() {
			syscall.Kill(m.pid, s)
		}
	}
}

func killStep(p *process, members []procStat, _ bool) (bool, error) {
	send(p, members, syscall.SIGKILL)
	return p.gone() && len(members) == 0, nil
}

func stopStep(p *process, members []procStat, first bool) (bool, error) {
	if first {
		for _, m := range members {
			if stopped(m.state) {
				return false, invalid("it is paused: SIGTERM would wait until it is resumed")
			}
		}
		send(p, members, syscall.SIGTERM)
	}
	return p.gone() && len(members) == 0, nil
}

func pauseStep(p *process, members []procStat, _ bool) (bool, error) {
	if p.gone() {
		return false, &Error{Kind: KindExited, Message: "it has exited"}
	}
	running := members[:0:0]
	for _, m := range members {
		if !m.dead() && anyThread(m.pid, func(state byte) bool { return !stopped(state) }) {
			running = append(running, m)
		}
	}
	send(p, running, syscall.SIGSTOP)
	return len(running) == 0, nil
}

func resumeStep(p *process, members []procStat, first bool) (bool, error) {
	if p.gone() {
		return false, &Error{Kind: KindExited, Message: "it has exited"}
	}
	paused := members[:0:0]
	for _, m := range members {
		if !m.dead() && anyThread(m.pid, stopped) {
			paused = append(paused, m)
		}
	}
	send(p, paused, syscall.SIGCONT)
	return len(paused) == 0, nil
}

// anyThread says whether a thread of a process is in such a state. Threads
// that are ending are in none.
func anyThread(pid int, such func(byte) bool) bool {
	for _, state := range threadStates(pid) {
		if state != 'Z' && state != 'X' && such(state) {
			return true
		}
	}
	return false
}

// wait waits until a process has exited and its log is written.
func (ps *processes) wait(ctx context.Context, name string) (Status, error) {
	ps.mu.Lock()
	p, err := ps.find(name)
	ps.mu.Unlock()
	if err != nil {
		return Status{}, err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return Status{}, fmt.Errorf("wait %s: it has not exited: %w", name, context.Cause(ctx))
	}
	p.settle()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.statusOf(p)
}

// settle waits for the log of a process that has exited. Descendants that live
// on hold it open; they are given a moment.
func (p *process) settle() {
	select {
	case <-p.drained:
	case <-time.After(200 * time.Millisecond):
	}
}

// await waits until a port is listened on, or its process has exited.
func (ps *processes) await(ctx context.Context, name string, port int) error {
	if port <= 0 || port > 65535 {
		return invalid(fmt.Sprintf("await: got port %d, want 1 to 65535", port))
	}
	ps.mu.Lock()
	p, err := ps.find(name)
	ps.mu.Unlock()
	if err != nil {
		return err
	}
	for {
		if p.gone() {
			p.settle()
			return &Error{Kind: KindExited, Message: fmt.Sprintf("%s %s before it listened on port %d; its last lines:\n%s", name, p.how(), port, lastLines(p.spec.Log, 20))}
		}
		there, again, err := listening(port)
		if err != nil {
			return err
		}
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await %s: nobody listens on port %d: %w", name, port, context.Cause(ctx))
		case <-p.exited:
		case <-time.After(again):
		}
	}
}

// how says how a process ended, for people. It must have.
func (p *process) how() string {
	if p.ws.Signaled() {
		return fmt.Sprintf("was ended by signal %d (%v)", int(p.ws.Signal()), p.ws.Signal())
	}
	return fmt.Sprintf("exited with code %d", p.ws.ExitStatus())
}

// end kills everything that was started, and as PID 1 everything there is.
func (ps *processes) end() {
	ps.mu.Lock()
	ps.ended = true
	started := len(ps.byName) > 0
	ps.mu.Unlock()
	defer close(ps.quit)
	if !started && ps.self != 1 {
		return
	}
	var left []procStat
	for deadline := time.Now().Add(lastMoment); time.Now().Before(deadline); time.Sleep(tick) {
		if left = ps.killAll(); len(left) == 0 {
			return
		}
		ps.reap()
	}
	ps.log.Printf("killed, but still there: %s", describe(left))
}

// killAll kills all there is to kill and tells what it found.
func (ps *processes) killAll() []procStat {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	all, err := allProcesses()
	if err != nil {
		ps.log.Printf("end: %v", err)
	}
	if ps.self == 1 {
		syscall.Kill(-1, syscall.SIGKILL)
		return belong(all, func(s procStat) bool { return s.pid != 1 })
	}
	var out []procStat
	for _, p := range ps.byName {
		members := p.members(all, ps.self)
		send(p, members, syscall.SIGKILL)
		out = append(out, members...)
	}
	return out
}
