// This file defines what the run knows of each node's process, and how signals
// reach it one at a time.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"starfall/interp/plan"
)

// nodes sends signals to processes.
//
//	signal     running    stopped    paused
//	kill       stopped    refused    stopped
//	stop       stopped    refused    refused (a frozen process handles no SIGTERM)
//	pause      paused     refused    refused
//	resume     refused    refused    running
//	power_off  stopped    stopped    stopped
//	start      refused    running    refused
//
// A signal without proof moves the state all the same when it breaks
// something, and not when it mends: so healing leaves nothing out.
type nodes struct {
	procs Processes // nil: the engine has no such power
	m     map[NodeKey]*node
	label func(NodeKey) string
}

type node struct {
	busy  chan struct{} // holds a token while a signal is under way
	state string        // guarded by busy
}

// errRefused says that a signal was not sent, because of the node's state.
var (
	errRefused = errors.New("not done")
	errRunning = fmt.Errorf("%w: it is running", errRefused)
	errStopped = fmt.Errorf("%w: it is not running", errRefused)
	errPaused  = fmt.Errorf("%w: it is paused", errRefused)
)

// The states of a process, as NodeState names them.
const (
	processRunning = "running"
	processStopped = "stopped"
	processPaused  = "paused"
)

func newNodes(p *plan.Plan, procs Processes) *nodes {
	n := &nodes{procs: procs, m: make(map[NodeKey]*node), label: func(k NodeKey) string {
		if c := p.Cluster(k.Cluster); c != nil {
			return c.Label(k.ID)
		}
		return fmt.Sprintf("%s-%d", k.Cluster, k.ID)
	}}
	for _, c := range p.Clusters {
		for _, x := range c.Nodes {
			n.m[NodeKey{c.Name, x.ID}] = &node{busy: make(chan struct{}, 1), state: processRunning}
		}
	}
	return n
}

// signal sends one signal and waits for its proof.
func (n *nodes) signal(ctx context.Context, key NodeKey, s Signal) (Proof, error) {
	x := n.m[key]
	if x == nil {
		return Proof{}, fmt.Errorf("%s: there is no such node", n.label(key))
	}
	if n.procs == nil {
		return Proof{}, fmt.Errorf("%s: this engine has no power over processes", s)
	}
	select {
	case x.busy <- struct{}{}:
		defer func() { <-x.busy }()
	case <-ctx.Done():
		return Proof{}, fmt.Errorf("%s %s: another signal was still under way: %w", s, n.label(key), context.Cause(ctx))
	}
	next, refused := step(x.state, s)
	if refused != nil {
		return Proof{}, fmt.Errorf("%s %s: %w", s, n.label(key), refused)
	}
	if next != processRunning {
		x.state = next
	}
	proof, err := n.procs.Signal(ctx, key, s)
	if err == nil && proof.OK {
		x.state = next
	}
	return proof, err
}

// mend starts or resumes a node for an undo. That somebody else has done so
// meanwhile is as good.
func (n *nodes) mend(ctx context.Context, key NodeKey, s Signal) (Proof, error) {
	proof, err := n.signal(ctx, key, s)
	if errors.Is(err, errRunning) {
		return Proof{OK: true, At: time.Now(), Text: "was running already"}, nil
	}
	return proof, err
}

// step is the table above: the state that a signal leads to, or why it is
// refused.
func step(state string, s Signal) (next string, refused error) {
	switch s {
	case SignalPowerOff:
		return processStopped, nil
	case SignalKill, SignalStop, SignalPause:
		if state == processStopped {
			return "", errStopped
		}
		if state == processPaused && s != SignalKill {
			return "", errPaused
		}
		if s == SignalPause {
			return processPaused, nil
		}
		return processStopped, nil
	case SignalResume, SignalStart:
		wrong := errPaused
		if s == SignalResume {
			wrong = errStopped
		}
		switch {
		case state == processRunning:
			return "", errRunning
		case (state == processStopped) == (s == SignalResume):
			return "", wrong
		}
		return processRunning, nil
	}
	return "", fmt.Errorf("%w: there is no such signal", errRefused)
}

// unhealed gives the nodes that do not run, each with the signal that mends
// it. A node with a signal under way is waited for until ctx ends, and given
// as it was last known.
func (n *nodes) unhealed(ctx context.Context) map[NodeKey]Signal {
	out := make(map[NodeKey]Signal)
	for key, x := range n.m {
		select {
		case x.busy <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		switch x.state {
		case processStopped:
			out[key] = SignalStart
		case processPaused:
			out[key] = SignalResume
		}
		<-x.busy
	}
	return out
}

// signals are what the verbs on nodes send, and what undoes each.
func signals(v plan.Verb) (do, undo Signal) {
	switch v {
	case plan.Kill:
		return SignalKill, SignalStart
	case plan.Stop, plan.Restart:
		return SignalStop, SignalStart
	case plan.PowerOff:
		return SignalPowerOff, SignalStart
	case plan.Pause:
		return SignalPause, SignalResume
	case plan.StartNode:
		return SignalStart, ""
	case plan.Resume:
		return SignalResume, ""
	}
	return "", ""
}
